# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hard constraints of a change of instance type, for many instances x all types at once."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import burstable
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import SizingOptions
from ansible_collections.frugal.cloud.plugins.module_utils.resources import Instance, InstanceType

if t.TYPE_CHECKING:
    import numpy
    import numpy.typing

    FloatArray = numpy.typing.NDArray[numpy.floating[t.Any]]
    IntArray = numpy.typing.NDArray[numpy.integer[t.Any]]
    BoolArray = numpy.typing.NDArray[numpy.bool_]

#: Every constraint, in the order in which they are checked: what the machine is, then what it needs.
STRUCTURAL = (
    "price",
    "offering",
    "architecture",
    "bare_metal",
    "accelerators",
    "usage_class",
    "generation",
    "burstable",
    "virtualization_type",
    "hypervisor",
    "ena",
    "nvme",
    "boot_mode",
    "root_device",
    "instance_store",
    "efa",
    "hibernation",
)
DEMAND = (
    "network_interfaces",
    "ipv4_addresses",
    "attachments",
    "memory",
    "memory_unmeasured",
    "network_baseline",
    "network_peak",
    "network_unmeasured",
    "packets",
    "ebs_throughput",
    "ebs_throughput_maximum",
    "ebs_iops",
    "ebs_iops_maximum",
    "ebs_unmeasured",
    "cpu",
    "cpu_baseline",
    "cpu_credits",
)
CONSTRAINTS = STRUCTURAL + DEMAND
CODES = {name: code for code, name in enumerate(CONSTRAINTS)}
FIRST_DEMAND = len(STRUCTURAL)
#: Code of a pair that violates nothing.
FEASIBLE = 127

#: Part of a core's work that one of its two hardware threads does when both are busy. Two threads
#: together do 1.2 to 1.3 times the work of one (Marr et al., "Hyper-Threading Technology
#: Architecture and Microarchitecture", Intel Technology Journal 2002: up to 30 %), so 0.6 each.
THREAD_SHARE = 0.6

FAMILY = re.compile(r"^([a-z]+)(\d+)([a-z]*)")


@dataclasses.dataclass(frozen=True)
class TypeTable:
    """The catalog as arrays, one element a type, in the order of ``types`` (sorted by name)."""

    types: tuple[InstanceType, ...]
    index: Mapping[str, int]
    vcpus: FloatArray
    memory_gib: FloatArray
    network_baseline_gbps: FloatArray
    network_peak_gbps: FloatArray
    ebs_baseline_mbps: FloatArray
    ebs_maximum_mbps: FloatArray
    ebs_baseline_iops: FloatArray
    ebs_maximum_iops: FloatArray
    baseline_share: FloatArray
    maximum_interfaces: FloatArray
    maximum_addresses: FloatArray
    maximum_attachments: FloatArray
    shared_limit: BoolArray
    family: IntArray

    @classmethod
    def of(cls, catalog: Mapping[str, InstanceType]) -> TypeTable:
        """Build the table. A figure that the catalog lacks becomes 0: nothing can be put on it."""
        np = deps.numpy
        types = tuple(catalog[name] for name in sorted(catalog))

        def column(values: t.Iterable[float | None]) -> FloatArray:
            return np.array([0.0 if value is None else value for value in values], dtype=np.float32)

        families = {name: code for code, name in enumerate(sorted({item.family for item in types}))}
        return cls(
            types=types,
            index={item.name: position for position, item in enumerate(types)},
            vcpus=column(item.vcpus for item in types),
            memory_gib=column(item.memory_gib for item in types),
            network_baseline_gbps=column(item.network_baseline_gbps for item in types),
            network_peak_gbps=column(
                item.network_peak_gbps if item.network_peak_gbps is not None else item.network_baseline_gbps
                for item in types
            ),
            ebs_baseline_mbps=column(item.ebs_baseline_mbps for item in types),
            ebs_maximum_mbps=column(item.ebs_maximum_mbps for item in types),
            ebs_baseline_iops=column(item.ebs_baseline_iops for item in types),
            ebs_maximum_iops=column(item.ebs_maximum_iops for item in types),
            baseline_share=column(burstable.baseline_share(item) for item in types),
            maximum_interfaces=column(item.maximum_network_interfaces for item in types),
            maximum_addresses=column(item.ipv4_addresses_per_interface for item in types),
            maximum_attachments=column(item.maximum_ebs_attachments for item in types),
            shared_limit=np.array([item.attachment_limit_type == "shared" for item in types], dtype=np.bool_),
            family=np.array([families[item.family] for item in types], dtype=np.int32),
        )


