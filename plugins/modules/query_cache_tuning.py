#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out, verify and take back approved changes of a query cache."""

from __future__ import annotations

DOCUMENTATION = r"""
module: query_cache_tuning
short_description: Carry out, verify and take back approved changes of a query cache
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Changes tables, lifetime and memory as an approved plan of M(frugal.cloud.query_cache_info) says
    (M(frugal.cloud.query_cache_config)). What somebody else has changed since the plan stays as it is.
  - To verify, the cache's counters are watched and its hit ratio is compared with what was predicted.
extends_documentation_fragment:
  - frugal.cloud.postgres.query_cache
  - frugal.cloud.attributes
  - frugal.cloud.ledger
  - frugal.cloud.tuning
  - frugal.cloud.slo_gate
"""

EXAMPLES = r"""
- name: Apply what is approved
  frugal.cloud.query_cache_tuning:

- name: See whether it holds up
  frugal.cloud.query_cache_tuning:
    stage: verify
    cache_user: app
    cache_password: "{{ app_password }}"
    cache_db: shop
"""

RETURN = r"""
by_status:
  description: Number of actions by what became of them.
  returned: success
  type: dict
  sample: {applied: 1}
outcomes:
  description: The first O(limit) actions that ended, with reason and sentence.
  returned: success
  type: list
  elements: dict
  sample: []
deferred:
  description: The first O(limit) actions that are left for later, with why (a freeze window, an SLO, soak time).
  returned: success
  type: list
  elements: dict
  sample: []
stopped:
  description: Why no new action was begun; empty where all were.
  returned: success
  type: str
  sample: ""
verifications:
  description: With O(stage=verify), what was checked, by action id.
  returned: O(stage=verify)
  type: dict
  sample: {}
scope:
  description: The service, as plans know it.
  returned: success
  type: str
  sample: hosts/db1/query_cache
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.postgres_tuning_options import QUERY_CACHE
from ansible_collections.frugal.cloud.plugins.module_utils.runs import LIMIT_OPTIONS, RUN_OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.slo_gate import GATE_OPTIONS


def main() -> None:
    """The action plugin of this name does the work."""
    module = AnsibleModule(
        argument_spec={
            **{name: one for name, one in RUN_OPTIONS.items() if name not in ("max_in_flight", "wait_sleep")},
            **LIMIT_OPTIONS,
            **GATE_OPTIONS,
            **QUERY_CACHE,
            "stage": {"type": "str", "choices": ["apply", "verify", "rollback"], "default": "apply"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="frugal.cloud.query_cache_tuning works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
