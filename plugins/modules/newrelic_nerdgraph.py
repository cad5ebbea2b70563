#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage New Relic's alert policies, NRQL conditions, dashboards and deployment markers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: newrelic_nerdgraph
short_description: Manage New Relic's alert policies, NRQL conditions, dashboards and deployment markers
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads what is there, compares it with what was written, and changes the difference through NerdGraph, New Relic's
    GraphQL API. What was not written keeps its value.
  - Works on lists. Everything is read in a few requests, and changes of one kind go together, 20 a request.
notes:
  - Tested with a stand-in for NerdGraph that validates every request against a schema written from New Relic's
    documentation; not with New Relic itself.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.newrelic
  - frugal.cloud.newrelic.alerting
  - frugal.cloud.newrelic.dashboards
"""

EXAMPLES = r"""
- name: Alert on slow and failing checkouts
  frugal.cloud.newrelic_nerdgraph:
    account_id: 1234567
    policies:
      - name: checkout
        incident_preference: per_condition
        conditions:
          - name: Checkout is slow
            query: SELECT percentile(duration, 95) FROM Transaction WHERE appName = 'checkout'
            runbook_url: https://wiki.example.org/checkout-slow
            terms:
              - {threshold: 1.5, duration: 300}
              - {priority: warning, threshold: 1.0, duration: 600}
            signal: {aggregation_window: 60, aggregation_method: event_flow, aggregation_delay: 120}
          - name: Errors are unusual
            type: baseline
            baseline_direction: upper_only
            query: SELECT count(*) FROM TransactionError WHERE appName = 'checkout'
            terms: [{threshold: 3, duration: 300}]

- name: Show it
  frugal.cloud.newrelic_nerdgraph:
    account_id: 1234567
    region: eu
    dashboards:
      - name: Checkout
        pages:
          - name: Overview
            widgets:
              - title: Requests
                queries: [SELECT rate(count(*), 1 minute) FROM Transaction TIMESERIES]
                width: 12

- name: Mark a deployment
  frugal.cloud.newrelic_nerdgraph:
    account_id: 1234567
    deployments:
      - {entity_guid: MTIzNDU2N3xBUE18QVBQTElDQVRJT058MQ, version: 1.4.2, deployment_type: rolling, user: ansible}
"""

RETURN = r"""
changes:
  description: What was changed, or in check mode would be, in order.
  returned: success
  type: list
  elements: dict
  sample: [{kind: condition, action: create, name: Checkout is slow, policy: checkout}]
counts:
  description: How many of each kind were changed.
  returned: success
  type: dict
  sample: {policy: 1, condition: 2, dashboard: 0, deployment: 0}
policies:
  description: Ids of the policies that were named and are there.
  returned: success
  type: dict
  sample: {checkout: "2000001"}
dashboards:
  description: GUIDs of the dashboards that were named and are there.
  returned: success
  type: dict
  sample: {Checkout: MTIzNDU2N3xWSVp8REFTSEJPQVJEfDE}
api_requests:
  description: How many requests were sent.
  returned: success
  type: int
  sample: 4
"""

import time

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.frugal.cloud.plugins.module_utils import newrelic_options
from ansible_collections.frugal.cloud.plugins.module_utils.act.newrelic import Account, Wanted
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.newrelic import ENDPOINTS, NerdGraph


def main() -> None:
    """Arguments, read, decide, change, exit."""
    module = AnsibleModule(
        argument_spec={
            **newrelic_options.CONNECTION,
            "api_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["NEW_RELIC_API_KEY"])},
            "policies": newrelic_options.POLICIES,
            "dashboards": newrelic_options.DASHBOARDS,
            "deployments": newrelic_options.DEPLOYMENTS,
            "deployment_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not params["api_key"]:
        module.fail_json(msg="api_key is missing: give a user key of New Relic, or set NEW_RELIC_API_KEY")
    with failing_clearly(module):
        server = NerdGraph(
            params["endpoint"] or ENDPOINTS[params["region"]],
            params["api_key"],
            params["timeout"],
            params["retries"],
            params["validate_certs"],
        )
        account = Account(server, params["account_id"])
        since = int((time.time() - params["deployment_days"] * 86400) * 1000)
        changes = account.decide(Wanted(params["policies"], params["dashboards"], params["deployments"], since))
        if not module.check_mode:
            account.perform(changes)
        module.exit_json(
            **newrelic_options.result(changes),
            policies=account.policies,
            dashboards=account.dashboards,
            api_requests=server.requests,
        )


if __name__ == "__main__":
    main()
