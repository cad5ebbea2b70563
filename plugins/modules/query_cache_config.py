#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change what a running query cache keeps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: query_cache_config
short_description: Change what a running query cache keeps
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Changes tables, lifetime and memory in the files that role C(query_cache) made, has pgpool-II look at them, loads
    them, and asks for a query through the cache. When any of that fails, everything is as before.
  - Other tables are loaded online; another lifetime or memory restarts pgpool-II, whose clients have to connect again.
  - What is set is kept in C(/etc/frugal/tuning/query_cache.json), which the role adds to its options, so it stays when
    the role is run again.
extends_documentation_fragment:
  - frugal.cloud.attributes
attributes:
  platform:
    description: Where it runs - on the host that role C(query_cache) set up.
options:
  settings:
    description:
      - C(tables) whose results are kept, as C(schema.name), C(ttl) in seconds, and C(memory_mb). None are changed where
        it is empty.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Keep results over the catalogue for at most ten seconds
  frugal.cloud.query_cache_config:
    settings:
      tables: [public.products, public.categories]
      ttl: 10
"""

RETURN = r"""
current:
  description: The settings after the change.
  returned: success
  type: dict
  sample: {tables: [public.products], ttl: 10, memory_mb: 64}
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
    module = AnsibleModule(argument_spec={"settings": {"type": "dict", "default": {}}}, supports_check_mode=True)
    service, settings = host_pooler.QUERY_CACHE, module.params["settings"]
    names = (service.file, host_pooler.TABLES_FILE)
    try:
        host_pooler.set_up(service)
        conf, tables = (host_pooler.read_text(service, name) for name in names)
        outcome = None
        if settings:
            conf, tables = host_pooler.conf_set(conf, tables, settings)
            texts = dict(zip(names, (conf, tables)))
            tuned = host_pooler.conf_tuned(tables, settings)
            outcome = host_pooler.change(service, texts, tuned, check=module.check_mode, restart=[service.file])
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome and outcome.changed),
        current=host_pooler.conf_get(conf, tables),
        service=outcome.service if outcome else "",
        diff=list(outcome.diff) if outcome else [],
    )


if __name__ == "__main__":
    main()
