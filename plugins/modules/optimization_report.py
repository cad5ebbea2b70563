#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what the ledger holds as a report."""

from __future__ import annotations

DOCUMENTATION = r"""
module: optimization_report
short_description: Write a report of what is spent, found, applied, refused and saved
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads the ledger and writes one self-contained HTML page, one JSON file and one CSV file. The page needs no other
    file and sends no request; it works offline, on a phone, in dark mode and on paper.
  - The same ledger gives the same files, to the byte. A file is replaced in one step, and only where it differs.
  - The ledger and the cloud are not changed.
  - The role P(frugal.cloud.report#role) calls this module with the page's template and style.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.ledger
options:
  directory:
    description: Folder for the files; it is made where it is missing.
    type: path
    required: true
  name:
    description: Name of the files without their ending.
    type: str
    default: report
  formats:
    description:
      - Which files are written.
      - V(html) shows the actions with the most money; V(json) and V(csv) hold all of them.
    type: list
    elements: str
    choices: [html, json, csv]
    default: [html, json, csv]
  title:
    description: Title of the page.
    type: str
    default: Cloud cost report
  scopes:
    description:
      - Which scopes are reported, as C(account/region).
      - All that the ledger holds, where it is empty.
    type: list
    elements: str
    default: []
  as_of:
    description:
      - The moment that the report speaks of (ISO 8601); savings are counted until then.
      - Without it, the time of the newest entry in the ledger.
    type: str
  charts:
    description: How many actions, those with the most money, are shown with evidence and charts; from 0 to 100.
    type: int
    default: 20
  rows:
    description: How many actions the page lists at most, from 1 to 2000.
    type: int
    default: 1000
  traces:
    description:
      - What O(frugal.cloud.trace_analysis_info#module:output_path) names. With V(html) in O(formats), a page of traces
        is written beside the report, named as it is with C(-traces), and linked from it.
    type: path
  template_directory:
    description: Folder of C(report.html.j2). Required with V(html) in O(formats).
    type: path
  asset_directory:
    description: Folder of C(report.css) and C(report.js). Required with V(html) in O(formats).
    type: path
requirements:
  - Jinja2, for V(html) in O(formats)
"""

EXAMPLES = r"""
- name: Write the report with the role's page
  ansible.builtin.include_role:
    name: frugal.cloud.report
  vars:
    report_directory: /srv/reports

- name: Write all actions of one account as CSV
  frugal.cloud.optimization_report:
    ledger_url: sqlite:////srv/frugal/ledger.db
    directory: /srv/reports
    formats: [csv]
    scopes: [123456789012/us-east-1]
"""

