# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Anomalies and forecasts of a FOCUS dataset: which rows and days count, where a change comes from, what is shown."""

from __future__ import annotations

import datetime
import random
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest

for _library in ("ibis", "duckdb", "pyarrow", "numpy"):
    pytest.importorskip(_library)
from ansible_collections.frugal.cloud.plugins.module_utils.cost import forecasts  # noqa: E402
from ansible_collections.frugal.cloud.plugins.module_utils.cost.anomalies import look, question_from  # noqa: E402
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, following, month  # noqa: E402
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError, open_costs  # noqa: E402
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import TagKey, write_rows  # noqa: E402

FIRST, DAYS = datetime.date(2026, 6, 1), 100
TODAY = FIRST + datetime.timedelta(days=DAYS)
#: Where something happens, as a day's number.
STEP, DEARER = 80, 70
SERVERS = {
    "i-1": ("111111111111", "us-east-1"),
    "i-2": ("111111111111", "eu-west-1"),
    "i-3": ("222222222222", "eu-west-1"),
}
DEFAULTS: dict[str, t.Any] = {
    "by": ["ServiceName"],
    "dimensions": ["SubAccountId", "RegionId", "SkuId", "ResourceId"],
    "metric": "EffectiveCost",
    "filters": [],
    "min_impact": 10.0,
    "min_change": 0.15,
    "threshold": 4.0,
    "decreases": False,
    "until": TODAY.isoformat(),
    "incomplete_days": 2,
    "history_days": 90,
    "report_days": 30,
    "limit": 20,
    "show_identities": False,
}


FORECAST: dict[str, t.Any] = {
    "by": [],
    "metric": "BilledCost",
    "filters": [],
    "months": 2,
    "until": TODAY.isoformat(),
    "incomplete_days": 2,
    "history_days": 400,
    "limit": 50,
    "show_identities": False,
}


def row(number: int, cost: float, **values: t.Any) -> dict[str, t.Any]:
    """A row of usage on a day."""
    date = FIRST + datetime.timedelta(days=number)
    start = datetime.datetime(date.year, date.month, date.day)
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ContractedCost": cost,
        "ListCost": cost,
        "BillingAccountId": "999999999999",
        "BillingCurrency": "USD",
        "BillingPeriodStart": month(date),
        "BillingPeriodEnd": following(month(date)),
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + datetime.timedelta(days=1),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "PricingUnit": "Hours",
        "ProviderName": "AWS",
        "ServiceName": "Amazon EC2",
        "ServiceCategory": "Compute",
        **values,
    }


def rows() -> t.Iterator[dict[str, t.Any]]:
    """EC2 on three servers, of which one does twice as much from day 80; S3, whose price rises by half on day 70."""
    draw = random.Random(7)
    for number in range(DAYS + 1):
        # The day of the report has only begun.
        part = 0.3 if number == DAYS else 1.0
        weekend = 0.7 if (FIRST.weekday() + number) % 7 > 4 else 1.0
        for server, (account, region) in SERVERS.items():
            hours = 100 * weekend * part * draw.gauss(1, 0.04) * (3.0 if server == "i-2" and number >= STEP else 1.0)
            place = {"ResourceId": server, "SubAccountId": account, "RegionId": region}
            yield row(number, hours * 1.5, PricingQuantity=hours, SkuId="m5", Tags={"Team": "web"}, **place)
        stored = 1000 * part * draw.gauss(1, 0.03)
        price = 0.3 if number >= DEARER else 0.2
        yield row(number, stored * price, PricingQuantity=stored, SkuId="s3", PricingUnit="GB", ServiceName="Amazon S3")
        if number in (60, 90):
            fee = {"ChargeFrequency": "Recurring", "CommitmentDiscountId": "sp-1"}
            yield row(number, 5000.0, ChargeCategory="Purchase", **fee)
            yield row(number, 900.0, ChargeCategory="Tax", ChargeFrequency="One-Time")
            yield row(number, 700.0, CommitmentDiscountStatus="Unused", CommitmentDiscountId="sp-1")
            yield row(number, 800.0, ChargeFrequency="Recurring", ServiceName="AWS Support")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("costs")
    write_rows(Dataset(found), "payer", rows(), [TagKey("team", ("Team",))])
    return found


