# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums up what a ledger holds into the data of a report.

:func:`collect` reads a :class:`Source` once, row by row, and keeps only sums and the
largest rows: its memory depends on the limits asked for, not on the size of the ledger.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_charts import metric_title
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_data import (
    DONE,
    OPEN,
    REFUSED,
    STATUSES,
    ActionRow,
    Group,
    Month,
    PlanRow,
    ReportData,
    SavingRow,
    Source,
    Spend,
    Totals,
    utc,
)

#: The date of a report on an empty ledger.
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: Reasons of the spine, in words.
CAUSES = {
    "protected": "protected by a tag",
    "managed": "managed by another tool",
    "effort": "an effort that the policy does not allow",
    "risk": "a risk that the policy does not allow",
    "saving": "saves less than the policy asks for",
    "drifted": "changed since the plan was made",
    "held_back": "tried or rejected before",
    "in_flight": "being changed by another plan",
    "rejected": "rejected by a person",
}
_IDENTIFIER = re.compile(r"\b[a-z]+-[0-9a-f]{8,}\b")
#: Resources named in one group of refusals, and outcomes listed in one state.
EXAMPLES = 5
OUTCOMES = 10
#: States whose actions are listed with what came of them, in this order.
OUTCOME_STATUSES = ("failed", "rolled_back", "applying", "applied", "verified")


def collect(
    source: Source, *, title: str, as_of: datetime.datetime | None = None, limit: int = 20, rows: int = 1000
) -> ReportData:
    """Read ``source`` once and sum it up.

    :param as_of: the moment that the report speaks of; savings of later months are left
        out. None: the newest moment in the source, so that equal data gives equal reports.
    :param limit: number of actions that keep the series that are drawn.
    :param rows: number of actions in the page's table (at least ``limit`` are kept).
    """
    plans = list(source.plans())
    actions = _Actions(limit, max(limit, rows))
    for row in source.actions():
        actions.add(row)
    now = (
        utc(as_of)
        if as_of
        else max(*(utc(plan.made_at) for plan in plans), actions.newest, source.booked_until() or EPOCH)
    )
    months, bases = _months(source.savings(now), now)
    spend = _spend(plans, actions)
    return ReportData(
        title=title,
        as_of=now,
        totals=_totals(spend, actions, months),
        spend=tuple(spend),
        plans=tuple(sorted(plans, key=lambda plan: (utc(plan.made_at), plan.id), reverse=True)),
        findings=_groups(actions.findings, by_money=True),
        statuses=_groups(actions.statuses, order=STATUSES),
        actions=actions.ranked(),
        action_count=actions.count,
        detailed=limit,
        outcomes=actions.listed_outcomes(),
        refused=_groups(actions.refused, by_money=True),
        refused_count=sum(group.count for group in actions.refused.values()),
        months=months,
        saving_bases=bases,
        price_sources=tuple(sorted(actions.price_sources)),
        usage_sources=tuple(sorted(actions.usage_sources)),
        windows=tuple(sorted(actions.windows)),
        methods=tuple(sorted(actions.methods)),
    )


@dataclasses.dataclass(slots=True)
class _Sum:
    """Running sums of one group."""

    count: int = 0
    saving: float = 0.0
    current: float = 0.0
    reason: str = ""
    examples: list[tuple[float, str]] = dataclasses.field(default_factory=list)

    def add(self, saving: float, current: float = 0.0) -> None:
        self.count += 1
        self.saving += saving
        self.current += current

    def keep(self, saving: float, text: str) -> None:
        """Keep the ``EXAMPLES`` largest; equal money goes by name, so that order never matters."""
        self.examples.append((-saving, text))
        self.examples.sort()
        del self.examples[EXAMPLES:]


def cause(row: ActionRow) -> str:
    """Why a refused action is refused, in words that many share: without names and ids."""
    resource = row.recommendation.resource
    if row.reason in ("refused", "managed") and resource.managed_by not in ("", "none"):
        return f"managed by {resource.managed_by.replace('_', ' ')}"
    if row.reason == "refused" and row.why:
        head = row.why.removeprefix(resource.id).removeprefix(resource.name).partition(":")[0].strip()
        return _IDENTIFIER.sub("…", head) or row.reason
    return CAUSES.get(row.reason, row.reason or row.status)


