# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's result says: which outcomes fail it, and how an SLO's watch changes a verification."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.ec2_runs import ec2_target
from ansible_collections.frugal.cloud.plugins.module_utils.executor import ActionOutcome, RunResult
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import VerificationResult
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)
from ansible_collections.frugal.cloud.plugins.module_utils.runs import Due, answer_of, with_watch
from ansible_collections.frugal.cloud.plugins.module_utils.slo_gate import Watched

UNTIL = datetime.datetime(2026, 6, 16, 12, tzinfo=datetime.timezone.utc)


def action(number: int) -> PlannedAction:
    recommendation = Recommendation(
        action="ec2_instance_type",
        provider="aws",
        scope=Scope("111111111111", "eu-west-1"),
        resource=Resource(f"i-{number}", "ec2_instance"),
        current={"instance_type": "m5.2xlarge"},
        proposed={"instance_type": "m6i.large"},
        monthly=Monthly(300.0, 100.0, 200.0),
        finding="over_provisioned",
        reasons=("cpu binds",),
        binding_constraint="cpu",
        risk=Risk.of({"cpu": 1}),
        effort="restart",
    )
    return PlannedAction(f"act-{number}", "plan-1", number, recommendation, "applied")


@pytest.mark.parametrize(
    ("status", "reason", "failures"),
    [
        ("applied", "", 0),
        ("rolled_back", "", 0),
        ("skipped", "drifted", 0),
        ("failed", "restored", 1),
        ("failed", "stranded", 1),
        ("applied", "not_rolled_back", 1),
        ("verified", "not_rolled_back", 1),
    ],
)
def test_what_fails_a_run(fake_aws: Callable[..., t.Any], status: t.Any, reason: str, failures: int) -> None:
    run = RunResult(outcomes=[ActionOutcome.of(action(1), status, reason, "it is gone", changed=False)])
    answer = answer_of(ec2_target(fake_aws({}), 5.0), run, 50)
    assert answer["failed_actions"] == failures
    if failures:
        assert answer["message"] == "1 of 1 actions failed, the first is i-1: it is gone"
    else:
        assert "message" not in answer


def test_an_interrupted_run_has_failed(fake_aws: Callable[..., t.Any]) -> None:
    answer = answer_of(ec2_target(fake_aws({}), 5.0), RunResult(interrupted="the resources cannot be read"), 50)
    assert (answer["failed_actions"], answer["message"]) == (1, "the resources cannot be read")


def watched(bad: t.Sequence[str] = (), waits: t.Sequence[str] = ()) -> Watched:
    burned = [Check("slo shop", "failed", "SLO shop burned")]
    return Watched(dict.fromkeys(bad, burned), dict.fromkeys(waits, "SLO shop cannot be read"))


def test_a_fast_burn_does_not_wait_for_the_end_of_the_soak() -> None:
    actions = [action(1), action(2)]
    results: dict[str, VerificationResult] = {}
    ready, waiting = with_watch(actions, Due([], {a.id: UNTIL for a in actions}), results, watched(["act-2"]))
    assert [a.id for a in ready] == ["act-2"]
    assert (results["act-2"].passed, results["act-2"].why) == (False, "slo shop: SLO shop burned")
    assert waiting == {"act-1": "soaks until 2026-06-16 12:00 UTC"}


def test_what_passed_waits_while_its_slo_cannot_be_read_and_what_failed_does_not() -> None:
    actions = [action(1), action(2), action(3)]
    results = {
        "act-1": VerificationResult(True, "fine"),
        "act-2": VerificationResult(False, "it is stopped"),
        "act-3": VerificationResult(True, "fine"),
    }
    ready, waiting = with_watch(actions, Due(actions, {}), results, watched(waits=["act-1", "act-2"]))
    assert [a.id for a in ready] == ["act-2", "act-3"]
    assert waiting == {"act-1": "SLO shop cannot be read"}
    assert sorted(results) == ["act-2", "act-3"]