RETURN = r"""
paths:
  description: The files, by format, and C(traces). In check mode, where they would be.
  returned: success
  type: dict
  sample: {html: /srv/reports/report.html, json: /srv/reports/report.json, csv: /srv/reports/report.csv}
changed_formats:
  description: Formats whose file is new or differs from before.
  returned: success
  type: list
  elements: str
  sample: [html]
as_of:
  description: The moment that the report speaks of.
  returned: success
  type: str
  sample: "2026-11-24T08:12:00Z"
totals:
  description:
    - Sums, one entry for each currency. C(before), C(now), C(possible) are what all
      observed resources cost per month before the first action, now, and once all open actions are applied.
    - C(done), C(open), C(refused) and C(undone) are savings per month by what
      became of them; C(added) is what resources that are too small would cost more.
    - C(projected_to_date) and C(realised_to_date) are sums, not per month. C(reduction)
      is the share (0 to 1) by which spend is lower than before.
  returned: success
  type: list
  elements: dict
  sample:
    - {currency: USD, before: 55420.0, now: 37233.1, possible: 22908.2, done: 18186.9, open: 15069.9, added: 745.0,
       undone: 2754.1, refused: 6115.3, projected_to_date: 47600.0, realised_to_date: 33451.2, reduction: 0.3282}
statuses:
  description: Actions and their saving per month by state.
  returned: success
  type: list
  elements: dict
  sample: [{name: verified, currency: USD, count: 64, saving: 14210.4}]
action_count:
  description: How many actions the report holds.
  returned: success
  type: int
  sample: 200
refused_count:
  description: How many of them were refused.
  returned: success
  type: int
  sample: 29
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost import report_traces
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report import collect
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_ledger import LedgerSource
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_render import (
    Assets,
    csv_lines,
    html,
    json_lines,
    publish,
)
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import (
    LEDGER_OPTIONS,
    OptionError,
    failing_clearly,
    ledger_url,
    moment,
)

FORMATS = ["html", "json", "csv"]


def main() -> None:
    """Arguments, one pass over the ledger for each file, exit."""
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "directory": {"type": "path", "required": True},
            "name": {"type": "str", "default": "report"},
            "formats": {"type": "list", "elements": "str", "choices": FORMATS, "default": FORMATS},
            "title": {"type": "str", "default": "Cloud cost report"},
            "scopes": {"type": "list", "elements": "str", "default": []},
            "as_of": {"type": "str"},
            "charts": {"type": "int", "default": 20},
            "rows": {"type": "int", "default": 1000},
            "traces": {"type": "path"},
            "template_directory": {"type": "path"},
            "asset_directory": {"type": "path"},
        },
        supports_check_mode=True,
    )
    with failing_clearly(module):
        _check(module.params)
        module.exit_json(**_report(module.params, check=module.check_mode))


def _check(options: dict[str, t.Any]) -> None:
    """What the argument specification cannot say."""
    for name, lowest, highest in (("charts", 0, 100), ("rows", 1, 2000)):
        if not lowest <= options[name] <= highest:
            raise OptionError(f"{name} is {options[name]}: give a number from {lowest} to {highest}")
    if os.path.basename(options["name"]) != options["name"] or options["name"] in ("", ".", ".."):
        raise OptionError(f"name is {options['name']!r}: give the name of a file, without a folder")
    missing = [name for name in ("template_directory", "asset_directory") if not options[name]]
    if "html" in options["formats"] and missing:
        raise OptionError(f"{missing[0]} is missing and formats has html: give it, or use the role frugal.cloud.report")


def _report(options: dict[str, t.Any], *, check: bool) -> dict[str, t.Any]:
    """Write the files (with ``check`` only compare them) and return the result."""
    as_of = moment(options["as_of"], "as_of")
    assets = Assets(options["template_directory"], options["asset_directory"])
    paths = {kind: os.path.join(options["directory"], f"{options['name']}.{kind}") for kind in options["formats"]}
    page = f"{options['name']}-traces.html" if options["traces"] and "html" in paths else None
    with Ledger.open(ledger_url(options["ledger_url"]), read_only=True) as ledger:
        source = LedgerSource(ledger, options["scopes"])
        data = collect(source, title=options["title"], as_of=as_of, limit=options["charts"], rows=options["rows"])
        writers: dict[str, t.Callable[[], t.Iterable[str]]] = {
            "html": lambda: [html(data, assets, page)],
            "json": lambda: json_lines(data, source),
            "csv": lambda: csv_lines(source),
        }
        if page:
            # Drawn before anything is written: a wrong file of traces leaves the report as it was. In check mode nobody
            # has written that file on a fresh host.
            missing = check and not os.path.exists(options["traces"])
            drawn = (
                ""
                if missing
                else report_traces.page(
                    options["traces"], assets, title=options["title"], report=f"{options['name']}.html"
                )
            )
            paths["traces"] = os.path.join(options["directory"], page)
            writers["traces"] = lambda: [drawn]
        changed = [kind for kind, path in paths.items() if publish(path, writers[kind](), check=check)]
    summary = data.summary()
    kept = ("as_of", "totals", "statuses", "action_count", "refused_count")
    return {
        "changed": bool(changed),
        "changed_formats": changed,
        "paths": paths,
        **{key: summary[key] for key in kept},
    }


if __name__ == "__main__":
    main()
