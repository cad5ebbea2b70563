#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell the state of a Helm release, and what would change."""

from __future__ import annotations

DOCUMENTATION = r"""
module: helm_release_info
short_description: Tell the state of a Helm release and what a chart would change
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Says which revision of a release a cluster has, whether it serves, and, where a chart is given, what installing it
    with these values would change, as a diff of values and objects. Nothing is sent to the cluster but questions.
  - Helm renders the objects as for this cluster and checks them against its schemas (C(--dry-run=server)), so that a
    value that the chart's schema refuses, or a kind that the cluster lacks, is told before anything is touched. What
    only the API server knows to be wrong, such as a malformed quantity, is told by the rollout.
  - The data of Secrets is hidden in the diff, and so is O(secret_values).
requirements:
  - Helm 3.14 or later on the host
  - PyYAML on the host
extends_documentation_fragment:
  - frugal.cloud.helm
  - frugal.cloud.attributes.info
seealso:
  - module: frugal.cloud.helm_release
"""

EXAMPLES = r"""
- name: What would this version of the chart change?
  frugal.cloud.helm_release_info:
    name: shop
    namespace: shop
    chart: /srv/charts/shop-1.4.0.tgz
    checksum: "sha256:{{ shop_chart_sha256 }}"
    values:
      replicas: 3
  register: shop
"""

RETURN = r"""
exists:
  description: Whether the release is there, in whatever state.
  returned: success
  type: bool
  sample: true
revision:
  description: Its last revision; 0 where there is none.
  returned: success
  type: int
  sample: 4
status:
  description: Helm's word for the last revision; empty where there is none.
  returned: success
  type: str
  sample: deployed
served:
  description: The last revision that served; 0 where none did.
  returned: success
  type: int
  sample: 4
chart:
  description: Chart and version of the last revision.
  returned: success
  type: str
  sample: shop-1.3.2
app_version:
  description: Version of the application of the last revision.
  returned: success
  type: str
  sample: "2.1"
wanted:
  description: Chart and version of the archive; empty where none is given.
  returned: success
  type: str
  sample: shop-1.4.0
changes:
  description: Why the release is not what is wanted; empty where it is.
  returned: success
  type: list
  elements: str
  sample: [chart shop-1.3.2 becomes shop-1.4.0]
problem:
  description: Why nothing can be done with the release as it stands; empty where something can.
  returned: success
  type: str
  sample: ""
comparison:
  description: Values and objects before and after, as text; empty where nothing changes, and where there is a problem.
  returned: success
  type: dict
  sample: {before: "", after: ""}
"""

import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.frugal.cloud.plugins.module_utils import deps, helm
from ansible_collections.frugal.cloud.plugins.module_utils.helm_options import COMMON_OPTIONS, objection


def report(module: AnsibleModule) -> dict[str, t.Any]:
    """The release, and what would change."""
    options = module.params
    refusal = objection(options, needs_chart=False)
    if refusal:
        raise helm.HelmError(refusal)
    program = module.get_bin_path(options["helm"])
    if program is None:
        raise helm.HelmError(f"helm is {options['helm']!r}: there is no such program on this host; install Helm 3")
    asked = helm.Helm(
        module.run_command, program, options["namespace"], options["kubeconfig"] or "", options["context"] or ""
    )
    chart = _chart(asked, options) if options["chart"] else None
    release = asked.release(options["name"])
    # Helm tries nothing on a release that is unfinished.
    problem = helm.unfinished(options["name"], release)
    values: dict[str, t.Any] | None = helm.merged(options["values"], options["secret_values"])
    changes: tuple[str, ...] = ()
    comparison: dict[str, str] = {}
    if options["state"] == "absent":
        values = None
        changes = ("it goes away",) if release else ()
        manifest = ""
    elif chart:
        changes = helm.reasons(release, chart, values or {})
        manifest = _rendered(module, asked, release, values or {}) if changes and not problem else ""
    if changes and not problem:
        comparison = helm.diff(release, values, manifest, options["secret_values"], options["hidden"])
    return {
        "exists": release is not None,
        "revision": release.revision if release else 0,
        "status": release.status if release else "",
        "served": release.served if release else 0,
        "chart": release.chart if release else "",
        "app_version": release.app_version if release else "",
        "wanted": chart.full_name if chart else "",
        "changes": list(changes),
        "problem": problem,
        "comparison": comparison,
    }


def _chart(asked: helm.Helm, options: t.Mapping[str, t.Any]) -> helm.Chart:
    """The archive's chart, verified."""
    if not os.path.isfile(options["chart"]):
        raise helm.HelmError(
            f"chart is {options['chart']!r}: there is no such file; give the path of an archive, which helm package "
            "makes of a folder"
        )
    wrong = helm.wrong_checksum(options["chart"], options["checksum"])
    if wrong:
        raise helm.HelmError(wrong)
    chart = asked.chart(options["chart"])
    if options["version"] and options["version"] != chart.version:
        raise helm.HelmError(f"version is {options['version']!r}: {options['chart']} holds {chart.full_name}")
    return chart


def _rendered(
    module: AnsibleModule, asked: helm.Helm, release: helm.Release | None, values: t.Mapping[str, t.Any]
) -> str:
    options = module.params
    path = os.path.join(module.tmpdir, "values.json")
    module.add_cleanup_file(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(values, file)
    extra = ["--skip-crds"] if options["skip_crds"] else []
    return asked.rendered(options["name"], options["chart"], path, release, *extra)


def main() -> None:
    """Arguments, questions, exit."""
    module = AnsibleModule(argument_spec=COMMON_OPTIONS, supports_check_mode=True)
    try:
        found = report(module)
    except helm.HelmError as error:
        module.fail_json(msg=str(error))
    except deps.MissingLibrary as error:
        module.fail_json(msg=missing_required_lib(error.distribution), exception=error.trace)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