Look = Callable[..., dict[str, t.Any]]


@pytest.fixture(scope="module")
def asked(folder: Path) -> Look:
    known: dict[str, dict[str, t.Any]] = {}

    def ask(**options: t.Any) -> dict[str, t.Any]:
        if str(options) not in known:
            known[str(options)] = look(open_costs(str(folder))[1], question_from({**DEFAULTS, **options}, TODAY))
        return known[str(options)]

    return ask


def test_more_usage_is_found_where_it_is(asked: Look) -> None:
    found = asked()
    assert [one["series"]["ServiceName"] for one in found["anomalies"]] == ["Amazon EC2", "Amazon S3"]
    ec2 = found["anomalies"][0]
    assert (ec2["kind"], ec2["first_day"], ec2["currency"]) == ("step", "2026-08-20", "USD")
    assert ec2["change_per_day"] == pytest.approx(2 * 150 * 6.1 / 7, rel=0.15)
    assert ec2["cost"] == pytest.approx(ec2["expected"] + ec2["change"], abs=0.02)
    [resource, *_others] = [cause for cause in ec2["causes"] if cause["dimension"] == "ResourceId"]
    assert (resource["value"], round(resource["share"], 1)) == ("i-2", 1.0)
    assert ec2["way_down"][0]["value"] == "i-2"
    assert ec2["effects"]["usage"] == pytest.approx(sum(ec2["effects"].values()), abs=0.02)
    assert ec2["effects"]["price"] == 0
    assert "ResourceId i-2" in ec2["sentence"]


def test_another_price_is_no_usage(asked: Look) -> None:
    s3 = asked()["anomalies"][1]
    assert (s3["kind"], s3["first_day"]) == ("step", "2026-08-10")
    assert s3["effects"]["price"] == pytest.approx(100, rel=0.05)
    assert abs(s3["effects"]["usage"]) < 10
    assert "price +" in s3["sentence"]


def test_fees_tax_and_unused_commitments_are_left_out_and_told(asked: Look) -> None:
    found = asked()
    assert "AWS Support" not in str(found["anomalies"])
    sums = {(one["category"], one["frequency"], one["status"]): one["cost"] for one in found["left_out"]}
    assert sums == {
        ("Purchase", "Recurring", None): 10000.0,
        ("Tax", "One-Time", None): 1800.0,
        ("Usage", "Usage-Based", "Unused"): 1400.0,
        ("Usage", "Recurring", None): 1600.0,
    }


def test_incomplete_days_are_not_judged(asked: Look) -> None:
    summary = asked()["summary"]
    assert summary["last_day"] == "2026-09-07"
    assert summary["incomplete_from"] == "2026-09-08"
    # A report from within the data: the day itself and the day before are not looked at, though they are there.
    past = asked(until="2026-08-21", decreases=True)
    assert past["summary"]["last_day"] == "2026-08-19"
    assert [one["series"]["ServiceName"] for one in past["anomalies"]] == ["Amazon S3"]


def test_a_report_of_the_past_is_what_was_known_then(asked: Look) -> None:
    [known] = [one for one in asked(until="2026-08-24")["anomalies"] if one["series"]["ServiceName"] == "Amazon EC2"]
    assert known["ongoing"]
    assert known["alarmed_on"] in ("2026-08-20", "2026-08-21", "2026-08-22")


