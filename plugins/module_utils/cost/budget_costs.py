# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a budget of Google Cloud counts, from imported cost data."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.budget_states import Scope, Unanswered
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import fetch

if t.TYPE_CHECKING:
    import ibis.expr.types as ir

#: Google's id of a service, as focus_import keeps it.
SERVICE = "x_ServiceId"


class FocusCosts:
    """Cost data with the columns of FOCUS."""

    def __init__(self, table: ir.Table) -> None:
        self._table = table
        self._names = {name.lower(): name for name in table.columns}
        self._accounts: set[str] | None = None

    def _rows(self, scope: Scope) -> ir.Table:
        """The rows that a budget counts. :raises Unanswered: the data cannot say which."""
        table = self._table
        if self._accounts is None:
            known = fetch(table.select("BillingAccountId").distinct())
            self._accounts = {str(one["BillingAccountId"]) for one in known}
        if scope.account not in self._accounts:
            raise Unanswered("the cost data has nothing of this billing account")
        table = table.filter(table.BillingAccountId == scope.account)
        if scope.projects:
            table = table.filter(table.SubAccountId.isin(scope.projects))
        if scope.services:
            name = self._names.get(SERVICE.lower())
            if name is None:
                raise Unanswered(f"the cost data has no column {SERVICE}, which tells services apart")
            table = table.filter(table[name].isin(scope.services))
        if scope.label:
            key, value = scope.label
            name = self._names.get(focus.tag_column(key).lower())
            if name is None:
                raise Unanswered(f"the cost data has no column for the label {key}: import it with tag_keys")
            table = table.filter(table[name] == value)
        if not scope.with_credits:
            table = table.filter(table.ChargeCategory != "Credit")
        ibis = deps.ibis
        start = table.ChargePeriodStart
        return table.filter(
            (start >= ibis.timestamp(scope.since.isoformat())) & (start < ibis.timestamp(scope.until.isoformat()))
        )

    def daily(self, scope: Scope) -> dict[datetime.date, float]:
        """Cost by day (UTC). Without credits that is what was charged before them.

        :raises Unanswered: the data cannot say it. :raises CostsError: it cannot be read.
        """
        rows = self._rows(scope)
        known = self.currency(scope)
        if scope.currency and known and known != scope.currency:
            raise Unanswered(f"the cost data is in {known}, the budget in {scope.currency}")
        # Credits that belong to a charge are in its cost already; ContractedCost is what it was before them.
        metric = "BilledCost" if scope.with_credits else "ContractedCost"
        sums = rows.group_by(rows.ChargePeriodStart.date().name("day")).aggregate(cost=rows[metric].sum())
        return {_day(one["day"]): float(one["cost"] or 0.0) for one in fetch(sums)}

    def currency(self, scope: Scope) -> str | None:
        """The only currency of these costs. :raises Unanswered: there are several."""
        rows = fetch(self._rows(scope).select("BillingCurrency").distinct())
        found = sorted(str(one["BillingCurrency"]) for one in rows)
        if len(found) > 1:
            raise Unanswered(f"the cost data has several currencies: {', '.join(found)}")
        return found[0] if found else None

    def last(self, scope: Scope) -> float:
        """The sum of the same. :raises Unanswered: the data does not reach back that far."""
        days = self.daily(scope)
        if not days or min(days) > scope.since:
            raise Unanswered(f"the cost data does not reach back to {scope.since}, whose period is the limit")
        return sum(days.values())


def _day(value: t.Any) -> datetime.date:
    return value.date() if isinstance(value, datetime.datetime) else t.cast("datetime.date", value)
