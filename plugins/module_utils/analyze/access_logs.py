# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cache did with the requests of its access logs, what it could have done, and what that costs.

Works on the table ``urls`` that ``observe.access_logs`` has made of the logs in one pass.

What could have been a hit is an upper bound: the second and later requests for one URL within
the logs. Nobody knows from a log how long an answer was good.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_known import TRACKING_PARAMETERS
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import HOURS_PER_MONTH

if t.TYPE_CHECKING:
    import duckdb

Row: t.TypeAlias = "dict[str, t.Any]"

GIB = 1024**3
#: Logs of a shorter time say nothing about a month (hours): a day has its busy hours.
SHORTEST_WINDOW = 24.0
#: Answers that shrink by compression. Source: the types that Cloudflare and CloudFront compress by default.
COMPRESSIBLE = (
    "regexp_matches(content_type, '^text/|[/+](json|xml)$|javascript|^application/(wasm|vnd.ms-fontobject|x-font-ttf)$"
    "|^font/(ttf|otf)$|^image/(svg\\+xml|x-icon|vnd.microsoft.icon)$')"
)
#: Content that is the same for everybody by its nature: type, or the path's extension where no type is logged.
STATIC = (
    "(regexp_matches(content_type, '^(image|font|audio|video)/|^text/css|javascript|^application/(wasm|pdf|zip)$') OR "
    "regexp_matches(lower(path), '\\.(css|js|mjs|png|jpe?g|gif|webp|avif|svg|ico|woff2?|ttf|otf|eot|mp4|webm|mp3|pdf|"
    "wasm|map|zip|gz)$'))"
)
#: Why an answer may not be stored: its own headers say so.
FORBIDDEN = ("set_cookie", "private", "no_store", "no_cache", "max_age_0")


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of the logs.

    :param path_depth: so many parts of a path name its group; numbers and long hexadecimal parts become ``*``.
    :param limit: rows in each list of the answer.
    :param ignored_parameters: patterns of query parameters that do not change an answer.
    :param cdn_price: USD/GiB for what leaves the cache; None: not priced.
    :param origin_price: USD/GiB for what leaves the origin; None: not priced.
    :param compression_ratio: size before ÷ size after of what is not compressed yet, where the logs do not tell; None:
        savings in bytes and money stay unknown there.
    """

    path_depth: int = 2
    limit: int = 20
    ignored_parameters: Sequence[str] = tuple(TRACKING_PARAMETERS)
    cdn_price: float | None = None
    origin_price: float | None = None
    compression_ratio: float | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the logs say; each list holds plain rows, the most expensive first."""

    summary: Row
    outcomes: Sequence[Row]
    paths: Sequence[Row]
    not_cached: Sequence[Row]
    parameters: Sequence[Row]
    compression: Sequence[Row]
    money: Row


def study(database: duckdb.DuckDBPyConnection, question: Question) -> Answer:
    """Ask everything; the database gets tables of its own."""
    _prepare(database, question)
    summary = _summary(database)
    compression = _compression(database, question)
    reasons = _not_cached(database, question)
    return Answer(
        summary=summary,
        outcomes=_rows(
            database,
            "SELECT cache AS outcome, sum(requests)::BIGINT AS requests, sum(bytes)::BIGINT AS bytes "
            "FROM urls GROUP BY ALL ORDER BY requests DESC, outcome",
        ),
        paths=_paths(database, question),
        not_cached=reasons,
        parameters=_parameters(database, question),
        compression=compression,
        money=_money(summary, compression, _gain(database), question),
    )


def ignored_pattern(patterns: Sequence[str]) -> str:
    """A regular expression (RE2) that a parameter ``name=value`` matches when its name is to be left out."""
    if not patterns:
        return "$^"
    names = "|".join(fnmatch.translate(pattern).removeprefix("(?s:").removesuffix(")\\Z") for pattern in patterns)
    return f"(?i)^({names})(=|$)"


