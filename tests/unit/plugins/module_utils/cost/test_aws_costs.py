# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of Cost Explorer, what it costs, and what comes of its answers."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import ApiCost, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.cost import cost_explorer_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.aws_costs import OPTIONS, gather
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_explorer_rows import kind_of
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cost_queries import (
    CostExplorer,
    CostQueryError,
    Key,
    Period,
)

TODAY = datetime.date(2026, 6, 15)
ACCOUNT = "111111111111"
SERVICE, LINKED = Key("DIMENSION", "SERVICE"), Key("DIMENSION", "LINKED_ACCOUNT")
Fake = Callable[..., t.Any]


def options(**given: t.Any) -> dict[str, t.Any]:
    """What AnsibleModule makes of options."""
    return {**{name: one.get("default") for name, one in OPTIONS.items()}, **given}


def result(*groups: tuple[list[str], float], start: str = "2026-05-01", end: str = "2026-06-01") -> dict[str, t.Any]:
    """A period with groups that cost so much, or without groups with a total."""

    def metrics(cost: float) -> dict[str, t.Any]:
        return {name: {"Amount": str(cost), "Unit": "USD"} for name in ("UnblendedCost", "AmortizedCost")}

    return {
        "TimePeriod": {"Start": start, "End": end},
        "Total": {} if groups else metrics(0),
        "Groups": [{"Keys": keys, "Metrics": metrics(cost)} for keys, cost in groups],
        "Estimated": False,
    }


def usage_of(fake_aws: Fake, *pages: dict[str, t.Any]) -> t.Any:
    """An AWS whose Cost Explorer answers with these pages, one after the other."""
    left = list(pages)
    return fake_aws({"ce:get_cost_and_usage": lambda **_arguments: left.pop(0)})


def test_all_pages_are_read_and_each_is_paid_for(fake_aws: Fake) -> None:
    aws = usage_of(
        fake_aws,
        {"ResultsByTime": [result((["AWS Lambda"], 2.5))], "NextPageToken": "more"},
        {"ResultsByTime": [result((["Amazon S3"], 1.25))]},
    )
    found = gather(aws, options(group_by=["SERVICE"]), TODAY, check=False)
    assert [(one["group"], one["amounts"]["AmortizedCost"]["amount"]) for one in found["costs"]] == [
        ({"SERVICE": "AWS Lambda"}, 2.5),
        ({"SERVICE": "Amazon S3"}, 1.25),
    ]
    assert found["api"]["cost"] == 0.02
    assert aws.asked[0][1]["TimePeriod"] == {"Start": "2026-05-01", "End": "2026-06-15"}
    assert aws.asked[0][1]["region"] == "us-east-1"
    assert aws.asked[1][1]["NextPageToken"] == "more"


def test_a_page_that_is_not_allowed_is_not_asked_for(fake_aws: Fake) -> None:
    aws = usage_of(fake_aws, {"ResultsByTime": [result()], "NextPageToken": "more"})
    aws.cost = ApiCost(0.015)
    with pytest.raises(AwsError, match=r"max_api_cost allows \(0.015 USD; 0.01 USD are spent\): raise it, or ask for"):
        gather(aws, options(), TODAY, check=False)
    assert aws.count("ce:get_cost_and_usage") == 1


def test_the_same_question_is_paid_for_once_a_day(fake_aws: Fake, tmp_path: Path) -> None:
    aws = fake_aws({"ce:get_cost_and_usage": {"ResultsByTime": [result((["AWS Lambda"], 2.5))]}})
    given = options(group_by=["SERVICE"], cache_directory=str(tmp_path), since="2026-05-01", until="2026-06-01")
    seen = []
    for days, cache_days in ((0, 0), (0, 0), (1, 0), (3, 2), (9, 2)):
        now = TODAY + datetime.timedelta(days=days)
        found = gather(aws, {**given, "cache_days": cache_days}, now, check=False)
        seen.append((found["cached_answers"], found["read_on"]))
    assert seen == [
        (0, "2026-06-15"),
        (1, "2026-06-15"),
        (0, "2026-06-16"),
        (1, "2026-06-16"),
        (0, "2026-06-24"),
    ]
    assert aws.cost.spent == pytest.approx(0.03)
    assert [path.stat().st_mode & 0o077 for path in tmp_path.iterdir()] == [0]


