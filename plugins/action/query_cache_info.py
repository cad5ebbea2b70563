# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches statements and writes on a host, and says on the controller which results are worth keeping."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import query_cache
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres_options import POSTGRES
from ansible_collections.frugal.cloud.plugins.module_utils.postgres_tuning_options import QUERY_CACHE_ADVICE
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Resource
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import Advice, AdvisingAction, HostModuleError


class ActionModule(AdvisingAction):
    """One window of statements, judged."""

    service = "query_cache"
    options: t.ClassVar[dict[str, dict[str, t.Any]]] = {**POSTGRES, **QUERY_CACHE_ADVICE}

    def advise(self) -> Advice:
        """Watch, sort out what is not safe, weigh the rest, compare with the cache's settings."""
        limits = self._limits()
        database, limit = self.args["login_db"], self.args["limit"]
        options = {name: self.args[name] for name in POSTGRES}
        stats = self.call("postgres_stats_info", **options, statements=self.args["statements"])["stats"]
        catalogue = stats["catalogues"][database]
        if catalogue["note"]:
            raise AnsibleActionFail(f"database {database}: {catalogue['note']}")
        choice = query_cache.choose(query_cache.statements(stats, database, limits), limits)
        recommendation, warnings = None, []
        try:
            current = self.call("query_cache_config")["current"]
        except HostModuleError as error:
            # Advice without a cache: what it would be good for.
            warnings.append(str(error))
        else:
            resource = Resource(f"{self.host}:{self.args['cache_port']}", "query_cache", self.host)
            recommendation = query_cache.advise(choice, current, resource, self.scope(), limits, catalogue["seconds"])
        summary = {
            "statements": len(choice.gains) + len(choice.left),
            "worth_keeping": len(choice.gains),
            "saved_seconds_per_second": round(choice.saved, 4),
            "tables": list(choice.tables),
            "ttl": choice.ttl,
        }
        left = [{"query": one.query[:200], "user": one.user, "why": why} for one, why in choice.left[:limit]]
        more = {"statements": [one.to_dict() for one in choice.gains[:limit]], "left_alone": left}
        return Advice([recommendation] if recommendation else [], summary, warnings, more)

    def _limits(self) -> query_cache.Limits:
        least = {"staleness": 1, "statements": 1, "least_gain": 0, "constants": 0, "memory_mb": 2}
        for name, value in least.items():
            if self.args[name] < value:
                raise AnsibleActionFail(f"{name} is {self.args[name]:g}: give {value} or more")
        if not 0 <= self.args["least_hit_ratio"] < 1:
            raise AnsibleActionFail(
                f"least_hit_ratio is {self.args['least_hit_ratio']:g}: give a share from 0 to below 1"
            )
        return query_cache.Limits(
            staleness=self.args["staleness"],
            least_gain=self.args["least_gain"],
            least_ratio=self.args["least_hit_ratio"],
            keys=self.args["constants"],
            memory_mb=self.args["memory_mb"],
        )
