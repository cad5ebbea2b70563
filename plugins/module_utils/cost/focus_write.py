# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes FOCUS rows into the dataset: one Parquet file a billing period, replaced as a whole or not at all.

Rows made in Python go through :func:`write_rows`. Files of many gigabytes are staged by ``focus_import`` with DuckDB
and end in :func:`store` as well, so all that the dataset holds has the same columns and types.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import math
import tempfile
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, Part, month

if t.TYPE_CHECKING:
    import duckdb

#: Part of each digest: raise it when the same input has to be written anew because what we write has changed.
REVISION = 1
#: Rows that Parquet writes at once; memory grows with it, by each thread and column.
ROW_GROUP = 40_960
#: Key of Parquet's metadata that says what a file was made of.
METADATA = "frugal_inputs"
#: Columns that may not be null, and what stands in where a source does not have them at all.
STAND_INS: Mapping[str, str] = {
    "EffectiveCost": "BilledCost",
    "ContractedCost": "BilledCost",
    "ListCost": "ContractedCost",
    "PublisherName": "ProviderName",
    "InvoiceIssuerName": "ProviderName",
    "ServiceName": "ProviderName",
}
#: The same where the stand-in is a value, as SQL.
DEFAULTS: Mapping[str, str] = {"ServiceCategory": "'Other'", "ChargeFrequency": "'Usage-Based'"}
#: What no source may leave out.
NEEDED = (
    *("BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodStart", "ChargeCategory"),
    *("ChargePeriodEnd", "ChargePeriodStart", "ProviderName"),
)
SQL_TYPES: Mapping[focus.Kind, str] = {"text": "VARCHAR", "number": "DOUBLE", "moment": "TIMESTAMP", "map": "VARCHAR"}


class FocusError(ValueError):
    """One sentence: which input, what is wrong with it, what would be right."""


@dataclasses.dataclass(frozen=True)
class TagKey:
    """A tag that becomes the plain column ``x_tag_<key>``; ``variants`` are other spellings of the key."""

    key: str
    variants: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Money:
    """Rows of a billing period and their sums, in its billing currency."""

    rows: int
    billed: float
    effective: float

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data, sums rounded to millionths: more digits are rounding errors of the addition."""
        return {"rows": self.rows, "BilledCost": round(self.billed, 6), "EffectiveCost": round(self.effective, 6)}


@dataclasses.dataclass(frozen=True)
class PeriodChange:
    """What a billing period held before, and holds now; ``changed`` is false where its inputs are the same."""

    period: datetime.date
    currency: str
    before: Money | None
    after: Money
    changed: bool
    negative_rows: int = 0
    zero_rows: int = 0

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data, as modules return it."""
        return {
            "period": f"{self.period:%Y-%m}",
            "currency": self.currency,
            "changed": self.changed,
            "before": self.before.to_dict() if self.before else None,
            "after": self.after.to_dict(),
            "negative_rows": self.negative_rows,
            "zero_rows": self.zero_rows,
        }


@dataclasses.dataclass(frozen=True)
class Written:
    """What was written, by billing period."""

    periods: tuple[PeriodChange, ...]

    @property
    def changed(self) -> bool:
        """Whether any file is another than before."""
        return any(one.changed for one in self.periods)

    @property
    def rows(self) -> int:
        """Rows of all periods."""
        return sum(one.after.rows for one in self.periods)


def quoted(text: str) -> str:
    """``text`` as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    """``name`` as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


