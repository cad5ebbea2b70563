# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What single instances really cost by day, from Cost Explorer."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws

#: Cost Explorer keeps costs of single resources for the last 14 days.
#: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsageWithResources.html
DAYS = 14
#: Values of one filter; keeps a request well below Cost Explorer's limits.
RESOURCES_PER_CALL = 100


def read_daily_costs(
    aws: Aws, resources: Sequence[str], today: datetime.date
) -> dict[tuple[str, datetime.date], float]:
    """(resource id, day) -> amortised cost, for EC2 instances; each request costs 0.01 USD.

    The account must have resource-level data switched on in Cost Explorer's settings.

    :raises AwsError: when Cost Explorer refuses.
    :raises ApiCostExceeded: before a request that ``max_api_cost`` does not allow.
    """
    costs: dict[tuple[str, datetime.date], float] = {}
    period = {"Start": (today - datetime.timedelta(days=DAYS)).isoformat(), "End": today.isoformat()}
    for at in range(0, len(resources), RESOURCES_PER_CALL):
        part = list(resources[at : at + RESOURCES_PER_CALL])
        arguments: dict[str, t.Any] = {
            "TimePeriod": period,
            "Granularity": "DAILY",
            "Metrics": ["AmortizedCost"],
            "Filter": {
                "And": [
                    {"Dimensions": {"Key": "SERVICE", "Values": ["Amazon Elastic Compute Cloud - Compute"]}},
                    {"Dimensions": {"Key": "RESOURCE_ID", "Values": part}},
                ]
            },
            "GroupBy": [{"Type": "DIMENSION", "Key": "RESOURCE_ID"}],
        }
        while True:
            aws.cost.charge("Cost Explorer request", 1)
            page = aws.read("ce", "get_cost_and_usage_with_resources", region="us-east-1", **arguments)
            for result in page["ResultsByTime"]:
                day = datetime.date.fromisoformat(result["TimePeriod"]["Start"][:10])
                for group in result.get("Groups", ()):
                    amount = float(group["Metrics"]["AmortizedCost"]["Amount"])
                    key = (group["Keys"][0].rsplit("/", 1)[-1], day)
                    costs[key] = costs.get(key, 0.0) + amount
            if not page.get("NextPageToken"):
                break
            arguments["NextPageToken"] = page["NextPageToken"]
    return costs
