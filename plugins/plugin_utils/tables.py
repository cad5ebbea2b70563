# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain text tables that fit a terminal and an AWX log."""

from __future__ import annotations

import collections
import textwrap
import typing as t
from collections.abc import Sequence

#: Cells longer than this are cut; the whole text is in the result and in the report.
MAXIMUM_WIDTH = 60
#: Reasons for waiting that a summary lists at most.
REASONS = 5


def table(header: Sequence[str], rows: Sequence[Sequence[t.Any]], right: Sequence[int] = ()) -> list[str]:
    """Lines of a table; columns whose numbers are in ``right`` are aligned to the right."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(header), *texts]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths))
        ).rstrip()

    return [line(header), line(["-" * width for width in widths]), *(line(row) for row in texts)]


def _cell(value: t.Any) -> str:
    text = " ".join(str(value).split())
    return textwrap.shorten(text, MAXIMUM_WIDTH, placeholder=" ...") if len(text) > MAXIMUM_WIDTH else text


def money(amount: float | None, currency: str = "USD") -> str:
    """``1,234 USD``, or ``0.42 USD`` where cents matter."""
    if amount is None:
        return f"? {currency}"
    return f"{amount:,.2f} {currency}" if abs(amount) < 100 else f"{amount:,.0f} {currency}"


def change(before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> str:
    """``m5.2xlarge -> m6i.large``; with names where the values alone would not tell: ``maxmemory 0 -> 64mb``."""
    named = {key: "" if key == "instance_type" else f"{key} " for key in after}
    return ", ".join(f"{named[key]}{before.get(key, '-')} -> {after[key]}" for key in after)


def reason(recommendation: t.Mapping[str, t.Any]) -> str:
    """The first reason, without the proposed type in front: its column says that already."""
    text: str = recommendation["reasons"][0]
    return text.removeprefix(f"{recommendation['proposed'].get('instance_type', '')}: ")


def action_table(result: t.Mapping[str, t.Any]) -> list[str]:
    """A plan's first actions as a table, its totals, and the command that goes on."""
    actions: t.Sequence[t.Mapping[str, t.Any]] = result.get("actions", ())
    totals = result["totals"]
    rows = []
    for action in actions:
        item = action["recommendation"]
        monthly = item["monthly"]
        rows.append(
            (
                action["rank"],
                item["resource"]["name"] or item["resource"]["id"],
                change(item["current"], item["proposed"]),
                f"{monthly['saving']:,.2f}",
                item["risk"]["name"],
                item["effort"],
                action["status"],
                action["why"] or reason(item),
            )
        )
    currency = totals["currency"]
    header = ("#", "resource", "change", f"{currency}/month", "risk", "effort", "status", "why")
    lines = ["", *table(header, rows, right=(0, 3))] if rows else []
    counts = ", ".join(f"{count} {status}" for status, count in sorted(totals["by_status"].items()))
    more = f" (the first {len(rows)} are shown)" if totals["actions"] > len(rows) else ""
    lines.append("")
    lines.append(
        f"plan {result['plan']['id']}: {totals['actions']} actions{more}, {counts or 'nothing to do'}; "
        f"{money(totals['monthly_saving'], currency)}/month to save"
    )
    if totals["by_status"].get("proposed"):
        lines.append(f"decide: ansible-playbook frugal.cloud.approve -e frugal_approve={result['plan']['id']}")
    elif totals["by_status"].get("approved"):
        # Services of hosts have the account "hosts".
        playbook = "caching" if result["plan"]["scope"].startswith("hosts/") else "rightsizing"
        lines.append(f"carry out: ansible-playbook frugal.cloud.{playbook} -e frugal_stage=apply")
    return lines


def outcome_lines(result: t.Mapping[str, t.Any]) -> list[str]:
    """Counts and money of a run, then each action that did not go as planned, with its reason."""
    saving = money(result["monthly_saving"], result["currency"])
    lines = [_head(result, f"{saving}/month saved")]
    lines += [_outcome_line(item) for item in result["outcomes"] if item["status"] not in ("applied", "verified")]
    if result.get("deferred_count"):
        lines += _deferred_lines(result["deferred_count"], [item["why"] for item in result["deferred"]])
    if result.get("stopped"):
        lines.append(f"  {result['stopped']}")
    return lines


def undone_lines(result: t.Mapping[str, t.Any]) -> list[str]:
    """Counts of a rollback and the saving that it gives up, then each action with what became of it."""
    undone = money(result["monthly_saving_undone"], result["currency"])
    what = f"{undone}/month no longer saved" if result["by_status"].get("rolled_back") else "nothing was undone"
    return [_head(result, what), *(_outcome_line(item, back=True) for item in result["outcomes"])]


def _head(result: t.Mapping[str, t.Any], what: str) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(result["by_status"].items()) if count)
    asked = f" ({result['api']['requests']} API requests)" if "api" in result else ""
    return f"{result['scope']}: {counts or 'nothing to do'}; {what}{asked}"


def _outcome_line(outcome: t.Mapping[str, t.Any], back: bool = False) -> str:
    ends = (outcome["proposed"], outcome["current"]) if back else (outcome["current"], outcome["proposed"])
    return f"  {outcome['status']}: {outcome['name'] or outcome['resource']} {change(*ends)}: {outcome['why']}"


def _deferred_lines(count: int, whys: t.Sequence[str]) -> list[str]:
    """How many wait, and for what: each reason once, the most frequent first."""
    reasons = collections.Counter(whys).most_common()
    if len(reasons) < 2:
        return [f"  {count} left for later: {reasons[0][0] if reasons else ''}"]
    listed = "" if len(whys) == count else f", of the first {len(whys)}"
    return [f"  {count} left for later{listed}:", *(f"    {number} {why}" for why, number in reasons[:REASONS])]
