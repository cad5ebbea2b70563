# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each instance type can do: moto's bundled copy of DescribeInstanceTypes.

Per-vCPU speed is taken as equal for all types (a demand of one vCPU needs one vCPU on
any type): x86 vCPUs are hardware threads and Graviton vCPUs are whole cores, and newer
generations are faster, so an upgrade is judged on the careful side. An estate can set
other speeds per family (``vcpu_speed``).
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import pathlib
import typing as t

import moto.ec2

_RESOURCES = pathlib.Path(moto.ec2.__file__).parent / "resources"

#: CPU credits that burstable types earn an hour, and their baseline per vCPU in percent, from
#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html
_CREDITS: dict[str, tuple[float, float]] = {
    "t2.nano": (3, 5),
    "t2.micro": (6, 10),
    "t2.small": (12, 20),
    "t2.medium": (24, 20),
    "t2.large": (36, 30),
    "t2.xlarge": (54, 22.5),
    "t2.2xlarge": (81.6, 17),
    "t3.nano": (6, 5),
    "t3.micro": (12, 10),
    "t3.small": (24, 20),
    "t3.medium": (24, 20),
    "t3.large": (36, 30),
    "t3.xlarge": (96, 40),
    "t3.2xlarge": (192, 40),
}


@dataclasses.dataclass(frozen=True, slots=True)
class TypeSpec:
    """Capacity of one type. Bandwidths in bytes/s; None: no limit is published.

    ``credits_per_hour`` and ``baseline_share`` (0..1 of all vCPUs) are 0 for types that
    are not burstable.
    """

    name: str
    vcpus: int
    memory_gib: float
    architectures: tuple[str, ...]
    hypervisor: str
    burstable: bool
    ena_support: str
    nvme_support: str
    boot_modes: tuple[str, ...]
    virtualization_types: tuple[str, ...]
    network_baseline: float | None
    network_peak: float | None
    ebs_baseline: float | None
    ebs_maximum: float | None
    ebs_baseline_iops: float | None
    ebs_maximum_iops: float | None
    maximum_network_interfaces: int
    maximum_attachments: int
    shared_attachments: bool
    instance_storage: bool
    credits_per_hour: float
    baseline_share: float

    @property
    def family(self) -> str:
        """``m5`` of ``m5.large``."""
        return self.name.partition(".")[0]

    @property
    def nitro(self) -> bool:
        """Nitro types report EBS metrics in the AWS/EC2 namespace."""
        return self.hypervisor != "xen"


@functools.cache
def raw_types() -> dict[str, dict[str, t.Any]]:
    """The rows of DescribeInstanceTypes by name, in the order of names."""
    with gzip.open(_RESOURCES / "instance_types.json.gz") as file:
        rows = json.load(file)
    return {name: rows[name] for name in sorted(rows)}


@functools.cache
def raw_offerings(region: str, location_type: str) -> tuple[dict[str, str], ...]:
    """The rows of DescribeInstanceTypeOfferings in a region."""
    path = _RESOURCES / "instance_type_offerings" / location_type / f"{region}.json.gz"
    if not path.exists():
        return ()
    with gzip.open(path) as file:
        return tuple(json.load(file))


@functools.cache
def offered(region: str) -> frozenset[tuple[str, str]]:
    """(instance type, availability zone) pairs that exist in a region."""
    return frozenset((row["InstanceType"], row["Location"]) for row in raw_offerings(region, "availability-zone"))


def _gbps(value: float | None) -> float | None:
    return value * 1e9 / 8 if value is not None else None


def _mbps(value: float | None) -> float | None:
    return value * 1e6 / 8 if value is not None else None


def _total(cards: list[dict[str, t.Any]], key: str) -> float | None:
    values = [card[key] for card in cards if key in card]
    return float(sum(values)) if values else None


@functools.cache
def spec(name: str) -> TypeSpec | None:
    """The capacity of a type, or None where there is no such type."""
    row = raw_types().get(name)
    if row is None:
        return None
    ebs = row["EbsInfo"]
    optimized = ebs.get("EbsOptimizedInfo", {})
    network = row["NetworkInfo"]
    cards = network.get("NetworkCards", [])
    size = name.partition(".")[2]
    credits, baseline = _CREDITS.get(name) or _CREDITS.get(f"t3.{size}", (0.0, 0.0))
    burstable = bool(row.get("BurstablePerformanceSupported"))
    return TypeSpec(
        name=name,
        vcpus=row["VCpuInfo"]["DefaultVCpus"],
        memory_gib=row["MemoryInfo"]["SizeInMiB"] / 1024,
        architectures=tuple(row["ProcessorInfo"]["SupportedArchitectures"]),
        hypervisor=row.get("Hypervisor", "none"),
        burstable=burstable,
        ena_support=network.get("EnaSupport", "unsupported"),
        nvme_support=ebs.get("NvmeSupport", "unsupported"),
        boot_modes=tuple(row.get("SupportedBootModes", ())),
        virtualization_types=tuple(row.get("SupportedVirtualizationTypes", ())),
        network_baseline=_gbps(_total(cards, "BaselineBandwidthInGbps")),
        network_peak=_gbps(_total(cards, "PeakBandwidthInGbps")),
        ebs_baseline=_mbps(optimized.get("BaselineBandwidthInMbps")),
        ebs_maximum=_mbps(optimized.get("MaximumBandwidthInMbps")),
        ebs_baseline_iops=optimized.get("BaselineIops"),
        ebs_maximum_iops=optimized.get("MaximumIops"),
        maximum_network_interfaces=network.get("MaximumNetworkInterfaces", 2),
        maximum_attachments=ebs.get("MaximumEbsAttachments", 27),
        shared_attachments=ebs.get("AttachmentLimitType", "shared") == "shared",
        instance_storage=bool(row.get("InstanceStorageSupported")),
        credits_per_hour=credits if burstable else 0.0,
        baseline_share=baseline / 100 if burstable else 0.0,
    )
