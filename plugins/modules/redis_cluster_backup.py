#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up a Redis Cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_cluster_backup
short_description: Back up a Redis Cluster
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Fetches a snapshot of each master into a folder of its own on the host where it runs, has C(redis-check-rdb) look at
    each, and removes the oldest backups. A backup that did not become complete is not left.
  - Each snapshot is one moment of one master. The whole is refused when a slot moved or a master was replaced
    meanwhile, so every slot is in exactly one of them.
  - Needs Python 3.9 and C(redis-cli) on the host.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.redis.nodes
attributes:
  platform:
    description: Where it runs - on a host that reaches all nodes.
  idempotent:
    support: none
    description: Each run makes another backup.
options:
  address:
    description: Address and port of any node of the cluster.
    type: str
    required: true
  directory:
    description: Folder of the backups; each gets one below it that is named after its time, in UTC.
    type: path
    required: true
  keep:
    description: How many backups are kept, the new one included.
    type: int
    default: 7
  timeout:
    description: How long one answer may take, in seconds.
    type: float
    default: 40
"""

EXAMPLES = r"""
- name: Back up the cluster every night, from a scheduled play
  frugal.cloud.redis_cluster_backup:
    address: 10.0.1.10:7001
    directory: /var/backups/redis
    login_password: "{{ redis_password }}"
"""

RETURN = r"""
path:
  description: Folder of the backup.
  returned: success
  type: str
  sample: /var/backups/redis/20260304T050607Z
masters:
  description: The masters whose snapshots are in it.
  returned: success
  type: list
  elements: str
  sample: ["10.0.1.10:7001", "10.0.2.10:7001", "10.0.3.10:7001"]
removed:
  description: Older backups that were removed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: []
bytes:
  description: Size of the snapshots in bytes.
  returned: success
  type: int
  sample: 1048576
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_redis, host_redis_backup
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_nodes import CONNECTION


def main() -> None:
    """Arguments, one backup, exit."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "keep": {"type": "int", "default": 7},
            **CONNECTION,
            "timeout": {"type": "float", "default": 40},
        },
        supports_check_mode=True,
    )
    options = module.params
    host, colon, port = options["address"].rpartition(":")
    try:
        if not colon or not port.isdigit():
            raise HostError(f"address is {options['address']!r}: give host:port of a node")
        endpoint = host_redis.endpoint(
            {**options, "login_host": host.strip("[]"), "login_port": int(port), "login_unix_socket": ""}
        )
        backup = host_redis_backup.back_up(endpoint, options["directory"], options["keep"], check=module.check_mode)
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=True,
        path=backup.path,
        masters=list(backup.masters),
        removed=list(backup.removed),
        bytes=backup.bytes,
    )


if __name__ == "__main__":
    main()
