# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which actor carries out which kind of action.

Ansible ships to a module only the files that it can see being imported, so every actor is
named here: a new kind of action adds its line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.autoscaling_group import GroupTypeActor
from ansible_collections.frugal.cloud.plugins.module_utils.act.ec2 import InstanceTypeActor
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.executor import Actor, Decision, Observed, StepOutcome
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Direction, JournalEntry
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction


@dataclasses.dataclass
class Actors:
    """Several actors as one: each action goes to the one that knows its kind."""

    actors: Sequence[Actor]

    def __post_init__(self) -> None:
        """Index the actors by kind."""
        self._by_kind = {kind: actor for actor in self.actors for kind in actor.kinds}
        self.kinds: tuple[str, ...] = tuple(self._by_kind)

    def _split(self, actions: Sequence[PlannedAction]) -> dict[str, list[PlannedAction]]:
        parts: dict[str, list[PlannedAction]] = {}
        for action in actions:
            parts.setdefault(action.recommendation.action, []).append(action)
        return parts

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Observed]:
        """The state of each action's resource, by action id."""
        observed: dict[str, Observed] = {}
        for kind, part in self._split(actions).items():
            observed.update(self._by_kind[kind].read(part))
        return observed

    def decide(
        self,
        action: PlannedAction,
        observed: Observed | None,
        direction: Direction,
        journal: Sequence[JournalEntry],
    ) -> Decision:
        """What the action's own actor decides."""
        return self._by_kind[action.recommendation.action].decide(action, observed, direction, journal)

    def perform(self, step: str, actions: Sequence[PlannedAction]) -> Mapping[str, StepOutcome]:
        """``step`` for all actions, a batch for each kind."""
        outcomes: dict[str, StepOutcome] = {}
        for kind, part in self._split(actions).items():
            outcomes.update(self._by_kind[kind].perform(step, part))
        return outcomes


def ec2_actors(aws: Aws, pause: float = 5.0) -> Actors:
    """What rightsizing of EC2 needs: instances and Auto Scaling groups; ``pause`` seconds between looks."""
    return Actors(
        [
            InstanceTypeActor(aws, pause=pause, checks=pause * 2),
            GroupTypeActor(aws, pause=pause * 3),
        ]
    )
