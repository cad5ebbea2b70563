# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of service level objectives: read, checked, frozen.

The form follows OpenSLO where that has a word for it. What is wrong is said in one sentence that names the SLO, the
option, its value and what would be right. What comes of a declaration: :mod:`slo_rules` and :mod:`slo_tests`.

Standard library only: module C(slo) runs on managed hosts.
"""

from __future__ import annotations

import dataclasses
import decimal
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_burn import (
    DAY,
    LONGEST_DAYS,
    SHORTEST_DAYS,
    Burn,
    burns,
    in_words,
    quantile,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_promql import (
    Selector,
    SelectorError,
    parse_selector,
)

KINDS = ("availability", "latency", "throughput", "saturation")
SEVERITIES = ("page", "ticket")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_DURATION = re.compile(r"(\d+)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
_RESERVED = ("slo", "service", "severity", "alertname", "le", "quantile")
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
#: The templates that an annotation may hold: the unit tests work out what Prometheus makes of them.
TEMPLATES = re.compile(r"\{\{ \$labels\.([a-zA-Z_][a-zA-Z0-9_]*) \}\}|\{\{ \$value \| humanizePercentage \}\}")


#: Of the lower bound of bad events; tests/benchmarks/alert_quality.py is what chose and judges it.
CONFIDENCE = 0.995


class SloError(ValueError):
    """A declaration that cannot be used: one sentence."""


@dataclasses.dataclass(frozen=True)
class Events:
    """Bad and all events, or good and all: counters, of which the rates are added up."""

    total: tuple[Selector, ...]
    bad: tuple[Selector, ...] = ()
    good: tuple[Selector, ...] = ()


@dataclasses.dataclass(frozen=True)
class TimeSlice:
    """Every evaluation of the rules is good or bad: bad where the worst value is beyond ``limit``.

    Exactly one of ``gauge`` (a selector), ``counter`` (selectors; their rate per second over ``rate_window`` seconds)
    and ``query`` (any PromQL) is set. ``above``: whether larger is worse. ``missing_is_bad``: what no value means.
    """

    above: bool
    limit: float
    gauge: Selector | None = None
    counter: tuple[Selector, ...] = ()
    query: str = ""
    rate_window: int = 300
    missing_is_bad: bool = False


@dataclasses.dataclass(frozen=True)
class Alerting:
    """Which alerts there are, and the evidence that they want.

    ``confidence`` is that of the lower bound of bad events, 0 for no such guard; ``minimum_events`` is how many events
    the long window has to hold. ``labels`` and ``annotations`` by severity.
    """

    severities: tuple[str, ...] = SEVERITIES
    confidence: float = CONFIDENCE
    minimum_events: int = 0
    runbook_base_url: str = ""
    labels: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def z(self) -> float:
        """The standard normal quantile of the confidence."""
        return quantile(self.confidence)


@dataclasses.dataclass(frozen=True)
class Slo:
    """A checked declaration. ``objective`` is a share (0 to 1), ``period`` and ``interval`` are seconds."""

    name: str
    service: str
    kind: str
    objective: decimal.Decimal
    period: int
    indicator: Events | TimeSlice
    description: str = ""
    interval: int = 30
    labels: tuple[tuple[str, str], ...] = ()
    alerting: Alerting = dataclasses.field(default_factory=Alerting)

    @property
    def budget(self) -> decimal.Decimal:
        """The share of events that may be bad."""
        return 1 - self.objective

    @property
    def period_days(self) -> float:
        """The period in days."""
        return self.period / DAY

    @property
    def percent(self) -> str:
        """The objective as people write it: ``99.9 %``."""
        return f"{plain(self.objective * 100)} %"

    @property
    def burns(self) -> tuple[Burn, ...]:
        """The conditions of the alerts that are wanted, fastest first."""
        found = burns(float(self.budget), self.period_days)
        return tuple(burn for burn in found if burn.severity in self.alerting.severities)

    @property
    def all_labels(self) -> tuple[tuple[str, str], ...]:
        """The labels of every recorded series, in order."""
        return tuple(sorted((*self.labels, ("slo", self.name), ("service", self.service))))

    def notes(self) -> list[str]:
        """What an operator should know about this declaration, in sentences."""
        return [
            f"SLO {self.name}: with an objective of {self.percent}, burning the budget {burn.wanted:.4g} times too "
            f"fast would take an error ratio of {burn.wanted * float(self.budget):.4g}; its {burn.severity} over "
            f"{in_words(burn.long)} is raised from {burn.threshold:.4g} on ({burn.factor:.3g} times) instead"
            for burn in self.burns
            if burn.capped
        ]


def plain(number: decimal.Decimal) -> str:
    """A decimal number without exponent and trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(text: t.Any, option: str) -> int:
    """Seconds of a duration such as ``30d`` or ``15s``."""
    found = _DURATION.fullmatch(str(text).strip())
    if found is None or int(found.group(1)) == 0:
        raise SloError(f"{option} is {text!r}: give a duration such as 15s, 5m or 30d")
    return int(found.group(1)) * _SECONDS[found.group(2)]


