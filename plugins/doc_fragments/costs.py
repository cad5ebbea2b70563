# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that read cost data."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``module_utils/cost/cost_options.py``; ``CHARGEBACK`` has those of ``report_options.py``."""

    DOCUMENTATION = r"""
options:
  cost_url:
    description:
      - Where the cost data is - the absolute path of the folder that M(frugal.cloud.focus_import) wrote to, which
        DuckDB reads within this module, or an address of a database.
      - C(duckdb:///srv/costs.duckdb), C(postgresql://user@host/database), C(trino://), C(athena://) and C(bigquery://)
        are databases with a table C(focus), or what C(?table=schema.table) says, that has the columns of FOCUS;
        C(spark://local/srv/costs) is the folder read by Spark. The guide on cost reports shows each.
      - E(FRUGAL_COST_URL) serves where it is not set.
    type: str
  sources:
    description: Names of imports to read, where O(cost_url) is a folder; all of them where it is empty.
    type: list
    elements: str
    default: []
  memory_limit:
    description: Memory for DuckDB, such as V(1GB); what needs more is written to O(temporary_directory) for the time.
    type: str
    default: 1GB
  temporary_directory:
    description: Where there is room for intermediate results of DuckDB; its own default where it is not set.
    type: path
  show_identities:
    description: Show account ids, access keys and e-mail addresses; otherwise all but their ends are masked.
    type: bool
    default: false
requirements:
  - ibis-framework[duckdb] >= 12.0.0
  - pyarrow
"""

    CHARGEBACK = r"""
options:
  chargeback:
    description: Who pays for what. Without it nothing is allocated.
    type: dict
    suboptions:
      tags:
        description: Tags that name the owner, such as V(team); the first that is set counts.
        type: list
        elements: str
        required: true
      inherit:
        description: Where the owner of costs without these tags comes from; the first that gives one counts.
        type: list
        elements: dict
        default: []
        suboptions:
          column:
            description: A column such as V(SubAccountName), or a tag or cost category, as V(tag:account_owner).
            type: str
            required: true
          owners:
            description: Owners by the column's values; without them the value is the owner.
            type: dict
            default: {}
      shared:
        description:
          - Costs that several owners share. Credits and tax follow the costs that they belong to, also into these.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the pool.
            type: str
            required: true
          owners:
            description: Owners whose costs are shared, such as V(platform).
            type: list
            elements: str
            default: []
          match:
            description: Values by column or tag - costs without an owner that match all of them are shared.
            type: dict
            default: {}
          take_owned:
            description: Whether O(chargeback.shared[].match) also takes costs that have an owner.
            type: bool
            default: false
          method:
            description:
              - V(proportional) to what each target's own costs are, V(even), or V(fixed) by percentages.
            type: str
            default: proportional
            choices: [proportional, even, fixed]
          targets:
            description: Owners, or names of other pools, that pay; every owner with costs of its own where it is empty.
            type: list
            elements: str
            default: []
          percentages:
            description: Percent by target with O(chargeback.shared[].method=fixed); they add up to 100.
            type: dict
            default: {}
"""
