# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens cost data where it is: an address becomes an Ibis connection and a table with the columns of FOCUS 1.2.

==============================================  ==================================================================
``/srv/costs``, ``file:///srv/costs``           files that focus_import wrote, read by DuckDB in this process
``duckdb:///srv/costs.duckdb``                  a DuckDB database
``postgresql://user@host/database``             PostgreSQL
``spark://local/srv/costs``                     the files, read by Spark in this process; ``spark://host:7077/...``
                                                uses a cluster
``athena://database?s3_staging_dir=s3://...``   Athena; ``region_name``, ``work_group`` and others as PyAthena has them
``trino://user@host:8080/catalog/schema``       as Ibis takes them: Ibis documentation, ``ibis.connect``
``bigquery://project/dataset``
==============================================  ==================================================================

A database's table is ``focus``, or what ``?table=`` says.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import os
import re
import shutil
import tempfile
import typing as t
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, Part, frozen

if t.TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends import BaseBackend

#: The table of a database when the address names none.
TABLE = "focus"
#: Schemes of addresses, as Ibis calls the engines.
ENGINES = ("athena", "bigquery", "duckdb", "file", "postgres", "postgresql", "spark", "trino")
#: What Ibis needs for an engine besides itself: the distribution that ``pip install`` wants.
_EXTRAS = {
    "athena": "ibis-framework[athena]",
    "bigquery": "ibis-framework[bigquery]",
    "postgres": "ibis-framework[postgres]",
    "pyspark": "ibis-framework[pyspark]",
    "trino": "ibis-framework[trino]",
}
#: Options of addresses whose values no message may hold.
_SECRET = re.compile("key|pass|secret|token", re.IGNORECASE)
_TYPES = {"text": "string", "number": "float64", "moment": "timestamp", "map": "string"}


class CostsError(Exception):
    """One sentence: which cost data cannot be read, and why; without any password."""


def cost_url(given: str | None) -> str:
    """The address of the cost data: the option, else E(FRUGAL_COST_URL).

    :raises CostsError: neither is set.
    """
    url = given or os.environ.get("FRUGAL_COST_URL")
    if not url:
        raise CostsError(
            "cost_url is not set: give the folder that focus_import wrote to, or a database such as "
            "postgresql://user@host/database"
        )
    return url


def shown(url: str) -> str:
    """The address without password and options."""
    parts = urllib.parse.urlsplit(url)
    if not parts.scheme:
        return url
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def has_secret(url: str) -> bool:
    """Whether the address holds a password, or an option that is a secret."""
    parts = urllib.parse.urlsplit(url)
    return bool(parts.password) or any(_SECRET.search(key) for key, _value in urllib.parse.parse_qsl(parts.query))


def open_costs(
    url: str,
    since: datetime.date | None = None,
    until: datetime.date | None = None,
    sources: Sequence[str] = (),
    *,
    memory_limit: str = "1GB",
    temporary_directory: str | None = None,
) -> tuple[BaseBackend, ir.Table]:
    """Connect, and return the connection and the rows of the billing months within ``since`` <= month < ``until``.

    :param sources: names of imports, for files only; all where empty.
    :param memory_limit: for DuckDB, such as ``1GB``.
    :raises CostsError: nothing is there, or it cannot be read.
    """
    scheme = urllib.parse.urlsplit(url).scheme or "file"
    if scheme not in ENGINES:
        raise CostsError(f"the cost data's address begins with {scheme}://: use a path or one of {', '.join(ENGINES)}")
    if sources and scheme not in ("file", "spark"):
        raise CostsError("sources chooses among imported files: it does not work with a database")
    settings: dict[str, t.Any] = {"memory_limit": memory_limit, "preserve_insertion_order": False}
    if scheme in ("file", "duckdb"):
        settings["temp_directory"] = _scratch(temporary_directory)
    if scheme == "file":
        connection, table = _files(url, since, until, sources, settings)
    elif scheme == "spark":
        connection, table = _spark(url, since, until, sources)
    else:
        connection, table = _database(url, scheme, settings)
    return connection, within(conformed(table), since, until)


