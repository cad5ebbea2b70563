# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU credits of burstable instances, sample by sample.

The rules of https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances.html:
a credit is one vCPU-minute; at most 24 hours of earnings are kept; T2 starts with 30 credits
a vCPU. In unlimited mode a shortage becomes surplus credits, which are charged beyond 24
hours of earnings; in standard mode the CPU is held at its baseline.
"""

from __future__ import annotations

import functools
import typing as t

import numpy as np

from simulator import catalog
from simulator.usage import Demand

if t.TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

SAMPLE = 300


class Credits(t.NamedTuple):
    """Per 5-minute sample: balance at its end, credits used and charged, vCPUs that were had."""

    balance: Array
    used: Array
    charged: Array
    vcpus: Array


@functools.lru_cache(maxsize=512)
def simulate(demand: Demand, instance_type: str, unlimited: bool, start: float, end: float) -> Credits:
    """Credits from ``start`` to ``end`` (whole samples) of an instance with this demand."""
    spec = catalog.spec(instance_type)
    if spec is None or not spec.burstable:
        raise ValueError(f"{instance_type} is not burstable")
    minutes = SAMPLE / 60
    wanted = np.nan_to_num(np.minimum(demand.samples(SAMPLE, start, end), spec.vcpus)) * minutes
    earned = spec.credits_per_hour * minutes / 60
    most = spec.credits_per_hour * 24
    balance = 30.0 * spec.vcpus if instance_type.startswith("t2.") else 0.0
    surplus = 0.0
    balances, used, charges = [], [], []
    for want in wanted.tolist():
        available = balance + earned
        charge = 0.0
        if want > available:
            if unlimited:
                surplus += want - available
                if surplus > most:
                    charge, surplus = surplus - most, most
            else:
                want = available
            balance = 0.0
        else:
            balance = available - want
            repaid = min(balance, surplus)
            surplus -= repaid
            balance = min(balance - repaid, most)
        balances.append(balance)
        used.append(want)
        charges.append(charge)
    spent = np.array(used)
    return Credits(np.array(balances), spent, np.array(charges), spent / minutes)
