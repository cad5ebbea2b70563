# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost Explorer of the simulated cloud: its sums are those of the bills, and it foresees what a bill goes on to be."""

from __future__ import annotations

import collections
import datetime
import typing as t

import pytest
from simulator import bills, cost_explorer
from simulator.testing import ACCOUNT, code_of, one_account, plain

Start = t.Callable[..., t.Any]
MAY = {"Start": "2026-05-01", "End": "2026-06-01"}
JUNE = {"Start": "2026-06-01", "End": "2026-06-16"}
# What of today is known grows while a test runs.
PAST = {"Start": "2026-06-01", "End": "2026-06-15"}


def commitments() -> dict[str, t.Any]:
    return {
        "savings_plans": [{"type": "Compute", "commitment": 0.4, "days_left": 200}],
        "reservations": [{"type": "r5.large", "count": 3}],
        "services": [
            {"name": "Amazon Simple Storage Service", "daily": 100, "weekend": 0.5, "category": "Storage"},
            {"name": "AWS Lambda", "daily": 20, "growth": 0.1, "tags": {"team": "search"}},
        ],
    }


@pytest.fixture
def cloud(start: Start) -> t.Any:
    entries = [plain(2, "m5.large", tags={"team": "shop"}), plain(1, "r5.large"), plain(1, "c5.xlarge")]
    description = one_account(entries, commitments())
    regions = {"eu-west-1": {"instances": [plain(1, "m5.xlarge", tags={"team": "ads"})], "elastic_ips": 1}}
    description["accounts"].append({"id": "222222222222", "name": "other", "regions": regions})
    return start(description)