def speed_ratio(current: InstanceType, candidate: InstanceType) -> float:
    """Work that a vCPU of ``candidate`` does for sure, relative to one of ``current``; at most 1.

    Gains are never counted. A vCPU that is a hardware thread instead of a whole core does
    :data:`THREAD_SHARE` of the work. A lower sustained clock costs in proportion, except
    within one line of one manufacturer (m5 to m6i to m7i), where AWS states for each newer
    generation that it is at least as fast per vCPU.
    """
    ratio = 1.0
    if current.cores >= current.vcpus and candidate.cores < candidate.vcpus:
        ratio *= THREAD_SHARE
    if current.sustained_clock_ghz and candidate.sustained_clock_ghz and not _newer_of_same_line(current, candidate):
        ratio *= min(1.0, candidate.sustained_clock_ghz / current.sustained_clock_ghz)
    return ratio


def _newer_of_same_line(current: InstanceType, candidate: InstanceType) -> bool:
    old, new = FAMILY.match(current.family), FAMILY.match(candidate.family)
    return (
        old is not None
        and new is not None
        and old[1] == new[1]
        and int(new[2]) > int(old[2])
        and current.processor_manufacturer == candidate.processor_manufacturer
    )


def capacity_ratios(table: TypeTable, current: InstanceType) -> FloatArray:
    """CPU capacity of every type relative to ``current``, shape (types,), float32."""
    np = deps.numpy
    speed = np.array([speed_ratio(current, item) for item in table.types], dtype=np.float32)
    ratios: FloatArray = table.vcpus * speed / np.float32(current.vcpus)
    return ratios


def structural(
    table: TypeTable,
    instance: Instance,
    current: InstanceType,
    priced: BoolArray,
    offered: frozenset[str] | None,
    options: SizingOptions,
) -> IntArray:
    """Code of the first structural constraint that each type violates for ``instance``, shape (types,).

    ``priced`` says which types have a price for the instance's operating system, ``offered``
    which its availability zone offers (None: not known, all are taken). Depends only on what
    :func:`structural_key` returns, so one answer serves many instances.
    """
    np = deps.numpy
    codes: IntArray = np.full(len(table.types), FEASIBLE, dtype=np.int8)
    for position, candidate in enumerate(table.types):
        if not priced[position]:
            codes[position] = CODES["price"]
            continue
        name = _violated(candidate, instance, current, offered, options)
        if name:
            codes[position] = CODES[name]
    return codes


def structural_key(instance: Instance) -> tuple[t.Hashable, ...]:
    """Everything about an instance that :func:`structural` looks at."""
    return (
        instance.instance_type,
        instance.operating_system,
        instance.availability_zone,
        instance.architecture,
        instance.lifecycle,
        instance.virtualization_type,
        instance.ena_enabled,
        instance.nvme_capable,
        instance.boot_mode,
        instance.root_device_type,
        instance.efa_interfaces > 0,
        instance.hibernation,
    )


