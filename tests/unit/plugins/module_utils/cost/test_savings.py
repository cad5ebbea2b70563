# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Realised savings on figures worked out by hand."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import write_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.savings import (
    CostDataError,
    at_list_price,
    from_bill,
    months,
    read_focus,
    totals,
)
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Saving

UTC = datetime.timezone.utc
CHANGED = datetime.datetime(2026, 1, 20, 12, tzinfo=UTC)
NOW = datetime.datetime(2026, 2, 10, 12, tzinfo=UTC)


def projected(end: datetime.datetime | None = None) -> Saving:
    return Saving("act-1", "projected", CHANGED, end, 73.0, "USD", "list", "plan")


def test_months_split_at_midnight_of_the_first() -> None:
    parts = list(months(CHANGED, datetime.datetime(2026, 3, 1, tzinfo=UTC)))
    assert parts == [
        (CHANGED, datetime.datetime(2026, 2, 1, tzinfo=UTC)),
        (datetime.datetime(2026, 2, 1, tzinfo=UTC), datetime.datetime(2026, 3, 1, tzinfo=UTC)),
    ]


def test_list_price_counts_hours() -> None:
    january, february = at_list_price([projected()], NOW)
    assert january.amount == pytest.approx(0.1 * 11.5 * 24)
    assert february.amount == pytest.approx(0.1 * 9.5 * 24)
    assert {january.basis, february.basis} == {"list"}


def test_list_price_stops_where_it_was_rolled_back() -> None:
    ended = CHANGED + datetime.timedelta(hours=10)
    (only,) = at_list_price([projected(ended)], NOW)
    assert only.amount == pytest.approx(1.0)


def daily(first: datetime.date, costs: list[float]) -> dict[tuple[str, datetime.date], float]:
    return {("i-1", first + datetime.timedelta(days=index)): cost for index, cost in enumerate(costs)}


def test_bill_compares_whole_days_only() -> None:
    costs = daily(datetime.date(2026, 1, 10), [10.0] * 10 + [7.0] + [4.0] * 25)
    realised, silent = from_bill([projected()], {"act-1": "i-1"}, costs, NOW, "focus")
    # 21 January until 9 February: the day of the change and the incomplete last one do not count.
    assert sum(row.amount for row in realised) == pytest.approx(20 * 6.0)
    assert [row.period_start.date() for row in realised] == [datetime.date(2026, 1, 21), datetime.date(2026, 2, 1)]
    assert not silent


def test_bill_without_days_before_is_silent() -> None:
    costs = daily(datetime.date(2026, 1, 21), [4.0] * 20)
    realised, silent = from_bill([projected()], {"act-1": "i-1"}, costs, NOW, "focus")
    assert realised == []
    assert silent == ["act-1"]


def test_bill_that_went_up_is_a_negative_saving() -> None:
    costs = daily(datetime.date(2026, 1, 10), [1.0] * 10 + [2.0] * 25)
    realised, _silent = from_bill([projected()], {"act-1": "i-1"}, costs, NOW, "focus")
    assert sum(row.amount for row in realised) == pytest.approx(-20.0)


def test_totals_prefer_the_bill() -> None:
    listed = at_list_price([projected()], NOW)
    costs = daily(datetime.date(2026, 1, 10), [10.0] * 11 + [4.0] * 25)
    billed, _silent = from_bill([projected()], {"act-1": "i-1"}, costs, NOW, "focus")
    (total,) = totals([(projected(), "1/us-east-1")], [(row, "1/us-east-1") for row in [*listed, *billed]], NOW)
    assert total.realised == pytest.approx(120.0)
    assert total.projected_monthly == pytest.approx(73.0)
    assert total.projected_to_date == pytest.approx(0.1 * 21 * 24)


FOCUS = """ResourceId,ChargePeriodStart,ChargeCategory,EffectiveCost,Extra
arn:aws:ec2:us-east-1:1:instance/i-1,2026-01-20T00:00:00Z,Usage,1.5,x
i-1,2026-01-20 12:00:00,Usage,0.5,x
i-1,2026-01-20,Purchase,99,x
i-1,2026-01-21,Usage,NULL,x
i-2,2026-01-20,Usage,7,x
"""


def test_focus_adds_usage_of_wanted_resources(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    path = tmp_path / "focus.csv"
    path.write_text(FOCUS)
    assert read_focus([str(path)], ["i-1"]) == {("i-1", datetime.date(2026, 1, 20)): 2.0}


@pytest.mark.parametrize(
    ("text", "word"), [("a,b\n1,2\n", "is not FOCUS data"), (FOCUS.replace("1.5", "one"), "cannot be read")]
)
def test_focus_says_what_is_wrong(tmp_path: Path, text: str, word: str) -> None:
    pytest.importorskip("duckdb")
    path = tmp_path / "broken.csv"
    path.write_text(text)
    with pytest.raises(CostDataError, match=word):
        read_focus([str(path)], ["i-1"])


def test_focus_is_read_from_the_dataset_too(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    row = {
        "BilledCost": 3.0,
        "BillingAccountId": "111122223333",
        "BillingCurrency": "USD",
        "BillingPeriodStart": datetime.date(2026, 1, 1),
        "ChargeCategory": "Usage",
        "ChargePeriodStart": datetime.date(2026, 1, 20),
        "ChargePeriodEnd": datetime.date(2026, 1, 21),
        "ProviderName": "AWS",
        "ResourceId": "arn:aws:ec2:eu-west-1:111122223333:instance/i-1",
    }
    write_rows(Dataset(tmp_path), "aws", [row, {**row, "ResourceId": "i-2"}, {**row, "ChargeCategory": "Tax"}])
    assert read_focus([f"{tmp_path}/*/*.parquet"], ["i-1"]) == {("i-1", datetime.date(2026, 1, 20)): 3.0}


def test_focus_names_the_missing_file(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    with pytest.raises(CostDataError, match="no-such-file"):
        read_focus([str(tmp_path / "no-such-file.csv")], ["i-1"])
