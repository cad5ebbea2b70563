# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What C(gcp_cost_info) does: its options, what it asks Google Cloud, what it writes and returns."""

from __future__ import annotations

import dataclasses
import datetime
import time
import typing as t
from collections.abc import Callable, Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.cost import dataset_options, gcp_billing_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked_all
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import Gcp, GcpError
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.observe.gcp_billing import (
    Billing,
    BillingError,
    check_account,
    check_table,
)

_Dict: t.TypeAlias = "dict[str, t.Any]"

GATHER = ("billing_accounts", "projects", "prices", "costs")

#: Options of C(gcp_cost_info) beside those of every module for Google Cloud.
OPTIONS: dict[str, _Dict] = {
    "gather": {
        "type": "list",
        "elements": "str",
        "choices": list(GATHER),
        "default": ["billing_accounts", "projects"],
    },
    "billing_account": {"type": "str"},
    "prices": {
        "type": "dict",
        "options": {
            "services": {"type": "list", "elements": "str", "required": True},
            "regions": {"type": "list", "elements": "str", "default": []},
            "contains": {"type": "str", "default": ""},
            "currency": {"type": "str", "default": "USD"},
        },
    },
    "export_table": {"type": "str"},
    "location": {"type": "str", "default": ""},
    "since": {"type": "str"},
    "until": {"type": "str"},
    "granularity": {"type": "str", "choices": ["monthly", "daily"], "default": "monthly"},
    "group_by": {"type": "list", "elements": "str", "default": []},
    "max_api_cost": {"type": "float", "default": 1.0},
    "cache_directory": {"type": "path"},
    "cache_days": {"type": "int", "default": 0},
    "show_identities": {"type": "bool", "default": False},
    **dataset_options.options("gcp-billing-export"),
}


def gather(
    gcp: Gcp,
    params: Mapping[str, t.Any],
    today: datetime.date,
    check: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> _Dict:
    """What the module returns. With C(check) nothing is written; queries run, and cost, all the same.

    :raises BillingError: an option has a value that cannot be, or a query would cost too much.
    :raises GcpError: Google refuses.
    """
    with hidden(params["show_identities"]):
        return _gather(gcp, params, today, check, sleep)


def _gather(
    gcp: Gcp, params: Mapping[str, t.Any], today: datetime.date, check: bool, sleep: Callable[[float], None]
) -> _Dict:
    wanted = set(params["gather"])
    since, until, table = _checked(params, today)
    account_id = check_account(params["billing_account"]) if params["billing_account"] else ""
    billing = Billing(gcp, Cache(params["cache_directory"] or ""), today, params["cache_days"], sleep)
    found: _Dict = {"changed": False}
    if wanted & {"billing_accounts", "projects"}:
        accounts = [one for one in billing.accounts() if account_id in ("", one.account_id)]
        if account_id and not accounts:
            raise GcpError(f"billing_account {account_id} is none that these credentials see")
        if "billing_accounts" in wanted:
            found["billing_accounts"] = [dataclasses.asdict(one) for one in accounts]
        if "projects" in wanted:
            paid = [one for account in accounts for one in billing.projects(account.account_id)]
            found["projects"] = [dataclasses.asdict(one) for one in paid]
    if "prices" in wanted:
        asked = params["prices"]
        prices = billing.prices(asked["services"], asked["regions"], asked["contains"], asked["currency"])
        found["prices"] = [
            {**dataclasses.asdict(one), "tiers": [{"from": begin, "price": price} for begin, price in one.tiers]}
            for one in prices
        ]
    if "costs" in wanted:
        limit, location = params["max_api_cost"], params["location"]
        found |= {"since": str(since), "until": str(until)}
        if params["dataset"]:
            charges = billing.query(gcp_billing_rows.charges(table, since, until), limit, location)
            written = dataset_options.write(params, gcp_billing_rows.rows(charges), check)
            found |= {"changed": written["changed"], "written": written["periods"], "diff": written["diff"]}
        else:
            monthly, keys = params["granularity"] == "monthly", params["group_by"]
            query = gcp_billing_rows.sums(table, since, until, monthly, keys)
            found["costs"] = [_cost(one, keys) for one in billing.query(query, limit, location)]
        if not found.get("costs") and not found.get("written"):
            billing.warnings.append(
                f"the export has no rows from {since} to {until}: it begins on the day on which it was switched on, "
                "and a day's rows come within a day or two"
            )
    if not params["show_identities"]:
        found = masked_all(found)
        billing.warnings = [masked_all(text) for text in billing.warnings]
    found["read_on"] = str(min(billing.read_on, default=today))
    found["cached_answers"] = billing.cached
    api = {"requests": gcp.requests, "calls": dict(sorted(gcp.calls.items()))}
    api |= {"bytes_billed": billing.bytes_billed, "cost": round(billing.cost, 6)}
    return {**found, "api": api, "warnings": billing.warnings}


def _checked(params: Mapping[str, t.Any], today: datetime.date) -> tuple[datetime.date, datetime.date, str]:
    """The time that is asked for, and the export as SQL names it. :raises BillingError: an option cannot be."""
    last_month = (today.replace(day=1) - datetime.timedelta(days=1)).replace(day=1)
    since = _day(params["since"], "since") or last_month
    until = _day(params["until"], "until") or today
    if since >= until:
        raise BillingError(f"since is {since} and until {until}: until is the first day that no longer counts")
    if since > today:
        raise BillingError(f"since is {since}, which is to come: cost is known until today")
    if params["cache_days"] < 0:
        raise BillingError(f"cache_days is {params['cache_days']}: give 0 for answers of today, or more")
    for key in params["group_by"]:
        gcp_billing_rows.check_key(key)
    wanted = set(params["gather"])
    if "prices" in wanted and not params["prices"]:
        raise BillingError("gather has prices and prices is not set: name the services in prices.services")
    if "costs" not in wanted:
        if params["dataset"]:
            raise BillingError("dataset is set and gather does not have costs: add costs and set export_table")
        return since, until, ""
    if not params["export_table"]:
        raise BillingError("gather has costs and export_table is not set: give project.dataset.table of the export")
    if params["dataset"]:
        gcp_billing_rows.check_whole_months(since, until, today)
    return since, until, check_table(params["export_table"])


def _day(text: str | None, option: str) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise BillingError(f"{option} is {text!r}: give a day such as 2026-01-31") from None


def _cost(one: Mapping[str, t.Any], keys: list[str]) -> _Dict:
    period = one["period"]
    cost, credits = float(one["cost"] or 0), float(one["credits"] or 0)
    mixed = one["unit"] != one["other_unit"]
    return {
        "period": f"{period[:4]}-{period[4:]}" if len(period) == 6 else period,
        "group": {key: one[f"key_{number}"] for number, key in enumerate(keys)},
        "currency": one["currency"],
        "cost": round(cost, 6),
        "credits": round(credits, 6),
        "net_cost": round(cost + credits, 6),
        "quantity": None if mixed or one["quantity"] is None else round(float(one["quantity"]), 6),
        "unit": None if mixed else one["unit"],
    }
