# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugins that advise on services of managed hosts, and carry out what was approved.

Reading and writing are modules on the host, which need nothing but Python; analysis, plans and
the ledger stay on the controller, where the libraries and the approvals are.
"""

from __future__ import annotations

import abc
import dataclasses
import datetime
import re
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.frugal.cloud.plugins.module_utils.act.settings import Settings, SettingsActor
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation, Scope
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation_file import write_json_lines
from ansible_collections.frugal.cloud.plugins.module_utils.runs import (
    LIMIT_OPTIONS,
    RUN_OPTIONS,
    Target,
    apply_actions,
    roll_back_actions,
    verify_actions,
)
from ansible_collections.frugal.cloud.plugins.module_utils.slo_gate import GATE_OPTIONS
from ansible_collections.frugal.cloud.plugins.plugin_utils.following import FollowingAction, prefix_of, progress_shown
from ansible_collections.frugal.cloud.plugins.plugin_utils.tables import change, outcome_lines, undone_lines

Options: t.TypeAlias = "Mapping[str, t.Any]"

#: Options of every plugin that advises; documented by ``doc_fragments/tuning.py``.
ADVICE_OPTIONS: dict[str, dict[str, t.Any]] = {
    "data_directory": {"type": "path"},
    "limit": {"type": "int", "default": 50},
}
#: Options of every plugin that carries out; documented by ``doc_fragments/tuning.py``.
TUNING_OPTIONS: dict[str, dict[str, t.Any]] = {
    **{name: option for name, option in RUN_OPTIONS.items() if name not in ("max_in_flight", "wait_sleep")},
    **LIMIT_OPTIONS,
    **GATE_OPTIONS,
    "stage": {"type": "str", "choices": ["apply", "verify", "rollback"], "default": "apply"},
}


class HostModuleError(Exception):
    """A module on the host failed; its sentence."""


class _Failing:
    """Turns a module's way to fail into an action plugin's."""

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        """Fail the task with this sentence."""
        del kwargs
        raise AnsibleActionFail(msg)


class HostAction(FollowingAction):
    """What advising and tuning share: checked options, the host's modules, errors as one sentence."""

    #: the service, as the scope's last part: ``redis``
    service: t.ClassVar[str]
    #: options of its own
    options: t.ClassVar[dict[str, dict[str, t.Any]]] = {}
    #: options that all of its kind have
    shared_options: t.ClassVar[dict[str, dict[str, t.Any]]] = {}

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Check the options, do the work with its progress shown, then show the summary."""
        super(FollowingAction, self).run(tmp, task_vars)
        del tmp
        self._variables: dict[str, t.Any] = task_vars or {}
        _checked, self.args = self.validate_argument_spec({**self.shared_options, **self.options})
        prefix = prefix_of(self._variables)
        with failing_clearly(_Failing()), progress_shown(prefix):
            result = self.work()
        if not result.get("failed"):
            for line in self.summary(result):
                self.show(prefix + line)
        return result

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return str(self._variables["inventory_hostname"])

    @property
    def check_mode(self) -> bool:
        """Whether nothing may be changed."""
        return bool(self._task.check_mode)

    def scope(self) -> Scope:
        """The scope of the service's plan."""
        return Scope.of_service(self.host, self.service)

    def call(self, name: str, **options: t.Any) -> dict[str, t.Any]:
        """The result of a module of this collection on the host.

        :raises HostModuleError: when it fails; the message is its own.
        """
        result: dict[str, t.Any] = self._execute_module(
            module_name=f"frugal.cloud.{name}", module_args=options, task_vars=self._variables
        )
        if result.get("failed"):
            raise HostModuleError(str(result.get("msg", f"{name} failed without a message")))
        return result

    @abc.abstractmethod
    def work(self) -> dict[str, t.Any]:
        """What the plugin is for; returns the task's result."""


@dataclasses.dataclass(frozen=True)
class Advice:
    """What was found about a service.

    ``summary`` are figures for people and programs; ``more`` are further keys of the result.
    """

    recommendations: Sequence[Recommendation]
    summary: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    warnings: Sequence[str] = ()
    more: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


