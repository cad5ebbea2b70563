#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags by which AWS' bill is told apart."""

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_cost_tags
short_description: Enforces a tag policy on AWS, activates cost allocation tags, keeps Cost Categories
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Checks all resources of an account with a tag policy and sets what is missing, from the resource's own spellings,
    from its instance, Auto Scaling group, stack, VPC or account, or from a default. 20 resources go into a request,
    grouped by the same change.
  - What a person has to decide is returned and left alone - values that the policy does not allow, spellings that
    disagree, values that nothing tells.
  - Everything is written down before it is changed. A killed run is continued by the next one, and each can be undone.
notes:
  - "IAM permissions: C(tag:GetResources), C(tag:TagResources), C(tag:UntagResources), C(ec2:DescribeInstances),
    C(ec2:DescribeVolumes), those that each service asks for beside, such as C(ec2:CreateTags), C(ec2:DeleteTags), and
    C(sts:GetCallerIdentity); C(autoscaling:DescribeAutoScalingGroups) and C(organizations:ListTagsForResource) where
    the policy inherits from groups or the account; C(ce:GetCostAndUsage), C(ce:ListCostAllocationTags),
    C(ce:UpdateCostAllocationTagsStatus), C(ce:ListCostCategoryDefinitions), C(ce:DescribeCostCategoryDefinition),
    C(ce:CreateCostCategoryDefinition), C(ce:UpdateCostCategoryDefinition), C(ce:DeleteCostCategoryDefinition) for
    O(cost_source=cost_explorer), O(active_tags), O(inactive_tags) and O(cost_categories)."
  - The tagging API lists what has or had tags. Instances and volumes that never had one are found all the same, other
    resources by O(resources).
  - Cost allocation tags and Cost Categories belong to the account that pays. A new key can be activated about a day
    after it is first used; until then it is warned of.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.tags
  - frugal.cloud.attributes
  - frugal.cloud.attributes.aws
options:
  regions:
    description:
      - Regions whose resources are looked at; O(region) where it is empty. Buckets are in theirs, global resources in
        us-east-1.
    type: list
    elements: str
    default: []
  resource_types:
    description: Types that are looked at, such as V(ec2:instance) or V(s3); all where it is empty.
    type: list
    elements: str
    default: []
  resources:
    description: ARNs that are looked at as well, though they never had a tag; those of buckets have to be in O(region).
    type: list
    elements: str
    default: []
  cost_source:
    description:
      - Where coverage by cost comes from - V(dataset) is O(cost_url), V(cost_explorer) costs 0.01 USD for each key.
      - Cost Explorer knows active cost allocation tags only.
    type: str
    choices: [none, dataset, cost_explorer]
    default: none
  active_tags:
    description: Tags that the bill shall carry.
    type: list
    elements: str
    default: []
  inactive_tags:
    description: Tags that it shall not carry any more.
    type: list
    elements: str
    default: []
  cost_categories:
    description: Cost Categories.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      state: {description: Whether it is there., type: str, choices: [present, absent], default: present}
      default_value: {description: What costs are called that no rule matches., type: str}
      effective_start: {description: "The first day of the month from which it holds.", type: str}
      rules:
        description: Rules, the first that matches wins. Conditions of one rule hold together.
        type: list
        elements: dict
        suboptions:
          value: {description: What costs that match are called., type: str}
          tags: {description: Tags and their values., type: dict}
          accounts: {description: Account ids., type: list, elements: str}
          services: {description: "Services by their codes, such as V(AmazonEC2).", type: list, elements: str}
          expression: {description: "A condition in AWS' words (Expression).", type: dict}
          inherit_tag: {description: Costs are called by the value of this tag., type: str}
          inherit_account_name: {description: Costs are called by their account., type: bool, default: false}
      split_charges:
        description: Shared costs that others pay for; an empty list for none.
        type: list
        elements: dict
        suboptions:
          source: {description: The value whose costs are split., type: str, required: true}
          targets: {description: The values that pay., type: list, elements: str, required: true}
          method:
            description: In proportion to their own costs, evenly, or by C(percentages).
            type: str
            choices: [proportional, even, fixed]
            default: proportional
          percentages: {description: "One for each target, 100 together.", type: list, elements: float}