def _prepare(database: duckdb.DuckDBPyConnection, question: Question) -> None:
    database.execute(
        """
        CREATE OR REPLACE TABLE queries AS
        SELECT query, array_to_string(list_sort(list_filter(string_split(query, '&'),
            lambda part: part <> '' AND NOT regexp_matches(part, ?))), '&') AS canonical
        FROM (SELECT DISTINCT query FROM urls)
        """,
        [ignored_pattern(question.ignored_parameters)],
    )
    database.execute(
        f"""
        CREATE OR REPLACE VIEW grouped AS
        SELECT urls.*, canonical, {_group(question.path_depth)} AS path_group, {STATIC} AS static
        FROM urls JOIN queries USING (query)
        """
    )
    # The first miss of a URL is told apart from those that follow: only a longer life would have spared these.
    forbidden = f"reason IN {FORBIDDEN}"
    database.execute(
        f"""
        CREATE OR REPLACE TABLE missed AS
        WITH entries AS (
            SELECT host, path_group, path, canonical, requests AS missed, origin_bytes AS bytes,
                CASE WHEN {forbidden} THEN 'forbidden' WHEN cache = 'expired' THEN 'lifetime'
                    WHEN cache = 'dynamic' AND static THEN 'not_asked_for' WHEN reason = 'no_lifetime' THEN reason
                    WHEN cache = 'dynamic' THEN 'dynamic' ELSE 'bypassed' END AS why
            FROM grouped WHERE storable AND cache IN ('expired', 'bypass', 'dynamic')
            UNION ALL
            SELECT host, path_group, path, canonical, 1, origin_bytes / requests,
                CASE WHEN {forbidden} THEN 'forbidden' WHEN reason = 'no_lifetime' THEN reason
                    WHEN query <> canonical THEN 'tracking_parameters' ELSE 'once' END
            FROM grouped WHERE storable AND cache = 'miss'
            UNION ALL
            SELECT host, path_group, path, canonical, requests - 1, origin_bytes * (requests - 1) / requests,
                CASE WHEN {forbidden} THEN 'forbidden' WHEN reason = 'no_lifetime' THEN reason ELSE 'lifetime' END
            FROM grouped WHERE storable AND cache = 'miss' AND requests > 1
        ), pages AS (
            SELECT host, path_group, why, sum(missed) AS missed, sum(bytes) AS bytes,
                CASE WHEN why IN ('forbidden', 'once') THEN 0 WHEN why = 'lifetime' THEN sum(missed)
                    ELSE sum(missed) - 1 END AS possible
            FROM entries GROUP BY host, path_group, why, path, canonical
        )
        SELECT host, path_group AS path, why AS reason, sum(missed)::BIGINT AS requests,
            sum(bytes)::BIGINT AS origin_bytes, sum(possible)::BIGINT AS possible_hits,
            sum(bytes * possible / missed)::BIGINT AS possible_bytes
        FROM pages GROUP BY ALL
        """
    )


def _group(depth: int) -> str:
    """SQL of a path's group: its first parts, with ``*`` for numbers, ids and names of files."""
    parts = (
        f"list_transform(string_split(path, '/')[:{depth + 1}], lambda part: "
        "CASE WHEN regexp_full_match(part, '[0-9]+|[0-9a-fA-F-]{8,}') THEN '*' "
        "WHEN contains(part, '.') THEN '*' || regexp_extract(part, '\\.[^.]*$') ELSE part END)"
    )
    more = f"CASE WHEN len(string_split(path, '/')) > {depth + 1} THEN '/*' ELSE '' END"
    return f"array_to_string({parts}, '/') || {more}"


def _rows(database: duckdb.DuckDBPyConnection, sql: str, values: Sequence[t.Any] = ()) -> list[Row]:
    cursor = database.execute(sql, list(values))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def _summary(database: duckdb.DuckDBPyConnection) -> Row:
    (row,) = _rows(
        database,
        """
        SELECT sum(requests)::BIGINT AS requests, sum(bytes)::BIGINT AS bytes,
            sum(origin_bytes)::BIGINT AS origin_bytes,
            coalesce(sum(requests) FILTER (cache IN ('hit', 'revalidated')), 0)::BIGINT AS hits,
            coalesce(sum(requests) FILTER (cache = 'hit'), 0)::BIGINT AS without_origin,
            coalesce(sum(requests) FILTER (cache <> 'other'), 0)::BIGINT AS handled,
            min(first_time) AS first, max(last_time) AS last
        FROM urls
        """,
    )
    handled, total = row["handled"], row["bytes"]
    hours = ((row["last"] or 0.0) - (row["first"] or 0.0)) / 3600
    return {
        "requests": row["requests"],
        "bytes": total,
        "origin_bytes": row["origin_bytes"],
        "hit_ratio": round(row["hits"] / handled, 4) if handled else None,
        "byte_hit_ratio": round(1 - row["origin_bytes"] / total, 4) if total else None,
        "origin_offload": round(row["without_origin"] / handled, 4) if handled else None,
        "hours": round(hours, 2),
        "first": row["first"],
        "last": row["last"],
    }


def _paths(database: duckdb.DuckDBPyConnection, question: Question) -> list[Row]:
    return _rows(
        database,
        """
        SELECT host, path_group AS path, sum(requests)::BIGINT AS requests,
            round(coalesce(sum(requests) FILTER (cache IN ('hit', 'revalidated')), 0)
                / nullif(sum(requests) FILTER (cache <> 'other'), 0), 4) AS hit_ratio,
            sum(bytes)::BIGINT AS bytes, sum(origin_bytes)::BIGINT AS origin_bytes
        FROM grouped GROUP BY ALL ORDER BY origin_bytes DESC, requests DESC, host, path LIMIT ?
        """,
        [question.limit],
    )


