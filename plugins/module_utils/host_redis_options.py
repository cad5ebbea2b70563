# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of reading a Redis server, and the request that they make.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import CONNECTION, RedisError, endpoint
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_stats import PARTS, KeyLimits, Request
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_trace import Limits

#: documented by ``doc_fragments/redis.py``
READING: dict[str, dict[str, t.Any]] = {
    "observe_seconds": {"type": "float", "default": 6.0},
    "sample_keys": {"type": "int", "default": 2000, "no_log": False},
    "sample_seconds": {"type": "float", "default": 5.0},
    "sample_megabytes": {"type": "float", "default": 16.0},
    "monitor_seconds": {"type": "float", "default": 20.0},
    "monitor_megabytes": {"type": "float", "default": 256.0},
    "monitor_operations": {"type": "int", "default": 50_000},
    "monitor_slower": {"type": "float", "default": 3.0},
    "trace_file": {"type": "path"},
    "trace_keys": {"type": "int", "default": 20_000, "no_log": False},
    "trace_events": {"type": "int", "default": 150_000},
}
#: what ``redis_tuning_info`` asks for besides, documented there
ADVICE: dict[str, dict[str, t.Any]] = {
    "usage": {"type": "str", "choices": ["auto", "cache", "mixed", "store"], "default": "auto"},
    "memory_price_gib_month": {"type": "float", "default": 0.0},
    "miss_price_million": {"type": "float", "default": 0.0},
    "hit_ratio_tolerance": {"type": "float", "default": 0.01},
    "memory_limit_mib": {"type": "int", "default": 0},
    "currency": {"type": "str", "default": "USD"},
}
#: and ``redis_tuning``
TUNING: dict[str, dict[str, t.Any]] = {
    "observe_seconds": {"type": "float", "default": 12.0},
    "persist": {"type": "bool", "default": True},
    "tuned_service": {"type": "str", "default": "redis"},
}
#: least value of each number
LEAST = {
    "observe_seconds": 0.1,
    "sample_keys": 1,
    "sample_seconds": 0.1,
    "sample_megabytes": 0.1,
    "monitor_seconds": 0.0,
    "monitor_megabytes": 0.1,
    "monitor_operations": 0,
    "monitor_slower": 1.0,
    "trace_keys": 100,
    "trace_events": 1000,
}
STATS: dict[str, dict[str, t.Any]] = {
    **CONNECTION,
    **READING,
    "gather": {"type": "list", "elements": "str", "choices": list(PARTS), "default": list(PARTS)},
}


def request(options: t.Mapping[str, t.Any]) -> Request:
    """The request that options make.

    :raises RedisError: when a value cannot be used.
    """
    for name, least in LEAST.items():
        if options[name] < least:
            raise RedisError(f"{name} is {options[name]:g}: give {least:g} or more", "option")
    parts = set(options["gather"])
    if not options["monitor_seconds"] and not options["trace_file"]:
        parts.discard("trace")
    return Request(
        where=endpoint(options),
        parts=frozenset(parts),
        observe_seconds=options["observe_seconds"],
        key_limits=KeyLimits(options["sample_keys"], options["sample_seconds"], options["sample_megabytes"]),
        trace_limits=Limits(
            seconds=options["monitor_seconds"],
            megabytes=options["monitor_megabytes"],
            keys=options["trace_keys"],
            events=options["trace_events"],
            operations=options["monitor_operations"],
            slower=options["monitor_slower"],
        ),
        trace_file=options["trace_file"] or "",
    )
