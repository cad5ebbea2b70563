# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an estate description to a cloud full of resources. The format is in README.md."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import pathlib
import typing as t

import yaml  # type: ignore[import-untyped,unused-ignore]

from simulator import bills, catalog, cloudfront, gcp, lifecycle, tagging
from simulator.clock import Clock
from simulator.errors import EstateError
from simulator.faults import Faults
from simulator.state import (
    Account,
    Address,
    Alarm,
    Cloud,
    Delays,
    Group,
    Image,
    Instance,
    LaunchTemplate,
    Region,
    Reservation,
    SavingsPlan,
    Span,
    Volume,
)
from simulator.usage import DAY, DIMENSIONS, NO_USAGE, Demand, Profile, Shape, Trace, Usage, read_columns

_Dict = dict[str, t.Any]

#: os -> (operating system, PlatformDetails, UsageOperation), from
#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-info-fields.html
PLATFORMS = {
    "Linux": ("Linux", "Linux/UNIX", "RunInstances"),
    "Windows": ("Windows", "Windows", "RunInstances:0002"),
    "RHEL": ("Linux", "Red Hat Enterprise Linux", "RunInstances:0010"),
    "SUSE": ("Linux", "SUSE Linux", "RunInstances:000g"),
}


def _check_keys(where: str, given: t.Mapping[str, t.Any], known: t.Iterable[str]) -> None:
    if not isinstance(given, dict):
        raise EstateError(f"{where}: a mapping is needed, not {given!r}")
    names = sorted(known)
    for key in given:
        if key not in names:
            raise EstateError(f"{where}: unknown key {key!r}; there are {', '.join(names)}")


def moment(where: str, value: t.Any) -> float:
    """Seconds since the epoch from a number, an ISO 8601 text or what YAML made of one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=value.tzinfo or datetime.UTC).timestamp()
    try:
        parsed = datetime.datetime.fromisoformat(str(value))
    except ValueError:
        raise EstateError(f"{where}: {value!r} is not an ISO 8601 time") from None
    return parsed.replace(tzinfo=parsed.tzinfo or datetime.UTC).timestamp()


def read_estate(path: pathlib.Path) -> _Dict:
    """The description in a YAML or JSON file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EstateError(f"cannot read the estate {path}: {error.strerror}") from None
    try:
        value = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise EstateError(f"{path} is not valid: {error}") from None
    if not isinstance(value, dict):
        raise EstateError(f"{path}: an estate is a mapping with the key accounts")
    return value


# --- usage -------------------------------------------------------------------------------

_PEAKS = (
    "cpu_percent",
    "cpu_vcpus",
    "memory_percent",
    "memory_gib",
    "network_mbps",
    "ebs_mbps",
    "ebs_iops",
)
_USAGE_KEYS = ("profile", "seed", "variants", "parameters", "step", "memory_swing", "dimensions", *_PEAKS)
_DIMENSION_KEYS = ("profile", "seed", "variants", "parameters", "step", "csv", "peak", "floor", "unit")
_CSV_KEYS = ("path", "time", "value", "unit", "scale", "now_at", "repeat", "keep_hours")
_MEBI, _GIBI = 2**20, 2**30


def _unit_factor(where: str, dimension: str, unit: str, spec: catalog.TypeSpec) -> float:
    """What one of ``unit`` is in the dimension's own unit."""
    if unit == "percent":
        whole = {"cpu": float(spec.vcpus), "memory": spec.memory_gib}.get(dimension)
        if whole is not None:
            return whole / 100
    factors: dict[str, dict[str, float]] = {
        "cpu": {"vcpus": 1.0},
        "memory": {"gib": 1.0, "mib": 1 / 1024, "kib": 1 / 1024**2, "bytes": 1 / _GIBI},
    }
    rates = {
        "bytes_per_second": 1.0,
        "kib_per_second": 1024.0,
        "mib_per_second": float(_MEBI),
        "mbps": 1e6 / 8,
        "bytes_per_5_minutes": 1 / 300,
        "per_second": 1.0,
    }
    known = factors.get(dimension, rates)
    if unit not in known:
        choice = ", ".join([*known, *(["percent"] if dimension in factors else [])])
        raise EstateError(f"{where}: {dimension} has no unit {unit!r}; there are {choice}")
    return known[unit]


