# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the ledger's promises with what came of them, and books the result."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Callable, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost import savings
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Saving, Selection

CostReader = Callable[[Sequence[str]], savings.DailyCost]
#: Actions read from the ledger at a time.
_PAGE = 500


@dataclasses.dataclass(frozen=True)
class Booking:
    """What was compared: totals by scope, the realised rows, and actions that the data is silent on."""

    totals: Sequence[savings.Total]
    realised: Sequence[Saving]
    without_data: Sequence[str]
    booked: int


def book(
    ledger: Ledger,
    selection: Selection,
    now: datetime.datetime,
    *,
    read_costs: CostReader | None = None,
    source: str = "",
    write: bool = False,
    dry_run: bool = False,
) -> Booking:
    """Work out realised savings of ``selection`` until ``now``, and book them if ``write``.

    With ``dry_run`` they are not booked, and ``booked`` says how many would be.

    ``read_costs`` gives the daily cost of resources by id, from ``source``; without it, and
    for actions that it knows nothing of, the list price counts.
    """
    projected = ledger.savings(selection, kind="projected")
    rows = [saving for saving, _scope in projected]
    realised = savings.at_list_price(rows, now)
    silent: list[str] = []
    if read_costs is not None and rows:
        resources = _resources(ledger, selection)
        wanted = sorted({resources[row.action_id] for row in rows if row.action_id in resources})
        billed, silent = savings.from_bill(rows, resources, read_costs(wanted), now, source)
        realised += billed
    scopes = {saving.action_id: scope for saving, scope in projected}
    booked = ledger.record_realised(realised, now, dry_run=dry_run) if write and realised else 0
    totals = savings.totals(projected, [(row, scopes[row.action_id]) for row in realised], now)
    return Booking(totals, realised, silent, booked)


def _resources(ledger: Ledger, selection: Selection) -> dict[str, str]:
    """Action id -> resource id, for single machines: a group's bill is spread over its members."""
    chosen = dataclasses.replace(selection, statuses=("applied", "verified", "rolled_back"))
    found: dict[str, str] = {}
    offset = 0
    while True:
        page: list[t.Any] = ledger.actions(chosen, limit=_PAGE, offset=offset)
        found.update(
            {
                action.id: action.recommendation.resource.id
                for action in page
                if action.recommendation.resource.type == "ec2_instance"
            }
        )
        offset += len(page)
        if len(page) < _PAGE:
            return found
