#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out, verify and take back approved changes of a Redis server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_tuning
short_description: Carry out, verify and take back approved changes of a Redis server
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Changes the settings that an approved plan of M(frugal.cloud.redis_tuning_info) holds, online and as one transaction
    (M(frugal.cloud.redis_config)). What somebody else has changed since the plan stays as it is.
  - To verify, counters are watched for O(observe_seconds) and compared with those before the change - hit ratio, time
    that reads take in the server, writes that are refused. What is worse goes back where the policy says so.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.ledger
  - frugal.cloud.redis
  - frugal.cloud.tuning
  - frugal.cloud.slo_gate
options:
  observe_seconds:
    description: How long counters are watched to verify a change, in seconds.
    type: float
    default: 12.0
  persist:
    description: Write the settings to the configuration file that the server was started with.
    type: bool
    default: true
  tuned_service:
    description:
      - Write them to C(/etc/frugal/tuning/<tuned_service>.json) on the host too, so that the role of that name keeps
        them. An empty text writes none.
    type: str
    default: redis
"""

EXAMPLES = r"""
- name: Apply what is approved
  frugal.cloud.redis_tuning:
    login_password: "{{ redis_password }}"

- name: See whether it holds up
  frugal.cloud.redis_tuning:
    stage: verify
    login_password: "{{ redis_password }}"

- name: Take it back
  frugal.cloud.redis_tuning:
    stage: rollback
    plan: "{{ plan }}"
    login_password: "{{ redis_password }}"
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
  sample:
    - id: act-0a1b2c3d4e5f60718293
      resource: cache1:6379
      current: {maxmemory-policy: allkeys-lru}
      proposed: {maxmemory-policy: allkeys-lfu}
      status: applied
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
  sample: {act-0a1b2c3d4e5f60718293: {passed: true, why: "hit_ratio: 0.904 now, 0.814 before, 0.896 predicted"}}
scope:
  description: The server, as plans know it.
  returned: success
  type: str
  sample: hosts/cache1/redis
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import CONNECTION
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_options import TUNING
from ansible_collections.frugal.cloud.plugins.module_utils.runs import LIMIT_OPTIONS, RUN_OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.slo_gate import GATE_OPTIONS


def main() -> None:
    """The action plugin of this name does the work."""
    shared = {name: option for name, option in RUN_OPTIONS.items() if name not in ("max_in_flight", "wait_sleep")}
    module = AnsibleModule(
        argument_spec={
            **shared,
            **LIMIT_OPTIONS,
            **GATE_OPTIONS,
            **CONNECTION,
            **TUNING,
            "stage": {"type": "str", "choices": ["apply", "verify", "rollback"], "default": "apply"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="frugal.cloud.redis_tuning works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
