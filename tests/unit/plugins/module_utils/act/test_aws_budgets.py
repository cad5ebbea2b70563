# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that make one state of an AWS budget out of another: at no moment over a limit, at no moment silent."""

from __future__ import annotations

import datetime
import random
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.act import aws_budget_filter, aws_budget_terms
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_budgets import State, steps

TODAY = datetime.date(2026, 6, 15)
BUDGET = {"BudgetName": "b", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": "1", "Unit": "USD"}}
Alerts = dict[aws_budget_terms.AlertKey, frozenset[aws_budget_terms.Subscriber]]

DRAWN = 300


def people(drawn: random.Random) -> frozenset[aws_budget_terms.Subscriber]:
    """Up to ten addresses of fifteen and one topic of two, but somebody."""
    emails = [("EMAIL", f"{n}@example.com") for n in drawn.sample(range(15), drawn.randint(0, 10))]
    topics = [("SNS", name) for name in drawn.sample(["a", "b"], drawn.randint(0 if emails else 1, 1))]
    return frozenset(emails + topics)


def alerts(drawn: random.Random) -> Alerts:
    """Up to ten notifications of eighteen."""
    keys = [(spend, "GREATER_THAN", float(n), "PERCENTAGE") for spend in ("ACTUAL", "FORECASTED") for n in range(1, 10)]
    return {key: people(drawn) for key in drawn.sample(keys, drawn.randint(0, 10))}


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


def test_alerts_become_what_is_wanted_within_every_limit() -> None:
    drawn = random.Random(6)
    for _number in range(DRAWN):
        found, wanted = alerts(drawn), alerts(drawn)
        todo = steps(State(BUDGET, found), State(BUDGET, wanted), TODAY)
        assert carried_out(found, todo) == wanted
        assert steps(State(BUDGET, wanted), State(BUDGET, wanted), TODAY) == []


def expression(drawn: random.Random, depth: int = 3) -> dict[str, t.Any]:
    """A filter as somebody writes it."""
    kind = drawn.choice(["dimension", "tag", "and", "or", "not"] if depth else ["dimension", "tag"])
    if kind == "not":
        return {"not": expression(drawn, depth - 1)}
    if kind in ("and", "or"):
        return {kind: [expression(drawn, depth - 1) for _part in range(drawn.randint(2, 3))]}
    name = drawn.choice(["SERVICE", "REGION"]) if kind == "dimension" else drawn.choice(["team", "env"])
    return {kind: name, "values": drawn.sample(["a", "b", "c"], drawn.randint(1, 3))}


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


def test_a_filter_is_the_same_in_any_order() -> None:
    drawn = random.Random(7)
    for _number in range(DRAWN):
        wanted = {**BUDGET, "FilterExpression": aws_budget_filter.expression("filter", expression(drawn))}
        shown = {**wanted, "FilterExpression": turned(wanted["FilterExpression"])}
        assert aws_budget_terms.changed(wanted, shown) == []
        other = {**wanted, "FilterExpression": {"Not": wanted["FilterExpression"]}}
        assert aws_budget_terms.changed(wanted, other) == ["FilterExpression"]


def test_planned_limits_cover_a_year_from_the_present_period() -> None:
    for number in range(0, 800, 3):
        today = datetime.date(2026, 1, 1) + datetime.timedelta(days=number)
        for period, step in (("MONTHLY", 1), ("QUARTERLY", 3)):
            found = aws_budget_terms.window(period, today)
            assert len(found) == 12 // step
            assert found[0] <= today < found[1]
            assert all((day.month - 1) % step == 0 and day.day == 1 for day in found)
            assert found[-1].year * 12 + found[-1].month - found[0].year * 12 - found[0].month == 12 - step
