# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two test hosts that ``frugal.cloud.monitoring`` watches: ``mon1`` has the servers, ``app1`` the service."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import typing as t
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible_collections.frugal.cloud.tests.hosts.playbooks import ROOT, Operator, Ran
from ansible_collections.frugal.cloud.tests.hosts.scenario import Scenario

SERVICE = "sample"
#: bounds of the sample service's histogram in seconds, as Prometheus writes them
BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf")
#: seconds between scrapes and between evaluations: what the alert's delay is made of
SCRAPE_INTERVAL = 5
EVALUATION_INTERVAL = 5
GROUP_WAIT = 1
SLO: dict[str, t.Any] = {
    "name": "sample-latency",
    "service": SERVICE,
    "objective": 99.9,
    "window": "30d",
    "evaluation_interval": f"{EVALUATION_INTERVAL}s",
    "sli": {
        "latency": {
            "histogram": "http_request_duration_seconds",
            "selector": f'service="{SERVICE}"',
            "threshold": 0.25,
        }
    },
}


def tool(name: str, *words: str) -> None:
    """Run a program of tests/tools."""
    subprocess.run([sys.executable, str(ROOT / "tests" / "tools" / name), *words], check=True)


def variables(scenario: Scenario, files: Path, webhook_port: int) -> dict[str, t.Any]:
    """What the operator of this site writes into group_vars."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]

    def archive(name: str) -> dict[str, str]:
        path = files / "bin" / f"{name}-linux-{architecture}.tar.gz"
        digest = path.with_name(f"{path.name}.sha256").read_text().split()[0]
        return {"url": f"file:///srv/frugal/bin/{path.name}", "checksum": f"sha256:{digest}"}

    jaeger, collector = archive("jaeger-2.13.0"), archive("otelcol-0.165.0")
    return {
        "ansible_become": False,  # the connection is root's already
        "monitoring_address": "{{ testhost_address }}",
        "monitoring_listen_address": "{{ testhost_address }}",
        "monitoring_scrape_groups": [{"job": SERVICE, "group": "app", "port": 8000}],
        "prometheus_scrape_interval": f"{SCRAPE_INTERVAL}s",
        "prometheus_evaluation_interval": f"{EVALUATION_INTERVAL}s",
        "prometheus_slos": [SLO],
        "alertmanager_route": {
            "receiver": "on-call",
            "group_by": ["alertname", "slo"],
            "group_wait": f"{GROUP_WAIT}s",
            "group_interval": "5s",
            "repeat_interval": "1h",
        },
        "alertmanager_receivers": [
            {"name": "on-call", "webhook": [{"url": f"http://{scenario.network.gateway}:{webhook_port}/alerts"}]}
        ],
        "jaeger_url": jaeger["url"],
        "jaeger_checksum": jaeger["checksum"],
        "otel_collector_distribution": "otelcol",
        "otel_collector_url": collector["url"],
        "otel_collector_checksum": collector["checksum"],
        "otel_collector_batch_seconds": 0.2,
        "otel_instrumentation_python_pip_arguments": ["--no-index", "--find-links=/srv/frugal/wheels"],
        "otel_instrumentation_services": [
            {
                "unit": f"{SERVICE}.service",
                "language": "python",
                "service_name": SERVICE,
                "venv": "/opt/sample/venv",
                "exec": ["/opt/sample/venv/bin/python", "/opt/sample/sample_service.py"],
                "environment": {
                    "OTEL_PYTHON_EXCLUDED_URLS": "health,metrics,fault",
                    "OTEL_BSP_SCHEDULE_DELAY": "200",
                },
                "probe": {"url": "http://127.0.0.1:8000/health"},
            }
        ],
    }


GROUPS = {
    "exporter": ["mon1", "app1"],
    "prometheus": ["mon1"],
    "alertmanager": ["mon1"],
    "jaeger": ["mon1"],
    "otel_collector": ["mon1"],
    "otel_instrumentation": ["app1"],
    "app": ["app1"],
}


class Webhook:
    """An HTTP server that keeps what Alertmanager posts, with the moment (``time.time()``) at which it came."""

    def __init__(self, address: str) -> None:
        posts: list[tuple[float, dict[str, t.Any]]] = []
        self.posts = posts

        class Handler(http.server.BaseHTTPRequestHandler):
            """Takes POST requests."""

            def do_POST(self) -> None:
                """Keep the body."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.append((time.time(), json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: t.Any) -> None:
                """Requests are in ``posts``."""

        self._server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def firing(self, alert: str) -> float | None:
        """When the first notification came in which ``alert`` fires."""
        for moment, post in self.posts:
            for one in post["alerts"]:
                if one["status"] == "firing" and one["labels"]["alertname"] == alert:
                    return moment
        return None

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()


