#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VCL and its tests from a declaration of sites."""

from __future__ import annotations

DOCUMENTATION = r"""
module: varnish_vcl
short_description: Render VCL and its tests from a declaration of sites
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Turns declarations of sites into VCL 4.1, and into a test for varnishtest for each site that shows what every
    declared rule does.
  - An answer is only stored when nothing that belongs to one person could have shaped it - a request with Authorization
    or with a cookie that is not declared is passed; answers that set a cookie or are private, no-store or no-cache are
    never stored; headers that are not part of the cache's key reach no backend.
  - It changes nothing; role P(frugal.cloud.varnish#role) puts the result in place. Needs nothing but Python 3.9.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
options:
  sites:
    description:
      - The sites, as described in the guide "Cache sites with Varnish".
      - C(name), C(hosts) and C(backends) are required in each.
    type: list
    elements: dict
    required: true
  tuned:
    description: Parts of declarations by name of site that are merged over O(sites), as tuning leaves them.
    type: dict
    default: {}
  secret_directory:
    description: Folder of the files that hold tokens on the host. VCL names them and holds no secret.
    type: path
    default: /etc/varnish/secrets
  installed:
    description: The file that is in use. When it holds this very VCL, nothing is compiled or tested again.
    type: path
  validate:
    description: Whether varnishd reads the VCL. In check mode, a host without varnishd is passed over.
    type: bool
    default: true
  test:
    description: Whether varnishtest runs the tests where it is there; some seconds for each site.
    type: bool
    default: false
  varnishd:
    description: Path of varnishd, where it is not in E(PATH).
    type: path
  varnishtest:
    description: Path of varnishtest, where it is not in E(PATH). Given, it has to be there.
    type: path
"""

EXAMPLES = r"""
- name: See what VCL comes of a declaration, and whether it does what it says
  frugal.cloud.varnish_vcl:
    test: true
    sites:
      - name: shop
        hosts: [shop.example.com]
        backends: [{name: web1, address: 127.0.0.1, port: 8000}]
        query_parameters: {remove: [utm_*, gclid]}
        cookies: {pass_on: [sessionid], ignore: [_ga*]}
        public_paths: [/static/*]
        private_paths: [/account*]
        purge: {addresses: [127.0.0.1]}
  delegate_to: localhost
"""

RETURN = r"""
vcl:
  description: The VCL. It holds no secret.
  returned: success
  type: str
  sample: "vcl 4.1; …"
tests:
  description: A test for each site, with C(name) and C(content), as varnishtest reads it.
  returned: success
  type: list
  elements: dict
  sample: [{name: shop, content: "varnishtest …"}]
secret_files:
  description: Files that have to hold the token of C(option) of C(site).
  returned: success
  type: list
  elements: dict
  sample: [{path: /etc/varnish/secrets/shop-purge-0a1b2c3d4e5f, site: shop, option: purge}]
declaration:
  description: O(sites) with the names of these files in place of tokens.
  returned: success
  type: list
  elements: dict
  sample: [{name: shop}]
compiled:
  description: Whether varnishd has read the VCL.
  returned: success
  type: bool
  sample: true
tested:
  description: Whether varnishtest has run the tests.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import vcl_module


def main() -> None:
    """Arguments, one rendering, exit."""
    module = AnsibleModule(
        argument_spec={
            # no_log keeps tokens out of the system log; the result masks them alone.
            "sites": {"type": "list", "elements": "dict", "required": True, "no_log": True},
            "tuned": {"type": "dict", "default": {}},
            "secret_directory": {"type": "path", "default": "/etc/varnish/secrets", "no_log": False},
            "installed": {"type": "path"},
            "validate": {"type": "bool", "default": True},
            "test": {"type": "bool", "default": False},
            "varnishd": {"type": "path"},
            "varnishtest": {"type": "path"},
        },
        supports_check_mode=True,
    )
    module.no_log_values.clear()
    module.no_log_values.update(vcl_module.secrets(module.params))
    try:
        result = vcl_module.render(module.params, check=module.check_mode)
    except (vcl_module.VclError, vcl_module.HostError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
