# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads cost files of any size with DuckDB: CSV, Parquet and JSON lines, with each column in its type.

What a file holds becomes a :class:`Table`: SQL to select from, and SQL of each column. Which columns of FOCUS they are
is what ``focus_formats`` says. A value that cannot be read is found with its file, line and column.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
import re
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import FocusError, named, quoted
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked

if t.TYPE_CHECKING:
    import duckdb

#: A longer line cannot be read (bytes).
LONGEST_LINE = 4 * 1024 * 1024
#: Texts that mean that there is no value.
NULLS = ("", "NULL", "null")
#: What a column of a source may hold.
#: ``JSON`` is a JSON object as text, ``RAW`` any JSON.
Type: t.TypeAlias = "t.Literal['VARCHAR', 'DOUBLE', 'TIMESTAMP', 'JSON', 'RAW']"
#: How many broken lines of a file are remembered by place; all are counted.
_TOLD = 5


@dataclasses.dataclass(frozen=True)
class Broken:
    """A line that cannot be used: where, and why; ``line`` is 0 where a file has no lines."""

    file: str
    line: int
    column: str
    why: str

    def sentence(self) -> str:
        """For a person."""
        where = f"{self.file} line {self.line}" if self.line else self.file
        return f"{where}, column {self.column}: {self.why}" if self.column else f"{where}: {self.why}"


@dataclasses.dataclass(frozen=True)
class Table:
    """Files with the same columns.

    :param sql: what to select from; it has the column ``filename``.
    :param names: the columns as the files write them, by their names in small letters.
    :param values: SQL of each column in its type, by its name in small letters.
    :param unread: SQL that is true where a value of the column is there and is not of its type.
    """

    kind: t.Literal["csv", "parquet", "json"]
    files: Sequence[str]
    sql: str
    names: Mapping[str, str]
    values: Mapping[str, str]
    unread: Mapping[str, str] = dataclasses.field(default_factory=dict)
    rejects: str = ""

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name.lower() in self.values

    def get(self, name: str, kind: Type = "VARCHAR") -> str:
        """SQL of a column, NULL where there is none."""
        return self.values.get(name.lower(), f"NULL::{kind}")


Typed: t.TypeAlias = "Callable[[str], Type]"


def kind_of(path: str) -> t.Literal["csv", "parquet", "json"]:
    """How a file is written, by its first bytes.

    :raises FocusError: it cannot be read.
    """
    try:
        with open(path, "rb") as raw:
            first = raw.read(4)
        if first == b"PAR1":
            return "parquet"
        with _opened(path) as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    except (OSError, EOFError) as error:
        raise FocusError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return "json" if start[:1] in (b"{", b"[") else "csv"


def _opened(path: str) -> t.IO[bytes]:
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    return t.cast("t.IO[bytes]", gzip.open(path, "rb")) if packed else open(path, "rb")


def tables(connection: duckdb.DuckDBPyConnection, files: Sequence[str], typed: Typed, skip: bool) -> list[Table]:
    """The files, those with the same columns together.

    :param typed: the type of a column, by its name in small letters.
    :param skip: lines that cannot be read are left out.
    :raises FocusError: a file cannot be read, or has no header.
    """
    alike: dict[tuple[str, tuple[t.Any, ...]], list[str]] = {}
    for path in files:
        kind = kind_of(path)
        alike.setdefault((kind, _HEADERS[kind](connection, path)), []).append(path)
    return [
        _TABLES[kind](paths, header, typed, skip, number)
        for number, ((kind, header), paths) in enumerate(alike.items())
    ]


def columns_of(connection: duckdb.DuckDBPyConnection, path: str) -> list[str]:
    """The columns of a file, in small letters. :raises FocusError: it cannot be read."""
    kind = kind_of(path)
    header = _HEADERS[kind](connection, path)
    names = header[1:] if kind == "csv" else header
    return [(name if isinstance(name, str) else name[0]).lower() for name in names]


def _csv_header(_connection: duckdb.DuckDBPyConnection, path: str) -> tuple[str, ...]:
    """The separator, then the names of the columns."""
    try:
        with _opened(path) as file:
            line = file.readline(LONGEST_LINE).decode("utf-8-sig").rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise FocusError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    separator = max(",;\t|", key=line.count)
    names = next(csv.reader([line], delimiter=separator), [])
    if len(names) < 2:
        raise FocusError(f"{path} has no header: its first line has to name the columns")
    return (separator, *(name.strip() for name in names))


