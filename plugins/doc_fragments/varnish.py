# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that read Varnish: ``module_utils/host_varnish.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """``DOCUMENTATION`` names the varnishd, ``LOG`` says how much of its log is read, ``HISTORY`` adds the past."""

    DOCUMENTATION = r"""
options:
  instance:
    description: Name or working directory of the varnishd, as in its option C(-n). Its default where it is not set.
    type: str
    default: ""
"""

    LOG = r"""
options:
  log_seconds:
    description: How long the log is read live, in seconds. Growth of the counters is measured meanwhile.
    type: float
    default: 30
  log_requests:
    description: How many requests are read at most, the newest ones.
    type: int
    default: 10000
"""

    HISTORY = r"""
options:
  log_history:
    description: Also read what varnishd still has in its memory, usually some minutes.
    type: bool
    default: true
"""
