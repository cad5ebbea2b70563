# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The committed dashboards: as the generator writes them, readable by Prometheus' grammar, and complete.

What they show is looked at on a real Prometheus: tests/e2e/test_dashboards.py.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from pathlib import Path

import promql_parser
import pytest
from ansible_collections.frugal.cloud.tests.tools.dashboards import __main__ as generator
from ansible_collections.frugal.cloud.tests.tools.dashboards import building, reading

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "roles" / "grafana" / "files" / "dashboards").glob("*.json"))
_Dict = dict[str, t.Any]

pytestmark = pytest.mark.parametrize("dashboard", [reading.read(path) for path in FILES], ids=[p.stem for p in FILES])


def test_is_what_the_generator_writes(dashboard: _Dict) -> None:
    path = generator.FOLDER / f"{dashboard['uid']}.json"
    assert path.read_text(encoding="utf-8") == generator.wanted()[path], "run make dashboards"
    assert generator.differences(generator.wanted()) == []


def test_every_expression_is_promql(dashboard: _Dict) -> None:
    values = reading.chosen(dashboard)
    for asked in reading.queries(dashboard):
        promql_parser.parse(reading.filled(asked.expr, values))
    for variable in reading.variables(dashboard).values():
        if variable["type"] == "query":
            promql_parser.parse(reading.filled(reading.label_values(variable)[0], values))


def test_every_panel_says_what_it_shows(dashboard: _Dict) -> None:
    for panel in reading.panels(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        if panel["type"] == "table":
            named = panel["transformations"][-1]["options"]["renameByName"]
            assert all(named.values()), panel["title"]
    for variable in reading.variables(dashboard).values():
        assert variable["label"], variable["name"]
        assert variable["description"], variable["name"]


def test_panels_neither_overlap_nor_stick_out(dashboard: _Dict) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= building.COLUMNS, panel["title"]
        for cell in itertools.product(range(grid["x"], grid["x"] + grid["w"]), range(grid["y"], grid["y"] + grid["h"])):
            assert cell not in taken, f"{panel['title']} lies on {taken.get(cell)}"
            taken[cell] = panel["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_thresholds_rise_and_begin_with_none(dashboard: _Dict) -> None:
    for panel in reading.panels(dashboard):
        if "thresholds" not in panel["fieldConfig"]["defaults"]:
            continue
        values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert values[0] is None, panel["title"]
        assert values[1:] == sorted(values[1:]), panel["title"]


def test_variables_are_used(dashboard: _Dict) -> None:
    text = " ".join(asked.expr for asked in reading.queries(dashboard))
    text += " ".join(str(variable.get("query")) for variable in reading.variables(dashboard).values())
    for name in reading.variables(dashboard):
        if name != "datasource":
            assert re.search(rf"\$\{{?{name}\b", text), f"nobody reads ${name}"


def test_runbooks_that_are_linked_exist(dashboard: _Dict) -> None:
    for panel in reading.panels(dashboard):
        for link in panel.get("links", []):
            if link["url"].startswith(building.RUNBOOKS):
                page = ROOT / "docs" / "runbooks" / link["url"].rsplit("/", 1)[1]
                assert page.is_file(), f"{panel['title']} links {page.name}, which is not in docs/runbooks"
