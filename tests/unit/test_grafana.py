# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role grafana's files for many inputs, against schemas from Grafana's documentation; and that both stand-ins refuse.

The role itself runs in the molecule scenario grafana.
"""

from __future__ import annotations

import base64
import configparser
import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.frugal.cloud.tests.standins import grafana_api, grafana_schemas

ROLE = Path(__file__).resolve().parents[2] / "roles" / "grafana"
TEMPLATES = {"datasources": "datasources.yml.j2", "dashboards": "dashboards.yml.j2", "alerting": "alerting.yml.j2"}
_Dict = dict[str, t.Any]

FULL: _Dict = {
    "grafana_jaeger_url": "http://jaeger:16686",
    "grafana_alertmanager_url": "http://alertmanager:9093",
    "grafana_loki_url": "http://loki:3100",
    "grafana_datasources": [
        {
            "name": "Orders of the shop",
            "type": "postgres",
            "url": "db1:5432",
            "is_default": True,
            "basic_auth_user": "reader",
            "basic_auth_password": "pa$$word",
            "json_data": {"database": "orders"},
            "secure_json_data": {"password": "a$SECRET"},
        }
    ],
    "grafana_extra_dashboards": [{"src": "own.json", "folder": "My team"}, {"src": "other.json"}],
    "grafana_contact_points": [
        {
            "name": "On call",
            "receivers": [
                {"type": "pagerduty", "settings": {"integrationKey": "k$y"}},
                {"type": "slack", "settings": {"url": "https://hooks.example.org/x"}, "disable_resolve_message": True},
            ],
        }
    ],
    "grafana_notification_policy": {
        "receiver": "On call",
        "group_by": ["alertname"],
        "routes": [{"receiver": "On call", "object_matchers": [["severity", "=", "page"]], "continue": True}],
    },
    "grafana_mute_timings": [{"name": "weekends", "time_intervals": [{"weekdays": ["saturday", "sunday"]}]}],
}


def rendered(template: str, given: t.Mapping[str, t.Any]) -> str:
    """A template of the role with its defaults and these inputs."""
    loader = DataLoader()
    variables: _Dict = {"ansible_managed": "Ansible managed"}
    for folder in ("defaults", "vars"):
        variables |= loader.load_from_file(str(ROLE / folder / "main.yml"), trusted_as_template=True)
    variables |= given
    text = (ROLE / "templates" / template).read_text(encoding="utf-8")
    made = Templar(loader=loader, variables=variables).template(trust_as_template(text))
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize("given", [{}, FULL], ids=["defaults", "full"])
@pytest.mark.parametrize("kind", sorted(TEMPLATES))
def test_provisioning_files_are_as_documented(kind: str, given: _Dict) -> None:
    document = yaml.safe_load(rendered(TEMPLATES[kind], given))
    assert grafana_schemas.problems(kind, document) == []


def test_data_sources_of_defaults_and_of_everything() -> None:
    defaults = yaml.safe_load(rendered("datasources.yml.j2", {}))["datasources"]
    assert [(source["name"], source["uid"], source["isDefault"]) for source in defaults] == [
        ("Prometheus", "prometheus", True)
    ]
    sources = yaml.safe_load(rendered("datasources.yml.j2", FULL))["datasources"]
    assert [source["uid"] for source in sources] == [
        "prometheus",
        "jaeger",
        "alertmanager",
        "loki",
        "orders-of-the-shop",
    ]
    assert [source["isDefault"] for source in sources] == [False, False, False, False, True]
    # Grafana would put environment variables in place of these.
    assert sources[-1]["secureJsonData"] == {"password": "a$$SECRET", "basicAuthPassword": "pa$$$$word"}
    prometheus = sources[0]["jsonData"]["exemplarTraceIdDestinations"]
    assert prometheus == [{"name": "trace_id", "datasourceUid": "jaeger"}]


def test_folders_of_dashboards() -> None:
    providers = yaml.safe_load(rendered("dashboards.yml.j2", FULL))["providers"]
    assert {provider["name"]: (provider["folder"], provider["options"]["path"]) for provider in providers} == {
        "General": ("", "/etc/grafana/dashboards/General"),
        "My team": ("My team", "/etc/grafana/dashboards/My_team"),
        "frugal.cloud": ("frugal.cloud", "/etc/grafana/dashboards/frugal.cloud"),
    }


def test_settings_win_over_the_roles_own_and_keep_their_characters() -> None:
    given = {
        "grafana_listen_address": "127.0.0.1:3001",
        "grafana_settings": {"server": {"domain": "grafana.example.org"}, "database": {"password": "a;b#c"}},
    }
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string(rendered("grafana.ini.j2", given))
    assert ini["server"]["http_addr"] == "127.0.0.1"
    assert ini["server"]["http_port"] == "3001"
    assert ini["server"]["domain"] == "grafana.example.org"
    assert ini["database"]["password"] == '"""a;b#c"""'
    assert ini["analytics"]["reporting_enabled"] == "false"


