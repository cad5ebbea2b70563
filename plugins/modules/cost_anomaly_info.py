#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unexpected cost, and where it comes from."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cost_anomaly_info
short_description: Find unexpected cost in FOCUS data, and say where it comes from
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Looks at the daily cost of usage of each combination of O(by) and reports episodes of days that cost more than their
    weekday, the level of the last weeks and charges that return each month lead one to expect - spikes, steps that
    stay, drifts over weeks, and services that are new.
  - A day is judged by what was known when it ended, so that a report of the past shows what would have been alarmed.
  - Purchases, fees, tax, credits, adjustments and unused commitments are left out, and so are the last days, whose
    usage is not complete; RV(left_out) and RV(summary) tell which.
  - Nothing is changed.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.costs
options:
  by:
    description: Columns of FOCUS, or C(tag:) and a tag's key, whose combinations are a series each.
    type: list
    elements: str
    default: [ServiceName, SubAccountId]
  dimensions:
    description: Columns, or tags, in which the causes of an anomaly are looked for.
    type: list
    elements: str
    default: [SubAccountId, RegionId, SkuId, ChargeDescription, ResourceId]
  filters:
    description: Only rows that have one of the values in each of these columns.
    type: list
    elements: dict
    default: []
    suboptions:
      column: {description: A column of FOCUS or C(tag:) and a key., type: str, required: true}
      values:
        description: Allowed values; an empty text are rows without a value.
        type: list
        elements: str
        required: true
  metric:
    description: The cost to look at. V(EffectiveCost) spreads commitments over their usage.
    type: str
    choices: [EffectiveCost, BilledCost, ContractedCost, ListCost]
    default: EffectiveCost
  min_impact:
    description: Unexpected cost per day from which on it is an anomaly, in the currency of the data.
    type: float
    default: 10
  min_change:
    description: Unexpected cost from which on it is an anomaly, as a part of the expected cost.
    type: float
    default: 0.15
  threshold:
    description: Standard deviations of the series' own noise from which on it is an anomaly. Less find more, and cry
      wolf more often.
    type: float
    default: 4
  decreases:
    description: Report costs that fell, too.
    type: bool
    default: false
  until:
    description: The day of the report, such as V(2026-09-30), which is not looked at itself. Today where it is not set.
    type: str
  incomplete_days:
    description: How many days before O(until) usage is not complete. The last day that the data has never is.
    type: int
    default: 2
  history_days:
    description: How many days of history are read.
    type: int
    default: 180
  report_days:
    description: How many days ago an anomaly may have been alarmed to be reported; what goes on is reported anyway.
    type: int
    default: 30
  limit:
    description: How many anomalies are returned, those first that cost most.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: What was unexpected in the last week?
  frugal.cloud.cost_anomaly_info:
    cost_url: /var/lib/frugal/costs
    report_days: 7
    min_impact: 50
  register: cost

- name: Tell the team
  ansible.builtin.debug:
    msg: "{{ cost.anomalies | map(attribute='sentence') }}"

- name: By team, with the causes by resource
  frugal.cloud.cost_anomaly_info:
    cost_url: /var/lib/frugal/costs
    by: ["tag:team"]
    dimensions: [ServiceName, RegionId, ResourceId]
"""

RETURN = r"""
anomalies:
  description:
    - Episodes, those first that cost most. C(kind) is V(spike), V(step), V(drift) or V(new), with V(down) behind it
      where costs fell; C(alarmed_on) is the day after whose end it was known.
    - C(causes) are the largest contributions by dimension, C(way_down) leads to the smallest part that makes at least
      half of the change, C(effects) separates usage from price, all in money per day against the same weekdays before.
    - C(score) is how far the alarm was above its threshold, which is 1.
  returned: success
  type: list
  elements: dict
  sample:
    - series: {ServiceName: Amazon EC2, SubAccountId: "********1111"}
      currency: USD
      kind: step
      first_day: "2026-09-12"
      alarmed_on: "2026-09-13"
      last_day: "2026-09-20"
      ongoing: false
      days: 9
      cost: 5130.22
      expected: 3421.9
      change: 1708.32
      change_percent: 49.9
      change_per_day: 189.81
      score: 2.1
      causes:
        - {dimension: RegionId, value: eu-west-1, before_per_day: 9, per_day: 190, change_per_day: 180.5, share: 0.95}
      way_down:
        - {dimension: RegionId, value: eu-west-1, before_per_day: 9, per_day: 190, change_per_day: 180.5, share: 0.95}
      effects: {usage: 189.81, price: 0.0, both: 0.0, unknown: 0.0}
      sentence: "Amazon EC2, ********1111: 1,708.32 USD more than expected in 9 days from 2026-09-12 (+50 %)"
summary:
  description:
    - How many series and days were looked at, how many anomalies there are, how many of them O(limit) leaves out, and
      from which day on the data was taken for incomplete.
  returned: success
  type: dict
  sample:
    series: 84
    first_day: "2026-04-01"
    last_day: "2026-09-28"
    anomalies: 3
    not_shown: 0
    incomplete_from: "2026-09-29"
left_out:
  description: Cost on these days that is no usage, and was not looked at.
  returned: success
  type: list
  elements: dict
  sample: [{currency: USD, category: Tax, frequency: One-Time, status: null, cost: 812.4}]
"""

import datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost.anomalies import look, question_from
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_options import (
    COST_OPTIONS,
    history_from,
    reveal,
    series_options,
)
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, one look at the data, exit."""
    module = AnsibleModule(
        argument_spec={
            **COST_OPTIONS,
            "by": {"type": "list", "elements": "str", "default": ["ServiceName", "SubAccountId"]},
            "dimensions": {
                "type": "list",
                "elements": "str",
                "default": ["SubAccountId", "RegionId", "SkuId", "ChargeDescription", "ResourceId"],
            },
            **series_options(metric="EffectiveCost"),
            "min_impact": {"type": "float", "default": 10},
            "min_change": {"type": "float", "default": 0.15},
            "threshold": {"type": "float", "default": 4},
            "decreases": {"type": "bool", "default": False},
            "history_days": {"type": "int", "default": 180},
            "report_days": {"type": "int", "default": 30},
            "limit": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    reveal(module)
    with failing_clearly(module):
        question = question_from(module.params, datetime.datetime.now(datetime.timezone.utc).date())
        module.exit_json(
            changed=False, **look(history_from(module.params, question.until, question.history_days), question)
        )


if __name__ == "__main__":
    main()
