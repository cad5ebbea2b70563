# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook ``monitoring`` on two fresh hosts, from nothing to an alert about a service that became slow.

The tests of this file are the chapters of one story and run in their order.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from ansible_collections.frugal.cloud.tests.e2e import monitoring_site
from ansible_collections.frugal.cloud.tests.e2e.monitoring_site import (
    EVALUATION_INTERVAL,
    GROUP_WAIT,
    SCRAPE_INTERVAL,
    SERVICE,
    SLO,
    Load,
    Site,
    Webhook,
    get,
    healthy_hours,
    wait,
)
from ansible_collections.frugal.cloud.tests.hosts import machine, packages, scenario
from ansible_collections.frugal.cloud.tests.hosts.playbooks import Operator, Ran

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="test hosts need root")

#: requests a second, in the backfilled hour and in the test
RATE = 10.0
DELAY_SECONDS = 0.5
#: as much as the longest window of a page: with less behind it, its other condition (6 h, 30 min) would fire sooner
HEALTHY_HOURS = 7
#: what the issue allows between the first slow request and the notification
LATEST_ALERT_SECONDS = 90.0
UNITS = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "jaeger", "otel-collector")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two fresh hosts, an inventory and a webhook; nothing is installed yet."""
    monitoring_site.tool("go_binaries.py", "jaeger", "otelcol")
    monitoring_site.tool("host_downloads.py", "wheels")
    key = f"e2e-monitoring-{os.getpid()}"
    hosts = scenario.up(["mon1", "app1"], key, machine.process(os.getpid()))
    try:
        webhook = Webhook(hosts.network.gateway)
        made = Site(hosts, Operator(tmp_path_factory.mktemp("monitoring")), webhook)
        made.values = monitoring_site.variables(hosts, packages.files(), webhook.port)
        made.write()
        yield made
        webhook.stop()
    finally:
        scenario.down(key)


def succeeded(site: Site, stage: str, *words: str) -> Ran:
    """Run a stage that has to succeed."""
    done = site.play(stage, *words)
    assert done.code == 0, done.output[-8000:]
    return done


def test_a_look_and_a_prediction_change_nothing(site: Site) -> None:
    assert "mon1 gets exporter, jaeger, otel_collector, alertmanager, prometheus" in succeeded(site, "recommend").output
    predicted = succeeded(site, "apply", "--check", "--diff")
    assert len(predicted.changes) > 10
    assert "+      - job_name" in predicted.output or "+  - job_name" in predicted.output
    for host in site.scenario.hosts:
        found = host.run(
            "systemctl", "list-unit-files", "--no-legend", *(f"{unit}.service" for unit in UNITS), check=False
        )
        assert found.strip() == "", found
    assert "No such file" in site.scenario["mon1"].run("sh", "-c", "ls /etc/prometheus 2>&1", check=False)


def test_one_playbook_brings_everything_up(site: Site) -> None:
    succeeded(site, "apply")
    succeeded(site, "verify")
    jobs = {
        target["labels"]["job"]: target["health"]
        for target in get(f"{site.address('mon1', 9090)}/api/v1/targets")["data"]["activeTargets"]
    }
    assert jobs == dict.fromkeys(("prometheus", "alertmanager", "node", "jaeger", "otel_collector", SERVICE), "up")


def test_a_second_run_changes_nothing(site: Site) -> None:
    assert succeeded(site, "apply").changes == []
    assert succeeded(site, "recommend").changes == []


def test_a_requests_trace_is_in_jaeger(site: Site) -> None:
    request = urllib.request.Request(
        f"{site.address('app1', 8000)}/order", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    )
    urllib.request.urlopen(request, timeout=10).read()
    query = f"{site.address('mon1', 16686)}/api/traces/{'ab' * 16}"

    def names() -> set[str] | None:
        spans = {span["operationName"] for trace in get(query)["data"] for span in trace["spans"]}
        return spans if any("stock" in name for name in spans) and any("order" in name for name in spans) else None

    assert wait("the trace in Jaeger", names, 30)


def test_a_slow_service_alerts_in_time(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    host = site.scenario["mon1"]
    app = site.scenario["app1"].address
    labels = {"job": SERVICE, "instance": f"{app}:8000", "host": "app1"}
    load = Load(f"{site.address('app1', 8000)}/order", RATE)
    try:
        # A fresh Prometheus would flatter: with health behind it, the windows have to be filled.
        host.run("systemctl", "stop", "prometheus")
        host.run("sh", "-c", "rm -rf /var/lib/prometheus/metrics/*")
        text = site.operator.folder / "healthy.txt"
        text.write_text(healthy_hours(labels, time.time() - SCRAPE_INTERVAL, RATE, HEALTHY_HOURS))
        with text.open() as content:
            subprocess.run(host.command(["sh", "-c", "cat > /tmp/healthy.txt"]), stdin=content, check=True)
        host.run(
            *(
                "promtool",
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                "/tmp/healthy.txt",
                "/var/lib/prometheus/metrics",
            )
        )
        host.run("chown", "-R", "prometheus:prometheus", "/var/lib/prometheus/metrics")
        host.run("systemctl", "start", "prometheus")
        selector = f'{{slo="{SLO["name"]}"}}'
        wait("a recorded hour", lambda: site.query(f"slo:sli_error:ratio_rate1h{selector}"), 60)
        hour = site.query(f'sum(increase(http_request_duration_seconds_count{{service="{SERVICE}"}}[1h]))')
        assert float(hour[0]["value"][1]) > 0.9 * 2 * 3600 * RATE
        assert site.query(f"slo:current_burn_rate:ratio{selector} > 1") == []
        assert site.webhook.firing("SLOErrorBudgetBurnPage") is None
        injected = time.time()
        body = json.dumps({"delay_seconds": DELAY_SECONDS}).encode()
        urllib.request.urlopen(f"{site.address('app1', 8000)}/fault", data=body, timeout=10).read()
        notified = wait(
            "the notification", lambda: site.webhook.firing("SLOErrorBudgetBurnPage"), LATEST_ALERT_SECONDS + 30
        )
    finally:
        urllib.request.urlopen(f"{site.address('app1', 8000)}/fault", data=b"{}", timeout=10).read()
        load.stop()
    took = notified - injected
    with capsys.disabled():
        print(
            f"\n{took:.0f} s from the first slow request to the webhook; the arithmetic's floor is "
            f"{14.4 * (1 - SLO['objective'] / 100) * 3600:.0f} s, scrape {SCRAPE_INTERVAL} s, evaluation "
            f"{EVALUATION_INTERVAL} s, group_wait {GROUP_WAIT} s"
        )
    assert took < LATEST_ALERT_SECONDS
    assert load.failed == 0


def test_a_broken_configuration_is_refused_and_the_old_one_serves(site: Site) -> None:
    before = site.scenario["mon1"].run("sh", "-c", "cat /etc/prometheus/prometheus.yml /etc/prometheus/rules/*")
    site.write(
        {"prometheus_rule_files": {"mine": {"groups": [{"name": "g", "rules": [{"record": "a", "expr": "sum("}]}]}}}
    )
    done = site.play("apply", "--tags", "prometheus_configure")
    site.write()
    assert done.code != 0
    assert "could not parse expression" in done.output, done.output[-3000:]
    assert "Traceback" not in done.output
    after = site.scenario["mon1"].run("sh", "-c", "cat /etc/prometheus/prometheus.yml /etc/prometheus/rules/*")
    assert after == before
    assert site.query("up")
    assert succeeded(site, "apply", "--tags", "prometheus_configure").changes == []


def test_an_apply_is_taken_back(site: Site) -> None:
    everything = (
        "sh",
        "-c",
        "cat /etc/prometheus/prometheus.yml /etc/prometheus/rules/* /etc/prometheus/secrets/* 2>&1",
    )
    before = site.scenario["mon1"].run(*everything, check=False)
    site.write({"prometheus_external_labels": {"site": "wrong"}, "prometheus_secret_files": {"token": "hunter2-token"}})
    succeeded(site, "apply", "--tags", "prometheus_configure")
    site.write()
    changed = site.scenario["mon1"].run(*everything, check=False)
    assert "site: wrong" in changed
    monitoring = "frugal.cloud.monitoring"
    predicted = site.play("rollback", "--check", "--diff", playbook=monitoring)
    assert "-    site: wrong" in predicted.output, predicted.output[-3000:]
    assert "prometheus.service: would go back to before" in predicted.output
    assert site.scenario["mon1"].run(*everything, check=False) == changed
    done = site.play("rollback", "--diff", playbook=monitoring)
    assert done.code == 0, done.output[-3000:]
    assert "prometheus.service: went back to before" in done.output
    assert "otel-collector.service: skipped, the last apply did not change it" in done.output
    assert f"{SERVICE}.service: skipped, the last apply did not change it" in done.output
    assert "hunter2" not in predicted.output + done.output
    assert site.scenario["mon1"].run(*everything, check=False) == before
    assert site.query("up")
    again = site.play("rollback", playbook=monitoring)
    assert "prometheus.service: skipped, it went back already" in again.output
    assert again.changes == []


def test_an_unreachable_target_is_named(site: Site) -> None:
    site.scenario["app1"].run("systemctl", "stop", f"{SERVICE}.service")
    # the site's own playbook would start it again
    done = site.play("verify", "-e", "monitoring_wait_timeout=10", playbook="frugal.cloud.monitoring")
    site.scenario["app1"].run("systemctl", "start", f"{SERVICE}.service")
    assert done.code != 0
    assert f"cannot scrape {SERVICE} at {site.address('app1', 8000)}/metrics" in done.output, done.output[-3000:]


def test_traces_are_analysed_and_drawn(site: Site) -> None:
    succeeded(
        site,
        "recommend",
        "-e",
        "{monitoring_analyze_traces: true}",
        "-e",
        f"report_directory={site.operator.folder}/reports",
    )
    page = (site.operator.folder / "reports" / "report-traces.html").read_text()
    assert "stock" in page
    assert "order" in page


def test_hosts_that_cannot_reach_each_other_are_told_of(site: Site) -> None:
    done = site.play("apply", "--tags", "nothing", "-e", "monitoring_listen_address=127.0.0.1")
    assert done.code != 0
    assert "monitoring_listen_address is 127.0.0.1 and the inventory puts components on several hosts" in done.output
