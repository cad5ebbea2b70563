# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs over one scope: apply, verify and roll back what the ledger holds for it.

Knows neither clouds nor hosts: a :class:`Target` brings what carries out actions, and what
checks them afterwards.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check, verdict
from ansible_collections.frugal.cloud.plugins.module_utils.executor import Actor, Executor, RunResult, utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection, VerificationResult
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import LEDGER_OPTIONS, ledger_url, moment
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction, Status
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy, load_policy
from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress
from ansible_collections.frugal.cloud.plugins.module_utils.slo_gate import SloGate, Watched

#: Options that every run has; documented by each module.
RUN_OPTIONS: dict[str, dict[str, t.Any]] = {
    **LEDGER_OPTIONS,
    "plan": {"type": "str"},
    "actions": {"type": "list", "elements": "str", "default": []},
    "policy": {"type": "raw"},
    "max_in_flight": {"type": "int", "default": 20},
    "wait_timeout": {"type": "int", "default": 900},
    "wait_sleep": {"type": "float", "default": 5.0},
    "as_of": {"type": "str"},
    "limit": {"type": "int", "default": 50},
}
#: Limits of a run that applies; documented by each module.
LIMIT_OPTIONS: dict[str, dict[str, t.Any]] = {
    "max_failures": {"type": "int"},
    "max_actions": {"type": "int"},
}
#: Actions read from the ledger at a time.
_PAGE = 500

#: Actions, policies by plan id, now, when the first step of each was taken by id -> checks by action id.
Checker: t.TypeAlias = (
    "Callable[[Sequence[PlannedAction], Mapping[str, Policy], datetime.datetime, Mapping[str, datetime.datetime]], "
    "Mapping[str, Sequence[Check]]]"
)


@dataclasses.dataclass(frozen=True)
class Target:
    """One scope that a run works on.

    :param scope: key of the scope, as the ledger has it.
    :param actor: carries out the actions.
    :param checks: looks at applied actions whose soak time is over.
    :param account: what the run has cost: requests sent and the like, for the result.
    :param accept: raises PolicyError when the verification of a policy cannot be done here.
    """

    scope: str
    actor: Actor
    checks: Checker
    account: Callable[[], dict[str, t.Any]]
    accept: Callable[[Policy], None] = lambda policy: None


@dataclasses.dataclass(frozen=True, slots=True)
class Due:
    """Applied actions whose soak time is over, and those that still have to wait (id -> until)."""

    ready: Sequence[PlannedAction]
    waiting: Mapping[str, datetime.datetime]


def due(actions: Sequence[PlannedAction], policies: Mapping[str, Policy], now: datetime.datetime) -> Due:
    """Which applied actions can be verified ``now``; ``policies`` by plan id."""
    ready: list[PlannedAction] = []
    waiting: dict[str, datetime.datetime] = {}
    for action in actions:
        soak = datetime.timedelta(hours=policies[action.plan_id].verification.soak_hours)
        until = (action.applied_at or now) + soak
        if until <= now:
            ready.append(action)
        else:
            waiting[action.id] = until
    return Due(ready, waiting)


def told(checks: Sequence[Check]) -> str:
    """What checks found, as one line."""
    return "; ".join(f"{check.name}: {check.detail}" for check in checks)


def results_of(checks: Mapping[str, Sequence[Check]]) -> dict[str, VerificationResult]:
    """What the checks of each action prove, by its id; what could not be read at all is no proof and not in it."""
    results: dict[str, VerificationResult] = {}
    for identity, found in checks.items():
        outcome = verdict(found)
        if outcome != "no_data":
            why = told([check for check in found if outcome == "passed" or check.outcome == "failed"])
            detail = {"checks": [check.to_dict() for check in found]}
            results[identity] = VerificationResult(outcome == "passed", why, detail)
    return results


def clock_from(as_of: datetime.datetime | None) -> Callable[[], datetime.datetime]:
    """The time now; with ``as_of``, a clock that starts there and runs on."""
    if as_of is None:
        return utc_now
    began = time.monotonic()
    return lambda: as_of + datetime.timedelta(seconds=time.monotonic() - began)