def _csv_table(files: Sequence[str], header: tuple[str, ...], typed: Typed, _skip: bool, number: int) -> Table:
    separator, *names = header
    # Names may occur twice or differ in case only, so columns are numbered.
    types = {f"c{place}": typed(name.lower()) for place, name in enumerate(names)}
    read = {"DOUBLE": "DOUBLE", "TIMESTAMP": "TIMESTAMPTZ"}
    columns = ", ".join(f"{quoted(column)}: {quoted(read.get(kind, 'VARCHAR'))}" for column, kind in types.items())
    sql = (
        f"read_csv([{', '.join(quoted(path) for path in files)}], header = true, auto_detect = false, "
        f"delim = {quoted(separator)}, quote = '\"', escape = '\"', columns = {{{columns}}}, "
        f"nullstr = [{', '.join(quoted(text) for text in NULLS)}], max_line_size = {LONGEST_LINE}, filename = true, "
        f"store_rejects = true, rejects_table = 'rejects_{number}', rejects_scan = 'scans_{number}')"
    )
    values: dict[str, str] = {}
    unread: dict[str, str] = {}
    for place, (name, (column, kind)) in enumerate(zip(names, types.items(), strict=True)):
        key = name.lower()
        if key in values or not name:
            continue
        if kind in ("JSON", "RAW"):
            values[key] = f"CASE WHEN {_is_object(column)} THEN {column} END"
            unread[key] = f"{column} IS NOT NULL AND NOT {_is_object(column)}"
        else:
            values[key] = f"timezone('UTC', c{place})" if kind == "TIMESTAMP" else column
    written = {name.lower(): name for name in reversed(names) if name}
    return Table("csv", files, sql, written, values, unread, f"{number}")


def _is_object(column: str) -> str:
    # json_type fails for what is no JSON, and AND may compute both of its sides.
    return f"CASE WHEN json_valid({column}) THEN json_type({column}) = 'OBJECT' ELSE false END"


def _parquet_columns(connection: duckdb.DuckDBPyConnection, path: str) -> tuple[tuple[str, str], ...]:
    try:
        found = connection.execute(
            f"DESCRIBE SELECT * FROM read_parquet({quoted(path)}, hive_partitioning = false)"
        ).fetchall()
    except deps.duckdb.Error as error:
        raise FocusError(f"{path} cannot be read as Parquet: {first_line(error)}") from None
    return tuple((row[0], row[1]) for row in found)


def _parquet_table(files: Sequence[str], header: tuple[t.Any, ...], typed: Typed, _skip: bool, _number: int) -> Table:
    values: dict[str, str] = {}
    unread: dict[str, str] = {}
    for name, kind in header:
        key, column, wanted = name.lower(), named(name), typed(name.lower())
        if wanted == "RAW":
            values[key] = f"to_json({column})"
        elif wanted == "JSON" and kind == "VARCHAR":
            values[key] = f"CASE WHEN {_is_object(column)} THEN {column} END"
            unread[key] = f"{_present(column)} AND NOT {_is_object(column)}"
        elif wanted == "JSON":
            values[key] = json_object(f"to_json({column})", kind.startswith("MAP"))
        elif wanted in ("DOUBLE", "TIMESTAMP") and kind == "VARCHAR":
            values[key] = _converted(column, wanted)
            unread[key] = f"{_present(column)} AND {values[key]} IS NULL"
        elif wanted == "TIMESTAMP" and kind == "TIMESTAMP WITH TIME ZONE":
            values[key] = f"timezone('UTC', {column})"
        elif wanted == "VARCHAR" and kind != "VARCHAR":
            nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP"))
            values[key] = f"CAST(to_json({column}) AS VARCHAR)" if nested else f"CAST({column} AS VARCHAR)"
        elif wanted == "VARCHAR":
            values[key] = f"CASE WHEN {_present(column)} THEN {column} END"
        else:
            values[key] = f"CAST({column} AS {wanted})"
    listed = ", ".join(quoted(path) for path in files)
    written = {name.lower(): name for name, _kind in header}
    sql = f"read_parquet([{listed}], filename = true, hive_partitioning = false)"
    return Table("parquet", files, sql, written, values, unread)


