#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost exports become one dataset in FOCUS."""

from __future__ import annotations

DOCUMENTATION = r"""
module: focus_import
short_description: Import cost exports of clouds and clusters into one dataset in FOCUS 1.2
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads exports of costs with DuckDB - files of many gigabytes in bounded memory - and keeps them as Parquet with the
    columns of FOCUS 1.2, the FinOps Open Cost and Usage Specification - one file for each source and billing period.
  - A billing period that the files hold replaces that period of the source as a whole, so corrections that come late
    replace what was there. Files that are in the dataset as they are change nothing and are not read again.
  - All is read and judged before the first file takes its place. An import that fails or is killed changes nothing, or
    leaves some billing periods new and the others old, each of them whole; the next one finishes the work.
extends_documentation_fragment:
  - frugal.cloud.attributes
options:
  state:
    description: V(absent) removes what the source has in the dataset, or O(periods) of it.
    type: str
    choices: [present, absent]
    default: present
  dataset:
    description: The folder of the dataset. It is made where it does not exist.
    type: path
    required: true
  source:
    description:
      - A name of one's own for where the costs come from, such as V(aws-payer). It is part of the files' names.
      - Charges of one account in one billing period can be in one source only, because they would count twice.
    type: str
    required: true
  paths:
    description: The files, also with wildcards, also compressed with gzip. Needed for O(state=present).
    type: list
    elements: path
  periods:
    description: Which billing periods O(state=absent) removes, such as V(2026-09); all where it is not set.
    type: list
    elements: str
  format:
    description:
      - V(auto) knows each file by its columns.
      - V(focus) is FOCUS 1.0 to 1.2 as CSV, Parquet or lines of JSON; V(aws_focus) are AWS' and V(gcp_focus) Google's
        exports of it.
      - V(aws_cur2) is a Cost and Usage Report 2.0 (CSV or Parquet).
      - V(gcp_standard) and V(gcp_detailed) are Google's billing exports, written from BigQuery as lines of JSON or
        Parquet.
      - V(opencost) is an answer of the allocation API of OpenCost or Kubecost, kept as JSON.
    type: str
    choices: [auto, aws_cur2, aws_focus, focus, gcp_detailed, gcp_focus, gcp_standard, opencost]
    default: auto
  tag_keys:
    description:
      - Tags that become columns of their own, C(x_tag_team) for the key C(team). Other engines than DuckDB cannot look
        into the column C(Tags), which has all of them.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description:
          - The key of the tag. It is also found in small letters, in capital letters, with a capital first letter, and
            with the prefixes of Cost and Usage Reports.
        type: str
        required: true
      variants:
        description: Other spellings of the key, used in this order where the key itself has no value.
        type: list
        elements: str
        default: []
  currency:
    description:
      - The billing currency in which all charges have to be, a code of ISO 4217.
      - Charges in several currencies are refused in any case.
      - With O(format=opencost) it is the currency of the prices that OpenCost was given, USD where it is not set.
    type: str
  cluster:
    description:
      - With O(format=opencost), the name of the cluster whose costs they are, for what does not name one.
    type: str
    default: kubernetes
  skip_bad_lines:
    description:
      - Leave out lines that cannot be read and import the rest, which then is less than the bill. Without it, a broken
        line is refused with its file, line and column.
    type: bool
    default: false
  memory_limit:
    description: Memory for DuckDB, such as V(1GB); what needs more is written to O(temporary_directory) for the time.
    type: str
    default: 1GB
  temporary_directory:
    description: Where there is room for the rows on their way; beside the dataset where it is not set.
    type: path
requirements:
  - duckdb >= 1.3.0
"""

EXAMPLES = r"""
- name: Import what AWS Data Exports delivered
  frugal.cloud.focus_import:
    dataset: /srv/costs
    source: aws-payer
    paths: [/srv/exports/aws/BILLING_PERIOD=*/*.csv.gz]
    tag_keys:
      - key: team
      - {key: env, variants: [environment, stage]}

- name: Forget a month that was imported under another name
  frugal.cloud.focus_import:
    dataset: /srv/costs
    source: old-name
    state: absent
    periods: ["2026-09"]
"""

