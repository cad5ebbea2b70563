# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas of Grafana's provisioning files, written from its documentation, and a check of a folder against them.

- https://grafana.com/docs/grafana/latest/administration/provisioning/ (data sources, dashboards)
- https://grafana.com/docs/grafana/latest/alerting/set-up/provision-alerting-resources/file-provisioning/

Keys that the documentation does not name are errors, so that a misspelt one does not stay unseen.
"""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path

import jsonschema
import yaml

_Dict = dict[str, t.Any]
_TEXT: _Dict = {"type": "string", "minLength": 1}
_ANY_TEXT: _Dict = {"type": "string"}
_FLAG: _Dict = {"type": "boolean"}
_NUMBER: _Dict = {"type": "integer"}
_MAP: _Dict = {"type": "object"}
_UID: _Dict = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"}
_DURATION: _Dict = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$"}


def _object(required: str, **properties: _Dict) -> _Dict:
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


def _list(of: _Dict) -> _Dict:
    return {"type": "array", "items": of}


DATASOURCES = _object(
    "apiVersion datasources",
    apiVersion={"const": 1},
    prune=_FLAG,
    deleteDatasources=_list(_object("name orgId", name=_TEXT, orgId=_NUMBER)),
    datasources=_list(
        _object(
            "name type",
            name=_TEXT,
            type=_TEXT,
            uid=_UID,
            access={"enum": ["proxy", "direct"]},
            orgId=_NUMBER,
            url=_ANY_TEXT,
            user=_ANY_TEXT,
            database=_ANY_TEXT,
            basicAuth=_FLAG,
            basicAuthUser=_ANY_TEXT,
            withCredentials=_FLAG,
            isDefault=_FLAG,
            jsonData=_MAP,
            secureJsonData={"type": "object", "additionalProperties": {"type": "string"}},
            version=_NUMBER,
            editable=_FLAG,
        )
    ),
)

DASHBOARDS = _object(
    "apiVersion providers",
    apiVersion={"const": 1},
    providers=_list(
        _object(
            "name type options",
            name=_TEXT,
            orgId=_NUMBER,
            folder=_ANY_TEXT,
            folderUid=_ANY_TEXT,
            type={"const": "file"},
            disableDeletion=_FLAG,
            updateIntervalSeconds={"type": "integer", "minimum": 10},
            allowUiUpdates=_FLAG,
            options=_object("path", path=_TEXT, foldersFromFilesStructure=_FLAG),
        )
    ),
)

#: kind of a receiver -> settings without which Grafana refuses it
RECEIVERS: dict[str, tuple[str, ...]] = {
    "alertmanager": ("url",),
    "discord": ("url",),
    "email": ("addresses",),
    "googlechat": ("url",),
    "opsgenie": ("apiKey",),
    "pagerduty": ("integrationKey",),
    # with a token: recipient as well; with a webhook's address: url
    "slack": (),
    "teams": ("url",),
    "telegram": ("bottoken", "chatid"),
    "webhook": ("url",),
}
_RECEIVER = {
    **_object(
        "uid type settings", uid=_UID, type={"enum": sorted(RECEIVERS)}, settings=_MAP, disableResolveMessage=_FLAG
    ),
    "allOf": [
        {
            "if": {"properties": {"type": {"const": kind}}},
            "then": {"properties": {"settings": {"required": list(needed)}}},
        }
        for kind, needed in RECEIVERS.items()
    ]
    + [
        {
            "if": {"properties": {"type": {"const": "slack"}}},
            "then": {
                "properties": {"settings": {"anyOf": [{"required": ["url"]}, {"required": ["token", "recipient"]}]}}
            },
        }
    ],
}
_ROUTE_KEYS: _Dict = {
    "receiver": _TEXT,
    "group_by": _list(_TEXT),
    "group_wait": _DURATION,
    "group_interval": _DURATION,
    "repeat_interval": _DURATION,
    "routes": _list({"$ref": "#/$defs/route"}),
}
_TIME_INTERVALS = _list(
    _object(
        "",
        times=_list(_object("start_time end_time", start_time=_TEXT, end_time=_TEXT)),
        weekdays=_list(_TEXT),
        days_of_month=_list(_TEXT),
        months=_list(_TEXT),
        years=_list(_TEXT),
        location=_TEXT,
    )
)
ALERTING: _Dict = {
    **_object(
        "apiVersion",
        apiVersion={"const": 1},
        contactPoints=_list(
            _object("name receivers", orgId=_NUMBER, name=_TEXT, receivers={**_list(_RECEIVER), "minItems": 1})
        ),
        policies=_list(_object("receiver", orgId=_NUMBER, **_ROUTE_KEYS)),
        muteTimes=_list(_object("name time_intervals", orgId=_NUMBER, name=_TEXT, time_intervals=_TIME_INTERVALS)),
        groups=_list(
            _object(
                "name folder interval rules",
                orgId=_NUMBER,
                name=_TEXT,
                folder=_TEXT,
                interval=_DURATION,
                rules=_list(
                    {
                        "type": "object",
                        "required": ["uid", "title", "condition", "data"],
                        "properties": {"uid": _UID, "title": _TEXT, "condition": _TEXT, "for": _DURATION},
                    }
                ),
            )
        ),
    ),
    "$defs": {
        "route": _object(
            "",
            **_ROUTE_KEYS,
            matchers=_list(_TEXT),
            object_matchers=_list(
                {
                    "type": "array",
                    "prefixItems": [_TEXT, {"enum": ["=", "!=", "=~", "!~"]}, _ANY_TEXT],
                    "minItems": 3,
                    "maxItems": 3,
                }
            ),
            mute_time_intervals=_list(_TEXT),
            active_time_intervals=_list(_TEXT),
            **{"continue": _FLAG},
        )
    },
}
SCHEMAS = {"datasources": DATASOURCES, "dashboards": DASHBOARDS, "alerting": ALERTING}
#: What Grafana replaces in the values of provisioning files; a $ of one's own is written twice
_VARIABLE = re.compile(r"(?<!\$)(?:\$\$)*\$(?!\$)(\w+|\{)")


def texts(value: t.Any) -> t.Iterator[str]:
    """Every text in a document."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def problems(kind: str, document: t.Any) -> list[str]:
    """What is wrong with a provisioning file; one line each."""
    validator = jsonschema.Draft202012Validator(SCHEMAS[kind])
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    if found:
        return found
    if kind == "datasources":
        sources = document["datasources"]
        for key in ("name", "uid"):
            values = [source[key] for source in sources if key in source]
            found += [f"two data sources have the {key} {value}" for value in set(values) if values.count(value) > 1]
        if sum(source.get("isDefault", False) for source in sources) > 1:
            found.append("more than one data source is the default")
    if kind == "alerting":
        points = {point["name"] for point in document.get("contactPoints", [])}
        uids = [receiver["uid"] for point in document.get("contactPoints", []) for receiver in point["receivers"]]
        found += [f"two receivers have the uid {uid}" for uid in set(uids) if uids.count(uid) > 1]
        if points:
            found += [
                f"no contact point is called {name}"
                for policy in document.get("policies", [])
                for name in _receivers(policy)
                if name not in points
            ]
    return found + [
        f"{text!r} names a variable of the environment" for text in texts(document) if _VARIABLE.search(text)
    ]


def _receivers(route: _Dict) -> t.Iterator[str]:
    if "receiver" in route:
        yield route["receiver"]
    for inner in route.get("routes", []):
        yield from _receivers(inner)


def check(folder: Path) -> list[str]:
    """What is wrong with the provisioning files in a folder; missing kinds included."""
    found = []
    for kind in SCHEMAS:
        files = sorted((folder / kind).glob("*.yml"))
        if not files:
            found.append(f"no file in {folder / kind}")
        for file in files:
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
            found += [f"{kind}/{file.name}: {problem}" for problem in problems(kind, document)]
    return found


if __name__ == "__main__":
    wrong = check(Path(sys.argv[1]))
    print("\n".join(wrong) or "the provisioning files are as Grafana's documentation describes them")
    sys.exit(1 if wrong else 0)
