#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Costs from AWS Cost Explorer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_cost_info
short_description: Cost, usage and forecasts from AWS Cost Explorer
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Asks Cost Explorer what was spent, by period and up to two keys, what it expects to be spent, and which values its
    dimensions and tags have.
  - With O(dataset) the costs go into the FOCUS dataset, for those who have no Data Export yet. An export is better
    where there is one. It knows resources, prices and commitments, and costs nothing to read.
  - Each page of an answer costs 0.01 USD, in check mode too. Requests are booked before they are made, O(max_api_cost)
    ends them, and with O(cache_directory) the same question is paid for once a day.
notes:
  - "IAM permissions: C(ce:GetCostAndUsage), C(ce:GetCostForecast) and C(ce:GetUsageForecast) for O(forecast),
    C(ce:GetDimensionValues), C(ce:GetTags) and C(ce:GetCostCategories) for O(values_of) and O(tag_names),
    C(sts:GetCallerIdentity)."
  - Cost Explorer has to be switched on by the payer once. Members see their own costs unless the payer forbids it.
  - What a row of the dataset cannot have from here. SKUs, unit prices, resources and ids of commitments. ListCost and
    ContractedCost are what usage costs before commitments.
  - It was tested on a simulated Cost Explorer that checks requests and answers with botocore's model, not on AWS.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.cost_rows
  - frugal.cloud.attributes
  - frugal.cloud.attributes.aws
options:
  since:
    description:
      - First day. The first of last month where it is not set.
      - Cost Explorer keeps 13 months before this one, and hours for 14 days.
    type: str
  until:
    description: The first day that no longer counts. Today where it is not set.
    type: str
  granularity:
    description: Length of a period. The payer has to switch hours on.
    type: str
    choices: [monthly, daily, hourly]
    default: monthly
  costs:
    description: Whether costs are asked for; with V(false) only what else is set is.
    type: bool
    default: true
  metrics:
    description: What is summed up. Not for O(dataset), which has its own.
    type: list
    elements: str
    choices: [UnblendedCost, BlendedCost, AmortizedCost, NetUnblendedCost, NetAmortizedCost, UsageQuantity,
      NormalizedUsageAmount]
    default: [UnblendedCost, AmortizedCost]
  group_by:
    description:
      - At most two keys. A dimension such as V(SERVICE), V(LINKED_ACCOUNT), V(REGION) or V(USAGE_TYPE), a tag as
        V(tag:team), or a cost category as V(category:Team).
      - With O(dataset) these are V(SERVICE) and V(LINKED_ACCOUNT) where none are set. Unless V(RECORD_TYPE) is one of
        them, each kind of charge is a request of its own.
    type: list
    elements: str
    default: []
  filters:
    description: What is looked at; all have to hold.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description: As in O(group_by).
        type: str
        required: true
      values:
        description: Values of which a charge has one. An empty text is a tag that is not there.
        type: list
        elements: str
        required: true
      exclude:
        description: Whether charges with these values are left out, and all others are looked at.
        type: bool
        default: false
  forecast:
    description: What Cost Explorer expects, under the same filters.
    type: dict
    suboptions:
      metric:
        description: What is foreseen. Usage needs a filter that leaves one unit.
        type: str
        choices: [UnblendedCost, BlendedCost, AmortizedCost, NetUnblendedCost, NetAmortizedCost, UsageQuantity,
          NormalizedUsageAmount]
        default: UnblendedCost
      since:
        description: First day, today or later. Today where it is not set.
        type: str
      until:
        description: The first day that no longer counts; at most 3 months of days or 18 months.
        type: str
        required: true
      granularity:
        description: Length of a period.
        type: str
        choices: [monthly, daily]
        default: monthly
      level:
        description: Percent of cases in which the band shall hold, 51 to 99.
        type: int
        default: 80
  source:
    description: Name of the source in the dataset. Small letters, digits, C(-), C(_) and C(.).
    type: str
    default: aws-cost-explorer
  values_of:
    description: Keys whose values are listed, as in O(group_by). Each is a request.
    type: list
    elements: str
    default: []
  tag_names:
    description: Whether the names of cost allocation tags are listed. It is a request.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: What each service cost this month and the last
  frugal.cloud.aws_cost_info:
    region: us-east-1
    group_by: [SERVICE]
    cache_directory: ~/.frugal/cache
  register: cost

- name: What the search team will spend until the end of the quarter
  frugal.cloud.aws_cost_info:
    region: us-east-1
    costs: false
    filters:
      - key: tag:team
        values: [search]
    forecast:
      metric: AmortizedCost
      until: "2027-01-01"

- name: Fill the dataset, by service and account, while the export is being set up
  frugal.cloud.aws_cost_info:
    region: us-east-1
    since: "2026-09-01"
    until: "2026-12-01"
    granularity: daily
    dataset: /srv/frugal/costs
    max_api_cost: 0.5
"""

RETURN = r"""
costs:
  description: Sums by period and group; amounts in the payer's currency, usage in its unit (N/A where mixed).
  returned: unless O(dataset) is set or O(costs) is false
  type: list
  elements: dict
  sample:
    - start: "2026-10-01"
      end: "2026-11-01"
      group: {SERVICE: AWS Lambda}
      amounts: {UnblendedCost: {amount: 812.4, unit: USD}}
      estimated: false
forecast:
  description: What Cost Explorer expects.
  returned: when O(forecast) is set
  type: dict
  sample:
    metric: UnblendedCost
    level: 80
    unit: USD
    total: 1210.5
    periods: [{start: "2026-11-24", end: "2026-12-01", mean: 1210.5, lower: 1130.2, upper: 1290.8}]
values_of:
  description: Values by key.
  returned: when O(values_of) is set
  type: dict
  sample: {REGION: [eu-central-1, us-east-1]}
tag_names:
  description: Names of cost allocation tags that the period's charges have.
  returned: when O(tag_names) is set
  type: list
  elements: str
  sample: [env, team]
written:
  description: Billing periods of the dataset, with rows and sums before and after.
  returned: when O(dataset) is set
  type: list
  elements: dict
  sample:
    - period: "2026-10"
      currency: USD
      before:
      after: {rows: 310, BilledCost: 9120.55, EffectiveCost: 9050.1}
      changed: true
accounts:
  description: Names of accounts that answers told, by id.
  returned: success
  type: dict
  sample: {"********1111": production}
read_on:
  description: The oldest day on which one of the answers was read.
  returned: success
  type: str
  sample: "2026-11-24"
cached_answers:
  description: How many answers came from disk and cost nothing.
  returned: success
  type: int
  sample: 1
api:
  description: Requests sent, by operation, and what the paid ones cost in USD.
  returned: success
  type: dict
  sample: {requests: 2, cost: 0.01, calls: {"ce:GetCostAndUsage": 1, "sts:GetCallerIdentity": 1}}
"""

from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost.aws_costs import OPTIONS, gather
from ansible_collections.frugal.cloud.plugins.module_utils.executor import utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, questions, exit."""
    module = AwsModule(argument_spec=OPTIONS, supports_check_mode=True)
    with failing_clearly(module):
        found = gather(module.provider(), module.params, utc_now().date(), module.check_mode)
        for text in found.pop("warnings"):
            module.warn(text)
        module.exit_json(**found)


if __name__ == "__main__":
    main()
