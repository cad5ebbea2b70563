# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the type of an Auto Scaling group: a new launch template version and an instance refresh.

The refresh itself keeps most instances healthy and rolls itself back when it fails
(https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-rollback.html),
which AWS offers only where the group names a version number.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.ec2 import each, failed_outcome, stepped
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
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
from ansible_collections.frugal.cloud.plugins.module_utils.observe.ec2 import group_from_api
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.resources import AutoScalingGroup

#: DescribeAutoScalingGroups takes at most 100 names.
NAMES_PER_CALL = 100
#: Refreshes of a group that are looked through for ours.
REFRESHES = 10
_UNDER_WAY = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")
#: Something came to its end, or began, since the look: another look tells.
_LATER = (
    "ActiveInstanceRefreshNotFound",
    "InstanceRefreshInProgress",
    "IrreversibleInstanceRefresh",
    "ScalingActivityInProgress",
)
_UNDONE = ("Failed", "Cancelled", "RollbackFailed", "RollbackSuccessful")


@dataclasses.dataclass
class GroupTypeActor:
    """Carries out ``asg_instance_type``; ``pause`` seconds between looks at a refresh.

    ``minimum_healthy`` percent of the desired capacity stay in service meanwhile.
    """

    aws: Aws
    pause: float = 15.0
    minimum_healthy: int = 90
    kinds: tuple[str, ...] = ("asg_instance_type",)
    _source: dict[str, Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Observed]:
        """Each group, the template version that this action made (if it did) and its latest refreshes."""
        names = sorted({action.recommendation.resource.id for action in actions})
        groups: dict[str, AutoScalingGroup] = {}
        for at in range(0, len(names), NAMES_PER_CALL):
            for page in self.aws.pages(
                "autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=names[at : at + NAMES_PER_CALL]
            ):
                for item in page["AutoScalingGroups"]:
                    groups[item["AutoScalingGroupName"]] = group_from_api(self.aws.account, self.aws.region, item)
        observed: dict[str, Observed] = {}
        for action in actions:
            group = groups.get(action.recommendation.resource.id)
            if group is not None:
                state = self._state(action, group)
                self._source[action.id] = state
                observed[action.id] = Observed(state, group.tags, group.managed_by)
        return observed

    def _state(self, action: PlannedAction, group: AutoScalingGroup) -> dict[str, t.Any]:
        versions = self._versions(group) if group.launch_template_id else {}
        made = next((number for number, version in versions.items() if version["note"] == _note(action)), "")
        base = next((version["from"] for version in versions.values() if version["note"] == _note(action)), "")
        in_use = group.launch_template_version
        refreshes = self.aws.read(
            "autoscaling", "describe_instance_refreshes", AutoScalingGroupName=group.name, MaxRecords=REFRESHES
        )["InstanceRefreshes"]
        return {
            "launch_template_id": group.launch_template_id,
            "version": in_use,
            "pinned": bool(group.launch_template_id) and not group.uses_latest_or_default,
            "mixed": group.mixed_instances_policy,
            "type": versions.get(in_use, {}).get("instance_type", ""),
            "member_types": list(group.instance_types),
            "made": made,
            "base": base,
            "refreshes": [
                {
                    "id": refresh["InstanceRefreshId"],
                    "status": refresh["Status"],
                    "why": refresh.get("StatusReason", ""),
                    "percent": refresh.get("PercentageComplete", 0),
                    "version": str(
                        refresh.get("DesiredConfiguration", {}).get("LaunchTemplate", {}).get("Version", "")
                    ),
                }
                for refresh in refreshes
            ],
        }

    def _versions(self, group: AutoScalingGroup) -> dict[str, dict[str, str]]:
        """Version number -> its type and, where this collection made it, for which action and from which."""
        versions: dict[str, dict[str, str]] = {}
        for page in self.aws.pages(
            "ec2", "describe_launch_template_versions", LaunchTemplateId=group.launch_template_id
        ):
            for version in page["LaunchTemplateVersions"]:
                note, _unused, base = version.get("VersionDescription", "").partition(" from version ")
                versions[str(version["VersionNumber"])] = {
                    "instance_type": version.get("LaunchTemplateData", {}).get("InstanceType", ""),
                    "note": note,
                    "from": base,
                }
        return versions

    def decide(
        self,
        action: PlannedAction,
        observed: Observed | None,
        direction: Direction,
        journal: Sequence[JournalEntry],
    ) -> Decision:
        """Make the version, start the refresh, wait; back: refresh to the version before."""
        if observed is None:
            return Drifted("the group no longer exists")
        state = observed.state
        if state["mixed"]:
            return Refused("its mixed instances policy lists types itself: change them there", "mixed_instances_policy")
        if not state["pinned"]:
            return Refused(
                "it follows $Latest or $Default, so a failed refresh could not be rolled back: "
                "let the group name a version number",
                "unpinned_version",
            )
        running = next((refresh for refresh in state["refreshes"] if refresh["status"] in _UNDER_WAY), None)
        if direction == "apply":
            return self._forward(action, state, running, journal)
        return self._back(action, state, running, journal)

    def _forward(
        self,
        action: PlannedAction,
        state: Mapping[str, t.Any],
        running: Mapping[str, t.Any] | None,
        journal: Sequence[JournalEntry],
    ) -> Decision:
        old = action.recommendation.current["instance_type"]
        new = action.recommendation.proposed["instance_type"]
        if not state["made"]:
            if state["type"] != old:
                return Drifted(
                    f"its launch template version {state['version']} has type {state['type']}; the plan saw {old}"
                )
            if running is not None:
                return Wait(self.pause, f"another instance refresh is {running['status']} ({running['percent']} %)")
            return Perform("create_version", {"from_version": state["version"], "instance_type": new})
        if running is not None:
            if running["version"] == state["made"]:
                return Wait(self.pause, f"its instance refresh is {running['status']} ({running['percent']} %)")
            return Wait(self.pause, f"another instance refresh is {running['status']} ({running['percent']} %)")
        ours = next((refresh for refresh in state["refreshes"] if refresh["version"] == state["made"]), None)
        if ours is not None and ours["status"] == "Successful" and state["version"] == state["made"]:
            return Done({"launch_template_version": state["made"], "instance_refresh": ours["id"]})
        if ours is not None and ours["status"] in _UNDONE:
            return Failed(f"its instance refresh ended as {ours['status']}: {ours['why'] or 'no reason given'}")
        if state["version"] not in (state["base"], state["made"]):
            return Drifted(f"it uses launch template version {state['version']} now; the plan saw {state['base']}")
        return Perform("start_refresh", {"from_version": state["base"], "to_version": state["made"]})

    def _back(
        self,
        action: PlannedAction,
        state: Mapping[str, t.Any],
        running: Mapping[str, t.Any] | None,
        journal: Sequence[JournalEntry],
    ) -> Decision:
        old = action.recommendation.current["instance_type"]
        if running is not None:
            if running["version"] == state["made"] and running["status"] in ("Pending", "InProgress", "Baking"):
                return Perform("rollback_refresh", {"instance_refresh": running["id"]})
            return Wait(self.pause, f"an instance refresh is {running['status']} ({running['percent']} %)")
        if not state["made"] or (state["version"] == state["base"] and state["member_types"] in ([old], [])):
            return Done({"launch_template_version": state["version"]})
        back = state["refreshes"][0] if state["refreshes"] else {"version": "", "status": ""}
        ours = back["version"] == state["base"] and stepped(journal, "start_refresh", "revert")
        if ours and back["status"] in _UNDONE:
            return Failed(f"the instance refresh back ended as {back['status']}: {back['why'] or 'no reason given'}")
        return Perform("start_refresh", {"from_version": state["version"], "to_version": state["base"]})

    def perform(self, step: str, actions: Sequence[PlannedAction]) -> Mapping[str, StepOutcome]:
        """Each group by itself, several at once: these APIs take one group a call."""
        calls = {
            "create_version": self._create_version,
            "start_refresh": self._start_refresh,
            "rollback_refresh": self._rollback_refresh,
        }
        return each(actions, calls[step])

    def _create_version(self, action: PlannedAction) -> StepOutcome:
        state = self._source[action.id]
        return self._write(
            "ec2",
            "create_launch_template_version",
            LaunchTemplateId=state["launch_template_id"],
            SourceVersion=state["version"],
            VersionDescription=f"{_note(action)} from version {state['version']}",
            LaunchTemplateData={"InstanceType": action.recommendation.proposed["instance_type"]},
            ClientToken=action.id,
        )

    def _start_refresh(self, action: PlannedAction) -> StepOutcome:
        state = self._source[action.id]
        version = state["made"] if action.direction == "apply" else state["base"]
        template = {"LaunchTemplateId": state["launch_template_id"], "Version": version}
        return self._write(
            "autoscaling",
            "start_instance_refresh",
            AutoScalingGroupName=action.recommendation.resource.id,
            Strategy="Rolling",
            DesiredConfiguration={"LaunchTemplate": template},
            Preferences={"MinHealthyPercentage": self.minimum_healthy, "AutoRollback": True, "SkipMatching": True},
        )

    def _rollback_refresh(self, action: PlannedAction) -> StepOutcome:
        return self._write(
            "autoscaling", "rollback_instance_refresh", AutoScalingGroupName=action.recommendation.resource.id
        )

    def _write(self, service: str, method: str, **arguments: t.Any) -> StepOutcome:
        try:
            self.aws.write(service, method, **arguments)
        except AwsError as error:
            if error.code in _LATER:
                return StepOutcome("retry", str(error), seconds=self.pause)
            return failed_outcome(error)
        return StepOutcome(seconds=self.pause)


def _note(action: PlannedAction) -> str:
    """What marks a launch template version as made for ``action``: a killed run finds it again by this."""
    return f"frugal.cloud {action.id}"
