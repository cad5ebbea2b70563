# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access logs of CDNs, caches and proxies in one shape, read by DuckDB: gigabytes in bounded memory.

Formats and what their fields mean:

- CloudFront standard logs: Amazon CloudFront Developer Guide, "Standard logging reference"
- Cloudflare Logpush, dataset ``http_requests``: Cloudflare documentation, "Log fields"
- Cloud CDN: Google Cloud documentation, "Logs and metrics for caching" (exported log entries, one JSON a line)
- nginx and Varnish: JSON lines with the keys that ``docs/guides/cdn.md`` gives as a log format
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import gzip
import typing as t
from collections.abc import Iterator, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps

if t.TYPE_CHECKING:
    import duckdb

#: A longer line cannot be read (bytes).
LONGEST_LINE = 4 * 1024 * 1024
#: What became of a request: ``hit`` was served from the cache; ``revalidated`` after the origin said that it is still
#: good; ``expired`` and ``miss`` were fetched; ``bypass`` was not looked up or not stored because something forbade it;
#: ``dynamic`` is not cached because nothing asks for it; ``other`` never reached a cache (redirects, blocked, errors).
OUTCOMES = ("hit", "revalidated", "expired", "miss", "bypass", "dynamic", "other")


class LogsError(ValueError):
    """One sentence: which log, what is wrong with it, what would be right."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Files of one format; ``paths`` may hold wildcards, and files may be compressed with gzip or zstd."""

    format: str
    paths: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Format:
    """How a format's lines become requests.

    :param parse: SQL that makes ``f`` (a struct, or a list of texts) of ``line``.
    :param columns: SQL of each column, from ``f``.
    :param good: SQL that is true for a line that could be read.
    """

    parse: str
    columns: t.Mapping[str, str]
    good: str


def _struct(*names: str) -> str:
    fields = ", ".join(f'"{name}": "VARCHAR"' for name in names)
    return (
        f"try_cast(json_transform(CASE WHEN json_valid(line) THEN line END, '{{{fields}}}') AS STRUCT({_types(names)}))"
    )


def _types(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}" VARCHAR' for name in names)


def _path(uri: str) -> str:
    return f"split_part({uri}, '?', 1)"


def _query(uri: str) -> str:
    return f"CASE WHEN position('?' IN {uri}) > 0 THEN substr({uri}, position('?' IN {uri}) + 1) ELSE '' END"


def _seconds(value: str) -> str:
    """Seconds since 1970 from nanoseconds, milliseconds, seconds or RFC 3339."""
    number = f"try_cast({value} AS DOUBLE)"
    return (
        f"CASE WHEN {number} > 1e17 THEN {number} / 1e9 WHEN {number} > 1e11 THEN {number} / 1e3 "
        f"WHEN {number} IS NOT NULL THEN {number} ELSE epoch(try_cast({value} AS TIMESTAMPTZ)) END"
    )


def _mapped(value: str, mapping: t.Mapping[str, str], other: str = "other") -> str:
    whens = " ".join(f"WHEN '{name}' THEN '{outcome}'" for name, outcome in mapping.items())
    return f"CASE lower(coalesce({value}, '')) {whens} ELSE '{other}' END"


def _reason(cache_control: str, set_cookie: str) -> str:
    """Why an answer must not be stored, from its own headers; NULL where nothing is known."""
    return (
        f"CASE WHEN coalesce({set_cookie}, '') NOT IN ('', '-') THEN 'set_cookie' "
        f"WHEN lower({cache_control}) LIKE '%private%' THEN 'private' "
        f"WHEN lower({cache_control}) LIKE '%no-store%' THEN 'no_store' "
        f"WHEN lower({cache_control}) LIKE '%no-cache%' THEN 'no_cache' "
        f"WHEN regexp_matches(lower({cache_control}), '(s-maxage|max-age)=0\\b') THEN 'max_age_0' "
        f"WHEN {cache_control} = '' OR {cache_control} = '-' THEN 'no_lifetime' END"
    )


