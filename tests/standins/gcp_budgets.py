# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Budgets of Cloud Billing, on the stand-in that checks requests with Google's discovery documents.

Beside the document: versions (etags), masks, what Google adds by itself, numbers of projects instead of ids, and what
the document says in words about what excludes what.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t
import uuid
from collections.abc import Mapping

from ansible_collections.frugal.cloud.tests.standins.google_api import Google, Refused

_Dict = dict[str, t.Any]
_WRITABLE = (
    *("displayName", "budgetFilter", "amount", "thresholdRules", "notificationsRule", "ownershipScope", "spendCap"),
)
_PAGE = 100


@dataclasses.dataclass
class Budgets:
    """What the API shows; tests look at it and change it."""

    #: currency by billing account
    accounts: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"01AB23-45CD67-89EF01": "USD"})
    #: numbers by project id
    projects: Mapping[str, int] = dataclasses.field(default_factory=dict)
    #: budgets by resource name, in order of creation
    budgets: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    #: so many updates find that somebody was faster
    conflicts: int = 0
    #: so many budgets are made and the answer gets lost
    lost: int = 0
    #: topics that the caller may not use
    closed_topics: set[str] = dataclasses.field(default_factory=set)
    page: int = _PAGE
    _made: int = 0

    def _budget(self, name: str) -> _Dict:
        if name not in self.budgets:
            raise Refused(404, "Requested entity was not found.")
        return self.budgets[name]

    def _account(self, names: _Dict) -> str:
        account = str(names["billingAccountsId"])
        if account not in self.accounts:
            raise Refused(403, "The caller does not have permission")
        return account

    # -- handlers -----------------------------------------------------------------------------------------

    def create(self, path: str, names: _Dict, body: _Dict) -> _Dict:
        """budgets.create"""
        account = self._account(names)
        made = self._checked(account, {key: copy.deepcopy(body[key]) for key in _WRITABLE if key in body}, None)
        name = f"billingAccounts/{account}/budgets/{uuid.uuid5(uuid.NAMESPACE_URL, f'{account}/{self._made}')}"
        self._made += 1
        self.budgets[name] = {"name": name, "etag": self._etag({}), **made}
        if self.lost:
            self.lost -= 1
            raise Refused(503, "The service is currently unavailable.")
        return self.budgets[name]

    def list(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """budgets.list"""
        account = self._account(names)
        found = [one for name, one in self.budgets.items() if name.startswith(f"billingAccounts/{account}/")]
        begin = int(names.get("pageToken") or 0)
        size = min(int(names.get("pageSize") or _PAGE), self.page)
        answer: _Dict = {"budgets": found[begin : begin + size]} if found else {}
        return {**answer, "nextPageToken": str(begin + size)} if begin + size < len(found) else answer

    def get(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """budgets.get"""
        self._account(names)
        return self._budget(path.removeprefix("/v1/"))

    def patch(self, path: str, names: _Dict, body: _Dict) -> _Dict:
        """budgets.patch: the members of the mask are replaced, as a whole or by a path inside."""
        account = self._account(names)
        found = self._budget(path.removeprefix("/v1/"))
        if self.conflicts:
            self.conflicts -= 1
            found["etag"] = self._etag(found)
        if body.get("etag") and body["etag"] != found["etag"]:
            raise Refused(409, "The etag does not match the current version of the budget.")
        changed = copy.deepcopy(found)
        mask = [one for one in str(names.get("updateMask") or "").split(",") if one]
        for field in mask or [key for key in _WRITABLE if body.get(key)]:
            first, _dot, rest = field.partition(".")
            if first not in _WRITABLE or "." in rest:
                raise Refused(400, f"Invalid field mask: {field}")
            target, source, last = (
                (changed.setdefault(first, {}), body.get(first, {}), rest) if rest else (changed, body, first)
            )
            if last in source:
                target[last] = copy.deepcopy(source[last])
            else:
                target.pop(last, None)
        found.update(self._checked(account, changed, found))
        for key in [key for key in _WRITABLE if key in found and key not in changed]:
            del found[key]
        found["etag"] = self._etag(found)
        return found

    def delete(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """budgets.delete: returns successfully if already deleted."""
        self._account(names)
        self.budgets.pop(path.removeprefix("/v1/"), None)
        return {}

    # -- rules --------------------------------------------------------------------------------------------

    def _etag(self, found: _Dict) -> str:
        self._made += 1
        return f"{self._made:016x}{len(found):02x}"

    def _checked(self, account: str, one: _Dict, before: _Dict | None) -> _Dict:
        """A budget with what Google adds. :raises Refused: it cannot be."""
        if len(one.get("displayName", "")) > 60 or "amount" not in one:
            raise Refused(400, "Request contains an invalid argument.")
        filters = one.setdefault("budgetFilter", {})
        custom = "customPeriod" in filters
        if custom and "calendarPeriod" in filters:
            raise Refused(400, "usage_period: only one of calendar_period and custom_period can be set.")
        if not custom:
            filters.setdefault("calendarPeriod", "MONTH")
        filters.setdefault("creditTypesTreatment", "INCLUDE_ALL_CREDITS")
        if bool(filters.get("creditTypes")) != (filters["creditTypesTreatment"] == "INCLUDE_SPECIFIED_CREDITS"):
            raise Refused(400, "credit_types must be set if, and only if, INCLUDE_SPECIFIED_CREDITS is.")
        if len(filters.get("labels", {})) > 1 or any(len(values) > 1 for values in filters.get("labels", {}).values()):
            raise Refused(400, "Multiple labels or values are not allowed.")
        projects = {**{f"projects/{key}": f"projects/{value}" for key, value in self.projects.items()}}
        if "projects" in filters:
            known = set(projects.values())
            shown = [projects.get(project, project) for project in filters["projects"]]
            if set(shown) - known:
                raise Refused(400, "Request contains an invalid argument.")
            filters["projects"] = sorted(shown)
        self._amount(account, one, custom)
        for rule in one.get("thresholdRules", ()):
            rule.setdefault("spendBasis", "CURRENT_SPEND")
            if custom and rule["spendBasis"] == "FORECASTED_SPEND":
                raise Refused(400, "FORECASTED_SPEND cannot be used with custom_period.")
            if rule.get("thresholdPercent", 0) < 0:
                raise Refused(400, "threshold_percent must not be negative.")
        rule = one.setdefault("notificationsRule", {})
        if rule.get("pubsubTopic"):
            if rule.get("schemaVersion") != "1.0":
                raise Refused(400, "schema_version must be 1.0.")
            if rule["pubsubTopic"] in self.closed_topics:
                raise Refused(403, "The caller does not have permission")
        if len(rule.get("monitoringNotificationChannels", ())) > 5:
            raise Refused(400, "At most 5 notification channels are allowed.")
        # As in JSON of protocol buffers: what is empty is not there.
        for part in (rule, filters):
            for key in [key for key, value in part.items() if value in ("", [], {}, False)]:
                del part[key]
        one.setdefault("ownershipScope", "ALL_USERS")
        if before is not None and "spendCap" in before:
            raise Refused(400, "spend_cap or spend_cap.input_state must be specified in the update mask.")
        return one

    def _amount(self, account: str, one: _Dict, custom: bool) -> None:
        amount = one["amount"].get("specifiedAmount")
        if amount is None:
            if custom or "lastPeriodAmount" not in one["amount"]:
                raise Refused(400, "last_period_amount cannot be used with custom_period.")
            return
        if amount.get("currencyCode", self.accounts[account]) != self.accounts[account]:
            raise Refused(400, "The currency must match the currency of the billing account.")
        amount["currencyCode"] = self.accounts[account]
        amount["units"] = str(amount.get("units", "0"))
        if not amount.get("nanos"):
            amount.pop("nanos", None)


def install(google: Google, budgets: Budgets) -> None:
    """Add budgets, and the numbers of the projects."""
    for api in ("billingbudgets.v1", "cloudresourcemanager.v3"):
        if api not in google.apis:
            google.apis.append(api)
    prefix = "billingbudgets.billingAccounts.budgets"
    google.handlers |= {
        f"{prefix}.create": budgets.create,
        f"{prefix}.list": budgets.list,
        f"{prefix}.get": budgets.get,
        f"{prefix}.patch": budgets.patch,
        f"{prefix}.delete": budgets.delete,
    }
    for project, number in budgets.projects.items():
        shown = {"name": f"projects/{number}", "projectId": project, "state": "ACTIVE"}
        google.resources.setdefault(f"/v3/projects/{project}", shown)
