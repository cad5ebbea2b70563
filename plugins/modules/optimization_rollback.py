#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undo what was applied, from the journal."""

from __future__ import annotations

DOCUMENTATION = r"""
module: optimization_rollback
short_description: Undo applied actions, from the journal
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Takes applied, verified and half-done actions of one account and region back, the latest first, in batches.
  - Each resource is read again before every step. One that somebody else has changed since is left alone,
    and the module fails when all others are done.
  - Going back is always allowed - freeze windows, approvals and limits do not hold.
  - What is already as it was before needs no change, so a second run changes nothing.
notes:
  - "IAM permissions: those of M(frugal.cloud.ec2_rightsizing) with C(stage=apply)."
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.ledger
  - frugal.cloud.attributes
options:
  plan:
    description: Id of the plan to undo; either this or O(actions) must be given, so that nothing is undone by accident.
    type: str
  actions:
    description: Ids of the actions to undo.
    type: list
    elements: str
    default: []
  max_in_flight:
    description: How many resources are changed at the same time.
    type: int
    default: 20
  wait_timeout:
    description: Seconds without any progress after which an action counts as failed.
    type: int
    default: 900
  wait_sleep:
    description: Seconds between looks at a resource on its way.
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
- name: Undo one change
  frugal.cloud.optimization_rollback:
    region: us-east-1
    actions: [act-0a1b2c3d4e5f60718293]

- name: Say what undoing a whole plan would do
  frugal.cloud.optimization_rollback:
    region: us-east-1
    plan: plan-0a1b2c3d4e5f
  check_mode: true
"""

RETURN = r"""
by_status:
  description: Number of actions by what became of them.
  returned: success
  type: dict
  sample: {rolled_back: 3}
monthly_saving_undone:
  description: What the actions that were rolled back had saved per month.
  returned: success
  type: float
  sample: 210.24
outcomes:
  description: The first O(limit) actions that ended, with reason and sentence.
  returned: success
  type: list
  elements: dict
  sample: [{id: act-0a1b2c3d4e5f60718293, resource: i-0123456789abcdef0, status: rolled_back}]
scope:
  description: The account and region.
  returned: success
  type: str
  sample: 123456789012/us-east-1
api:
  description: Requests sent, by operation, and what the paid ones cost in USD.
  returned: success
  type: dict
  sample: {requests: 12, cost: 0.0, calls: {"ec2:StopInstances": 1}}
"""

from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.ec2_runs import ec2_target
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.runs import RUN_OPTIONS, roll_back_actions


def main() -> None:
    """Arguments, one run, exit."""
    options = {name: option for name, option in RUN_OPTIONS.items() if name != "policy"}
    module = AwsModule(argument_spec=options, supports_check_mode=True)
    with failing_clearly(module):
        if not module.params["plan"] and not module.params["actions"]:
            module.fail_json(msg="neither plan nor actions is set: name the plan or the actions to undo")
        target = ec2_target(module.provider(), module.params["wait_sleep"])
        result = roll_back_actions(target, module.params, check_mode=module.check_mode)
        if result["failed_actions"]:
            module.fail_json(msg=result.pop("message"), **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
