# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the plugins that advise on pools and on a cache of results, for the plugins and their documentation."""

from __future__ import annotations

import typing as t

Options: t.TypeAlias = "dict[str, dict[str, t.Any]]"

POOL_ADVICE: Options = {
    "databases": {"type": "list", "elements": "str", "default": []},
    "other_connections": {"type": "int", "default": 10},
    "pgbouncers": {"type": "int", "default": 1},
    "cores": {"type": "float", "default": 0.0},
    "target_utilisation": {"type": "float", "default": 0.7},
}
QUERY_CACHE_ADVICE: Options = {
    "statements": {"type": "int", "default": 100},
    "staleness": {"type": "int", "default": 10},
    "least_gain": {"type": "float", "default": 0.005},
    "least_hit_ratio": {"type": "float", "default": 0.3},
    "constants": {"type": "int", "default": 0},
    "memory_mb": {"type": "int", "default": 64},
    "cache_port": {"type": "int", "default": 9999},
}
#: How the cache itself is asked for its counters.
QUERY_CACHE: Options = {
    "cache_host": {"type": "str", "default": "127.0.0.1"},
    "cache_port": {"type": "int", "default": 9999},
    "cache_user": {"type": "str", "default": ""},
    "cache_password": {"type": "str", "default": "", "no_log": True},
    "cache_db": {"type": "str", "default": "postgres"},
    "observe_seconds": {"type": "float", "default": 5.0},
}
