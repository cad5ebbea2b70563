# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry point ``kubernetes`` of the monitoring roles, on a real control plane.

The published charts are not to be had here: chart ``layout`` reads the same values and makes the same files of them
(its pods are played by kwok). What the cluster then holds is given to the programs that would read it there.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.frugal.cloud.tests.e2e.helm_operator import CHARTS, ROOT, Operator, Ran, cluster, operator

#: fixtures: pytest finds them by their names here
SHARED = (cluster, operator)
_Dict = dict[str, t.Any]

# The first run may have to wait until the control plane is built.
pytestmark = pytest.mark.timeout(2400)

#: role -> release
ROLES = {
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "jaeger": "jaeger",
    "otel_collector": "otel-collector",
    "grafana": "grafana",
    "exporter": "node-exporter",
    "newrelic": "newrelic",
    "opencost": "opencost",
}
SECRETS = {
    "scrape": "monday-cow-11",
    "hook": "tuesday-horse-7",
    "license": "wednesday-goat-3",
    "database": "thursday-frog-4",
    "storage": "friday-fish-1",
    "ingest": "saturday-snail-5",
    "admin": "sunday-mouse-6",
    "costs": "monday-hen-8",
}
SETTINGS: _Dict = {
    "prometheus_external_labels": {"cluster": "blue"},
    "prometheus_scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": ["shop.shop:8000"]}]}],
    "prometheus_file_sd": [
        {
            "job": "edge",
            "targets": ["edge1:9100", "edge2:9100"],
            "labels": {"site": "a"},
            "basic_auth": {"username": "scraper", "password_file": "secrets/edge"},
        }
    ],
    "prometheus_secret_files": {"edge": SECRETS["scrape"]},
    "prometheus_rule_sets": ["red", "saturation"],
    "prometheus_slos": [
        {
            "name": "shop-latency",
            "service": "shop",
            "objective": 99.9,
            "window": "30d",
            "sli": {"latency": {"histogram": "http_request_duration_seconds", "threshold": 0.25}},
        }
    ],
    "prometheus_alertmanagers": ["alertmanager.monitoring:9093"],
    "prometheus_remote_write": [
        {
            "url": "https://store.example.com/write",
            "basic_auth": {"username": "writer", "password_file": "secrets/edge"},
        }
    ],
    "alertmanager_route": {"receiver": "on-call"},
    "alertmanager_receivers": [
        {"name": "on-call", "webhook": [{"url": f"https://hooks.example.com/{SECRETS['hook']}"}]}
    ],
    "alertmanager_templates": {"page": '{% raw %}{{ define "page" }}hello{{ end }}{% endraw %}'},
    "jaeger_storage": "elasticsearch",
    "jaeger_storage_servers": ["https://search:9200"],
    "jaeger_storage_user": "jaeger",
    "jaeger_storage_password": SECRETS["storage"],
    "jaeger_kubernetes_replicas": 2,
    "otel_collector_distribution": "otelcol",
    "otel_collector_jaeger": {"endpoint": "jaeger.monitoring:4317"},
    "otel_collector_sampling_percentage": 25,
    "otel_collector_newrelic": {"api_key": SECRETS["ingest"]},
    # two braces, which the chart must not take for a template of its own
    "otel_collector_resource_attributes": {"note": "{% raw %}{{ braces }}{% endraw %}"},
    "grafana_admin_password": SECRETS["admin"],
    "grafana_prometheus_url": "http://prometheus-server.monitoring",
    "grafana_jaeger_url": "http://jaeger.monitoring:16686",
    "grafana_datasources": [
        {"name": "Orders", "type": "postgres", "url": "db:5432", "secure_json_data": {"password": SECRETS["database"]}}
    ],
    "exporter_exporters": [{"name": "node", "listen_address": "0.0.0.0:9101", "args": ["--collector.systemd"]}],
    "newrelic_license_key": SECRETS["license"],
    "newrelic_kubernetes_cluster": "blue",
    "newrelic_custom_attributes": {"team": "shop"},
    "opencost_cluster": "blue",
    "opencost_prometheus_username": "reader",
    "opencost_prometheus_password": SECRETS["costs"],
    "opencost_custom_prices": {"cpu": 0.02, "ram": 0.003, "storage": 0.00005, "spot_label": "pool"},
}


