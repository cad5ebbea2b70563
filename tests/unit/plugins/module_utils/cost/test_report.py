# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report sums up, from rows and from a ledger."""

from __future__ import annotations

import dataclasses
import datetime
import random
import tracemalloc
import typing as t
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report import cause, collect
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_data import (
    DONE,
    OPEN,
    REFUSED,
    ActionRow,
    PlanRow,
    ReportData,
    SavingRow,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_ledger import LedgerSource, hours_by_month
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost.report_sample import (
    AS_OF,
    SampleSource,
    fill,
)

UTC = datetime.timezone.utc


class Rows:
    """A source of given rows."""

    def __init__(
        self, plans: Iterable[PlanRow] = (), actions: Iterable[ActionRow] = (), savings: Iterable[SavingRow] = ()
    ) -> None:
        self._plans, self._actions, self._savings = list(plans), list(actions), list(savings)

    def plans(self) -> list[PlanRow]:
        return self._plans

    def actions(self) -> Iterator[ActionRow]:
        return iter(self._actions)

    def booked_until(self) -> None:
        return None

    def savings(self, now: datetime.datetime) -> list[SavingRow]:
        return self._savings


def report(source: t.Any, **options: t.Any) -> ReportData:
    return collect(source, title="Report", **options)


def action(number: int, status: str, saving: float, plan: str = "p1", scope: str = "1/a") -> ActionRow:
    sample = next(iter(SampleSource(1).actions()))
    record = sample.recommendation
    return dataclasses.replace(
        sample,
        plan_id=plan,
        scope=scope,
        status=status,
        reason="",
        recommendation=dataclasses.replace(
            record,
            resource=dataclasses.replace(record.resource, id=f"i-{number:04}"),
            monthly=dataclasses.replace(record.monthly, current=500.0, proposed=500.0 - saving, saving=saving),
        ),
    )


def plan(name: str, day: int, spend: float | None, scope: str = "1/a", currency: str = "USD") -> PlanRow:
    moment = datetime.datetime(2026, 5, day, tzinfo=UTC)
    return PlanRow(name, "d" * 64, scope, "1", moment, monthly_spend=spend, currency=currency)


def test_spend_before_adds_back_what_was_saved_under_older_plans() -> None:
    actions = [
        action(1, "verified", 100.0, "old"),
        action(2, "applied", 40.0, "new"),
        action(3, "proposed", 25.0, "new"),
        action(4, "approved", -10.0, "new"),
        action(5, "rolled_back", 70.0, "new"),
    ]
    (spend,) = report(Rows([plan("old", 1, 1000.0), plan("new", 9, 900.0)], actions)).spend
    assert (spend.before, spend.now, spend.possible) == (1000.0, 860.0, 845.0)
    assert spend.complete


def test_totals_are_those_of_the_rows() -> None:
    rows = list(SampleSource().actions())
    (totals,) = report(SampleSource()).totals
    assert totals.done == pytest.approx(sum(row.saving for row in rows if row.status in DONE))
    assert totals.open - totals.added == pytest.approx(sum(row.saving for row in rows if row.status in OPEN))
    assert totals.refused == pytest.approx(sum(row.saving for row in rows if row.status in REFUSED))
    assert totals.undone == pytest.approx(sum(row.saving for row in rows if row.status in ("failed", "rolled_back")))
    assert totals.before - totals.now == pytest.approx(totals.done)
    assert totals.now - totals.possible == pytest.approx(totals.open - totals.added)


def test_a_scope_whose_spend_nobody_recorded_says_so() -> None:
    (spend,) = report(Rows([plan("p1", 1, None)], [action(1, "verified", 100.0), action(2, "proposed", 50.0)])).spend
    assert not spend.complete
    assert (spend.before, spend.now, spend.possible) == (1000.0, 900.0, 850.0)


def test_currencies_are_never_added_up() -> None:
    euros = dataclasses.replace(plan("p2", 1, 400.0, "2/b"), currency="EUR")
    totals = report(Rows([plan("p1", 1, 1000.0), euros])).totals
    assert [(x.currency, x.before) for x in totals] == [("USD", 1000.0), ("EUR", 400.0)]


def test_actions_rank_by_money_whichever_its_sign_and_the_order_of_rows_does_not_matter() -> None:
    rows = [action(n, "proposed", saving) for n, saving in enumerate((5.0, -300.0, 120.0, 120.0, 80.0))]
    first = report(Rows([], rows), limit=1, rows=4)
    assert [row.saving for row in first.actions] == [-300.0, 120.0, 120.0, 80.0]
    assert first.action_count == 5
    random.Random(1).shuffle(rows)
    assert report(Rows([], rows), limit=1, rows=4).actions == first.actions


def test_only_detailed_actions_keep_their_series() -> None:
    data = report(SampleSource(60), limit=10, rows=40)
    has = ["charts" in row.recommendation.evidence for row in data.actions]
    assert has == [True] * 10 + [False] * 30


def test_memory_depends_on_the_limits_and_not_on_the_number_of_actions() -> None:
    class Repeated(Rows):
        def actions(self) -> Iterator[ActionRow]:
            sample = list(SampleSource(40).actions())
            for n in range(10_000):
                row = sample[n % 40]
                resource = dataclasses.replace(row.recommendation.resource, id=f"i-{n:08}")
                charts = [dict(entry, p99=list(entry["p99"])) for entry in row.recommendation.evidence["charts"]]
                evidence = {**row.recommendation.evidence, "charts": charts}
                record = dataclasses.replace(row.recommendation, resource=resource, evidence=evidence)
                yield dataclasses.replace(row, recommendation=record)

    tracemalloc.start()
    data = report(Repeated([plan("p1", 1, 1e6)]), limit=20, rows=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.action_count == 10_000
    assert len(data.actions) == 1000
    assert peak < 30e6


def test_months_sum_up_and_stop_at_the_moment_of_the_report() -> None:
    rows = [
        SavingRow("1/a", "2026-03", 10.0, None),
        SavingRow("1/a", "2026-03", 0.0, 8.0, basis="cost data: FOCUS"),
        SavingRow("2/b", "2026-04", 30.0, None),
        SavingRow("1/a", "2026-05", 30.0, None),
    ]
    data = report(Rows(savings=rows), as_of=datetime.datetime(2026, 4, 30, tzinfo=UTC))
    figures = [(x.month, x.projected, x.realised, x.projected_to_date, x.realised_to_date) for x in data.months]
    assert figures == [("2026-03", 10.0, 8.0, 10.0, 8.0), ("2026-04", 30.0, None, 40.0, None)]
    assert data.saving_bases == ("cost data: FOCUS",)


def test_the_newest_entry_dates_a_report() -> None:
    assert report(Rows()).as_of == datetime.datetime(1970, 1, 1, tzinfo=UTC)
    assert report(Rows([plan("p1", 3, 1.0)])).as_of == datetime.datetime(2026, 5, 3, tzinfo=UTC)
    assert report(SampleSource(), as_of=AS_OF).as_of == AS_OF


@pytest.mark.parametrize(
    ("reason", "why", "managed_by", "group"),
    [
        ("protected", "x is protected by its tag a=b", "none", "protected by a tag"),
        ("managed", "x is managed by terraform (m): change it there", "terraform", "managed by terraform"),
        ("refused", "i-0001 is a node of EKS cluster prod: change the group", "eks", "managed by eks"),
        ("refused", "i-0001 runs as spot: its price is not on demand", "none", "runs as spot"),
        ("refused", "i-0001 runs in capacity reservation cr-0123456789abcdef0, which would be paid for", "none",
         "runs in capacity reservation …, which would be paid for"),
        ("something_new", "because", "none", "something_new"),
        ("", "", "none", "skipped"),
    ],
)  # fmt: skip
def test_refusals_are_grouped_without_names_and_ids(reason: str, why: str, managed_by: str, group: str) -> None:
    row = action(1, "skipped", 10.0)
    resource = dataclasses.replace(row.recommendation.resource, managed_by=managed_by)
    record = dataclasses.replace(row.recommendation, resource=resource)
    assert cause(dataclasses.replace(row, recommendation=record, reason=reason, why=why)) == group


def test_a_group_of_refusals_names_its_largest() -> None:
    rows = [dataclasses.replace(action(n, "skipped", float(n)), reason="risk", why="too risky") for n in range(1, 9)]
    (group,) = report(Rows(actions=rows)).refused
    assert (group.count, group.saving, group.reason) == (8, 36.0, "too risky")
    assert [text.split("(")[1] for text in group.examples] == [f"i-{n:04})" for n in (8, 7, 6, 5, 4)]


def test_hours_fall_into_their_months() -> None:
    start = datetime.datetime(2026, 1, 31, 12, tzinfo=UTC)
    end = datetime.datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert list(hours_by_month(start, end)) == [("2026-01", 12.0), ("2026-02", 672.0), ("2026-03", 6.0)]
    late, early = end, start
    assert not list(hours_by_month(late, early))


@pytest.fixture(name="ledger")
def filled_ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        fill(ledger, 120)
        yield ledger


def test_a_ledger_is_reported_whole(ledger: Ledger) -> None:
    data = report(LedgerSource(ledger))
    totals = ledger.totals(Selection())
    assert data.action_count == totals.actions == 120
    assert {group.name: group.count for group in data.statuses} == dict(totals.counts)
    assert {group.name: pytest.approx(group.saving) for group in data.statuses} == dict(totals.savings)
    assert data.outcomes["rolled_back"][0].verification is not None
    assert data.outcomes["rolled_back"][0].verification.result == "failed"
    assert data.outcomes["verified"][0].steps == ("stop", "change type", "start", "wait")
    assert data.outcomes["failed"][0].why == "AWS had no capacity; it runs as before again"
    assert {"runs as spot", "protected by a tag", "rejected"} <= {group.name for group in data.refused}


def test_a_ledger_is_reported_by_scope(ledger: Ledger) -> None:
    data = report(LedgerSource(ledger, ["111122223333/us-east-1"]))
    assert {row.scope for row in data.actions} == {"111122223333/us-east-1"}
    assert [spend.scope for spend in data.spend] == ["111122223333/us-east-1"]


def test_pages_of_a_ledger_hold_every_action_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(LedgerSource(ledger).actions())
    monkeypatch.setattr("ansible_collections.frugal.cloud.plugins.module_utils.cost.report_ledger.PAGE", 7)
    paged = list(LedgerSource(ledger).actions())
    assert paged == whole
    assert len({row.recommendation.id for row in whole}) == len(whole) == 120


def test_actions_of_a_superseded_plan_count_where_they_were_begun(ledger: Ledger) -> None:
    before = report(LedgerSource(ledger))
    scope = "111122223333/us-east-1"
    newest = ledger.plans(scopes=[scope])[0]
    begun = [row for row in LedgerSource(ledger, [scope]).actions() if row.applied_at]
    ledger.make_plan(scope, [], newest.policy, AS_OF)
    data = report(LedgerSource(ledger, [scope]))
    assert data.action_count >= len(begun) > 0
    assert {group.name for group in data.statuses} <= {"applied", "verified", "rolled_back", "failed"}
    assert before.action_count > data.action_count


def test_projected_savings_run_while_an_action_is_applied(ledger: Ledger) -> None:
    rows = list(LedgerSource(ledger).savings(datetime.datetime(2026, 11, 1, tzinfo=UTC)))
    october = sum(row.projected for row in rows if row.month == "2026-10")
    applied = ledger.totals(Selection()).saving("applied", "verified")
    assert october == pytest.approx(applied * 744 / 730)
    assert {row.basis for row in rows if row.realised is not None} == {"cost data: FOCUS"}


def test_where_an_action_has_cost_data_list_prices_do_not_count(ledger: Ledger) -> None:
    now = datetime.datetime(2026, 11, 1, tzinfo=UTC)
    before = sum(row.realised or 0.0 for row in LedgerSource(ledger).savings(now))
    booked = [saving for saving, _unused in ledger.savings(Selection(), kind="realised")]
    later = datetime.timedelta(hours=7)
    doubled = [dataclasses.replace(x, basis="list", period_start=x.period_start + later, amount=1.0) for x in booked]
    ledger.record_realised(doubled, now)
    assert sum(row.realised or 0.0 for row in LedgerSource(ledger).savings(now)) == pytest.approx(before)
