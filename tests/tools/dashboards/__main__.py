# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the dashboards of role grafana, or checks that what is committed is what would be written.

``python -m ansible_collections.frugal.cloud.tests.tools.dashboards`` (``make dashboards``), ``--check`` to check.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.tests.tools.dashboards import (
    caches,
    changes,
    hosts,
    kubernetes,
    services,
    slo,
    traces,
)
from ansible_collections.frugal.cloud.tests.tools.dashboards.building import encode

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "roles" / "grafana" / "files" / "dashboards"
DASHBOARDS = [module.DASHBOARD for module in (services, hosts, kubernetes, caches, slo, traces, changes)]


def wanted() -> dict[Path, str]:
    """Each file and its text."""
    return {FOLDER / f"{dashboard.uid}.json": encode(dashboard) for dashboard in DASHBOARDS}


def differences(files: dict[Path, str]) -> list[str]:
    """One line for each file that is missing, different or left over."""
    found = [
        f"{path.name} is {'different' if path.exists() else 'missing'}"
        for path, text in files.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    return found + [f"{path.name} is left over" for path in sorted(FOLDER.glob("*.json")) if path not in files]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(description="Write the dashboards of role grafana.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    options = parser.parse_args(arguments)
    files = wanted()
    changed = differences(files)
    if options.check:
        for line in changed:
            print(f"{line}: run make dashboards", file=sys.stderr)
        return 1 if changed else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.json"):
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    print(f"{len(files)} dashboards in {FOLDER.relative_to(ROOT)}, {len(changed)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