class _Actions:
    """Sums over all actions, and the largest ``rows`` of them (the first ``limit`` with series)."""

    def __init__(self, limit: int, rows: int) -> None:
        self._limit = limit
        self._detailed = _Top(limit)
        self._listed = _Top(rows)
        self._outcomes: dict[str, _Top] = {}
        self.count = 0
        self.newest = EPOCH
        self.findings: dict[tuple[str, str], _Sum] = {}
        self.statuses: dict[tuple[str, str], _Sum] = {}
        self.refused: dict[tuple[str, str], _Sum] = {}
        self.done: dict[tuple[str, str], float] = {}
        self.done_by_plan: dict[str, float] = {}
        self.open: dict[tuple[str, str], list[float]] = {}
        self.current: dict[tuple[str, str], float] = {}
        self.price_sources: set[str] = set()
        self.usage_sources: set[str] = set()
        self.windows: set[str] = set()
        self.methods: set[str] = set()

    def add(self, row: ActionRow) -> None:
        recommendation, money = row.recommendation, row.recommendation.monthly
        self.count += 1
        self.findings.setdefault((recommendation.finding, money.currency), _Sum()).add(money.saving, money.current)
        self.statuses.setdefault((row.status, money.currency), _Sum()).add(money.saving, money.current)
        place = (row.scope, money.currency)
        self.current[place] = self.current.get(place, 0.0) + money.current
        if row.status in DONE:
            self.done[place] = self.done.get(place, 0.0) + money.saving
            self.done_by_plan[row.plan_id] = self.done_by_plan.get(row.plan_id, 0.0) + money.saving
        elif row.status in OPEN:
            sums = self.open.setdefault(place, [0.0, 0.0])
            sums[0 if money.saving >= 0 else 1] += abs(money.saving)
        elif row.status in REFUSED:
            self._refuse(row)
        self._sources(recommendation.evidence)
        self.newest = max(self.newest, *_moments(row), EPOCH)
        plain = _plain(row)
        self._detailed.add(row)
        self._listed.add(plain)
        if row.status in OUTCOME_STATUSES:
            self._outcomes.setdefault(row.status, _Top(OUTCOMES)).add(plain)

    def _refuse(self, row: ActionRow) -> None:
        resource = row.recommendation.resource
        group = self.refused.setdefault((cause(row), row.currency), _Sum())
        group.add(row.saving)
        group.keep(row.saving, f"{resource.name} ({resource.id})" if resource.name else resource.id)
        if not group.reason or row.why < group.reason:
            group.reason = row.why

    def _sources(self, evidence: Mapping[str, t.Any]) -> None:
        if evidence.get("price_source"):
            dated = f"{evidence['price_source']}, {evidence.get('price_date') or 'no date'}"
            self.price_sources.add(dated)
        sources = evidence.get("sources")
        if isinstance(sources, Mapping):
            self.usage_sources.update(f"{metric_title(str(metric))}: {where}" for metric, where in sources.items())
        if evidence.get("window_start") and evidence.get("window_end"):
            self.windows.add(f"{str(evidence['window_start'])[:10]} to {str(evidence['window_end'])[:10]}")
        if evidence.get("method"):
            self.methods.add(str(evidence["method"]))

    def ranked(self) -> tuple[ActionRow, ...]:
        return (*self._detailed.rows(), *self._listed.rows()[self._limit :])

    def listed_outcomes(self) -> dict[str, tuple[ActionRow, ...]]:
        found = [status for status in OUTCOME_STATUSES if status in self._outcomes]
        return {status: tuple(self._outcomes[status].rows()) for status in found}