def _selection(target: Target, params: Mapping[str, t.Any], statuses: tuple[Status, ...] = ()) -> Selection:
    return Selection(
        scopes=(target.scope,),
        plan_ids=(params["plan"],) if params["plan"] else (),
        action_ids=tuple(params["actions"]),
        statuses=statuses,
    )


def _executor(
    target: Target,
    ledger: Ledger,
    params: Mapping[str, t.Any],
    now: Callable[[], datetime.datetime],
    gate: SloGate | None = None,
) -> Executor:
    return Executor(
        ledger,
        target.actor,
        policy=load_policy(params["policy"]) if params.get("policy") else None,
        max_in_flight=params["max_in_flight"],
        max_failures=params.get("max_failures"),
        max_actions=params.get("max_actions"),
        wait_timeout=params["wait_timeout"],
        gate=gate.hold if gate else None,
        progress=Progress.from_environment(),
        now=now,
    )


def answer_of(target: Target, run: RunResult, limit: int) -> dict[str, t.Any]:
    """The result of a run. What failed, or could not be rolled back, is a failure of the run, with a ``message``."""
    result = run.to_dict(limit)
    failed = [o for o in run.outcomes if o.status == "failed" or o.reason == "not_rolled_back"]
    changed = [outcome for outcome in run.outcomes if outcome.changed]
    result["failed_actions"] = len(failed) + bool(run.interrupted)
    if failed or run.interrupted:
        first = f"{failed[0].resource}: {failed[0].why}" if failed else ""
        told = [f"{len(failed)} of {len(run.outcomes)} actions failed, the first is {first}"] if failed else []
        result["message"] = "; ".join([*told, *([run.interrupted] if run.interrupted else [])])
    result["changed"] = run.changed
    result["scope"] = target.scope
    result["diff"] = {
        "before": {outcome.resource: dict(outcome.current) for outcome in changed[:limit]},
        "after": {outcome.resource: dict(outcome.proposed) for outcome in changed[:limit]},
    }
    result.update(target.account())
    return result