def parse_all(
    declarations: Sequence[t.Any], *, interval: int = 30, runbook_base_url: str = "", source: str = "slos"
) -> list[Slo]:
    """Check all declarations; names have to differ (without regard to case: they are names of files, too)."""
    found: list[Slo] = []
    known: dict[str, int] = {}
    for index, declaration in enumerate(declarations):
        slo = parse(declaration, f"{source}[{index}]", interval=interval, runbook_base_url=runbook_base_url)
        before = known.setdefault(slo.name.lower(), index)
        if before != index:
            raise SloError(
                f"{source}[{index}].name is {slo.name!r}, as in {source}[{before}]: give every SLO a name of its own"
            )
        found.append(slo)
    return found


def parse(declaration: t.Any, where: str = "slo", *, interval: int = 30, runbook_base_url: str = "") -> Slo:
    """Check one declaration.

    :raises SloError: one sentence about the first thing that is wrong.
    """
    reader = _Reader.of(declaration, where)
    name = reader.name("name")
    reader = _Reader(reader.values, f"SLO {name}")
    reader.only(
        "name", "service", "description", "objective", "window", "sli", "labels", "annotations", "alerting",
        "evaluation_interval",
    )  # fmt: skip
    objective = _objective(reader)
    period = _period(reader)
    if reader.values.get("evaluation_interval") is not None:
        interval = duration(reader.values["evaluation_interval"], f"{reader.where}: evaluation_interval")
    if 60 % interval:
        raise SloError(
            f"{reader.where}: evaluation_interval is {interval} s: give a minute or a whole part of it, such as 5s, "
            "15s or 30s"
        )
    kind, indicator = _indicator(reader.section("sli", required=True))
    labels = reader.texts("labels", names=True)
    return Slo(
        name=name,
        service=reader.name("service"),
        kind=kind,
        objective=objective,
        period=period,
        indicator=indicator,
        description=reader.text("description"),
        interval=interval,
        labels=tuple(sorted(labels.items())),
        alerting=_alerting(reader, runbook_base_url),
    )


def _objective(reader: _Reader) -> decimal.Decimal:
    """The objective, given in percent, as a share."""
    given = reader.values.get("objective")
    wanted = "give the percentage of good events, between 0 and 100, such as 99.9"
    if given is None:
        raise SloError(f"{reader.where}: objective is missing: {wanted}")
    try:
        value = decimal.Decimal(str(given).strip().rstrip("%").strip())
    except decimal.InvalidOperation:
        raise SloError(f"{reader.where}: objective is {given!r}: {wanted}") from None
    if isinstance(given, bool) or not value.is_finite() or value <= 0:
        raise SloError(f"{reader.where}: objective is {given!r}: {wanted}")
    if value >= 100:
        raise SloError(
            f"{reader.where}: objective is {given!r}: an objective of 100 % leaves no error budget; give less, "
            "such as 99.9"
        )
    if value > decimal.Decimal("99.9999"):
        raise SloError(
            f"{reader.where}: objective is {given!r}: more than 99.9999 % cannot be told from 100 % by counting; "
            "give less, such as 99.9"
        )
    return value / 100


def _period(reader: _Reader) -> int:
    """The period of the budget in seconds."""
    given = reader.values.get("window", "30d")
    period = duration(given, f"{reader.where}: window")
    if not SHORTEST_DAYS * DAY <= period <= LONGEST_DAYS * DAY:
        word = "short" if period < SHORTEST_DAYS * DAY else "long"
        raise SloError(
            f"{reader.where}: window is {given!r}, which is too {word}: alerts look back 3 days, so give from "
            f"{SHORTEST_DAYS:.0f}d to {LONGEST_DAYS:.0f}d, such as 30d"
        )
    if period % DAY:
        raise SloError(f"{reader.where}: window is {given!r}: give whole days, such as 30d")
    return period


def _indicator(sli: _Reader) -> tuple[str, Events | TimeSlice]:
    """The kind of the indicator, and how it is counted."""
    kinds = [kind for kind in KINDS if kind in sli.values]
    sli.only(*KINDS)
    if len(kinds) != 1:
        raise SloError(f"{sli.where} has {' and '.join(kinds) or 'no kind'}: give exactly one of {', '.join(KINDS)}")
    inner = sli.section(kinds[0], required=True)
    if "time_slice" in inner.values:
        inner.only("time_slice")
        return kinds[0], _time_slice(inner.section("time_slice", required=True))
    if "histogram" in inner.values:
        return kinds[0], _histogram(inner)
    return kinds[0], _events(inner)


