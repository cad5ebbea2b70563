# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud Billing and BigQuery over the projects of an estate: what they cost is what their bills say.

Each billing account has its detailed export in the first project that it pays for:
C(PROJECT.billing.gcp_billing_export_resource_v1_01AB23_CD45EF_678901), with the usage of the last months.
"""

from __future__ import annotations

import datetime
import functools
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from simulator import bills
from simulator.state import Cloud

_Dict = dict[str, t.Any]
#: Months that an export holds.
MONTHS = 6


def table_of(account: str, projects: Sequence[bills.Project]) -> str:
    """The table with the export of a billing account."""
    return f"{projects[0].project_id}.billing.gcp_billing_export_resource_v1_{account.replace('-', '_')}"


def install(google: t.Any, cloud: Cloud, machine_prices: Mapping[str, float]) -> None:
    """Add the APIs to a stand-in of Google's; ``machine_prices`` are USD/hour by machine type."""
    from ansible_collections.frugal.cloud.tests.standins import gcp_billing

    paying: dict[str, list[bills.Project]] = {}
    for project in cloud.projects:
        paying.setdefault(project.billing_account, []).append(project)
    billing = gcp_billing.Billing(
        accounts=[gcp_billing.BillingAccount(account, f"Billing {account[:6]}") for account in paying],
        projects={project.project_id: project.billing_account for project in cloud.projects},
        skus=[
            gcp_billing.Sku(bills.sku_id(name), name, "Compute Engine", "h", ((0.0, price),))
            for kind, price in machine_prices.items()
            for name in [bills.machine_sku(kind)]
        ],
        exports=[
            gcp_billing.Export(table_of(account, projects), functools.partial(_rows, cloud, projects))
            for account, projects in paying.items()
        ],
        waits=0,
    )
    gcp_billing.install(google, billing)


def _rows(cloud: Cloud, projects: Sequence[bills.Project]) -> Iterator[_Dict]:
    """What is exported by now."""
    now = cloud.clock.now()
    began = datetime.datetime.fromtimestamp(cloud.started, datetime.UTC).date()
    for first in bills.first_days(datetime.datetime.fromtimestamp(now, datetime.UTC).date(), MONTHS):
        for project in projects:
            yield from bills.export_rows(project, cloud.seed, began, first, now)
