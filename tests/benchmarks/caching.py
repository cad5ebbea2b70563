# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference site before and after one run of ``frugal.cloud.caching``, and with each layer alone.

Two test hosts get the shop; its first measurement tells what it serves per second (closed load). Then the playbook
runs once. Pairs of measurements follow, before and after, in alternating order: the shop is restarted with the
environment of its state, a fresh copy of its data and empty caches, and all customers of ``traffic.json`` use it:
a warm-up, the open load (60 % of what was served before: latency is compared here, where both keep up) and the closed
load (240 customers, which saturates the shop before: throughput is compared here). Every answer's content is judged;
one broken promise fails the benchmark.

The load generator shares the machine's cores with the shop. Its processor time a request is the same in both states,
so it is a larger part of what remains after: the ratio of throughputs is smaller than with a load generator
elsewhere. The table shows processor time a request by layer, with the load generator's own.

``python tests/benchmarks/caching.py --pairs 1 --duration 10`` is a quick look, for correctness: with caches that
are not warm its figures mean little.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
import time
import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.tests.hosts import scenario
from ansible_collections.frugal.cloud.tests.reference_site import deployment, load

PAIRS = 5
#: seconds of the warm-up, and of each of the two loads
WARM, DURATION = 30, 20
LAYERS = ("pool", "query cache", "application cache", "HTTP cache")
#: what the programs on the hosts are part of
PARTS = {
    "postgres": "database",
    "gunicorn": "shop",
    "pgbouncer": "caches",
    "pgpool": "caches",
    "varnishd": "caches",
    "cache-main": "caches",
    "redis-server": "caches",
    "k6": "load",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One measurement of a state: the open and the closed load, processor time in ms a request by part."""

    open: load.Phase
    closed: load.Phase
    cost: t.Mapping[str, float]
    judged: int
    prices: int


class PromiseBroken(AssertionError):
    """A customer saw what the site promises not to show."""


def measure(site: deployment.Site, name: str, rate: int, warm: float, duration: float, seed: int) -> Run:
    """Measure the shop in the state ``name``."""
    state = deployment.STATES[name]
    site.enter(state)
    seconds = {"warm": warm, "open": duration, "closed": duration}
    measured, programs = site.measure(state, seconds, rate=rate, seed=seed)
    if measured.broken:
        raise PromiseBroken(f"{name}: {dict(measured.broken)}; {'; '.join(measured.examples)}")
    cost = dict.fromkeys(("database", "shop", "caches", "load"), 0.0)
    for program, milliseconds in programs.items():
        part = PARTS.get(program)
        if part:
            cost[part] += milliseconds
    run = Run(measured.phases["open"], measured.phases["closed"], cost, measured.judged, measured.prices)
    print(row(name, run), flush=True)
    if run.open.requests < 0.95 * rate * duration:
        # Every customer was waiting for an answer: the latencies are those of fewer requests than in the other states.
        print(f"  {'':18}only {run.open.requests / duration:.0f} of {rate} requests/s of the open load were answered")
    return run


def row(name: str, run: Run) -> str:
    """A run as a line of the table."""
    parts = "".join(f"{run.cost[part]:9.2f}" for part in ("database", "shop", "caches", "load"))
    return (
        f"  {name:18}{run.closed.throughput:8.0f}{run.closed.p50:9.1f}{run.closed.p95:9.1f}"
        f"{run.open.p50:9.1f}{run.open.p95:9.1f}{parts}{run.open.failed + run.closed.failed:8}"
    )


HEAD = (
    f"  {'':18}{'closed load':^26}{'open load':^18}{'processor ms a request':^36}\n"
    f"  {'state':18}{'req/s':>8}{'p50 ms':>9}{'p95 ms':>9}{'p50 ms':>9}{'p95 ms':>9}"
    f"{'database':>9}{'shop':>9}{'caches':>9}{'load':>9}{'failed':>8}"
)


def capacity(site: deployment.Site, seconds: float) -> float:
    """Requests/s that the shop serves before, under the closed load."""
    state = deployment.STATES["before"]
    site.enter(state)
    measured, _cost = site.measure(state, {"closed": seconds}, seed=0)
    return measured.phases["closed"].throughput


FIGURES: t.Mapping[str, tuple[str, str, Callable[[Run], float], bool]] = {
    "throughput": ("closed load", "requests/s", lambda run: run.closed.throughput, True),
    "p50": ("open load", "ms", lambda run: run.open.p50, False),
    "p95": ("open load", "ms", lambda run: run.open.p95, False),
    "p50 saturated": ("closed load", "ms", lambda run: run.closed.p50, False),
    "p95 saturated": ("closed load", "ms", lambda run: run.closed.p95, False),
    "processor time a request": ("both loads", "ms", lambda run: sum(run.cost.values()), False),
    "processor time a request without the load generator": (
        "both loads",
        "ms",
        lambda run: sum(run.cost.values()) - run.cost["load"],
        False,
    ),
}
#: how many times better it has to be
TARGETS = {"throughput": 3.0, "p50": 3.0, "p95": 2.0}


def compared(name: str, before: Sequence[Run], after: Sequence[Run], what: str) -> dict[str, t.Any]:
    """An entry of the benchmark: how many times better, median over the pairs."""
    workload, unit, value, more_is_better = FIGURES[name]
    ratios = [value(new) / value(old) if more_is_better else value(old) / value(new) for old, new in zip(before, after)]
    ratio = statistics.median(ratios)
    target = TARGETS.get(name) if what == "after" else None
    spread = f"{len(ratios)} pairs, {min(ratios):.2f} to {max(ratios):.2f} times better" if len(ratios) > 1 else "1 run"
    missed = f"; has to be {target:g}" if target and ratio < target else ""
    return {
        "name": f"caching, {what}: {name} (times better than before)",
        "workload": f"reference site, mixed traffic with 10 % writes, {workload}",
        "ours": statistics.median(value(run) for run in after),
        "peer": statistics.median(value(run) for run in before),
        "peer_name": "before",
        "unit": unit,
        "ratio": ratio,
        "note": spread + missed,
    }


def run(pairs: int = PAIRS, duration: float = DURATION, warm: float = WARM) -> list[dict[str, t.Any]]:
    """Measure all states; raises PromiseBroken."""
    with (
        tempfile.TemporaryDirectory() as folder,
        scenario.running(*deployment.HOSTS, key=f"caching-{time.time_ns()}") as hosts,
    ):
        site = deployment.Site(hosts, Path(folder))
        site.install()
        served = capacity(site, duration)
        rate = max(1, round(load.TRAFFIC["open_load_share"] * served))
        started = time.monotonic()
        site.apply_caching()
        print(f"  frugal.cloud.caching: {time.monotonic() - started:.0f} s; open load: {rate} requests/s\n{HEAD}")
        measured: dict[str, list[Run]] = {"before": [], "after": []}
        for pair in range(pairs):
            for name in ("before", "after") if pair % 2 == 0 else ("after", "before"):
                measured[name].append(measure(site, name, rate, warm, duration, seed=pair + 1))
        layers = {name: [measure(site, name, rate, warm, duration, seed=1)] for name in LAYERS}
    entries = [compared(name, measured["before"], measured["after"], "after") for name in FIGURES]
    for name, runs in layers.items():
        # A layer is measured once: it is compared with the median of what was before.
        middle = sorted(measured["before"], key=lambda one: one.closed.throughput)[len(measured["before"]) // 2]
        entries += [compared(figure, [middle], runs, name) for figure in ("throughput", "p50", "p95")]
    every = [*measured["before"], *measured["after"], *(one for runs in layers.values() for one in runs)]
    print(
        f"  no promise was broken in {sum(one.judged for one in every):,} answers, "
        f"{sum(one.prices for one in every):,} prices compared with what staff had set"
    )
    return entries


def main() -> int:
    parser = argparse.ArgumentParser(description="The reference site before and after frugal.cloud.caching.")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--duration", type=float, default=DURATION, help="seconds of each load")
    parser.add_argument("--warm", type=float, default=None, help="seconds of the warm-up; as long as a load's")
    options = parser.parse_args()
    warm = options.duration if options.warm is None else options.warm
    for entry in run(options.pairs, options.duration, warm):
        print(
            f"  {entry['name']}: {entry['peer']:.1f} -> {entry['ours']:.1f} {entry['unit']}, "
            f"{entry['ratio']:.2f} times better ({entry['note']})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