_CLOUDFLARE = _struct(
    "EdgeStartTimestamp",
    "ClientRequestHost",
    "ClientRequestMethod",
    "ClientRequestURI",
    "EdgeResponseStatus",
    "EdgeResponseBytes",
    "OriginResponseBytes",
    "CacheResponseBytes",
    "OriginResponseStatus",
    "CacheCacheStatus",
    "EdgeResponseContentType",
    "EdgeResponseCompressionRatio",
)
_CLOUD_CDN = (
    "json_transform(CASE WHEN json_valid(line) THEN line END, "
    '\'{"timestamp": "VARCHAR", "httpRequest": {"requestMethod": "VARCHAR", "requestUrl": "VARCHAR", '
    '"status": "VARCHAR", "responseSize": "VARCHAR", "cacheLookup": "BOOLEAN", "cacheHit": "BOOLEAN", '
    '"cacheValidatedWithOriginServer": "BOOLEAN", "cacheFillBytes": "VARCHAR"}, '
    '"jsonPayload": {"statusDetails": "VARCHAR"}}\')'
)
_JSON_LINES = _struct(
    "time",
    "host",
    "method",
    "uri",
    "status",
    "bytes",
    "origin_bytes",
    "cache",
    "content_type",
    "content_encoding",
    "cache_control",
    "set_cookie",
)
_JSON_COLUMNS = {
    "time": _seconds("f.time"),
    "host": "lower(f.host)",
    "method": "upper(f.method)",
    "path": _path("f.uri"),
    "query": _query("f.uri"),
    "status": "try_cast(f.status AS INTEGER)",
    "bytes": "try_cast(f.bytes AS BIGINT)",
    "origin_bytes": "try_cast(nullif(f.origin_bytes, '-') AS BIGINT)",
    "content_type": "lower(split_part(nullif(f.content_type, '-'), ';', 1))",
    "compressed": "coalesce(nullif(f.content_encoding, '-'), '') NOT IN ('', 'identity')",
    "ratio": "NULL::DOUBLE",
    "reason": _reason("f.cache_control", "f.set_cookie"),
}

FORMATS: dict[str, Format] = {
    "cloudflare": Format(
        _CLOUDFLARE,
        {
            "time": _seconds("f.EdgeStartTimestamp"),
            "host": "lower(f.ClientRequestHost)",
            "method": "upper(f.ClientRequestMethod)",
            "path": _path("f.ClientRequestURI"),
            "query": _query("f.ClientRequestURI"),
            "status": "try_cast(f.EdgeResponseStatus AS INTEGER)",
            "bytes": "try_cast(f.EdgeResponseBytes AS BIGINT)",
            "origin_bytes": "CASE WHEN try_cast(f.OriginResponseStatus AS INTEGER) > 0 THEN "
            "try_cast(coalesce(f.OriginResponseBytes, f.CacheResponseBytes) AS BIGINT) ELSE 0 END",
            "cache": _mapped(
                "f.CacheCacheStatus",
                {
                    "hit": "hit",
                    "stale": "hit",
                    "updating": "hit",
                    "stream_hit": "hit",
                    "revalidated": "revalidated",
                    "expired": "expired",
                    "miss": "miss",
                    "deferred": "miss",
                    "bypass": "bypass",
                    "ignored": "bypass",
                    "dynamic": "dynamic",
                },
            ),
            "content_type": "lower(split_part(f.EdgeResponseContentType, ';', 1))",
            "compressed": "try_cast(f.EdgeResponseCompressionRatio AS DOUBLE) > 0",
            "ratio": "nullif(try_cast(f.EdgeResponseCompressionRatio AS DOUBLE), 0)",
            "reason": "NULL::VARCHAR",
        },
        "f.ClientRequestURI IS NOT NULL AND f.CacheCacheStatus IS NOT NULL",
    ),
    "cloud_cdn": Format(
        _CLOUD_CDN,
        {
            "time": _seconds("f.timestamp"),
            "host": "lower(regexp_extract(f.httpRequest.requestUrl, '^[a-z]+://([^/?]+)', 1))",
            "method": "upper(f.httpRequest.requestMethod)",
            "path": "coalesce(nullif(regexp_extract(f.httpRequest.requestUrl, '^[a-z]+://[^/?]+([^?]*)', 1), ''), '/')",
            "query": _query("f.httpRequest.requestUrl"),
            "status": "try_cast(f.httpRequest.status AS INTEGER)",
            "bytes": "try_cast(f.httpRequest.responseSize AS BIGINT)",
            "origin_bytes": "CASE WHEN f.httpRequest.cacheHit THEN 0 ELSE "
            "try_cast(coalesce(f.httpRequest.cacheFillBytes, f.httpRequest.responseSize) AS BIGINT) END",
            "cache": "CASE WHEN f.httpRequest.cacheHit AND f.httpRequest.cacheValidatedWithOriginServer "
            "THEN 'revalidated' WHEN f.httpRequest.cacheHit THEN 'hit' WHEN f.httpRequest.cacheLookup THEN 'miss' "
            "WHEN f.jsonPayload.statusDetails IN ('response_sent_by_backend', 'response_from_cache') THEN 'dynamic' "
            "ELSE 'other' END",
            "content_type": "NULL::VARCHAR",
            "compressed": "NULL::BOOLEAN",
            "ratio": "NULL::DOUBLE",
            "reason": "NULL::VARCHAR",
        },
        "f.httpRequest.requestUrl IS NOT NULL",
    ),
    "nginx": Format(
        _JSON_LINES,
        {
            **_JSON_COLUMNS,
            "cache": _mapped(
                "f.cache",
                {
                    "hit": "hit",
                    "stale": "hit",
                    "updating": "hit",
                    "revalidated": "revalidated",
                    "expired": "expired",
                    "miss": "miss",
                    "bypass": "bypass",
                },
                "dynamic",
            ),
        },
        "f.uri IS NOT NULL AND try_cast(f.status AS INTEGER) IS NOT NULL",
    ),
    "varnish": Format(
        _JSON_LINES,
        {
            **_JSON_COLUMNS,
            "cache": _mapped(
                "f.cache",
                {
                    "hit": "hit",
                    "miss": "miss",
                    "hitmiss": "bypass",
                    "hitpass": "bypass",
                    "pass": "bypass",
                },
            ),
        },
        "f.uri IS NOT NULL AND try_cast(f.status AS INTEGER) IS NOT NULL",
    ),
}
#: What every format has of a line.
COLUMNS = (
    "time",
    "host",
    "method",
    "path",
    "query",
    "status",
    "bytes",
    "origin_bytes",
    "cache",
    "content_type",
    "compressed",
    "ratio",
    "reason",
)
CLOUDFRONT = "cloudfront"
CHOICES = (*FORMATS, CLOUDFRONT)
_CLOUDFRONT_OUTCOMES = {
    "hit": "hit",
    "originshieldhit": "hit",
    "refreshhit": "revalidated",
    "miss": "miss",
}


