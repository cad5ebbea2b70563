#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change settings of a running pgbouncer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_config
short_description: Change settings of a running pgbouncer
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Changes settings in the file that role C(pgbouncer) made, has pgbouncer look at it, loads it without dropping a
    client, and asks for a query through the pool. When any of that fails, everything is as before.
  - What is set is kept in C(/etc/frugal/tuning/pgbouncer.json), which the role adds to its options, so it stays when
    the role is run again.
extends_documentation_fragment:
  - frugal.cloud.attributes
attributes:
  platform:
    description: Where it runs - on the host that role C(pgbouncer) set up.
options:
  settings:
    description:
      - Settings by name; those of a database as C(databases.NAME.PARAMETER). A null takes one out, so that the default
        holds.
    type: dict
    default: {}
  read:
    description: Names of settings to return as they are.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: A smaller pool for the shop
  frugal.cloud.pgbouncer_config:
    settings:
      databases.shop.pool_size: 8
      max_client_conn: 500
"""

RETURN = r"""
current:
  description: The settings of O(settings) and O(read) as the file has them after the change; null where one is not set.
  returned: success
  type: dict
  sample: {databases.shop.pool_size: 8}
databases:
  description: Names of the databases.
  returned: success
  type: list
  elements: str
  sample: [shop]
service:
  description: What was done with the service - V(reloaded), V(restarted) or nothing.
  returned: success
  type: str
  sample: reloaded
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_pooler
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one change, exit."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "default": {}},
            "read": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    service, settings = host_pooler.PGBOUNCER, module.params["settings"]
    try:
        host_pooler.set_up(service)
        text = host_pooler.read_text(service)
        changed, outcome = text, None
        if settings:
            changed = host_pooler.ini_set(text, settings)
            outcome = host_pooler.change(service, {service.file: changed}, settings, check=module.check_mode)
        current = host_pooler.ini_get(changed, [*settings, *module.params["read"]])
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome and outcome.changed),
        current=current,
        databases=host_pooler.ini_databases(text),
        service=outcome.service if outcome else "",
        diff=list(outcome.diff) if outcome else [],
    )


if __name__ == "__main__":
    main()
