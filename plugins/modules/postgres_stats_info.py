#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read how PostgreSQL and pgbouncer are used."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_stats_info
short_description: Read how PostgreSQL and pgbouncer are used
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Samples sessions, counters of databases and pgbouncer's pools, and looks up statements, the tables and functions
    that they use, and what sessions keep beyond a transaction. M(frugal.cloud.postgres_pool_info) and
    M(frugal.cloud.query_cache_info) advise on the grounds of it.
  - Statements are parsed by the server itself, not executed. Values of settings and constants are not returned.
  - Needs C(psql) and nothing but Python 3.9 on the host. All sessions are read-only and end after at most half a minute
    a statement.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.postgres
attributes:
  platform:
    description: Where it runs - on a host with psql that reaches the servers.
options:
  databases:
    description: Databases whose statements, tables and sessions are looked at; O(login_db) where it is empty.
    type: list
    elements: str
    default: []
  statements:
    description: How many statements are looked at, those that took most time first. 0 leaves them out.
    type: int
    default: 0
  tables:
    description: Tables of O(login_db), as C(schema.name), that are looked up in any case.
    type: list
    elements: str
    default: []
  activity:
    description: Whether sessions and counters are sampled; else only O(tables) and settings are looked up.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Look at the load of a shop's database for ten seconds
  frugal.cloud.postgres_stats_info:
    system_user: postgres
    databases: [shop]
    samples: 11
    pgbouncer_port: 6432
    pgbouncer_host: /run/pgbouncer
    pgbouncer_system_user: postgres
"""

RETURN = r"""
stats:
  description:
    - Settings, cores and memory (bytes), samples of sessions and databases, pgbouncer's pools and counters, what
      sessions keep beyond a transaction, and for each database statements, tables and functions that are not immutable.
  returned: success
  type: dict
  sample: {settings: {max_connections: 100}, cores: 2, standby: false}
refused_tables:
  description: Why a table of O(tables) must not be cached, one sentence each.
  returned: success
  type: list
  elements: str
  sample: ["public.accounts has row security: its rows differ by session"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_postgres_options, host_postgres_stats
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one reading, exit."""
    module = AnsibleModule(
        argument_spec={
            **host_postgres_options.POSTGRES,
            "databases": {"type": "list", "elements": "str", "default": []},
            "statements": {"type": "int", "default": 0},
            "tables": {"type": "list", "elements": "str", "default": []},
            "activity": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        reading = host_postgres_options.reading(module.params)
        stats = host_postgres_stats.read(reading)
        refused = host_postgres_stats.check_tables(stats, reading.tables, reading.server.database)
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, stats=stats, refused_tables=refused)


if __name__ == "__main__":
    main()
