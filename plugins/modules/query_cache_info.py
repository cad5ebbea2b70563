#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recommend which results of statements to keep in memory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: query_cache_info
short_description: Recommend which results of statements to keep in memory
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Watches statements (C(pg_stat_statements)) and writes to tables for some seconds, and says which results are safe to
    keep in memory and worth it, for how long, and why the others are not.
  - Safe is what PostgreSQL's own parser and catalogue say is safe - statements that read regular tables without row
    security, call immutable functions alone, lock nothing, and use neither time nor user. Statements are parsed by the
    server, not executed.
  - The expected hit ratio follows from the rates of calls and writes and from the lifetime, with keys as popular as on
    the Web. How many constants a statement is asked with is not counted by PostgreSQL; the rows of its largest table
    are taken for it unless O(constants) says better.
  - Needs the extension C(pg_stat_statements) in the database, and a superuser.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.postgres
  - frugal.cloud.tuning.advice
options:
  statements:
    description: How many statements are looked at, those that took most time first.
    type: int
    default: 100
  staleness:
    description: Seconds for which a write that does not pass through the cache may stay unseen.
    type: int
    default: 10
  least_gain:
    description: Busy connections (seconds of work a second) that keeping a statement's results must save.
    type: float
    default: 0.005
  least_hit_ratio:
    description: Share of a statement's calls that the cache must answer.
    type: float
    default: 0.3
  constants:
    description: With how many different constants a statement is asked. 0 for the rows of its largest table.
    type: int
    default: 0
  memory_mb:
    description: Most memory to recommend, in MiB.
    type: int
    default: 64
  cache_port:
    description: Port of the query cache, for the name of the resource.
    type: int
    default: 9999
"""

EXAMPLES = r"""
- name: See what is worth keeping
  frugal.cloud.query_cache_info:
    system_user: postgres
    login_db: shop
    samples: 31
    staleness: 10
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
  sample: /var/lib/frugal/recommendations/hosts-db1-query_cache.jsonl.gz
scope:
  description: The service, as plans know it.
  returned: success
  type: str
  sample: hosts/db1/query_cache
statements:
  description: The first O(limit) statements that are worth keeping, with their rates and the expected gain.
  returned: success
  type: list
  elements: dict
  sample: [{query: "select name from products where id = $1", hit_ratio: 0.82, saved_seconds_per_second: 0.31}]
left_alone:
  description: The first O(limit) statements that are not kept, and why.
  returned: success
  type: list
  elements: dict
  sample: [{query: "select now()", user: app, why: "it locks rows (FOR UPDATE or FOR SHARE)"}]
summary:
  description: Counts, tables to declare, lifetime in seconds, and busy connections saved.
  returned: success
  type: dict
  sample: {statements: 12, worth_keeping: 3, tables: [public.products], ttl: 5, saved_seconds_per_second: 0.42}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres_options import POSTGRES
from ansible_collections.frugal.cloud.plugins.module_utils.postgres_tuning_options import QUERY_CACHE_ADVICE


def main() -> None:
    """The action plugin of this name does the work."""
    module = AnsibleModule(
        argument_spec={
            **POSTGRES,
            **QUERY_CACHE_ADVICE,
            "data_directory": {"type": "path"},
            "limit": {"type": "int", "default": 50},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="frugal.cloud.query_cache_info works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
