# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies approved actions in batches, and takes them back: the same machine in both directions.

Decisions come from the state of the resources as it is now, read again before every step,
never from what an earlier call answered. So a killed run is resumed by reading, a call of
unknown effect is settled by reading, and no step that took effect is repeated. What was
meant and what came of it is journaled around every step, one transaction a batch.

A provider brings an :class:`Actor`; nothing here knows a cloud.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.ledger import (
    Direction,
    Final,
    JournalEntry,
    Ledger,
    Run,
    Selection,
)
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlanError, PlannedAction, Status
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress, duration

#: Longest pause between two tries of a step or a read, in seconds.
LONGEST_PAUSE = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Observed:
    """A resource as it is now. ``state`` is the actor's own; tags and manager, where it read
    them, are held against the policy again."""

    state: Mapping[str, t.Any]
    tags: Mapping[str, str] | None = None
    managed_by: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Perform:
    """Do ``step`` now. ``detail`` (plain data) is journaled first: what is needed to undo it."""

    step: str
    detail: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Something is under way: look again in ``seconds``."""

    seconds: float
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """The resource is in the state that the direction leads to. ``detail`` goes into the result."""

    detail: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Drifted:
    """The resource is in neither the old nor the proposed state: somebody else changed it."""

    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """It must not be changed this way (protected, managed, impossible now): ``reason`` is one word."""

    why: str
    reason: str = "refused"


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """It does not work. What was begun is taken back."""

    why: str


Decision: t.TypeAlias = "Perform | Wait | Done | Drifted | Refused | Failed"


@dataclasses.dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of one step of one action.

    ok: it took effect, or is under way. failed: it did not and trying again is useless (no
    capacity, not allowed): the action goes back to its old state. retry: it did not this
    time. unknown: nobody can tell; reading decides. ``seconds`` before the next look.
    """

    result: t.Literal["ok", "failed", "retry", "unknown"] = "ok"
    why: str = ""
    seconds: float = 0.0
    detail: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


class Actor(t.Protocol):
    """What a provider brings. All calls are batches: one for all actions."""

    #: Kinds of actions (``Recommendation.action``) that it can do.
    kinds: tuple[str, ...]

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Observed]:
        """The state of each action's resource now, by action id; what does not exist is absent."""

    def decide(
        self,
        action: PlannedAction,
        observed: Observed | None,
        direction: Direction,
        journal: Sequence[JournalEntry],
    ) -> Decision:
        """What comes next for ``action``. Pure: it depends on nothing else.

        An intent without outcome at the end of ``journal`` may have taken effect just now.
        """

    def perform(self, step: str, actions: Sequence[PlannedAction]) -> Mapping[str, StepOutcome]:
        """Do ``step`` for all ``actions`` (``action.direction`` tells which way each walks).

        A raised exception, or a missing outcome, means: effect unknown.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What became of an action in this run (or would become of it, in check mode).

    ``status`` is the one it has now. ``changed``: a resource or the action's status changed.
    """

    id: str
    plan: str
    resource: str
    name: str
    action: str
    current: Mapping[str, t.Any]
    proposed: Mapping[str, t.Any]
    monthly_saving: float
    currency: str
    status: Status
    reason: str = ""
    why: str = ""
    changed: bool = False

    @classmethod
    def of(cls, action: PlannedAction, status: Status, reason: str, why: str, *, changed: bool) -> ActionOutcome:
        """The light part of ``action`` (no evidence) with what became of it."""
        recommendation = action.recommendation
        return cls(
            action.id,
            action.plan_id,
            recommendation.resource.id,
            recommendation.resource.name,
            recommendation.action,
            dict(recommendation.current),
            dict(recommendation.proposed),
            recommendation.monthly.saving,
            recommendation.monthly.currency,
            status,
            reason,
            why,
            changed,
        )

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data for module results."""
        return {**dataclasses.asdict(self), "monthly_saving": round(self.monthly_saving, 2)}


@dataclasses.dataclass
class RunResult:
    """What a run did. ``outcomes`` are actions that ended; ``deferred`` stay as they were, for later.

    ``interrupted`` says why the run stopped before its end (empty: it did not); ``stopped``
    why it took no new actions.
    """

    run_id: str = ""
    outcomes: list[ActionOutcome] = dataclasses.field(default_factory=list)
    deferred: list[ActionOutcome] = dataclasses.field(default_factory=list)
    resumed: int = 0
    steps: int = 0
    interrupted: str = ""
    stopped: str = ""

    @property
    def changed(self) -> bool:
        """Whether any resource, or any action's status, changed (or would)."""
        return self.steps > 0 or any(outcome.changed for outcome in self.outcomes)

    def having(self, *statuses: str) -> list[ActionOutcome]:
        """The outcomes with one of ``statuses``."""
        return [outcome for outcome in self.outcomes if outcome.status in statuses]

    def to_dict(self, limit: int = 50) -> dict[str, t.Any]:
        """Plain data for module results: counts, money and the first ``limit`` of each list."""
        counts: dict[str, int] = {}
        for outcome in self.outcomes:
            counts[outcome.status] = counts.get(outcome.status, 0) + 1
        applied = self.having("applied", "verified")
        return {
            "run": self.run_id,
            "by_status": counts,
            "deferred_count": len(self.deferred),
            "resumed": self.resumed,
            "steps": self.steps,
            "monthly_saving": round(sum(outcome.monthly_saving for outcome in applied), 2),
            "currency": self.outcomes[0].currency if self.outcomes else "USD",
            "interrupted": self.interrupted,
            "stopped": self.stopped,
            "outcomes": [outcome.to_dict() for outcome in self.outcomes[:limit]],
            "deferred": [outcome.to_dict() for outcome in self.deferred[:limit]],
        }


