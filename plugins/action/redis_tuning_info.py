# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a Redis server on its host, and says on the controller what it should be set to."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import redis_tuning
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_facts import Options
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import CONNECTION
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_options import ADVICE, READING
from ansible_collections.frugal.cloud.plugins.plugin_utils.redis_tuning import RedisAction
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import Advice, AdvisingAction


class ActionModule(RedisAction, AdvisingAction):
    """One look at a server, judged."""

    options: t.ClassVar[dict[str, dict[str, t.Any]]] = {**CONNECTION, **READING, **ADVICE}

    def advise(self) -> Advice:
        """Read and judge."""
        for name in ("memory_price_gib_month", "miss_price_million", "memory_limit_mib"):
            if self.args[name] < 0:
                raise AnsibleActionFail(f"{name} is {self.args[name]:g}: give 0 or more")
        if not 0 <= self.args["hit_ratio_tolerance"] < 1:
            raise AnsibleActionFail(
                f"hit_ratio_tolerance is {self.args['hit_ratio_tolerance']:g}: give a share from 0 to below 1"
            )
        stats = self.call("redis_stats_info", **{name: self.args[name] for name in (*CONNECTION, *READING)})
        options = Options(
            host=self.host,
            port=self.instance,
            scope=self.scope(),
            usage=self.args["usage"],
            memory_price_gib_month=self.args["memory_price_gib_month"],
            miss_price_million=self.args["miss_price_million"],
            hit_ratio_tolerance=self.args["hit_ratio_tolerance"],
            memory_limit=self.args["memory_limit_mib"] * 2**20,
            currency=self.args["currency"],
        )
        found = redis_tuning.advise(stats, options)
        return Advice(found.recommendations, found.summary, found.warnings)
