# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan's modules take and return: recommendations from lists and files, and a plan as plain data."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Decision, Ledger, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.plan import (
    Plan,
    PlanChange,
    PlanError,
    PlannedAction,
    Totals,
    iso,
)
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import InvalidRecord, Recommendation
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation_file import read_recommendations

#: Actions read from the ledger at a time.
_PAGE = 500


def given_recommendations(
    records: Sequence[Mapping[str, t.Any]] | None, paths: Sequence[str] | None
) -> list[Recommendation]:
    """The recommendations of a module's options.

    :raises InvalidRecord: when a record or a file is not what it must be.
    """
    found: list[Recommendation] = []
    for index, record in enumerate(records or ()):
        try:
            found.append(Recommendation.from_dict(record))
        except InvalidRecord as error:
            raise InvalidRecord(
                f"recommendations[{index}] is {error}; give what an _info module returned as recommendations"
            ) from error
    return found + read_recommendations(list(paths or ()))


def scope_of(recommendations: Sequence[Recommendation], scope: str | None) -> str:
    """The scope that a plan of ``recommendations`` is for.

    :raises PlanError: when they do not say, or belong to several.
    """
    scopes = sorted({recommendation.scope.key for recommendation in recommendations})
    if scope:
        return scope
    if not scopes:
        raise PlanError("scope is not set and there is no recommendation to take it from; give account/region")
    if len(scopes) > 1:
        raise PlanError(
            f"the recommendations belong to {len(scopes)} scopes ({', '.join(scopes[:3])}); make one plan for each"
        )
    return scopes[0]


class PlanView:
    """A plan after (or, not ``stored``, as it would be after) a change, for results and files."""

    def __init__(self, ledger: Ledger, change: PlanChange, *, stored: bool) -> None:
        self._ledger = ledger
        self._change = change
        self._selection = Selection(plan_ids=(change.plan.id,))
        # What is not in the ledger (yet) is taken from the change itself.
        self._pending: tuple[PlannedAction, ...] | None = None
        if not stored and change.kind == "new":
            self._pending = change.plan.actions
        elif not stored and change.kind == "renewed":
            renewed = {action.id: action for action in change.renewed}
            self._pending = tuple(renewed.get(action.id, action) for action in self._stored())

    def _stored(self, limit: int | None = None) -> Iterator[PlannedAction]:
        read = 0
        while limit is None or read < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - read)
            page = self._ledger.actions(self._selection, limit=size, offset=read)
            yield from page
            read += len(page)
            if len(page) < size:
                return

    def totals(self) -> Totals:
        """Counts and money of the whole plan."""
        return self._ledger.totals(self._selection) if self._pending is None else Totals.of(self._pending)

    def each(self, limit: int | None = None) -> Iterator[dict[str, t.Any]]:
        """The first ``limit`` actions (None: all) by rank, with their approvals, one by one."""
        if self._pending is not None:
            yield from (action.to_dict() for action in self._pending[:limit])
            return
        page: list[PlannedAction] = []
        for action in self._stored(limit):
            page.append(action)
            if len(page) == _PAGE:
                yield from self._with_approvals(page)
                page = []
        yield from self._with_approvals(page)

    def _with_approvals(self, actions: Sequence[PlannedAction]) -> Iterator[dict[str, t.Any]]:
        approvals = self._ledger.approvals([action.id for action in actions])
        yield from (action.to_dict(approvals[action.id]) for action in actions)

    def actions(self, limit: int) -> list[dict[str, t.Any]]:
        """The first ``limit`` actions by rank, with their approvals."""
        return list(self.each(limit))

    def diff(self, limit: int) -> dict[str, t.Any]:
        """Old and proposed attributes of what is new (at most ``limit``); empty where nothing is."""
        fresh = self._change.plan.actions if self._change.kind == "new" else self._change.renewed
        shown = [action.recommendation for action in fresh if action.status in ("proposed", "approved")][:limit]
        return {
            "before": {item.resource.id: dict(item.current) for item in shown},
            "after": {item.resource.id: dict(item.proposed) for item in shown},
        }

    def plan(self) -> dict[str, t.Any]:
        """The plan's own data with its totals."""
        return {**self._change.plan.to_dict(), "totals": self.totals().to_dict()}


def write_plan(path: str, view: PlanView, *, dry_run: bool) -> bool:
    """Write the whole plan as JSON to ``path`` where it differs; returns whether it does.

    :raises PlanError: when the file cannot be written.
    """
    target = Path(path).expanduser()
    folder = tempfile.gettempdir() if dry_run else str(target.parent)
    try:
        if not dry_run:
            target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f'{{"plan": {json.dumps(view.plan(), sort_keys=True)},\n"actions": [')
                for index, action in enumerate(view.each()):
                    file.write((",\n" if index else "\n") + json.dumps(action, sort_keys=True))
                file.write("\n]}\n")
            differs = not target.exists() or Path(name).read_bytes() != target.read_bytes()
            if differs and not dry_run:
                os.replace(name, target)
            return differs
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    except OSError as error:
        raise PlanError(f"path is {path!r}, which cannot be written: {error.strerror}") from error


def listed_plans(ledger: Ledger, plans: Sequence[Plan]) -> list[dict[str, t.Any]]:
    """Plans as plain data, each with its totals."""
    return [{**plan.to_dict(), "totals": ledger.totals(Selection(plan_ids=(plan.id,))).to_dict()} for plan in plans]


def listed_actions(
    ledger: Ledger, selection: Selection, limit: int, offset: int, *, journal: bool
) -> list[dict[str, t.Any]]:
    """A page of actions as plain data, with approvals and, if wanted, their journal."""
    actions = ledger.actions(selection, limit=limit, offset=offset)
    ids = [action.id for action in actions]
    approvals = ledger.approvals(ids)
    entries = ledger.journal(ids) if journal else {}
    rows: list[dict[str, t.Any]] = []
    for action in actions:
        row = action.to_dict(approvals[action.id])
        if journal:
            row["journal"] = [
                {
                    "at": iso(entry.at),
                    "run": entry.run_id,
                    "direction": entry.direction,
                    "phase": entry.phase,
                    "step": entry.step,
                    "result": entry.result,
                    "detail": dict(entry.detail),
                }
                for entry in entries[action.id]
            ]
        rows.append(row)
    return rows


def decision_result(ledger: Ledger, decision: Decision, limit: int) -> dict[str, t.Any]:
    """What a decision did, as a module's result with its diff."""
    changed = list(decision.changed.items())[:limit]
    return {
        "changed": bool(decision.changed),
        "plan": listed_plans(ledger, [decision.plan])[0],
        "decided": [{"id": identity, "before": before, "after": after} for identity, (before, after) in changed],
        "counts": {
            "decided": len(decision.changed),
            "unchanged": len(decision.unchanged),
            "refused": len(decision.refused),
        },
        "refused": [{"id": identity, "why": why} for identity, why in list(decision.refused.items())[:limit]],
        "diff": {
            "before": {identity: before for identity, (before, _unused) in changed},
            "after": {identity: after for identity, (_unused, after) in changed},
        },
    }
