#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a Redis server says about itself, its keys and who uses them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_stats_info
short_description: Read what a Redis server says about itself, its keys and its accesses
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads settings, counters over a short time, C(LATENCY), C(SLOWLOG), a random sample of keys, a sample of accesses
    and the host's memory. Everything is bounded in time, commands and bytes; C(KEYS) is never sent.
  - Accesses come from C(MONITOR), which is not begun on a busy server and ends when it slows the server down, or from
    O(trace_file). Keys are sampled by their hash, so that all accesses to a sampled key are seen.
  - Values are not kept, only their lengths; arguments of slow commands and secret settings are left out.
  - M(frugal.cloud.redis_tuning_info) turns all this into recommendations.
notes:
  - The user needs C(+info +config|get +latency|latest +slowlog|get +memory|usage +object +randomkey +type +ttl),
    C(+select +monitor), and the commands that count and sample elements (C(hlen), C(hrandfield) and so on).
    What is not allowed is in RV(missing).
  - Questions about keys count as C(keyspace_hits) too.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.redis
  - frugal.cloud.redis.reading
attributes:
  platform:
    description: Where it runs - on the host whose Redis server is read.
options:
  gather:
    description: What is read besides C(INFO).
    type: list
    elements: str
    choices: [config, observe, latency, slowlog, keys, trace, host]
    default: [config, observe, latency, slowlog, keys, trace, host]
"""

EXAMPLES = r"""
- name: Look at the cache for ten seconds
  frugal.cloud.redis_stats_info:
    login_password: "{{ redis_password }}"
    observe_seconds: 10
    gather: [config, observe]
  register: cache
"""

RETURN = r"""
server:
  description: Version, mode, role, configuration file, number of keys.
  returned: success
  type: dict
  sample: {version: 7.0.15, mode: standalone, role: master, keys: 120000, keys_with_ttl: 118000}
info:
  description: C(INFO all) without the statistics of commands.
  returned: success
  type: dict
  sample: {used_memory: "1063296"}
config:
  description: All settings but secret ones.
  returned: when gathered
  type: dict
  sample: {maxmemory: "104857600", maxmemory-policy: noeviction}
observe:
  description: Differences of counters in spans of equal length, one value for each span, and calls of each command.
  returned: when gathered
  type: dict
  sample: {seconds: [0.25, 0.25], keyspace_hits: [120, 131], keyspace_misses: [30, 28], read_us: [1.9, 2.0]}
latency:
  description: Events of the latency monitor - when, latest and worst, in milliseconds.
  returned: when gathered
  type: dict
  sample: {fork: [1764000000, 12, 31]}
slowlog:
  description: Newest slow commands, without arguments.
  returned: when gathered
  type: list
  elements: dict
  sample: [{command: hgetall, key: "cart:*", microseconds: 15210, at: 1764000000}]
keys:
  description: A random sample of keys as columns of equal length.
  returned: when gathered
  type: dict
  sample: {total: 120000, sampled: 2, type: [hash, string], bytes: [280, 96], ttl: [3600, -1]}
trace:
  description: A sample of accesses, packed, its rate, and what C(MONITOR) cost.
  returned: when gathered
  type: dict
  sample: {rate: 0.25, reads: 41200, writes: 12100, ping_before_us: 35.0, ping_during_us: 41.0, stopped: ""}
host:
  description: Memory of the host and limit of the server's control group, in bytes; 0 where it is not known.
  returned: when gathered
  type: dict
  sample: {total: 8589934592, available: 6442450944, limit: 0, resident: 1073741824, local: true}
missing:
  description: What could not be read, and why.
  returned: success
  type: dict
  sample: {trace: "user app of Redis at 127.0.0.1:6379 may not run MONITOR: extend the user's ACL"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_redis_options, host_redis_stats
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one look, exit."""
    module = AnsibleModule(argument_spec=host_redis_options.STATS, supports_check_mode=True)
    try:
        found = host_redis_stats.read(host_redis_options.request(module.params))
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
