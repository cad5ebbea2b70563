# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the documentation and builds the site: guides from docs/guides, reference from the plugins.

A reference that leads nowhere, a plugin without documentation and a malformed changelog fragment are
errors. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import workspace

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
COLLECTION = "frugal.cloud"


def check(folder: Path, environ: dict[str, str]) -> None:
    """Lint the mirrored collection's documentation and changelog."""
    options = ["--plugin-docs", "--validate-collection-refs", "dependent", "--disallow-unknown-collection-refs"]
    _run(["antsibull-docs", "lint-collection-docs", *options, str(folder)], folder, environ)
    _run(["antsibull-changelog", "lint"], folder, environ)


def build(folder: Path, output: Path, environ: dict[str, str]) -> Path:
    """Build the site from the mirrored collection below ``output``; returns its first page."""
    source = output / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(folder / "docs" / "site", source)
    for part in ("guides", "runbooks"):
        shutil.copytree(folder / "docs" / part, source / part)
    reference = source / "reference"
    reference.mkdir(mode=0o755)
    _run(
        [
            *("antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error"),
            *("--no-add-antsibull-docs-version", "--dest-dir", str(reference), COLLECTION),
        ],
        folder,
        environ,
    )
    html = output / "html"
    _run(
        [
            "sphinx-build",
            "-q",
            "-W",
            "--keep-going",
            "-b",
            "html",
            "-d",
            str(output / "doctrees"),
            str(source),
            str(html),
        ],
        folder,
        environ,
    )
    return html / "index.html"


def _run(command: list[str], folder: Path, environ: dict[str, str]) -> None:
    print(f"$ {' '.join(command)}", flush=True)
    subprocess.run([str(BIN / command[0]), *command[1:]], cwd=folder, env=environ, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the documentation and build the site.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the site")
    options = parser.parse_args()
    output: Path = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    folder = workspace.mirror(ROOT, ROOT / "build" / "workspace" / "docs")
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": "",
        "ANSIBLE_HOME": str(ROOT / "build" / "docs-home"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder.parents[2]),
    }
    try:
        check(folder, environ)
        page = build(folder, output, environ)
    except subprocess.CalledProcessError as error:
        print(f"error: {error.cmd[0].rsplit('/', 1)[-1]} found what is printed above", file=sys.stderr)
        return 1
    print(f"The documentation site: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
