# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gcp_cost_info's core over the simulated cloud: the dataset has the sums of the exported bill."""

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.gcp_costs import OPTIONS, gather
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp, session_from

pytest.importorskip("google.auth")
pytest.importorskip("googleapiclient")
pytest.importorskip("sqlglot")
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.tests.standins import google_api
from simulator import bills
from simulator.testing import one_account

TODAY = datetime.date(2026, 6, 15)
TABLE = "demo-shop.billing.gcp_billing_export_resource_v1_01AB23_CD45EF_678901"
PROJECT: dict[str, t.Any] = {
    "id": "demo-shop",
    "billing_account": "01AB23-CD45EF-678901",
    "labels": {"team": "mobile"},
    "machines": [{"name": "web-{n}", "type": "n2-standard-4", "count": 2, "labels": {"env": "prod"}}],
    "services": [{"name": "Cloud SQL", "daily": 85, "region": "us-central1", "weekend": 0.5}],
}


def ask(simulator: t.Any, **given: t.Any) -> dict[str, t.Any]:
    options = ArgumentSpecValidator(OPTIONS).validate(given).validated_parameters
    token = {"project": "demo-shop", "auth_kind": "accesstoken", "access_token": google_api.TOKEN}
    session = session_from(ArgumentSpecValidator(ARGUMENTS).validate(token).validated_parameters)
    return gather(Gcp(session, "demo-shop", simulator.url), options, TODAY, check=False)


def test_the_dataset_has_the_sums_of_the_bill(start: t.Callable[..., t.Any], tmp_path: Path) -> None:
    simulator = start({**one_account(), "projects": [PROJECT]})
    found = ask(
        simulator,
        gather=["billing_accounts", "projects", "prices", "costs"],
        prices={"services": ["Compute Engine"], "contains": "n2-standard-4"},
        export_table=TABLE,
        since="2026-05-01",
        until="2026-06-01",
        dataset=str(tmp_path),
    )
    assert [one["project"] for one in found["projects"]] == ["demo-shop"]
    assert [one["tiers"][0]["price"] for one in found["prices"]] == [0.1942]
    cloud = simulator.cloud
    began = datetime.datetime.fromtimestamp(cloud.started, datetime.timezone.utc).date()
    rows = list(bills.export_rows(cloud.projects[0], cloud.seed, began, datetime.date(2026, 5, 1), cloud.clock.now()))
    net = sum(row["cost"] + sum(credit["amount"] for credit in row["credits"]) for row in rows)
    [period] = found["written"]
    # Both machines of a day are one row, and the database another.
    assert (period["period"], period["after"]["rows"]) == ("2026-05", 2 * 31)
    assert period["after"]["BilledCost"] == pytest.approx(net, abs=1e-5)
    by_label = ask(
        simulator, gather=["costs"], export_table=TABLE, since="2026-05-01", until="2026-06-01", group_by=["label:env"]
    )
    assert [one["group"] for one in by_label["costs"]] == [{"label:env": None}, {"label:env": "prod"}]
    assert by_label["costs"][1]["cost"] == pytest.approx(2 * 0.1942 * 24 * 31, abs=1e-4)
    assert by_label["costs"][1]["credits"] == pytest.approx(-0.2 * 2 * 0.1942 * 24 * 31, abs=1e-4)
