# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of a Varnish log as the analysis sees them.

``host_varnish`` reads them on the host and hashes what people sent; here they get types, and
paths of the same kind a common pattern.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import typing as t
from collections.abc import Mapping, Sequence

#: outcomes that are a lookup or could have been one
ANSWERED = ("hit", "miss", "pass", "hit_for_miss", "hit_for_pass")
#: status codes that may be stored without more ado (RFC 9110, 15.1, those that sites have)
STORABLE = (200, 203, 204, 300, 301, 308, 404, 410)
#: distinct values of one path segment from which it counts as a name of things, not of a kind
MANY_SEGMENTS = 8
_NAME_OF_A_THING = re.compile(r"\d|^[0-9a-f-]{16,}$|[^\x21-\x7e]|%")


class LogError(ValueError):
    """What is said to be a sample of a log is none."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """The head of an answer: what was delivered, or what a backend said. Sizes in bytes, times in seconds.

    ``etag`` and ``last_modified`` are hashes; ``length`` is Content-Length, -1 without one;
    ``ttl`` is what the answer's own headers say, None where they say nothing.
    """

    status: int
    cache_control: str = ""
    set_cookie: tuple[str, ...] = ()
    vary: tuple[str, ...] = ()
    etag: str = ""
    last_modified: str = ""
    length: int = -1
    content_type: str = ""
    encoding: str = ""
    reason: str = ""
    stored: int = 0
    cacheable: bool = True
    reused: bool = False
    closes: bool = False
    ttfb: float = 0.0
    ttl: float | None = None
    error: str = ""

    @property
    def private(self) -> str:
        """Why this answer is somebody's own; empty where it does not say so."""
        if self.set_cookie:
            return f"it sets the cookie {', '.join(self.set_cookie)}"
        found = re.search(r"\b(private|no-store|no-cache)\b", self.cache_control)
        return f"it says Cache-Control: {self.cache_control}" if found else ""

    @property
    def public(self) -> bool:
        """Whether it says that a shared cache may have it for everybody (RFC 9111, 5.2.2.9 and 5.2.2.10)."""
        return not self.private and bool(re.search(r"\bpublic\b|\bs-maxage=[1-9]", self.cache_control))

    @property
    def fresh(self) -> bool:
        """Whether it says for how long it may be kept."""
        return self.ttl is not None and self.ttl > 0


@dataclasses.dataclass(frozen=True)
class Visit:
    """One request of a client. ``query``: (name, hash of the value, characters of both) in the order sent.

    ``left`` is what was left of a hit's time to live, below zero within grace. ``vary`` has
    the hashes of the headers that the answer's Vary names. ``kind`` is the pattern of its path.
    """

    time: float
    method: str
    host: str
    path: str
    outcome: str
    status: int
    ttfb: float = 0.0
    size: int = 0
    query: tuple[tuple[str, str, int], ...] = ()
    query_length: int = 0
    url_cut: bool = False
    cookies: tuple[tuple[str, str], ...] = ()
    cookies_cut: bool = False
    authorization: bool = False
    device: str = "desktop"
    encodings: str = ""
    no_cache: bool = False
    range: bool = False
    vary: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left: float | None = None
    delivered: Answer | None = None
    fetched: Answer | None = None
    kind: str = ""

    @property
    def readable(self) -> bool:
        """Whether it asks for a page: only such are cached."""
        return self.method in ("GET", "HEAD")

    @property
    def answer(self) -> Answer | None:
        """What was delivered to it, as far as the log says."""
        if self.delivered is not None:
            return self.delivered
        return self.fetched


def visits_of(records: Sequence[Mapping[str, t.Any]]) -> list[Visit]:
    """Typed requests in the order in which they came, each with the kind of its path.

    :raises LogError: when a record is none.
    """
    try:
        found = sorted((_visit(record) for record in records), key=lambda visit: visit.time)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise LogError(f"not a sample of a Varnish log: {type(error).__name__}: {error}") from error
    kinds = path_kinds({(visit.host, visit.path) for visit in found})
    return [dataclasses.replace(visit, kind=kinds[visit.host, visit.path]) for visit in found]


