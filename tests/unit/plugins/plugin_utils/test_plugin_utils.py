# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain text tables, and lines that are shown while a module works."""

from __future__ import annotations

import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.plugin_utils import following
from ansible_collections.frugal.cloud.plugins.plugin_utils.tables import (
    MAXIMUM_WIDTH,
    action_table,
    change,
    money,
    outcome_lines,
    reason,
    table,
    undone_lines,
)

# -- tables --------------------------------------------------------------------------------------------


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = table(("name", "USD"), [("web", "1.00"), ("a longer name", "1,234.00")], right=(1,))
    assert lines == [
        "name                USD",
        "-------------  --------",
        "web                1.00",
        "a longer name  1,234.00",
    ]


def test_a_table_without_rows_is_its_head() -> None:
    assert table(("a", "bb"), []) == ["a  bb", "-  --"]


def test_long_and_broken_cells_become_one_short_line() -> None:
    (_head, _rule, line) = table(("why",), [("one\ntwo\t" + "word " * 40,)])
    assert len(line) <= MAXIMUM_WIDTH
    assert line.startswith("one two word")
    assert line.endswith(" ...")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0.417, "0.42 USD"),
        (99.994, "99.99 USD"),
        (1234.56, "1,235 USD"),
        (-0.5, "-0.50 USD"),
        (-1234.56, "-1,235 USD"),
        (0, "0.00 USD"),
        (None, "? USD"),
    ],
)
def test_money(amount: float | None, text: str) -> None:
    assert money(amount) == text


def test_other_money() -> None:
    assert money(1500, "CNY") == "1,500 CNY"


def test_changes_and_reasons() -> None:
    assert change({"instance_type": "m5.2xlarge"}, {"instance_type": "m6i.large"}) == "m5.2xlarge -> m6i.large"
    assert change({}, {"size": 3}) == "size - -> 3"
    item = {"reasons": ["m6i.large: memory binds", "more"], "proposed": {"instance_type": "m6i.large"}}
    assert reason(item) == "memory binds"
    assert reason({"reasons": ["it is idle"], "proposed": {"instance_type": "m6i.large"}}) == "it is idle"


def action(rank: int, **more: t.Any) -> dict[str, t.Any]:
    recommendation = {
        "resource": {"id": f"i-{rank}", "name": "web" if rank == 1 else ""},
        "current": {"instance_type": "m5.2xlarge"},
        "proposed": {"instance_type": "m6i.large"},
        "monthly": {"saving": 1210.2},
        "risk": {"name": "low"},
        "effort": "restart",
        "reasons": ["m6i.large: memory binds"],
    }
    return {"rank": rank, "status": "proposed", "why": "", "recommendation": recommendation, **more}


def plan(actions: list[dict[str, t.Any]], **by_status: int) -> dict[str, t.Any]:
    totals = {"actions": 9, "by_status": by_status, "monthly_saving": 3000.4, "currency": "USD"}
    return {"plan": {"id": "plan-1", "scope": "123456789012/eu-west-1"}, "actions": actions, "totals": totals}


def test_the_table_of_a_plan() -> None:
    lines = action_table(plan([action(1), action(2, status="skipped", why="it is protected")], proposed=8, skipped=1))
    text = "\n".join(lines)
    assert "1  web       m5.2xlarge -> m6i.large   1,210.20  low   restart  proposed  memory binds" in text
    assert "2  i-2       m5.2xlarge -> m6i.large   1,210.20  low   restart  skipped   it is protected" in text
    assert "plan plan-1: 9 actions (the first 2 are shown), 8 proposed, 1 skipped; 3,000 USD/month to save" in lines
    assert lines[-1] == "decide: ansible-playbook frugal.cloud.approve -e frugal_approve=plan-1"


def test_how_to_go_on_with_a_plan() -> None:
    approved = plan([action(1)], approved=1)
    assert action_table(approved)[-1] == "carry out: ansible-playbook frugal.cloud.rightsizing -e frugal_stage=apply"
    approved["plan"]["scope"] = "hosts/cache1/redis"
    assert action_table(approved)[-1] == "carry out: ansible-playbook frugal.cloud.caching -e frugal_stage=apply"
    done = action_table(plan([action(1)], verified=9))[-1]
    assert done.startswith("plan plan-1: 9 actions")
    empty = {
        "plan": {"id": "plan-0"},
        "actions": [],
        "totals": {"actions": 0, "by_status": {}, "monthly_saving": 0, "currency": "USD"},
    }
    assert action_table(empty) == ["", "plan plan-0: 0 actions, nothing to do; 0.00 USD/month to save"]


