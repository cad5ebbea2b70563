#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List plans and their actions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: optimization_plan_info
short_description: List plans, their actions and what was decided about them
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads plans and actions from the ledger, with approvals and the reason for each status.
  - Nothing is changed. A ledger that does not exist yet holds no plans.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.ledger
options:
  plan:
    description: Only this plan, by its id; open or superseded.
    type: str
  scopes:
    description: Only plans for these scopes, such as C(123456789012/us-east-1); all where it is empty.
    type: list
    elements: str
    default: []
  superseded:
    description: Whether plans that were replaced are listed, too; their applied actions can still be rolled back.
    type: bool
    default: false
  status:
    description: Only actions with one of these statuses; all where it is empty.
    type: list
    elements: str
    choices: [proposed, approved, rejected, expired, applying, applied, verified, rolled_back, failed, skipped]
    default: []
  actions:
    description: Only these actions, by their ids, of whichever plan; all where it is empty.
    type: list
    elements: str
    default: []
  journal:
    description: Whether each action comes with its journal, that is, every step that was meant and what came of it.
    type: bool
    default: false
  limit:
    description: How many plans and how many actions the result holds at most.
    type: int
    default: 50
  offset:
    description: How many actions are left out at the beginning, to read page by page.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: What waits for a decision?
  frugal.cloud.optimization_plan_info:
    status: [proposed]
  register: waiting

- name: Why was an action refused, and what was done so far?
  frugal.cloud.optimization_plan_info:
    plan: plan-4f1d2c3b5a69
    status: [skipped, failed]
    journal: true
"""

RETURN = r"""
plans:
  description: The first O(limit) plans, newest first, each with its totals.
  returned: success
  type: list
  elements: dict
  sample:
    - id: plan-4f1d2c3b5a69
      scope: 123456789012/us-east-1
      digest: 4f1d2c3b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff001
      status: open
      totals: {actions: 143, by_status: {proposed: 143}, monthly_saving: 9411.87, currency: USD}
totals:
  description: Counts by status and money per month (730 hours) of all actions that were asked for.
  returned: success
  type: dict
  sample: {actions: 41, by_status: {proposed: 41}, monthly_saving: 4411.87, currency: USD}
actions:
  description: O(limit) actions by plan (newest first) and rank, each with recommendation, approvals, status and why.
  returned: success
  type: list
  elements: dict
  sample:
    - id: act-0a1b2c3d4e5f60718293
      plan: plan-4f1d2c3b5a69
      rank: 1
      status: approved
      why: "approved by alice"
      approved_until: "2026-03-09T12:00:00.000000Z"
      approvals: [{approver: alice, decision: approved, at: "2026-03-02T12:00:00.000000Z", comment: ""}]
      recommendation: {action: ec2_instance_type}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import (
    LEDGER_OPTIONS,
    failing_clearly,
    ledger_url,
)
from ansible_collections.frugal.cloud.plugins.module_utils.plan import STATUSES
from ansible_collections.frugal.cloud.plugins.module_utils.plan_results import listed_actions, listed_plans


def main() -> None:
    """Arguments, one look into the ledger, exit."""
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "plan": {"type": "str"},
            "scopes": {"type": "list", "elements": "str", "default": []},
            "superseded": {"type": "bool", "default": False},
            "status": {"type": "list", "elements": "str", "choices": list(STATUSES), "default": []},
            "actions": {"type": "list", "elements": "str", "default": []},
            "journal": {"type": "bool", "default": False},
            "limit": {"type": "int", "default": 50},
            "offset": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    with failing_clearly(module), Ledger.open(ledger_url(params["ledger_url"]), read_only=True) as ledger:
        limit = max(0, params["limit"])
        plans = [ledger.plan(params["plan"])] if params["plan"] else []
        if not plans:
            state = "" if params["superseded"] else "open"
            plans = ledger.plans(scopes=params["scopes"], status=state, limit=limit)
        selection = Selection(
            scopes=tuple(params["scopes"]),
            plan_ids=(params["plan"],) if params["plan"] else (),
            action_ids=tuple(params["actions"]),
            statuses=tuple(params["status"]),
            open_plans=not (params["plan"] or params["actions"] or params["superseded"]),
        )
        module.exit_json(
            changed=False,
            plans=listed_plans(ledger, plans),
            totals=ledger.totals(selection).to_dict(),
            actions=listed_actions(ledger, selection, limit, max(0, params["offset"]), journal=params["journal"]),
        )


if __name__ == "__main__":
    main()
