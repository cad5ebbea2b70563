# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Months that were charged already: what late corrections changed since, as lines to book in a later month."""

from __future__ import annotations

import csv
import json
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import digits, exact, units
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_report import CHARGEBACK_COLUMNS
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_render import guarded

_Dict: t.TypeAlias = "dict[str, t.Any]"
#: Month, currency, owner, component, pool.
_Key: t.TypeAlias = "tuple[str, ...]"


def read_lines(path: str) -> list[_Dict]:
    """The lines of a file that ``chargeback_path`` wrote.

    :raises CostsError: it is not there, or it is another kind of file.
    """
    found: list[_Dict] = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows: t.Any = csv.DictReader(file) if path.endswith(".csv") else json.load(file)
            for row in rows:
                line: _Dict = {name: str(row[name]) for name in CHARGEBACK_COLUMNS}
                line["cost"] = float(row["cost"])
                exact(line["cost"])
                if path.endswith(".csv"):
                    # An apostrophe keeps spreadsheets from running text as a formula; it is no part of a name.
                    line = {name: _unguarded(value) for name, value in line.items()}
                found.append(line)
    except OSError as error:
        raise CostsError(f"closed_path is {path!r}, which cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise CostsError(f"closed_path is {path!r}: give a file that chargeback_path wrote") from None
    return found


def _unguarded(value: t.Any) -> t.Any:
    return value[1:] if isinstance(value, str) and value.startswith("'") and guarded(value[1:]) == value else value


def corrections(closed: Iterable[Mapping[str, t.Any]], now: Iterable[Mapping[str, t.Any]]) -> list[_Dict]:
    """What each owner still owes, or gets back, for the months of ``closed``, by part; only what changed."""
    before, after = _sums(closed), _sums(now)
    months = {key[:2] for key in before}
    shown = {key[:2] for key in after}
    told = []
    for key in sorted({*before, *after}):
        change = after.get(key, 0) - before.get(key, 0)
        # A month that the report does not show is not known to have changed.
        if not change or key[:2] not in months or key[:2] not in shown:
            continue
        places = digits(key[1])
        amounts = {"closed": before.get(key, 0), "now": after.get(key, 0), "change": change}
        named: _Dict = dict(zip(CHARGEBACK_COLUMNS, key))
        told.append({**named, **{name: round(whole / 10.0**places, places) for name, whole in amounts.items()}})
    return told


def _sums(lines: Iterable[Mapping[str, t.Any]]) -> dict[_Key, int]:
    sums: dict[_Key, int] = {}
    for line in lines:
        key = tuple(line[name] for name in CHARGEBACK_COLUMNS[:-1])
        sums[key] = sums.get(key, 0) + units(line["cost"], digits(line["currency"]))
    return sums
