#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a reviewable plan of recommendations."""

from __future__ import annotations

DOCUMENTATION = r"""
module: optimization_plan
short_description: Judge recommendations by a policy and keep them as one plan
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Takes what an C(_info) module recommends for one scope (account and region), judges each recommendation by the
    policy, and keeps the result in the ledger as the scope's open plan.
  - The plan has a digest over what is decided - resource, change, effort, risk, saving in whole units, policy - not
    over evidence and dates. The same digest again changes nothing and approvals stand. Another digest replaces the open
    plan - actions that nobody began expire with it.
  - Nothing but the ledger is changed. Modules such as M(frugal.cloud.ec2_rightsizing) carry out approved actions.
  - A change that was rejected, rolled back or refused is not proposed again before the policy's C(retry_after_days).
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.ledger
options:
  recommendations:
    description:
      - Recommendations, as the C(_info) modules return them. For many of them use O(recommendations_path).
    type: list
    elements: dict
  recommendations_path:
    description: Files with recommendations that C(_info) modules wrote (gzip, one JSON object a line).
    type: list
    elements: path
  scope:
    description:
      - The scope of the plan, such as C(123456789012/us-east-1).
      - It may be left out where there is at least one recommendation. Without any, the scope's open plan is replaced
        by an empty one.
    type: str
  context:
    description: What is known about the whole scope, such as its monthly cost; kept with a new plan for the report.
    type: dict
    default: {}
  policy:
    description:
      - Path of the policy file (YAML), or the policy itself as a dictionary.
      - Without one, everything is proposed and needs one approval, valid for 7 days.
    type: raw
  as_of:
    description: The moment at which the plan is made (ISO 8601, UTC unless it says otherwise); now where it is not set.
    type: str
  path:
    description: Also write the whole plan to this file, as JSON.
    type: path
  limit:
    description: How many actions the result holds at most.
    type: int
    default: 50
"""

EXAMPLES = r"""
- name: Find what could be saved
  frugal.cloud.ec2_rightsizing_info:
    region: us-east-1
    data_directory: /srv/frugal
  register: found

- name: Make a plan of it
  frugal.cloud.optimization_plan:
    recommendations_path: "{{ found.recommendations_path }}"
    scope: "{{ found.scope }}"
    policy: /etc/frugal/policy.yml
  register: planned

- name: Show money and counts
  ansible.builtin.debug:
    var: planned.totals
"""

RETURN = r"""
plan:
  description: The open plan of the scope.
  returned: success
  type: dict
  sample:
    id: plan-4f1d2c3b5a69
    scope: 123456789012/us-east-1
    digest: 4f1d2c3b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff001
    policy_digest: 09e1d2c3b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff00
    status: open
    superseded_by: ""
    created_at: "2026-03-02T12:00:00.000000Z"
    context: {monthly_cost: 18230.11}
kind:
  description: V(new) (RV(superseded) is replaced), V(renewed) (some actions are open again) or V(unchanged).
  returned: success
  type: str
  sample: new
superseded:
  description: The plan that this one replaces, if any.
  returned: success
  type: str
  sample: plan-09f8e7d6c5b4
totals:
  description: Counts by status, and money per month (730 hours).
  returned: success
  type: dict
  sample:
    actions: 143
    by_status: {approved: 90, proposed: 41, skipped: 12}
    monthly_saving: 9411.87
    monthly_saving_by_status: {approved: 5000.0, proposed: 4411.87, skipped: 800.0}
    currency: USD
actions:
  description: The first O(limit) actions, those that save most first, each with its recommendation, status and why.
  returned: success
  type: list
  elements: dict
  sample:
    - id: act-0a1b2c3d4e5f60718293
      rank: 1
      status: proposed
      reason: ""
      why: ""
      approvers_needed: 1
      recommendation: {action: ec2_instance_type}
path:
  description: The file with the whole plan.
  returned: when O(path) is set
  type: str
  sample: /srv/frugal/plan.json
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.executor import utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import (
    LEDGER_OPTIONS,
    failing_clearly,
    ledger_url,
    moment,
)
from ansible_collections.frugal.cloud.plugins.module_utils.plan_results import (
    PlanView,
    given_recommendations,
    scope_of,
    write_plan,
)
from ansible_collections.frugal.cloud.plugins.module_utils.policy import load_policy


def main() -> None:
    """Arguments, one plan, exit."""
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "recommendations": {"type": "list", "elements": "dict"},
            "recommendations_path": {"type": "list", "elements": "path"},
            "scope": {"type": "str"},
            "context": {"type": "dict", "default": {}},
            "policy": {"type": "raw"},
            "as_of": {"type": "str"},
            "path": {"type": "path"},
            "limit": {"type": "int", "default": 50},
        },
        required_one_of=[("recommendations", "recommendations_path")],
        supports_check_mode=True,
    )
    params = module.params
    with failing_clearly(module):
        now = moment(params["as_of"], "as_of") or utc_now()
        policy = load_policy(params["policy"])
        found = given_recommendations(params["recommendations"], params["recommendations_path"])
        scope = scope_of(found, params["scope"])
        with Ledger.open(ledger_url(params["ledger_url"]), read_only=module.check_mode) as ledger:
            change = ledger.make_plan(scope, found, policy, now, context=params["context"], dry_run=module.check_mode)
            view = PlanView(ledger, change, stored=not module.check_mode)
            changed = change.changed
            result = {}
            if params["path"]:
                result["path"] = params["path"]
                changed |= write_plan(params["path"], view, dry_run=module.check_mode)
            limit = max(0, params["limit"])
            module.exit_json(
                changed=changed,
                plan=change.plan.to_dict(),
                kind=change.kind,
                superseded=change.superseded,
                totals=view.totals().to_dict(),
                actions=view.actions(limit),
                diff=view.diff(limit),
                **result,
            )


if __name__ == "__main__":
    main()
