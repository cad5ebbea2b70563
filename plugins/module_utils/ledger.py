# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: plans, approvals, an append-only journal of what was done, and savings.

Everything that two runs could both want is decided by one statement in the database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import socket
import typing as t
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.ledger_database import (
    Database,
    LedgerError,
    RunLock,
    tables,
)
from ansible_collections.frugal.cloud.plugins.module_utils.plan import (
    NOT_BEGUN,
    Approval,
    Goal,
    OpenAction,
    Past,
    Plan,
    PlanChange,
    PlanError,
    PlannedAction,
    Status,
    Totals,
    assemble,
    change_key,
    from_iso,
    iso,
)
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation, canonical_json

if t.TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

__all__ = ["Ledger", "LedgerError", "Run", "Selection"]

Direction = t.Literal["apply", "revert"]
Phase = t.Literal["intent", "outcome", "note", "result"]
#: Most action ids that one call takes: SQLite binds at most 32,766 values.
MAXIMUM_IDS = 30000


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """Which actions are meant; what is empty does not restrict. ``kinds`` are recommendation actions.

    ``open_plans``: only those of plans that nothing has superseded.
    """

    scopes: tuple[str, ...] = ()
    plan_ids: tuple[str, ...] = ()
    action_ids: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()
    open_plans: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal. ``detail`` holds what is needed to undo the step, or what went wrong.

    ``phase``: intent (before a step), outcome (after it), note, result (exactly one a direction).
    ``seq`` is 0 for an entry that this run has written itself and not read back.
    """

    action_id: str
    run_id: str
    at: datetime.datetime
    direction: Direction
    phase: Phase
    step: str = ""
    result: str = ""
    detail: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    seq: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Final:
    """How an action ends. ``direction`` says which of its two results this is."""

    action: PlannedAction
    status: Status
    reason: str = ""
    why: str = ""
    direction: Direction = "apply"
    detail: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Saving:
    """One saving of one action.

    Projected: ``amount`` per month (730 hours) from ``period_start`` until ``period_end``
    (None: it goes on). Realised: ``amount`` in the period. ``basis`` is list (price list) or
    bill (cost data), ``source`` says which data.
    """

    action_id: str
    kind: t.Literal["projected", "realised"]
    period_start: datetime.datetime
    period_end: datetime.datetime | None
    amount: float
    currency: str
    basis: t.Literal["list", "bill"]
    source: str


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What a decision on a plan did: action ids with their status before and after, and refusals with why."""

    plan: Plan
    changed: Mapping[str, tuple[Status, Status]]
    unchanged: tuple[str, ...]
    refused: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class VerificationResult:
    """Whether an applied action holds up, and why; ``detail`` (plain data) keeps the figures."""

    passed: bool
    why: str
    detail: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


class Run:
    """One run that changes things. Its lock is free the moment that its process dies."""

    def __init__(self, run_id: str, kind: str, lock: RunLock) -> None:
        self.id = run_id
        self.kind = kind
        self._lock = lock

    def alive(self) -> bool:
        """Whether this process still holds the run's lock; otherwise others may take its actions over."""
        return self._lock.held()

    def release(self) -> None:
        """Let the lock go."""
        self._lock.release()