def _visit(record: Mapping[str, t.Any]) -> Visit:
    left = record.get("left")
    return Visit(
        time=float(record["t"]),
        method=str(record["method"]),
        host=str(record.get("host", "")).rpartition(":")[0] if _has_port(record) else str(record.get("host", "")),
        path=str(record["path"]),
        outcome=str(record.get("outcome", "")),
        status=int(record.get("status", 0)),
        ttfb=float(record.get("ttfb", 0.0)),
        size=int(record.get("bytes", 0)),
        query=tuple((str(name), str(value), int(size)) for name, value, size in record.get("query", ())),
        query_length=int(record.get("query_length", 0)),
        url_cut=bool(record.get("url_cut", False)),
        cookies=tuple((str(name), str(value)) for name, value in record.get("cookies", ())),
        cookies_cut=bool(record.get("cookies_cut", False)),
        authorization=bool(record.get("authorization", False)),
        device=str(record.get("device", "desktop")),
        encodings=str(record.get("accept_encoding", "")),
        no_cache=bool(record.get("no_cache", False)),
        range=bool(record.get("range", False)),
        vary={str(name): str(value) for name, value in record.get("vary", {}).items()},
        left=None if left is None else float(left),
        delivered=_answer(record["response"], int(record.get("status", 0))) if record.get("response") else None,
        fetched=_answer(record["fetch"], 0) if record.get("fetch") else None,
    )


def _has_port(record: Mapping[str, t.Any]) -> bool:
    return str(record.get("host", "")).rpartition(":")[2].isdigit() and ":" in str(record.get("host", ""))


def _answer(record: Mapping[str, t.Any], status: int) -> Answer:
    control = str(record.get("cache_control", ""))
    return Answer(
        status=int(record.get("status", status)),
        cache_control=control,
        set_cookie=tuple(sorted({str(name) for name in record.get("set_cookie", ())})),
        vary=tuple(sorted({part.strip() for part in str(record.get("vary", "")).split(",") if part.strip()})),
        etag=str(record.get("etag", "")),
        last_modified=str(record.get("last_modified", "")),
        length=int(record.get("content_length", -1)),
        content_type=str(record.get("content_type", "")),
        encoding=str(record.get("content_encoding", "")),
        reason=str(record.get("reason", "")),
        stored=int(record.get("length", 0)),
        cacheable=bool(record.get("cacheable", True)),
        reused=bool(record.get("reused", False)),
        closes="close" in str(record.get("connection", "")),
        ttfb=float(record.get("ttfb", 0.0)),
        ttl=time_to_live(control, int(record.get("age", 0)), record),
        error=str(record.get("error", "")),
    )


def time_to_live(cache_control: str, age: int, record: Mapping[str, t.Any]) -> float | None:
    """Seconds for which a shared cache may keep an answer by its own headers; None where they say nothing."""
    for name in ("s-maxage", "max-age"):
        found = re.search(rf"\b{name}=\"?(\d+)", cache_control)
        if found:
            return max(0.0, float(found[1]) - age)
    if record.get("expires") and "rfc_ttl" in record:
        return float(record["rfc_ttl"])
    return None


def path_kinds(paths: t.Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The kind of each (host, path): segments that name things become ``*``.

    A segment names a thing when it has a digit, is a long hexadecimal number, has characters
    that are encoded, or is one of many at its place.
    """
    known = sorted(paths)
    siblings: dict[tuple[str, tuple[str, ...]], set[str]] = collections.defaultdict(set)
    for host, path in known:
        segments = path.split("/")
        for place in range(1, len(segments)):
            siblings[host, tuple(segments[:place])].add(segments[place])
    kinds: dict[tuple[str, str], str] = {}
    for host, path in known:
        segments = path.split("/")
        named: list[str] = [segments[0]]
        for place in range(1, len(segments)):
            segment = segments[place]
            # What a site's first level holds are its areas, however many they are.
            many = place > 1 and len(siblings[host, tuple(segments[:place])]) > MANY_SEGMENTS
            named.append("*" if segment and (many or _NAME_OF_A_THING.search(segment)) else segment)
        kinds[host, path] = "/".join(named) or "/"
    return kinds
