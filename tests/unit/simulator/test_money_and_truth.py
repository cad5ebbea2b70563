# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prices, Cost Explorer, commitments, and the truth about cost and overload."""

from __future__ import annotations

import json
import typing as t

import pytest
from simulator import catalog, credits, estate, prices
from simulator.testing import ACCOUNT, code_of, instance_ids, moment, one_account, plain, state, steady, until
from simulator.usage import Demand, Profile

Start = t.Callable[..., t.Any]


def term(field: str, value: str, kind: str = "TERM_MATCH") -> dict[str, str]:
    return {"Type": kind, "Field": field, "Value": value}


LINUX = [term("regionCode", "us-east-1"), term("operatingSystem", "Linux"), term("tenancy", "Shared")]


def products(client: t.Any, *filters: dict[str, str]) -> list[dict[str, t.Any]]:
    pages = client.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=list(filters))
    return [json.loads(text) for page in pages for text in page["PriceList"]]


# --- the price list ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "price"),
    [
        ("m5.large", 0.096),
        ("m5.2xlarge", 0.384),
        ("c5.9xlarge", 1.53),
        ("t3.micro", 0.0104),
        ("t4g.medium", 0.0336),
        ("c6g.xlarge", 0.136),
        ("r5.xlarge", 0.252),
        ("g5.2xlarge", None),
        ("m5.metal", None),
        ("x1.16xlarge", None),
    ],
)
def test_prices_follow_from_the_list(kind: str, price: float | None) -> None:
    assert prices.on_demand(kind) == (pytest.approx(price) if price else None)


def test_windows_costs_more_by_the_vcpu() -> None:
    assert prices.on_demand("m5.xlarge", "Windows") == pytest.approx(0.192 + 4 * 0.046)
    assert prices.on_demand("m5.xlarge", "Solaris") is None


def test_products_are_filtered_and_shaped_like_the_real_ones(start: Start) -> None:
    simulator = start(one_account())
    client = simulator.client("pricing", ACCOUNT)
    found = products(client, *LINUX, term("instanceType", "m5.large"), term("preInstalledSw", "NA"))
    assert len(found) == 1
    product = found[0]
    attributes = product["product"]["attributes"]
    assert (attributes["vcpu"], attributes["memory"], attributes["usagetype"]) == ("2", "8 GiB", "BoxUsage:m5.large")
    assert attributes["location"] == "US East (N. Virginia)"
    offer = next(iter(product["terms"]["OnDemand"].values()))
    dimension = next(iter(offer["priceDimensions"].values()))
    assert (dimension["unit"], float(dimension["pricePerUnit"]["USD"])) == ("Hrs", 0.096)
    assert product["publicationDate"] == "2026-07-20T00:00:00Z"


