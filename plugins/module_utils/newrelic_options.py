# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and results of the modules for New Relic; the options are documented in ``doc_fragments/newrelic.py``."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.nerdgraph import Change

_Dict: t.TypeAlias = "dict[str, t.Any]"

_STATE: _Dict = {"type": "str", "choices": ["present", "absent"], "default": "present"}
_NAME: _Dict = {"type": "str", "required": True}
_TEXT: _Dict = {"type": "str"}
_NUMBER: _Dict = {"type": "int"}


def _entries(**options: _Dict) -> _Dict:
    return {"type": "list", "elements": "dict", "default": [], "options": options}


def _choice(*choices: str, default: str | None = None) -> _Dict:
    made: _Dict = {"type": "str", "choices": list(choices)}
    return {**made, "default": default} if default else made


CONNECTION: dict[str, _Dict] = {
    "account_id": {"type": "int", "required": True},
    "region": _choice("us", "eu", default="us"),
    "endpoint": _TEXT,
    "timeout": {"type": "int", "default": 30},
    "retries": {"type": "int", "default": 5},
    "validate_certs": {"type": "bool", "default": True},
}

_TERMS: _Dict = {
    "type": "list",
    "elements": "dict",
    "options": {
        "priority": _choice("critical", "warning", default="critical"),
        "operator": _choice(
            "above", "above_or_equals", "below", "below_or_equals", "equals", "not_equals", default="above"
        ),
        "threshold": {"type": "float", "required": True},
        "duration": {"type": "int", "required": True},
        "occurrences": _choice("all", "at_least_once", default="all"),
    },
}
_SIGNAL: _Dict = {
    "type": "dict",
    "options": {
        "aggregation_window": _NUMBER,
        "aggregation_method": _choice("event_flow", "event_timer", "cadence"),
        "aggregation_delay": _NUMBER,
        "aggregation_timer": _NUMBER,
        "fill_option": _choice("none", "last_value", "static"),
        "fill_value": {"type": "float"},
        "slide_by": _NUMBER,
    },
}
_EXPIRATION: _Dict = {
    "type": "dict",
    "options": {"duration": _NUMBER, "open_violation": {"type": "bool"}, "close_violations": {"type": "bool"}},
}
POLICIES = _entries(
    name=_NAME,
    state=_STATE,
    incident_preference=_choice("per_policy", "per_condition", "per_condition_and_target", default="per_policy"),
    purge_conditions={"type": "bool", "default": False},
    conditions=_entries(
        name=_NAME,
        state=_STATE,
        type=_choice("static", "baseline", default="static"),
        enabled={"type": "bool"},
        query=_TEXT,
        description=_TEXT,
        runbook_url=_TEXT,
        violation_time_limit_seconds=_NUMBER,
        baseline_direction=_choice("upper_only", "lower_only", "upper_and_lower"),
        terms=_TERMS,
        signal=_SIGNAL,
        expiration=_EXPIRATION,
    ),
)
DASHBOARDS = _entries(
    name=_NAME,
    state=_STATE,
    description={"type": "str", "default": ""},
    permissions=_choice("private", "public_read_only", "public_read_write", default="public_read_only"),
    pages=_entries(
        name=_NAME,
        description={"type": "str", "default": ""},
        widgets=_entries(
            title={"type": "str", "default": ""},
            visualization={"type": "str", "default": "viz.line"},
            queries={"type": "list", "elements": "str", "default": []},
            text=_TEXT,
            configuration={"type": "dict", "default": {}},
            column={"type": "int", "default": 1},
            row={"type": "int", "default": 1},
            width={"type": "int", "default": 4},
            height={"type": "int", "default": 3},
        ),
    ),
)
DEPLOYMENTS = _entries(
    entity_guid=_NAME,
    version=_NAME,
    changelog=_TEXT,
    commit=_TEXT,
    deep_link=_TEXT,
    deployment_type=_choice("basic", "blue_green", "canary", "other", "rolling", "shadow"),
    description=_TEXT,
    group_id=_TEXT,
    timestamp=_NUMBER,
    user=_TEXT,
)


def result(changes: Sequence[Change]) -> _Dict:
    """What the module returns about its changes, the diff included."""
    listed = [
        {"kind": change.kind, "action": change.action, "name": change.name}
        | ({"policy": change.policy} if change.policy else {})
        for change in changes
    ]
    kinds = ("policy", "condition", "dashboard", "deployment")
    return {
        "changed": bool(changes),
        "changes": listed,
        "counts": {kind: sum(change.kind == kind for change in changes) for kind in kinds},
        "diff": [
            {
                "before_header": change.about,
                "after_header": change.about,
                "before": change.before,
                "after": change.after,
            }
            for change in changes
        ],
    }
