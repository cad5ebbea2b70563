#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out, verify and take back approved changes of a Varnish."""

from __future__ import annotations

DOCUMENTATION = r"""
module: varnish_tuning
short_description: Carry out, verify and take back approved changes of a Varnish
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Changes what an approved plan of M(frugal.cloud.varnish_tuning_info) holds - parts of the declarations of sites, the
    size of the storage, parameters - as one transaction for each action (M(frugal.cloud.varnish_config)). VCL is
    compiled before it is loaded; what is stored stays, unless the size of the storage changes.
  - What was changed is kept on the host in C(/etc/frugal/tuning/varnish.json), which role P(frugal.cloud.varnish#role)
    merges over its variables.
  - To verify, the log is read for O(log_seconds) and compared with what it said before the change - no private answer
    from the cache, hit ratio, backend requests, errors, time to the first byte. What is worse goes back where the
    policy says so.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.ledger
  - frugal.cloud.varnish
  - frugal.cloud.varnish.log
  - frugal.cloud.tuning
  - frugal.cloud.slo_gate
options:
  test:
    description: Whether varnishtest, where it is there, tries new VCL before it is loaded; that takes some seconds.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Apply what is approved
  frugal.cloud.varnish_tuning:

- name: See whether it holds up
  frugal.cloud.varnish_tuning:
    stage: verify
    log_seconds: 120

- name: Take it back
  frugal.cloud.varnish_tuning:
    stage: rollback
    plan: "{{ plan }}"
"""

RETURN = r"""
by_status:
  description: Number of actions by what became of them.
  returned: success
  type: dict
  sample: {applied: 3}
outcomes:
  description: The first O(limit) actions that ended, with reason and sentence.
  returned: success
  type: list
  elements: dict
  sample:
    - id: act-0a1b2c3d4e5f60718293
      resource: web1:6081/shop
      current: {query_parameters: null}
      proposed: {query_parameters: {remove: [gclid, utm_*], sort: true}}
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
  sample: {act-0a1b2c3d4e5f60718293: {passed: true, why: "hit ratio: 0.931 now, 0.058 before, 0.933 predicted"}}
scope:
  description: The Varnish, as plans know it.
  returned: success
  type: str
  sample: hosts/web1/varnish
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.host_varnish import TUNING
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
            **TUNING,
            "stage": {"type": "str", "choices": ["apply", "verify", "rollback"], "default": "apply"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="frugal.cloud.varnish_tuning works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
