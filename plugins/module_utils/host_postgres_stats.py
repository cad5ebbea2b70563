# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL and pgbouncer say about their load, as plain data of bounded size.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import host_postgres
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres import Connection, Row, ask, literal

#: longest statement that is looked at (characters)
LONGEST_STATEMENT = 10_000
#: most rows of one kind that are returned
MOST_ROWS = 1_000

Data = dict[str, t.Any]

SETTINGS = """
SELECT name, setting, coalesce(unit, '') AS unit FROM pg_settings WHERE name IN ('max_connections',
 'superuser_reserved_connections', 'reserved_connections', 'work_mem', 'hash_mem_multiplier', 'shared_buffers',
 'maintenance_work_mem', 'autovacuum_max_workers', 'server_version_num', 'track_activities', 'track_counts')"""
SERVER = """
SELECT pg_is_in_recovery() AS standby, extract(epoch FROM clock_timestamp()) AS now,
 (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser"""
ACTIVITY = f"""
SELECT coalesce(datname, '') AS database, coalesce(usename, '') AS "user", coalesce(state, 'unknown') AS state,
 CASE WHEN state = 'active' THEN coalesce(wait_event_type, '') ELSE '' END AS waits_for, count(*) AS sessions
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT {MOST_ROWS}"""
DATABASES = f"""
SELECT d.datname AS database, extract(epoch FROM clock_timestamp()) AS now, xact_commit + xact_rollback AS transactions,
 sessions, active_time AS active_ms, idle_in_transaction_time AS idle_in_transaction_ms, numbackends AS backends
FROM pg_stat_database JOIN pg_database d ON d.oid = datid WHERE NOT datistemplate ORDER BY 3 DESC LIMIT {MOST_ROWS}"""
#: What a session keeps beyond a transaction, by the first words of a statement. No values: they may be secret.
_FEATURES = r"""
CASE WHEN query ~* '^\s*(un)?listen\M' THEN 'listen'
 WHEN query ~* '^\s*create\s+((global|local)\s+)?temp(orary)?\M'
  OR query ~* '^\s*select\M.*\minto\s+temp(orary)?\M' THEN 'temporary table'
 WHEN query ~* '\mpg_(try_)?advisory_lock(_shared)?\s*\(' THEN 'advisory lock'
 WHEN query ~* '^\s*prepare\s+(?!transaction\M)' THEN 'prepare'
 WHEN query ~* '^\s*declare\M.*\mwith\s+hold\M' THEN 'cursor with hold'
 WHEN query ~* '^\s*load\M' THEN 'load'
 WHEN query ~* '^\s*set\s+' AND query !~* '^\s*set\s+(local|transaction|constraints)\M'
  AND query !~* ('^\s*set\s+(session\s+)?(application_name|client_encoding|datestyle|timezone|time\s+zone|names|'
   || 'standard_conforming_strings|extra_float_digits)\M')
  THEN 'set ' || lower(coalesce(substring(query from '(?i)^\s*set\s+(?:session\s+)?([a-z_.]+)'), ''))
END"""
LAST_STATEMENTS = f"""
SELECT database, feature, count(*) AS times FROM (SELECT coalesce(datname, '') AS database, {_FEATURES} AS feature
 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS found
WHERE feature IS NOT NULL GROUP BY 1, 2 LIMIT {MOST_ROWS}"""
ADVISORY_LOCKS = f"""
SELECT coalesce(a.datname, '') AS database, 'advisory lock' AS feature, count(*) AS times
FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND a.state = 'idle' GROUP BY 1
 LIMIT {MOST_ROWS}"""
