# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on demand: latency, throttling, cut connections, missing capacity, denials."""

from __future__ import annotations

import random
import threading
import typing as t

from simulator.errors import EstateError

#: Service -> (error code, HTTP status) with which it throttles.
THROTTLING = {
    "ec2": ("RequestLimitExceeded", 503),
    "autoscaling": ("Throttling", 400),
    "cloudwatch": ("Throttling", 400),
    "sts": ("Throttling", 400),
    "iam": ("Throttling", 400),
    "s3": ("SlowDown", 503),
}
_KNOWN = {
    "latency_ms": float,
    "throttle_rate": float,
    "cut_rate": float,
    "seed": int,
    "insufficient_capacity": list,
    "deny": list,
    "deny_account": list,
}


class Faults:
    """The faults in force; the same seed gives the same sequence of throttled and cut requests."""

    def __init__(self) -> None:
        self.latency_ms = 0.0
        self.throttle_rate = 0.0
        self.cut_rate = 0.0
        self.seed = 1
        self.insufficient_capacity: list[str] = []
        self.deny: list[str] = []
        self.deny_account: list[str] = []
        self._random = random.Random(1)
        self._lock = threading.Lock()

    def configure(self, settings: t.Mapping[str, t.Any]) -> None:
        """Change the named faults, leave the others; raises :class:`EstateError` on nonsense."""
        for key, value in settings.items():
            kind = _KNOWN.get(key)
            if kind is None:
                raise EstateError(f"there is no fault {key!r}; there are {', '.join(_KNOWN)}")
            if kind is list:
                if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                    raise EstateError(f"fault {key} wants a list of strings, not {value!r}")
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise EstateError(f"fault {key} wants a number that is not negative, not {value!r}")
            if key.endswith("_rate") and value > 1:
                raise EstateError(f"fault {key} is a share between 0 and 1, not {value!r}")
        for key, value in settings.items():
            setattr(self, key, _KNOWN[key](value))
        if "seed" in settings:
            with self._lock:
                self._random = random.Random(self.seed)

    def describe(self) -> dict[str, t.Any]:
        """The faults in force, as :meth:`configure` takes them."""
        return {key: getattr(self, key) for key in _KNOWN}

    def draw(self) -> tuple[bool, bool]:
        """(throttled, cut) for the next request."""
        with self._lock:
            first, second = self._random.random(), self._random.random()
        return first < self.throttle_rate, second < self.cut_rate

    def lacks_capacity(self, instance_type: str, zone: str) -> bool:
        """Whether an instance of this type cannot be started in this zone."""
        return instance_type in self.insufficient_capacity or f"{instance_type}/{zone}" in self.insufficient_capacity
