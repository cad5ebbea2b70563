# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that enforce a tag policy."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``module_utils/tag_runs.py``."""

    DOCUMENTATION = r"""
options:
  policy:
    description:
      - The tag policy, as the path of a YAML file or written in place.
      - Its C(keys) each have a C(key) and may have C(variants), C(values), C(value_variants), C(pattern), C(default),
        C(inherit), C(required), C(replace_invalid) and C(resource_types). Beside them may be C(protected_tags),
        C(protected_resources), C(known_keys), C(unknown_keys), C(keep_variants) and C(accounts).
      - The guide on cost tags describes each.
    type: raw
    required: true
  state:
    description:
      - V(enforced) changes what the policy asks for.
      - V(reported) changes nothing in the cloud and writes O(report_path).
      - V(undone) takes the run O(run) back. What somebody changed since stays.
    type: str
    choices: [enforced, reported, undone]
    default: enforced
  run:
    description: The run that O(state=undone) takes back; the last one that is not undone where it is not set.
    type: str
  journal_directory:
    description:
      - Where runs are written down before they change anything, one file each, readable by its owner only.
      - Whoever wants to undo a run needs it, so in a job container let it be on a volume that stays.
    type: path
    default: ~/.frugal/tags
  maximum_failures:
    description: A run in which more resources are refused than this ends.
    type: int
    default: 100
  team_key:
    description: The key of the policy by which is reported - C(team) where the policy has it, else its first key.
    type: str
  report_path:
    description: A file for compliance by team; C(.csv) is a table, C(.json) has all figures.
    type: path
  cost_url:
    description:
      - For C(cost_source=dataset), where the cost data is - the folder that M(frugal.cloud.focus_import) wrote to, or
        a database.
      - E(FRUGAL_COST_URL) serves where it is not set.
    type: str
  cost_since:
    description: The first day of coverage by cost, such as V(2026-01-01); the last whole month where it is not set.
    type: str
  cost_until:
    description: The day after the last one; cost data counts whole billing months.
    type: str
  limit:
    description: How many resources are returned of each list. Changes are made all the same.
    type: int
    default: 50
  show_identities:
    description: Whether account ids and e-mail addresses are readable in results, messages and reports.
    type: bool
    default: false
"""
