# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed, as plain data: instances, the type catalog, prices and usage.

``observe`` fills these, ``analyze`` reads them; neither knows the other.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Mapping, Sequence

if t.TYPE_CHECKING:
    import numpy
    import numpy.typing

    FloatArray = numpy.typing.NDArray[numpy.float32]

#: Statistics of one usage period, in the order of the last axis of :class:`FleetUsage` arrays.
#: Percentiles are over the samples within the period, interpolated by CloudWatch or Prometheus.
STATISTICS = ("p50", "p90", "p99", "Maximum", "Average")

#: Metrics that a :class:`FleetUsage` may hold, with their units.
USAGE_METRICS: dict[str, str] = {
    "cpu_percent": "percent of all vCPUs of the instance",
    "memory_percent": "percent of the instance's memory",
    "network_in_bytes_per_second": "bytes/second",
    "network_out_bytes_per_second": "bytes/second",
    "network_packets_in_per_second": "packets/second",
    "network_packets_out_per_second": "packets/second",
    "ebs_read_bytes_per_second": "bytes/second over all attached volumes",
    "ebs_write_bytes_per_second": "bytes/second over all attached volumes",
    "ebs_read_operations_per_second": "operations/second over all attached volumes",
    "ebs_write_operations_per_second": "operations/second over all attached volumes",
    "cpu_credit_balance": "CPU credits (vCPU-minutes); burstable types only",
    "cpu_surplus_credits_charged": "CPU credits (vCPU-minutes) per sample; burstable types only",
}


@dataclasses.dataclass(frozen=True, slots=True)
class InstanceType:
    """One row of ``DescribeInstanceTypes``: what a type offers. None: the API does not say.

    ``memory_gib`` in GiB, clock in GHz, EBS bandwidth in Mbps (10^6 bits/s), network in
    Gbps. ``*_support`` hold ``required``, ``supported`` or ``unsupported`` as the API does.
    ``attachment_limit_type`` is ``shared`` where ENIs, volumes and NVMe instance stores
    count against one limit.
    """

    name: str
    vcpus: int
    cores: int
    memory_gib: float
    architectures: tuple[str, ...]
    hypervisor: str
    sustained_clock_ghz: float | None = None
    bare_metal: bool = False
    burstable: bool = False
    current_generation: bool = True
    processor_manufacturer: str = ""
    virtualization_types: tuple[str, ...] = ("hvm",)
    boot_modes: tuple[str, ...] = ("legacy-bios", "uefi")
    usage_classes: tuple[str, ...] = ("on-demand", "spot")
    root_device_types: tuple[str, ...] = ("ebs",)
    ebs_baseline_mbps: float | None = None
    ebs_maximum_mbps: float | None = None
    ebs_baseline_iops: float | None = None
    ebs_maximum_iops: float | None = None
    nvme_support: str = "required"
    maximum_ebs_attachments: int | None = None
    attachment_limit_type: str = "shared"
    network_baseline_gbps: float | None = None
    network_peak_gbps: float | None = None
    maximum_network_interfaces: int = 2
    ipv4_addresses_per_interface: int = 6
    ena_support: str = "required"
    efa_supported: bool = False
    instance_storage_gb: float = 0.0
    nvme_instance_stores: int = 0
    accelerators: int = 0
    hibernation_supported: bool = False

    @property
    def family(self) -> str:
        """``m5`` of ``m5.large``."""
        return self.name.partition(".")[0]

    @property
    def size(self) -> str:
        """``large`` of ``m5.large``."""
        return self.name.partition(".")[2]


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """One attached EBS volume; ``iops`` and ``throughput_mibps`` where the type has them."""

    volume_id: str
    volume_type: str
    size_gib: int
    device: str = ""
    iops: int | None = None
    throughput_mibps: int | None = None
    multi_attach: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """One EC2 instance with everything that constrains a change of its type.

    ``operating_system`` is the Pricing API's name (Linux, Windows, RHEL, SUSE, ...);
    ``lifecycle`` is on-demand, spot, scheduled or capacity-block; ``ena_enabled`` and
    ``boot_mode`` are what the running image has; ``nvme_capable`` is None where nothing
    says whether its drivers are there. ``managed_by``/``manager`` as in ``Resource``.
    """

    instance_id: str
    instance_type: str
    state: str
    account: str
    region: str
    availability_zone: str
    name: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    launch_time: datetime.datetime | None = None
    image_id: str = ""
    architecture: str = "x86_64"
    operating_system: str = "Linux"
    pre_installed_software: str = "NA"
    virtualization_type: str = "hvm"
    hypervisor: str = "xen"
    boot_mode: str = "legacy-bios"
    ena_enabled: bool = True
    nvme_capable: bool | None = None
    root_device_type: str = "ebs"
    ebs_optimized: bool = False
    lifecycle: str = "on-demand"
    tenancy: str = "default"
    placement_group: str = ""
    capacity_reservation_id: str = ""
    hibernation: bool = False
    detailed_monitoring: bool = False
    credit_mode: str = ""
    public_ip: str = ""
    has_elastic_ip: bool = False
    network_interfaces: int = 1
    ipv4_addresses_per_interface: int = 1
    efa_interfaces: int = 0
    volumes: tuple[Volume, ...] = ()
    product_codes: tuple[str, ...] = ()
    managed_by: str = "none"
    manager: str = ""

    @property
    def sample_seconds(self) -> int:
        """Interval of EC2's own metrics: 60 s with detailed monitoring, else 300 s."""
        return 60 if self.detailed_monitoring else 300


