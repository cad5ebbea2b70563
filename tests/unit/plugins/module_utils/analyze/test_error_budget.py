# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error budgets: the gate's ruling, the watch's fast burn, states, and forecasts with known answers."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.error_budget import assess, fast_burn, forecast, rule
from ansible_collections.frugal.cloud.plugins.module_utils.policy import SloGuard
from ansible_collections.frugal.cloud.plugins.module_utils.slo_series import History, Reading, Sample
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime.datetime(2026, 6, 15, 12, tzinfo=datetime.timezone.utc)
BUDGET = 0.001
GUARD = SloGuard("availability", "shop")


def reading(burn: float | t.Mapping[str, float] = 0.1, left: float | None = 0.8, **changes: t.Any) -> Reading:
    """An SLO of 99.9 % over 30 days that burns at ``burn`` over every window, or at one rate a window."""
    windows = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    rates = burn if isinstance(burn, t.Mapping) else dict.fromkeys(windows, burn)
    values: dict[str, t.Any] = {
        "name": "availability",
        "service": "shop",
        "at": NOW,
        "errors": {window: rate * BUDGET for window, rate in rates.items()},
        "budget": BUDGET,
        "left": left,
        "period_days": 30.0,
    }
    return Reading(**{**values, **changes})


# -- the gate ---------------------------------------------------------------------------


def test_the_gate_is_open_while_the_budget_lasts() -> None:
    ruling = rule([reading(0.9, 0.21)], GUARD, 0.2)
    assert (ruling.outcome, ruling.why) == ("open", "")


@pytest.mark.parametrize(
    ("left", "floor", "figure", "wanted"),
    [
        (0.04, 0.2, "4.0 %", "at least 20.0 %"),
        (-0.5, 0.0, "-50.0 %", "more than nothing"),
        (0.0, 0.0, "0.0 %", "more than nothing"),
    ],
)
def test_too_little_left_holds(left: float, floor: float, figure: str, wanted: str) -> None:
    ruling = rule([reading(0.0, left)], GUARD, floor)
    assert ruling.outcome == "held"
    assert ruling.why == (
        f"SLO availability (service shop) has {figure} of its error budget left; "
        f"the policy asks for {wanted} (error_budget_floor)"
    )


@pytest.mark.parametrize(
    ("rates", "outcome"),
    [
        ({"5m": 9, "30m": 9, "1h": 2, "6h": 0.3}, "held"),  # it has just begun
        ({"5m": 0, "30m": 0, "1h": 2, "6h": 1.5}, "open"),  # it is over
        ({"5m": 0, "30m": 1.2, "1h": 0.9, "6h": 1.1}, "held"),  # slow, and still on
        ({"5m": 30, "30m": 5, "1h": 0.9, "6h": 0.2}, "open"),  # a blip: too short to matter
        ({"5m": 9, "30m": 9, "1h": 1, "6h": 1}, "open"),  # as fast as is allowed
        ({"1h": 2}, "held"),  # a short window without samples does not calm
    ],
)
def test_a_burn_holds_while_it_matters_and_goes_on(rates: dict[str, float], outcome: str) -> None:
    assert rule([reading(rates)], GUARD, 0.0).outcome == outcome


def test_the_sentence_has_slo_figure_and_rule() -> None:
    why = rule([reading({"5m": 31.26, "1h": 4.04, "6h": 0.7, "30m": 8})], GUARD, 0.2).why
    assert why == (
        "SLO availability (service shop) burns its error budget at 4.0 times the sustainable rate over 1h and "
        "31.3 times over 5m; the policy allows 1 (maximum_burn_rate)"
    )


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        ([], "SLO availability (service shop) has no samples"),
        ([reading(0.1, None)], "no samples of the budget left"),
        ([reading({}, 0.9)], "no samples of the error ratio over 1h or 6h"),
        ([reading(0.1, 0.9, budget=None)], "no samples of the error ratio"),
    ],
)
def test_without_data_nobody_guesses(readings: list[Reading], words: str) -> None:
    ruling = rule(readings, GUARD, 0.0)
    assert ruling.outcome == "blind"
    assert words in ruling.why


def test_what_is_known_to_be_bad_holds_although_the_rest_is_unknown() -> None:
    assert rule([reading({}, 0.01)], GUARD, 0.1).outcome == "held"
    assert rule([reading(5.0, None)], GUARD, 0.1).outcome == "held"


