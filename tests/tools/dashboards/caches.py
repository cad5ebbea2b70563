# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches: Redis and Varnish. From redis_exporter, prometheus_varnish_exporter and recording rules."""

from __future__ import annotations

from ansible_collections.frugal.cloud.tests.tools.dashboards.building import (
    RATE,
    Dashboard,
    Query,
    Row,
    Variable,
    graph,
    share,
)

_REDIS = 'instance=~"$redis"'
_VARNISH = 'instance=~"$varnish"'


DASHBOARD = Dashboard(
    uid="frugal-caches",
    title="Caches: Redis and Varnish",
    description="How much the caches keep away from what is behind them, and whether they have room to do so.",
    tags=["caches"],
    variables=[
        Variable("redis", "Redis", "Targets of redis_exporter.", series="redis_up", of_label="instance"),
        Variable("varnish", "Varnish", "Targets of varnish's exporter.", series="varnish_up", of_label="instance"),
    ],
    rows=[
        Row(
            "Redis",
            [
                share(
                    "Hit ratio",
                    "Share of look-ups in 15 minutes that found their key. Below 80 %, keys may not live long enough.",
                    [
                        Query(f'instance:cache_hit_ratio:rate15m{{cache="redis",{_REDIS}}}', "{{instance}}"),
                    ],
                    steps=[0.8, 0.5],
                    runbook="CacheHitRatioLow",
                ),
                graph(
                    "Memory, of its limit",
                    "Memory used, of maxmemory. Full is good for a cache that evicts, and fatal for one that does not.",
                    [
                        Query(
                            f"redis_memory_used_bytes{{{_REDIS}}} / (redis_memory_max_bytes{{{_REDIS}}} > 0)",
                            "{{instance}}",
                        )
                    ],
                    unit="percentunit",
                    steps=[0.9, 0.98],
                ),
                graph(
                    "Keys evicted and expired",
                    "Evicted: thrown away for want of memory. Expired: gone when their time was over.",
                    [
                        Query(f"rate(redis_evicted_keys_total{{{_REDIS}}}{RATE})", "{{instance}} evicted"),
                        Query(f"rate(redis_expired_keys_total{{{_REDIS}}}{RATE})", "{{instance}} expired"),
                    ],
                    unit="ops",
                ),
                graph(
                    "Commands",
                    "Commands per second.",
                    [Query(f"rate(redis_commands_processed_total{{{_REDIS}}}{RATE})", "{{instance}}")],
                    unit="ops",
                ),
                graph(
                    "Time for a command",
                    "Average time that the server spends on a command, without the network.",
                    [
                        Query(
                            f"sum by (cmd) (rate(redis_commands_duration_seconds_total{{{_REDIS}}}{RATE})) / "
                            f"(sum by (cmd) (rate(redis_commands_total{{{_REDIS}}}{RATE})) > 0)",
                            "{{cmd}}",
                        )
                    ],
                    unit="s",
                ),
                graph(
                    "Connections, of the most allowed",
                    "At 100 %, Redis turns new clients away.",
                    [
                        Query(
                            f"redis_connected_clients{{{_REDIS}}} / redis_config_maxclients{{{_REDIS}}}",
                            "{{instance}}",
                        )
                    ],
                    unit="percentunit",
                    steps=[0.8, 0.95],
                ),
            ],
        ),
        Row(
            "Varnish",
            [
                share(
                    "Hit ratio",
                    "Share of look-ups in 15 minutes that the cache answered. Cookies and shuffled query strings "
                    "usually spoil it.",
                    [
                        Query(f'instance:cache_hit_ratio:rate15m{{cache="varnish",{_VARNISH}}}', "{{instance}}"),
                    ],
                    steps=[0.8, 0.5],
                    runbook="CacheHitRatioLow",
                ),
                graph(
                    "Requests from clients and to backends",
                    "The distance between the two lines is what the cache saves.",
                    [
                        Query(f"sum(rate(varnish_main_client_req{{{_VARNISH}}}{RATE}))", "from clients"),
                        Query(f"sum(rate(varnish_main_backend_req{{{_VARNISH}}}{RATE}))", "to backends"),
                    ],
                    unit="reqps",
                ),
                graph(
                    "Backends",
                    "1: the last health check of the backend was good.",
                    [Query(f"varnish_backend_up{{{_VARNISH}}}", "{{instance}} {{backend}}")],
                    unit="none",
                    steps=[1],
                    falling=True,
                    maximum=1,
                ),
                share(
                    "Storage used",
                    "Share of the storage that holds objects. Full and with objects pushed out: more would help.",
                    [
                        Query(
                            f'varnish_sma_g_bytes{{{_VARNISH},type!="Transient"}} / (varnish_sma_g_bytes{{{_VARNISH},'
                            f'type!="Transient"}} + varnish_sma_g_space{{{_VARNISH},type!="Transient"}})',
                            "{{instance}} {{type}}",
                        )
                    ],
                ),
                graph(
                    "Objects pushed out",
                    "Objects per second that were thrown away, though still good, to make room.",
                    [Query(f"rate(varnish_main_n_lru_nuked{{{_VARNISH}}}{RATE})", "{{instance}}")],
                    unit="ops",
                    steps=[1, 10],
                ),
                graph(
                    "Waiting and failing",
                    "Requests that wait for a thread, and fetches per second that failed.",
                    [
                        Query(f"varnish_main_thread_queue_len{{{_VARNISH}}}", "{{instance}} waiting for a thread"),
                        Query(f"rate(varnish_main_backend_fail{{{_VARNISH}}}{RATE})", "{{instance}} failed fetches"),
                    ],
                    unit="none",
                    steps=[1],
                ),
            ],
        ),
    ],
)
