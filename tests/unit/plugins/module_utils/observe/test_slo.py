# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading recorded SLO series: how many queries, what belongs together, sentences. A real one is in tests/e2e."""

from __future__ import annotations

import datetime
import math
import re
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import parse
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_rules import groups
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus, PrometheusError
from ansible_collections.frugal.cloud.plugins.module_utils.observe.slo import (
    BUDGET,
    LEFT,
    PERIOD,
    Wanted,
    read_history,
    read_slos,
    require,
    with_past,
)
from ansible_collections.frugal.cloud.plugins.module_utils.observe.slo import EVENTS as EVENTS_RATE
from ansible_collections.frugal.cloud.plugins.module_utils.slo_report import OptionError, report
from ansible_collections.frugal.cloud.plugins.module_utils.slo_series import WINDOWS

NOW = datetime.datetime(2026, 6, 15, 12, tzinfo=datetime.timezone.utc)
DAY = 86_400.0


def series(name: str = "availability", service: str = "shop", **values: float) -> list[tuple[dict[str, str], float]]:
    """Series of one SLO: windows by ``w5m``, the others by the middle of their names."""
    names = {
        "budget": "slo:error_budget:ratio",
        "left": "slo:period_error_budget_remaining:ratio",
        "days": "slo:time_period:days",
        "events": "slo:events:rate5m",
    }
    return [
        (
            {
                "__name__": names.get(key) or f"slo:sli_error:ratio_rate{key.removeprefix('w')}",
                "slo": name,
                "service": service,
                "team": "t",
            },
            value,
        )
        for key, value in values.items()
    ]


class Fake(Prometheus):
    """A server that answers instant queries by their SLO's name, and every range with the same series."""

    def __init__(self, *found: list[tuple[dict[str, str], float]], ranges: t.Any = ()) -> None:
        super().__init__("http://prometheus.example")
        self.found = [item for each in found for item in each]
        self.ranges = list(ranges)
        self.asked: list[tuple[t.Any, ...]] = []

    def query(self, query: str, at: float) -> t.Any:
        self.requests += 1
        self.asked.append((query, at))
        wanted = re.search(r'slo=~"([^"]*)"', query)
        names = wanted[1].split("|") if wanted else None
        return [(labels, value) for labels, value in self.found if names is None or labels["slo"] in names]

    def query_range(self, query: str, start: float, end: float, step: int) -> t.Any:
        self.requests += 1
        self.asked.append((query, start, end, step))
        return self.ranges


def test_one_query_reads_all_slos_at_the_moment_that_is_asked_about() -> None:
    server = Fake(*(series(f"slo-{number}", budget=0.01, left=0.5, w5m=0.001) for number in range(200)))
    readings = read_slos(server, Wanted(), NOW)
    assert len(readings) == 200
    assert server.requests == 1
    assert server.asked[0][1] == NOW.timestamp()


def test_what_belongs_together() -> None:
    full = series(budget=0.001, left=0.7, days=30, events=12.5, w5m=0.002, w3d=0.0005)
    found = read_slos(Fake(series("latency", budget=0.01), full), Wanted(), NOW)
    assert [reading.name for reading in found] == ["availability", "latency"]
    reading = found[0]
    assert (reading.service, reading.labels, reading.left, reading.period_days) == ("shop", {"team": "t"}, 0.7, 30)
    assert reading.burn_rates == {"5m": pytest.approx(2.0), "3d": pytest.approx(0.5)}
    assert found[1].left is None and found[1].burn_rates == {}


def test_not_a_number_is_no_sample() -> None:
    reading = read_slos(Fake(series(budget=0.001, left=math.nan, w5m=math.nan)), Wanted(), NOW)[0]
    assert reading.left is None
    assert reading.burn_rates == {}


SLICES = {"saturation": {"time_slice": {"gauge": "used_ratio", "above": 0.9}}}
EVENTS = {"availability": {"good": 'r{code!~"5.."}', "total": "r"}}


@pytest.mark.parametrize(("sli", "more"), [(EVENTS, {EVENTS_RATE}), (SLICES, set())])
def test_the_series_are_those_that_the_rules_record(sli: dict[str, t.Any], more: set[str]) -> None:
    """Whoever renames a record on either side breaks the gate; here it is seen."""
    declared = parse({"name": "availability", "service": "shop", "objective": 99.9, "window": "30d", "sli": sli})
    recorded = [rule for group in groups(declared) for rule in group.rules if rule.record]
    asked = Fake()
    read_slos(asked, Wanted(), NOW)
    pattern = re.search(r'__name__=~"([^"]*)"', asked.asked[0][0])
    assert pattern
    read = {rule.record for rule in recorded if re.fullmatch(pattern[1], rule.record)}
    windows = {f"slo:sli_error:ratio_rate{window}" for window in WINDOWS}
    assert read == windows | {BUDGET, LEFT, PERIOD} | more
    assert all({"slo", "service"} <= set(dict(rule.labels)) for rule in recorded)


