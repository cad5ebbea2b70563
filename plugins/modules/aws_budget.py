#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Budgets of AWS."""

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_budget
short_description: Budgets of AWS with their alerts and actions
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Brings budgets of an account to what is written, any number of them in one call. What is not written stays as it is,
    and what AWS adds by itself is no difference.
  - A budget that cannot be made as a whole is completed or taken back. Alerts are exchanged so that they never fall
    silent.
  - It was tested on a simulator that checks every request with botocore's model, not on AWS.
notes:
  - "IAM permissions: C(sts:GetCallerIdentity), C(budgets:ViewBudget), C(budgets:ModifyBudget); for
    O(budgets[].actions) and O(budgets[].state=absent) C(budgets:DescribeBudgetActionsForAccount), and for actions
    C(budgets:CreateBudgetAction), C(budgets:UpdateBudgetAction), C(budgets:DeleteBudgetAction) and C(iam:PassRole) on
    the role; for O(budgets[].tags) C(budgets:ListTagsForResource), C(budgets:TagResource), C(budgets:UntagResource)."
  - AWS Chatbot, or Amazon Q Developer in chat applications, listens to an SNS topic - subscribe it to the topic, and
    allow C(budgets.amazonaws.com) to publish there.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.attributes
  - frugal.cloud.attributes.aws
