# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of slow or paid APIs on disk, each with the date on which it was read.

A cache that is missing, unreadable or of another shape is simply no cache.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import tempfile
import typing as t
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import deps

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.resources import FloatArray

#: Bump when the shape of what is cached changes.
_FORMAT = 1


class Cache:
    """Files in ``directory``; an empty directory name switches caching off."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory).expanduser() if directory else None

    def _path(self, kind: str, key: object, suffix: str) -> Path | None:
        if self._directory is None:
            return None
        text = json.dumps([_FORMAT, kind, key], sort_keys=True, default=str)
        return self._directory / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}{suffix}"

    def load(self, kind: str, key: object) -> tuple[datetime.date, t.Any] | None:
        """The day on which ``kind``/``key`` was read and what it said, or None."""
        path = self._path(kind, key, ".json")
        if path is None:
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return datetime.date.fromisoformat(data["date"]), data["value"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store(self, kind: str, key: object, day: datetime.date, value: t.Any) -> None:
        """Keep ``value`` with its ``day``; a full or read-only disk is no reason to fail."""
        path = self._path(kind, key, ".json")
        if path is not None:
            with contextlib.suppress(OSError), _replacing(path) as file:
                file.write(json.dumps({"date": day.isoformat(), "key": key, "value": value}, default=str).encode())

    def load_arrays(self, kind: str, key: object) -> dict[str, FloatArray] | None:
        """The arrays stored under ``kind``/``key``, or None."""
        path = self._path(kind, key, ".npz")
        if path is None:
            return None
        try:
            with deps.numpy.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None

    def store_arrays(self, kind: str, key: object, arrays: Mapping[str, FloatArray], keep_seconds: float) -> None:
        """Keep ``arrays``; older files of the same kind than ``keep_seconds`` are removed."""
        path = self._path(kind, key, ".npz")
        if path is None:
            return
        with contextlib.suppress(OSError):
            with _replacing(path) as file:
                deps.numpy.savez(file, **t.cast("dict[str, t.Any]", arrays))
            newest = path.stat().st_mtime
            for other in path.parent.glob(f"{kind}-*.npz"):
                if newest - other.stat().st_mtime > keep_seconds:
                    other.unlink(missing_ok=True)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[t.IO[bytes]]:
    """Write a temporary file beside ``path`` and rename it: readers see the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
