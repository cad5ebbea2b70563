#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install, upgrade or remove a release of a verified Helm chart."""

from __future__ import annotations

DOCUMENTATION = r"""
module: helm_release
short_description: Install, upgrade or remove a release of a verified Helm chart
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Looks at the release and at what the chart would change by M(frugal.cloud.helm_release_info), and lets
    M(kubernetes.core.helm) carry it out where something changes.
  - A rollout is a whole or nothing. What is not ready in time is rolled back to the revision that served before, and a
    first install is removed again; the error says so.
  - An archive whose checksum differs is not installed.
  - A chart's version stands for its content. Another archive of the same version, with the same values, is no change.
requirements:
  - Helm 3.14 or later on the host
  - PyYAML on the host
  - collection kubernetes.core
extends_documentation_fragment:
  - frugal.cloud.helm
  - frugal.cloud.attributes
seealso:
  - module: frugal.cloud.helm_release_info
  - module: kubernetes.core.helm
options:
  create_namespace:
    description: Make the namespace where it is not there. It stays when the release goes.
    type: bool
    default: true
  timeout:
    description: How long the rollout, or the removal, may take until all is ready, in seconds.
    type: int
    default: 300
  history_max:
    description: How many revisions Helm keeps.
    type: int
    default: 10
  recover:
    description:
      - What to do with a release that an interrupted run left unfinished, or a failed one that nobody rolled back.
      - V(true) rolls it back to the last revision that served, or removes it where none did, and goes on. V(false) is
        an error.
      - Helm cannot tell an interrupted run from one that is still at work.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Install or upgrade the shop
  frugal.cloud.helm_release:
    name: shop
    namespace: shop
    chart: /srv/charts/shop-1.4.0.tgz
    version: 1.4.0
    checksum: "sha256:{{ shop_chart_sha256 }}"
    values:
      replicas: 3

- name: Remove it
  frugal.cloud.helm_release:
    name: shop
    namespace: shop
    state: absent
"""

RETURN = r"""
changes:
  description: Why the release was changed; empty where it was not.
  returned: success
  type: list
  elements: str
  sample: [chart shop-1.3.2 becomes shop-1.4.0]
revision:
  description: The revision that serves now; 0 where there is none. In check mode the one before.
  returned: success
  type: int
  sample: 5
status:
  description: Helm's word for it; empty where there is none.
  returned: success
  type: str
  sample: deployed
chart:
  description: Its chart and version.
  returned: success
  type: str
  sample: shop-1.4.0
app_version:
  description: Version of its application.
  returned: success
  type: str
  sample: "2.2"
recovered:
  description: What O(recover) did first; empty where there was nothing to do.
  returned: success
  type: str
  sample: rolled back to revision 3
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.helm_options import RELEASE_OPTIONS


def main() -> None:
    """The action plugin of the same name does the work."""
    module = AnsibleModule(argument_spec=RELEASE_OPTIONS, supports_check_mode=True)
    module.fail_json(msg="frugal.cloud.helm_release works by its action plugin: call it as a task of a playbook")


if __name__ == "__main__":
    main()