def outcome(status: str, why: str = "") -> dict[str, t.Any]:
    kinds = {"current": {"instance_type": "m5.large"}, "proposed": {"instance_type": "m6i.large"}}
    return {"status": status, "name": "", "resource": "i-1", "why": why, **kinds}


def test_what_became_of_a_run() -> None:
    result = {
        "scope": "1/us-east-1",
        "by_status": {"applied": 2, "failed": 1, "skipped": 0},
        "monthly_saving": 200.0,
        "currency": "USD",
        "api": {"requests": 12},
        "outcomes": [outcome("applied"), outcome("failed", "there is no capacity")],
        "deferred_count": 3,
        "deferred": [{"why": "frozen until Monday"}],
        "stopped": "1 actions failed: no new ones were begun",
    }
    assert outcome_lines(result) == [
        "1/us-east-1: 2 applied, 1 failed; 200 USD/month saved (12 API requests)",
        "  failed: i-1 m5.large -> m6i.large: there is no capacity",
        "  3 left for later: frozen until Monday",
        "  1 actions failed: no new ones were begun",
    ]


def test_a_run_with_nothing_to_do() -> None:
    result = {
        "scope": "1/r",
        "by_status": {},
        "monthly_saving": 0.0,
        "currency": "USD",
        "api": {"requests": 1},
        "outcomes": [],
    }
    assert outcome_lines(result) == ["1/r: nothing to do; 0.00 USD/month saved (1 API requests)"]


def test_what_waits_is_told_with_each_reason_once() -> None:
    slo, frozen = "SLO shop has 4.0 % of its error budget left", "freeze window 'weekend' until Monday"
    result = {
        "scope": "1/r",
        "by_status": {},
        "monthly_saving": 0.0,
        "currency": "USD",
        "api": {"requests": 1},
        "outcomes": [],
        "deferred_count": 60,
        "deferred": [{"why": frozen}, *[{"why": slo}] * 49],
    }
    assert outcome_lines(result)[1:] == [
        "  60 left for later, of the first 50:",
        f"    49 {slo}",
        f"    1 {frozen}",
    ]


def test_what_a_rollback_undid() -> None:
    result = {
        "scope": "1/r",
        "by_status": {"rolled_back": 1, "applied": 1},
        "monthly_saving": 0.0,
        "monthly_saving_undone": 84.5,
        "currency": "USD",
        "api": {"requests": 9},
        "outcomes": [
            outcome("rolled_back", "rolled back to its old state"),
            outcome("applied", "not rolled back: gone"),
        ],
    }
    assert undone_lines(result) == [
        "1/r: 1 applied, 1 rolled_back; 84.50 USD/month no longer saved (9 API requests)",
        "  rolled_back: i-1 m6i.large -> m5.large: rolled back to its old state",
        "  applied: i-1 m6i.large -> m5.large: not rolled back: gone",
    ]
    nothing = {**result, "by_status": {}, "monthly_saving_undone": 0.0, "outcomes": []}
    assert undone_lines(nothing) == ["1/r: nothing to do; nothing was undone (9 API requests)"]


# -- following -----------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(following.display, "display", lambda text, *_more, **_named: lines.append(text))
    monkeypatch.setattr(following, "INTERVAL", 0.01)
    return lines


def until(condition: t.Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_lines_are_shown_as_they_come_and_whole(tmp_path: Path, shown: list[str]) -> None:
    path = tmp_path / "progress"
    path.touch()
    finished = threading.Event()
    follower = threading.Thread(target=following.follow, args=(str(path), finished, "[a] "))
    follower.start()
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write("first\nsec")
            file.flush()
            until(lambda: shown == ["  [a] first"])
            file.write("ond\n")
            file.flush()
            until(lambda: shown == ["  [a] first", "  [a] second"])
    finally:
        finished.set()
        follower.join(10)
    assert not follower.is_alive()


def test_what_was_written_last_is_shown_though_the_module_has_ended(tmp_path: Path, shown: list[str]) -> None:
    path = tmp_path / "progress"
    path.write_text("one\ntwo\nhalf a line", encoding="utf-8")
    finished = threading.Event()
    finished.set()
    following.follow(str(path), finished, "")
    assert shown == ["  one", "  two"]
