# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which columns of FOCUS the columns of each kind of export are.

Sources of what the columns mean:

- FOCUS 1.0 to 1.2: https://focus.finops.org/; AWS Data Exports user guide, "FOCUS 1.2 with AWS columns"
- CUR 2.0: AWS Data Exports user guide, "Table dictionary", and "Line item details" for what each line item type costs
- Google: Cloud Billing documentation, "Structure of Standard data export" and "Structure of Detailed data export"
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus, focus_services
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_read import Table, Type, json_object
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import (
    DEFAULTS,
    NEEDED,
    STAND_INS,
    FocusError,
    quoted,
)


@dataclasses.dataclass(frozen=True)
class Mapped:
    """A table as FOCUS: SQL of each column and of those beyond FOCUS, and what they are selected from.

    :param unread: SQL that is true where a value cannot be read, by the column as the files write it.
    :param needed: the column of the files that each column of FOCUS which may not be null comes from, for messages.
    :param assumed: SQL that is true where a column of ``STAND_INS`` has no value of its own.
    """

    columns: Mapping[str, str]
    extra: Mapping[str, str]
    source: str
    unread: Mapping[str, str]
    needed: Mapping[str, str]
    assumed: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Format:
    """One kind of export: by which columns it is known, the types of its columns, and how it becomes FOCUS."""

    name: str
    known_by: Sequence[str]
    typed: Callable[[str], Type]
    mapped: Callable[[Table], Mapped]


# --- FOCUS

_FOCUS_TYPES: Mapping[focus.Kind, Type] = {"text": "VARCHAR", "number": "DOUBLE", "moment": "TIMESTAMP", "map": "JSON"}
_BY_SMALL = {column.name.lower(): column for column in focus.COLUMNS}


def _focus_type(name: str) -> Type:
    column = _BY_SMALL.get(name)
    return _FOCUS_TYPES[column.kind] if column else "VARCHAR"


def _as_written(column: focus.Column, sql: str) -> str:
    """The allowed value whatever the case of its letters: some exports write ``usage``."""
    whens = " ".join(f"WHEN {quoted(value.lower())} THEN {quoted(value)}" for value in column.values)
    return f"CASE lower({sql}) {whens} ELSE {sql} END"


def _from_focus(table: Table) -> Mapped:
    missing = [name for name in NEEDED if not table.has(name)]
    if missing:
        raise FocusError(f"{table.files[0]} has no column {', '.join(missing)}: it is no cost data in FOCUS")
    columns: dict[str, str] = {}
    for column in focus.COLUMNS:
        sql = table.get(column.name, "DOUBLE" if column.kind == "number" else "VARCHAR")
        columns[column.name] = _as_written(column, sql) if column.values and table.has(column.name) else sql
    assumed = {name: f"{columns[name]} IS NULL" if table.has(name) else "true" for name in STAND_INS}
    for name, other in STAND_INS.items():
        columns[name] = f"coalesce({columns[name]}, {columns[other]})" if table.has(name) else columns[other]
    for name, value in DEFAULTS.items():
        columns[name] = f"coalesce({columns[name]}, {value})" if table.has(name) else value
    month_later = f"{columns['BillingPeriodStart']} + INTERVAL 1 MONTH"
    end = columns["BillingPeriodEnd"]
    columns["BillingPeriodEnd"] = f"coalesce({end}, {month_later})" if table.has("BillingPeriodEnd") else month_later
    extra = {}
    for key, name in table.names.items():
        if key not in _BY_SMALL:
            extra[name if key.startswith(focus.CUSTOM) else focus.CUSTOM + name] = f"CAST({table.get(key)} AS VARCHAR)"
    unread = {table.names[key]: sql for key, sql in table.unread.items()}
    needed = {name: table.names.get(name.lower(), name) for name in NEEDED}
    return Mapped(columns, extra, table.sql, unread, needed, assumed)


# --- AWS: Cost and Usage Report 2.0

