# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an SLO's rules will say about given events: worked out here, so that promtool's answer is checked against it.

Evaluations happen at the moments 0, 1, 2, … in steps of the evaluation interval; counters are scraped at the same
moments and start at 0, which is where Prometheus' ``rate`` needs no extrapolation: it is the counter's growth within
the window divided by the window's length.

Standard library only: module C(slo) runs on managed hosts.
"""

from __future__ import annotations

import itertools
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import Slo
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_burn import Burn, lower_bound
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_rules import DIRECT


class Counter:
    """A counter's values, one a moment, the first being 0."""

    def __init__(self, growth: Sequence[float], step: int) -> None:
        self.values = list(itertools.accumulate(growth, initial=0.0))
        self.step = step

    def rate(self, window: int, moment: int) -> float | None:
        """Growth per second over the last ``window`` seconds; None where there is only one value yet."""
        if moment < 1:
            return None
        first = max(0, moment - window // self.step)
        return (self.values[moment] - self.values[first]) / window


class Replay(t.Protocol):
    """Error ratios and counts over windows, at moments."""

    step: int

    def ratio(self, window: int, moment: int) -> float | None:
        """Share of bad events, None where there are none at all."""

    def counted(self, window: int, moment: int) -> tuple[float, float]:
        """Bad and all events in a window."""


class EventReplay:
    """Events from two counters: how many bad ones, and how many at all, come in each step."""

    def __init__(self, bad: Sequence[float], total: Sequence[float], step: int) -> None:
        self.step = step
        self.bad = Counter(bad, step)
        self.total = Counter(total, step)
        length = len(self.total.values)
        self._bad_sum = list(itertools.accumulate(self.bad.rate(300, k) or 0.0 for k in range(length)))
        self._total_sum = list(itertools.accumulate(self.total.rate(300, k) or 0.0 for k in range(length)))

    def counted(self, window: int, moment: int) -> tuple[float, float]:
        """From the counters for the windows of the first group, from recorded rates for the others."""
        if window in DIRECT:
            return (
                (self.bad.rate(window, moment) or 0.0) * window,
                (self.total.rate(window, moment) or 0.0) * window,
            )
        before = moment - window // self.step - 1
        return (
            (self._bad_sum[moment] - (self._bad_sum[before] if before >= 0 else 0.0)) * self.step,
            (self._total_sum[moment] - (self._total_sum[before] if before >= 0 else 0.0)) * self.step,
        )

    def ratio(self, window: int, moment: int) -> float | None:
        """Share of bad events."""
        bad, total = self.counted(window, moment)
        return bad / total if total > 0.0 else None


class SliceReplay:
    """Evaluations that are bad (1), good (0) or without a value (None)."""

    def __init__(self, slices: Sequence[int | None], step: int) -> None:
        self.step = step
        self.slices = list(slices)
        self._bad = list(itertools.accumulate((value or 0) for value in slices))
        self._all = list(itertools.accumulate(int(value is not None) for value in slices))

    def counted(self, window: int, moment: int) -> tuple[float, float]:
        """Bad and all evaluations in a window, both ends included."""
        before = moment - window // self.step - 1
        bad, count = self._bad[moment], self._all[moment]
        if before >= 0:
            bad, count = bad - self._bad[before], count - self._all[before]
        return float(bad), float(count)

    def ratio(self, window: int, moment: int) -> float | None:
        """Share of bad evaluations."""
        bad, count = self.counted(window, moment)
        return bad / count if count else None


def lower(slo: Slo, replay: Replay, window: int, moment: int) -> float | None:
    """The lower confidence bound of the error ratio; None where nothing is bad."""
    bad, total = replay.counted(window, moment)
    bound = lower_bound(bad, slo.alerting.z)
    return None if bound is None or total <= 0.0 else bound / total


def holds(slo: Slo, burn: Burn, replay: Replay, moment: int) -> bool:
    """Whether one condition of an alert is met."""
    for window in (burn.short, burn.long):
        ratio = replay.ratio(window, moment)
        if ratio is None or ratio <= burn.threshold:
            return False
    if slo.alerting.minimum_events and replay.counted(burn.long, moment)[1] < slo.alerting.minimum_events:
        return False
    if not slo.alerting.confidence:
        return True
    bound = lower(slo, replay, burn.long, moment)
    return bound is not None and bound > float(slo.budget)


def holding(slo: Slo, severity: str, replay: Replay, moment: int) -> Burn | None:
    """The first condition of a severity that is met: its short window's ratio is the alert's value."""
    return next((burn for burn in slo.burns if burn.severity == severity and holds(slo, burn, replay, moment)), None)