def test_products_come_in_pages_of_a_hundred(start: Start) -> None:
    simulator = start(one_account())
    found = products(simulator.client("pricing", ACCOUNT), *LINUX)
    names = [one["product"]["attributes"]["instanceType"] for one in found]
    assert names == list(prices.priced_types())
    assert simulator.stats()["counts"][ACCOUNT]["pricing:GetProducts"] == -(-len(names) // 100)


def test_filters_of_other_kinds(start: Start) -> None:
    client = start(one_account()).client("pricing", ACCOUNT)
    some = products(client, *LINUX, term("instanceType", "m5.large,c5.large", "ANY_OF"))
    assert {one["product"]["attributes"]["instanceType"] for one in some} == {"m5.large", "c5.large"}
    windows = products(client, term("regionCode", "us-east-1"), term("operatingSystem", "Win", "CONTAINS"))
    assert {one["product"]["attributes"]["operatingSystem"] for one in windows} == {"Windows"}
    assert "m6g.large" not in {one["product"]["attributes"]["instanceType"] for one in windows}
    assert code_of(client.get_products, ServiceCode="AmazonEC2", Filters=[term("colour", "red")]) == (
        "InvalidParameterException"
    )
    assert code_of(client.get_products, ServiceCode="AmazonS3") == "NotFoundException"


def test_the_service_has_few_endpoints(start: Start) -> None:
    simulator = start(one_account())
    client = simulator.client("pricing", ACCOUNT, region="eu-west-1")
    assert code_of(client.describe_services) == "AccessDeniedException"
    assert simulator.client("pricing", ACCOUNT).describe_services()["Services"][0]["ServiceCode"] == "AmazonEC2"


# --- what was spent ----------------------------------------------------------------------


def daily(client: t.Any, start_day: str, end_day: str, **options: t.Any) -> list[dict[str, t.Any]]:
    arguments = {"Metrics": ["UnblendedCost"], "Granularity": "DAILY", **options}
    answer = client.get_cost_and_usage(TimePeriod={"Start": start_day, "End": end_day}, **arguments)
    return t.cast("list[dict[str, t.Any]]", answer["ResultsByTime"])


COMPUTE = {"Dimensions": {"Key": "SERVICE", "Values": ["Amazon Elastic Compute Cloud - Compute"]}}


def amount(result: dict[str, t.Any]) -> float:
    return float(result["Total"]["UnblendedCost"]["Amount"])


def test_cost_is_what_ran(start: Start) -> None:
    simulator = start(one_account([plain(2, "m5.2xlarge"), plain(1, "m5.large", launched_days_ago=3)]))
    ec2, client = simulator.client("ec2", ACCOUNT), simulator.client("ce", ACCOUNT)
    full = 24 * (2 * 0.384 + 0.096)
    days = daily(client, "2026-06-11", "2026-06-15", Filter=COMPUTE)
    assert [amount(day) for day in days] == pytest.approx([full - 24 * 0.096, full - 12 * 0.096, full, full])
    name = instance_ids(ec2)[0]
    ec2.stop_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "stopped")
    ec2.modify_instance_attribute(InstanceId=name, InstanceType={"Value": "m5.large"})
    ec2.start_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "running")
    simulator.clock(now="2026-06-18T00:00:00Z")
    after = daily(client, "2026-06-16", "2026-06-17", Filter=COMPUTE)
    assert amount(after[0]) == pytest.approx(24 * (0.384 + 2 * 0.096), rel=1e-3)


def test_costs_are_grouped_filtered_and_estimated(start: Start) -> None:
    entries = [plain(1, "m5.large", tags={"team": "search"}), plain(1, "c5.large")]
    client = start(one_account(entries)).client("ce", ACCOUNT)
    by_type = daily(
        client, "2026-06-14", "2026-06-16", GroupBy=[{"Type": "DIMENSION", "Key": "INSTANCE_TYPE"}], Filter=COMPUTE
    )
    amounts = {group["Keys"][0]: float(group["Metrics"]["UnblendedCost"]["Amount"]) for group in by_type[0]["Groups"]}
    assert amounts == pytest.approx({"m5.large": 24 * 0.096, "c5.large": 24 * 0.085})
    assert [day["Estimated"] for day in by_type] == [False, True]
    by_tag = daily(client, "2026-06-14", "2026-06-15", GroupBy=[{"Type": "TAG", "Key": "team"}], Filter=COMPUTE)
    assert [group["Keys"] for group in by_tag[0]["Groups"]] == [["team$"], ["team$search"]]
    other = {"Not": COMPUTE}
    storage = 2 * 30 * 0.08 / 730 * 24
    assert amount(daily(client, "2026-06-14", "2026-06-15", Filter=other)[0]) == pytest.approx(storage)
    wrong = {
        "TimePeriod": {"Start": "2026-06-15", "End": "2026-06-14"},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
    }
    assert code_of(client.get_cost_and_usage, **wrong) == "ValidationException"


def test_the_first_account_pays_for_all(start: Start) -> None:
    description = one_account([plain(1, "m5.large")])
    regions = {"us-east-1": {"instances": [plain(1, "c5.large")]}}
    description["accounts"].append({"id": "222222222222", "regions": regions})
    simulator = start(description)
    days = daily(simulator.client("ce", ACCOUNT), "2026-06-14", "2026-06-15", Filter=COMPUTE)
    assert amount(days[0]) == pytest.approx(24 * (0.096 + 0.085))
    member = daily(simulator.client("ce", "222222222222"), "2026-06-14", "2026-06-15", Filter=COMPUTE)
    assert amount(member[0]) == pytest.approx(24 * 0.085)


