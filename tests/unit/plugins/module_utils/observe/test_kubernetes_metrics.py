# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading kube-state-metrics and cAdvisor: selectors, who is where, sentences. A real Prometheus is in tests/e2e."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.observe.kubernetes_metrics import (
    Reader,
    Selection,
    label_name,
)
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus, PrometheusError

START = datetime.datetime(2026, 9, 1, tzinfo=datetime.timezone.utc)
END = START + datetime.timedelta(hours=2)
Labels = dict[str, str]


class Fake(Prometheus):
    """Answers a query by the first metric in it; a value counts for every hour."""

    def __init__(self, **found: list[tuple[Labels, float]]) -> None:
        super().__init__("http://prometheus.example")
        self.found = found
        self.asked: list[str] = []

    def _series(self, query: str) -> list[tuple[Labels, float]]:
        self.asked.append(query)
        if "exported_" in query and "exported" not in self.found:
            return []
        places = [(query.find(metric + "{"), metric) for metric in self.found if metric + "{" in query]
        return self.found[min(places)[1]] if places else []

    def query_range(self, query: str, start: float, end: float, step: int) -> t.Any:
        assert (start, end, step) == (START.timestamp() + 3599, END.timestamp() - 1, 3600)
        return [(labels, [(start, value), (start + step, value)]) for labels, value in self._series(query)]

    def query(self, query: str, at: float) -> t.Any:
        return self._series(query)


POD = {"namespace": "shop", "pod": "web-1"}
MAIN = {**POD, "container": "main"}
GIB = 1024.0**3


def complete(**more: list[tuple[Labels, float]]) -> Fake:
    found: dict[str, list[tuple[Labels, float]]] = {
        "kube_node_status_capacity": [({"node": "n1", "resource": "cpu"}, 1.0)],
        "kube_pod_container_resource_requests": [({**MAIN, "node": "n1", "resource": "memory"}, 2 * GIB)],
        "container_memory_working_set_bytes": [(MAIN, 3 * GIB)],
        "container_cpu_usage_seconds_total": [(MAIN, 0.5)],
        "kube_pod_info": [({**POD, "node": "n1"}, 0.75), ({**POD, "node": "n2"}, 0.25)],
    }
    return Fake(**{**found, **more})


def test_usage_is_where_the_pod_was() -> None:
    first, second = Reader(complete(), Selection()).hours(START, END)
    assert second.start == START + datetime.timedelta(hours=1)
    assert first.containers == {
        ("shop", "web-1", "main", "n1"): {"ram": (2.0, 2.25), "cpu": (0.0, 0.375)},
        ("shop", "web-1", "main", "n2"): {"ram": (0.0, 0.75), "cpu": (0.0, 0.125)},
    }
    assert first.nodes == {"n1": (1.0, {"cpu": 1.0})}


def test_a_pod_that_nobody_places_has_no_node() -> None:
    server = complete(kube_pod_info=[({"namespace": "x", "pod": "y", "node": "n1"}, 1.0)])
    first, _second = Reader(server, Selection()).hours(START, END)
    assert first.containers["shop", "web-1", "main", ""] == {"ram": (0.0, 3.0), "cpu": (0.0, 0.5)}


def test_matchers_are_in_every_selector() -> None:
    server = complete()
    Reader(server, Selection((("cluster", 'bl"ue'),), resolution=300)).hours(START, END)
    assert all(query.count("{") == query.count('{cluster="bl\\"ue"') for query in server.asked)
    assert any("[3600s:300s]) * 300 / 3600" in query for query in server.asked)


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (
            "kube_node_status_capacity",
            "no series of kube_node_status_capacity in this time: kube-state-metrics is not scr",
        ),
        (
            "kube_pod_container_resource_requests",
            "no series of kube_pod_container_resource_requests and kube_pod_status_phase",
        ),
        (
            "container_cpu_usage_seconds_total",
            "container_cpu_usage_seconds_total in this time: the kubelets' cAdvisor is",
        ),
        ("kube_pod_info", "no series of kube_pod_info"),
    ],
)
def test_a_metric_that_is_not_there_is_named(metric: str, sentence: str) -> None:
    with pytest.raises(PrometheusError, match=sentence):
        Reader(complete(**{metric: []}), Selection()).hours(START, END)


