# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series as kube-state-metrics and the kubelets' cAdvisor publish them, for a cluster that a test describes.

Names and labels are those of kube-state-metrics 2 and cAdvisor; a sample a minute, so that an hour has 60.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.tests.tools.prometheus_server import Families

STEP = 60.0
GIB = 1024.0**3


@dataclasses.dataclass(frozen=True)
class Machine:
    """A node from ``start`` to ``end`` (epoch seconds)."""

    name: str
    start: float
    end: float
    cores: float
    memory: float
    provider_id: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    gpus: float = 0.0


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod of one container; amounts in cores and GiB. ``restart`` is when its container began anew."""

    namespace: str
    name: str
    node: str
    start: float
    end: float
    request: tuple[float, float] = (0.0, 0.0)
    used: tuple[float, float] = (0.0, 0.0)
    phase: str = "Running"
    owner: tuple[str, str] = ("", "")
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    gpus: float = 0.0
    restart: float | None = None


class Series:
    """Collects samples by metric and labels."""

    def __init__(self) -> None:
        self.families: dict[str, list[tuple[Mapping[str, str], list[tuple[float, float]]]]] = {}

    def add(
        self,
        metric: str,
        labels: Mapping[str, str],
        start: float,
        end: float,
        value: float | t.Callable[[float], float],
    ) -> None:
        """Samples every minute from ``start`` up to, and without, ``end``."""
        moments = [start + STEP * number for number in range(int((end - start) / STEP))]
        points = [(at, float(value(at) if callable(value) else value)) for at in moments]
        self.families.setdefault(metric, []).append((labels, points))


def series(
    machines: t.Sequence[Machine],
    pods: t.Sequence[Pod],
    *,
    owners: Mapping[tuple[str, str], tuple[str, str]] | None = None,
    volumes: t.Sequence[tuple[str, str, str, float]] = (),
    extra: Mapping[str, str] | None = None,
) -> Families:
    """All series of a cluster.

    :param owners: (namespace, ReplicaSet) -> (kind, name) of its owner.
    :param volumes: (namespace, claim, storage class, GiB), as long as the first machine is there.
    :param extra: labels of all series, such as the cluster.
    """
    found = Series()
    common = dict(extra or {})
    for machine in machines:
        here = {**common, "job": "kube-state-metrics", "node": machine.name}
        span = (machine.start, machine.end)
        amounts = {
            ("cpu", "core"): machine.cores,
            ("memory", "byte"): machine.memory * GIB,
            ("pods", "integer"): 110.0,
            **({("nvidia_com_gpu", "integer"): machine.gpus} if machine.gpus else {}),
        }
        for (resource, unit), amount in amounts.items():
            found.add("kube_node_status_capacity", {**here, "resource": resource, "unit": unit}, *span, amount)
        found.add("kube_node_info", {**here, "provider_id": machine.provider_id}, *span, 1)
        if machine.labels:
            found.add("kube_node_labels", {**here, **machine.labels}, *span, 1)
    for pod in pods:
        _pod(found, pod, common)
    first = machines[0]
    for namespace, claim, storage_class, size in volumes:
        labels = {**common, "namespace": namespace, "persistentvolumeclaim": claim}
        span = (first.start, first.end)
        found.add("kube_persistentvolumeclaim_resource_requests_storage_bytes", labels, *span, size * GIB)
        more = {"storageclass": storage_class, "volumename": f"pv-{claim}"}
        found.add("kube_persistentvolumeclaim_info", {**labels, **more}, *span, 1)
    for (namespace, name), (kind, owner) in (owners or {}).items():
        labels = {**common, "namespace": namespace, "replicaset": name, "owner_kind": kind, "owner_name": owner}
        found.add("kube_replicaset_owner", labels, first.start, first.end, 1)
    return found.families


def _pod(found: Series, pod: Pod, common: Mapping[str, str]) -> None:
    who = {**common, "namespace": pod.namespace, "pod": pod.name}
    kube = {**who, "job": "kube-state-metrics", "uid": f"uid-{pod.name}"}
    span = (pod.start, pod.end)
    kind, owner = pod.owner if pod.owner[0] else ("<none>", "<none>")
    found.add("kube_pod_info", {**kube, "node": pod.node, "created_by_kind": kind, "created_by_name": owner}, *span, 1)
    for phase in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
        found.add("kube_pod_status_phase", {**kube, "phase": phase}, *span, float(phase == pod.phase))
    if pod.labels:
        found.add("kube_pod_labels", {**kube, **pod.labels}, *span, 1)
    requests = {("cpu", "core"): pod.request[0], ("memory", "byte"): pod.request[1] * GIB}
    if pod.gpus:
        requests["nvidia_com_gpu", "integer"] = pod.gpus
    for (resource, unit), amount in requests.items():
        if amount:
            labels = {**kube, "container": "main", "node": pod.node, "resource": resource, "unit": unit}
            found.add("kube_pod_container_resource_requests", labels, *span, amount)
    if pod.phase != "Running":
        return
    starts = [pod.start] if pod.restart is None else [pod.start, pod.restart]
    for number, begin in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else pod.end
        scope = f"/kubepods/{pod.name}/{number}"
        labels = {**who, "container": "main", "id": scope, "image": "shop:1", "name": scope[-8:], "cpu": "total"}

        def seconds(at: float, begin: float = begin) -> float:
            return pod.used[0] * (at - begin)

        # Two jobs scrape the same kubelet: that happens, and must not count twice.
        for job in ("kubelet", "kubernetes-cadvisor"):
            found.add("container_cpu_usage_seconds_total", {**labels, "job": job}, begin, end, seconds)
            memory = {name: value for name, value in labels.items() if name != "cpu"}
            found.add("container_memory_working_set_bytes", {**memory, "job": job}, begin, end, pod.used[1] * GIB)
        # The pause container and the pod's own sum have no container of a name.
        pause = {**who, "container": "", "id": f"/kubepods/{pod.name}", "job": "kubelet"}
        found.add("container_memory_working_set_bytes", pause, begin, end, (pod.used[1] + 1) * GIB)
