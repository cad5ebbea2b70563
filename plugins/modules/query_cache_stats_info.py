#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the counters of a query cache."""

from __future__ import annotations

DOCUMENTATION = r"""
module: query_cache_stats_info
short_description: Read the counters of a query cache
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads pgpool-II's counters of its cache (C(SHOW POOL_CACHE)) twice.
  - Needs C(psql) and nothing but Python 3.9 on the host.
extends_documentation_fragment:
  - frugal.cloud.postgres.query_cache
  - frugal.cloud.attributes.info
attributes:
  platform:
    description: Where it runs - on a host with psql that reaches the cache.
"""

EXAMPLES = r"""
- name: See how much the cache answers
  frugal.cloud.query_cache_stats_info:
    cache_user: app
    cache_password: "{{ app_password }}"
    cache_db: shop
"""

RETURN = r"""
before:
  description: Statements that the cache answered, and those that it sent on, since pgpool-II was started; entries.
  returned: success
  type: dict
  sample: {hits: 9120, selects: 1204, entries: 310}
after:
  description: The same, O(observe_seconds) later.
  returned: success
  type: dict
  sample: {hits: 9520, selects: 1221, entries: 312}
hit_ratio:
  description: Share of statements that the cache answered in between; null where there were none.
  returned: success
  type: float
  sample: 0.959
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres import Connection, ask
from ansible_collections.frugal.cloud.plugins.module_utils.postgres_tuning_options import QUERY_CACHE


def read(connection: Connection) -> dict[str, int]:
    """The counters now."""
    row = ask(connection, ["SHOW pool_cache"], console=True)[0][0]
    counters = {"hits": "num_cache_hits", "selects": "num_selects", "entries": "num_cache_entries"}
    return {name: int(row[column]) for name, column in counters.items()}


def main() -> None:
    """Arguments, two looks, exit."""
    module = AnsibleModule(argument_spec=QUERY_CACHE, supports_check_mode=True)
    options = module.params
    if not 0 <= options["observe_seconds"] <= 600:
        module.fail_json(msg=f"observe_seconds is {options['observe_seconds']:g}: give seconds from 0 to 600")
    connection = Connection(
        host=options["cache_host"],
        port=options["cache_port"],
        user=options["cache_user"],
        password=options["cache_password"],
        database=options["cache_db"],
    )
    try:
        before = read(connection)
        time.sleep(options["observe_seconds"])
        after = read(connection)
    except HostError as error:
        module.fail_json(msg=str(error))
    hits, selects = (after[name] - before[name] for name in ("hits", "selects"))
    module.exit_json(
        changed=False, before=before, after=after, hit_ratio=hits / (hits + selects) if hits + selects > 0 else None
    )


if __name__ == "__main__":
    main()