options:
  budgets:
    description: Budgets.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Its name., type: str, required: true}
      state: {description: Whether it is there., type: str, choices: [present, absent], default: present}
      type:
        description: What it tracks. A new one tracks cost where nothing is said.
        type: str
        choices: [cost, usage, ri_utilization, ri_coverage, savings_plans_utilization, savings_plans_coverage]
      period:
        description: After which time it begins anew. A new one does so V(monthly) where nothing is said.
        type: str
        choices: [daily, monthly, quarterly, annually, custom]
      start: {description: Its first day., type: str}
      end: {description: The day after its last. AWS deletes the budget then., type: str}
      limit:
        description: How much. Budgets of reservations and Savings Plans always have 100 percent.
        type: dict
        suboptions:
          amount: {description: Amount., type: float, required: true}
          unit: {description: "Currency (V(USD) where nothing is said), or what is counted.", type: str}
      planned_limits:
        description: How much in each month or quarter. The last limit holds on.
        type: list
        elements: dict
        suboptions:
          start: {description: First day of the period., type: str, required: true}
          amount: {description: Amount., type: float, required: true}
          unit: {description: "Currency (V(USD) where nothing is said), or what is counted.", type: str}
      auto_adjust:
        description: A limit that AWS computes.
        type: dict
        suboptions:
          type:
            description: From the mean of earlier periods or from the forecast.
            type: str
            choices: [historical, forecast]
            required: true
          periods: {description: How many earlier periods., type: int}
      filter:
        description:
          - What counts. One of C(dimension), C(tag), C(cost_category) and C(product_attribute) with C(values) and
            C(match), or C(and), C(or), C(not) of such. V({}) for everything.
        type: dict
      metric:
        description: Which cost or quantity counts. V(unblended_cost) where only O(budgets[].filter) is written.
        type: str
        choices:
          - blended_cost
          - unblended_cost
          - amortized_cost
          - net_unblended_cost
          - net_amortized_cost
          - usage_quantity
          - normalized_usage_amount
          - hours
      cost_filters: {description: "Older than O(budgets[].filter); values by C(Service), C(Region) ...", type: dict}
      cost_types:
        description: Older than O(budgets[].metric).
        type: dict
        suboptions:
          tax: {description: Count taxes., type: bool}
          subscription: {description: Count subscriptions., type: bool}
          blended: {description: Use blended rates., type: bool}
          refund: {description: Count refunds., type: bool}
          credit: {description: Count credits., type: bool}
          upfront: {description: Count what is paid up front., type: bool}
          recurring: {description: Count recurring fees., type: bool}
          other_subscription: {description: Count other subscriptions., type: bool}
          support: {description: Count support., type: bool}
          discount: {description: Count discounts., type: bool}
          amortized: {description: Use amortized rates., type: bool}
      billing_view: {description: ARN of the billing view that it belongs to., type: str}
      alerts:
        description: All alerts of the budget, up to 10. V([]) for none.
        type: list
        elements: dict
        suboptions:
          spend: {description: What is compared., type: str, choices: [actual, forecasted], default: actual}
          threshold: {description: With what., type: float, required: true}
          threshold_type:
            description: Whether that is a percentage of the limit or an amount.
            type: str
            choices: [percentage, absolute_value]
            default: percentage
          comparison:
            description: How it is compared.
            type: str
            choices: [greater_than, less_than, equal_to]
            default: greater_than
          emails: {description: "Up to 10 addresses, kept out of logs.", type: list, elements: str}
          sns_topic: {description: ARN of a topic., type: str}
      actions:
        description: All actions of the budget, what AWS does by itself or after approval. V([]) for none.
        type: list
        elements: dict
        suboptions:
          spend: {description: What is compared., type: str, choices: [actual, forecasted], default: actual}
          threshold: {description: With what., type: float, required: true}
          threshold_type:
            description: Whether that is a percentage of the limit or an amount.
            type: str
            choices: [percentage, absolute_value]
            default: percentage
          emails: {description: "Up to 10 addresses, kept out of logs.", type: list, elements: str}
          sns_topic: {description: ARN of a topic., type: str}
          role: {description: ARN of the role with which AWS acts., type: str, required: true}
          approval:
            description: Whether somebody has to approve.
            type: str
            choices: [manual, automatic]
            default: manual
          iam:
            description: Attach an IAM policy.
            type: dict
            suboptions:
              policy: {description: ARN of the policy., type: str, required: true}
              roles: {description: Names of roles., type: list, elements: str}
              groups: {description: Names of groups., type: list, elements: str}
              users: {description: Names of users., type: list, elements: str}
          scp:
            description: Attach a service control policy.
            type: dict
            suboptions:
              policy: {description: Id of the policy., type: str, required: true}
              targets: {description: Ids of accounts and units., type: list, elements: str, required: true}
          ssm:
            description: Stop instances.
            type: dict
            suboptions:
              operation:
                description: Which.
                type: str
                choices: [stop_ec2_instances, stop_rds_instances]
                required: true
              region: {description: Where they are., type: str, required: true}
              instances: {description: Their ids., type: list, elements: str, required: true}
      tags: {description: All tags of the budget itself., type: dict}
  show_identities:
    description: Whether account ids and e-mail addresses are shown in diffs and messages.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: What the shop may cost, and who is told before it is too much
  frugal.cloud.aws_budget:
    region: us-east-1
    budgets:
      - name: shop
        limit: {amount: 4000}
        filter:
          and:
            - {tag: team, values: [shop]}
            - not: {dimension: RECORD_TYPE, values: [Credit, Refund]}
        alerts:
          - {threshold: 80, emails: [finops@example.com]}
          - {threshold: 100, spend: forecasted, sns_topic: "arn:aws:sns:us-east-1:123456789012:cost"}
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in this order.
  returned: success
  type: list
  elements: dict
  sample: [{kind: budget, action: create, name: shop}]
api:
  description: Requests sent, by operation.
  returned: success
  type: dict
  sample: {requests: 3, cost: 0.0, calls: {"budgets:CreateBudget": 1}}
"""

from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_budgets import Budgets
from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.aws_budget_options import OPTIONS, people
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden, hidden_result
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, read, decide, change, exit."""
    module = AwsModule(argument_spec=OPTIONS, supports_check_mode=True)
    show = module.params["show_identities"]
    if show:  # they are asked for
        module.no_log_values.difference_update(people(module.params["budgets"]))
    with failing_clearly(module), hidden(show):
        aws = module.provider()
        budgets = Budgets(aws)
        changes = budgets.decide(module.params["budgets"])
        if not module.check_mode:
            budgets.perform(changes)
        module.exit_json(**hidden_result(changes, show), api=aws.account_of_calls())


if __name__ == "__main__":
    main()
