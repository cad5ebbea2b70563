# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replay: size on the first half of each trace, live through the second, compare sizing rules.

Ours is the engine of ``plugins/module_utils/analyze`` itself, fed with the five daily
statistics that it gets in production; the others see every sample. Run it alone for the
tables (with ``build/root`` in PYTHONPATH, as ``make bench`` does)::

    python tests/benchmarks/replay.py
    python tests/benchmarks/replay.py --traces FOLDER   # CSV files of your own

Own traces: one file a machine, a header, the last column is the demand, either percent of
the machine (``--percent``) or any unit of which the machine has the next power of two above
twice the maximum. ``--step-minutes`` is the interval of the samples.
"""

from __future__ import annotations

import argparse
import collections.abc
import csv
import math
import pathlib
import sys
import typing as t

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from sizing_replay import shared_data
from sizing_replay.generator import JUDGING_SEEDS, Trace, world
from sizing_replay.judge import Claims, Point, Replay, claims, minutes_at, saving_at
from sizing_replay.rules import COMPUTE_OPTIMIZER, RULES

#: name -> (days, minutes a sample, how many of the judging seeds). 60 machines a seed.
SHAPES = {
    "generated, 30 days at 5 min": (30, 5, 40),
    "generated, 16 days at 5 min": (16, 5, 40),
    "generated, 60 days at 5 min": (60, 5, 40),
    "generated, 14 days at 1 min": (14, 1, 40),
}
#: Machine sizes, as powers of two of 1/8, on which each real trace is placed.
PLACEMENTS = 8


def generated(name: str) -> list[list[Trace]]:
    """Worlds of one shape, one list of traces a judging seed."""
    days, step, seeds = SHAPES[name]
    return [world(seed, days=days, step_minutes=step) for seed in JUDGING_SEEDS[:seeds]]


def placed(traces: collections.abc.Sequence[Trace]) -> list[Trace]:
    """Each trace on eight machines, from its own to nearly twice as large.

    Sizes are powers of two, so a rule wins or loses by where a trace happens to lie between
    two of them; few traces would make that the whole result.
    """
    return [
        Trace(trace.name, trace.demand * 2.0 ** (-place / PLACEMENTS), trace.step_minutes)
        for trace in traces
        for place in range(PLACEMENTS)
    ]


def table(name: str, replay: Replay, front: collections.abc.Sequence[Point], found: Claims) -> None:
    """Print one workload: every rule, and what ours does at the same saving."""
    print(f"\n{name}: {replay.minutes.shape[0]} machines; overload minutes are a mean a machine in 30 days")
    print(f"  {'rule':<34}{'saving':>8}{'minutes':>10}{'ours at its saving':>20}{'ratio':>8}")
    for rule in RULES:
        point = replay.rule(rule)
        ours = minutes_at(front, point.saving)
        ratio = ours / point.minutes if point.minutes else math.nan
        print(f"  {rule:<34}{point.saving:>8.3f}{point.minutes:>10.1f}{ours:>20.1f}{ratio:>8.2f}")
    default = replay.ours()
    print(f"  {'ours, default':<34}{default.saving:>8.3f}{default.minutes:>10.1f}")
    print(
        f"  saves more than Compute Optimizer at no more minutes: {found.saves_more}; "
        f"minutes at its saving: {found.minutes_ratio:.2f}; outside our front: {', '.join(found.outside) or 'nobody'}"
    )


def records(name: str, replay: Replay, front: collections.abc.Sequence[Point]) -> list[dict[str, t.Any]]:
    """What ``make bench`` collects. ``ratio`` is ours / peer."""
    found = []
    for rule in RULES:
        point = replay.rule(rule)
        ours = minutes_at(front, point.saving)
        found.append(
            {
                "name": f"overload minutes at the saving of {rule} (ratio: ours / peer)",
                "workload": name,
                "ours": round(ours, 2),
                "peer": round(point.minutes, 2),
                "unit": "minutes a machine in 30 days",
                "ratio": round(ours / point.minutes, 3) if point.minutes else None,
            }
        )
    optimizer, default = replay.rule(COMPUTE_OPTIMIZER), replay.ours()
    saving = saving_at(front, optimizer.minutes)
    for title, ours in (
        (f"saving at no more overload minutes than {COMPUTE_OPTIMIZER} (ratio: ours / peer)", saving),
        (f"saving of the default against {COMPUTE_OPTIMIZER} (ratio: ours / peer)", default.saving),
    ):
        found.append(
            {
                "name": title,
                "workload": name,
                "ours": round(ours, 4),
                "peer": round(optimizer.saving, 4),
                "unit": "share of the cost",
                "ratio": round(ours / optimizer.saving, 3) if optimizer.saving else None,
            }
        )
    found.append(
        {
            "name": f"overload minutes of the default against {COMPUTE_OPTIMIZER} (ratio: ours / peer)",
            "workload": name,
            "ours": round(default.minutes, 2),
            "peer": round(optimizer.minutes, 2),
            "unit": "minutes a machine in 30 days",
            "ratio": round(default.minutes / optimizer.minutes, 3) if optimizer.minutes else None,
        }
    )
    return found


def spread(name: str, worlds: collections.abc.Sequence[collections.abc.Sequence[Trace]]) -> None:
    """How the claims fare in single worlds: few machines leave much to chance."""
    judged = [claims(Replay(traces)) for traces in worlds]
    ratios = np.array([min(item.minutes_ratio, 9.0) for item in judged])
    low, middle, high = np.percentile(ratios, (10, 50, 90))
    print(
        f"  one world at a time ({len(worlds)} of {len(worlds[0])} machines): saves more in "
        f"{np.mean([item.saves_more for item in judged]):.0%}; minutes at Compute Optimizer's saving "
        f"{middle:.2f} (10 % below {low:.2f}, 10 % above {high:.2f}), at most 0.80 in {np.mean(ratios <= 0.8):.0%}"
    )


def run(*, verbose: bool = True) -> list[dict[str, t.Any]]:
    """Judge all workloads; returns records {name, workload, ours, peer, unit, ratio}."""
    found: list[dict[str, t.Any]] = []
    for name in SHAPES:
        worlds = generated(name)
        found += _judge(name, [trace for traces in worlds for trace in traces], verbose)
        if verbose:
            spread(name, worlds)
    real = shared_data.traces()
    if real:
        found += _judge(f"{len(real)} real traces on {PLACEMENTS} machines each", placed(real), verbose)
    elif verbose:
        print(f"\nreal traces: skipped, there is no {shared_data.FOLDER.parent.name}/data beside the checkout")
    return found


def _judge(name: str, traces: collections.abc.Sequence[Trace], verbose: bool) -> list[dict[str, t.Any]]:
    replay = Replay(traces)
    front = replay.front()
    if verbose:
        table(name, replay, front, claims(replay, front))
    return records(name, replay, front)


def own_traces(folder: pathlib.Path, step_minutes: int, percent: bool) -> list[Trace]:
    """Read the CSV files of ``folder``: last column, header skipped."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open() as file:
            values = np.array([float(row[-1]) for row in list(csv.reader(file))[1:] if row])
        machine = 100.0 if percent else 2.0 ** math.ceil(math.log2(max(2.0 * values.max(), 1e-9)))
        found.append(Trace(path.stem, np.clip(values / machine, 0.0, 1.0), step_minutes))
    return found


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Compare sizing rules by replay.")
    parser.add_argument("--traces", type=pathlib.Path, help="folder of CSV files, one a machine")
    parser.add_argument("--step-minutes", type=int, default=5, help="interval of the samples")
    parser.add_argument("--percent", action="store_true", help="values are percent of the machine")
    parser.add_argument("--place", action="store_true", help="put each trace on eight machine sizes")
    options = parser.parse_args()
    if options.traces is None:
        run()
        return 0
    traces = own_traces(options.traces, options.step_minutes, options.percent)
    if not traces:
        parser.error(f"--traces {options.traces}: there is no CSV file in it")
    _judge(str(options.traces), placed(traces) if options.place else traces, True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
