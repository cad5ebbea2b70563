# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches PostgreSQL and pgbouncer from a host, and says on the controller how large pools should be."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import postgres_pool_advice, postgres_pools
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres_options import POSTGRES
from ansible_collections.frugal.cloud.plugins.module_utils.postgres_tuning_options import POOL_ADVICE
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Resource
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import Advice, AdvisingAction


class ActionModule(AdvisingAction):
    """One window of load, judged."""

    service = "pgbouncer"
    options: t.ClassVar[dict[str, dict[str, t.Any]]] = {**POSTGRES, **POOL_ADVICE}

    def advise(self) -> Advice:
        """Watch, compute demand and sizes, compare with the settings of the file."""
        bounds = self._bounds()
        names = (*POSTGRES, "databases")
        stats = self.call("postgres_stats_info", **{name: self.args[name] for name in names})["stats"]
        bounds = dataclasses.replace(bounds, cores=bounds.cores or stats["cores"])
        demands = postgres_pools.demands(stats)
        room = postgres_pools.capacity(stats, bounds)
        recommendations = []
        if stats["pgbouncer"]:
            known = self.call("pgbouncer_config")["databases"]
            current = self.call("pgbouncer_config", read=postgres_pool_advice.names_read(known))["current"]
            resource = Resource(f"{self.host}:{self.args['pgbouncer_port']}", "pgbouncer", self.host)
            recommendations = postgres_pool_advice.advise(stats, current, resource, self.scope(), bounds)
        pools = [
            {
                "database": size.demand.database,
                "size": size.size,
                "now": size.demand.pool,
                "wanted": size.wanted,
                "binding": size.binding,
                **size.demand.measured(),
                "session_needs": postgres_pools.session_needs(stats["features"], size.demand.database),
            }
            for size in postgres_pools.sizes(demands, room, bounds.target)
        ]
        alarms = postgres_pools.alarms(stats, demands, bounds)
        summary = {
            "pooled": bool(stats["pgbouncer"]),
            "connections": sum(pool["size"] for pool in pools),
            "capacity": room.connections,
            "capacity_why": room.why,
            "alarms": len(alarms),
        }
        return Advice(recommendations, summary, more={"pools": pools, "alarms": alarms})

    def _bounds(self) -> postgres_pools.Bounds:
        if not 0 < self.args["target_utilisation"] < 1:
            raise AnsibleActionFail(
                f"target_utilisation is {self.args['target_utilisation']:g}: give a share above 0 and below 1"
            )
        for name, least in (("other_connections", 0), ("pgbouncers", 1), ("cores", 0)):
            if self.args[name] < least:
                raise AnsibleActionFail(f"{name} is {self.args[name]:g}: give {least} or more")
        return postgres_pools.Bounds(
            self.args["other_connections"],
            self.args["pgbouncers"],
            self.args["cores"],
            self.args["target_utilisation"],
        )
