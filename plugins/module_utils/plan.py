# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: what a policy made of the recommendations for one scope.

Making a plan is a pure function (:func:`assemble`) of the recommendations, the policy, the
open plan and what happened to the same proposals before; the ledger stores its answer.

The digest covers what is decided: scope, every recommendation's ``decided()`` and the
policy. The same digest again changes nothing and approvals stand. Another digest for the
same scope replaces the open plan: its actions that nobody began expire.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.policy import Judgement, Policy
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation, canonical_json

Status = t.Literal[
    "proposed",
    "approved",
    "rejected",
    "expired",
    "applying",
    "applied",
    "verified",
    "rolled_back",
    "failed",
    "skipped",
]
STATUSES: tuple[Status, ...] = t.get_args(Status)
#: What an action in flight is walking towards: the proposed state, or back to the old one
#: because a step failed (restore) or because somebody asked for it (rollback).
Goal = t.Literal["apply", "restore", "rollback"]
#: Statuses of actions that nobody has begun: they expire when another plan takes over.
NOT_BEGUN: tuple[Status, ...] = ("proposed", "approved")


class PlanError(ValueError):
    """Something cannot be done with this plan; the text is one sentence."""


@dataclasses.dataclass(frozen=True, slots=True)
class Approval:
    """One decision of one person (or of the policy) about one action of one plan digest."""

    action_id: str
    digest: str
    approver: str
    decision: t.Literal["approved", "rejected"]
    at: datetime.datetime
    expires_at: datetime.datetime | None = None
    comment: str = ""

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data for module results."""
        return {
            "approver": self.approver,
            "decision": self.decision,
            "at": iso(self.at),
            "expires_at": iso(self.expires_at) if self.expires_at else None,
            "comment": self.comment,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedAction:
    """One recommendation within a plan, with what became of it.

    ``reason`` is a word for machines, ``why`` a sentence for people. ``rank`` counts from 1
    (saves most). ``approvers_needed`` people of ``approver_group`` (anyone if empty) must
    agree, each for at most ``valid_days``; ``approved_until`` is when their approval ends.
    """

    id: str
    plan_id: str
    rank: int
    recommendation: Recommendation
    status: Status
    reason: str = ""
    why: str = ""
    rule: str = ""
    approvers_needed: int = 1
    approver_group: str = ""
    valid_days: float = 7.0
    approved_until: datetime.datetime | None = None
    goal: Goal = "apply"
    previous_status: Status | None = None
    run_id: str = ""
    applied_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None

    @property
    def direction(self) -> t.Literal["apply", "revert"]:
        """Which way the action is walking."""
        return "apply" if self.goal == "apply" else "revert"

    def to_dict(self, approvals: Sequence[Approval] = ()) -> dict[str, t.Any]:
        """Plain data for module results and exports; the recommendation's keys are nested."""
        return {
            "id": self.id,
            "plan": self.plan_id,
            "rank": self.rank,
            "status": self.status,
            "reason": self.reason,
            "why": self.why,
            "rule": self.rule,
            "approvers_needed": self.approvers_needed,
            "approver_group": self.approver_group,
            "approved_until": iso(self.approved_until) if self.approved_until else None,
            "applied_at": iso(self.applied_at) if self.applied_at else None,
            "updated_at": iso(self.updated_at) if self.updated_at else None,
            "approvals": [approval.to_dict() for approval in approvals],
            "recommendation": self.recommendation.to_dict(),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Totals:
    """Counts and money (currency/month) of a set of actions, each by status."""

    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    savings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    currency: str = "USD"

    @property
    def actions(self) -> int:
        """How many actions there are."""
        return sum(self.counts.values())

    def saving(self, *statuses: str) -> float:
        """Monthly saving of the actions in ``statuses`` (currency/month)."""
        return sum(self.savings.get(status, 0.0) for status in statuses)

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data: ``actions``, ``by_status`` and money in ``currency`` per month."""
        return {
            "actions": self.actions,
            "by_status": dict(self.counts),
            "monthly_saving": round(self.saving("proposed", "approved", "applying", "applied", "verified"), 2),
            "monthly_saving_by_status": {status: round(value, 2) for status, value in self.savings.items()},
            "currency": self.currency,
        }

    @classmethod
    def of(cls, actions: Iterable[PlannedAction]) -> Totals:
        """Totals of ``actions``."""
        counts: dict[str, int] = {}
        savings: dict[str, float] = {}
        currency = "USD"
        for action in actions:
            monthly = action.recommendation.monthly
            counts[action.status] = counts.get(action.status, 0) + 1
            savings[action.status] = savings.get(action.status, 0.0) + monthly.saving
            currency = monthly.currency
        return cls(counts, savings, currency)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A plan for one scope. ``open`` until another one supersedes it. Actions by rank.

    Listings leave ``actions`` empty: they are read page by page. ``context`` is what was known
    about the whole scope when the plan was made (its cost, for one); nothing is decided by it.
    """

    id: str
    scope: str
    digest: str
    policy: Policy
    created_at: datetime.datetime
    status: t.Literal["open", "superseded"] = "open"
    superseded_by: str = ""
    actions: tuple[PlannedAction, ...] = ()
    context: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data without the actions."""
        return {
            "id": self.id,
            "scope": self.scope,
            "digest": self.digest,
            "policy_digest": self.policy.digest,
            "status": self.status,
            "superseded_by": self.superseded_by,
            "created_at": iso(self.created_at),
            "context": dict(self.context),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Past:
    """What became of an earlier action with the same change of the same resource."""

    plan_id: str
    status: Status
    at: datetime.datetime
    reason: str = ""
    why: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class OpenAction:
    """What :func:`assemble` needs to know about an action of the open plan.

    ``begun``: its journal has a result, so it cannot be proposed again under the same id.
    """

    id: str
    recommendation_id: str
    status: Status
    reason: str
    begun: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PlanChange:
    """What making a plan would change.

    ``plan`` is the plan that is open afterwards. ``kind``: unchanged (nothing to store),
    renewed (some actions that had expired or were held back are open again: ``renewed``),
    or new (``superseded`` is then the plan that it replaces, ``expired`` how many actions
    of that one expire).
    """

    kind: t.Literal["unchanged", "renewed", "new"]
    plan: Plan
    superseded: str = ""
    expired: int = 0
    renewed: tuple[PlannedAction, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to store."""
        return self.kind != "unchanged"


def change_key(recommendation: Recommendation) -> str:
    """Identifies the change itself: the same resource from the same to the same state."""
    text = canonical_json([recommendation.id, dict(recommendation.current), dict(recommendation.proposed)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def plan_digest(scope: str, recommendations: Iterable[Recommendation], policy: Policy) -> str:
    """SHA-256 (hexadecimal) over what is decided; the order of ``recommendations`` does not matter."""
    decided = sorted((recommendation.decided() for recommendation in recommendations), key=lambda item: str(item["id"]))
    text = canonical_json({"scope": scope, "recommendations": decided, "policy": policy.digest})
    return hashlib.sha256(text.encode()).hexdigest()


def ranked(recommendations: Iterable[Recommendation]) -> list[Recommendation]:
    """By saving (most first), then risk (least first), then id."""
    return sorted(recommendations, key=lambda item: (-item.monthly.saving, item.risk.total, item.id))


def held_back(past: Past, policy: Policy, now: datetime.datetime) -> tuple[Status, str, str] | None:
    """Why an identical proposal is not made again yet: (status, reason, sentence), or None.

    Repeating what was undone, refused or rejected would start a quarrel between the machine
    and the people; so it is held back for ``retry_after_days``, and for
    ``retry_failed_after_days`` after a failure (a lack of capacity passes sooner). A change
    that was applied and is proposed again was turned back by somebody outside of this
    collection: that is held back, too. A drifted resource is not: it is a new situation.
    """
    if past.status == "applying":
        return "skipped", "in_flight", f"plan {past.plan_id} is changing it right now"
    if past.status == "skipped" and past.reason == "drifted":
        return None
    days = policy.retry_failed_after_days if past.status == "failed" else policy.retry_after_days
    until = past.at + datetime.timedelta(days=days)
    if now >= until:
        return None
    what = {
        "applied": "applied and since turned back by somebody else",
        "verified": "applied, verified and since turned back by somebody else",
        "rolled_back": "rolled back",
        "rejected": "rejected",
        "failed": "tried without success",
        "skipped": "refused",
    }[past.status]
    detail = f" ({past.why})" if past.why else ""
    sentence = f"the same change was {what} on {past.at:%Y-%m-%d}{detail}; not proposed again before {until:%Y-%m-%d}"
    return ("rejected" if past.status == "rejected" else "skipped"), "held_back", sentence


def assemble(
    scope: str,
    recommendations: Sequence[Recommendation],
    policy: Policy,
    now: datetime.datetime,
    *,
    open_plan: Plan | None = None,
    open_actions: Sequence[OpenAction] = (),
    history: Mapping[str, Past] | None = None,
    taken_ids: Iterable[str] = (),
    context: Mapping[str, t.Any] | None = None,
) -> PlanChange:
    """Judge ``recommendations`` and say what changes. Pure.

    :param scope: ``Scope.key`` that all recommendations must have.
    :param open_plan: the open plan of the scope, with ``open_actions`` saying how far it is.
    :param history: :func:`change_key` -> what became of the latest earlier action with it.
    :param taken_ids: ids of all plans, so that a digest that comes back gets a new id.
    :raises PlanError: when a recommendation belongs to another scope or comes twice.
    """
    seen: set[str] = set()
    for recommendation in recommendations:
        if recommendation.scope.key != scope:
            raise PlanError(
                f"{recommendation.resource.id} belongs to scope {recommendation.scope.key!r}; "
                f"a plan for {scope!r} takes only its own resources"
            )
        identity = recommendation.id
        if identity in seen:
            raise PlanError(
                f"{recommendation.resource.id} has two recommendations for {recommendation.action}; give each only once"
            )
        seen.add(identity)
    digest = plan_digest(scope, recommendations, policy)
    plan_id = _free_id(f"plan-{digest[:12]}", set(taken_ids))
    same = open_plan is not None and open_plan.digest == digest
    if open_plan is not None and same:
        plan_id = open_plan.id
    order = ranked(recommendations)
    actions = [
        _planned(plan_id, rank, recommendation, judgement, policy, now, _past(recommendation, history))
        for rank, (recommendation, judgement) in enumerate(zip(order, policy.judge(order)), 1)
    ]
    if open_plan is not None and same:
        stored = {action.recommendation_id: action for action in open_actions}
        back = [
            action
            for action in actions
            if action.status in NOT_BEGUN
            and (old := stored[action.recommendation.id]).status not in (*NOT_BEGUN, "applying")
            and not (old.status == "rejected" and not old.reason)
        ]
        if not back:
            return PlanChange("unchanged", open_plan)
        if not any(stored[action.recommendation.id].begun for action in back):
            return PlanChange("renewed", open_plan, renewed=tuple(back))
        plan_id = _free_id(f"plan-{digest[:12]}", {*taken_ids, open_plan.id})
        actions = [
            dataclasses.replace(action, id=action_id(plan_id, action.recommendation), plan_id=plan_id)
            for action in actions
        ]
    plan = Plan(plan_id, scope, digest, policy, now, actions=tuple(actions), context=context or {})
    expired = sum(action.status in NOT_BEGUN for action in open_actions)
    return PlanChange("new", plan, open_plan.id if open_plan else "", expired)


def _past(recommendation: Recommendation, history: Mapping[str, Past] | None) -> Past | None:
    """What became of the same change before; nothing is hashed where there is no past at all."""
    return history.get(change_key(recommendation)) if history else None


def action_id(plan_id: str, recommendation: Recommendation) -> str:
    """Stable within a plan: a hash of the plan's and the recommendation's id."""
    return "act-" + hashlib.sha256(f"{plan_id}\0{recommendation.id}".encode()).hexdigest()[:20]


def _planned(
    plan_id: str,
    rank: int,
    recommendation: Recommendation,
    judgement: Judgement,
    policy: Policy,
    now: datetime.datetime,
    past: Past | None,
) -> PlannedAction:
    status: Status = judgement.status
    reason, why = judgement.reason, judgement.why
    if status != "skipped" and past is not None:
        held = held_back(past, policy, now)
        if held:
            status, reason, why = held
    rule = judgement.rule
    return PlannedAction(
        id=action_id(plan_id, recommendation),
        plan_id=plan_id,
        rank=rank,
        recommendation=recommendation,
        status=status,
        reason=reason,
        why=why,
        rule=rule.name,
        approvers_needed=0 if rule.automatic else rule.approvers,
        approver_group=rule.group,
        valid_days=rule.valid_days,
        approved_until=now + datetime.timedelta(days=rule.valid_days) if status == "approved" else None,
        updated_at=now,
    )


def _free_id(wanted: str, taken: set[str]) -> str:
    """``wanted``, or ``wanted-2``, ``wanted-3``, ... when it is taken."""
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}"


def iso(moment: datetime.datetime) -> str:
    """``2026-01-02T03:04:05.000006Z``: UTC, of fixed width, so that texts sort as times do."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_iso(text: str) -> datetime.datetime:
    """The moment that :func:`iso` wrote (aware, UTC).

    :raises ValueError: when ``text`` is not a time; a text without an offset is UTC.
    """
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.astimezone(datetime.timezone.utc) if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
