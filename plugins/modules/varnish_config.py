#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change what tuning says of a Varnish, as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: varnish_config
short_description: Change what tuning says of a Varnish, as one transaction
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Writes C(/etc/frugal/tuning/varnish.json), which role P(frugal.cloud.varnish#role) merges over its variables, makes
    VCL of what the role was told and of that, compiles it, loads it and sees that Varnish answers. When any of that
    fails, everything is as it was.
  - What is stored stays. Parameters are set while it runs. Only another size of the storage needs a restart, which
    empties the cache.
  - Needs nothing but Python 3.9 and Varnish on the host, and that the role has set it up.
extends_documentation_fragment:
  - frugal.cloud.attributes
attributes:
  platform:
    description: Where it runs - on the host of the Varnish.
options:
  tuned:
    description:
      - What shall be tuned; what is not named stays, and null takes one out. C(sites) holds fields of declarations by
        the site's name, C(parameters) values by name, C(storage_size) a size such as C(512M).
    type: dict
    required: true
  test:
    description: Whether varnishtest, where it is there, tries new VCL before it is loaded; that takes some seconds.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Leave campaign parameters out of the cache's key
  frugal.cloud.varnish_config:
    tuned:
      sites:
        shop:
          query_parameters: {remove: [utm_*, gclid]}

- name: Take that back, as if it had never been tuned
  frugal.cloud.varnish_config:
    tuned:
      sites:
        shop:
          query_parameters:
"""

RETURN = r"""
tuned:
  description: All that is tuned now, or in check mode would be.
  returned: success
  type: dict
  sample: {sites: {shop: {query_parameters: {remove: [utm_*, gclid]}}}}
written:
  description: Files that were written, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/varnish/frugal.vcl]
service:
  description: What was done with the service - V(restarted), V(reloaded) or nothing.
  returned: success
  type: str
  sample: reloaded
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_varnish_config
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one transaction, exit."""
    module = AnsibleModule(
        argument_spec={"tuned": {"type": "dict", "required": True}, "test": {"type": "bool", "default": True}},
        supports_check_mode=True,
    )
    try:
        outcome, tuned = host_varnish_config.change(
            module.params["tuned"],
            check=module.check_mode,
            test=module.params["test"],
            layout=host_varnish_config.Layout(),
        )
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=outcome.changed,
        tuned=tuned,
        written=list(outcome.written),
        service=outcome.service,
        diff=list(outcome.diff),
    )


if __name__ == "__main__":
    main()
