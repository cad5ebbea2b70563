#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a running Varnish."""

from __future__ import annotations

DOCUMENTATION = r"""
module: varnish_stats_info
short_description: Read counters, parameters and a sample of the log of a running Varnish
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads varnishstat, the parameters and the list of VCL from varnishadm, and a sample of varnishlog, request by
    request with what the backend answered. Both time and number of requests are bounded, and nothing is changed.
  - The values of cookies, of query parameters, of C(Authorization) and of headers in C(Vary) are hashed as they are
    read, with a key that is made for each reading and then forgotten. Names and paths stay readable.
  - M(frugal.cloud.varnish_tuning_info) analyses what this module returns.
  - Needs nothing but Python 3.9 and Varnish's own tools on the host. Runs as a user that may read Varnish's log.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.varnish
  - frugal.cloud.varnish.log
  - frugal.cloud.varnish.history
attributes:
  platform:
    description: Where it runs - on the host of the Varnish.
"""

EXAMPLES = r"""
- name: How did Varnish do lately?
  frugal.cloud.varnish_stats_info:
    log_seconds: 0
  register: varnish

- name: Show the hits and misses since it started
  ansible.builtin.debug:
    msg: "{{ varnish.counters['MAIN.cache_hit'] }} hits, {{ varnish.counters['MAIN.cache_miss'] }} misses"
"""

RETURN = r"""
version:
  description: Version of Varnish.
  returned: success
  type: str
  sample: 7.1.1
listens:
  description: Where it listens, first the port of sites.
  returned: success
  type: list
  elements: str
  sample: ["127.0.0.1:6081"]
vcl:
  description: Loaded VCL.
  returned: success
  type: list
  elements: dict
  sample: [{name: boot, status: active}]
parameters:
  description: Parameters that tuning looks at, without units.
  returned: success
  type: dict
  sample: {default_grace: "10.0", thread_pool_max: "5000"}
counters:
  description: Counters and gauges by name. Backends are C(VBE.<backend>.<counter>), summed over loaded VCL.
  returned: success
  type: dict
  sample: {MAIN.cache_hit: 41023, MAIN.cache_miss: 1822, MAIN.n_lru_nuked: 0}
memory:
  description: The host's memory in bytes, all of it and what could be had now.
  returned: success
  type: dict
  sample: {total: 8323571712, available: 5112987648}
tuned:
  description: What tuning has changed before.
  returned: success
  type: dict
  sample: {sites: {shop: {grace: 1m}}}
declaration:
  description: The sites, as role P(frugal.cloud.varnish#role) was told; empty where it does not manage this Varnish.
  returned: success
  type: list
  elements: dict
  sample: [{name: shop, hosts: [shop.example.com]}]
window:
  description: How much the counters grew while the log was read live, and for how many seconds that was.
  returned: with O(log_seconds)
  type: dict
  sample: {seconds: 30.2, counters: {MAIN.cache_hit: 5122}}
log:
  description:
    - The sample. C(requests) holds a record for each request, C(seen) says how many there were, C(live) how many of
      those returned came while it was read, C(incomplete) how many could not be read.
    - A record has C(t) (seconds since 1970), C(method), C(host), C(path), C(query) (name, hash of the value,
      characters), C(cookies) (name, hash), C(outcome), C(status), C(ttfb) (seconds to the first byte), C(response)
      (what came from the cache) and C(fetch) (what the backend answered).
  returned: success
  type: dict
  sample:
    seen: 1
    live: 1
    cut: false
    incomplete: 0
    requests:
      - {t: 1760000000.1, method: GET, host: shop.example, path: /p/1, outcome: hit, status: 200, ttfb: 0.0001}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_varnish
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one reading, exit."""
    module = AnsibleModule(argument_spec=host_varnish.OPTIONS, supports_check_mode=True)
    try:
        sample = host_varnish.sample_from(module.params)
        found = host_varnish.read(module.params["instance"], sample)
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
