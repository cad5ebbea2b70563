# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes: nodes and workloads, and what is requested but not used. From kube-state-metrics and cAdvisor."""

from __future__ import annotations

from ansible_collections.frugal.cloud.tests.tools.dashboards.building import (
    RATE,
    Dashboard,
    Query,
    Row,
    Variable,
    figure,
    graph,
    share,
)

_OF = 'namespace=~"$namespace"'
#: cAdvisor: containers themselves, without the pause container and the sums of cgroups above them
_CONTAINER = f'{_OF},container!="",container!="POD"'


def _requested_unused(resource: str, used: str) -> str:
    """What pods requested and did not use, by namespace: never below zero for a pod that uses more."""
    requested = f'sum by (namespace, pod) (kube_pod_container_resource_requests{{{_OF},resource="{resource}"}})'
    return f"sum by (namespace) (clamp_min({requested} - on (namespace, pod) {used}, 0))"


_CPU_USED = f"sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{{{_CONTAINER}}}{RATE}))"
_MEMORY_USED = f"sum by (namespace, pod) (container_memory_working_set_bytes{{{_CONTAINER}}})"

DASHBOARD = Dashboard(
    uid="frugal-kubernetes",
    title="Kubernetes: nodes and workloads",
    description="Whether nodes and workloads are well, how full the cluster is, and what is reserved but not used.",
    tags=["kubernetes"],
    variables=[
        Variable("namespace", "Namespace", "Namespaces with pods.", series="kube_pod_info", of_label="namespace"),
    ],
    rows=[
        Row(
            "Now",
            [
                figure(
                    "Nodes ready",
                    "Nodes that take pods, of all nodes: less than 100 % means that a node is down.",
                    'sum(kube_node_status_condition{condition="Ready",status="true"}) / count(kube_node_info)',
                    unit="percentunit",
                    steps=[1.0, 0.9],
                    width=6,
                ),
                figure(
                    "Processor requested",
                    "Share of the processors of all nodes that pods have reserved. Above 90 %, new pods may not fit.",
                    'sum(kube_pod_container_resource_requests{resource="cpu"}) / '
                    'sum(kube_node_status_allocatable{resource="cpu"})',
                    unit="percentunit",
                    steps=[0.8, 0.9],
                    width=6,
                ),
                figure(
                    "Memory requested",
                    "Share of the memory of all nodes that pods have reserved.",
                    'sum(kube_pod_container_resource_requests{resource="memory"}) / '
                    'sum(kube_node_status_allocatable{resource="memory"})',
                    unit="percentunit",
                    steps=[0.8, 0.9],
                    width=6,
                ),
                figure(
                    "Pods that wait",
                    "Pods that no node has taken yet. They wait for room, a volume or an image.",
                    f'sum(kube_pod_status_phase{{{_OF},phase="Pending"}})',
                    unit="none",
                    steps=[1, 10],
                    width=6,
                ),
            ],
        ),
        Row(
            "Nodes",
            [
                graph(
                    "Processor used by node",
                    "Processors that containers use, of those that the node gives to pods.",
                    [
                        Query(
                            'sum by (node) (rate(container_cpu_usage_seconds_total{container!="",container!="POD"}'
                            f'{RATE})) / on (node) sum by (node) (kube_node_status_allocatable{{resource="cpu"}})',
                            "{{node}}",
                        )
                    ],
                    unit="percentunit",
                    steps=[0.8, 0.9],
                ),
                graph(
                    "Memory used by node",
                    "Memory that containers hold, of what the node gives to pods. At 100 %, pods are evicted.",
                    [
                        Query(
                            'sum by (node) (container_memory_working_set_bytes{container!="",container!="POD"}) / '
                            'on (node) sum by (node) (kube_node_status_allocatable{resource="memory"})',
                            "{{node}}",
                        )
                    ],
                    unit="percentunit",
                    steps=[0.85, 0.95],
                ),
                graph(
                    "Nodes under pressure",
                    "1: the node runs out of memory, disk or process numbers, and evicts pods.",
                    [
                        Query(
                            'sum by (node, condition) (kube_node_status_condition{condition=~".*Pressure",'
                            'status="true"})',
                            "{{node}} {{condition}}",
                        )
                    ],
                    unit="none",
                    steps=[1],
                    maximum=1,
                ),
            ],
        ),
        Row(
            "Workloads",
            [
                graph(
                    "Replicas missing",
                    "Replicas that a deployment wants and that are not available.",
                    [
                        Query(
                            f"kube_deployment_spec_replicas{{{_OF}}} - on (namespace, deployment) "
                            f"kube_deployment_status_replicas_available{{{_OF}}}",
                            "{{namespace}}/{{deployment}}",
                        )
                    ],
                    unit="none",
                    steps=[1],
                ),
                graph(
                    "Restarts",
                    "How often containers started again, in the hour before each point.",
                    [
                        Query(
                            f"sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total{{{_OF}}}"
                            "[1h]))",
                            "{{namespace}}/{{pod}}",
                        )
                    ],
                    unit="none",
                    steps=[1, 5],
                ),
                graph(
                    "Ended for want of memory",
                    "Containers whose last end was the kernel taking their memory: the limit is too low, or they leak.",
                    [
                        Query(
                            "sum by (namespace, pod) (kube_pod_container_status_last_terminated_reason"
                            f'{{{_OF},reason="OOMKilled"}})',
                            "{{namespace}}/{{pod}}",
                        )
                    ],
                    unit="none",
                    steps=[1],
                ),
                graph(
                    "Throttled",
                    "Share of the periods in which a container wanted more processor than its limit. It makes answers "
                    "slow while the node is idle.",
                    [
                        Query(
                            "sum by (namespace, pod) (rate(container_cpu_cfs_throttled_periods_total"
                            f"{{{_CONTAINER}}}{RATE})) / sum by (namespace, pod) "
                            f"(rate(container_cpu_cfs_periods_total{{{_CONTAINER}}}{RATE}))",
                            "{{namespace}}/{{pod}}",
                        )
                    ],
                    unit="percentunit",
                    steps=[0.1, 0.25],
                ),
                graph(
                    "Memory, of its limit",
                    "Memory that pods hold, of their limit. At 100 % the kernel ends them.",
                    [
                        Query(
                            f"{_MEMORY_USED} / on (namespace, pod) sum by (namespace, pod) "
                            f'(kube_pod_container_resource_limits{{{_OF},resource="memory"}})',
                            "{{namespace}}/{{pod}}",
                        )
                    ],
                    unit="percentunit",
                    steps=[0.85, 0.95],
                ),
                share(
                    "Autoscalers, of their maximum",
                    "At 100 %, an autoscaler can add no more replicas, whatever the load.",
                    [
                        Query(
                            f"kube_horizontalpodautoscaler_status_current_replicas{{{_OF}}} / on (namespace, "
                            "horizontalpodautoscaler) kube_horizontalpodautoscaler_spec_max_replicas"
                            f"{{{_OF}}}",
                            "{{namespace}}/{{horizontalpodautoscaler}}",
                        )
                    ],
                    steps=[0.8, 1.0],
                ),
            ],
        ),
        Row(
            "Reserved and not used",
            [
                graph(
                    "Processors reserved and not used",
                    "Processors that pods requested beyond what they use, by namespace. Nodes are paid for them.",
                    [Query(_requested_unused("cpu", _CPU_USED), "{{namespace}}")],
                    unit="none",
                    width=12,
                    stacked=True,
                ),
                graph(
                    "Memory reserved and not used",
                    "Memory that pods requested beyond what they hold, by namespace.",
                    [Query(_requested_unused("memory", _MEMORY_USED), "{{namespace}}")],
                    unit="bytes",
                    width=12,
                    stacked=True,
                ),
            ],
        ),
    ],
)
