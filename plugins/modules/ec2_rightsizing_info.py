#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find EC2 instances that are larger, older or smaller than they should be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ec2_rightsizing_info
short_description: Find EC2 instances that cost more than they need
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads all instances of one account in one region, their usage, all instance types and prices, and says which type
    each instance and Auto Scaling group should have, why, at what risk and for what money.
  - Nothing is changed. Each hard limit is respected and the one that binds is named; where data is missing the
    instance is left as it is, with the reason. Memory is never reduced without a memory metric.
  - By default the size is the one that minimises price plus the price of expected overload minutes; see
    O(overload_minute_price). O(method=percentile) is the rule of AWS Compute Optimizer.
notes:
  - "IAM permissions: C(ec2:DescribeInstances), C(ec2:DescribeVolumes), C(ec2:DescribeImages), C(ec2:DescribeAddresses),
    C(ec2:DescribeInstanceTypes), C(ec2:DescribeInstanceTypeOfferings), C(autoscaling:DescribeAutoScalingGroups),
    C(ecs:ListClusters), C(ecs:ListContainerInstances), C(ecs:DescribeContainerInstances),
    C(cloudwatch:GetMetricData), C(cloudwatch:ListMetrics), C(pricing:GetProducts), C(sts:GetCallerIdentity); and, for
    O(commitments=cost_explorer), C(ce:GetReservationCoverage), C(ce:GetSavingsPlansCoverage),
    C(savingsplans:DescribeSavingsPlans), C(ec2:DescribeReservedInstances)."
  - GetMetricData, ListMetrics and Cost Explorer cost money; RV(api) says how much and O(max_api_cost) caps it.
  - Recommendations are handed on in a file, RV(recommendations_path); the result holds the first O(limit) only.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.attributes
  - frugal.cloud.rightsizing
options:
  checks:
    description:
      - V(rightsizing) sizes everything.
      - V(idle) only asks which instances are idle by their average CPU, with one query an instance; nothing is priced.
    type: str
    choices: [rightsizing, idle]
    default: rightsizing
  data_directory:
    description:
      - Folder for price lists and usage, which are read again only when they are old, and for what was found.
      - Without it nothing is kept and no file is written.
    type: path
  limit:
    description: How many recommendations, refusals and idle instances the result holds at most.
    type: int
    default: 50
"""

EXAMPLES = r"""
- name: What could be saved in this account and region?
  frugal.cloud.ec2_rightsizing_info:
    region: us-east-1
  register: found

- name: Show the three best
  ansible.builtin.debug:
    msg: "{{ found.recommendations[:3] }}"

- name: Size production more carefully, say why better-priced types were not taken
  frugal.cloud.ec2_rightsizing_info:
    region: eu-central-1
    filters:
      tag:env: [prod]
    method: percentile
    cpu_headroom: 0.3
    explain: true

- name: Which instances were idle for the last 14 days?
  frugal.cloud.ec2_rightsizing_info:
    region: us-east-1
    checks: idle
    lookback_days: 14
"""

RETURN = r"""
recommendations:
  description: The first O(limit) recommendations, best first.
  returned: success
  type: list
  elements: dict
  sample:
    - action: ec2_instance_type
      binding_constraint: memory
      current: {instance_type: m5.2xlarge}
      proposed: {instance_type: m6i.large}
      monthly: {current: 280.32, proposed: 70.08, saving: 210.24, currency: USD, price_basis: list}
      reasons: ["memory binds: 5.2 GiB at most x 1.2 need 6.2 GiB; m6i.large has 8 GiB"]
not_recommended:
  description: The first O(limit) instances and groups that must not or cannot be changed here, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{resource_id: i-0123456789abcdef0, outcome: refused, reasons: ["it is a spot instance"]}]
idle:
  description: With O(checks=idle), the first O(limit) idle instances.
  returned: success
  type: list
  elements: dict
  sample: [{resource_id: i-0123456789abcdef0, reasons: ["average CPU was 1.20 % in the last 14 days, less than 5 %"]}]
recommendations_path:
  description: File with all recommendations (gzip, one JSON object a line), for M(frugal.cloud.optimization_plan).
  returned: when O(data_directory) is set
  type: str
  sample: /home/operator/.frugal/recommendations/123456789012-us-east-1-ec2.jsonl.gz
findings_path:
  description: File with what was found for every instance and group (gzip, one JSON object a line).
  returned: when O(data_directory) is set
  type: str
  sample: /home/operator/.frugal/recommendations/123456789012-us-east-1-ec2-findings.jsonl.gz
scope:
  description: The account and region.
  returned: success
  type: str
  sample: 123456789012/us-east-1
summary:
  description: Counts and money of the whole scope, by finding and by reason; dates and sources of what was read.
  returned: success
  type: dict
  sample: {instances: 200, monthly_cost: 18230.11, monthly_saving: 9411.87, recommendations: 143}
api:
  description: Requests sent, by operation, and what the paid ones cost in USD.
  returned: success
  type: dict
  sample: {requests: 58, cost: 0.04, calls: {"ec2:DescribeInstances": 1}}
"""

import gc
import re
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation_file import write_json_lines
from ansible_collections.frugal.cloud.plugins.module_utils.rightsizing import find, find_idle
from ansible_collections.frugal.cloud.plugins.module_utils.rightsizing_options import OPTIONS, request_from


def main() -> None:
    """Arguments, one look at the account, exit."""
    module = AwsModule(
        argument_spec={
            **OPTIONS,
            "checks": {"type": "str", "choices": ["rightsizing", "idle"], "default": "rightsizing"},
            "data_directory": {"type": "path"},
            "limit": {"type": "int", "default": 50},
        },
        supports_check_mode=True,
    )
    # Millions of small objects come and go, none in cycles that matter before this process ends:
    # searching for cycles is half of the time that a big fleet takes and frees nothing.
    gc.disable()
    with failing_clearly(module):
        request = request_from(module.params)
        aws = module.provider()
        progress = Progress.from_environment()
        idle = module.params["checks"] == "idle"
        findings = (find_idle if idle else find)(aws, request, progress)
        limit = max(0, module.params["limit"])
        result = {}
        if module.params["data_directory"]:
            folder = Path(module.params["data_directory"]) / "recommendations"
            name = re.sub(r"[^A-Za-z0-9-]", "-", findings.scope.key) + "-ec2"
            result["recommendations_path"] = str(folder / f"{name}.jsonl.gz")
            result["findings_path"] = str(folder / f"{name}-findings.jsonl.gz")
            write_json_lines(result["recommendations_path"], (item.to_dict() for item in findings.recommendations()))
            write_json_lines(result["findings_path"], (verdict.brief() for verdict in findings.verdicts))
        for warning in findings.warnings:
            module.warn(warning)
        recommended = [v for v in findings.verdicts if v.recommendation is not None]
        others = [v for v in findings.verdicts if v.outcome in ("refused", "redirected", "unknown")]
        module.exit_json(
            changed=False,
            scope=findings.scope.key,
            summary=dict(findings.summary),
            recommendations=[v.recommendation.to_dict() for v in recommended[:limit]],
            not_recommended=[v.brief() for v in others[:limit]],
            idle=[v.brief() for v in findings.verdicts[:limit]] if idle else [],
            api=aws.account_of_calls(),
            **result,
        )


if __name__ == "__main__":
    main()
