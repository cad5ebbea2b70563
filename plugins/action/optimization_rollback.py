# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the progress of the module ``optimization_rollback`` and what became of each action."""

from __future__ import annotations

import typing as t

from ansible_collections.frugal.cloud.plugins.plugin_utils.following import FollowingAction
from ansible_collections.frugal.cloud.plugins.plugin_utils.tables import undone_lines


class ActionModule(FollowingAction):
    """One module call, followed."""

    def summary(self, result: t.Mapping[str, t.Any]) -> t.Sequence[str]:
        """Counts, the saving that is given up, and each action."""
        return undone_lines(result)
