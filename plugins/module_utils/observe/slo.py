# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorded ``slo:*`` series of a Prometheus: one query answers for all SLOs.

The series are those of the rule files that the module ``slo`` writes; each has the labels
``slo`` and ``service``, and those that the SLO declares.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import re
import typing as t
from collections.abc import Collection, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus, PrometheusError
from ansible_collections.frugal.cloud.plugins.module_utils.slo_series import WINDOWS, History, Reading, Sample

ERRORS = "slo:sli_error:ratio_rate"
BUDGET = "slo:error_budget:ratio"
LEFT = "slo:period_error_budget_remaining:ratio"
PERIOD = "slo:time_period:days"
EVENTS = "slo:events:rate5m"
#: A range of samples has at most about this many points (Prometheus itself refuses more than 11,000).
POINTS = 5_000
#: Finest step of a range, in seconds: rules are rarely evaluated more often than twice in that time.
FINEST_STEP = 60
#: SLOs that a sentence lists at most.
LISTED = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Which SLOs: by name, by service, and by other labels; what is empty does not restrict."""

    names: Collection[str] = ()
    services: Collection[str] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def selector(self, *metrics: str) -> str:
        """A PromQL selector of ``metrics`` (regular expressions)."""
        matchers = [f"__name__=~{_quoted('|'.join(metrics))}"]
        for label, values in (("slo", self.names), ("service", self.services)):
            if values:
                matchers.append(f"{label}=~{_quoted('|'.join(_literal(value) for value in sorted(values)))}")
        matchers += [f"{label}={_quoted(value)}" for label, value in sorted(self.labels.items())]
        return "{" + ",".join(matchers) + "}"


def _quoted(text: str) -> str:
    """A PromQL string: JSON's escapes are understood there."""
    return json.dumps(text, ensure_ascii=False)


def _literal(text: str) -> str:
    """``text`` as a regular expression of RE2 that matches nothing else."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def read_slos(server: Prometheus, wanted: Wanted, at: datetime.datetime) -> list[Reading]:
    """The SLOs at ``at``, by service and name, in one query. What has no sample, or is NaN, is not there.

    :raises PrometheusError: one sentence.
    """
    windows = "|".join(WINDOWS)
    found: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    query = wanted.selector(f"{ERRORS}({windows})", BUDGET, LEFT, PERIOD, EVENTS)
    for labels, value in server.query(query, at.timestamp()):
        key = tuple(sorted((name, text) for name, text in labels.items() if name != "__name__"))
        values = found.setdefault(key, {})
        if not math.isnan(value):
            values[labels["__name__"]] = value
    readings = [_reading(dict(key), values, at) for key, values in found.items()]
    return sorted(readings, key=lambda reading: (reading.service, reading.name, sorted(reading.labels.items())))


def _reading(labels: dict[str, str], values: Mapping[str, float], at: datetime.datetime) -> Reading:
    return Reading(
        name=labels.pop("slo", ""),
        service=labels.pop("service", ""),
        at=at,
        labels=labels,
        errors={window: values[ERRORS + window] for window in WINDOWS if ERRORS + window in values},
        budget=values.get(BUDGET),
        left=values.get(LEFT),
        period_days=values.get(PERIOD),
        events_per_second=values.get(EVENTS),
    )


def with_past(server: Prometheus, readings: Sequence[Reading], wanted: Wanted) -> list[Reading]:
    """``readings`` with the error ratio of each day of their periods: one query more, one point a day.

    :raises PrometheusError: one sentence.
    """
    days = max((math.ceil(reading.period_days) for reading in readings if reading.period_days), default=0)
    if not days:
        return list(readings)
    end = readings[0].at.timestamp()
    first = end - (days - 1) * 86_400
    past: dict[tuple[t.Any, ...], list[float | None]] = {}
    for labels, points in server.query_range(wanted.selector(f"{ERRORS}1d"), first, end, 86_400):
        ratios: list[float | None] = [None] * days
        for moment, value in points:
            if not math.isnan(value):
                ratios[round((moment - first) / 86_400)] = value
        rest = {key: text for key, text in labels.items() if key not in ("__name__", "slo", "service")}
        past[labels.get("slo", ""), labels.get("service", ""), tuple(sorted(rest.items()))] = ratios
    answer = []
    for reading in readings:
        ratios = past.get((reading.name, reading.service, tuple(sorted(reading.labels.items()))), [])
        mine = math.ceil(reading.period_days or 0)
        answer.append(dataclasses.replace(reading, past=tuple(ratios[len(ratios) - mine :]) if ratios else ()))
    return answer


def read_history(
    server: Prometheus, wanted: Wanted, since: datetime.datetime, until: datetime.datetime
) -> list[History]:
    """Error ratios over 1h and 5m of each SLO from an hour before ``since`` until ``until``, in one query.

    :raises PrometheusError: one sentence.
    """
    first, last = since.timestamp() - 3_600, until.timestamp()
    step = max(FINEST_STEP, math.ceil((last - first) / POINTS))
    # The same moments in every run, so that the same burn is told in the same words.
    first = math.floor(first / step) * step
    found: dict[tuple[tuple[str, str], ...], dict[str, dict[float, float]]] = {}
    query = wanted.selector(f"{ERRORS}(5m|1h)", BUDGET, EVENTS)
    for labels, points in server.query_range(query, first, last, step):
        key = tuple(sorted((name, text) for name, text in labels.items() if name != "__name__"))
        found.setdefault(key, {})[labels["__name__"]] = {at: value for at, value in points if not math.isnan(value)}
    histories = []
    for key, series in found.items():
        long, short, events = (series.get(name, {}) for name in (f"{ERRORS}1h", f"{ERRORS}5m", EVENTS))
        budgets = series.get(BUDGET, {})
        labels = dict(key)
        if budgets and budgets[max(budgets)] > 0:
            samples = tuple(Sample(at, long.get(at), short.get(at), events.get(at)) for at in sorted({*long, *short}))
            histories.append(History(labels.get("slo", ""), labels.get("service", ""), budgets[max(budgets)], samples))
    return histories


def require(server: Prometheus, wanted: Wanted, readings: Sequence[Reading], at: datetime.datetime) -> None:
    """:raises PrometheusError: a wanted name or service is not among ``readings``; names those that are there."""
    lacking = [
        (kind, value)
        for kind, values, there in (
            ("SLO", wanted.names, {reading.name for reading in readings}),
            ("service", wanted.services, {reading.service for reading in readings}),
        )
        for value in sorted(values)
        if value not in there
    ]
    if not lacking and (readings or not wanted.labels):
        return
    known = sorted({reading.title for reading in read_slos(server, Wanted(), at)})
    labels = ", ".join(f"{label}={value}" for label, value in sorted(wanted.labels.items()))
    kind, value = lacking[0] if lacking else ("SLO with", labels)
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    there = f"it has {', '.join(known[:LISTED])}{more}" if known else "it has no series of SLOs at all"
    filters = sum(bool(given) for given in (wanted.names, wanted.services, wanted.labels))
    left = " that all filters leave" if filters > 1 else ""
    raise PrometheusError(f"Prometheus at {server.url} has no {kind} {value}{left} at {at:%Y-%m-%d %H:%M} UTC; {there}")