RETURN = r"""
periods:
  description:
    - Each billing period that the files hold, with rows and sums before and after, in its billing currency.
    - C(negative_rows) and C(zero_rows) are kept and part of the sums, counted where the period was read.
  returned: success
  type: list
  elements: dict
  sample:
    - period: 2026-09
      currency: USD
      changed: true
      before: {rows: 118231, BilledCost: 48211.52, EffectiveCost: 47760.1}
      after: {rows: 118240, BilledCost: 48229.02, EffectiveCost: 47777.6}
      negative_rows: 12
      zero_rows: 2304
files:
  description: How many files O(paths) names, and how many of them had to be read.
  returned: O(state=present)
  type: dict
  sample: {given: 12, read: 1}
bad_lines:
  description: Lines that were left out, and the first of them.
  returned: O(state=present)
  type: dict
  sample: {count: 0, first: []}
assumed:
  description:
    - Rows in which a cost or a name that FOCUS demands had no value, by column. The billed cost or the provider
      stands in.
  returned: O(state=present)
  type: dict
  sample: {ContractedCost: 7}
violations:
  description: Rules of FOCUS 1.2 that rows break as the provider wrote them, with the number of rows.
  returned: O(state=present)
  type: list
  elements: dict
  sample:
    - {rule: names, column: ResourceName, says: ResourceName and ResourceType must be null without ResourceId, rows: 36}
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset_options import options
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_formats import AUTO, CHOICES
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import Request, run
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_remove import remove
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import PeriodChange, TagKey
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def request_from(params: t.Mapping[str, t.Any]) -> Request:
    """What the options ask."""
    return Request(
        source=params["source"],
        paths=params["paths"] or [],
        format=params["format"],
        tag_keys=[TagKey(one["key"], tuple(one["variants"])) for one in params["tag_keys"]],
        skip_bad_lines=params["skip_bad_lines"],
        currency=params["currency"] or "",
        cluster=params["cluster"],
        memory_limit=params["memory_limit"],
        folder=params["temporary_directory"],
    )


def diff_of(periods: t.Sequence[PeriodChange]) -> dict[str, dict[str, t.Any]]:
    """Rows and sums of the billing periods that change, before and after."""
    changed = [one for one in periods if one.changed]
    return {
        "before": {f"{one.period:%Y-%m}": one.before.to_dict() for one in changed if one.before},
        "after": {f"{one.period:%Y-%m}": one.after.to_dict() for one in changed if one.after.rows},
    }


def main() -> None:
    """Arguments, one import, exit."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "dataset": {"type": "path", "required": True},
            "source": {"type": "str", "required": True},
            "paths": {"type": "list", "elements": "path"},
            "periods": {"type": "list", "elements": "str"},
            "format": {"type": "str", "choices": list(CHOICES), "default": AUTO},
            "tag_keys": options("")["tag_keys"],
            "currency": {"type": "str"},
            "cluster": {"type": "str", "default": "kubernetes"},
            "skip_bad_lines": {"type": "bool", "default": False},
            "memory_limit": {"type": "str", "default": "1GB"},
            "temporary_directory": {"type": "path"},
        },
        required_if=[("state", "present", ["paths"])],
        supports_check_mode=True,
    )
    params = module.params
    with failing_clearly(module):
        dataset = Dataset(Path(params["dataset"]))
        if params["state"] == "absent":
            gone = remove(dataset, params["source"], params["periods"], check=module.check_mode)
            told = [one.to_dict() for one in gone]
            module.exit_json(changed=bool(gone), periods=told, diff=diff_of(gone))
        outcome = run(dataset, request_from(params), check=module.check_mode)
        module.exit_json(
            changed=outcome.written.changed,
            periods=[one.to_dict() for one in outcome.written.periods],
            files={"given": outcome.files, "read": outcome.read},
            bad_lines={"count": outcome.bad_lines, "first": [one.sentence() for one in outcome.broken]},
            assumed=dict(outcome.assumed),
            violations=[one.to_dict() for one in outcome.violations],
            diff=diff_of(outcome.written.periods),
        )


if __name__ == "__main__":
    main()
