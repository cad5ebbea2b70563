#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the configurations that service_config put in place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_config_info
short_description: List the configurations that service_config put in place
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Says which services of this host M(frugal.cloud.service_config) has configured, when it changed them last, and
    whether one step back is possible. Contents of files are not part of it.
  - Needs nothing but Python 3.9 on the host. Runs there as a user that may read O(keep_directory).
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.service_config.keep_directory
attributes:
  platform:
    description: Where it runs - on the host whose services are configured.
options:
  managed_by:
    description: Only configurations with one of these values of O(frugal.cloud.service_config#module:managed_by).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: See what can be taken back
  frugal.cloud.service_config_info:
    managed_by: [frugal.cloud.prometheus]
"""

RETURN = r"""
services:
  description: The configurations, the one that was changed last first.
  returned: success
  type: list
  elements: dict
  contains:
    root:
      description: Folder of the configuration.
      type: str
      sample: /etc/prometheus
    unit:
      description: The service's systemd unit; empty where there is none.
      type: str
      sample: prometheus.service
    managed_by:
      description: Who manages it.
      type: str
      sample: frugal.cloud.prometheus
    run:
      description: Name of the run that changed it last.
      type: str
      sample: "2026-01-31T06:00:00Z"
    changed:
      description: When it was changed last, in UTC.
      type: str
      sample: "2026-01-31T06:00:12Z"
    previous:
      description: Whether one step back is possible.
      type: bool
      sample: true
    previous_versions:
      description: Folders below C(/opt) that the way back needs.
      type: list
      elements: str
      sample: [/opt/jaeger-2.13.0]
    files:
      description: Files that the way back changes.
      type: list
      elements: str
      sample: [/etc/prometheus/prometheus.yml]
    reason:
      description: Why no step back is possible, as the end of a sentence.
      type: str
      sample: this is its first configuration
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_kept, host_options


def main() -> None:
    """Arguments, one look, exit."""
    module = AnsibleModule(
        argument_spec={
            "managed_by": {"type": "list", "elements": "str", "default": []},
            "keep_directory": host_options.SERVICE_CONFIG["keep_directory"],
        },
        supports_check_mode=True,
    )
    chosen = module.params["managed_by"]
    records = host_kept.read_all(module.params["keep_directory"])
    module.exit_json(
        changed=False,
        services=[
            {
                "root": record.root,
                "unit": record.unit,
                "managed_by": record.managed_by,
                "run": record.run,
                "changed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.changed)),
                "previous": record.previous is not None,
                "previous_versions": list(host_kept.versions(record)),
                "files": [old.path for old in record.previous.files] if record.previous else [],
                "reason": record.reason,
            }
            for record in records
            if not chosen or record.managed_by in chosen
        ],
    )


if __name__ == "__main__":
    main()
