# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated time, and the things that happen a short real while after a request."""

from __future__ import annotations

import heapq
import itertools
import time
import typing as t


class Clock:
    """Starts at a chosen moment and runs as real time does; can be moved.

    All times are seconds since the epoch (UTC).
    """

    def __init__(self, start: float | None = None) -> None:
        self._offset = (start - time.time()) if start is not None else 0.0

    def now(self) -> float:
        """The simulated present."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> float:
        """Move on (or back, with a negative number); returns the new present."""
        self._offset += seconds
        return self.now()

    def set(self, moment: float) -> float:
        """Jump to a moment; returns the new present."""
        self._offset = moment - time.time()
        return self.now()


class Agenda:
    """What is due later in real time: the end of ``stopping``, the next step of a refresh.

    There is no thread: :meth:`settle` is called before every request is answered.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, t.Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, action: t.Callable[[], None]) -> None:
        """Run ``action`` when ``seconds`` of real time have passed."""
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._order), action))

    def settle(self) -> None:
        """Run everything that is due, in the order in which it fell due."""
        while self._heap and self._heap[0][0] <= time.monotonic():
            heapq.heappop(self._heap)[2]()
