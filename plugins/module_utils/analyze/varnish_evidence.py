# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes an answer? Judged by pairs of answers of the backend itself to the same page.

Two answers that follow each other and differ in one thing of their requests only - a cookie, a
parameter, a browser - tell whether that thing matters: by their ETags, or where there are none by
their sizes. Pages also change by themselves, so pairs that do not differ in it are looked at, too.

With no difference in ``n`` pairs, fewer than ``3/n`` of all do differ at 95 % confidence (rule of
three; Hanley and Lippman-Hand, JAMA 249, 1983).
"""

from __future__ import annotations

import collections
import dataclasses
import math
import typing as t
from collections.abc import Callable, Hashable, Iterable, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_log import Answer, Visit

Basis = t.Literal["etag", "size", "none"]

#: Pairs without a difference that are needed to say that something does not matter.
ENOUGH_PAIRS = 20
#: Probability under which "as often as pages change by themselves" is not believed.
SIGNIFICANT = 0.05
#: Share of comparable answers from which a page is said to repeat its own address.
ECHO_SHARE = 0.95


@dataclasses.dataclass(frozen=True)
class Effect:
    """What pairs told. ``differing``: pairs that differ in the thing; ``same``: those that do not.

    ``changed`` and ``changed_same`` count the pairs of each whose answers differ; ``basis`` is
    what the answers were compared by, the weaker where there were both.
    """

    differing: int = 0
    changed: int = 0
    same: int = 0
    changed_same: int = 0
    basis: Basis = "none"
    values: int = 0

    @property
    def known(self) -> bool:
        """Whether there is enough to say anything."""
        return self.differing >= ENOUGH_PAIRS

    @property
    def none(self) -> bool:
        """Whether there is enough, and it does not matter: answers differ no more often than by themselves."""
        return self.known and not self.some

    @property
    def some(self) -> bool:
        """Whether answers differ where the thing does, and more often than by themselves."""
        if not self.changed:
            return False
        if not self.changed_same:
            return True
        return more_often(self.changed, self.differing, self.changed_same, self.same) < SIGNIFICANT

    @property
    def told(self) -> str:
        """The figures, as part of a sentence."""
        by = {"etag": "by their ETags", "size": "by their sizes", "none": ""}[self.basis]
        if not self.differing:
            return "no two answers could be compared"
        if not self.changed:
            return f"none of {self.differing} pairs of answers differ {by}, so fewer than {self.bound:.1%} do"
        alone = f", {self.changed_same} of {self.same} without it" if self.same else ""
        return f"{self.changed} of {self.differing} pairs of answers differ {by}{alone}"

    @property
    def bound(self) -> float:
        """Largest share of differing answers that these pairs could have missed, at 95 % confidence."""
        return min(1.0, 3.0 / self.differing) if self.differing else 1.0


def more_often(changed: int, pairs: int, changed_same: int, same: int) -> float:
    """Probability of as many changes or more if both shares were the same (Fisher's exact test, one-sided)."""
    total, all_changed = pairs + same, changed + changed_same

    def ways(of: int, some: int) -> float:
        return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)

    whole = ways(total, pairs)
    return sum(
        math.exp(ways(all_changed, hits) + ways(total - all_changed, pairs - hits) - whole)
        for hits in range(changed, min(pairs, all_changed) + 1)
        if pairs - hits <= total - all_changed
    )


@dataclasses.dataclass(frozen=True)
class Observation:
    """An answer of the backend and the request that got it. ``print`` identifies the content."""

    visit: Visit
    print: Hashable
    basis: Basis


def fingerprint(answer: Answer, text: int = 0) -> tuple[Hashable, Basis]:
    """What identifies an answer's content, and how good that is; None where nothing does.

    ``text`` characters of the answer are its request's own, such as an address that it repeats.
    Answers in another content coding cannot be compared, so the coding is part of it.
    """
    about = (answer.status, answer.content_type, answer.encoding)
    if answer.etag:
        return ("etag", *about, answer.etag), "etag"
    if answer.length >= 0 and not answer.encoding:
        return ("size", *about, answer.length - text), "size"
    # A compressed size says nothing: two different pages compress to the same size often enough.
    return None, "none"


def observations(visits: Iterable[Visit], *, echo: bool = False) -> list[Observation]:
    """The answers that can be compared: pages that the backend itself made for a whole request."""
    found = []
    for visit in visits:
        answer = visit.fetched
        if answer is None or answer.status != 200 or visit.method != "GET" or visit.range or visit.url_cut:
            continue
        identity, basis = fingerprint(answer, visit.query_length if echo else 0)
        if identity is not None:
            found.append(Observation(visit, identity, basis))
    return found


def repeats_address(visits: Iterable[Visit]) -> bool:
    """Whether pages repeat the query that they were asked with: sizes differ by exactly its length."""
    pairs = agreed = plain = 0
    last: dict[tuple[t.Any, ...], Visit] = {}
    for visit in visits:
        answer = visit.fetched
        if answer is None or answer.status != 200 or answer.etag or answer.encoding or answer.length < 0:
            continue
        key = (visit.host, visit.path, visit.device)
        before = last.get(key)
        last[key] = visit
        if before is None or before.fetched is None or before.query_length == visit.query_length:
            continue
        pairs += 1
        grown = answer.length - before.fetched.length
        agreed += grown == visit.query_length - before.query_length
        plain += grown == 0
    return pairs >= ENOUGH_PAIRS and agreed >= ECHO_SHARE * pairs and agreed > plain


def effect(
    observed: Iterable[Observation],
    thing: Callable[[Visit], Hashable],
    rest: Callable[[Visit], Hashable],
) -> Effect:
    """Whether ``thing`` of a request changes the answer, all of ``rest`` being the same.

    ``observed`` in the order of time: neighbours in time differ least by themselves.
    """
    last: dict[Hashable, Observation] = {}
    counts: collections.Counter[str] = collections.Counter()
    bases: set[Basis] = set()
    values: set[Hashable] = set()
    for one in observed:
        value = thing(one.visit)
        values.add(value)
        key = (one.visit.host, one.visit.path, rest(one.visit))
        before = last.get(key)
        last[key] = one
        if before is None or before.basis != one.basis:
            continue
        which = "same" if thing(before.visit) == value else "differing"
        counts[which] += 1
        counts[f"changed {which}"] += before.print != one.print
        if which == "differing":
            bases.add(one.basis)
    return Effect(
        differing=counts["differing"],
        changed=counts["changed differing"],
        same=counts["same"],
        changed_same=counts["changed same"],
        basis="size" if "size" in bases else "etag" if bases else "none",
        values=len(values),
    )


@dataclasses.dataclass(frozen=True)
class Changes:
    """How often pages change: ``changed`` of ``seen`` pairs of answers to the same key, over ``seconds`` in all."""

    seen: int = 0
    changed: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Changes of one page a second: what was seen, or the most that would not have been (95 %)."""
        if self.seconds <= 0:
            return math.inf
        return max(self.changed, 3.0) / self.seconds


def changes(observed: Sequence[Observation], key: Callable[[Visit], Hashable]) -> Changes:
    """How often the answer to the same key changes with time."""
    last: dict[Hashable, Observation] = {}
    seen = changed = 0
    seconds = 0.0
    for one in observed:
        identity = key(one.visit)
        before = last.get(identity)
        last[identity] = one
        if before is None or before.basis != one.basis:
            continue
        seen += 1
        changed += before.print != one.print
        seconds += one.visit.time - before.visit.time
    return Changes(seen, changed, seconds)