@dataclasses.dataclass
class _Flight:
    """An action that this run holds. ``due``: when to look again; ``since``: of the last progress."""

    action: PlannedAction
    journal: list[JournalEntry]
    due: datetime.datetime
    since: datetime.datetime
    tries: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    planned: bool = False

    @property
    def last_why(self) -> str:
        """The latest explanation of an outcome, ready to be appended to a sentence."""
        whys = [
            str(entry.detail["why"]) for entry in self.journal if entry.phase == "outcome" and "why" in entry.detail
        ]
        return f" ({whys[-1]})" if whys else ""

    @property
    def direction(self) -> Direction:
        return self.action.direction

    @property
    def begun(self) -> bool:
        """Whether any step of the way forward may have taken effect."""
        return any(entry.direction == "apply" and entry.phase == "intent" for entry in self.journal)

    @property
    def touched(self) -> bool:
        """Whether any step of this direction may have taken effect."""
        return any(entry.direction == self.direction and entry.phase == "intent" for entry in self.journal)


def utc_now() -> datetime.datetime:
    """The time now, aware, UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


class Executor:
    """Runs actions of one ledger through one actor.

    :param policy: the policy in force now. A plan made under another one is refused: its
        approvals were given for other rules. None: each plan's own.
    :param max_in_flight: most actions under way at once; a place that gets free is filled at once.
    :param max_failures: stop taking new actions after this many failures; None: as the
        policy says; 0: no limit.
    :param max_actions: most new actions a run; None and 0 likewise.
    :param max_attempts: tries of one step (and of one read) before it counts as failed.
    :param wait_timeout: seconds without progress after which an action counts as failed.
    :param gate: why an approved action has to wait under its policy (empty: it may begin);
        asked whenever an action is about to begin, so a run stops when the answer changes.
    """

    def __init__(
        self,
        ledger: Ledger,
        actor: Actor,
        *,
        policy: Policy | None = None,
        max_in_flight: int = 50,
        max_failures: int | None = None,
        max_actions: int | None = None,
        max_attempts: int = 5,
        wait_timeout: float = 1800.0,
        operator: str = "",
        gate: Callable[[PlannedAction, Policy], str] | None = None,
        progress: Progress | None = None,
        now: Callable[[], datetime.datetime] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger = ledger
        self._actor = actor
        self._policy = policy
        self._max_in_flight = max(1, max_in_flight)
        self._max_failures = max_failures
        self._max_actions = max_actions
        self._max_attempts = max(1, max_attempts)
        self._wait_timeout = wait_timeout
        self._operator = operator
        self._gate = gate
        self._progress = progress or Progress()
        self._now = now
        self._sleep = sleep
        self._policies: dict[str, Policy] = {}

    def apply(self, selection: Selection) -> RunResult:
        """Apply the approved actions of ``selection``; finish what a dead run has left there first.

        :raises PlanError: when a plan was made under another policy than the one in force.
        :raises LedgerError: when the ledger fails; what was begun is finished by the next run.
        """
        return self._go(selection, rollback=False)

    def rollback(self, selection: Selection) -> RunResult:
        """Take applied, verified and half-done actions of ``selection`` back, the latest first.

        Freeze windows, approvals and limits do not hold: going back is always allowed.
        """
        return self._go(selection, rollback=True)

    def predict(self, selection: Selection, *, rollback: bool = False) -> RunResult:
        """What :meth:`apply` (or :meth:`rollback`) would do now: the same reads and decisions,
        no step, nothing written. Only what no read can tell, such as missing capacity, is not
        foreseen.
        """
        result = RunResult()
        selection = self._mine(selection)
        now = self._now()
        limits = self._limits(selection, now, rollback)
        left, unbegun = self._begun(self._ledger.abandoned(selection, None, now, exactly=rollback))
        result.resumed = len(left)
        if rollback:
            left = [dataclasses.replace(a, goal="restore") if a.goal == "apply" else a for a in left]
            unbegun = []
        else:
            for action in self._ledger.lapsed(selection, now):
                result.outcomes.append(_ended(action, "expired", "approval_expired", EXPIRED))
        self._foresee(left, result, rollback)
        offset = taken = 0
        for action in unbegun:
            why = self._not_now(action, now)
            if why:
                result.deferred.append(ActionOutcome.of(action, "approved", "deferred", why, changed=False))
            elif not limits.actions or taken < limits.actions:
                taken += 1
                self._foresee([action], result, rollback)
        while not limits.actions or taken < limits.actions:
            page = self._ledger.claimable(selection, now, rollback=rollback, limit=self._max_in_flight, offset=offset)
            offset += len(page)
            if not page:
                break
            ready: list[PlannedAction] = []
            for action in page:
                why = "" if rollback else self._not_now(action, now)
                if why:
                    result.deferred.append(ActionOutcome.of(action, action.status, "deferred", why, changed=False))
                elif not limits.actions or taken < limits.actions:
                    taken += 1
                    ready.append(
                        dataclasses.replace(
                            action, goal="rollback" if rollback else "apply", previous_status=action.status
                        )
                    )
            self._foresee(ready, result, rollback)
        return result

    def _foresee(self, actions: Sequence[PlannedAction], result: RunResult, rollback: bool) -> None:
        """Read and decide once for ``actions``; a step or a wait counts as reaching the goal."""
        for first in range(0, len(actions), self._max_in_flight):
            batch = actions[first : first + self._max_in_flight]
            observed = self._read(batch)
            journal = self._ledger.journal([action.id for action in batch])
            for action in batch:
                flight = _Flight(action, journal[action.id], self._now(), self._now())
                decision = self._decide(flight, observed.get(action.id))
                if isinstance(decision, (Perform, Wait)):
                    decision = Done()
                    flight.planned = True
                end = _end(flight, decision, rollback)
                if end is None:  # it would walk back
                    end = _End("failed", "restored", _why(decision))
                result.outcomes.append(_ended(action, end.status, end.reason, end.why))

    # -- a run ---------------------------------------------------------------------------

    def _go(self, selection: Selection, *, rollback: bool) -> RunResult:
        selection = self._mine(selection)
        now = self._now()
        limits = self._limits(selection, now, rollback)
        kind = "rollback" if rollback else "apply"
        with self._ledger.run(kind, now, self._operator) as run:
            result = RunResult(run.id)
            left, unbegun = self._begun(self._ledger.abandoned(selection, run, now, exactly=rollback))
            # What a dead run only claimed has to pass the gates (approval, freeze, limits) again.
            self._ledger.put_back(run, {action.id: "" for action in unbegun}, now)
            result.resumed = len(left)
            if not rollback:
                for action in self._ledger.expire_due(selection, now):
                    result.outcomes.append(_ended(action, "expired", "approval_expired", EXPIRED))
            total, money = self._ledger.count_claimable(selection, now, rollback=rollback)
            total = len(left) + (min(total, limits.actions) if limits.actions else total)
            money += sum(action.recommendation.monthly.saving for action in left)
            already = len(result.outcomes)
            if total:
                self._progress.line(f"{kind}: {total} actions, {money:,.0f} USD/month, {self._max_in_flight} at a time")
            flights: dict[str, _Flight] = {}
            self._board(run, left, flights)
            if rollback:  # half done is not to be finished but undone
                half = {action.id: HALF_DONE for action in left if action.goal == "apply"}
                self._turn_back(run, half, flights, now)
            taken = 0
            more = True
            while True:
                if more and not result.stopped and len(flights) < self._max_in_flight:
                    room = self._max_in_flight - len(flights)
                    if limits.actions:
                        room = min(room, limits.actions - taken)
                    claimed = (
                        self._ledger.claim(run, selection, room, self._now(), rollback=rollback) if room > 0 else []
                    )
                    more = bool(claimed)
                    ready = claimed if rollback else self._hold(run, claimed, result)
                    taken += len(ready)
                    self._board(run, ready, flights)
                if not flights:
                    if more and not result.stopped:
                        continue
                    break
                if not run.alive():
                    result.interrupted = "the run lost its lock on the ledger; run again to finish what it began"
                    break
                pause = (min(flight.due for flight in flights.values()) - self._now()).total_seconds()
                if pause > 0:
                    self._sleep(pause)
                try:
                    self._round(run, flights, result)
                except _Unreadable as error:
                    self._give_up(run, flights, result, str(error))
                    break
                failures = len(result.having("failed"))
                if limits.failures and failures >= limits.failures and more and not result.stopped:
                    result.stopped = (
                        f"{failures} actions failed (max_failures {limits.failures}): no new ones were begun"
                    )
                    self._progress.line(result.stopped)
                self._report(kind, len(result.outcomes) - already, total, len(flights), result)
            return result

    def _begun(self, actions: Sequence[PlannedAction]) -> tuple[list[PlannedAction], list[PlannedAction]]:
        """Of a dead run's actions, those with a step (or on their way back), and those only claimed."""
        journal = self._ledger.journal([action.id for action in actions])
        begun = {a.id for a in actions if a.goal != "apply" or any(e.phase == "intent" for e in journal[a.id])}
        return [a for a in actions if a.id in begun], [a for a in actions if a.id not in begun]

    def _round(self, run: Run, flights: dict[str, _Flight], result: RunResult) -> None:
        """One look at all actions that are due: decide, write ends, do one step of each other."""
        now = self._now()
        due = [flight for flight in flights.values() if flight.due <= now]
        observed = self._read([flight.action for flight in due])
        now = self._now()
        finals: list[Final] = []
        kept: dict[str, str] = {}
        back: dict[str, str] = {}
        steps: dict[tuple[Direction, str], list[tuple[_Flight, Perform]]] = {}
        for flight in due:
            decision = self._decide(flight, observed.get(flight.action.id))
            if isinstance(decision, Wait):
                waited = (now - flight.since).total_seconds()
                if waited < self._wait_timeout:
                    flight.due = now + datetime.timedelta(seconds=max(0.1, decision.seconds))
                    continue
                decision = Failed(f"{decision.why}: nothing happened for {duration(waited)}")
            if isinstance(decision, Perform):
                tries = flight.tries.get((flight.direction, decision.step), 0)
                if tries < self._max_attempts:
                    steps.setdefault((flight.direction, decision.step), []).append((flight, decision))
                    continue
                decision = Failed(f"{decision.step} had no effect after {tries} tries{flight.last_why}")
            end = _end(flight, decision, run.kind == "rollback")
            if end is None:
                back[flight.action.id] = _why(decision)
            elif end.keep:
                kept[flight.action.id] = end.why
                result.outcomes.append(_ended(flight.action, end.status, end.reason, end.why, changed=flight.touched))
                del flights[flight.action.id]
            else:
                finals.append(
                    Final(
                        flight.action,
                        end.status,
                        end.reason,
                        end.why,
                        "revert" if flight.action.goal == "rollback" else "apply",
                        decision.detail if isinstance(decision, Done) else {},
                    )
                )
        self._ledger.finish(run, finals, now)
        for final in finals:
            result.outcomes.append(_ended(final.action, final.status, final.reason, final.why))
            del flights[final.action.id]
        self._ledger.put_back(run, kept, now, deferred=True, noted=True)
        self._turn_back(run, back, flights, now)
        self._perform(run, steps, flights, result)

    def _perform(
        self,
        run: Run,
        steps: Mapping[tuple[Direction, str], list[tuple[_Flight, Perform]]],
        flights: dict[str, _Flight],
        result: RunResult,
    ) -> None:
        """Intents of the whole round in one transaction, each step as one batch, then its outcomes."""
        now = self._now()
        intents = {
            flight.action.id: JournalEntry(
                flight.action.id, run.id, now, direction, "intent", step, "", dict(perform.detail)
            )
            for (direction, step), batch in steps.items()
            for flight, perform in batch
        }
        mine = self._ledger.record_intents(run, list(intents.values()))
        back: dict[str, str] = {}
        for (direction, step), batch in steps.items():
            ready: list[_Flight] = []
            for flight, _perform in batch:
                if flight.action.id in mine:
                    flight.journal.append(intents[flight.action.id])
                    ready.append(flight)
                else:
                    del flights[flight.action.id]
                    why = "another run has taken it over"
                    result.deferred.append(
                        ActionOutcome.of(flight.action, "applying", "taken_over", why, changed=False)
                    )
            if not ready:
                continue
            result.steps += len(ready)
            outcomes = self._try(step, [flight.action for flight in ready])
            now = self._now()
            entries: list[JournalEntry] = []
            for flight in ready:
                outcome = outcomes[flight.action.id]
                key = (direction, step)
                flight.tries[key] = flight.tries.get(key, 0) + 1
                detail = {**outcome.detail, **({"why": outcome.why} if outcome.why else {})}
                entry = JournalEntry(flight.action.id, run.id, now, direction, "outcome", step, outcome.result, detail)
                flight.journal.append(entry)
                entries.append(entry)
                flight.since = now
                pause = outcome.seconds
                if outcome.result in ("retry", "unknown"):
                    pause = max(pause, min(2.0 ** (flight.tries[key] - 1), LONGEST_PAUSE))
                flight.due = now + datetime.timedelta(seconds=pause)
                if outcome.result == "failed":
                    back[flight.action.id] = f"{step}: {outcome.why}" if outcome.why else f"{step} failed"
            self._ledger.record_outcomes(entries)
        now = self._now()
        finals: list[Final] = []
        kept: dict[str, str] = {}
        for identity in [identity for identity in back if flights[identity].direction == "revert"]:
            flight = flights.pop(identity)
            end = _end(flight, Failed(back.pop(identity)), run.kind == "rollback")
            if end is None or end.keep:
                kept[identity] = end.why if end else ""
            else:
                finals.append(Final(flight.action, end.status, end.reason, end.why))
            if end:
                result.outcomes.append(_ended(flight.action, end.status, end.reason, end.why))
        self._ledger.finish(run, finals, now)
        self._ledger.put_back(run, kept, now, deferred=True, noted=True)
        self._turn_back(run, back, flights, now)

    def _try(self, step: str, actions: Sequence[PlannedAction]) -> dict[str, StepOutcome]:
        """Perform one batch; whatever raises or says nothing has an unknown effect."""
        try:
            outcomes = dict(self._actor.perform(step, actions))
            missing = "the call said nothing about it"
        except Exception as error:
            outcomes = {}
            missing = _first_line(error)
        return {action.id: outcomes.get(action.id) or StepOutcome("unknown", missing) for action in actions}

    def _read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Observed]:
        """One batched read, tried again when it raises.

        :raises _Unreadable: when it raised ``max_attempts`` times.
        """
        for number in range(1, self._max_attempts + 1):
            try:
                return self._actor.read(actions)
            except Exception as error:
                if number == self._max_attempts:
                    why = f"the resources cannot be read ({_first_line(error)})"
                    raise _Unreadable(f"{why}; what was begun is finished by the next run") from error
                self._sleep(min(2.0 ** (number - 1), LONGEST_PAUSE))
        raise AssertionError("max_attempts is at least 1")

    def _decide(self, flight: _Flight, observed: Observed | None) -> Decision:
        """The policy's word on tags and manager as they are now, then the actor's."""
        action = flight.action
        if action.goal == "apply" and not flight.begun and observed is not None:
            resource = action.recommendation.resource
            resource = dataclasses.replace(
                resource,
                tags=resource.tags if observed.tags is None else observed.tags,
                managed_by=observed.managed_by or resource.managed_by,
            )
            refusal = self._policy_of(action).refuses(dataclasses.replace(action.recommendation, resource=resource))
            if refusal:
                return Refused(refusal[1], refusal[0])
        return self._actor.decide(action, observed, flight.direction, tuple(flight.journal))

    def _board(self, run: Run, actions: Sequence[PlannedAction], flights: dict[str, _Flight]) -> None:
        """Take actions in flight. A dead run's intent without outcome gets one: unknown."""
        if not actions:
            return
        now = self._now()
        journal = self._ledger.journal([action.id for action in actions])
        dangling: list[JournalEntry] = []
        for action in actions:
            entries = journal[action.id]
            steps = [entry for entry in entries if entry.phase in ("intent", "outcome")]
            if steps and steps[-1].phase == "intent" and steps[-1].run_id != run.id:
                detail = {"why": "the run ended before it could write the outcome"}
                entry = JournalEntry(
                    action.id, run.id, now, steps[-1].direction, "outcome", steps[-1].step, "unknown", detail
                )
                entries.append(entry)
                dangling.append(entry)
            flights[action.id] = _Flight(action, entries, now, now)
        self._ledger.record_outcomes(dangling)

    def _hold(self, run: Run, claimed: Sequence[PlannedAction], result: RunResult) -> list[PlannedAction]:
        """Give back what may not begin now; returns the others."""
        now = self._now()
        ready: list[PlannedAction] = []
        whys: dict[str, str] = {}
        for action in claimed:
            why = self._not_now(action, now)
            if why:
                whys[action.id] = why
                result.deferred.append(ActionOutcome.of(action, "approved", "deferred", why, changed=False))
            else:
                ready.append(action)
        self._ledger.put_back(run, whys, now, deferred=True)
        return ready

    def _not_now(self, action: PlannedAction, now: datetime.datetime) -> str:
        """Why an approved action has to wait, or an empty text."""
        try:
            policy = self._policy_of(action)
        except PlanError as error:
            return str(error)
        frozen = policy.frozen(now, action.recommendation)
        if frozen:
            return frozen.why
        return self._gate(action, policy) if self._gate else ""

    def _turn_back(
        self, run: Run, whys: Mapping[str, str], flights: dict[str, _Flight], now: datetime.datetime
    ) -> None:
        """Let actions walk back to where they came from."""
        for entry in self._ledger.turn_back(run, whys, now):
            flight = flights[entry.action_id]
            flight.action = dataclasses.replace(flight.action, goal="restore", why=whys[entry.action_id])
            flight.journal.append(entry)
            flight.due = flight.since = now

    def _give_up(self, run: Run, flights: Mapping[str, _Flight], result: RunResult, why: str) -> None:
        """Give back what nothing was done to; the rest stays in flight for the next run."""
        untouched = {
            flight.action.id: ""
            for flight in flights.values()
            if not flight.touched and flight.action.goal != "restore"
        }
        self._ledger.put_back(run, untouched, self._now())
        result.interrupted = why

    def _report(self, kind: str, done: int, total: int, in_flight: int, result: RunResult) -> None:
        reached = result.having("rolled_back" if kind == "rollback" else "applied")
        money = sum(outcome.monthly_saving for outcome in reached)
        currency = reached[0].currency if reached else "USD"
        note = f"{money:,.0f} {currency}/month, {in_flight} in flight"
        failed = len(result.having("failed"))
        self._progress.count(kind, done, max(total, done), f"{note}, {failed} failed" if failed else note)

    def _mine(self, selection: Selection) -> Selection:
        """Only kinds that the actor can do."""
        kinds = tuple(kind for kind in self._actor.kinds if not selection.kinds or kind in selection.kinds)
        if not kinds:
            raise PlanError(
                f"none of {', '.join(selection.kinds)} can be done here; {', '.join(self._actor.kinds)} can"
            )
        return dataclasses.replace(selection, kinds=kinds)

    def _policy_of(self, action: PlannedAction) -> Policy:
        """The policy of the action's plan.

        :raises PlanError: when another one is in force.
        """
        if action.plan_id not in self._policies:
            self._policies[action.plan_id] = self._ledger.plan(action.plan_id).policy
        policy = self._policies[action.plan_id]
        if self._policy is not None and self._policy.digest != policy.digest and action.status != "applying":
            raise PlanError(
                f"plan {action.plan_id} was made under another policy than the one in force; "
                "make the plan again and have it approved"
            )
        return policy

    def _limits(self, selection: Selection, now: datetime.datetime, rollback: bool) -> _Limits:
        """Limits of this run; without a policy in force, the strictest of the plans involved.

        :raises PlanError: when a plan was made under another policy than the one in force.
        """
        if rollback:
            return _Limits(self._max_actions or 0, self._max_failures or 0)
        plans = self._ledger.claimable_plans(selection, now)
        if self._policy is not None:
            for plan in plans:
                if plan.policy.digest != self._policy.digest:
                    raise PlanError(
                        f"plan {plan.id} was made under another policy than the one in force; "
                        "make the plan again and have it approved"
                    )
        policies = [self._policy] if self._policy is not None else [plan.policy for plan in plans]
        actions = min((p.maximum_actions for p in policies if p.maximum_actions), default=0)
        failures = min((p.maximum_failures for p in policies if p.maximum_failures), default=0)
        return _Limits(
            actions if self._max_actions is None else self._max_actions,
            failures if self._max_failures is None else self._max_failures,
        )


