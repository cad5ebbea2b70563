# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prices: how old they may be, what happens without the Pricing API; and what commitments cover."""

from __future__ import annotations

import datetime
import json
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import ApiCost, ApiCostExceeded, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prices import (
    PriceOptions,
    read_commitments,
    read_prices,
    system_key,
)

TODAY = datetime.date(2026, 6, 15)
LINUX = ("Linux", "NA")
OPTIONS = PriceOptions(refresh_days=7, offline_days=30)


def product(instance_type: str, price: str, unit: str = "Hrs", currency: str = "USD") -> str:
    """An element of GetProducts' PriceList."""
    dimension = {"unit": unit, "pricePerUnit": {currency: price}}
    return json.dumps(
        {
            "product": {"attributes": {"instanceType": instance_type}},
            "terms": {"OnDemand": {"X.Y": {"priceDimensions": {"X.Y.Z": dimension}}}},
        }
    )


def pages(*products: str) -> list[dict[str, t.Any]]:
    """Two pages, since prices of a region are many."""
    return [{"PriceList": list(products[:1])}, {"PriceList": list(products[1:])}]


def read(
    aws: t.Any, cache: Cache, day: datetime.date = TODAY, systems: t.Iterable[tuple[str, str]] = (LINUX,)
) -> tuple[t.Any, list[str]]:
    warnings: list[str] = []
    return read_prices(aws, systems, day, cache, OPTIONS, warnings), warnings


@pytest.fixture
def pricing(fake_aws: Callable[..., t.Any]) -> t.Any:
    return fake_aws({"pricing:get_products": pages(product("m5.large", "0.107"), product("m5.xlarge", "0.214"))})


def test_prices_of_all_pages(pricing: t.Any, tmp_path: Path) -> None:
    prices, warnings = read(pricing, Cache(str(tmp_path)))
    assert prices.price("m5.large", "Linux") == 0.107
    assert prices.price("m5.xlarge", "Linux") == 0.214
    assert prices.price("m5.large", "Windows") is None
    assert (prices.source, prices.as_of, prices.currency) == ("AWS Pricing API", TODAY, "USD")
    assert warnings == []
    ((_name, asked),) = pricing.asked
    assert asked["region"] == "eu-central-1"
    filters = {item["Field"]: item["Value"] for item in asked["Filters"]}
    assert filters["regionCode"] == "eu-west-1"
    assert (filters["tenancy"], filters["capacitystatus"], filters["preInstalledSw"]) == ("Shared", "Used", "NA")


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("us-west-2", "us-east-1"),
        ("sa-east-1", "us-east-1"),
        ("eu-north-1", "eu-central-1"),
        ("af-south-1", "eu-central-1"),
        ("ap-northeast-1", "ap-south-1"),
        ("cn-north-1", "cn-northwest-1"),
    ],
)
def test_the_nearest_endpoint_is_asked(fake_aws: Callable[..., t.Any], region: str, endpoint: str) -> None:
    currency = "CNY" if region.startswith("cn-") else "USD"
    aws = fake_aws({"pricing:get_products": pages(product("m5.large", "1", currency=currency))}, region)
    prices, _warnings = read(aws, Cache(""))
    assert aws.asked[0][1]["region"] == endpoint
    assert prices.currency == currency


def test_what_has_no_hourly_price_is_left_out(fake_aws: Callable[..., t.Any]) -> None:
    aws = fake_aws(
        {
            "pricing:get_products": pages(
                product("m5.large", "0.1"),
                product("m5.metal", "0.0000000000"),
                product("m5.xlarge", "0.2", unit="Quantity"),
                json.dumps({"product": {"attributes": {}}, "terms": {}}),
            )
        }
    )
    assert read(aws, Cache(""))[0].hourly == {("m5.large", "Linux"): 0.1}


def test_software_is_priced_apart(pricing: t.Any) -> None:
    prices, _warnings = read(pricing, Cache(""), systems=[LINUX, ("Windows", "SQL Std"), LINUX])
    assert pricing.count("pricing:get_products") == 2
    assert system_key("Windows", "SQL Std") == "Windows with SQL Std"
    assert prices.price("m5.large", "Windows with SQL Std") == 0.107
    assert prices.price("m5.large", "Windows") is None


