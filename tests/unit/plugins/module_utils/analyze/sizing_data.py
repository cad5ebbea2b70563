# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalog, prices and usage that the sizing tests share."""

from __future__ import annotations

import datetime
import functools
import gzip
import json
import pathlib
import typing as t

import moto
import numpy as np
from ansible_collections.frugal.cloud.plugins.module_utils.observe.ec2_types import instance_type_from_api
from ansible_collections.frugal.cloud.plugins.module_utils.resources import (
    FleetUsage,
    Instance,
    InstanceType,
    PriceList,
    Volume,
)

START = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)
REGION, ZONE = "us-east-1", "us-east-1a"

#: us-east-1, Linux, USD/hour on demand (AWS Price List, July 2026).
LARGE = {
    "m4": 0.10,
    "m5": 0.096,
    "m6i": 0.096,
    "m6a": 0.0864,
    "m6g": 0.077,
    "m7i": 0.1008,
    "m7i-flex": 0.09576,
    "c6i": 0.085,
    "r6i": 0.126,
    "t2": 0.0928,
    "t3": 0.0832,
    "i4i": 0.172,
}
SIZES = {"large": 1, "xlarge": 2, "2xlarge": 4, "4xlarge": 8, "8xlarge": 16}


@functools.cache
def api_rows() -> dict[str, dict[str, t.Any]]:
    """``DescribeInstanceTypes`` rows that moto carries."""
    path = pathlib.Path(moto.__file__).parent / "ec2" / "resources" / "instance_types.json.gz"
    with gzip.open(path, "rt") as file:
        rows: dict[str, dict[str, t.Any]] = json.load(file)
    return rows


@functools.cache
def catalog() -> dict[str, InstanceType]:
    """The types that the price list below has."""
    rows = api_rows()
    return {name: instance_type_from_api(rows[name]) for name, _system in hourly() if name in rows}


@functools.cache
def hourly() -> dict[tuple[str, str], float]:
    """(type, operating system) -> USD/hour; a size twice as large costs twice as much."""
    found = {
        (f"{family}.{size}", system): price * factor * (1.0 if system == "Linux" else 1.92)
        for family, price in LARGE.items()
        for size, factor in SIZES.items()
        for system in ("Linux", "Windows")
    }
    found |= {("t3.medium", "Linux"): 0.0416, ("t3.small", "Linux"): 0.0208, ("t3.micro", "Linux"): 0.0104}
    return found


def prices(**changes: t.Any) -> PriceList:
    return PriceList(REGION, hourly(), "AWS Price List", datetime.date(2026, 7, 20), **changes)


def instance(identifier: str = "i-1", instance_type: str = "m5.2xlarge", **changes: t.Any) -> Instance:
    settings: dict[str, t.Any] = {
        "state": "running",
        "volumes": (Volume("vol-1", "gp3", 100, "/dev/xvda", 3000, 125),),
        "nvme_capable": True,
        "boot_mode": "legacy-bios",
    }
    settings |= {"account": "111111111111", "region": REGION, "availability_zone": ZONE}
    return Instance(identifier, instance_type, **(settings | changes))


def daily(
    level: float | np.ndarray[t.Any, t.Any], days: int = 30, shape: tuple[float, ...] = (1, 1.3, 1.6, 2, 1.1)
) -> t.Any:
    """(days, 5) statistics around ``level`` (a number or one a day)."""
    levels = np.broadcast_to(np.asarray(level, dtype=np.float32), (days,))
    return (levels[:, None] * np.array(shape, dtype=np.float32)).astype(np.float32)


def usage(cpu: dict[str, t.Any], memory: dict[str, t.Any] | None = None, **others: dict[str, t.Any]) -> FleetUsage:
    """Usage by instance id: CPU percent; network and EBS near zero unless given; memory only when given."""
    identifiers = list(cpu)
    days = next(iter(cpu.values())).shape[0]
    empty = np.full((days, 5), np.nan, dtype=np.float32)

    def stack(values: dict[str, t.Any], missing: t.Any) -> t.Any:
        return np.stack([values.get(identifier, missing) for identifier in identifiers]).astype(np.float32)

    metrics = {"cpu_percent": stack(cpu, empty)}
    if memory is not None:
        metrics["memory_percent"] = stack(memory, empty)
    quiet = daily(1000.0, days)
    for name in (
        "network_in_bytes_per_second",
        "network_out_bytes_per_second",
        "network_packets_in_per_second",
        "network_packets_out_per_second",
        "ebs_read_bytes_per_second",
        "ebs_write_bytes_per_second",
        "ebs_read_operations_per_second",
        "ebs_write_operations_per_second",
    ):
        metrics[name] = stack(others.get(name, {}), quiet / (1000.0 if "operations" in name else 1.0))
    for name in ("cpu_credit_balance", "cpu_surplus_credits_charged"):
        if name in others:
            metrics[name] = stack(others[name], empty)
    return FleetUsage(identifiers, START, 86_400, days, metrics, {"cpu_percent": "AWS/EC2 CPUUtilization"})