def _cloudfront(fields: Sequence[str]) -> Format:
    """The format that a file's own ``#Fields`` line names; what it does not name is NULL."""

    def field(name: str) -> str:
        return f"nullif(f[{fields.index(name) + 1}], '-')" if name in fields else "NULL::VARCHAR"

    hit = f"lower(coalesce({field('x-edge-result-type')}, ''))"
    compressed = f"{field('sc-content-len')} IS NULL" if "sc-content-len" in fields else "NULL::BOOLEAN"
    return Format(
        "string_split(line, chr(9))",
        {
            "time": f"epoch(try_cast({field('date')} || ' ' || {field('time')} AS TIMESTAMP))",
            "host": f"lower(coalesce({field('x-host-header')}, {field('cs(Host)')}))",
            "method": f"upper({field('cs-method')})",
            "path": field("cs-uri-stem"),
            "query": f"coalesce({field('cs-uri-query')}, '')",
            "status": f"try_cast({field('sc-status')} AS INTEGER)",
            "bytes": f"try_cast({field('sc-bytes')} AS BIGINT)",
            "origin_bytes": f"CASE WHEN {hit} LIKE '%hit' THEN 0 ELSE try_cast({field('sc-bytes')} AS BIGINT) END",
            "cache": _mapped(field("x-edge-result-type"), _CLOUDFRONT_OUTCOMES),
            "content_type": f"lower(split_part({field('sc-content-type')}, ';', 1))",
            # CloudFront sends what it compresses without Content-Length.
            "compressed": compressed,
            "ratio": "NULL::DOUBLE",
            "reason": "NULL::VARCHAR",
        },
        f"len(f) = {len(fields)} AND {field('cs-uri-stem')} IS NOT NULL",
    )


#: CloudFront compresses answers of 1,000 to 10,000,000 bytes; smaller ones do not gain.
SMALLEST_COMPRESSED = 1000
_PLAIN = f"compressed IS FALSE AND status = 200 AND bytes >= {SMALLEST_COMPRESSED}"
#: What was asked for, each URL once for each outcome, kind of content and reason. ``storable``: method and status let
#: it be kept. Bytes that left uncompressed, compressed, and, of those with a known ratio, before and after.
_TABLE = f"""
CREATE OR REPLACE TABLE urls AS
SELECT good, host, path, query, cache, coalesce(content_type, '') AS content_type,
    method IN ('GET', 'HEAD') AND status IN (200, 203, 204, 206, 300, 301, 304, 308, 404, 410) AS storable,
    coalesce(reason, '') AS reason,
    count(*) AS requests, sum(coalesce(bytes, 0)) AS bytes,
    sum(CASE WHEN cache = 'hit' THEN 0 ELSE coalesce(origin_bytes, bytes, 0) END) AS origin_bytes,
    count(*) FILTER ({_PLAIN}) AS plain, coalesce(sum(bytes) FILTER ({_PLAIN}), 0) AS plain_bytes,
    coalesce(sum(bytes) FILTER (compressed), 0) AS packed_bytes,
    coalesce(sum(bytes * ratio) FILTER (ratio > 0), 0) AS unpacked_bytes,
    coalesce(sum(bytes) FILTER (ratio > 0), 0) AS measured_bytes,
    min(time) AS first_time, max(time) AS last_time
FROM ({{lines}}) GROUP BY ALL
"""


