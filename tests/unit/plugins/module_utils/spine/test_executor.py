# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The executor against a fake cloud that dies, refuses and drifts at every possible moment."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.frugal.cloud.plugins.module_utils.executor import StepOutcome
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlanError
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy

EVERYTHING = Selection()


def statuses(ledger: Ledger) -> list[str]:
    return [action.status for action in ledger.actions(EVERYTHING, limit=1000)]


def results(ledger: Ledger, direction: str = "apply") -> list[int]:
    """How many result entries each action has in ``direction``."""
    ids = [action.id for action in ledger.actions(EVERYTHING, limit=1000)]
    return [
        sum(entry.phase == "result" and entry.direction == direction for entry in entries)
        for entries in ledger.journal(ids).values()
    ]


def test_apply_and_rollback(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(10)
    result = world.executor().apply(EVERYTHING)
    assert statuses(world.ledger) == ["applied"] * 10
    assert {i.type for i in world.cloud.instances.values()} == {spine.NEW}
    assert {i.state for i in world.cloud.instances.values()} == {"running"}
    assert results(world.ledger) == [1] * 10
    assert result.changed and result.steps == 30 and not result.interrupted
    assert world.actor.largest_read <= 4, "no more than max_in_flight at a time"
    assert world.actor.performs < 20, "one batch a step, not one call an action"
    calls = len(world.cloud.calls)
    again = world.executor().apply(EVERYTHING)
    assert not again.changed and len(world.cloud.calls) == calls

    back = world.executor().rollback(EVERYTHING)
    assert statuses(world.ledger) == ["rolled_back"] * 10
    assert {i.type for i in world.cloud.instances.values()} == {spine.OLD}
    assert results(world.ledger, "revert") == [1] * 10
    assert len(back.having("rolled_back")) == 10
    calls = len(world.cloud.calls)
    assert not world.executor().rollback(EVERYTHING).changed and len(world.cloud.calls) == calls
