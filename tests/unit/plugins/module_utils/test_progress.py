# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines: throttled, with the time that is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress, duration


def test_counts_first_and_last_and_what_is_due(tmp_path: Path) -> None:
    times = iter([0.0, 0.1, 5.0, 10.0])
    path = tmp_path / "progress"
    progress = Progress(str(path), interval=1.0, clock=lambda: next(times))
    for done in (1, 2, 5, 10):
        progress.count("reading", done, 10, "0.10 USD")
    assert path.read_text().splitlines() == [
        "reading: 1/10, 0.10 USD",
        "reading: 5/10, 0.10 USD, about 5 s left",
        "reading: 10/10, 0.10 USD, took 10 s",
    ]


def test_without_a_file_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRUGAL_PROGRESS_FILE", raising=False)
    progress = Progress.from_environment()
    progress.line("text")
    progress.count("reading", 1, 1)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
