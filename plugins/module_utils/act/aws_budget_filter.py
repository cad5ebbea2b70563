# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a budget of AWS counts: filter expressions, and the cost filters that were there before them. Pure."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping

_Dict: t.TypeAlias = "dict[str, t.Any]"

#: ``Dimension`` of AWS Budgets.
DIMENSIONS = (
    *("AZ", "INSTANCE_TYPE", "LINKED_ACCOUNT", "LINKED_ACCOUNT_NAME", "OPERATION", "PURCHASE_TYPE", "REGION"),
    *("SERVICE", "SERVICE_CODE", "USAGE_TYPE", "USAGE_TYPE_GROUP", "RECORD_TYPE", "OPERATING_SYSTEM", "TENANCY"),
    *("SCOPE", "PLATFORM", "SUBSCRIPTION_ID", "LEGAL_ENTITY_NAME", "INVOICING_ENTITY", "DEPLOYMENT_OPTION"),
    *("DATABASE_ENGINE", "CACHE_ENGINE", "INSTANCE_TYPE_FAMILY", "BILLING_ENTITY", "RESERVATION_ID", "RESOURCE_ID"),
    *("RIGHTSIZING_TYPE", "SAVINGS_PLANS_TYPE", "SAVINGS_PLAN_ARN", "PAYMENT_OPTION", "RESERVATION_MODIFIED"),
    *("TAG_KEY", "COST_CATEGORY_NAME"),
)
MATCH = (
    *("EQUALS", "ABSENT", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "GREATER_THAN_OR_EQUAL"),
    *("CASE_SENSITIVE", "CASE_INSENSITIVE"),
)
#: Key in an option -> member of ``Expression``
LEAVES = {
    "dimension": "Dimensions",
    "tag": "Tags",
    "cost_category": "CostCategories",
    "product_attribute": "ProductAttributes",
}
_NODES = {"and": "And", "or": "Or"}
_KEYS = (*_NODES, "not", *LEAVES)
#: Keys of ``CostFilters``; https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-create-filters.html
LEGACY_KEYS = (
    *("AZ", "BillingEntity", "CacheEngine", "CostCategory", "DatabaseEngine", "DeploymentOption", "InstanceType"),
    *("InstanceTypeFamily", "InvoicingEntity", "LegalEntityName", "LinkedAccount", "OperatingSystem", "Operation"),
    *("Platform", "PurchaseType", "Region", "Service", "TagKeyValue", "Tenancy", "UsageType", "UsageTypeGroup"),
)
#: What AWS takes where nothing is said; it shows that or nothing.
_DEFAULT_MATCH = ({"EQUALS"}, {"EQUALS", "CASE_SENSITIVE"})


class BudgetError(ValueError):
    """One sentence: which option has which value, and what would be right."""


def expression(where: str, one: t.Any) -> _Dict:
    """An ``Expression`` from an option such as ``{and: [{dimension: SERVICE, values: [...]}, {not: {...}}]}``.

    :raises BudgetError: an unknown key, a value of another kind, or nothing to compare with.
    """
    if not isinstance(one, Mapping):
        raise BudgetError(f"{where} is {one!r}: give a mapping with one of {', '.join(_KEYS)}")
    kinds = [key for key in _KEYS if key in one]
    if len(kinds) != 1:
        unknown = next((key for key in one if key not in (*_KEYS, "values", "match")), None)
        has = repr(unknown) if unknown is not None else " and ".join(kinds) or "none of them"
        raise BudgetError(f"{where} has {has}: give one of {', '.join(_KEYS)}")
    kind = kinds[0]
    known = (kind,) if kind in (*_NODES, "not") else (kind, "values", "match")
    for key in one:
        if key not in known:
            raise BudgetError(f"{where} has {key!r}: beside {kind} there can be {', '.join(known[1:]) or 'nothing'}")
    if kind == "not":
        return {"Not": expression(f"{where}.not", one["not"])}
    if kind in _NODES:
        parts = one[kind]
        if not isinstance(parts, (list, tuple)) or len(parts) < 2:
            raise BudgetError(f"{where}.{kind} is {parts!r}: give a list of two or more filters")
        return {_NODES[kind]: [expression(f"{where}.{kind}[{n}]", part) for n, part in enumerate(parts)]}
    return {LEAVES[kind]: _leaf(where, kind, one)}


def _leaf(where: str, kind: str, one: Mapping[str, t.Any]) -> _Dict:
    name, match = str(one[kind]), _texts(f"{where}.match", one.get("match"))
    if kind == "dimension":
        name = name.upper()
        if name not in DIMENSIONS:
            raise BudgetError(f"{where}.dimension is {one[kind]!r}: AWS Budgets has {', '.join(DIMENSIONS)}")
    match = [option.upper() for option in match]
    for option in match:
        if option not in MATCH:
            raise BudgetError(f"{where}.match has {option!r}: there are {', '.join(MATCH)}")
    values = _texts(f"{where}.values", one.get("values"))
    if not values and "ABSENT" not in match:
        raise BudgetError(f"{where} has no values: say what {name} is to be, or match: [ABSENT]")
    found: _Dict = {"Key": name}
    if values or kind in ("dimension",):
        found["Values"] = values
    if match:
        found["MatchOptions"] = match
    return found


def _texts(where: str, value: t.Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise BudgetError(f"{where} is {value!r}: give a list")
    return [str(item) for item in value]


def legacy(where: str, filters: Mapping[str, t.Any]) -> _Dict:
    """``CostFilters``. :raises BudgetError: a key that AWS does not know, or no values."""
    found = {}
    for key, values in filters.items():
        if key not in LEGACY_KEYS:
            raise BudgetError(f"{where} has {key!r}: AWS knows {', '.join(LEGACY_KEYS)}")
        found[key] = _texts(f"{where}.{key}", values)
        if not found[key]:
            raise BudgetError(f"{where}.{key} has no values")
    return found


def canonical(one: Mapping[str, t.Any]) -> _Dict:
    """An ``Expression`` so that equal filters are equal: the order of values and of parts says nothing."""
    found: _Dict = {}
    for name, value in one.items():
        if name in _NODES.values():
            found[name] = sorted((canonical(part) for part in value), key=lambda part: json.dumps(part, sort_keys=True))
        elif name == "Not":
            found[name] = canonical(value)
        else:
            leaf: _Dict = {"Key": value.get("Key"), "Values": sorted(value.get("Values", ()))}
            match = set(value.get("MatchOptions", ()))
            if match and match not in _DEFAULT_MATCH:
                leaf["MatchOptions"] = sorted(match)
            found[name] = leaf
    return found