class _Top:
    """The ``size`` rows with the largest money, whichever its sign; ids make equal money rank the same in every run."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: list[ActionRow] = []

    def add(self, row: ActionRow) -> None:
        self._rows.append(row)
        if len(self._rows) > 2 * self._size + 100:
            self._rows = self.rows()

    def rows(self) -> list[ActionRow]:
        """In order of rank."""
        return sorted(self._rows, key=_rank)[: self._size]


def _rank(row: ActionRow) -> tuple[float, str, str]:
    return (-abs(row.saving), row.recommendation.id, row.plan_id)


def _plain(row: ActionRow) -> ActionRow:
    """The row without the series that only detailed actions show."""
    evidence = row.recommendation.evidence
    if "charts" not in evidence:
        return row
    kept = {key: value for key, value in evidence.items() if key != "charts"}
    return dataclasses.replace(row, recommendation=dataclasses.replace(row.recommendation, evidence=kept))


def _moments(row: ActionRow) -> Iterator[datetime.datetime]:
    yield from (utc(approval.at) for approval in row.approvals)
    yield from (utc(moment) for moment in (row.applied_at, row.updated_at) if moment)
    if row.verification and row.verification.at:
        yield utc(row.verification.at)


def _groups(
    sums: Mapping[tuple[str, str], _Sum], *, by_money: bool = False, order: Sequence[str] = ()
) -> tuple[Group, ...]:
    groups = [
        Group(name, currency, x.count, x.saving, x.current, tuple(text for _unused, text in x.examples), x.reason)
        for (name, currency), x in sums.items()
    ]
    if by_money:
        groups.sort(key=lambda group: (-group.saving, -group.count, group.name, group.currency))
    else:
        places = {name: place for place, name in enumerate(order)}
        groups.sort(key=lambda group: (places.get(group.name, len(places)), group.name, group.currency))
    return tuple(groups)


def _spend(plans: Iterable[PlanRow], actions: _Actions) -> list[Spend]:
    """Spend by scope. A scope's newest plan saw what is spent; what was saved before it is no longer in there."""
    newest: dict[str, PlanRow] = {}
    for plan in sorted(plans, key=lambda plan: (utc(plan.made_at), plan.id)):
        if plan.monthly_spend is not None or plan.scope not in newest:
            newest[plan.scope] = plan
    result = []
    for scope, plan in sorted(newest.items()):
        place = (scope, plan.currency)
        done = actions.done.get(place, 0.0)
        saved, added = actions.open.get(place, (0.0, 0.0))
        if plan.monthly_spend is None:
            before, complete = actions.current.get(place, 0.0), False
            now = before - done
        else:
            now, complete = plan.monthly_spend - actions.done_by_plan.get(plan.id, 0.0), True
            before = now + done
        result.append(
            Spend(scope, plan.account, plan.currency, before, now, now - saved + added, plan.resources, complete)
        )
    return result


def _months(rows: Iterable[SavingRow], now: datetime.datetime) -> tuple[tuple[Month, ...], tuple[str, ...]]:
    last = f"{now:%Y-%m}"
    sums: dict[tuple[str, str], tuple[float, float | None]] = {}
    bases: set[str] = set()
    for row in rows:
        if row.month > last:
            continue
        projected, realised = sums.get((row.currency, row.month), (0.0, None))
        if row.realised is not None:
            realised = (realised or 0.0) + row.realised
            if row.basis:
                bases.add(row.basis)
        sums[(row.currency, row.month)] = (projected + row.projected, realised)
    result = []
    to_date: dict[str, tuple[float, float]] = {}
    for (currency, month), (projected, realised) in sorted(sums.items()):
        before = to_date.get(currency, (0.0, 0.0))
        after = (before[0] + projected, before[1] + (realised or 0.0))
        to_date[currency] = after
        result.append(Month(month, currency, projected, realised, after[0], None if realised is None else after[1]))
    return tuple(result), tuple(sorted(bases))


def _totals(spend: Iterable[Spend], actions: _Actions, months: Iterable[Month]) -> tuple[Totals, ...]:
    sums: dict[str, dict[str, float]] = {}

    def add(currency: str, **amounts: float) -> None:
        totals = sums.setdefault(currency, {})
        for name, amount in amounts.items():
            totals[name] = totals.get(name, 0.0) + amount

    for scope in spend:
        add(scope.currency, before=scope.before, now=scope.now)
    for (_unused, currency), amount in actions.done.items():
        add(currency, done=amount)
    for (_unused, currency), (saved, added) in actions.open.items():
        add(currency, open=saved, added=added)
    for (status, currency), group in actions.statuses.items():
        if status in ("rolled_back", "failed"):
            add(currency, undone=group.saving)
    for (_unused, currency), group in actions.refused.items():
        add(currency, refused=group.saving)
    for month in months:
        add(month.currency, projected_to_date=month.projected, realised_to_date=month.realised or 0.0)
    ordered = sorted(sums.items(), key=lambda item: (-item[1].get("before", 0.0), item[0]))
    return tuple(Totals(currency, **amounts) for currency, amounts in ordered)