def test_names_are_literal() -> None:
    text = Wanted(["a.b", 'c"d', "e|f"], ["s"], {"team": "x\\y"}).selector("slo:a", "slo:b")
    assert text == ('{__name__=~"slo:a|slo:b",slo=~"a\\\\.b|c\\"d|e\\\\|f",service=~"s",team="x\\\\y"}')


def test_the_past_stands_at_its_days_the_oldest_first() -> None:
    labels = {"__name__": "slo:sli_error:ratio_rate1d", "slo": "availability", "service": "shop", "team": "t"}
    end = NOW.timestamp()
    server = Fake(
        series(budget=0.001, left=0.7, days=5),
        ranges=[(labels, [(end - 3 * DAY, 0.3), (end - DAY, math.nan), (end, 0.1)])],
    )
    reading = with_past(server, read_slos(server, Wanted(), NOW), Wanted())[0]
    assert reading.past == (None, 0.3, None, None, 0.1)
    assert server.asked[1][1:] == (end - 4 * DAY, end, 86_400)
    assert server.requests == 2


def test_no_period_asks_for_no_past() -> None:
    server = Fake(series(budget=0.001))
    with_past(server, read_slos(server, Wanted(), NOW), Wanted())
    assert server.requests == 1


def ranged(**values: list[tuple[float, float]]) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    return [(labels, values[key]) for key in values for labels, _value in series(**{key: 0.0})]


def test_history_has_samples_of_both_windows_and_the_hour_before() -> None:
    at = NOW.timestamp()
    server = Fake(
        ranges=ranged(
            budget=[(at, 0.001)],
            w1h=[(at, 0.01), (at + 60, math.nan)],
            w5m=[(at, 0.02), (at + 60, 0.03)],
            events=[(at, 5.0)],
        )
    )
    history = read_history(server, Wanted(["availability"]), NOW, NOW + datetime.timedelta(hours=24))[0]
    assert history.budget == 0.001
    assert [(s.at - at, s.long, s.short, s.events) for s in history.samples] == [
        (0, 0.01, 0.02, 5.0),
        (60, None, 0.03, None),
    ]
    _query, start, end, step = server.asked[0]
    assert (start, end, step) == (at - 3600, at + DAY, 60)


def test_a_long_soak_is_read_in_coarser_steps_at_the_same_moments() -> None:
    server = Fake()
    for hours in (240.0, 240.01):
        read_history(server, Wanted(), NOW, NOW + datetime.timedelta(hours=hours))
    (_q, first, end, step), (_r, again, _end, _step) = server.asked
    assert (end - first) / step <= 5_001
    assert first == again
    assert first % step == 0


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            {"names": ["availability", "speed"]},
            "has no SLO speed at 2026-06-15 12:00 UTC; it has SLO availability (service shop)",
        ),
        ({"services": ["cart"]}, "has no service cart at"),
        ({"labels": {"team": "none"}, "services": ["shop"]}, "has no service shop that all filters leave at"),
        ({"labels": {"team": "none"}}, "has no SLO with team=none at"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(wanted: dict[str, t.Any], words: str) -> None:
    server = Fake(series(budget=0.001))
    readings = [] if "labels" in wanted else read_slos(server, Wanted(), NOW)
    with pytest.raises(PrometheusError) as caught:
        require(server, Wanted(**wanted), readings, NOW)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_at_all_is_said() -> None:
    with pytest.raises(PrometheusError, match="it has no series of SLOs at all"):
        require(Fake(), Wanted(["speed"]), [], NOW)
    require(Fake(), Wanted(), [], NOW)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"as_of": "yesterday"}, "as_of is 'yesterday'"),
        ({"labels": {"slo": "x"}}, "labels has the key 'slo'"),
        ({"labels": {"my-team": "x"}}, "labels has the key 'my-team'"),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, t.Any], words: str) -> None:
    params = {"as_of": None, "labels": {}, "names": [], "services": [], "prometheus": {}, **changes}
    with pytest.raises(OptionError) as caught:
        report(params)
    assert words in str(caught.value)


def test_credentials_in_the_address_are_in_no_sentence() -> None:
    server = Prometheus("http://reader:secret%21word@127.0.0.1:1/prometheus/")
    assert server.url == "http://127.0.0.1:1/prometheus"
    with pytest.raises(PrometheusError, match=r"Prometheus at http://127.0.0.1:1/prometheus cannot be read") as caught:
        server.query("up", 0)
    assert "secret" not in str(caught.value)


def test_an_address_that_is_none() -> None:
    options = {"url": "prometheus:9090", "username": "", "password": "", "bearer_token": "", "validate_certs": True}
    with pytest.raises(PrometheusError, match="url is 'prometheus:9090': give the address of a Prometheus"):
        Prometheus.from_options(options)
