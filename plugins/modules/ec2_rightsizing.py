#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out approved changes of EC2 instance types, and verify them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ec2_rightsizing
short_description: Apply approved changes of EC2 instance types, and verify them
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Takes the approved actions of the ledger for one account and region and carries them out in batches.
  - A standalone instance is stopped, changed, started and watched until both status checks pass. An Auto Scaling group
    gets a new launch template version and an instance refresh that rolls itself back.
  - Each resource is read again before every step. One that is no longer as the plan saw it is skipped as drifted; where
    there is no capacity for the new type, the old one is started again.
  - Every step is journaled before and after. A run that was killed is finished by the next one, and everything can be
    undone with M(frugal.cloud.optimization_rollback).
notes:
  - "IAM permissions for O(stage=apply): C(ec2:DescribeInstances), C(ec2:DescribeInstanceStatus),
    C(ec2:DescribeInstanceAttribute),
    C(ec2:StopInstances), C(ec2:StartInstances), C(ec2:ModifyInstanceAttribute), C(sts:GetCallerIdentity); for Auto
    Scaling groups also C(autoscaling:DescribeAutoScalingGroups), C(autoscaling:DescribeInstanceRefreshes),
    C(autoscaling:StartInstanceRefresh), C(autoscaling:RollbackInstanceRefresh), C(autoscaling:UpdateAutoScalingGroup),
    C(ec2:DescribeLaunchTemplateVersions), C(ec2:CreateLaunchTemplateVersion), C(ec2:RunInstances), C(ec2:CreateTags)
    and C(iam:PassRole) for the template's instance profile."
  - "IAM permissions for O(stage=verify): C(ec2:DescribeInstanceStatus), C(autoscaling:DescribeAutoScalingGroups),
    C(cloudwatch:DescribeAlarms), C(cloudwatch:GetMetricData), C(cloudwatch:ListMetrics), and those of O(stage=apply)
    where the policy rolls back by itself."
  - The address of an instance without an Elastic IP changes when it is stopped; the plan warns of it.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.ledger
  - frugal.cloud.slo_gate
  - frugal.cloud.attributes
options:
  stage:
    description:
      - V(apply) carries out what is approved.
      - V(verify) checks what was applied and has soaked as long as the policy of its plan says - instance health,
        alarms that went off since, metrics before against after, and the SLOs that guard it. What fails is rolled back
        where that policy says so. An error budget that burns fast fails a change before its soak is over.
    type: str
    choices: [apply, verify]
    default: apply
  plan:
    description: Id of the plan; all plans of the account and region where it is not set.
    type: str
  actions:
    description: Ids of the actions; all approved ones where it is empty.
    type: list
    elements: str
    default: []
  policy:
    description:
      - Path of the policy file in force now, or the policy itself. A plan made under another policy is refused.
      - The policy of each plan itself where it is not set.
    type: raw
  max_in_flight:
    description: How many instances and groups are changed at the same time.
    type: int
    default: 20
  max_failures:
    description: No new action is begun after this many failures; 0 for no limit; not set, as the policy says.
    type: int
  max_actions:
    description: How many new actions a run begins; 0 for no limit; as the policy says where it is not set.
    type: int
  wait_timeout:
    description: Seconds without any progress after which an action counts as failed and goes back.
    type: int
    default: 900
  wait_sleep:
    description: Seconds between looks at an instance on its way.
    type: float
    default: 5.0
  as_of:
    description: The moment to take for now (ISO 8601).
    type: str
  limit:
    description: How many actions the result lists at most.
    type: int
    default: 50
"""

EXAMPLES = r"""
- name: Say what would be changed
  frugal.cloud.ec2_rightsizing:
    region: us-east-1
  check_mode: true
  diff: true

- name: Carry out what was approved, five at a time
  frugal.cloud.ec2_rightsizing:
    region: us-east-1
    max_in_flight: 5
    max_failures: 2

- name: Carry it out while the error budgets that the policy names allow it
  frugal.cloud.ec2_rightsizing:
    region: us-east-1
    slo_prometheus:
      url: https://prometheus.example.com

- name: A day later, check it; what hurts is rolled back where the policy says so
  frugal.cloud.ec2_rightsizing:
    region: us-east-1
    stage: verify
"""

RETURN = r"""
by_status:
  description: Number of actions by what became of them.
  returned: success
  type: dict
  sample: {applied: 41, skipped: 2, failed: 1}
outcomes:
  description: The first O(limit) actions that ended, with reason and sentence.
  returned: success
  type: list
  elements: dict
  sample:
    - id: act-0a1b2c3d4e5f60718293
      resource: i-0123456789abcdef0
      current: {instance_type: m5.2xlarge}
      proposed: {instance_type: m6i.large}
      status: applied
deferred:
  description: The first O(limit) actions that are left for later, with why (a freeze window, an SLO, soak time).
  returned: success
  type: list
  elements: dict
  sample: []
monthly_saving:
  description: What the applied and verified actions of this run save, per month.
  returned: success
  type: float
  sample: 8123.4
stopped:
  description: Why no new action was begun; empty where all were.
  returned: success
  type: str
  sample: ""
verifications:
  description: With O(stage=verify), what was checked, by action id.
  returned: O(stage=verify)
  type: dict
  sample: {act-0a1b2c3d4e5f60718293: {passed: true, why: "instance health: running"}}
scope:
  description: The account and region.
  returned: success
  type: str
  sample: 123456789012/us-east-1
api:
  description: Requests sent, by operation, and what the paid ones cost in USD.
  returned: success
  type: dict
  sample: {requests: 131, cost: 0.0, calls: {"ec2:StopInstances": 3}}
"""

from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.ec2_runs import ec2_target
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.runs import (
    LIMIT_OPTIONS,
    RUN_OPTIONS,
    apply_actions,
    verify_actions,
)
from ansible_collections.frugal.cloud.plugins.module_utils.slo_gate import GATE_OPTIONS


def main() -> None:
    """Arguments, one run, exit."""
    module = AwsModule(
        argument_spec={
            **RUN_OPTIONS,
            **LIMIT_OPTIONS,
            **GATE_OPTIONS,
            "stage": {"type": "str", "choices": ["apply", "verify"], "default": "apply"},
        },
        supports_check_mode=True,
    )
    with failing_clearly(module):
        run = apply_actions if module.params["stage"] == "apply" else verify_actions
        target = ec2_target(module.provider(), module.params["wait_sleep"])
        result = run(target, module.params, check_mode=module.check_mode)
        if result["failed_actions"]:
            module.fail_json(msg=result.pop("message"), **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
