#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change settings of a running Redis server as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_config
short_description: Change settings of a running Redis server as one transaction
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Sets settings online with C(CONFIG SET) and keeps them with C(CONFIG REWRITE) - all of them, or none. When one is
    refused, or the configuration file cannot be written, what was set is put back.
  - A limit below the memory in use is refused where nothing may be evicted, since every write would fail.
  - Sizes may be written as C(100mb); they are compared by value, so that a second run changes nothing.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.redis
attributes:
  platform:
    description: Where it runs - on the host whose Redis server is changed.
options:
  settings:
    description: Settings by their names in redis.conf.
    type: dict
    required: true
  persist:
    description: Write them to the configuration file that the server was started with.
    type: bool
    default: true
  tuned_service:
    description:
      - Write them to C(/etc/frugal/tuning/<tuned_service>.json) too, so that the role of that name keeps them when it
        renders the configuration. For role P(frugal.cloud.redis#role) that is V(redis).
    type: str
"""

EXAMPLES = r"""
- name: Let the cache evict what is used least
  frugal.cloud.redis_config:
    login_password: "{{ redis_password }}"
    settings:
      maxmemory: 2gb
      maxmemory-policy: allkeys-lfu
    tuned_service: redis
"""

RETURN = r"""
settings:
  description: The settings as they are now, or in check mode would be, as Redis writes them.
  returned: success
  type: dict
  sample: {maxmemory: "2147483648", maxmemory-policy: allkeys-lfu}
previous:
  description: What was changed, as it was.
  returned: success
  type: dict
  sample: {maxmemory: "0", maxmemory-policy: noeviction}
rewritten:
  description: Whether the configuration file was written, or would be.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_redis, host_redis_config
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one transaction, exit."""
    module = AnsibleModule(
        argument_spec={
            **host_redis.CONNECTION,
            "settings": {"type": "dict", "required": True},
            "persist": {"type": "bool", "default": True},
            "tuned_service": {"type": "str"},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        with host_redis.RedisClient.connect(host_redis.endpoint(options)) as client:
            outcome = host_redis_config.apply(
                client,
                options["settings"],
                persist=options["persist"],
                tuned=options["tuned_service"] or "",
                check=module.check_mode,
            )
    except HostError as error:
        module.fail_json(msg=str(error))
    shown = host_redis_config.shown
    module.exit_json(
        changed=outcome.changed,
        settings=shown(outcome.values),
        previous=shown({name: before for name, (before, after) in outcome.changes.items()}),
        rewritten=outcome.rewritten,
        diff=host_redis_config.diff(outcome),
    )


if __name__ == "__main__":
    main()
