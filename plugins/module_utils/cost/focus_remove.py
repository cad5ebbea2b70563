# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes billing periods of a source from the dataset."""

from __future__ import annotations

import datetime
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, check_source
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import (
    FocusError,
    Money,
    PeriodChange,
    currency_of,
    database,
    money_of,
)

_PERIOD = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def remove(
    dataset: Dataset, source: str, periods: Sequence[str] | None = None, *, check: bool = False
) -> tuple[PeriodChange, ...]:
    """Forget ``periods`` of ``source``, all where it is None; returns those that were there.

    :param check: only say what would go.
    :raises FocusError: a period is no month such as 2026-09.
    :raises DatasetError: the folder cannot be written, or an import is at work.
    """
    check_source(source)
    wanted = None if periods is None else {_month(one) for one in periods}
    parts = [part for part in dataset.parts(sources=[source]) if wanted is None or part.period in wanted]
    if not parts:
        return ()
    gone = []
    with tempfile.TemporaryDirectory(prefix="frugal-focus-") as folder, database(Path(folder)) as connection:
        for part in parts:
            before = money_of(connection, part)
            gone.append(PeriodChange(part.period, currency_of(connection, part), before, Money(0, 0.0, 0.0), True))
    if not check:
        with dataset.locked():
            for part in parts:
                dataset.remove(source, part.period)
    return tuple(gone)


def _month(text: str) -> datetime.date:
    found = _PERIOD.fullmatch(text)
    if found is None:
        raise FocusError(f"periods has {text!r}: give months such as 2026-09")
    return datetime.date(int(found[1]), int(found[2]), 1)
