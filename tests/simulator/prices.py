# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List prices of the simulated cloud, from ``list_prices.csv``.

The same prices stand in every region. Windows costs 0.046 USD per vCPU-hour more (the
difference between AWS's Windows and Linux list prices of the m, c and r families; for t
families 0.0092 per vCPU-hour at t3.medium and similar, taken as 0.0092).
"""

from __future__ import annotations

import csv
import datetime
import functools
import pathlib

from simulator import catalog

#: The day of which the prices are, as the list says; Pricing answers carry it.
PUBLISHED = datetime.datetime(2026, 7, 20, tzinfo=datetime.UTC)
HOURS_PER_MONTH = 730.0
WINDOWS_PER_VCPU_HOUR = 0.046
WINDOWS_PER_VCPU_HOUR_BURSTABLE = 0.0092
#: Spot instances cost this share of the list price (the simulation's own constant).
SPOT_SHARE = 0.35
#: Discount of the simulation's Savings Plans and reservations (1 year, no upfront).
COMMITMENT_DISCOUNT = 0.27
#: USD per vCPU-hour of surplus credits, Linux and Windows:
#: https://aws.amazon.com/ec2/pricing/on-demand/ "T2/T3/T4g Unlimited Mode Pricing".
SURPLUS_PER_VCPU_HOUR = {"Linux": 0.05, "Windows": 0.096}
#: USD per GiB-month, us-east-1.
VOLUME_PER_GIB_MONTH = {"gp2": 0.10, "gp3": 0.08, "io1": 0.125, "io2": 0.125, "st1": 0.045, "sc1": 0.015}
VOLUME_PER_GIB_MONTH["standard"] = 0.05
PUBLIC_IPV4_PER_HOUR = 0.005

_PATH = pathlib.Path(__file__).with_name("list_prices.csv")


@functools.cache
def _rows() -> dict[str, tuple[str, float, bool]]:
    """Family -> (size that the list names, USD/hour, whether other sizes follow from it)."""
    with _PATH.open(encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    rows = {}
    for row in csv.DictReader(lines):
        family, _dot, size = row["instance_type"].partition(".")
        rows[family] = (size, float(row["usd_per_hour"]), row["linear"] == "yes")
    return rows


@functools.cache
def size_factor(size: str) -> float | None:
    """How many ``large`` a size is; None for bare metal and unknown words."""
    small = {"nano": 0.0625, "micro": 0.125, "small": 0.25, "medium": 0.5, "large": 1.0, "xlarge": 2.0}
    if size in small:
        return small[size]
    number = size.removesuffix("xlarge")
    return 2.0 * int(number) if number.isdigit() and size.endswith("xlarge") else None


@functools.cache
def on_demand(instance_type: str, operating_system: str = "Linux") -> float | None:
    """USD/hour with shared tenancy, or None where the list has no price for it."""
    family, _dot, size = instance_type.partition(".")
    row = _rows().get(family)
    known = catalog.spec(instance_type)
    if row is None or known is None or operating_system not in ("Linux", "Windows"):
        return None
    listed_size, price, linear = row
    if size != listed_size:
        factor, listed = size_factor(size), size_factor(listed_size)
        if not linear or factor is None or listed is None:
            return None
        price = price * factor / listed
    if operating_system == "Windows":
        price += known.vcpus * (WINDOWS_PER_VCPU_HOUR_BURSTABLE if known.burstable else WINDOWS_PER_VCPU_HOUR)
    return round(price, 8)


@functools.cache
def priced_types() -> tuple[str, ...]:
    """Every type that the list prices, in the order of names."""
    return tuple(name for name in catalog.raw_types() if on_demand(name) is not None)