# -- age -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "requests"), [(0, 1), (7, 1), (8, 2)])
def test_prices_are_read_again_when_they_are_old(pricing: t.Any, tmp_path: Path, days: int, requests: int) -> None:
    cache = Cache(str(tmp_path))
    read(pricing, cache)
    later = TODAY + datetime.timedelta(days=days)
    prices, warnings = read(pricing, cache, later)
    assert pricing.count("pricing:get_products") == requests
    assert prices.as_of == (TODAY if requests == 1 else later)
    assert warnings == []


def test_offline_old_prices_serve_with_a_warning(pricing: t.Any, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    read(pricing, cache)
    pricing.answers["pricing:get_products"] = AwsError("AWS cannot be reached for pricing:GetProducts")
    prices, warnings = read(pricing, cache, TODAY + datetime.timedelta(days=30))
    assert prices.price("m5.large", "Linux") == 0.107
    assert (prices.as_of, prices.source) == (TODAY, "AWS Pricing API, kept on disk")
    assert warnings == [
        "prices for Linux in eu-west-1 are of 2026-06-15, read from disk: AWS cannot be reached for pricing:GetProducts"
    ]


def test_offline_prices_that_are_too_old_are_refused(pricing: t.Any, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    read(pricing, cache)
    pricing.answers["pricing:get_products"] = AwsError("no way")
    with pytest.raises(
        AwsError, match="prices for Linux in eu-west-1 cannot be read and those on disk are of 2026-06-15"
    ):
        read(pricing, cache, TODAY + datetime.timedelta(days=31))


def test_offline_without_any_prices(fake_aws: Callable[..., t.Any], tmp_path: Path) -> None:
    aws = fake_aws({"pricing:get_products": AwsError("no way")})
    with pytest.raises(AwsError, match="cannot be read and none are on disk: no way"):
        read(aws, Cache(str(tmp_path)))


def test_an_empty_price_list_is_an_error_and_not_kept(fake_aws: Callable[..., t.Any], tmp_path: Path) -> None:
    aws = fake_aws({"pricing:get_products": [{"PriceList": []}]})
    with pytest.raises(AwsError, match="the Pricing API has no Linux prices for region eu-west-1"):
        read(aws, Cache(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_date_counts(pricing: t.Any, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    read(pricing, cache)
    later = TODAY + datetime.timedelta(days=3)
    prices, _warnings = read(pricing, cache, later, [LINUX, ("Windows", "NA")])
    assert prices.as_of == TODAY


def test_a_damaged_file_is_no_cache(pricing: t.Any, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    read(pricing, cache)
    for damage in (b"", b"{", b'{"date": "2026-06-15"}', b'{"date": 5, "value": {}}'):
        (file,) = tmp_path.iterdir()
        file.write_bytes(damage)
        before = pricing.count("pricing:get_products")
        assert read(pricing, cache)[0].price("m5.large", "Linux") == 0.107
        assert pricing.count("pricing:get_products") == before + 1


# -- commitments ---------------------------------------------------------------------------------------


def reserved(**percent: str) -> dict[str, t.Any]:
    """GetReservationCoverage: family -> percent of hours."""
    groups = [
        {
            "Attributes": {"instanceTypeFamily": family},
            "Coverage": {"CoverageHours": {"CoverageHoursPercentage": value}},
        }
        for family, value in percent.items()
    ]
    return {"CoveragesByTime": [{"Groups": groups}]}


def planned(**spend: tuple[str, str]) -> dict[str, t.Any]:
    """GetSavingsPlansCoverage: family -> (covered, total) spend."""
    return {
        "SavingsPlansCoverages": [
            {
                "Attributes": {"INSTANCE_FAMILY": family},
                "Coverage": {"SpendCoveredBySavingsPlans": c, "TotalCost": total},
            }
            for family, (c, total) in spend.items()
        ]
    }


NOTHING = AwsError("nothing there", "DataUnavailableException")


def explorer(fake_aws: Callable[..., t.Any], reservations: t.Any, plans: t.Any, **more: t.Any) -> t.Any:
    return fake_aws({"ce:get_reservation_coverage": reservations, "ce:get_savings_plans_coverage": plans, **more})


def test_plans_cover_what_reservations_leave(fake_aws: Callable[..., t.Any], tmp_path: Path) -> None:
    """m5: half reserved, half of the rest planned: 3/4. c5: only planned. r5: only reserved, t3: neither."""
    aws = explorer(
        fake_aws,
        reserved(m5="50", r5="80.5", t3="0"),
        planned(m5=("10", "20"), c5=("7.5", "10"), t3=("0", "0")),
    )
    coverage, exist = read_commitments(aws, TODAY, 30, Cache(str(tmp_path)), [])
    assert exist
    assert coverage == {
        "m5": pytest.approx(0.75),
        "r5": pytest.approx(0.805),
        "c5": pytest.approx(0.75),
        "t3": pytest.approx(0.0),
    }
    assert aws.cost.spent == pytest.approx(0.02)
    asked = aws.asked[0][1]
    assert asked["TimePeriod"] == {"Start": "2026-05-16", "End": "2026-06-15"}
    assert asked["region"] == "us-east-1"


def test_spend_of_several_periods_is_added_before_it_is_divided(fake_aws: Callable[..., t.Any]) -> None:
    plans = planned(m5=("10", "10"))
    plans["SavingsPlansCoverages"] += planned(m5=("0", "30"))["SavingsPlansCoverages"]
    coverage, _exist = read_commitments(explorer(fake_aws, NOTHING, plans), TODAY, 30, Cache(""), [])
    assert coverage == {"m5": pytest.approx(0.25)}


def test_pages_are_followed_and_paid(fake_aws: Callable[..., t.Any]) -> None:
    def answer(**asked: t.Any) -> dict[str, t.Any]:
        if "NextPageToken" in asked:
            return reserved(c5="20")
        return {**reserved(m5="10"), "NextPageToken": "more"}

    aws = explorer(fake_aws, answer, NOTHING)
    coverage, _exist = read_commitments(aws, TODAY, 30, Cache(""), [])
    assert coverage == {"m5": pytest.approx(0.1), "c5": pytest.approx(0.2)}
    assert aws.cost.spent == pytest.approx(0.03)


@pytest.mark.parametrize("reservations", [NOTHING, reserved(m5="0")])
def test_nothing_committed(fake_aws: Callable[..., t.Any], tmp_path: Path, reservations: t.Any) -> None:
    """The first and a second look, from the cache, say the same."""
    aws = explorer(fake_aws, reservations, NOTHING)
    warnings: list[str] = []
    first = read_commitments(aws, TODAY, 30, Cache(str(tmp_path)), warnings)
    second = read_commitments(aws, TODAY, 30, Cache(str(tmp_path)), warnings)
    assert first == second
    assert first[1] is False
    assert warnings == []
    assert len(aws.asked) == 2


def test_the_answer_is_kept_for_the_day(fake_aws: Callable[..., t.Any], tmp_path: Path) -> None:
    aws = explorer(fake_aws, reserved(m5="50"), NOTHING)
    for day, requests in ((TODAY, 2), (TODAY, 2), (TODAY + datetime.timedelta(days=1), 4)):
        read_commitments(aws, day, 30, Cache(str(tmp_path)), [])
        assert len(aws.asked) == requests


@pytest.mark.parametrize(
    ("plans", "reservations", "exist"),
    [([{"state": "active"}], [], True), ([], [{"State": "active"}], True), ([], [], False)],
)
def test_where_cost_explorer_is_denied_the_free_lists_tell(
    fake_aws: Callable[..., t.Any], tmp_path: Path, plans: list[t.Any], reservations: list[t.Any], exist: bool
) -> None:
    aws = explorer(
        fake_aws,
        AwsError("AWS denied ce:GetReservationCoverage", "AccessDeniedException"),
        NOTHING,
        **{
            "savingsplans:describe_savings_plans": {"savingsPlans": plans},
            "ec2:describe_reserved_instances": {"ReservedInstances": reservations},
        },
    )
    warnings: list[str] = []
    assert read_commitments(aws, TODAY, 30, Cache(str(tmp_path)), warnings) == (None, exist)
    assert warnings == ["savings are at list price, commitments are unknown: AWS denied ce:GetReservationCoverage"]
    assert list(tmp_path.iterdir()) == []


def test_cost_explorer_is_not_asked_beyond_the_cap(fake_aws: Callable[..., t.Any]) -> None:
    aws = explorer(
        fake_aws,
        reserved(m5="50"),
        NOTHING,
        **{
            "savingsplans:describe_savings_plans": {"savingsPlans": []},
            "ec2:describe_reserved_instances": {"ReservedInstances": []},
        },
    )
    aws.cost = ApiCost(0.005)
    warnings: list[str] = []
    coverage, _exist = read_commitments(aws, TODAY, 30, Cache(""), warnings)
    assert coverage is None
    assert "max_api_cost" in warnings[0]
    assert aws.count("ce:get_reservation_coverage") == 0
    with pytest.raises(ApiCostExceeded):
        aws.cost.charge("Cost Explorer request", 1)
