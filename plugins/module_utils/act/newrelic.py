# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alert policies, NRQL conditions, dashboards and deployment markers in New Relic: read, decide, change.

Everything is listed first, in a few requests for a whole account; then all changes of a kind go together.
Names of queries, mutations and input types are NerdGraph's:

- https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-api-alerts-policies/
- https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-api-nrql-condition-alerts/
- https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-dashboards/
- https://docs.newrelic.com/docs/change-tracking/change-tracking-graphql/
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze import nerdgraph as wanted_state
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.nerdgraph import Change, by_name
from ansible_collections.frugal.cloud.plugins.module_utils.newrelic import NerdGraph, NewRelicError, Operation

_Dict: t.TypeAlias = "dict[str, t.Any]"

_POLICY = "id name incidentPreference"
_CONDITION = (
    "id name type enabled description runbookUrl policyId violationTimeLimitSeconds nrql { query } "
    "terms { priority operator threshold thresholdDuration thresholdOccurrences } "
    "signal { aggregationWindow aggregationMethod aggregationDelay aggregationTimer fillOption fillValue slideBy } "
    "expiration { expirationDuration openViolationOnExpiration closeViolationsOnExpiration } "
    "... on AlertsNrqlBaselineCondition { baselineDirection }"
)
_DASHBOARD = (
    "guid name ... on DashboardEntity { description permissions pages { guid name description widgets { title "
    "visualization { id } layout { column row width height } rawConfiguration } } }"
)
_DEPLOYMENTS = "guid name deploymentSearch(filter: $filter) { results { deploymentId version commit timestamp } }"
#: Entities that actor.entities takes at once.
_ENTITIES = 25


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the module's options say, checked by Ansible; times in ms since 1970."""

    policies: Sequence[_Dict] = ()
    dashboards: Sequence[_Dict] = ()
    deployments: Sequence[_Dict] = ()
    #: from when on recorded deployments are looked at
    deployments_since: int = 0