TEMPORARY_TABLES = f"""
SELECT current_database() AS database, 'temporary table' AS feature, count(*) AS times
FROM pg_class WHERE relpersistence = 't' AND relkind = 'r' HAVING count(*) > 0 LIMIT {MOST_ROWS}"""
HAS_STATEMENTS = """
SELECT n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'"""
RELATIONS = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relpersistence AS persistence,
 c.relrowsecurity AS row_security, c.reltuples AS rows, n.nspname IN ('pg_catalog', 'information_schema') AS system,
 c.relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) AS inherits,
 coalesce((SELECT string_agg(DISTINCT k.confrelid::regclass::text, ', ') FROM pg_constraint k WHERE k.conrelid = c.oid
  AND k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))), '') AS cascades_from,
 coalesce((SELECT string_agg(DISTINCT m.nspname, ', ') FROM pg_class o JOIN pg_namespace m ON m.oid = o.relnamespace
  WHERE lower(o.relname) = lower(c.relname) AND o.oid <> c.oid AND o.relkind IN ('r', 'p', 'v', 'm', 'f')), '')
  AS namesakes,
 EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  AND a.atttypid IN ('timestamptz'::regtype, 'timetz'::regtype)) AS zoned,
 coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0) AS writes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid"""
FUNCTIONS = """
SELECT p.oid, n.nspname AS schema, p.proname AS name, p.provolatile AS volatility
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"""
WRITES = f"""
SELECT relid AS oid, n_tup_ins + n_tup_upd + n_tup_del AS writes, extract(epoch FROM clock_timestamp()) AS now
FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT {MOST_ROWS}"""


@dataclasses.dataclass(frozen=True)
class Reading:
    """What is asked for. ``interval`` in seconds; ``databases`` whose statements and tables are looked at."""

    server: Connection
    console: Connection | None = None
    databases: tuple[str, ...] = ()
    samples: int = 5
    interval: float = 1.0
    statements: int = 0
    #: tables (``schema.name``) that are looked up in any case
    tables: tuple[str, ...] = ()
    activity: bool = True


def read(reading: Reading) -> Data:
    """Sample the server and the console, then look up what does not change.

    :raises HostError: when one of them cannot be reached, or refuses.
    """
    settings, server = ask(reading.server, [SETTINGS, SERVER])
    found: Data = {
        "settings": {row["name"]: _setting(row) for row in settings},
        "standby": server[0]["standby"] == "t",
        "superuser": server[0]["superuser"] == "t",
        "cores": os.cpu_count() or 1,
        "memory": _memory(),
        "activity": [],
        "databases": [],
        "features": [],
        "pgbouncer": None,
        "catalogues": {},
    }
    catalogues = {name: _catalogue_before(reading, name) for name in reading.databases} if reading.activity else {}
    consoles: list[Data] = []
    for number in range(reading.samples if reading.activity else 0):
        if number:
            time.sleep(reading.interval)
        activity, databases = ask(reading.server, [ACTIVITY, DATABASES])
        found["activity"].append([_numbers(row) for row in activity])
        found["databases"].append([_numbers(row) for row in databases])
        if reading.console:
            consoles.append(_console(reading.console))
    if reading.console:
        found["pgbouncer"] = {"samples": consoles or [_console(reading.console)], **_pgbouncer(reading.console)}
    if reading.activity:
        for rows in ask(reading.server, [LAST_STATEMENTS, ADVISORY_LOCKS]):
            found["features"] += [_numbers(row) for row in rows]
    for name in reading.databases:
        found["catalogues"][name] = _catalogue(reading, name, catalogues.get(name, {}), found)
    return found


def _setting(row: Row) -> int | float | str:
    """A setting; amounts of memory in bytes."""
    units = {"B": 1, "kB": 1024, "8kB": 8192, "MB": 1024**2}
    try:
        return int(row["setting"]) * units.get(row["unit"], 1)
    except ValueError:
        return row["setting"]


def _numbers(row: Row) -> Data:
    """A row whose numbers are numbers."""
    plain: Data = {}
    for name, value in row.items():
        try:
            plain[name] = float(value) if "." in value else int(value)
        except ValueError:
            plain[name] = value
        if name in ("database", "user", "name", "schema", "query"):
            plain[name] = value
    return plain


def _memory() -> int:
    """Memory of this host in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


# --- pgbouncer


def _console(console: Connection) -> Data:
    """Pools and counters at one moment."""
    pools, stats = ask(console, ["SHOW POOLS", "SHOW STATS"], console=True)
    return {
        "now": time.time(),
        "pools": [_numbers(row) for row in pools if row["database"] != "pgbouncer"],
        "stats": [_numbers(row) for row in stats if row["database"] != "pgbouncer"],
    }