@dataclasses.dataclass(frozen=True, slots=True)
class AutoScalingGroup:
    """One Auto Scaling group: its instances change through its launch template, never one by one.

    ``instance_type`` is the one type of its members; empty where they have several or it has none.

    ``launch_template_version`` is the version that the group names (``$Latest``,
    ``$Default`` or a number) and ``uses_latest_or_default`` whether it is one of the first
    two. ``instance_types`` are those of its members. ``scales_on`` names its dynamic scaling
    policies.
    """

    name: str
    arn: str
    account: str
    region: str
    instance_type: str
    launch_template_id: str = ""
    launch_template_version: str = ""
    uses_latest_or_default: bool = False
    launch_configuration: str = ""
    mixed_instances_policy: bool = False
    minimum_capacity: int = 0
    maximum_capacity: int = 0
    desired_capacity: int = 0
    instance_ids: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    availability_zones: tuple[str, ...] = ()
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scales_on: tuple[str, ...] = ()
    managed_by: str = "none"
    manager: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class PriceList:
    """On-demand prices in one region: (instance type, operating system) -> currency/hour.

    ``as_of`` is the day on which ``source`` gave them. ``commitment_coverage`` maps an
    instance family to the share (0..1) of its hours covered by Savings Plans or
    reservations; None where nobody could tell and ``commitments_exist`` says whether the
    account has any.
    """

    region: str
    hourly: Mapping[tuple[str, str], float]
    source: str
    as_of: datetime.date
    currency: str = "USD"
    commitment_coverage: Mapping[str, float] | None = None
    commitments_exist: bool = False

    def price(self, instance_type: str, operating_system: str) -> float | None:
        """Currency/hour on demand with shared tenancy, or None where the list has no price."""
        return self.hourly.get((instance_type, operating_system))


@dataclasses.dataclass(frozen=True)
class FleetUsage:
    """Usage of a fleet, summarised per period by the monitoring system itself.

    ``metrics[name]`` has shape (instances, periods, len(STATISTICS)), float32, in the units
    of :data:`USAGE_METRICS`, in the order of ``instance_ids``; NaN where there is no data.
    A metric that was not asked for, or that no instance has, is absent. ``start`` is the
    beginning of the first period (UTC), ``period_seconds`` the length of each (86,400 by
    default), ``sources`` says where each metric came from.
    """

    instance_ids: Sequence[str]
    start: datetime.datetime
    period_seconds: int
    periods: int
    metrics: Mapping[str, FloatArray]
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def end(self) -> datetime.datetime:
        """End of the last period (UTC)."""
        return self.start + datetime.timedelta(seconds=self.period_seconds * self.periods)