def apply_actions(target: Target, params: Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Carry out approved actions, or say what would be carried out."""
    now = clock_from(moment(params["as_of"], "as_of"))
    with Ledger.open(ledger_url(params["ledger_url"]), read_only=check_mode) as ledger:
        executor = _executor(target, ledger, params, now, SloGate.from_options(params["slo_prometheus"], now))
        selection = _selection(target, params)
        run = executor.predict(selection) if check_mode else executor.apply(selection)
        return answer_of(target, run, params["limit"])


def roll_back_actions(target: Target, params: Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Take actions back from the journal, or say which would be taken back."""
    now = clock_from(moment(params["as_of"], "as_of"))
    with Ledger.open(ledger_url(params["ledger_url"]), read_only=check_mode) as ledger:
        executor = _executor(target, ledger, params, now)
        selection = _selection(target, params)
        run = executor.predict(selection, rollback=True) if check_mode else executor.rollback(selection)
        answer = answer_of(target, run, params["limit"])
        answer["diff"] = {"before": answer["diff"]["after"], "after": answer["diff"]["before"]}
        undone = run.having("rolled_back")
        answer["monthly_saving"] = 0.0
        answer["monthly_saving_undone"] = round(sum(outcome.monthly_saving for outcome in undone), 2)
        return answer


def _begun(ledger: Ledger, actions: Sequence[PlannedAction]) -> dict[str, datetime.datetime]:
    """When the first step of each action was taken, by its id."""
    return {
        identity: entries[0].at
        for identity, journal in ledger.journal([action.id for action in actions]).items()
        if (entries := [entry for entry in journal if entry.phase == "intent"])
    }


def _is_news(action: PlannedAction, result: VerificationResult | None) -> bool:
    """Whether recording ``result`` changes the ledger: the same failure again does not."""
    if result is None:
        return False
    return result.passed or (action.reason, action.why) != ("verification_failed", result.why)


def _applied(ledger: Ledger, selection: Selection) -> list[PlannedAction]:
    found: list[PlannedAction] = []
    while True:
        page = ledger.actions(selection, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found


def verify_actions(target: Target, params: Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Verify applied actions whose soak time is over; roll back what fails where its policy says so."""
    now = clock_from(moment(params["as_of"], "as_of"))
    progress = Progress.from_environment()
    with Ledger.open(ledger_url(params["ledger_url"]), read_only=check_mode) as ledger:
        executor = _executor(target, ledger, params, now)
        kinds = target.actor.kinds
        actions = [
            a for a in _applied(ledger, _selection(target, params, ("applied",))) if a.recommendation.action in kinds
        ]
        plans = sorted({action.plan_id for action in actions})
        policies = {plan_id: ledger.plan(plan_id).policy for plan_id in plans}
        for policy in policies.values():
            target.accept(policy)
        split = due(actions, policies, now())
        progress.line(f"verify: {len(split.ready)} applied actions, {len(split.waiting)} still soaking")
        begun = _begun(ledger, actions)
        watched = SloGate.from_options(params["slo_prometheus"], now).watch(actions, policies, begun)
        results = results_of(_all_checks(target, split.ready, policies, now(), begun, watched))
        ready, waiting = with_watch(actions, split, results, watched)
        failed = [action for action in ready if action.id in results and not results[action.id].passed]
        back = [action for action in failed if policies[action.plan_id].verification.rollback == "automatic"]
        recorded: Sequence[str] = [action.id for action in ready if _is_news(action, results.get(action.id))]
        if not check_mode:
            recorded = ledger.record_verifications(results, now())
        run = RunResult()
        if back:
            progress.line(f"verify: {len(failed)} actions failed, {len(back)} are rolled back")
        # What a killed run left on its way back is finished, too; its half-done changes are the next apply's.
        left = [a.id for a in ledger.abandoned(_selection(target, params), None, now()) if a.goal != "apply"]
        if back or left:
            selection = Selection(action_ids=(*(action.id for action in back), *left))
            run = executor.predict(selection, rollback=True) if check_mode else executor.rollback(selection)
        answer = answer_of(target, run, params["limit"])
        answer["changed"] = bool(recorded) or run.changed
        answer["verifications"] = _verifications(results, params["limit"])
        answer["by_status"] = {
            "verified": sum(result.passed for result in results.values()),
            "rolled_back": len(run.having("rolled_back")),
            "applied": len({action.id for action in failed} - {outcome.id for outcome in run.having("rolled_back")}),
        }
        answer["monthly_saving"] = round(
            sum(
                action.recommendation.monthly.saving
                for action in ready
                if action.id in results and results[action.id].passed
            ),
            2,
        )
        answer["deferred_count"] = len(waiting)
        answer["deferred"] = [
            {"id": identity, "why": why} for identity, why in list(waiting.items())[: params["limit"]]
        ]
        return answer


def with_watch(
    actions: Sequence[PlannedAction], split: Due, results: dict[str, VerificationResult], watched: Watched
) -> tuple[list[PlannedAction], dict[str, str]]:
    """The actions whose verification ends now, and why the others wait, by id.

    A budget that burns fast does not wait for the end of the soak: ``results`` gets the
    failure. What passed, but whose SLO nobody can read, is taken out of ``results`` again.
    """
    waiting = {identity: f"soaks until {until:%Y-%m-%d %H:%M} UTC" for identity, until in split.waiting.items()}
    for identity in split.waiting:
        hurt = watched.failed(identity)
        if hurt:
            detail = {"checks": [check.to_dict() for check in watched.checks[identity]]}
            results[identity] = VerificationResult(False, told(hurt), detail)
            del waiting[identity]
    for identity, why in watched.waits.items():
        if identity not in waiting and (identity not in results or results[identity].passed):
            results.pop(identity, None)
            waiting[identity] = why
    return [action for action in actions if action.id not in waiting], waiting


def _all_checks(
    target: Target,
    ready: Sequence[PlannedAction],
    policies: Mapping[str, Policy],
    now: datetime.datetime,
    begun: Mapping[str, datetime.datetime],
    watched: Watched,
) -> dict[str, list[Check]]:
    """The target's own checks of what is ready, and those of the SLOs."""
    found = target.checks(ready, policies, now, begun) if ready else {}
    return {action.id: [*found.get(action.id, ()), *watched.checks.get(action.id, ())] for action in ready}


def _verifications(results: Mapping[str, VerificationResult], limit: int) -> dict[str, dict[str, t.Any]]:
    """Failed ones first, at most ``limit``."""
    order = sorted(results, key=lambda identity: results[identity].passed)
    return {identity: {"passed": results[identity].passed, "why": results[identity].why} for identity in order[:limit]}
