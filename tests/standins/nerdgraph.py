# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for NerdGraph, New Relic's GraphQL API: a GraphQL server on the types that the collection uses.

graphql-core parses every request and validates it, its variables and its answers against the schema below: a field, an
argument, a type or an enum value that New Relic does not document is refused, as New Relic refuses it. Names and types
are from New Relic's documentation and from its own Go client, which is generated from NerdGraph's schema:

- https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-api-alerts-policies/
- https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-api-nrql-condition-alerts/
- https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-dashboards/
- https://docs.newrelic.com/docs/change-tracking/change-tracking-graphql/
- https://github.com/newrelic/newrelic-client-go (pkg/alerts, pkg/dashboards, pkg/changetracking)

What it cannot tell is whether New Relic takes what its documentation says.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import threading
import time
import typing as t
from collections.abc import Iterator

import graphql
from ansible_collections.frugal.cloud.tests.standins.serving import Reply, Request
from ansible_collections.frugal.cloud.tests.standins.serving import serving as serving_http

_Dict = dict[str, t.Any]
KEY = "NRAK-THE-KEY-OF-THE-TESTS"
#: Results in one page of a search: few, so that paging is seen.
PAGE = 3

SCHEMA = """
scalar EntityGuid
scalar EpochMilliseconds
scalar Seconds
scalar DashboardWidgetRawConfiguration

enum AlertsIncidentPreference { PER_CONDITION PER_CONDITION_AND_TARGET PER_POLICY }
enum AlertsNrqlConditionType { BASELINE STATIC }
enum AlertsNrqlConditionPriority { CRITICAL WARNING }
enum AlertsNrqlConditionTermsOperator { ABOVE ABOVE_OR_EQUALS BELOW BELOW_OR_EQUALS EQUALS NOT_EQUALS }
enum AlertsNrqlDynamicConditionTermsOperator { ABOVE }
enum AlertsNrqlConditionThresholdOccurrences { ALL AT_LEAST_ONCE }
enum AlertsNrqlBaselineDirection { LOWER_ONLY UPPER_AND_LOWER UPPER_ONLY }
enum AlertsSignalAggregationMethod { CADENCE EVENT_FLOW EVENT_TIMER }
enum AlertsFillOption { LAST_VALUE NONE STATIC }
enum DashboardPermissions { PRIVATE PUBLIC_READ_ONLY PUBLIC_READ_WRITE }
enum DashboardDeleteResultStatus { FAILURE SUCCESS }
enum ChangeTrackingDeploymentType { BASIC BLUE_GREEN CANARY OTHER ROLLING SHADOW }

type Query { actor: Actor }
type Actor {
  account(id: Int!): Account
  entities(guids: [EntityGuid]!): [Entity]
  entitySearch(query: String): EntitySearch
}
type Account { id: Int alerts: AlertsAccountStitchedFields }
type AlertsAccountStitchedFields {
  policiesSearch(cursor: String, searchCriteria: AlertsPoliciesSearchCriteriaInput): AlertsPoliciesSearchResultSet
  nrqlConditionsSearch(
    cursor: String, searchCriteria: AlertsNrqlConditionsSearchCriteriaInput
  ): AlertsNrqlConditionsSearchResultSet
}
input AlertsPoliciesSearchCriteriaInput { ids: [ID!] name: String nameLike: String }
input AlertsNrqlConditionsSearchCriteriaInput {
  name: String nameLike: String policyId: ID query: String queryLike: String
}
type AlertsPoliciesSearchResultSet { nextCursor: String policies: [AlertsPolicy!]! totalCount: Int! }
type AlertsNrqlConditionsSearchResultSet {
  nextCursor: String nrqlConditions: [AlertsNrqlCondition!]! totalCount: Int!
}
type AlertsPolicy { accountId: Int! id: ID! incidentPreference: AlertsIncidentPreference! name: String! }
input AlertsPolicyInput { incidentPreference: AlertsIncidentPreference! name: String! }
input AlertsPolicyUpdateInput { incidentPreference: AlertsIncidentPreference name: String }
type AlertsPolicyDeleteResponse { id: ID! }
type AlertsConditionDeleteResponse { id: ID! }

type AlertsNrqlConditionQuery { query: String! }
type AlertsNrqlConditionTerms {
  operator: AlertsNrqlConditionTermsOperator! priority: AlertsNrqlConditionPriority! threshold: Float!
  thresholdDuration: Seconds! thresholdOccurrences: AlertsNrqlConditionThresholdOccurrences!
}
type AlertsNrqlConditionSignal {
  aggregationDelay: Seconds aggregationMethod: AlertsSignalAggregationMethod aggregationTimer: Seconds
  aggregationWindow: Seconds fillOption: AlertsFillOption fillValue: Float slideBy: Seconds
}
type AlertsNrqlConditionExpiration {
  closeViolationsOnExpiration: Boolean expirationDuration: Seconds openViolationOnExpiration: Boolean
}
interface AlertsNrqlCondition {
  description: String enabled: Boolean! expiration: AlertsNrqlConditionExpiration id: ID! name: String!
  nrql: AlertsNrqlConditionQuery! policyId: ID! runbookUrl: String signal: AlertsNrqlConditionSignal
  terms: [AlertsNrqlConditionTerms!] type: AlertsNrqlConditionType! violationTimeLimitSeconds: Seconds
}
type AlertsNrqlStaticCondition implements AlertsNrqlCondition {
  description: String enabled: Boolean! expiration: AlertsNrqlConditionExpiration id: ID! name: String!
  nrql: AlertsNrqlConditionQuery! policyId: ID! runbookUrl: String signal: AlertsNrqlConditionSignal
  terms: [AlertsNrqlConditionTerms!] type: AlertsNrqlConditionType! violationTimeLimitSeconds: Seconds
}
type AlertsNrqlBaselineCondition implements AlertsNrqlCondition {
  baselineDirection: AlertsNrqlBaselineDirection!
  description: String enabled: Boolean! expiration: AlertsNrqlConditionExpiration id: ID! name: String!
  nrql: AlertsNrqlConditionQuery! policyId: ID! runbookUrl: String signal: AlertsNrqlConditionSignal
  terms: [AlertsNrqlConditionTerms!] type: AlertsNrqlConditionType! violationTimeLimitSeconds: Seconds
}
input AlertsNrqlConditionQueryInput { query: String! }
input AlertsNrqlConditionTermsInput {
  operator: AlertsNrqlConditionTermsOperator! priority: AlertsNrqlConditionPriority! threshold: Float!
  thresholdDuration: Seconds! thresholdOccurrences: AlertsNrqlConditionThresholdOccurrences!
}
input AlertsNrqlDynamicConditionTermsInput {
  operator: AlertsNrqlDynamicConditionTermsOperator! priority: AlertsNrqlConditionPriority! threshold: Float!
  thresholdDuration: Seconds! thresholdOccurrences: AlertsNrqlConditionThresholdOccurrences!
}
input AlertsNrqlConditionSignalInput {
  aggregationDelay: Seconds aggregationMethod: AlertsSignalAggregationMethod aggregationTimer: Seconds
  aggregationWindow: Seconds fillOption: AlertsFillOption fillValue: Float slideBy: Seconds
}
input AlertsNrqlConditionExpirationInput {
  closeViolationsOnExpiration: Boolean expirationDuration: Seconds openViolationOnExpiration: Boolean
}
input AlertsNrqlConditionStaticInput {
  description: String enabled: Boolean! expiration: AlertsNrqlConditionExpirationInput name: String!
  nrql: AlertsNrqlConditionQueryInput! runbookUrl: String signal: AlertsNrqlConditionSignalInput
  terms: [AlertsNrqlConditionTermsInput!] violationTimeLimitSeconds: Seconds
}
input AlertsNrqlConditionBaselineInput {
  baselineDirection: AlertsNrqlBaselineDirection!
  description: String enabled: Boolean! expiration: AlertsNrqlConditionExpirationInput name: String!
  nrql: AlertsNrqlConditionQueryInput! runbookUrl: String signal: AlertsNrqlConditionSignalInput
  terms: [AlertsNrqlDynamicConditionTermsInput!] violationTimeLimitSeconds: Seconds
}
input AlertsNrqlConditionUpdateStaticInput {
  description: String enabled: Boolean expiration: AlertsNrqlConditionExpirationInput name: String
  nrql: AlertsNrqlConditionQueryInput runbookUrl: String signal: AlertsNrqlConditionSignalInput
  terms: [AlertsNrqlConditionTermsInput!] violationTimeLimitSeconds: Seconds
}
input AlertsNrqlConditionUpdateBaselineInput {
  baselineDirection: AlertsNrqlBaselineDirection
  description: String enabled: Boolean expiration: AlertsNrqlConditionExpirationInput name: String
  nrql: AlertsNrqlConditionQueryInput runbookUrl: String signal: AlertsNrqlConditionSignalInput
  terms: [AlertsNrqlDynamicConditionTermsInput!] violationTimeLimitSeconds: Seconds
}

type EntitySearch { count: Int results(cursor: String): EntitySearchResult }
type EntitySearchResult { entities: [EntityOutline] nextCursor: String }
interface EntityOutline { guid: EntityGuid name: String }
type DashboardEntityOutline implements EntityOutline { guid: EntityGuid name: String dashboardParentGuid: EntityGuid }
interface Entity {
  guid: EntityGuid name: String
  deploymentSearch(filter: ChangeTrackingSearchFilter): ChangeTrackingDeploymentSearchResult
}
type ApmApplicationEntity implements Entity {
  guid: EntityGuid name: String
  deploymentSearch(filter: ChangeTrackingSearchFilter): ChangeTrackingDeploymentSearchResult
}
type DashboardEntity implements Entity {
  guid: EntityGuid name: String description: String permissions: DashboardPermissions pages: [DashboardPage]
  deploymentSearch(filter: ChangeTrackingSearchFilter): ChangeTrackingDeploymentSearchResult
}
type DashboardPage { description: String guid: EntityGuid name: String widgets: [DashboardWidget] }
type DashboardWidget {
  id: ID layout: DashboardWidgetLayout rawConfiguration: DashboardWidgetRawConfiguration title: String
  visualization: DashboardWidgetVisualization
}
type DashboardWidgetLayout { column: Int height: Int row: Int width: Int }
type DashboardWidgetVisualization { id: String }
input DashboardInput {
  description: String name: String! pages: [DashboardPageInput!]! permissions: DashboardPermissions!
}
input DashboardPageInput { description: String guid: EntityGuid name: String! widgets: [DashboardWidgetInput!]! }
input DashboardWidgetInput {
  id: ID layout: DashboardWidgetLayoutInput rawConfiguration: DashboardWidgetRawConfiguration title: String
  visualization: DashboardWidgetVisualizationInput
}
input DashboardWidgetLayoutInput { column: Int height: Int row: Int width: Int }
input DashboardWidgetVisualizationInput { id: String }
type DashboardError { description: String type: String! }
type DashboardEntityResult { guid: EntityGuid name: String }
type DashboardMutationResult { entityResult: DashboardEntityResult errors: [DashboardError!] }
type DashboardDeleteResult { errors: [DashboardError!] status: DashboardDeleteResultStatus }

input ChangeTrackingSearchFilter { limit: Int query: String timeWindow: ChangeTrackingTimeWindow }
input ChangeTrackingTimeWindow { endTime: EpochMilliseconds startTime: EpochMilliseconds! }
type ChangeTrackingDeploymentSearchResult { results: [ChangeTrackingDeployment!] }
type ChangeTrackingDeployment {
  changelog: String commit: String deepLink: String deploymentId: String deploymentType: ChangeTrackingDeploymentType
  description: String entityGuid: EntityGuid groupId: String timestamp: EpochMilliseconds user: String version: String
}
input ChangeTrackingDeploymentInput {
  changelog: String commit: String deepLink: String deploymentType: ChangeTrackingDeploymentType description: String
  entityGuid: EntityGuid! groupId: String timestamp: EpochMilliseconds user: String version: String!
}

type Mutation {
  alertsPolicyCreate(accountId: Int!, policy: AlertsPolicyInput!): AlertsPolicy
  alertsPolicyUpdate(accountId: Int!, id: ID!, policy: AlertsPolicyUpdateInput!): AlertsPolicy
  alertsPolicyDelete(accountId: Int!, id: ID!): AlertsPolicyDeleteResponse
  alertsConditionDelete(accountId: Int!, id: ID!): AlertsConditionDeleteResponse
  alertsNrqlConditionStaticCreate(
    accountId: Int!, policyId: ID!, condition: AlertsNrqlConditionStaticInput!
  ): AlertsNrqlStaticCondition
  alertsNrqlConditionStaticUpdate(
    accountId: Int!, id: ID!, condition: AlertsNrqlConditionUpdateStaticInput!
  ): AlertsNrqlStaticCondition
  alertsNrqlConditionBaselineCreate(
    accountId: Int!, policyId: ID!, condition: AlertsNrqlConditionBaselineInput!
  ): AlertsNrqlBaselineCondition
  alertsNrqlConditionBaselineUpdate(
    accountId: Int!, id: ID!, condition: AlertsNrqlConditionUpdateBaselineInput!
  ): AlertsNrqlBaselineCondition
  dashboardCreate(accountId: Int!, dashboard: DashboardInput!): DashboardMutationResult
  dashboardUpdate(dashboard: DashboardInput!, guid: EntityGuid!): DashboardMutationResult
  dashboardDelete(guid: EntityGuid!): DashboardDeleteResult
  changeTrackingCreateDeployment(deployment: ChangeTrackingDeploymentInput!): ChangeTrackingDeployment
}
"""


