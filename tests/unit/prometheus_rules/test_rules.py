# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every alert fires where it should and is silent where it should, as promtool evaluates it; every runbook exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.tools import alert_rules as rules

#: alerts of the SLO rules (module frugal.cloud.slo), whose runbooks are here too
SLO_ALERTS = ("SLOErrorBudgetBurnPage", "SLOErrorBudgetBurnTicket")
ALERTS = [(name, alert) for name in rules.SETS for alert in rules.alerts(name)]
SECTIONS = (
    "## What it means",
    "## How to look",
    "## What to do",
    "## How to verify",
    "## When to change the threshold",
)


def promtool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: python tests/tools/environment.py system")
    return subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", rules.SETS)
def test_alerts_fire_and_stay_silent_as_the_cases_say(name: str, tmp_path: Path) -> None:
    files = rules.generate(name, tmp_path)
    assert files
    done = promtool("test", "rules", *(file.name for file in files), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", rules.SETS)
def test_rules_pass_promtools_check_without_a_warning(name: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rules.render(name, rules.required(name)), encoding="utf-8")
    done = promtool("check", "rules", "--lint-fatal", "rules.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "alert"), ALERTS)
def test_every_alert_has_a_firing_and_a_silent_case(name: str, alert: str) -> None:
    kinds = {case.kind for case in rules.cases(name) if case.alert == alert}
    assert kinds == {"fires", "silent"}, f"{alert} needs cases of both kinds in cases/{name}.yml, it has {kinds}"
    for case in rules.cases(name):
        if case.kind == "fires":
            assert case.entry.get("expect"), f"{case.title}: says nothing about the alert"
        elif case.kind == "silent":
            assert not case.entry.get("expect"), f"{case.title}: expects an alert"


@pytest.mark.parametrize("name", rules.SETS)
def test_every_recorded_series_has_a_case(name: str) -> None:
    recorded = {rule["record"] for rule in rules.rules(name) if "record" in rule}
    tested = {
        series.partition("{")[0]
        for case in rules.cases(name)
        if case.kind == "records"
        for series in case.entry["values"]
    }
    assert recorded <= tested, f"no case in cases/{name}.yml for {sorted(recorded - tested)}"


def test_cases_name_alerts_that_exist() -> None:
    for name in rules.SETS:
        assert {case.alert for case in rules.cases(name) if case.alert} <= set(rules.alerts(name))


@pytest.mark.parametrize(("name", "alert"), ALERTS)
def test_alerts_have_the_agreed_labels_and_annotations(name: str, alert: str) -> None:
    for rule in rules.rules(name, rules.required(name)):
        if rule.get("alert") != alert:
            continue
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["runbook_url"] == f"{rules.BASE_URL}/{alert}.md"
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert re.fullmatch(r"\d+[smhd]", rule["for"])


@pytest.mark.parametrize(("name", "alert"), ALERTS)
def test_alerts_take_for_severity_and_absence_from_the_settings(name: str, alert: str) -> None:
    opposite = {"page": "ticket", "ticket": "page"}[rules.settings()["alerts"][alert]["severity"]]
    changed = {**rules.required(name), "alerts": {alert: {"for": "42m", "severity": opposite}}}
    found = [rule for rule in rules.rules(name, changed) if rule.get("alert") == alert]
    assert [(rule["for"], rule["labels"]["severity"]) for rule in found] == [("42m", opposite)]
    without = {**rules.required(name), "alerts": {alert: {"enabled": False}}}
    left = {rule["alert"] for rule in rules.rules(name, without) if "alert" in rule}
    assert left == set(rules.alerts(name)) - {alert}


def test_settings_name_exactly_the_alerts_that_exist() -> None:
    assert set(rules.settings()["alerts"]) == {alert for _set, alert in ALERTS}


def test_every_setting_is_used_by_a_rule_set() -> None:
    templates = "".join(path.read_text(encoding="utf-8") for path in (rules.ROLE / "templates" / "rules").glob("*.j2"))
    unused = [name for name in rules.settings() if f"s.{name}" not in templates]
    assert not unused


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    pages = {path.stem for path in rules.RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert for _set, alert in ALERTS} | set(SLO_ALERTS)


@pytest.mark.parametrize("page", sorted(rules.RUNBOOKS.glob("[A-Z]*.md")), ids=lambda page: page.stem)
def test_a_runbook_says_what_when_and_how(page: Path) -> None:
    if page.stem == "README":
        return
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    found = [line for line in text.splitlines() if line.startswith("## ")]
    assert tuple(found) == SECTIONS
    for section in SECTIONS:
        body = text.split(section, 1)[1].split("\n## ", 1)[0].strip()
        assert len(body) >= 20, f"{page.stem}: '{section}' says nothing"


PARAGRAPHS = re.compile(r"```promql\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", sorted(rules.RUNBOOKS.glob("[A-Z]*.md")), ids=lambda page: page.stem)
def test_queries_in_runbooks_are_promql(page: Path) -> None:
    parser = pytest.importorskip("promql_parser")
    for block in PARAGRAPHS.findall(page.read_text(encoding="utf-8")):
        for query in filter(None, (part.strip() for part in block.split("\n\n"))):
            parser.parse(query)


def test_settings_that_name_things_reach_the_expressions(tmp_path: Path) -> None:
    """Renamed metrics and labels: promtool accepts the result, and nothing of the default names is left."""
    changed = {
        "requests_metric": "app_calls_total",
        "request_duration_metric": "app_call_seconds",
        "service_label": "app",
        "status_label": "status",
        "request_matchers": 'env="prod",',
        "latency_seconds_by_service": {"checkout": 0.3},
    }
    for name in ("red", "apdex", "cost"):
        text = rules.render(name, changed)
        (tmp_path / f"{name}.yml").write_text(text, encoding="utf-8")
        done = promtool("check", "rules", "--lint-fatal", f"{name}.yml", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "http_requests_total" not in text and "http_request_duration_seconds_bucket" not in text
        assert 'env="prod"' in text
        assert "label_replace(rate(app_call" in text


def test_the_guide_lists_the_alerts_and_series_as_they_are() -> None:
    text = rules.GUIDE.read_text(encoding="utf-8")
    assert rules.guide(text) == text, "run python tests/tools/alert_rules.py"
    for name in rules.SETS:
        assert f"`{name}`" in text