def _present(column: str) -> str:
    return f"{column} NOT IN ({', '.join(quoted(text) for text in NULLS)})"


def _converted(text: str, kind: str) -> str:
    if kind == "TIMESTAMP":
        return f"timezone('UTC', try_cast({text} AS TIMESTAMPTZ))"
    return f"try_cast({text} AS DOUBLE)"


def json_object(sql: str, is_object: bool = False) -> str:
    """SQL of a JSON object, as text, from one, or from Google's list of ``{"key": ..., "value": ...}``."""
    if is_object:
        return f"CAST({sql} AS VARCHAR)"
    pairs = f"""from_json({sql}, '[{{"key": "VARCHAR", "value": "VARCHAR"}}]')"""
    # The first of a key counts: a map refuses a key that comes twice.
    distinct = f"list_reverse(list_distinct([pair.key FOR pair IN {pairs} IF pair.key IS NOT NULL]))"
    return (
        f"CASE json_type({sql}) WHEN 'OBJECT' THEN CAST({sql} AS VARCHAR) WHEN 'ARRAY' THEN CAST(to_json("
        f"map_from_entries([{{'k': key, 'v': list_filter({pairs}, lambda p: p.key = key)[1].value}} "
        f"FOR key IN {distinct}])) AS VARCHAR) END"
    )


def _json_columns(connection: duckdb.DuckDBPyConnection, path: str) -> tuple[str, ...]:
    sql = (
        f"DESCRIBE SELECT * FROM read_json({quoted(path)}, format = 'newline_delimited', maximum_depth = 1, "
        f"sample_size = 10000, ignore_errors = true, maximum_object_size = {LONGEST_LINE})"
    )
    try:
        return tuple(sorted(row[0] for row in connection.execute(sql).fetchall()))
    except deps.duckdb.Error as error:
        raise FocusError(f"{path} cannot be read as lines of JSON: {first_line(error)}") from None


def _json_table(files: Sequence[str], header: tuple[str, ...], typed: Typed, skip: bool, _number: int) -> Table:
    listed = ", ".join(quoted(path) for path in files)
    columns = ", ".join(f"{quoted(name)}: 'JSON'" for name in header)
    sql = (
        f"read_json([{listed}], format = 'newline_delimited', columns = {{{columns}}}, filename = true, "
        f"maximum_object_size = {LONGEST_LINE}, ignore_errors = {'true' if skip else 'false'})"
    )
    values: dict[str, str] = {}
    unread: dict[str, str] = {}
    for name in header:
        key, column, wanted = name.lower(), named(name), typed(name.lower())
        text = f"nullif({column} ->> '$', '')"
        if wanted == "RAW":
            values[key] = column
        elif wanted == "JSON":
            # A JSON object may also be written as a text that holds one.
            inner = f"CASE WHEN json_type({column}) = 'VARCHAR' AND json_valid({text}) THEN {text} ELSE {column} END"
            values[key] = json_object(f"({inner})::JSON")
            unread[key] = f"{text} IS NOT NULL AND json_type({column}) <> 'ARRAY' AND {values[key]} IS NULL"
        elif wanted == "VARCHAR":
            values[key] = text
        else:
            values[key] = _converted(text, wanted)
            unread[key] = f"{text} IS NOT NULL AND {values[key]} IS NULL"
    return Table("json", files, sql, {name.lower(): name for name in header}, values, unread)


_HEADERS: Mapping[str, Callable[[duckdb.DuckDBPyConnection, str], tuple[t.Any, ...]]] = {
    "csv": _csv_header,
    "parquet": _parquet_columns,
    "json": _json_columns,
}
_TABLES: Mapping[str, Callable[[Sequence[str], tuple[t.Any, ...], Typed, bool, int], Table]] = {
    "csv": _csv_table,
    "parquet": _parquet_table,
    "json": _json_table,
}


def first_line(error: BaseException) -> str:
    """The first line of an error, with what looks like an identity masked."""
    text = str(error).strip()
    return masked(text.splitlines()[0]) if text else type(error).__name__


