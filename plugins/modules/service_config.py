#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a service's configuration in place as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_config
short_description: Put a service's configuration in place as one transaction
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Writes a set of files as one transaction. They are staged beside O(root), looked at by the service's own tool, put
    in place, loaded, and the service is probed. When any of that fails, the old files are put back and loaded again,
    and the module fails with one sentence that holds what the tool or the service said.
  - A run that was killed half-way, or a machine that lost power, is repaired by the next run from its journal.
  - What the files were before the last change is kept, in files that only root can read, and O(previous=true) goes back
    to it - one step.
  - Needs nothing but Python 3.9 on the host. Runs there as a user that may write O(root).
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.service_config
  - frugal.cloud.service_config.keep_directory
attributes:
  platform:
    description: Where it runs - on the host whose service is configured.
options:
  root:
    description: Folder of the configuration. Paths that are not absolute are relative to it.
    type: path
    required: true
  files:
    description: The files that shall be there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where, relative to O(root); an absolute path for what belongs to it elsewhere, as a unit's drop-in.
        type: str
        required: true
      content:
        description: What is in it. One of O(files[].content) and O(files[].link) is required.
        type: str
      link:
        description: Make a symbolic link to this target.
        type: str
      mode:
        description: Permissions, as an octal number in quotes.
        type: str
        default: "0644"
      owner:
        description: Owner, where it is not O(owner).
        type: str
      group:
        description: Group, where it is not O(group).
        type: str
      secret:
        description:
          - Keep the content out of results, diffs, logs and messages.
          - The diff also hides the content of any file that not everybody on the host may read.
        type: bool
        default: false
      secret_values:
        description: Parts of the content that are kept out of results, diffs and messages; the rest is shown.
        type: list
        elements: str
        default: []
      restart:
        description: A change of this file needs a restart of O(unit), a reload is not enough.
        type: bool
        default: false
  purge:
    description: Files below O(root) that match one of these patterns and are not in O(files) are removed.
    type: list
    elements: str
    default: []
  owner:
    description: Owner of the files, and of folders that have to be made. The user who runs the module by default.
    type: str
  group:
    description: Group of the files, and of folders that have to be made.
    type: str
  directory_mode:
    description: Permissions of folders that have to be made; those that are there stay as they are.
    type: str
    default: "0755"
  validate:
    description:
      - Commands, each a list, that look at the staged files; C({root}) is where the staged copy of O(root) is.
      - Files refer to each other by relative paths, else the command sees those that are in use.
      - In check mode, a command that is not on the host is left out.
    type: list
    elements: list
    default: []
  search_path:
    description: Folders in which commands of O(validate) are looked for before C(PATH).
    type: list
    elements: path
    default: []
  reload:
    description: Command, a list, or list of commands that loads changed files. Without it, O(unit) is restarted.
    type: list
    elements: raw
    default: []
  unit:
    description:
      - The service's systemd unit. A unit that does not run is not loaded or probed, unless O(start=true).
      - It is restarted when a file with O(files[].restart) changed, when its program or unit file was replaced since
        it started, and when the run before was killed. Messages then hold what the unit wrote to the journal.
    type: str
  start:
    description: Start O(unit) where it does not run. It is stopped again when it does not answer.
    type: bool
    default: false
  restart:
    description: Restart O(unit) where it runs, even when nothing changed.
    type: bool
    default: false
  probe:
    description: How to see that the service answers. Asked until it does, or O(probe.timeout) is over.
    type: dict
    suboptions:
      url:
        description: Ask by HTTP.
        type: str
      port:
        description: Connect by TCP.
        type: int
      address:
        description: Address for O(probe.port).
        type: str
        default: 127.0.0.1
      command:
        description: Run a command, a list, that ends with 0.
        type: list
        elements: str
        default: []
      timeout:
        description: How long to ask, in seconds.
        type: float
        default: 30
      status:
        description: HTTP answers that are right; any from 200 to 299 where it is empty.
        type: list
        elements: int
        default: []
      validate_certs:
        description: Whether the certificate of O(probe.url) has to be valid.
        type: bool
        default: true
  previous:
    description:
      - Go back to what the files of O(root) and O(unit) were before they were changed last. They are validated, loaded
        and probed as they were then, and when that fails, everything stays as it is.
      - A program of another version comes back with its link, as long as its folder is there; packages stay.
      - RV(reason) says why there is nothing to go back to. Of the other options, only O(keep_directory) counts.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Configure Prometheus
  frugal.cloud.service_config:
    root: /etc/prometheus
    group: prometheus
    files:
      - {path: prometheus.yml, content: "{{ lookup('ansible.builtin.template', 'prometheus.yml.j2') }}"}
      - {path: web.yml, content: "{{ web }}", mode: "0640", secret: true}
    purge: ["rules/*.yml"]
    validate:
      - [promtool, check, config, "{root}/prometheus.yml"]
    unit: prometheus.service
    reload: [systemctl, reload, prometheus]
    probe: {url: "http://127.0.0.1:9090/-/ready"}

- name: Take the last change back
  frugal.cloud.service_config:
    root: /etc/prometheus
    unit: prometheus.service
    previous: true
"""

RETURN = r"""
written:
  description: Files that were written, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/prometheus/prometheus.yml]
removed:
  description: Files that were removed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/prometheus/rules/old.yml]
validated:
  description: Whether a command of O(validate) looked at the new files.
  returned: success
  type: bool
  sample: true
recovered:
  description: Whether a run that was killed half-way was undone first, or in check mode would be.
  returned: success
  type: bool
  sample: false
service:
  description: What was done with the service - V(started), V(restarted), V(reloaded) or nothing.
  returned: success
  type: str
  sample: reloaded
previous_versions:
  description: Folders below C(/opt) that the way back needs.
  returned: success
  type: list
  elements: str
  sample: [/opt/jaeger-2.13.0]
reason:
  description: Why there was nothing to go back to, as the end of a sentence; empty where O(previous) is false.
  returned: success
  type: str
  sample: it went back already, and one step is all that is kept
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils import host_options, host_service
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one transaction, exit."""
    module = AnsibleModule(argument_spec=host_options.SERVICE_CONFIG, supports_check_mode=True)
    # All of the files is kept out of the system log; from here on only what is secret is masked.
    module.no_log_values.clear()
    module.no_log_values.update(host_options.secrets(module.params))
    try:
        request = host_options.request(module.params, check=module.check_mode)
        outcome = host_service.go_back(request) if module.params["previous"] else host_service.apply(request)
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**dataclasses.asdict(outcome))


if __name__ == "__main__":
    main()
