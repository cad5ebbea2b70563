# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus over series that were written for a test or the demo, at any moment of any clock.

promtool turns OpenMetrics text into blocks of its storage; the server needs no scraping and no waiting.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import subprocess
import time
import typing as t
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

#: Error ratios that an SLO's rules record, by window.
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
#: metric -> [(labels, [(epoch seconds, value)])]
Families: t.TypeAlias = "Mapping[str, list[tuple[Mapping[str, str], list[tuple[float, float]]]]]"


def installed() -> bool:
    """Whether Debian's package prometheus is there."""
    return bool(shutil.which("prometheus") and shutil.which("promtool"))


@dataclasses.dataclass
class Server:
    """A running Prometheus."""

    url: str
    log: Path


def backfill(folder: Path, families: Families) -> Path:
    """Blocks of a Prometheus' storage with ``families``, in a new folder below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "series.txt").open("w", encoding="utf-8") as file:
        for metric, found in families.items():
            file.write(f"# TYPE {metric} gauge\n")
            for labels, points in found:
                text = ",".join(f'{name}="{value}"' for name, value in labels.items())
                file.writelines(f"{metric}{{{text}}} {value!r} {at:.3f}\n" for at, value in points)
        file.write("# EOF\n")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "series.txt", "data"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "data"


def slo_series(
    labels: Mapping[str, str],
    moments: Iterable[float],
    burn: Callable[[float], float | Mapping[str, float]],
    left: Callable[[float], float] = lambda at: 0.8,
    *,
    budget: float = 0.001,
    period_days: float = 30.0,
    events: float = 40.0,
) -> Families:
    """What the rules of one SLO (``labels``: slo, service and its own) record at ``moments`` (epoch seconds).

    ``burn``: the burn rate at a moment, the same over every window or by window; ``left``: the
    share of the budget that is left then.
    """
    times = list(moments)
    rates: list[Mapping[str, float]] = []
    for at in times:
        rate = burn(at)
        rates.append(rate if isinstance(rate, Mapping) else dict.fromkeys(WINDOWS, rate))

    def constant(value: float) -> list[tuple[float, float]]:
        return [(at, value) for at in times]

    values = {
        f"slo:sli_error:ratio_rate{window}": [(at, rate[window] * budget) for at, rate in zip(times, rates)]
        for window in WINDOWS
    }
    values |= {
        "slo:objective:ratio": constant(1 - budget),
        "slo:error_budget:ratio": constant(budget),
        "slo:time_period:days": constant(period_days),
        "slo:events:rate5m": constant(events),
        "slo:current_burn_rate:ratio": [(at, rate["5m"]) for at, rate in zip(times, rates)],
        "slo:period_burn_rate:ratio": [(at, 1 - left(at)) for at in times],
        "slo:period_error_budget_remaining:ratio": [(at, left(at)) for at in times],
    }
    return {metric: [(labels, points)] for metric, points in values.items()}


def together(*parts: Families) -> Families:
    """Several families as one: the text format wants the series of a metric side by side."""
    answer: dict[str, list[tuple[Mapping[str, str], list[tuple[float, float]]]]] = {}
    for part in parts:
        for metric, series in part.items():
            answer.setdefault(metric, []).extend(series)
    return answer


@contextlib.contextmanager
def serve(folder: Path, data: Path, web: str = "", *flags: str) -> Iterator[Server]:
    """A Prometheus of its own on a free port, over ``data``; ``web`` is its web configuration."""
    folder.mkdir(parents=True)
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n", encoding="utf-8")
    (folder / "web.yml").write_text(web, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--web.config.file={folder / 'web.yml'}",
        f"--storage.tsdb.path={data}",
        # The series are as old as the estates' clock says; nothing may be thrown away.
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url, log)
        yield Server(url, log)
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 60.0) -> None:
    """Wait until the server answers (401 is an answer)."""
    end = time.monotonic() + seconds
    while True:
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Prometheus does not answer:\n{log.read_text(encoding='utf-8')}")
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
        except OSError:
            pass
        time.sleep(0.2)