def settings(operator: Operator) -> _Dict:
    """What an operator of this site writes down, with our charts in the published ones' place."""
    found = dict(SETTINGS)
    for role in ROLES:
        found[f"{role}_kubernetes_repository"] = ""
        found[f"{role}_kubernetes_chart"] = str(operator.charts[role])
        found[f"{role}_kubernetes_checksum"] = operator.checksum(role)
    return found


def install(operator: Operator, *flags: str, **other: t.Any) -> Ran:
    """All roles, one after the other."""
    tasks = [
        {"name": role, "ansible.builtin.include_role": {"name": f"frugal.cloud.{role}", "tasks_from": "kubernetes"}}
        for role in ROLES
    ]
    return operator.play(tasks, *flags, **{**settings(operator), **other})


@pytest.fixture(scope="module")
def installed(operator: Operator) -> Ran:
    """All roles, installed."""
    for role in ROLES:
        defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
        folder = operator.folder / defaults[f"{role}_kubernetes_chart"]
        subprocess.run(["cp", "-r", str(CHARTS / "layout"), str(folder)], check=True)
        chart = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
        (folder / "Chart.yaml").write_text(yaml.safe_dump({**chart, "name": folder.name}))
        operator.package(role, folder, "--version", defaults[f"{role}_kubernetes_version"])
    return install(operator)


def config_map(operator: Operator, name: str) -> dict[str, str]:
    """Its data."""
    found = operator.cluster.get(f"/api/v1/namespaces/monitoring/configmaps/{name}")
    return t.cast("dict[str, str]", found["data"])


def values(operator: Operator, name: str) -> _Dict:
    """What the chart was told."""
    return t.cast(_Dict, json.loads(config_map(operator, name)["values.json"]))


def secret(operator: Operator, beginning: str) -> dict[str, str]:
    """The data of the only Secret whose name begins so."""
    found = [
        item
        for item in operator.cluster.items("/api/v1/namespaces/monitoring/secrets")
        if item["metadata"]["name"].startswith(f"{beginning}-")
    ]
    assert len(found) == 1, [item["metadata"]["name"] for item in found]
    return {key: base64.b64decode(value).decode() for key, value in found[0]["data"].items()}


def run(*words: str | Path, **environ: str) -> str:
    """A program that has to accept what it is given."""
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def programs_of(name: str) -> Path:
    """The program of a Go module of the tests."""
    tool = ROOT / "tests" / "tools" / "go_binaries.py"
    built = json.loads(run(sys.executable, tool, "--json", name).splitlines()[-1])
    return Path(built[name]["programs"][name])


def write(folder: Path, files: t.Mapping[str, str], **places: Path) -> Path:
    """Put files into a folder, with the pod's paths replaced by ours."""
    folder.mkdir()
    for name, content in files.items():
        text = content
        for there, here in places.items():
            text = text.replace({"config": "/etc/config", "secrets": "/etc/prometheus-secrets"}[there], str(here))
        (folder / name).write_text(text)
    return folder


def test_everything_is_rolled_out(operator: Operator, installed: Ran) -> None:
    del installed
    found = operator.cluster.items("/apis/apps/v1/namespaces/monitoring/deployments")
    ready = {item["metadata"]["name"]: item["status"].get("readyReplicas") for item in found}
    assert ready == dict.fromkeys(ROLES.values(), 1)


def test_every_secret_that_a_pod_names_is_there_and_no_config_map_holds_one(operator: Operator, installed: Ran) -> None:
    del installed
    kept = {
        item["metadata"]["name"]: item["data"]
        for item in operator.cluster.items("/api/v1/namespaces/monitoring/secrets")
        if item["type"] == "Opaque"
    }
    named = set()
    for deployment in operator.cluster.items("/apis/apps/v1/namespaces/monitoring/deployments"):
        pod = deployment["spec"]["template"]["spec"]
        for volume in pod.get("volumes", []):
            named.add(volume["secret"]["secretName"])
        for container in pod["containers"]:
            named |= {entry["secretRef"]["name"] for entry in container.get("envFrom", [])}
            for entry in container.get("env", []):
                reference = entry["valueFrom"]["secretKeyRef"]
                assert reference["key"] in kept[reference["name"]]
                named.add(reference["name"])
            for mount in container.get("volumeMounts", []):
                if "subPath" in mount:
                    volume = next(each for each in pod["volumes"] if each["name"] == mount["name"])
                    assert mount["subPath"] in kept[volume["secret"]["secretName"]]
    assert named == set(kept)
    assert len(named) == 7
    shown = json.dumps(operator.cluster.items("/api/v1/namespaces/monitoring/configmaps"))
    assert [name for name, text in SECRETS.items() if text in shown] == []
    held = json.dumps([{k: base64.b64decode(v).decode() for k, v in data.items()} for data in kept.values()])
    assert [name for name, text in SECRETS.items() if text not in held] == []


