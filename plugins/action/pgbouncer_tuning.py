# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes pools of a running pgbouncer as approved, verifies them and takes them back."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.settings import Settings
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import postgres_pool_advice
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres_options import POSTGRES
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import TuningAction


class ActionModule(TuningAction):
    """pgbouncer's settings, online."""

    service = "pgbouncer"
    kinds = postgres_pool_advice.KINDS
    options: t.ClassVar[dict[str, dict[str, t.Any]]] = POSTGRES

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Settings]:
        """The settings as the file has them."""
        names = sorted({name for action in actions for name in action.recommendation.proposed})
        current = self.call("pgbouncer_config", read=names)["current"]
        return {action.id: {name: current[name] for name in action.recommendation.proposed} for action in actions}

    def write(self, action: PlannedAction, values: Settings) -> str:
        """Validated, loaded and probed on the host, or taken back there."""
        del action
        self.call("pgbouncer_config", settings=dict(values))
        return ""

    def checks(
        self, actions: Sequence[PlannedAction], begun: Mapping[str, datetime.datetime]
    ) -> Mapping[str, Sequence[Check]]:
        """A window of load now, against the one before."""
        del begun
        stats = self.call("postgres_stats_info", **{name: self.args[name] for name in POSTGRES})["stats"]
        return {action.id: postgres_pool_advice.checks(action.recommendation, stats) for action in actions}
