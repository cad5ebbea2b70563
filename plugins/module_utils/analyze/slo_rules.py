# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' rules for an SLO: recorded series and alerts.

Two groups. The first, evaluated often, holds what a page needs, in the order in which one rule reads another, so that
an evaluation sees its own values and a chain of rules adds no delay. Its windows up to 6 h are read from the counters
themselves: an average of 5-minute rates would smear an outage over 5 minutes. The second group, evaluated every
minute or less often, has the long windows and the whole period. They add up what the first group recorded: one
series of bad and one of all events instead of every instance's counters, each moment weighted by its events.

A ratio without events is absent, never NaN: one NaN would stay in every sum over the period for its whole length.

Standard library only: module C(slo) runs on managed hosts.
"""

from __future__ import annotations

import abc
import dataclasses
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import Alerting, Events, Slo, TimeSlice, plain
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_burn import (
    DAY,
    HOUR,
    Burn,
    in_words,
    window_name,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_promql import Selector, quoted

#: Windows (s) of the error ratio: those of the first group, read directly, then those that add up recorded series.
DIRECT = (300, 1800, HOUR, 6 * HOUR)
SUMMED = (2 * HOUR, DAY, 3 * DAY)
#: Long windows of pages: they need a count of events for the evidence.
_PAGE_LONG = (HOUR, 6 * HOUR)
_TICKET_LONG = (DAY, 3 * DAY)
#: Seconds between evaluations of the second group, at least.
SLOW_INTERVAL = 60
ALERTS: t.Mapping[str, str] = {"page": "SLOErrorBudgetBurnPage", "ticket": "SLOErrorBudgetBurnTicket"}
DEFAULT_RUNBOOKS = "https://github.com/frugal-cloud/frugal.cloud/blob/main/docs/runbooks"


@dataclasses.dataclass(frozen=True)
class Rule:
    """A recording rule (``record``) or an alert (``alert``)."""

    expr: str
    record: str = ""
    alert: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, t.Any]:
        """As a rule file has it."""
        head = {"record": self.record} if self.record else {"alert": self.alert}
        found: dict[str, t.Any] = {**head, "expr": self.expr, "labels": dict(self.labels)}
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return found


@dataclasses.dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other every ``interval`` seconds."""

    name: str
    interval: int
    rules: tuple[Rule, ...]

    def to_dict(self) -> dict[str, t.Any]:
        """As a rule file has it."""
        return {
            "name": self.name,
            "interval": f"{self.interval}s",
            "rules": [rule.to_dict() for rule in self.rules],
        }


def groups(slo: Slo) -> tuple[Group, ...]:
    """The two groups of an SLO."""
    maker = _EventRules(slo) if isinstance(slo.indicator, Events) else _SliceRules(slo)
    return (
        Group(f"slo-{slo.name}", slo.interval, (*maker.constants(), *maker.fast(), *maker.alert("page"))),
        Group(
            f"slo-{slo.name}-budget",
            max(slo.interval, SLOW_INTERVAL),
            (*maker.slow(), *maker.period(), *maker.alert("ticket")),
        ),
    )


def number(value: float) -> str:
    """A number as PromQL reads it."""
    return f"{value:.12g}"


def series_of(slo: Slo, record: str) -> str:
    """The one series of a record that is this SLO's."""
    return f"{record}{{{','.join(f'{name}={quoted(value)}' for name, value in slo.all_labels)}}}"


def ratio_of(window: int) -> str:
    """The record of the error ratio over a window."""
    return f"slo:sli_error:ratio_rate{window_name(window)}"


def lower_of(window: int) -> str:
    """The record of the error ratio's lower confidence bound over a window."""
    return f"slo:sli_error:ratio_lower{window_name(window)}"


def count_of(window: int) -> str:
    """The record of the number of bad events (or slices) in a window."""
    return f"slo:bad_events:count{window_name(window)}"


def alert_labels(slo: Slo, severity: str) -> tuple[tuple[str, str], ...]:
    """The labels that an alert adds; those of the series are there already."""
    own = slo.alerting.labels.get(severity, {})
    return tuple(sorted({**own, "severity": severity}.items()))