def _events(inner: _Reader) -> Events:
    """Bad or good events out of all."""
    inner.only("bad", "good", "total")
    given = [key for key in ("bad", "good") if inner.values.get(key)]
    if len(given) != 1:
        has = "both bad and good" if given else "neither bad nor good events"
        raise SloError(
            f"{inner.where} has {has}: give one of them, a counter's selector such as "
            'http_requests_total{code=~"5.."}, or time_slice'
        )
    if not inner.values.get("total"):
        raise SloError(f"{inner.where}.total is missing: give the selector of the counter of all events")
    total, counted = inner.selectors("total"), inner.selectors(given[0])
    if {item.text for item in total} == {item.text for item in counted}:
        raise SloError(f"{inner.where}: total and {given[0]} are the same: {total[0].text!r} cannot be both")
    return Events(total, bad=counted) if given[0] == "bad" else Events(total, good=counted)


def _histogram(inner: _Reader) -> Events:
    """Events within ``threshold`` (a bucket's bound) of a histogram, out of all."""
    inner.only("histogram", "selector", "threshold")
    metric = str(inner.values["histogram"])
    bound = inner.number("threshold")
    given = str(inner.values.get("selector") or "").strip().strip("{}").strip().rstrip(",")
    # Client libraries write whole numbers with and without the decimal point.
    text = format(decimal.Decimal(repr(bound)).normalize(), "f")
    le = f'le=~"{text}|{text}.0"' if "." not in text else f'le="{text}"'
    matchers = f"{given},{le}" if given else le
    try:
        return Events(
            total=(parse_selector(f"{metric}_count" + (f"{{{given}}}" if given else "")),),
            good=(parse_selector(f"{metric}_bucket{{{matchers}}}"),),
        )
    except SelectorError as error:
        raise SloError(
            f"{inner.where} is histogram {metric!r}, selector {given!r}: {error}; give a histogram's name such as "
            'http_request_duration_seconds and matchers such as service="shop"'
        ) from None


def _time_slice(inner: _Reader) -> TimeSlice:
    """What makes an evaluation a bad one."""
    inner.only("gauge", "counter", "query", "above", "below", "rate_window", "missing")
    sources = [key for key in ("gauge", "counter", "query") if inner.values.get(key)]
    if len(sources) != 1:
        raise SloError(
            f"{inner.where} has {' and '.join(sources) or 'nothing to look at'}: give exactly one of gauge, counter "
            "and query"
        )
    limits = [key for key in ("above", "below") if inner.values.get(key) is not None]
    if len(limits) != 1:
        raise SloError(
            f"{inner.where} has {' and '.join(limits) or 'no limit'}: give exactly one of above and below, the value "
            "beyond which an evaluation is bad"
        )
    missing = inner.values.get("missing", "ignore")
    if missing not in ("ignore", "bad"):
        raise SloError(f"{inner.where}.missing is {missing!r}: give ignore or bad")
    gauge = None
    if sources[0] == "gauge":
        selectors = inner.selectors("gauge")
        if len(selectors) != 1:
            raise SloError(f"{inner.where}.gauge has {len(selectors)} selectors: give one")
        gauge = selectors[0]
    return TimeSlice(
        above=limits[0] == "above",
        limit=inner.number(limits[0]),
        gauge=gauge,
        counter=inner.selectors("counter") if sources[0] == "counter" else (),
        query=str(inner.values["query"]).strip() if sources[0] == "query" else "",
        rate_window=duration(inner.values.get("rate_window", "5m"), f"{inner.where}.rate_window"),
        missing_is_bad=missing == "bad",
    )


def _alerting(reader: _Reader, runbook_base_url: str) -> Alerting:
    """Alerts, their guards, labels and annotations."""
    section = reader.section("alerting")
    section.only("page", "ticket", "confidence", "minimum_events", "runbook_base_url")
    common = reader.texts("annotations", annotations=True)
    severities, labels, annotations = [], {}, {}
    for severity in SEVERITIES:
        given = section.values.get(severity, True)
        if isinstance(given, bool):
            if given:
                severities.append(severity)
            annotations[severity] = common
            continue
        own = section.section(severity)
        own.only("labels", "annotations")
        severities.append(severity)
        labels[severity] = own.texts("labels", names=True)
        annotations[severity] = {**common, **own.texts("annotations", annotations=True)}
    confidence = section.number("confidence", CONFIDENCE)
    if confidence != 0.0 and not 0.9 <= confidence <= 0.99999:
        raise SloError(
            f"{section.where}.confidence is {confidence:g}: give 0.9 to 0.99999, or 0 for alerts without that guard"
        )
    minimum = section.number("minimum_events", 0.0)
    if minimum < 0.0 or minimum != int(minimum):
        raise SloError(f"{section.where}.minimum_events is {minimum:g}: give a whole number from 0 on")
    return Alerting(
        severities=tuple(severities),
        confidence=confidence,
        minimum_events=int(minimum),
        runbook_base_url=section.text("runbook_base_url") or runbook_base_url,
        labels=labels,
        annotations=annotations,
    )


