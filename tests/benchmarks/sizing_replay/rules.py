# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sizing rules of others, from their documentation, on the raw samples that they would see.

Each takes the first part of a trace (share of current capacity) and returns the capacity
that it asks for. They get every sample; ours gets five statistics a day.
"""

from __future__ import annotations

import collections.abc
import functools

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Rule = collections.abc.Callable[[FloatArray, int], float]


def quantile_rule(percentile: float, factor: float) -> Rule:
    """Percentile of the samples times a factor."""

    def rule(samples: FloatArray, step_minutes: int) -> float:
        return float(np.percentile(samples, percentile)) * factor

    return rule


def vertical_pod_autoscaler(samples: FloatArray, step_minutes: int, *, percentile: float = 0.9) -> float:
    """VPA's target: p90 of an exponentially decaying histogram (half-life 24 h) and 15 %.

    Buckets grow by 5 % from 0.01 cores; the value is the upper end of the bucket. Capacity
    is counted as 8 cores, which only sets where the buckets lie.
    """
    cores = samples * 8.0
    age = (samples.size - 1 - np.arange(samples.size)) * step_minutes / 1440.0
    weights = 0.5**age
    bucket = np.maximum(0, np.floor(np.log(np.maximum(cores, 1e-9) / 0.01 * 0.05 + 1.0) / np.log(1.05))).astype(int)
    mass = np.bincount(bucket, weights)
    first = int(np.argmax(np.cumsum(mass) >= percentile * mass.sum()))
    upper = 0.01 * (1.05 ** (first + 1) - 1.0) / 0.05
    return upper * 1.15 / 8.0


#: name -> rule. Sources: AWS Compute Optimizer user guide (p90, p95 or p99.5, headroom 0, 20 or
#: 30 %), krr README (simple strategy: p95), VPA recommender (above), OptScale rightsizing (q99 at
#: most 80 % busy); the last two are what cautious people do by hand.
RULES: dict[str, Rule] = {
    "Compute Optimizer p99.5 + 20 %": quantile_rule(99.5, 1.2),
    "Compute Optimizer p99.5 + 30 %": quantile_rule(99.5, 1.3),
    "Compute Optimizer p99.5 + 0 %": quantile_rule(99.5, 1.0),
    "Compute Optimizer p95 + 20 %": quantile_rule(95.0, 1.2),
    "Compute Optimizer p90 + 20 %": quantile_rule(90.0, 1.2),
    "krr p95": quantile_rule(95.0, 1.0),
    "VPA p90 + 15 %, half-life 24 h": functools.partial(vertical_pod_autoscaler),
    "OptScale q99 / 0.8": quantile_rule(99.0, 1.25),
    "maximum + 15 %": quantile_rule(100.0, 1.15),
    "p99.9 + 15 %": quantile_rule(99.9, 1.15),
}
COMPUTE_OPTIMIZER = "Compute Optimizer p99.5 + 20 %"
