# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit tests for ``promtool test rules``, for every rule of an SLO.

The series are made from the selectors of the declaration, so the tests also say whether those select anything; what
has to come out is worked out by :mod:`slo_replay`, not by Prometheus. Cases:

- healthy: every recorded series has its value, no alert;
- outage after a healthy hour: no page just before the arithmetic allows it, a page after;
- slow burn: a ticket, and no page where the ratios lie between the two;
- one bad event at low traffic: no page, though the ratio is beyond the threshold.

Standard library only: module C(slo) runs on managed hosts.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Callable, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import TEMPLATES, Events, Slo, TimeSlice
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_burn import DAY, HOUR, MINUTE
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_promql import Selector, Series, both, example
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_replay import (
    Counter,
    EventReplay,
    Replay,
    SliceReplay,
    holding,
    holds,
    lower,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_rules import (
    ALERTS,
    DIRECT,
    SUMMED,
    Group,
    alert_annotations,
    alert_labels,
    count_of,
    lower_of,
    number,
    ratio_of,
    series_of,
)

#: Values are compared to this step: what Prometheus adds up in another order differs by less.
_STEP = 1e-8


@dataclasses.dataclass(frozen=True)
class Case:
    """One group of tests: input series and what is expected at some moments."""

    name: str
    series: tuple[tuple[str, str], ...]
    replay: Replay
    #: (expression, moment, value; None where there shall be none)
    values: tuple[tuple[str, int, float | None], ...] = ()
    #: (severity, moment, the alert's value; None where it shall not fire)
    alerts: tuple[tuple[str, int, float | None], ...] = ()


def unit_tests(slo: Slo, groups: Sequence[Group], rule_file: str) -> dict[str, t.Any]:
    """The test file for an SLO, as promtool reads it. ``rule_file``: seen from the test file's folder."""
    return {
        "rule_files": [rule_file],
        "evaluation_interval": f"{slo.interval}s",
        "group_eval_order": [group.name for group in groups],
        "tests": [_test(slo, case) for case in cases(slo)],
    }


def notes(slo: Slo) -> list[str]:
    """What the tests of this SLO cannot cover, in sentences."""
    maker = _maker(slo)
    if maker is None:
        return [f"SLO {slo.name}: no example of series could be made from its selectors: its rules have no unit tests"]
    if isinstance(slo.indicator, TimeSlice) and slo.indicator.query:
        return [f"SLO {slo.name}: what its query reads is not known: the unit tests begin at slo:slice_error:bool"]
    return []


def cases(slo: Slo) -> list[Case]:
    """All cases that can be made for an SLO."""
    maker = _maker(slo)
    if maker is None:
        return []
    found = [maker.healthy(), maker.outage(), maker.slow_burn(), maker.single()]
    return [case for case in found if case is not None]


def _maker(slo: Slo) -> _EventCases | _SliceCases | None:
    """Makes the cases, or None where no series can be made."""
    if isinstance(slo.indicator, Events):
        return _EventCases(slo) if _split(slo.indicator, 0.5, 1.0) is not None else None
    return _SliceCases(slo) if _slice_series(slo.indicator) is not None else None


# Writing


def _test(slo: Slo, case: Case) -> dict[str, t.Any]:
    """One test of a test file."""
    found: dict[str, t.Any] = {
        "name": f"{slo.name}: {case.name}",
        "interval": f"{slo.interval}s",
        "input_series": [{"series": name, "values": values} for name, values in case.series],
    }
    labels = "{" + ", ".join(f"{name}={_quoted(value)}" for name, value in slo.all_labels) + "}"
    if case.alerts:
        found["alert_rule_test"] = [
            {
                "eval_time": f"{moment * slo.interval}s",
                "alertname": ALERTS[severity],
                "exp_alerts": [] if value is None else [_alert(slo, severity, value)],
            }
            for severity, moment, value in case.alerts
        ]
    if case.values:
        found["promql_expr_test"] = [
            {
                "expr": f"round(({expr}) - {number(value or 0.0)}, {number(_step(value or 0.0))})",
                "eval_time": f"{moment * slo.interval}s",
                "exp_samples": [] if value is None else [{"labels": labels, "value": 0.0}],
            }
            for expr, moment, value in case.values
        ]
    return found


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _step(value: float) -> float:
    """To what the difference to an expected value is rounded.

    The difference, because there is no half-way near 0: a value itself may lie between two multiples, where the
    smallest error decides. Counts of many events have errors of their own size, from input of 12 digits.
    """
    return _STEP if abs(value) < 10 else 10.0 ** math.ceil(math.log10(abs(value)) - 7)


def _alert(slo: Slo, severity: str, value: float) -> dict[str, t.Any]:
    labels = {**dict(slo.all_labels), **dict(alert_labels(slo, severity))}
    return {
        "exp_labels": dict(sorted(labels.items())),
        "exp_annotations": {name: _expanded(text, labels, value) for name, text in alert_annotations(slo, severity)},
    }


def _expanded(text: str, labels: dict[str, str], value: float) -> str:
    """An annotation as Prometheus expands it."""
    percentage = f"{value * 100.0:.4g}%"
    return TEMPLATES.sub(lambda found: labels.get(found.group(1), "") if found.group(1) else percentage, text)


def _notation(values: Sequence[float]) -> str:
    """A series in promtool's notation: runs of equal steps as ``start+stepxcount``."""
    parts = []
    at = 0
    while at < len(values):
        end = at + 1
        step = _clean(values[end] - values[at]) if end < len(values) else 0.0
        while end < len(values) and _clean(values[end] - values[end - 1]) == step:
            end += 1
        sign = "-" if step < 0.0 else "+"
        parts.append(f"{number(values[at])}{sign}{number(abs(step))}x{end - at - 1}")
        at = end
    return " ".join(parts)


def _clean(value: float) -> float:
    """Without the noise of adding up."""
    return float(f"{value:.9g}")


# What the cases have in common


class _Cases:
    """The cases of one SLO; the two kinds of indicators differ in how series come from bad shares."""

    def __init__(self, slo: Slo) -> None:
        self.slo = slo
        self.step = slo.interval
        self.pages = "page" in slo.alerting.severities
        self.tickets = "ticket" in slo.alerting.severities

    def at(self, seconds: int) -> int:
        """The moment that many seconds after the start."""
        return seconds // self.step

    def none_fires(self, *moments: int) -> tuple[tuple[str, int, float | None], ...]:
        """No alert of any severity at these moments."""
        return tuple((severity, moment, None) for moment in moments for severity in self.slo.alerting.severities)

    def recorded(self, replay: Replay, moment: int) -> list[tuple[str, int, float | None]]:
        """The values that both kinds record."""
        slo, budget = self.slo, float(self.slo.budget)
        found: list[tuple[str, float | None]] = [
            ("slo:objective:ratio", float(slo.objective)),
            ("slo:error_budget:ratio", budget),
            ("slo:time_period:days", slo.period_days),
        ]
        found += [(ratio_of(window), replay.ratio(window, moment)) for window in (*DIRECT, *SUMMED, slo.period)]
        if slo.alerting.confidence:
            for window in (HOUR, 6 * HOUR, DAY, 3 * DAY):
                found.append((count_of(window), replay.counted(window, moment)[0]))
                found.append((lower_of(window), lower(slo, replay, window, moment)))
        now, period = replay.ratio(300, moment), replay.ratio(slo.period, moment)
        found.append(("slo:current_burn_rate:ratio", None if now is None else now / budget))
        found.append(("slo:period_burn_rate:ratio", None if period is None else period / budget))
        remaining = None if period is None else 1.0 - period / budget
        found.append(("slo:period_error_budget_remaining:ratio", remaining))
        return [(series_of(slo, record), moment, value) for record, value in found]

    def page_moments(self, replay: Replay, begin: int, end: int) -> tuple[int, int] | None:
        """When a page fires first, and from when on its value is 100 % whichever way windows are cut."""
        first = next((moment for moment in range(begin, end) if holding(self.slo, "page", replay, moment)), None)
        if first is None:
            return None
        fastest = next(burn for burn in self.slo.burns if burn.severity == "page")
        for moment in range(first + 2, end):
            settled = all(replay.ratio(fastest.short, at) == 1.0 for at in (moment - 1, moment))
            if settled and all(holds(self.slo, fastest, replay, at) for at in (moment - 1, moment)):
                return first, moment
        return None

    def outage_of(
        self, replay: Replay, begin: int, end: int, series: Callable[[int], tuple[tuple[str, str], ...]]
    ) -> Case | None:
        """Everything is bad from ``begin`` on; ``series`` makes the input up to a moment."""
        found = self.page_moments(replay, begin, end) if self.pages else None
        if found is None:
            return None
        first, settled = found
        # Two steps before, for the way in which windows are cut; where the first bad slice pages at once, before it.
        quiet = min(max(begin, first - 2), first - 1)
        return Case(
            f"everything is bad from {begin * self.step} s on",
            series(settled),
            replay,
            values=((series_of(self.slo, ratio_of(300)), settled, 1.0),),
            alerts=(("page", quiet, None), ("page", settled, 1.0)),
        )

    def tickets_at(self, replay: Replay, moment: int) -> tuple[tuple[str, int, float | None], ...] | None:
        """What has to fire at a moment, or None where no ticket does."""
        burn = holding(self.slo, "ticket", replay, moment)
        if burn is None:
            return None
        found: list[tuple[str, int, float | None]] = [("ticket", moment, replay.ratio(burn.short, moment))]
        if self.pages:
            page = holding(self.slo, "page", replay, moment)
            found.append(("page", moment, replay.ratio(page.short, moment) if page else None))
        return tuple(found)


# Events


def _split(events: Events, bad: float, total: float) -> list[tuple[Series, float]] | None:
    """Series and their growth, so that the selectors together count ``bad`` and ``total`` events.

    None where no such series are found: the selectors of bad (or good) and of all events may mean the same.
    """
    counted = events.bad or events.good
    share = bad if events.bad else total - bad

    def count(selectors: tuple[Selector, ...], series: Series) -> int:
        return sum(selector.matches(series) for selector in selectors)

    own: dict[Series, None] = {}
    for selector in counted:
        found = [both(selector, other) for other in events.total] + [example(selector)]
        series = next((item for item in found if item is not None and count(counted, item)), None)
        if series is None:
            return None
        own[series] = None
    others: dict[Series, None] = {}
    for selector in events.total:
        tried = [example(selector), *(example(selector, without=other) for other in counted)]
        series = next(
            (item for item in tried if item is not None and not count(counted, item) and count(events.total, item)),
            None,
        )
        if series is not None:
            others[series] = None
    if not others:
        return None
    grown = [(series, share / len(own) / count(counted, series)) for series in own]
    rest = total - sum(growth * count(events.total, series) for series, growth in grown)
    if rest < -1e-9:
        return None
    return grown + [(series, max(0.0, rest) / len(others) / count(events.total, series)) for series in others]


class _EventCases(_Cases):
    """Cases from numbers of bad and of all events in each step."""

    def __init__(self, slo: Slo) -> None:
        super().__init__(slo)
        self.events = t.cast(Events, slo.indicator)
        #: events per second, so many that evidence is no question
        self.traffic = float(max(1000, math.ceil(slo.alerting.minimum_events / 100)))

    def series(self, bad: Sequence[float], total: Sequence[float]) -> tuple[tuple[str, str], ...]:
        """Input series with these numbers of events in each step."""
        grown: dict[Series, list[float]] = {}
        known: dict[tuple[float, float], list[tuple[Series, float]]] = {}
        for pair in zip(bad, total):
            if pair not in known:
                known[pair] = _split(self.events, *pair) or []
            for item, growth in known[pair]:
                grown.setdefault(item, []).append(growth)
        return tuple((str(item), _notation(Counter(growth, self.step).values)) for item, growth in grown.items())

    def _constant(self, ratio: float, moment: int) -> tuple[list[float], list[float]]:
        total = self.traffic * self.step
        return [_clean(total * ratio)] * moment, [total] * moment

    def healthy(self) -> Case:
        """A quarter of what the budget allows, for 20 minutes."""
        moment = self.at(20 * MINUTE)
        bad, total = self._constant(float(self.slo.budget) / 4.0, moment)
        replay = EventReplay(bad, total, self.step)
        values = self.recorded(replay, moment)
        for window in DIRECT:
            record = f"slo:events:rate{'5m' if window == 300 else '30m' if window == 1800 else f'{window // HOUR}h'}"
            values.append((series_of(self.slo, record), moment, replay.total.rate(window, moment)))
        values.append((series_of(self.slo, "slo:bad_events:rate5m"), moment, replay.bad.rate(300, moment)))
        return Case("healthy", self.series(bad, total), replay, tuple(values), self.none_fires(moment))

    def outage(self) -> Case | None:
        """A healthy hour, then all events are bad."""
        begin, end = self.at(HOUR), self.at(2 * HOUR + 10 * MINUTE)
        total = [self.traffic * self.step] * end
        bad = [0.0] * begin + total[begin:]
        replay = EventReplay(bad, total, self.step)
        return self.outage_of(replay, begin, end, lambda moment: self.series(bad[:moment], total[:moment]))

    def slow_burn(self) -> Case | None:
        """A ratio between the thresholds of tickets and pages, for 45 minutes."""
        if not self.tickets:
            return None
        moment = self.at(45 * MINUTE)
        low = min(burn.threshold for burn in self.slo.burns if burn.severity == "ticket")
        high = min([burn.threshold for burn in self.slo.burns if burn.severity == "page"] or [1.0])
        ratio = float(f"{(low + high) / 2.0:.4g}")
        for tried in (ratio, 1.0):
            bad, total = self._constant(tried, moment)
            replay = EventReplay(bad, total, self.step)
            alerts = self.tickets_at(replay, moment)
            if alerts is not None:
                return Case("slow burn", self.series(bad, total), replay, alerts=alerts)
        return None

    def single(self) -> Case | None:
        """One bad event in a quiet hour: beyond the threshold, and no evidence."""
        if not (self.pages and self.slo.alerting.confidence):
            return None
        fastest = next(burn for burn in self.slo.burns if burn.severity == "page")
        others = max(0, min(29, math.floor(0.9 / fastest.threshold) - 1))
        begin = self.at(58 * MINUTE)
        bad = [0.0] * begin + [1.0, 0.0]
        total = [_clean(others * self.step / HOUR) + item for item in bad]
        replay = EventReplay(bad, total, self.step)
        moment = begin + 2
        beyond = [window for window in (300, HOUR) if (replay.ratio(window, moment) or 0.0) > fastest.threshold]
        if len(beyond) < 2 or holding(self.slo, "page", replay, moment):
            return None
        limit = number(fastest.threshold)
        return Case(
            "one bad event is no evidence",
            self.series(bad, total),
            replay,
            tuple((f"{series_of(self.slo, ratio_of(window))} > bool {limit}", moment, 1.0) for window in beyond),
            (("page", moment, None),),
        )


# Time slices


def _slice_series(slices: TimeSlice) -> list[Series] | None:
    """The series that a time slice looks at; none for a query."""
    if slices.query:
        return []
    found = [example(selector) for selector in ((slices.gauge,) if slices.gauge else slices.counter) if selector]
    if any(series is None for series in found) or (slices.counter and slices.limit <= 0.0):
        return None
    return list(dict.fromkeys(series for series in found if series is not None))


class _SliceCases(_Cases):
    """Cases from good and bad evaluations."""

    def __init__(self, slo: Slo) -> None:
        super().__init__(slo)
        self.slices = t.cast(TimeSlice, slo.indicator)
        self.inputs = _slice_series(self.slices) or []

    def _level(self, bad: bool) -> float:
        """A value clearly on one side of the limit."""
        limit, beyond = self.slices.limit, bad == self.slices.above
        if self.slices.counter or limit > 0.0:
            return _clean(limit * (1.37 if beyond else 0.63))
        return _clean(limit + (1.0 if beyond else -1.0))

    def replay(self, bad: Sequence[bool]) -> tuple[SliceReplay, list[float]]:
        """What the rules see, and the values of the input, of moments 0, 1, 2, … that are bad or not."""
        levels = [self._level(item) for item in bad]
        slices: list[int | None]
        if self.slices.counter:
            counter = Counter([level * self.step for level in levels[1:]], self.step)
            rates = [counter.rate(self.slices.rate_window, moment) for moment in range(len(levels))]
            missing = 1 if self.slices.missing_is_bad else None
            slices = [
                missing
                if rate is None
                else int((rate > self.slices.limit) if self.slices.above else rate < self.slices.limit)
                for rate in rates
            ]
            return SliceReplay(slices, self.step), counter.values
        slices = [int(item) for item in bad]
        return SliceReplay(slices, self.step), [float(item) for item in bad] if self.slices.query else levels

    def series(self, values: Sequence[float]) -> tuple[tuple[str, str], ...]:
        """The input, shared among the counters."""
        if self.slices.query:
            return ((series_of(self.slo, "slo:slice_error:bool"), _notation(values)),)
        if self.slices.gauge:
            return tuple((str(item), _notation(values)) for item in self.inputs)
        parts = [sum(selector.matches(item) for selector in self.slices.counter) for item in self.inputs]
        return tuple(
            (str(item), _notation([_clean(value / len(parts) / part) for value in values]))
            for item, part in zip(self.inputs, parts)
        )

    def healthy(self) -> Case | None:
        """Good for 20 minutes."""
        if self.slices.query and self.slices.missing_is_bad:
            return None
        moment = self.at(20 * MINUTE)
        replay, values = self.replay([False] * (moment + 1))
        expected = [(series_of(self.slo, "slo:slice_error:bool"), moment, 0.0), *self.recorded(replay, moment)]
        fires = any(holding(self.slo, severity, replay, moment) for severity in self.slo.alerting.severities)
        quiet = () if fires else self.none_fires(moment)
        return Case("healthy", self.series(values), replay, tuple(expected), quiet)

    def outage(self) -> Case | None:
        """A healthy hour, then every evaluation is bad."""
        if self.slices.query and self.slices.missing_is_bad:
            return None
        begin, end = self.at(HOUR), self.at(2 * HOUR + 10 * MINUTE)
        replay, values = self.replay([False] * begin + [True] * (end - begin))
        return self.outage_of(replay, begin, end, lambda moment: self.series(values[: moment + 1]))

    def slow_burn(self) -> Case | None:
        """Bad from the first moment on for 20 minutes: page and ticket, and every recorded series has its value."""
        moment = self.at(20 * MINUTE)
        replay, values = self.replay([True] * (moment + 1))
        expected = self.recorded(replay, moment)
        series = () if self.slices.query and self.slices.missing_is_bad else self.series(values)
        alerts = (self.tickets_at(replay, moment) or ()) if self.tickets else ()
        return Case("bad from the start", series, replay, tuple(expected), alerts)

    def single(self) -> Case | None:
        """One bad evaluation is no event to be counted against traffic."""
        return None