_CUR_NUMBERS = frozenset(
    "line_item_usage_amount line_item_unblended_cost line_item_unblended_rate pricing_public_on_demand_cost "
    "pricing_public_on_demand_rate reservation_effective_cost reservation_unused_quantity "
    "reservation_unused_amortized_upfront_fee_for_billing_period reservation_unused_recurring_fee "
    "savings_plan_savings_plan_effective_cost savings_plan_total_commitment_to_date "
    "savings_plan_used_commitment".split()
)
_CUR_MOMENTS = frozenset(
    "bill_billing_period_start_date bill_billing_period_end_date line_item_usage_start_date "
    "line_item_usage_end_date".split()
)
_CUR_MAPS = frozenset(("product", "resource_tags", "cost_category", "discount"))


def _cur_type(name: str) -> Type:
    if name in _CUR_NUMBERS:
        return "DOUBLE"
    if name in _CUR_MOMENTS:
        return "TIMESTAMP"
    return "JSON" if name in _CUR_MAPS else "VARCHAR"


def _case(of: str, values: Mapping[str, str], other: str) -> str:
    """SQL that maps a text to texts."""
    whens = " ".join(f"WHEN {quoted(key)} THEN {quoted(value)}" for key, value in values.items())
    return f"CASE {of} {whens} ELSE {other} END"


