# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of M(frugal.cloud.cost_report_info) and the result that they ask for."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost import queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import (
    METHODS,
    Inherited,
    Pool,
    Rules,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.chargeback_closed import corrections, read_lines
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_options import costs_from, month
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_report import (
    CHARGEBACK_COLUMNS,
    Question,
    Report,
    month_after,
    month_before,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_render import csv_line, publish

if t.TYPE_CHECKING:
    import ibis.expr.types as ir

_Dict: t.TypeAlias = "dict[str, t.Any]"
_TEXTS: _Dict = {"type": "list", "elements": "str", "default": []}

OPTIONS: dict[str, _Dict] = {
    "first_month": {"type": "str"},
    "last_month": {"type": "str"},
    "by": {"type": "list", "elements": "str", "default": ["ServiceName"]},
    "metric": {"type": "str", "default": "EffectiveCost", "choices": list(queries.METRICS)},
    "filters": {"type": "dict", "default": {}},
    "tags": {"type": "list", "elements": "str"},
    "limit": {"type": "int", "default": 20},
    "movers": {"type": "int", "default": 10},
    "chargeback": {
        "type": "dict",
        "options": {
            "tags": {"type": "list", "elements": "str", "required": True},
            "inherit": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"column": {"type": "str", "required": True}, "owners": {"type": "dict", "default": {}}},
            },
            "shared": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "owners": _TEXTS,
                    "match": {"type": "dict", "default": {}},
                    "take_owned": {"type": "bool", "default": False},
                    "method": {"type": "str", "default": "proportional", "choices": list(METHODS)},
                    "targets": _TEXTS,
                    "percentages": {"type": "dict", "default": {}},
                },
            },
        },
    },
    "report_path": {"type": "path"},
    "chargeback_path": {"type": "path"},
    "closed_path": {"type": "path"},
}


def _values(option: str, given: Mapping[str, t.Any]) -> dict[str, tuple[str, ...]]:
    """Allowed values by column, from a dictionary of texts and lists. :raises CostsError: something else."""
    found = {}
    for column, allowed in given.items():
        listed = allowed if isinstance(allowed, list) else [allowed]
        if not listed or not all(isinstance(value, (str, int, float)) for value in listed):
            raise CostsError(f"{option} of {column} is {allowed!r}: give a text or a list of texts")
        found[str(column)] = tuple(str(value) for value in listed)
    return found


def _percentages(pool: Mapping[str, t.Any]) -> dict[str, float]:
    found = {}
    for target, given in pool["percentages"].items():
        try:
            found[str(target)] = float(given)
        except (TypeError, ValueError):
            raise CostsError(f"the percentage of {target} in pool {pool['name']} is {given!r}: give a number") from None
    return found


def rules_from(table: ir.Table, chargeback: Mapping[str, t.Any]) -> Rules:
    """The rules of O(chargeback), with the table's names of columns.

    :raises RulesError: they cannot be. :raises QueryError: a column is not there.
    """
    if not chargeback["tags"]:
        raise CostsError("chargeback.tags is empty: name the tag that says who pays, such as team")
    inherited = []
    for rule in chargeback["inherit"]:
        owners = {str(value): str(owner) for value, owner in rule["owners"].items()}
        inherited.append(Inherited(queries.column(table, rule["column"]), owners))
    pools = []
    for pool in chargeback["shared"]:
        match = _values(f"match of pool {pool['name']}", pool["match"])
        pools.append(
            Pool(
                pool["name"],
                tuple(pool["owners"]),
                {queries.column(table, name): allowed for name, allowed in match.items()},
                pool["take_owned"],
                pool["method"],
                tuple(pool["targets"] or pool["percentages"]),
                _percentages(pool),
            )
        )
    return Rules(tuple(queries.columns(table, _tags(chargeback["tags"]))), tuple(inherited), tuple(pools))


def _tags(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name if name.lower().startswith("tag:") else f"tag:{name}" for name in names)


def report(params: Mapping[str, t.Any], *, check: bool = False) -> _Dict:
    """The module's result; files are written unless ``check``.

    :raises CostsError: the data cannot be read, or an option cannot be; likewise ``QueryError``, ``RulesError`` and
        ``ReportError`` for a column, a rule and a file.
    """
    for option in ("limit", "movers"):
        if params[option] < 1:
            raise CostsError(f"{option} is {params[option]}: give 1 or more")
    for option in ("report_path", "chargeback_path", "closed_path"):
        if params[option] and not params[option].endswith((".csv", ".json")):
            raise CostsError(f"{option} is {params[option]!r}: end it with .csv or .json")
    for option in ("chargeback_path", "closed_path"):
        if params[option] and not params["chargeback"]:
            raise CostsError(f"{option} needs chargeback, which says who pays for what")
    closed = read_lines(params["closed_path"]) if params["closed_path"] else None
    first, last = month(params["first_month"], "first_month"), month(params["last_month"], "last_month")
    if first and last and last < first:
        raise CostsError(f"last_month is {params['last_month']}, before first_month {params['first_month']}")
    table = costs_from(params, month_before(first), month_after(last))
    chargeback = params["chargeback"]
    rules = rules_from(table, chargeback) if chargeback else None
    tags = params["tags"] if params["tags"] is not None else chargeback["tags"] if chargeback else []
    asked = Report(
        table,
        Question(
            by=tuple(params["by"]),
            metric=params["metric"],
            filters=_values("filters", params["filters"]),
            limit=params["limit"],
            movers=params["movers"],
            first=first,
            tags=_tags(tags),
            rules=rules,
            identities=params["show_identities"],
        ),
    )
    costs = asked.costs()
    told: _Dict = {
        "months": asked.months(),
        "costs": costs,
        "omitted": asked.omitted(costs),
        "movers": asked.movers(),
        "commitments": asked.commitments(),
        "coverage": asked.coverage(),
    }
    if params["report_path"]:
        columns = ["month", "currency", *asked.names.values(), "cost", "previous", "change", "change_percent", "share"]
        publish(params["report_path"], rendered(params["report_path"], columns, asked.lines()), check=check)
    if rules is not None:
        allocations = asked.allocations()
        told["chargeback"] = asked.chargeback(allocations)
        if closed is not None:
            told["chargeback"]["corrections"] = corrections(closed, asked.chargeback_lines(allocations))
        path = params["chargeback_path"]
        if path:
            publish(path, rendered(path, CHARGEBACK_COLUMNS, asked.chargeback_lines(allocations)), check=check)
    return told


def rendered(path: str, columns: Sequence[str], rows: Iterable[Mapping[str, t.Any]]) -> Iterator[str]:
    """The rows as CSV or as a JSON array, by the path's suffix, some at a time."""
    if path.endswith(".csv"):
        yield csv_line(columns)
        for row in rows:
            yield csv_line([row[column] for column in columns])
        return
    start = "[\n"
    for row in rows:
        yield start + json.dumps({column: row[column] for column in columns}, ensure_ascii=False)
        start = ",\n"
    yield "[]\n" if start == "[\n" else "\n]\n"