#: Reason -> its sentence. Each request that was not served from the cache counts for one.
REASONS = {
    "tracking_parameters": "parameters that only track visitors, or their order, make a copy for each of them",
    "lifetime": "the same URL was fetched again: its answers live too short, or the cache is too small for them",
    "not_asked_for": "it is the same for everybody by its nature, and nothing tells the cache to keep it",
    "no_lifetime": "its answers do not say how long they are good",
    "bypassed": "the cache was told not to look, by a cookie, by Authorization or by a rule: the log does not tell",
    "dynamic": "nothing tells the cache to keep it; whether it may, only you know",
    "forbidden": "its answers forbid it (Set-Cookie, private, no-store, no-cache or max-age=0)",
    "once": "each URL was asked for once: nothing to gain",
}
#: Reasons that a setting of the cache or of its answers does away with, whoever asks.
CERTAIN = ("tracking_parameters", "lifetime", "not_asked_for")


def _not_cached(database: duckdb.DuckDBPyConnection, question: Question) -> list[Row]:
    """Groups of paths that were not served from the cache: why, and how many hits and bytes that costs at most."""
    rows = _rows(
        database,
        "SELECT * FROM missed ORDER BY possible_bytes DESC, requests DESC, host, path, reason LIMIT ?",
        [question.limit],
    )
    return [{**row, "why": REASONS[row["reason"]]} for row in rows]


def _gain(database: duckdb.DuckDBPyConnection) -> int:
    """Bytes of the origin that a cache would have kept at most."""
    (row,) = _rows(
        database, f"SELECT coalesce(sum(possible_bytes), 0)::BIGINT AS bytes FROM missed WHERE reason IN {CERTAIN}"
    )
    return int(row["bytes"])


def _parameters(database: duckdb.DuckDBPyConnection, question: Question) -> list[Row]:
    """Query parameters by what they cost: those with many values make many copies."""
    rows = _rows(
        database,
        """
        SELECT split_part(part, '=', 1) AS name, sum(requests)::BIGINT AS requests,
            coalesce(sum(requests) FILTER (cache IN ('miss', 'expired')), 0)::BIGINT AS misses,
            approx_count_distinct(part)::BIGINT AS "values"
        FROM (SELECT unnest(string_split(query, '&')) AS part, requests, cache FROM urls WHERE query <> '')
        WHERE part <> '' GROUP BY ALL ORDER BY misses DESC, requests DESC, name LIMIT ?
        """,
        [question.limit],
    )
    pattern = re.compile(ignored_pattern(question.ignored_parameters))
    for row in rows:
        row["ignored"] = bool(pattern.match(row["name"]))
    return rows


def _compression(database: duckdb.DuckDBPyConnection, question: Question) -> list[Row]:
    """Text that left uncompressed, by type, and what compression would save where its effect is known."""
    rows = _rows(
        database,
        f"""
        SELECT content_type, sum(plain)::BIGINT AS requests, sum(plain_bytes)::BIGINT AS bytes,
            sum(packed_bytes)::BIGINT AS compressed_bytes,
            CASE WHEN sum(measured_bytes) > 0 THEN round(sum(unpacked_bytes) / sum(measured_bytes), 2) END AS ratio
        FROM urls WHERE {COMPRESSIBLE} GROUP BY ALL
        ORDER BY bytes DESC, content_type LIMIT ?
        """,
        [question.limit],
    )
    for row in rows:
        row["ratio_from"] = "logs" if row["ratio"] else "option" if question.compression_ratio else ""
        row["ratio"] = row["ratio"] or question.compression_ratio
        row["saved_bytes"] = int(row["bytes"] * (1 - 1 / row["ratio"])) if row["ratio"] else None
    return rows


def _money(summary: Row, compression: Sequence[Row], gain: int, question: Question) -> Row:
    """USD/month of egress, and what could be saved of it; None with a reason where something is missing."""
    hours = summary["hours"]
    if question.cdn_price is None and question.origin_price is None:
        return _unpriced("neither cdn_price_gib nor origin_price_gib is set")
    if hours < SHORTEST_WINDOW:
        return _unpriced(f"the logs cover {hours} h: at least {SHORTEST_WINDOW:.0f} h are needed to speak of a month")
    months = HOURS_PER_MONTH / hours / GIB
    packed = sum(row["saved_bytes"] or 0 for row in compression)
    return {
        "cdn_egress": _priced(summary["bytes"] * months, question.cdn_price),
        "origin_egress": _priced(summary["origin_bytes"] * months, question.origin_price),
        "compression_saving": _priced(packed * months, question.cdn_price),
        "caching_saving": _priced(gain * months, question.origin_price),
        "why": "",
    }


def _unpriced(why: str) -> Row:
    return {
        "cdn_egress": None,
        "origin_egress": None,
        "compression_saving": None,
        "caching_saving": None,
        "why": why,
    }


def _priced(gib: float, price: float | None) -> float | None:
    return None if price is None else round(gib * price, 2)


def told(answer: Answer) -> Mapping[str, t.Any]:
    """The answer as plain data for a module's result."""
    return {
        "summary": dict(answer.summary),
        "outcomes": list(answer.outcomes),
        "paths": list(answer.paths),
        "not_cached": list(answer.not_cached),
        "parameters": list(answer.parameters),
        "compression": list(answer.compression),
        "money": dict(answer.money),
    }