EXPIRED = "its approval has ended; approve it again"
HALF_DONE = "rolled back when it was half done"


class _Unreadable(Exception):
    """The resources cannot be read, however often one tries."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Limits:
    """Most new actions and failures of a run; 0 is no limit."""

    actions: int
    failures: int


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    """How an action ends. ``keep``: it gets the status back that it had before."""

    status: Status
    reason: str = ""
    why: str = ""
    keep: bool = False


def _end(flight: _Flight, decision: Decision, rollback: bool) -> _End | None:
    """What a decision other than a step or a wait means in this kind of run; None: walk back first."""
    action = flight.action
    if action.goal == "rollback":
        if isinstance(decision, Done):
            return _End("rolled_back", "", "rolled back to its old state")
        previous: Status = action.previous_status or "applied"
        return _End(previous, "not_rolled_back", f"not rolled back: {_why(decision)}", keep=True)
    if action.goal == "restore":
        if isinstance(decision, Done) and rollback:
            return _End("rolled_back", "restored", f"{action.why}; it is back in its old state")
        if isinstance(decision, Done):
            return _End("failed", "restored", f"{action.why}; it is back in its old state")
        return _End("failed", "stranded", f"{action.why}; it could not be put back: {_why(decision)}")
    if isinstance(decision, Done):
        if flight.begun or flight.planned:
            return _End("applied")
        return _End("skipped", "already_done", "it is already in the proposed state; nothing was done")
    if isinstance(decision, Drifted):
        return _End("failed" if flight.begun else "skipped", "drifted", decision.why)
    if flight.begun:
        return None
    if isinstance(decision, Refused):
        return _End("skipped", decision.reason, decision.why)
    return _End("failed", "failed", _why(decision))


def _why(decision: Decision) -> str:
    return getattr(decision, "why", "")


def _ended(action: PlannedAction, status: Status, reason: str, why: str, *, changed: bool = True) -> ActionOutcome:
    return ActionOutcome.of(action, status, reason, why, changed=changed)


def _first_line(error: BaseException) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