def test_commitments_cover_their_family_first(start: Start) -> None:
    commitment = round(2 * 0.17 * 0.73, 6)
    plans = [{"type": "EC2Instance", "family": "c6i", "region": "us-east-1", "commitment": commitment}]
    reservations = [{"type": "r5.large", "count": 1}]
    simulator = start(
        one_account(
            [plain(2, "c6i.xlarge"), plain(1, "r5.xlarge"), plain(1, "m5.xlarge")],
            {"savings_plans": plans, "reservations": reservations},
        )
    )
    client = simulator.client("ce", ACCOUNT)
    period = {"Start": "2026-06-13", "End": "2026-06-15"}
    answer = client.get_savings_plans_coverage(
        TimePeriod=period, GroupBy=[{"Type": "DIMENSION", "Key": "INSTANCE_FAMILY"}]
    )
    shares = {
        row["Attributes"]["INSTANCE_FAMILY"]: float(row["Coverage"]["CoveragePercentage"])
        for row in answer["SavingsPlansCoverages"]
    }
    assert shares == pytest.approx({"c6i": 100, "m5": 0, "r5": 0}, abs=0.01)
    reserved = client.get_reservation_coverage(
        TimePeriod=period, GroupBy=[{"Type": "DIMENSION", "Key": "INSTANCE_TYPE_FAMILY"}]
    )["CoveragesByTime"][0]
    halves = {
        row["Attributes"]["instanceTypeFamily"]: float(row["Coverage"]["CoverageHours"]["CoverageHoursPercentage"])
        for row in reserved["Groups"]
    }
    assert halves == pytest.approx({"c6i": 0, "m5": 0, "r5": 50}, abs=0.01)
    used = client.get_savings_plans_utilization(TimePeriod=period)["Total"]["Utilization"]
    assert float(used["UtilizationPercentage"]) == pytest.approx(100, abs=0.01)
    totals = simulator.truth()["totals"]
    at_list = 2 * 0.17 + 0.252 + 0.192
    effective = commitment + 0.126 * 0.73 + 0.126 + 0.192
    assert totals["monthly_cost"] == pytest.approx(at_list * 730, abs=0.01)
    assert totals["monthly_cost_effective"] == pytest.approx(effective * 730, abs=0.5)
    listed = simulator.client("savingsplans", ACCOUNT).describe_savings_plans()["savingsPlans"][0]
    assert (listed["ec2InstanceFamily"], listed["state"]) == ("c6i", "active")
    held = simulator.client("ec2", ACCOUNT).describe_reserved_instances()["ReservedInstances"][0]
    assert (held["InstanceType"], held["State"]) == ("r5.large", "active")


def test_without_commitments_cost_explorer_has_no_data(start: Start) -> None:
    client = start(one_account([plain(1)])).client("ce", ACCOUNT)
    period = {"Start": "2026-06-13", "End": "2026-06-15"}
    assert code_of(client.get_savings_plans_coverage, TimePeriod=period) == "DataUnavailableException"


def test_compute_optimizer_wants_to_be_opted_in(start: Start) -> None:
    client = start(one_account()).client("compute-optimizer", ACCOUNT)
    assert code_of(client.get_ec2_instance_recommendations) == "OptInRequiredException"
    inside = start(one_account(account={"compute_optimizer": True})).client("compute-optimizer", ACCOUNT)
    assert inside.get_ec2_instance_recommendations()["instanceRecommendations"] == []


# --- the truth ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "usage", "dimension"),
    [
        ("m5.xlarge", {"cpu_percent": 120}, "cpu"),
        ("m5.xlarge", {"cpu_percent": 10, "memory_percent": 110}, "memory"),
        ("m5.large", {"cpu_percent": 10, "network_mbps": 1500}, "network"),
        ("m5.large", {"cpu_percent": 10, "ebs_mbps": 1300, "ebs_iops": 100}, "ebs_bandwidth"),
        ("m5.large", {"cpu_percent": 10, "ebs_iops": 5000}, "ebs_operations"),
    ],
)
def test_overload_in_each_dimension(start: Start, kind: str, usage: dict[str, t.Any], dimension: str) -> None:
    shape = {"profile": "steady", "parameters": {"level": 1.0, "noise": 0.0}}
    simulator = start(one_account([plain(1, kind, usage={**shape, **usage}), plain(1, kind, usage=steady(20))]))
    rows = list(simulator.truth("2026-06-10", "2026-06-12")["instances"].values())
    assert rows[0]["overload_by_dimension"] == {dimension: 2 * 1440}
    assert rows[0]["overload_minutes"] == 2 * 1440
    assert rows[1]["overload_minutes"] == 0


