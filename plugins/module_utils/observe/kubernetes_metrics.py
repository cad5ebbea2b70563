# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster's nodes had and its containers claimed, from Prometheus: kube-state-metrics and cAdvisor.

Prometheus adds up: each query answers with one point an hour and series. A point looks back over its hour in steps of
the resolution. It is asked for one second before the hour ends, so that versions that count a range's first moment
(before 3.0) and those that do not find the same samples: an hour has 60 of a minute, not 61.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus, Series

INTERVAL = 3600
_GIB = 1024.0**3
#: kube-state-metrics' names of resources, and ours.
_RESOURCES = {"cpu": "cpu", "memory": "ram", "nvidia_com_gpu": "gpu", "amd_com_gpu": "gpu"}
_RESOURCE = f'resource=~"{"|".join(_RESOURCES)}"'
#: A pod's pause container has no name, or this one.
_CONTAINER = ('container!=""', 'container!="POD"', 'pod!=""')
#: Labels of nodes that say that they are spot or preemptible, as kube-state-metrics names them.
_SPOT = {
    "label_karpenter_sh_capacity_type": "spot",
    "label_eks_amazonaws_com_capacity_type": "spot",
    "label_cloud_google_com_gke_spot": "true",
    "label_cloud_google_com_gke_preemptible": "true",
    "label_cloud_google_com_gke_provisioning": "spot",
    "label_kubernetes_azure_com_scalesetpriority": "spot",
}
_INSTANCE_TYPE = ("label_node_kubernetes_io_instance_type", "label_beta_kubernetes_io_instance_type")
_REGION = ("label_topology_kubernetes_io_region", "label_failure_domain_beta_kubernetes_io_region")
_ZONE = ("label_topology_kubernetes_io_zone", "label_failure_domain_beta_kubernetes_io_zone")

Labels: t.TypeAlias = "Mapping[str, str]"


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which series: ``matchers`` are labels that all of them have; ``labels`` of pods and namespaces are read as well.

    :param resolution: seconds between the moments that are looked at; a pod that lives shorter may be missed.
    """

    matchers: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] = ()
    resolution: int = 60

    def of(self, metric: str, *matchers: str) -> str:
        """A selector of PromQL."""
        own = [f'{name}="{_quoted(value)}"' for name, value in self.matchers]
        return f"{metric}{{{','.join([*own, *matchers])}}}"


@dataclasses.dataclass(frozen=True)
class Hour:
    """One hour: amounts × hours by node, container and claim.

    :param seen: share of the hour in which nodes were seen, and in which containers' usage was.
    """

    start: datetime.datetime
    seen: tuple[float, float]
    #: node -> (hours, {cpu, ram, gpu: amount × hours})
    nodes: Mapping[str, tuple[float, Mapping[str, float]]]
    #: (namespace, pod, container, node) -> component -> (requested, used)
    containers: Mapping[tuple[str, str, str, str], Mapping[str, tuple[float, float]]]
    #: (namespace, claim, storage class) -> GiB-hours
    volumes: Mapping[tuple[str, str, str], float]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is true for the whole span: properties of nodes, owners and labels.

    :param hourly: average of ``node_total_hourly_cost``, which OpenCost exports.
    """

    nodes: Mapping[str, Mapping[str, str]]
    hourly: Mapping[str, float]
    #: (namespace, pod) -> (kind, name) of who made it
    owners: Mapping[tuple[str, str], tuple[str, str]]
    #: (namespace, pod) -> labels
    labels: Mapping[tuple[str, str], Mapping[str, str]]