class Ledger:
    """See the module's text. Every method raises LedgerError when the database cannot do it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, timeout: float = 30.0) -> Ledger:
        """Open the ledger at ``url`` and create it where there is none.

        :param url: ``sqlite:///path`` or ``postgresql+psycopg://user@host/database``.
        :param read_only: change nothing; a missing ledger is then an empty one (check mode).
        :param timeout: seconds to wait for other writers and for the server.
        :raises LedgerError: one sentence without any password; nothing was changed then.
        :raises deps.MissingLibrary: when SQLAlchemy or psycopg is missing.
        """
        return cls(Database.open(url, read_only=read_only, timeout=timeout))

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    # -- plans ---------------------------------------------------------------------------

    def make_plan(
        self,
        scope: str,
        recommendations: Sequence[Recommendation],
        policy: Policy,
        now: datetime.datetime,
        *,
        context: Mapping[str, t.Any] | None = None,
        dry_run: bool = False,
    ) -> PlanChange:
        """Judge ``recommendations`` for ``scope`` and store what changes; see :func:`plan.assemble`.

        :param context: plain data about the whole scope, kept with a new plan.
        :param dry_run: only say what would change.
        :raises PlanError: when a recommendation belongs to another scope or comes twice.
        """
        with self.database.read() if dry_run else self.database.write() as connection:
            if self.database.postgresql and not dry_run:
                key = int.from_bytes(hashlib.sha256(scope.encode()).digest()[:8], "big") >> 1
                connection.execute(deps.sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
            change = self._change(connection, scope, recommendations, policy, now, context)
            if change.changed and not dry_run:
                self._store(connection, change, now)
        return change

    def _change(
        self,
        connection: Connection,
        scope: str,
        recommendations: Sequence[Recommendation],
        policy: Policy,
        now: datetime.datetime,
        context: Mapping[str, t.Any] | None,
    ) -> PlanChange:
        sa, known = deps.sqlalchemy, tables()
        actions, plans = known.actions.c, known.plans
        row = connection.execute(sa.select(plans).where(plans.c.scope == scope, plans.c.status == "open")).one_or_none()
        open_plan = _plan(row) if row else None
        open_actions: list[OpenAction] = []
        if open_plan:
            query = sa.select(
                actions.id,
                actions.recommendation_id,
                actions.status,
                actions.reason,
                actions.finished_at,
                actions.approved_until,
            ).where(actions.plan_id == open_plan.id)
            for row in connection.execute(query):
                lapsed = row.status == "approved" and row.approved_until is not None and row.approved_until <= iso(now)
                status: Status = "expired" if lapsed else row.status
                begun = row.finished_at is not None
                open_actions.append(OpenAction(row.id, row.recommendation_id, status, row.reason, begun))
        days = max(policy.retry_after_days, policy.retry_failed_after_days)
        since = iso(now - datetime.timedelta(days=min(days, 36500)))
        query = (
            sa.select(
                actions.change_key, actions.plan_id, actions.status, actions.updated_at, actions.reason, actions.why
            )
            .where(
                actions.scope == scope,
                actions.reason.not_in(("held_back", "in_flight")),
                sa.or_(
                    actions.status == "applying",
                    sa.and_(
                        actions.updated_at >= since,
                        sa.or_(
                            actions.status == "rejected",
                            sa.and_(
                                actions.finished_at.is_not(None),
                                actions.status.in_(("applied", "verified", "rolled_back", "failed", "skipped")),
                            ),
                        ),
                    ),
                ),
            )
            .order_by(actions.updated_at)
        )
        history = {
            row.change_key: Past(row.plan_id, row.status, from_iso(row.updated_at), row.reason, row.why)
            for row in connection.execute(query).all()
        }
        taken = connection.execute(sa.select(plans.c.id).where(plans.c.scope == scope)).scalars()
        return assemble(
            scope,
            recommendations,
            policy,
            now,
            open_plan=open_plan,
            open_actions=open_actions,
            history=history,
            taken_ids=list(taken),
            context=context,
        )

    def _store(self, connection: Connection, change: PlanChange, now: datetime.datetime) -> None:
        sa, known = deps.sqlalchemy, tables()
        plan = change.plan
        if change.kind == "renewed":
            rows = [_action_values(action, plan.scope, now) for action in change.renewed]
            for row in rows:
                row["key"] = row.pop("id")
            keep = ("status", "reason", "why", "approved_until", "updated_at")
            statement = (
                sa.update(known.actions)
                .where(known.actions.c.id == sa.bindparam("key"))
                .values({name: sa.bindparam(name) for name in keep})
            )
            connection.execute(statement, [{name: row[name] for name in ("key", *keep)} for row in rows])
            self._approve_automatically(connection, plan, change.renewed, now)
            return
        if change.superseded:
            connection.execute(
                sa.update(known.plans)
                .where(known.plans.c.id == change.superseded)
                .values(status="superseded", superseded_by=plan.id)
            )
            connection.execute(
                sa.update(known.actions)
                .where(known.actions.c.plan_id == change.superseded, known.actions.c.status.in_(NOT_BEGUN))
                .values(status="expired", reason="superseded", why=f"superseded by {plan.id}", updated_at=iso(now))
            )
        connection.execute(
            sa.insert(known.plans).values(
                id=plan.id,
                scope=plan.scope,
                digest=plan.digest,
                policy=canonical_json(plan.policy.to_dict()),
                context=canonical_json(dict(plan.context)),
                status="open",
                superseded_by="",
                created_at=iso(now),
            )
        )
        if plan.actions:
            connection.execute(
                sa.insert(known.actions), [_action_values(action, plan.scope, now) for action in plan.actions]
            )
        self._approve_automatically(connection, plan, plan.actions, now)

    def _approve_automatically(
        self, connection: Connection, plan: Plan, actions: Sequence[PlannedAction], now: datetime.datetime
    ) -> None:
        rows = [
            _approval_values(
                Approval(action.id, plan.digest, f"policy rule {action.rule}", "approved", now, action.approved_until)
            )
            for action in actions
            if action.status == "approved"
        ]
        if rows:
            connection.execute(deps.sqlalchemy.insert(tables().approvals), rows)

    def plans(self, *, scopes: Sequence[str] = (), status: str = "", limit: int = 50) -> list[Plan]:
        """Plans, newest first, without their actions."""
        sa, plans = deps.sqlalchemy, tables().plans
        query = sa.select(plans).order_by(plans.c.created_at.desc(), plans.c.id).limit(limit)
        if scopes:
            query = query.where(plans.c.scope.in_(scopes))
        if status:
            query = query.where(plans.c.status == status)
        with self.database.read() as connection:
            return [_plan(row) for row in connection.execute(query)]

    def plan(self, plan_id: str) -> Plan:
        """The plan ``plan_id`` without its actions.

        :raises PlanError: when there is none.
        """
        with self.database.read() as connection:
            return self._plan_in(connection, plan_id=plan_id)

    def _plan_in(self, connection: Connection, *, plan_id: str = "", digest: str = "") -> Plan:
        """A plan by its id (held against ``digest``, if given), or the open one with ``digest`` (or its beginning)."""
        sa, plans = deps.sqlalchemy, tables().plans
        if plan_id:
            row = connection.execute(sa.select(plans).where(plans.c.id == plan_id)).one_or_none()
            if row is None:
                raise PlanError(
                    f"there is no plan {plan_id!r} in the ledger; optimization_plan_info lists those there are"
                )
            plan = _plan(row)
            if digest and not plan.digest.startswith(digest):
                raise PlanError(
                    f"plan {plan_id} has digest {plan.digest[:12]}, not {digest[:12]}: it is not the plan that was "
                    "looked at; look at it again and name the new digest"
                )
            return plan
        if len(digest) < 8:
            raise PlanError(f"digest {digest!r} is too short; give at least its first 8 characters")
        matching = sa.select(plans).where(plans.c.digest.startswith(digest, autoescape=True), plans.c.status == "open")
        rows = connection.execute(matching).all()
        if len(rows) != 1:
            found = "no open plan has" if not rows else f"{len(rows)} open plans have"
            raise PlanError(
                f"{found} the digest {digest[:12]!r}: the plan has changed since, or was never made; "
                "look at the open plan and name its digest"
            )
        return _plan(rows[0])

    # -- actions -------------------------------------------------------------------------

    def actions(self, selection: Selection, *, limit: int = 50, offset: int = 0) -> list[PlannedAction]:
        """Actions by plan (newest first) and rank; only ``limit`` of them are loaded."""
        sa, known = deps.sqlalchemy, tables()
        query = (
            sa.select(known.actions)
            .join(known.plans, known.plans.c.id == known.actions.c.plan_id)
            .where(*self._conditions(selection))
            .order_by(known.plans.c.created_at.desc(), known.actions.c.plan_id, known.actions.c.rank)
            .limit(limit)
            .offset(offset)
        )
        with self.database.read() as connection:
            return [_action(row) for row in connection.execute(query)]

    def totals(self, selection: Selection) -> Totals:
        """Counts and monthly savings by status."""
        sa, actions = deps.sqlalchemy, tables().actions.c
        query = (
            sa.select(actions.status, sa.func.count(), sa.func.sum(actions.saving), sa.func.max(actions.currency))
            .where(*self._conditions(selection))
            .group_by(actions.status)
        )
        counts: dict[str, int] = {}
        savings: dict[str, float] = {}
        currency = "USD"
        with self.database.read() as connection:
            for status, count, saving, money in connection.execute(query):
                counts[status] = count
                savings[status] = float(saving)
                currency = money
        return Totals(counts, savings, currency)

    def approvals(self, action_ids: Sequence[str]) -> dict[str, list[Approval]]:
        """Decisions on each of ``action_ids``, oldest first."""
        sa, approvals = deps.sqlalchemy, tables().approvals
        result: dict[str, list[Approval]] = {identity: [] for identity in action_ids}
        query = sa.select(approvals).where(approvals.c.action_id.in_(_ids(action_ids))).order_by(approvals.c.seq)
        with self.database.read() as connection:
            for row in connection.execute(query):
                result[row.action_id].append(_approval(row))
        return result

    def journal(self, action_ids: Sequence[str]) -> dict[str, list[JournalEntry]]:
        """The journal of each of ``action_ids``, in order."""
        sa, journal = deps.sqlalchemy, tables().journal
        result: dict[str, list[JournalEntry]] = {identity: [] for identity in action_ids}
        query = sa.select(journal).where(journal.c.action_id.in_(_ids(action_ids))).order_by(journal.c.seq)
        with self.database.read() as connection:
            for row in connection.execute(query):
                result[row.action_id].append(
                    JournalEntry(
                        row.action_id,
                        row.run_id,
                        from_iso(row.at),
                        row.direction,
                        row.phase,
                        row.step,
                        row.result,
                        json.loads(row.detail),
                        row.seq,
                    )
                )
        return result

    def _conditions(self, selection: Selection) -> list[ColumnElement[bool]]:
        actions = tables().actions.c
        given = (
            (actions.scope, selection.scopes),
            (actions.plan_id, selection.plan_ids),
            (actions.id, _ids(selection.action_ids)),
            (actions.kind, selection.kinds),
            (actions.status, selection.statuses),
        )
        conditions: list[ColumnElement[bool]] = [column.in_(values) for column, values in given if values]
        if selection.open_plans:
            plans = tables().plans.c
            conditions.append(actions.plan_id.in_(deps.sqlalchemy.select(plans.id).where(plans.status == "open")))
        return conditions

    # -- approvals -----------------------------------------------------------------------

    def decide(
        self,
        decision: t.Literal["approved", "rejected"],
        approver: str,
        now: datetime.datetime,
        *,
        plan_id: str = "",
        digest: str = "",
        action_ids: Sequence[str] = (),
        comment: str = "",
        valid_days: float | None = None,
        dry_run: bool = False,
    ) -> Decision:
        """Record what ``approver`` decides about a plan, or about some of its actions.

        Without ``action_ids``: everything that awaits a decision. Rejected and held back
        actions are approved only when they are named. The same decision again changes nothing.

        :param valid_days: how long an approval is valid; at most what the policy says.
        :raises PlanError: unknown or superseded plan, another digest, unknown action, an
            approver who may decide nothing of it, an approval valid for too long.
        """
        if not approver:
            raise PlanError("approver is empty; name the person who decides")
        with self.database.read() if dry_run else self.database.write() as connection:
            plan = self._plan_in(connection, plan_id=plan_id, digest=digest)
            if plan.status != "open":
                raise PlanError(f"plan {plan.id} was superseded by {plan.superseded_by}; decide about that one")
            return self._decide(
                connection, plan, decision, approver, now, tuple(action_ids), comment, valid_days, dry_run
            )

    def _decide(
        self,
        connection: Connection,
        plan: Plan,
        decision: t.Literal["approved", "rejected"],
        approver: str,
        now: datetime.datetime,
        action_ids: tuple[str, ...],
        comment: str,
        valid_days: float | None,
        dry_run: bool,
    ) -> Decision:
        sa, known = deps.sqlalchemy, tables()
        actions = known.actions.c
        columns = (
            actions.id, actions.status, actions.reason, actions.why, actions.approved_until, actions.rule,
            actions.approvers_needed, actions.approver_group, actions.valid_days, actions.finished_at,
        )  # fmt: skip
        query = sa.select(*columns).where(actions.plan_id == plan.id).order_by(actions.rank)
        if action_ids:
            query = query.where(actions.id.in_(_ids(action_ids)))
        rows = connection.execute(query if dry_run else query.with_for_update()).all()
        missing = set(action_ids) - {row.id for row in rows}
        if missing:
            raise PlanError(f"plan {plan.id} has no action {min(missing)!r}; optimization_plan_info lists its actions")
        earlier: dict[str, list[Approval]] = {}
        decided = (
            sa.select(known.approvals)
            .join(known.actions, actions.id == known.approvals.c.action_id)
            .where(actions.plan_id == plan.id, known.approvals.c.digest == plan.digest)
            .order_by(known.approvals.c.seq)
        )
        for row in connection.execute(decided):
            earlier.setdefault(row.action_id, []).append(_approval(row))
        changed: dict[str, tuple[Status, Status]] = {}
        unchanged: list[str] = []
        refused: dict[str, str] = {}
        new: list[Approval] = []
        updates: list[dict[str, t.Any]] = []
        outsiders = 0
        for row in rows:
            lapsed = row.status == "approved" and row.approved_until is not None and row.approved_until <= iso(now)
            status: Status = "expired" if lapsed else row.status
            obstacle = _undecidable(status, row.reason, row.why, decision, named=bool(action_ids))
            if obstacle is not None:
                if action_ids and status != decision:
                    refused[row.id] = obstacle
                else:
                    unchanged.append(row.id)
                continue
            if not plan.policy.may_approve(approver, row.approver_group):
                outsiders += 1
                refused[row.id] = f"{approver} is not in the group {row.approver_group!r} that decides about it"
                continue
            if valid_days is not None and valid_days > row.valid_days:
                raise PlanError(
                    f"valid_days is {valid_days:g}; the policy's rule {row.rule!r} allows at most {row.valid_days:g}"
                )
            expires = now + datetime.timedelta(days=row.valid_days if valid_days is None else valid_days)
            made = Approval(
                row.id, plan.digest, approver, decision, now, expires if decision == "approved" else None, comment
            )
            standing = _standing(earlier.get(row.id, []), now)
            if standing.get(approver) and standing[approver].decision == decision and row.status != "rejected":
                unchanged.append(row.id)
                continue
            new.append(made)
            standing[approver] = made
            after, until, why = _after(standing, decision, approver, comment, row.approvers_needed)
            changed[row.id] = (status, after)
            updates.append(
                {
                    "key": row.id,
                    "status": after,
                    "reason": "",
                    "why": why,
                    "approved_until": iso(until) if until else None,
                    "deferred_by": "",
                    "updated_at": iso(now),
                }
            )
        if outsiders and not changed and not unchanged:
            groups = sorted({row.approver_group for row in rows if row.approver_group})
            members = sorted({name for group in groups for name in plan.policy.groups.get(group, ())})
            raise PlanError(
                f"approver {approver!r} may not decide about plan {plan.id}: its policy asks for "
                f"{' or '.join(groups)} ({', '.join(members)})"
            )
        if new and not dry_run:
            connection.execute(sa.insert(known.approvals), [_approval_values(approval) for approval in new])
            names = [name for name in updates[0] if name != "key"]
            connection.execute(
                sa.update(known.actions)
                .where(actions.id == sa.bindparam("key"))
                .values({name: sa.bindparam(name) for name in names}),
                updates,
            )
        return Decision(plan, changed, tuple(unchanged), refused)

    def expire_due(self, selection: Selection, now: datetime.datetime) -> list[PlannedAction]:
        """Approved actions whose approval has ended become expired; returns them."""
        sa, actions = deps.sqlalchemy, tables().actions
        statement = (
            sa.update(actions)
            .where(actions.c.status == "approved", actions.c.approved_until <= iso(now), *self._conditions(selection))
            .values(
                status="expired",
                reason="approval_expired",
                why=sa.literal("its approval ended at ") + actions.c.approved_until + sa.literal("; approve it again"),
                updated_at=iso(now),
            )
            .returning(actions)
        )
        with self.database.write() as connection:
            return [_action(row) for row in connection.execute(statement)]

    def lapsed(self, selection: Selection, now: datetime.datetime) -> list[PlannedAction]:
        """What :meth:`expire_due` would change."""
        sa, actions = deps.sqlalchemy, tables().actions
        query = sa.select(actions).where(
            actions.c.status == "approved", actions.c.approved_until <= iso(now), *self._conditions(selection)
        )
        with self.database.read() as connection:
            return [_action(row) for row in connection.execute(query)]

    # -- runs ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def run(self, kind: str, now: datetime.datetime, operator: str = "") -> Iterator[Run]:
        """A run: its lock is held until the block ends or the process dies."""
        run_id = f"run-{now:%Y%m%d%H%M%S}-{uuid.uuid4().hex[:12]}"
        lock = self.database.lock(run_id)
        if lock is None:
            raise LedgerError(f"ledger {self.database.named}: the lock of {run_id} is taken; run again")
        sa, runs = deps.sqlalchemy, tables().runs
        run = Run(run_id, kind, lock)
        outcome = "interrupted"
        try:
            with self.database.write() as connection:
                connection.execute(
                    sa.insert(runs).values(
                        id=run_id,
                        kind=kind,
                        operator=operator,
                        host=socket.gethostname(),
                        process=os.getpid(),
                        started_at=iso(now),
                        outcome="",
                    )
                )
            yield run
            outcome = "finished"
        finally:
            try:
                with self.database.write() as connection:
                    connection.execute(
                        sa.update(runs).where(runs.c.id == run_id).values(ended_at=iso(_utc_now()), outcome=outcome)
                    )
            finally:
                run.release()

    def claim(
        self, run: Run, selection: Selection, limit: int, now: datetime.datetime, *, rollback: bool = False
    ) -> list[PlannedAction]:
        """Take up to ``limit`` actions for ``run``: nobody else gets them. One statement.

        To apply: approved ones whose approval is valid and whose resource nobody is changing,
        by rank. To roll back: applied, verified and half-done ones, the latest first.
        """
        sa, actions = deps.sqlalchemy, tables().actions
        picked = (
            sa.select(actions.c.id)
            .where(*self._claimable(selection, now, rollback), actions.c.deferred_by != run.id)
            .order_by(*self._claim_order(rollback))
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("picked")
        )
        statement = (
            sa.update(actions)
            .where(actions.c.id.in_(sa.select(picked.c.id)))
            .values(
                status="applying",
                previous_status=actions.c.status,
                goal="rollback" if rollback else "apply",
                run_id=run.id,
                updated_at=iso(now),
            )
            .returning(actions)
        )
        with self.database.write() as connection:
            claimed = [_action(row) for row in connection.execute(statement)]
        claimed.sort(key=lambda action: action.rank)
        if rollback:
            claimed.sort(key=lambda action: action.applied_at or now, reverse=True)
        first: dict[tuple[str, str], PlannedAction] = {}
        for action in claimed:  # two actions on one resource are never in flight together
            first.setdefault((action.recommendation.scope.key, action.recommendation.resource.id), action)
        kept = {action.id for action in first.values()}
        self.put_back(run, {action.id: "" for action in claimed if action.id not in kept}, now)
        return [action for action in claimed if action.id in kept]

    def claimable(
        self, selection: Selection, now: datetime.datetime, *, rollback: bool = False, limit: int = 50, offset: int = 0
    ) -> list[PlannedAction]:
        """What :meth:`claim` would take, in its order, without taking it."""
        sa, actions = deps.sqlalchemy, tables().actions
        query = (
            sa.select(actions)
            .where(*self._claimable(selection, now, rollback))
            .order_by(*self._claim_order(rollback))
            .limit(limit)
            .offset(offset)
        )
        with self.database.read() as connection:
            return [_action(row) for row in connection.execute(query)]

    def count_claimable(
        self, selection: Selection, now: datetime.datetime, *, rollback: bool = False
    ) -> tuple[int, float]:
        """How many actions :meth:`claim` could take, and their monthly saving."""
        sa, actions = deps.sqlalchemy, tables().actions
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(actions.c.saving), 0.0)).where(
            *self._claimable(selection, now, rollback)
        )
        with self.database.read() as connection:
            count, saving = connection.execute(query).one()
        return int(count), float(saving)

    def claimable_plans(self, selection: Selection, now: datetime.datetime) -> list[Plan]:
        """The plans whose actions :meth:`claim` could take, without their actions."""
        sa, known = deps.sqlalchemy, tables()
        ids = sa.select(known.actions.c.plan_id).where(*self._claimable(selection, now, False)).distinct()
        with self.database.read() as connection:
            return [_plan(row) for row in connection.execute(sa.select(known.plans).where(known.plans.c.id.in_(ids)))]

    def _claimable(self, selection: Selection, now: datetime.datetime, rollback: bool) -> list[ColumnElement[bool]]:
        sa, actions, other = deps.sqlalchemy, tables().actions, tables().other
        busy = (
            sa.select(other.c.id)
            .where(
                other.c.scope == actions.c.scope,
                other.c.resource_id == actions.c.resource_id,
                other.c.status == "applying",
            )
            .exists()
        )
        state = (
            sa.or_(
                actions.c.status.in_(("applied", "verified")),
                sa.and_(actions.c.status == "failed", actions.c.reason == "stranded"),
            )
            if rollback
            else sa.and_(
                actions.c.status == "approved",
                sa.or_(actions.c.approved_until.is_(None), actions.c.approved_until > iso(now)),
            )
        )
        return [state, ~busy, *self._conditions(dataclasses.replace(selection, statuses=()))]

    def _claim_order(self, rollback: bool) -> list[t.Any]:
        actions = tables().actions.c
        return [actions.applied_at.desc(), actions.id] if rollback else [actions.rank, actions.id]

    def abandoned(
        self, selection: Selection, run: Run | None, now: datetime.datetime, *, exactly: bool = False
    ) -> list[PlannedAction]:
        """Actions in flight whose run is dead or has ended, of the selection's scopes and kinds.

        With ``run`` they are taken over by it (and the dead run is closed); with None they are
        only listed. A plan or action named in ``selection`` stands for its scope: what
        was begun there is finished first, whichever plan it came from.

        :param exactly: only the selected actions themselves.
        """
        sa, known = deps.sqlalchemy, tables()
        actions, runs = known.actions, known.runs
        conditions = [actions.c.status == "applying"]
        if selection.kinds:
            conditions.append(actions.c.kind.in_(selection.kinds))
        scopes = set(selection.scopes)
        result: list[PlannedAction] = []
        if exactly:
            conditions += self._conditions(dataclasses.replace(selection, statuses=()))
        with self.database.read() as connection:
            if not exactly and not scopes and (selection.plan_ids or selection.action_ids):
                named = self._conditions(dataclasses.replace(selection, kinds=(), statuses=()))
                scopes = set(connection.execute(sa.select(actions.c.scope).where(*named).distinct()).scalars())
            if scopes:
                conditions.append(actions.c.scope.in_(sorted(scopes)))
            query = (
                sa.select(actions.c.run_id, runs.c.ended_at)
                .join(runs, runs.c.id == actions.c.run_id, isouter=True)
                .where(*conditions)
                .distinct()
            )
            holders = [
                (row.run_id, row.ended_at) for row in connection.execute(query) if not run or row.run_id != run.id
            ]
        for run_id, ended_at in holders:
            lock = self.database.lock(run_id) if ended_at is None else None
            if ended_at is None and lock is None:
                continue  # alive
            try:
                mine = [*conditions, actions.c.run_id == run_id]
                if run is None:
                    with self.database.read() as connection:
                        result += [_action(row) for row in connection.execute(sa.select(actions).where(*mine))]
                    continue
                with self.database.write() as connection:
                    taken = (
                        sa.update(actions).where(*mine).values(run_id=run.id, updated_at=iso(now)).returning(actions)
                    )
                    result += [_action(row) for row in connection.execute(taken)]
                    left = sa.select(sa.func.count()).where(actions.c.run_id == run_id, actions.c.status == "applying")
                    if not connection.execute(left).scalar():
                        connection.execute(
                            sa.update(runs)
                            .where(runs.c.id == run_id, runs.c.ended_at.is_(None))
                            .values(ended_at=iso(now), outcome="died")
                        )
            finally:
                if lock is not None:
                    lock.release()
        return sorted(result, key=lambda action: action.rank)

    # -- what a run records --------------------------------------------------------------

    def record_intents(self, run: Run, entries: Sequence[JournalEntry]) -> set[str]:
        """Write what is about to be done; returns the ids of actions that are still this run's.

        Only those may be done: another run has taken the others over because this one lost
        its lock.
        """
        if not entries:
            return set()
        sa, actions = deps.sqlalchemy, tables().actions
        query = sa.select(actions.c.id).where(
            actions.c.id.in_(_ids([entry.action_id for entry in entries])),
            actions.c.run_id == run.id,
            actions.c.status == "applying",
        )
        with self.database.write() as connection:
            mine = set(connection.execute(query.with_for_update()).scalars())
            rows = [_journal_values(entry) for entry in entries if entry.action_id in mine]
            if rows:
                connection.execute(sa.insert(tables().journal), rows)
        return mine

    def record_outcomes(self, entries: Sequence[JournalEntry]) -> None:
        """Write what became of steps (and notes)."""
        if entries:
            with self.database.write() as connection:
                connection.execute(deps.sqlalchemy.insert(tables().journal), [_journal_values(e) for e in entries])

    def turn_back(self, run: Run, whys: Mapping[str, str], now: datetime.datetime) -> list[JournalEntry]:
        """From now on these actions walk back to their old state, because of ``whys``."""
        entries = [
            JournalEntry(identity, run.id, now, "revert", "note", "turn_back", "", {"why": why})
            for identity, why in whys.items()
        ]
        if not entries:
            return []
        sa, actions = deps.sqlalchemy, tables().actions
        with self.database.write() as connection:
            statement = (
                sa.update(actions)
                .where(actions.c.id == sa.bindparam("key"), actions.c.run_id == run.id, actions.c.status == "applying")
                .values(goal="restore", why=sa.bindparam("because"), updated_at=iso(now))
            )
            connection.execute(statement, [{"key": identity, "because": why} for identity, why in whys.items()])
            connection.execute(sa.insert(tables().journal), [_journal_values(entry) for entry in entries])
        return entries

    def put_back(
        self, run: Run, whys: Mapping[str, str], now: datetime.datetime, *, deferred: bool = False, noted: bool = False
    ) -> None:
        """Give claimed actions back in the status that they had, each with a sentence why.

        An empty sentence leaves the one that is there. An action whose plan was superseded
        meanwhile, and that nobody began, expires like the rest of that plan.

        :param deferred: this run does not claim them again.
        :param noted: write the sentence into the journal, too (a rollback that was not possible).
        """
        if not whys:
            return
        sa, actions = deps.sqlalchemy, tables().actions
        with self.database.write() as connection:
            statement = (
                sa.update(actions)
                .where(actions.c.id == sa.bindparam("key"), actions.c.run_id == run.id, actions.c.status == "applying")
                .values(
                    status=actions.c.previous_status,
                    goal="apply",
                    why=sa.case((sa.bindparam("because") == "", actions.c.why), else_=sa.bindparam("because")),
                    deferred_by=run.id if deferred else actions.c.deferred_by,
                    updated_at=iso(now),
                )
            )
            connection.execute(statement, [{"key": identity, "because": why} for identity, why in whys.items()])
            plans = tables().plans.c
            gone = sa.select(plans.id).where(plans.status == "superseded")
            connection.execute(
                sa.update(actions)
                .where(actions.c.id.in_(_ids(list(whys))), actions.c.status.in_(NOT_BEGUN), actions.c.plan_id.in_(gone))
                .values(status="expired", reason="superseded", why="its plan was superseded", updated_at=iso(now))
            )
            if noted:
                notes = [
                    JournalEntry(identity, run.id, now, "revert", "note", "not_rolled_back", "", {"why": why})
                    for identity, why in whys.items()
                ]
                connection.execute(sa.insert(tables().journal), [_journal_values(entry) for entry in notes])

    def finish(self, run: Run, finals: Sequence[Final], now: datetime.datetime) -> None:
        """Write results: status, the one result entry of each, and the projected saving.

        An applied action begins to save now; a rolled back one stops.

        :raises LedgerError: also when an action already has its result: nothing is written then.
        """
        if not finals:
            return
        sa, known = deps.sqlalchemy, tables()
        with self.database.write() as connection:
            statement = (
                sa.update(known.actions)
                .where(known.actions.c.id == sa.bindparam("key"))
                .values(
                    status=sa.bindparam("after"),
                    goal="apply",
                    reason=sa.bindparam("word"),
                    why=sa.bindparam("because"),
                    applied_at=sa.bindparam("since"),
                    finished_at=iso(now),
                    updated_at=iso(now),
                )
            )
            connection.execute(
                statement,
                [
                    {
                        "key": final.action.id,
                        "after": final.status,
                        "word": final.reason,
                        "because": final.why,
                        "since": iso(now)
                        if final.status == "applied"
                        else (iso(final.action.applied_at) if final.action.applied_at else None),
                    }
                    for final in finals
                ],
            )
            results = [
                JournalEntry(
                    final.action.id,
                    run.id,
                    now,
                    final.direction,
                    "result",
                    "",
                    final.status,
                    {"reason": final.reason, "why": final.why, **final.detail},
                )
                for final in finals
            ]
            connection.execute(sa.insert(known.journal), [_journal_values(entry) for entry in results])
            begun = [_projected(final.action, now) for final in finals if final.status == "applied"]
            if begun:
                connection.execute(sa.insert(known.savings), [_saving_values(saving, now) for saving in begun])
            ended = [final.action.id for final in finals if final.status == "rolled_back"]
            if ended:
                connection.execute(
                    sa.update(known.savings)
                    .where(
                        known.savings.c.action_id.in_(_ids(ended)),
                        known.savings.c.kind == "projected",
                        known.savings.c.period_end.is_(None),
                    )
                    .values(period_end=iso(now), recorded_at=iso(now))
                )

    def record_verifications(
        self, results: Mapping[str, VerificationResult], now: datetime.datetime, *, run_id: str = ""
    ) -> list[str]:
        """Applied actions that passed become verified; a failed one stays applied, with why.

        Returns the ids of actions that were changed: the same result again changes nothing.
        """
        sa, known = deps.sqlalchemy, tables()
        actions = known.actions
        changed: list[str] = []
        with self.database.write() as connection:
            query = sa.select(actions.c.id, actions.c.reason, actions.c.why).where(
                actions.c.id.in_(_ids(list(results))), actions.c.status == "applied"
            )
            for identity, reason, why in connection.execute(query.with_for_update()).all():
                result = results[identity]
                word = "" if result.passed else "verification_failed"
                if not result.passed and (reason, why) == (word, result.why):
                    continue
                connection.execute(
                    sa.update(actions)
                    .where(actions.c.id == identity)
                    .values(
                        status="verified" if result.passed else "applied",
                        reason=word,
                        why=result.why,
                        updated_at=iso(now),
                    )
                )
                entry = JournalEntry(
                    identity,
                    run_id,
                    now,
                    "apply",
                    "note",
                    "verify",
                    "passed" if result.passed else "failed",
                    {"why": result.why, **result.detail},
                )
                connection.execute(sa.insert(known.journal).values(_journal_values(entry)))
                changed.append(identity)
        return changed

    # -- savings -------------------------------------------------------------------------

    def savings(self, selection: Selection, *, kind: str = "") -> list[tuple[Saving, str]]:
        """Savings of the selected actions with each action's scope, by start."""
        sa, known = deps.sqlalchemy, tables()
        query = (
            sa.select(known.savings, known.actions.c.scope)
            .join(known.actions, known.actions.c.id == known.savings.c.action_id)
            .where(*self._conditions(selection))
            .order_by(known.savings.c.period_start, known.savings.c.seq)
        )
        if kind:
            query = query.where(known.savings.c.kind == kind)
        with self.database.read() as connection:
            return [(_saving(row), row.scope) for row in connection.execute(query)]

    def record_realised(self, savings: Sequence[Saving], now: datetime.datetime, *, dry_run: bool = False) -> int:
        """Book realised savings; one that is booked for the same period and basis is corrected.

        :param dry_run: only count.

        Returns how many entries are new or differ (by more than 0.005 of the currency).
        """
        sa, table = deps.sqlalchemy, tables().savings
        changed = 0
        with self.database.read() if dry_run else self.database.write() as connection:
            query = sa.select(table).where(
                table.c.kind == "realised", table.c.action_id.in_(_ids(sorted({s.action_id for s in savings})))
            )
            booked = {(row.action_id, row.period_start, row.basis): row for row in connection.execute(query)}
            for saving in savings:
                values = _saving_values(saving, now)
                row = booked.get((values["action_id"], values["period_start"], values["basis"]))
                if row is not None and (
                    abs(row.amount - saving.amount) <= 0.005 and row.period_end == values["period_end"]
                ):
                    continue
                changed += 1
                if dry_run:
                    continue
                if row is None:
                    connection.execute(sa.insert(table).values(values))
                else:
                    connection.execute(sa.update(table).where(table.c.seq == row.seq).values(values))
        return changed

    def runs(self, *, limit: int = 50) -> list[dict[str, t.Any]]:
        """Runs, newest first: id, kind, operator, host, process, started_at, ended_at, outcome."""
        sa, runs = deps.sqlalchemy, tables().runs
        query = sa.select(runs).order_by(runs.c.started_at.desc(), runs.c.id).limit(limit)
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _ids(values: Sequence[str]) -> Sequence[str]:
    if len(values) > MAXIMUM_IDS:
        raise LedgerError(f"{len(values)} actions were named; name at most {MAXIMUM_IDS}, or their plan")
    return values


