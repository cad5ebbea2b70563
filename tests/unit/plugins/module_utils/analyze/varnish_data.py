# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of a small site behind Varnish's own VCL, as ``varnish_stats_info`` returns them."""

from __future__ import annotations

import hashlib
import random
import typing as t
from collections.abc import Callable, Mapping, Sequence

SITE = {
    "name": "shop",
    "hosts": ["shop.example"],
    "backends": [{"name": "web", "address": "127.0.0.1", "port": 8000}],
}
PARAMETERS = {"default_ttl": "120.0", "default_grace": "10.0", "http_gzip_support": "on", "vsl_reclen": "255"}
PUBLIC = {"cache_control": "public, max-age=4"}

#: What a page answers: the text that its ETag is of, and its headers.
Page: t.TypeAlias = "Callable[[Request], tuple[str, dict[str, t.Any]]]"


class Request:
    """One request of a visitor: a dictionary would not tell its fields."""

    def __init__(self, path: str, at: float, source: random.Random) -> None:
        self.path, self.at, self.source = path, at, source
        self.query: list[tuple[str, str]] = []
        self.cookies: dict[str, str] = {}
        self.agent = "desktop-1"
        self.authorization = False

    def value(self, cookie: str) -> str:
        return self.cookies.get(cookie, "")


def short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def record(request: Request, page: Page, *, etag: bool = True, outcome: str = "") -> dict[str, t.Any]:
    """The record of a request that the backend answered."""
    content, headers = page(request)
    url = "&".join(f"{name}={value}" for name, value in request.query)
    fetch = {"reason": "fetch", "status": 200, "content_type": "text/html", **headers}
    fetch.setdefault("content_length", 5000 + len(request.path))
    if etag and "set_cookie" not in headers:
        fetch["etag"] = short(content)
    passed = bool(request.cookies) or request.authorization
    found: dict[str, t.Any] = {
        "t": request.at,
        "method": "GET",
        "host": "shop.example",
        "path": request.path,
        "outcome": outcome or ("pass" if passed else "miss"),
        "status": 200,
        "ttfb": 0.012,
        "bytes": 5000,
        "device": request.agent.partition("-")[0],
        "fetch": fetch,
    }
    if request.query:
        found["query"] = [[name, short(value), len(f"{name}={value}")] for name, value in request.query]
        found["query_length"] = len(url)
    if request.cookies:
        found["cookies"] = [[name, short(value)] for name, value in request.cookies.items()]
    if request.authorization:
        found["authorization"] = True
    if "user-agent" in headers.get("vary", ""):
        found["vary"] = {"user-agent": short(request.agent)}
    return found


def stats(records: Sequence[Mapping[str, t.Any]], **more: t.Any) -> dict[str, t.Any]:
    """What ``varnish_stats_info`` returns with these requests in the log."""
    return {
        "version": "7.1.1",
        "listens": ["127.0.0.1:6081"],
        "vcl": [{"name": "boot", "status": "active"}],
        "parameters": PARAMETERS,
        "counters": {},
        "memory": {"total": 8 << 30, "available": 4 << 30},
        "tuned": {},
        "window": None,
        "log": {"requests": list(records), "seen": len(records), "live": 0, "cut": False, "incomplete": 0},
        **more,
    }


def visits(
    number: int, make: Callable[[Request], None], page: Page, *, pages: int = 10, rate: float = 50.0, **options: t.Any
) -> list[dict[str, t.Any]]:
    """``number`` requests for ``/p/0`` to ``/p/<pages - 1>``; ``make`` gives each its query, cookies and so on."""
    source = random.Random(7)
    found = []
    for index in range(number):
        request = Request(f"/p/{source.randrange(pages)}", 1000.0 + index / rate, source)
        make(request)
        found.append(record(request, page, **options))
    return found