class Reader:
    """Reads one server. ``span`` is at most a day, from a full hour to a full hour."""

    def __init__(self, server: Prometheus, selection: Selection) -> None:
        self.server = server
        self.chosen = selection

    def hours(self, start: datetime.datetime, end: datetime.datetime) -> list[Hour]:
        """The hours of a span. :raises PrometheusError: one sentence; also where a metric is not there at all."""
        of = self.chosen.of
        capacity = of("kube_node_status_capacity", _RESOURCE)
        processors = of("kube_node_status_capacity", 'resource="cpu"')
        requests = of("kube_pod_container_resource_requests", _RESOURCE, 'node!=""')
        running = of("kube_pod_status_phase", 'phase="Running"')
        memory = of("container_memory_working_set_bytes", *_CONTAINER)
        seconds = of("container_cpu_usage_seconds_total", *_CONTAINER)
        info = of("kube_pod_info", 'node!=""')
        claims = of("kube_persistentvolumeclaim_resource_requests_storage_bytes")
        classes = of("kube_persistentvolumeclaim_info")

        nodes = self._needed(
            "kube_node_status_capacity", self._added(f"max by (node, resource) ({capacity})", start, end)
        )
        present = self._added(f"max by (node) ({processors}) * 0 + 1", start, end)
        requested = self._needed(
            "kube_pod_container_resource_requests",
            self._added(
                f"max by (namespace, pod, container, node, resource) ({requests}) * on (namespace, pod) group_left () "
                f"(max by (namespace, pod) ({running}) == 1)",
                start,
                end,
            ),
            "kube_pod_status_phase",
        )
        used_memory = self._needed(
            "container_memory_working_set_bytes",
            self._added(f"max by (namespace, pod, container) ({memory})", start, end),
        )
        # Each start of a container has an id of its own; the same one may be scraped twice.
        used_cpu = self._needed(
            "container_cpu_usage_seconds_total",
            self._range(
                "sum by (namespace, pod, container) (max by (namespace, pod, container, id) "
                f"(increase({seconds}[{INTERVAL}s]))) / {INTERVAL}",
                start,
                end,
            ),
        )
        placed = self._needed("kube_pod_info", self._added(f"max by (namespace, pod, node) ({info})", start, end))
        seen_nodes = self._added(f"max({processors}) * 0 + 1", start, end)
        seen_usage = self._added(f"max({memory}) * 0 + 1", start, end)
        volumes = self._added(
            f"max by (namespace, persistentvolumeclaim) ({claims}) * on (namespace, persistentvolumeclaim) "
            f"group_left (storageclass) max by (namespace, persistentvolumeclaim, storageclass) ({classes} * 0 + 1)",
            start,
            end,
        )

        count = int((end - start).total_seconds()) // INTERVAL
        drafts = [_Draft() for _number in range(count)]
        for labels, place, value in _points(nodes, start, count):
            unit = _GIB if labels.get("resource") == "memory" else 1.0
            drafts[place].capacity(labels["node"], _RESOURCES[labels["resource"]], value / unit)
        for labels, place, value in _points(present, start, count):
            drafts[place].hours[labels["node"]] = value
        for labels, place, value in _points(placed, start, count):
            drafts[place].pods.setdefault((labels["namespace"], labels["pod"]), {})[labels["node"]] = value
        for labels, place, value in _points(requested, start, count):
            unit = _GIB if labels["resource"] == "memory" else 1.0
            drafts[place].request(labels, _RESOURCES[labels["resource"]], value / unit)
        for component, unit, series in (("cpu", 1.0, used_cpu), ("ram", _GIB, used_memory)):
            for labels, place, value in _points(series, start, count):
                drafts[place].use(labels, component, value / unit)
        for labels, place, value in _points(volumes, start, count):
            key = (labels["namespace"], labels["persistentvolumeclaim"], labels.get("storageclass", ""))
            drafts[place].volumes[key] = value / _GIB
        for number, series in enumerate((seen_nodes, seen_usage)):
            for _labels, place, value in _points(series, start, count):
                drafts[place].seen[number] = value
        return [draft.hour(start + datetime.timedelta(seconds=INTERVAL * place)) for place, draft in enumerate(drafts)]

    def facts(self, start: datetime.datetime, end: datetime.datetime) -> Facts:
        """What holds for the span. :raises PrometheusError: one sentence; also where labels are asked for in vain."""
        span = int((end - start).total_seconds())
        at = end.timestamp() - 1

        def last(metric: str, by: str = "") -> list[tuple[Labels, float]]:
            found = f"max_over_time({self.chosen.of(metric)}[{span}s])"
            return self.server.query(f"max by ({by}) ({found})" if by else found, at)

        for metric, label in (("kube_pod_info", "exported_pod"), ("node_total_hourly_cost", "exported_node")):
            renamed = self.chosen.of(metric, f'{label}!=""')
            if self.server.query(f"count({renamed})", at):
                self.server.fail(
                    f"has {metric} with the label {label}: the scrape put labels of its own over those that are meant; "
                    "scrape its exporter with honor_labels: true"
                )
        nodes: dict[str, dict[str, str]] = {}
        for labels, _value in last("kube_node_info"):
            nodes.setdefault(labels.get("node", ""), {})["provider_id"] = labels.get("provider_id", "")
        for labels, _value in last("kube_node_labels"):
            nodes.setdefault(labels.get("node", ""), {}).update(_properties(labels))
        for labels, value in last("kubecost_node_is_spot"):
            name = labels.get("node") or labels.get("instance", "")
            if value >= 1 and name in nodes:
                nodes[name]["capacity_type"] = "spot"
        average = f"avg by (node) (avg_over_time({self.chosen.of('node_total_hourly_cost')}[{span}s]))"
        hourly = {labels.get("node", ""): value for labels, value in self.server.query(average, at)}

        replica_sets = {
            (labels["namespace"], labels["replicaset"]): (labels.get("owner_kind", ""), labels.get("owner_name", ""))
            for labels, _value in last("kube_replicaset_owner", "namespace, replicaset, owner_kind, owner_name")
        }
        jobs = {
            (labels["namespace"], labels["job_name"]): (labels.get("owner_kind", ""), labels.get("owner_name", ""))
            for labels, _value in last("kube_job_owner", "namespace, job_name, owner_kind, owner_name")
        }
        owners: dict[tuple[str, str], tuple[str, str]] = {}
        for labels, _value in last("kube_pod_info", "namespace, pod, created_by_kind, created_by_name"):
            kind, name = labels.get("created_by_kind", ""), labels.get("created_by_name", "")
            above = {"ReplicaSet": replica_sets, "Job": jobs}.get(kind, {}).get((labels["namespace"], name))
            if above and above[1] not in ("", "<none>"):
                kind, name = above
            if name and name != "<none>":
                owners[labels["namespace"], labels["pod"]] = (kind, name)
        return Facts(nodes, hourly, owners, self._labels(last, owners))

    def _labels(
        self, last: t.Callable[..., list[tuple[Labels, float]]], owners: Mapping[tuple[str, str], t.Any]
    ) -> dict[tuple[str, str], dict[str, str]]:
        """Labels of pods, and those of their namespaces where a pod has none of the name."""
        if not self.chosen.labels:
            return {}
        named = {label_name(label): label for label in self.chosen.labels}
        listed = ", ".join(named)
        found: dict[tuple[str, str], dict[str, str]] = {}
        namespaces: dict[str, dict[str, str]] = {}
        for labels, _value in last("kube_namespace_labels", f"namespace, {listed}"):
            namespaces[labels["namespace"]] = _chosen(labels, named)
        for labels, _value in last("kube_pod_labels", f"namespace, pod, {listed}"):
            found[labels["namespace"], labels["pod"]] = _chosen(labels, named)
        answer = {}
        for namespace, pod in {*owners, *found}:
            answer[namespace, pod] = {**namespaces.get(namespace, {}), **found.get((namespace, pod), {})}
        if not any(answer.values()):
            self.server.fail(
                f"has no label {' or '.join(self.chosen.labels)} of a pod or namespace: let kube-state-metrics "
                f"publish it with --metric-labels-allowlist=pods=[{','.join(self.chosen.labels)}]"
            )
        return answer

    def _needed(self, metric: str, series: Sequence[Series], other: str = "") -> Sequence[Series]:
        """:raises PrometheusError: there are none of a metric that nothing can be said without."""
        if not series:
            publisher = "the kubelets' cAdvisor" if metric.startswith("container_") else "kube-state-metrics"
            names = f"{metric} and {other}" if other else metric
            told = "".join(f", {name}={value}" for name, value in self.chosen.matchers)
            self.server.fail(
                f"has no series of {names} in this time{told}: {publisher} is not scraped, or the data "
                "are not kept so long"
            )
        return series

    def _added(self, expression: str, start: datetime.datetime, end: datetime.datetime) -> list[Series]:
        """Values × hours of each hour."""
        step = self.chosen.resolution
        return self._range(f"sum_over_time(({expression})[{INTERVAL}s:{step}s]) * {step} / {INTERVAL}", start, end)

    def _range(self, query: str, start: datetime.datetime, end: datetime.datetime) -> list[Series]:
        return self.server.query_range(query, start.timestamp() + INTERVAL - 1, end.timestamp() - 1, INTERVAL)


