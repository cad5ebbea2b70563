# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards on a real Prometheus that holds the series: every query has an answer, no panel is empty.

A typo in the name of a metric or a label passes every parser and shows nothing: only this finds it.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import slo, slo_rules
from ansible_collections.frugal.cloud.tests.e2e import dashboard_series
from ansible_collections.frugal.cloud.tests.tools import alert_rules
from ansible_collections.frugal.cloud.tests.tools.dashboards import reading
from ansible_collections.frugal.cloud.tests.tools.prometheus_server import serve

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "roles" / "grafana" / "files" / "dashboards").glob("*.json"))
NAMES = [path.stem for path in FILES]
_Dict = dict[str, t.Any]

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="Prometheus is not installed; on Debian: apt-get install prometheus",
)


class Refused(AssertionError):
    """Prometheus does not run the query."""


class Empty(AssertionError):
    """The query has no value to show."""


class Client:
    """Asks as Grafana does: the last hour for graphs, the last moment for the rest."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: t.Any) -> t.Any:
        """The data of an answer. :raises Refused: with Prometheus' own words."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=60) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise Refused(f"{parameters}: {json.loads(error.read())['error']}") from None

    def shown(self, asked: reading.Asked, values: t.Mapping[str, str]) -> list[_Dict]:
        """The series that a query shows. :raises Empty: when there is none, or none with a number."""
        expression = reading.filled(asked.expr, values)
        end = dashboard_series.END
        if asked.instant:
            result = self.get("query", query=expression, time=end)["result"]
            points = [[series["value"]] for series in result]
        else:
            result = self.get("query_range", query=expression, start=end - 3600, end=end, step=60)["result"]
            points = [series["values"] for series in result]
        if not any(math.isfinite(float(value)) for series in points for _at, value in series):
            raise Empty(f"{asked.name} shows nothing: {expression}")
        return t.cast("list[_Dict]", result)


def recording_rules() -> list[_Dict]:
    """The recording rules of every rule set of role prometheus with its defaults, and of the SLOs by module slo."""
    found = [rule for name in alert_rules.SETS for rule in alert_rules.rules(name)]
    for objective in slo.parse_all(dashboard_series.SLOS):
        found += [rule.to_dict() for group in slo_rules.groups(objective) for rule in group.rules]
    return [rule for rule in found if "record" in rule]


def in_order(rules: list[_Dict]) -> Iterator[list[_Dict]]:
    """The rules in rounds: each reads only what was scraped, or what an earlier round recorded."""
    waiting = list(rules)
    while waiting:
        unknown = {rule["record"] for rule in waiting}
        ready = [rule for rule in waiting if not unknown & names_in(rule["expr"])]
        assert ready, f"rules that wait for each other: {sorted(unknown)}"
        waiting = [rule for rule in waiting if rule not in ready]
        yield ready


def names_in(expression: str) -> set[str]:
    """Names of metrics, and other words, in PromQL."""
    return set(re.findall(r"[a-zA-Z_:][\w:]*", expression))


