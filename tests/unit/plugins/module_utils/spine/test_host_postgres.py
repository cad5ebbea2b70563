# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real PostgreSQL says about statements, tables and sessions: here for the server of the ledger's tests."""

from __future__ import annotations

import dataclasses
import urllib.parse

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import (
    host_pgbouncer,
    host_postgres,
    host_postgres_options,
    host_postgres_stats,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import postgres_pools, query_cache
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres import Connection

SCHEMA = [
    "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric)",
    "CREATE TABLE visits (id int PRIMARY KEY, at timestamptz)",
    "CREATE TABLE items (id int PRIMARY KEY, product int REFERENCES products ON DELETE CASCADE)",
    "CREATE TABLE accounts (id int PRIMARY KEY, owner name)",
    "ALTER TABLE accounts ENABLE ROW LEVEL SECURITY",
    "CREATE VIEW cheap AS SELECT * FROM products WHERE price < 10",
    "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
    "CREATE UNLOGGED TABLE scratch (id int)",
    "CREATE SCHEMA other",
    "CREATE TABLE other.visits (id int)",
    "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n'",
    "CREATE FUNCTION next_price(n int) RETURNS numeric LANGUAGE sql AS 'SELECT price FROM products WHERE id = n'",
]


@pytest.fixture
def server(postgresql_url: str) -> Connection:
    """A database of its own with a shop's tables."""
    parts = urllib.parse.urlsplit(postgresql_url)
    connection = Connection(
        host="127.0.0.1", port=parts.port or 0, user=parts.username or "", database=parts.path.lstrip("/")
    )
    host_postgres.execute(connection, SCHEMA)
    return connection


def judged(server: Connection, *texts: str) -> list[str]:
    """Why each statement must not be kept, by the server's facts."""
    facts = host_postgres.facts(server, [("frugal", text) for text in texts])
    relations, functions = host_postgres_stats.lookup(server, facts, (), {})
    return [query_cache.refusal({"facts": dataclasses.asdict(one)}, relations, functions) for one in facts]


def test_the_servers_parser_decides_what_is_safe(server: Connection) -> None:
    safe = judged(
        server,
        "SELECT name FROM products WHERE id = $1",
        "WITH x AS (SELECT max(price) AS most FROM products) SELECT * FROM products, x WHERE price = most LIMIT $1",
        "SELECT upper(name) || $1, twice(id) FROM products ORDER BY id",
        "SELECT 'select now() from products for update' FROM products",
    )
    assert safe == [""] * 4
    why = judged(
        server,
        "SELECT now(), name FROM products",
        "SELECT name FROM products WHERE random() < $1",
        "SELECT next_price(id) FROM products",
        "SELECT name FROM products WHERE id = $1 FOR UPDATE",
        "SELECT name FROM products FOR SHARE",
        "SELECT owner FROM accounts",
        "SELECT id FROM accounts WHERE owner = CURRENT_USER",
        "SELECT name FROM cheap",
        "SELECT at FROM visits",
        "SELECT id FROM parts",
        "SELECT id FROM scratch",
        "SELECT id FROM products TABLESAMPLE system ($1)",
        "WITH gone AS (DELETE FROM products RETURNING id) SELECT count(*) FROM gone",
        "SELECT 1 + $1",
        "SELECT relname FROM pg_class",
        "SELECT 1 FROM missing",
        "SELECT 1; DROP TABLE products",
        "SELECT id FROM products \\! touch /tmp/frugal-psql",
    )
    expected = [
        "now() is stable, not immutable", "random() is volatile", "public.next_price() is volatile", "locks rows",
        "locks rows", "row security", "uses the time, the user", "is a view", "timestamps with time zone",
        "partitioned table", "unlogged", "TABLESAMPLE", "it writes", "reads no table", "belongs to the system",
        'relation "missing" does not exist', "backslash, a semicolon", "backslash, a semicolon",
    ]  # fmt: skip
    assert len(why) == len(expected)
    for sentence, part in zip(why, expected):
        assert part in sentence
    assert host_postgres.ask(server, ["SELECT count(*) AS n FROM products"])[0] == [{"n": "0"}], "nothing was executed"


def test_tables_are_looked_up_by_name(server: Connection) -> None:
    reading = host_postgres_stats.Reading(
        server,
        databases=(server.database,),
        tables=("public.products", "public.items", "public.accounts", "public.cheap", "public.visits"),
        activity=False,
    )
    found = host_postgres_stats.read(reading)
    assert host_postgres_stats.check_tables(found, reading.tables, server.database) == [
        "public.accounts has row security: its rows differ by session",
        "public.cheap is a view: writes to what it reads would not be seen",
        "public.visits has a namesake in other: a statement without schema could mean either",
    ]
    rows = {row["name"]: row for row in found["catalogues"][server.database]["relations"].values()}
    assert rows["items"]["cascades_from"] == "products"
    with pytest.raises(HostError, match=r"public\.nothing is no table of database"):
        host_postgres_stats.check_tables(found, ["public.nothing"], server.database)
    assert host_postgres_stats.check_tables(found, [], "a database that was not looked at") == []


def test_the_load_of_a_window(server: Connection) -> None:
    reading = host_postgres_stats.Reading(server, databases=(server.database,), samples=3, interval=0.05)
    found = host_postgres_stats.read(reading)
    assert found["settings"]["max_connections"] == 100
    assert found["settings"]["work_mem"] == 4 * 1024**2
    assert (len(found["activity"]), len(found["databases"])) == (3, 3)
    room = postgres_pools.capacity(found, postgres_pools.Bounds(others=90, cores=64))
    assert room.why.startswith("max_connections 100 less 3 reserved and 90 for others leaves 7")


def test_the_user_and_function_of_auth_query(server: Connection) -> None:
    wanted = host_pgbouncer.Wanted("bouncer", "secret of the pool", "pgbouncer", (server.database,))
    steps = host_pgbouncer.present(server, wanted)
    assert "secret of the pool" not in str(steps)
    host_pgbouncer.carry_out(server, steps)
    assert host_pgbouncer.present(server, wanted) == []
    host_postgres.execute(
        server, ["CREATE ROLE app LOGIN PASSWORD 'x'", "CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'x'"]
    )
    bouncer = Connection(server.host, server.port, "bouncer", "", server.database)
    shown = host_postgres.ask(
        bouncer, [f"SELECT username FROM pgbouncer.get_auth('{name}')" for name in ("app", "boss")]
    )
    assert shown == [[{"username": "app"}], []]
    app = Connection(server.host, server.port, "app", "", server.database)
    with pytest.raises(HostError, match="permission denied"):
        host_postgres.ask(app, ["SELECT * FROM pgbouncer.get_auth('app')"])
    # Another password, and a function that somebody has opened, are put right.
    host_postgres.execute(server, ["GRANT EXECUTE ON FUNCTION pgbouncer.get_auth(text) TO PUBLIC"])
    other = host_pgbouncer.Wanted("bouncer", "another", "pgbouncer", (server.database,))
    host_pgbouncer.carry_out(server, host_pgbouncer.present(server, other))
    assert host_pgbouncer.present(server, other) == []
    host_pgbouncer.carry_out(server, host_pgbouncer.absent(server, other))
    assert host_pgbouncer.absent(server, other) == []
    host_postgres.execute(server, ["DROP ROLE app", "DROP ROLE boss"])
    with pytest.raises(HostError, match="frugal is a superuser: give pgbouncer's auth_query a user of its own"):
        host_pgbouncer.present(server, host_pgbouncer.Wanted("frugal", "x", "pgbouncer", ()))


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(HostError) as caught:
        host_postgres.ask(Connection(host="127.0.0.1", port=1, user="app", password="do not show"), ["SELECT 1"])
    sentence = str(caught.value)
    assert sentence.startswith("PostgreSQL at 127.0.0.1:1 for user app, database postgres: Connection refused")
    assert "do not show" not in sentence and "\n" not in sentence


@pytest.mark.parametrize(
    ("databases", "tables", "looked_at"),
    [
        ([], [], ("main",)),
        (["shop", "shop"], [], ("shop",)),
        (["shop"], ["public.products"], ("shop", "main")),
    ],
)
def test_the_databases_that_are_looked_at(databases: list[str], tables: list[str], looked_at: tuple[str, ...]) -> None:
    defaults = {name: one["default"] for name, one in host_postgres_options.POSTGRES.items()}
    options = {"statements": 0, "activity": True, "login_db": "main", "databases": databases, "tables": tables}
    assert host_postgres_options.reading({**defaults, **options}).databases == looked_at


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"samples": 1}, "samples is 1: give a number from 2 to 600"),
        ({"interval": 0}, "interval is 0: give seconds above 0"),
        ({"statements": 501}, "statements is 501: give a number from 0 to 500"),
        ({"tables": ["products"]}, "tables has 'products': give it as schema.name"),
        ({"login_port": 0}, "login_port is 0: give a number from 1 to 65535"),
    ],
)
def test_bad_options(given: dict[str, object], sentence: str) -> None:
    defaults = {name: one["default"] for name, one in host_postgres_options.POSTGRES.items()}
    with pytest.raises(HostError, match=sentence):
        host_postgres_options.reading(
            {**defaults, "databases": [], "statements": 0, "tables": [], "activity": True, **given}
        )