@contextlib.contextmanager
def database(folder: Path, memory_limit: str = "1GB", threads: int = 0) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that keeps to ``memory_limit`` and writes what needs more to ``folder``.

    :raises FocusError: the limit is no size.
    """
    library = deps.duckdb
    connection = library.connect()
    try:
        try:
            connection.execute(f"SET memory_limit = {quoted(memory_limit)}")
        except library.Error:
            raise FocusError(f"memory_limit is {memory_limit!r}: give a size such as 1GB") from None
        connection.execute(f"SET temp_directory = {quoted(str(folder / 'spill'))}")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET TimeZone = 'UTC'")
        if threads:
            connection.execute(f"SET threads = {threads:d}")
        yield connection
    finally:
        connection.close()


def spellings(tag: TagKey) -> list[str]:
    """The keys under which a tag is looked for, in order: as given, its variants, and with the prefixes of AWS.

    Cost and Usage Reports write ``user:team`` or ``user_team`` for the tag ``team``.
    """
    found: dict[str, None] = {}
    for key in (tag.key, *tag.variants):
        for written in (key, key.lower(), key.capitalize(), key.upper()):
            found.setdefault(written)
    for key in (tag.key, *tag.variants):
        found.setdefault(f"user:{key}")
        found.setdefault(f"user_{key}")
        found.setdefault(f"user_{''.join(letter if letter.isalnum() else '_' for letter in key.lower())}")
    return list(found)


def tag_expressions(tag_keys: Iterable[TagKey], tags: str = '"Tags"') -> dict[str, str]:
    """SQL of each tag's column, from the JSON object ``tags``: the first spelling that has a value.

    :raises FocusError: two keys would share a column, or one is empty.
    """
    expressions: dict[str, str] = {}
    for tag in tag_keys:
        column = focus.tag_column(tag.key)
        if not tag.key or column == focus.TAG:
            raise FocusError("tag_keys has an empty key: give the name of a tag, such as team")
        if column in expressions:
            raise FocusError(f"tag_keys has {tag.key!r} twice, spelled differently: give one as a variant of the other")
        paths = ", ".join(quoted('$."' + key.replace('"', '\\"') + '"') for key in spellings(tag))
        expressions[column] = (
            f"CASE WHEN {tags} IS NOT NULL THEN "
            f"list_filter(json_extract_string({tags}, [{paths}]), lambda v: v IS NOT NULL AND v <> '')[1] END"
        )
    return expressions


def metadata_of(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, t.Any]:
    """What a file of the dataset was made of; empty for a file that we did not write."""
    sql = "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?"
    found = connection.execute(sql, [str(path), METADATA]).fetchone()
    if found is None:
        return {}
    read = json.loads(found[0])
    return read if isinstance(read, dict) else {}


def money_of(connection: duckdb.DuckDBPyConnection, part: Part) -> Money:
    """Rows and sums of a file of the dataset."""
    found = connection.execute(
        'SELECT count(*), coalesce(sum("BilledCost"), 0), coalesce(sum("EffectiveCost"), 0) FROM read_parquet(?)',
        [str(part.path)],
    ).fetchone()
    return Money(*found) if found else Money(0, 0.0, 0.0)


def currency_of(connection: duckdb.DuckDBPyConnection, part: Part) -> str:
    """The billing currency of a file of the dataset."""
    found = connection.execute('SELECT min("BillingCurrency") FROM read_parquet(?)', [str(part.path)]).fetchone()
    return (found and found[0]) or ""


def store(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    source: str,
    staged: str,
    extra: Sequence[str],
    metadata: Mapping[datetime.date, Mapping[str, t.Any]],
    *,
    check: bool = False,
) -> list[PeriodChange]:
    """Replace the billing periods that ``metadata`` names by the rows of ``staged``; the dataset is locked already.

    :param staged: SQL of a relation with the columns of FOCUS, ``extra`` and ``period`` (the period's first day).
    :param extra: columns beyond FOCUS, all text.
    :param metadata: what each period is made of; a file that says the same already is left alone.
    :param check: only say what would change.
    """
    columns = ", ".join([named(column.name) for column in focus.COLUMNS] + [named(name) for name in extra])
    existing = {part.period: part for part in dataset.parts(sources=[source])}
    found = connection.execute(
        'SELECT period, min("BillingCurrency"), count(*), coalesce(sum("BilledCost"), 0), '
        'coalesce(sum("EffectiveCost"), 0), count(*) FILTER ("BilledCost" < 0 OR "EffectiveCost" < 0), '
        'count(*) FILTER ("BilledCost" = 0 AND "EffectiveCost" = 0) '
        f"FROM {staged} GROUP BY period ORDER BY period"
    ).fetchall()
    changes = []
    with contextlib.ExitStack() as drafts:
        # All files are written before the first takes its place, so that a full disk changes nothing.
        for period, currency, rows, billed, effective, negative, zero in found:
            if period not in metadata:
                continue
            part = existing.get(period)
            before = money_of(connection, part) if part else None
            same = part is not None and metadata_of(connection, part.path) == metadata[period]
            after = Money(rows, billed, effective)
            changes.append(PeriodChange(period, currency, before, after, not same, negative, zero))
            if check or same:
                continue
            draft = drafts.enter_context(dataset.replacing(source, period))
            told = quoted(json.dumps(metadata[period], sort_keys=True))
            connection.execute(
                f"COPY (SELECT {columns} FROM {staged} WHERE period = DATE {quoted(period.isoformat())}) "
                f"TO {quoted(str(draft))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}, "
                f"KV_METADATA {{{METADATA}: {told}}})"
            )
    return changes


def write_rows(
    dataset: Dataset,
    source: str,
    rows: Iterable[Mapping[str, t.Any]],
    tag_keys: Iterable[TagKey] = (),
    *,
    check: bool = False,
) -> Written:
    """Write rows made in Python, replacing each billing period of ``source`` that they hold.

    A row maps columns of FOCUS (and ``x_...`` columns of one's own, text) to values. Moments are ``datetime`` (UTC
    where it has no zone), ``date`` or ISO 8601; ``Tags`` and ``SkuPriceDetails`` are mappings. What may not be null
    and is missing gets a stand-in: ``EffectiveCost``, ``ContractedCost`` and ``ListCost`` the billed cost,
    ``PublisherName``, ``InvoiceIssuerName`` and ``ServiceName`` the provider, ``ServiceCategory`` ``Other``,
    ``ChargeFrequency`` ``Usage-Based``, ``BillingPeriodEnd`` a month after its start, ``PricingCurrency`` the billing
    currency. Rows that are the same as before change nothing, whatever their order. The rows may be any iterable: they
    are kept on disk, not in memory.

    :param check: only say what would change.
    :raises FocusError: a row lacks a column or has a value that cannot be; nothing is changed then.
    :raises DatasetError: the folder cannot be written, or another import is at work.
    """
    tags = tuple(tag_keys)
    expressions = tag_expressions(tags)
    with tempfile.TemporaryDirectory(prefix="frugal-focus-") as name:
        folder = Path(name)
        told = _to_lines(folder / "rows.json", rows)
        if not told.digests:
            return Written(())
        for column in told.extra & set(expressions):
            raise FocusError(f"rows have a column {column!r} of their own, and tag_keys asks for it: leave one out")
        types = {
            column.name: "VARCHAR" if column.kind == "moment" else SQL_TYPES[column.kind] for column in focus.COLUMNS
        }
        types |= dict.fromkeys(sorted(told.extra), "VARCHAR") | {"period": "DATE"}
        listed = ", ".join(f"{quoted(column)}: {quoted(kind)}" for column, kind in types.items())
        selected = [
            f"CAST({named(column)} AS TIMESTAMP) AS {named(column)}"
            if column in focus.BY_NAME and focus.BY_NAME[column].kind == "moment"
            else named(column)
            for column in types
        ]
        selected += [f"{sql} AS {named(column)}" for column, sql in expressions.items()]
        staged = (
            f"(SELECT {', '.join(selected)} FROM read_json({quoted(str(folder / 'rows.json'))}, "
            f"format = 'newline_delimited', columns = {{{listed}}}))"
        )
        recipe = {"rows": REVISION, "tags": [dataclasses.asdict(tag) for tag in tags]}
        metadata = {period: {"recipe": _plain(recipe), "digest": digest} for period, digest in told.digests.items()}
        with database(folder) as connection, _locked(dataset, check):
            extra = [*sorted(told.extra), *expressions]
            return Written(tuple(store(connection, dataset, source, staged, extra, metadata, check=check)))


def _plain(value: t.Any) -> t.Any:
    """As JSON gives it back, so that what is compared with metadata that was read is of the same types."""
    return json.loads(json.dumps(value))


@contextlib.contextmanager
def _locked(dataset: Dataset, check: bool) -> Iterator[None]:
    if check:
        yield
        return
    with dataset.locked():
        yield


@dataclasses.dataclass(frozen=True)
class _Lines:
    """A file of JSON lines: a digest of each period's rows, and the columns beyond FOCUS."""

    digests: Mapping[datetime.date, str]
    extra: set[str]


def _to_lines(path: Path, rows: Iterable[Mapping[str, t.Any]]) -> _Lines:
    sums: dict[datetime.date, int] = {}
    counts: dict[datetime.date, int] = {}
    currency = ""
    extra: set[str] = set()
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows, 1):
            checked = _checked(number, row)
            extra |= {name for name in checked if name not in focus.BY_NAME}
            currency = currency or checked["BillingCurrency"]
            if checked["BillingCurrency"] != currency:
                raise FocusError(
                    f"row {number} is in {checked['BillingCurrency']}, those before in {currency}: "
                    "write each currency as a source of its own"
                )
            period = month(datetime.date.fromisoformat(checked["BillingPeriodStart"][:10]))
            line = json.dumps({key: value for key, value in checked.items() if value is not None}, sort_keys=True)
            # A sum of digests: the order of the rows does not matter, and no row has to be kept.
            digest = int.from_bytes(hashlib.sha256(line.encode()).digest(), "big")
            sums[period] = (sums.get(period, 0) + digest) % 2**256
            counts[period] = counts.get(period, 0) + 1
            file.write(f'{line[:-1]}, "period": "{period.isoformat()}"}}\n')
    return _Lines({period: f"{counts[period]}:{value:064x}" for period, value in sums.items()}, extra)