def test_an_old_answer_serves_while_aws_is_not_reached(fake_aws: Fake, tmp_path: Path) -> None:
    answers: list[t.Any] = [
        {"ResultsByTime": [result((["AWS Lambda"], 2.5))]},
        AwsError("AWS cannot be reached for ce:GetCostAndUsage", "EndpointConnectionError"),
        AwsError("AWS denied ce:GetCostAndUsage: grant that permission to the caller", "AccessDeniedException"),
        AwsError("AWS cannot be reached for ce:GetCostAndUsage", "EndpointConnectionError"),
    ]
    aws = fake_aws({"ce:get_cost_and_usage": lambda **_arguments: answers.pop(0)})
    given = options(group_by=["SERVICE"], cache_directory=str(tmp_path), since="2026-05-01", until="2026-06-01")
    gather(aws, given, TODAY, check=False)
    later = TODAY + datetime.timedelta(days=30)
    found = gather(aws, given, later, check=False)
    assert found["read_on"] == "2026-06-15"
    assert found["warnings"] == ["AWS cannot be reached for ce:GetCostAndUsage; the answer is of 2026-06-15, from disk"]
    with pytest.raises(AwsError, match=r"denied ce:GetCostAndUsage: grant that permission"):
        gather(aws, given, later, check=False)
    with pytest.raises(AwsError, match="one region alone: try again later, or give cache_directory"):
        gather(aws, options(), later, check=False)


def test_tags_and_filters(fake_aws: Fake) -> None:
    aws = fake_aws({"ce:get_cost_and_usage": {"ResultsByTime": [result((["team$", "eu-west-1"], 1.0))]}})
    filters = [
        {"key": "tag:env", "values": ["prod"], "exclude": False},
        {"key": "record_type", "values": ["Tax"], "exclude": True},
    ]
    found = gather(aws, options(group_by=["tag:team", "region"], filters=filters), TODAY, check=False)
    assert found["costs"][0]["group"] == {"tag:team": "", "REGION": "eu-west-1"}
    assert aws.asked[0][1]["Filter"] == {
        "And": [
            {"Tags": {"Key": "env", "Values": ["prod"]}},
            {"Not": {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Tax"]}}},
        ]
    }
    assert aws.asked[0][1]["GroupBy"][0] == {"Type": "TAG", "Key": "team"}


def test_accounts_are_masked_unless_asked_for(fake_aws: Fake) -> None:
    answer = {
        "ResultsByTime": [result(([ACCOUNT], 1.0))],
        "DimensionValueAttributes": [{"Value": ACCOUNT, "Attributes": {"description": "production"}}],
    }
    aws = fake_aws({"ce:get_cost_and_usage": answer})
    found = gather(aws, options(group_by=["LINKED_ACCOUNT"]), TODAY, check=False)
    assert ACCOUNT not in str(found)
    assert found["accounts"] == {"********1111": "production"}
    shown = gather(aws, options(group_by=["LINKED_ACCOUNT"], show_identities=True), TODAY, check=False)
    assert shown["costs"][0]["group"] == {"LINKED_ACCOUNT": ACCOUNT}


@pytest.mark.parametrize(
    ("metric", "method", "sent"),
    [
        ("NetUnblendedCost", "get_cost_forecast", "NET_UNBLENDED_COST"),
        ("UsageQuantity", "get_usage_forecast", "USAGE_QUANTITY"),
    ],
)
def test_a_forecast_with_its_band(fake_aws: Fake, metric: str, method: str, sent: str) -> None:
    answer = {
        "Total": {"Amount": "120.5", "Unit": "USD"},
        "ForecastResultsByTime": [
            {
                "TimePeriod": {"Start": "2026-06-15", "End": "2026-07-01"},
                "MeanValue": "120.5",
                "PredictionIntervalLowerBound": "100",
                "PredictionIntervalUpperBound": "141",
            }
        ],
    }
    aws = fake_aws({f"ce:{method}": answer})
    forecast = {"metric": metric, "since": None, "until": "2026-07-01", "granularity": "daily", "level": 90}
    found = gather(aws, options(costs=False, forecast=forecast), TODAY, check=False)["forecast"]
    assert (found["total"], found["periods"][0]["lower"], found["periods"][0]["upper"]) == (120.5, 100.0, 141.0)
    asked = aws.asked[0][1]
    assert (asked["Metric"], asked["Granularity"], asked["PredictionIntervalLevel"]) == (sent, "DAILY", 90)


def test_values_of_dimensions_tags_and_categories(fake_aws: Fake) -> None:
    aws = fake_aws(
        {
            "ce:get_dimension_values": {"DimensionValues": [{"Value": "us-east-1", "Attributes": {}}]},
            "ce:get_tags": lambda **given: {"Tags": ["", "search"] if given.get("TagKey") else ["team"]},
            "ce:get_cost_categories": {"CostCategoryValues": ["shop"]},
        }
    )
    found = gather(
        aws,
        options(costs=False, values_of=["REGION", "tag:team", "category:Product"], tag_names=True),
        TODAY,
        check=False,
    )
    assert found["values_of"] == {"REGION": ["us-east-1"], "tag:team": ["", "search"], "category:Product": ["shop"]}
    assert found["tag_names"] == ["team"]
    assert found["api"]["cost"] == 0.04


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"group_by": ["COLOUR"]}, r"group_by has 'COLOUR', which is no dimension of Cost Explorer: use one of AZ, "),
        ({"filters": [{"key": "tag:", "values": ["a"], "exclude": False}]}, "filters has 'tag:'"),
        ({"group_by": ["AZ", "SERVICE", "REGION"]}, "group_by has 3 keys: Cost Explorer groups by two at most"),
        ({"since": "2026-06-31"}, "since is '2026-06-31': give a day such as 2026-01-31"),
        ({"since": "2026-06-10", "until": "2026-06-10"}, "until is the first day that no longer counts"),
        ({"since": "2026-07-01", "until": "2026-08-01"}, "since is 2026-07-01, which is to come"),
        ({"cache_days": -1}, "cache_days is -1: give 0"),
        ({"dataset": "/x", "since": "2026-05-02"}, "since is 2026-05-02: with dataset it is the first day of a month"),
        ({"dataset": "/x", "since": "2026-05-01", "until": "2026-05-20"}, "until is 2026-05-20: with dataset"),
        (
            {"forecast": {"until": "2026-07-01", "since": None, "level": 50, "granularity": "daily", "metric": "x"}},
            "forecast.level is 50: Cost Explorer knows bands of 51 to 99 percent",
        ),
        (
            {"forecast": {"until": "2026-06-01", "since": None, "level": 80, "granularity": "daily", "metric": "x"}},
            "forecast.until is '2026-06-01': give a day after 2026-06-15",
        ),
    ],
)
def test_bad_options_ask_nothing(fake_aws: Fake, given: dict[str, t.Any], sentence: str) -> None:
    aws = fake_aws({})
    with pytest.raises(CostQueryError, match=sentence):
        gather(aws, options(**given), TODAY, check=False)
    assert aws.asked == []


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "DataUnavailableException",
            "no data for 2026-05-01 to 2026-06-15 .*: a day's cost comes up to 24 hours later",
        ),
        ("BillExpirationException", "no longer has the bills of 2026-05-01 to 2026-06-15: ask for later months"),
        ("UnresolvableUsageUnitException", "usage in several units cannot be foreseen: filter by one USAGE_TYPE"),
    ],
)
def test_refusals_in_one_sentence(fake_aws: Fake, code: str, sentence: str) -> None:
    aws = fake_aws({"ce:get_cost_and_usage": AwsError(f"AWS refused it: {code}", code)})
    with pytest.raises(AwsError, match=sentence):
        gather(aws, options(), TODAY, check=False)


