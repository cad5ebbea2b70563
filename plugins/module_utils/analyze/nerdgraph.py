# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change in New Relic: what is wanted, in NerdGraph's words, against what is there.

Only what was written is compared: New Relic adds defaults of its own to everything, and those stay.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping, Sequence

_Dict: t.TypeAlias = "dict[str, t.Any]"

#: option -> NerdGraph's name, in a condition
_CONDITION = {
    "name": "name",
    "enabled": "enabled",
    "description": "description",
    "runbook_url": "runbookUrl",
    "violation_time_limit_seconds": "violationTimeLimitSeconds",
    "baseline_direction": "baselineDirection",
}
_TERM = {
    "priority": "priority",
    "operator": "operator",
    "threshold": "threshold",
    "duration": "thresholdDuration",
    "occurrences": "thresholdOccurrences",
}
_SIGNAL = {
    "aggregation_window": "aggregationWindow",
    "aggregation_method": "aggregationMethod",
    "aggregation_delay": "aggregationDelay",
    "aggregation_timer": "aggregationTimer",
    "fill_option": "fillOption",
    "fill_value": "fillValue",
    "slide_by": "slideBy",
}
_EXPIRATION = {
    "duration": "expirationDuration",
    "open_violation": "openViolationOnExpiration",
    "close_violations": "closeViolationsOnExpiration",
}
_DEPLOYMENT = {
    "entity_guid": "entityGuid",
    "version": "version",
    "changelog": "changelog",
    "commit": "commit",
    "deep_link": "deepLink",
    "deployment_type": "deploymentType",
    "description": "description",
    "group_id": "groupId",
    "timestamp": "timestamp",
    "user": "user",
}
_UPPER = {"priority", "operator", "occurrences", "aggregation_method", "fill_option", "baseline_direction"}
TYPES = {"static": "STATIC", "baseline": "BASELINE"}


class WantedError(ValueError):
    """One sentence: which option has which value, and what would be right."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing to do. ``given`` is NerdGraph's input; ``before`` and ``after`` are for the diff."""

    kind: t.Literal["policy", "condition", "dashboard", "deployment"]
    action: t.Literal["create", "update", "delete"]
    name: str
    #: of what is there: its id, or a dashboard's guid
    key: str = ""
    #: the policy that a condition belongs to, by name
    policy: str = ""
    #: static or baseline, of a condition
    type: str = ""
    given: _Dict = dataclasses.field(default_factory=dict)
    before: _Dict = dataclasses.field(default_factory=dict)
    after: _Dict = dataclasses.field(default_factory=dict)

    @property
    def about(self) -> str:
        """As it is called in sentences."""
        inside = f" of policy {self.policy!r}" if self.policy else ""
        return f"{self.kind} {self.name!r}{inside}"


def _renamed(options: Mapping[str, t.Any], names: Mapping[str, str]) -> _Dict:
    """What was written, under NerdGraph's names."""
    return {
        theirs: str(options[ours]).upper() if ours in _UPPER else options[ours]
        for ours, theirs in names.items()
        if options.get(ours) is not None
    }


def condition_input(options: Mapping[str, t.Any]) -> _Dict:
    """A condition as NerdGraph takes it: only what was written."""
    made = _renamed(options, _CONDITION)
    if options.get("query") is not None:
        made["nrql"] = {"query": options["query"]}
    if options.get("terms"):
        made["terms"] = sorted(
            (_renamed(term, _TERM) for term in options["terms"]), key=lambda term: str(term["priority"])
        )
    for name, names in (("signal", _SIGNAL), ("expiration", _EXPIRATION)):
        if options.get(name):
            made[name] = _renamed(options[name], names)
    return made


def dashboard_input(options: Mapping[str, t.Any], account_id: int) -> _Dict:
    """A dashboard as NerdGraph takes it."""
    return {
        "name": options["name"],
        "description": options.get("description") or "",
        "permissions": str(options["permissions"]).upper(),
        "pages": [
            {
                "name": page["name"],
                "description": page.get("description") or "",
                "widgets": [_widget_input(widget, account_id) for widget in page.get("widgets") or []],
            }
            for page in options.get("pages") or []
        ],
    }


