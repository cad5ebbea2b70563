# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module newrelic_nerdgraph as Ansible runs it, on the stand-in: options, check mode, diff, secrets, sentences."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.standins import nerdgraph

ROOT = Path(__file__).resolve().parents[2]
_Dict = dict[str, t.Any]

WANTED: _Dict = {
    "policies": [
        {
            "name": "checkout",
            "incident_preference": "per_condition",
            "conditions": [
                {
                    "name": "Checkout is slow",
                    "query": "SELECT percentile(duration, 95) FROM Transaction",
                    "runbook_url": "https://wiki.example.org/slow",
                    "terms": [{"threshold": 1.5, "duration": 300}],
                }
            ],
        }
    ],
    "dashboards": [
        {
            "name": "Checkout",
            "pages": [{"name": "Overview", "widgets": [{"queries": ["SELECT count(*) FROM Transaction"]}]}],
        }
    ],
    "deployments": [{"entity_guid": "APP-1", "version": "1.4.2"}],
}


@dataclasses.dataclass
class Ran:
    """How a run of the module ended."""

    result: _Dict
    output: str

    @property
    def message(self) -> str:
        """What it says when it fails."""
        assert "FAILED! =>" in self.output, self.output
        return str(self.result["msg"])


class Runner:
    """Runs the module against the stand-in."""

    def __init__(self, new_relic: nerdgraph.NewRelic, endpoint: str) -> None:
        self.new_relic = new_relic
        self.endpoint = endpoint

    def run(self, *flags: str, environment: t.Mapping[str, str] | None = None, **arguments: t.Any) -> Ran:
        """One run with ``ansible -m``."""
        given = {"account_id": self.new_relic.account_id, "endpoint": self.endpoint, "api_key": nerdgraph.KEY}
        given = {key: value for key, value in {**given, **arguments}.items() if value is not None}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "NEW_RELIC"))}
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "ansible", "localhost", "-c", "local", "-i", "localhost,", *flags),
                *("-m", "frugal.cloud.newrelic_nerdgraph", "-a", json.dumps(given)),
                *("-e", f"ansible_python_interpreter={sys.executable}"),
            ],
            env={
                **kept,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
                "ANSIBLE_NOCOLOR": "1",
                **(environment or {}),
            },
            cwd=ROOT / "build",
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        _head, _arrow, rest = done.stdout.partition("=> ")
        assert rest, output
        return Ran(json.JSONDecoder().raw_decode(rest)[0], output)


@pytest.fixture
def runner() -> Iterator[Runner]:
    new_relic = nerdgraph.NewRelic(entities={"APP-1": "checkout"})
    with nerdgraph.serving(new_relic) as endpoint:
        yield Runner(new_relic, endpoint)


def test_check_mode_then_made_then_unchanged_then_drift(runner: Runner) -> None:
    checked = runner.run("--check", "--diff", **WANTED)
    assert checked.result["changed"]
    assert not runner.new_relic.policies
    assert not runner.new_relic.dashboards
    made = runner.run(**WANTED)
    assert made.result["changes"] == checked.result["changes"]
    assert made.result["counts"] == {"policy": 1, "condition": 1, "dashboard": 1, "deployment": 1}
    assert list(made.result["policies"].values()) == list(runner.new_relic.policies)
    assert list(made.result["dashboards"].values()) == list(runner.new_relic.dashboards)
    # The key is an option and a header, never a result, a diff or a log.
    for ran in (checked, made):
        assert nerdgraph.KEY not in ran.output
    again = runner.run(api_key=None, environment={"NEW_RELIC_API_KEY": nerdgraph.KEY}, **WANTED)
    assert again.result["changed"] is False
    assert again.result["changes"] == []
    next(iter(runner.new_relic.conditions.values()))["terms"][0]["threshold"] = 99.0
    drift = runner.run("--diff", **WANTED)
    assert [change["action"] for change in drift.result["changes"]] == ["update"]
    assert "99.0" in drift.output
    assert next(iter(runner.new_relic.conditions.values()))["terms"][0]["threshold"] == 1.5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"api_key": "NRAK-GUESSED"}, "does not take the key"),
        ({"api_key": None}, "api_key is missing"),
        ({"account_id": 42}, "Account 42 is not accessible"),
        ({"policies": [{"name": "a", "conditions": [{"name": "b"}]}]}, "condition 'b' of policy 'a' has no query"),
        ({"endpoint": "http://127.0.0.1:9/graphql", "retries": 0}, "cannot be asked"),
    ],
)
def test_what_is_wrong_is_one_sentence(runner: Runner, arguments: _Dict, sentence: str) -> None:
    ran = runner.run(**{**WANTED, **arguments})
    assert sentence in ran.message
    assert "\n" not in ran.message
    assert "Traceback" not in ran.output
    assert "NRAK-GUESSED" not in ran.message
    assert not runner.new_relic.policies


def test_errors_in_a_good_answer_and_throttling(runner: Runner) -> None:
    runner.new_relic.refused_name = "Checkout is slow"
    runner.new_relic.busy = 1
    ran = runner.run(**WANTED)
    assert "New Relic refused to create condition 'Checkout is slow' of policy 'checkout'" in ran.message
    runner.new_relic.refused_name = ""
    runner.new_relic.busy_in_200 = 1
    ran = runner.run(**WANTED)
    assert ran.result["counts"] == {"policy": 0, "condition": 1, "dashboard": 1, "deployment": 1}


PLAY = """
- name: The account, without an agent
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Manage it
      ansible.builtin.include_role:
        name: frugal.cloud.newrelic
    - name: Mark a deployment
      ansible.builtin.include_role:
        name: frugal.cloud.newrelic
        tasks_from: mark
"""


def test_the_role_manages_the_account_and_marks_deployments(runner: Runner, tmp_path: Path) -> None:
    """Twice: the second run changes nothing. The key is not in the output, however much Ansible says."""
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    given = {
        "newrelic_agent": False,
        "newrelic_account_id": runner.new_relic.account_id,
        "newrelic_nerdgraph_endpoint": runner.endpoint,
        "newrelic_policies": WANTED["policies"],
        "newrelic_dashboards": WANTED["dashboards"],
        "newrelic_deployments": WANTED["deployments"],
    }
    (tmp_path / "vars.json").write_text(json.dumps({**given, "newrelic_api_key": nerdgraph.KEY}), encoding="utf-8")
    recaps = []
    for _run in range(2):
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", "-vvv"),
                *("-e", f"@{tmp_path / 'vars.json'}", "-e", f"ansible_python_interpreter={sys.executable}"),
                tmp_path / "play.yml",
            ],
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert nerdgraph.KEY not in done.stdout + done.stderr
        recaps.append(next(line for line in done.stdout.splitlines() if "changed=" in line))
    assert "changed=2" in recaps[0], recaps
    assert "changed=0" in recaps[1], recaps
    assert len(runner.new_relic.policies) == len(runner.new_relic.dashboards) == len(runner.new_relic.deployments) == 1
