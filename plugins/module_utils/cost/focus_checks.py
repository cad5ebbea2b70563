# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The invariants of FOCUS 1.2 as SQL over rows of the dataset.

Each rule is a sentence of https://focus.finops.org/focus-specification/v1-2/ (the column's normative requirements),
written as the condition under which a row breaks it. Prices × quantities are compared with a tolerance: providers
round.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.currencies import CODES

if t.TYPE_CHECKING:
    import duckdb

#: Prices × quantity may differ from a cost by this part of it, or by this much money where that is more.
RELATIVE, ABSOLUTE = 0.01, 1e-4


@dataclasses.dataclass(frozen=True)
class Rule:
    """``broken`` is SQL that is true for a row that breaks the rule; ``says`` is the rule."""

    name: str
    column: str
    says: str
    broken: str


@dataclasses.dataclass(frozen=True)
class Violation:
    """How many rows break a rule."""

    rule: Rule
    rows: int

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data."""
        return {"rule": self.rule.name, "column": self.rule.column, "says": self.rule.says, "rows": self.rows}


def _listed(values: Sequence[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


_USAGE = "\"ChargeCategory\" = 'Usage'"
_PURCHASE = "\"ChargeCategory\" = 'Purchase'"
_TAX = "\"ChargeCategory\" = 'Tax'"
_NO_CORRECTION = '"ChargeClass" IS NULL'
_UNUSED = "coalesce(\"CommitmentDiscountStatus\", '') = 'Unused'"
_COMMITTED = '"CommitmentDiscountId" IS NOT NULL'


def _apart(product: str, cost: str) -> str:
    return f"abs({product} - {cost}) > greatest({ABSOLUTE}, {RELATIVE} * abs({cost}))"


def _no_object(column: str) -> str:
    return f'CASE WHEN json_valid("{column}") THEN json_type("{column}") <> \'OBJECT\' ELSE "{column}" IS NOT NULL END'


def _rules() -> tuple[Rule, ...]:
    rules = [
        Rule("not_null", column.name, f"{column.name} must not be null", f'"{column.name}" IS NULL')
        for column in focus.COLUMNS
        if not column.null
    ]
    rules += [
        Rule(
            "allowed_value",
            column.name,
            f"{column.name} must be one of the allowed values",
            f'"{column.name}" NOT IN ({_listed(column.values)})',
        )
        for column in focus.COLUMNS
        if column.values
    ]
    rules += [
        Rule("not_negative", name, f"{name} must not be negative", f'"{name}" < 0')
        for name in ("ListUnitPrice", "ContractedUnitPrice", "PricingCurrencyListUnitPrice")
    ]
    rules += [
        Rule(
            "currency",
            "BillingCurrency",
            "BillingCurrency must be a national currency of ISO 4217",
            f'"BillingCurrency" NOT IN ({_listed(sorted(CODES))})',
        ),
        Rule(
            "period",
            "BillingPeriodEnd",
            "BillingPeriodEnd must be after BillingPeriodStart",
            '"BillingPeriodEnd" <= "BillingPeriodStart"',
        ),
        Rule(
            "period",
            "ChargePeriodEnd",
            "ChargePeriodEnd must be after ChargePeriodStart",
            '"ChargePeriodEnd" <= "ChargePeriodStart"',
        ),
        Rule(
            "purchase_frequency",
            "ChargeFrequency",
            "ChargeFrequency must not be Usage-Based where ChargeCategory is Purchase",
            f"{_PURCHASE} AND \"ChargeFrequency\" = 'Usage-Based'",
        ),
        Rule(
            "commitment_purchase",
            "EffectiveCost",
            "EffectiveCost must be 0 where a commitment discount is bought: its use carries the cost",
            f'{_PURCHASE} AND {_COMMITTED} AND {_NO_CORRECTION} AND "EffectiveCost" <> 0',
        ),
        Rule(
            "commitment_status",
            "CommitmentDiscountStatus",
            "CommitmentDiscountStatus must be null without CommitmentDiscountId",
            f'NOT {_COMMITTED} AND "CommitmentDiscountStatus" IS NOT NULL',
        ),
        Rule(
            "commitment_status",
            "CommitmentDiscountStatus",
            "CommitmentDiscountStatus must not be null with CommitmentDiscountId where ChargeCategory is Usage",
            f'{_USAGE} AND {_COMMITTED} AND "CommitmentDiscountStatus" IS NULL',
        ),
        Rule(
            "commitment_billed",
            "BilledCost",
            "BilledCost must be 0 where a commitment discount that is billed by itself covers the usage",
            f'{_USAGE} AND {_COMMITTED} AND {_NO_CORRECTION} AND {_UNUSED} AND "BilledCost" <> 0',
        ),
        Rule(
            "commitment_quantity",
            "CommitmentDiscountQuantity",
            "CommitmentDiscountQuantity must be null without CommitmentDiscountId",
            f'NOT {_COMMITTED} AND "CommitmentDiscountQuantity" IS NOT NULL',
        ),
        Rule(
            "commitment_unit",
            "CommitmentDiscountUnit",
            "CommitmentDiscountUnit must be given with CommitmentDiscountQuantity, and only then",
            '("CommitmentDiscountQuantity" IS NULL) <> ("CommitmentDiscountUnit" IS NULL)',
        ),
        Rule(
            "commitment_category",
            "CommitmentDiscountCategory",
            "CommitmentDiscountCategory must be null without CommitmentDiscountId, and given with it",
            f'({_COMMITTED}) <> ("CommitmentDiscountCategory" IS NOT NULL)',
        ),
        Rule(
            "consumed_unused",
            "ConsumedQuantity",
            "ConsumedQuantity must be null where ChargeCategory is not Usage or the commitment discount was not used",
            f'"ConsumedQuantity" IS NOT NULL AND (NOT {_USAGE} OR {_UNUSED})',
        ),
        Rule(
            "consumed_unit",
            "ConsumedUnit",
            "ConsumedUnit must be given with ConsumedQuantity",
            '"ConsumedQuantity" IS NOT NULL AND "ConsumedUnit" IS NULL',
        ),
        Rule(
            "pricing_tax",
            "PricingQuantity",
            "PricingQuantity, PricingUnit, PricingCategory and unit prices must be null where ChargeCategory is Tax",
            f'{_TAX} AND coalesce("PricingQuantity", "ListUnitPrice", "ContractedUnitPrice") IS NOT NULL',
        ),
        Rule(
            "pricing_category",
            "PricingCategory",
            "PricingCategory must not be null where ChargeCategory is Usage or Purchase",
            f'({_USAGE} OR {_PURCHASE}) AND {_NO_CORRECTION} AND "PricingCategory" IS NULL',
        ),
        Rule(
            "pricing_unit",
            "PricingUnit",
            "PricingUnit must be given with PricingQuantity",
            '"PricingQuantity" IS NOT NULL AND "PricingUnit" IS NULL',
        ),
        Rule(
            "list_cost",
            "ListCost",
            "ListUnitPrice × PricingQuantity must be ListCost",
            f"{_NO_CORRECTION} AND " + _apart('"ListUnitPrice" * "PricingQuantity"', '"ListCost"'),
        ),
        Rule(
            "contracted_cost",
            "ContractedCost",
            "ContractedUnitPrice × PricingQuantity must be ContractedCost",
            f"{_NO_CORRECTION} AND " + _apart('"ContractedUnitPrice" * "PricingQuantity"', '"ContractedCost"'),
        ),
        Rule(
            "names",
            "ResourceName",
            "ResourceName and ResourceType must be null without ResourceId",
            '"ResourceId" IS NULL AND coalesce("ResourceName", "ResourceType") IS NOT NULL',
        ),
        Rule(
            "names",
            "SubAccountName",
            "SubAccountName and SubAccountType must be null without SubAccountId",
            '"SubAccountId" IS NULL AND coalesce("SubAccountName", "SubAccountType") IS NOT NULL',
        ),
        Rule(
            "names",
            "RegionName",
            "RegionName must be null without RegionId, and given with it",
            '("RegionId" IS NULL) <> ("RegionName" IS NULL)',
        ),
        Rule(
            "json",
            "Tags",
            "Tags must be a JSON object",
            _no_object("Tags"),
        ),
        Rule(
            "json",
            "SkuPriceDetails",
            "SkuPriceDetails must be a JSON object",
            _no_object("SkuPriceDetails"),
        ),
    ]
    return tuple(rules)


RULES = _rules()


def check(connection: duckdb.DuckDBPyConnection, relation: str, where: str = "true") -> list[Violation]:
    """Which rules how many rows of ``relation`` break, in one pass; none for data that conforms.

    :param relation: SQL of a relation with all columns of FOCUS.
    """
    counts = ", ".join(f"count(*) FILTER ({rule.broken})" for rule in RULES)
    found = connection.execute(f"SELECT {counts} FROM {relation} WHERE {where}").fetchone()
    return [Violation(rule, rows) for rule, rows in zip(RULES, found or (), strict=True) if rows]


def missing_columns(columns: Sequence[str]) -> list[str]:
    """The columns of FOCUS that are not among ``columns``."""
    return sorted(set(focus.BY_NAME) - set(columns))
