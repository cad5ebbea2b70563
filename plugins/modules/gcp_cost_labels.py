#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels by which Google Cloud's bill is told apart."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_cost_labels
short_description: Enforces a label policy on a project of Google Cloud
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Checks instances, disks, snapshots and the project itself with a label policy and sets what is missing, from the
    resource's own spellings, from a disk's instance, from the project, or from a default.
  - What a person has to decide is returned and left alone - values that the policy does not allow, spellings that
    disagree, values that nothing tells.
  - Everything is written down before it is changed. A killed run is continued by the next one, and each can be undone.
    Somebody else's change at the same moment is noticed by the fingerprint, and the resource is read again.
  - It was tested on a stand-in that checks every request with Google's own discovery document, not on Google Cloud.
notes:
  - "IAM permissions: C(compute.instances.list), C(compute.instances.get), C(compute.instances.setLabels), the same
    three of C(compute.disks) and C(compute.snapshots), C(compute.zoneOperations.get),
    C(compute.regionOperations.get), C(compute.globalOperations.get), C(resourcemanager.projects.get) and, for the
    project's own labels, C(resourcemanager.projects.update)."
  - Labels have no capitals. A policy with capitals is refused.
  - Google's billing export carries every label; there is nothing to activate.
extends_documentation_fragment:
  - frugal.cloud.gcp
  - frugal.cloud.tags
  - frugal.cloud.attributes
  - frugal.cloud.attributes.gcp
options:
  resource_types:
    description: What is looked at.
    type: list
    elements: str
    choices: ["compute:instance", "compute:disk", "compute:snapshot", project]
    default: ["compute:instance", "compute:disk", "compute:snapshot", project]
  cost_source:
    description: Where coverage by cost comes from - V(dataset) is O(cost_url).
    type: str
    choices: [none, dataset]
    default: none
"""

EXAMPLES = r"""
- name: One spelling of env, a team for everything
  frugal.cloud.gcp_cost_labels:
    project: shop-production
    policy:
      keys:
        - key: env
          variants: [environment, stage]
          values: [production, staging, development]
          value_variants: {production: [prod, live], development: [dev]}
          inherit: [instance, account]
        - key: team
          inherit: [instance, account]
    report_path: /srv/reports/labels.csv

- name: Take the last run back
  frugal.cloud.gcp_cost_labels:
    project: shop-production
    policy: /srv/policies/labels.yml
    state: undone
"""

RETURN = r"""
summary:
  description: Resources as they were found.
  returned: when O(state) is not V(undone)
  type: dict
  sample: {resources: 41, compliant: 30, to_change: 9, to_decide: 2, protected: 0}
keys:
  description: By key of the policy, how many resources need it and have it, and what is wrong with the others.
  returned: when O(state) is not V(undone)
  type: list
  elements: dict
  sample: [{key: env, resources: 41, compliant: 34, share: 0.8293, to_change: 6, missing: 1, invalid: 0, conflict: 0}]
teams:
  description: By team, the least compliant first.
  returned: when O(state) is not V(undone)
  type: list
  elements: dict
  sample: [{team: shop, resources: 9, compliant: 4, share: 0.4444, to_change: 5, to_decide: 0, keys: {env: 5}}]
coverage:
  description: By currency, how much of the money has which key, and by team.
  returned: when O(state) is not V(undone)
  type: list
  elements: dict
  sample: [{currency: USD, cost: 1200.5, keys: [{key: env, cost: 1200.5, tagged_share: 0.7497}], teams: []}]
findings:
  description: What a person has to decide, up to O(limit).
  returned: when O(state) is not V(undone)
  type: list
  elements: dict
  sample: [{resource: projects/shop/zones/z/disks/d, key: team, kind: missing, text: label team is missing}]
changes:
  description: What is set and removed, and where values come from, up to O(limit).
  returned: success
  type: list
  elements: dict
  sample: [{resource: projects/shop, set: {env: production}, remove: [environment], from: {env: label environment}}]
writes:
  description: Steps that changed labels, or would, each of up to 20 resources with the same change.
  returned: success
  type: int
  sample: 3
run:
  description: The run, for O(run); empty where nothing was changed.
  returned: success
  type: str
  sample: 20260101T060000Z-123456-1f3a
failed:
  description: Resources that Google refused, up to O(limit).
  returned: always
  type: list
  elements: dict
  sample: []
kept:
  description: Resources whose labels somebody changed since, so that they were not taken back.
  returned: when O(state) is V(undone)
  type: list
  elements: dict
  sample: []
api:
  description: Requests sent.
  returned: success
  type: dict
  sample: {requests: 12, calls: {"compute:GET": 3, "compute:POST": 9}}
"""

import datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp
from ansible_collections.frugal.cloud.plugins.module_utils.gcp_tag_run import OPTIONS, run
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.tag_runs import masking


def main() -> None:
    """Arguments, judge, change, exit."""
    module = AnsibleModule(argument_spec={**ARGUMENTS, **OPTIONS}, supports_check_mode=True)
    with failing_clearly(module), masking(module.params):
        now = datetime.datetime.now(datetime.timezone.utc)
        result, failure = run(Gcp.from_options(module.params), module.params, module.check_mode, now)
        if failure:
            module.fail_json(msg=failure, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