def test_a_missing_permission_is_named_and_the_account_is_not(fake_aws: Fake) -> None:
    denied = (
        f"AWS denied ce:GetCostAndUsage in account {ACCOUNT} (AccessDeniedException: User: "
        f"arn:aws:iam::{ACCOUNT}:user/a is not authorized): grant that permission to the caller"
    )
    aws = fake_aws({"ce:get_cost_and_usage": lambda **_given: AwsError(denied, "AccessDeniedException")})
    with pytest.raises(AwsError, match=r"denied ce:GetCostAndUsage .* grant that permission to the caller") as told:
        gather(aws, options(), TODAY, check=False)
    assert ACCOUNT not in str(told.value)
    with pytest.raises(AwsError, match=f"account {ACCOUNT}"):
        gather(aws, options(show_identities=True), TODAY, check=False)


def test_nothing_found_is_said(fake_aws: Fake) -> None:
    aws = fake_aws({"ce:get_cost_and_usage": {"ResultsByTime": [result()]}})
    found = gather(aws, options(), TODAY, check=False)
    assert found["warnings"][0].startswith("Cost Explorer has no cost from 2026-05-01 to 2026-06-15 for this selection")


# --- rows of FOCUS


def charge(keys: list[str], billed: float, effective: float, gross: float, usage: float = 0.0) -> dict[str, t.Any]:
    values = dict(zip(cost_explorer_rows.METRICS, (billed, effective, gross, usage)))
    metrics = {
        name: {"Amount": str(value), "Unit": "Hrs" if name == "UsageQuantity" else "USD"}
        for name, value in values.items()
    }
    return {"Keys": keys, "Metrics": metrics}


