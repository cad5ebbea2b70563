#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this month and the next ones will cost."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cost_forecast_info
short_description: Forecast cost from FOCUS data, with bands and the error of past forecasts
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Forecasts what the current month will have cost at its end, and what up to twelve further months will cost, for all
    cost or for each combination of O(by).
  - Usage is forecast from its level, weekdays and growth, and an outlier moves it little. Fees, tax and credits are
    added on the days of the month on which they came in the last three months.
  - Each forecast comes with a band that the cost is within four times of five, taken from the errors of past forecasts,
    and with a backtest - what would have been said on the same day of up to six past months, and what came.
  - Where the history is too short there is no forecast, and a reason - 28 complete days are needed for this month, 90
    for further ones.
  - Nothing is changed.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.costs
options:
  by:
    description: Columns of FOCUS, or C(tag:) and a tag's key. Where it is empty all cost of a currency is one series.
    type: list
    elements: str
    default: []
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
    description: The cost to forecast. V(BilledCost) is what the invoice will say.
    type: str
    choices: [EffectiveCost, BilledCost, ContractedCost, ListCost]
    default: BilledCost
  months:
    description: How many months after the current one are forecast.
    type: int
    default: 12
  until:
    description: The day of the forecast, such as V(2026-09-30), of which nothing is known. Today where it is not set.
    type: str
  incomplete_days:
    description: How many days before O(until) usage is not complete. The last day that the data has never is.
    type: int
    default: 2
  history_days:
    description: How many days of history are read.
    type: int
    default: 400
  limit:
    description: How many series are forecast, those first that cost most.
    type: int
    default: 50
"""

EXAMPLES = r"""
- name: What will this month cost?
  frugal.cloud.cost_forecast_info:
    cost_url: /var/lib/frugal/costs
    months: 0
  register: cost

- name: Fail where a team will pass its budget
  ansible.builtin.assert:
    that: item.month_end is none or item.month_end.high < 20000
    fail_msg: "{{ item.series }} will cost {{ item.month_end.value }} {{ item.currency }} in {{ item.month }}"
  loop: "{{ cost.forecasts }}"

- name: The next year by service
  frugal.cloud.cost_forecast_info:
    cost_url: /var/lib/frugal/costs
    by: [ServiceName]
"""

RETURN = r"""
forecasts:
  description:
    - One for each series, those first that cost most. C(month_end) is the whole current month, C(so_far) what its
      complete days cost, C(months) are those after it; C(low) and C(high) are the band.
    - C(backtest) holds what would have been said of past months on the same day; C(error_percent) is its mean absolute
      error, C(average_day_error_percent) that of the month's average day times its days. Null without a whole month.
    - C(why) says why a forecast is missing.
  returned: success
  type: list
  elements: dict
  sample:
    - series: {ServiceName: Amazon EC2}
      currency: USD
      month: "2026-09"
      so_far: 6120.4
      month_end: {value: 9240.11, low: 9011.2, high: 9533.8}
      months: [{month: "2026-10", value: 9431.0, low: 8790.5, high: 10310.2}]
      backtest:
        error_percent: 1.9
        average_day_error_percent: 4.2
        months: [{month: "2026-08", forecast: 9001.2, average_day: 8620.9, actual: 9120.5}]
      why: ""
summary:
  description: How many series there are and how many of them O(limit) leaves out, and which days are known.
  returned: success
  type: dict
  sample:
    series: 12
    not_shown: 0
    first_day: "2025-09-01"
    last_day: "2026-09-20"
    days: 385
    days_without_data: []
"""

import datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_options import (
    COST_OPTIONS,
    history_from,
    reveal,
    series_options,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.forecasts import foresee, question_from
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, one look at the data, exit."""
    module = AnsibleModule(
        argument_spec={
            **COST_OPTIONS,
            "by": {"type": "list", "elements": "str", "default": []},
            **series_options(metric="BilledCost"),
            "months": {"type": "int", "default": 12},
            "history_days": {"type": "int", "default": 400},
            "limit": {"type": "int", "default": 50},
        },
        supports_check_mode=True,
    )
    reveal(module)
    with failing_clearly(module):
        question = question_from(module.params, datetime.datetime.now(datetime.timezone.utc).date())
        module.exit_json(
            changed=False, **foresee(history_from(module.params, question.until, question.history_days), question)
        )


if __name__ == "__main__":
    main()
