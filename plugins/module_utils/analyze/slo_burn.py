# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast an error budget may burn before somebody is told, and how sure one has to be.

Multi-window, multi-burn-rate alerts after Google's SRE workbook, chapter "Alerting on SLOs": an alert stands for a
share of the budget (2 % in 1 h, 5 % in 6 h, 10 % in 1 d, 10 % in 3 d of a period of 30 d); the factor by which the
error ratio has to exceed the budget is share × period ÷ long window, and a short window, a twelfth of the long one,
ends the alert soon after the errors end. For 28 d the shares are the same. For 7 d sloth's shares are used (8, 12.5,
20 and 42 %), between 7 and 28 d the factors run along a straight line in logarithms.

Two guards that the usual tables lack:

- Low objectives. A threshold of 100 % or more can never be passed (sloth #341). No threshold lies above the middle
  between the budget and 100 %.
- Low traffic. At 50 requests an hour and an objective of 99.9 %, one bad request is an error ratio of 2 % (pyrra
  #1925). An alert therefore also wants evidence: the number of bad events in its long window has to exceed what the
  budget itself allows by chance. The lower confidence bound of the bad events, taken as Poisson counts, in Byar's
  approximation (Breslow and Day 1987, Statistical Methods in Cancer Research II, p. 69) has to exceed the budget's
  share of all events. It needs only arithmetic that PromQL has; from some 3 to 6 bad events beyond the threshold on
  it is always passed, so that it never delays an alert at high traffic.

Standard library only: module C(slo) runs on managed hosts.
"""

from __future__ import annotations

import dataclasses
import math
import statistics

MINUTE, HOUR, DAY = 60, 3600, 86400

#: (severity, long window, short window) in seconds, fastest first.
WINDOWS: tuple[tuple[str, int, int], ...] = (
    ("page", HOUR, 5 * MINUTE),
    ("page", 6 * HOUR, 30 * MINUTE),
    ("ticket", DAY, 2 * HOUR),
    ("ticket", 3 * DAY, 6 * HOUR),
)
#: Shares of the budget for periods of 28 days and more, and for 7 days.
_SHARES_28 = (0.02, 0.05, 0.10, 0.10)
_SHARES_7 = (0.08, 0.125, 0.20, 0.42)
SHORTEST_DAYS, LONGEST_DAYS = 7.0, 92.0


@dataclasses.dataclass(frozen=True)
class Burn:
    """One condition of an alert: the error ratio of both windows exceeds ``threshold`` = ``factor`` × budget.

    ``wanted`` is the factor of the table; ``factor`` is lower where that could never be reached.
    """

    severity: str
    long: int
    short: int
    wanted: float
    factor: float
    threshold: float

    @property
    def capped(self) -> bool:
        """Whether the table's factor could hardly or never be reached."""
        return self.factor < self.wanted


def table(period_days: float) -> tuple[float, ...]:
    """The factors of the four conditions for a period, fastest first: 14.4, 6, 3 and 1 for 30 days."""
    found = []
    for index, (_severity, long, _short) in enumerate(WINDOWS):
        if period_days >= 28.0:
            factor = _SHARES_28[index] * period_days * DAY / long
        else:
            week = _SHARES_7[index] * 7.0 * DAY / long
            month = _SHARES_28[index] * 28.0 * DAY / long
            part = math.log(period_days / 7.0) / math.log(28.0 / 7.0)
            factor = week ** (1.0 - part) * month**part
        found.append(round(factor, 6))
    return tuple(found)


def burns(budget: float, period_days: float) -> tuple[Burn, ...]:
    """The conditions for a budget (share of events, between 0 and 1) over a period in days."""
    ceiling = (1.0 + budget) / 2.0
    found = []
    for (severity, long, short), wanted in zip(WINDOWS, table(period_days)):
        capped = wanted * budget > ceiling
        factor = round(ceiling / budget, 6) if capped else wanted
        found.append(Burn(severity, long, short, wanted, factor, float(f"{min(wanted * budget, ceiling):.10g}")))
    return tuple(found)


def quantile(confidence: float) -> float:
    """The standard normal quantile of a confidence between 0.5 and 1, to 4 digits."""
    return round(statistics.NormalDist().inv_cdf(confidence), 4)


def lower_bound(bad: float, z: float) -> float | None:
    """Byar's lower confidence bound of a Poisson count, or None where there is no count."""
    if bad <= 0.0:
        return None
    return bad * max(0.0, 1.0 - 1.0 / (9.0 * bad) - z / (3.0 * math.sqrt(bad))) ** 3


def window_name(seconds: int) -> str:
    """A window as the names of the series have it: ``5m``, ``1h``, ``3d``."""
    if seconds % DAY == 0:
        return f"{seconds // DAY}d"
    if seconds % HOUR == 0:
        return f"{seconds // HOUR}h"
    if seconds % MINUTE == 0:
        return f"{seconds // MINUTE}m"
    return f"{seconds}s"


def in_words(seconds: int) -> str:
    """A window as people write it: ``5 min``, ``1 h``, ``3 d``."""
    name = window_name(seconds)
    return f"{name[:-1]} {'min' if name.endswith('m') else name[-1]}"