@dataclasses.dataclass(frozen=True)
class Logs:
    """An open database with the table ``urls``, what it was made of, and how many lines are no requests."""

    database: duckdb.DuckDBPyConnection
    files: Sequence[str]
    unreadable: int = 0


@contextlib.contextmanager
def open_logs(sources: Sequence[Source], folder: str, memory_limit: str = "1GB", threads: int = 0) -> Iterator[Logs]:
    """Make a table of what was asked for, in one pass; ``folder`` takes what does not fit into ``memory_limit``.

    :raises LogsError: a path without files, a file that is not what its format says.
    """
    deps_duckdb = deps.duckdb
    database = deps_duckdb.connect(f"{folder}/logs.duckdb")
    try:
        try:
            database.execute("SET memory_limit = ?", [memory_limit])
        except deps_duckdb.Error:
            raise LogsError(f"memory_limit is {memory_limit!r}: give a size such as 1GB") from None
        database.execute("SET preserve_insertion_order = false")
        database.execute("SET TimeZone = 'UTC'")
        if threads:
            database.execute("SET threads = ?", [threads])
        database.execute("SET temp_directory = ?", [f"{folder}/spill"])
        files: list[str] = []
        selects: list[str] = []
        for source in sources:
            found = _files(source)
            files += found
            selects += [_select(form, names) for form, names in _alike(source.format, found)]
        try:
            database.execute(_TABLE.format(lines=" UNION ALL ".join(selects)))
            bad = _taken_out(database)
        except deps_duckdb.Error as error:
            raise LogsError(f"the logs cannot be read: {_first_line(error)}") from None
        if database.execute("SELECT 1 FROM urls LIMIT 1").fetchone() is None:
            raise LogsError(
                f"none of the {bad} lines of {files[0]}{' and others' if len(files) > 1 else ''} is a request of "
                f"format {sources[0].format}: choose the format that they have"
            )
        yield Logs(database, files, bad)
    finally:
        database.close()


def _taken_out(database: duckdb.DuckDBPyConnection) -> int:
    """How many lines are no requests; the table has only requests afterwards."""
    found = database.execute("SELECT coalesce(sum(requests), 0)::BIGINT FROM urls WHERE NOT good").fetchone()
    database.execute("DELETE FROM urls WHERE NOT good")
    return int(found[0]) if found else 0


def _files(source: Source) -> list[str]:
    found: list[str] = []
    for path in source.paths:
        names = sorted(glob.glob(path, recursive=True))
        if not names:
            raise LogsError(f"paths has {path!r}, where there is no file")
        found += names
    return found


def _alike(name: str, files: Sequence[str]) -> list[tuple[Format, list[str]]]:
    """Files that have the same fields, each with its format."""
    if name != CLOUDFRONT:
        return [(FORMATS[name], list(files))]
    parts: dict[tuple[str, ...], list[str]] = {}
    for path in files:
        parts.setdefault(_fields(path), []).append(path)
    return [(_cloudfront(fields), names) for fields, names in parts.items()]


def _fields(path: str) -> tuple[str, ...]:
    """The fields that a CloudFront log names in its second line."""
    opened = gzip.open if path.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="replace") as file:
            for line in (file.readline(LONGEST_LINE) for _number in range(3)):
                if line.startswith("#Fields:"):
                    return tuple(line.removeprefix("#Fields:").split())
    except OSError as error:
        raise LogsError(f"{path} cannot be read: {error.strerror or error}") from None
    raise LogsError(f"{path} is no standard log of CloudFront: it has no line that begins with #Fields:")


def _select(form: Format, files: Sequence[str]) -> str:
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
    # One column: no line has the character that separates columns.
    lines = (
        f"SELECT line FROM read_csv([{listed}], columns = {{'line': 'VARCHAR'}}, delim = chr(1), quote = '', "
        f"escape = '', header = false, auto_detect = false, max_line_size = {LONGEST_LINE}, null_padding = true) "
        "WHERE line IS NOT NULL AND line <> '' AND line[1] <> '#'"
    )
    columns = ", ".join(f"{form.columns[column]} AS {column}" for column in COLUMNS)
    return f"SELECT {columns}, coalesce({form.good}, false) AS good FROM (SELECT {form.parse} AS f FROM ({lines}))"


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