class _Draft:
    """An hour in the making."""

    def __init__(self) -> None:
        self.seen = [0.0, 0.0]
        self.hours: dict[str, float] = {}
        self.nodes: dict[str, dict[str, float]] = {}
        self.pods: dict[tuple[str, str], dict[str, float]] = {}
        self.claims: dict[tuple[str, str, str, str], dict[str, list[float]]] = {}
        self.volumes: dict[tuple[str, str, str], float] = {}

    def capacity(self, node: str, component: str, amount: float) -> None:
        entry = self.nodes.setdefault(node, {})
        entry[component] = entry.get(component, 0.0) + amount

    def _claim(self, labels: Labels, node: str, component: str) -> list[float]:
        key = (labels["namespace"], labels["pod"], labels.get("container", ""), node)
        return self.claims.setdefault(key, {}).setdefault(component, [0.0, 0.0])

    def request(self, labels: Labels, component: str, amount: float) -> None:
        self._claim(labels, labels["node"], component)[0] += amount

    def use(self, labels: Labels, component: str, amount: float) -> None:
        """cAdvisor does not say on which node: a pod that was on two in the hour used each for its time there."""
        nodes = self.pods.get((labels["namespace"], labels["pod"]), {})
        total = sum(nodes.values())
        if total <= 0:
            self._claim(labels, "", component)[1] += amount
        for node, hours in nodes.items():
            if hours > 0:
                self._claim(labels, node, component)[1] += amount * hours / total

    def hour(self, start: datetime.datetime) -> Hour:
        return Hour(
            start,
            (min(1.0, self.seen[0]), min(1.0, self.seen[1])),
            {name: (self.hours.get(name, 0.0), amounts) for name, amounts in self.nodes.items()},
            {
                key: {component: (values[0], values[1]) for component, values in claims.items()}
                for key, claims in self.claims.items()
            },
            self.volumes,
        )


def label_name(label: str) -> str:
    """A label of Kubernetes as kube-state-metrics names it: ``label_app_kubernetes_io_name``."""
    snake = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", label).lower()
    return "label_" + re.sub(r"[^a-z0-9_]", "_", snake)


def _chosen(labels: Labels, named: Mapping[str, str]) -> dict[str, str]:
    return {name: labels[key] for key, name in named.items() if labels.get(key)}


def _properties(labels: Labels) -> dict[str, str]:
    """What a node's labels say about it."""
    found = {}
    for name, keys in (("instance_type", _INSTANCE_TYPE), ("region", _REGION), ("zone", _ZONE)):
        value = next((labels[key] for key in keys if labels.get(key)), "")
        if value:
            found[name] = value
    spot = any(labels.get(key, "").lower() == value for key, value in _SPOT.items())
    return {**found, "capacity_type": "spot" if spot else "on-demand"}


def _points(series: Sequence[Series], start: datetime.datetime, count: int) -> Iterator[tuple[Labels, int, float]]:
    """Labels, the place of the hour, and its value."""
    begin = start.timestamp()
    for labels, points in series:
        for moment, value in points:
            place = int(moment + 1 - begin) // INTERVAL - 1
            if 0 <= place < count:
                yield labels, place, value


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
