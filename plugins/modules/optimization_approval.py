#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approve or reject a plan or some of its actions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: optimization_approval
short_description: Approve or reject a plan, or some of its actions
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Records in the ledger who decides what about an open plan. The policy that the plan was made under says how many
    people of which group must agree, and for how long an approval is valid.
  - A decision names the plan's digest. Where the plan has changed since it was looked at, nothing is recorded.
  - Nothing but the ledger is changed. Modules such as M(frugal.cloud.ec2_rightsizing) carry out approved actions.
notes:
  - The ledger trusts O(approver). Who may write to the ledger can approve; restrict that with the database's accounts
    or with job templates in AWX.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.ledger
options:
  state:
    description:
      - V(approved) agrees. An action is approved once as many people as the policy asks for agree.
      - V(rejected) objects. One person is enough, until that person approves.
    type: str
    choices: [approved, rejected]
    default: approved
  plan:
    description: The plan, by its id.
    type: str
  digest:
    description:
      - The plan's digest, or at least its first 8 characters.
      - Together with O(plan) it makes sure that the plan is the one that was looked at.
    type: str
  actions:
    description:
      - Only these actions, by their ids. Without it, all that wait for a decision or, to reject, are not begun.
      - Actions that were rejected, or that the policy holds back after a failure or a rollback, are approved only when
        they are named here.
    type: list
    elements: str
    default: []
  approver:
    description:
      - Who decides; by the name that the policy's groups use.
      - The user that runs the module where it is not set. In AWX, pass C(awx_user_name).
    type: str
  comment:
    description: Why; it is kept with the decision.
    type: str
    default: ""
  valid_days:
    description: For how many days an approval is valid; at most, and by default, what the policy's rule says.
    type: float
  as_of:
    description: The moment of the decision (ISO 8601, UTC unless it says otherwise); now where it is not set.
    type: str
  limit:
    description: How many action ids each list of the result holds at most.
    type: int
    default: 50
"""

EXAMPLES = r"""
- name: Approve a whole plan as it was looked at
  frugal.cloud.optimization_approval:
    plan: plan-4f1d2c3b5a69
    digest: 4f1d2c3b5a69
    approver: alice
    comment: agreed in the cost review of March

- name: Reject one of its actions
  frugal.cloud.optimization_approval:
    plan: plan-4f1d2c3b5a69
    state: rejected
    actions: [act-0a1b2c3d4e5f60718293]
    approver: alice
    comment: is moved to another region next week
"""

RETURN = r"""
plan:
  description: The plan, with its totals after the decision.
  returned: success
  type: dict
  sample:
    id: plan-4f1d2c3b5a69
    scope: 123456789012/us-east-1
    status: open
    totals: {actions: 143, by_status: {approved: 143}, monthly_saving: 9411.87, currency: USD}
decided:
  description: The first O(limit) actions whose decision is new, with their status before and after.
  returned: success
  type: list
  elements: dict
  sample: [{id: act-0a1b2c3d4e5f60718293, before: proposed, after: approved}]
counts:
  description: For how many actions the decision is new, changes nothing, or is refused.
  returned: success
  type: dict
  sample: {decided: 141, unchanged: 2, refused: 0}
refused:
  description: The first O(limit) actions that this person cannot decide about now, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{id: act-0a1b2c3d4e5f60718293, why: "the policy refuses it: its effort is migrate"}]
"""

import getpass

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.executor import utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import (
    LEDGER_OPTIONS,
    failing_clearly,
    ledger_url,
    moment,
)
from ansible_collections.frugal.cloud.plugins.module_utils.plan_results import decision_result


def main() -> None:
    """Arguments, one decision, exit."""
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "state": {"type": "str", "choices": ["approved", "rejected"], "default": "approved"},
            "plan": {"type": "str"},
            "digest": {"type": "str"},
            "actions": {"type": "list", "elements": "str", "default": []},
            "approver": {"type": "str"},
            "comment": {"type": "str", "default": ""},
            "valid_days": {"type": "float"},
            "as_of": {"type": "str"},
            "limit": {"type": "int", "default": 50},
        },
        required_one_of=[("plan", "digest")],
        supports_check_mode=True,
    )
    params = module.params
    with failing_clearly(module):
        now = moment(params["as_of"], "as_of") or utc_now()
        with Ledger.open(ledger_url(params["ledger_url"]), read_only=module.check_mode) as ledger:
            decision = ledger.decide(
                params["state"],
                params["approver"] or getpass.getuser(),
                now,
                plan_id=params["plan"] or "",
                digest=params["digest"] or "",
                action_ids=params["actions"],
                comment=params["comment"],
                valid_days=params["valid_days"],
                dry_run=module.check_mode,
            )
            module.exit_json(**decision_result(ledger, decision, max(0, params["limit"])))


if __name__ == "__main__":
    main()
