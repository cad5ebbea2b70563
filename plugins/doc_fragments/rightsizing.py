# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say what is sized and how."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``module_utils/rightsizing_options.py``."""

    DOCUMENTATION = r"""
options:
  filters:
    description:
      - Which instances, as filters of DescribeInstances, such as C(tag:env) or C(instance-type); a value may be a list.
      - All running, stopped and changing instances where it is empty.
    type: dict
    default: {}
  instance_ids:
    description: Which instances, by id; all where it is empty.
    type: list
    elements: str
    default: []
  metrics:
    description:
      - What is read of each instance. V(cpu) is always needed.
      - What is not read is not reduced - memory, network and EBS bandwidth stay at least as large as they are.
      - V(memory) needs the CloudWatch agent on the instances, or O(prometheus).
    type: list
    elements: str
    choices: [cpu, memory, network, packets, ebs, credits]
    default: [cpu, memory, network, packets, ebs, credits]
  lookback_days:
    description: How many days of usage are read, today not counted; 32 hold a whole month with its end.
    type: int
    default: 32
  as_of:
    description: The moment to look back from (ISO 8601, UTC unless it says otherwise); now where it is not set.
    type: str
  minimum_history_hours:
    description: An instance with less usage than this is left alone.
    type: float
    default: 72.0
  trust_usage_before_restart:
    description:
      - Whether usage from before an instance last started counts.
      - CloudWatch does not say which type it had then, so percentages of that time may mean another machine.
    type: bool
    default: false
  method:
    description:
      - V(risk_priced) takes the type with the lowest sum of its price and the price of the overload minutes expected
        on it.
      - V(percentile) takes the cheapest type that holds O(cpu_percentile) with O(cpu_headroom), the rule of AWS
        Compute Optimizer.
    type: str
    choices: [risk_priced, percentile]
    default: risk_priced
  overload_minute_price:
    description:
      - What a minute in which demand exceeds the machine is worth, in USD, for O(method=risk_priced).
      - Where it is not set, such a minute costs 30 times what the machine costs in a minute.
      - The policy may set another price by tag, or tolerate none.
    type: float
  cpu_percentile:
    description: For O(method=percentile), 50 to 100; 100 is the maximum.
    type: float
    default: 99.5
  cpu_headroom:
    description: Room to grow above the CPU demand seen, as a share.
    type: float
    default: 0.2
  memory_headroom:
    description: Room above the largest memory use seen, as a share.
    type: float
    default: 0.2
  network_headroom:
    description: Room above the network traffic seen, as a share.
    type: float
    default: 0.2
  ebs_headroom:
    description: Room above the EBS traffic seen, as a share.
    type: float
    default: 0.2
  idle_cpu_percent:
    description: An instance whose average CPU is below this is idle.
    type: float
    default: 5.0
  minimum_saving:
    description: A change that saves less than this, in USD per month, is not proposed.
    type: float
    default: 1.0
  include_under_provisioned:
    description: Whether larger types are proposed where CPU is saturated; they cost more.
    type: bool
    default: true
  allow_burstable:
    description: Whether burstable types (T and flex) may be proposed; their credits are priced in.
    type: bool
    default: true
  allow_previous_generation:
    description: Whether types of a previous generation may be proposed.
    type: bool
    default: false
  allow_architecture_change:
    description: Whether types of another architecture (Graviton) may be proposed; the machine must then be rebuilt.
    type: bool
    default: false
  allow_unverified_nvme:
    description:
      - Whether a Xen instance may be moved to a Nitro type although nothing says that its image has NVMe drivers.
      - The tag C(frugal:nvme=true) says so for one instance.
    type: bool
    default: false
  allow_instance_store_loss:
    description: Whether instances with instance storage, which a stop erases, may be changed.
    type: bool
    default: false
  prometheus:
    description: A Prometheus server with node_exporter metrics, to read memory where the CloudWatch agent gives none.
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
      label:
        description:
          - The label of node_exporter's series that holds the EC2 instance id.
          - Prometheus' EC2 discovery gives it as C(__meta_ec2_instance_id), which a relabelling keeps.
        type: str
        default: instance_id
  commitments:
    description:
      - V(cost_explorer) asks which share of each family's hours is covered by Savings Plans and reservations (two
        requests of 0.01 USD a day); a covered hour saves nothing today.
      - V(none) takes list prices.
    type: str
    choices: [cost_explorer, none]
    default: cost_explorer
  price_refresh_days:
    description: Prices on disk that are older than this many days are read again.
    type: int
    default: 7
  price_offline_days:
    description: Where prices cannot be read, those on disk serve up to this age in days, with a warning.
    type: int
    default: 90
  policy:
    description:
      - Path of the policy file, or the policy itself as a dictionary.
      - It may set the price of an overload minute by tag, and name tags whose machines tolerate none.
    type: raw
  explain:
    description: Whether better-priced types that were not taken are listed, each with what rules it out.
    type: bool
    default: false
"""
