# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error budgets: what is left, how fast it burns, when it is gone, and whether a change may begin. Pure.

Words and figures are those of Beyer et al., The Site Reliability Workbook (O'Reilly 2018),
chapter 5: the error budget is the share of bad events that the objective allows, and a burn
rate of 1 uses up exactly one budget in one period. A burn counts while it is above its level
over a long window (it matters) and over a short one (it is still going on).
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import statistics
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_burn import burns, window_name
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.slo_series import WINDOWS, History, Reading, Sample, title

#: Pairs of windows in which a change gate looks for a burn: one that has just begun, and a slow one.
GATE: tuple[tuple[str, str], ...] = (("1h", "5m"), ("6h", "30m"))
#: Windows whose burn rates span the band of a forecast; their median is its middle.
RECENT = ("1h", "6h", "1d", "3d")
#: With fewer bad events in six hours, a burn rate is mostly chance: no forecast.
MINIMUM_BAD_EVENTS = 10
#: Days of the period where its series has no sample.
USUAL_DAYS = 30.0


class Guard(t.Protocol):
    """What is asked of an SLO before and after a change: a policy's ``SloGuard``."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def service(self) -> str:
        """Its service; empty: any."""

    @property
    def maximum_burn_rate(self) -> float:
        """A change waits while the budget burns faster."""

    @property
    def fast_burn_rate(self) -> float:
        """Such a burn while a change soaks fails it."""

    @property
    def minimum_bad_events(self) -> float:
        """Bad events in an hour from which a fast burn counts."""


State = t.Literal["healthy", "burning_slowly", "burning_fast", "exhausted", "no_data"]


def _times(rate: float) -> str:
    return f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# -- the change gate ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a change may begin: ``open``, ``held`` (``why`` names SLO, figure and rule) or ``blind`` (no data)."""

    outcome: t.Literal["open", "held", "blind"]
    why: str = ""


def rule(readings: Sequence[Reading], guard: Guard, floor: float) -> Ruling:
    """What ``guard`` says about changes now. ``floor``: least share of the budget that must be left.

    Held when less is left, or when the burn rate is above the guard's maximum over both
    windows of a pair of :data:`GATE`. A short window without samples does not calm a long
    one. With several ``readings`` (the same SLO of several services) the worst decides.
    """
    rulings = [_rule(reading, guard, floor) for reading in readings]
    for outcome in ("held", "blind"):
        for ruling in rulings:
            if ruling.outcome == outcome:
                return ruling
    if not rulings:
        return Ruling("blind", f"{title(guard.name, guard.service)} has no samples")
    return Ruling("open")


def _rule(reading: Reading, guard: Guard, floor: float) -> Ruling:
    left = reading.left
    if left is not None and (left < floor or left <= 0):
        wanted = f"at least {_percent(floor)}" if floor > 0 else "more than nothing"
        return Ruling(
            "held",
            f"{reading.title} has {_percent(left)} of its error budget left; "
            f"the policy asks for {wanted} (error_budget_floor)",
        )
    known = False
    for long, short in GATE:
        rate, now = reading.burn(long), reading.burn(short)
        known = known or rate is not None
        if rate is None or rate <= guard.maximum_burn_rate or (now is not None and now <= guard.maximum_burn_rate):
            continue
        still = f" and {_times(now)} times over {short}" if now is not None else ""
        return Ruling(
            "held",
            f"{reading.title} burns its error budget at {_times(rate)} times the sustainable rate over {long}{still}; "
            f"the policy allows {guard.maximum_burn_rate:g} (maximum_burn_rate)",
        )
    lacking = [
        what
        for what, there in (
            ("the budget left (slo:period_error_budget_remaining:ratio)", left is not None),
            ("the error ratio over 1h or 6h (slo:sli_error:ratio_rate1h, _rate6h)", known),
        )
        if not there
    ]
    if lacking:
        return Ruling("blind", f"{reading.title} has no samples of {' and '.join(lacking)}")
    return Ruling("open")


# -- the watch of applied changes ----------------------------------------------------------


def fast_burn(histories: Sequence[History], guard: Guard, since: datetime.datetime) -> Check | None:
    """Whether the budget burned fast after ``since``, when a change began; None where nothing can be told.

    A fast burn is above the guard's ``fast_burn_rate`` over 1h and over 5m, with at least
    its ``minimum_bad_events`` in the hour where the SLO counts events: at low traffic a
    single bad event would look like an outage. A burn that had begun before is nobody's proof.
    """
    name = f"slo {guard.name}"
    seen: list[Check] = []
    for history in histories:
        called = title(history.name, history.service)
        limit = min(guard.fast_burn_rate, _highest(history.budget))
        began = since.timestamp()
        after = [sample for sample in history.samples if sample.at >= began and sample.long is not None]
        if not after:
            continue
        before = [sample for sample in history.samples if sample.at < began]
        burning = [sample for sample in after if _burns(sample, history, limit, guard.minimum_bad_events)]
        if before and _burns(before[-1], history, limit, guard.minimum_bad_events):
            seen.append(Check(name, "no_data", f"{called} burned fast already when the change began"))
        elif burning:
            moment = datetime.datetime.fromtimestamp(burning[0].at, datetime.timezone.utc)
            seen.append(
                Check(
                    name,
                    "failed",
                    f"{called} burned its error budget at {_times((burning[0].long or 0.0) / history.budget)} times "
                    f"the sustainable rate over 1h at {moment:%Y-%m-%d %H:%M} UTC; from {limit:g} on it is too fast",
                )
            )
        else:
            most = max(sample.long or 0.0 for sample in after) / history.budget
            detail = f"{called} burned at most at {_times(most)} times the sustainable rate over 1h since the change"
            seen.append(Check(name, "passed", detail))
    for outcome in ("failed", "no_data", "passed"):
        for check in seen:
            if check.outcome == outcome:
                return check
    return None


def _highest(budget: float) -> float:
    """The highest burn rate that is waited for: a low objective has none of 14.4, its budget is too big for that."""
    return (1.0 + budget) / 2.0 / budget


def _burns(sample: Sample, history: History, limit: float, minimum: float) -> bool:
    """Whether a fast burn is on at ``sample``."""
    if sample.long is None or sample.short is None or min(sample.long, sample.short) < limit * history.budget:
        return False
    hour = [
        each.events for each in history.samples if sample.at - 3600 <= each.at <= sample.at and each.events is not None
    ]
    return not hour or statistics.fmean(hour) * 3600 * sample.long >= minimum


# -- what an SLO's figures mean ------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Forecast:
    """Hours until the budget is gone: the median of recent burn rates, and the band of all of them.

    None: not within one period. ``reason`` says why there is no forecast, or what it rests on.
    """

    hours: float | None = None
    earliest: float | None = None
    latest: float | None = None
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether the budget is foreseen to be gone within one period, at least at the fastest recent burn."""
        return self.earliest is not None


def forecast(reading: Reading) -> Forecast:
    """When the budget will be gone if things go on as lately.

    Recent burn rates over :data:`RECENT` give the band. The period is a rolling window: what
    burned on its oldest day leaves it a day later, so each coming day adds its burn and gives
    that day's back. Days without samples are taken to give nothing back, which is cautious.
    """
    if reading.left is None or not reading.period_days or not reading.budget:
        return Forecast(reason="there are no samples of the budget left")
    if reading.left <= 0:
        return Forecast(reason="the budget is used up already")
    rates = [rate for window in RECENT if (rate := reading.burn(window)) is not None]
    if len(rates) < 2:
        return Forecast(reason="fewer than two of the windows 1h, 6h, 1d and 3d have samples")
    if max(rates) <= 0:
        return Forecast(reason="nothing burned in the last three days")
    ratio = reading.errors.get("6h")
    if reading.events_per_second is not None and ratio is not None:
        bad = ratio * reading.events_per_second * WINDOWS["6h"]
        if bad < MINIMUM_BAD_EVENTS:
            return Forecast(reason=f"only about {bad:.0f} bad events in 6h, too few to tell a burn rate")
    times = [_exhausted_after(rate, reading) for rate in (statistics.median(rates), max(rates), min(rates))]
    known = sum(ratio is not None for ratio in reading.past)
    days = math.ceil(reading.period_days)
    basis = f"recent burn rates from {_times(min(rates))} to {_times(max(rates))}"
    if known < days:
        basis += f"; {days - known} of the period's {days} days have no samples and are taken to have burned nothing"
    if times[1] is None:
        return Forecast(reason=f"it lasts: not even the highest recent burn rate, {_times(max(rates))}, uses it up")
    return Forecast(times[0], times[1], times[2], basis)


def _exhausted_after(rate: float, reading: Reading) -> float | None:
    """Hours until nothing is left at a constant burn ``rate``; None: not within one period."""
    days = float(reading.period_days or 0)
    past = list(reading.past)
    left = float(reading.left or 0)
    for day in range(math.ceil(days)):
        gone = past[day] if day < len(past) else None
        change = (rate - (gone or 0.0) / float(reading.budget or 1)) / days
        if change > 0 and left - change <= 0:
            return 24 * (day + left / change)
        left -= change
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class Assessment:
    """What a reading means: ``state`` for machines, ``why`` for people, and the forecast."""

    state: State
    why: str
    forecast: Forecast


def assess(reading: Reading) -> Assessment:
    """The state of an SLO: exhausted, burning fast (as a page would say), slowly (a ticket), healthy, or no data."""
    rates = reading.burn_rates
    ahead = forecast(reading)
    if reading.left is None and not rates:
        return Assessment("no_data", "its series have no samples at this moment", ahead)
    page, ticket = _burning(reading, "page"), _burning(reading, "ticket")
    left = f"{_percent(reading.left)} of the budget is left" if reading.left is not None else ""
    if reading.left is not None and reading.left <= 0:
        state: State = "exhausted"
        why = "the error budget is used up" if reading.left == 0 else f"the error budget is overspent, {left}"
        told = [why, page or ticket]
    elif page:
        state, told = "burning_fast", [page, left]
    elif ticket:
        state, told = "burning_slowly", [ticket, left]
    elif not rates or reading.left is None:
        lacking = "the budget left" if rates else "the error ratios"
        return Assessment("no_data", "; ".join(filter(None, (f"there are no samples of {lacking}", left))), ahead)
    else:
        state, told = "healthy", [left]
    return Assessment(state, "; ".join(filter(None, told)), ahead)


def _burning(reading: Reading, severity: str) -> str:
    """The first condition of the SLO's own alerts that holds over both of its windows, as words."""
    if not reading.budget:
        return ""
    for condition in burns(reading.budget, reading.period_days or USUAL_DAYS):
        long, short = window_name(condition.long), window_name(condition.short)
        rate, now = reading.burn(long), reading.burn(short)
        if (
            condition.severity == severity
            and rate is not None
            and now is not None
            and min(rate, now) >= condition.factor
        ):
            return (
                f"it burns at {_times(rate)} times the sustainable rate over {long}, {_times(now)} times over {short} "
                f"({severity} from {_times(condition.factor)} on)"
            )
    return ""
