# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds from the Numenta Anomaly Benchmark: real series of AWS machines, with labelled windows.

The folder ``shared/data/nab`` beside the checkout holds them; its PROVENANCE.md names source and licence. A series
becomes an indicator by a threshold that is the same rule for all and looks at nothing that is judged: the largest
value of the first 15 % of the series (NAB's own probation period), and a tenth more. While a sample of 5 minutes is
beyond it, every request fails; otherwise requests fail at 30 % of what the budget allows.

Incidents are the times beyond the threshold, with gaps under an hour closed: those that meet a labelled window are of
kind ``labelled``, the others ``unlabelled``. To requests that fail it is the same whether somebody has labelled them.
"""

from __future__ import annotations

import csv
import datetime
import json
import pathlib

import numpy as np
from alert_replay.generator import STEP, Floats, Incident, World

FOLDER = pathlib.Path(__file__).resolve().parents[4] / "shared" / "data" / "nab"
PROBATION = 0.15
BEYOND = 1.1
HEALTHY = 0.3
SAMPLE = 300
GAP = 3600


def series() -> list[str]:
    """Names of the series that are there; none when the folder is absent."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


def world(name: str, seed: int, rate: float, objective: float) -> World:
    """Requests of ``rate`` an hour to what a series tells of."""
    random = np.random.default_rng([seed, round(rate * 1000), round(objective * 1000)])
    times, values = _read(FOLDER / f"{name}.csv")
    beyond = values > BEYOND * values[: int(len(values) * PROBATION)].max()
    budget = 1.0 - objective / 100.0
    probability = np.repeat(np.where(beyond, 1.0, HEALTHY * budget), SAMPLE // STEP)
    expected_total = np.full(len(probability), rate * STEP / 3600.0)
    total = random.poisson(expected_total).astype(np.int64)
    bad = random.binomial(total, probability).astype(np.int64)
    return World(
        f"{name}, {rate:g} an hour, {objective:g} %, seed {seed}",
        objective,
        bad,
        total,
        expected_total * probability,
        expected_total,
        tuple(_incidents(beyond, _labelled(name, times))),
    )


def _read(path: pathlib.Path) -> tuple[list[datetime.datetime], Floats]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return (
        [datetime.datetime.fromisoformat(row["timestamp"]) for row in rows],
        np.array([float(row["value"]) for row in rows]),
    )


def _labelled(name: str, times: list[datetime.datetime]) -> list[bool]:
    """Whether each sample lies in a labelled window."""
    windows = json.loads((FOLDER / "combined_windows.json").read_text())
    found = next(value for key, value in windows.items() if key.endswith(f"/{name}.csv"))
    spans = [tuple(datetime.datetime.fromisoformat(edge) for edge in window) for window in found]
    return [any(start <= time <= end for start, end in spans) for time in times]


def _incidents(beyond: np.ndarray[tuple[int], np.dtype[np.bool_]], labelled: list[bool]) -> list[Incident]:
    runs: list[list[int]] = []
    for sample in np.flatnonzero(beyond).tolist():
        if runs and sample - runs[-1][1] <= GAP // SAMPLE:
            runs[-1][1] = sample + 1
        else:
            runs.append([sample, sample + 1])
    factor = SAMPLE // STEP
    return [
        Incident("labelled" if any(labelled[start:end]) else "unlabelled", start * factor, end * factor)
        for start, end in runs
    ]
