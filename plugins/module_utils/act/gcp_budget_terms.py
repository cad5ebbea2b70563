# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A budget of Google Cloud as its user wrote it, in the API's words, and what is the same in both. Pure: asks nobody.

https://cloud.google.com/billing/docs/reference/budget/rest/v1/billingAccounts.budgets
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils import currencies

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "Mapping[str, t.Any]"

#: Members of ``Budget`` that can be written, each as a whole: updates name them in their mask.
MEMBERS = ("displayName", "budgetFilter", "amount", "thresholdRules", "notificationsRule", "ownershipScope")
TREATMENTS = {
    "include_all": "INCLUDE_ALL_CREDITS",
    "exclude_all": "EXCLUDE_ALL_CREDITS",
    "include_specified": "INCLUDE_SPECIFIED_CREDITS",
}
BASES = {"actual": "CURRENT_SPEND", "forecasted": "FORECASTED_SPEND"}
MOST_CHANNELS = 5
_ACCOUNT = re.compile(r"(billingAccounts/)?([0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})")
_PROJECT = re.compile(r"(projects/)?([0-9]+|[a-z][a-z0-9-]{4,28}[a-z0-9]|[a-z0-9.-]+:[a-z][a-z0-9-]+)")
_SERVICE = re.compile(r"(services/)?([0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4})")
_NUMBER = re.compile(r"(folders/|organizations/)?([0-9]+)")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
_CHANNEL = re.compile(r"projects/[^/]+/notificationChannels/[^/]+")
#: Google has no budgets that begin on this day or before.
_FIRST = datetime.date(2017, 1, 1)
#: Option -> member of ``Filter``, prefix, form, example.
_LISTS: dict[str, tuple[str, str, re.Pattern[str], str]] = {
    "projects": ("projects", "projects/", _PROJECT, "a project's id or number"),
    "folders": ("resourceAncestors", "folders/", _NUMBER, "a folder's number"),
    "organizations": ("resourceAncestors", "organizations/", _NUMBER, "an organization's number"),
    "services": ("services", "services/", _SERVICE, "a service's id, such as 6F81-5844-456A"),
    "subaccounts": ("subaccounts", "billingAccounts/", _ACCOUNT, "a billing account, such as 01AB23-45CD67-89EF01"),
}


class GcpBudgetError(ValueError):
    """One sentence: which option has which value, and what would be right."""


def account(text: str) -> str:
    """The id of a billing account. :raises GcpBudgetError: it is none."""
    found = _ACCOUNT.fullmatch(text)
    if not found:
        raise GcpBudgetError(f"billing_account is {text!r}: give an id such as 01AB23-45CD67-89EF01")
    return found[2]


def money(where: str, value: float, currency: str | None) -> _Dict:
    """``Money``: whole units and billionths. :raises GcpBudgetError: below zero, or in no currency."""
    if not math.isfinite(value) or value < 0:
        raise GcpBudgetError(f"{where}.amount is {value:g}: give a number that is not below zero")
    if currency is not None and currencies.unknown(currency):
        raise GcpBudgetError(f"{where}.currency is {currency!r}: give the billing account's, as ISO 4217 writes it")
    number = decimal.Decimal(repr(value))
    units = int(number)
    found: _Dict = {"units": str(units), "nanos": int((number - units) * 10**9)}
    return {"currencyCode": currency, **found} if currency else found


