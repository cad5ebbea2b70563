# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options in ``module_utils/cost/kubernetes_options.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """``DOCUMENTATION`` has where figures come from and what is asked, ``PRICES`` prices, ``DATASET`` where rows go."""

    DOCUMENTATION = r"""
options:
  opencost:
    description:
      - The allocation API of OpenCost or Kubecost. Idle cost is asked for by node.
      - Either this or O(prometheus) is needed.
    type: dict
    suboptions:
      url:
        description: Its address, such as V(http://opencost.opencost:9003); that of a Kubecost ends in C(/model).
        type: str
        required: true
      username:
        description: User for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
      bearer_token:
        description: Token to send as bearer.
        type: str
      validate_certs:
        description: Whether its TLS certificate is checked.
        type: bool
        default: true
  prometheus:
    description:
      - A Prometheus that scrapes kube-state-metrics and the kubelets' cAdvisor. Costs are computed from it and the
        nodes' prices.
    type: dict
    suboptions:
      url:
        description: Its address, such as V(https://prometheus.example.com).
        type: str
        required: true
      username:
        description: User for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
      bearer_token:
        description: Token to send as bearer.
        type: str
      validate_certs:
        description: Whether its TLS certificate is checked.
        type: bool
        default: true
      matchers:
        description: Labels that all series of the cluster have, with their values, where it watches several clusters.
        type: dict
        default: {}
      resolution:
        description:
          - Time between the moments that are looked at. What lives shorter may be missed; longer steps make queries
            cheaper.
        type: str
        default: 1m
  cluster:
    description: Name of the cluster in results and rows. OpenCost's own name counts where it has one.
    type: str
    default: default-cluster
  start:
    description:
      - Begin of the window (ISO 8601, UTC unless it says otherwise), a full hour. O(window) before O(end) by default.
    type: str
  end:
    description:
      - End of the window. The last full hour by default; the last midnight (UTC) with O(dataset) or O(bill), which take
        full days.
    type: str
  window:
    description: How long the window is where O(start) is not set, such as V(1h), V(1d) or V(30d).
    type: str
    default: 1d
  aggregate:
    description:
      - What costs are grouped by in the result, of V(cluster), V(node), V(capacity_type), V(namespace),
        V(controller_kind), V(controller), V(pod), V(container) and C(label:NAME).
    type: list
    elements: str
    default: [namespace]
  labels:
    description:
      - Labels of pods, or else of their namespaces, that become tags of the rows. Prometheus has them where
        kube-state-metrics is told to publish them (C(--metric-labels-allowlist)). OpenCost gives all.
    type: list
    elements: str
    default: []
  shared_namespaces:
    description: Namespaces, or patterns such as V(kube-*), whose cost is split among all others in the result.
    type: list
    elements: str
    default: []
  shared_split:
    description: V(proportional) splits it as others' own costs are, V(even) in equal parts.
    type: str
    choices: [proportional, even]
    default: proportional
  min_coverage:
    description:
      - The share of the window for which Prometheus must have data. Where it has less, nothing is computed, because the
        result would be too low. A day without any data is an error in any case.
    type: float
    default: 0.95
  metrics_by:
    description:
      - The dimension whose values are services, such as V(controller) or C(label:app). Where it is set, RV(metrics) has
        what each costs an hour, as M(frugal.cloud.prometheus_textfile) takes it.
    type: str
"""

    PRICES = r"""
options:
  node_prices:
    description:
      - What an hour of a node costs; the first entry that fits a node counts. Patterns have C(*) and C(?), and one that
        is not set fits all nodes. A node without a price is an error.
      - With O(prometheus) only.
    type: list
    elements: dict
    default: []
    suboptions:
      node:
        description: Pattern of the node's name.
        type: str
      instance_type:
        description: Pattern of its instance type, which C(kube_node_labels) tells.
        type: str
      region:
        description: Pattern of its region.
        type: str
      capacity_type:
        description: Whether it is spot (or preemptible), as labels of EKS, GKE, AKS and Karpenter tell.
        type: str
        choices: [on-demand, spot]
      hourly:
        description: List price of an hour, or the spot price.
        type: float
        required: true
      effective_hourly:
        description:
          - What an hour really costs under Savings Plans, reservations or committed use. Costs are at this price, and
            C(list_cost) at O(node_prices[].hourly).
        type: float
  reference_prices:
    description:
      - Prices of a core, a GiB of memory and a GPU for an hour. A node's price is divided as these are; OpenCost's
        default prices where it is not set.
    type: dict
    suboptions:
      cpu:
        description: Of a core.
        type: float
        required: true
      ram:
        description: Of a GiB of memory.
        type: float
        required: true
      gpu:
        description: Of a GPU.
        type: float
        required: true
  storage_prices:
    description: What a GiB of a persistent volume claim costs a month (730 hours), by storage class.
    type: dict
    default: {}
  bill:
    description:
      - Cost data in FOCUS that have the nodes' own charges, as M(frugal.cloud.focus_import) writes them. A node costs
        what they say by the day (C(EffectiveCost), with commitments and contracts), and only where they say nothing
        what other prices say.
      - A node is found by the last part of its provider id - an instance's id at AWS, its name at Google Cloud. Only
        charges by the hour count.
    type: dict
    suboptions:
      url:
        description:
          - Where they are, such as V(/srv/costs) or C(postgresql://...).
          - E(FRUGAL_COST_URL) serves where it is not set.
        type: str
      sources:
        description: Names of imports; all where it is empty.
        type: list
        elements: str
        default: []
  currency:
    description: Currency of all prices.
    type: str
    default: USD
"""

    DATASET = r"""
options:
  dataset:
    description:
      - Folder of cost data in FOCUS. Where it is set, a row for each day, controller and component is written there.
        The days of the window are replaced, others of the same source stay.
    type: path
  source:
    description: Name of the source in the cost data; each cluster needs one of its own.
    type: str
    default: kubernetes
  tag_keys:
    description: Labels that become columns C(x_tag_KEY), as with M(frugal.cloud.focus_import).
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description: The label.
        type: str
        required: true
      variants:
        description: Other spellings of it.
        type: list
        elements: str
        default: []
  billed_elsewhere:
    description:
      - Whether the cloud's bill, with the nodes' costs, is in the same cost data. Each node and day then gets a row
        that takes out what was divided, so that totals do not count it twice; volumes, traffic and load balancers are
        not written, because they are on the bill.
      - Required with O(dataset).
    type: bool
  billing_account_id:
    description: Account that pays. Required with O(dataset).
    type: str
  billing_account_name:
    description: Its name.
    type: str
  sub_account_id:
    description: Account or project that the cluster is in.
    type: str
  provider:
    description: C(ProviderName) of the rows; with O(billed_elsewhere) give the bill's.
    type: str
    default: Kubernetes
"""
