# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings in pgbouncer.ini and pgpool.conf: read, changed in place as the roles render them, and put back."""

from __future__ import annotations

import re

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import host_pooler
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from hypothesis import given
from hypothesis import strategies as st

INI = """\
;
; Ansible managed
;
[databases]
shop = host=127.0.0.1 port=5432
"odd name" = connect_query='SELECT ''a'' b' host=10.0.0.1 pool_size=7
* = host=10.0.0.2

[users]

[pgbouncer]
%include listen.ini
auth_type = scram-sha-256
max_client_conn = 500
pool_mode = transaction
"""
CONF = "memqcache_expire = 30\nmemqcache_total_size = 8MB\nport = 9999\ninclude 'tables.conf'\n"
TABLES = host_pooler.tables_text(
    ["public.products"],
    '#\n# Ansible managed\n#\n# options: {"memory_mb": 8, "tables": ["public.products"], "ttl": 30}\n',
)


def test_settings_are_read() -> None:
    names = [
        "databases.shop.pool_size",
        "databases.odd name.pool_size",
        "databases.*.host",
        "max_client_conn",
        "pool_mode",
    ]
    assert host_pooler.ini_get(INI, [*names, "pool_mode", "query_wait_timeout"]) == {
        "databases.shop.pool_size": None,
        "databases.odd name.pool_size": 7,
        "databases.*.host": "10.0.0.2",
        "max_client_conn": 500,
        "pool_mode": "transaction",
        "query_wait_timeout": None,
    }
    assert host_pooler.ini_databases(INI) == ["shop", "odd name", "*"]


def test_what_is_set_stands_where_the_role_would_put_it() -> None:
    changed = host_pooler.ini_set(
        INI, {"databases.shop.pool_size": 8, "default_pool_size": 5, "max_client_conn": 900, "query_timeout": 9}
    )
    assert changed == INI.replace("port=5432", "pool_size=8 port=5432").replace(
        "max_client_conn = 500", "default_pool_size = 5\nmax_client_conn = 900"
    ) + ("query_timeout = 9\n")


@pytest.mark.parametrize(
    "values",
    [
        {"databases.shop.pool_size": 8},
        {"databases.odd name.pool_mode": "session"},
        {"a_setting": 1},
        {"max_client_conn": 9},
        {"zz": "x"},
    ],
)
def test_every_change_can_be_taken_back(values: dict[str, object]) -> None:
    before = host_pooler.ini_get(INI, list(values))
    changed = host_pooler.ini_set(INI, values)
    assert changed != INI
    assert host_pooler.ini_get(changed, list(values)) == values
    assert host_pooler.ini_set(changed, before) == INI


def test_a_database_that_is_not_there() -> None:
    with pytest.raises(HostError, match="no database 'stock': declare it in pgbouncer_databases"):
        host_pooler.ini_set(INI, {"databases.stock.pool_size": 3})


NAMES = st.text("abps_", min_size=1, max_size=6)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4), st.text("abps_.", min_size=1, max_size=9))
def test_the_patterns_match_every_name_but_the_declared(tables: list[tuple[str, str]], name: str) -> None:
    declared = [f"{schema}.{table}" for schema, table in tables]
    patterns = [re.compile(one) for one in host_pooler.unsafe_patterns(declared).split(",")]

    def unsafe(text: str) -> bool:
        return any(pattern.fullmatch(text) for pattern in patterns)

    kept = {*declared, *(table for _schema, table in tables)}
    assert not any(unsafe(one) for one in kept)
    assert unsafe(name) == (name not in kept)


def test_a_name_that_pgpool_cannot_be_told() -> None:
    for bad in ("products", "public.pro-ducts", "public.a,b", "a.b.c"):
        with pytest.raises(HostError, match=r"give tables as schema\.name"):
            host_pooler.unsafe_patterns([bad])


def test_the_cache_is_read_changed_and_put_back() -> None:
    assert host_pooler.conf_get(CONF, TABLES) == {"tables": ["public.products"], "ttl": 30, "memory_mb": 8}
    wanted = {"tables": ["public.brands", "public.products"], "ttl": 5, "memory_mb": 16}
    conf, tables = host_pooler.conf_set(CONF, TABLES, wanted)
    assert host_pooler.conf_get(conf, tables) == wanted
    assert "memqcache_total_size = 16MB" in conf
    assert host_pooler.conf_set(conf, tables, host_pooler.conf_get(CONF, TABLES)) == (CONF, TABLES)


def test_what_the_options_say_already_is_not_tuned() -> None:
    assert host_pooler.conf_tuned(TABLES, {"ttl": 30, "memory_mb": 16}) == {"ttl": None, "memory_mb": 16}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ttl": 0}, "ttl is 0: give a whole number above 0"),
        ({"size": 1}, "'size' is no setting of the query cache: use tables, ttl or memory_mb"),
    ],
)
def test_bad_values_of_the_cache(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(HostError, match=sentence):
        host_pooler.conf_set(CONF, TABLES, values)


def test_a_host_without_the_role(tmp_path: object) -> None:
    with pytest.raises(HostError, match="pgbouncer was not set up by the role"):
        host_pooler.set_up(host_pooler.PGBOUNCER, str(tmp_path))
