#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out, verify and take back approved changes of pgbouncer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_tuning
short_description: Carry out, verify and take back approved changes of pgbouncer
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Changes the settings that an approved plan of M(frugal.cloud.postgres_pool_info) holds, online and without dropping
    a client (M(frugal.cloud.pgbouncer_config)). What somebody else has changed since the plan stays as it is.
  - To verify, transactions and waits are watched for O(samples) times O(interval) and compared with those before.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.ledger
  - frugal.cloud.postgres
  - frugal.cloud.tuning
  - frugal.cloud.slo_gate
"""

EXAMPLES = r"""
- name: Apply what is approved
  frugal.cloud.pgbouncer_tuning:
    system_user: postgres
    pgbouncer_host: /run/pgbouncer
    pgbouncer_system_user: postgres

- name: See whether it holds up
  frugal.cloud.pgbouncer_tuning:
    stage: verify
    system_user: postgres
    pgbouncer_host: /run/pgbouncer
    pgbouncer_system_user: postgres
    samples: 31
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
  sample: hosts/db1/pgbouncer
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres_options import POSTGRES
from ansible_collections.frugal.cloud.plugins.module_utils.runs import LIMIT_OPTIONS, RUN_OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.slo_gate import GATE_OPTIONS


def main() -> None:
    """The action plugin of this name does the work."""
    module = AnsibleModule(
        argument_spec={
            **{name: one for name, one in RUN_OPTIONS.items() if name not in ("max_in_flight", "wait_sleep")},
            **LIMIT_OPTIONS,
            **GATE_OPTIONS,
            **POSTGRES,
            "stage": {"type": "str", "choices": ["apply", "verify", "rollback"], "default": "apply"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="frugal.cloud.pgbouncer_tuning works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
