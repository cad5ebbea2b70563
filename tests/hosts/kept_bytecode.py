# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a Python keep the bytecode of what Ansible sends it.

Ansible sends each task as an archive of sources, and Python keeps no bytecode for archives: the same files are compiled
for every task, which is half of what a task costs on a host. Every Python of a test host (see ``scenario.py``) and of
the development environment (see ``environment.py``) calls ``begin`` at its start; the bytecode is in a folder that all
of them share, by the digest of the source.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
import zipimport

# Not typing's: every start of a Python would pay for its import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

FOLDER = "/srv/bytecode"


def keeping(compile_source: Callable[[str, bytes], CodeType], folder: str = FOLDER) -> Callable[[str, bytes], CodeType]:
    """What ``compile_source`` does, once for each source; what is kept and cannot be read is compiled again."""

    def kept(path: str, source: bytes) -> CodeType:
        digest = _imp.source_hash(len(source), source).hex()
        file = os.path.join(folder, f"{os.path.basename(path)}-{digest}-{sys.implementation.cache_tag}")
        try:
            with open(file, "rb") as stream:
                code: CodeType = marshal.load(stream)
                return code
        except (OSError, EOFError, ValueError, TypeError):
            pass
        code = compile_source(path, source)
        temporary = f"{file}-{os.getpid()}"
        try:
            with open(temporary, "wb") as stream:
                marshal.dump(code, stream)
            os.replace(temporary, file)
        except OSError:
            # A user who may not write there compiles for himself.
            pass
        return code

    return kept


def begin(folder: str = FOLDER) -> None:
    """Keep bytecode in ``folder`` from now on, where there is one."""
    if os.path.isdir(folder):
        vars(zipimport)["_compile_source"] = keeping(vars(zipimport)["_compile_source"], folder)
