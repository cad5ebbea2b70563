#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS Cost Anomaly Detection watches, and whom it tells."""

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_cost_anomaly_monitor
short_description: Monitors and subscriptions of AWS Cost Anomaly Detection
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Brings monitors and subscriptions, which are found by their names, to what is written. Those that are not written
    stay as they are.
  - Of a monitor AWS can change nothing but its name. A monitor that watches something else under a name that is written
    is an error, because removing it would lose the anomalies it has found.
  - An account has one monitor of all services, and AWS makes it for new accounts. It is found whatever its name is, and
    gets the name that is written.
  - A threshold decides about notifications only. AWS detects anomalies below it as well.
  - M(frugal.cloud.cost_anomaly_info) finds anomalies in cost data itself, for every provider.
notes:
  - "IAM permissions: C(ce:GetAnomalyMonitors), C(ce:CreateAnomalyMonitor), C(ce:UpdateAnomalyMonitor),
    C(ce:DeleteAnomalyMonitor), C(ce:GetAnomalySubscriptions), C(ce:CreateAnomalySubscription),
    C(ce:UpdateAnomalySubscription), C(ce:DeleteAnomalySubscription)."
  - Tags of monitors and subscriptions are not managed.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.attributes
  - frugal.cloud.attributes.aws
options:
  monitors:
    description: Monitors. Each present one has exactly one of O(monitors[].each), O(monitors[].accounts),
      O(monitors[].tag) and O(monitors[].cost_category).
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      state: {description: Whether it is there., type: str, choices: [present, absent], default: present}
      each:
        description: Watch each value of a dimension by itself, new ones too.
        type: str
        choices: [service, account, tag, cost_category]
      key: {description: "The tag's or cost category's key, where O(monitors[].each) is one of them.", type: str}
      accounts: {description: Watch these accounts together; ten at most., type: list, elements: str}
      tag:
        description: Watch what has one of these values of a tag, together.
        type: dict
        suboptions:
          key: {description: The tag's key., type: str, required: true}
          values: {description: Values., type: list, elements: str, required: true}
      cost_category:
        description: Watch what has one of these values of a cost category, together.
        type: dict
        suboptions:
          key: {description: The cost category's name., type: str, required: true}
          values: {description: Values., type: list, elements: str, required: true}
  subscriptions:
    description: Who is told of which anomalies.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      state: {description: Whether it is there., type: str, choices: [present, absent], default: present}
      monitors: {description: Names of monitors., type: list, elements: str}
      frequency:
        description: V(immediate) goes to SNS only, V(daily) and V(weekly) go to e-mail only.
        type: str
        choices: [immediate, daily, weekly]
        default: daily
      emails: {description: E-mail addresses., type: list, elements: str}
      sns_topic: {description: ARN of a topic., type: str}
      min_impact: {description: Total unexpected cost in USD from which on is told., type: float}
      min_percent: {description: Total unexpected cost in percent of the expected from which on is told., type: float}
      match: {description: Whether both have to be reached or any., type: str, choices: [all, any], default: all}
  show_identities:
    description: Show account ids and e-mail addresses in the diff and in errors; otherwise they are masked.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Watch services and teams, and tell of what matters
  frugal.cloud.aws_cost_anomaly_monitor:
    region: us-east-1
    monitors:
      - name: services
        each: service
      - name: teams
        each: tag
        key: team
      - name: production
        accounts: ["111111111111", "222222222222"]
    subscriptions:
      - name: finops
        monitors: [services, teams]
        frequency: daily
        emails: [finops@example.com]
        min_impact: 100
        min_percent: 20
      - name: on-call
        monitors: [production]
        frequency: immediate
        sns_topic: arn:aws:sns:us-east-1:111111111111:cost
        min_impact: 1000
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in this order.
  returned: success
  type: list
  elements: dict
  sample: [{kind: monitor, action: create, name: teams}]
api:
  description: Requests sent, by operation.
  returned: success
  type: dict
  sample: {requests: 3, cost: 0.0, calls: {"ce:CreateAnomalyMonitor": 1}}
"""

from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_anomaly_monitors import AnomalyMonitors
from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.aws_anomaly_options import OPTIONS, people
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden, hidden_result
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, read, decide, change, exit."""
    module = AwsModule(argument_spec=OPTIONS, supports_check_mode=True)
    show = module.params["show_identities"]
    if show:  # they are asked for
        module.no_log_values.difference_update(people(module.params["subscriptions"]))
    with failing_clearly(module), hidden(show):
        aws = module.provider()
        detection = AnomalyMonitors(aws)
        changes = detection.decide(module.params)
        if not module.check_mode:
            detection.perform(changes)
        module.exit_json(**hidden_result(changes, show), api=aws.account_of_calls())


if __name__ == "__main__":
    main()
