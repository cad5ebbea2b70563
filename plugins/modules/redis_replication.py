#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one Redis, its replicas and their Sentinels to what they shall be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_replication
short_description: Bring one Redis, its replicas and their Sentinels to what they shall be
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Makes servers replicas of the master, lets Sentinels watch it, changes settings and users online, and restarts
    servers that need it - replicas first, then the master after a replica took over from it without losing a write.
    A single server is restarted where it is.
  - The master is whom the Sentinels watch, else who has replicas or keys, else the first of O(nodes). It is asked, not
    told, so a failover is never undone.
  - Every step is chosen from what the servers say at that moment; a run that was killed is continued by the next one.
  - Runs on one host that reaches all servers and needs nothing but Python 3.9 there. Redis 7.0 or later.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.redis.nodes
attributes:
  platform:
    description: Where it runs - on one host that reaches all servers.
options:
  nodes:
    description: All servers.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: Address and port, as other servers and clients reach it.
        type: str
        required: true
      build:
        description: Build id of the program that it should run, as C(redis-server --version) shows it.
        type: str
      settings:
        description: Settings of this server, on top of O(settings).
        type: dict
        default: {}
  settings:
    description: Settings of redis.conf that all servers should run with; others are left alone.
    type: dict
    default: {}
  users:
    description: All users, each with its rules; without it, users are left alone.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      rules:
        description: Rules as in an ACL file; a password is C(#) and its SHA-256.
        type: list
        elements: str
        required: true
  reload_tls:
    description: Let the servers read their certificates again; Sentinels are restarted for that, one after the other.
    type: bool
    default: false
  sentinels:
    description: Addresses of the Sentinels, each with its port.
    type: list
    elements: str
    default: []
  sentinel_build:
    description: Build id of the program that the Sentinels should run.
    type: str
  master_name:
    description: What the Sentinels call the master.
    type: str
    default: main
  quorum:
    description: How many Sentinels have to agree that the master is down; more than half of them by default.
    type: int
  down_after:
    description: After how many seconds without an answer a server is down.
    type: float
    default: 5
  failover_timeout:
    description: How long a failover may take before another is tried, in seconds.
    type: float
    default: 60
  parallel_syncs:
    description: How many replicas copy from a new master at a time.
    type: int
    default: 1
  wait:
    description: How long the servers may take to be well after a step, in seconds.
    type: float
    default: 60
  restart_wait:
    description: How long a server may take to come back and load its data, in seconds.
    type: float
    default: 120
  timeout:
    description: How long one answer may take, in seconds.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: A master, two replicas and three Sentinels
  frugal.cloud.redis_replication:
    nodes:
      - {address: "10.0.1.10:6379"}
      - {address: "10.0.2.10:6379"}
      - {address: "10.0.3.10:6379"}
    sentinels: ["10.0.1.10:26379", "10.0.2.10:26379", "10.0.3.10:26379"]
    login_password: "{{ redis_password }}"
  run_once: true
"""

RETURN = r"""
steps:
  description: What was done, in its order, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["make 10.0.2.10:6379 a replica of 10.0.1.10:6379"]
master:
  description: Address of the master afterwards.
  returned: success
  type: str
  sample: 10.0.1.10:6379
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_redis, host_redis_replicas
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError, locked
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_nodes import CONNECTION, USER, node_wishes

NODE = {
    "address": {"type": "str", "required": True},
    "build": {"type": "str"},
    "settings": {"type": "dict", "default": {}, "no_log": True},
}


def main() -> None:
    """Arguments, servers and Sentinels, exit."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            "settings": {"type": "dict", "default": {}, "no_log": True},
            "users": {"type": "list", "elements": "dict", "options": USER},
            "reload_tls": {"type": "bool", "default": False},
            "sentinels": {"type": "list", "elements": "str", "default": []},
            "sentinel_build": {"type": "str"},
            "master_name": {"type": "str", "default": "main"},
            "quorum": {"type": "int"},
            "down_after": {"type": "float", "default": 5},
            "failover_timeout": {"type": "float", "default": 60},
            "parallel_syncs": {"type": "int", "default": 1},
            "wait": {"type": "float", "default": 60},
            "restart_wait": {"type": "float", "default": 120},
            **CONNECTION,
        },
        supports_check_mode=True,
    )
    options = module.params
    # Settings are kept out of the system log; of a result, only what is secret.
    module.no_log_values.clear()
    module.no_log_values.update(filter(None, [options["login_password"]]))
    try:
        endpoint = host_redis.endpoint({**options, "login_host": "", "login_port": 1, "login_unix_socket": ""})
        replicas = host_redis_replicas.Replicas(
            endpoint,
            node_wishes(options),
            host_redis_replicas.sentinels(options),
            wait=options["wait"],
            restart_wait=options["restart_wait"],
            check=module.check_mode,
        )
        with locked("/run/frugal-redis-replication/lock"):
            outcome = replicas.converge()
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome.steps),
        steps=[step.sentence() for step in outcome.steps],
        master=outcome.master,
        diff={"before": outcome.before, "after": outcome.after},
    )


if __name__ == "__main__":
    main()