def _scratch(folder: str | None) -> str:
    """A folder of this process for what does not fit into memory: DuckDB's own is ``.tmp`` wherever a module runs."""
    try:
        scratch = tempfile.mkdtemp(prefix="frugal-costs-", dir=folder)
    except OSError as error:
        raise CostsError(f"temporary_directory is {folder!r}, which cannot be used: {error.strerror}") from None
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return scratch


def fetch(expression: ir.Table) -> list[dict[str, t.Any]]:
    """The rows of an expression. :raises CostsError: the engine cannot answer."""
    return [row for batch in fetch_batches(expression) for row in batch]


def fetch_batches(expression: ir.Table, size: int = 20_000) -> Iterator[list[dict[str, t.Any]]]:
    """The same, some at a time."""
    backend = deps.ibis.get_backend(expression)
    with _told("the cost data cannot be queried"):
        if backend.name != "duckdb":
            for batch in expression.to_pyarrow_batches(chunk_size=size):
                yield batch.to_pylist()
            return
        # Ibis 12 asks DuckDB for Arrow by a name that DuckDB 2 has no more; plain rows need no Arrow at all.
        cursor = backend.con.execute(backend.compile(expression))
        names = [described[0] for described in cursor.description]
        while found := cursor.fetchmany(size):
            yield [dict(zip(names, row)) for row in found]


@contextlib.contextmanager
def _told(what: str, hidden: Sequence[str] = ()) -> Iterator[None]:
    """Errors of engines, whose classes nobody can list, become one sentence; mistakes in expressions stay errors."""
    try:
        yield
    except (CostsError, deps.MissingLibrary, TypeError, AttributeError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        for secret in hidden:
            text = text.replace(secret, "***")
        raise CostsError(f"{what}: {text[:500]}") from None


def conformed(table: ir.Table) -> ir.Table:
    """The table with FOCUS 1.2's columns in their spelling and type, NULL where it has none; custom ones stay.

    Catalogs such as Glue keep names in small letters, databases keep money as decimals, and an older FOCUS has
    fewer columns.

    :raises CostsError: it holds no cost data.
    """
    ibis = deps.ibis
    spelled = {name.lower(): name for name in focus.BY_NAME}
    there = {spelled.get(name.lower(), name): name for name in table.columns}
    if "BillingPeriodStart" not in there or not {"BilledCost", "EffectiveCost"} & set(there):
        raise CostsError("the table holds no FOCUS data: it lacks BillingPeriodStart or BilledCost")
    chosen = {}
    for column in focus.COLUMNS:
        kind = _TYPES[column.kind]
        if column.name not in there:
            chosen[column.name] = ibis.null(kind)
            continue
        value = table[there[column.name]]
        if column.kind == "map" and not value.type().is_string():
            # Maps, structures and JSON are another thing in each engine; nothing portable looks into them.
            chosen[column.name] = ibis.null(kind)
            continue
        if column.kind == "moment" and value.type().is_timestamp():
            # A moment with a zone is the same moment in UTC; one without is UTC already.
            chosen[column.name] = value.cast("timestamp") if value.type().timezone else value
        else:
            chosen[column.name] = value if str(value.type()).lstrip("!") == kind else value.cast(kind)
    extra = {
        name.lower() if name.lower().startswith(focus.CUSTOM) else name: table[known]
        for name, known in there.items()
        if name not in focus.BY_NAME
    }
    return table.select(**chosen, **extra)


def within(table: ir.Table, since: datetime.date | None, until: datetime.date | None) -> ir.Table:
    """The rows of billing months with ``since`` <= month < ``until``."""
    start = table.BillingPeriodStart
    if since is not None:
        table = table.filter(start >= deps.ibis.timestamp(since.isoformat()))
    if until is not None:
        table = table.filter(start < deps.ibis.timestamp(until.isoformat()))
    return table


def _parts(path: str, since: datetime.date | None, until: datetime.date | None, sources: Sequence[str]) -> list[Part]:
    """The files of a dataset. :raises CostsError: there is none.

    Sentences do without the address where they can: it is secret in results, because a database's may hold a password.
    """
    folder = Path(path).expanduser()
    if not folder.is_absolute():
        raise CostsError(f"the cost data's folder is {path!r}: give an absolute path")
    if not folder.is_dir():
        raise CostsError(f"there is no folder {folder}: import cost data into it with focus_import")
    dataset = Dataset(folder)
    found = dataset.parts(sources, since, until)
    if not found:
        every = dataset.parts()
        if not every:
            raise CostsError("the folder of cost_url holds no cost data: import some with focus_import")
        names = ", ".join(sorted({part.source for part in every}))
        months = f"{every[0].period:%Y-%m} to {every[-1].period:%Y-%m}"
        raise CostsError(f"cost_url has no cost data of these months and sources: it has {months} of {names}")
    return found


def _files(
    url: str,
    since: datetime.date | None,
    until: datetime.date | None,
    sources: Sequence[str],
    settings: t.Mapping[str, t.Any],
) -> tuple[BaseBackend, ir.Table]:
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path) if "://" in url else url
    paths = frozen(_parts(path, since, until, sources))
    with _told(f"cost data in {shown(url)} cannot be read"):
        connection = deps.ibis.duckdb.connect(**settings)
        return connection, connection.read_parquet(paths, union_by_name=True, hive_partitioning=False)


