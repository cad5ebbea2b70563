# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A big plain fleet on one simulator: ask it through ansible-playbook, and count what that must cost.

Shared by the benchmark against Cloud Custodian and the scale gate of ``make test``.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.observe import cloudwatch
from ansible_collections.frugal.cloud.tests.benchmarks.measured import Measured, measure
from ansible_collections.frugal.cloud.tests.simulator.estates.fleet import ACCOUNT
from ansible_collections.frugal.cloud.tests.simulator.process import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
REGION = "us-east-1"
#: What the full question reads; the module's default adds packets (and credits of burstable types).
METRICS = ("cpu", "memory", "network", "ebs")

#: Most that may be asked, and held, for 10,000 instances.
REQUEST_FACTOR = 1.1
MODULE_MIB = 350.0
PLAYBOOK_MIB = 250.0
HANDED_ON = 50

_Dict = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Asked:
    """One run of ``ansible-playbook`` with one task: its cost, its result and the files that it left."""

    measured: Measured
    requests: Mapping[str, int]
    result: Mapping[str, t.Any]
    findings: Sequence[Mapping[str, t.Any]]

    @property
    def total(self) -> int:
        """All requests, by the server's count."""
        return sum(self.requests.values())

    @property
    def longest_list(self) -> int:
        """Records in the longest list of records that the task hands on."""
        return longest_list(self.result)

    @property
    def module_mib(self) -> float:
        """Peak resident memory of the process that the module runs in."""
        return self.measured.peaks["module"]

    @property
    def playbook_mib(self) -> float:
        """Peak resident memory of ansible-playbook and its workers, the largest of them."""
        return self.measured.peaks["playbook"]


def longest_list(value: t.Any) -> int:
    """Length of the longest list of dictionaries in a result, however deep."""
    if isinstance(value, Mapping):
        return max((longest_list(item) for item in value.values()), default=0)
    if isinstance(value, (list, tuple)):
        here = len(value) if any(isinstance(item, Mapping) for item in value) else 0
        return max([here, *(longest_list(item) for item in value)])
    return 0


def environment(simulator: SimulatorProcess, folder: Path) -> dict[str, str]:
    """Nothing of the person's own settings; the collection of this checkout, the simulator's address."""
    return {
        **simulator.environment(ACCOUNT, REGION),
        "HOME": str(folder),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "OPENBLAS_NUM_THREADS": "1",
    }


def ask(simulator: SimulatorProcess, folder: Path, **options: t.Any) -> Asked:
    """Run ``ec2_rightsizing_info`` with ``options`` in a play of one task, from nothing: no cache, no file."""
    folder.mkdir(parents=True)
    data = folder / "data"
    task = {
        "name": "Ask",
        "frugal.cloud.ec2_rightsizing_info": {"region": REGION, "data_directory": str(data), **options},
    }
    play = [{"name": "Ask", "hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}]
    playbook = folder / "playbook.json"
    playbook.write_text(json.dumps(play), encoding="utf-8")
    simulator.stats(reset=True)
    measured = measure(
        [BIN / "ansible-playbook", "-v", "-e", f"ansible_python_interpreter={sys.executable}", playbook],
        environment(simulator, folder),
        folder=folder,
    )
    requests = simulator.stats()["counts"][ACCOUNT]
    result = _result(measured.output)
    with gzip.open(result["findings_path"], "rt", encoding="utf-8") as file:
        findings = [json.loads(line) for line in file]
    return Asked(measured, requests, result, findings)


def _result(output: str) -> _Dict:
    """The only task's result, which ``-v`` prints on one line."""
    for line in output.splitlines():
        if line.startswith("ok: [localhost] => {"):
            return t.cast(_Dict, json.loads(line.partition(" => ")[2]))
    raise ValueError(f"no result in:\n{output[-4000:]}")


def needed_requests(simulator: SimulatorProcess, metrics: Sequence[str]) -> int:
    """Pages of every inventory and catalog call, and metric queries / 500, rounded up.

    Counted from what the simulator holds, with a client of its own, and AWS' largest pages.
    """

    def every(service: str, method: str, key: str, **arguments: t.Any) -> list[_Dict]:
        pages = simulator.client(service, ACCOUNT, REGION).get_paginator(method).paginate(**arguments)
        return [item for page in pages for item in page[key]]

    def pages(items: Sequence[t.Any], size: int) -> int:
        return max(1, -(-len(items) // size))

    instances = [
        instance
        for reservation in every("ec2", "describe_instances", "Reservations", PaginationConfig={"PageSize": 1000})
        for instance in reservation["Instances"]
    ]
    volumes = every("ec2", "describe_volumes", "Volumes", PaginationConfig={"PageSize": 1000})
    types = every("ec2", "describe_instance_types", "InstanceTypes")
    offerings = every(
        "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings", LocationType="availability-zone"
    )
    linux = {
        "regionCode": REGION,
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
    }
    fields = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in linux.items()]
    products = every("pricing", "get_products", "PriceList", ServiceCode="AmazonEC2", Filters=fields)
    memory = every("cloudwatch", "list_metrics", "Metrics", Namespace="CWAgent", MetricName="mem_used_percent")
    kinds = {item["InstanceType"]: item for item in types}
    queries = 0
    for metric in (metric for group in metrics for metric in cloudwatch.GROUPS[group]):
        if metric == "memory_percent":
            queries += 2 * len(memory)
            continue
        source = cloudwatch.SOURCES[metric]
        for instance in instances:
            kind = kinds[instance["InstanceType"]]
            if source.only == "burstable" and not kind["BurstablePerformanceSupported"]:
                continue
            if source.only == "nitro" and kind.get("Hypervisor") != "nitro":
                # Its volumes are asked instead, one sum each.
                queries += sum("Ebs" in mapping for mapping in instance["BlockDeviceMappings"])
                continue
            queries += len(source.statistics)
    # Identity, images, addresses, ECS clusters, Auto Scaling groups; coverage by reservations and Savings Plans.
    single = 5 + 2
    return (
        pages(instances, 1000)
        + pages(volumes, 1000)
        + pages(types, 100)
        + pages(offerings, 1000)
        + pages(products, 100)
        + pages(memory, 500)
        + single
        + -(-queries // 500)
    )
