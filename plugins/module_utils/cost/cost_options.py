# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of every module that reads cost data; documented in ``doc_fragments/costs.py``."""

from __future__ import annotations

import datetime
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.cost import dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import (
    CostsError,
    cost_url,
    has_secret,
    open_costs,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.queries import METRICS

if t.TYPE_CHECKING:
    import ibis.expr.types as ir

COST_OPTIONS: dict[str, dict[str, t.Any]] = {
    # A database's address may hold a password: no_log keeps it out of logs and results.
    "cost_url": {"type": "str", "no_log": True},
    "sources": {"type": "list", "elements": "str", "default": []},
    "memory_limit": {"type": "str", "default": "1GB"},
    "temporary_directory": {"type": "path"},
    "show_identities": {"type": "bool", "default": False},
}


def series_options(metric: str) -> dict[str, dict[str, t.Any]]:
    """Options of modules that look at the course of costs by day; ``metric`` is the default."""
    return {
        "filters": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "column": {"type": "str", "required": True},
                "values": {"type": "list", "elements": "str", "required": True},
            },
        },
        "metric": {"type": "str", "choices": list(METRICS), "default": metric},
        "until": {"type": "str"},
        "incomplete_days": {"type": "int", "default": 2},
    }


def reveal(module: t.Any) -> None:
    """Let messages name O(cost_url) where it holds no secret: Ansible masks the value of every no_log option."""
    url = module.params["cost_url"]
    if url and not has_secret(url):
        module.no_log_values.discard(url)


_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_SIZE = re.compile(r"\d+(\.\d+)?\s*([KMGT]i?B|%)", re.IGNORECASE)


def month(text: str | None, option: str) -> datetime.date | None:
    """The first day of the month that an option names, or None where it is not set.

    :raises CostsError: when it is no month.
    """
    if not text:
        return None
    found = _MONTH.fullmatch(text)
    if found is None:
        raise CostsError(f"{option} is {text!r}: give a month such as 2026-09")
    return datetime.date(int(found[1]), int(found[2]), 1)


def costs_from(
    params: Mapping[str, t.Any], since: datetime.date | None = None, until: datetime.date | None = None
) -> ir.Table:
    """The rows that the options name, of billing months within ``since`` <= month < ``until``.

    :raises CostsError: they cannot be read.
    """
    limit = params["memory_limit"]
    if not _SIZE.fullmatch(limit):
        raise CostsError(f"memory_limit is {limit!r}: give a size such as 1GB")
    return open_costs(
        cost_url(params["cost_url"]),
        since,
        until,
        params["sources"],
        memory_limit=limit,
        temporary_directory=params["temporary_directory"],
    )[1]


def history_from(params: Mapping[str, t.Any], until: datetime.date, days: int) -> ir.Table:
    """The rows that ``days`` days before ``until`` need. :raises CostsError: they cannot be read."""
    # A charge of a day belongs to its month, or to a later one where it came late.
    return costs_from(params, dataset.month(until - datetime.timedelta(days=days + 31)))
