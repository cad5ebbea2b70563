#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write metrics of your own for node_exporter's textfile collector."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prometheus_textfile
short_description: Write metrics of your own for node_exporter's textfile collector
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Writes a file of metrics in Prometheus' text format, in one step, so that the collector never reads half of it.
  - Names, labels, types and values are checked first. The collector skips a whole file for one bad line, and all
    metrics of the host for a series that is there twice.
  - Needs nothing but Python 3.9 on the host.
extends_documentation_fragment:
  - frugal.cloud.attributes
attributes:
  platform:
    description: Where it runs - on the host whose exporter reads the file.
options:
  dest:
    description: The file; its name has to end in C(.prom), else the collector does not read it.
    type: path
    required: true
  state:
    description: V(absent) removes the file.
    type: str
    choices: [present, absent]
    default: present
  metrics:
    description: The metrics; the file holds these and no others. Required with O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the metric.
        type: str
        required: true
      type:
        description: Its type.
        type: str
        choices: [counter, gauge, histogram, summary, untyped]
        default: gauge
      help:
        description: What it means, with its unit.
        type: str
      samples:
        description: Its samples, each combination of labels once.
        type: list
        elements: dict
        required: true
        suboptions:
          labels:
            description: Labels, C(le) of a bucket and C(quantile) of a summary among them.
            type: dict
            default: {}
          value:
            description: A number, C(+Inf), C(-Inf) or C(NaN).
            type: raw
            required: true
          suffix:
            description: For a histogram V(_bucket), V(_sum) or V(_count), for a summary V(_sum), V(_count) or nothing.
            type: str
            default: ""
  owner:
    description: Owner of the file. The user who runs the module by default.
    type: str
  group:
    description: Group of the file.
    type: str
  mode:
    description: Permissions, as an octal number in quotes. The exporter has to be able to read it.
    type: str
    default: "0644"
"""

EXAMPLES = r"""
- name: Publish what a service costs
  frugal.cloud.prometheus_textfile:
    dest: /var/lib/prometheus/node-exporter/cost.prom
    metrics:
      - name: frugal_service_cost_usd_per_hour
        help: What the service costs, in US dollars per hour.
        samples:
          - {labels: {service: checkout}, value: 1.85}
          - {labels: {service: search}, value: 0.4}
"""

RETURN = r"""
dest:
  description: The file.
  returned: success
  type: str
  sample: /var/lib/prometheus/node-exporter/cost.prom
series:
  description: How many series the file holds.
  returned: success
  type: int
  sample: 2
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_service, host_textfile
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError, Wanted, group_id, user_id
from ansible_collections.frugal.cloud.plugins.module_utils.host_options import permissions

SAMPLE = {
    "labels": {"type": "dict", "default": {}},
    "value": {"type": "raw", "required": True},
    "suffix": {"type": "str", "default": ""},
}
METRIC = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": list(host_textfile.TYPES), "default": "gauge"},
    "help": {"type": "str"},
    "samples": {"type": "list", "elements": "dict", "required": True, "options": SAMPLE},
}


def main() -> None:
    """Arguments, one file, exit."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "metrics": {"type": "list", "elements": "dict", "options": METRIC},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str", "default": "0644"},
        },
        required_if=[("state", "present", ["metrics"])],
        supports_check_mode=True,
    )
    options = module.params
    folder, name = os.path.split(options["dest"])
    try:
        if not os.path.isabs(folder) or not name.endswith(".prom"):
            raise HostError(f"dest is {options['dest']!r}: give an absolute path that ends in .prom")
        text = host_textfile.render(options["metrics"]) if options["state"] == "present" else ""
        wanted = Wanted(
            path=options["dest"],
            content=text.encode(),
            link=None,
            mode=permissions(options["mode"], "mode"),
            uid=user_id(options["owner"], missing=-1 if module.check_mode else None),
            gid=group_id(options["group"], missing=-1 if module.check_mode else None),
        )
        request = host_service.Request(
            root=folder,
            files=(wanted,) if options["state"] == "present" else (),
            purge=(name,) if options["state"] == "absent" else (),
            check=module.check_mode,
        )
        outcome = host_service.apply(request)
    except HostError as error:
        module.fail_json(msg=str(error))
    series = sum(not line.startswith("#") for line in text.splitlines())
    module.exit_json(changed=outcome.changed, dest=options["dest"], series=series, diff=list(outcome.diff))


if __name__ == "__main__":
    main()
