# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module slo: files, purge, check mode, and what promtool says; its parts are tested in ``analyze``."""

from __future__ import annotations

import ast
import json
import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import slo_module
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import SloError
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
ROOT = pathlib.Path(__file__).resolve().parents[4]


def declared(name: str, **changes: t.Any) -> dict[str, t.Any]:
    sli = {"availability": {"bad": 'a_total{code=~"5.."}', "total": "a_total"}}
    return {"name": name, "service": "shop", "objective": 99.9, "evaluation_interval": "60s", "sli": sli, **changes}


def options(folder: pathlib.Path | None, *slos: t.Any, **changes: t.Any) -> dict[str, t.Any]:
    return {
        "slos": list(slos),
        "paths": [],
        "evaluation_interval": "30s",
        "runbook_base_url": "https://runbooks.example",
        "dest": str(folder / "rules") if folder else None,
        "tests_dest": str(folder / "tests") if folder else None,
        "purge": False,
        "promtool": None,
        "run_tests": False,
        "owner": None,
        "group": None,
        "mode": "0644",
        **changes,
    }


def contents(folder: pathlib.Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_without_a_folder_files_are_only_returned() -> None:
    result = slo_module.run(options(None, declared("one")), check=False)
    assert not result["changed"] and not result["written"]
    assert [file["path"] for file in result["files"]] == ["slo-one.yml"]
    assert [file["path"] for file in result["tests"]] == ["slo-one_test.yml"]
    assert "- slo-one.yml" in result["tests"][0]["content"]
    assert "https://runbooks.example/SLOErrorBudgetBurnPage.md" in result["files"][0]["content"]
    assert result["slos"][0]["conditions"][0] == {
        "severity": "page", "long": "1h", "short": "5m", "factor": 14.4, "threshold": 0.0144,
    }  # fmt: skip


def test_files_check_mode_and_idempotence(tmp_path: pathlib.Path) -> None:
    wanted = options(tmp_path, declared("one"), declared("two"))
    planned = slo_module.run(wanted, check=True)
    assert planned["changed"] and not contents(tmp_path)
    done = slo_module.run(wanted, check=False)
    assert done["written"] == planned["written"] and done["diff"] == planned["diff"]
    files = contents(tmp_path)
    assert sorted(files) == [
        "rules/slo-one.yml",
        "rules/slo-two.yml",
        "tests/slo-one_test.yml",
        "tests/slo-two_test.yml",
    ]
    assert "../rules/slo-one.yml" in files["tests/slo-one_test.yml"]
    assert not slo_module.run(wanted, check=False)["changed"]
    raised = slo_module.run(options(tmp_path, declared("one", objective=99.5), declared("two")), check=False)
    assert [os.path.basename(path) for path in raised["written"]] == ["slo-one_test.yml", "slo-one.yml"]
    assert "vector(0.999)" in raised["diff"][1]["before"] and "vector(0.995)" in raised["diff"][1]["after"]


def test_purge_takes_only_files_that_the_module_made(tmp_path: pathlib.Path) -> None:
    slo_module.run(options(tmp_path, declared("one"), declared("two")), check=False)
    (tmp_path / "rules" / "slo-hand-written.yml").write_text("groups: []\n")
    (tmp_path / "rules" / "other.yml").write_text("groups: []\n")
    kept = slo_module.run(options(tmp_path, declared("one")), check=False)
    assert not kept["changed"]
    gone = slo_module.run(options(tmp_path, declared("one"), purge=True), check=False)
    assert [os.path.basename(path) for path in gone["removed"]] == ["slo-two_test.yml", "slo-two.yml"]
    assert sorted(contents(tmp_path)) == [
        "rules/other.yml", "rules/slo-hand-written.yml", "rules/slo-one.yml", "tests/slo-one_test.yml",
    ]  # fmt: skip
    everything = slo_module.run(options(tmp_path, purge=True), check=False)
    assert len(everything["removed"]) == 2


def test_declarations_from_files(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps([declared("one")]))
    (tmp_path / "two.yml").write_text("slos:\n  - " + json.dumps(declared("two")) + "\n")
    paths = [str(tmp_path / "one.json"), str(tmp_path / "two.yml")]
    found = slo_module.run(options(None, declared("zero"), paths=paths), check=False)
    assert [slo["name"] for slo in found["slos"]] == ["zero", "one", "two"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("absent.yml", None, "cannot be read"),
        ("a.json", "{", "which is no JSON"),
        ("a.yml", "a: [", "which is no YAML"),
        ("a.yml", "5", "holds no list of SLOs"),
    ],
)
def test_bad_files(tmp_path: pathlib.Path, name: str, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SloError, match=words):
        slo_module.run(options(None, paths=[str(tmp_path / name)]), check=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dest": None}, "without dest"),
        ({"dest": "rules"}, "dest is 'rules': give an absolute path"),
        ({"slos": []}, "slos and paths are empty"),
        ({"mode": "rw"}, "mode is 'rw': give it in octal"),
        ({"owner": "nobody-of-that-name"}, "there is no such user"),
        ({"promtool": "/nowhere/promtool"}, "promtool is '/nowhere/promtool': there is no such program"),
        ({"evaluation_interval": "soon"}, "evaluation_interval is 'soon': give a duration"),
    ],
)
def test_bad_options(tmp_path: pathlib.Path, changes: dict[str, t.Any], words: str) -> None:
    with pytest.raises((SloError, HostError), match=words):
        slo_module.run(options(tmp_path, declared("one"), **changes), check=False)
    assert not contents(tmp_path)


def test_tests_do_not_go_where_prometheus_reads_rules(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SloError, match="the same folder as dest"):
        slo_module.run(options(tmp_path, declared("one"), tests_dest=str(tmp_path / "rules")), check=False)


@needs_promtool
def test_bad_promql_is_refused_in_promtools_words_and_nothing_changes(tmp_path: pathlib.Path) -> None:
    slo_module.run(options(tmp_path, declared("one")), check=False)
    before = contents(tmp_path)
    bad = declared("two", sli={"latency": {"time_slice": {"query": "histogram_quantile(0.9, x", "above": 1}}})
    with pytest.raises(SloError) as caught:
        slo_module.run(options(tmp_path, declared("one", objective=99), bad), check=False)
    text = str(caught.value)
    assert text.startswith("SLO two: promtool check rules refuses what came of it: ")
    assert "slo:slice_error:bool" in text and "parse" in text and "\n" not in text
    assert contents(tmp_path) == before


@needs_promtool
def test_generated_tests_are_run(tmp_path: pathlib.Path) -> None:
    result = slo_module.run(options(tmp_path, declared("one"), run_tests=True), check=True)
    assert result["validated"] and result["tested"]
    # A query that always has a value is at odds with what its tests feed.
    odd = declared("odd", sli={"latency": {"time_slice": {"query": "vector(1)", "above": 5}}})
    with pytest.raises(SloError, match="SLO odd: promtool test rules refuses what came of it: "):
        slo_module.run(options(tmp_path, declared("one"), odd, run_tests=True), check=False)


@pytest.mark.parametrize(
    "name",
    [
        "slo_module.py",
        "slo_files.py",
        *sorted(path.name for path in (ROOT / "plugins/module_utils/analyze").glob("slo*.py")),
    ],
)
def test_managed_hosts_python_reads_the_files(name: str) -> None:
    """Python 3.9: no match statement, no union of types at run time; dataclasses without slots."""
    folder = ROOT / "plugins" / "module_utils"
    path = folder / name if (folder / name).exists() else folder / "analyze" / name
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    words = {keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords}
    assert not words & {"slots", "kw_only", "strict"}