_DEFAULT_UNITS = {"cpu": "percent", "memory": "percent"}


class UsageBuilder:
    """Makes usages; shapes and usages that are the same are made once and shared."""

    def __init__(self, now: float, seed: int, folder: pathlib.Path, named: t.Mapping[str, t.Any]) -> None:
        self.now = now
        self.seed = seed
        self.folder = folder
        self.named = named
        self._shapes: dict[str, Shape] = {}
        self._usages: dict[str, Usage] = {}

    def build(self, where: str, wanted: t.Any, spec: catalog.TypeSpec, number: int) -> Usage:
        """The usage of the ``number``-th instance of a template that starts with the type ``spec``."""
        if wanted is None:
            return NO_USAGE
        if isinstance(wanted, str):
            if wanted not in self.named:
                raise EstateError(f"{where}: there is no usage named {wanted!r}")
            wanted = self.named[wanted]
        _check_keys(f"{where} usage", wanted, _USAGE_KEYS)
        variant = number % int(wanted.get("variants", 1))
        key = json.dumps([wanted, spec.name, variant], sort_keys=True, default=str)
        if key not in self._usages:
            self._usages[key] = Usage(self._demands(where, wanted, spec, variant))
        return self._usages[key]

    def _demands(self, where: str, wanted: _Dict, spec: catalog.TypeSpec, variant: int) -> dict[str, Demand]:
        demands: dict[str, Demand] = {}
        if "profile" in wanted:
            shape = self._profile(wanted, variant, {})
            cpu = wanted.get("cpu_vcpus", wanted.get("cpu_percent", 0) * spec.vcpus / 100)
            demands["cpu"] = Demand(shape, float(cpu))
            memory = float(wanted.get("memory_gib", wanted.get("memory_percent", 0) * spec.memory_gib / 100))
            if memory:
                # Memory hardly follows the load: most of it is always there.
                swing = float(wanted.get("memory_swing", 0.15))
                demands["memory"] = Demand(shape, memory * swing, memory * (1 - swing))
            network = wanted.get("network_mbps", 0) * 1e6 / 8
            if network:
                demands["network_out"] = Demand(shape, network)
                demands["network_in"] = Demand(shape, network * 0.6)
            ebs = wanted.get("ebs_mbps", 0) * 1e6 / 8
            if ebs:
                demands["ebs_write_bytes"] = Demand(shape, ebs * 0.6)
                demands["ebs_read_bytes"] = Demand(shape, ebs * 0.4)
            operations = wanted.get("ebs_iops", 0)
            if operations:
                demands["ebs_write_ops"] = Demand(shape, operations * 0.6)
                demands["ebs_read_ops"] = Demand(shape, operations * 0.4)
        elif any(key in wanted for key in _PEAKS):
            raise EstateError(f"{where} usage: {', '.join(_PEAKS)} need a profile beside them")
        for dimension, one in wanted.get("dimensions", {}).items():
            _check_keys(f"{where} usage {dimension}", one, _DIMENSION_KEYS)
            demands[dimension] = self._dimension(f"{where} usage {dimension}", dimension, one, wanted, spec, variant)
        unknown = sorted(set(demands) - set(DIMENSIONS))
        if unknown:
            raise EstateError(f"{where} usage: {unknown[0]!r} is not one of {', '.join(DIMENSIONS)}")
        return demands

    def _dimension(
        self, where: str, dimension: str, one: _Dict, outer: _Dict, spec: catalog.TypeSpec, variant: int
    ) -> Demand:
        if "csv" in one:
            source = one["csv"]
            _check_keys(f"{where} csv", source, _CSV_KEYS)
            unit = source.get("unit", _DEFAULT_UNITS.get(dimension, "bytes_per_second"))
            factor = _unit_factor(where, dimension, unit, spec) * float(source.get("scale", 1.0))
            return Demand(self._trace(source), factor)
        unit = one.get("unit", _DEFAULT_UNITS.get(dimension, "bytes_per_second"))
        factor = _unit_factor(where, dimension, unit, spec)
        floor = float(one.get("floor", 0.0))
        shape = self._profile(one, variant, outer)
        return Demand(shape, (float(one.get("peak", 0.0)) - floor) * factor, floor * factor)

    def _profile(self, wanted: _Dict, variant: int, outer: _Dict) -> Shape:
        kind = wanted.get("profile", outer.get("profile"))
        seed = int(wanted.get("seed") or outer.get("seed") or self.seed) + variant
        parameters = wanted.get("parameters", {})
        step = int(wanted.get("step") or outer.get("step") or 300)
        key = json.dumps([kind, seed, parameters, step], sort_keys=True)
        if key not in self._shapes:
            self._shapes[key] = Profile(str(kind), seed, parameters, self.now, step)
        return self._shapes[key]

    def _trace(self, source: _Dict) -> Shape:
        key = json.dumps(source, sort_keys=True)
        if key not in self._shapes:
            path = (self.folder / str(source["path"])).resolve()
            columns = source.get("value", "value")
            columns = (columns,) if isinstance(columns, str) else tuple(columns)
            times, values = read_columns(path, str(source.get("time", "timestamp")), columns)
            self._shapes[key] = Trace(
                times,
                values,
                self.now,
                float(source.get("now_at", 1.0)),
                bool(source.get("repeat", True)),
                bool(source.get("keep_hours", False)),
            )
        return self._shapes[key]


