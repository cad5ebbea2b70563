# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module gcp_cost_labels does in one call."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils import tag_runs
from ansible_collections.frugal.cloud.plugins.module_utils.act.gcp_labels import KINDS, GcpLabels
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import GCP
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import cost_url
from ansible_collections.frugal.cloud.plugins.module_utils.cost.tag_coverage import Charges, from_focus, months
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import Gcp

_Dict: t.TypeAlias = "dict[str, t.Any]"

#: Options of gcp_cost_labels.
OPTIONS: dict[str, _Dict] = {
    **tag_runs.OPTIONS,
    "resource_types": {"type": "list", "elements": "str", "choices": list(KINDS), "default": list(KINDS)},
    "cost_source": {"type": "str", "choices": ["none", "dataset"], "default": "none"},
}


def run(gcp: Gcp, options: Mapping[str, t.Any], check_mode: bool, now: datetime.datetime) -> tuple[_Dict, str]:
    """The module's result, and what went wrong without ending the run.

    :raises GcpError: Google refuses. Everything else that is wrong raises an error of its own with one sentence.
    """
    policy = tag_runs.load(options["policy"], GCP)
    runner = tag_runs.Runner(GcpLabels(gcp, options["resource_types"]), policy, options, check_mode, now)

    def charges() -> Charges:
        if options["cost_source"] == "none":
            return {}
        since, until = months(options["cost_since"], options["cost_until"], now.date())
        return from_focus(policy, cost_url(options["cost_url"]), since, until, tag_runs.team_of(policy, options))

    result = runner.run(charges)
    result["api"] = {"requests": gcp.requests, "calls": gcp.calls}
    return result, runner.failure