def _violated(
    candidate: InstanceType,
    instance: Instance,
    current: InstanceType,
    offered: frozenset[str] | None,
    options: SizingOptions,
) -> str:
    same_family = candidate.family == current.family
    if offered is not None and candidate.name not in offered:
        return "offering"
    if instance.architecture not in candidate.architectures and not (
        options.allow_architecture_change
        and instance.architecture == "x86_64"
        and "arm64" in candidate.architectures
        and instance.operating_system in ("Linux", "RHEL", "SUSE")
    ):
        return "architecture"
    if candidate.bare_metal != current.bare_metal:
        return "bare_metal"
    if candidate.accelerators != current.accelerators or (current.accelerators and not same_family):
        return "accelerators"
    if instance.lifecycle not in candidate.usage_classes:
        return "usage_class"
    # Staying in one's own family is not a move to a previous generation.
    if not (candidate.current_generation or same_family or options.allow_previous_generation):
        return "generation"
    if (candidate.burstable or candidate.family.endswith("-flex")) and not (
        options.allow_burstable or same_family or current.burstable
    ):
        return "burstable"
    if instance.architecture in candidate.architectures:
        name = _image_violated(candidate, instance, current, options)
        if name:
            return name
    if candidate.instance_storage_gb < current.instance_storage_gb and not options.allow_instance_store_loss:
        return "instance_store"
    if instance.efa_interfaces and not candidate.efa_supported:
        return "efa"
    if instance.hibernation and not candidate.hibernation_supported:
        return "hibernation"
    return ""


def _image_violated(candidate: InstanceType, instance: Instance, current: InstanceType, options: SizingOptions) -> str:
    """What the present image cannot do. Another architecture means another image, so this is asked of one's own."""
    if instance.virtualization_type not in candidate.virtualization_types:
        return "virtualization_type"
    if current.hypervisor == "nitro" and candidate.hypervisor == "xen":
        return "hypervisor"
    if candidate.ena_support == "required" and not instance.ena_enabled:
        return "ena"
    if (
        candidate.nvme_support == "required"
        and current.nvme_support != "required"
        and not (instance.nvme_capable or (instance.nvme_capable is None and options.allow_unverified_nvme))
    ):
        return "nvme"
    wanted_modes = ("uefi", "legacy-bios") if instance.boot_mode == "uefi-preferred" else (instance.boot_mode,)
    if not any(mode in candidate.boot_modes for mode in wanted_modes):
        return "boot_mode"
    if instance.root_device_type not in candidate.root_device_types:
        return "root_device"
    return ""


@dataclasses.dataclass(frozen=True)
class Needs:
    """What each instance of a chunk needs, shape (instances,), float32; NaN: not measured.

    ``interfaces``, ``addresses`` (IPv4, of one interface) and ``volumes`` are counts.
    ``*_sustained`` must stay within a baseline, ``*_peak`` within a maximum. Gbps, Mbps,
    operations/s, packets/s, GiB; ``cpu_sustained`` is a share of the current capacity and
    ``cpu_average`` the mean (for burstable types and as the floor of every size).
    """

    interfaces: FloatArray
    addresses: FloatArray
    volumes: FloatArray
    memory_gib: FloatArray
    memory_current_gib: FloatArray
    network_sustained: FloatArray
    network_peak: FloatArray
    network_current: FloatArray
    packets: FloatArray
    ebs_mbps_sustained: FloatArray
    ebs_mbps_peak: FloatArray
    ebs_mbps_current: FloatArray
    ebs_iops_sustained: FloatArray
    ebs_iops_peak: FloatArray
    ebs_iops_current: FloatArray
    cpu_sustained: FloatArray
    cpu_average: FloatArray
    cpu_busiest_period: FloatArray
    credits_exhausted: BoolArray


