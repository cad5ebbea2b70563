# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What varnishd itself lacks: storage, threads, workspaces; and what its backends do.

Counters are judged by their growth while the log was read; where that is too short to see
anything, by their totals since varnishd started.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import typing as t
import zlib
from collections.abc import Hashable, Mapping, Sequence

MIB = 1 << 20
#: What an object takes in memory besides its body and headers (bytes; Varnish's documentation, "Sizing your cache").
OBJECT_OVERHEAD = 1024
#: Part of the memory that is free now which more storage may take.
FREE_SHARE = 0.5
#: Loss of hit ratio against unlimited storage that is accepted.
LOSS = 0.005
#: Accesses that the curve is computed of; more are sampled by their key (Waldspurger and others, FAST 2015: SHARDS).
MOST_ACCESSES = 20_000
#: Storage that was not reused after so many accesses tells nothing.
LEAST_ACCESSES = 500
#: Share of connections to backends that should be used again.
GOOD_REUSE = 0.5


@dataclasses.dataclass(frozen=True)
class Growth:
    """Counters: how much they grew within ``seconds``, and their totals."""

    grown: Mapping[str, int]
    totals: Mapping[str, int]
    seconds: float

    def of(self, name: str) -> int:
        """Growth of a counter, the total since the start where nothing was measured."""
        source = self.grown if self.seconds > 0 else self.totals
        return int(source.get(f"MAIN.{name}", 0))

    def ever(self, *names: str) -> int:
        """The sum of totals since varnishd started."""
        return sum(int(self.totals.get(f"MAIN.{name}", 0)) for name in names)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting of varnishd that should change, and why."""

    name: str
    current: str
    proposed: str
    reason: str
    risk: Mapping[str, int]


# --- Storage


def reuse_distances(accesses: Sequence[tuple[Hashable, int]]) -> list[float]:
    """Bytes of other objects that were asked for since the same one was last (LRU stack distance, in bytes).

    ``accesses``: (key, size in bytes) in order; infinite for a first access.
    """
    places = [0] * (len(accesses) + 1)
    last: dict[Hashable, tuple[int, int]] = {}
    distances: list[float] = []

    def add(place: int, value: int) -> None:
        while place < len(places):
            places[place] += value
            place += place & -place

    def upto(place: int) -> int:
        total = 0
        while place:
            total += places[place]
            place -= place & -place
        return total

    for number, (key, size) in enumerate(accesses, 1):
        before = last.get(key)
        if before is None:
            distances.append(math.inf)
        else:
            place, known = before
            distances.append(float(upto(number - 1) - upto(place) + known))
            add(place, -known)
        add(number, size)
        last[key] = (number, size)
    return distances


@dataclasses.dataclass(frozen=True)
class MissCurve:
    """Share of lookups that storage of a size answers, by reuse distances. ``sampled``: share of keys looked at."""

    distances: Sequence[float]
    accesses: int
    working_set: float
    sampled: float

    @classmethod
    def of(cls, accesses: Sequence[tuple[Hashable, int]]) -> MissCurve:
        """Sample keys by their hash where there are many accesses; distances are scaled up by the share taken."""
        share = min(1.0, MOST_ACCESSES / max(1, len(accesses)))
        limit = int(share * (1 << 32))
        taken = [one for one in accesses if share >= 1 or zlib.crc32(repr(one[0]).encode()) < limit]
        distances = sorted(distance / share for distance in reuse_distances(taken))
        return cls(distances, len(taken), sum(dict(taken).values()) / share, share)

    def hit_ratio(self, size: float) -> float:
        """Share of accesses whose object is still there with ``size`` bytes of storage."""
        return bisect.bisect_right(self.distances, size) / self.accesses if self.accesses else 0.0

    def smallest(self, loss: float = LOSS) -> float:
        """The fewest bytes that lose no more than ``loss`` of the hits that unlimited storage has."""
        most = self.hit_ratio(math.inf if not self.distances else 1e300)
        need = math.ceil((most - loss) * self.accesses)
        return self.distances[need - 1] if 0 < need <= len(self.distances) else 0.0


def storage(
    growth: Growth, curve: MissCurve, memory: Mapping[str, int], name: str = "s0"
) -> tuple[Setting, dict[str, t.Any]] | str:
    """More storage where objects are thrown out that are asked for again; why not, in one sentence, else.

    An empty text: nothing is thrown out.
    """
    nuked = growth.of("n_lru_nuked")
    used = growth.totals.get(f"SMA.{name}.g_bytes", 0)
    size = used + growth.totals.get(f"SMA.{name}.g_space", 0)
    if not nuked or not size:
        return ""
    window = f"within {growth.seconds:.0f} s" if growth.seconds else "since it started"
    informative = curve.accesses >= LEAST_ACCESSES and curve.working_set > size
    wanted = curve.smallest() if informative else 2.0 * size
    most = size + FREE_SHARE * memory.get("available", 0)
    proposed = math.ceil(min(wanted * 1.1, most) / MIB) * MIB
    if proposed < 1.1 * size:
        if informative and wanted * 1.1 <= size:
            return f"{nuked} objects were thrown out {window}, but more storage would not bring more hits"
        return (
            f"{nuked} objects were thrown out {window}, but the host has only "
            f"{memory.get('available', 0) / MIB:.0f} MiB of free memory, of which half may be taken"
        )
    evidence: dict[str, t.Any] = {"nuked": nuked, "storage_bytes": size}
    if informative:
        before, after = curve.hit_ratio(size), curve.hit_ratio(proposed)
        evidence |= {"lookups": {"now": round(before, 4), "then": round(after, 4)}, "accesses": curve.accesses}
        how = (
            f"by the reuse distances of {curve.accesses} lookups, {after:.1%} find their object instead of {before:.1%}"
        )
    else:
        how = "the log is too short to say how many hits that brings, so it is doubled"
    reason = (
        f"{nuked} objects were thrown out for lack of storage {window}: {proposed // MIB} MiB instead of "
        f"{size // MIB} MiB; {how}"
    )
    setting = Setting("storage_size", f"{size // MIB}M", f"{proposed // MIB}M", reason, {"availability": 2})
    return setting, evidence


# --- Parameters


def parameters(growth: Growth, values: Mapping[str, str]) -> list[Setting]:
    """Parameters that can be set while it runs, by the counters that say that they are too small."""
    found: list[Setting] = []

    def propose(name: str, value: int, reason: str, **risk: int) -> None:
        current = _whole(values.get(name))
        if current is not None and value > current:
            found.append(Setting(name, str(current), str(value), reason, risk or {"availability": 1}))

    pools = max(1, _whole(values.get("thread_pools")) or 2)
    limited = growth.ever("threads_limited")
    dropped = growth.ever("sess_dropped", "req_dropped")
    most = _whole(values.get("thread_pool_max")) or 0
    if (limited and growth.of("threads_limited")) or dropped:
        propose(
            "thread_pool_max",
            most * 2,
            f"the limit of {most} threads a pool was reached {limited} times, {dropped} requests were dropped for it",
        )
    queued = growth.of("sess_queued")
    if queued and not limited:
        peak = math.ceil(growth.totals.get("MAIN.threads", 0) / pools)
        least = _whole(values.get("thread_pool_min")) or 0
        propose(
            "thread_pool_min",
            max(peak, least * 2),
            f"{queued} requests waited for a thread to be made: {least} threads a pool are kept ready",
        )
    stuck = growth.ever("n_lru_limited")
    if stuck:
        nuke = _whole(values.get("nuke_limit")) or 50
        propose(
            "nuke_limit",
            nuke * 4,
            f"{stuck} answers could not be stored: {nuke} objects were thrown out for each in vain",
        )
    for side, counters in (
        ("client", ("ws_client_overflow", "client_resp_500")),
        ("backend", ("ws_backend_overflow",)),
    ):
        overflows = growth.ever(*counters)
        if overflows:
            size = _whole(values.get(f"workspace_{side}")) or 0
            propose(f"workspace_{side}", size * 2, f"{overflows} requests failed for lack of workspace of {size} bytes")
    lost = growth.ever("losthdr")
    if lost:
        headers = _whole(values.get("http_max_hdr")) or 64
        propose("http_max_hdr", headers * 2, f"{lost} requests or answers had more than {headers} headers and failed")
    return found


def _whole(text: str | None) -> int | None:
    try:
        return int(float(text)) if text else None
    except ValueError:
        return None


# --- Advice that is not varnishd's to follow


def advice(growth: Growth) -> list[str]:
    """What to do about backends; nothing of it is a setting of varnishd."""
    said: list[str] = []
    opened, reused = growth.of("backend_conn"), growth.of("backend_reuse")
    if opened >= 20 and reused < GOOD_REUSE * (opened + reused):
        said.append(
            f"backends: {opened} of {opened + reused} requests needed a new connection: switch keep-alive on in the "
            "backend, for longer than the 60 s that Varnish keeps an idle connection"
        )
    for counter, sentence in (
        ("backend_fail", "{} connections to backends failed: look at their health and their limit of connections"),
        (
            "backend_busy",
            "{} requests failed because a backend had its max_connections: raise it, or the backend's capacity",
        ),
        ("backend_unhealthy", "{} requests found no healthy backend: look at the probe and the backend"),
        ("bgfetch_no_thread", "{} renewals behind a hit found no thread: see thread_pool_max"),
        ("fetch_failed", "{} answers of backends broke off: look at the backend's log"),
    ):
        count = growth.of(counter)
        if count:
            said.append(sentence.format(count))
    return said