def _date(where: str, text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise GcpBudgetError(f"{where} is {text!r}: give a day such as 2026-01-31") from None


def _written_date(day: datetime.date) -> _Dict:
    return {"year": day.year, "month": day.month, "day": day.day}


def _period(where: str, one: Options) -> _Dict:
    """One of the two kinds of periods; they exclude each other."""
    period = one.get("period")
    days = {name: _date(f"{where}.{name}", one[name]) for name in ("start", "end") if one.get(name)}
    if days and period != "custom":
        raise GcpBudgetError(f"{where} has {min(days)}, which is for period custom only")
    if period is None:
        return {}
    if period != "custom":
        return {"calendarPeriod": period.upper()}
    if "start" not in days:
        raise GcpBudgetError(f"{where} has period custom: give start")
    if days["start"] <= _FIRST:
        raise GcpBudgetError(f"{where}.start is {days['start']}: it has to be after {_FIRST}")
    if days.get("end", days["start"]) < days["start"]:
        raise GcpBudgetError(f"{where}.end is {days['end']}: it cannot be before start, {days['start']}")
    members = {f"{name}Date": _written_date(day) for name, day in days.items()}
    return {"customPeriod": members}


def _filter(where: str, one: Options) -> _Dict:
    found: _Dict = _period(where, one)
    for option, (member, prefix, form, example) in _LISTS.items():
        if one.get(option) is None:
            continue
        values = found.setdefault(member, [])
        for number, text in enumerate(one[option]):
            match = form.fullmatch(text)
            if not match or (match[1] or prefix) != prefix:
                raise GcpBudgetError(f"{where}.{option}[{number}] is {text!r}: give {example}")
            values.append(prefix + match[2])
    if one.get("labels") is not None:
        if len(one["labels"]) > 1:
            raise GcpBudgetError(f"{where}.labels has {len(one['labels'])} labels: Google takes one in a budget")
        for key, value in one["labels"].items():
            for text in (str(key), str(value)):
                if text != text.lower():
                    raise GcpBudgetError(f"{where}.labels has {text!r}: labels of Google Cloud have no capitals")
        found["labels"] = {str(key): [str(value)] for key, value in one["labels"].items()}
    credits = one.get("credits")
    if (credits == "include_specified") != bool(one.get("credit_types")):
        raise GcpBudgetError(f"{where}.credit_types and credits: include_specified go together")
    if credits:
        found["creditTypesTreatment"] = TREATMENTS[credits]
        found["creditTypes"] = list(one.get("credit_types") or ())
    return found


def _rules(where: str, one: Options) -> list[_Dict]:
    found: list[_Dict] = []
    for number, rule in enumerate(one["thresholds"]):
        place = f"{where}.thresholds[{number}]"
        value = float(rule["threshold"])
        if not math.isfinite(value) or value < 0:
            raise GcpBudgetError(f"{place}.threshold is {value:g}: give a percentage that is not below zero")
        if rule["spend"] == "forecasted" and one.get("period") == "custom":
            raise GcpBudgetError(f"{place}.spend is forecasted: Google has no forecast for period custom, use actual")
        member = {"thresholdPercent": float(decimal.Decimal(repr(value)) / 100), "spendBasis": BASES[rule["spend"]]}
        if member in found:
            raise GcpBudgetError(f"{place} is there twice")
        found.append(member)
    return found


def _notifications(where: str, one: Options) -> _Dict:
    found: _Dict = {}
    topic, channels = one.get("pubsub_topic"), one.get("channels")
    if topic is not None:
        if topic and not _TOPIC.fullmatch(topic):
            raise GcpBudgetError(f"{where}.pubsub_topic is {topic!r}: give projects/PROJECT/topics/TOPIC")
        found.update(pubsubTopic=topic, schemaVersion="1.0" if topic else "")
    if channels is not None:
        wrong = [channel for channel in channels if not _CHANNEL.fullmatch(channel)]
        if wrong:
            raise GcpBudgetError(
                f"{where}.channels has {wrong[0]!r}: give an e-mail channel as projects/PROJECT/notificationChannels/ID"
            )
        if len(channels) > MOST_CHANNELS:
            raise GcpBudgetError(f"{where}.channels has {len(channels)}: Google takes {MOST_CHANNELS}")
        found["monitoringNotificationChannels"] = list(channels)
    if one.get("default_recipients") is not None:
        found["disableDefaultIamRecipients"] = not one["default_recipients"]
    if one.get("project_recipients") is not None:
        found["enableProjectLevelRecipients"] = one["project_recipients"]
    return found


def body(one: Options) -> _Dict:
    """The ``Budget`` that was written: only what was written.

    :raises GcpBudgetError: what was written cannot be.
    """
    name = one["name"]
    where = f"budgets[{name}]"
    if not name or len(name) > 60:
        raise GcpBudgetError(f"budgets[].name is {name!r}: give up to 60 characters")
    found: _Dict = {"displayName": name}
    if one.get("last_period"):
        if one.get("amount") is not None:
            raise GcpBudgetError(f"{where} has amount and last_period: only one of them can say how much")
        if one.get("period") == "custom":
            raise GcpBudgetError(f"{where}.last_period cannot be: a custom period has none before it")
        found["amount"] = {"lastPeriodAmount": {}}
    elif one.get("amount") is not None:
        found["amount"] = {"specifiedAmount": money(where, one["amount"], one.get("currency"))}
    elif one.get("currency"):
        raise GcpBudgetError(f"{where} has currency and no amount")
    parts = {"budgetFilter": _filter(where, one), "notificationsRule": _notifications(where, one)}
    found.update({member: part for member, part in parts.items() if part})
    if one.get("thresholds") is not None:
        found["thresholdRules"] = _rules(where, one)
    if one.get("ownership"):
        found["ownershipScope"] = one["ownership"].upper()
    return found


# --- comparing


def _filled(member: str, value: t.Any) -> t.Any:
    """A member so that what is the same for Google is equal: what it adds by itself, and the order of lists."""
    if member == "amount":
        given = value.get("specifiedAmount")
        if given is None:
            return {"lastPeriodAmount": {}}
        return decimal.Decimal(given.get("units") or 0) + decimal.Decimal(given.get("nanos") or 0) / 10**9
    if member == "thresholdRules":
        return sorted((rule.get("thresholdPercent", 0.0), rule.get("spendBasis", "CURRENT_SPEND")) for rule in value)
    if member == "budgetFilter":
        period = {} if "customPeriod" in value else {"calendarPeriod": "MONTH"}
        filled = {**period, "creditTypesTreatment": "INCLUDE_ALL_CREDITS", **value}
        lists = {key: sorted(item) if isinstance(item, list) else item for key, item in filled.items()}
        return {key: item for key, item in lists.items() if item}
    if member == "notificationsRule":
        lists = {key: sorted(item) if isinstance(item, list) else item for key, item in value.items()}
        return {key: item for key, item in lists.items() if item}
    return "ALL_USERS" if value == "OWNERSHIP_SCOPE_UNSPECIFIED" else value


_EMPTY: _Dict = {"thresholdRules": [], "budgetFilter": {}, "notificationsRule": {}, "ownershipScope": "ALL_USERS"}


def merged(wanted: Mapping[str, t.Any], found: Mapping[str, t.Any]) -> _Dict:
    """The members that are not as written, each as a whole: what is there with what was written in it."""
    changed = {}
    for member in MEMBERS:
        if member not in wanted:
            continue
        there = found.get(member, _EMPTY.get(member, {}))
        value = wanted[member]
        if member in ("budgetFilter", "notificationsRule"):
            value = {**there, **value}
            if "customPeriod" in wanted[member]:
                value.pop("calendarPeriod", None)
            elif "calendarPeriod" in wanted[member]:
                value.pop("customPeriod", None)
        currency = there.get("specifiedAmount", {}).get("currencyCode") if member == "amount" else None
        given = value.get("specifiedAmount", {}).get("currencyCode") if member == "amount" else None
        if currency and given and given != currency:
            raise GcpBudgetError(
                f"budgets[{wanted['displayName']}].currency is {given}: the billing account's is {currency}"
            )
        if _filled(member, value) != _filled(member, there):
            changed[member] = value
    return changed


def shown(members: Mapping[str, t.Any]) -> _Dict:
    """Members of a budget as a diff shows them."""
    told: _Dict = {}
    for member, value in members.items():
        if member == "thresholdRules":
            told["thresholds"] = [f"{basis.lower()} {100 * share:g} %" for share, basis in _filled(member, value)]
        elif member == "amount":
            amount = _filled(member, value)
            told["amount"] = "last period" if isinstance(amount, dict) else f"{amount.normalize():f}"
        else:
            told[member] = _filled(member, value)
    return told