def _spark(
    url: str, since: datetime.date | None, until: datetime.date | None, sources: Sequence[str]
) -> tuple[BaseBackend, ir.Table]:
    address = urllib.parse.urlsplit(url)
    parts = _parts(urllib.parse.unquote(address.path), since, until, sources)
    _import("pyspark")
    builder = deps.pyspark_sql.SparkSession.builder.appName("frugal.cloud")
    options = {"spark.sql.session.timeZone": "UTC", "spark.ui.enabled": "false"}
    if address.hostname == "local":
        options |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
        options |= {"spark.sql.shuffle.partitions": "8"}
        builder = builder.master("local[*]")
    else:
        builder = builder.master(f"spark://{address.netloc}")
    for name, value in options.items():
        builder = builder.config(name, value)
    months = ",".join(sorted({part.path.parent.name for part in parts}))
    names = ",".join(sorted({part.path.name for part in parts}))
    # As alternatives in one pattern: Spark then merges the files' columns, and finds no column in folders' names.
    pattern = f"{parts[0].path.parents[1]}/{{{months}}}/{{{names}}}"
    with _told(f"Spark cannot read {shown(url)}"):
        connection = deps.ibis.pyspark.connect(builder.getOrCreate())
        return connection, connection.read_parquet(pattern, mergeSchema=True)


def _import(engine: str) -> None:
    """:raises deps.MissingLibrary: the engine's driver is not installed."""
    try:
        getattr(deps.ibis, engine)
    except (ImportError, AttributeError) as error:
        raise deps.MissingLibrary(_EXTRAS.get(engine, "ibis-framework[duckdb]"), str(error)) from None


def _database(url: str, scheme: str, settings: t.Mapping[str, t.Any]) -> tuple[BaseBackend, ir.Table]:
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    name = dict(query).get("table", TABLE)
    if not re.fullmatch(r"\w+(\.\w+){0,2}", name):
        raise CostsError(f"table={name} in the cost data's address is no name of a table: use schema.table or table")
    *where, table = name.split(".")
    engine = "postgres" if scheme == "postgresql" else scheme
    _import(engine)
    rest = [(key, value) for key, value in query if key != "table"]
    if engine == "duckdb":
        path = Path(urllib.parse.unquote(parts.netloc + parts.path)).expanduser()
        if not path.is_file():
            raise CostsError(f"there is no DuckDB database {path}")
        with _told(f"{path} cannot be read"):
            connection = deps.ibis.duckdb.connect(path, read_only=True, **settings)
            connection.con.execute("SET TimeZone = 'UTC'")
            return connection, connection.table(table, database=tuple(where) or None)
    address = urllib.parse.urlunsplit((engine, parts.netloc, parts.path, urllib.parse.urlencode(rest), ""))
    secrets = [urllib.parse.unquote(parts.password or ""), *(value for key, value in rest if _SECRET.search(key))]
    with _told(f"{shown(url)} cannot be read", [secret for secret in secrets if secret]):
        if engine == "athena":
            # Ibis takes the host of Athena's address for a file.
            named = {"schema_name": parts.netloc} if parts.netloc else {}
            connection = deps.ibis.athena.connect(**named, **dict(rest))
        else:
            connection = deps.ibis.connect(address)
        return connection, connection.table(table, database=tuple(where) or None)