# --- resources ---------------------------------------------------------------------------

_IMAGE_KEYS = ("os", "architecture", "ena", "boot_mode", "virtualization_type", "root_device_type", "nvme_drivers")
_INSTANCE_KEYS = (
    *_IMAGE_KEYS,
    "product_codes",
    "id",
    "name",
    "count",
    "type",
    "zone",
    "state",
    "tags",
    "launched_days_ago",
    "usage",
    "volumes",
    "elastic_ip",
    "public_ip",
    "interfaces",
    "addresses_per_interface",
    "lifecycle",
    "tenancy",
    "placement_group",
    "capacity_reservation_id",
    "hibernation",
    "detailed_monitoring",
    "memory_agent",
    "credit_mode",
    "ebs_optimized",
    "disable_api_stop",
    "disable_api_termination",
    "managed_by",
    "ecs_cluster",
    "alarm",
    "key_name",
)
_GROUP_KEYS = ("name", "desired", "minimum", "maximum", "template", "version", "mixed_instances", "instances", "tags")
_ALARM_KEYS = ("name", "namespace", "metric", "instance", "threshold", "state", "after_change", "comparison")
_REGION_KEYS = ("instances", "groups", "alarms", "volumes", "elastic_ips", "clusters")
_ACCOUNT_KEYS = (
    "id",
    "name",
    "access_keys",
    "assume_role",
    "deny",
    "regions",
    "savings_plans",
    "reservations",
    "compute_optimizer",
    "distributions",
    "services",
    "tagged",
)
_ESTATE_KEYS = ("now", "seed", "delays", "faults", "vcpu_speed", "usage", "accounts", "projects", "description")

#: Tags that the real tools put on what they manage.
MANAGER_TAGS: dict[str, dict[str, str]] = {
    "terraform": {"terraform": "true", "ManagedBy": "terraform"},
    "cloudformation": {
        "aws:cloudformation:stack-name": "platform",
        "aws:cloudformation:logical-id": "Server",
        "aws:cloudformation:stack-id": "arn:aws:cloudformation:us-east-1:000000000000:stack/platform/1",
    },
    "eks": {
        "eks:cluster-name": "apps",
        "eks:nodegroup-name": "workers",
        "kubernetes.io/cluster/apps": "owned",
    },
    "protected": {"frugal:protected": "true"},
}


