# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait before a request is sent again."""

from __future__ import annotations

import typing as t

#: Longest wait that a server is granted (seconds).
LONGEST = 60.0


def asked_to_wait(headers: t.Any, default: float) -> float:
    """Seconds that an answer's Retry-After asks to wait, at most a minute; ``default`` where it names none."""
    try:
        return min(LONGEST, float(headers["Retry-After"]))
    except (KeyError, TypeError, ValueError):
        return default
