# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for pgbouncer's databases and the cache's tables."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.frugal.cloud.plugins.filter.pgbouncer_connections import pgbouncer_connections
from ansible_collections.frugal.cloud.plugins.filter.pgbouncer_tuned import pgbouncer_tuned
from ansible_collections.frugal.cloud.plugins.filter.query_cache_unsafe import query_cache_unsafe


def test_tuned_settings_reach_their_database() -> None:
    databases = [{"name": "shop.eu", "pool_size": 20}, {"name": "stock"}]
    tuned = {"databases.shop.eu.pool_size": 8, "databases.gone.pool_size": 1, "max_client_conn": 9}
    assert pgbouncer_tuned(databases, tuned) == [{"name": "shop.eu", "pool_size": 8}, {"name": "stock"}]
    assert databases[0]["pool_size"] == 20


def test_connections_are_counted() -> None:
    assert pgbouncer_connections([{"name": "a", "users": 2}], {"default_pool_size": "7"}) == {"socket:5432": 14}
    with pytest.raises(AnsibleFilterError, match="sizes of pools are whole numbers"):
        pgbouncer_connections([{"name": "a", "pool_size": "many"}], {})


def test_unsafe_tables() -> None:
    assert query_cache_unsafe([]) == ".*"
    with pytest.raises(AnsibleFilterError, match="query_cache_tables has 'products'"):
        query_cache_unsafe(["products"])
