# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cache with the VCL of a declaration would do with the requests of a log.

The same patterns as in the VCL itself decide, so what is predicted and what is then generated
cannot differ by a reading of the declaration. Pure: no clock, no randomness.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_text
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_log import STORABLE, Visit
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import Site

#: A key of the cache: what two requests must share to get the same stored answer.
Key: t.TypeAlias = "tuple[t.Any, ...]"


@functools.lru_cache(maxsize=65536)
def _found(expression: str, text: str, whole: bool) -> bool:
    pattern = _compiled(expression)
    return bool(pattern.fullmatch(text) if whole else pattern.search(text))


@functools.lru_cache(maxsize=1024)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


@functools.lru_cache(maxsize=1024)
def _expression(kind: t.Callable[[t.Iterable[str]], str], patterns: tuple[str, ...]) -> str:
    return kind(patterns)


def path_matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path is one of these patterns, as the VCL would see it."""
    return bool(patterns) and _found(_expression(vcl_text.paths, tuple(patterns)), path, False)


def name_matches(name: str, patterns: Sequence[str], kind: t.Callable[[t.Iterable[str]], str]) -> bool:
    """Whether a name of a cookie or parameter is one of these patterns."""
    return bool(patterns) and _found(_expression(kind, tuple(patterns)), name, True)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a simulation counted. ``stale_seconds``: for how long in all answers were past their time when they left."""

    requests: int = 0
    hits: int = 0
    misses: int = 0
    passes: int = 0
    refreshes: int = 0
    stale_seconds: float = 0.0

    @property
    def hit_ratio(self) -> float:
        """Share of all requests, those that must be passed included, that the cache answers."""
        return self.hits / self.requests if self.requests else 0.0

    @property
    def backend_requests(self) -> int:
        """Requests that the backend gets: misses, passes, and what is renewed behind a hit."""
        return self.misses + self.passes + self.refreshes


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What simulations of one site share: its requests and what its answers said, by kind of path.

    ``strict`` kinds must be revalidated, so nothing of them is served after its time;
    ``stored`` is the mean size of an answer by path, in bytes.
    """

    visits: Sequence[Visit]
    varies: Mapping[str, tuple[str, ...]]
    lifetimes: Mapping[str, float | None]
    private: frozenset[str]
    strict: frozenset[str]
    stored: Mapping[str, float]

    @classmethod
    def of(cls, visits: Sequence[Visit], private: t.Collection[str]) -> Traffic:
        """Collect what is known of each kind of path. ``private``: kinds whose answers are never stored."""
        varies: dict[str, set[str]] = collections.defaultdict(set)
        lifetimes: dict[str, list[float]] = collections.defaultdict(list)
        sizes: dict[str, list[int]] = collections.defaultdict(list)
        silent: set[str] = set()
        strict: set[str] = set()
        for visit in visits:
            answer = visit.fetched or visit.delivered
            if answer is None or answer.status not in STORABLE:
                continue
            varies[visit.kind].update(answer.vary)
            if "revalidate" in answer.cache_control and "stale-while-revalidate" not in answer.cache_control:
                strict.add(visit.kind)
            if visit.fetched is not None:
                sizes[visit.path].append(max(visit.fetched.stored, visit.fetched.length, 0))
                if answer.ttl is None:
                    silent.add(visit.kind)
                else:
                    lifetimes[visit.kind].append(answer.ttl)
        return cls(
            visits=visits,
            varies={kind: tuple(sorted(names)) for kind, names in varies.items()},
            lifetimes={
                # The shortest that a kind was seen with: a prediction should not promise too much.
                kind: (min(lifetimes[kind]) if kind in lifetimes else None)
                for kind in {*lifetimes, *silent}
            },
            private=frozenset(private),
            strict=frozenset(strict),
            stored={path: sum(values) / len(values) for path, values in sizes.items()},
        )


class Rules:
    """The cache's rules under one declaration."""

    def __init__(self, site: Site, traffic: Traffic, *, normalized_encoding: bool = True) -> None:
        self._site = site
        self._traffic = traffic
        self._normalized_encoding = normalized_encoding and site.normalize_accept_encoding
        # The same paths and names come again and again: each is held against the patterns once.
        self._never = functools.lru_cache(maxsize=None)(self._is_never)
        self._public = functools.lru_cache(maxsize=None)(lambda path: path_matches(path, site.public_paths))
        self._counts = functools.lru_cache(maxsize=None)(self._parameter_counts)
        self._role = functools.lru_cache(maxsize=None)(self._cookie_role)
        self._lifetime = functools.lru_cache(maxsize=None)(self._lifetime_of)
        ignored = {name.lower() for name in site.ignore_vary}
        self._varies = {
            kind: tuple(name for name in names if name not in ignored and name != "accept-encoding")
            for kind, names in traffic.varies.items()
        }

    def key(self, visit: Visit) -> Key | None:
        """The key under which a request is looked up; None where it is passed."""
        site = self._site
        if not visit.readable or visit.outcome == "pipe" or self._never(visit.path):
            return None
        varied: tuple[tuple[str, str], ...] = ()
        if not self._public(visit.path):
            if visit.authorization:
                return None
            found = self._cookies(visit)
            if found is None:
                return None
            varied = found
        encoding = "" if self._normalized_encoding else visit.encodings
        device = visit.device if site.device_classes else ""
        return (visit.host, visit.path, self.query(visit), varied, device, self.variant(visit), encoding)

    def _is_never(self, path: str) -> bool:
        site = self._site
        # Without regard to case, as in the VCL: a backend may not care for it either.
        private = {path, path.lower()}
        return any(path_matches(one, site.private_paths) for one in private) or path_matches(
            path, (*site.pass_paths, *site.websocket_paths)
        )

    def _cookie_role(self, name: str) -> str:
        """What a cookie does: ``pass``, ``vary`` or nothing."""
        cookies = self._site.cookies
        if cookies is None or name_matches(name, cookies.pass_on, vcl_text.cookies):
            return "pass"
        if name in cookies.vary_on:
            return "vary"
        ignored = cookies.ignore_unknown or name_matches(name, cookies.ignore, vcl_text.cookies)
        return "" if ignored else "pass"

    def _cookies(self, visit: Visit) -> tuple[tuple[str, str], ...] | None:
        """Cookies that are part of the key; None where one of them makes the request somebody's own."""
        if not visit.cookies:
            return ()
        if visit.cookies_cut:
            return None
        varied = []
        for name, value in visit.cookies:
            role = self._role(name)
            if role == "pass":
                return None
            if role == "vary":
                varied.append((name, value))
        return tuple(sorted(varied))

    def _parameter_counts(self, name: str) -> bool:
        query = self._site.query
        return query is None or (
            not name_matches(name, query.remove, vcl_text.parameters)
            and (query.keep is None or name_matches(name, query.keep, vcl_text.parameters))
        )

    def query(self, visit: Visit) -> tuple[tuple[str, str], ...]:
        """Parameters that are part of the key."""
        pairs = [(name, value) for name, value, size in visit.query if self._counts(name)]
        # sorted() is stable: a parameter that occurs twice keeps its order, as in the VCL.
        in_order = self._site.query is not None and self._site.query.sort
        return tuple(sorted(pairs, key=lambda pair: pair[0]) if in_order else pairs)

    def variant(self, visit: Visit) -> tuple[tuple[str, str], ...]:
        """Values of the headers that the answers of this kind vary on."""
        return tuple((name, visit.vary.get(name, "")) for name in self._varies.get(visit.kind, ()))

    def lifetime(self, kind: str) -> tuple[float, float]:
        """(time to live, grace) of an answer of this kind in seconds; zero, zero where it is not stored."""
        return self._lifetime(kind)

    def _lifetime_of(self, kind: str) -> tuple[float, float]:
        if kind in self._traffic.private or "*" in self._traffic.varies.get(kind, ()):
            return 0.0, 0.0
        if kind not in self._traffic.lifetimes:
            return 0.0, 0.0
        ttl = self._traffic.lifetimes[kind]
        if ttl is None:
            ttl = self._site.default_ttl
        if ttl <= 0:
            return 0.0, 0.0
        return ttl, 0.0 if kind in self._traffic.strict else self._site.grace

    def warm_up(self) -> float:
        """Seconds at the log's beginning that say nothing: a key that is new there may have been stored before.

        As long as an answer lives, and half of the log at most.
        """
        visits = self._traffic.visits
        if not visits:
            return 0.0
        longest = max(sum(self.lifetime(kind)) for kind in {visit.kind for visit in visits})
        return min(longest, (visits[-1].time - visits[0].time) / 2)

    def simulate(self, warm_up: float | None = None) -> Outcome:
        """Run the log through an empty cache of unlimited size; its first ``warm_up`` seconds are not counted.

        What is compared must have the same: its own :meth:`warm_up` where none is given.
        """
        visits = self._traffic.visits
        if not visits:
            return Outcome()
        begin = visits[0].time + (self.warm_up() if warm_up is None else warm_up)
        stored: dict[Key, float] = {}
        counts: collections.Counter[str] = collections.Counter()
        stale = 0.0
        for visit in visits:
            what, late = self._step(visit, stored)
            if visit.time >= begin:
                counts[what] += 1
                stale += late
        return Outcome(
            requests=sum(counts.values()),
            hits=counts["hit"] + counts["refresh"],
            misses=counts["miss"],
            passes=counts["pass"],
            refreshes=counts["refresh"],
            stale_seconds=stale,
        )

    def lookups(self) -> list[tuple[Key, int]]:
        """What is looked up and stored, with the size of each answer in bytes: for the curve of storage sizes."""
        found = []
        for visit in self._traffic.visits:
            key = self.key(visit)
            if key is not None and self.lifetime(visit.kind)[0] > 0:
                found.append((key, int(self._traffic.stored.get(visit.path, 0)) or visit.size))
        return found

    def _step(self, visit: Visit, stored: dict[Key, float]) -> tuple[str, float]:
        """What becomes of a request, and for how long its answer was past its time."""
        key = self.key(visit)
        if key is None:
            return "pass", 0.0
        ttl, grace = self.lifetime(visit.kind)
        if ttl <= 0:
            return "miss", 0.0
        age = visit.time - stored[key] if key in stored else None
        if age is not None and age < ttl:
            return "hit", 0.0
        stored[key] = visit.time
        if age is not None and age < ttl + grace:
            return "refresh", age - ttl
        return "miss", 0.0