def _pgbouncer(console: Connection) -> Data:
    """Databases and settings."""
    databases, config, version = ask(console, ["SHOW DATABASES", "SHOW CONFIG", "SHOW VERSION"], console=True)
    wanted = (
        "default_pool_size min_pool_size reserve_pool_size max_client_conn max_db_connections max_user_connections "
        "pool_mode max_prepared_statements listen_port query_wait_timeout server_reset_query"
    ).split()
    return {
        "version": version[0].get("version", ""),
        "settings": {row["key"]: _numbers({"value": row["value"]})["value"] for row in config if row["key"] in wanted},
        "databases": [
            {name: value for name, value in _numbers(row).items() if value != ""}
            for row in databases
            if row["name"] != "pgbouncer"
        ],
    }


# --- Statements and tables of one database


def _catalogue_before(reading: Reading, name: str) -> Data:
    """Counters before the samples."""
    server = reading.server.to(name)
    extension, writes = ask(server, [HAS_STATEMENTS, WRITES])
    schema = extension[0]["schema"] if extension else ""
    counted = _statements(server, schema, reading.statements) if schema and reading.statements else {}
    return {"schema": schema, "writes": {row["oid"]: row for row in writes}, "statements": counted, "at": time.time()}


def _statements(server: Connection, schema: str, limit: int) -> dict[str, Row]:
    """The statements that took most time, of those that read."""
    view = f"{host_postgres.identifier(schema)}.pg_stat_statements"
    rows = ask(
        server,
        [
            f"""
SELECT s.queryid::text AS id, r.rolname AS "user", left(s.query, {LONGEST_STATEMENT + 1}) AS query, s.calls,
 s.total_exec_time AS total_ms, s.rows, extract(epoch FROM clock_timestamp()) AS now
FROM {view} s JOIN pg_roles r ON r.oid = s.userid JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() AND s.query ~* '^\\s*(/\\*.*?\\*/\\s*)*(select|with)\\M' AND s.calls > 1
 AND r.rolname <> current_user
ORDER BY s.total_exec_time DESC LIMIT {int(limit)}"""
        ],
    )[0]
    return {f"{row['id']} {row['user']}": row for row in rows}


def _catalogue(reading: Reading, name: str, before: Data, found: Data) -> Data:
    server = reading.server.to(name)
    catalogue: Data = {"statements": [], "relations": {}, "functions": {}, "seconds": 0.0, "note": ""}
    if before:
        catalogue["seconds"] = time.time() - before["at"]
    statements, queries = [], []
    if before.get("schema"):
        found["features"] += _features(server, before["schema"])
    if reading.activity:
        found["features"] += [_numbers(row) for row in ask(server, [TEMPORARY_TABLES])[0]]
    if reading.statements:
        if not before.get("schema"):
            catalogue["note"] = "pg_stat_statements is not installed: CREATE EXTENSION pg_stat_statements"
        elif not found["superuser"]:
            catalogue["note"] = "only a superuser can have statements parsed without filling the server's log"
        else:
            after = _statements(server, before["schema"], reading.statements)
            for key, row in after.items():
                old = before["statements"].get(key, {})
                statements.append(
                    {
                        **{name: row[name] for name in ("id", "user", "query")},
                        "calls": int(row["calls"]),
                        "total_ms": float(row["total_ms"]),
                        "rows": int(row["rows"]),
                        "new_calls": int(row["calls"]) - int(old.get("calls", row["calls"])),
                        "new_ms": float(row["total_ms"]) - float(old.get("total_ms", row["total_ms"])),
                    }
                )
                queries.append((row["user"], row["query"]))
    order = sorted(range(len(queries)), key=lambda index: queries[index][0])
    known = host_postgres.facts(server, [queries[index] for index in order])
    for index, one in zip(order, known):
        statements[index]["facts"] = dataclasses.asdict(one)
    catalogue["statements"] = statements
    catalogue["relations"], catalogue["functions"] = lookup(server, known, reading.tables, before.get("writes", {}))
    return catalogue


