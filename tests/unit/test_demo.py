# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo where it cannot have everything; the whole of it runs in tests/e2e."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import demo  # noqa: E402


def test_without_a_prometheus_the_step_is_left_out_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def missing(names: t.Sequence[str]) -> None:
        assert names == ["prometheus"]
        raise demo.SetupError("missing on this machine: prometheus. Install it\nE: more than anybody wants to read")

    monkeypatch.setattr(demo, "install_system_packages", missing)
    with demo.slo_server(tmp_path / "prometheus", 0.0) as url:
        assert url == ""
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert line == (
        "=== the step in which an SLO stops an apply is left out: missing on this machine: prometheus. Install it"
    )


def test_the_burn_is_over_when_the_demo_looks_again() -> None:
    before, after = demo.burn(0.5), demo.burn(demo.LATER_HOURS)
    assert min(before["1h"], before["5m"]) > demo.GUARD["maximum_burn_rate"]
    assert after["5m"] <= demo.GUARD["maximum_burn_rate"]
    assert after["30m"] <= demo.GUARD["maximum_burn_rate"]
