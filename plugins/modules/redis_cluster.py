#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create, grow, shrink, rebalance, configure and upgrade a Redis Cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_cluster
short_description: Create, grow, shrink, rebalance, configure and upgrade a Redis Cluster
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Brings running Redis servers to the cluster that O(nodes) describe. It lets nodes join, spreads slots and replicas,
    moves slots while clients are served, lets nodes leave, changes settings and users online, and restarts nodes that
    need it - replicas first, then each master after a replica took over from it.
  - Every step is chosen from what the nodes say at that moment, and the cluster is waited for after each. A run that
    was killed, at whatever point, is continued by the next one; a half-created cluster is completed.
  - It refuses what would lose a slot or a key, before anything is changed.
  - Runs on one host that reaches all nodes and needs nothing but Python 3.9 there. Redis 7.0 or later.
  - A restart is a C(SHUTDOWN) in order, and the service manager's to start again (C(Restart=always)), as the role
    C(redis_cluster) sets it up.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.redis.nodes
attributes:
  platform:
    description: Where it runs - on one host that reaches all nodes.
options:
  nodes:
    description: All nodes that the cluster shall have.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: Address and port, as other nodes and clients reach it.
        type: str
        required: true
      failure_domain:
        description: What fails together, such as a zone or a rack. The address without its port by default.
        type: str
      build:
        description: Build id of the program that it should run, as C(redis-server --version) shows it.
        type: str
      settings:
        description: Settings of this node, on top of O(settings).
        type: dict
        default: {}
  remove:
    description: Addresses of nodes that shall leave. Any other node that is not in O(nodes) stops the run.
    type: list
    elements: str
    default: []
  replicas:
    description: How many replicas each master has.
    type: int
    default: 1
  settings:
    description: Settings of redis.conf that all nodes should run with; others are left alone.
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
    description: Let the nodes read their certificates again.
    type: bool
    default: false
  tolerance:
    description: Slots are moved when a master's share is off by more than this share of the ideal.
    type: float
    default: 0.02
  allow_evictions:
    description: Go on where the masters' maxmemory does not hold all data.
    type: bool
    default: false
  wait:
    description: How long the cluster may take to be well after a step, in seconds.
    type: float
    default: 60
  restart_wait:
    description: How long a node may take to come back and load its data, in seconds.
    type: float
    default: 120
  timeout:
    description: How long one answer may take, in seconds.
    type: float
    default: 40
"""

EXAMPLES = r"""
- name: A cluster of three masters and three replicas on three hosts
  frugal.cloud.redis_cluster:
    nodes:
      - {address: "10.0.1.10:7001", failure_domain: zone-a}
      - {address: "10.0.1.10:7002", failure_domain: zone-a}
      - {address: "10.0.2.10:7001", failure_domain: zone-b}
      - {address: "10.0.2.10:7002", failure_domain: zone-b}
      - {address: "10.0.3.10:7001", failure_domain: zone-c}
      - {address: "10.0.3.10:7002", failure_domain: zone-c}
    login_password: "{{ redis_password }}"
  run_once: true

- name: What would be done (check mode)
  frugal.cloud.redis_cluster:
    nodes: "{{ redis_nodes }}"
    remove: ["10.0.4.10:7001"]
  run_once: true
  check_mode: true
"""

RETURN = r"""
steps:
  description: What was done, in its order, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["let 10.0.4.10:7001 join", "move 1365 slots from 10.0.1.10:7001 to 10.0.4.10:7001"]
nodes:
  description: The nodes afterwards.
  returned: success
  type: list
  elements: dict
  sample: [{"address": "10.0.1.10:7001", "role": "master", "master": "", "slots": "0-5460"}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_redis, host_redis_cluster, redis_plan
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError, locked
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_nodes import CONNECTION, USER, node_wishes

NODE = {
    "address": {"type": "str", "required": True},
    "failure_domain": {"type": "str"},
    "build": {"type": "str"},
    "settings": {"type": "dict", "default": {}, "no_log": True},
}


def main() -> None:
    """Arguments, one cluster, exit."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            "remove": {"type": "list", "elements": "str", "default": []},
            "replicas": {"type": "int", "default": 1},
            "settings": {"type": "dict", "default": {}, "no_log": True},
            "users": {"type": "list", "elements": "dict", "options": USER},
            "reload_tls": {"type": "bool", "default": False},
            "tolerance": {"type": "float", "default": 0.02},
            "allow_evictions": {"type": "bool", "default": False},
            "wait": {"type": "float", "default": 60},
            "restart_wait": {"type": "float", "default": 120},
            **CONNECTION,
            "timeout": {"type": "float", "default": 40},
        },
        supports_check_mode=True,
    )
    options = module.params
    # Settings are kept out of the system log; of a result, only what is secret.
    module.no_log_values.clear()
    module.no_log_values.update(filter(None, [options["login_password"]]))
    try:
        goal = redis_plan.goal(options)
        endpoint = host_redis.endpoint({**options, "login_host": "", "login_port": 1, "login_unix_socket": ""})
        how = host_redis_cluster.Options(options["wait"], options["restart_wait"], module.check_mode)
        cluster = host_redis_cluster.Cluster(goal, endpoint, node_wishes(options), how)
        # Two runs at a time would choose steps from what the other is about to change.
        with locked("/run/frugal-redis-cluster/lock"):
            outcome = cluster.converge()
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome.steps),
        steps=[step.sentence() for step in outcome.steps],
        nodes=host_redis_cluster.listed(outcome.state),
        diff={"before": outcome.before, "after": outcome.after},
    )


if __name__ == "__main__":
    main()
