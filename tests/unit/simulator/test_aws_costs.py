# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""aws_cost_info's core over the simulated Cost Explorer: the dataset has the sums of the bill."""

from __future__ import annotations

import collections
import datetime
import typing as t
from pathlib import Path

import duckdb
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus_checks
from ansible_collections.frugal.cloud.plugins.module_utils.cost.aws_costs import OPTIONS, gather
from simulator import bills
from simulator.testing import ACCOUNT, one_account, plain

Start = t.Callable[..., t.Any]
TODAY = datetime.date(2026, 6, 15)
OTHER = "222222222222"


@pytest.fixture
def cloud(start: Start) -> t.Any:
    paid = {
        "savings_plans": [{"type": "Compute", "commitment": 0.4, "days_left": 200}],
        "reservations": [{"type": "r5.large", "count": 3}],
        "services": [{"name": "Amazon Simple Storage Service", "daily": 100, "category": "Storage"}],
    }
    entries = [plain(2, "m5.large", tags={"team": "shop"}), plain(1, "r5.large")]
    description = one_account(entries, paid)
    regions = {"eu-west-1": {"instances": [plain(1, "m5.xlarge", tags={"team": "ads"})], "elastic_ips": 1}}
    description["accounts"].append({"id": OTHER, "name": "other", "regions": regions})
    return start(description)


def aws_of(cloud: t.Any) -> Aws:
    keys = cloud.credentials(ACCOUNT)
    connection = {name: keys[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    return Aws("eu-central-1", endpoint_url=cloud.url, connection=connection)


def options(**given: t.Any) -> dict[str, t.Any]:
    return {**{name: one.get("default") for name, one in OPTIONS.items()}, **given}


def test_the_dataset_has_the_sums_of_the_bill(cloud: t.Any, tmp_path: Path) -> None:
    given = options(
        dataset=str(tmp_path / "costs"),
        since="2026-05-01",
        granularity="daily",
        cache_directory=str(tmp_path / "cache"),
    )
    found = gather(aws_of(cloud), given, TODAY, check=False)
    assert [(one["period"], one["before"], one["changed"]) for one in found["written"]] == [
        ("2026-05", None, True),
        ("2026-06", None, True),
    ]
    real: dict[tuple[str, str], list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    for account in cloud.cloud.accounts.values():
        for first in (datetime.date(2026, 5, 1), datetime.date(2026, 6, 1)):
            for row in bills.focus_rows(cloud.cloud, account, first, cloud.cloud.clock.now()):
                if row["ChargePeriodStart"][:10] < "2026-06-15":
                    sums = real[account.account_id, row["ChargePeriodStart"][:7]]
                    sums[0] += row["BilledCost"]
                    sums[1] += row["EffectiveCost"]
    connection = duckdb.connect()
    files = str(tmp_path / "costs" / "*" / "*.parquet")
    rows = connection.execute(
        "SELECT SubAccountId, strftime(ChargePeriodStart, '%Y-%m'), sum(BilledCost), sum(EffectiveCost) "
        f"FROM read_parquet('{files}') GROUP BY 1, 2"
    ).fetchall()
    assert {(account, month): [billed, effective] for account, month, billed, effective in rows} == {
        key: pytest.approx(sums, rel=1e-6) for key, sums in real.items()
    }
    assert focus_checks.check(connection, f"read_parquet('{files}')") == []
    categories = connection.execute(
        f"SELECT DISTINCT ChargeCategory FROM read_parquet('{files}') ORDER BY 1"
    ).fetchall()
    assert categories == [("Purchase",), ("Usage",)]
    # One request for the kinds of charges, five for each of them: usage, two ways of covering it, two fees.
    assert found["api"]["calls"]["ce:GetCostAndUsage"] == 6
    assert found["api"]["cost"] == 0.06

    again = gather(aws_of(cloud), given, TODAY, check=False)
    assert (again["changed"], again["api"]["cost"], again["cached_answers"]) == (False, 0.0, 6)


def test_check_mode_writes_nothing(cloud: t.Any, tmp_path: Path) -> None:
    given = options(dataset=str(tmp_path / "costs"), since="2026-05-01", until="2026-06-01", group_by=["RECORD_TYPE"])
    found = gather(aws_of(cloud), given, TODAY, check=True)
    assert (found["changed"], list(tmp_path.iterdir())) == (True, [])
    may = [
        row["BilledCost"]
        for account in cloud.cloud.accounts.values()
        for row in bills.focus_rows(cloud.cloud, account, datetime.date(2026, 5, 1), cloud.cloud.clock.now())
    ]
    assert found["diff"]["after"]["2026-05"]["BilledCost"] == pytest.approx(sum(may), abs=1e-3)
    assert found["api"]["calls"]["ce:GetCostAndUsage"] == 1


def test_a_forecast_and_values_of_keys(cloud: t.Any) -> None:
    forecast = {
        "metric": "UnblendedCost",
        "since": "2026-06-15",
        "until": "2026-08-01",
        "granularity": "monthly",
        "level": 80,
    }
    values = ["LINKED_ACCOUNT", "tag:team"]
    found = gather(aws_of(cloud), options(costs=False, forecast=forecast, values_of=values), TODAY, check=False)
    june, july = found["forecast"]["periods"]
    assert (june["start"], july["end"]) == ("2026-06-15", "2026-08-01")
    assert june["lower"] < june["mean"] < june["upper"]
    assert found["values_of"] == {"LINKED_ACCOUNT": ["********1111", "********2222"], "tag:team": ["", "ads", "shop"]}
    assert found["accounts"]["********2222"] == "other"
    assert found["api"]["calls"] == {
        "ce:GetCostForecast": 1,
        "ce:GetDimensionValues": 1,
        "ce:GetTags": 1,
        "sts:GetCallerIdentity": 1,
    }