def rejected(connection: duckdb.DuckDBPyConnection, table: Table) -> tuple[int, list[Broken]]:
    """How many lines of a CSV table could not be read, and the first of them; after the table was read."""
    if not table.rejects:
        return 0, []
    errors, scans = f"rejects_{table.rejects}", f"scans_{table.rejects}"
    counted = connection.execute(f"SELECT count(DISTINCT (file_id, line_byte_position)) FROM {errors}").fetchone()
    rows = connection.execute(
        f"SELECT file_path, line, line_byte_position, column_name, error_type, error_message FROM {errors} "
        f"JOIN {scans} USING (scan_id, file_id) "
        "QUALIFY row_number() OVER (PARTITION BY file_id, line_byte_position ORDER BY column_idx) = 1 "
        f"ORDER BY file_path, line_byte_position LIMIT {_TOLD}"
    ).fetchall()
    names = list(table.names.values())
    found = []
    for path, line, position, column, kind, message in rows:
        name = _csv_name(path, column)
        if kind == "CAST":
            value = re.search(r'Could not convert string "(.*)" to', message, re.DOTALL)
            wanted = "a time" if "TIMESTAMP" in message.rpartition(" to ")[2] else "a number"
            why = f"{masked(value[1])[:60]!r} is not {wanted}" if value else masked(message)[:200]
        elif kind == "MISSING COLUMNS":
            why = f"the line ends before it, of {len(names)} columns"
        elif kind == "TOO MANY COLUMNS":
            name, why = "", f"the line has more than {len(names)} columns"
        else:
            why = masked(message.splitlines()[0])[:200]
        found.append(Broken(path, line_at(path, position) or line, name, why))
    return (counted[0] if counted else 0), found


def _csv_name(path: str, column: str | None) -> str:
    """The name of a column that the reader knows by its number."""
    with _opened(path) as file:
        line = file.readline(LONGEST_LINE).decode("utf-8-sig", "replace").rstrip("\r\n")
    separator = max(",;\t|", key=line.count)
    names = next(csv.reader([line], delimiter=separator), [])
    place = int((column or "c-1")[1:])
    return names[place].strip() if 0 <= place < len(names) else ""


def line_at(path: str, position: int) -> int:
    """The number of the line that begins at the byte ``position`` or, where lines are empty, after it; the first is 1.

    0 where it cannot be told.
    """
    lines, read = 1, 0
    try:
        with _opened(path) as file:
            while read < position:
                block = file.read(min(1024 * 1024, position - read))
                if not block:
                    return 0
                lines += block.count(b"\n")
                read += len(block)
            while (byte := file.read(1)) in (b"\n", b"\r"):
                lines += byte == b"\n"
    except (OSError, EOFError):
        return 0
    return lines


def find_line(path: str, matches: Callable[[Mapping[str, t.Any]], bool]) -> int:
    """The first line of a CSV file, or of lines of JSON, that ``matches`` is true for; 0 where there is none.

    For messages only: it reads one line after the other. Keys are in small letters.
    """
    if kind_of(path) == "parquet":
        return 0
    lines = _csv_rows(path) if kind_of(path) == "csv" else _json_rows(path)
    for number, row in lines:
        if matches(row):
            return number
    return 0


def _csv_rows(path: str) -> Iterator[tuple[int, dict[str, t.Any]]]:
    with _opened(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
        first = text.readline().rstrip("\r\n")
        separator = max(",;\t|", key=first.count)
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
        reader = csv.reader(text, delimiter=separator)
        before = 0
        for values in reader:
            number, before = before + 2, reader.line_num
            if values:
                yield number, {name: None if one in NULLS else one for name, one in zip(names, values)}


def _json_rows(path: str) -> Iterator[tuple[int, dict[str, t.Any]]]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield number, {key.lower(): value for key, value in row.items()}


def bad_json_line(files: Sequence[str]) -> Broken | None:
    """The first line that is no JSON object, of files that DuckDB refused."""
    for path in files:
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    place = getattr(error, "colno", 1)
                    return Broken(path, number, "", f"it is no JSON at character {place}")
                if not isinstance(row, dict):
                    return Broken(path, number, "", "it is no JSON object")
    return None