def _undecidable(status: Status, reason: str, why: str, decision: str, *, named: bool) -> str | None:
    """Why an action takes no such decision now, or None when it does."""
    if status in ("proposed", "approved") or (status == "expired" and reason != "superseded"):
        return None
    if decision == "approved" and named and (status == "rejected" or reason == "held_back"):
        return None
    if decision == "rejected" and status == "skipped" and reason == "held_back":
        return None if named else "it is held back"
    if status == "skipped":
        return f"the policy refuses it: {why}"
    return f"it is {status}" + (f": {why}" if why else "")


def _standing(decisions: Sequence[Approval], now: datetime.datetime) -> dict[str, Approval]:
    """The latest decision of each approver that is still valid."""
    latest = {approval.approver: approval for approval in decisions}
    return {name: item for name, item in latest.items() if item.expires_at is None or item.expires_at > now}


def _after(
    standing: Mapping[str, Approval], decision: str, approver: str, comment: str, needed: int
) -> tuple[Status, datetime.datetime | None, str]:
    """Status, end of the approval and a sentence, once ``standing`` decisions are counted."""
    said = f"{approver}: {comment}" if comment else approver
    if decision == "rejected":
        return "rejected", None, f"rejected by {said}"
    objections = [name for name, item in standing.items() if item.decision == "rejected"]
    if objections:
        return "rejected", None, f"rejected by {', '.join(objections)}, approved by {said}"
    ends = sorted((item.expires_at for item in standing.values() if item.expires_at), reverse=True)
    names = ", ".join(standing)
    if len(ends) < max(1, needed):
        return "proposed", None, f"{len(ends)} of {needed} approvals: {names}"
    return "approved", ends[max(1, needed) - 1], f"approved by {names}" + (f": {comment}" if comment else "")


