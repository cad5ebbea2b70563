# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Budgets of a billing account of Google Cloud: read, decided, and changed with their versions (etags)."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable, Iterator, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act import gcp_budget_terms as terms
from ansible_collections.frugal.cloud.plugins.module_utils.act.gcp_budget_terms import GcpBudgetError
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, carry_out
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import Gcp, GcpError

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "t.Mapping[str, t.Any]"

SERVICE = "billingbudgets"
#: Tries when somebody else changes the same budget meanwhile.
CONFLICTS = 3
#: Tries to make a budget while Google is busy.
TRIES = 4
#: HTTP status of a version that is not the present one: ABORTED; others of Google's APIs say FAILED_PRECONDITION.
_CONFLICT = (409, 412)
_PAGE = 100


class Budgets:
    """The budgets of one billing account."""

    def __init__(self, gcp: Gcp, billing_account: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._gcp = gcp
        self._sleep = sleep
        self._path = f"/v1/billingAccounts/{terms.account(billing_account)}/budgets"
        self._numbers: dict[str, str] = {}

    # -- read ---------------------------------------------------------------------------------------------

    def read(self) -> Iterator[_Dict]:
        """All budgets. :raises GcpError: Google refuses; the sentence names the permission that is missing."""
        try:
            for page in self._gcp.pages(SERVICE, self._path, "the list of budgets", {"pageSize": _PAGE}):
                yield from page.get("budgets", ())
        except GcpError as error:
            raise _named(error, "billing.budgets.list") from None

    def _number(self, project: str) -> str:
        """``projects/NUMBER``: Google shows numbers, whatever was written."""
        identity = project.partition("/")[2]
        if identity.isdigit():
            return project
        if project not in self._numbers:
            about = f"the number of {project}"
            try:
                found = self._gcp.send("cloudresourcemanager", "GET", f"/v3/{project}", about)
            except GcpError as error:
                raise _named(error, "resourcemanager.projects.get", "or write the project's number") from None
            self._numbers[project] = found["name"]
        return self._numbers[project]

    # -- decide -------------------------------------------------------------------------------------------

    def decide(self, budgets: Sequence[Options]) -> list[Change]:
        """What has to change, a change for each budget.

        :raises GcpBudgetError: what was written cannot be. :raises GcpError: Google refuses.
        """
        wanted = [(one, terms.body(one) if one["state"] == "present" else {}) for one in budgets]
        keys = [(one["name"], one.get("id")) for one in budgets]
        for key in keys:
            if keys.count(key) > 1:
                raise GcpBudgetError(f"budgets has {key[0]!r} twice: write everything about a budget in one place")
        known = list(self.read()) if budgets else []
        changes = []
        for one, body in wanted:
            found = _found(one, known)
            if one["state"] == "absent":
                if found is not None:
                    before = terms.shown(_members(found))
                    changes.append(Change("budget", "delete", one["name"], before, {}, ("delete", found, {})))
                continue
            filters = body.get("budgetFilter", {})
            if filters.get("projects"):
                body["budgetFilter"] = {**filters, "projects": [self._number(one) for one in filters["projects"]]}
            change = _decided(one, body, found)
            if change is not None:
                changes.append(change)
        return changes

    # -- perform ------------------------------------------------------------------------------------------

    def perform(self, changes: Sequence[Change]) -> None:
        """Carry them out in order. :raises GcpError: the sentence says how many were made before."""
        carry_out(changes, self._one, GcpError)

    def _one(self, change: Change) -> None:
        verb, found, body = change.request
        try:
            if verb == "create":
                self._create(change, body)
            elif verb == "delete":
                self._gcp.send(SERVICE, "DELETE", f"/v1/{found['name']}", change.about)
            else:
                self._patch(change, found, body)
        except GcpError as error:
            hint = "and pubsub.topics.setIamPolicy on the topic" if _topic(body) else ""
            raise _named(error, f"billing.budgets.{verb}", hint) from None

    def _create(self, change: Change, body: _Dict) -> None:
        """One at a time: names are not unique, so a request that is sent blindly again would make a second budget."""
        for attempt in range(TRIES):
            try:
                self._gcp.send(SERVICE, "POST", self._path, change.about, body, once=True)
                return
            except GcpError as error:
                if (error.status and error.status < 500) or attempt == TRIES - 1:
                    raise
            # Nobody knows whether it happened: look.
            self._sleep(2.0**attempt)
            if any(one.get("displayName") == change.name for one in self.read()):
                return

    def _patch(self, change: Change, found: _Dict, wanted: _Dict) -> None:
        """The members that differ, with the version that they were read in; read again where somebody was faster."""
        for attempt in range(CONFLICTS):
            sent = terms.merged(wanted, found)
            if not sent:
                return  # somebody else wrote the same
            body = {**sent, "etag": found.get("etag", "")}
            mask = {"updateMask": ",".join(sent)}
            try:
                self._gcp.send(SERVICE, "PATCH", f"/v1/{found['name']}", change.about, body, mask)
                return
            except GcpError as error:
                if error.status not in _CONFLICT or attempt == CONFLICTS - 1:
                    raise
            found = self._gcp.send(SERVICE, "GET", f"/v1/{found['name']}", change.about)


def _found(one: Options, known: Sequence[_Dict]) -> _Dict | None:
    """The budget that an option is about. :raises GcpBudgetError: several have this name, none has this id."""
    if one.get("id"):
        found = [budget for budget in known if budget["name"].rpartition("/")[2] == one["id"].rpartition("/")[2]]
        if not found and one["state"] == "present":
            raise GcpBudgetError(f"budgets[{one['name']}].id is {one['id']!r}: there is no such budget; leave it out")
    else:
        found = [budget for budget in known if budget.get("displayName") == one["name"]]
        if len(found) > 1:
            ids = ", ".join(sorted(budget["name"].rpartition("/")[2] for budget in found))
            raise GcpBudgetError(f"budgets[{one['name']}] is the name of {len(found)} budgets: say which by id ({ids})")
    return found[0] if found else None


def _decided(one: Options, body: _Dict, found: _Dict | None) -> Change | None:
    name = one["name"]
    if found is None:
        if "amount" not in body:
            raise GcpBudgetError(f"budgets[{name}] is new: give amount or last_period")
        return Change("budget", "create", name, {}, terms.shown(body), ("create", {}, body))
    changed = terms.merged(body, found)
    if not changed:
        return None
    forecasts = any(rule.get("spendBasis") == "FORECASTED_SPEND" for rule in body.get("thresholdRules", ()))
    if forecasts and "customPeriod" in {**found, **changed}.get("budgetFilter", {}):
        raise GcpBudgetError(f"budgets[{name}].thresholds has a forecast, and Google has none for period custom")
    before = terms.shown({member: found[member] for member in changed if member in found})
    return Change("budget", "update", name, before, terms.shown(changed), ("update", found, body))


def _members(budget: _Dict) -> _Dict:
    return {member: budget[member] for member in terms.MEMBERS if member in budget}


def _topic(body: _Dict) -> bool:
    return bool(body.get("notificationsRule", {}).get("pubsubTopic"))


def _named(error: GcpError, permission: str, hint: str = "") -> GcpError:
    """Google often says only that a permission is missing: which one is said here."""
    if error.status != 403:
        return error
    more = f" {hint}" if hint else ""
    return GcpError(f"{error}: grant {permission} to the caller{more}", error.status)
