#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read service level objectives: error budget left, burn rates, and when the budget will be gone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slo_info
short_description: Read error budgets, burn rates and forecasts of service level objectives
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads the recorded series of service level objectives (SLOs) from a Prometheus - those of the rule files that
    M(frugal.cloud.slo) writes - and says for each SLO how much of its error budget is left, how fast it burns, and when
    it will be gone if things go on as lately.
  - Two queries answer for all SLOs, however many there are.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
options:
  prometheus:
    description: The Prometheus that has the series.
    type: dict
    required: true
    suboptions:
      url:
        description: Its address, such as V(https://prometheus.example.com).
        type: str
        required: true
      username:
        description: User for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
      bearer_token:
        description: Token to send as bearer.
        type: str
      validate_certs:
        description: Whether its TLS certificate is checked.
        type: bool
        default: true
  names:
    description: Which SLOs, by name; all where it is empty. For one that is not there, the error names those that are.
    type: list
    elements: str
    default: []
  services:
    description: SLOs of which services; of all where it is empty. One that is not there is an error, too.
    type: list
    elements: str
    default: []
  labels:
    description: Other labels that an SLO's series must have, with their values.
    type: dict
    default: {}
  as_of:
    description: The moment to look at (ISO 8601, UTC unless it says otherwise); now where it is not set.
    type: str
seealso:
  - module: frugal.cloud.slo
"""

EXAMPLES = r"""
- name: How are the error budgets?
  frugal.cloud.slo_info:
    prometheus:
      url: http://127.0.0.1:9090
  register: slo

- name: Do not deploy while the budget of the checkout burns
  frugal.cloud.slo_info:
    prometheus:
      url: https://prometheus.example.com
      username: reader
      password: "{{ vault_prometheus_password }}"
    names: [checkout-availability]
  register: checkout
  failed_when: checkout is failed or checkout.slos | rejectattr('state', 'eq', 'healthy')
"""

RETURN = r"""
slos:
  description: The SLOs, by service and name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: checkout-availability
    service:
      description: The service that it is about.
      type: str
      sample: checkout
    labels:
      description: Its other labels.
      type: dict
      sample: {team: shop}
    state:
      description:
        - V(burning_fast) and V(burning_slowly) are the levels at which the SLO's own alerts page somebody or open a
          ticket; for a period of 30 days 14.4 times the sustainable rate over 1h and 5m (or 6 over 6h and 30m), and 3
          over 1d and 2h (or 1 over 3d and 6h).
        - V(exhausted) has nothing of its budget left. V(no_data) has no samples at that moment. All others are
          V(healthy).
      type: str
      sample: burning_slowly
    why:
      description: What the state rests on, in words.
      type: str
      sample: it burns at 3.4 times the sustainable rate over 1d, 5.1 times over 2h (ticket from 3.0 on)
    error_budget:
      description: The share of bad events that the objective allows.
      type: float
      sample: 0.001
    period_days:
      description: Days of the rolling period that the budget is for.
      type: float
      sample: 30.0
    budget_left:
      description: Remaining share of the period's error budget; negative when it is overspent, null without data.
      type: float
      sample: 0.61
    burn_rates:
      description: Burn rate by window; 1 uses up exactly one budget in one period.
      type: dict
      sample: {5m: 6.2, 30m: 5.9, 1h: 5.5, 2h: 5.1, 6h: 4.0, 1d: 3.4, 3d: 1.9}
    events_per_second:
      description: Events of the last five minutes, per second; null where the SLO is not about events.
      type: float
      sample: 41.7
    forecast:
      description:
        - When the budget will be gone, in hours from O(as_of), at the median of the burn rates over 1h, 6h, 1d and 3d;
          earliest at the highest of them and latest at the lowest. Null means not within one period.
        - The reason says what that rests on, or why there is no forecast.
      type: dict
      sample: {hours: 131.2, earliest_hours: 70.8, latest_hours: null, exhausted_at: "2026-06-22T23:12:00Z", reason: ""}
by_state:
  description: Number of SLOs by state.
  returned: success
  type: dict
  sample: {healthy: 11, burning_slowly: 1}
as_of:
  description: The moment that was looked at.
  returned: success
  type: str
  sample: "2026-06-17T12:00:00Z"
requests:
  description: Queries sent to Prometheus.
  returned: success
  type: int
  sample: 2
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import CONNECTION_OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.slo_report import report


def main() -> None:
    """Arguments, two queries, exit."""
    module = AnsibleModule(
        argument_spec={
            "prometheus": {"type": "dict", "required": True, "options": CONNECTION_OPTIONS},
            "names": {"type": "list", "elements": "str", "default": []},
            "services": {"type": "list", "elements": "str", "default": []},
            "labels": {"type": "dict", "default": {}},
            "as_of": {"type": "str"},
        },
        supports_check_mode=True,
    )
    with failing_clearly(module):
        result = report(module.params)
        if not result["slos"]:
            module.warn(
                f"Prometheus at {result['server']} has no series of SLOs at {result['as_of']}: "
                "load the rule files of frugal.cloud.slo, and wait for their first evaluation"
            )
        result.pop("server")
        module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