def _from_cur(table: Table) -> Mapped:
    def text(name: str) -> str:
        return f"nullif({table.get(name)}, '')"

    def number(name: str) -> str:
        return table.get(name, "DOUBLE")

    kind = text("line_item_line_item_type")
    cost = number("line_item_unblended_cost")
    amount = number("line_item_usage_amount")
    reservation, plan = text("reservation_reservation_a_r_n"), text("savings_plan_savings_plan_a_r_n")
    currency = text("line_item_currency_code")
    code = text("line_item_product_code")
    used = f"{kind} IN ('DiscountedUsage', 'SavingsPlanCoveredUsage')"
    usage = f"({kind} IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage') OR unused)"
    fee = f"(NOT unused AND {kind} IN ('RIFee', 'SavingsPlanRecurringFee', 'SavingsPlanUpfrontFee', 'Fee'))"
    fees = "('RIFee', 'SavingsPlanRecurringFee', 'SavingsPlanUpfrontFee')"
    bought = f"(NOT unused AND ({kind} IN {fees} OR ({kind} = 'Fee' AND {reservation} IS NOT NULL)))"
    unused_upfront = number("reservation_unused_amortized_upfront_fee_for_billing_period")
    unused_recurring = number("reservation_unused_recurring_fee")
    paid, taken = number("savings_plan_total_commitment_to_date"), number("savings_plan_used_commitment")
    unused_cost = (
        f"CASE {kind} WHEN 'RIFee' THEN coalesce({unused_upfront}, 0) + coalesce({unused_recurring}, 0) "
        f"WHEN 'SavingsPlanRecurringFee' THEN greatest(0, {paid} - {taken}) END"
    )
    unused_quantity = (
        f"CASE {kind} WHEN 'RIFee' THEN coalesce(nullif({number('reservation_unused_quantity')}, 0), 1) "
        f"ELSE {unused_cost} END"
    )
    commitment = f"CASE WHEN {used} OR {fee} OR unused THEN coalesce({reservation}, {plan}) END"
    by_plan = f"{reservation} IS NULL"
    quantity = f"CASE WHEN unused THEN {unused_quantity} WHEN {usage} OR {fee} THEN {amount} END"
    # What is covered costs nothing by itself: a reservation's usage is at no cost in the report, a plan's is taken back
    # by a line of its own (SavingsPlanNegation), which is left out together with it.
    billed = f"CASE WHEN unused OR {kind} = 'SavingsPlanCoveredUsage' THEN 0 ELSE {cost} END"
    covered_cost = number("savings_plan_savings_plan_effective_cost")
    effective = (
        f"CASE WHEN unused THEN {unused_cost} WHEN {bought} THEN 0 "
        f"WHEN {kind} = 'DiscountedUsage' THEN coalesce({number('reservation_effective_cost')}, 0) "
        f"WHEN {kind} = 'SavingsPlanCoveredUsage' THEN coalesce({covered_cost}, 0) "
        f"ELSE {cost} END"
    )
    on_demand = number("pricing_public_on_demand_cost")
    listed = f"CASE WHEN unused THEN {unused_cost} WHEN {usage} THEN coalesce({on_demand}, {cost}) ELSE {cost} END"
    contracted = (
        f"CASE WHEN unused THEN {unused_cost} WHEN {kind} = 'DiscountedUsage' THEN coalesce({on_demand}, {cost}) "
        f"ELSE {cost} END"
    )
    unit = f"coalesce({text('pricing_unit')}, 'Count')"
    pricing = f"coalesce({text('pricing_currency')}, {currency})"

    def in_pricing(sql: str) -> str:
        # The report has no exchange rate.
        return f"CASE WHEN {pricing} = {currency} THEN {sql} END"

    name = f"coalesce(json_extract_string({table.get('product')}, '$.product_name'), "
    services = focus_services.AWS
    columns = {
        "AvailabilityZone": text("line_item_availability_zone"),
        "BilledCost": billed,
        "BillingAccountId": text("bill_payer_account_id"),
        "BillingAccountName": text("bill_payer_account_name"),
        "BillingAccountType": "'Management Account'",
        "BillingCurrency": currency,
        "BillingPeriodEnd": table.get("bill_billing_period_end_date", "TIMESTAMP"),
        "BillingPeriodStart": table.get("bill_billing_period_start_date", "TIMESTAMP"),
        "ChargeCategory": f"CASE WHEN {usage} THEN 'Usage' WHEN {fee} THEN 'Purchase' WHEN {kind} = 'Tax' THEN 'Tax' "
        f"WHEN {kind} = 'Credit' OR {kind} LIKE '%Discount' THEN 'Credit' ELSE 'Adjustment' END",
        "ChargeClass": f"CASE WHEN {kind} = 'Refund' THEN 'Correction' END",
        "ChargeDescription": f"CASE WHEN unused THEN 'Unused part of a commitment' "
        f"ELSE {text('line_item_line_item_description')} END",
        "ChargeFrequency": f"CASE WHEN {usage} THEN 'Usage-Based' WHEN NOT unused AND {kind} IN "
        "('RIFee', 'SavingsPlanRecurringFee') THEN 'Recurring' ELSE 'One-Time' END",
        "ChargePeriodEnd": table.get("line_item_usage_end_date", "TIMESTAMP"),
        "ChargePeriodStart": table.get("line_item_usage_start_date", "TIMESTAMP"),
        "CommitmentDiscountCategory": f"CASE WHEN {commitment} IS NULL THEN NULL WHEN {by_plan} THEN 'Spend' "
        "ELSE 'Usage' END",
        "CommitmentDiscountId": commitment,
        "CommitmentDiscountQuantity": f"CASE WHEN {commitment} IS NULL THEN NULL WHEN unused THEN {unused_quantity} "
        f"WHEN NOT {by_plan} THEN {amount} ELSE CASE WHEN {used} THEN {effective} ELSE {cost} END END",
        "CommitmentDiscountStatus": f"CASE WHEN unused THEN 'Unused' WHEN {used} THEN 'Used' END",
        "CommitmentDiscountType": f"CASE WHEN {commitment} IS NULL THEN NULL WHEN {by_plan} THEN 'Savings Plan' "
        "ELSE 'Reserved Instance' END",
        "CommitmentDiscountUnit": f"CASE WHEN {commitment} IS NULL THEN NULL WHEN {by_plan} THEN {currency} "
        f"ELSE {unit} END",
        "ConsumedQuantity": f"CASE WHEN {usage} AND NOT unused THEN {amount} END",
        "ConsumedUnit": f"CASE WHEN {usage} AND NOT unused AND {amount} IS NOT NULL THEN {unit} END",
        "ContractedCost": contracted,
        "ContractedUnitPrice": f"{contracted} / nullif({quantity}, 0)",
        "EffectiveCost": effective,
        "InvoiceId": text("bill_invoice_id"),
        "InvoiceIssuerName": f"coalesce({text('bill_invoicing_entity')}, 'Amazon Web Services, Inc.')",
        "ListCost": listed,
        "ListUnitPrice": f"{listed} / nullif({quantity}, 0)",
        "PricingCategory": f"CASE WHEN {used} OR unused THEN 'Committed' WHEN {usage} AND "
        f"{text('line_item_usage_type')} LIKE '%SpotUsage%' THEN 'Dynamic' WHEN {usage} OR {fee} THEN 'Standard' END",
        "PricingCurrency": pricing,
        "PricingCurrencyContractedUnitPrice": in_pricing(f"{contracted} / nullif({quantity}, 0)"),
        "PricingCurrencyEffectiveCost": in_pricing(effective),
        "PricingCurrencyListUnitPrice": in_pricing(f"{listed} / nullif({quantity}, 0)"),
        "PricingQuantity": quantity,
        "PricingUnit": f"CASE WHEN {quantity} IS NULL THEN NULL WHEN unused AND {by_plan} THEN {currency} "
        f"ELSE {unit} END",
        "ProviderName": "'AWS'",
        "PublisherName": f"coalesce({text('line_item_legal_entity')}, 'Amazon Web Services, Inc.')",
        "RegionId": text("product_region_code"),
        "RegionName": f"CASE WHEN {text('product_region_code')} IS NOT NULL THEN "
        f"coalesce({text('product_location')}, {text('product_region_code')}) END",
        "ResourceId": text("line_item_resource_id"),
        "ResourceType": f"CASE WHEN {text('line_item_resource_id')} IS NOT NULL THEN "
        f"coalesce({text('product_product_family')}, {code}) END",
        "ServiceCategory": _case(code, {key: one.category for key, one in services.items()}, "'Other'"),
        "ServiceName": name + _case(code, {key: one.name for key, one in services.items()}, code) + ")",
        "ServiceSubcategory": _case(code, {key: one.subcategory for key, one in services.items()}, "'Other (Other)'"),
        "SkuId": f"CASE WHEN {usage} OR {fee} THEN coalesce({text('product_sku')}, {code}) END",
        "SkuMeter": f"CASE WHEN {usage} OR {fee} THEN {text('line_item_usage_type')} END",
        "SkuPriceId": f"CASE WHEN {usage} OR {fee} THEN "
        f"coalesce({text('pricing_rate_code')}, {text('pricing_rate_id')}, {text('product_sku')}, {code}) END",
        "SubAccountId": text("line_item_usage_account_id"),
        "SubAccountName": text("line_item_usage_account_name"),
        "SubAccountType": f"CASE {text('line_item_usage_account_id')} WHEN {text('bill_payer_account_id')} "
        "THEN 'Management Account' ELSE 'Member Account' END",
        "Tags": f"nullif({table.get('resource_tags')}, '{{}}')",
    }
    extra = {
        "x_CostCategories": f"nullif({table.get('cost_category')}, '{{}}')",
        "x_LineItemType": kind,
        "x_Operation": text("line_item_operation"),
        "x_ServiceCode": code,
        "x_UsageType": text("line_item_usage_type"),
    }
    needed = {
        "BilledCost": "line_item_unblended_cost",
        "BillingAccountId": "bill_payer_account_id",
        "BillingCurrency": "line_item_currency_code",
        "BillingPeriodStart": "bill_billing_period_start_date",
        "ChargeCategory": "line_item_line_item_type",
        "ChargePeriodEnd": "line_item_usage_end_date",
        "ChargePeriodStart": "line_item_usage_start_date",
        "ServiceName": "line_item_product_code",
    }
    missing = [column for column in (*needed.values(), "bill_billing_period_end_date") if not table.has(column)]
    if missing:
        raise FocusError(f"{table.files[0]} has no column {', '.join(missing)}: it is no Cost and Usage Report 2.0")
    # The unused part of a commitment is a charge of its own in FOCUS; reports put it beside the fee.
    source = (
        f"(SELECT *, unnest(CASE WHEN ({unused_cost}) > 0 THEN [false, true] ELSE [false] END) AS unused "
        f"FROM {table.sql} WHERE {kind} IS DISTINCT FROM 'SavingsPlanNegation')"
    )
    unread = {table.names[key]: sql for key, sql in table.unread.items()}
    return Mapped(_complete(columns), extra, source, unread, needed)


