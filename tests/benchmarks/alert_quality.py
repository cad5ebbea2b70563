# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alert quality: incidents replayed through the rendered pages' conditions, ours against sloth's table.

Both have the same windows and factors; ours wants evidence besides (``analyze/slo_burn.py``). What a miss, a false
page and a delay are: ``alert_replay/judge.py``; what is replayed: ``alert_replay/generator.py`` and ``nab.py``. Run it
alone for the tables (with ``build/root`` in PYTHONPATH, as ``make bench`` does)::

    python tests/benchmarks/alert_quality.py
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import sys
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from alert_replay import nab
from alert_replay.generator import JUDGING_SEEDS, RATES, World, world
from alert_replay.judge import FLOOR, Verdict, judge, together

#: Seeds of each of NAB's series: chance is only in which requests come.
NAB_SEEDS = JUDGING_SEEDS[:10]
_BANDS = ((FLOOR, float("inf")), (5.0, FLOOR), (0.0, 5.0))


@dataclasses.dataclass(frozen=True)
class Workload:
    """Worlds of one kind of incidents and one class of traffic, judged together."""

    name: str
    traffic: str
    verdict: Verdict

    @property
    def false_ratio(self) -> float | None:
        """Our false pages for each of sloth's; None where sloth has none."""
        return self.verdict.false_ours / self.verdict.false_sloth if self.verdict.false_sloth else None

    @property
    def missed(self) -> int:
        """Incidents to page for that sloth's table caught and ours did not."""
        return sum(item.missed for item in self.verdict.sized())

    def delays(self) -> list[float]:
        """Seconds by which our page comes later, for incidents that both caught."""
        return [
            item.ours - item.sloth for item in self.verdict.sized() if item.ours is not None and item.sloth is not None
        ]


def generated(traffic: str, seeds: t.Sequence[int] = JUDGING_SEEDS) -> list[World]:
    """Generated worlds of a class of traffic."""
    return [
        world(seed, rate, objective) for objective, rates in RATES[traffic].items() for rate in rates for seed in seeds
    ]


def recorded(traffic: str, seeds: t.Sequence[int] = NAB_SEEDS) -> list[World]:
    """Worlds from NAB's series; [] when they are absent."""
    return [
        nab.world(name, seed, rate, objective)
        for name in nab.series()
        for objective, rates in RATES[traffic].items()
        for rate in rates
        for seed in seeds
    ]


def judged(name: str, traffic: str, worlds: t.Iterable[World]) -> Workload:
    """The verdict on worlds."""
    return Workload(name, traffic, together(judge(item) for item in worlds))


def workloads() -> t.Iterator[Workload]:
    """Everything that is judged: worlds are made and dropped one after the other."""
    for traffic, by_objective in RATES.items():
        for objective, rates in by_objective.items():
            for rate in rates:
                worlds = (world(seed, rate, objective) for seed in JUDGING_SEEDS)
                yield judged(f"generated, {objective:g} %, {rate:g} requests/h", traffic, worlds)
    for traffic in RATES:
        worlds_of = recorded(traffic)
        if worlds_of:
            yield judged(f"NAB's {len(nab.series())} series, {traffic} traffic", traffic, worlds_of)


def table(found: t.Sequence[Workload]) -> None:
    """Print all workloads."""
    print(
        f"\n  incidents by expected failures: {FLOOR:g} and more (to page for), 5 to {FLOOR:g}, under 5, each as "
        "caught by sloth's table / of those missed by ours; delays in seconds, ours - sloth's"
    )
    head = f"  {'workload':<40}{'traffic':<8}{'to page for':>14}{'5 to 15':>12}{'under 5':>12}"
    print(f"{head}{'false: sloth':>14}{'ours':>7}{'ratio':>7}{'delay: median':>15}{'90 %':>8}")
    for item in found:
        cells = []
        for low, high in _BANDS:
            inside = item.verdict.sized(low, high)
            cells.append(f"{sum(one.sloth is not None for one in inside)} / {sum(one.missed for one in inside)}")
        delays = item.delays() or [0.0]
        late = statistics.quantiles(delays, n=10)[-1] if len(delays) > 1 else delays[0]
        ratio = "–" if item.false_ratio is None else f"{item.false_ratio:.2f}"
        print(
            f"  {item.name:<40}{item.traffic:<8}{cells[0]:>14}{cells[1]:>12}{cells[2]:>12}"
            f"{item.verdict.false_sloth:>14}{item.verdict.false_ours:>7}{ratio:>7}"
            f"{statistics.median(delays):>15.0f}{late:>8.0f}"
        )
    for low, high in _BANDS:
        inside = [one for item in found for one in item.verdict.sized(low, high)]
        caught = sum(one.sloth is not None for one in inside)
        print(
            f"  incidents with {low:g} to {high:g} expected failures: {caught} caught by sloth's table, "
            f"{sum(one.missed for one in inside)} of them missed by ours"
        )
    for source in ("generated", "NAB"):
        quiet = [item.verdict for item in found if item.traffic == "low" and item.name.startswith(source)]
        ours, sloth = sum(one.false_ours for one in quiet), sum(one.false_sloth for one in quiet)
        if sloth:
            print(f"  false pages at low traffic, {source}: {ours} against {sloth}, ratio {ours / sloth:.2f}")


def records(item: Workload) -> list[dict[str, t.Any]]:
    """What ``make bench`` collects of a workload. Ratios are ours / peer."""
    verdict, delays = item.verdict, item.delays() or [0.0]
    caught = [
        sum(one.sloth is not None for one in verdict.sized()),
        sum(one.ours is not None for one in verdict.sized()),
    ]
    common = {"workload": f"{item.name}, {verdict.days:.0f} days", "peer_name": "sloth's table"}
    return [
        {
            **common,
            "name": f"incidents caught of {len(verdict.sized())} to page for (ratio: ours / peer)",
            "ours": caught[1],
            "peer": caught[0],
            "unit": "incidents",
            "ratio": round(caught[1] / caught[0], 4) if caught[0] else None,
            "note": f"missed {item.missed}",
        },
        {
            **common,
            "name": "false pages (ratio: ours / peer)",
            "ours": verdict.false_ours,
            "peer": verdict.false_sloth,
            "unit": "pages",
            "ratio": None if item.false_ratio is None else round(item.false_ratio, 3),
        },
        {
            **common,
            "name": "the page comes later by (median)",
            "ours": statistics.median(delays),
            "peer": 0.0,
            "unit": "s",
            "ratio": None,
        },
    ]


def run(*, verbose: bool = True) -> list[dict[str, t.Any]]:
    """Judge all workloads; returns records {name, workload, ours, peer, unit, ratio}."""
    found = list(workloads())
    if verbose:
        table(found)
        if not nab.series():
            print(f"  NAB's series: skipped, there is no {nab.FOLDER.parent.parent.name}/data/nab beside the checkout")
    return [record for item in found for record in records(item)]


if __name__ == "__main__":
    run()
