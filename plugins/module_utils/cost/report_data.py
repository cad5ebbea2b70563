# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says, as plain data: the rows it is made of and what :class:`ReportData` sums up."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation

#: States in which an action may still be taken; what it saves is not saved yet.
OPEN = frozenset({"proposed", "approved", "applying"})
#: States in which the resource runs in its new size.
DONE = frozenset({"applied", "verified"})
#: States of what nobody will do: the policy, a person or the resource's own state was against it.
REFUSED = frozenset({"skipped", "rejected"})
#: Order in which states are shown.
STATUSES = (
    "proposed",
    "approved",
    "applying",
    "applied",
    "verified",
    "rolled_back",
    "failed",
    "skipped",
    "rejected",
    "expired",
)


@dataclasses.dataclass(frozen=True, slots=True)
class PlanRow:
    """One plan. ``monthly_spend`` is what all observed resources of the scope cost per
    month when the plan was made, or None where nobody recorded it."""

    id: str
    digest: str
    scope: str
    account: str
    made_at: datetime.datetime
    policy: str = ""
    status: str = ""
    resources: int | None = None
    monthly_spend: float | None = None
    currency: str = "USD"
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class ApprovalRow:
    """Who approved (or rejected) an action, when, and what they said."""

    approver: str
    at: datetime.datetime
    decision: str = "approved"
    comment: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class VerificationRow:
    """What was found when an applied action was verified: ``result`` passed, failed or unknown."""

    result: str
    summary: str = ""
    at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ActionRow:
    """One action of a plan with all that happened to it.

    ``reason`` is a word that groups (``protected``), ``why`` the sentence; ``steps`` are the
    finished steps of its journal, in order.
    """

    plan_id: str
    scope: str
    status: str
    recommendation: Recommendation
    reason: str = ""
    why: str = ""
    approvals: tuple[ApprovalRow, ...] = ()
    applied_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    verification: VerificationRow | None = None
    steps: tuple[str, ...] = ()

    @property
    def saving(self) -> float:
        """Currency per month; negative where the change costs more."""
        return self.recommendation.monthly.saving

    @property
    def currency(self) -> str:
        """ISO code of the money."""
        return self.recommendation.monthly.currency


@dataclasses.dataclass(frozen=True, slots=True)
class SavingRow:
    """Savings of one scope in one month (``YYYY-MM``), in currency for the month so far. Rows of a month add up.

    ``projected`` is what the applied actions should have saved in that month, ``realised``
    what ``basis`` (cost data or list prices) says they did; None where nothing says so yet.
    """

    scope: str
    month: str
    projected: float
    realised: float | None
    currency: str = "USD"
    basis: str = ""


class Source(t.Protocol):
    """Where a report's rows come from. Each call starts from the beginning; rows may stream."""

    def plans(self) -> Iterable[PlanRow]: ...

    def actions(self) -> Iterable[ActionRow]: ...

    def booked_until(self) -> datetime.datetime | None: ...

    def savings(self, now: datetime.datetime) -> Iterable[SavingRow]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Totals:
    """Sums in one currency. Money per month, but ``*_to_date``: sums over the months so far.

    ``open`` and ``added`` split what can still be changed: savings, and what
    under-provisioned resources would cost more.
    """

    currency: str
    before: float = 0.0
    now: float = 0.0
    done: float = 0.0
    open: float = 0.0
    added: float = 0.0
    undone: float = 0.0
    refused: float = 0.0
    projected_to_date: float = 0.0
    realised_to_date: float = 0.0

    @property
    def possible(self) -> float:
        """Spend per month once everything open is applied."""
        return self.now - self.open + self.added

    @property
    def reduction(self) -> float:
        """Share (0..1) by which spend is already lower than before."""
        return self.done / self.before if self.before > 0 else 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Spend:
    """Spend of one scope per month: ``before`` any action, ``now``, and once all open ones are applied.

    ``complete`` is False where only resources with a finding are counted.
    """

    scope: str
    account: str
    currency: str
    before: float
    now: float
    possible: float
    resources: int | None
    complete: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Rows that share a name: their number, their money per month, and a few of them."""

    name: str
    currency: str
    count: int
    saving: float
    current: float = 0.0
    examples: tuple[str, ...] = ()
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Month:
    """Savings of all scopes in one month, and the sums up to and with it.

    ``realised`` is None as long as no scope has a figure for the month.
    """

    month: str
    currency: str
    projected: float
    realised: float | None
    projected_to_date: float
    realised_to_date: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that the page shows. ``actions`` are ranked by money and may be fewer than
    ``action_count``; only the first ``detailed`` of them carry series to draw."""

    title: str
    as_of: datetime.datetime
    totals: tuple[Totals, ...]
    spend: tuple[Spend, ...]
    plans: tuple[PlanRow, ...]
    findings: tuple[Group, ...]
    statuses: tuple[Group, ...]
    actions: tuple[ActionRow, ...]
    action_count: int
    detailed: int
    outcomes: Mapping[str, tuple[ActionRow, ...]]
    refused: tuple[Group, ...]
    refused_count: int
    months: tuple[Month, ...]
    saving_bases: tuple[str, ...]
    price_sources: tuple[str, ...]
    usage_sources: tuple[str, ...]
    windows: tuple[str, ...]
    methods: tuple[str, ...]

    def summary(self) -> dict[str, t.Any]:
        """Plain data without the actions: what the JSON file begins with and the module returns."""
        return {
            "title": self.title,
            "as_of": iso(self.as_of),
            "totals": [
                {
                    **_rounded(dataclasses.asdict(x)),
                    "possible": round(x.possible, 2),
                    "reduction": round(x.reduction, 4),
                }
                for x in self.totals
            ],
            "spend": [_rounded(dataclasses.asdict(x)) for x in self.spend],
            "plans": [{**dataclasses.asdict(x), "made_at": iso(x.made_at)} for x in self.plans],
            "findings": [_rounded(dataclasses.asdict(x)) for x in self.findings],
            "statuses": [_rounded(dataclasses.asdict(x)) for x in self.statuses],
            "refused_groups": [_rounded(dataclasses.asdict(x)) for x in self.refused],
            "savings": [_rounded(dataclasses.asdict(x)) for x in self.months],
            "action_count": self.action_count,
            "refused_count": self.refused_count,
            "saving_bases": list(self.saving_bases),
            "price_sources": list(self.price_sources),
            "usage_sources": list(self.usage_sources),
            "windows": list(self.windows),
            "methods": list(self.methods),
        }


def iso(moment: datetime.datetime) -> str:
    """``2026-01-31T12:00:00Z``; a time without a zone is taken as UTC."""
    return utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc(moment: datetime.datetime) -> datetime.datetime:
    """The same moment in UTC; a time without a zone is taken as UTC."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    return moment.astimezone(datetime.UTC)


def _rounded(data: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Money in cents; shares and counts as they are."""
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in data.items()}