class Refused(Exception):
    """New Relic's refusal: a message in ``errors``."""


def _whole(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise graphql.GraphQLError(f"expected a whole number, got {value!r}")
    return value


@functools.cache
def schema() -> graphql.GraphQLSchema:
    """The schema, with numbers checked where New Relic's own scalars are whole numbers."""
    built = graphql.build_schema(SCHEMA)
    for name in ("Seconds", "EpochMilliseconds"):
        scalar = t.cast(graphql.GraphQLScalarType, built.type_map[name])
        scalar.parse_value = _whole  # type: ignore[method-assign]
    return built


@dataclasses.dataclass
class NewRelic:
    """One account. ``requests`` holds the documents that came; the faults are used up as they happen."""

    account_id: int = 1234567
    policies: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    conditions: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    dashboards: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    entities: dict[str, str] = dataclasses.field(default_factory=dict)
    deployments: list[_Dict] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)
    #: answers with status 429 that come first, then answers 200 that say TOO_MANY_REQUESTS
    busy: int = 0
    busy_in_200: int = 0
    #: answers with status 500 that come first
    broken: int = 0
    #: name of a condition, policy or dashboard that New Relic refuses
    refused_name: str = ""
    last_id: int = 2000000

    def __post_init__(self) -> None:
        self._schema = schema()
        self._lock = threading.Lock()

    def new_id(self) -> str:
        """An id that was not used yet."""
        self.last_id += 1
        return str(self.last_id)

    def guid(self, kind: str) -> str:
        """A GUID as New Relic's look."""
        return base64.b64encode(f"{self.account_id}|{kind}|{self.new_id()}".encode()).decode().rstrip("=")

    def answer(self, body: _Dict) -> _Dict:
        """The answer to a GraphQL request."""
        with self._lock:
            self.requests.append(body["query"])
            done = graphql.graphql_sync(
                self._schema, body["query"], root_value=_Root(self), variable_values=body.get("variables")
            )
            return t.cast(_Dict, done.formatted)

    def checked(self, account: int, name: str) -> None:
        """:raises Refused: as New Relic does it for a wrong account or a name that a test wants refused."""
        if account != self.account_id:
            raise Refused(f"Account {account} is not accessible")
        if self.refused_name and name == self.refused_name:
            raise Refused("Validation Error: NRQL Query: is invalid.")


