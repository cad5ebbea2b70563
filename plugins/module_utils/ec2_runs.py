# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs over one account and region: apply, verify and roll back what the ledger holds for it."""

from __future__ import annotations

import datetime
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.registry import ec2_actors
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.ec2_verification import (
    Due,
    due,
    policies_of,
    told,
    verify,
)
from ansible_collections.frugal.cloud.plugins.module_utils.executor import Executor, RunResult, utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection, VerificationResult
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import LEDGER_OPTIONS, ledger_url, moment
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction, Status
from ansible_collections.frugal.cloud.plugins.module_utils.policy import load_policy
from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Scope
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
#: Actions read from the ledger at a time.
_PAGE = 500


def clock_from(as_of: datetime.datetime | None) -> Callable[[], datetime.datetime]:
    """The time now; with ``as_of``, a clock that starts there and runs on."""
    if as_of is None:
        return utc_now
    began = time.monotonic()
    return lambda: as_of + datetime.timedelta(seconds=time.monotonic() - began)


def _selection(aws: Aws, params: Mapping[str, t.Any], statuses: tuple[Status, ...] = ()) -> Selection:
    return Selection(
        scopes=(Scope(aws.account, aws.region).key,),
        plan_ids=(params["plan"],) if params["plan"] else (),
        action_ids=tuple(params["actions"]),
        statuses=statuses,
    )


def _executor(
    aws: Aws,
    ledger: Ledger,
    params: Mapping[str, t.Any],
    now: Callable[[], datetime.datetime],
    gate: SloGate | None = None,
) -> Executor:
    return Executor(
        ledger,
        ec2_actors(aws, params["wait_sleep"]),
        policy=load_policy(params["policy"]) if params.get("policy") else None,
        max_in_flight=params["max_in_flight"],
        max_failures=params.get("max_failures"),
        max_actions=params.get("max_actions"),
        wait_timeout=params["wait_timeout"],
        gate=gate.hold if gate else None,
        progress=Progress.from_environment(),
        now=now,
    )


def answer_of(aws: Aws, run: RunResult, limit: int) -> dict[str, t.Any]:
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
    result["scope"] = Scope(aws.account, aws.region).key
    result["diff"] = {
        "before": {outcome.resource: dict(outcome.current) for outcome in changed[:limit]},
        "after": {outcome.resource: dict(outcome.proposed) for outcome in changed[:limit]},
    }
    result["api"] = aws.account_of_calls()
    return result


def apply_actions(aws: Aws, params: Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Carry out approved actions, or say what would be carried out."""
    now = clock_from(moment(params["as_of"], "as_of"))
    with Ledger.open(ledger_url(params["ledger_url"]), read_only=check_mode) as ledger:
        executor = _executor(aws, ledger, params, now, SloGate.from_options(params["slo_prometheus"], now))
        selection = _selection(aws, params)
        run = executor.predict(selection) if check_mode else executor.apply(selection)
        return answer_of(aws, run, params["limit"])


def roll_back_actions(aws: Aws, params: Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Take actions back from the journal, or say which would be taken back."""
    now = clock_from(moment(params["as_of"], "as_of"))
    with Ledger.open(ledger_url(params["ledger_url"]), read_only=check_mode) as ledger:
        executor = _executor(aws, ledger, params, now)
        selection = _selection(aws, params)
        run = executor.predict(selection, rollback=True) if check_mode else executor.rollback(selection)
        answer = answer_of(aws, run, params["limit"])
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


def verify_actions(aws: Aws, params: Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Verify applied actions whose soak time is over; roll back what fails where its policy says so."""
    now = clock_from(moment(params["as_of"], "as_of"))
    progress = Progress.from_environment()
    with Ledger.open(ledger_url(params["ledger_url"]), read_only=check_mode) as ledger:
        executor = _executor(aws, ledger, params, now)
        kinds = ec2_actors(aws).kinds
        actions = [
            a for a in _applied(ledger, _selection(aws, params, ("applied",))) if a.recommendation.action in kinds
        ]
        plans = sorted({action.plan_id for action in actions})
        policies = policies_of((plan_id, ledger.plan(plan_id).policy) for plan_id in plans)
        split = due(actions, policies, now())
        progress.line(f"verify: {len(split.ready)} applied actions, {len(split.waiting)} still soaking")
        begun = _begun(ledger, actions)
        watched = SloGate.from_options(params["slo_prometheus"], now).watch(actions, policies, begun)
        results = verify(aws, split.ready, policies, now(), begun, watched.checks)
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
        left = [a.id for a in ledger.abandoned(_selection(aws, params), None, now()) if a.goal != "apply"]
        if back or left:
            selection = Selection(action_ids=(*(action.id for action in back), *left))
            run = executor.predict(selection, rollback=True) if check_mode else executor.rollback(selection)
        answer = answer_of(aws, run, params["limit"])
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


def _verifications(results: Mapping[str, VerificationResult], limit: int) -> dict[str, dict[str, t.Any]]:
    """Failed ones first, at most ``limit``."""
    order = sorted(results, key=lambda identity: results[identity].passed)
    return {identity: {"passed": results[identity].passed, "why": results[identity].why} for identity in order[:limit]}
