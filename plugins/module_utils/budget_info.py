# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of module budget_info, which documents them, and what it reads."""

from __future__ import annotations

import datetime
import os
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.cost.budget_costs import FocusCosts
from ansible_collections.frugal.cloud.plugins.module_utils.cost.budget_states import BudgetState, GcpBudgets, aws_states
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_options import COST_OPTIONS, costs_from
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError

_Dict: t.TypeAlias = "dict[str, t.Any]"

OPTIONS: dict[str, _Dict] = {
    **COST_OPTIONS,
    "aws": {"type": "bool", "default": True},
    "billing_accounts": {"type": "list", "elements": "str", "default": []},
    "gcp": {"type": "dict", "options": ARGUMENTS},
}
_ACCOUNT = re.compile(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}")
#: Days of history that a forecast needs, and the longest period before the present one: a year.
_HISTORY = datetime.timedelta(days=2 * 366)


def all_states(
    params: Mapping[str, t.Any], aws: Aws | None, today: datetime.date | None = None
) -> tuple[list[BudgetState], _Dict]:
    """All budgets that the options name, those nearest to their limit first, and how much was asked for that.

    :raises OptionError: the options do not say whom to ask. :raises AwsError, GcpError, CostsError: no answer.
    """
    accounts = params["billing_accounts"]
    for number, account in enumerate(accounts):
        if not _ACCOUNT.fullmatch(account):
            raise OptionError(f"billing_accounts[{number}] is {account!r}: give an id such as 01AB23-45CD67-89EF01")
    if aws is None and not accounts:
        raise OptionError("aws is false and billing_accounts is empty: there is nothing to read")
    if accounts and not params["gcp"]:
        raise OptionError("billing_accounts is set and gcp is not: give gcp with a project")
    today = today or datetime.datetime.now(datetime.timezone.utc).date()
    states = [] if aws is None else aws_states(aws, today)
    api: _Dict = {"requests": 0, "cost": 0.0, "calls": {}} if aws is None else aws.account_of_calls()
    if accounts:
        known = params["cost_url"] or os.environ.get("FRUGAL_COST_URL")
        costs = FocusCosts(costs_from(params, (today - _HISTORY).replace(day=1))) if known else None
        gcp = Gcp.from_options(params["gcp"])
        google = GcpBudgets(gcp, costs, today)
        states += [state for account in accounts for state in google.states(account)]
        api = {
            "requests": api["requests"] + gcp.requests,
            "cost": api["cost"],
            "calls": {**api["calls"], **gcp.calls},
        }
    return sorted(states, key=_urgency), api


def _urgency(state: BudgetState) -> tuple[float, str, str]:
    shares = [share for share in (state.share(state.actual), state.share(state.forecast)) if share is not None]
    return -max(shares, default=0.0), state.provider, state.name
