# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far resources and costs follow a tag policy: by team, by key, by count and by cost."""

from __future__ import annotations

import collections
import dataclasses
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import Judged, Key, Policy, value_of

_Dict: t.TypeAlias = "dict[str, t.Any]"
#: What the team of resources and costs without one is called.
NOBODY = "(none)"
#: Columns of the report as CSV.
COLUMNS = (
    "team",
    "resources",
    "compliant",
    "share",
    "to_change",
    "to_decide",
    "protected",
    "cost",
    "cost_share",
    "currency",
)


@dataclasses.dataclass(frozen=True)
class Charge:
    """What was spent on one combination of tags. ``values``: key -> value, empty where there is none."""

    values: Mapping[str, str]
    cost: float
    currency: str


def share(part: float, whole: float) -> float | None:
    """Between 0 and 1; None of nothing."""
    return round(part / whole, 4) if whole else None


def teams(policy: Policy, judged: Iterable[Judged], team_key: str) -> list[_Dict]:
    """One row a team, the least compliant first."""
    key = policy.named(team_key, "team_key")
    rows: dict[str, _Dict] = {}
    for one in judged:
        team = value_of(policy, key, one.resource.tags) or NOBODY
        row = rows.setdefault(
            team,
            {
                "team": team,
                "resources": 0,
                "compliant": 0,
                "to_change": 0,
                "to_decide": 0,
                "protected": 0,
                "keys": collections.Counter(),
            },
        )
        row["resources"] += 1
        row["compliant"] += one.compliant
        row["to_change"] += bool(one.set or one.remove)
        row["to_decide"] += bool(one.findings)
        row["protected"] += one.protected
        row["keys"].update(one.wrong)
    for row in rows.values():
        row["share"] = share(row["compliant"], row["resources"])
        row["keys"] = dict(sorted(row["keys"].items()))
    return sorted(rows.values(), key=lambda row: (row["share"], -row["resources"], row["team"]))


def by_key(policy: Policy, judged: Sequence[Judged]) -> list[_Dict]:
    """One row a key: how many resources need it and have it as the policy wants it, and how many in which way not."""
    rows = []
    for key in policy.keys:
        wanted = [one for one in judged if key.applies(one.resource.kind)]
        wrong = sum(key.name in one.wrong for one in wanted)
        findings = collections.Counter(f.kind for one in wanted for f in one.findings if f.key == key.name)
        rows.append(
            {
                "key": key.name,
                "resources": len(wanted),
                "compliant": len(wanted) - wrong,
                "share": share(len(wanted) - wrong, len(wanted)),
                "to_change": sum(key.name in one.set for one in wanted),
                **{kind: findings.get(kind, 0) for kind in ("missing", "invalid", "conflict")},
            }
        )
    return rows


def coverage(policy: Policy, charges: Mapping[str, Sequence[Charge]], team_key: str) -> list[_Dict]:
    """Coverage by cost, for each currency: how much of the money has each key with an allowed value, and by team.

    :param charges: key -> the charges with the values of at least this key and the team's. Credits and tax, which
        cannot be tagged, must not be among them.
    """
    team = policy.named(team_key, "team_key")
    found: list[_Dict] = []
    for currency in sorted({charge.currency for rows in charges.values() for charge in rows}):
        keys = [
            _covered(key, [charge for charge in charges.get(key.name, ()) if charge.currency == currency])
            for key in policy.keys
        ]
        rows = [charge for charge in charges.get(team.name, ()) if charge.currency == currency]
        costs: dict[str, float] = {}
        for charge in rows:
            name = team.settled(charge.values.get(team.name, "")) or NOBODY
            costs[name] = costs.get(name, 0.0) + charge.cost
        total = sum(costs.values())
        found.append(
            {
                "currency": currency,
                "cost": round(total, 2),
                "keys": keys,
                "teams": [
                    {"team": name, "cost": round(cost, 2), "share": share(cost, total)}
                    for name, cost in sorted(costs.items(), key=lambda item: (-item[1], item[0]))
                ],
            }
        )
    return found


def _covered(key: Key, rows: Sequence[Charge]) -> _Dict:
    """Figures are None where the data knows nothing of the key: that is not the same as none of the money."""
    total = sum(charge.cost for charge in rows)
    tagged = sum(charge.cost for charge in rows if charge.values.get(key.name))
    compliant = sum(charge.cost for charge in rows if key.allowed(charge.values.get(key.name, "")))
    return {
        "key": key.name,
        "cost": round(total, 2) if rows else None,
        "tagged": round(tagged, 2) if rows else None,
        "tagged_share": share(tagged, total),
        "compliant": round(compliant, 2) if rows else None,
        "compliant_share": share(compliant, total),
    }


def rows(teams_found: Sequence[_Dict], covered: Sequence[_Dict]) -> list[_Dict]:
    """The report as rows of a table: teams by count, with their cost in each currency."""
    found = []
    names = {row["team"]: row for row in teams_found}
    for part in covered or [{}]:
        costs = {row["team"]: row for row in part.get("teams", ())}
        for name in sorted({*names, *costs}):
            row, cost = names.get(name, {}), costs.get(name, {})
            found.append(
                {
                    "team": name,
                    **{column: row.get(column, 0) for column in COLUMNS[1:3]},
                    "share": row.get("share"),
                    **{column: row.get(column, 0) for column in COLUMNS[4:7]},
                    "cost": cost.get("cost"),
                    "cost_share": cost.get("share"),
                    "currency": part.get("currency"),
                }
            )
    return found
