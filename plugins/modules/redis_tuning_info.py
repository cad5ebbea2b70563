#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what a Redis server should be set to, and why."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_tuning_info
short_description: Say what a Redis server should be set to, and why
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads a server with M(frugal.cloud.redis_stats_info) and recommends memory and eviction policy, encodings,
    defragmentation, lazy freeing, persistence, replication backlog, client buffers and what applications should change.
    Nothing is changed.
  - A cache is told from a store by evidence - whether the application writes what it missed, times to live,
    persistence, queues. A store is never made to evict; where the evidence contradicts itself, nothing is advised.
  - Memory and policy come from a sample of accesses. Each policy and size is tried on it as Redis would evict; the
    result is a curve of hit ratio by memory. The model is first asked about what is set now, and advises nothing where
    it is off by more than 0.03.
  - With O(memory_price_gib_month) and O(miss_price_million) the memory is the one that costs least. Otherwise it is the
    smallest whose hit ratio is within O(hit_ratio_tolerance) of the best that the host can carry.
notes:
  - The analysis needs numpy on the controller; the managed host needs nothing but Python.
  - C(MONITOR) does not show writes that are refused. On a server that refuses writes, a policy that evicts is advised
    first, without prediction; ask again when it is applied.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.redis
  - frugal.cloud.redis.reading
  - frugal.cloud.tuning.advice
options:
  usage:
    description:
      - What the server is - V(cache), all keys may go; V(mixed), keys with a time to live may go; V(store), none may.
      - V(auto) decides from evidence.
    type: str
    choices: [auto, cache, mixed, store]
    default: auto
  memory_price_gib_month:
    description: Price of a GiB of memory a month. Less memory is only advised where this is more than 0.
    type: float
    default: 0.0
  miss_price_million:
    description: Price of a million misses - what the database behind the cache costs for them.
    type: float
    default: 0.0
  hit_ratio_tolerance:
    description: Hit ratio that may be given up for less memory, where misses have no price.
    type: float
    default: 0.01
  memory_limit_mib:
    description:
      - Memory that the server's process may take at most, in MiB, where it shares its host. V(0) takes what others
        leave of the host's memory, or of its control group.
    type: int
    default: 0
  currency:
    description: Currency of the prices.
    type: str
    default: USD
"""

EXAMPLES = r"""
- name: What should the cache be set to?
  frugal.cloud.redis_tuning_info:
    login_password: "{{ redis_password }}"
    memory_price_gib_month: 6.5
    miss_price_million: 0.4
    data_directory: ~/.frugal
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
    - action: redis_eviction
      binding_constraint: miss_ratio_curve
      current: {maxmemory: "8388608", maxmemory-policy: allkeys-lru}
      proposed: {maxmemory: "20971520", maxmemory-policy: allkeys-lfu}
      reasons: ["20 MiB cost least: memory and 4362.4 million misses a month"]
recommendations_path:
  description: File with all recommendations on the controller, for M(frugal.cloud.optimization_plan).
  returned: when O(data_directory) is set
  type: str
  sample: /home/operator/.frugal/recommendations/hosts-cache1-redis.jsonl.gz
scope:
  description: The server, as plans know it - C(redis) on port 6379, C(redis-PORT) elsewhere.
  returned: success
  type: str
  sample: hosts/cache1/redis
summary:
  description:
    - What the server is taken for and why, its figures, what C(MONITOR) cost, and the hit ratio that the model expects
      when nothing is changed (C(expected_hit_ratio)).
  returned: success
  type: dict
  sample: {usage: cache, hit_ratio: 0.8141, expected_hit_ratio: 0.8163, maxmemory_mib: 8.0, policy: allkeys-lfu}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import CONNECTION
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_options import ADVICE, READING


def main() -> None:
    """The action plugin of this name does the work."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            **READING,
            **ADVICE,
            "data_directory": {"type": "path"},
            "limit": {"type": "int", "default": 50},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="frugal.cloud.redis_tuning_info works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
