# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was spent with which tags: from FOCUS data or from Cost Explorer, without tax, credits and refunds."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_report import Charge
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.cost import engine, queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import FOLLOWING

_Dict: t.TypeAlias = "dict[str, t.Any]"
#: Records of Cost Explorer that are of no resource.
_FOLLOWING = ["Credit", "Refund", "Tax", "Enterprise Discount Program Discount"]

Charges: t.TypeAlias = "dict[str, list[Charge]]"


class CoverageError(ValueError):
    """One sentence: which option has which value, and what would be right."""


def months(since: str | None, until: str | None, today: datetime.date) -> tuple[datetime.date, datetime.date]:
    """The first day and the day after the last; the last whole month where nothing is given.

    :raises CoverageError: one is no date, or they are in the wrong order.
    """
    first = today.replace(day=1)
    end = _day(until, "cost_until") if until else first
    begin = _day(since, "cost_since") if since else (end - datetime.timedelta(days=1)).replace(day=1)
    if begin >= end:
        raise CoverageError(f"cost_since is {begin} and cost_until {end}: the first has to be before the second")
    return begin, end


def _day(text: str, option: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise CoverageError(f"{option} is {text!r}: give a day such as 2026-01-31") from None


def from_focus(policy: Policy, url: str, since: datetime.date, until: datetime.date, team_key: str) -> Charges:
    """From the data at ``url``: one query over all keys that the data has a column for.

    :raises engine.CostsError: there is no data. :raises queries.QueryError: there is no column for the team.
    """
    connection, table = engine.open_costs(url, since, until)
    try:
        queries.column(table, f"tag:{team_key}")
        named: dict[str, str] = {}
        for key in policy.keys:
            try:
                named[key.name] = queries.column(table, f"tag:{key.name}")
            except queries.QueryError:
                # Not imported: it is missing in the answer, too.
                continue
        own = table.filter(~table.ChargeCategory.isin(FOLLOWING))
        sums = own.group_by([own.BillingCurrency.name("currency"), *named.values()]).aggregate(
            cost=own.EffectiveCost.sum()
        )
        rows = [
            Charge({key: row[column] or "" for key, column in named.items()}, row["cost"] or 0.0, row["currency"])
            for row in engine.fetch(sums)
        ]
    finally:
        connection.disconnect()
    return dict.fromkeys(named, rows)


def from_cost_explorer(aws: Aws, policy: Policy, since: datetime.date, until: datetime.date, team_key: str) -> Charges:
    """From Cost Explorer: one request (0.01 USD) for each key and page. Only active cost allocation tags have values.

    :raises ApiCostExceeded: before a request that ``max_api_cost`` does not allow. :raises AwsError: AWS refuses.
    """
    charges: Charges = {}
    for key in policy.keys:
        groups = [{"Type": "TAG", "Key": name} for name in dict.fromkeys((team_key, key.name))]
        arguments: _Dict = {
            "TimePeriod": {"Start": since.isoformat(), "End": until.isoformat()},
            "Granularity": "MONTHLY",
            "Metrics": ["AmortizedCost"],
            "GroupBy": groups,
            "Filter": {"Not": {"Dimensions": {"Key": "RECORD_TYPE", "Values": _FOLLOWING}}},
        }
        found = charges.setdefault(key.name, [])
        while True:
            aws.cost.charge("Cost Explorer request", 1)
            page = aws.read("ce", "get_cost_and_usage", region="us-east-1", **arguments)
            found.extend(_charges(page))
            if not page.get("NextPageToken"):
                break
            arguments["NextPageToken"] = page["NextPageToken"]
    return charges


def _charges(page: Mapping[str, t.Any]) -> Sequence[Charge]:
    rows = []
    for result in page["ResultsByTime"]:
        for group in result.get("Groups", ()):
            amount = group["Metrics"]["AmortizedCost"]
            # env$production, and env$ for what has no tag
            values = dict(key.partition("$")[::2] for key in group["Keys"])
            rows.append(Charge(values, float(amount["Amount"]), amount["Unit"]))
    return rows