def test_overload_follows_the_type_and_reaches_into_the_future(start: Start) -> None:
    simulator = start(one_account([plain(1, "m5.2xlarge", usage=steady(60))]))
    ec2 = simulator.client("ec2", ACCOUNT)
    name = instance_ids(ec2)[0]
    window = ("2026-06-20", "2026-06-21")
    assert simulator.truth(*window)["totals"]["overload_minutes"] == 0
    ec2.stop_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "stopped")
    assert simulator.truth()["instances"][name]["monthly_cost"] == 0
    ec2.modify_instance_attribute(InstanceId=name, InstanceType={"Value": "m5.xlarge"})
    ec2.start_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "running")
    found = simulator.truth(*window)
    assert found["totals"]["overload_minutes"] == 1440  # 4.8 vCPUs on 4
    assert found["instances"][name]["monthly_cost"] == pytest.approx(0.192 * 730)
    assert simulator.truth("2026-06-10", "2026-06-15")["totals"]["overload_minutes"] == 0


def test_a_short_burst_above_the_network_baseline_is_no_overload(start: Start) -> None:
    bursts = {"profile": "batch", "parameters": {"low": 0.0, "noise": 0.0, "hours": 0.25}, "network_mbps": 1200}
    long = {**bursts, "parameters": {"low": 0.0, "noise": 0.0, "hours": 2}}
    simulator = start(one_account([plain(1, "m5.large", usage=bursts), plain(1, "m5.large", usage=long)]))
    rows = list(simulator.truth("2026-06-10", "2026-06-11")["instances"].values())
    assert rows[0]["overload_minutes"] == 0  # 15 minutes at 1.08 Gbit/s: half an hour averages below 0.75
    assert 110 <= rows[1]["overload_minutes"] <= 170


# --- credits -----------------------------------------------------------------------------


def flat(vcpus: float) -> Demand:
    return Demand(Profile("steady", 1, {"level": 1.0, "noise": 0.0}, 0.0), vcpus)


def test_credits_balance_at_the_baseline() -> None:
    spec = catalog.spec("t3.medium")
    assert spec is not None
    found = credits.simulate(flat(2 * 0.2), "t3.medium", True, 0, 4 * 86400)
    assert found.balance[-1] == pytest.approx(0, abs=1e-6)
    assert found.charged.sum() == 0
    below = credits.simulate(flat(0.2), "t3.medium", True, 0, 10 * 86400)
    assert below.balance[-1] == pytest.approx(24 * 24)  # a day's earnings, the most that is kept


def test_surplus_is_charged_beyond_a_day_of_earnings() -> None:
    found = credits.simulate(flat(1.4), "t3.medium", True, 0, 5 * 86400)
    used, earned = 1.4 * 60 * 120, 24 * 120
    assert found.charged.sum() == pytest.approx(used - earned - 24 * 24)


def test_standard_mode_is_held_at_the_baseline() -> None:
    found = credits.simulate(flat(2.0), "t2.medium", False, 0, 5 * 86400)
    assert found.vcpus[0] == pytest.approx(2.0)  # launch credits
    assert found.vcpus[-1] == pytest.approx(0.4)
    assert found.charged.sum() == 0


def test_a_throttled_burstable_instance_is_overloaded(start: Start) -> None:
    usage = steady(60)
    simulator = start(one_account([plain(1, "t2.medium", usage=usage), plain(1, "t3.medium", usage=usage)]))
    held, unlimited = simulator.truth("2026-06-10", "2026-06-11")["instances"].values()
    assert held["overload_minutes"] == 1440
    assert unlimited["overload_minutes"] == 0
    assert unlimited["monthly_surplus_credits"] == pytest.approx(0.8 * 0.05 * 730, rel=0.01)
    cloudwatch = simulator.client("cloudwatch", ACCOUNT)
    names = instance_ids(simulator.client("ec2", ACCOUNT))

    def mean(name: str, metric: str) -> float:
        answer = cloudwatch.get_metric_statistics(
            Namespace="AWS/EC2",
            MetricName=metric,
            Dimensions=[{"Name": "InstanceId", "Value": name}],
            StartTime=moment("2026-06-10"),
            EndTime=moment("2026-06-11"),
            Period=86400,
            Statistics=["Average"],
        )
        return float(answer["Datapoints"][0]["Average"])

    assert mean(names[0], "CPUUtilization") == pytest.approx(20)
    assert mean(names[1], "CPUUtilization") == pytest.approx(60)
    assert mean(names[0], "CPUCreditBalance") == 0


def test_estates_are_built_without_a_server() -> None:
    cloud = estate.build(one_account([plain(2)]))
    assert [len(region.instances) for region in cloud.regions()] == [2]
