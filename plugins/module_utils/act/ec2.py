# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the type of standalone instances: stop, change, start, wait for both status checks."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import MAXIMUM_CONNECTIONS, THROTTLED, Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.executor import (
    Decision,
    Done,
    Drifted,
    Failed,
    Observed,
    Perform,
    Refused,
    StepOutcome,
    Wait,
)
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Direction, JournalEntry
from ansible_collections.frugal.cloud.plugins.module_utils.observe.ec2 import manager_of, tags_of
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction

#: A filter takes at most 200 values; EC2 API reference, "Filter".
IDS_PER_FILTER = 200
#: DescribeInstanceStatus takes at most 100 ids.
IDS_PER_STATUS = 100
#: Instances in one StopInstances or StartInstances call.
IDS_PER_CALL = 50

#: Trying again can help: the request was refused for now.
_LATER = {"IncorrectInstanceState", "IncorrectState", *THROTTLED}


def failed_outcome(error: AwsError) -> StepOutcome:
    """What a refused call means for its action: try again, settle by reading, or give up."""
    if error.effect_unknown:
        return StepOutcome("unknown", str(error))
    return StepOutcome("retry" if error.code in _LATER else "failed", str(error))


def stepped(journal: Sequence[JournalEntry], step: str, direction: Direction | None = None) -> bool:
    """Whether this collection may have carried out ``step`` for the action (in ``direction``, if given)."""
    return any(
        entry.phase == "intent" and entry.step == step and direction in (None, entry.direction) for entry in journal
    )


