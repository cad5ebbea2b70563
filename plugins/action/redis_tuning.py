# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes settings of a running Redis server as approved, verifies them and takes them back."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.settings import Settings
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import redis_tuning
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import CONNECTION
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_options import TUNING
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.plugin_utils.redis_tuning import RedisAction
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import TuningAction


class ActionModule(RedisAction, TuningAction):
    """The server's settings, online."""

    kinds = redis_tuning.KINDS
    options: t.ClassVar[dict[str, dict[str, t.Any]]] = {**CONNECTION, **TUNING}

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Settings]:
        """The settings as they are."""
        config = self._stats("config")["config"]
        return {action.id: {name: config.get(name) for name in action.recommendation.proposed} for action in actions}

    def write(self, action: PlannedAction, values: Settings) -> str:
        """One transaction on the host."""
        del action
        self.call(
            "redis_config",
            **self._connection_options(),
            settings=dict(values),
            persist=self.args["persist"],
            tuned_service=self.args["tuned_service"] or None,
        )
        return ""

    def checks(
        self, actions: Sequence[PlannedAction], begun: Mapping[str, datetime.datetime]
    ) -> Mapping[str, Sequence[Check]]:
        """Counters watched now, against those before."""
        del begun
        observed = self._stats("observe", observe_seconds=self.args["observe_seconds"])["observe"]
        return {action.id: redis_tuning.checks(action.recommendation, observed) for action in actions}

    def _stats(self, part: str, **options: t.Any) -> Mapping[str, t.Any]:
        return self.call("redis_stats_info", **self._connection_options(), gather=[part], **options)

    def _connection_options(self) -> dict[str, t.Any]:
        return {name: self.args[name] for name in CONNECTION}
