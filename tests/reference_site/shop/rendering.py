# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which public pages are being rendered, by whichever process of this server: in shared memory.

A page that looked at the database before a change may reach a cache after the cache was told to forget it. So
whoever changes something waits until the pages that began before have left (``wait``), and tells the cache again.
The table is made before the server forks its processes (gunicorn's ``preload_app``).
"""

from __future__ import annotations

import mmap
import struct
import threading
import time
from multiprocessing import Lock

#: threads of all processes that there may ever be, those of restarted processes included
SLOTS = 4096
_MOMENT = struct.Struct("d")


class Rendering:
    """The moments (seconds of the machine's monotonic clock) at which pages under way began; 0 for none."""

    def __init__(self) -> None:
        # The first value counts the slots that are taken.
        self._table = mmap.mmap(-1, (SLOTS + 1) * _MOMENT.size)
        self._lock = Lock()
        self._own = threading.local()

    def _slot(self) -> int:
        """The place of this thread in the table."""
        slot: int | None = getattr(self._own, "slot", None)
        if slot is None:
            with self._lock:
                slot = int(self._read(0)) + 1
                if slot > SLOTS:
                    raise RuntimeError(f"more than {SLOTS} threads have rendered pages: restart the shop")
                self._write(0, slot)
            self._own.slot = slot
        return slot

    def _read(self, place: int) -> float:
        value: float = _MOMENT.unpack_from(self._table, place * _MOMENT.size)[0]
        return value

    def _write(self, place: int, value: float) -> None:
        _MOMENT.pack_into(self._table, place * _MOMENT.size, value)

    def begin(self) -> None:
        """This thread looks at the data of a page from now on."""
        self._write(self._slot(), time.monotonic())

    def end(self) -> None:
        """The page has been handed to the network."""
        self._write(self._slot(), 0.0)

    def wait(self, longest: float) -> None:
        """Wait until all pages that began before now have left; those older than ``longest`` seconds do not count."""
        now = time.monotonic()
        waiting = set(range(1, int(self._read(0)) + 1))
        while True:
            oldest = time.monotonic() - longest
            waiting = {place for place in waiting if oldest < self._read(place) <= now}
            if not waiting:
                return
            time.sleep(0.002)
