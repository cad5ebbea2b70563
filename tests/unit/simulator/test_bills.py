# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bills of the simulated clouds: they add up as bills do."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simulator import bills, estate
from simulator.errors import EstateError

NOW = "2026-06-15T12:00:00Z"
ESTATE: dict[str, Any] = {
    "now": NOW,
    "accounts": [
        {
            "id": "111111111111",
            "name": "production",
            "savings_plans": [{"type": "Compute", "commitment": 0.1, "days_left": 200}],
            "services": [
                {
                    "name": "Amazon Simple Storage Service",
                    "daily": 100,
                    "weekend": 0.5,
                    "noise": 0.0,
                    "jumps": [{"day": -10, "days": 2, "factor": 3}],
                }
            ],
            "regions": {"us-east-1": {"instances": [{"type": "m5.large", "count": 2, "tags": {"team": "shop"}}]}},
        }
    ],
    "projects": [
        {
            "id": "shop",
            "billing_account": "01AB23-CD45EF-678901",
            "machines": [{"name": "web-{n}", "type": "n2-standard-4", "count": 2, "labels": {"team": "web"}}],
        }
    ],
}


def rows(folder: Path, months: int = 2) -> list[dict[str, str]]:
    cloud = estate.build(ESTATE)
    found = []
    for path in bills.write_focus(cloud, folder, months, cloud.started):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            found += list(csv.DictReader(file))
    return found


def total(found: list[dict[str, str]], column: str) -> float:
    return sum(float(row[column]) for row in found)


def test_a_commitment_costs_what_its_use_is_worth(tmp_path: Path) -> None:
    """FOCUS 1.2: the effective cost of usage under a commitment is the billed cost of its purchase."""
    found = [row for row in rows(tmp_path) if row["CommitmentDiscountId"]]
    bought = [row for row in found if row["ChargeCategory"] == "Purchase"]
    used = [row for row in found if row["ChargeCategory"] == "Usage"]
    assert total(bought, "BilledCost") == pytest.approx(0.1 * 24 * (31 + 14.5))
    assert total(used, "EffectiveCost") == pytest.approx(total(bought, "BilledCost"))
    assert total(bought, "EffectiveCost") == total(used, "BilledCost") == 0
    assert {row["CommitmentDiscountStatus"] for row in used} == {"Used"}


def test_what_a_commitment_covers_is_not_paid_twice(tmp_path: Path) -> None:
    """Two m5.large at 0.096 USD/hour, of which 0.1 USD/hour covers 0.1 / 0.73 at list price."""
    machines = [row for row in rows(tmp_path, 1) if row["ResourceType"] == "instance"]
    hours = 24 * 14.5
    assert total(machines, "ListCost") == pytest.approx(2 * 0.096 * hours)
    assert total(machines, "BilledCost") == pytest.approx((2 * 0.096 - 0.1 / 0.73) * hours)
    assert all(json.loads(row["Tags"])["team"] == "shop" for row in machines)


def test_another_service_has_its_own_course(tmp_path: Path) -> None:
    storage = {
        row["ChargePeriodStart"][:10]: float(row["BilledCost"])
        for row in rows(tmp_path)
        if row["ServiceName"] == "Amazon Simple Storage Service"
    }
    assert storage["2026-06-03"] == pytest.approx(100)
    assert storage["2026-06-05"] == pytest.approx(300)
    assert storage["2026-06-06"] == pytest.approx(150)
    assert storage["2026-06-07"] == pytest.approx(50)
    assert storage["2026-06-15"] == pytest.approx(100 * 0.5 * bills.INCOMPLETE)


def test_google_credits_what_runs_all_month(tmp_path: Path) -> None:
    cloud = estate.build(ESTATE)
    paths = bills.write_export(cloud.projects, 1, cloud.started, tmp_path, 1, cloud.started)
    with gzip.open(paths[0], "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    assert sum(row["cost"] for row in found) == pytest.approx(2 * 0.1942 * 24 * 14.5)
    assert sum(credit["amount"] for row in found for credit in row["credits"]) == pytest.approx(
        -0.2 * 2 * 0.1942 * 24 * 14.5, abs=1e-6
    )
    assert found[0]["labels"] == [{"key": "team", "value": "web"}]
    assert datetime.date.fromisoformat(found[-1]["usage_start_time"][:10]) == datetime.date(2026, 6, 15)


@pytest.mark.parametrize(
    ("project", "sentence"),
    [
        ({"id": "x"}, "project 'x': billing_account is missing"),
        ({"id": "x", "billing_account": "a", "labels": {"Team": "a"}}, "'Team' is no key of a label"),
        (
            {"id": "x", "billing_account": "a", "machines": [{"name": "a", "type": "z9"}]},
            "no price of the machine",
        ),
        ({"id": "x", "billing_account": "a", "services": [{"name": "a"}]}, "daily is missing"),
    ],
)
def test_a_wrong_project_is_named(project: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EstateError, match=sentence):
        estate.build({**ESTATE, "projects": [project]})


def ask(url: str, path: str, token: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_projects_answer_as_google_does(start: Callable[..., Any]) -> None:
    """Beside AWS on one port: who comes with a bearer token asks Google."""
    simulator = start(ESTATE)
    path = "/compute/v1/projects/shop/zones/us-central1-a/instances/web-001"
    status, found = ask(simulator.url, path, "ya29.the-token-of-the-tests")
    assert (status, found["labels"], found["status"]) == (200, {"team": "web"}, "RUNNING")
    assert ask(simulator.url, path, "another")[0] == 401
    assert ask(simulator.url, path + "9", "ya29.the-token-of-the-tests")[0] == 404
    simulator.faults(throttle_rate=1.0)
    assert ask(simulator.url, path, "ya29.the-token-of-the-tests")[0] == 429
    assert simulator.stats()["counts"]["google"] == {"GET": 4}


def test_bills_are_left_in_a_folder(start: Callable[..., Any], tmp_path: Path) -> None:
    simulator = start(ESTATE)
    paths = simulator.bills(tmp_path, months=2)
    assert [Path(path).parent.name for path in paths["aws"]] == ["BILLING_PERIOD=2026-05", "BILLING_PERIOD=2026-06"]
    assert [Path(path).name for path in paths["gcp"]] == [
        "gcp_billing_export_202605.json.gz",
        "gcp_billing_export_202606.json.gz",
    ]


def test_labels_that_are_set_are_on_the_next_bill(start: Callable[..., Any], tmp_path: Path) -> None:
    simulator = start(ESTATE)
    path = "/compute/v1/projects/shop/zones/us-central1-a/instances/web-001"
    token = "ya29.the-token-of-the-tests"
    _status, there = ask(simulator.url, path, token)
    body = json.dumps({"labels": {"team": "shop"}, "labelFingerprint": there["labelFingerprint"]}).encode()
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{simulator.url}{path}/setLabels", body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    with gzip.open(simulator.bills(tmp_path, months=1)["gcp"][0], "rt", encoding="utf-8") as file:
        found = {row["resource"]["name"]: row["labels"][0]["value"] for row in map(json.loads, file)}
    assert found == {"web-000": "web", "web-001": "shop"}