class Account:
    """One account in New Relic."""

    def __init__(self, server: NerdGraph, account_id: int) -> None:
        self._server = server
        self._id = account_id
        #: ids of policies and guids of dashboards by name, as far as they are known
        self.policies: dict[str, str] = {}
        self.dashboards: dict[str, str] = {}

    def decide(self, wanted: Wanted) -> list[Change]:
        """Read what is there and say what has to change, in the order in which it is done.

        :raises WantedError: when what was written cannot be. :raises NewRelicError: when New Relic does not answer.
        """
        wanted_state.check(wanted.policies, wanted.dashboards)
        changes: list[Change] = []
        if wanted.policies:
            found = self._read_policies({policy["name"] for policy in wanted.policies})
            self.policies = {name: str(policy["id"]) for name, policy in found.items()}
            conditions = self._read_conditions([p for p in wanted.policies if p["state"] == "present"])
            policies = wanted_state.decide_policies(wanted.policies, found)
            changes += [change for change in policies if change.action != "delete"]
            for policy in wanted.policies:
                if policy["state"] == "present":
                    changes += wanted_state.decide_conditions(policy, conditions.get(policy["name"], {}))
            changes += [change for change in policies if change.action == "delete"]
        if wanted.dashboards:
            there = self._read_dashboards({dashboard["name"] for dashboard in wanted.dashboards})
            self.dashboards = {name: str(dashboard["guid"]) for name, dashboard in there.items()}
            changes += wanted_state.decide_dashboards(wanted.dashboards, there, self._id)
        if wanted.deployments:
            recorded = self._read_deployments(wanted.deployments, wanted.deployments_since)
            changes += wanted_state.decide_deployments(wanted.deployments, recorded)
        return changes

    def perform(self, changes: Sequence[Change]) -> None:
        """Do all: policies before their conditions, what is removed before what takes its name."""
        for kind, action in (
            ("policy", "create"),
            ("policy", "update"),
            ("condition", "delete"),
            ("condition", "create"),
            ("condition", "update"),
            ("policy", "delete"),
            ("dashboard", "delete"),
            ("dashboard", "create"),
            ("dashboard", "update"),
            ("deployment", "create"),
        ):
            batch = [change for change in changes if (change.kind, change.action) == (kind, action)]
            if not batch:
                continue
            answers = self._server.mutate([self._operation(change) for change in batch])
            for change, answer in zip(batch, answers):
                self._note(change, answer or {})

    # Reading.

    def _pages(self, field: str, inside: str, operations: Sequence[Operation]) -> list[list[_Dict]]:
        """All pages of each search: those that have more are asked again together."""
        collected: list[list[_Dict]] = [[] for item in operations]
        waiting = list(enumerate(operations))
        while waiting:
            answers = self._server.query(self._around(field), [operation for position, operation in waiting])
            following: list[tuple[int, Operation]] = []
            for (position, operation), answer in zip(waiting, answers):
                collected[position] += (answer or {}).get(inside) or []
                cursor = (answer or {}).get("nextCursor")
                if cursor:
                    variables = {**operation.variables, "cursor": ("String", cursor)}
                    following.append((position, dataclasses.replace(operation, variables=variables)))
            waiting = following
        return collected

    def _around(self, field: str) -> list[str]:
        return ["actor", f"account(id: {self._id})", "alerts"] if field == "alerts" else ["actor"]

    def _read_policies(self, names: Iterable[str]) -> dict[str, _Dict]:
        search = Operation(
            "policiesSearch(cursor: $cursor)",
            f"nextCursor policies {{ {_POLICY} }}",
            {"cursor": ("String", None)},
            "the list of policies",
        )
        policies = self._pages("alerts", "policies", [search])[0]
        wanted = set(names)
        return by_name((policy for policy in policies if policy["name"] in wanted), "policies in New Relic")

    def _read_conditions(self, policies: Sequence[_Dict]) -> dict[str, dict[str, _Dict]]:
        there = [policy["name"] for policy in policies if policy["name"] in self.policies]
        searches = [
            Operation(
                "nrqlConditionsSearch(searchCriteria: $criteria, cursor: $cursor)",
                f"nextCursor nrqlConditions {{ {_CONDITION} }}",
                {
                    "criteria": ("AlertsNrqlConditionsSearchCriteriaInput", {"policyId": self.policies[name]}),
                    "cursor": ("String", None),
                },
                f"the conditions of policy {name!r}",
            )
            for name in there
        ]
        found = self._pages("alerts", "nrqlConditions", searches)
        return {
            name: by_name(conditions, f"conditions of policy {name!r} in New Relic")
            for name, conditions in zip(there, found)
        }

    def _read_dashboards(self, names: set[str]) -> dict[str, _Dict]:
        """A dashboard's pages are entities of the type, too: those have a parent and are left out."""
        guids: list[str] = []
        cursor: str | None = None
        while True:
            search = Operation(
                f"entitySearch(query: \"type = 'DASHBOARD' AND accountId = {self._id}\")",
                "results(cursor: $cursor) { nextCursor entities { guid name "
                "... on DashboardEntityOutline { dashboardParentGuid } } }",
                {"cursor": ("String", cursor)},
                "the list of dashboards",
            )
            answer = self._server.query(["actor"], [search])[0] or {}
            results = answer.get("results") or {}
            guids += [
                entity["guid"]
                for entity in results.get("entities") or []
                if entity["name"] in names and not entity.get("dashboardParentGuid")
            ]
            cursor = results.get("nextCursor")
            if not cursor:
                break
        entities = self._entities(guids, _DASHBOARD, {}, "the dashboards")
        return by_name(entities, "dashboards in New Relic")

    def _read_deployments(self, deployments: Sequence[_Dict], since: int) -> dict[str, list[_Dict]]:
        guids = sorted({deployment["entity_guid"] for deployment in deployments})
        window = {"filter": ("ChangeTrackingSearchFilter", {"timeWindow": {"startTime": since}})}
        entities = {
            entity["guid"]: entity
            for entity in self._entities(guids, _DEPLOYMENTS, window, "the deployments")
            if entity
        }
        for guid in guids:
            if guid not in entities:
                raise NewRelicError(
                    f"New Relic has no entity {guid!r}: entity_guid is on the entity's page, as its GUID"
                )
        return {
            guid: ((entity.get("deploymentSearch") or {}).get("results") or []) for guid, entity in entities.items()
        }

    def _entities(self, guids: list[str], returns: str, variables: dict[str, t.Any], about: str) -> list[_Dict]:
        operations = [
            Operation(
                "entities(guids: $guids)",
                returns,
                {"guids": ("[EntityGuid]!", guids[start : start + _ENTITIES]), **variables},
                about,
            )
            for start in range(0, len(guids), _ENTITIES)
        ]
        return [entity for answer in self._server.query(["actor"], operations) for entity in answer or [] if entity]

    # Changing.

    def _operation(self, change: Change) -> Operation:
        account: dict[str, tuple[str, t.Any]] = {"account": ("Int!", self._id)}
        key = {"id": ("ID!", change.key)}
        kind = (change.kind, change.action)
        if kind == ("policy", "create"):
            given = {"policy": ("AlertsPolicyInput!", change.given)}
            return self._made("alertsPolicyCreate(accountId: $account, policy: $policy)", "id", account | given, change)
        if kind == ("policy", "update"):
            given = {"policy": ("AlertsPolicyUpdateInput!", change.given)}
            call = "alertsPolicyUpdate(accountId: $account, id: $id, policy: $policy)"
            return self._made(call, "id", account | key | given, change)
        if kind == ("policy", "delete"):
            return self._made("alertsPolicyDelete(accountId: $account, id: $id)", "id", account | key, change)
        if kind == ("condition", "delete"):
            return self._made("alertsConditionDelete(accountId: $account, id: $id)", "id", account | key, change)
        if change.kind == "condition":
            return self._condition(change, account, key)
        if kind == ("dashboard", "create"):
            given = {"dashboard": ("DashboardInput!", change.given)}
            call = "dashboardCreate(accountId: $account, dashboard: $dashboard)"
            return self._made(call, "entityResult { guid } errors { description type }", account | given, change)
        guid = {"guid": ("EntityGuid!", change.key)}
        if kind == ("dashboard", "update"):
            given = {"dashboard": ("DashboardInput!", change.given)}
            call = "dashboardUpdate(guid: $guid, dashboard: $dashboard)"
            return self._made(call, "entityResult { guid } errors { description type }", guid | given, change)
        if kind == ("dashboard", "delete"):
            return self._made("dashboardDelete(guid: $guid)", "status errors { description type }", guid, change)
        given = {"deployment": ("ChangeTrackingDeploymentInput!", change.given)}
        return self._made("changeTrackingCreateDeployment(deployment: $deployment)", "deploymentId", given, change)

    def _condition(self, change: Change, account: dict[str, t.Any], key: dict[str, t.Any]) -> Operation:
        kind = change.type.capitalize()
        if change.action == "create":
            given = {
                "policy": ("ID!", self.policies[change.policy]),
                # The only thing that NerdGraph wants to know and that has an obvious answer.
                "condition": (f"AlertsNrqlCondition{kind}Input!", {"enabled": True, **change.given}),
            }
            call = f"alertsNrqlCondition{kind}Create(accountId: $account, policyId: $policy, condition: $condition)"
            return self._made(call, "id", account | given, change)
        given = {"condition": (f"AlertsNrqlConditionUpdate{kind}Input!", change.given)}
        call = f"alertsNrqlCondition{kind}Update(accountId: $account, id: $id, condition: $condition)"
        return self._made(call, "id", account | key | given, change)

    def _made(self, call: str, returns: str, variables: dict[str, t.Any], change: Change) -> Operation:
        return Operation(call, returns, variables, f"to {change.action} {change.about}")

    def _note(self, change: Change, answer: _Dict) -> None:
        """Remember new ids. Dashboards have errors of their own, in an answer that is good otherwise."""
        errors = answer.get("errors") or []
        if errors or answer.get("status") == "FAILURE":
            said = (errors[0].get("description") or errors[0].get("type")) if errors else "it failed"
            raise NewRelicError(f"New Relic refused to {change.action} {change.about}: {str(said).rstrip('.')}")
        if change.kind == "policy" and change.action == "create":
            self.policies[change.name] = str(answer["id"])
        if change.kind == "dashboard" and change.action == "create":
            self.dashboards[change.name] = str((answer.get("entityResult") or {}).get("guid") or "")
        if change.action == "delete" and change.kind in ("policy", "dashboard"):
            (self.policies if change.kind == "policy" else self.dashboards).pop(change.name, None)
