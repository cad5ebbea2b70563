# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule sets of the role prometheus: rendered as the role does, turned into promtool's tests, listed in the guide.

``alert_rules.py`` writes the tables of docs/guides/alerting.md, ``--check`` says whether they are up to date.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
import typing as t
from pathlib import Path

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "prometheus"
CASES = ROOT / "tests" / "unit" / "prometheus_rules" / "cases"
GUIDE = ROOT / "docs" / "guides" / "alerting.md"
RUNBOOKS = ROOT / "docs" / "runbooks"
SETS = sorted(path.name.removesuffix(".yml.j2") for path in (ROLE / "templates" / "rules").glob("*.yml.j2"))
BASE_URL = "https://runbooks.example.org"
#: where the guide, which is a page of the site, too, finds the runbooks, which are not
PUBLISHED = "https://github.com/frugal-cloud/frugal.cloud/blob/main/docs/runbooks"


def settings() -> dict[str, t.Any]:
    """The documented defaults of the settings."""
    loaded = yaml.safe_load((ROLE / "vars" / "rule_settings.yml").read_text(encoding="utf-8"))
    return t.cast("dict[str, t.Any]", loaded["__prometheus_rule_setting_defaults"])


def render(name: str, changed: t.Mapping[str, t.Any] | None = None) -> str:
    """The text of the rule set ``name`` with ``changed`` as prometheus_rule_settings."""
    return _render(name, json.dumps(changed or {}))


@functools.cache
def _render(name: str, changed: str) -> str:
    loader = DataLoader()
    variables = dict(loader.load_from_file(str(ROLE / "vars" / "rule_settings.yml"), trusted_as_template=True))
    variables["prometheus_rule_settings"] = json.loads(changed)
    variables["prometheus_runbook_base_url"] = BASE_URL
    variables["ansible_managed"] = "Ansible managed"
    template = (ROLE / "templates" / "rules" / f"{name}.yml.j2").read_text(encoding="utf-8")
    text = Templar(loader=loader, variables=variables).template(trust_as_template(template))
    assert isinstance(text, str)
    return text


def rules(name: str, changed: t.Mapping[str, t.Any] | None = None) -> list[dict[str, t.Any]]:
    """The recording and alerting rules of the set ``name``."""
    groups = yaml.safe_load(render(name, changed))["groups"]
    return [rule for group in groups for rule in group["rules"] or []]


def required(name: str) -> dict[str, t.Any]:
    """Settings with which every alert of the set exists: some are empty by default."""
    return {"required_metrics": ["up"]} if name == "targets" else {}


def alerts(name: str) -> list[str]:
    """Names of the alerts of the set ``name``."""
    return sorted({rule["alert"] for rule in rules(name, required(name)) if "alert" in rule})


class Case(t.NamedTuple):
    """One situation of a set's file: the alert or recordings that it is about, and what has to come of it."""

    kind: str
    alert: str
    entry: dict[str, t.Any]

    @property
    def title(self) -> str:
        return f"{self.alert or 'recordings'}, {self.kind}: {self.entry['when']}"


def cases(name: str) -> t.Iterator[Case]:
    """The cases of the set ``name``, in the order of its file."""
    loaded = yaml.safe_load((CASES / f"{name}.yml").read_text(encoding="utf-8"))
    for alert, kinds in loaded.get("alerts", {}).items():
        for kind in ("fires", "silent"):
            for entry in kinds.get(kind, []):
                yield Case(kind, alert, entry)
    for entry in loaded.get("recordings", []):
        yield Case("records", "", entry)