def alert_annotations(slo: Slo, severity: str) -> tuple[tuple[str, str], ...]:
    """Summary, description and runbook, and what the declaration adds or replaces."""
    burns = [burn for burn in slo.burns if burn.severity == severity]
    short = " or ".join(in_words(burn.short) for burn in burns)
    long = " or ".join(in_words(burn.long) for burn in burns)
    share = burns[0].factor * burns[0].long / slo.period * 100.0
    pace = "fast" if severity == "page" else "steadily"
    runbooks = (slo.alerting.runbook_base_url or DEFAULT_RUNBOOKS).rstrip("/")
    texts = {
        "summary": f"{slo.service}: {slo.name} burns its error budget {pace}",
        "description": (
            f"{slo.description + ' ' if slo.description else ''}"
            f"{{{{ $value | humanizePercentage }}}} of the last {short} is bad, and too much of the last {long}. "
            f"The objective is {slo.percent} over {in_words(slo.period)}; {share:.3g} % of that budget and more goes "
            f"in {in_words(burns[0].long)} at this pace."
        ),
        "runbook_url": f"{runbooks}/{ALERTS[severity]}.md",
    }
    return tuple({**texts, **slo.alerting.annotations.get(severity, {})}.items())


class _Rules(abc.ABC):
    """What both kinds of indicators have in common."""

    def __init__(self, slo: Slo) -> None:
        self.slo = slo
        self.budget = plain(slo.budget)

    def record(self, record: str, expr: str) -> Rule:
        """A recording rule with the labels of the SLO."""
        return Rule(expr, record=record, labels=self.slo.all_labels)

    def of(self, record: str) -> str:
        """This SLO's series of a record."""
        return series_of(self.slo, record)

    def constants(self) -> list[Rule]:
        """What the declaration says, as series: dashboards and gates read it there."""
        return [
            self.record("slo:objective:ratio", f"vector({plain(self.slo.objective)})"),
            self.record("slo:error_budget:ratio", f"vector({self.budget})"),
            self.record("slo:time_period:days", f"vector({number(self.slo.period_days)})"),
        ]

    @abc.abstractmethod
    def fast(self) -> list[Rule]:
        """The windows that a page needs, and the burn rate of this moment."""

    @abc.abstractmethod
    def summed(self, window: int) -> Rule:
        """The error ratio over a window that adds up recorded series."""

    def slow(self) -> list[Rule]:
        """The windows that only tickets need, and the period."""
        rules = []
        for window in SUMMED:
            rules.append(self.summed(window))
            if window in _TICKET_LONG:
                rules += self.lower(window)
        return [*rules, self.summed(self.slo.period)]

    @abc.abstractmethod
    def counted(self, window: int) -> tuple[str, str]:
        """PromQL of the numbers of bad and of all events in a window."""

    def current(self) -> Rule:
        """How many times too fast the budget burned in the last 5 minutes."""
        return self.record("slo:current_burn_rate:ratio", f"{self.of(ratio_of(300))} / {self.budget}")

    def period(self) -> list[Rule]:
        """Burn rate and what is left of the budget, over the whole period."""
        ratio = self.of(ratio_of(self.slo.period))
        return [
            self.record("slo:period_burn_rate:ratio", f"{ratio} / {self.budget}"),
            self.record("slo:period_error_budget_remaining:ratio", f"1 - {ratio} / {self.budget}"),
        ]

    def lower(self, window: int) -> list[Rule]:
        """The lower confidence bound of a window's error ratio; absent where nothing is bad."""
        if not self.slo.alerting.confidence:
            return []
        bad, total = self.counted(window)
        count = self.of(count_of(window))
        return [
            self.record(count_of(window), bad),
            self.record(
                lower_of(window),
                f"({count} > 0)\n"
                f"* clamp_min(\n  1 - 1 / (9 * {count})\n  - {number(self.slo.alerting.z)} / (3 * sqrt({count})),\n"
                f"  0\n) ^ 3\n"
                f"/ ({total} > 0)",
            ),
        ]

    def alert(self, severity: str) -> list[Rule]:
        """The alert of one severity: any of its conditions."""
        conditions = [self._condition(burn) for burn in self.slo.burns if burn.severity == severity]
        if not conditions:
            return []
        return [
            Rule(
                "\nor\n".join(conditions),
                alert=ALERTS[severity],
                labels=alert_labels(self.slo, severity),
                annotations=alert_annotations(self.slo, severity),
            )
        ]

    def _condition(self, burn: Burn) -> str:
        """Short and long window beyond the threshold, on enough evidence."""
        parts = [
            f"{self.of(ratio_of(burn.short))} > {number(burn.threshold)}",
            f"{self.of(ratio_of(burn.long))} > {number(burn.threshold)}",
        ]
        alerting: Alerting = self.slo.alerting
        if alerting.confidence:
            parts.append(f"{self.of(lower_of(burn.long))} > {self.budget}")
        if alerting.minimum_events:
            parts.append(f"({self.counted(burn.long)[1]}) >= {alerting.minimum_events}")
        return "(\n  " + "\n  and ".join(parts) + "\n)"