def test_accounts_are_masked_unless_asked_for(asked: Look) -> None:
    hidden = asked(by=["SubAccountId"], limit=1)
    assert "111111111111" not in str(hidden)
    assert hidden["anomalies"][0]["series"] == {"SubAccountId": "********1111"}
    assert "111111111111" in str(asked(by=["SubAccountId"], limit=1, show_identities=True))


def test_series_by_tag_and_filters(asked: Look) -> None:
    found = asked(by=["tag:team"], filters=[{"column": "ServiceName", "values": ["Amazon EC2"]}])
    assert [one["series"] for one in found["anomalies"]] == [{"x_tag_team": "web"}]
    nothing = asked(filters=[{"column": "RegionId", "values": ["us-east-1"]}])
    assert nothing["anomalies"] == []


def test_limit_says_what_it_leaves_out(asked: Look) -> None:
    found = asked(limit=1)
    assert len(found["anomalies"]) == 1
    assert (found["summary"]["anomalies"], found["summary"]["not_shown"]) == (2, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_impact": 0.0}, "min_impact is 0.0: give 0.01 or more"),
        ({"min_change": 15.0}, "min_change is 15.0: give a part of the usual cost"),
        ({"threshold": 0.5}, "threshold is 0.5"),
        ({"by": []}, "by is empty"),
        ({"by": ["Servicename2"]}, "'Servicename2' is no column"),
        ({"until": "yesterday"}, "until is 'yesterday': give a day"),
        ({"until": "2026-01-01"}, "no usage before 2026-01-01"),
        ({"until": "2026-06-12"}, "anomalies need more than 14"),
        ({"filters": [{"column": "RegionId", "values": ["mars"]}]}, "has no usage"),
    ],
)
def test_bad_input_is_one_sentence(asked: Look, options: dict[str, t.Any], words: str) -> None:
    with pytest.raises((CostsError, ValueError), match=words.replace("(", r"\(")):
        asked(**options)


def test_forecast_of_the_month_with_its_fees(folder: Path) -> None:
    found = forecasts.foresee(open_costs(str(folder))[1], forecasts.question_from(FORECAST, TODAY))
    [total] = found["forecasts"]
    assert (total["series"], total["currency"], total["month"]) == ({}, "USD", "2026-09")
    # Seven days are known of September; what the month will really cost is what the rows' own course says.
    day = 3 * 150 * 6.4 / 7 + 2 * 150 * 6.4 / 7 + 300
    assert total["month_end"]["value"] == pytest.approx(30 * day, rel=0.05)
    assert total["month_end"]["low"] < total["month_end"]["value"] < total["month_end"]["high"]
    assert [one["month"] for one in total["months"]] == ["2026-10", "2026-11"]
    assert [one["month"] for one in total["backtest"]["months"]] == ["2026-08", "2026-07"]
    # The fees of 31 July and 30 August came after the seventh day, and nobody could know them by then.
    assert total["backtest"]["error_percent"] > 10
    assert found["summary"]["days_without_data"] == []


def test_forecasts_by_service_know_their_limits(folder: Path) -> None:
    table = open_costs(str(folder))[1]
    some = forecasts.foresee(table, forecasts.question_from({**FORECAST, "by": ["ServiceName"], "limit": 1}, TODAY))
    assert [one["series"] for one in some["forecasts"]] == [{"ServiceName": "Amazon EC2"}]
    assert some["summary"]["not_shown"] == 2
    early = {**FORECAST, "until": "2026-06-20"}
    [none] = forecasts.foresee(table, forecasts.question_from(early, TODAY))["forecasts"]
    assert (none["month_end"], none["months"], none["backtest"]) == (None, [], None)
    assert none["why"] == "18 complete days of history are too few: a forecast of the month's end needs 28"
    for options, words in (
        ({"months": 13}, "months is 13"),
        ({"months": -1}, "months is -1"),
        ({"limit": 0}, "limit is 0"),
    ):
        with pytest.raises(CostsError, match=words):
            forecasts.question_from({**FORECAST, **options}, TODAY)
