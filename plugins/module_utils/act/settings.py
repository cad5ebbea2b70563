# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes settings of a service that can be read and written as a whole: caches, pools, proxies."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.ec2 import stepped
from ansible_collections.frugal.cloud.plugins.module_utils.executor import (
    Decision,
    Done,
    Drifted,
    Observed,
    Perform,
    StepOutcome,
)
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Direction, JournalEntry
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction

Settings: t.TypeAlias = "Mapping[str, t.Any]"
#: The one step of every change.
SET = "set"


@dataclasses.dataclass
class SettingsActor:
    """Carries out actions whose ``current`` and ``proposed`` are settings by name; None: it is not set.

    :param kinds: kinds of actions that it can do.
    :param reader: the settings of each action as they are now, by action id; a service that is
        gone is absent.
    :param writer: sets all of them or none; returns why it did not, or an empty text.
    """

    kinds: tuple[str, ...]
    reader: Callable[[Sequence[PlannedAction]], Mapping[str, Settings]]
    writer: Callable[[PlannedAction, Settings], str]

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Observed]:
        """The settings of each action as they are now."""
        return {identity: Observed(dict(found)) for identity, found in self.reader(actions).items()}

    def decide(
        self,
        action: PlannedAction,
        observed: Observed | None,
        direction: Direction,
        journal: Sequence[JournalEntry],
    ) -> Decision:
        """Set what is not as it should be; what somebody else has changed stays as it is."""
        if observed is None:
            return Drifted("it is no longer there")
        old, new = action.recommendation.current, action.recommendation.proposed
        goal = new if direction == "apply" else old
        found = {name: observed.state.get(name) for name in new}
        ours = stepped(journal, SET)
        foreign = [name for name, value in found.items() if value not in (old.get(name), new[name])]
        if foreign:
            told = ", ".join(f"{name} is {found[name]} now, the plan saw {old.get(name)}" for name in foreign)
            return Drifted(told)
        if all(value == goal.get(name) for name, value in found.items()):
            if direction == "apply" and not ours:
                return Drifted(f"{_told(new)} already, changed by somebody else")
            return Done()
        if not ours and any(value != old.get(name) for name, value in found.items()):
            changed = {name: value for name, value in found.items() if value != old.get(name)}
            return Drifted(f"{_told(changed)} already, changed by somebody else")
        return Perform(SET, {"from": found, "to": {name: goal.get(name) for name in new}})

    def perform(self, step: str, actions: Sequence[PlannedAction]) -> Mapping[str, StepOutcome]:
        """Set the settings of each action, one action after the other."""
        outcomes: dict[str, StepOutcome] = {}
        for action in actions:
            recommendation = action.recommendation
            goal = recommendation.proposed if action.direction == "apply" else recommendation.current
            why = self.writer(action, {name: goal.get(name) for name in recommendation.proposed})
            outcomes[action.id] = StepOutcome("failed", why) if why else StepOutcome()
        return outcomes


def _told(settings: Settings) -> str:
    return ", ".join(f"{name} is {value}" for name, value in settings.items())
