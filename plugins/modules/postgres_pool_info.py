#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recommend sizes and modes of pgbouncer's pools."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_pool_info
short_description: Recommend sizes and modes of pgbouncer's pools
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Watches sessions, transactions and pgbouncer's pools for some seconds and computes how many connections are busy, by
    Little's law - throughput times mean transaction time, over the utilisation that pools are meant to have.
  - The sum of all pools is limited by C(max_connections) less what is reserved and needed by others, shared by all
    pgbouncers, and by what the cores bear.
  - Recommends sizes of pools, C(max_client_conn), and pooling by transaction. That is refused with the reason where
    sessions keep something - LISTEN, temporary tables, advisory locks, SET and others that were seen in statements and
    in the catalogue.
  - Says which clients wait, how many connections are opened a second, and whether C(max_connections) fits into memory.
  - Without O(pgbouncer_host) it says how large a pool would be.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.postgres
  - frugal.cloud.tuning.advice
options:
  databases:
    description: Databases whose statements and catalogue are looked at for what sessions keep; O(login_db) by default.
    type: list
    elements: str
    default: []
  other_connections:
    description: Connections that must stay free for what does not go through pgbouncer; more where more were seen.
    type: int
    default: 10
  pgbouncers:
    description: How many pgbouncers share the server.
    type: int
    default: 1
  cores:
    description: Cores of the database server. 0 for those of the host on which the task runs.
    type: float
    default: 0
  target_utilisation:
    description: Share of a pool's connections that is busy on average.
    type: float
    default: 0.7
"""

EXAMPLES = r"""
- name: See how large the pools should be
  frugal.cloud.postgres_pool_info:
    system_user: postgres
    databases: [shop]
    pgbouncer_host: /run/pgbouncer
    pgbouncer_system_user: postgres
    samples: 31
    data_directory: /var/lib/frugal
"""

RETURN = r"""
recommendations:
  description: The first O(limit) recommendations, as all modules of this collection return them.
  returned: success
  type: list
  elements: dict
  sample: []
recommendations_path:
  description: File with all of them, for M(frugal.cloud.optimization_plan).
  returned: when O(data_directory) is set
  type: str
  sample: /var/lib/frugal/recommendations/hosts-db1-pgbouncer.jsonl.gz
scope:
  description: The service, as plans know it.
  returned: success
  type: str
  sample: hosts/db1/pgbouncer
pools:
  description: Each database with its size, what binds it, the figures behind it, and what its sessions keep.
  returned: success
  type: list
  elements: dict
  sample: [{database: shop, now: 20, size: 6, wanted: 6, binding: load, throughput: 410.2, transaction_ms: 9.4}]
alarms:
  description: What hurts now or will, one sentence each.
  returned: success
  type: list
  elements: str
  sample: ["clients of shop wait for a connection: 3.2 on average, the longest 1.4 s"]
summary:
  description: Connections of all pools, how many there may be and why, and counts.
  returned: success
  type: dict
  sample: {pooled: true, connections: 6, capacity: 6, recommendations: 1, alarms: 0}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres_options import POSTGRES
from ansible_collections.frugal.cloud.plugins.module_utils.postgres_tuning_options import POOL_ADVICE


def main() -> None:
    """The action plugin of this name does the work."""
    module = AnsibleModule(
        argument_spec={
            **POSTGRES,
            **POOL_ADVICE,
            "data_directory": {"type": "path"},
            "limit": {"type": "int", "default": 50},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="frugal.cloud.postgres_pool_info works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