def _action_values(action: PlannedAction, scope: str, now: datetime.datetime) -> dict[str, t.Any]:
    recommendation = action.recommendation
    record = recommendation.to_dict()
    return {
        "id": action.id,
        "plan_id": action.plan_id,
        "scope": scope,
        "recommendation_id": record["id"],
        "change_key": change_key(recommendation),
        "resource_id": recommendation.resource.id,
        "kind": recommendation.action,
        "rank": action.rank,
        "status": action.status,
        "reason": action.reason,
        "why": action.why,
        "rule": action.rule,
        "approvers_needed": action.approvers_needed,
        "approver_group": action.approver_group,
        "valid_days": action.valid_days,
        "approved_until": iso(action.approved_until) if action.approved_until else None,
        "saving": recommendation.monthly.saving,
        "currency": recommendation.monthly.currency,
        "updated_at": iso(now),
        "record": zlib.compress(json.dumps(record, separators=(",", ":")).encode(), 1),
    }


def _approval_values(approval: Approval) -> dict[str, t.Any]:
    return {
        "action_id": approval.action_id,
        "digest": approval.digest,
        "approver": approval.approver,
        "decision": approval.decision,
        "comment": approval.comment,
        "at": iso(approval.at),
        "expires_at": iso(approval.expires_at) if approval.expires_at else None,
    }