def promtool(folder: Path, *words: str) -> None:
    """A command of promtool's. :raises AssertionError: with what it said."""
    done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A Prometheus that holds the series, and what the real recording rules make of them."""
    folder = tmp_path_factory.mktemp("dashboards")
    dashboard_series.everything().write(folder / "series.txt")
    promtool(folder, "tsdb", "create-blocks-from", "openmetrics", "series.txt", "data")
    start, end = min(dashboard_series.moments()), dashboard_series.END
    for number, rules in enumerate(in_order(recording_rules())):
        file = f"rules-{number}.yml"
        groups = [{"name": f"round {number}", "rules": rules}]
        (folder / file).write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
        with serve(folder / f"server-{number}", folder / "data") as running:
            promtool(
                folder,
                *("tsdb", "create-blocks-from", "rules", f"--url={running.url}", f"--start={start}", f"--end={end}"),
                *("--output-dir=data", "--eval-interval=1m", file),
            )
    with serve(folder / "server", folder / "data") as running:
        yield Client(running.url)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_panel_is_empty(client: Client, path: Path) -> None:
    """With all variables as they are when the dashboard is opened."""
    dashboard = reading.read(path)
    values = reading.chosen(dashboard)
    for asked in reading.queries(dashboard):
        client.shown(asked, values)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_variable_offers_something_to_choose(client: Client, path: Path) -> None:
    """And with the first value of each chosen, no panel is empty either."""
    dashboard = reading.read(path)
    values = reading.chosen(dashboard)
    picked = dict(values)
    for name, variable in reading.variables(dashboard).items():
        if variable["type"] != "query":
            continue
        series, label = reading.label_values(variable)
        match = {"match[]": reading.filled(series, values)}
        offered = client.get(
            f"label/{label}/values", start=dashboard_series.END - 3600, end=dashboard_series.END, **match
        )
        assert offered, f"{name} offers nothing"
        # Grafana escapes what a value of a regular expression must not hold.
        picked[name] = offered[0].replace(".", "\\\\.")
    for asked in reading.queries(dashboard):
        client.shown(asked, picked)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_choice_of_a_list_can_be_asked(client: Client, path: Path) -> None:
    """A choice such as an offset must be PromQL; there need not be series that old."""
    dashboard = reading.read(path)
    for name, variable in reading.variables(dashboard).items():
        for option in variable.get("options") or []:
            values = {**reading.chosen(dashboard), name: option["value"]}
            for asked in reading.queries(dashboard):
                client.get("query", query=reading.filled(asked.expr, values), time=dashboard_series.END)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_columns_of_a_table_belong_to_the_same_rows(client: Client, path: Path) -> None:
    """Grafana merges the queries of a table by their labels: other labels would be other rows, half empty."""
    dashboard = reading.read(path)
    values = reading.chosen(dashboard)
    for panel in reading.panels(dashboard):
        if panel["type"] != "table":
            continue
        rows = [
            {tuple(sorted(series["metric"].items())) for series in client.shown(reading.Asked(panel, target), values)}
            for target in panel["targets"]
        ]
        assert all(found == rows[0] for found in rows), panel["title"]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_legends_name_labels_that_the_series_have(client: Client, path: Path) -> None:
    """A label that is not there leaves a hole in the legend; and two lines of the same name cannot be told apart."""
    dashboard = reading.read(path)
    values = reading.chosen(dashboard)
    for panel in reading.panels(dashboard):
        if panel["type"] in ("table", "stat"):
            continue
        names: list[str] = []
        for target in panel["targets"]:
            for series in client.shown(reading.Asked(panel, target), values):
                legend = reading.filled(target["legendFormat"], values)
                for label, text in series["metric"].items():
                    legend = legend.replace("{{" + label + "}}", text)
                assert "{{" not in legend, f"{panel['title']}: {legend} of {series['metric']}"
                names.append(legend)
        assert len(names) == len(set(names)), f"{panel['title']}: {names}"


def test_what_is_wrong_turns_red(client: Client) -> None:
    """A typo in a metric, one in a label, and broken PromQL: each is found."""
    dashboard = reading.read(ROOT / "roles" / "grafana" / "files" / "dashboards" / "frugal-kubernetes.json")
    values = reading.chosen(dashboard)
    asked = next(query for query in reading.queries(dashboard) if "container_memory_working_set_bytes" in query.expr)
    client.shown(asked, values)
    for wrong in (
        ("_working_set_", "_workingset_"),
        ('resource="memory"', 'resource="memry"'),
        ("by (node)", "by (host)"),
    ):
        broken = reading.Asked(asked.panel, {**asked.target, "expr": asked.expr.replace(*wrong, 1)})
        assert broken.expr != asked.expr
        with pytest.raises(Empty):
            client.shown(broken, values)
    with pytest.raises(Refused, match="parse error"):
        client.shown(reading.Asked(asked.panel, {**asked.target, "expr": "sum(kube_node_info"}), values)


#: What role otel_collector writes with otel_collector_span_metrics, but flushed every second.
COLLECTOR = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
connectors:
  span_metrics:
    histogram: {{unit: s, explicit: {{buckets: [5ms, 10ms, 50ms, 100ms, 500ms]}}}}
    metrics_flush_interval: 1s
exporters: {{prometheus_remote_write: {{endpoint: "{prometheus}/api/v1/write"}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [span_metrics]}}
    metrics: {{receivers: [span_metrics], exporters: [prometheus_remote_write]}}
"""


def send_spans(url: str) -> None:
    """A request that is answered, one that fails, and a call to a database, as OTLP."""
    now = time.time_ns()
    spans = [
        {
            "traceId": secrets.token_hex(16),
            "spanId": secrets.token_hex(8),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(now - 20_000_000),
            "endTimeUnixNano": str(now),
            "status": {"code": status},
        }
        for name, kind, status in (("GET /", 2, 0), ("GET /", 2, 2), ("SELECT", 3, 0))
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "checkout"}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5):
        pass


def test_traces_are_shown_as_the_real_collector_counts_them(tmp_path: Path) -> None:
    """Names and labels of span metrics are the collector's: it sends them to a Prometheus, and no panel is empty."""
    built = subprocess.run(
        [sys.executable, ROOT / "tests" / "tools" / "go_binaries.py", "--json", "otelcol"],
        check=True,
        capture_output=True,
        text=True,
    )
    program = json.loads(built.stdout.splitlines()[-1])["otelcol"]["programs"]["otelcol"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serve(tmp_path / "server", tmp_path / "data", "", "--web.enable-remote-write-receiver") as running:
        configuration = tmp_path / "collector.yml"
        configuration.write_text(COLLECTOR.format(port=port, prometheus=running.url), encoding="utf-8")
        with (tmp_path / "log").open("wb") as log:
            collector = subprocess.Popen([program, "--config", configuration], stdout=log, stderr=log)
        try:
            client = Client(running.url)
            dashboard = reading.read(ROOT / "roles" / "grafana" / "files" / "dashboards" / "frugal-traces.json")
            values = {**reading.chosen(dashboard), "__rate_interval": "1m"}
            end = time.monotonic() + 90
            empty = ["nothing was sent yet"]
            while empty:
                assert collector.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
                assert time.monotonic() < end, empty
                time.sleep(1)
                try:
                    send_spans(f"http://127.0.0.1:{port}/v1/traces")
                except OSError:
                    continue
                empty = [
                    asked.name
                    for asked in reading.queries(dashboard)
                    if not client.get("query", query=reading.filled(asked.expr, values))["result"]
                ]
        finally:
            collector.terminate()
            collector.wait(30)