def groups(client: t.Any, period: dict[str, str], *keys: str, **options: t.Any) -> dict[tuple[str, ...], list[float]]:
    """Sums of unblended and amortised cost over all pages, by key."""
    found: dict[tuple[str, ...], list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    arguments: dict[str, t.Any] = {
        "TimePeriod": period,
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost", "AmortizedCost"],
        "GroupBy": [{"Type": "DIMENSION", "Key": key} for key in keys],
        **options,
    }
    while True:
        answer = client.get_cost_and_usage(**arguments)
        for result in answer["ResultsByTime"]:
            for group in result["Groups"]:
                for place, metric in enumerate(("UnblendedCost", "AmortizedCost")):
                    found[tuple(group["Keys"])][place] += float(group["Metrics"][metric]["Amount"])
        if not answer.get("NextPageToken"):
            return found
        arguments["NextPageToken"] = answer["NextPageToken"]


def test_the_sums_are_those_of_the_bills(cloud: t.Any) -> None:
    client, now = cloud.client("ce", ACCOUNT), cloud.cloud.clock.now()
    found = groups(client, PAST, "LINKED_ACCOUNT", "RECORD_TYPE")
    for account in cloud.cloud.accounts.values():
        june = bills.focus_rows(cloud.cloud, account, datetime.date(2026, 6, 1), now)
        rows = [row for row in june if row["ChargePeriodStart"][:10] < PAST["End"]]
        sums = [sum(cost[n] for key, cost in found.items() if key[0] == account.account_id) for n in (0, 1)]
        assert sums[0] == pytest.approx(sum(row["BilledCost"] for row in rows))
        assert sums[1] == pytest.approx(sum(row["EffectiveCost"] for row in rows))
    mine = {key[1]: cost for key, cost in found.items() if key[0] == ACCOUNT}
    assert mine["SavingsPlanNegation"][0] == -mine["SavingsPlanCoveredUsage"][0] < 0
    assert mine["SavingsPlanRecurringFee"][0] == pytest.approx(0.4 * 24 * 14)
    assert mine["DiscountedUsage"][0] == 0 < mine["DiscountedUsage"][1]
    # One of three reserved machines runs: what the others cost is the amortised part of the fee.
    assert mine["RIFee"][1] == pytest.approx(mine["RIFee"][0] * 2 / 3)


def test_hours_of_a_day_add_up_to_it(cloud: t.Any) -> None:
    client = cloud.client("ce", ACCOUNT)
    day = {"TimePeriod": {"Start": "2026-06-13", "End": "2026-06-14"}, "Metrics": ["AmortizedCost"]}
    hours = client.get_cost_and_usage(**day, Granularity="HOURLY")["ResultsByTime"]
    whole = client.get_cost_and_usage(**day, Granularity="DAILY")["ResultsByTime"][0]
    assert len(hours) == 24
    assert sum(float(hour["Total"]["AmortizedCost"]["Amount"]) for hour in hours) == pytest.approx(
        float(whole["Total"]["AmortizedCost"]["Amount"])
    )


def test_groups_come_in_pages_of_whole_periods(cloud: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = cloud.client("ce", ACCOUNT)
    at_once = groups(client, PAST, "SERVICE", "REGION")
    cloud.gateway.statistics.reset()
    monkeypatch.setattr(cost_explorer, "PAGE", 20)
    assert groups(client, PAST, "SERVICE", "REGION") == at_once
    pages = -(-14 // (20 // len(at_once)))
    assert cloud.stats()["counts"][ACCOUNT]["ce:GetCostAndUsage"] == pages > 1


def test_values_of_dimensions_and_tags(cloud: t.Any) -> None:
    client = cloud.client("ce", ACCOUNT)
    accounts = client.get_dimension_values(TimePeriod=MAY, Dimension="LINKED_ACCOUNT")
    assert [one["Value"] for one in accounts["DimensionValues"]] == [ACCOUNT, "222222222222"]
    assert accounts["DimensionValues"][1]["Attributes"] == {"description": "other"}
    services = client.get_dimension_values(TimePeriod=MAY, Dimension="SERVICE", SearchString="simple")
    assert [one["Value"] for one in services["DimensionValues"]] == ["Amazon Simple Storage Service"]
    dearest = client.get_dimension_values(
        TimePeriod=MAY,
        Dimension="SERVICE",
        SortBy=[{"Key": "UnblendedCost", "SortOrder": "DESCENDING"}],
        MaxResults=1,
    )
    assert dearest["DimensionValues"][0]["Value"] == "Amazon Simple Storage Service"
    assert client.get_tags(TimePeriod=MAY)["Tags"] == ["Name", "team"]
    assert client.get_tags(TimePeriod=MAY, TagKey="team")["Tags"] == ["", "ads", "search", "shop"]


def test_a_forecast_goes_on_as_the_bill_did(cloud: t.Any) -> None:
    client = cloud.client("ce", ACCOUNT)
    answer = client.get_cost_forecast(
        TimePeriod={"Start": "2026-06-15", "End": "2026-07-01"},
        Metric="UNBLENDED_COST",
        Granularity="DAILY",
        PredictionIntervalLevel=90,
    )
    account = next(iter(cloud.cloud.accounts.values()))
    later = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC).timestamp()
    real = [0.0] * 16
    for one in cloud.cloud.accounts.values():
        for row in bills.focus_rows(cloud.cloud, one, datetime.date(2026, 6, 1), later):
            day = int(row["ChargePeriodStart"][8:10])
            if day >= 15:
                real[day - 15] += row["BilledCost"]
    assert account.services
    assert float(answer["Total"]["Amount"]) == pytest.approx(sum(real), rel=0.05)
    inside = [
        float(one["PredictionIntervalLowerBound"]) <= cost <= float(one["PredictionIntervalUpperBound"])
        for one, cost in zip(answer["ForecastResultsByTime"], real, strict=True)
    ]
    assert sum(inside) >= 12
    total = sum(float(one["MeanValue"]) for one in answer["ForecastResultsByTime"])
    assert total == pytest.approx(float(answer["Total"]["Amount"]))


def test_usage_is_foreseen_in_one_unit(cloud: t.Any) -> None:
    client = cloud.client("ce", ACCOUNT)
    arguments = {
        "TimePeriod": {"Start": "2026-06-16", "End": "2026-06-18"},
        "Metric": "USAGE_QUANTITY",
        "Granularity": "DAILY",
    }
    hours = {"Dimensions": {"Key": "USAGE_TYPE", "Values": ["BoxUsage:m5.large"]}}
    answer = client.get_usage_forecast(**arguments, Filter=hours)
    assert answer["Total"]["Unit"] == "Hrs"
    assert float(answer["Total"]["Amount"]) == pytest.approx(2 * 48)
    assert code_of(client.get_usage_forecast, **arguments) == "UnresolvableUsageUnitException"


def test_what_is_refused(cloud: t.Any, start: Start) -> None:
    client = cloud.client("ce", ACCOUNT)
    usage: dict[str, t.Any] = {"TimePeriod": JUNE, "Granularity": "DAILY", "Metrics": ["UnblendedCost"]}
    assert code_of(client.get_cost_and_usage, **{**usage, "Metrics": ["Cost"]}) == "ValidationException"
    colour = [{"Type": "DIMENSION", "Key": "COLOUR"}]
    assert code_of(client.get_cost_and_usage, **usage, GroupBy=colour) == "ValidationException"
    old = {"Start": "2025-04-30", "End": "2025-06-01"}
    assert code_of(client.get_cost_and_usage, **{**usage, "TimePeriod": old}) == "ValidationException"
    assert code_of(client.get_cost_and_usage, **{**usage, "Granularity": "HOURLY"}) == "ValidationException"
    forecast = {"Metric": "UNBLENDED_COST", "Granularity": "MONTHLY"}
    past = {"Start": "2026-06-14", "End": "2026-07-01"}
    assert code_of(client.get_cost_forecast, TimePeriod=past, **forecast) == "ValidationException"
    young = start(one_account([plain(1, launched_days_ago=5)], {"regions": {}})).client("ce", ACCOUNT)
    soon = {"Start": "2026-06-16", "End": "2026-07-01"}
    assert code_of(young.get_cost_forecast, TimePeriod=soon, **forecast) == "DataUnavailableException"
