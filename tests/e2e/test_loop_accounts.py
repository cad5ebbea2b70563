# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two accounts, one of which cannot be entered: the other goes on, the play says so and fails."""

from __future__ import annotations

import pytest
from ansible_collections.frugal.cloud.tests.e2e.conftest import MakeLoop
from ansible_collections.frugal.cloud.tests.e2e.loop import REGION, SECOND, Loop, Ran, estate, machines

INVENTORY = """
plugin: frugal.cloud.scopes
accounts: [{id: "222222222222", name: closed}, {id: "111111111111", name: open}]
role_name: frugal
regions: [us-east-1]
"""
OPEN, CLOSED = "aws-111111111111-us-east-1", "aws-222222222222-us-east-1"


@pytest.fixture(name="loop", scope="module")
def two_accounts(make_loop: MakeLoop) -> Loop:
    closed = {"id": SECOND, "assume_role": "deny", "regions": {REGION: {"instances": [machines("other", 2)]}}}
    loop = make_loop(estate([machines("web", 2)], accounts=[closed]))
    (loop.folder / "scopes.yml").write_text(INVENTORY)
    loop.environ["ANSIBLE_INVENTORY"] = str(loop.folder / "scopes.yml")
    return loop


def check(ran: Ran, stage: str) -> None:
    assert ran.code == 2, ran.output
    assert ran.recap[OPEN]["failed"] == 0, stage
    assert ran.recap[CLOSED]["failed"] == 1, stage
    assert [result.host for result in ran.results if result.state == "fatal"] == [CLOSED]
    assert "sts:AssumeRole" in ran.failure
    assert SECOND in ran.failure
    assert "\n" not in ran.failure


def test_the_other_account_goes_through_the_whole_loop(loop: Loop) -> None:
    recommended = loop.stage("recommend")
    check(recommended, "recommend")
    assert recommended.recap[OPEN]["changed"] == 1
    assert recommended.of("Judge the findings", OPEN)["totals"]["by_status"] == {"proposed": 2}
    loop.approve()
    applied = loop.stage("apply")
    check(applied, "apply")
    assert set(loop.types().values()) == {"m6a.large running"}
    loop.advance(30)
    verified = loop.stage("verify")
    check(verified, "verify")
    assert set(loop.statuses().values()) == {"verified"}
    again = loop.stage("verify")
    check(again, "verify again")
    assert again.changed == 0
    assert {change["account"] for change in loop.changes() if change["result"] == "ok"} == {loop.account}
