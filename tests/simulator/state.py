# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated cloud's resources: accounts, regions and what stands in them."""

from __future__ import annotations

import dataclasses
import random
import typing as t

from simulator import catalog
from simulator.clock import Agenda, Clock
from simulator.errors import AwsError
from simulator.faults import Faults
from simulator.metric_store import PeriodCache
from simulator.usage import NO_USAGE, Usage

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@dataclasses.dataclass(slots=True)
class Image:
    """An AMI, and what a machine made from it can do."""

    image_id: str
    name: str
    architecture: str = "x86_64"
    operating_system: str = "Linux"
    ena: bool = True
    boot_mode: str | None = None
    virtualization_type: str = "hvm"
    root_device_type: str = "ebs"
    nvme_drivers: bool = True
    platform_details: str = "Linux/UNIX"
    usage_operation: str = "RunInstances"
    product_codes: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True)
class Volume:
    """An EBS volume; ``instance_id`` is empty when it is not attached."""

    volume_id: str
    volume_type: str
    size_gib: int
    zone: str
    created: float
    instance_id: str = ""
    device: str = ""
    iops: int | None = None
    throughput: int | None = None
    delete_on_termination: bool = True
    encrypted: bool = False
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class Span:
    """A time in which an instance ran with one type; ``end`` is infinite while it lasts."""

    start: float
    end: float
    instance_type: str


@dataclasses.dataclass(slots=True)
class Instance:
    """An EC2 instance. ``spans`` is when it ran, and with which type."""

    instance_id: str
    instance_type: str
    zone: str
    image: Image
    launch_time: float
    private_ip: str
    interface_id: str
    usage: Usage = NO_USAGE
    state: str = "running"
    state_reason: tuple[str, str] | None = None
    state_transition: str = ""
    status_ok_at: float = 0.0
    impaired: bool = False
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    volume_ids: list[str] = dataclasses.field(default_factory=list)
    spans: list[Span] = dataclasses.field(default_factory=list)
    public_ip: str = ""
    wants_public_ip: bool = False
    address_id: str = ""
    extra_interfaces: int = 0
    addresses_per_interface: int = 1
    lifecycle: str = ""
    tenancy: str = "default"
    placement_group: str = ""
    capacity_reservation_id: str = ""
    hibernation: bool = False
    detailed_monitoring: bool = False
    credit_mode: str = ""
    ebs_optimized: bool = False
    disable_api_stop: bool = False
    disable_api_termination: bool = False
    memory_agent: str = ""
    group_name: str = ""
    ecs_cluster: str = ""
    alarms_after_change: bool = False
    key_name: str = ""

    @property
    def sample(self) -> int:
        """Seconds between the samples of EC2's own metrics."""
        return 60 if self.detailed_monitoring else 300

    @property
    def spec(self) -> catalog.TypeSpec:
        """What its present type can do."""
        return t.cast(catalog.TypeSpec, catalog.spec(self.instance_type))


@dataclasses.dataclass(slots=True)
class Address:
    """An Elastic IP."""

    allocation_id: str
    public_ip: str
    instance_id: str = ""
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class LaunchTemplate:
    """A launch template; ``versions[n - 1]`` is version n: (created, description, data)."""

    template_id: str
    name: str
    created: float
    versions: list[tuple[float, str, dict[str, t.Any]]]
    default_version: int = 1
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class InstanceRefresh:
    """A rolling replacement of a group's members, or the way back."""

    refresh_id: str
    status: str
    started: float
    desired: dict[str, t.Any]
    preferences: dict[str, t.Any]
    before: dict[str, t.Any]
    waiting: list[str]
    replaced: list[str] = dataclasses.field(default_factory=list)
    total: int = 0
    ended: float | None = None
    reason: str = ""
    rollback_reason: str = ""


@dataclasses.dataclass(slots=True)
class Group:
    """An Auto Scaling group. ``specification`` holds LaunchTemplate or MixedInstancesPolicy."""

    name: str
    created: float
    specification: dict[str, t.Any]
    minimum: int
    maximum: int
    desired: int
    zones: list[str]
    members: list[str] = dataclasses.field(default_factory=list)
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    suspended: set[str] = dataclasses.field(default_factory=set)
    refreshes: list[InstanceRefresh] = dataclasses.field(default_factory=list)
    activities: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Alarm:
    """A CloudWatch alarm. ``after_change``: goes into ALARM when its instance got another type."""

    name: str
    namespace: str
    metric: str
    dimensions: dict[str, str]
    threshold: float
    state: str = "OK"
    statistic: str = "Average"
    period: int = 300
    comparison: str = "GreaterThanThreshold"
    after_change: bool = False
    updated: float = 0.0


@dataclasses.dataclass(slots=True)
class CustomMetric:
    """A metric that somebody put: times and values, in order of time."""

    times: list[float] = dataclasses.field(default_factory=list)
    values: list[float] = dataclasses.field(default_factory=list)


MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclasses.dataclass(slots=True)
class Region:
    """What stands in one region of one account, by id and in order of creation."""

    account: str
    name: str
    instances: dict[str, Instance] = dataclasses.field(default_factory=dict)
    volumes: dict[str, Volume] = dataclasses.field(default_factory=dict)
    images: dict[str, Image] = dataclasses.field(default_factory=dict)
    addresses: dict[str, Address] = dataclasses.field(default_factory=dict)
    templates: dict[str, LaunchTemplate] = dataclasses.field(default_factory=dict)
    groups: dict[str, Group] = dataclasses.field(default_factory=dict)
    alarms: dict[str, Alarm] = dataclasses.field(default_factory=dict)
    clusters: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    custom_metrics: dict[MetricKey, CustomMetric] = dataclasses.field(default_factory=dict)
    tokens: dict[tuple[str, str], tuple[str, dict[str, t.Any]]] = dataclasses.field(default_factory=dict)
    address_count: int = 0

    def instance(self, instance_id: str) -> Instance:
        """The instance, or EC2's error for one that is not there."""
        try:
            return self.instances[instance_id]
        except KeyError:
            raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist") from None


@dataclasses.dataclass(slots=True)
class SavingsPlan:
    """A Savings Plan: ``commitment`` in USD/hour; ``family`` and ``region`` for EC2 Instance plans."""

    plan_id: str
    kind: str
    commitment: float
    start: float
    end: float
    family: str = ""
    region: str = ""


@dataclasses.dataclass(slots=True)
class Reservation:
    """A regional reservation of ``count`` instances of a type (size-flexible for Linux)."""

    reservation_id: str
    instance_type: str
    count: int
    region: str
    start: float
    end: float
    platform: str = "Linux/UNIX"


@dataclasses.dataclass(slots=True)
class Account:
    """An AWS account; ``denied``: nobody may assume a role in it; ``deny``: operations refused."""

    account_id: str
    name: str
    access_keys: list[str] = dataclasses.field(default_factory=list)
    regions: dict[str, Region] = dataclasses.field(default_factory=dict)
    denied: bool = False
    deny: set[str] = dataclasses.field(default_factory=set)
    savings_plans: list[SavingsPlan] = dataclasses.field(default_factory=list)
    reservations: list[Reservation] = dataclasses.field(default_factory=list)
    compute_optimizer: bool = False
    #: what simulator.anomaly_monitors keeps of it
    anomaly_monitors: t.Any = None
    #: what simulator.budgets keeps of it
    budgets: t.Any = None
    #: what simulator.cloudfront keeps of it
    cloudfront: t.Any = None
    #: what simulator.cost_categories keeps of it
    cost_categories: t.Any = None
    #: what simulator.tagging keeps of it
    tagging: t.Any = None
    #: other services that it pays for (simulator.bills.Service)
    services: list[t.Any] = dataclasses.field(default_factory=list)

    def region(self, name: str) -> Region:
        """The region, empty where the estate puts nothing into it."""
        if name not in self.regions:
            self.regions[name] = Region(self.account_id, name)
        return self.regions[name]


@dataclasses.dataclass(slots=True)
class Delays:
    """How long things take, in seconds of real time."""

    transition: float = 0.2
    status_checks: float = 0.2
    refresh_step: float = 0.3


@dataclasses.dataclass(slots=True)
class Credentials:
    """What AssumeRole gave out."""

    access_key: str
    account: str
    arn: str
    user_id: str
    expires: float


class Cloud:
    """Everything: accounts, the clock, the faults, and who holds which access key."""

    def __init__(self, clock: Clock, faults: Faults, seed: int = 1) -> None:
        self.clock = clock
        self.faults = faults
        self.agenda = Agenda()
        self.delays = Delays()
        self.seed = seed
        self.accounts: dict[str, Account] = {}
        #: projects of Google Cloud (simulator.bills.Project)
        self.projects: list[t.Any] = []
        self.credentials: dict[str, Credentials] = {}
        self.cache = PeriodCache()
        self.vcpu_speed: dict[str, float] = {}
        self.started = clock.now()
        self._random = random.Random(seed)

    def identifier(self, prefix: str) -> str:
        """A new id such as ``i-0123456789abcdef0``."""
        return f"{prefix}-{self._random.getrandbits(68):017x}"

    def account_of_key(self, access_key: str) -> Account | None:
        """The account behind an access key: one given out, one of the estate, or by its 12 digits."""
        held = self.credentials.get(access_key)
        if held is not None:
            return self.accounts.get(held.account)
        for account in self.accounts.values():
            if access_key in account.access_keys or account.account_id in access_key:
                return account
        return None

    def vcpus(self, spec: catalog.TypeSpec) -> float:
        """The type's CPU capacity in vCPU-equivalents."""
        return spec.vcpus * self.vcpu_speed.get(spec.family, 1.0)

    def regions(self) -> t.Iterator[Region]:
        """Every region of every account."""
        for account in self.accounts.values():
            yield from account.regions.values()
