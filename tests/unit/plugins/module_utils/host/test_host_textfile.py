# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics as text: what promtool takes, and what is refused before it gets that far."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_textfile import render
from hypothesis import given
from hypothesis import strategies as st


def metric(name: str = "frugal_cost_usd", kind: str = "gauge", **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "type": kind, "help": None, "samples": [{"value": 1}], **more}


ALL = [
    metric(help="Cost in \\ US dollars\nper hour", samples=[{"labels": {"b": 'x"y\\z\n', "a": 1}, "value": "1.85"}]),
    metric("frugal_runs_total", "counter", help="Runs.", samples=[{"value": 3}]),
    metric(
        "frugal_wait_seconds",
        "histogram",
        help="Waiting.",
        samples=[
            {"suffix": "_bucket", "labels": {"le": "0.5"}, "value": 2},
            {"suffix": "_bucket", "labels": {"le": "+Inf"}, "value": 3},
            {"suffix": "_sum", "value": 1.5},
            {"suffix": "_count", "value": 3},
        ],
    ),
    metric(
        "frugal_size_bytes",
        "summary",
        help="Sizes.",
        samples=[
            {"labels": {"quantile": "0.5"}, "value": "NaN"},
            {"suffix": "_sum", "value": 0},
            {"suffix": "_count", "value": 0},
        ],
    ),
]


def test_the_text() -> None:
    assert render(ALL[:2]) == (
        "# HELP frugal_cost_usd Cost in \\\\ US dollars\\nper hour\n"
        "# TYPE frugal_cost_usd gauge\n"
        'frugal_cost_usd{a="1",b="x\\"y\\\\z\\n"} 1.85\n'
        "# HELP frugal_runs_total Runs.\n"
        "# TYPE frugal_runs_total counter\n"
        "frugal_runs_total 3\n"
    )


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_takes_it() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=render(ALL), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_order_of_samples_does_not_matter() -> None:
    samples = [{"labels": {"a": "1"}, "value": 1}, {"labels": {"a": "2"}, "value": 2}]
    assert render([metric(samples=samples)]) == render([metric(samples=samples[::-1])])


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ([metric("1st")], "metrics has the name '1st': give letters, digits"),
        ([metric("a-b")], "metrics has the name 'a-b'"),
        ([metric("a\n")], r"metrics has the name 'a\n'"),
        ([metric(), metric()], "metrics has frugal_cost_usd twice"),
        (
            [metric("x", "summary", samples=[{"suffix": "_sum", "value": 1}]), metric("x_sum")],
            "metrics has x_sum twice",
        ),
        ([metric("x_sum"), metric("x", "histogram")], "metrics has x_sum twice"),
        ([metric(samples=[])], "samples of frugal_cost_usd is empty"),
        ([metric(samples=[{"value": 1}, {"value": 2}])], "samples of frugal_cost_usd has frugal_cost_usd twice"),
        ([metric(samples=[{"value": "many"}])], "value of frugal_cost_usd is 'many': give a number"),
        ([metric(samples=[{"value": True}])], "value of frugal_cost_usd is True"),
        ([metric(samples=[{"value": "1_000"}])], "value of frugal_cost_usd is '1_000'"),
        ([metric(samples=[{"value": ""}])], "value of frugal_cost_usd is ''"),
        ([metric(kind="counter", samples=[{"value": -1}])], "a counter cannot be below 0"),
        ([metric(samples=[{"labels": {"a-b": 1}, "value": 1}])], "labels of frugal_cost_usd has 'a-b'"),
        ([metric(samples=[{"labels": {"__x": 1}, "value": 1}])], "labels of frugal_cost_usd has '__x'"),
        ([metric(samples=[{"suffix": "_sum", "value": 1}])], "suffix of a sample of frugal_cost_usd is '_sum'"),
        ([metric(kind="histogram", samples=[{"suffix": "_bucket", "value": 1}])], "lacks le: a histogram needs it"),
        ([metric(kind="histogram")], "suffix of a sample of frugal_cost_usd is ''"),
        ([metric(kind="summary", samples=[{"value": 1}])], "lacks quantile: a summary needs it"),
        (
            [metric(kind="histogram", samples=[{"suffix": "_bucket", "labels": {"le": "x"}, "value": 1}])],
            "value of le of frugal_cost_usd is 'x'",
        ),
    ],
)
def test_what_the_collector_would_refuse_is_one_sentence(metrics: list[dict[str, t.Any]], sentence: str) -> None:
    with pytest.raises(HostError) as refused:
        render(metrics)
    assert sentence in str(refused.value)


@given(st.text(), st.floats(allow_nan=False))
def test_any_label_value_and_number_is_one_line(label: str, value: float) -> None:
    text = render([metric(samples=[{"labels": {"a": label}, "value": value}])])
    lines = text.split("\n")
    assert len(lines) == 3
    assert float(lines[1].rpartition(" ")[2]) == value


def run_module(**arguments: t.Any) -> dict[str, t.Any]:
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.frugal.cloud.plugins.modules.prometheus_textfile"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_remote_tmp": "/tmp", **arguments}}),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return t.cast("dict[str, t.Any]", json.loads(done.stdout))


def test_the_module_from_nothing_to_nothing(tmp_path: Path) -> None:
    dest = tmp_path / "collector" / "cost.prom"
    given_metrics = [{"name": "a_usd", "help": "A.", "samples": [{"labels": {"x": "y"}, "value": 2}]}]
    checked = run_module(dest=str(dest), metrics=given_metrics, _ansible_check_mode=True)
    assert checked["changed"]
    assert checked["series"] == 1
    assert list(tmp_path.iterdir()) == []
    assert run_module(dest=str(dest), metrics=given_metrics)["changed"]
    assert dest.read_text() == '# HELP a_usd A.\n# TYPE a_usd gauge\na_usd{x="y"} 2\n'
    assert not run_module(dest=str(dest), metrics=given_metrics)["changed"]
    refused = run_module(dest=str(dest), metrics=[{"name": "a-b", "samples": [{"value": 1}]}])
    assert "'a-b'" in refused["msg"]
    assert "a_usd" in dest.read_text()
    assert "ends in .prom" in run_module(dest=str(tmp_path / "x.txt"), metrics=given_metrics)["msg"]
    removed = run_module(dest=str(dest), state="absent")
    assert removed["changed"]
    assert removed["diff"][0]["after"] == ""
    assert not dest.exists()
    assert not run_module(dest=str(dest), state="absent")["changed"]
