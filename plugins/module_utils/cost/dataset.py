# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost data as Parquet: one file for each billing period and source, ``BillingPeriod=2026-09/payer.parquet``.

A file is replaced by one rename, so a reader sees the old figures or the new ones, and a killed import leaves
what was there. Names that begin with a dot are on their way: DuckDB, Spark and Athena do not read them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import os
import re
import shutil
import typing as t
from collections.abc import Collection, Iterator
from pathlib import Path

_FOLDER = re.compile(r"BillingPeriod=(\d{4})-(\d{2})")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class DatasetError(Exception):
    """One sentence: what is wrong with the folder or the name."""


@dataclasses.dataclass(frozen=True, order=True)
class Part:
    """The file of a source's billing period; ``period`` is the period's first day."""

    period: datetime.date
    source: str
    path: Path


def check_source(source: str) -> str:
    """The name of a source. :raises DatasetError: it cannot be a file's name."""
    if not _SOURCE.fullmatch(source):
        raise DatasetError(
            f"source is {source!r}: use small letters, digits, '-', '_' and '.', at most 64, as in aws-payer"
        )
    return source


class Dataset:
    """The folder ``root`` with the cost data of all sources."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, source: str, period: datetime.date) -> Path:
        """Where the file of a source's billing period is."""
        return self.root / f"BillingPeriod={period:%Y-%m}" / f"{check_source(source)}.parquet"

    def parts(
        self, sources: Collection[str] = (), since: datetime.date | None = None, until: datetime.date | None = None
    ) -> list[Part]:
        """The files of these sources (all where empty) whose period begins within ``since`` <= day < ``until``."""
        found = []
        for path in self.root.glob("BillingPeriod=*/*.parquet"):
            named = _FOLDER.fullmatch(path.parent.name)
            if named is None or path.name.startswith("."):
                continue
            part = Part(datetime.date(int(named[1]), int(named[2]), 1), path.stem, path)
            if sources and part.source not in sources:
                continue
            if (since is None or part.period >= since) and (until is None or part.period < until):
                found.append(part)
        return sorted(found)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile; what a killed import left is removed.

        :raises DatasetError: another import is at work, or the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatasetError(f"{self.root} cannot be written: {error.strerror}") from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DatasetError(f"another import writes to {self.root}: wait until it is done") from None
            for left in self.root.glob("BillingPeriod=*/.*.parquet"):
                left.unlink()
            for left in self.root.glob(".staging-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def replacing(self, source: str, period: datetime.date) -> Iterator[Path]:
        """A path to write the period's new file to; it takes the old one's place when the block ends well."""
        final = self.path(source, period)
        final.parent.mkdir(exist_ok=True)
        draft = final.with_name(f".{final.name}")
        try:
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(final)
            _sync(final.parent)
        finally:
            draft.unlink(missing_ok=True)

    def remove(self, source: str, period: datetime.date) -> None:
        """Forget a source's billing period."""
        self.path(source, period).unlink(missing_ok=True)
        _sync(self.path(source, period).parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def month(moment: datetime.date) -> datetime.date:
    """The first day of the month."""
    return datetime.date(moment.year, moment.month, 1)


def following(period: datetime.date) -> datetime.date:
    """The first day of the month after."""
    return month(period.replace(day=28) + datetime.timedelta(days=4))


def frozen(parts: t.Iterable[Part]) -> list[str]:
    """The paths, as engines take them."""
    return [str(part.path) for part in parts]
