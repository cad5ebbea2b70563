# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian hosts with systemd for tests of roles: ``testhosts.py up mon1 app1``, ``exec mon1``, ``down``.

docs/guides/test_hosts.md says how to use it. This file only finds the collection and calls ``command``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    # A mirror of the checkout is a collection where it is, the checkout is linked to by make setup.
    mirrored = ROOT.parts[-3:] == ("ansible_collections", "frugal", "cloud")
    sys.path[0] = str(ROOT.parents[2] if mirrored else ROOT / "build" / "root")
    from ansible_collections.frugal.cloud.tests.hosts import command

    sys.exit(command.main())