def lookup(
    server: Connection,
    known: t.Sequence[host_postgres.Facts],
    tables: t.Sequence[str],
    writes: t.Mapping[str, Row],
) -> tuple[dict[str, Data], dict[str, Data]]:
    """The relations of statements and of ``tables``, and the functions that are not immutable, by object identifier.

    ``writes`` are the counters of tables before the window.

    :raises HostError: when the server cannot be asked.
    """
    oids = sorted({oid for one in known for oid in one.relations})[:MOST_ROWS]
    functions = sorted({oid for one in known for oid in one.functions})[: 4 * MOST_ROWS]
    where = [f"c.oid IN ({', '.join(map(str, oids))})"] if oids else []
    where += [f"c.oid = to_regclass({literal(table)})" for table in tables]
    relations: dict[str, Data] = {}
    if where:
        rows, counters = ask(server, [f"{RELATIONS} WHERE {' OR '.join(where)}", WRITES])
        now = {row["oid"]: row for row in counters}
        for row in rows:
            relation: Data = {
                **{key: row[key] for key in ("schema", "name", "kind", "persistence", "cascades_from", "namesakes")},
                **{key: row[key] == "t" for key in ("row_security", "system", "inherits", "zoned")},
                "rows": max(float(row["rows"]), 0.0),
                "writes_per_second": _rate(writes.get(row["oid"]), now.get(row["oid"])),
            }
            relations[row["oid"]] = {**relation, "refusal": table_refusal(relation)}
    if not functions:
        return relations, {}
    text = ", ".join(map(str, functions))
    rows = ask(server, [f"{FUNCTIONS} WHERE p.provolatile <> 'i' AND p.oid IN ({text})"])[0]
    return relations, {
        row["oid"]: {"name": f"{row['schema']}.{row['name']}", "volatility": row["volatility"]} for row in rows
    }


def _rate(old: Row | None, new: Row | None) -> float:
    """Rows written a second between two counters of a table."""
    if old is None or new is None:
        return 0.0
    span = float(new["now"]) - float(old["now"])
    return max(0.0, (int(new["writes"]) - int(old["writes"])) / span) if span > 0 else 0.0


def _features(server: Connection, schema: str) -> list[Data]:
    """What sessions keep beyond a transaction, by statements since the counters were reset."""
    view = f"{host_postgres.identifier(schema)}.pg_stat_statements"
    rows = ask(
        server,
        [
            f"""
SELECT database, feature, sum(calls)::bigint AS times FROM (SELECT current_database() AS database, calls,
 {_FEATURES} AS feature FROM {view} s JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database()) AS found
WHERE feature IS NOT NULL GROUP BY 1, 2 LIMIT {MOST_ROWS}"""
        ],
    )[0]
    return [_numbers(row) for row in rows]


def check_tables(found: Data, tables: t.Sequence[str], database: str) -> list[str]:
    """Why tables cannot be cached by statements' texts, one sentence each.

    :raises HostError: when a name is none of a table of ``database``.
    """
    # Without tables the database may be one that was not looked at.
    catalogue = found["catalogues"][database] if tables else {"relations": {}}
    relations = {f"{row['schema']}.{row['name']}": row for row in catalogue["relations"].values()}
    sentences = []
    for table in tables:
        row = relations.get(table)
        if row is None:
            raise HostError(f"{table} is no table of database {database}: give tables as schema.name")
        if row["refusal"]:
            sentences.append(f"{table} {row['refusal']}")
    return sentences


_KINDS = {"v": "view", "m": "materialised view", "f": "foreign table", "p": "partitioned table", "S": "sequence"}


def table_refusal(row: t.Mapping[str, t.Any]) -> str:
    """Why results over a table must not be kept, as the end of a sentence; ``""`` when they may.

    The cache sees the statements that pass through it, by the tables that they name: what is written under another
    name (views, partitions, parents) or differs by session (row security) would be served stale or to the wrong user.
    """
    if row["system"]:
        return "belongs to the system"
    if row["kind"] != "r":
        kind = _KINDS.get(row["kind"], f"relation of kind {row['kind']}")
        return f"is a {kind}: writes to what it reads would not be seen"
    if row["row_security"]:
        return "has row security: its rows differ by session"
    if row["persistence"] == "t":
        return "is temporary: each session has another"
    if row["persistence"] == "u":
        return "is unlogged: a crash empties it without a write"
    if row["inherits"]:
        return "has parents, children or partitions: writes under their names would not be seen"
    if row["namesakes"]:
        return f"has a namesake in {row['namesakes']}: a statement without schema could mean either"
    return ""