class EstateBuilder:
    """Fills a cloud from a description."""

    def __init__(self, description: _Dict, folder: pathlib.Path, now: float | None = None) -> None:
        _check_keys("the estate", description, _ESTATE_KEYS)
        self.description = description
        start = now
        if start is None and "now" in description:
            start = moment("now", description["now"])
        clock = Clock(start)
        faults = Faults()
        faults.configure(description.get("faults", {}))
        self.seed = int(description.get("seed", 1))
        self.cloud = Cloud(clock, faults, self.seed)
        self.cloud.delays = Delays(**description.get("delays", {}))
        self.cloud.vcpu_speed = dict(description.get("vcpu_speed", {}))
        self.now = self.cloud.started
        # Shapes are placed on whole samples, so that they do not depend on the second of the start.
        self.usages = UsageBuilder(self.now // 300 * 300, self.seed, folder, description.get("usage", {}))
        self._zones: dict[tuple[str, str], list[str]] = {}
        self._numbers = 0

    def build(self) -> Cloud:
        """The filled cloud; raises :class:`EstateError` with the place of the mistake."""
        accounts = self.description.get("accounts")
        if not accounts:
            raise EstateError("the estate has no accounts")
        today = datetime.datetime.fromtimestamp(self.now, datetime.UTC).date()
        for one in accounts:
            self._account(one, today)
        for one in self.description.get("projects", []):
            gcp.add_project(self.cloud, one, today)
        return self.cloud

    def _account(self, one: _Dict, today: datetime.date) -> None:
        _check_keys("account", one, _ACCOUNT_KEYS)
        name = str(one.get("id", ""))
        if len(name) != 12 or not name.isdigit():
            raise EstateError(f"account id {name!r} does not have 12 digits")
        account = Account(
            name,
            str(one.get("name", name)),
            list(one.get("access_keys", [])),
            denied=one.get("assume_role", "allow") == "deny",
            deny=set(one.get("deny", [])),
            compute_optimizer=bool(one.get("compute_optimizer", False)),
        )
        self.cloud.accounts[name] = account
        for number, plan in enumerate(one.get("savings_plans", [])):
            self._savings_plan(account, plan, number)
        for number, plan in enumerate(one.get("reservations", [])):
            self._reservation(account, plan, number)
        for distribution in one.get("distributions", []):
            where = f"account {name} distribution"
            _check_keys(where, distribution, ("id", "origins", "behaviors", "aliases", "comment"))
            for key in ("id", "origins"):
                if not distribution.get(key):
                    raise EstateError(f"{where}: {key} is missing")
            cloudfront.add_distribution(account, distribution)
        for other in one.get("services", []):
            account.services.append(bills.service(f"account {name} service", other, today))
        for other in one.get("tagged", []):
            _check_keys(f"account {name} tagged", other, ("arn", "count", "tags", "failing"))
            tagging.add_resources(account, other)
        for region_name, content in one.get("regions", {}).items():
            _check_keys(f"account {name} region {region_name}", content, _REGION_KEYS)
            self._region(account.region(region_name), content)

    def _savings_plan(self, account: Account, one: _Dict, number: int) -> None:
        _check_keys("savings plan", one, ("type", "commitment", "days_left", "family", "region"))
        kind = one.get("type", "Compute")
        if kind not in ("Compute", "EC2Instance"):
            raise EstateError(f"a savings plan is of type Compute or EC2Instance, not {kind!r}")
        end = self.now + float(one.get("days_left", 200)) * DAY
        account.savings_plans.append(
            SavingsPlan(
                f"sp-{account.account_id}-{number}",
                kind,
                float(one["commitment"]),
                end - 365 * DAY,
                end,
                one.get("family", ""),
                one.get("region", ""),
            )
        )

    def _reservation(self, account: Account, one: _Dict, number: int) -> None:
        _check_keys("reservation", one, ("type", "count", "days_left", "region", "platform"))
        end = self.now + float(one.get("days_left", 200)) * DAY
        account.reservations.append(
            Reservation(
                f"ri-{account.account_id}-{number}",
                one["type"],
                int(one.get("count", 1)),
                one.get("region", "us-east-1"),
                end - 365 * DAY,
                end,
                one.get("platform", "Linux/UNIX"),
            )
        )

    def _region(self, region: Region, content: _Dict) -> None:
        for template in content.get("instances", []):
            self.instances(region, template)
        for group in content.get("groups", []):
            self._group(region, group)
        for one in content.get("alarms", []):
            self._alarm(region, one)
        for one in content.get("volumes", []):
            self._free_volumes(region, one)
        for _number in range(int(content.get("elastic_ips", 0))):
            address = Address(self.cloud.identifier("eipalloc"), lifecycle.new_public_ip(region))
            region.addresses[address.allocation_id] = address

    def _free_volumes(self, region: Region, one: _Dict) -> None:
        _check_keys("volume", one, ("count", "type", "size", "zone", "iops", "throughput", "tags"))
        for _number in range(int(one.get("count", 1))):
            volume = self._volume(one, one.get("zone", f"{region.name}a"), self.now - 30 * DAY)
            volume.tags = dict(one.get("tags", {}))
            region.volumes[volume.volume_id] = volume

    def _volume(self, one: _Dict, zone: str, created: float) -> Volume:
        kind = one.get("type", "gp3")
        size = int(one.get("size", 30))
        iops, throughput = one.get("iops"), one.get("throughput")
        if kind == "gp3":
            iops, throughput = iops or 3000, throughput or 125
        elif kind == "gp2":
            iops = min(16000, max(100, 3 * size))
        return Volume(self.cloud.identifier("vol"), kind, size, zone, created, iops=iops, throughput=throughput)

    def _zone(self, where: str, region: Region, instance_type: str, wanted: t.Any, number: int) -> str:
        if wanted is not None:
            zones = [wanted] if isinstance(wanted, str) else list(wanted)
            return str(zones[number % len(zones)])
        key = (region.name, instance_type)
        if key not in self._zones:
            self._zones[key] = sorted(z for kind, z in catalog.offered(region.name) if kind == instance_type)
        zones = self._zones[key]
        if not zones:
            raise EstateError(f"{where}: {instance_type} is not offered in {region.name}")
        return zones[number % len(zones)]

    def _image(self, where: str, region: Region, one: _Dict, spec: catalog.TypeSpec) -> Image:
        system = one.get("os", "Linux")
        if system not in PLATFORMS:
            raise EstateError(f"{where}: os {system!r} is not one of {', '.join(PLATFORMS)}")
        operating_system, details, usage_operation = PLATFORMS[system]
        architecture = one.get("architecture", "arm64" if spec.architectures == ("arm64",) else "x86_64")
        key = json.dumps([{k: one[k] for k in _IMAGE_KEYS if k in one}, one.get("product_codes", []), architecture])
        digest = hashlib.sha256(f"{region.account}{region.name}{key}".encode()).hexdigest()[:17]
        image_id = f"ami-{digest}"
        if image_id not in region.images:
            image = Image(
                image_id,
                f"{system.lower()}-{architecture}-{digest[:6]}",
                architecture,
                operating_system,
                bool(one.get("ena", True)),
                one.get("boot_mode", "uefi" if architecture == "arm64" else None),
                one.get("virtualization_type", "hvm"),
                one.get("root_device_type", "ebs"),
                bool(one.get("nvme_drivers", True)),
                details,
                usage_operation,
                tuple(one.get("product_codes", ())),
            )
            region.images[image_id] = image
        return region.images[image_id]

    def instances(self, region: Region, one: _Dict) -> list[Instance]:
        """All instances of one template of the description."""
        where = f"instance {one.get('name', one.get('id', '?'))!r}"
        _check_keys(where, one, _INSTANCE_KEYS)
        types = one.get("type")
        if not types:
            raise EstateError(f"{where} has no type")
        types = [types] if isinstance(types, str) else list(types)
        made = []
        for number in range(int(one.get("count", 1))):
            instance_type = types[number % len(types)]
            spec = catalog.spec(instance_type)
            if spec is None:
                raise EstateError(f"{where}: there is no instance type {instance_type!r}")
            made.append(self._instance(region, where, one, spec, number))
        return made

    def _instance(self, region: Region, where: str, one: _Dict, spec: catalog.TypeSpec, number: int) -> Instance:
        image = self._image(where, region, one, spec)
        zone = self._zone(where, region, spec.name, one.get("zone"), number)
        launched = self.now - float(one.get("launched_days_ago", 120)) * DAY
        private_ip, interface = lifecycle.zone_addresses(region)
        instance = Instance(
            instance_id=one.get("id") or self.cloud.identifier("i"),
            instance_type=spec.name,
            zone=zone,
            image=image,
            launch_time=float(int(launched)),
            private_ip=private_ip,
            interface_id=interface,
            usage=self.usages.build(where, one.get("usage"), spec, number),
            state=one.get("state", "running"),
            tags=self._tags(one, number),
            wants_public_ip=bool(one.get("public_ip", False)),
            extra_interfaces=int(one.get("interfaces", 1)) - 1,
            addresses_per_interface=int(one.get("addresses_per_interface", 1)),
            lifecycle=one.get("lifecycle", ""),
            tenancy=one.get("tenancy", "default"),
            placement_group=one.get("placement_group", ""),
            capacity_reservation_id=one.get("capacity_reservation_id", ""),
            hibernation=bool(one.get("hibernation", False)),
            detailed_monitoring=bool(one.get("detailed_monitoring", False)),
            credit_mode=one.get("credit_mode", ""),
            ebs_optimized=bool(one.get("ebs_optimized", spec.ebs_baseline is not None)),
            disable_api_stop=bool(one.get("disable_api_stop", False)),
            disable_api_termination=bool(one.get("disable_api_termination", False)),
            memory_agent=_agent(where, one.get("memory_agent", False)),
            ecs_cluster=one.get("ecs_cluster", ""),
            key_name=one.get("key_name", ""),
        )
        if instance.instance_id in region.instances:
            raise EstateError(f"{where}: there are two instances with the id {instance.instance_id}")
        if instance.state not in ("running", "stopped"):
            raise EstateError(f"{where}: an instance starts as running or stopped, not {instance.state!r}")
        region.instances[instance.instance_id] = instance
        end = math.inf if instance.state == "running" else self.now
        instance.spans.append(Span(instance.launch_time, end, spec.name))
        self._attach(region, instance, one, number)
        return instance

    def _tags(self, one: _Dict, number: int) -> dict[str, str]:
        self._numbers += 1
        tags = {}
        if "name" in one:
            tags["Name"] = str(one["name"]).replace("{n}", f"{number:03d}")
        for key, value in one.get("tags", {}).items():
            tags[key] = str(value[number % len(value)] if isinstance(value, list) else value)
        manager = one.get("managed_by")
        if manager:
            if manager not in MANAGER_TAGS:
                raise EstateError(f"managed_by {manager!r} is not one of {', '.join(MANAGER_TAGS)}")
            tags.update(MANAGER_TAGS[manager])
        return tags

    def _attach(self, region: Region, instance: Instance, one: _Dict, number: int) -> None:
        for place, wanted in enumerate(one.get("volumes", [{"size": 30, "type": "gp3"}])):
            volume = self._volume(wanted, instance.zone, instance.launch_time)
            volume.instance_id = instance.instance_id
            volume.device = "/dev/xvda" if place == 0 else f"/dev/xvd{chr(ord('a') + place)}"
            region.volumes[volume.volume_id] = volume
            instance.volume_ids.append(volume.volume_id)
        if one.get("elastic_ip"):
            address = Address(self.cloud.identifier("eipalloc"), lifecycle.new_public_ip(region), instance.instance_id)
            region.addresses[address.allocation_id] = address
            instance.public_ip, instance.address_id = address.public_ip, address.allocation_id
        elif instance.wants_public_ip and instance.state == "running":
            instance.public_ip = lifecycle.new_public_ip(region)
        if instance.ecs_cluster:
            region.clusters.setdefault(instance.ecs_cluster, []).append(instance.instance_id)
        if "alarm" in one:
            self._instance_alarm(region, instance, one["alarm"], number)

    def _instance_alarm(self, region: Region, instance: Instance, one: _Dict, number: int) -> None:
        _check_keys("alarm", one, ("name", "metric", "threshold", "state", "after_change"))
        name = str(one.get("name", "cpu-high")).replace("{n}", f"{number:03d}")
        region.alarms[f"{name}-{instance.instance_id}"] = Alarm(
            f"{name}-{instance.instance_id}",
            "AWS/EC2",
            one.get("metric", "CPUUtilization"),
            {"InstanceId": instance.instance_id},
            float(one.get("threshold", 90)),
            one.get("state", "OK"),
            after_change=bool(one.get("after_change", False)),
            updated=self.now - DAY,
        )

    def _alarm(self, region: Region, one: _Dict) -> None:
        _check_keys("alarm", one, _ALARM_KEYS)
        region.alarms[one["name"]] = Alarm(
            one["name"],
            one.get("namespace", "AWS/EC2"),
            one.get("metric", "CPUUtilization"),
            {"InstanceId": one["instance"]} if "instance" in one else {},
            float(one.get("threshold", 90)),
            one.get("state", "OK"),
            comparison=one.get("comparison", "GreaterThanThreshold"),
            after_change=bool(one.get("after_change", False)),
            updated=self.now - DAY,
        )

    def _group(self, region: Region, one: _Dict) -> None:
        """An Auto Scaling group with its launch template and its members."""
        name = one.get("name", "")
        _check_keys(f"group {name!r}", one, _GROUP_KEYS)
        content = dict(one["instances"])
        desired = int(one.get("desired", content.get("count", 1)))
        content["count"] = desired
        members = self.instances(region, content)
        image = members[0].image.image_id if members else ""
        kind = content["type"] if isinstance(content["type"], str) else content["type"][0]
        template = LaunchTemplate(
            self.cloud.identifier("lt"),
            str(one.get("template", f"{name}-template")),
            self.now - 200 * DAY,
            [(self.now - 200 * DAY, "first", {"InstanceType": kind, "ImageId": image})],
        )
        region.templates[template.template_id] = template
        reference = {
            "LaunchTemplateId": template.template_id,
            "LaunchTemplateName": template.name,
            "Version": str(one.get("version", "1")),
        }
        specification: _Dict = {"LaunchTemplate": reference}
        mixed = one.get("mixed_instances")
        if mixed:
            _check_keys(f"group {name!r} mixed_instances", mixed, ("overrides", "distribution"))
            specification = {
                "MixedInstancesPolicy": {
                    "LaunchTemplate": {
                        "LaunchTemplateSpecification": reference,
                        "Overrides": [{"InstanceType": item} for item in mixed.get("overrides", [])],
                    },
                    "InstancesDistribution": mixed.get(
                        "distribution", {"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 100}
                    ),
                }
            }
        group = Group(
            name,
            self.now - 200 * DAY,
            specification,
            int(one.get("minimum", 0)),
            int(one.get("maximum", desired * 2)),
            desired,
            sorted({member.zone for member in members}),
            [member.instance_id for member in members],
            {key: str(value) for key, value in one.get("tags", {}).items()},
        )
        region.groups[name] = group
        for member in members:
            member.group_name = name
            member.tags["aws:autoscaling:groupName"] = name
            member.tags["aws:ec2launchtemplate:id"] = template.template_id
            member.tags["aws:ec2launchtemplate:version"] = "1"


def _agent(where: str, value: t.Any) -> str:
    if value in (False, None, ""):
        return ""
    if value is True:
        return "agent"
    if value in ("agent", "instance_only", "scripts"):
        return str(value)
    raise EstateError(f"{where}: memory_agent is true, false, agent, instance_only or scripts, not {value!r}")


def build(description: _Dict, folder: pathlib.Path | None = None, now: float | None = None) -> Cloud:
    """A cloud from a description; relative CSV paths start at ``folder``."""
    return EstateBuilder(description, folder or pathlib.Path.cwd(), now).build()