def demand(
    table: TypeTable,
    needs: Needs,
    ratios: FloatArray,
    codes: IntArray,
    standard_mode: BoolArray,
    options: SizingOptions,
) -> IntArray:
    """Complete structural ``codes`` (instances, types) with the first violated demand constraint.

    ``ratios``: CPU capacity of the types relative to the current one, (instances, types).
    ``standard_mode``: types without surplus credits, (types,). An unmeasured dimension is
    never reduced. Returns a new array.
    """
    np = deps.numpy
    result = codes.copy()

    def column(values: FloatArray) -> FloatArray:
        return values[:, None]

    def reject(name: str, violated: BoolArray) -> None:
        np.copyto(result, np.int8(CODES[name]), where=violated & (result == FEASIBLE))

    with np.errstate(invalid="ignore"):
        slack = np.float32(1.0 + 1e-5)
        reject("network_interfaces", column(needs.interfaces) > table.maximum_interfaces)
        reject("ipv4_addresses", column(needs.addresses) > table.maximum_addresses)
        # The API's shared limit already leaves room for the first network interface and for the type's own
        # instance stores and accelerators (m5.large: 27 of 28), so only further interfaces count.
        extra = np.where(table.shared_limit, np.maximum(column(needs.interfaces) - 1.0, 0.0), 0.0)
        reject("attachments", column(needs.volumes) + extra > table.maximum_attachments)
        reject("memory", column(needs.memory_gib) > table.memory_gib * slack)
        reject(
            "memory_unmeasured",
            np.isnan(column(needs.memory_gib)) & (column(needs.memory_current_gib) > table.memory_gib * slack),
        )
        reject("network_baseline", column(needs.network_sustained) > table.network_baseline_gbps * slack)
        reject("network_peak", column(needs.network_peak) > table.network_peak_gbps * slack)
        reject(
            "network_unmeasured",
            np.isnan(column(needs.network_sustained))
            & (column(needs.network_current) > table.network_baseline_gbps * slack),
        )
        reject("packets", column(needs.packets) > table.network_baseline_gbps * np.float32(options.packets_per_gbps))
        reject("ebs_throughput", column(needs.ebs_mbps_sustained) > table.ebs_baseline_mbps * slack)
        reject("ebs_throughput_maximum", column(needs.ebs_mbps_peak) > table.ebs_maximum_mbps * slack)
        reject("ebs_iops", column(needs.ebs_iops_sustained) > table.ebs_baseline_iops * slack)
        reject("ebs_iops_maximum", column(needs.ebs_iops_peak) > table.ebs_maximum_iops * slack)
        reject(
            "ebs_unmeasured",
            (
                np.isnan(column(needs.ebs_mbps_sustained))
                & (column(needs.ebs_mbps_current) > table.ebs_baseline_mbps * slack)
            )
            | (
                np.isnan(column(needs.ebs_iops_sustained))
                & (column(needs.ebs_iops_current) > table.ebs_baseline_iops * slack)
            ),
        )
        reject("cpu", column(needs.cpu_sustained) > ratios * slack)
        sustained = ratios * table.baseline_share
        limited = table.baseline_share < 1.0
        reject("cpu_baseline", limited & (column(needs.cpu_average) > sustained))
        reject("cpu_credits", limited & standard_mode & (column(needs.cpu_busiest_period) > sustained))
        reject("cpu_credits", needs.credits_exhausted[:, None] & (ratios < np.float32(0.999)))
    return result


#: Constraint -> sentence about what the type lacks.
STRUCTURAL_SENTENCES = {
    "price": "the price list has no {operating_system} price for {candidate} in {region}",
    "offering": "{candidate} is not offered in {zone}",
    "architecture": "{candidate} is {architectures}, the instance runs {architecture}",
    "bare_metal": "{candidate} differs in being bare metal",
    "accelerators": "{candidate} has {accelerators} accelerators, {current} has {current_accelerators}",
    "usage_class": "{candidate} cannot be bought as {lifecycle}",
    "generation": "{candidate} is of a previous generation and allow_previous_generation is off",
    "burstable": "{candidate} is burstable and allow_burstable is off",
    "virtualization_type": "{candidate} does not support {virtualization_type} images",
    "hypervisor": "{candidate} runs on Xen, {current} on Nitro",
    "ena": "{candidate} needs an image with ENA enabled",
    "nvme": "{candidate} needs NVMe drivers, and nothing shows that the instance has them",
    "boot_mode": "{candidate} cannot boot {boot_mode}",
    "root_device": "{candidate} cannot boot from {root_device_type}",
    "instance_store": "{candidate} has {storage:g} GB of instance storage, {current} has {current_storage:g} GB",
    "efa": "{candidate} has no Elastic Fabric Adapter",
    "hibernation": "{candidate} cannot hibernate",
}


