# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugins that run their module once and show its progress while it works.

The module appends lines to a file (``module_utils/progress.py``); a thread follows it
and displays each line, which a terminal shows live and AWX keeps as events.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import typing as t
from collections.abc import Iterator

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.frugal.cloud.plugins.module_utils.progress import ENVIRONMENT_VARIABLE

display = Display()

#: Seconds between looks at the progress file.
INTERVAL = 0.25


def prefix_of(variables: t.Mapping[str, t.Any]) -> str:
    """What lines begin with: the host, where there may be several."""
    host = str(variables.get("inventory_hostname", ""))
    return "" if host in ("localhost", "") else f"[{host}] "


class FollowingAction(ActionBase):  # type: ignore[misc]
    """Runs the module of the same name; ``summary`` turns its result into lines to show at the end."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module, follow its progress where it runs on this machine, then show the summary."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        del tmp
        variables = task_vars or {}
        prefix = prefix_of(variables)
        if self._connection.transport == "local":
            outcome = self._followed(variables, prefix)
        else:
            outcome = self._execute_module(task_vars=variables)
        result.update(outcome)
        if not result.get("failed") and not result.get("skipped"):
            text = self.summary(result)
            if text:
                display.display("\n".join(prefix + line for line in text))
        return result

    def show(self, line: str) -> None:
        """Display a line for people."""
        display.display(line)

    def summary(self, result: t.Mapping[str, t.Any]) -> t.Sequence[str]:
        """Lines to show when the module has succeeded."""
        return ()

    def _followed(self, variables: dict[str, t.Any], prefix: str) -> dict[str, t.Any]:
        with progress_shown(prefix):
            outcome: dict[str, t.Any] = self._execute_module(task_vars=variables)
            return outcome


@contextlib.contextmanager
def progress_shown(prefix: str) -> Iterator[None]:
    """Display the progress of what runs inside, on this machine, while it runs."""
    handle, path = tempfile.mkstemp(prefix="frugal-progress-")
    os.close(handle)
    finished = threading.Event()
    follower = threading.Thread(target=follow, args=(path, finished, prefix), daemon=True)
    # A worker process runs one task, and its local connection hands its environment on.
    os.environ[ENVIRONMENT_VARIABLE] = path
    follower.start()
    try:
        yield
    finally:
        finished.set()
        follower.join()
        os.environ.pop(ENVIRONMENT_VARIABLE, None)
        os.unlink(path)


def follow(path: str, finished: threading.Event, prefix: str) -> None:
    """Display whole lines of ``path`` as they are written, until ``finished`` and read to the end."""
    with open(path, encoding="utf-8") as file:
        pending = ""
        while True:
            last = finished.is_set()
            pending += file.read()
            *lines, pending = pending.split("\n")
            for line in lines:
                display.display(f"  {prefix}{line}")
            if last:
                return
            finished.wait(INTERVAL)
