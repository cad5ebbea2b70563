# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Did a change hurt? Pure tests on samples from before and after it.

Utilisation (CPU, memory) must rise when a machine gets smaller, so it is judged by
saturation; anything else (latency, errors, queue age) is judged by a regression test that
needs both significance and size, since a rank test alone misses spread and cries wolf on
trifles.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps

Outcome = t.Literal["passed", "failed", "no_data"]

#: Fewest samples on each side for a regression test: with fewer, p < .02 is hardly reachable.
MINIMUM_SAMPLES = 12
#: A sample at or above this utilisation (percent) had no room left.
SATURATED_PERCENT = 97.0
#: Saturated share of the samples after a change that fails it, beyond the share before.
SATURATED_SHARE = 0.01
CONFIDENCE = 0.98
#: A shift smaller than this share of the median before is no regression, however certain.
TOLERANCE = 0.05
#: Growth of the 95th percentile from which a longer tail counts.
TAIL_TOLERANCE = 0.2


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One test: its name, what came out, and one sentence with the figures."""

    name: str
    outcome: Outcome
    detail: str

    def to_dict(self) -> dict[str, str]:
        """Plain data for results, journal and report."""
        return dataclasses.asdict(self)


def saturation(name: str, before: Sequence[float], after: Sequence[float]) -> Check:
    """Fail when the share of saturated samples (percent utilisation) grew by more than 1 %."""
    if not after:
        return Check(name, "no_data", "there are no samples since the change")
    then = _share_saturated(before)
    now = _share_saturated(after)
    outcome: Outcome = "failed" if now > then + SATURATED_SHARE else "passed"
    return Check(
        name,
        outcome,
        f"{now:.1%} of {len(after)} samples at {SATURATED_PERCENT:.0f} % or more, {then:.1%} before; "
        f"highest {max(after):.0f} %",
    )


def _share_saturated(samples: Sequence[float]) -> float:
    return sum(value >= SATURATED_PERCENT for value in samples) / len(samples) if samples else 0.0


def regression(
    name: str,
    before: Sequence[float],
    after: Sequence[float],
    tolerance: float = TOLERANCE,
    confidence: float = CONFIDENCE,
) -> Check:
    """Fail when a metric of which less is better went up, in the middle or in the tail.

    Middle: Mann-Whitney U (one-sided) at ``1 - confidence`` and a Hodges-Lehmann shift whose
    lower confidence bound (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods,
    section 4.3, normal approximation) is above ``tolerance`` of the median before. Tail: the
    95th percentile grew by ``TAIL_TOLERANCE``, and more of the samples above the common 95th
    percentile are from after than chance explains (Fisher's exact test, one-sided).
    """
    if len(before) < MINIMUM_SAMPLES or len(after) < MINIMUM_SAMPLES:
        return Check(
            name,
            "no_data",
            f"{len(before)} samples before and {len(after)} after the change, {MINIMUM_SAMPLES} each are needed",
        )
    numpy, stats = deps.numpy, deps.scipy_stats
    old, new = numpy.asarray(before, dtype=float), numpy.asarray(after, dtype=float)
    level = 1 - confidence
    median = float(numpy.median(old))
    differences = numpy.sort((new[:, None] - old[None, :]).ravel())
    shift = float(numpy.median(differences))
    spread = stats.norm.ppf(confidence) * (len(old) * len(new) * (len(old) + len(new) + 1) / 12) ** 0.5
    rank = max(0, int(len(differences) / 2 - spread))
    lower = float(differences[rank])
    probability = float(stats.mannwhitneyu(new, old, alternative="greater").pvalue)
    slower = probability < level and lower > tolerance * abs(median)
    limit = float(numpy.quantile(numpy.concatenate((old, new)), 0.95))
    then, now = int((old > limit).sum()), int((new > limit).sum())
    longer = float(numpy.quantile(new, 0.95)) > (1 + TAIL_TOLERANCE) * float(numpy.quantile(old, 0.95))
    table = [[now, len(new) - now], [then, len(old) - then]]
    tail = longer and float(stats.fisher_exact(table, alternative="greater").pvalue) < level
    figures = (
        f"median {median:.4g} before, {float(numpy.median(new)):.4g} after (shift {shift:+.4g}, at least {lower:+.4g}, "
        f"p {probability:.3f}); 95th percentile {float(numpy.quantile(old, 0.95)):.4g} before, "
        f"{float(numpy.quantile(new, 0.95)):.4g} after"
    )
    return Check(name, "failed" if slower or tail else "passed", figures)


def verdict(checks: Sequence[Check]) -> Outcome:
    """failed if any failed, no_data if nothing could be tested, else passed."""
    outcomes = {check.outcome for check in checks}
    if "failed" in outcomes:
        return "failed"
    return "passed" if "passed" in outcomes else "no_data"