def promtool_test(name: str, case: Case, severities: t.Mapping[str, str]) -> dict[str, t.Any]:
    """``case`` in promtool's own form."""
    entry = case.entry
    group: dict[str, t.Any] = {
        "name": case.title,
        "interval": entry.get("interval", "1m"),
        "input_series": [{"series": series, "values": _values(values)} for series, values in entry["series"].items()],
    }
    if case.kind == "records":
        group["promql_expr_test"] = [
            {
                "expr": series.partition("{")[0],
                "eval_time": entry["at"],
                "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
            }
            for series, expected in _by_metric(entry["values"]).items()
        ]
        return group
    expected = [
        {
            "exp_labels": {"severity": severities[case.alert], **alert["labels"]},
            "exp_annotations": {
                "summary": alert["summary"],
                "description": " ".join(alert["description"].split()),
                "runbook_url": f"{BASE_URL}/{case.alert}.md",
            },
        }
        for alert in entry.get("expect", [])
    ]
    group["alert_rule_test"] = [{"alertname": case.alert, "eval_time": entry["at"], "exp_alerts": expected}]
    return group


def _values(text: str) -> str:
    """``text`` with NaNxn written out, which promtool's notation cannot repeat."""
    return re.sub(r"NaNx(\d+)", lambda found: " ".join(["NaN"] * (int(found[1]) + 1)), text)


def _by_metric(values: t.Mapping[str, float]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for series, value in values.items():
        found.setdefault(series.partition("{")[0], {})
        if value is not None:
            found[series.partition("{")[0]][series] = value
    return found


def generate(name: str, folder: Path) -> list[Path]:
    """Write rule and test files of the set ``name`` to ``folder``: one pair for each settings that cases ask for."""
    by_settings: dict[str, list[Case]] = {}
    for case in cases(name):
        by_settings.setdefault(json.dumps(case.entry.get("settings", {}), sort_keys=True), []).append(case)
    written = []
    for number, (changed, group) in enumerate(by_settings.items()):
        merged = {**required(name), **json.loads(changed)}
        severities = {rule["alert"]: rule["labels"]["severity"] for rule in rules(name, merged) if "alert" in rule}
        rule_file = folder / f"{name}-{number}.rules.yml"
        rule_file.write_text(render(name, merged), encoding="utf-8")
        interval = yaml.safe_load((CASES / f"{name}.yml").read_text(encoding="utf-8")).get("evaluation_interval", "1m")
        test_file = folder / f"{name}-{number}.test.yml"
        document = {
            "rule_files": [rule_file.name],
            "evaluation_interval": interval,
            "tests": [promtool_test(name, case, severities) for case in group],
        }
        test_file.write_text(yaml.safe_dump(document, sort_keys=False, width=1000), encoding="utf-8")
        written.append(test_file)
    return written


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def alert_table() -> str:
    """Every alert: its set, when it fires, where it goes, and for how long the condition has to hold."""
    lines = ["| alert | set | page or ticket | holds for | what it says |", "|---|---|---|---|---|"]
    for name in SETS:
        seen: set[str] = set()
        for rule in rules(name, required(name)):
            if "alert" not in rule or rule["alert"] in seen:
                continue
            seen.add(rule["alert"])
            page = f"[{rule['alert']}]({PUBLISHED}/{rule['alert']}.md)"
            summary = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", rule["annotations"]["summary"])
            lines.append(f"| {page} | `{name}` | {rule['labels']['severity']} | {rule['for']} | {_cell(summary)} |")
    return "\n".join(lines)


def record_table() -> str:
    """Every recorded series and its set."""
    lines = ["| series | set |", "|---|---|"]
    for name in SETS:
        records = dict.fromkeys(rule["record"] for rule in rules(name) if "record" in rule)
        lines += [f"| `{record}` | `{name}` |" for record in records]
    return "\n".join(lines)


def guide(text: str) -> str:
    """The guide's ``text`` with its tables written anew."""
    for name, table in (("alerts", alert_table()), ("series", record_table())):
        begin, end = f"<!-- {name}: written by tests/tools/alert_rules.py -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _old, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"{GUIDE.relative_to(ROOT)} lacks the lines '{begin}' and '{end}'")
        text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the tables of docs/guides/alerting.md.")
    parser.add_argument("--check", action="store_true", help="only say whether they are up to date")
    options = parser.parse_args()
    old = GUIDE.read_text(encoding="utf-8")
    new = guide(old)
    if options.check:
        if new != old:
            print("docs/guides/alerting.md is out of date: run python tests/tools/alert_rules.py", file=sys.stderr)
        return int(new != old)
    GUIDE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
