# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the simulated cloud as a process of its own, for tests and the demo.

with SimulatorProcess("estate.yml") as simulator:
    ec2 = simulator.client("ec2", account="111111111111")
"""

from __future__ import annotations

import functools
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import typing as t
import urllib.error
import urllib.parse
import urllib.request

_SERVE = pathlib.Path(__file__).with_name("serve.py")
_Dict = dict[str, t.Any]
#: What the stand-in of Google's APIs takes (standins/google_api.py).
GOOGLE_TOKEN = "ya29.the-token-of-the-tests"


class SimulatorError(Exception):
    """The simulator did not start, or refused a control request."""


@functools.cache
def _session(account: str, region: str) -> t.Any:
    """boto3's session: kept, because reading its service models takes longer than most tests."""
    import boto3

    return boto3.session.Session(**Simulator.credentials(account), region_name=region)


class Simulator:
    """A running simulator, wherever it runs: its URL, clients for it and its control endpoints."""

    url: str

    def control(self, method: str, path: str, body: _Dict | None = None) -> _Dict:
        """One request to a control endpoint."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/simulator/{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return t.cast(_Dict, json.load(answer))
        except urllib.error.HTTPError as error:
            raise SimulatorError(json.load(error)["error"]) from None

    def stats(self, reset: bool = False) -> _Dict:
        """Counts of requests, state-changing requests in order, memory."""
        return self.control("GET", "stats?reset=1" if reset else "stats")

    def clock(self, advance_seconds: float | None = None, now: str | None = None) -> _Dict:
        """The simulated time, moved first where an argument says so: ``now`` (text) and ``epoch``."""
        if advance_seconds is not None:
            return self.control("POST", "clock", {"advance_seconds": advance_seconds})
        if now is not None:
            return self.control("POST", "clock", {"now": now})
        return self.control("GET", "clock")

    def faults(self, **settings: t.Any) -> _Dict:
        """The faults in force, changed first where arguments say so."""
        return self.control("POST", "faults", settings)

    def truth(self, start: str | float | None = None, end: str | float | None = None) -> _Dict:
        """Overload minutes and cost of every instance; the last 14 days unless told otherwise."""
        query = {key: str(value) for key, value in (("start", start), ("end", end)) if value is not None}
        return self.control("GET", f"truth?{urllib.parse.urlencode(query)}")

    def bills(self, folder: str | pathlib.Path, months: int = 3) -> _Dict:
        """Write the bills of the last ``months`` below ``folder``; paths by provider."""
        return self.control("POST", "bills", {"folder": str(folder), "months": months})

    @staticmethod
    def credentials(account: str) -> dict[str, str]:
        """Credentials of an account of the estate: any key that holds its 12 digits."""
        return {"aws_access_key_id": f"AKIA{account}TEST", "aws_secret_access_key": "simulated"}

    def environment(self, account: str, region: str = "us-east-1") -> dict[str, str]:
        """Environment variables that point any AWS client here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": f"AKIA{account}TEST",
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def google_environment(self) -> dict[str, str]:
        """Environment variables that point the modules for Google Cloud here."""
        return {"GCP_BASE_URL": self.url, "GCP_AUTH_KIND": "accesstoken", "GCP_ACCESS_TOKEN": GOOGLE_TOKEN}

    def client(self, service: str, account: str, region: str = "us-east-1", **options: t.Any) -> t.Any:
        """A boto3 client for an account of the estate."""
        return _session(account, region).client(service, endpoint_url=self.url, **options)


class SimulatorProcess(Simulator):
    """A running simulator. ``estate`` is a file, a generator (``demo:1``, ``fleet:1000``) or a description."""

    def __init__(
        self,
        estate: str | pathlib.Path | t.Mapping[str, t.Any],
        port: int = 0,
        arguments: t.Sequence[str] = (),
        timeout: float = 120.0,
        python: str = sys.executable,
    ) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if not isinstance(estate, (str, pathlib.Path)):
            self._folder = tempfile.TemporaryDirectory(prefix="estate-")
            path = pathlib.Path(self._folder.name) / "estate.json"
            path.write_text(json.dumps(estate), encoding="utf-8")
            estate = path
        command = [python, str(_SERVE), "--estate", str(estate), "--port", str(port), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._errors: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read_output, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            line = ""
        if not line.startswith("simulator ready "):
            self.stop()
            raise SimulatorError(f"the simulator did not start: {line}{''.join(self._errors[-20:])}".strip())
        #: What the ready line says: url, accounts, instances, volumes, groups, seconds, rss_mib, pid.
        self.ready: _Dict = json.loads(line.removeprefix("simulator ready "))
        self.url = self.ready["url"]
        self.pid: int = self._process.pid

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._errors = [*self._errors[-200:], line]

    def __enter__(self) -> SimulatorProcess:
        return self

    def __exit__(self, *_details: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End this process, and only this one."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return "".join(self._errors)
