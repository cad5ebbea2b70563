# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook ``cost_management`` through its stages, on two accounts of AWS and a project of Google Cloud."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.hosts.playbooks import Operator, Ran
from ansible_collections.frugal.cloud.tests.simulator.process import SimulatorProcess

ADDRESS = "finance@example.com"
PAYER, MEMBER = "111111111111", "222222222222"
BILLING_ACCOUNT = "01AB23-CD45EF-678901"
MACHINES = {"type": "m5.large", "tags": {"Env": "prod", "team": "shop"}}
ESTATE: dict[str, t.Any] = {
    "now": "2026-06-15T12:00:00Z",
    "accounts": [
        {
            "id": PAYER,
            "name": "payer",
            "services": [
                {
                    "name": "AWS Lambda",
                    "daily": 300,
                    "noise": 0.02,
                    "jumps": [{"day": -12, "days": 4, "factor": 3}],
                }
            ],
            "regions": {"us-east-1": {"instances": [{"name": "web-{n}", "count": 2, **MACHINES}]}},
        },
        {
            "id": MEMBER,
            "name": "member",
            "regions": {"us-east-1": {"instances": [{"name": "test", **MACHINES, "tags": {"env": "prod"}}]}},
        },
    ],
    "projects": [
        {
            "id": "shop",
            "billing_account": BILLING_ACCOUNT,
            "machines": [{"name": "api", "type": "e2-standard-4", "labels": {"environment": "prod"}}],
        }
    ],
}
INVENTORY = {
    "plugin": "frugal.cloud.scopes",
    "accounts": [{"id": PAYER, "name": "payer"}, {"id": MEMBER, "name": "member"}],
    "role_name": "frugal",
    "regions": ["us-east-1"],
    "projects": ["shop"],
}
WANTED: dict[str, t.Any] = {
    "cost_management_tag_keys": [{"key": "team"}, {"key": "env", "variants": ["environment"]}],
    "cost_management_tag_policy": {
        "keys": [
            {"key": "env", "values": ["prod"], "inherit": ["instance"]},
            {"key": "team", "inherit": ["instance"], "default": "nobody"},
        ]
    },
    "cost_management_active_tags": ["team"],
    "cost_management_label_policy": {
        "keys": [{"key": "env", "variants": ["environment"], "values": ["prod"], "default": "prod"}]
    },
    "cost_management_aws_budgets": [
        {
            "name": "company",
            "period": "monthly",
            "limit": {"amount": 9000, "unit": "USD"},
            "alerts": [{"threshold": 80, "emails": [ADDRESS]}],
        }
    ],
    "cost_management_gcp_billing_account": BILLING_ACCOUNT,
    "cost_management_gcp_budgets": [{"name": "company", "amount": 500, "currency": "USD"}],
    "cost_management_anomaly_monitors": [{"name": "services", "each": "service"}],
    "cost_management_chargeback": {"tags": ["team"]},
}


TAGGED = {"env": "prod", "team": "shop"}


@dataclasses.dataclass
class Person(Operator):
    """An operator with credentials of the simulated clouds."""

    clouds: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The environment of the operator's processes."""
        return {**super().environment(), **self.clouds}


class Costs:
    """The clouds, their bills, and the operator who runs the playbook."""

    def __init__(self, simulator: SimulatorProcess, folder: Path) -> None:
        self.simulator = simulator
        exports = simulator.bills(folder / "exports", months=3)
        clouds = {**simulator.environment(PAYER), **simulator.google_environment()}
        self.operator = Person(folder, secrets=(ADDRESS,), clouds=clouds)
        self.operator.write("inventory.yml", {"all": {}})
        self.operator.write("clouds.scopes.yml", INVENTORY)
        self.variables = {
            **WANTED,
            "cost_management_exports": [
                {"source": f"{cloud}-export", "paths": paths} for cloud, paths in exports.items()
            ],
            "frugal_as_of": ESTATE["now"],
        }
        simulator.stats(reset=True)

    def play(self, stage: str, *words: str) -> Ran:
        """One stage."""
        inventory = ("-i", "clouds.scopes.yml")
        return self.operator.play(
            "frugal.cloud.cost_management", *inventory, *words, frugal_stage=stage, **self.variables
        )

    def changes(self) -> set[str]:
        """Operations of AWS, and methods of Google, that may have changed something since the last look."""
        stats = self.simulator.stats(reset=True)
        google = stats["counts"].get("google", {})
        return {one["operation"] for one in stats["changes"] if one["effect"]} | {
            f"google {method}" for method in google if method != "GET"
        }

    def tags(self, account: str) -> list[dict[str, str]]:
        """Tags of each instance and volume."""
        client = self.simulator.client("ec2", account)
        found: dict[str, dict[str, str]] = {}
        for one in client.describe_tags()["Tags"]:
            found.setdefault(one["ResourceId"], {})[one["Key"]] = one["Value"]
        return [{key: value for key, value in tags.items() if key != "Name"} for tags in found.values()]


@pytest.fixture(name="costs", scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Costs]:
    with SimulatorProcess(ESTATE) as simulator:
        yield Costs(simulator, tmp_path_factory.mktemp("costs"))


def test_the_loop(costs: Costs) -> None:
    """Look, predict, apply, see that it is so, take the tags back."""
    looked = costs.play("recommend")
    assert looked.code == 0, looked.output
    assert costs.changes() == set()
    told = looked.output
    assert "2026-04" in told
    assert "unexpected: AWS Lambda, ********1111" in told
    assert "AWS, AWS Lambda" in told
    assert "Google Cloud, Compute Engine" in told
    assert "2026-06 will cost" in told
    assert looked.of("Add up what was spent")["chargeback"]["bills"][0]["adds_up"]
    (anomaly,) = looked.of("Find what was unexpected")["anomalies"]
    assert (anomaly["first_day"], anomaly["days"]) == ("2026-06-03", 4)
    # Both clouds have a budget to come, and of AWS' accounts only the one that pays.
    assert told.count("budget create company") == 2
    assert told.count("resources would be tagged or labelled") == 3
    before = costs.tags(PAYER), costs.tags(MEMBER)

    predicted = costs.play("apply", "--check", "--diff")
    assert predicted.code == 0, predicted.output
    assert costs.changes() == set()
    done = costs.play("apply")
    assert done.code == 0, done.output
    assert done.recap == predicted.recap
    assert done.changed == 6
    made = costs.changes()
    assert made == {
        "resourcegroupstaggingapi:TagResources",
        "resourcegroupstaggingapi:UntagResources",
        "ce:UpdateCostAllocationTagsStatus",
        "ce:CreateAnomalyMonitor",
        "budgets:CreateBudget",
        "google PATCH",
        "google POST",
    }
    assert costs.tags(PAYER) == [TAGGED] * 4
    assert costs.tags(MEMBER) == [{"env": "prod", "team": "nobody"}] * 2

    again = costs.play("apply")
    assert (again.code, again.changed) == (0, 0), again.output
    verified = costs.play("verify")
    assert verified.code == 0, verified.output
    assert costs.changes() == set()

    back = costs.play("rollback")
    assert back.code == 0, back.output
    assert (costs.tags(PAYER), costs.tags(MEMBER)) == before
    costs.changes()
    differs = costs.play("verify")
    assert differs.code != 0
    assert (
        "resources would be tagged or labelled. -e frugal_stage=apply --check --diff shows what differs"
        in differs.output
    )
    assert costs.changes() == set()