class _Reader:
    """A mapping of a declaration, with the words for where it is."""

    def __init__(self, values: Mapping[str, t.Any], where: str) -> None:
        self.values = values
        self.where = where

    @classmethod
    def of(cls, given: t.Any, where: str) -> _Reader:
        """The mapping itself, or a sentence that it is none."""
        if not isinstance(given, Mapping):
            raise SloError(f"{where} is {given!r}: give a mapping of options")
        return cls(given, where)

    def _name_of(self, key: str) -> str:
        joint = ": " if self.where.startswith("SLO ") and ": " not in self.where else "."
        return f"{self.where}{joint}{key}"

    def section(self, key: str, *, required: bool = False) -> _Reader:
        """A mapping inside."""
        given = self.values.get(key)
        if given is None:
            if required:
                raise SloError(f"{self._name_of(key)} is missing: give a mapping")
            given = {}
        return self.of(given, self._name_of(key))

    def only(self, *known: str) -> None:
        """Refuse options that nobody knows: a typo would be silently ignored."""
        unknown = sorted(str(key) for key in self.values if key not in known)
        if unknown:
            raise SloError(f"{self.where} has an unknown option {unknown[0]!r}: there are {', '.join(known)}")

    def name(self, key: str) -> str:
        """A name that is a label's value and part of a file's name."""
        given = self.values.get(key)
        if not isinstance(given, str) or not _NAME.fullmatch(given):
            said = "missing" if given is None else repr(given)
            raise SloError(
                f"{self._name_of(key)} is {said}: give up to 63 letters, digits, '.', '_' and '-', such as "
                "checkout-availability"
            )
        return given

    def text(self, key: str) -> str:
        """One line of text; '' where there is none."""
        given = self.values.get(key)
        if given is None:
            return ""
        if not isinstance(given, str):
            raise SloError(f"{self._name_of(key)} is {given!r}: give a text")
        return " ".join(given.split())

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        given = self.values.get(key)
        if given is None and default is not None:
            return default
        try:
            value = decimal.Decimal(str(given))
        except decimal.InvalidOperation:
            value = decimal.Decimal("NaN")
        if isinstance(given, bool) or not value.is_finite():
            said = "missing" if given is None else repr(given)
            raise SloError(f"{self._name_of(key)} is {said}: give a number")
        return float(value)

    def selectors(self, key: str) -> tuple[Selector, ...]:
        """One selector or a list of them."""
        given = self.values.get(key)
        found = []
        for text in given if isinstance(given, list) and given else [given]:
            try:
                found.append(parse_selector(text if isinstance(text, str) else ""))
            except SelectorError as error:
                raise SloError(
                    f"{self._name_of(key)} is {text!r}, which is no selector: {error}; give one such as "
                    'http_requests_total{service="shop"}, without rate() and range'
                ) from None
        return tuple(found)

    def texts(self, key: str, *, names: bool = False, annotations: bool = False) -> dict[str, str]:
        """A mapping of labels (``names``) or annotations to texts."""
        found: dict[str, str] = {}
        for name, value in self.section(key).values.items():
            where = f"{self._name_of(key)}.{name}"
            if not isinstance(name, str) or not _LABEL.fullmatch(name) or name.startswith("__"):
                raise SloError(f"{where}: {name!r} is no name of a label: give letters, digits and '_', such as team")
            if names and name in _RESERVED:
                raise SloError(f"{where}: {name!r} is a name with a meaning of its own here: choose another")
            if not isinstance(value, (str, int, float)) or isinstance(value, bool):
                raise SloError(f"{where} is {value!r}: give a text")
            text = str(value)
            if names and (not text or "{{" in text or any(ord(character) < 32 for character in text)):
                raise SloError(f"{where} is {text!r}: give a text on one line, not empty and without {{{{ }}}}")
            if annotations and _TEMPLATE.search(TEMPLATES.sub("", text)):
                raise SloError(
                    f"{where} is {text!r}: of Prometheus' templates it may hold {{{{ $labels.NAME }}}} and "
                    "{{ $value | humanizePercentage }}"
                )
            found[name] = text
        return found