def test_the_worst_of_several_services_decides() -> None:
    good, bad = reading(), reading(5.0, service="cart")
    assert "service cart" in rule([good, bad], SloGuard("availability"), 0.0).why
    assert rule([good, reading({}, None), bad], SloGuard("availability"), 0.0).outcome == "held"
    assert rule([good, reading({}, None)], SloGuard("availability"), 0.0).outcome == "blind"


@given(left=st.floats(-2, 1), rate=st.floats(0, 1000), floor=st.floats(0, 1), more=st.floats(0, 1))
def test_a_worse_figure_never_opens_a_gate(left: float, rate: float, floor: float, more: float) -> None:
    before = rule([reading(rate, left)], GUARD, floor).outcome
    after = rule([reading(rate * (1 + more), left - more)], GUARD, floor).outcome
    assert (before, after) != ("held", "open")


# -- the watch --------------------------------------------------------------------------


def history(*burns: float, start: float = 0, events: float | None = 10.0, budget: float = BUDGET) -> History:
    """A sample a minute, the first ``start`` minutes after NOW; the same burn over both windows."""
    began = NOW.timestamp() + 60 * start
    samples = [Sample(began + 60 * at, burn * budget, burn * budget, events) for at, burn in enumerate(burns)]
    return History("availability", "shop", budget, samples)


def outcome(*histories: History, guard: SloGuard = GUARD) -> str:
    check = fast_burn(histories, guard, NOW)
    return check.outcome if check else "nothing"


def test_a_fast_burn_since_the_change_fails_it() -> None:
    check = fast_burn([history(0.1, 0.1, 20.0, 30.0)], GUARD, NOW)
    assert check is not None
    assert (check.name, check.outcome) == ("slo availability", "failed")
    assert check.detail == (
        "SLO availability (service shop) burned its error budget at 20.0 times the sustainable rate over 1h "
        "at 2026-06-15 12:02 UTC; from 14.4 on it is too fast"
    )


def test_a_slow_burn_passes_with_its_figure() -> None:
    check = fast_burn([history(0.1, 3.2, 0.5)], GUARD, NOW)
    assert check is not None and check.outcome == "passed"
    assert "at most at 3.2 times" in check.detail


def test_both_windows_must_burn() -> None:
    over = [Sample(NOW.timestamp() + 60, 20 * BUDGET, 0.0, 10.0)]
    blip = [Sample(NOW.timestamp() + 60, 0.5 * BUDGET, 90 * BUDGET, 10.0)]
    assert outcome(History("availability", "shop", BUDGET, over)) == "passed"
    assert outcome(History("availability", "shop", BUDGET, blip)) == "passed"


def test_what_burned_before_the_change_is_no_proof() -> None:
    assert outcome(history(20.0, 20.0, 20.0, start=-1)) == "no_data"
    assert outcome(history(0.2, 0.2, 20.0, start=-1)) == "failed"


def test_one_bad_event_at_low_traffic_is_no_outage() -> None:
    rare = 50 / 3600
    assert outcome(history(20.0, events=rare)) == "passed"
    assert outcome(history(20.0, events=None)) == "failed", "a time-slice SLO counts no events"
    strict = SloGuard("availability", "shop", minimum_bad_events=0.5)
    assert outcome(history(20.0, events=rare), guard=strict) == "failed"


def test_a_low_objective_can_burn_fast_too() -> None:
    """Of a budget of 20 %, 14.4 times cannot burn; 90 % of errors are an outage nevertheless."""
    assert outcome(history(4.5, budget=0.2)) == "failed"
    assert outcome(history(2.5, budget=0.2)) == "passed"


def test_no_samples_since_the_change() -> None:
    assert outcome() == "nothing"
    assert outcome(history(0.1, 0.1, start=-60)) == "nothing"


# -- states and forecasts ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "state", "words"),
    [
        (reading(0.5), "healthy", "80.0 % of the budget is left"),
        (reading(1.5), "burning_slowly", "1.5 times the sustainable rate over 3d"),
        (reading(4.0), "burning_slowly", "4.0 times the sustainable rate over 1d"),
        (reading(7.0), "burning_fast", "7.0 times the sustainable rate over 6h"),
        (reading(20.0), "burning_fast", "20.0 times the sustainable rate over 1h"),
        (reading(20.0, -0.25), "exhausted", "overspent, -25.0 % of the budget is left; it burns at 20.0 times"),
        (reading(0.0, 0.0), "exhausted", "the error budget is used up"),
        (reading({}, None), "no_data", "no samples at this moment"),
        (reading({}, 0.4), "no_data", "no samples of the error ratios; 40.0 % of the budget is left"),
        (reading(0.5, None), "no_data", "no samples of the budget left"),
    ],
)
def test_states(seen: Reading, state: str, words: str) -> None:
    found = assess(seen)
    assert found.state == state
    assert words in found.why