def _widget_input(widget: Mapping[str, t.Any], account_id: int) -> _Dict:
    raw: _Dict = dict(widget.get("configuration") or {})
    if widget.get("queries"):
        raw["nrqlQueries"] = [{"accountIds": [account_id], "query": query} for query in widget["queries"]]
    if widget.get("text") is not None:
        raw["text"] = widget["text"]
    layout = {name: widget[name] for name in ("column", "row", "width", "height") if widget.get(name) is not None}
    return {
        "title": widget.get("title") or "",
        "visualization": {"id": widget["visualization"]},
        "layout": layout,
        "rawConfiguration": raw,
    }


def deployment_input(options: Mapping[str, t.Any]) -> _Dict:
    """A deployment as NerdGraph takes it."""
    made = _renamed(options, _DEPLOYMENT)
    if "deploymentType" in made:
        made["deploymentType"] = str(made["deploymentType"]).upper()
    return made


def part_of(found: t.Any, wanted: t.Any) -> t.Any:
    """Of what is there, the part that ``wanted`` speaks of: lists place by place, nothing for what is missing."""
    if isinstance(wanted, Mapping):
        there = found if isinstance(found, Mapping) else {}
        return {key: part_of(there.get(key), value) for key, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(found, list):
        return [part_of(there, wanted[index]) if index < len(wanted) else there for index, there in enumerate(found)]
    # New Relic answers with null where an empty text was written.
    return "" if found is None and wanted == "" else found


def by_name(entries: Iterable[_Dict], kind: str) -> dict[str, _Dict]:
    """Entries by name. :raises WantedError: when two are called alike, because one of them would be meant."""
    found: dict[str, _Dict] = {}
    for entry in entries:
        if entry["name"] in found:
            raise WantedError(f"two {kind} are called {entry['name']!r}: give them different names")
        found[entry["name"]] = entry
    return found


def check(policies: Sequence[_Dict], dashboards: Sequence[_Dict]) -> None:
    """Whether what was written can be. :raises WantedError: one sentence about the first thing that cannot."""
    for name in by_name(policies, "entries of policies"):
        if not name.strip():
            raise WantedError("policies: a name is empty")
    by_name(dashboards, "entries of dashboards")
    for policy in policies:
        where = f"policy {policy['name']!r}"
        by_name(policy.get("conditions") or [], f"conditions of {where}")
        for condition in policy.get("conditions") or []:
            if condition["state"] == "present":
                _check_condition(condition, f"condition {condition['name']!r} of {where}")
    for dashboard in dashboards:
        if dashboard["state"] == "present" and not dashboard.get("pages"):
            raise WantedError(f"dashboard {dashboard['name']!r} has no pages: give at least one")


def _check_condition(condition: _Dict, where: str) -> None:
    if not condition.get("query"):
        raise WantedError(f"{where} has no query: give its NRQL")
    if not condition.get("terms") and not (condition.get("expiration") or {}).get("open_violation"):
        raise WantedError(f"{where} has no terms: give at least one, or an expiration with open_violation")
    priorities = [term["priority"] for term in condition.get("terms") or []]
    if len(priorities) != len(set(priorities)):
        raise WantedError(f"{where} has two terms of one priority: give one critical, and one warning at most")
    baseline = condition["type"] == "baseline"
    if baseline and not condition.get("baseline_direction"):
        raise WantedError(f"{where} has no baseline_direction: give upper_only, lower_only or upper_and_lower")
    if not baseline and condition.get("baseline_direction"):
        raise WantedError(
            f"{where} has a baseline_direction, but its type is static: make it baseline, or leave it out"
        )
    for term in condition.get("terms") or []:
        if baseline and term["operator"] != "above":
            raise WantedError(f"{where}: operator is {term['operator']}; a baseline condition knows only above")
    signal = condition.get("signal") or {}
    if signal.get("aggregation_timer") is not None and signal.get("aggregation_method") != "event_timer":
        raise WantedError(f"{where}: aggregation_timer is for aggregation_method event_timer only")
    if signal.get("fill_value") is not None and signal.get("fill_option") != "static":
        raise WantedError(f"{where}: fill_value is for fill_option static only")


def decide_policies(wanted: Sequence[_Dict], found: Mapping[str, _Dict]) -> list[Change]:
    """Policies to make, change or remove."""
    changes: list[Change] = []
    for policy in wanted:
        there = found.get(policy["name"])
        if policy["state"] == "absent":
            if there:
                before = {"incidentPreference": there["incidentPreference"]}
                changes.append(Change("policy", "delete", policy["name"], str(there["id"]), before=before))
            continue
        given = {"name": policy["name"], "incidentPreference": str(policy["incident_preference"]).upper()}
        shown = {"incidentPreference": given["incidentPreference"]}
        if not there:
            changes.append(Change("policy", "create", policy["name"], given=given, after=shown))
        elif part_of(there, given) != given:
            before = part_of(there, shown)
            changes.append(Change("policy", "update", policy["name"], str(there["id"]), "", "", given, before, shown))
    return changes


def decide_conditions(policy: _Dict, found: Mapping[str, _Dict]) -> list[Change]:
    """Conditions of one policy to make, change or remove; one of another type is made anew."""
    changes: list[Change] = []
    wanted = policy.get("conditions") or []
    for condition in wanted:
        name, kind = condition["name"], condition["type"]
        there = found.get(name)
        given = condition_input(condition)
        base = Change("condition", "create", name, policy=policy["name"], type=kind, given=given, after=given)
        if condition["state"] == "absent":
            if there:
                changes.append(_removed_condition(policy["name"], there))
        elif there and there["type"] != TYPES[kind]:
            changes += [_removed_condition(policy["name"], there), base]
        elif not there:
            changes.append(base)
        else:
            ordered = {**there, "terms": sorted(there.get("terms") or [], key=lambda term: str(term["priority"]))}
            before = part_of(ordered, given)
            if before != given:
                changes.append(dataclasses.replace(base, action="update", key=str(there["id"]), before=before))
    if policy.get("purge_conditions"):
        names = {condition["name"] for condition in wanted}
        changes += [_removed_condition(policy["name"], there) for name, there in found.items() if name not in names]
    return changes


def _removed_condition(policy: str, there: _Dict) -> Change:
    before = {"nrql": there.get("nrql"), "terms": there.get("terms")}
    return Change("condition", "delete", there["name"], str(there["id"]), policy=policy, before=before)


def decide_dashboards(wanted: Sequence[_Dict], found: Mapping[str, _Dict], account_id: int) -> list[Change]:
    """Dashboards to make, change or remove. Pages that are there keep their guid, so links to them stay good."""
    changes: list[Change] = []
    for dashboard in wanted:
        there = found.get(dashboard["name"])
        if dashboard["state"] == "absent":
            if there:
                before = {"permissions": there["permissions"], "pages": [page["name"] for page in there["pages"]]}
                changes.append(Change("dashboard", "delete", dashboard["name"], str(there["guid"]), before=before))
            continue
        given = dashboard_input(dashboard, account_id)
        if not there:
            changes.append(Change("dashboard", "create", dashboard["name"], given=given, after=given))
            continue
        before = part_of(there, given)
        if before != given:
            guids = {page["name"]: page["guid"] for page in there["pages"]}
            pages = [
                {**page, **({"guid": guids[page["name"]]} if page["name"] in guids else {})} for page in given["pages"]
            ]
            sent = {**given, "pages": pages}
            changes.append(
                Change("dashboard", "update", dashboard["name"], str(there["guid"]), "", "", sent, before, given)
            )
    return changes


def decide_deployments(wanted: Sequence[_Dict], found: Mapping[str, Sequence[_Dict]]) -> list[Change]:
    """Deployments to record: a version that was recorded for the entity is there already, unless it says another time.

    ``found`` maps an entity's guid to its deployments.
    """
    changes: list[Change] = []
    for deployment in wanted:
        given = deployment_input(deployment)
        keys = {key: given[key] for key in ("version", "commit", "timestamp") if key in given}
        if any(part_of(there, keys) == keys for there in found.get(given["entityGuid"], ())):
            continue
        changes.append(Change("deployment", "create", given["version"], given=given, after=given))
    return changes