def test_no_secret_is_in_what_ansible_says(operator: Operator, installed: Ran) -> None:
    text = json.dumps(installed.content["plays"][0]["tasks"])
    assert [name for name, secret_text in SECRETS.items() if secret_text in text] == []
    predicted = install(
        operator, "--check", "--diff", prometheus_external_labels={"cluster": "green"}, grafana_root_url="https://g"
    )
    # The six others are as they are wanted.
    assert predicted.changed == 2
    diffs = [r["diff"] for name, r in predicted.results if r.get("diff") and "before_header" in r["diff"]]
    assert sorted(each["before_header"] for each in diffs) == [
        "release grafana in monitoring",
        "release prometheus in monitoring",
    ]
    assert "cluster: green" in json.dumps(diffs)
    text = json.dumps(predicted.content["plays"][0]["tasks"])
    assert [name for name, secret_text in SECRETS.items() if secret_text in text] == []


def test_prometheus_accepts_its_files(operator: Operator, installed: Ran, tmp_path: Path) -> None:
    del installed
    files = config_map(operator, "prometheus")
    told = json.loads(files.pop("values.json"))
    assert told["server"]["retention"] == "15d"
    mounted = write(tmp_path / "secrets", secret(operator, "prometheus-files"))
    folder = write(tmp_path / "config", files, config=tmp_path / "config", secrets=mounted)
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == {"shop", "edge", "kubernetes-service-endpoints", "kubernetes-pods", "kubernetes-cadvisor"}
    assert config["global"]["external_labels"] == {"cluster": "blue"}
    # Debian builds Prometheus without Kubernetes' discovery, and the files of the pod's account are not here.
    for job in jobs.values():
        if job.pop("kubernetes_sd_configs", None):
            job["static_configs"] = [{"targets": ["localhost:1"]}]
            job.pop("authorization", None)
            job.pop("tls_config", None)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    said = run("promtool", "check", "config", folder / "prometheus.yml")
    rules = sorted(path.name for path in folder.glob("rules-*.yml"))
    assert rules == ["rules-set-red.yml", "rules-set-saturation.yml", "rules-slo-shop-latency.yml"]
    assert f"SUCCESS: {len(rules)} rule files found" in said
    assert said.count(" rules found") == len(rules), said
    assert "FAILED" not in said
    assert yaml.safe_load((folder / "targets-edge.yml").read_text()) == [
        {"targets": ["edge1:9100", "edge2:9100"], "labels": {"site": "a"}}
    ]


def test_alertmanager_accepts_its_secret(operator: Operator, installed: Ran, tmp_path: Path) -> None:
    del installed
    files = secret(operator, "alertmanager-config")
    assert "/etc/alertmanager/*.tmpl" in files["alertmanager.yml"]
    folder = write(tmp_path / "alertmanager", files)
    text = (folder / "alertmanager.yml").read_text().replace("/etc/alertmanager", str(folder))
    (folder / "alertmanager.yml").write_text(text)
    said = run("amtool", "check-config", folder / "alertmanager.yml")
    assert "1 templates" in said


def test_jaeger_and_the_collector_accept_their_files(operator: Operator, installed: Ran, tmp_path: Path) -> None:
    del installed
    environ = {"MY_POD_IP": "127.0.0.1", "JAEGER_STORAGE_PASSWORD": "x", "NEW_RELIC_LICENSE_KEY": "x"}
    path = tmp_path / "jaeger.yaml"
    path.write_text(config_map(operator, "jaeger")["user-config.yaml"])
    run(programs_of("jaeger"), "validate", "--config", path, **environ)
    path = tmp_path / "collector.yaml"
    path.write_text(config_map(operator, "otel-collector")["relay"])
    run(programs_of("otelcol"), "validate", "--config", path, **environ)
    config = yaml.safe_load(path.read_text())
    assert config["processors"]["resource"]["attributes"][0]["value"] == "{{ braces }}"
    assert config["processors"]["probabilistic_sampler"]["sampling_percentage"] == 25
    assert config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == "${env:MY_POD_IP}:4317"


