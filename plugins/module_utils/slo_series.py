# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was recorded of a service level objective: at one moment, and over a stretch of time."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

#: Windows of the recorded error ratios, in seconds.
WINDOWS: dict[str, int] = {
    "5m": 300,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "6h": 21_600,
    "1d": 86_400,
    "3d": 259_200,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """The recorded series of one SLO at one moment. Ratios are shares (0..1); None: there is no sample.

    ``errors``: window -> error ratio. ``budget``: 1 - objective. ``left``: remaining share of
    the period's budget, negative when overspent. ``past``: error ratio of each day of the
    period, the oldest first, None for a day without samples.
    """

    name: str
    service: str
    at: datetime.datetime
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    errors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    budget: float | None = None
    left: float | None = None
    period_days: float | None = None
    events_per_second: float | None = None
    past: Sequence[float | None] = ()

    @property
    def title(self) -> str:
        """``SLO checkout-availability (service checkout)``."""
        return title(self.name, self.service)

    def burn(self, window: str) -> float | None:
        """Burn rate over ``window``: its error ratio in error budgets."""
        ratio = self.errors.get(window)
        return None if ratio is None or not self.budget else ratio / self.budget

    @property
    def burn_rates(self) -> dict[str, float]:
        """Burn rate by window, the shortest first, where there are samples."""
        return {window: rate for window in WINDOWS if (rate := self.burn(window)) is not None}


def title(name: str, service: str) -> str:
    """How sentences call an SLO."""
    return f"SLO {name} (service {service})" if service else f"SLO {name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """Error ratios over the windows of a fast burn at one moment (epoch seconds), and events per second."""

    at: float
    long: float | None
    short: float | None
    events: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class History:
    """One SLO over a stretch of time; ``budget`` is 1 - objective."""

    name: str
    service: str
    budget: float
    samples: Sequence[Sample]