def _journal_values(entry: JournalEntry) -> dict[str, t.Any]:
    return {
        "action_id": entry.action_id,
        "run_id": entry.run_id,
        "at": iso(entry.at),
        "direction": entry.direction,
        "phase": entry.phase,
        "step": entry.step,
        "result": entry.result,
        "detail": canonical_json(dict(entry.detail)),
    }


def _saving_values(saving: Saving, now: datetime.datetime) -> dict[str, t.Any]:
    return {
        "action_id": saving.action_id,
        "kind": saving.kind,
        "period_start": iso(saving.period_start),
        "period_end": iso(saving.period_end) if saving.period_end else None,
        "amount": saving.amount,
        "currency": saving.currency,
        "basis": saving.basis,
        "source": saving.source,
        "recorded_at": iso(now),
    }


def _projected(action: PlannedAction, now: datetime.datetime) -> Saving:
    monthly = action.recommendation.monthly
    source = str(action.recommendation.evidence.get("price_source", ""))
    return Saving(action.id, "projected", now, None, monthly.saving, monthly.currency, "list", source)


def _moment(text: str | None) -> datetime.datetime | None:
    return from_iso(text) if text else None


def _plan(row: t.Any) -> Plan:
    return Plan(
        row.id,
        row.scope,
        row.digest,
        Policy.from_dict(json.loads(row.policy), f"policy of {row.id}"),
        from_iso(row.created_at),
        row.status,
        row.superseded_by,
        context=json.loads(row.context),
    )


def _action(row: t.Any) -> PlannedAction:
    goal: Goal = row.goal
    return PlannedAction(
        id=row.id,
        plan_id=row.plan_id,
        rank=row.rank,
        recommendation=Recommendation.from_dict(json.loads(zlib.decompress(row.record))),
        status=row.status,
        reason=row.reason,
        why=row.why,
        rule=row.rule,
        approvers_needed=row.approvers_needed,
        approver_group=row.approver_group,
        valid_days=row.valid_days,
        approved_until=_moment(row.approved_until),
        goal=goal,
        previous_status=row.previous_status or None,
        run_id=row.run_id,
        applied_at=_moment(row.applied_at),
        updated_at=_moment(row.updated_at),
    )


def _approval(row: t.Any) -> Approval:
    return Approval(
        row.action_id, row.digest, row.approver, row.decision, from_iso(row.at), _moment(row.expires_at), row.comment
    )


def _saving(row: t.Any) -> Saving:
    return Saving(
        row.action_id,
        row.kind,
        from_iso(row.period_start),
        _moment(row.period_end),
        row.amount,
        row.currency,
        row.basis,
        row.source,
    )