def _paged(found: list[t.Any], cursor: str | None) -> tuple[list[t.Any], str | None]:
    start = int(base64.b64decode(cursor)) if cursor else 0
    following = start + PAGE if start + PAGE < len(found) else None
    return found[start : start + PAGE], base64.b64encode(str(following).encode()).decode() if following else None


def _merged(before: _Dict, given: _Dict) -> _Dict:
    """Fields that are not given stay; parts such as signal are changed field by field."""
    result = dict(before)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(before.get(key), dict)
        result[key] = _merged(before[key], value) if both else value
    return result


class _Root:
    """Resolvers of queries and mutations: graphql-core calls methods of this name with the arguments."""

    def __init__(self, new_relic: NewRelic) -> None:
        self._n = new_relic

    # Queries.

    def actor(self, info: t.Any) -> _Dict:
        return {"account": self._account, "entities": self._entities, "entitySearch": self._search}

    def _account(self, info: t.Any, id: int) -> _Dict:
        self._n.checked(id, "")
        return {"id": id, "alerts": {"policiesSearch": self._policies, "nrqlConditionsSearch": self._conditions}}

    def _policies(self, info: t.Any, cursor: str | None = None, searchCriteria: t.Any = None) -> _Dict:  # noqa: N803
        page, following = _paged(list(self._n.policies.values()), cursor)
        return {"policies": page, "nextCursor": following, "totalCount": len(self._n.policies)}

    def _conditions(self, info: t.Any, cursor: str | None = None, searchCriteria: t.Any = None) -> _Dict:  # noqa: N803
        policy = (searchCriteria or {}).get("policyId")
        found = [item for item in self._n.conditions.values() if policy in (None, item["policyId"])]
        page, following = _paged(found, cursor)
        return {"nrqlConditions": page, "nextCursor": following, "totalCount": len(found)}

    def _search(self, info: t.Any, query: str | None = None) -> _Dict:
        if query != f"type = 'DASHBOARD' AND accountId = {self._n.account_id}":
            raise Refused(f"the stand-in does not know the search {query}")
        found = []
        for dashboard in self._n.dashboards.values():
            found.append({"__typename": "DashboardEntityOutline", "guid": dashboard["guid"], "name": dashboard["name"]})
            # New Relic lists a dashboard's pages as dashboards with a parent.
            for page in dashboard["pages"]:
                name = f"{dashboard['name']} / {page['name']}" if len(dashboard["pages"]) > 1 else dashboard["name"]
                outline = {"__typename": "DashboardEntityOutline", "guid": page["guid"], "name": name}
                found.append({**outline, "dashboardParentGuid": dashboard["guid"]})

        def results(info: t.Any, cursor: str | None = None) -> _Dict:
            page, following = _paged(found, cursor)
            return {"entities": page, "nextCursor": following}

        return {"count": len(found), "results": results}

    def _entities(self, info: t.Any, guids: list[str]) -> list[_Dict | None]:
        if len(guids) > 25:
            raise Refused("Too many entities: at most 25")
        return [self._entity(guid) for guid in guids]

    def _entity(self, guid: str) -> _Dict | None:
        if guid in self._n.dashboards:
            return {"__typename": "DashboardEntity", **self._n.dashboards[guid]}
        if guid not in self._n.entities:
            return None

        def deployments(info: t.Any, filter: t.Any = None) -> _Dict:
            since = ((filter or {}).get("timeWindow") or {}).get("startTime", 0)
            found = [item for item in self._n.deployments if item["entityGuid"] == guid and item["timestamp"] >= since]
            return {"results": found}

        name = self._n.entities[guid]
        return {"__typename": "ApmApplicationEntity", "guid": guid, "name": name, "deploymentSearch": deployments}

    # Mutations. Their names are NerdGraph's.

    def alertsPolicyCreate(self, info: t.Any, accountId: int, policy: _Dict) -> _Dict:  # noqa: N802, N803
        self._n.checked(accountId, policy["name"])
        made = {"id": self._n.new_id(), "accountId": accountId, **policy}
        self._n.policies[made["id"]] = made
        return made

    def alertsPolicyUpdate(self, info: t.Any, accountId: int, id: str, policy: _Dict) -> _Dict:  # noqa: N802, N803
        self._n.checked(accountId, "")
        self._there(self._n.policies, id).update(policy)
        return self._n.policies[id]

    def alertsPolicyDelete(self, info: t.Any, accountId: int, id: str) -> _Dict:  # noqa: N802, N803
        self._n.checked(accountId, "")
        del self._there(self._n.policies, id)["id"], self._n.policies[id]
        self._n.conditions = {key: item for key, item in self._n.conditions.items() if item["policyId"] != id}
        return {"id": id}

    def alertsConditionDelete(self, info: t.Any, accountId: int, id: str) -> _Dict:  # noqa: N802, N803
        self._n.checked(accountId, "")
        self._there(self._n.conditions, id)
        del self._n.conditions[id]
        return {"id": id}

    @staticmethod
    def _there(where: dict[str, _Dict], key: str) -> _Dict:
        if key not in where:
            raise Refused("Not Found")
        return where[key]

    def _create(self, account: int, policy: str, condition: _Dict, kind: str) -> _Dict:
        self._n.checked(account, condition["name"])
        self._there(self._n.policies, policy)
        # New Relic's defaults.
        signal = {
            "aggregationWindow": 60,
            "aggregationMethod": "EVENT_FLOW",
            "aggregationDelay": 120,
            "fillOption": "NONE",
        }
        base = {"signal": signal, "violationTimeLimitSeconds": 259200, "expiration": {}}
        made = {
            **_merged(base, condition),
            "id": self._n.new_id(),
            "policyId": policy,
            "type": kind,
            "__typename": f"AlertsNrql{kind.capitalize()}Condition",
        }
        self._n.conditions[made["id"]] = made
        return made

    def _update(self, account: int, key: str, condition: _Dict, kind: str) -> _Dict:
        there = self._there(self._n.conditions, key)
        self._n.checked(account, str(condition.get("name") or there["name"]))
        if there["type"] != kind:
            raise Refused("Not Found")
        self._n.conditions[key] = _merged(there, condition)
        return self._n.conditions[key]

    def alertsNrqlConditionStaticCreate(self, info: t.Any, accountId: int, policyId: str, condition: _Dict) -> _Dict:  # noqa: N802, N803
        return self._create(accountId, policyId, condition, "STATIC")

    def alertsNrqlConditionBaselineCreate(self, info: t.Any, accountId: int, policyId: str, condition: _Dict) -> _Dict:  # noqa: N802, N803
        return self._create(accountId, policyId, condition, "BASELINE")

    def alertsNrqlConditionStaticUpdate(self, info: t.Any, accountId: int, id: str, condition: _Dict) -> _Dict:  # noqa: N802, N803
        return self._update(accountId, id, condition, "STATIC")

    def alertsNrqlConditionBaselineUpdate(self, info: t.Any, accountId: int, id: str, condition: _Dict) -> _Dict:  # noqa: N802, N803
        return self._update(accountId, id, condition, "BASELINE")

    def _kept(self, dashboard: _Dict, guid: str, before: _Dict) -> _Dict:
        known = {page["guid"] for page in before.get("pages", [])}
        pages = []
        for page in dashboard["pages"]:
            if page.get("guid") and page["guid"] not in known:
                raise Refused(f"page {page['guid']} is not part of the dashboard")
            # New Relic adds settings of its own to a widget's.
            own = {"facet": {"showOtherSeries": False}}
            widgets = [
                {"id": self._n.new_id(), **widget, "rawConfiguration": {**own, **widget["rawConfiguration"]}}
                for widget in page["widgets"]
            ]
            pages.append({**page, "guid": page.get("guid") or self._n.guid("DASHBOARD_PAGE"), "widgets": widgets})
        return {**dashboard, "guid": guid, "pages": pages}

    def dashboardCreate(self, info: t.Any, accountId: int, dashboard: _Dict) -> _Dict:  # noqa: N802, N803
        if self._n.refused_name and dashboard["name"] == self._n.refused_name:
            return {"entityResult": None, "errors": [{"type": "INVALID_INPUT", "description": "Invalid widget."}]}
        self._n.checked(accountId, dashboard["name"])
        guid = self._n.guid("DASHBOARD")
        self._n.dashboards[guid] = self._kept(dashboard, guid, {})
        return {"entityResult": {"guid": guid, "name": dashboard["name"]}, "errors": []}

    def dashboardUpdate(self, info: t.Any, guid: str, dashboard: _Dict) -> _Dict:  # noqa: N802
        before = self._there(self._n.dashboards, guid)
        self._n.dashboards[guid] = self._kept(dashboard, guid, before)
        return {"entityResult": {"guid": guid, "name": dashboard["name"]}, "errors": []}

    def dashboardDelete(self, info: t.Any, guid: str) -> _Dict:  # noqa: N802
        self._there(self._n.dashboards, guid)
        del self._n.dashboards[guid]
        return {"status": "SUCCESS", "errors": []}

    def changeTrackingCreateDeployment(self, info: t.Any, deployment: _Dict) -> _Dict:  # noqa: N802
        if deployment["entityGuid"] not in self._n.entities:
            raise Refused("Entity not found")
        made = {"timestamp": int(time.time() * 1000), **deployment, "deploymentId": self._n.new_id()}
        self._n.deployments.append(made)
        return made


@contextlib.contextmanager
def serving(new_relic: NewRelic) -> Iterator[str]:
    """The stand-in on a free port; its address. It knows POST /graphql, and nothing else."""

    def reply(request: Request) -> Reply:
        wanted = ("POST", "/graphql", "application/json")
        if (request.method, request.path, request.headers.get("Content-Type")) != wanted:
            return Reply(404, {"message": "not found"})
        if request.headers.get("API-Key") != KEY:
            return Reply(401, {"errors": [{"message": "Invalid API key"}]})
        if new_relic.broken:
            new_relic.broken -= 1
            return Reply(500, {"message": "oops"})
        if new_relic.busy:
            new_relic.busy -= 1
            return Reply(429, {"message": "too many requests"}, {"Retry-After": "0"})
        if new_relic.busy_in_200:
            new_relic.busy_in_200 -= 1
            error = {"message": "Too many requests", "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}
            return Reply(200, {"data": None, "errors": [error]})
        return Reply(200, new_relic.answer(request.json()))

    with serving_http(reply) as url:
        yield f"{url}/graphql"
