# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Costs of a cluster from a real Prometheus with series as kube-state-metrics and cAdvisor publish them, and from a
stand-in of OpenCost's API; the module as Ansible runs it, with a bill and a dataset."""

from __future__ import annotations

import datetime
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import IDLE, CostError, PriceRule
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import write_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes import (
    Costs,
    Prices,
    Window,
    from_prometheus,
)
from ansible_collections.frugal.cloud.plugins.module_utils.host_textfile import render
from ansible_collections.frugal.cloud.plugins.module_utils.observe.kubernetes_metrics import Reader, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus, PrometheusError
from ansible_collections.frugal.cloud.tests.e2e.test_cdn import run
from ansible_collections.frugal.cloud.tests.standins import opencost_api
from ansible_collections.frugal.cloud.tests.tools.kubernetes_series import Machine, Pod, series
from ansible_collections.frugal.cloud.tests.tools.prometheus_server import backfill, installed, serve, together

HOUR = 3600
#: Midnight; the cluster is there from two hours before to the end of the day.
MIDNIGHT = datetime.datetime(2026, 9, 2, tzinfo=datetime.timezone.utc)
START, END = MIDNIGHT.timestamp() - 2 * HOUR, MIDNIGHT.timestamp() + 24 * HOUR
_Dict = dict[str, t.Any]

pytestmark = pytest.mark.skipif(
    not installed(), reason="Prometheus is not installed; on Debian: apt-get install prometheus"
)


