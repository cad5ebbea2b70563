# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control endpoints: statistics, clock, faults and the truth about overload and cost."""

from __future__ import annotations

import json
import pathlib
import typing as t
import urllib.parse

from simulator import bills, truth
from simulator.errors import AwsError, EstateError
from simulator.state import Cloud
from simulator.wire import Answer, iso_time, parse_time

_Dict = dict[str, t.Any]


def resident_mebibytes() -> int:
    """Resident memory of this process in MiB."""
    for line in pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


class _Statistics(t.Protocol):
    def describe(self) -> _Dict: ...

    def reset(self) -> None: ...


class Control:
    """What answers under ``/simulator/``."""

    def __init__(self, cloud: Cloud, statistics: _Statistics) -> None:
        self.cloud = cloud
        self.statistics = statistics

    def answer(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """Answer one control request; mistakes are 400 with one sentence."""
        handler = {
            ("GET", "/simulator/stats"): self._stats,
            ("GET", "/simulator/clock"): self._clock,
            ("POST", "/simulator/clock"): self._clock,
            ("GET", "/simulator/faults"): self._faults,
            ("POST", "/simulator/faults"): self._faults,
            ("GET", "/simulator/truth"): self._truth,
            ("POST", "/simulator/bills"): self._bills,
        }.get((method, path))
        if handler is None:
            return _json(404, {"error": f"there is no {method} {path}"})
        try:
            given = json.loads(body) if body.strip() else {}
            if not isinstance(given, dict):
                raise EstateError("the body must be a JSON object")
            parameters = {key: values[-1] for key, values in urllib.parse.parse_qs(query).items()}
            return _json(200, handler({**parameters, **given}))
        except (EstateError, AwsError, ValueError) as error:
            return _json(400, {"error": str(error)})

    def _stats(self, given: _Dict) -> _Dict:
        answer = {**self.statistics.describe(), "rss_mib": resident_mebibytes()}
        if given.get("reset") in ("1", "true"):
            self.statistics.reset()
        return answer

    def _clock(self, given: _Dict) -> _Dict:
        unknown = sorted(set(given) - {"advance_seconds", "now"})
        if unknown:
            raise EstateError(f"the clock takes advance_seconds or now, not {unknown[0]!r}")
        if "now" in given:
            self.cloud.clock.set(parse_time(given["now"]))
        if "advance_seconds" in given:
            self.cloud.clock.advance(float(given["advance_seconds"]))
        now = self.cloud.clock.now()
        return {"now": iso_time(now).replace(".000Z", "Z"), "epoch": now}

    def _faults(self, given: _Dict) -> _Dict:
        self.cloud.faults.configure(given)
        return self.cloud.faults.describe()

    def _truth(self, given: _Dict) -> _Dict:
        end = parse_time(given["end"]) if "end" in given else self.cloud.clock.now()
        start = parse_time(given["start"]) if "start" in given else end - 14 * 86400
        if start >= end:
            raise EstateError("start must be before end")
        return truth.report(self.cloud, start, end)

    def _bills(self, given: _Dict) -> _Dict:
        """Leave the bills of the last months in a folder, as the providers' exports do."""
        unknown = sorted(set(given) - {"folder", "months"})
        if unknown or "folder" not in given:
            raise EstateError(f"bills take folder and months, not {unknown[0]!r}" if unknown else "folder is missing")
        folder, months, now = pathlib.Path(given["folder"]), int(given.get("months", 3)), self.cloud.clock.now()
        aws = bills.write_focus(self.cloud, folder / "aws", months, now)
        google = []
        if self.cloud.projects:
            began = self.cloud.started
            google = bills.write_export(self.cloud.projects, self.cloud.seed, began, folder / "gcp", months, now)
        return {"aws": [str(path) for path in aws], "gcp": [str(path) for path in google]}


def _json(status: int, value: _Dict) -> Answer:
    return Answer(status, [("Content-Type", "application/json")], json.dumps(value).encode())