def explorer(fake_aws: Fake, charges: list[dict[str, t.Any]], **more: t.Any) -> t.Any:
    """A Cost Explorer whose charges have RECORD_TYPE as their last key."""

    def answer(**given: t.Any) -> dict[str, t.Any]:
        keys = [group["Key"] for group in given["GroupBy"]]
        only = given.get("Filter", {}).get("Dimensions", {}).get("Values")
        groups = [
            {**one, "Keys": one["Keys"][-1:] if keys == ["RECORD_TYPE"] else one["Keys"][: len(keys)]}
            for one in charges
            if not only or one["Keys"][-1] in only
        ]
        period = {"Start": "2026-05-01", "End": "2026-05-02"}
        return {"ResultsByTime": [{"TimePeriod": period, "Total": {}, "Groups": groups, "Estimated": True}], **more}

    aws = fake_aws({"ce:get_cost_and_usage": answer})
    return aws, CostExplorer(aws, Cache(""), TODAY)


def test_kinds_of_charges_become_categories(fake_aws: Fake) -> None:
    """Sums stay what they were: a negation takes off what covered usage is not billed."""
    service, plans = "Amazon Elastic Compute Cloud - Compute", "Savings Plans for AWS Compute usage"
    charges = [
        charge([service, ACCOUNT, "Usage"], 10.0, 10.0, 11.0, 100.0),
        charge([service, ACCOUNT, "SavingsPlanCoveredUsage"], 20.0, 14.6, 20.0, 200.0),
        charge([service, ACCOUNT, "SavingsPlanNegation"], -20.0, 0.0, -20.0),
        charge([plans, ACCOUNT, "SavingsPlanRecurringFee"], 16.0, 1.4, 16.0),
        charge([service, ACCOUNT, "EdpDiscount"], 0.0, 0.0, -1.0),
        charge(["Tax", ACCOUNT, "Tax"], 2.0, 2.0, 2.0),
    ]
    aws, found = explorer(
        fake_aws,
        charges,
        DimensionValueAttributes=[{"Value": ACCOUNT, "Attributes": {"description": "production"}}],
    )
    period = Period(datetime.date(2026, 5, 1), datetime.date(2026, 6, 1))
    rows = list(cost_explorer_rows.read(found, ACCOUNT, period, "DAILY", [SERVICE, LINKED]))
    shown = [
        (row["ChargeCategory"], row["ChargeFrequency"], row["PricingCategory"], row["BilledCost"], row["EffectiveCost"])
        for row in rows
    ]
    assert shown == [
        ("Usage", "Usage-Based", "Committed", 0.0, 14.6),
        ("Purchase", "Recurring", "Standard", 16.0, 0.0),
        ("Usage", "Usage-Based", "Committed", 0.0, 1.4),
        ("Tax", "One-Time", None, 2.0, 2.0),
        ("Usage", "Usage-Based", "Standard", 10.0, 10.0),
    ]
    assert sum(row["BilledCost"] for row in rows) == pytest.approx(28.0)
    assert sum(row["EffectiveCost"] for row in rows) == pytest.approx(28.0)
    assert rows[0]["ListCost"] == 20.0
    assert rows[4]["ListCost"] == 11.0
    assert rows[0]["ServiceCategory"] == "Compute"
    assert (rows[0]["SubAccountId"], rows[0]["SubAccountName"]) == (ACCOUNT, "production")
    assert rows[0]["BillingPeriodEnd"] == datetime.date(2026, 6, 1)
    # One request for the kinds of charges, one for each; the negation is not asked for.
    assert aws.cost.spent == pytest.approx(0.06)


def test_one_request_where_the_kind_is_a_key(fake_aws: Fake) -> None:
    charges = [
        charge(["BoxUsage:m5.large", "Usage"], 10.0, 10.0, 10.0, 100.0),
        charge(["x", "Refund"], -3.0, -3.0, -3.0),
    ]
    aws, found = explorer(fake_aws, charges)
    keys = [Key("DIMENSION", "USAGE_TYPE"), cost_explorer_rows.RECORD_TYPE]
    period = Period(datetime.date(2026, 5, 1), datetime.date(2026, 6, 1))
    usage, refund = cost_explorer_rows.read(found, ACCOUNT, period, "DAILY", keys)
    assert (usage["ConsumedQuantity"], usage["ConsumedUnit"]) == (100.0, "Hrs")
    assert (refund["ChargeCategory"], refund["BilledCost"]) == ("Adjustment", -3.0)
    assert refund.get("ConsumedQuantity") is None
    assert aws.cost.spent == pytest.approx(0.01)


def test_every_kind_has_a_frequency_that_focus_allows() -> None:
    for name in ("Usage", "DiscountedUsage", "RIFee", "Recurring ", "Upfront", "Support fee", "Something new"):
        kind = kind_of(name)
        assert (kind.category == "Purchase" and kind.frequency == "Usage-Based") is False
    assert kind_of("Recurring").role == kind_of("Upfront reservation fee").role == "fee"
    assert kind_of("Other out-of-cycle charges").category == "Adjustment"