def cluster(name: str = "blue", scale: float = 1.0) -> t.Any:
    """Two nodes: one that stays, and a spot node from 00:30 to 02:00."""
    machines = [
        Machine(
            "n1",
            START,
            END,
            2 * scale,
            8,
            "aws:///eu-west-1a/i-0aaa",
            {"label_node_kubernetes_io_instance_type": "m5.large"},
        ),
        Machine(
            "n2",
            START + 2.5 * HOUR,
            START + 4 * HOUR,
            4,
            16,
            "aws:///eu-west-1a/i-0bbb",
            {
                "label_node_kubernetes_io_instance_type": "m5.xlarge",
                "label_eks_amazonaws_com_capacity_type": "SPOT",
            },
        ),
    ]
    pods = [
        Pod(
            *("shop", "web-abc-1", "n1", START, END, (1, 2), (0.5, 3)),
            owner=("ReplicaSet", "web-abc"),
            labels={"label_team": "shop"},
        ),
        Pod("batch", "night-1", "n2", START + 3 * HOUR, START + 4 * HOUR, (3, 4), (1, 1), owner=("Job", "night")),
        Pod(
            "kube-system",
            "dns-x",
            "n1",
            START,
            END,
            (0, 0),
            (0.2, 0.5),
            owner=("DaemonSet", "dns"),
            restart=START + 5400,
        ),
        Pod("shop", "waiting", "", START, END, (8, 8), phase="Pending"),
        Pod("shop", "done", "n1", START, END, (1, 1), phase="Succeeded"),
    ]
    return series(
        machines,
        pods,
        owners={("shop", "web-abc"): ("Deployment", "web")},
        volumes=[("shop", "data", "gp3", 730.0)],
        extra={"cluster": name},
    )


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that watches two clusters. What is gone is gone at once, as after a scrape without it."""
    folder = tmp_path_factory.mktemp("prometheus")
    data = backfill(folder / "blocks", together(cluster(), cluster("green", scale=2)))
    with serve(folder / "server", data, "", "--query.lookback-delta=59s") as server:
        yield server.url


RULES = (PriceRule(0.10, 0.06, instance_type="m5.large"), PriceRule(0.08, capacity_type="spot"))


def costs(url: str, hours: tuple[int, int] = (-2, 2), **more: t.Any) -> Costs:
    window = Window(*(MIDNIGHT + datetime.timedelta(hours=hour) for hour in hours))
    reader = Reader(Prometheus(url), Selection((("cluster", more.pop("name", "blue")),), more.pop("labels", ())))
    prices = Prices(more.pop("rules", RULES), storage={"gp3": 0.08})
    return from_prometheus(reader, window, "blue", prices, None, more.pop("min_coverage", 0.95))


def total(found: Costs, namespace: str, component: str, what: str = "quantity") -> float:
    return sum(
        float(getattr(one, what))
        for one in found.allocations
        if (one.workload.namespace, one.component) == (namespace, component)
    )


def test_costs_add_up_to_the_nodes(prometheus: str) -> None:
    found = costs(prometheus, labels=("team",))
    assert found.coverage == 1
    assert found.warnings == []
    nodes = {node.node.name: node for node in found.nodes}
    assert {name: round(node.hours or 0, 6) for name, node in nodes.items()} == {"n1": 4.0, "n2": 1.5}
    # The first at its effective price, the list price is told; the second at the spot price.
    assert (nodes["n1"].cost, nodes["n1"].list_cost) == (pytest.approx(0.24, abs=1e-9), pytest.approx(0.40, abs=1e-9))
    assert (nodes["n2"].cost, nodes["n2"].node.capacity_type) == (pytest.approx(0.12, abs=1e-9), "spot")
    charged = sum(one.cost for one in found.allocations if one.component != "storage")
    assert charged == pytest.approx(0.36, abs=1e-9)
    assert sum(one.cost for one in found.allocations if one.workload.namespace == IDLE) < charged


def test_containers_are_charged_for_what_they_requested_or_used(prometheus: str) -> None:
    found = costs(prometheus, labels=("team",))
    # 1 core requested, half used; 2 GiB requested, 3 used; each kubelet is scraped twice.
    assert total(found, "shop", "cpu") == pytest.approx(4.0)
    assert total(found, "shop", "cpu", "used") == pytest.approx(2.0, rel=0.02)
    assert total(found, "shop", "ram") == pytest.approx(12.0)
    # Nothing requested; the container began anew half way through an hour.
    assert total(found, "kube-system", "cpu") == pytest.approx(0.8, rel=0.02)
    assert total(found, "kube-system", "ram") == pytest.approx(2.0)
    assert total(found, "batch", "cpu") == pytest.approx(3.0)
    assert total(found, "shop", "storage", "cost") == pytest.approx(730 * 4 / 730 * 0.08)
    who = {one.workload.pod: one.workload for one in found.allocations}
    assert not {"waiting", "done"} & set(who)
    assert (who["web-abc-1"].controller_kind, who["web-abc-1"].controller) == ("Deployment", "web")
    assert who["web-abc-1"].labels == (("team", "shop"),)
    assert who["night-1"].capacity_type == "spot"


def test_the_clusters_of_one_prometheus_are_apart(prometheus: str) -> None:
    found = costs(prometheus, name="green")
    assert total(found, "shop", "cpu") == pytest.approx(4.0)
    assert total(found, IDLE, "cpu") > total(costs(prometheus), IDLE, "cpu") + 7.9


def test_missing_data_and_prices_are_refused(prometheus: str) -> None:
    with pytest.raises(
        CostError, match=r"there are data for 66.7% of the window, min_coverage is 95%; .* 2026-09-01 21:00"
    ):
        costs(prometheus, (-3, 0))
    assert costs(prometheus, (-3, 0), min_coverage=0.6).coverage == pytest.approx(2 / 3)
    with pytest.raises(
        CostError, match=r"1 of 1 nodes have no price: n1 \(m5.large, on-demand\); add them to node_prices"
    ):
        costs(prometheus, rules=RULES[1:])
    with pytest.raises(
        PrometheusError, match="has no series of kube_node_status_capacity in this time, cluster=red: kube-"
    ):
        costs(prometheus, name="red")
    with pytest.raises(PrometheusError, match="has no label app of a pod or namespace"):
        costs(prometheus, labels=("app",))


def bill(folder: Path) -> None:
    """What AWS charges for the first node on the day: less than by list."""
    row = {
        "BilledCost": 0.0,
        "EffectiveCost": 1.2,
        "ListCost": 2.4,
        "BillingAccountId": "123456789012",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-09-01",
        "ChargePeriodStart": "2026-09-02",
        "ChargePeriodEnd": "2026-09-03",
        "ChargeCategory": "Usage",
        "ProviderName": "AWS",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "ResourceId": "arn:aws:ec2:eu-west-1:123456789012:instance/i-0aaa",
        "PricingUnit": "Hrs",
        "PricingQuantity": 24.0,
    }
    write_rows(Dataset(folder), "payer", [row])


def sums(folder: Path) -> dict[str, float]:
    """EffectiveCost by source."""
    query = (
        "SELECT parse_filename(filename, true), round(sum(EffectiveCost), 6) "
        "FROM read_parquet(?, filename = true) GROUP BY 1"
    )
    return dict(deps.duckdb.connect().execute(query, [f"{folder}/*/*.parquet"]).fetchall())


def test_the_module_with_prometheus(prometheus: str, tmp_path: Path) -> None:
    bill(tmp_path)
    wanted: _Dict = {
        "prometheus": {"url": prometheus, "matchers": {"cluster": "blue"}},
        "cluster": "blue",
        "start": "2026-09-02T00:00:00Z",
        "end": "2026-09-03T00:00:00Z",
        "aggregate": ["namespace", "label:team"],
        "shared_namespaces": ["kube-*"],
        "node_prices": [{"hourly": 0.08}],
        "storage_prices": {"gp3": 0.08},
        "bill": {"url": str(tmp_path), "sources": ["payer"]},
        "metrics_by": "controller",
        "dataset": str(tmp_path),
        "source": "blue",
        "billed_elsewhere": True,
        "billing_account_id": "123456789012",
        "provider": "AWS",
        "tag_keys": [{"key": "team"}],
    }
    predicted, _output = run("k8s_cost_info", wanted, "--check", "--diff")
    assert predicted["changed"]
    assert sums(tmp_path) == {"payer": 1.2}
    done, output = run("k8s_cost_info", wanted)
    assert done["periods"] == predicted["periods"]
    assert {node["name"]: (node["cost"], node["list_cost"], node["price_from"]) for node in done["nodes"]} == {
        "n1": (1.2, 2.4, "bill"),
        "n2": (0.12, 0.12, "node_prices"),
    }
    assert "the bill has no cost of n2: their prices are from elsewhere" in " ".join(output.split())
    assert done["total"]["nodes"] == pytest.approx(1.32)
    assert done["total"]["workloads"] + done["total"]["idle"] == pytest.approx(1.32)
    assert sum(one["cost"] for one in done["allocations"]) == pytest.approx(done["total"]["cost"], abs=1e-5)
    assert {one["group"]["namespace"] for one in done["allocations"]} == {"shop", "batch", IDLE}
    # What the rows add is taken out of the nodes: totals stay what the bill says.
    assert sums(tmp_path) == {"payer": 1.2, "blue": 0.0}
    again, _output = run("k8s_cost_info", wanted)
    assert (again["changed"], again["allocations"]) == (False, done["allocations"])
    text = render(done["metrics"])
    assert 'frugal_service_cost_usd_per_hour{resource="cpu",service="web"}' in text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_module_with_opencost(tmp_path: Path) -> None:
    bill(tmp_path)
    served = opencost_api.Cluster(
        "blue",
        [opencost_api.Machine("n1", "i-0aaa", 2, 8), opencost_api.Machine("n2", "i-0bbb", 2, 8)],
        [opencost_api.Container("n1", "shop", "web", "web-1", (1, 2), (0.5, 3), {"team": "shop"}, network=0.01)],
    )
    node = 24 * (2 * 0.031611 + 8 * 0.004237)
    with opencost_api.opencost(served) as url:
        wanted: _Dict = {
            "opencost": {"url": url},
            "start": "2026-09-02",
            "end": "2026-09-03",
            "dataset": str(tmp_path),
            "billed_elsewhere": False,
            "billing_account_id": "on-premises",
        }
        listed, _output = run("k8s_cost_info", wanted)
        assert listed["total"]["nodes"] == pytest.approx(2 * node, abs=1e-3)
        assert listed["total"]["others"] == pytest.approx(0.24)
        assert sums(tmp_path) == {"payer": 1.2, "kubernetes": pytest.approx(2 * node + 0.24, abs=1e-3)}
        # With the bill the first node costs what it says, its list cost stays.
        real, _output = run("k8s_cost_info", {**wanted, "dataset": None, "bill": {"url": str(tmp_path)}})
        assert real["total"]["nodes"] == pytest.approx(1.2 + node, abs=1e-3)
        assert real["total"]["list_cost"] == pytest.approx(2 * node + 0.24, abs=1e-3)
        assert [entry["price_from"] for entry in real["nodes"]] == ["bill", "opencost"]
        served.until = MIDNIGHT
        refused, _output = run("k8s_cost_info", wanted)
        assert "has no allocations for 2026-09-02 00:00 to 00:00: its Prometheus has no data of it" in refused["msg"]
    secret = {"url": "http://127.0.0.1:9", "username": "reader", "password": "monday-cow-11"}
    refused, output = run("k8s_cost_info", {"opencost": secret})
    assert refused["msg"].startswith("OpenCost at http://127.0.0.1:9 cannot be read")
    assert "monday-cow-11" not in output