def _checked(number: int, row: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A row as JSON takes it, with stand-ins for what is missing."""
    done: dict[str, t.Any] = {}
    for name, value in row.items():
        column = focus.BY_NAME.get(name)
        if column is None and not name.startswith(focus.CUSTOM):
            raise FocusError(f"row {number} has a column {name!r}: FOCUS has none of that name, others begin with x_")
        done[name] = _value(number, name, column.kind if column else "text", value)
    lacking = [name for name in NEEDED if done.get(name) is None]
    if lacking:
        raise FocusError(f"row {number} has no {' and no '.join(lacking)}: every charge has one")
    for name, other in STAND_INS.items():
        if done.get(name) is None:
            done[name] = done[other]
    for name, sql in DEFAULTS.items():
        if done.get(name) is None:
            done[name] = sql.strip("'")
    if done.get("PricingCurrency") is None and done.get("PricingCurrencyEffectiveCost") is None:
        done["PricingCurrency"] = done["BillingCurrency"]
        done["PricingCurrencyEffectiveCost"] = done["EffectiveCost"]
    if not focus.is_currency(done["BillingCurrency"]):
        raise FocusError(
            f"row {number} has BillingCurrency {done['BillingCurrency']!r}: give a code of ISO 4217, such as USD"
        )
    if done.get("BillingPeriodEnd") is None:
        start = datetime.datetime.fromisoformat(done["BillingPeriodStart"])
        following = (start.replace(day=1) + datetime.timedelta(days=32)).replace(
            day=start.day if start.day <= 28 else 28
        )
        done["BillingPeriodEnd"] = following.isoformat(sep=" ")
    for begin, end in (("BillingPeriodStart", "BillingPeriodEnd"), ("ChargePeriodStart", "ChargePeriodEnd")):
        if done[end] <= done[begin]:
            raise FocusError(f"row {number} has {end} {done[end]}, which is not after {begin} {done[begin]}")
    return done


def _value(number: int, name: str, kind: str, value: t.Any) -> t.Any:
    """One value as JSON takes it. :raises FocusError: it is not of the column's kind."""
    if value is None:
        return None
    if kind == "number":
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        raise FocusError(f"row {number} has {name} {value!r}: give a number")
    if kind == "moment":
        return _moment(number, name, value)
    if kind == "map":
        if isinstance(value, Mapping):
            return json.dumps({str(key): one for key, one in value.items()}, sort_keys=True)
        raise FocusError(f"row {number} has {name} {value!r}: give a mapping of keys to values")
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value) or None
    raise FocusError(f"row {number} has {name} {value!r}: give text")


def _moment(number: int, name: str, value: t.Any) -> str:
    """A moment in UTC, without its zone."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
        except ValueError:
            raise FocusError(f"row {number} has {name} {value!r}: give a time such as 2026-01-31T06:00:00Z") from None
    elif isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        moment = datetime.datetime(value.year, value.month, value.day)
    elif not isinstance(value, datetime.datetime):
        raise FocusError(f"row {number} has {name} {value!r}: give a time such as 2026-01-31T06:00:00Z")
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return str(moment.isoformat(sep=" "))
