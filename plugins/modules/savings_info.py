#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Savings: what was promised against what came of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: savings_info
short_description: Compare projected with realised savings, and book them
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - For every applied action, says what the plan promised until now and what came of it.
  - At list price, a change has saved what an hour is cheaper times the hours since. From cost data, it has saved what
    the resource cost on an average day of the two weeks before, minus what each day since has cost.
  - With O(book=true) the realised savings are kept in the ledger, by month; a later run corrects them.
notes:
  - "IAM permissions, only for O(cost_source=cost_explorer): C(ce:GetCostAndUsageWithResources),
    C(sts:GetCallerIdentity)."
  - Cost data of the last day is not complete and does not count.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.ledger
  - frugal.cloud.attributes
options:
  cost_source:
    description:
      - Where realised savings come from. V(list_price) needs no cost data.
      - V(cost_explorer) reads the cost of each instance by day (resource-level data must be switched on in Cost
        Explorer's settings; it reaches 14 days back; each request costs 0.01 USD). Only the account and region of the
        credentials are looked at.
      - V(focus) reads FOCUS files, O(focus_paths).
      - An action that the cost data does not know counts at list price and is listed in RV(without_data).
    type: str
    choices: [list_price, cost_explorer, focus]
    default: list_price
  focus_paths:
    description:
      - FOCUS files - CSV, lines of JSON (both also compressed with gzip) or Parquet, also with wildcards, such as those
        of the dataset that M(frugal.cloud.focus_import) keeps.
    type: list
    elements: path
    default: []
  cost_column:
    description: The FOCUS column to add up.
    type: str
    choices: [EffectiveCost, BilledCost, ListCost, ContractedCost]
    default: EffectiveCost
  scopes:
    description: Only these scopes, such as V(123456789012/us-east-1); all where it is empty.
    type: list
    elements: str
    default: []
  plan:
    description: Only this plan.
    type: str
  book:
    description: Whether the realised savings are kept in the ledger.
    type: bool
    default: false
  as_of:
    description: The moment to take for now (ISO 8601).
    type: str
requirements:
  - duckdb >= 1.3.0 for O(cost_source=focus)
"""

EXAMPLES = r"""
- name: What have we saved so far?
  frugal.cloud.savings_info:
  register: savings

- name: Book what the bill says
  frugal.cloud.savings_info:
    cost_source: focus
    focus_paths: [/data/focus/2026-10.csv.gz, /data/focus/2026-11.csv.gz]
    book: true
"""

RETURN = r"""
savings:
  description: Money by scope. C(projected_monthly) is what still holds, per month.
  returned: success
  type: list
  elements: dict
  sample:
    - scope: 123456789012/us-east-1
      actions: 41
      currency: USD
      projected_monthly: 8123.4
      projected_to_date: 1912.2
      realised: 1875.9
booked:
  description: How many entries of the ledger are new or were corrected.
  returned: success
  type: int
  sample: 41
without_data:
  description: Ids of actions that the cost data is silent on (the first 50).
  returned: success
  type: list
  elements: str
  sample: []
api:
  description: Requests sent, by operation, and what the paid ones cost in USD.
  returned: success
  type: dict
  sample: {requests: 0, cost: 0.0, calls: {}}
"""

import datetime
import functools

from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost.booking import book
from ansible_collections.frugal.cloud.plugins.module_utils.cost.savings import read_focus
from ansible_collections.frugal.cloud.plugins.module_utils.executor import utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import (
    LEDGER_OPTIONS,
    OptionError,
    failing_clearly,
    ledger_url,
    moment,
)
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cost_explorer import read_daily_costs
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Scope

COLUMNS = ["EffectiveCost", "BilledCost", "ListCost", "ContractedCost"]


def main() -> None:
    """Arguments, one comparison, exit."""
    module = AwsModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "cost_source": {
                "type": "str",
                "choices": ["list_price", "cost_explorer", "focus"],
                "default": "list_price",
            },
            "focus_paths": {"type": "list", "elements": "path", "default": []},
            "cost_column": {"type": "str", "choices": COLUMNS, "default": "EffectiveCost"},
            "scopes": {"type": "list", "elements": "str", "default": []},
            "plan": {"type": "str"},
            "book": {"type": "bool", "default": False},
            "as_of": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    with failing_clearly(module):
        now = moment(params["as_of"], "as_of") or utc_now()
        scopes = tuple(params["scopes"])
        api = {"requests": 0, "cost": 0.0, "calls": {}}
        reader, aws = None, None
        if params["cost_source"] == "focus":
            if not params["focus_paths"]:
                raise OptionError("focus_paths is empty: name the FOCUS files for cost_source focus")
            reader = functools.partial(read_focus, params["focus_paths"], column=params["cost_column"])
        elif params["cost_source"] == "cost_explorer":
            aws = module.provider()
            scopes = scopes or (Scope(aws.account, aws.region).key,)
            tomorrow = now.date() + datetime.timedelta(days=1)
            reader = functools.partial(read_daily_costs, aws, today=tomorrow)
        read_only = module.check_mode or not params["book"]
        with Ledger.open(ledger_url(params["ledger_url"]), read_only=read_only) as ledger:
            selection = Selection(scopes=scopes, plan_ids=(params["plan"],) if params["plan"] else ())
            booking = book(
                ledger,
                selection,
                now,
                read_costs=reader,
                source=params["cost_source"],
                write=params["book"],
                dry_run=module.check_mode,
            )
        if aws is not None:
            api = aws.account_of_calls()
        module.exit_json(
            changed=booking.booked > 0,
            savings=[total.to_dict() for total in booking.totals],
            booked=booking.booked,
            without_data=list(booking.without_data[:50]),
            api=api,
        )


if __name__ == "__main__":
    main()
