# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger as the source of a report, read page by page."""

from __future__ import annotations

import datetime
import itertools
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_data import (
    ActionRow,
    ApprovalRow,
    PlanRow,
    SavingRow,
    VerificationRow,
)
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import JournalEntry, Ledger, Saving, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.plan import Approval, Plan, PlannedAction, Status
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import HOURS_PER_MONTH

#: Actions read at once.
PAGE = 500
#: All plans of a ledger: each is one row.
_ALL = 2**31 - 1
#: Actions that somebody began: they count whether or not their plan is still the open one.
BEGUN: tuple[Status, ...] = ("applying", "applied", "verified", "rolled_back", "failed")
_BASES = {"list": "price list", "bill": "cost data"}


class LedgerSource:
    """All actions of the open plans, and of superseded plans those that were begun.

    :param scopes: ``Scope.key`` of what to report; empty means everything.
    """

    def __init__(self, ledger: Ledger, scopes: Sequence[str] = ()) -> None:
        self._ledger = ledger
        self._scopes = tuple(scopes)

    def plans(self) -> list[PlanRow]:
        """All plans, newest first, with what their scope cost when they were made."""
        return [self._plan_row(plan) for plan in self._plans()]

    def actions(self) -> Iterator[ActionRow]:
        """Plan by plan (open ones first, then the newest) and page by page."""
        plans = self._plans()
        for plan in sorted(plans, key=lambda plan: plan.status != "open"):
            statuses = () if plan.status == "open" else BEGUN
            yield from self._pages(Selection(plan_ids=(plan.id,), statuses=statuses))

    def booked_until(self) -> datetime.datetime | None:
        """The end of the last period for which a realised saving is booked."""
        ends = (
            saving.period_end
            for plan in self._plans()
            for saving, _unused in self._ledger.savings(Selection(plan_ids=(plan.id,)), kind="realised")
            if saving.period_end
        )
        return max(ends, default=None)

    def savings(self, now: datetime.datetime) -> Iterator[SavingRow]:
        """Savings by scope, month and basis, until ``now``. List prices do not count where an action has cost data."""
        projected: dict[tuple[str, str, str], float] = {}
        realised: dict[tuple[str, str, str, str], float] = {}
        for plan in self._plans():
            rows = self._ledger.savings(Selection(plan_ids=(plan.id,)))
            booked = [saving for saving, _scope in rows if saving.kind == "realised"]
            billed = {saving.action_id for saving in booked if saving.basis == "bill"}
            for saving, scope in rows:
                if saving.kind == "projected":
                    end = min(saving.period_end or now, now)
                    for month, hours in hours_by_month(saving.period_start, end):
                        key = (scope, month, saving.currency)
                        projected[key] = projected.get(key, 0.0) + saving.amount * hours / HOURS_PER_MONTH
                elif saving.basis == "bill" or saving.action_id not in billed:
                    basis = f"{_BASES[saving.basis]}: {saving.source}" if saving.source else _BASES[saving.basis]
                    for month, amount in _spread(saving, now):
                        by_basis = (scope, month, saving.currency, basis)
                        realised[by_basis] = realised.get(by_basis, 0.0) + amount
        for (scope, month, currency), amount in sorted(projected.items()):
            yield SavingRow(scope, month, amount, None, currency)
        for (scope, month, currency, basis), amount in sorted(realised.items()):
            yield SavingRow(scope, month, 0.0, amount, currency, basis)

    def _plans(self) -> list[Plan]:
        return self._ledger.plans(scopes=self._scopes, limit=_ALL)

    def _plan_row(self, plan: Plan) -> PlanRow:
        context: Mapping[str, t.Any] = getattr(plan, "context", {})
        totals = self._ledger.totals(Selection(plan_ids=(plan.id,)))
        spend, resources = context.get("monthly_cost"), context.get("instances")
        return PlanRow(
            id=plan.id,
            digest=plan.digest,
            scope=plan.scope,
            account=plan.scope.partition("/")[0],
            made_at=plan.created_at,
            policy=plan.policy.digest[:12],
            status=plan.status,
            resources=None if resources is None else int(resources),
            monthly_spend=None if spend is None else float(spend),
            currency=str(context.get("currency") or totals.currency),
            counts=dict(totals.counts),
        )

    def _pages(self, selection: Selection) -> Iterator[ActionRow]:
        for offset in itertools.count(0, PAGE):
            actions = self._ledger.actions(selection, limit=PAGE, offset=offset)
            approvals = self._ledger.approvals([action.id for action in actions])
            journal = self._ledger.journal([action.id for action in actions if action.status in BEGUN])
            for action in actions:
                yield action_row(action, approvals.get(action.id, ()), journal.get(action.id, ()))
            if len(actions) < PAGE:
                return


def action_row(action: PlannedAction, approvals: Sequence[Approval], journal: Sequence[JournalEntry]) -> ActionRow:
    """One action with its decisions, the steps that its journal says are done, and its last verification."""
    checks = [entry for entry in journal if entry.step == "verify" and entry.phase == "note"]
    verification = None
    if checks:
        verification = VerificationRow(checks[-1].result, str(checks[-1].detail.get("why", "")), checks[-1].at)
    undone = {entry.direction for entry in journal} - {"apply"}
    return ActionRow(
        plan_id=action.plan_id,
        scope=action.recommendation.scope.key,
        status=action.status,
        recommendation=action.recommendation,
        reason=action.reason,
        why=action.why if verification is None or action.why != verification.summary else "",
        approvals=tuple(
            ApprovalRow(approval.approver, approval.at, approval.decision, approval.comment) for approval in approvals
        ),
        applied_at=action.applied_at,
        updated_at=action.updated_at,
        verification=verification,
        steps=tuple(
            f"undo: {_step(entry)}" if undone and entry.direction != "apply" else _step(entry)
            for entry in journal
            if entry.phase == "outcome" and entry.step
        ),
    )


def _step(entry: JournalEntry) -> str:
    return entry.step.replace("_", " ") + ("" if entry.result in ("", "ok", "done") else f" ({entry.result})")


def _spread(saving: Saving, now: datetime.datetime) -> Iterator[tuple[str, float]]:
    """A realised saving's amount by month, evenly over its period's hours; nothing after ``now``."""
    end = saving.period_end or now
    total = (end - saving.period_start).total_seconds() / 3600
    if total <= 0:
        return
    for month, hours in hours_by_month(saving.period_start, min(end, now)):
        yield month, saving.amount * hours / total


def hours_by_month(start: datetime.datetime, end: datetime.datetime) -> Iterator[tuple[str, float]]:
    """The hours between two moments (UTC) by month (``YYYY-MM``); nothing where ``end`` is not after ``start``."""
    while start < end:
        following = (start.replace(day=1) + datetime.timedelta(days=32)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        until = min(following, end)
        yield f"{start:%Y-%m}", (until - start).total_seconds() / 3600
        start = until
