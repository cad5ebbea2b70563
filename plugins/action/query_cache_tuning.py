# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes what a running query cache keeps as approved, verifies it and takes it back."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.settings import Settings
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import query_cache
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.postgres_tuning_options import QUERY_CACHE
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import TuningAction


class ActionModule(TuningAction):
    """Tables, lifetime and memory of the cache."""

    service = "query_cache"
    kinds = query_cache.KINDS
    options: t.ClassVar[dict[str, dict[str, t.Any]]] = QUERY_CACHE

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Settings]:
        """The settings as the files have them."""
        current = self.call("query_cache_config")["current"]
        return {action.id: {name: current[name] for name in action.recommendation.proposed} for action in actions}

    def write(self, action: PlannedAction, values: Settings) -> str:
        """Validated, loaded and probed on the host, or taken back there."""
        del action
        self.call("query_cache_config", settings=dict(values))
        return ""

    def checks(
        self, actions: Sequence[PlannedAction], begun: Mapping[str, datetime.datetime]
    ) -> Mapping[str, Sequence[Check]]:
        """The cache's own counters over some seconds, against what was predicted."""
        del begun
        found = self.call("query_cache_stats_info", **{name: self.args[name] for name in QUERY_CACHE})
        return {
            action.id: query_cache.checks(action.recommendation, found["before"], found["after"]) for action in actions
        }
