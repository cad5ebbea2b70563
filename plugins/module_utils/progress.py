# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of long work, as lines in a file that the action plugin follows.

A module cannot print while it runs. It appends lines to the file that the environment
variable ``FRUGAL_PROGRESS_FILE`` names; the action plugin of the same name shows them.
Without the variable every call does nothing. No secret is ever written.
"""

from __future__ import annotations

import os
import time
import typing as t

ENVIRONMENT_VARIABLE = "FRUGAL_PROGRESS_FILE"


class Progress:
    """Appends lines to ``path``, or swallows them when ``path`` is empty.

    A counter that moves fast is written at most every ``interval`` seconds.
    """

    def __init__(self, path: str = "", interval: float = 1.0, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._interval = interval
        self._clock = clock
        self._started: dict[str, float] = {}
        self._shown: dict[str, float] = {}

    @classmethod
    def from_environment(cls) -> Progress:
        """The progress file that the action plugin asked for, or one that swallows everything."""
        return cls(os.environ.get(ENVIRONMENT_VARIABLE, ""))

    def line(self, text: str) -> None:
        """Write one line."""
        if self._path:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(text.rstrip("\n") + "\n")

    def count(self, what: str, done: int, total: int, note: str = "") -> None:
        """Write ``what: done/total, note, time left``; the first and the last are always written.

        Time left is the time per item so far times the items left.
        """
        now = self._clock()
        started = self._started.setdefault(what, now)
        if done < total and now - self._shown.get(what, float("-inf")) < self._interval:
            return
        self._shown[what] = now
        parts = [f"{what}: {done}/{total}"]
        if note:
            parts.append(note)
        # The first counts come too soon to tell a speed from them.
        if 0 < done < total and now - started >= self._interval:
            parts.append(f"about {duration((now - started) / done * (total - done))} left")
        elif done >= total:
            parts.append(f"took {duration(now - started)}")
        self.line(", ".join(parts))


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
