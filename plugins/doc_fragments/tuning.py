# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options in ``plugin_utils/tuning.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the plugins that carry out, verify and take back changes of services on hosts."""

    DOCUMENTATION = r"""
options:
  stage:
    description:
      - V(apply) carries out what is approved, V(verify) looks whether what was applied holds up once it has soaked as
        long as the policy of its plan says, V(rollback) takes back the actions that O(plan) or O(actions) name.
      - What fails its verification is rolled back where the policy says so.
    type: str
    choices: [apply, verify, rollback]
    default: apply
  plan:
    description: Id of the plan; all plans of the service where it is not set.
    type: str
  actions:
    description: Ids of the actions; all approved ones where it is empty.
    type: list
    elements: str
    default: []
  policy:
    description:
      - Path of the policy file in force now, or the policy itself. A plan made under another policy is refused.
      - The policy of each plan itself where it is not set.
    type: raw
  max_failures:
    description: No new action is begun after this many failures; 0 for no limit; not set, as the policy says.
    type: int
  max_actions:
    description: How many new actions a run begins; 0 for no limit; as the policy says where it is not set.
    type: int
  wait_timeout:
    description: Seconds without any progress after which an action counts as failed and goes back.
    type: int
    default: 900
  as_of:
    description: The moment to take for now (ISO 8601).
    type: str
  limit:
    description: How many actions the result lists at most.
    type: int
    default: 50
notes:
  - The ledger, plans and approvals are on the controller; the managed host needs nothing but Python.
"""

    ADVICE = r"""
options:
  data_directory:
    description:
      - Folder on the controller for what was found; the file is the key C(recommendations_path) of the result.
      - Without it no file is written.
    type: path
  limit:
    description: How many recommendations the result holds at most.
    type: int
    default: 50
"""
