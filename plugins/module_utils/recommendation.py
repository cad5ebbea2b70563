# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record that flows through everything: module results, plans, ledger, reports.

A recommendation says what is, what should be, why, what binds, what it costs and how
sure we are. It knows no cloud and no Ansible.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t
from collections.abc import Mapping

#: Hours in a billing month, as AWS and GCP price calculators count them (8,760 / 12).
HOURS_PER_MONTH = 730.0

PriceBasis = t.Literal["list", "effective"]
Effort = t.Literal["online", "restart", "replace", "migrate"]
Finding = t.Literal[
    "over_provisioned",
    "under_provisioned",
    "optimized",
    "idle",
    "previous_generation",
    "misconfigured",
    "unknown",
]
RISK_NAMES = ("very low", "low", "medium", "high", "very high")
#: Findings whose change pays by performance or safety: no saving is asked of it.
BEYOND_MONEY: tuple[Finding, ...] = ("under_provisioned", "misconfigured")
#: ``managed_by`` values that the core knows; a resource without a manager has ``none``.
MANAGERS = (
    "none",
    "asg",
    "eks",
    "ecs",
    "elasticbeanstalk",
    "emr",
    "spot_fleet",
    "cloudformation",
    "terraform",
    "helm",
)


class InvalidRecord(ValueError):
    """A stored or handed-in record does not have the shape it must have."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """Where a resource lives: account, project or cluster, and region, zone or namespace."""

    account: str
    region: str
    zone: str = ""
    cluster: str = ""
    namespace: str = ""

    @classmethod
    def of_service(cls, host: str, service: str) -> Scope:
        """The scope of one service on one host of the inventory: each has a plan of its own."""
        return cls("hosts", host, namespace=service)

    @property
    def key(self) -> str:
        """The part that a plan covers: ``account/region`` (and cluster and namespace, if any)."""
        return "/".join(part for part in (self.account, self.region, self.cluster, self.namespace) if part)


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """The thing a recommendation is about. ``managed_by`` decides how it may be changed."""

    id: str
    type: str
    name: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    managed_by: str = "none"
    manager: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Monthly:
    """Money per month (730 hours) in ``currency``; ``saving`` is negative where it costs more.

    ``price_basis`` is ``effective`` where Savings Plans or reservations cover hours: a
    covered hour saves nothing today. ``list_saving`` is then what it saves at list price.
    """

    current: float
    proposed: float
    saving: float
    currency: str = "USD"
    price_basis: PriceBasis = "list"
    list_saving: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Risk:
    """Risk from 0 (very low) to 4 (very high): ``total`` is the maximum over the dimensions."""

    total: int
    dimensions: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, dimensions: Mapping[str, int]) -> Risk:
        """Build a risk whose total is the maximum of ``dimensions`` (0 when there are none)."""
        return cls(max(dimensions.values(), default=0), dict(dimensions))

    @property
    def name(self) -> str:
        """``very low`` to ``very high``."""
        return RISK_NAMES[self.total]


@dataclasses.dataclass(frozen=True, slots=True)
class Recommendation:
    """One proposed change of one resource, with evidence, binding constraint, risk and price.

    ``current`` and ``proposed`` hold only the attributes that change; ``reasons`` are
    sentences, the first of which names ``binding_constraint``; ``evidence`` holds window,
    data points, coverage, statistics used, price source and date, and the series that the
    report draws. ``refused``, where it is not empty, is the sentence why this must not be
    carried out here (a Kubernetes node, a spot instance, dedicated tenancy): it is then shown
    with its money and never applied.
    """

    action: str
    provider: str
    scope: Scope
    resource: Resource
    current: Mapping[str, t.Any]
    proposed: Mapping[str, t.Any]
    monthly: Monthly
    finding: Finding
    reasons: tuple[str, ...]
    binding_constraint: str
    risk: Risk
    effort: Effort
    evidence: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    refused: str = ""

    @property
    def id(self) -> str:
        """Stable across runs: a hash of provider, scope, resource and action."""
        text = "\0".join((self.provider, self.scope.key, self.resource.type, self.resource.id, self.action))
        return "rec-" + hashlib.sha256(text.encode()).hexdigest()[:16]

    def decided(self) -> dict[str, t.Any]:
        """What a plan's digest covers: what is decided, not evidence, dates or cents."""
        return {
            "id": self.id,
            "current": dict(self.current),
            "proposed": dict(self.proposed),
            "effort": self.effort,
            "risk": self.risk.total,
            "saving": round(self.monthly.saving),
            "refused": bool(self.refused),
        }

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data for JSON: the same shape in module results, plans, ledger and reports."""
        return {
            "id": self.id,
            "action": self.action,
            "provider": self.provider,
            "scope": {k: v for k, v in dataclasses.asdict(self.scope).items() if v},
            "resource": {
                "id": self.resource.id,
                "type": self.resource.type,
                "name": self.resource.name,
                "tags": dict(self.resource.tags),
                "managed_by": self.resource.managed_by,
                "manager": self.resource.manager,
            },
            "current": dict(self.current),
            "proposed": dict(self.proposed),
            "monthly": dataclasses.asdict(self.monthly),
            "finding": self.finding,
            "reasons": list(self.reasons),
            "binding_constraint": self.binding_constraint,
            "risk": {"total": self.risk.total, "name": self.risk.name, "dimensions": dict(self.risk.dimensions)},
            "effort": self.effort,
            "evidence": dict(self.evidence),
            "warnings": list(self.warnings),
            "refused": self.refused,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, t.Any]) -> Recommendation:
        """Rebuild what :meth:`to_dict` wrote.

        :raises InvalidRecord: when a field is missing or has the wrong shape.
        """
        try:
            risk = data["risk"]
            return cls(
                action=data["action"],
                provider=data["provider"],
                scope=Scope(**data["scope"]),
                resource=Resource(**data["resource"]),
                current=data["current"],
                proposed=data["proposed"],
                monthly=Monthly(**data["monthly"]),
                finding=data["finding"],
                reasons=tuple(data["reasons"]),
                binding_constraint=data["binding_constraint"],
                risk=Risk(int(risk["total"]), risk["dimensions"]),
                effort=data["effort"],
                evidence=data.get("evidence", {}),
                warnings=tuple(data.get("warnings", ())),
                refused=data.get("refused", ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidRecord(f"not a recommendation: {type(error).__name__}: {error}") from error


def canonical_json(data: t.Any) -> str:
    """JSON with sorted keys and no spaces: equal data gives equal text, whatever its origin."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