def _complete(columns: Mapping[str, str]) -> dict[str, str]:
    null = {"number": "NULL::DOUBLE", "moment": "NULL::TIMESTAMP"}
    return {column.name: columns.get(column.name, null.get(column.kind, "NULL::VARCHAR")) for column in focus.COLUMNS}


# --- Google Cloud: standard and detailed export

_GCP_NESTED = frozenset(
    "service sku project labels system_labels location resource usage credits invoice adjustment_info tags price "
    "subscription consumption_model".split()
)
#: Credits that are given; the others are what a price comes to and belong to the charge.
_GIVEN = ("PROMOTION", "FREE_TIER")
_COMMITTED = {"COMMITTED_USAGE_DISCOUNT": "Usage", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE": "Spend"}
_CREDITS = '[{"name": "VARCHAR", "amount": "VARCHAR", "full_name": "VARCHAR", "id": "VARCHAR", "type": "VARCHAR"}]'


def _gcp_type(name: str) -> Type:
    if name in ("cost", "cost_at_list", "currency_conversion_rate"):
        return "DOUBLE"
    if name in ("usage_start_time", "usage_end_time", "export_time"):
        return "TIMESTAMP"
    if name in ("labels", "tags"):
        return "JSON"
    return "RAW" if name in _GCP_NESTED else "VARCHAR"


def _from_gcp(table: Table) -> Mapped:
    missing = [name for name in ("billing_account_id", "service", "invoice", "cost", "currency") if not table.has(name)]
    if missing:
        raise FocusError(
            f"{table.files[0]} has no column {', '.join(missing)}: it is no billing export of Google Cloud"
        )

    def inside(name: str, path: str) -> str:
        return f"nullif({table.get(name)} ->> '$.{path}', '')" if table.has(name) else "NULL::VARCHAR"

    def amount(name: str, path: str) -> str:
        return f"try_cast({inside(name, path)} AS DOUBLE)"

    project = table.get("project")
    project_labels = "NULL::VARCHAR"
    if table.has("project"):
        project_labels = json_object(f"({project} -> '$.labels')")
    start = f"try_strptime({inside('invoice', 'month')}, '%Y%m')"
    inner = {
        "account": table.get("billing_account_id"),
        "period_start": f"timezone('UTC', timezone('America/Los_Angeles', {start}))",
        "period_end": f"timezone('UTC', timezone('America/Los_Angeles', {start} + INTERVAL 1 MONTH))",
        "cost": table.get("cost", "DOUBLE"),
        "list_cost": table.get("cost_at_list", "DOUBLE"),
        "currency": table.get("currency"),
        # Google prices in USD; the rate is that of the month.
        "rate": f"coalesce(nullif({table.get('currency_conversion_rate', 'DOUBLE')}, 0), "
        f"CASE WHEN {table.get('currency')} = 'USD' THEN 1 END)",
        "cost_type": f"lower(coalesce({table.get('cost_type')}, 'regular'))",
        "started": table.get("usage_start_time", "TIMESTAMP"),
        "ended": table.get("usage_end_time", "TIMESTAMP"),
        "service_name": inside("service", "description"),
        "service_id": inside("service", "id"),
        "sku_id": inside("sku", "id"),
        "sku": inside("sku", "description"),
        "project_id": inside("project", "id"),
        "project_name": inside("project", "name"),
        "region": inside("location", "region"),
        "zone": inside("location", "zone"),
        "resource_id": f"coalesce({inside('resource', 'global_name')}, {inside('resource', 'name')})",
        "resource_name": inside("resource", "name"),
        "used": amount("usage", "amount"),
        "used_unit": inside("usage", "unit"),
        "priced": amount("usage", "amount_in_pricing_units"),
        "priced_unit": inside("usage", "pricing_unit"),
        "tier": inside("price", "tier_start_amount"),
        "correction": f"coalesce({inside('adjustment_info', 'mode')}, {inside('adjustment_info', 'type')})",
        "seller": table.get("seller_name"),
        "labels": f"json_merge_patch(coalesce({project_labels}, '{{}}'), json_merge_patch("
        f"coalesce({table.get('tags')}, '{{}}'), coalesce({table.get('labels')}, '{{}}')))",
        "credit_list": f"coalesce(from_json({table.get('credits')}, '{_CREDITS}'), [])"
        if table.has("credits")
        else f"from_json('[]', '{_CREDITS}')",
    }
    given = ", ".join(quoted(kind) for kind in _GIVEN)
    committed = ", ".join(quoted(kind) for kind in _COMMITTED)
    base = ", ".join(f"{sql} AS g_{name}" for name, sql in inner.items())
    # A promotion is a charge of its own, of category Credit; other credits lower what the charge itself costs.
    source = (
        f"(SELECT *, unnest(list_concat([NULL], list_filter(g_credit_list, lambda c: c.type IN ({given})))) AS given, "
        "g_cost + coalesce(list_sum([try_cast(c.amount AS DOUBLE) FOR c IN g_credit_list "
        f"IF coalesce(c.type, '') NOT IN ({given})]), 0) AS net, "
        f"list_filter(g_credit_list, lambda c: c.type IN ({committed}))[1] AS committed "
        f"FROM (SELECT *, {base} FROM {table.sql}))"
    )
    is_credit = "given IS NOT NULL"
    fee = "(g_cost_type = 'regular' AND g_sku ILIKE 'commitment%')"
    # What a commitment covers is billed at nothing, and nothing says which fee pays for it. So a fee is effective
    # itself, and it is usage, as in Google's own FOCUS view: a purchase of what is used later is not effective.
    usage = f"(g_cost_type = 'regular' AND NOT ({is_credit}))"
    cud = f"({usage} AND NOT {fee} AND committed IS NOT NULL)"
    money = f"CASE WHEN {is_credit} THEN try_cast(given.amount AS DOUBLE) ELSE net END"
    contracted = f"CASE WHEN {is_credit} THEN try_cast(given.amount AS DOUBLE) ELSE g_cost END"
    listed = f"CASE WHEN {is_credit} THEN try_cast(given.amount AS DOUBLE) ELSE coalesce(g_list_cost, g_cost) END"
    services = focus_services.GCP
    columns = {
        "AvailabilityZone": "g_zone",
        "BilledCost": money,
        "BillingAccountId": "g_account",
        "BillingAccountType": "'Billing Account'",
        "BillingCurrency": "g_currency",
        "BillingPeriodEnd": "g_period_end",
        "BillingPeriodStart": "g_period_start",
        "ChargeCategory": f"CASE WHEN {is_credit} THEN 'Credit' "
        "ELSE CASE g_cost_type WHEN 'regular' THEN 'Usage' WHEN 'tax' THEN 'Tax' ELSE 'Adjustment' END END",
        "ChargeClass": "CASE WHEN g_correction IS NOT NULL THEN 'Correction' END",
        "ChargeDescription": f"CASE WHEN {is_credit} THEN coalesce(given.full_name, given.name) ELSE g_sku END",
        "ChargeFrequency": f"CASE WHEN {usage} AND {fee} THEN 'Recurring' WHEN {usage} THEN 'Usage-Based' "
        "ELSE 'One-Time' END",
        "ChargePeriodEnd": "g_ended",
        "ChargePeriodStart": "g_started",
        "CommitmentDiscountCategory": f"CASE WHEN {cud} THEN {_case('committed.type', _COMMITTED, 'NULL')} END",
        "CommitmentDiscountId": f"CASE WHEN {cud} THEN coalesce(nullif(committed.id, ''), committed.name) END",
        "CommitmentDiscountName": f"CASE WHEN {cud} THEN coalesce(committed.full_name, committed.name) END",
        "CommitmentDiscountQuantity": f"CASE WHEN NOT {cud} THEN NULL WHEN committed.type = 'COMMITTED_USAGE_DISCOUNT' "
        "THEN g_priced ELSE -try_cast(committed.amount AS DOUBLE) END",
        "CommitmentDiscountStatus": f"CASE WHEN {cud} THEN 'Used' END",
        "CommitmentDiscountType": f"CASE WHEN {cud} THEN 'Committed Use Discount' END",
        "CommitmentDiscountUnit": f"CASE WHEN NOT {cud} THEN NULL WHEN committed.type = 'COMMITTED_USAGE_DISCOUNT' "
        "THEN g_priced_unit ELSE g_currency END",
        "ConsumedQuantity": f"CASE WHEN {usage} THEN g_used END",
        "ConsumedUnit": f"CASE WHEN {usage} AND g_used IS NOT NULL THEN coalesce(g_used_unit, 'count') END",
        "ContractedCost": contracted,
        "ContractedUnitPrice": f"CASE WHEN {usage} THEN g_cost / nullif(g_priced, 0) END",
        "EffectiveCost": money,
        "InvoiceIssuerName": "'Google Cloud'",
        "ListCost": listed,
        "ListUnitPrice": f"CASE WHEN {usage} THEN abs(coalesce(g_list_cost, g_cost) / nullif(g_priced, 0)) END",
        "PricingCategory": f"CASE WHEN {cud} THEN 'Committed' WHEN {usage} AND (g_sku ILIKE '%spot%' OR "
        f"g_sku ILIKE '%preemptible%') THEN 'Dynamic' WHEN {usage} THEN 'Standard' END",
        "PricingCurrency": "CASE WHEN g_rate IS NOT NULL THEN 'USD' END",
        "PricingCurrencyContractedUnitPrice": f"CASE WHEN {usage} THEN g_cost / nullif(g_priced, 0) / g_rate END",
        "PricingCurrencyEffectiveCost": f"({money}) / g_rate",
        "PricingCurrencyListUnitPrice": f"CASE WHEN {usage} THEN "
        "abs(coalesce(g_list_cost, g_cost) / nullif(g_priced, 0)) / g_rate END",
        "PricingQuantity": f"CASE WHEN {usage} THEN g_priced END",
        "PricingUnit": f"CASE WHEN {usage} AND g_priced IS NOT NULL THEN coalesce(g_priced_unit, 'count') END",
        "ProviderName": "'Google Cloud'",
        "PublisherName": "coalesce(g_seller, 'Google Cloud')",
        "RegionId": "g_region",
        "RegionName": "g_region",
        "ResourceId": "g_resource_id",
        "ResourceName": "g_resource_name",
        "ResourceType": "nullif(regexp_extract(g_resource_id, '/([^/]+)/[^/]+$', 1), '')",
        "ServiceCategory": _case("g_service_name", {key: one.category for key, one in services.items()}, "'Other'"),
        "ServiceName": "coalesce(g_service_name, g_service_id)",
        "ServiceSubcategory": _case(
            "g_service_name", {key: one.subcategory for key, one in services.items()}, "'Other (Other)'"
        ),
        "SkuId": f"CASE WHEN {usage} THEN g_sku_id END",
        "SkuMeter": f"CASE WHEN {usage} THEN g_sku END",
        "SkuPriceId": f"CASE WHEN {usage} THEN concat_ws('/', g_sku_id, g_tier) END",
        "SubAccountId": "g_project_id",
        "SubAccountName": "g_project_name",
        "SubAccountType": "CASE WHEN g_project_id IS NOT NULL THEN 'Project' END",
        "Tags": "nullif(CAST(g_labels AS VARCHAR), '{}')",
    }
    extra = {"x_CostType": "g_cost_type", "x_ServiceId": "g_service_id"}
    needed = {
        "BilledCost": "cost",
        "BillingAccountId": "billing_account_id",
        "BillingCurrency": "currency",
        "BillingPeriodStart": "invoice.month",
        "ChargePeriodEnd": "usage_end_time",
        "ChargePeriodStart": "usage_start_time",
        "ServiceName": "service.description",
    }
    unread = {table.names[key]: sql for key, sql in table.unread.items()}
    return Mapped(_complete(columns), extra, source, unread, needed)


#: Those that are known by their columns, the most particular first.
FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format("focus", ("billedcost", "chargecategory", "billingperiodstart"), _focus_type, _from_focus),
        Format("aws_focus", ("billedcost", "chargecategory", "billingperiodstart"), _focus_type, _from_focus),
        Format("gcp_focus", ("billedcost", "chargecategory", "billingperiodstart"), _focus_type, _from_focus),
        Format("aws_cur2", ("line_item_line_item_type", "line_item_unblended_cost"), _cur_type, _from_cur),
        Format("gcp_detailed", ("billing_account_id", "cost", "usage_start_time", "resource"), _gcp_type, _from_gcp),
        Format("gcp_standard", ("billing_account_id", "cost", "usage_start_time"), _gcp_type, _from_gcp),
    )
}
OPENCOST = "opencost"
AUTO = "auto"
CHOICES = (AUTO, *sorted(FORMATS), OPENCOST)


def recognised(names: Sequence[str]) -> Format | None:
    """The format that files with these columns have (names in small letters)."""
    for form in FORMATS.values():
        if set(form.known_by) <= set(names):
            return form
    return None