def test_labels_that_the_scrape_renamed_are_told() -> None:
    server = Fake(kube_pod_info=[({}, 1.0)], exported=[])
    with pytest.raises(
        PrometheusError, match=r"has kube_pod_info with the label exported_pod: .* with honor_labels: true"
    ):
        Reader(server, Selection()).facts(START, END)


def test_owners_are_those_who_decide() -> None:
    server = Fake(
        kube_pod_info=[
            ({**POD, "created_by_kind": "ReplicaSet", "created_by_name": "web-abc"}, 1.0),
            ({"namespace": "shop", "pod": "x", "created_by_kind": "Job", "created_by_name": "night-1"}, 1.0),
            ({"namespace": "shop", "pod": "y", "created_by_kind": "DaemonSet", "created_by_name": "agent"}, 1.0),
            ({"namespace": "shop", "pod": "z", "created_by_kind": "<none>", "created_by_name": "<none>"}, 1.0),
        ],
        kube_replicaset_owner=[
            ({"namespace": "shop", "replicaset": "web-abc", "owner_kind": "Deployment", "owner_name": "web"}, 1.0)
        ],
        kube_job_owner=[
            ({"namespace": "shop", "job_name": "night-1", "owner_kind": "CronJob", "owner_name": "night"}, 1.0)
        ],
    )
    assert Reader(server, Selection()).facts(START, END).owners == {
        ("shop", "web-1"): ("Deployment", "web"),
        ("shop", "x"): ("CronJob", "night"),
        ("shop", "y"): ("DaemonSet", "agent"),
    }


def test_a_nodes_labels_tell_what_it_is() -> None:
    server = Fake(
        kube_node_info=[({"node": "n1", "provider_id": "aws:///a/i-1"}, 1.0), ({"node": "n2"}, 1.0)],
        kube_node_labels=[
            (
                {
                    "node": "n1",
                    "label_node_kubernetes_io_instance_type": "m5.large",
                    "label_topology_kubernetes_io_region": "eu-west-1",
                    "label_eks_amazonaws_com_capacity_type": "SPOT",
                },
                1.0,
            )
        ],
        kubecost_node_is_spot=[({"node": "n2", "instance": "n2"}, 1.0)],
        node_total_hourly_cost=[({"node": "n2"}, 0.2)],
    )
    facts = Reader(server, Selection()).facts(START, END)
    assert facts.nodes == {
        "n1": {
            "provider_id": "aws:///a/i-1",
            "instance_type": "m5.large",
            "region": "eu-west-1",
            "capacity_type": "spot",
        },
        "n2": {"provider_id": "", "capacity_type": "spot"},
    }
    assert facts.hourly == {"n2": 0.2}


def test_labels_that_are_not_published_are_refused() -> None:
    server = Fake(kube_pod_info=[({**POD, "created_by_kind": "DaemonSet", "created_by_name": "web"}, 1.0)])
    with pytest.raises(PrometheusError, match=r"no label team of a pod or namespace: .*allowlist=pods=\[team\]"):
        Reader(server, Selection(labels=("team",))).facts(START, END)
    server.found["kube_namespace_labels"] = [({"namespace": "shop", "label_team": "a"}, 1.0)]
    server.found["kube_pod_labels"] = [({**POD, "label_app": "web"}, 1.0)]
    assert Reader(server, Selection(labels=("team", "app"))).facts(START, END).labels == {
        ("shop", "web-1"): {"team": "a", "app": "web"}
    }


def test_names_of_labels_are_those_of_kube_state_metrics() -> None:
    assert label_name("app.kubernetes.io/name") == "label_app_kubernetes_io_name"
    assert label_name("costCenter") == "label_cost_center"
