# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What everything about test hosts needs from the machine: commands, locks, the identity of processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import typing as t
from pathlib import Path

#: names of bridges, namespaces and control groups are the machine's, so is the record of who has which
STATE = Path("/run/frugal-hosts")


class HostError(Exception):
    """What went wrong with test hosts, in one sentence."""


class Process(t.NamedTuple):
    """A process that cannot be mistaken for a later one of the same number."""

    pid: int
    #: clock ticks after the machine's start, from /proc/<pid>/stat
    started: int

    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return _stat(self.pid)[1:] == (self.started,) and _stat(self.pid)[0] not in {"Z", "X"}


def _stat(pid: int) -> tuple[str, int] | tuple[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ("X",)
    # The second field is the program's name in brackets and may hold anything.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def process(pid: int) -> Process:
    """The process that has this number now; raises HostError when there is none."""
    found = _stat(pid)
    if len(found) == 1:
        raise HostError(f"there is no process {pid}")
    return Process(pid, found[1])


def parents(pid: int) -> t.Iterator[int]:
    """The numbers of a process's parent, its parent's parent and so on."""
    while pid > 1:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        pid = int(text.rpartition(")")[2].split()[1])
        if pid:
            yield pid


def arguments(pid: int) -> list[str]:
    """The command line of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """The children of a process's main thread."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    except OSError:
        return []


def is_init(pid: int) -> bool:
    """Whether a process is PID 1 of a namespace below this machine's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    numbers = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
    return bool(numbers) and len(numbers[0]) > 1 and numbers[0][-1] == "1"


def boot_id() -> str:
    """Changes with every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


def run(*words: str | Path, check: bool = True, timeout: float = 600, **environ: str) -> str:
    """Run a command and return its output; raises HostError with the tool's own last words."""
    command = [str(word) for word in words]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C.UTF-8", **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise HostError(f"{command[0]} is not installed: make system installs what test hosts need") from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{' '.join(command)} took longer than {timeout:.0f} s") from None
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise HostError(f"{' '.join(command)} failed with exit code {done.returncode}: {said}")
    return done.stdout


@contextlib.contextmanager
def timed(what: str, say: t.Callable[[str], None]) -> t.Iterator[None]:
    """Say that something begins, and how long it took."""
    started = time.monotonic()
    say(f"{what} ...")
    yield
    say(f"{what}: {time.monotonic() - started:.1f} s")


def control_group_roots(mounts: str) -> list[Path]:
    """Where systemd keeps processes apart on this machine, from the text of /proc/mounts.

    The unified hierarchy, and on machines with the older layout also the one named systemd.
    """
    roots = []
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        if fields[2] == "cgroup2" or (fields[2] == "cgroup" and "name=systemd" in fields[3].split(",")):
            roots.append(Path(fields[1]))
    return roots