class AdvisingAction(HostAction):
    """Reads a service on its host and recommends; ``advise`` is what differs. Nothing is changed."""

    shared_options = ADVICE_OPTIONS

    @abc.abstractmethod
    def advise(self) -> Advice:
        """Read the service by modules (:meth:`call`) and analyse what they return.

        :raises HostModuleError: when it cannot be read.
        """

    def work(self) -> dict[str, t.Any]:
        """Advise, and keep the recommendations in a file where there is a folder for it."""
        advice = self.advise()
        records = [item.to_dict() for item in advice.recommendations]
        result: dict[str, t.Any] = {
            "changed": False,
            "scope": self.scope().key,
            "summary": {**advice.summary, "recommendations": len(records)},
            "recommendations": records[: self.args["limit"]],
            **advice.more,
        }
        if advice.warnings:
            result["warnings"] = list(advice.warnings)
        if self.args["data_directory"]:
            name = re.sub(r"[^A-Za-z0-9-]", "-", self.scope().key)
            path = Path(self.args["data_directory"]).expanduser() / "recommendations" / f"{name}.jsonl.gz"
            write_json_lines(str(path), records)
            result["recommendations_path"] = str(path)
        return result

    def summary(self, result: Options) -> Sequence[str]:
        """Each recommendation on a line: the change, and why."""
        found = result["recommendations"]
        lines = [f"{result['scope']}: {result['summary']['recommendations']} recommendations"]
        for item in found:
            what = item["refused"] or change(item["current"], item["proposed"])
            lines.append(f"  {item['action']}: {what}: {item['reasons'][0]}")
        return lines


class TuningAction(HostAction):
    """Carries out approved actions on a service of its host, verifies them and takes them back."""

    #: kinds of actions (``Recommendation.action``) that it can do
    kinds: t.ClassVar[tuple[str, ...]]
    shared_options = TUNING_OPTIONS

    @abc.abstractmethod
    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Settings]:
        """The settings that each action changes, as they are now, by action id; None: not set.

        :raises HostModuleError: when the service cannot be read.
        """

    @abc.abstractmethod
    def write(self, action: PlannedAction, values: Settings) -> str:
        """Set all of ``values`` on the host, or none; returns why not, in one sentence."""

    @abc.abstractmethod
    def checks(
        self, actions: Sequence[PlannedAction], begun: Mapping[str, datetime.datetime]
    ) -> Mapping[str, Sequence[Check]]:
        """How the service does since each action, against ``evidence["measured"]``, by action id."""

    def work(self) -> dict[str, t.Any]:
        """Run the stage."""
        stages = {"apply": apply_actions, "verify": verify_actions, "rollback": roll_back_actions}
        stage = self.args["stage"]
        if stage == "rollback" and not self.args["plan"] and not self.args["actions"]:
            raise AnsibleActionFail("neither plan nor actions is set: name the plan or the actions to undo")
        # One service: one change after the other.
        options = {**self.args, "max_in_flight": 1, "wait_sleep": 1.0}
        if stage == "rollback":
            options["policy"] = None
        result = stages[stage](self._target(), options, check_mode=self.check_mode)
        if result["failed_actions"]:
            result.update(failed=True, msg=result.pop("message"))
        if not self._task.diff:
            result.pop("diff", None)
        return result

    def summary(self, result: Options) -> Sequence[str]:
        """What became of the actions."""
        return undone_lines(result) if self.args["stage"] == "rollback" else outcome_lines(result)

    def _target(self) -> Target:
        return Target(
            scope=self.scope().key,
            actor=SettingsActor(self.kinds, self.read, self._written),
            checks=self._checks,
            account=dict,
        )

    def _written(self, action: PlannedAction, values: Settings) -> str:
        try:
            return self.write(action, values)
        except HostModuleError as error:
            return str(error)

    def _checks(
        self,
        actions: Sequence[PlannedAction],
        policies: Mapping[str, Policy],
        now: datetime.datetime,
        begun: Mapping[str, datetime.datetime],
    ) -> Mapping[str, Sequence[Check]]:
        """Whether the settings are still as proposed, and the service's own checks, as each policy asks for."""
        del now
        found: dict[str, list[Check]] = {action.id: [] for action in actions}
        for identity, check in self._kept(_asked(actions, policies, "instance_health")):
            found[identity].append(check)
        measured = _asked(actions, policies, "metrics")
        if measured:
            for identity, checks in self.checks(measured, begun).items():
                found[identity] += checks
        return found

    def _kept(self, actions: Sequence[PlannedAction]) -> Iterator[tuple[str, Check]]:
        """Whether what was set is set."""
        state = self.read(actions) if actions else {}
        for action in actions:
            proposed = action.recommendation.proposed
            if action.id not in state:
                yield action.id, Check("settings", "failed", "the service is no longer there")
                continue
            now = {name: state[action.id].get(name) for name in proposed}
            other = {name: value for name, value in now.items() if value != proposed[name]}
            if other:
                yield action.id, Check("settings", "failed", f"changed since: {change(proposed, other)}")
            else:
                yield action.id, Check("settings", "passed", "as proposed")


def _asked(actions: Sequence[PlannedAction], policies: Mapping[str, Policy], check: str) -> Sequence[PlannedAction]:
    """The actions whose policy asks for this check."""
    return [action for action in actions if check in policies[action.plan_id].verification.checks]