def test_the_others_are_told_what_their_charts_read(operator: Operator, installed: Ran) -> None:
    del installed
    provider = yaml.safe_load(config_map(operator, "grafana")["dashboardproviders.yaml"])["providers"][0]
    assert provider["options"]["path"] == f"/var/lib/grafana/dashboards/{provider['name']}"
    dashboards = config_map(operator, f"grafana-dashboards-{provider['name']}")
    assert len(dashboards) == len(list((ROOT / "roles" / "grafana" / "files" / "dashboards").glob("*.json")))
    assert all(json.loads(text)["panels"] for text in dashboards.values())
    sources = yaml.safe_load(secret(operator, "grafana-frugal")["datasources.yml"])["datasources"]
    assert {source["name"] for source in sources} == {"Prometheus", "Jaeger", "Orders"}
    node = values(operator, "node-exporter")
    assert (node["service"]["port"], node["extraArgs"]) == (9101, ["--collector.systemd"])
    license_key = secret(operator, "newrelic-license")
    relic = values(operator, "newrelic")["global"]
    assert license_key == {"licenseKey": SECRETS["license"]}
    assert (relic["cluster"], relic["customSecretLicenseKey"]) == ("blue", "licenseKey")
    assert relic["customAttributes"] == {"team": "shop"}


def test_opencost_is_told_where_prometheus_is_and_what_things_cost(operator: Operator, installed: Ran) -> None:
    del installed
    told = values(operator, "opencost")["opencost"]
    assert told["prometheus"]["external"] == {"enabled": True, "url": "http://prometheus-server.monitoring"}
    assert (told["prometheus"]["internal"]["enabled"], told["exporter"]["defaultClusterId"]) == (False, "blue")
    login = {"DB_BASIC_AUTH_USERNAME": "reader", "DB_BASIC_AUTH_PW": SECRETS["costs"]}
    assert secret(operator, "opencost-prometheus") == login
    prices = json.loads(config_map(operator, "custom-pricing-model")["default.json"])
    assert prices == {"CPU": "0.02", "RAM": "0.003", "storage": "5e-05", "spotLabel": "pool", "provider": "custom"}
    assert values(operator, "opencost")["service"]["annotations"]["prometheus.io/port"] == "9003"


def test_opencost_refuses_what_cannot_be_and_goes_again(operator: Operator, installed: Ran) -> None:
    del installed
    task = {"name": "role", "ansible.builtin.include_role": {"name": "frugal.cloud.opencost"}}
    wanted = settings(operator)
    ran = operator.play([task], succeeds=False, **{**wanted, "opencost_custom_prices": {"cpu": -1}})
    assert ran.failure == "opencost_custom_prices has cpu below zero: give what one costs an hour"
    # The release and its Secret; the second time there is nothing left to do.
    ran = operator.play([task], "--check", **{**wanted, "opencost_state": "absent"})
    assert ran.changed == 2
    ran = operator.play([task, task], **{**wanted, "opencost_state": "absent"})
    assert ran.changed == 2
    for path in ("/apis/apps/v1/namespaces/monitoring/deployments", "/api/v1/namespaces/monitoring/secrets"):
        found = [item["metadata"]["name"] for item in operator.cluster.items(path)]
        assert [name for name in found if "opencost" in name] == []


def test_an_unverified_chart_is_refused_by_every_role(operator: Operator) -> None:
    tasks = [
        {
            "block": [
                {
                    "name": role,
                    "ansible.builtin.include_role": {"name": f"frugal.cloud.{role}", "tasks_from": "kubernetes"},
                }
            ],
            "rescue": [{"name": "refused", "ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}],
        }
        for role in ("alertmanager", "exporter")
    ]
    ran = operator.play(tasks, **SETTINGS)
    told = [result["msg"] for name, result in ran.results if name == "refused"]
    assert len(told) == 2
    assert told[0].startswith('helm_release_checksum is "": chart alertmanager is not verified and not installed')
