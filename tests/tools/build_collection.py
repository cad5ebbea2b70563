# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the tarball that Galaxy takes, from what git tracks or would track: never from leftovers."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import workspace
import yaml

ROOT = Path(__file__).resolve().parents[2]


def build(output: Path) -> Path:
    """Build the collection into the folder ``output``; returns the tarball's path."""
    source = workspace.mirror(ROOT, ROOT / "build" / "workspace" / "collection")
    output.mkdir(parents=True, exist_ok=True)
    galaxy = Path(sys.executable).parent / "ansible-galaxy"
    subprocess.run(
        [str(galaxy), "collection", "build", str(source), "--output-path", str(output), "--force"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    about = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    return output / f"{about['namespace']}-{about['name']}-{about['version']}.tar.gz"


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the collection's tarball.")
    parser.add_argument("--output", type=Path, default=ROOT / "build", help="folder for the tarball")
    options = parser.parse_args()
    try:
        print(build(options.output.resolve()))
    except subprocess.CalledProcessError as error:
        print(f"error: ansible-galaxy could not build the collection, exit code {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
