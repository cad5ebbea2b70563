# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of ``DescribeInstanceTypes`` as :class:`InstanceType`."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.resources import InstanceType

#: Answer keys that list accelerators -> the key of the list inside. GPUs, Inferentia, Trainium,
#: FPGAs and media accelerators all cost money and none can be assumed to be unused.
ACCELERATOR_KEYS = {
    "GpuInfo": "Gpus",
    "NeuronInfo": "NeuronDevices",
    "InferenceAcceleratorInfo": "Accelerators",
    "FpgaInfo": "Fpgas",
    "MediaAcceleratorInfo": "Accelerators",
}


def instance_type_from_api(row: Mapping[str, t.Any]) -> InstanceType:
    """Convert one element of ``DescribeInstanceTypes``'s ``InstanceTypes``.

    Units stay those of the API: Mbps for EBS bandwidth, Gbps for the network (summed over
    the network cards), GB for instance storage; memory becomes GiB. A figure that the
    answer lacks stays None. A fractional GPU counts as one accelerator. Bare-metal types have
    no ``Hypervisor`` in the answer; theirs is ``none``.

    :raises KeyError: when the row lacks its name, vCPUs or memory, which every answer has.
    """
    ebs = row.get("EbsInfo", {})
    optimized = ebs.get("EbsOptimizedInfo", {})
    network = row.get("NetworkInfo", {})
    cards = network.get("NetworkCards", [])
    storage = row.get("InstanceStorageInfo", {})
    processor = row.get("ProcessorInfo", {})
    vcpu = row["VCpuInfo"]
    disks = storage.get("Disks", []) if storage.get("NvmeSupport") == "required" else []
    return InstanceType(
        name=row["InstanceType"],
        vcpus=int(vcpu["DefaultVCpus"]),
        cores=int(vcpu.get("DefaultCores", vcpu["DefaultVCpus"])),
        memory_gib=row["MemoryInfo"]["SizeInMiB"] / 1024.0,
        architectures=tuple(processor.get("SupportedArchitectures", ())),
        hypervisor=row.get("Hypervisor") or "none",
        sustained_clock_ghz=_number(processor.get("SustainedClockSpeedInGhz")),
        bare_metal=bool(row.get("BareMetal", False)),
        burstable=bool(row.get("BurstablePerformanceSupported", False)),
        current_generation=bool(row.get("CurrentGeneration", True)),
        processor_manufacturer=processor.get("Manufacturer", ""),
        virtualization_types=tuple(row.get("SupportedVirtualizationTypes", ("hvm",))),
        boot_modes=tuple(row.get("SupportedBootModes", ("legacy-bios",))),
        usage_classes=tuple(row.get("SupportedUsageClasses", ())),
        root_device_types=tuple(row.get("SupportedRootDeviceTypes", ("ebs",))),
        ebs_baseline_mbps=_number(optimized.get("BaselineBandwidthInMbps")),
        ebs_maximum_mbps=_number(optimized.get("MaximumBandwidthInMbps")),
        ebs_baseline_iops=_number(optimized.get("BaselineIops")),
        ebs_maximum_iops=_number(optimized.get("MaximumIops")),
        nvme_support=ebs.get("NvmeSupport", "unsupported"),
        maximum_ebs_attachments=ebs.get("MaximumEbsAttachments"),
        attachment_limit_type=ebs.get("AttachmentLimitType", "shared"),
        network_baseline_gbps=_sum(card.get("BaselineBandwidthInGbps") for card in cards),
        network_peak_gbps=_sum(card.get("PeakBandwidthInGbps") for card in cards),
        maximum_network_interfaces=int(network.get("MaximumNetworkInterfaces", 1)),
        ipv4_addresses_per_interface=int(network.get("Ipv4AddressesPerInterface", 1)),
        ena_support=network.get("EnaSupport", "unsupported"),
        efa_supported=bool(network.get("EfaSupported", False)),
        instance_storage_gb=float(storage.get("TotalSizeInGB", 0.0)),
        nvme_instance_stores=sum(int(disk.get("Count", 1)) for disk in disks),
        accelerators=sum(
            int(item.get("Count", 1))
            for key, inner in ACCELERATOR_KEYS.items()
            for item in row.get(key, {}).get(inner, [])
        ),
        hibernation_supported=bool(row.get("HibernationSupported", False)),
    )


def _number(value: float | int | None) -> float | None:
    return None if value is None else float(value)


def _sum(values: Iterable[float | None]) -> float | None:
    """Sum of the cards' figures; None when there is no card or one does not say."""
    known = list(values)
    if not known or any(value is None for value in known):
        return None
    return float(sum(value for value in known if value is not None))
