# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the ranked table of the plan that the module ``optimization_plan`` made."""

from __future__ import annotations

import typing as t

from ansible_collections.frugal.cloud.plugins.plugin_utils.following import FollowingAction
from ansible_collections.frugal.cloud.plugins.plugin_utils.tables import action_table


class ActionModule(FollowingAction):
    """One module call, followed by its table."""

    def summary(self, result: t.Mapping[str, t.Any]) -> t.Sequence[str]:
        """The plan's first actions, best first, and how to go on."""
        return action_table(result)
