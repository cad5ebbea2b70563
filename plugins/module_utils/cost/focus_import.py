# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports cost files into the dataset: staged as a whole, judged as a whole, and only then put in place.

What a billing period was made of is in the metadata of its file (digests of the inputs), so an import that is repeated
reads nothing but the files' bytes, and of a folder with a year of exports only the months that changed are read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import glob
import hashlib
import itertools
import json
import os
import tempfile
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost import (
    focus,
    focus_checks,
    focus_formats,
    focus_opencost,
    focus_read,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, check_source
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_read import Broken, Table
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import (
    NEEDED,
    REVISION,
    ROW_GROUP,
    STAND_INS,
    FocusError,
    Money,
    PeriodChange,
    TagKey,
    Written,
    currency_of,
    database,
    metadata_of,
    money_of,
    named,
    quoted,
    store,
    tag_expressions,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked_value

if t.TYPE_CHECKING:
    import duckdb

#: What staged rows have beside FOCUS: their file, why they cannot be used, and which values stand in for others.
_FILE, _BAD, _ASSUMED = "frugal_file", "frugal_bad", "frugal_assumed"
#: Why a row cannot be used: the first letter of ``_BAD``, the column follows.
_UNREAD, _MISSING, _BACKWARDS = "?", "0", "<"
_PLACES_TOLD = 5


@dataclasses.dataclass(frozen=True)
class Request:
    """What to import.

    :param paths: files, also with wildcards.
    :param format: one of ``focus_formats.CHOICES``.
    :param currency: the billing currency that all charges have to be in; any single one where empty.
    :param cluster: whose costs the answers of OpenCost are, where they do not say.
    :param folder: where intermediate results go; beside the dataset where it is None.
    """

    source: str
    paths: Sequence[str]
    format: str = focus_formats.AUTO
    tag_keys: Sequence[TagKey] = ()
    skip_bad_lines: bool = False
    currency: str = ""
    cluster: str = "kubernetes"
    memory_limit: str = "1GB"
    threads: int = 0
    folder: str | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an import.

    :param read: how many of the files had to be read: those that are not in the dataset as they are.
    :param bad_lines: lines that were left out, with the first of them in ``broken``.
    :param assumed: rows in which a column that may not be null had no value, by column: another one stands in.
    """

    written: Written
    files: int
    read: int
    bad_lines: int
    broken: Sequence[Broken]
    assumed: Mapping[str, int]
    violations: Sequence[focus_checks.Violation]


@dataclasses.dataclass
class _Staged:
    """What was read so far."""

    paths: list[str] = dataclasses.field(default_factory=list)
    extra: dict[str, None] = dataclasses.field(default_factory=dict)
    broken: list[Broken] = dataclasses.field(default_factory=list)
    bad_lines: int = 0
    read: int = 0

    def relation(self) -> str:
        """SQL of the rows that can be used."""
        listed = ", ".join(quoted(path) for path in self.paths)
        return f"(SELECT * FROM read_parquet([{listed}], union_by_name = true) WHERE {_BAD} IS NULL)"


def run(dataset: Dataset, request: Request, *, check: bool = False) -> Outcome:
    """Import the files of ``request``; each billing period that they hold replaces the source's one.

    :param check: only say what would change.
    :raises FocusError: a file cannot be read, a line is broken, periods overlap, currencies are mixed or unknown;
        nothing is changed then.
    :raises DatasetError: the folder cannot be written, or another import is at work.
    """
    check_source(request.source)
    tags = tag_expressions(request.tag_keys)
    files = expand(request.paths)
    if request.format == focus_formats.OPENCOST or (
        request.format == focus_formats.AUTO and focus_opencost.is_answer(files[0])
    ):
        written = focus_opencost.write(
            dataset, request.source, files, request.cluster, request.currency or "USD", request.tag_keys, check=check
        )
        return Outcome(written, len(files), len(files), 0, (), {}, ())
    digests = _digests(files)
    recipe = {
        "import": REVISION,
        "format": request.format,
        "tags": [[tag.key, *tag.variants] for tag in request.tag_keys],
        "skip": request.skip_bad_lines,
    }
    with contextlib.ExitStack() as stack:
        if not check:
            stack.enter_context(dataset.locked())
        folder = Path(stack.enter_context(_folder(dataset, request, check)))
        connection = stack.enter_context(database(folder, request.memory_limit, request.threads))
        try:
            return _run(connection, dataset, request, files, digests, recipe, tags, folder, check)
        except deps.duckdb.OutOfMemoryException:
            raise FocusError(
                f"memory_limit {request.memory_limit} is too little for these files: give more, such as 2GB"
            ) from None


@contextlib.contextmanager
def _folder(dataset: Dataset, request: Request, check: bool) -> Iterator[str]:
    """Where rows are staged; what a killed import leaves beside the dataset goes when the next one begins."""
    beside = None if check else str(dataset.root)
    with tempfile.TemporaryDirectory(prefix=".staging-", dir=request.folder or beside) as name:
        yield name


def expand(paths: Sequence[str]) -> list[str]:
    """The files that ``paths`` name, each once, in order. :raises FocusError: one names none."""
    found: dict[str, None] = {}
    for path in paths:
        names = [one for one in sorted(glob.glob(os.path.expanduser(path), recursive=True)) if os.path.isfile(one)]
        if not names:
            raise FocusError(f"paths has {path!r}, where there is no file")
        found |= dict.fromkeys(names)
    if not found:
        raise FocusError("paths is empty: name the files to import")
    return list(found)


def _digests(files: Sequence[str]) -> dict[str, str]:
    """The digest of each file's bytes. :raises FocusError: two files are the same."""

    def digest(path: str) -> str:
        found = hashlib.blake2b(digest_size=16)
        try:
            with open(path, "rb") as file:
                while block := file.read(1024 * 1024):
                    found.update(block)
        except OSError as error:
            raise FocusError(f"{path} cannot be read: {error.strerror}") from None
        return found.hexdigest()

    with ThreadPoolExecutor(max_workers=2) as pool:
        digests = dict(zip(files, pool.map(digest, files), strict=True))
    seen: dict[str, str] = {}
    for path, value in digests.items():
        if value in seen:
            raise FocusError(
                f"{path} and {seen[value]} hold the same: their charges would count twice, name one of them"
            )
        seen[value] = path
    return digests


@dataclasses.dataclass(frozen=True)
class _Known:
    """What the dataset's files say that they are made of."""

    parts: Mapping[datetime.date, Mapping[str, t.Any]]

    def periods(self, digest: str) -> list[datetime.date]:
        """The billing periods of a file; none where it is not known."""
        for told in self.parts.values():
            if digest in told["files"]:
                return [datetime.date.fromisoformat(one) for one in told["files"][digest]]
        return []


def _known(connection: duckdb.DuckDBPyConnection, dataset: Dataset, source: str, recipe: Mapping[str, t.Any]) -> _Known:
    told = {part.period: metadata_of(connection, part.path) for part in dataset.parts(sources=[source])}
    return _Known({period: one for period, one in told.items() if one.get("recipe") == recipe and "files" in one})


def _to_read(
    digests: Mapping[str, str], known: _Known, contents: Mapping[str, list[datetime.date]]
) -> tuple[list[str], set[datetime.date]]:
    """Which files have to be read, and which periods written, for the dataset to be what the files say.

    :param contents: the periods of files that were read already; those of others the dataset tells.
    """
    periods = {path: contents.get(path, known.periods(digest)) for path, digest in digests.items()}
    made_of: dict[datetime.date, set[str]] = {}
    for path, digest in digests.items():
        for period in periods[path]:
            made_of.setdefault(period, set()).add(digest)
    stale = {period for period, made in made_of.items() if set(known.parts.get(period, {}).get("files", ())) != made}
    unread = [path for path in digests if path not in contents]
    return [path for path in unread if not periods[path] or stale & set(periods[path])], stale


def _run(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    request: Request,
    files: Sequence[str],
    digests: Mapping[str, str],
    recipe: Mapping[str, t.Any],
    tags: Mapping[str, str],
    folder: Path,
    check: bool,
) -> Outcome:
    known = _known(connection, dataset, request.source, recipe)
    contents: dict[str, list[datetime.date]] = {}
    staged = _Staged()
    todo, stale = _to_read(digests, known, contents)
    while todo:
        # A file that is new may hold a period that a known file holds, too: then that one is read as well.
        _stage(connection, request, todo, tags, folder, staged)
        contents |= {path: [] for path in todo} | _contents(connection, staged)
        todo, stale = _to_read(digests, known, contents)
    if not staged.paths or not stale:
        same = _unchanged(connection, dataset, request.source, known, digests)
        return Outcome(Written(same), len(files), staged.read, staged.bad_lines, staged.broken, {}, ())
    relation = staged.relation()
    _currency(connection, relation, request.currency)
    _overlaps(connection, relation)
    _twice(connection, relation, dataset, request.source, stale)
    extra = [*sorted(staged.extra), *tags]
    made: dict[datetime.date, dict[str, t.Any]] = {}
    for period in sorted(stale):
        inside = {
            digest: [one.isoformat() for one in sorted(contents.get(path, known.periods(digest)))]
            for path, digest in sorted(digests.items())
        }
        inside = {digest: periods for digest, periods in inside.items() if period.isoformat() in periods}
        made[period] = json.loads(json.dumps({"recipe": recipe, "files": inside}))
    listed = ", ".join(f"DATE {quoted(period.isoformat())}" for period in made)
    where = f"period IN ({listed})"
    assumed = _assumed(connection, relation, where)
    violations = focus_checks.check(connection, relation, where)
    changes = store(connection, dataset, request.source, relation, extra, made, check=check)
    kept = _unchanged(connection, dataset, request.source, known, digests, {one.period for one in changes})
    return Outcome(
        Written(tuple(sorted([*changes, *kept], key=lambda one: one.period))),
        len(files),
        staged.read,
        staged.bad_lines,
        staged.broken[:_PLACES_TOLD],
        assumed,
        violations,
    )


def _unchanged(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    source: str,
    known: _Known,
    digests: Mapping[str, str],
    without: set[datetime.date] | None = None,
) -> tuple[PeriodChange, ...]:
    """The billing periods of the files that are in the dataset as they are."""
    periods = {period for digest in digests.values() for period in known.periods(digest)} - (without or set())
    changes = []
    for part in dataset.parts(sources=[source]):
        if part.period in periods:
            money: Money = money_of(connection, part)
            changes.append(PeriodChange(part.period, currency_of(connection, part), money, money, False))
    return tuple(changes)


def _stage(
    connection: duckdb.DuckDBPyConnection,
    request: Request,
    files: Sequence[str],
    tags: Mapping[str, str],
    folder: Path,
    staged: _Staged,
) -> None:
    """Write the rows of ``files`` as FOCUS to Parquet files in ``folder``."""
    by_format: dict[str, list[str]] = {}
    for path in files:
        by_format.setdefault(_format(connection, path, request.format).name, []).append(path)
    for name, paths in by_format.items():
        form = focus_formats.FORMATS[name]
        for table in focus_read.tables(connection, paths, form.typed, request.skip_bad_lines):
            mapped = form.mapped(table)
            target = folder / f"staged-{len(staged.paths)}.parquet"
            _copy(connection, table, _select(mapped, tags), target)
            staged.paths.append(str(target))
            staged.extra |= dict.fromkeys(name for name in mapped.extra if name not in tags)
            staged.read += len(paths)
            _judge(connection, table, mapped, target, request.skip_bad_lines, staged)


def _format(connection: duckdb.DuckDBPyConnection, path: str, wanted: str) -> focus_formats.Format:
    if wanted != focus_formats.AUTO:
        return focus_formats.FORMATS[wanted]
    found = focus_formats.recognised(focus_read.columns_of(connection, path))
    if found is None:
        raise FocusError(
            f"{path} is none of the known exports: its columns are not those of "
            f"{', '.join(name for name in focus_formats.CHOICES if name != focus_formats.AUTO)}"
        )
    return found


def _select(mapped: focus_formats.Mapped, tags: Mapping[str, str]) -> str:
    """SQL of the rows as they are staged."""
    inner = [f"{sql} AS {named(name)}" for name, sql in mapped.columns.items()]
    inner += [f"{sql} AS {named(name)}" for name, sql in mapped.extra.items() if name not in tags]
    unread = " ".join(f"WHEN {sql} THEN {quoted(_UNREAD + name)}" for name, sql in mapped.unread.items())
    inner += [f"filename AS {_FILE}", f"CASE {unread} END AS unread" if unread else "NULL::VARCHAR AS unread"]
    assumed = " + ".join(
        f"(CASE WHEN {sql} THEN {1 << place} ELSE 0 END)"
        for place, name in enumerate(STAND_INS)
        if (sql := mapped.assumed.get(name))
    )
    inner.append(f"({assumed or '0'})::UTINYINT AS {_ASSUMED}")
    missing = " ".join(f'WHEN "{name}" IS NULL THEN {quoted(_MISSING + name)}' for name in NEEDED)
    backwards = f'WHEN "BillingPeriodEnd" <= "BillingPeriodStart" THEN {quoted(_BACKWARDS + "BillingPeriodEnd")}'
    outer = [
        "* EXCLUDE (unread)",
        *(f"{sql} AS {named(name)}" for name, sql in tags.items()),
        f"coalesce(unread, CASE {missing} {backwards} END) AS {_BAD}",
        "CAST(date_trunc('month', \"BillingPeriodStart\") AS DATE) AS period",
    ]
    return f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {mapped.source})"


def _copy(connection: duckdb.DuckDBPyConnection, table: Table, select: str, target: Path) -> None:
    library = deps.duckdb
    try:
        connection.execute(
            f"COPY ({select}) TO {quoted(str(target))} (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {ROW_GROUP})"
        )
    except library.OutOfMemoryException:
        raise
    except library.Error as error:
        if table.kind == "json":
            broken = focus_read.bad_json_line(table.files)
            if broken is not None:
                raise FocusError(_refusal([broken], 1)) from None
        raise FocusError(f"{table.files[0]} cannot be read: {focus_read.first_line(error)}") from None


def _judge(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    mapped: focus_formats.Mapped,
    target: Path,
    skip: bool,
    staged: _Staged,
) -> None:
    """Count what cannot be used. :raises FocusError: there is any, and it is not to be skipped."""
    count, broken = focus_read.rejected(connection, table)
    found = connection.execute(
        f"SELECT {_BAD}, {_FILE}, count(*) FROM read_parquet({quoted(str(target))}) WHERE {_BAD} IS NOT NULL "
        f"GROUP BY ALL ORDER BY {_FILE}, {_BAD}"
    ).fetchall()
    count += sum(rows for _why, _path, rows in found)
    broken += [_place(mapped, path, why) for why, path, _rows in found[:_PLACES_TOLD]]
    if count and not skip:
        raise FocusError(_refusal(sorted(broken, key=lambda one: (one.file, one.line)), count))
    staged.bad_lines += count
    staged.broken += broken


def _refusal(broken: Sequence[Broken], count: int) -> str:
    more = f" ({count} such lines in all)" if count > 1 else ""
    return f"{broken[0].sentence()}{more}: correct the file, or set skip_bad_lines to import the rest"


def _place(mapped: focus_formats.Mapped, path: str, why: str) -> Broken:
    """Where a row that cannot be used is."""
    kind, name = why[0], why[1:]
    column = mapped.needed.get(name, name) if kind != _UNREAD else name
    top, _dot, below = column.lower().partition(".")

    def value(row: Mapping[str, t.Any], key: str) -> t.Any:
        found = row.get(key)
        if below and isinstance(found, Mapping):
            return found.get(below)
        return found

    if kind == _MISSING:
        line = focus_read.find_line(path, lambda row: value(row, top) in (None, "", "NULL"))
        return Broken(path, line, column, "it is empty, and every charge has one")
    if kind == _BACKWARDS:
        line = focus_read.find_line(
            path, lambda row: str(row.get("billingperiodend") or "~")[:10] <= str(row.get("billingperiodstart"))[:10]
        )
        return Broken(path, line, column, "it is not after BillingPeriodStart")
    kind_of = focus.BY_NAME[name].kind if name in focus.BY_NAME else "number"
    line = focus_read.find_line(path, lambda row: _unreadable(row.get(name.lower()), kind_of))
    wanted = {"map": "a JSON object", "moment": "a time"}.get(kind_of, "a number")
    return Broken(path, line, column, f"it is not {wanted}")


def _unreadable(value: t.Any, kind: str) -> bool:
    """Whether a value is none of its column's kind; as DuckDB judges it, near enough to find the line."""
    if value in (None, "", "NULL", "null"):
        return False
    try:
        if kind == "map":
            return isinstance(value, str) and not isinstance(json.loads(value), dict)
        if kind == "moment":
            datetime.datetime.fromisoformat(str(value).replace(" UTC", "+00:00").replace("Z", "+00:00"))
        else:
            float(value)
    except (TypeError, ValueError):
        return True
    return False


def _contents(connection: duckdb.DuckDBPyConnection, staged: _Staged) -> dict[str, list[datetime.date]]:
    """The billing periods of each file that was read."""
    found: dict[str, list[datetime.date]] = {}
    for path, period in connection.execute(
        f"SELECT DISTINCT {_FILE}, period FROM {staged.relation()} ORDER BY ALL"
    ).fetchall():
        found.setdefault(path, []).append(period)
    return found


def _currency(connection: duckdb.DuckDBPyConnection, relation: str, wanted: str) -> None:
    """:raises FocusError: rows are in another currency, in several, or in none."""
    rows = connection.execute(
        f'SELECT "BillingCurrency", min({_FILE}) FROM {relation} GROUP BY ALL ORDER BY count(*) DESC'
    ).fetchall()
    for code, path in rows:
        if not focus.is_currency(code):
            raise FocusError(
                f"{path} has charges in {code!r}, which is no currency: BillingCurrency has a code of ISO 4217, "
                "such as USD"
            )
        if wanted and code != wanted:
            raise FocusError(f"{path} has charges in {code}, and currency is {wanted}: they cannot be added")
    if len(rows) > 1:
        places = " and ".join(f"{code} ({path})" for code, path in rows[:2])
        raise FocusError(f"charges are in {places}: they cannot be added, import each currency as a source of its own")


def _overlaps(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """:raises FocusError: two billing periods of an account share days."""
    rows = connection.execute(
        'SELECT DISTINCT "ProviderName", "BillingAccountId", "BillingPeriodStart", "BillingPeriodEnd" '
        f"FROM {relation} ORDER BY ALL"
    ).fetchall()
    for (provider, account, start, end), following in itertools.pairwise(rows):
        if following[:2] == (provider, account) and following[2] < end:
            raise FocusError(
                f"billing periods of {provider} account {masked_value('BillingAccountId', account)} overlap: "
                f"{start:%Y-%m-%d} to {end:%Y-%m-%d} and {following[2]:%Y-%m-%d} to {following[3]:%Y-%m-%d}, "
                "import the files of one of them"
            )


def _twice(
    connection: duckdb.DuckDBPyConnection, relation: str, dataset: Dataset, source: str, periods: set[datetime.date]
) -> None:
    """:raises FocusError: another source has charges of the same account in the same billing period."""
    others = [part for part in dataset.parts() if part.source != source and part.period in periods]
    if not others:
        return
    keys = '"ProviderName", "BillingAccountId", coalesce("SubAccountId", \'\')'
    ours = set(connection.execute(f"SELECT DISTINCT period, {keys} FROM {relation}").fetchall())
    for part in others:
        period = part.period
        found = connection.execute(f"SELECT DISTINCT {keys} FROM read_parquet(?)", [str(part.path)]).fetchall()
        for provider, account, sub_account in found:
            if (period, provider, account, sub_account) not in ours:
                continue
            shown = masked_value("SubAccountId", sub_account or account)
            raise FocusError(
                f"source {part.source!r} has charges of {provider} account {shown} in {period:%Y-%m} already: "
                "they would count twice, import under that name or remove that source's month with state absent"
            )


def _assumed(connection: duckdb.DuckDBPyConnection, relation: str, where: str) -> dict[str, int]:
    counts = ", ".join(f"count(*) FILTER ({_ASSUMED} & {1 << place} > 0)" for place in range(len(STAND_INS)))
    found = connection.execute(f"SELECT {counts} FROM {relation} WHERE {where}").fetchone() or ()
    return {name: rows for name, rows in zip(STAND_INS, found) if rows}
