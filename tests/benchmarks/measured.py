# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command and measure all its processes: seconds, CPU seconds, peak memory of each kind.

Peak memory is the kernel's own high-water mark (VmHWM in /proc, reset by exec), which
wait4 does not give: its figure holds what the parent had before exec and the largest of
all descendants. It is read every 20 ms until the process is gone, so only growth in the
last 20 ms could be missed. Linux only.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
import time
import typing as t
from pathlib import Path

INTERVAL = 0.02


class CommandFailed(Exception):
    """A measured command ended with another exit code than 0."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """One run. ``peaks`` maps the kinds of processes to MiB of resident memory at most."""

    seconds: float
    cpu_seconds: float
    peaks: t.Mapping[str, float]
    output: str

    @property
    def peak(self) -> float:
        """MiB of the largest process."""
        return max(self.peaks.values(), default=0.0)


def _descendants(pid: int) -> t.Iterator[int]:
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii")
        except OSError:
            continue
        for child in children.split():
            yield from _descendants(int(child))


def _high_water_mark(pid: int) -> float:
    """MiB, 0 for a process that is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kind_of(command_line: str) -> str:
    """``module`` for what Ansible runs a module in, ``playbook`` for Ansible itself, else ``other``."""
    if "AnsiballZ_" in command_line:
        return "module"
    return "playbook" if "ansible-playbook" in command_line else "other"


class _Watcher(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.peaks: dict[str, float] = {}

    def run(self) -> None:
        while True:
            for pid in list(_descendants(self._pid)):
                mark = _high_water_mark(pid)
                if mark:
                    kind = kind_of(_command_line(pid))
                    self.peaks[kind] = max(self.peaks.get(kind, 0.0), mark)
            if self._ended.wait(INTERVAL):
                return

    def end(self) -> None:
        self._ended.set()
        self.join()


def measure(
    command: t.Sequence[str | Path], environ: t.Mapping[str, str], timeout: float = 3600.0, folder: Path | None = None
) -> Measured:
    """Run ``command`` with ``environ`` on top of PATH and HOME alone.

    :raises CommandFailed: with the end of its output, when the exit code is not 0.
    """
    before = os.times()
    started = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )
    watcher = _Watcher(process.pid)
    watcher.start()
    try:
        output, _nothing = process.communicate(timeout=timeout)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        watcher.end()
    seconds = time.monotonic() - started
    after = os.times()
    if process.returncode:
        words = " ".join(str(word) for word in command)
        raise CommandFailed(f"exit code {process.returncode}: {words}\n{output[-4000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(seconds, cpu, watcher.peaks, output)
