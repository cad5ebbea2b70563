# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that make, list and decide on plans, as Ansible calls them."""

from __future__ import annotations

import importlib
import json
import pathlib
import typing as t
from collections.abc import Callable

import pytest
from ansible.module_utils import basic
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation_file import write_json_lines

Call = Callable[..., dict[str, t.Any]]


@pytest.fixture
def call(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a module with arguments; returns its result."""

    def run(name: str, *, check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
        given = {"ledger_url": sqlite_url, "as_of": "2026-03-02T12:00:00Z", **arguments, "_ansible_check_mode": check}
        if name.endswith("_info"):
            del given["as_of"]
        content = json.dumps({"ANSIBLE_MODULE_ARGS": {key: v for key, v in given.items() if v is not None}})
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", content.encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        module = importlib.import_module(f"ansible_collections.frugal.cloud.plugins.modules.{name}")
        with pytest.raises(SystemExit):
            module.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def records(spine: t.Any, count: int = 3) -> list[dict[str, t.Any]]:
    return [spine.recommendation(number).to_dict() for number in range(count)]


def test_plan_approve_list(call: Call, spine: t.Any, sqlite_url: str) -> None:
    file = pathlib.Path(sqlite_url.removeprefix("sqlite:///"))
    predicted = call("optimization_plan", check=True, recommendations=records(spine))
    assert predicted["changed"] and not file.exists()
    made = call("optimization_plan", recommendations=records(spine), context={"monthly_cost": 900.0})
    assert made["changed"] and made["kind"] == "new"
    assert {key: made[key] for key in ("totals", "diff", "kind")} == {
        key: predicted[key] for key in ("totals", "diff", "kind")
    }
    assert made["plan"]["context"] == {"monthly_cost": 900.0}
    assert made["diff"]["before"]["i-0002"] == {"instance_type": spine.OLD}
    assert made["diff"]["after"]["i-0002"] == {"instance_type": spine.NEW}
    again = call("optimization_plan", recommendations=records(spine), as_of="2026-03-03T12:00:00Z")
    assert not again["changed"] and again["kind"] == "unchanged" and again["diff"] == {"before": {}, "after": {}}
    assert again["plan"] == made["plan"] and again["actions"] == made["actions"]

    plan = made["plan"]["id"]
    dry = call("optimization_approval", check=True, plan=plan, approver="alice")
    approved = call("optimization_approval", plan=plan, approver="alice", comment="fine")
    assert dry["changed"] and dry["decided"] == approved["decided"] and dry["diff"] == approved["diff"]
    assert approved["counts"] == {"decided": 3, "unchanged": 0, "refused": 0}
    assert approved["plan"]["totals"]["by_status"] == {"approved": 3}
    assert not call("optimization_approval", plan=plan, approver="alice")["changed"]

    listed = call("optimization_plan_info", status=["approved"], limit=2)
    assert [action["rank"] for action in listed["actions"]] == [1, 2]
    assert listed["totals"]["actions"] == 3
    assert listed["actions"][0]["approvals"][0]["comment"] == "fine"
    assert listed["actions"][0]["recommendation"] == records(spine)[2]
    chosen = listed["actions"][0]["id"]
    rejected = call("optimization_approval", plan=plan, approver="bob", state="rejected", actions=[chosen])
    assert rejected["decided"] == [{"id": chosen, "before": "approved", "after": "rejected"}]
    journal = call("optimization_plan_info", actions=[chosen], journal=True)["actions"]
    assert [action["id"] for action in journal] == [chosen] and journal[0]["journal"] == []


def test_files_limits_and_export(call: Call, spine: t.Any, tmp_path: pathlib.Path) -> None:
    file, export = tmp_path / "found.jsonl.gz", tmp_path / "out" / "plan.json"
    write_json_lines(str(file), records(spine, 5))
    options = {"recommendations_path": [str(file)], "path": str(export), "limit": 2, "scope": spine.SCOPE}
    predicted = call("optimization_plan", check=True, **options)
    assert predicted["changed"] and not export.parent.exists()
    made = call("optimization_plan", **options)
    assert [action["rank"] for action in made["actions"]] == [1, 2] == [a["rank"] for a in predicted["actions"]]
    assert len(made["diff"]["after"]) == 2
    written = json.loads(export.read_text(encoding="utf-8"))
    assert len(written["actions"]) == 5 and written["plan"]["totals"]["actions"] == 5
    assert written["actions"][:2] == made["actions"]
    assert not call("optimization_plan", **options)["changed"]
    export.unlink()
    assert call("optimization_plan", **options)["changed"], "the file is missing"


def test_superseded_plans_are_listed_on_request(call: Call, spine: t.Any) -> None:
    old = call("optimization_plan", recommendations=records(spine))
    new = call("optimization_plan", recommendations=records(spine, 2))
    assert new["superseded"] == old["plan"]["id"]
    assert [plan["id"] for plan in call("optimization_plan_info")["plans"]] == [new["plan"]["id"]]
    assert call("optimization_plan_info")["totals"]["actions"] == 2
    assert len(call("optimization_plan_info", superseded=True)["plans"]) == 2
    gone = call("optimization_plan_info", plan=old["plan"]["id"])
    assert gone["plans"][0]["status"] == "superseded" and gone["totals"]["by_status"] == {"expired": 3}
    failed = call("optimization_approval", plan=old["plan"]["id"], approver="alice")
    assert failed["failed"] and f"superseded by {new['plan']['id']}" in failed["msg"]


def test_a_plan_that_changed_meanwhile_is_not_approved(call: Call, spine: t.Any) -> None:
    seen = call("optimization_plan", recommendations=records(spine))["plan"]["digest"]
    call("optimization_plan", recommendations=records(spine, 2))
    failed = call("optimization_approval", digest=seen, approver="alice")
    assert failed["failed"] and "the plan has changed since" in failed["msg"]
    assert call("optimization_plan_info")["totals"]["by_status"] == {"proposed": 2}


def test_an_empty_answer_replaces_the_plan(call: Call, spine: t.Any) -> None:
    call("optimization_plan", recommendations=records(spine))
    emptied = call("optimization_plan", recommendations=[], scope=spine.SCOPE)
    assert emptied["changed"] and emptied["totals"]["actions"] == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"recommendations": []}, "scope is not set and there is no recommendation to take it from"),
        ({"recommendations": [{"id": "x"}]}, "recommendations[0] is not a recommendation"),
        ({"recommendations": [], "scope": "a/b", "as_of": "yesterday"}, "as_of is 'yesterday': give a time such as"),
        ({"recommendations": [], "scope": "a/b", "policy": "/none.yml"}, "policy '/none.yml' cannot be read"),
        ({"recommendations": [], "scope": "a/b", "policy": {"minimum_saving": "x"}}, "minimum_saving is 'x'"),
        ({"recommendations": [], "scope": "a/b", "ledger_url": "nonsense"}, "ledger_url is not a database address"),
        ({"recommendations_path": ["/none.gz"], "scope": "a/b"}, "/none.gz cannot be read"),
        (
            {"recommendations": [], "scope": "a/b", "path": "/proc/none/plan.json"},
            "path is '/proc/none/plan.json', whi",
        ),
    ],
)
def test_bad_input_is_one_sentence(options: t.Any, sentence: str, call: Call) -> None:
    failed = call("optimization_plan", **options)
    assert failed["failed"] and sentence in failed["msg"]
    assert "\n" not in failed["msg"] and "exception" not in failed


def test_several_scopes_need_several_plans(call: Call, spine: t.Any) -> None:
    other = json.loads(json.dumps(records(spine, 1)[0]))
    other["scope"]["region"] = "us-east-1"
    failed = call("optimization_plan", recommendations=[*records(spine, 1), other])
    assert "belong to 2 scopes (111122223333/eu-west-1, 111122223333/us-east-1)" in failed["msg"]


def test_the_ledger_comes_from_the_environment(
    call: Call, spine: t.Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRUGAL_LEDGER_URL", f"sqlite:///{tmp_path}/named.db")
    call("optimization_plan", recommendations=records(spine), ledger_url=None)
    assert (tmp_path / "named.db").exists()
    monkeypatch.delenv("FRUGAL_LEDGER_URL")
    monkeypatch.setenv("HOME", str(tmp_path))
    call("optimization_plan", recommendations=records(spine), ledger_url=None)
    assert (tmp_path / ".frugal" / "ledger.db").exists()
