# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts start playbooks: a real Alertmanager tells ansible-rulebook, which runs the collection's rulebook for real.

The cloud is simulated, Prometheus holds an SLO that burns while a rightsizing soaks: the alert has to end in a
rollback.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
import socket
import subprocess
import time
import typing as t
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.frugal.cloud.tests.e2e.loop import BIN, NOW, Loop, estate, kill_tree, machines
from ansible_collections.frugal.cloud.tests.tools import environment
from ansible_collections.frugal.cloud.tests.tools.prometheus_server import backfill, installed, serve, slo_series

TOKEN = "the-token-of-the-webhook"
HOUR = 3600.0
T0 = datetime.datetime.fromisoformat(NOW).timestamp()
STARTS = 180.0
RUNS = 240.0

pytestmark = pytest.mark.skipif(
    not installed() or shutil.which("prometheus-alertmanager") is None or shutil.which("java") is None,
    reason="Prometheus, Alertmanager or Java is not installed: python tests/tools/environment.py system",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: Callable[[], t.Any], seconds: float, why: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, why()
        time.sleep(0.3)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclasses.dataclass
class Alerting:
    """A running Alertmanager and a running ansible-rulebook, and the operator whose playbooks it runs."""

    loop: Loop
    before: dict[str, str]
    url: str
    webhook: str
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def runs(self, stage: str) -> int:
        """How many playbooks have ended that carried out ``stage``."""
        plays = self.log().split("PLAY [Rightsize EC2 instances]")[1:]
        return sum(f"Carry out the stage {stage}]" in play and "PLAY RECAP" in play for play in plays)

    def fire(self, *alerts: dict[str, str]) -> None:
        """Hand alerts to Alertmanager's API, as Prometheus does."""
        body = json.dumps([{"labels": labels, "annotations": {"summary": "a test"}} for labels in alerts]).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200


@pytest.fixture(scope="module")
def alerting(make_loop: Callable[..., Loop], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerting]:
    folder = tmp_path_factory.mktemp("eda")
    minutes = [T0 - 2 * HOUR + 60 * number for number in range(14 * 60)]
    labels = {"slo": "outage", "service": "shop"}
    data = backfill(folder / "series", slo_series(labels, minutes, lambda at: 30.0 if at >= T0 + 8 * HOUR else 0.2))
    started: list[subprocess.Popen[bytes]] = []
    with serve(folder / "prometheus", data) as prometheus:
        loop = make_loop(estate([machines("web", 2)]))
        loop.variables["frugal_policy"] = {
            "approval": [{"name": "everything", "automatic": True}],
            "slos": [{"name": "outage"}],
            "verification": {"soak_hours": 24, "rollback": "automatic", "checks": ["slo", "instance_health"]},
        }
        loop.variables["frugal_slo_prometheus"] = {"url": prometheus.url}
        loop.recommend()
        before = loop.types()
        loop.good("rightsizing", frugal_stage="apply")
        assert set(loop.statuses().values()) == {"applied"}
        assert loop.types() != before
        # eight hours later the SLO burns, and the changes still soak
        loop.advance(9)
        try:
            port = free_port()
            log_file = folder / "rulebook.log"
            started.append(start_rulebook(loop, folder, port, log_file))
            url = start_alertmanager(folder, f"http://127.0.0.1:{port}/alerts", started)
            running = Alerting(loop, before, url, f"http://127.0.0.1:{port}/alerts", log_file)
            wait_until(lambda: listens(port), STARTS, running.log)
            yield running
        finally:
            for process in started:
                kill_tree(process.pid)
                process.wait(30)


def start_rulebook(loop: Loop, folder: Path, port: int, log_file: Path) -> subprocess.Popen[bytes]:
    """ansible-rulebook with the collection's rulebook, as the guide tells operators to start it."""
    variables = {"frugal_as_of": loop.now, "rightsizing_wait_sleep": 0.2, **loop.variables}
    host = {"ansible_connection": "local", "ansible_python_interpreter": str(BIN / "python"), **variables}
    inventory = folder / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": host}}}), encoding="utf-8")
    eda = environment.virtual_environment("eda")
    environ = {**loop.environment(), "FRUGAL_EDA_TOKEN": TOKEN, "FRUGAL_EDA_PORT": str(port)}
    command = [
        str(eda / "bin" / "ansible-rulebook"),
        "--rulebook",
        "frugal.cloud.alerts",
        "--inventory",
        str(inventory),
    ]
    command += ["--env-vars", "FRUGAL_EDA_TOKEN,FRUGAL_EDA_PORT", "--print-events", "-v"]
    with log_file.open("wb") as output:
        return subprocess.Popen(
            command, env=environ, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def start_alertmanager(folder: Path, webhook: str, started: list[subprocess.Popen[bytes]]) -> str:
    """Alertmanager with the configuration of the guide; its groups are told at once. Returns its address."""
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    authorization = {"credentials_file": str(folder / "token")}
    receiver = {"url": webhook, "send_resolved": False, "http_config": {"authorization": authorization}}
    configuration = {
        "route": {
            "receiver": "frugal.cloud",
            "group_by": ["alertname"],
            "group_wait": "1s",
            "group_interval": "2s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "frugal.cloud", "webhook_configs": [receiver]}],
    }
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    subprocess.run(["amtool", "check-config", str(folder / "alertmanager.yml")], check=True, capture_output=True)
    port = free_port()
    command = [
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    log = folder / "alertmanager.log"
    with log.open("wb") as output:
        started.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True))
    wait_until(lambda: listens(port), 60, lambda: log.read_text(encoding="utf-8"))
    return f"http://127.0.0.1:{port}"


def post(url: str, authorization: str) -> int:
    """Status of a webhook's answer to a forged alert."""
    alert = {"status": "firing", "labels": {"alertname": "SLOErrorBudgetBurnPage"}}
    headers = {"Content-Type": "application/json", **({"Authorization": authorization} if authorization else {})}
    request = urllib.request.Request(url, json.dumps({"alerts": [alert]}).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def test_alerts_of_strangers_are_refused(alerting: Alerting) -> None:
    assert post(alerting.webhook, "") == 401
    assert post(alerting.webhook, "Bearer guessed") == 401
    assert "received event" not in alerting.log()


def test_other_alerts_start_nothing(alerting: Alerting) -> None:
    alerting.fire({"alertname": "TargetDown", "instance": "web1:9100"})
    wait_until(lambda: "'alertname': 'TargetDown'" in alerting.log(), 60, alerting.log)
    assert "PLAY [" not in alerting.log()


def test_a_burning_slo_rolls_back_what_soaks_once_for_a_storm(alerting: Alerting) -> None:
    trace = alerting.log_file.parent / "carried-out"
    storm = [{"alertname": "SLOErrorBudgetBurnPage", "service": f"service-{n}", "severity": "page"} for n in range(20)]
    # labels come from the programs that are watched: a template in one is text
    storm.append({**storm[0], "service": "{{ lookup('ansible.builtin.pipe', 'touch " + str(trace) + "') }}"})
    alerting.fire(*storm, {"alertname": "HostCPUSaturated", "instance": "web1:9100"})
    wait_until(lambda: alerting.runs("verify") >= 1, RUNS, alerting.log)
    assert set(alerting.loop.statuses().values()) == {"rolled_back"}, alerting.log()
    assert alerting.loop.types() == alerting.before
    assert not trace.exists()

    # more of the storm, after the run: still within the ten minutes
    alerting.fire({"alertname": "SLOErrorBudgetBurnPage", "service": "late", "severity": "page"})
    wait_until(lambda: "'service': 'late'" in alerting.log(), 60, alerting.log)
    time.sleep(3)
    assert alerting.log().count("PLAY [") == 1
    assert TOKEN not in alerting.log()


def test_a_cost_spike_makes_a_new_plan_and_changes_nothing(alerting: Alerting) -> None:
    changes = alerting.loop.changes()
    subprocess.run(
        [
            "amtool",
            f"--alertmanager.url={alerting.url}",
            "alert",
            "add",
            "CostSpike",
            "service=shop",
            "severity=ticket",
        ],
        check=True,
        capture_output=True,
    )
    wait_until(lambda: alerting.runs("recommend") >= 1, RUNS, alerting.log)
    play = alerting.log().split("PLAY [Rightsize EC2 instances]")[-1]
    assert "Judge the findings by policy and keep them as one plan" in play
    assert "failed=0" in play, play
    assert alerting.loop.changes() == changes