class Load:
    """``rate`` requests a second to ``url``, however long an answer takes."""

    def __init__(self, url: str, rate: float) -> None:
        self.failed = 0
        self._url = url
        self._pause = 1.0 / rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            threading.Thread(target=self._one, daemon=True).start()
            due += self._pause
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _one(self) -> None:
        try:
            urllib.request.urlopen(self._url, timeout=30).read()
        except OSError:
            self.failed += 1

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()
        self._thread.join()


def get(url: str, **query: t.Any) -> t.Any:
    """The JSON answer to a GET request."""
    text = urllib.parse.urlencode(query)
    with urllib.request.urlopen(f"{url}?{text}" if text else url, timeout=20) as answer:
        return json.load(answer)


def wait(what: str, found: Callable[[], t.Any], seconds: float) -> t.Any:
    """The first true value of ``found``; fails with ``what`` when there is none in time."""
    end = time.monotonic() + seconds
    problem: object = None
    while time.monotonic() < end:
        try:
            if value := found():
                return value
        except OSError as error:
            problem = error
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:g} s ({problem})")


@dataclasses.dataclass
class Site:
    """The hosts, the operator of them, and what the operator says."""

    scenario: Scenario
    operator: Operator
    webhook: Webhook
    values: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def address(self, host: str, port: int) -> str:
        """The URL of a port of a host."""
        return f"http://{self.scenario[host].address}:{port}"

    def write(self, changes: Mapping[str, t.Any] | None = None) -> None:
        """Write inventory and variables, with ``changes`` to the latter."""
        inventory = self.scenario.inventory(GROUPS)
        inventory["all"]["vars"] |= self.values | dict(changes or {})
        self.operator.write("inventory.yml", inventory)
        site = [
            {
                "name": "Install the application",
                "hosts": "app",
                "tasks": [
                    {
                        "name": "Install the sample service",
                        "ansible.builtin.include_tasks": str(ROOT / "tests" / "sample_service" / "install.yml"),
                        "vars": {
                            "sample_service_folder": str(ROOT / "tests" / "sample_service"),
                            "sample_service_address": "0.0.0.0",
                        },
                    }
                ],
            },
            {"name": "Monitor it", "ansible.builtin.import_playbook": "frugal.cloud.monitoring"},
        ]
        self.operator.write("site.yml", site)

    def play(self, stage: str, *words: str, playbook: str = "site.yml") -> Ran:
        """Run a stage of the site's playbook, or of another."""
        return self.operator.play(playbook, "-e", f"frugal_stage={stage}", *words)

    def query(self, text: str) -> list[dict[str, t.Any]]:
        """Prometheus' answer to an instant query."""
        answer = get(f"{self.address('mon1', 9090)}/api/v1/query", query=text)
        found: list[dict[str, t.Any]] = answer["data"]["result"]
        return found


def healthy_hours(labels: Mapping[str, str], end: float, rate: float, hours: int) -> str:
    """OpenMetrics text of the sample service's series for the hours before ``end``: ``rate`` requests/s of 20 ms.

    Every route's counters go up evenly, so an hour holds ``3600 * rate`` requests of each, all within 25 ms.
    """
    moments = [end - 3600 * hours + step for step in range(0, 3600 * hours + 1, 15)]
    lines = ["# TYPE http_requests counter"]

    def series(name: str, more: Mapping[str, str], share: float) -> None:
        text = ",".join(f'{key}="{value}"' for key, value in sorted({**labels, **more}.items()))
        for moment in moments:
            value = share * rate * (moment - moments[0])
            lines.append(f"{name}{{{text}}} {value:.3f} {moment:.3f}")

    for route in ("/order", "/stock"):
        for code, share in (("200", 1.0), ("500", 0.0)):
            series("http_requests_total", {"service": SERVICE, "code": code, "route": route}, share)
    lines.append("# TYPE http_request_duration_seconds histogram")
    for route in ("/order", "/stock"):
        own = {"service": SERVICE, "route": route}
        for bound in BUCKETS:
            quick = float(bound) >= 0.025
            series("http_request_duration_seconds_bucket", {**own, "le": bound}, 1.0 if quick else 0.0)
        series("http_request_duration_seconds_count", own, 1.0)
        series("http_request_duration_seconds_sum", own, 0.02)
    return "\n".join([*lines, "# EOF", ""])
