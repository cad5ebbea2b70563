# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module aws_cost_tags does in one call."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils import tag_runs
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_cost_allocation import CostAllocation
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_tags import AwsTags
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import AWS
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import cost_url
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked_all
from ansible_collections.frugal.cloud.plugins.module_utils.cost.tag_coverage import (
    Charges,
    from_cost_explorer,
    from_focus,
    months,
)
from ansible_collections.frugal.cloud.plugins.module_utils.desired import result as told

_Dict: t.TypeAlias = "dict[str, t.Any]"
_TEXTS: _Dict = {"type": "list", "elements": "str", "default": []}

#: Options of aws_cost_tags beside those of cost allocation.
OPTIONS: dict[str, _Dict] = {
    **tag_runs.OPTIONS,
    "regions": _TEXTS,
    "resource_types": _TEXTS,
    "resources": _TEXTS,
    "cost_source": {"type": "str", "choices": ["none", "dataset", "cost_explorer"], "default": "none"},
}


def run(
    aws: Aws, options: Mapping[str, t.Any], check_mode: bool, now: datetime.datetime
) -> tuple[_Dict, str, list[str]]:
    """The module's result, what went wrong without ending the run, and warnings.

    :raises AwsError: AWS refuses. Everything else that is wrong raises an error of its own with one sentence.
    """
    policy = tag_runs.load(options["policy"], AWS)
    tagger = AwsTags(aws, options["regions"], options["resource_types"], options["resources"])
    runner = tag_runs.Runner(tagger, policy, options, check_mode, now)
    allocation = CostAllocation(aws)
    # Everything is read and checked before anything is changed.
    changes = allocation.decide(options) if options["state"] != "undone" else []

    def charges() -> Charges:
        if options["cost_source"] == "none":
            return {}
        since, until = months(options["cost_since"], options["cost_until"], now.date())
        if options["cost_source"] == "cost_explorer":
            return from_cost_explorer(aws, policy, since, until, tag_runs.team_of(policy, options))
        return from_focus(policy, cost_url(options["cost_url"]), since, until, tag_runs.team_of(policy, options))

    result = runner.run(charges)
    reporting = options["state"] == "reported"
    if not check_mode and not reporting:
        allocation.perform(changes)
    about_costs = told(changes)
    if not options["show_identities"]:
        about_costs = masked_all(about_costs)
    result["cost_changes"] = about_costs["changes"]
    if not reporting:
        result["changed"] = result["changed"] or about_costs["changed"]
        result["diff"] += about_costs["diff"]
    warnings = [
        f"the bill does not know the tag {key!r} yet: it can be activated about a day after a resource first has it"
        for key in allocation.unknown
    ]
    result["api"] = aws.account_of_calls()
    return result, runner.failure, warnings
