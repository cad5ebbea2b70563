# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sizing engine is asked (:class:`SizingOptions`) and what it answers (:class:`Verdict`)."""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Finding, Recommendation

Method = t.Literal["risk_priced", "percentile"]
#: recommended: apply it; kept: nothing better; refused: must not be changed; redirected: change it
#: elsewhere (``reasons`` say where); unknown: data is missing.
Outcome = t.Literal["recommended", "kept", "refused", "redirected", "unknown"]

PERCENTILES = (90.0, 95.0, 99.5, 100.0)
HEADROOMS = (0.0, 0.2, 0.3)

#: One overload minute is worth this many minutes of the machine's own list price, unless
#: ``overload_minute_price`` says otherwise. Chosen by replay: docs/decisions/0002-risk-priced-sizing.md.
OVERLOAD_MULTIPLE = 30.0


class InvalidOption(ValueError):
    """An option has a value that the sizing engine cannot work with."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SizingOptions:
    """How to size. Money in the price list's currency, shares 0..1, hours in hours.

    ``method`` ``risk_priced`` minimises price + risk x overload minutes; ``percentile`` is
    AWS Compute Optimizer's rule (defaults p99.5 and 20 % headroom). ``overload_minute_price``
    is what an overload minute costs (USD); None values it at ``overload_multiple`` minutes of
    the machine's own list price. ``overload_minute_prices`` overrides it for single instance
    or group ids (``float('inf')``: no overload minute is acceptable).
    """

    method: Method = "risk_priced"
    overload_minute_price: float | None = None
    overload_multiple: float = OVERLOAD_MULTIPLE
    overload_minute_prices: Mapping[str, float] = dataclasses.field(default_factory=dict)
    percentile: float = 99.5
    cpu_headroom: float = 0.2
    memory_headroom: float = 0.2
    network_headroom: float = 0.2
    ebs_headroom: float = 0.2
    minimum_history_hours: float = 72.0
    minimum_coverage: float = 0.5
    minimum_saving: float = 1.0
    minimum_saving_share: float = 0.03
    include_under_provisioned: bool = True
    saturation_percent: float = 95.0
    saturated_minutes: float = 60.0
    idle_cpu_percent: float = 5.0
    idle_network_bytes_per_second: float | None = None
    allow_burstable: bool = True
    allow_previous_generation: bool = False
    allow_architecture_change: bool = False
    allow_unverified_nvme: bool = False
    allow_instance_store_loss: bool = False
    packets_per_gbps: float = 250_000.0
    explain: bool = False
    explain_limit: int = 20
    chart_limit: int = 100

    def __post_init__(self) -> None:
        """Check the values.

        :raises InvalidOption: with one sentence that names option, value and what is right.
        """
        if self.method not in ("risk_priced", "percentile"):
            raise InvalidOption(f"method is {self.method!r}: it must be risk_priced or percentile")
        if not 50.0 <= self.percentile <= 100.0:
            raise InvalidOption(f"percentile is {self.percentile}: it must be from 50 to 100 (100: the maximum)")
        for name in ("cpu_headroom", "memory_headroom", "network_headroom", "ebs_headroom"):
            if not 0.0 <= getattr(self, name) <= 2.0:
                raise InvalidOption(f"{name} is {getattr(self, name)}: it must be a share from 0 to 2 (0.2: 20 %)")
        for name in ("minimum_coverage", "minimum_saving_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidOption(f"{name} is {getattr(self, name)}: it must be a share from 0 to 1")
        for name in ("overload_multiple", "minimum_history_hours", "minimum_saving", "idle_cpu_percent"):
            if math.isnan(getattr(self, name)) or getattr(self, name) < 0.0:
                raise InvalidOption(f"{name} is {getattr(self, name)}: it must not be negative")
        prices = {f"the price of an overload minute of {key}": p for key, p in self.overload_minute_prices.items()}
        for name, price in {"overload_minute_price": self.overload_minute_price, **prices}.items():
            if price is not None and (math.isnan(price) or price < 0.0):
                raise InvalidOption(f"{name} is {price}: it must not be negative")


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """A better-priced type that was not taken, with the constraint that rules it out.

    ``monthly_saving`` is against the current type, at list price; ``figure`` is a sentence.
    """

    instance_type: str
    monthly_saving: float
    constraint: str
    figure: str


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What the engine says about one instance or Auto Scaling group.

    ``recommendation`` may be applied. ``potential`` is what would have been recommended for a
    resource that must not be changed here (refused or redirected): it is for the report and
    must never be applied. ``reasons`` are sentences, the first is the most important one;
    ``score`` orders verdicts (saving x confidence - disruption, USD/month).
    """

    resource_id: str
    account: str
    region: str
    outcome: Outcome
    finding: Finding
    reasons: tuple[str, ...]
    recommendation: Recommendation | None = None
    potential: Recommendation | None = None
    binding_constraint: str = ""
    rejected: tuple[Rejected, ...] = ()
    score: float = 0.0

    @property
    def refused_reason(self) -> str:
        """Why it may not be changed here; empty when it may."""
        return self.reasons[0] if self.outcome in ("refused", "redirected") and self.reasons else ""

    def brief(self) -> dict[str, t.Any]:
        """Plain data without the recommendation itself, whose id and money it names."""
        found = self.recommendation or self.potential
        return {
            "resource_id": self.resource_id,
            "outcome": self.outcome,
            "finding": self.finding,
            "reasons": list(self.reasons),
            "binding_constraint": self.binding_constraint,
            "recommendation": found.id if found else None,
            "monthly_saving": found.monthly.saving if found else None,
            "rejected": [dataclasses.asdict(item) for item in self.rejected],
        }

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data for module results and reports."""
        return {
            "resource_id": self.resource_id,
            "account": self.account,
            "region": self.region,
            "outcome": self.outcome,
            "finding": self.finding,
            "reasons": list(self.reasons),
            "refused_reason": self.refused_reason,
            "recommendation": self.recommendation.to_dict() if self.recommendation else None,
            "potential": self.potential.to_dict() if self.potential else None,
            "binding_constraint": self.binding_constraint,
            "rejected": [dataclasses.asdict(item) for item in self.rejected],
        }
