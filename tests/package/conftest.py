# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built tarball and the commands that the tests of this folder share."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

Command = t.Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Runs one of this environment's commands away from the checkout, with a home folder of its own."""
    home = tmp_path_factory.mktemp("home")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "AWS_", "PYTHONPATH"))}

    def run(*words: str | Path, cwd: Path = home, **environ: str | Path) -> subprocess.CompletedProcess[str]:
        settings = {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            **{key: str(value) for key, value in environ.items()},
        }
        done = subprocess.run(
            [str(word) for word in words], cwd=cwd, env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words} in {cwd}:\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def tarball(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as Galaxy takes it."""
    output = tmp_path_factory.mktemp("tarball")
    done = command(BIN / "python", ROOT / "tests" / "tools" / "build_collection.py", "--output", output)
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def installed(command: Command, tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean folder for ANSIBLE_COLLECTIONS_PATH into which the tarball was installed."""
    folder = tmp_path_factory.mktemp("collections")
    command("ansible-galaxy", "collection", "install", tarball, "--no-deps", "--offline", "-p", folder)
    return folder