def rate_of(selectors: tuple[Selector, ...], window: int) -> str:
    """Events per second of counters together; several are added up, and one that is absent counts nothing."""
    name = window_name(window)
    rates = [f"sum(rate({selector.ranged(name)}))" for selector in selectors]
    if len(rates) == 1:
        return rates[0]
    # A sum of vectors would be empty where one of them is: "or" keeps what there is, under labels of their own.
    parts = [f'label_replace({rate}, "part", "{index}", "", "")' for index, rate in enumerate(rates)]
    return "sum(\n  " + "\n  or ".join(parts) + "\n)"


class _EventRules(_Rules):
    """Good and bad events."""

    def __init__(self, slo: Slo) -> None:
        super().__init__(slo)
        self.events = t.cast(Events, slo.indicator)

    def fast(self) -> list[Rule]:
        rules = [self._events(300), self._bad(300), self._ratio(300)]
        for window in DIRECT[1:]:
            rules += [self._events(window), self._ratio(window)]
            if window in _PAGE_LONG:
                rules += self.lower(window)
        return [*rules, self.current()]

    def _events(self, window: int) -> Rule:
        return self.record(f"slo:events:rate{window_name(window)}", rate_of(self.events.total, window))

    def _bad_rate(self, window: int) -> str:
        """Bad events per second. A counter of errors that nobody has counted yet is none, not unknown."""
        total = self.of(f"slo:events:rate{window_name(window)}")
        if self.events.bad:
            return f"(\n  {rate_of(self.events.bad, window)}\n  or vector(0)\n)"
        good = rate_of(self.events.good, window)
        return f"clamp_min(\n  {total}\n  - on() (\n    {good}\n    or vector(0)\n  ),\n  0\n)"

    def _bad(self, window: int) -> Rule:
        total = self.of(f"slo:events:rate{window_name(window)}")
        return self.record(f"slo:bad_events:rate{window_name(window)}", f"{self._bad_rate(window)}\nand on() {total}")

    def _ratio(self, window: int) -> Rule:
        total = self.of(f"slo:events:rate{window_name(window)}")
        if window == 300:
            return self.record(ratio_of(window), f"{self.of('slo:bad_events:rate5m')} / ({total} > 0)")
        return self.record(ratio_of(window), f"{self._bad_rate(window)}\n/ on() ({total} > 0)")

    def summed(self, window: int) -> Rule:
        name = window_name(window)
        bad, total = self.of("slo:bad_events:rate5m"), self.of("slo:events:rate5m")
        return self.record(ratio_of(window), f"sum_over_time({bad}[{name}])\n/ (sum_over_time({total}[{name}]) > 0)")

    def counted(self, window: int) -> tuple[str, str]:
        name = window_name(window)
        if window in DIRECT:
            total = f"{self.of(f'slo:events:rate{name}')} * {window}"
            return f"{self.of(ratio_of(window))} * {total}", total
        seconds = self.slo.interval
        return (
            f"sum_over_time({self.of('slo:bad_events:rate5m')}[{name}]) * {seconds}",
            f"sum_over_time({self.of('slo:events:rate5m')}[{name}]) * {seconds}",
        )


class _SliceRules(_Rules):
    """Good and bad evaluations."""

    RECORD = "slo:slice_error:bool"

    def __init__(self, slo: Slo) -> None:
        super().__init__(slo)
        self.slices = t.cast(TimeSlice, slo.indicator)

    def fast(self) -> list[Rule]:
        rules = [self.record(self.RECORD, self._slice())]
        for window in DIRECT:
            rules.append(self.summed(window))
            if window in _PAGE_LONG:
                rules += self.lower(window)
        return [*rules, self.current()]

    def _slice(self) -> str:
        """1 where the worst series is beyond the limit, else 0."""
        slices = self.slices
        if slices.counter:
            value = rate_of(slices.counter, slices.rate_window)
        else:
            text = slices.gauge.text if slices.gauge else slices.query
            value = f"{'max' if slices.above else 'min'}({text})"
        found = f"{value} {'>' if slices.above else '<'} bool {number(slices.limit)}"
        return f"({found})\nor vector(1)" if slices.missing_is_bad else found

    def summed(self, window: int) -> Rule:
        return self.record(ratio_of(window), f"avg_over_time({self.of(self.RECORD)}[{window_name(window)}])")

    def counted(self, window: int) -> tuple[str, str]:
        name, slices = window_name(window), self.of(self.RECORD)
        return f"sum_over_time({slices}[{name}])", f"count_over_time({slices}[{name}])"
