# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the rule sets: what is documented applies, wrong ones are refused, Ansible renders as the tests do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.frugal.cloud.tests.tools import alert_rules as rules

SPECIFICATION = yaml.safe_load((rules.ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
OPTIONS = SPECIFICATION["argument_specs"]["main"]["options"]
TYPES: dict[str, t.Any] = {"float": (int, float), "int": int, "str": str, "list": list, "dict": dict}


def test_the_documented_settings_and_defaults_are_those_that_apply() -> None:
    documented = OPTIONS["prometheus_rule_settings"]["options"]
    defaults = rules.settings()
    assert set(documented) == set(defaults)
    for name, option in documented.items():
        assert isinstance(defaults[name], TYPES[option["type"]]), name
        if "options" in option:
            assert {key: inner["default"] for key, inner in option["options"].items()} == defaults[name]
        elif name != "alerts":
            assert option["default"] == defaults[name], name


def test_the_role_offers_exactly_the_sets_that_exist() -> None:
    assert sorted(OPTIONS["prometheus_rule_sets"]["choices"]) == rules.SETS


def play(tmp_path: Path, tasks: list[dict[str, t.Any]], settings: t.Any) -> subprocess.CompletedProcess[str]:
    variables = {
        "prometheus_rule_settings": settings,
        "prometheus_runbook_base_url": rules.BASE_URL,
        "ansible_managed": "Ansible managed",
        "ansible_python_interpreter": sys.executable,
    }
    book = tmp_path / "play.yml"
    read = {"ansible.builtin.include_vars": str(rules.ROLE / "vars" / "rule_settings.yml")}
    document = [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": [read, *tasks]}]
    book.write_text(yaml.safe_dump(document), encoding="utf-8")
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(book)],
        env={**os.environ, "ANSIBLE_NOCOLOR": "true", "ANSIBLE_HOME": str(tmp_path / "ansible")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_roles_lookup_renders_what_the_tests_test(tmp_path: Path) -> None:
    settings = {"latency_seconds": "0.5", "error_ratio": "0.02", "latency_seconds_by_service": {"checkout": 0.3}}
    folder = rules.ROLE / "templates" / "rules"
    looked_up = {name: f"{{{{ lookup('ansible.builtin.template', '{folder}/{name}.yml.j2') }}}}" for name in rules.SETS}
    target = tmp_path / "rendered.json"
    copy = {"content": looked_up, "dest": str(target), "mode": "0644"}
    done = play(tmp_path, [{"ansible.builtin.copy": copy}], settings)
    assert done.returncode == 0, done.stdout + done.stderr
    rendered = json.loads(target.read_text(encoding="utf-8"))
    for name in rules.SETS:
        assert yaml.safe_load(rendered[name]) == yaml.safe_load(rules.render(name, settings))
    assert "the limit is 2%" in " ".join(rendered["red"].split())


@pytest.mark.parametrize(
    "wrong",
    [
        {"ServiceLatencyHig": {"for": "3m"}},
        {"ServiceLatencyHigh": {"severity": "pager"}},
        {"ServiceLatencyHigh": {"for": "soon"}},
        {"ServiceLatencyHigh": {"for": "5m", "threshold": 3}},
        {"ServiceLatencyHigh": "off"},
    ],
    ids=json.dumps,
)
def test_wrong_alert_settings_are_refused_in_one_sentence(tmp_path: Path, wrong: t.Any) -> None:
    tasks = [{"ansible.builtin.include_tasks": str(rules.ROLE / "tasks" / "rule_settings.yml")}]
    done = play(tmp_path, tasks, {"alerts": wrong})
    name = next(iter(wrong))
    assert done.returncode != 0
    assert f"prometheus_rule_settings.alerts.{name} is " in done.stdout
    assert "it has to be an alert of the rule sets with for (such as 10m), severity (page or ticket)" in done.stdout
