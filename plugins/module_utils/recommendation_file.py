# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recommendations travel from module to module in files: gzip, one JSON object a line.

Handing thousands of them from task to task would cost Ansible half a minute and hundreds
of megabytes.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import tempfile
import typing as t
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import InvalidRecord, Recommendation


def write_json_lines(path: str, items: Iterable[Mapping[str, t.Any]]) -> None:
    """Write ``items`` to ``path``, made with its folder; readers see the old or the whole new file."""
    target = Path(path).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as raw, gzip.open(raw, "wt", compresslevel=1, encoding="utf-8") as file:
            for item in items:
                file.write(json.dumps(item, separators=(",", ":"), default=str) + "\n")
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def read_json_lines(path: str) -> Iterator[dict[str, t.Any]]:
    """Yield the objects of ``path`` one by one.

    :raises InvalidRecord: when the file cannot be read or is not of this kind.
    """
    try:
        with gzip.open(Path(path).expanduser(), "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InvalidRecord(f"{path} cannot be read as a file of recommendations: {error}") from error


def read_recommendations(paths: Sequence[str]) -> list[Recommendation]:
    """All recommendations of ``paths``, in order.

    :raises InvalidRecord: when a file cannot be read or holds something else.
    """
    return [Recommendation.from_dict(item) for path in paths for item in read_json_lines(path)]
