# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real CPU traces from the folder ``shared/data`` beside the checkout, when it is there."""

from __future__ import annotations

import csv
import math
import pathlib

import numpy as np
from sizing_replay.generator import Trace

#: The folder beside the checkout; its PROVENANCE.md names sources and licences.
FOLDER = pathlib.Path(__file__).resolve().parents[4] / "shared" / "data"


def traces() -> list[Trace]:
    """crane's production services, NAB's EC2 and RDS CPU series, the Bitbrains machine; [] when absent.

    Percentages stay shares of the machine. crane's series are in cores without a machine:
    theirs is the smallest power of two that holds twice the maximum.
    """
    found = []
    for path in sorted((FOLDER / "crane").glob("input*.csv")):
        values = _column(path, "value")
        machine = 2.0 ** math.ceil(math.log2(2.0 * values.max()))
        found.append(Trace(f"crane-{path.stem}", values / machine, 1))
    for path in sorted((FOLDER / "nab").glob("*cpu_utilization*.csv")):
        found.append(Trace(f"nab-{path.stem}", np.clip(_column(path, "value") / 100.0, 0.0, 1.0), 5))
    for path in sorted((FOLDER / "vmtraces").glob("*.csv")):
        with path.open() as file:
            rows = list(csv.reader(file, delimiter=";"))
        index = [name.strip() for name in rows[0]].index("CPU usage [%]")
        values = np.array([float(row[index]) for row in rows[1:]])
        found.append(Trace(f"bitbrains-{path.stem}", np.clip(values / 100.0, 0.0, 1.0), 5))
    return found


def _column(path: pathlib.Path, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    with path.open() as file:
        return np.array([float(row[name]) for row in csv.DictReader(file)])
