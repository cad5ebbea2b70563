# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the get-pip script that ansible-test downloads before anything else.

``workspace.py`` puts it where ansible-test keeps that download, so that tests need a package
index and nothing else: Python's own ensurepip brings pip, and the index the version asked for.
"""

from __future__ import annotations

import subprocess
import sys

NOT_FOR_PIP = {"--no-setuptools", "--no-wheel"}


def main() -> int:
    """Install pip and whatever else the command line names into this interpreter's environment."""
    subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL, check=True)
    arguments = [argument for argument in sys.argv[1:] if argument not in NOT_FOR_PIP]
    return subprocess.run([sys.executable, "-m", "pip", "install", "--upgrade", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
