#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what costs a Varnish its hits, and what its sites should be declared as."""

from __future__ import annotations

DOCUMENTATION = r"""
module: varnish_tuning_info
short_description: Say what costs a Varnish its hits, and what to change
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads a running Varnish with M(frugal.cloud.varnish_stats_info) and says which parameters, cookies and C(Vary)
    headers make requests miss or pass without need, what storage, threads and grace should be, and what hit ratio is
    predicted.
  - Whether something matters is judged by the backend's own answers, by pairs that differ in nothing else. What looks
    private is never proposed to be cached - answers that set a cookie or say private or no-store, requests with
    Authorization, pages that differ between visitors. What cannot be judged is refused, with what is missing.
  - What is proposed is a part of the declaration of a site of role P(frugal.cloud.varnish#role);
    M(frugal.cloud.varnish_tuning) carries it out once it is approved. Where that role does not manage the Varnish, it
    is shown and marked as refused.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.varnish
  - frugal.cloud.varnish.log
  - frugal.cloud.varnish.history
  - frugal.cloud.tuning.advice
options:
  minimum_gain:
    description: What a change has to add to the hit ratio, beside the others, to be proposed; a share of requests.
    type: float
    default: 0.01
  maximum_grace:
    description: Longest time, in seconds, for which answers may be proposed to be served after their own.
    type: float
    default: 3600
"""

EXAMPLES = r"""
- name: What costs hits?
  frugal.cloud.varnish_tuning_info:
    log_seconds: 120
    data_directory: "{{ lookup('ansible.builtin.env', 'HOME') }}/.frugal"
  register: found

- name: Plan it
  frugal.cloud.optimization_plan:
    scope: "{{ found.scope }}"
    recommendations_path: "{{ found.recommendations_path }}"
  delegate_to: localhost
"""

RETURN = r"""
recommendations:
  description: The first O(limit) recommendations.
  returned: success
  type: list
  elements: dict
  sample:
    - action: varnish_query
      current: {query_parameters: null}
      proposed: {query_parameters: {remove: [gclid, utm_*], sort: true}}
      reasons: ["utm_* (Google Analytics campaign) is in 39.6% of requests"]
recommendations_path:
  description: File with all recommendations on the controller, for M(frugal.cloud.optimization_plan).
  returned: when O(data_directory) is set
  type: str
  sample: /home/operator/.frugal/recommendations/hosts-web1-varnish.jsonl.gz
scope:
  description: The Varnish, as plans know it.
  returned: success
  type: str
  sample: hosts/web1/varnish
summary:
  description: Figures of all sites together.
  returned: success
  type: dict
  sample: {requests: 7500, hit_ratio: 0.058, backend_requests_per_second: 239.8, recommendations: 3}
sites:
  description:
    - For each site what was measured, what is predicted with all recommendations, why requests were not answered from
      the cache, the pages that the backend makes most often, what is left as it is and why, and what only the
      application can do.
  returned: success
  type: list
  elements: dict
  sample:
    - name: shop
      measured: {hit_ratio: 0.058, backend_requests_per_second: 239.8}
      predicted: {hit_ratio: 0.933, backend_requests_per_second: 54.1}
      reasons: {"pass: cookies": 0.697, "miss: other parameters": 0.128}
      refused: [{what: parameter q, why: it changes answers, requests: 0.04}]
advice:
  description: What to do about backends; nothing of it is a setting of Varnish.
  returned: success
  type: list
  elements: str
  sample: ["backends: 900 of 1000 requests needed a new connection: switch keep-alive on in the backend"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.host_varnish import ADVICE


def main() -> None:
    """The action plugin of this name does the work."""
    module = AnsibleModule(
        argument_spec={**ADVICE, "data_directory": {"type": "path"}, "limit": {"type": "int", "default": 50}},
        supports_check_mode=True,
    )
    module.fail_json(msg="frugal.cloud.varnish_tuning_info works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
