#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workloads of a Kubernetes cluster cost."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_cost_info
short_description: Say what the workloads of a Kubernetes cluster cost
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads costs from the allocation API of OpenCost or Kubecost, or computes them by the OpenCost specification from a
    Prometheus and the nodes' prices. A container is charged for what it requested or used of its node, whichever is
    more; what nobody claimed is idle cost and shown apart. Both add up to what the nodes cost.
  - Where the containers of a node claim more than it has, they share its cost in proportion.
  - With O(bill), nodes cost what the cloud's bill says, Savings Plans, reservations and committed use included.
    OpenCost by itself knows list prices.
  - Costs can be written as rows of FOCUS 1.2 beside those of clouds. Nothing else is changed.
extends_documentation_fragment:
  - frugal.cloud.attributes
  - frugal.cloud.kubernetes_cost
  - frugal.cloud.kubernetes_cost.prices
  - frugal.cloud.kubernetes_cost.dataset
requirements:
  - duckdb >= 1.3.0 and ibis-framework >= 10.0.0, for O(dataset) and O(bill)
seealso:
  - module: frugal.cloud.prometheus_textfile
"""

EXAMPLES = r"""
- name: What did each team's namespace cost yesterday?
  frugal.cloud.k8s_cost_info:
    prometheus:
      url: https://prometheus.example.com
    node_prices:
      - {instance_type: m5.large, capacity_type: spot, hourly: 0.035}
      - {instance_type: m5.large, hourly: 0.096, effective_hourly: 0.068}
      - {instance_type: "c6i.*", hourly: 0.17}
    shared_namespaces: [kube-system, monitoring]
  register: costs

- name: Divide the bill's node costs among workloads, day by day
  frugal.cloud.k8s_cost_info:
    opencost:
      url: http://opencost.opencost:9003
    window: 3d
    bill:
      url: /srv/costs
      sources: [aws-payer]
    dataset: /srv/costs
    source: cluster-blue
    billed_elsewhere: true
    billing_account_id: "{{ payer_account }}"
    provider: AWS
    tag_keys: [{key: team}]

- name: Read what services cost now
  frugal.cloud.k8s_cost_info:
    prometheus:
      url: http://127.0.0.1:9090
    node_prices: [{hourly: 0.096}]
    window: 1h
    metrics_by: label:app
  register: hour

- name: Publish it for alerts and dashboards
  frugal.cloud.prometheus_textfile:
    dest: /var/lib/prometheus/node-exporter/kubernetes_cost.prom
    metrics: "{{ hour.metrics }}"
"""

RETURN = r"""
source:
  description: Where the figures come from, V(opencost) or V(prometheus).
  returned: success
  type: str
  sample: prometheus
window:
  description: The window, and the share of it for which there were data; null with O(opencost), which does not tell.
  returned: success
  type: dict
  sample: {start: "2026-09-01T00:00:00+00:00", end: "2026-09-02T00:00:00+00:00", hours: 24.0, coverage: 1.0}
total:
  description:
    - C(nodes) is what the nodes cost, C(workloads) and C(idle) are what it was divided into, C(idle_share) is C(idle) ÷
      C(nodes). C(others) are volumes, traffic and load balancers, C(cost) is all. C(list_cost) is the same at list
      prices.
  returned: success
  type: dict
  sample:
    currency: USD
    cost: 4.608
    list_cost: 4.608
    nodes: 4.608
    workloads: 3.1
    idle: 1.508
    idle_share: 0.3273
    others: 0.0
nodes:
  description: Nodes, what they cost, and where the price comes from.
  returned: success
  type: list
  elements: dict
  sample:
    - name: node-1
      instance_type: m5.large
      capacity_type: spot
      hours: 24.0
      cost: 0.84
      list_cost: 0.84
      price_from: node_prices