def structural_figure(name: str, candidate: InstanceType, instance: Instance, current: InstanceType) -> str:
    """A sentence with the figure behind a structural constraint."""
    return STRUCTURAL_SENTENCES[name].format(
        candidate=candidate.name,
        current=current.name,
        region=instance.region,
        zone=instance.availability_zone,
        operating_system=instance.operating_system,
        architectures="/".join(candidate.architectures),
        architecture=instance.architecture,
        accelerators=candidate.accelerators,
        current_accelerators=current.accelerators,
        lifecycle=instance.lifecycle,
        virtualization_type=instance.virtualization_type,
        boot_mode=instance.boot_mode,
        root_device_type=instance.root_device_type,
        storage=candidate.instance_storage_gb,
        current_storage=current.instance_storage_gb,
    )


def demand_figure(
    name: str, needs: Needs, row: int, candidate: InstanceType, ratio: float, options: SizingOptions
) -> str:
    """A sentence with the figures behind a demand constraint of instance ``row`` of the chunk."""
    share = burstable.baseline_share(candidate)
    figures: dict[str, tuple[str, FloatArray, float | None, str]] = {
        "network_interfaces": (
            "network interfaces",
            needs.interfaces,
            candidate.maximum_network_interfaces,
            "interfaces",
        ),
        "ipv4_addresses": (
            "IPv4 addresses of an interface",
            needs.addresses,
            candidate.ipv4_addresses_per_interface,
            "addresses",
        ),
        "attachments": (
            "volumes (and network interfaces after the first, where the limit is shared)",
            needs.volumes + (needs.interfaces - 1 if candidate.attachment_limit_type == "shared" else 0),
            candidate.maximum_ebs_attachments,
            "attachments",
        ),
        "memory": ("memory, maximum with headroom", needs.memory_gib, candidate.memory_gib, "GiB"),
        "memory_unmeasured": (
            "memory is not measured and so never reduced",
            needs.memory_current_gib,
            candidate.memory_gib,
            "GiB",
        ),
        "network_baseline": ("sustained network", needs.network_sustained, candidate.network_baseline_gbps, "Gbps"),
        "network_peak": ("peak network", needs.network_peak, candidate.network_peak_gbps, "Gbps"),
        "network_unmeasured": (
            "network is not measured and so never reduced",
            needs.network_current,
            candidate.network_baseline_gbps,
            "Gbps",
        ),
        "packets": (
            "packets",
            needs.packets,
            (candidate.network_baseline_gbps or 0.0) * options.packets_per_gbps,
            "packets/s",
        ),
        "ebs_throughput": ("sustained EBS throughput", needs.ebs_mbps_sustained, candidate.ebs_baseline_mbps, "Mbps"),
        "ebs_throughput_maximum": ("peak EBS throughput", needs.ebs_mbps_peak, candidate.ebs_maximum_mbps, "Mbps"),
        "ebs_iops": ("sustained EBS operations", needs.ebs_iops_sustained, candidate.ebs_baseline_iops, "operations/s"),
        "ebs_iops_maximum": ("peak EBS operations", needs.ebs_iops_peak, candidate.ebs_maximum_iops, "operations/s"),
        "ebs_unmeasured": (
            "EBS is not measured and so never reduced",
            needs.ebs_mbps_current,
            candidate.ebs_baseline_mbps,
            "Mbps",
        ),
        "cpu": ("CPU", needs.cpu_sustained * 100, ratio * 100, "% of the current CPU capacity"),
        "cpu_baseline": (
            "average CPU",
            needs.cpu_average * 100,
            ratio * share * 100,
            "% of the current CPU capacity, its baseline",
        ),
        "cpu_credits": (
            "CPU of the busiest day",
            needs.cpu_busiest_period * 100,
            ratio * share * 100,
            "% of the current CPU capacity, and CPU credits would run out",
        ),
    }
    what, need, has, unit = figures[name]
    return f"{what}: {float(need[row]):.4g} needed, {candidate.name} has {float(has or 0.0):.4g} {unit}"
