# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that make one state of an AWS budget out of another: at no moment over a limit, at no moment silent."""

from __future__ import annotations

import datetime
import typing as t

import pytest

pytest.importorskip("hypothesis")
from ansible_collections.frugal.cloud.plugins.module_utils.act import aws_budget_filter, aws_budget_terms
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_budgets import State, steps
from hypothesis import given
from hypothesis import strategies as st

TODAY = datetime.date(2026, 6, 15)
BUDGET = {"BudgetName": "b", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": "1", "Unit": "USD"}}
Alerts = dict[aws_budget_terms.AlertKey, frozenset[aws_budget_terms.Subscriber]]

PEOPLE = st.builds(
    lambda emails, topic: frozenset([("EMAIL", f"{n}@example.com") for n in emails] + [("SNS", n) for n in topic]),
    st.sets(st.integers(0, 14), max_size=10),
    st.sets(st.sampled_from(["a", "b"]), max_size=1),
).filter(bool)
KEYS = st.tuples(
    st.sampled_from(["ACTUAL", "FORECASTED"]),
    st.just("GREATER_THAN"),
    st.integers(1, 9).map(float),
    st.just("PERCENTAGE"),
)
ALERTS = st.dictionaries(KEYS, PEOPLE, max_size=10)


def carried_out(found: Alerts, todo: list[tuple[str, dict[str, t.Any]]]) -> Alerts:
    """What AWS makes of these calls; every limit is checked after each."""
    there = {key: set(people) for key, people in found.items()}
    for method, arguments in todo:
        key = aws_budget_terms.alert_key(arguments.get("Notification") or arguments["OldNotification"])
        person = {name: tuple(one.values()) for name, one in arguments.items() if name.endswith("Subscriber")}
        if method == "update_notification":
            new = aws_budget_terms.alert_key(arguments["NewNotification"])
            assert new not in there
            there[new] = there.pop(key)
        elif method == "create_notification":
            assert key not in there
            there[key] = {tuple(one.values()) for one in arguments["Subscribers"]}
        elif method == "delete_notification":
            del there[key]
        elif method == "update_subscriber":
            there[key].remove(person["OldSubscriber"])
            assert person["NewSubscriber"] not in there[key]
            there[key].add(person["NewSubscriber"])
        elif method == "create_subscriber":
            assert person["Subscriber"] not in there[key]
            there[key].add(person["Subscriber"])
        else:
            assert method == "delete_subscriber"
            there[key].remove(person["Subscriber"])
        assert len(there) <= aws_budget_terms.MOST_ALERTS
        for people in there.values():
            assert people, "a notification without anybody is deleted by AWS"
            assert sum(kind == "EMAIL" for kind, _address in people) <= aws_budget_terms.MOST_EMAILS
            assert sum(kind == "SNS" for kind, _address in people) <= 1
    return {key: frozenset(people) for key, people in there.items()}


@given(ALERTS, ALERTS)
def test_alerts_become_what_is_wanted_within_every_limit(found: Alerts, wanted: Alerts) -> None:
    todo = steps(State(BUDGET, found), State(BUDGET, wanted), TODAY)
    assert carried_out(found, todo) == wanted
    assert steps(State(BUDGET, wanted), State(BUDGET, wanted), TODAY) == []


LEAVES = st.one_of(
    st.builds(lambda values: {"dimension": "SERVICE", "values": values}, st.lists(st.sampled_from("abc"), min_size=1)),
    st.builds(lambda values: {"tag": "team", "values": values}, st.lists(st.sampled_from("xyz"), min_size=1)),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"and": parts}, st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda parts: {"or": parts}, st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)


def turned(expression: dict[str, t.Any]) -> dict[str, t.Any]:
    """The same filter as AWS might show it: everything the other way round, and the default said."""
    found: dict[str, t.Any] = {}
    for name, value in expression.items():
        if name in ("And", "Or"):
            found[name] = [turned(part) for part in reversed(value)]
        elif name == "Not":
            found[name] = turned(value)
        else:
            found[name] = {**value, "Values": value["Values"][::-1], "MatchOptions": ["EQUALS"]}
    return found


@given(FILTERS)
def test_a_filter_is_the_same_in_any_order(written: dict[str, t.Any]) -> None:
    wanted = {**BUDGET, "FilterExpression": aws_budget_filter.expression("filter", written)}
    shown = {**wanted, "FilterExpression": turned(wanted["FilterExpression"])}
    assert aws_budget_terms.changed(wanted, shown) == []
    other = {**wanted, "FilterExpression": {"Not": wanted["FilterExpression"]}}
    assert aws_budget_terms.changed(wanted, other) == ["FilterExpression"]


@given(st.dates(datetime.date(2020, 1, 1), datetime.date(2086, 1, 1)), st.sampled_from(["MONTHLY", "QUARTERLY"]))
def test_planned_limits_cover_a_year_from_the_present_period(today: datetime.date, period: str) -> None:
    found = aws_budget_terms.window(period, today)
    step = {"MONTHLY": 1, "QUARTERLY": 3}[period]
    assert len(found) == 12 // step
    assert found[0] <= today < found[1]
    assert all((day.month - 1) % step == 0 and day.day == 1 for day in found)
    assert found[-1].year * 12 + found[-1].month - found[0].year * 12 - found[0].month == 12 - step
