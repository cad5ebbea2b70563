# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns of FOCUS 1.2, the FinOps Open Cost and Usage Specification.

https://focus.finops.org/focus-specification/v1-2/: names, types, which may be null, which values are allowed.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.currencies import CODES

VERSION = "1.2"
#: Columns that are no part of FOCUS begin so (section "Custom Columns").
CUSTOM = "x_"
#: A tag as a plain column: ``x_tag_team``. Engines other than DuckDB cannot look into ``Tags``.
TAG = "x_tag_"

Kind: t.TypeAlias = "t.Literal['text', 'number', 'moment', 'map']"


@dataclasses.dataclass(frozen=True)
class Column:
    """One column: its type, whether it may be null, its allowed values (any where empty), since which version."""

    name: str
    kind: Kind = "text"
    null: bool = True
    values: tuple[str, ...] = ()
    since: str = "1.0"


CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
CHARGE_FREQUENCIES = ("One-Time", "Recurring", "Usage-Based")
PRICING_CATEGORIES = ("Standard", "Dynamic", "Committed", "Other")
COMMITMENT_CATEGORIES = ("Spend", "Usage")
COMMITMENT_STATUSES = ("Used", "Unused")
SERVICE_CATEGORIES = (
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Compute",
    "Databases",
    "Developer Tools",
    "Multicloud",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Networking",
    "Security",
    "Storage",
    "Web",
    "Other",
)

COLUMNS: tuple[Column, ...] = (
    Column("AvailabilityZone"),
    Column("BilledCost", "number", null=False),
    Column("BillingAccountId", null=False),
    Column("BillingAccountName"),
    Column("BillingAccountType", since="1.2"),
    Column("BillingCurrency", null=False),
    Column("BillingPeriodEnd", "moment", null=False),
    Column("BillingPeriodStart", "moment", null=False),
    Column("CapacityReservationId", since="1.1"),
    Column("CapacityReservationStatus", values=("Used", "Unused"), since="1.1"),
    Column("ChargeCategory", null=False, values=CHARGE_CATEGORIES),
    Column("ChargeClass", values=("Correction",)),
    Column("ChargeDescription"),
    Column("ChargeFrequency", null=False, values=CHARGE_FREQUENCIES),
    Column("ChargePeriodEnd", "moment", null=False),
    Column("ChargePeriodStart", "moment", null=False),
    Column("CommitmentDiscountCategory", values=COMMITMENT_CATEGORIES),
    Column("CommitmentDiscountId"),
    Column("CommitmentDiscountName"),
    Column("CommitmentDiscountQuantity", "number", since="1.1"),
    Column("CommitmentDiscountStatus", values=COMMITMENT_STATUSES),
    Column("CommitmentDiscountType"),
    Column("CommitmentDiscountUnit", since="1.1"),
    Column("ConsumedQuantity", "number"),
    Column("ConsumedUnit"),
    Column("ContractedCost", "number", null=False),
    Column("ContractedUnitPrice", "number"),
    Column("EffectiveCost", "number", null=False),
    Column("InvoiceId", since="1.2"),
    Column("InvoiceIssuerName", null=False),
    Column("ListCost", "number", null=False),
    Column("ListUnitPrice", "number"),
    Column("PricingCategory", values=PRICING_CATEGORIES),
    Column("PricingCurrency", since="1.2"),
    Column("PricingCurrencyContractedUnitPrice", "number", since="1.2"),
    Column("PricingCurrencyEffectiveCost", "number", since="1.2"),
    Column("PricingCurrencyListUnitPrice", "number", since="1.2"),
    Column("PricingQuantity", "number"),
    Column("PricingUnit"),
    Column("ProviderName", null=False),
    Column("PublisherName", null=False),
    Column("RegionId"),
    Column("RegionName"),
    Column("ResourceId"),
    Column("ResourceName"),
    Column("ResourceType"),
    Column("ServiceCategory", null=False, values=SERVICE_CATEGORIES),
    Column("ServiceName", null=False),
    Column("ServiceSubcategory", since="1.1"),
    Column("SkuId"),
    Column("SkuMeter", since="1.1"),
    Column("SkuPriceDetails", "map", since="1.1"),
    Column("SkuPriceId"),
    Column("SubAccountId"),
    Column("SubAccountName"),
    Column("SubAccountType", since="1.2"),
    Column("Tags", "map"),
)
BY_NAME: t.Mapping[str, Column] = {column.name: column for column in COLUMNS}


def tag_column(key: str) -> str:
    """The plain column of a tag: ``x_tag_cost_center`` of ``Cost-Center``; letters are small, others are ``_``."""
    return TAG + "".join(letter if letter.isalnum() else "_" for letter in key.lower())


def is_currency(code: str) -> bool:
    """Whether ``code`` is a national currency of ISO 4217, as ``BillingCurrency`` has to be."""
    return code in CODES