@pytest.mark.parametrize(
    ("kind", "document", "says"),
    [
        ("datasources", {"datasources": []}, "apiVersion"),
        ("datasources", {"apiVersion": 1, "datasources": [{"name": "a", "type": "b", "acess": "proxy"}]}, "acess"),
        ("datasources", {"apiVersion": 1, "datasources": [{"name": "a", "type": "b", "uid": "a b"}]}, "uid"),
        (
            "datasources",
            {"apiVersion": 1, "datasources": [{"name": "a", "type": "b"}, {"name": "a", "type": "c"}]},
            "two data sources have the name a",
        ),
        ("datasources", {"apiVersion": 1, "datasources": [{"name": "$HOME", "type": "b"}]}, "environment"),
        ("dashboards", {"apiVersion": 1, "providers": [{"name": "a", "type": "file"}]}, "options"),
        (
            "alerting",
            {
                "apiVersion": 1,
                "contactPoints": [{"name": "a", "receivers": [{"uid": "a", "type": "webhook", "settings": {}}]}],
            },
            "url",
        ),
        (
            "alerting",
            {
                "apiVersion": 1,
                "contactPoints": [
                    {"name": "a", "receivers": [{"uid": "a", "type": "webhook", "settings": {"url": "http://a"}}]}
                ],
                "policies": [{"receiver": "b"}],
            },
            "no contact point is called b",
        ),
        ("alerting", {"apiVersion": 1, "policies": [{"receiver": "a", "group_wait": "soon"}]}, "soon"),
    ],
)
def test_the_schemas_refuse(kind: str, document: _Dict, says: str) -> None:
    assert any(says in problem for problem in grafana_schemas.problems(kind, document))


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/serviceaccounts", {"role": "Viewer"}, 400),
        ("POST", "/api/serviceaccounts", {"name": "a", "role": "Owner"}, 400),
        ("POST", "/api/serviceaccounts", {"name": "a", "isDisabled": "false"}, 400),
        ("POST", "/api/serviceaccounts", {"name": "a", "colour": "red"}, 400),
        ("PUT", "/api/serviceaccounts/1", {"name": "a"}, 404),
        ("PATCH", "/api/serviceaccounts/7", {"name": "a"}, 404),
        ("POST", "/api/annotations", {"text": "a", "time": 1769839200}, 400),
        ("POST", "/api/annotations", {"text": "a", "time": "1769839200000"}, 400),
        ("POST", "/api/annotations", {"text": ""}, 500),
        ("GET", "/api/serviceaccounts", None, 404),
    ],
)
def test_the_api_refuses(method: str, path: str, body: t.Any, status: int) -> None:
    grafana = grafana_api.Grafana(grafana_api.State("admin", "secret-password"))
    key = base64.b64encode(b"admin:secret-password").decode()
    headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
    assert grafana.answer(method, path, headers, json.dumps(body).encode())[0] == status
    assert len(grafana.state.complaints) == 1
    assert grafana.answer(method, path, {**headers, "Authorization": "Basic eDp5"}, b"{}")[0] == 401