allocations:
  description:
    - Groups by O(aggregate), dearest first. C(cost) is C(own_cost) and C(shared_cost); C(idle_cost) is part of
      C(own_cost). C(efficiency) is what was used of the CPU and memory that it is charged for, weighted by cost.
  returned: success
  type: list
  elements: dict
  sample:
    - group: {namespace: shop}
      cost: 2.1
      own_cost: 1.9
      idle_cost: 0.0
      shared_cost: 0.2
      list_cost: 2.1
      components: {cpu: 1.2, ram: 0.7}
      quantities: {cpu_core_hours: 24.0, ram_gib_hours: 96.0}
      efficiency: 0.42
metrics:
  description:
    - C(frugal_service_cost_usd_per_hour) by C(service) and C(resource), for M(frugal.cloud.prometheus_textfile).
  returned: when O(metrics_by) is set
  type: list
  elements: dict
  sample:
    - name: frugal_service_cost_usd_per_hour
      type: gauge
      help: What a service costs, in US dollars per hour.
      samples: [{labels: {service: shop, resource: cpu}, value: 0.05}]
periods:
  description: Billing periods that were written, with rows and sums before and after.
  returned: when O(dataset) is set
  type: list
  elements: dict
  sample:
    - period: "2026-09"
      currency: USD
      changed: true
      before:
      after: {rows: 42, BilledCost: 4.608, EffectiveCost: 4.608}
warnings:
  description: What is left out and why.
  returned: when there is something to say
  type: list
  elements: str
  sample: ["volumes of storage class gp3 have no price and are left out: set storage_prices"]
"""

import datetime
import itertools
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost import dataset_options, kubernetes, kubernetes_options
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes_focus import kept, rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes_result import metrics, told
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.observe.kubernetes_metrics import Reader
from ansible_collections.frugal.cloud.plugins.module_utils.observe.opencost import OpenCost
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus


def read(params: kubernetes_options.Params, window: kubernetes.Window) -> kubernetes.Costs:
    """All allocations of the window."""
    bill = kubernetes_options.bill_from(params)
    if params["opencost"]:
        server = OpenCost.from_options(params["opencost"])
        return kubernetes.from_opencost(server, window, params["cluster"], bill)
    prices = kubernetes_options.prices_from(params)
    reader = Reader(
        Prometheus.from_options(params["prometheus"], timeout=300), kubernetes_options.selection_from(params)
    )
    return kubernetes.from_prometheus(reader, window, params["cluster"], prices, bill, params["min_coverage"])


def write(params: kubernetes_options.Params, window: kubernetes.Window, costs: kubernetes.Costs, check: bool) -> dict:
    """The window's days in the dataset; others stay as they are."""
    days = (window.start.date(), window.end.date())
    resources = {node.node.name: node.resource for node in costs.nodes}
    new = rows(costs.allocations, kubernetes_options.target_from(params), resources)
    old = kept(Dataset(Path(params["dataset"])), params["source"], *days)
    return dataset_options.write(params, itertools.chain(old, new), check)


def main() -> None:
    """Arguments, one look at the cluster's costs, exit."""
    module = AnsibleModule(
        argument_spec=kubernetes_options.OPTIONS,
        required_one_of=[("opencost", "prometheus")],
        mutually_exclusive=[("opencost", "prometheus")],
        required_by=kubernetes_options.REQUIRED_BY,
        supports_check_mode=True,
    )
    params = module.params
    with failing_clearly(module):
        kubernetes_options.check(params)
        window = kubernetes_options.window_from(params, datetime.datetime.now(datetime.timezone.utc))
        grouping = kubernetes_options.grouping_from(params)
        costs = read(params, window)
        result = {"source": "opencost" if params["opencost"] else "prometheus"}
        result.update(told(costs, window, grouping, params["currency"]))
        if params["metrics_by"]:
            result["metrics"] = metrics(costs, window, params["metrics_by"], grouping)
        for warning in costs.warnings:
            module.warn(warning)
        written = write(params, window, costs, module.check_mode) if params["dataset"] else {"changed": False}
        module.exit_json(**result, **written)


if __name__ == "__main__":
    main()