"""

EXAMPLES = r"""
- name: One spelling of env, a team for everything
  frugal.cloud.aws_cost_tags:
    regions: [eu-central-1, us-east-1]
    policy:
      keys:
        - key: env
          variants: [environment, stage]
          values: [production, staging, development]
          value_variants: {production: [prod, live], development: [dev]}
          inherit: [instance, asg, stack, vpc]
        - key: team
          pattern: "[a-z]+(-[a-z]+)*"
          inherit: [instance, asg, stack, account]
    cost_source: dataset
    cost_url: /srv/costs
    report_path: /srv/reports/tags.csv
    active_tags: [env, team]

- name: Take the last run back
  frugal.cloud.aws_cost_tags:
    policy: /srv/policies/tags.yml
    state: undone
"""

RETURN = r"""
summary:
  description: Resources as they were found.
  returned: when O(state) is not V(undone)
  type: dict
  sample: {resources: 412, compliant: 301, to_change: 90, to_decide: 21, protected: 3}
keys:
  description: By key of the policy, how many resources need it and have it, and what is wrong with the others.
  returned: when O(state) is not V(undone)
  type: list
  elements: dict
  sample: [{key: env, resources: 412, compliant: 340, share: 0.8252, to_change: 60, missing: 12, invalid: 0}]
teams:
  description: By team, the least compliant first.
  returned: when O(state) is not V(undone)
  type: list
  elements: dict
  sample: [{team: shop, resources: 90, compliant: 45, share: 0.5, to_change: 40, to_decide: 5, keys: {env: 45}}]
coverage:
  description: By currency, how much of the money has which key, and by team.
  returned: when O(state) is not V(undone)
  type: list
  elements: dict
  sample: [{currency: USD, cost: 1200.5, keys: [{key: env, cost: 1200.5, tagged_share: 0.7497}], teams: []}]
findings:
  description: What a person has to decide, up to O(limit).
  returned: when O(state) is not V(undone)
  type: list
  elements: dict
  sample: [{resource: "arn:aws:s3:::logs", key: team, kind: missing, text: "tag team is missing: use a value"}]
changes:
  description: What is set and removed, and where values come from, up to O(limit).
  returned: success
  type: list
  elements: dict
  sample: [{resource: "arn:aws:s3:::logs", set: {env: production}, remove: [Env], from: {env: tag Env}}]
writes:
  description: Requests that changed tags, or would.
  returned: success
  type: int
  sample: 21
run:
  description: The run, for O(run); empty where nothing was changed.
  returned: success
  type: str
  sample: 20260101T060000Z-123456-1f3a
failed:
  description: Resources that AWS refused, up to O(limit).
  returned: always
  type: list
  elements: dict
  sample: [{resource: "arn:aws:s3:::logs", why: "InvalidParameterException: access denied"}]
kept:
  description: Resources whose tags somebody changed since, so that they were not taken back.
  returned: when O(state) is V(undone)
  type: list
  elements: dict
  sample: []
cost_changes:
  description: Changes of cost allocation tags and Cost Categories.
  returned: success
  type: list
  elements: dict
  sample: [{kind: cost allocation tag, action: update, name: env}]
api:
  description: Requests sent, by operation.
  returned: success
  type: dict
  sample: {requests: 27, cost: 0.03, calls: {"resourcegroupstaggingapi:TagResources": 21}}
"""

import datetime

from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_cost_allocation import OPTIONS as COST_OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.aws_tag_run import OPTIONS, run
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.tag_runs import masking


def main() -> None:
    """Arguments, judge, change, exit."""
    module = AwsModule(argument_spec={**OPTIONS, **COST_OPTIONS}, supports_check_mode=True)
    with failing_clearly(module), masking(module.params):
        result, failure, warnings = run(
            module.provider(), module.params, module.check_mode, datetime.datetime.now(datetime.timezone.utc)
        )
        for warning in warnings:
            module.warn(warning)
        if failure:
            module.fail_json(msg=failure, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
