# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of SLOs, their budgets and thresholds, selectors, and the YAML that is written."""

from __future__ import annotations

import copy
import decimal
import typing as t

import pytest
import yaml
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import slo_burn, slo_promql, slo_yaml
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import (
    Events,
    SloError,
    TimeSlice,
    parse,
    parse_all,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

GOOD: dict[str, t.Any] = {
    "name": "shop-availability",
    "service": "shop",
    "objective": 99.9,
    "window": "30d",
    "sli": {"availability": {"bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"}},
}
SLICE: dict[str, t.Any] = {"saturation": {"time_slice": {"gauge": "cpu:ratio", "above": 0.8}}}


def changed(**changes: t.Any) -> dict[str, t.Any]:
    """The good declaration with some options replaced; None removes one."""
    found = {**copy.deepcopy(GOOD), **changes}
    return {key: value for key, value in found.items() if value is not None}


def test_declaration_is_read() -> None:
    slo = parse(changed(labels={"team": "web"}, description="Requests  that\nwork", evaluation_interval="5s"))
    assert (slo.objective, slo.budget, slo.period, slo.interval) == (
        decimal.Decimal("0.999"),
        decimal.Decimal("0.001"),
        30 * 86400,
        5,
    )
    assert slo.all_labels == (("service", "shop"), ("slo", "shop-availability"), ("team", "web"))
    assert slo.description == "Requests that work"
    assert isinstance(slo.indicator, Events) and slo.indicator.bad[0].metric == "http_requests_total"
    assert slo.percent == "99.9 %"
    assert not slo.notes()


def test_histograms_bound_is_found_however_it_is_written() -> None:
    slo = parse(changed(sli={"latency": {"histogram": "d_seconds", "selector": '{a="b"}', "threshold": 1}}))
    assert isinstance(slo.indicator, Events)
    assert slo.indicator.good[0].text == 'd_seconds_bucket{a="b",le=~"1|1.0"}'
    assert slo.indicator.total[0].text == 'd_seconds_count{a="b"}'
    half = parse(changed(sli={"latency": {"histogram": "d_seconds", "threshold": 0.25}}))
    assert isinstance(half.indicator, Events) and half.indicator.good[0].text == 'd_seconds_bucket{le="0.25"}'


def test_time_slices() -> None:
    slo = parse(
        changed(sli={"throughput": {"time_slice": {"counter": ["a_total", "b_total"], "below": 5, "missing": "bad"}}})
    )
    assert isinstance(slo.indicator, TimeSlice)
    assert (slo.indicator.above, slo.indicator.limit, slo.indicator.missing_is_bad) == (False, 5.0, True)


BAD = [
    (changed(objective=100), "objective is 100: an objective of 100 % leaves no error budget"),
    (changed(objective=250), "leaves no error budget"),
    (changed(objective="99.99999"), "cannot be told from 100 %"),
    (changed(objective=0), "objective is 0: give the percentage of good events"),
    (changed(objective=-3), "objective is -3: give the percentage"),
    (changed(objective=True), "objective is True"),
    (changed(objective="nan"), "objective is 'nan'"),
    (changed(objective="high"), "objective is 'high'"),
    (changed(objective=None), "objective is missing"),
    (changed(window="1d"), "window is '1d', which is too short: alerts look back 3 days"),
    (changed(window="1w1d"), "window is '1w1d': give a duration"),
    (changed(window="200d"), "window is '200d', which is too long"),
    (changed(window="175h"), "give whole days"),
    (changed(window="0d"), "window is '0d': give a duration"),
    (changed(name="shop availability"), "name is 'shop availability': give up to 63 letters"),
    (changed(name="../../etc/passwd"), "name is '../../etc/passwd'"),
    (changed(name=None), "name is missing"),
    (changed(service='a"b'), "service is 'a\"b'"),
    (changed(service=None), "service is missing"),
    (changed(sli=None), "sli is missing"),
    (changed(sli={}), "sli has no kind: give exactly one of availability, latency, throughput, saturation"),
    (changed(sli={"freshness": {}}), "unknown option 'freshness'"),
    (changed(sli={**GOOD["sli"], **SLICE}), "has availability and saturation: give exactly one"),
    (changed(sli={"availability": {"bad": "a_total"}}), "total is missing"),
    (changed(sli={"availability": {"total": "a_total"}}), "has neither bad nor good events"),
    (changed(sli={"availability": {"bad": "a", "good": "b", "total": "c"}}), "has both bad and good"),
    (changed(sli={"availability": {"bad": "a_total", "total": "a_total"}}), "are the same"),
    (changed(sli={"availability": {"bad": "rate(a_total[5m])", "total": "a_total"}}), "which is no selector"),
    (changed(sli={"availability": {"bad": "a_total{code=5}", "total": "a_total"}}), "is no matcher such as"),
    (changed(sli={"availability": {"bad": 'a_total{code=~"5(."}', "total": "a_total"}}), "is no regular expression"),
    (changed(sli={"availability": {"bad": '{code="5"}', "total": "a_total"}}), "has to begin with a metric's name"),
    (changed(sli={"availability": {"bad": ["a_total", 3], "total": "a_total"}}), "is 3, which is no selector"),
    (changed(sli={"latency": {"histogram": "d", "threshold": "fast"}}), "threshold is 'fast': give a number"),
    (changed(sli={"latency": {"histogram": "d d", "threshold": 1}}), "give a histogram's name"),
    (changed(sli={"latency": {"time_slice": {"gauge": "a"}}}), "has no limit"),
    (changed(sli={"latency": {"time_slice": {"gauge": "a", "above": 1, "below": 2}}}), "above and below"),
    (changed(sli={"latency": {"time_slice": {"above": 1}}}), "nothing to look at"),
    (changed(sli={"latency": {"time_slice": {"gauge": "a", "query": "b", "above": 1}}}), "has gauge and query"),
    (changed(sli={"latency": {"time_slice": {"gauge": "a", "above": 1, "missing": "?"}}}), "give ignore or bad"),
    (changed(sli={"latency": {"time_slice": {"gauge": ["a", "b"], "above": 1}}}), "has 2 selectors"),
    (changed(sli=[1]), "sli is [1]: give a mapping"),
    (changed(labels={"slo": "x"}), "has a meaning of its own here".replace("has a", "a name with a")),
    (changed(labels={"te-am": "x"}), "is no name of a label"),
    (changed(labels={"team": ""}), "not empty"),
    (changed(labels={"team": "{{ x }}"}), "without {{ }}"),
    (changed(annotations={"text": "{{ query `up` }}"}), "of Prometheus' templates it may hold"),
    (changed(alerting={"confidence": 1}), "confidence is 1: give 0.9 to 0.99999, or 0"),
    (changed(alerting={"minimum_events": -1}), "minimum_events is -1"),
    (changed(alerting={"minimum_events": 1.5}), "minimum_events is 1.5"),
    (changed(alerting={"pages": False}), "unknown option 'pages'"),
    (changed(alerting={"page": "yes"}), "page is 'yes': give a mapping"),
    (changed(evaluation_interval="7s"), "evaluation_interval is 7 s: give a minute or a whole part of it"),
    (changed(evaluation_interval="2m"), "evaluation_interval is 120 s"),
    (changed(objectives=99), "unknown option 'objectives'"),
    ("shop", "is 'shop': give a mapping"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("declaration", "words"), BAD, ids=[f"{index}-{words[:40]}" for index, (_d, words) in enumerate(BAD)]
)
def test_bad_declarations_are_answered_with_one_sentence(declaration: t.Any, words: str) -> None:
    with pytest.raises(SloError) as caught:
        parse(declaration, "slos[0]")
    text = str(caught.value)
    assert words in text and "\n" not in text
    assert text.startswith(("SLO shop-availability", "slos[0]"))


def test_names_differ() -> None:
    with pytest.raises(
        SloError, match=r"slos\[1\]\.name is 'Shop-Availability', as in slos\[0\]: give every SLO a name"
    ):
        parse_all([GOOD, changed(name="Shop-Availability")])


# Arithmetic


@pytest.mark.parametrize(
    ("days", "factors"),
    [
        (30, (14.4, 6.0, 3.0, 1.0)),  # Google's SRE workbook, table 5-8
        (28, (13.44, 5.6, 2.8, 0.933333)),  # pyrra's and sloth's 28 days
        (7, (13.44, 3.5, 1.4, 0.98)),  # sloth's windows for 7 days: 8, 12.5, 20 and 42 % of the budget
        (90, (43.2, 18.0, 9.0, 3.0)),
    ],
)
def test_factors(days: float, factors: tuple[float, ...]) -> None:
    assert slo_burn.table(days) == pytest.approx(factors, abs=1e-6)


budgets = st.decimals("0.000001", "0.999999", places=6).map(float)
periods = st.integers(7, 92).map(float)


@given(budgets, periods)
def test_every_threshold_can_be_reached(budget: float, days: float) -> None:
    """(1 - objective) × factor ≥ 1 would be an alert that never fires (sloth #341)."""
    found = slo_burn.burns(budget, days)
    assert all(0.0 < burn.threshold < 1.0 for burn in found)
    assert [burn.threshold for burn in found] == sorted((burn.threshold for burn in found), reverse=True)
    for burn in found:
        assert burn.capped == (burn.wanted * budget > (1.0 + budget) / 2.0)
        if not burn.capped:
            assert burn.threshold == pytest.approx(burn.wanted * budget)


@given(budgets, periods.filter(lambda days: days >= 28.0))
def test_factors_are_shares_of_the_budget(budget: float, days: float) -> None:
    """At the factor's pace, the long window uses up its share of the period's budget."""
    for burn, share in zip(slo_burn.burns(budget, days), (0.02, 0.05, 0.10, 0.10), strict=True):
        assert burn.wanted * burn.long / (days * 86400) == pytest.approx(share, rel=1e-5)


def test_low_objectives_are_noted() -> None:
    notes = parse(changed(objective=90)).notes()
    assert notes[0].startswith(
        "SLO shop-availability: with an objective of 90 %, burning the budget 14.4 times too fast"
    )
    assert "error ratio of 1.44" in notes[0] and "raised from 0.55 on" in notes[0]


@given(st.integers(3, 100_000), st.sampled_from([0.95, 0.99, 0.995, 0.999]))
def test_lower_bound_is_near_the_exact_one(bad: int, confidence: float) -> None:
    """Garwood's exact bound of a Poisson count is half the chi-square quantile with 2 × count degrees of freedom."""
    found = slo_burn.lower_bound(bad, slo_burn.quantile(confidence))
    exact = float(stats.chi2.ppf(1.0 - confidence, 2 * bad)) / 2.0
    assert found is not None
    assert found <= exact * 1.001  # never less strict than said
    assert found == pytest.approx(exact, rel=0.25 if bad < 5 else 0.06)


def test_one_bad_event_is_never_evidence_at_the_default() -> None:
    slo = parse(GOOD)
    assert slo_burn.lower_bound(1.0, slo.alerting.z) == pytest.approx(0.0, abs=1e-4)
    assert slo_burn.lower_bound(0.0, slo.alerting.z) is None


@given(st.floats(8.0, 1e7), st.floats(1e-6, 0.05))
def test_guard_never_delays_a_page_at_high_traffic(events_beyond: float, budget: float) -> None:
    """Where the threshold is 8 bad events away or more, whoever passes it has passed the guard."""
    z = parse(GOOD).alerting.z
    for burn in slo_burn.burns(budget, 30.0)[:2]:
        if not burn.capped:
            bound = slo_burn.lower_bound(events_beyond, z)
            assert bound is not None and bound > events_beyond / burn.threshold * budget


# Selectors


@pytest.mark.parametrize(
    "text",
    [
        "up",
        "job:http:rate5m{}",
        'a_total{code="200",path!="/"}',
        'a_total{code=~"5..|429"}',
        'a_total{code!~"2..|3.."}',
        "a_total{x='it\\'s',y=`raw\\d`}",
        'a_total{path=~"/api/v[12]/(users|orders)/\\\\d+"}',
        'a_total{a=~".+",b=~".*",c=~"x{3}y?"}',
        'a_total{le=~"1|1.0",}',
    ],
)
def test_selectors_have_examples(text: str) -> None:
    selector = slo_promql.parse_selector(text)
    series = slo_promql.example(selector)
    assert series is not None and selector.matches(series)


def test_example_without_another() -> None:
    total = slo_promql.parse_selector('a_total{job="x"}')
    bad = slo_promql.parse_selector('a_total{job="x",code=~"5.."}')
    good = slo_promql.example(total, without=bad)
    assert good is not None and total.matches(good) and not bad.matches(good)
    both = slo_promql.both(total, bad)
    assert both is not None and total.matches(both) and bad.matches(both)
    assert slo_promql.example(bad, without=total) is None


# YAML

plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=10), plain_data, min_size=1, max_size=4))
def test_yaml_is_read_back(value: dict[str, t.Any]) -> None:
    text = slo_yaml.to_yaml(value, "A comment\nof two lines")
    assert yaml.safe_load(text) == value
    assert text == slo_yaml.to_yaml(copy.deepcopy(value), "A comment\nof two lines")