@dataclasses.dataclass
class InstanceTypeActor:
    """Carries out ``ec2_instance_type``: ``current`` and ``proposed`` hold ``instance_type``.

    ``pause`` seconds between looks at an instance that is on its way; ``checks`` seconds
    between looks at status checks, which take AWS one to three minutes.
    """

    aws: Aws
    pause: float = 5.0
    checks: float = 10.0
    kinds: tuple[str, ...] = ("ec2_instance_type",)
    #: Instance id -> whether stop protection is on; read once, when an instance is first looked at.
    _stop_protected: dict[str, bool] = dataclasses.field(default_factory=dict)
    #: Actions whose call had an unknown effect: tried alone from then on, so that one cannot hold the others up.
    _alone: set[str] = dataclasses.field(default_factory=set)

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Observed]:
        """State, type, tags and status checks of each instance: one listing of each, whatever their number."""
        ids = sorted({action.recommendation.resource.id for action in actions})
        found: dict[str, dict[str, t.Any]] = {}
        for part in _parts(ids, IDS_PER_FILTER):
            chosen = [{"Name": "instance-id", "Values": list(part)}]
            for page in self.aws.pages("ec2", "describe_instances", Filters=chosen):
                for reservation in page["Reservations"]:
                    for item in reservation["Instances"]:
                        found[item["InstanceId"]] = item
        running = [name for name, item in found.items() if item["State"]["Name"] == "running"]
        checks: dict[str, str] = {}
        for part in _parts(running, IDS_PER_STATUS):
            for status in self.aws.read("ec2", "describe_instance_status", InstanceIds=list(part))["InstanceStatuses"]:
                both = {status["SystemStatus"]["Status"], status["InstanceStatus"]["Status"]}
                checks[status["InstanceId"]] = "ok" if both == {"ok"} else next(iter(sorted(both - {"ok"})))
        self._read_stop_protection(running)
        observed: dict[str, Observed] = {}
        for action in actions:
            item = found.get(action.recommendation.resource.id)
            if item is not None:
                tags = tags_of(item.get("Tags"))
                state = {
                    "state": item["State"]["Name"],
                    "instance_type": item["InstanceType"],
                    "checks": checks.get(item["InstanceId"], "initializing"),
                    "lifecycle": item.get("InstanceLifecycle", "on-demand"),
                    "public_ip": item.get("PublicIpAddress", ""),
                    "stop_protected": self._stop_protected.get(item["InstanceId"], False),
                }
                observed[action.id] = Observed(state, tags, manager_of(tags)[0])
        return observed

    def _read_stop_protection(self, instance_ids: Sequence[str]) -> None:
        """EC2 tells it one instance a call, so each is asked about once."""
        unknown = [instance_id for instance_id in instance_ids if instance_id not in self._stop_protected]

        def protected(instance_id: str) -> bool:
            answer = self.aws.read(
                "ec2", "describe_instance_attribute", InstanceId=instance_id, Attribute="disableApiStop"
            )
            return bool(answer.get("DisableApiStop", {}).get("Value", False))

        with concurrent.futures.ThreadPoolExecutor(MAXIMUM_CONNECTIONS) as pool:
            self._stop_protected.update(zip(unknown, pool.map(protected, unknown)))

    def decide(
        self,
        action: PlannedAction,
        observed: Observed | None,
        direction: Direction,
        journal: Sequence[JournalEntry],
    ) -> Decision:
        """The next step from the state alone; the journal only tells whose stop it was."""
        if observed is None or observed.state["state"] in ("shutting-down", "terminated"):
            return Drifted("the instance no longer exists")
        old = action.recommendation.current["instance_type"]
        new = action.recommendation.proposed["instance_type"]
        goal = new if direction == "apply" else old
        state, kind = observed.state["state"], observed.state["instance_type"]
        ours = stepped(journal, "stop")
        if kind not in (old, new):
            return Drifted(f"it is {kind} now; the plan saw {old}")
        if observed.state["lifecycle"] != "on-demand":
            return Refused(f"it runs as {observed.state['lifecycle']}: only on-demand instances are stopped", "spot")
        if not ours and kind == new and direction == "apply":
            return Drifted(f"it is {new} already, changed by somebody else")
        if not ours and state != "running":
            return Drifted(f"it is {state} now; the plan saw it running")
        if state in ("pending", "stopping"):
            return Wait(self.pause, f"it is {state}")
        if state == "stopped":
            if kind == goal:
                return Perform("start", {"instance_type": kind})
            return Perform("change_type", {"from": kind, "to": goal})
        if kind != goal and observed.state["stop_protected"]:
            return Refused("its stop protection is on: switch that off first, if it may be stopped", "protected")
        if kind != goal:
            return Perform("stop", {"instance_type": kind, "public_ip": observed.state["public_ip"]})
        return self._running(observed)

    def _running(self, observed: Observed) -> Decision:
        checks = observed.state["checks"]
        if checks == "ok":
            return Done({"public_ip": observed.state["public_ip"]})
        if checks == "impaired":
            return Failed("its status checks fail")
        return Wait(self.checks, f"its status checks are {checks}")

    def perform(self, step: str, actions: Sequence[PlannedAction]) -> Mapping[str, StepOutcome]:
        """Stop or start in calls of up to 50 instances; change types one by one, several at once."""
        if step == "change_type":
            return each(actions, self._change_type)
        method = {"stop": "stop_instances", "start": "start_instances"}[step]
        outcomes: dict[str, StepOutcome] = {}
        together = [action for action in actions if action.id not in self._alone]
        for part in (*_parts(together, IDS_PER_CALL), *([action] for action in actions if action.id in self._alone)):
            outcomes.update(self._call(method, part))
        self._alone.update(key for key, outcome in outcomes.items() if outcome.result == "unknown")
        return outcomes

    def _call(self, method: str, actions: Sequence[PlannedAction]) -> dict[str, StepOutcome]:
        """One call for all; where EC2 refuses it, it did nothing, and each is tried alone to find the culprit."""
        try:
            self.aws.write("ec2", method, InstanceIds=[action.recommendation.resource.id for action in actions])
        except AwsError as error:
            if len(actions) == 1 or error.effect_unknown:
                return {action.id: failed_outcome(error) for action in actions}
            return {key: value for action in actions for key, value in self._call(method, [action]).items()}
        return {action.id: StepOutcome(seconds=self.pause) for action in actions}

    def _change_type(self, action: PlannedAction) -> StepOutcome:
        recommendation = action.recommendation
        goal = recommendation.proposed if action.direction == "apply" else recommendation.current
        try:
            self.aws.write(
                "ec2",
                "modify_instance_attribute",
                InstanceId=recommendation.resource.id,
                InstanceType={"Value": goal["instance_type"]},
            )
        except AwsError as error:
            return failed_outcome(error)
        return StepOutcome()


def each(actions: Sequence[PlannedAction], call: Callable[[PlannedAction], StepOutcome]) -> dict[str, StepOutcome]:
    """``call`` for every action, a few at once, for APIs that take one resource a call."""
    with concurrent.futures.ThreadPoolExecutor(MAXIMUM_CONNECTIONS) as pool:
        return {action.id: outcome for action, outcome in zip(actions, pool.map(call, actions))}


T = t.TypeVar("T")


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