def test_levels_are_those_of_the_period() -> None:
    """A week's page is at 13.44 (sloth's 8 % in an hour), a month's at 14.4."""
    hot = {"1h": 13.9, "5m": 13.9, "6h": 0.1, "30m": 0.1}
    assert assess(reading(hot)).state == "healthy"
    assert assess(reading(hot, period_days=7.0)).state == "burning_fast"


def test_a_constant_burn_from_an_untouched_budget() -> None:
    """Burn 3 with nothing burned before: a budget of 30 days is gone after 10; from half of it, after 5."""
    fresh = forecast(reading(3.0, 1.0, past=(0.0,) * 30))
    assert (fresh.hours, fresh.earliest, fresh.latest) == pytest.approx((240.0, 240.0, 240.0))
    half = forecast(reading(3.0, 0.5, past=(0.0,) * 30))
    assert half.hours == pytest.approx(120.0)
    assert half.reason == "recent burn rates from 3.0 to 3.0"


def test_what_leaves_the_period_is_given_back() -> None:
    """Half of the budget burned evenly (0.5 a day): burn 1.5 adds net 1.0 a day, so the rest lasts 15 days, not 10."""
    found = forecast(reading(1.5, 0.5, past=(0.5 * BUDGET,) * 30))
    assert found.hours == pytest.approx(360.0)
    steady = forecast(reading(0.5, 0.5, past=(0.5 * BUDGET,) * 30))
    assert not steady.known
    assert steady.reason == "it lasts: not even the highest recent burn rate, 0.5, uses it up"


def test_the_band_is_that_of_recent_burn_rates() -> None:
    rates = {"1h": 12.0, "6h": 6.0, "1d": 2.0, "3d": 0.5}
    found = forecast(reading(rates, 0.8, past=(0.0,) * 30))
    # 0.8 of 30 days: 24 days at burn 1; median of the four rates: 4.
    assert found.earliest == pytest.approx(48.0)
    assert found.hours == pytest.approx(144.0)
    assert found.latest is None, "at 0.5 it outlasts the period"
    assert found.known


def test_days_without_samples_give_nothing_back_and_are_told() -> None:
    found = forecast(reading(3.0, 0.5, past=(None,) * 20 + (0.0,) * 10))
    assert found.hours == pytest.approx(120.0)
    assert "20 of the period's 30 days have no samples" in found.reason
    assert "30 of the period's 30 days" in forecast(reading(3.0, 0.5)).reason


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (reading(5.0, None), "there are no samples of the budget left"),
        (reading(5.0, -0.1), "the budget is used up already"),
        (reading({"1h": 5.0}), "fewer than two of the windows"),
        (reading(0.0), "nothing burned in the last three days"),
        (reading(5.0, events_per_second=50 / 3600), "only about 2 bad events in 6h"),
        (reading(5.0, period_days=None), "there are no samples of the budget left"),
    ],
)
def test_no_forecast_has_a_reason(seen: Reading, why: str) -> None:
    found = forecast(seen)
    assert not found.known
    assert found.hours is None
    assert why in found.reason


@given(
    rates=st.fixed_dictionaries({w: st.floats(0, 500) for w in ("1h", "6h", "1d", "3d")}),
    left=st.floats(0.001, 1),
    past=st.lists(st.one_of(st.none(), st.floats(0, 0.01)), max_size=30),
)
def test_a_forecast_is_in_order_and_never_before_the_fastest_burn(
    rates: dict[str, float], left: float, past: list[float | None]
) -> None:
    found = forecast(reading(rates, left, past=tuple(past)))
    assert found.reason
    if found.known:
        assert found.earliest is not None
        assert found.earliest >= left * 720 / max(rates.values()) - 1e-6
        ordered = [found.earliest, found.hours, found.latest]
        present = [value for value in ordered if value is not None]
        assert present == sorted(present)
        assert None not in ordered[: len(present)]
