# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs Galaxy's importer on the built tarball and fails on every error and warning that it logs.

The importer has an environment of its own. Galaxy shows only what it imports, so a documentation
fragment that it cannot resolve counts as an error here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import build_collection

SETTINGS = {
    "GALAXY_IMPORTER_RUN_ANSIBLE_TEST": "false",
    "GALAXY_IMPORTER_RUN_FLAKE8": "false",
    "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true",
    # The importer ends ansible-lint after 180 s, which other tiers beside it use up; tier ansible-lint is stricter.
    "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false",
}
#: the importer ships no runtime of ansible-test; nothing that the collection could change
ACCEPTED = ("WARNING: Could not get any versions for", "WARNING: Skipping")


def complaints(output: str) -> list[str]:
    """The lines with which the importer reports errors and warnings."""
    marks = ("ERROR", "WARNING", "CRITICAL")
    lines = [line.strip() for line in output.splitlines() if line.lstrip().startswith(marks)]
    return [line for line in lines if not line.startswith(ACCEPTED)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run galaxy-importer on the collection's tarball.")
    parser.add_argument("--importer-python", type=Path, required=True, help="Python of galaxy-importer's environment")
    options = parser.parse_args()
    python: Path = options.importer_python.absolute()
    with tempfile.TemporaryDirectory(prefix="frugal-importer-") as folder:
        tarball = build_collection.build(Path(folder))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "PYTHONPATH"))}
        done = subprocess.run(
            [str(python), "-m", "galaxy_importer.main", str(tarball)],
            cwd=folder,
            env={
                **kept,
                **SETTINGS,
                "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
                "HOME": folder,
                "GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP": f"{folder}/ansible-tmp",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    print(done.stdout)
    found = complaints(done.stdout)
    if done.returncode or found:
        print(f"galaxy-importer: exit code {done.returncode}, {len(found)} complaints", file=sys.stderr)
        for line in found:
            print(f"  {line}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
