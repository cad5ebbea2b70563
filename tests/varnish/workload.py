# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What visitors of a shop ask for, by a seed: the mix that makes a cache useless until somebody tunes it.

300 pages by Zipf's law, a third of them with ``Vary: User-Agent``; parameters in either order, four in
ten links with campaign parameters, one in five with a click identifier; three sorts of Accept-Encoding,
40 browsers; analytics cookies in seven of ten requests; one request in twenty for an account page with
its session's cookie, and every tenth of the others with such a cookie, too.

``traps`` adds what a careless cache breaks: a page that greets the visitor and says nothing about
caching, a search whose parameter matters, a currency cookie on pages that call themselves public, pages
for phones, an unknown parameter without any effect, and an API with Authorization.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import random
import typing as t

PAGES = 300
BROWSERS = [f"Mozilla/5.0 (X11; v{number})" for number in range(40)]
PHONES = [f"Mozilla/5.0 (iPhone; CPU iPhone OS {number}_0 like Mac OS X) Mobile/15E148" for number in range(10, 18)]
ENCODINGS = ("gzip, deflate, br", "gzip", "br, gzip;q=0.8")


@dataclasses.dataclass(frozen=True)
class Visit:
    """One request: its URL, its headers, and what the answer must be about."""

    path: str
    query: str
    headers: tuple[tuple[str, str], ...]

    @property
    def url(self) -> str:
        """Path and query as they are sent."""
        return f"{self.path}?{self.query}" if self.query else self.path


def visits(seed: int, *, traps: bool = False) -> t.Iterator[Visit]:
    """Requests without end; the same seed gives the same."""
    source = random.Random(seed)
    weights = list(itertools.accumulate(1.0 / rank for rank in range(1, PAGES + 1)))
    while True:
        page = bisect.bisect_left(weights, source.random() * weights[-1])
        if traps and source.random() < 0.25:
            yield _trap(source, page)
            continue
        account = source.random() < 0.05
        path = f"/account/{page}" if account else f"/{'v' if page % 3 == 0 else 'p'}/{page}"
        query = [f"id={page}", "sort=asc"]
        if source.random() < 0.5:
            query.reverse()
        query += _campaign(source)
        cookies = []
        if source.random() < 0.7:
            cookies.append(f"_ga=GA1.{source.randrange(10**6)}")
        if account or source.random() < 0.1:
            cookies.append(f"sessionid={source.randrange(10**6)}")
        yield Visit(path, "&".join(query), _headers(source, cookies))


def _campaign(source: random.Random) -> list[str]:
    """Parameters that only say where a visitor comes from."""
    found = []
    if source.random() < 0.4:
        found += [f"utm_source=s{source.randrange(20)}", f"utm_campaign=c{source.randrange(50)}"]
    if source.random() < 0.2:
        found.append(f"gclid={source.randrange(10**9)}")
    return found


def _headers(
    source: random.Random, cookies: t.Sequence[str], *more: tuple[str, str], phone: bool = False
) -> tuple[tuple[str, str], ...]:
    encoding = ENCODINGS[0] if source.random() < 0.5 else ENCODINGS[source.randrange(1, 3)]
    headers = [("User-Agent", source.choice(PHONES if phone else BROWSERS)), ("Accept-Encoding", encoding), *more]
    if cookies:
        headers.append(("Cookie", "; ".join(cookies)))
    return tuple(headers)


def _trap(source: random.Random, page: int) -> Visit:
    """One of the requests that a careless cache answers wrongly."""
    kind = source.randrange(6)
    session = f"sessionid={source.randrange(10**6)}"
    page %= 20
    if kind == 0:
        return Visit("/profile", "&".join(_campaign(source)), _headers(source, [session]))
    if kind == 1:
        return Visit("/search", f"q=w{source.randrange(40)}", _headers(source, []))
    if kind == 2:
        currency = source.choice(("EUR", "USD", "GBP"))
        return Visit(f"/price/{page}", "", _headers(source, [f"currency={currency}"]))
    if kind == 3:
        return Visit(f"/m/{page}", "", _headers(source, [], phone=source.random() < 0.5))
    if kind == 4:
        return Visit(f"/n/{page}", f"pos={source.randrange(500)}", _headers(source, []))
    return Visit(f"/api/{page}", "", _headers(source, [], ("Authorization", f"Bearer t{source.randrange(10**6)}")))
