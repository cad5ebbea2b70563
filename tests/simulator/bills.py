# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bills of the simulated clouds, as AWS Data Exports (FOCUS 1.2) and Google's detailed billing export write them.

Compute is what really ran; commitments cover it as Cost Explorer says. Beside it an estate may name other services,
each with its own daily course (``services`` of an account or project): a level in USD/day, a part less on weekends,
growth, noise, and jumps that a test or the demo wants found.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import gzip
import json
import math
import pathlib
import random
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from simulator import costs, prices
from simulator.errors import EstateError
from simulator.state import Account, Cloud, Region

_Dict = dict[str, t.Any]
DAY = datetime.timedelta(days=1)
_SERVICE_KEYS = ("name", "category", "subcategory", "region", "daily", "weekend", "growth", "noise", "jumps", "tags")
_JUMP_KEYS = ("day", "days", "factor")
#: what the last day of an export lacks: usage arrives late
INCOMPLETE = 0.55

AWS_COLUMNS = (
    *("AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType"),
    *("BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId"),
    *("CapacityReservationStatus", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency"),
    *("ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId"),
    *("CommitmentDiscountName", "CommitmentDiscountQuantity", "CommitmentDiscountStatus", "CommitmentDiscountType"),
    *("CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice"),
    *("EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory"),
    *("PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost"),
    *("PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId"),
    *("RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName"),
    *("ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName"),
    *("SubAccountType", "Tags", "x_Discounts", "x_Operation", "x_ServiceCode", "x_UsageType"),
)


@dataclasses.dataclass(frozen=True)
class Service:
    """The daily course of a service's cost, in USD/day; ``jumps`` are (first day, days, factor)."""

    name: str
    daily: float
    category: str = "Other"
    subcategory: str = "Other (Other)"
    region: str = "us-east-1"
    weekend: float = 1.0
    growth: float = 0.0
    noise: float = 0.05
    jumps: tuple[tuple[datetime.date, int, float], ...] = ()
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def cost(self, day: datetime.date, first: datetime.date, seed: str) -> float:
        """USD of a day; the same for the same seed, whichever period is asked for. ``growth`` is a part a month."""
        level = self.daily * (1 + self.growth) ** ((day - first).days / 30)
        if day.weekday() >= 5:
            level *= self.weekend
        for begin, days, factor in self.jumps:
            if begin <= day < begin + days * DAY:
                level *= factor
        drawn = random.Random(f"{seed}/{self.name}/{self.region}/{day}").gauss(0, 1)
        return level * math.exp(self.noise * drawn - self.noise**2 / 2)


def service(where: str, one: Mapping[str, t.Any], now: datetime.date) -> Service:
    """A service of an estate; a jump's ``day`` counts from the estate's first moment, negative days are before it."""
    for key in one:
        if key not in _SERVICE_KEYS:
            raise EstateError(f"{where}: unknown key {key!r}; there are {', '.join(_SERVICE_KEYS)}")
    for key in ("name", "daily"):
        if key not in one:
            raise EstateError(f"{where}: {key} is missing")
    jumps = []
    for jump in one.get("jumps", ()):
        if sorted(jump) != sorted(_JUMP_KEYS):
            raise EstateError(f"{where}: a jump has {', '.join(_JUMP_KEYS)}, not {', '.join(sorted(jump))}")
        jumps.append((now + int(jump["day"]) * DAY, int(jump["days"]), float(jump["factor"])))
    return Service(**{**one, "jumps": tuple(jumps), "daily": float(one["daily"])})


def first_days(now: datetime.date, months: int) -> list[datetime.date]:
    """The first days of the last billing periods, the current one last."""
    first = now.replace(day=1)
    found = [first]
    for _number in range(months - 1):
        found.append((found[-1] - DAY).replace(day=1))
    return found[::-1]


def next_period(first: datetime.date) -> datetime.date:
    """The first day of the billing period after."""
    return (first + 32 * DAY).replace(day=1)


def _moment(day: datetime.date) -> float:
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()


def _text(day: datetime.date) -> str:
    return f"{day.isoformat()}T00:00:00.000Z"


# --- AWS


def _payer(cloud: Cloud) -> Account:
    """The account that pays: the first of the estate."""
    return next(iter(cloud.accounts.values()))


def focus_rows(cloud: Cloud, account: Account, first: datetime.date, now: float) -> Iterator[_Dict]:
    """The rows of an account in the billing period that begins on ``first``, by day, up to ``now``."""
    payer = _payer(cloud)
    period = {
        "BillingAccountId": payer.account_id,
        "BillingAccountName": payer.name,
        "BillingAccountType": "Management Account",
        "BillingCurrency": "USD",
        "BillingPeriodStart": _text(first),
        "BillingPeriodEnd": _text(next_period(first)),
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "ProviderName": "AWS",
        "PublisherName": "Amazon Web Services, Inc.",
        "PricingCurrency": "USD",
        "SubAccountId": account.account_id,
        "SubAccountName": account.name,
        "SubAccountType": "Member Account",
    }
    day = first
    while day < next_period(first) and _moment(day) < now:
        base = {**period, "ChargePeriodStart": _text(day), "ChargePeriodEnd": _text(day + DAY)}
        yield from charges(cloud, account, base, _moment(day), _moment(day + DAY), now)
        day += DAY


def charges(cloud: Cloud, account: Account, base: _Dict, start: float, end: float, now: float) -> Iterator[_Dict]:
    """What an account pays for between two moments of one day, up to ``now``; ``base`` is put before each row."""
    started = datetime.datetime.fromtimestamp(cloud.started, datetime.UTC).date()
    day = datetime.datetime.fromtimestamp(start, datetime.UTC).date()
    whole = _moment(day + DAY) <= now
    end = min(end, now)
    if end <= start:
        return
    yield from _compute(cloud, account, base, start, end)
    for region in account.regions.values():
        yield from _storage(region, base, (end - start) / 3600)
        yield from _addresses(region, base, (end - start) / 3600)
    part = (end - start) / 86400 * (1.0 if whole else INCOMPLETE)
    for one in account.services:
        cost = one.cost(day, started, f"{cloud.seed}/{account.account_id}") * part
        yield {
            **base,
            **_usage(cost, 1, cost, "Units"),
            **_service(one.name, one.category, one.subcategory),
            **_place(one.region),
            "ChargeDescription": f"{one.name} usage",
            "SkuId": one.name.replace(" ", "")[:16].upper(),
            "SkuPriceId": one.name.replace(" ", "")[:16].upper() + ".1",
            "Tags": one.tags,
        }


def _service(name: str, category: str, subcategory: str) -> _Dict:
    return {"ServiceName": name, "ServiceCategory": category, "ServiceSubcategory": subcategory}


def _place(region: str, zone: str | None = None) -> _Dict:
    return {"RegionId": region, "RegionName": region, "AvailabilityZone": zone}


def _usage(cost: float, price: float, quantity: float, unit: str, *, paid: float | None = None) -> _Dict:
    """Columns of usage: ``cost`` at list price; ``paid`` what is effective where a commitment covers it."""
    billed, effective = (cost, cost) if paid is None else (0.0, paid)
    return {
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "BilledCost": billed,
        "EffectiveCost": effective,
        "ContractedCost": cost,
        "ListCost": cost,
        "ListUnitPrice": price,
        "ContractedUnitPrice": price,
        "PricingCurrencyListUnitPrice": price,
        "PricingCurrencyContractedUnitPrice": price,
        "PricingCurrencyEffectiveCost": effective,
        "PricingCategory": "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
    }


def _compute(cloud: Cloud, account: Account, base: _Dict, start: float, end: float) -> Iterator[_Dict]:
    hours = (end - start) / 3600
    found = costs.running_between(account, start, end)
    covered = costs.coverage(account, [one for _instance, _region, one in found], start)
    parts: dict[int, list[costs.Use]] = {}
    for use in covered.uses:
        parts.setdefault(use.index, []).append(use)
    ec2 = _service("Amazon Elastic Compute Cloud", "Compute", "Virtual Machines")
    discount = 1 - prices.COMMITMENT_DISCOUNT
    for index, (instance, region, one) in enumerate(found):
        what = {
            **base,
            **ec2,
            **_place(region.name, instance.zone),
            "ResourceId": f"arn:aws:ec2:{region.name}:{account.account_id}:instance/{instance.instance_id}",
            "ResourceName": instance.tags.get("Name"),
            "ResourceType": "instance",
            "ChargeDescription": f"${one.price} per On Demand {one.instance_type} Instance Hour",
            "SkuId": one.instance_type.upper().replace(".", ""),
            "SkuPriceId": one.instance_type.upper().replace(".", "") + ".OD",
            "SkuMeter": "Instance hours",
            "Tags": instance.tags,
            "x_UsageType": f"BoxUsage:{one.instance_type}",
            "x_Operation": instance.image.usage_operation,
            "x_ServiceCode": "AmazonEC2",
        }
        left = one.price * one.hours
        for use in parts.get(index, ()):
            left -= use.list_price
            cost = use.list_price * hours
            yield {
                **what,
                **_usage(cost, one.price, cost / one.price, "Hrs", paid=cost * discount),
                **_commitment(use.commitment_id, account, "Used", cost * discount),
                "PricingCategory": "Committed",
            }
        if left > 1e-9:
            cost = left * hours
            row = {**what, **_usage(cost, one.price, cost / one.price, "Hrs")}
            yield {**row, "PricingCategory": "Dynamic"} if instance.lifecycle == "spot" else row
    used: dict[str, float] = {}
    for use in covered.uses:
        used[use.commitment_id] = used.get(use.commitment_id, 0.0) + use.list_price * discount
    for identity, paid in _commitments(account, start):
        whole = paid * hours
        fee = {
            **base,
            **ec2,
            **dict.fromkeys(("BilledCost", "ContractedCost", "ListCost"), whole),
            "EffectiveCost": 0.0,
            "ChargeCategory": "Purchase",
            "ChargeFrequency": "Recurring",
            "ChargeDescription": "Recurring fee of a commitment",
            "ResourceId": _arn(identity, account),
            "PricingQuantity": hours,
            "PricingUnit": "Hrs",
            "SkuId": "COMMITMENT",
            "SkuPriceId": "COMMITMENT.1",
            "PricingCategory": "Standard",
            "ListUnitPrice": paid,
            "ContractedUnitPrice": paid,
        }
        commitment = {k: v for k, v in _commitment(identity, account, "Used", whole).items() if "Status" not in k}
        yield {**fee, **commitment}
        unused = whole - used.get(identity, 0.0) * hours
        if unused > 1e-9:
            yield {
                **base,
                **ec2,
                **_commitment(identity, account, "Unused", unused),
                **dict.fromkeys(("BilledCost", "ContractedCost", "ListCost"), 0.0),
                "EffectiveCost": unused,
                "ChargeCategory": "Usage",
                "ChargeFrequency": "Usage-Based",
                "ChargeDescription": "Unused part of a commitment",
                "ResourceId": _arn(identity, account),
                "PricingCategory": "Committed",
                "PricingQuantity": 0.0,
                "PricingUnit": "Hrs",
                "SkuId": "COMMITMENT",
                "SkuPriceId": "COMMITMENT.1",
            }


def _commitments(account: Account, now: float) -> Iterator[tuple[str, float]]:
    """Commitments in force: id, USD/hour."""
    for reservation in account.reservations:
        if reservation.start <= now < reservation.end:
            worth = (prices.on_demand(reservation.instance_type) or 0.0) * reservation.count
            yield reservation.reservation_id, worth * (1 - prices.COMMITMENT_DISCOUNT)
    for plan in account.savings_plans:
        if plan.start <= now < plan.end:
            yield plan.plan_id, plan.commitment


def _arn(identity: str, account: Account) -> str:
    kind = "savingsplans::" if identity.startswith("sp-") else "ec2:us-east-1:"
    name = "savingsplan" if identity.startswith("sp-") else "reserved-instances"
    return f"arn:aws:{kind}{account.account_id}:{name}/{identity}"


def _commitment(identity: str, account: Account, status: str, amount: float) -> _Dict:
    plan = identity.startswith("sp-")
    return {
        "CommitmentDiscountId": _arn(identity, account),
        "CommitmentDiscountCategory": "Spend" if plan else "Usage",
        "CommitmentDiscountType": "Savings Plan" if plan else "Reserved",
        "CommitmentDiscountStatus": status,
        "CommitmentDiscountQuantity": amount,
        "CommitmentDiscountUnit": "USD" if plan else "Hrs",
    }


def _storage(region: Region, base: _Dict, hours: float) -> Iterator[_Dict]:
    by_type: dict[str, int] = {}
    for volume in region.volumes.values():
        by_type[volume.volume_type] = by_type.get(volume.volume_type, 0) + volume.size_gib
    for kind, size in by_type.items():
        price = prices.VOLUME_PER_GIB_MONTH.get(kind, 0.08)
        quantity = size * hours / prices.HOURS_PER_MONTH
        yield {
            **base,
            **_usage(price * quantity, price, quantity, "GB-Mo"),
            **_service("Amazon Elastic Compute Cloud", "Storage", "Block Storage"),
            **_place(region.name),
            "ChargeDescription": f"${price} per GB-month of {kind} storage",
            "SkuId": f"EBS{kind.upper()}",
            "SkuPriceId": f"EBS{kind.upper()}.1",
            "x_UsageType": f"EBS:VolumeUsage.{kind}",
            "x_ServiceCode": "AmazonEC2",
        }


def _addresses(region: Region, base: _Dict, hours: float) -> Iterator[_Dict]:
    public = sum(1 for one in region.instances.values() if one.public_ip and not one.address_id)
    public += len(region.addresses)
    if public:
        price = prices.PUBLIC_IPV4_PER_HOUR
        yield {
            **base,
            **_usage(price * public * hours, price, public * hours, "Hrs"),
            **_service("Amazon Virtual Private Cloud", "Networking", "Network Infrastructure"),
            **_place(region.name),
            "ChargeDescription": f"${price} per public IPv4 address per hour",
            "SkuId": "PUBLICIPV4",
            "SkuPriceId": "PUBLICIPV4.1",
            "x_UsageType": "PublicIPv4:InUseAddress",
            "x_ServiceCode": "AmazonVPC",
        }


def write_focus(cloud: Cloud, folder: pathlib.Path, months: int, now: float) -> list[pathlib.Path]:
    """One gzipped CSV for each billing period, as AWS Data Exports leaves them in S3."""
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
    paths = []
    for first in first_days(today, months):
        path = folder / f"BILLING_PERIOD={first:%Y-%m}" / "focus-00001.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, AWS_COLUMNS, restval="")
            writer.writeheader()
            for account in cloud.accounts.values():
                for row in focus_rows(cloud, account, first, now):
                    writer.writerow({**row, "Tags": json.dumps(dict(row.get("Tags") or {}), sort_keys=True)})
        paths.append(path)
    return paths


# --- Google


@dataclasses.dataclass
class Machine:
    """A machine of a project that runs all the time: its price in USD/hour, its labels as they are now."""

    name: str
    machine_type: str
    zone: str
    price: float
    labels: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Project:
    """A project of Google Cloud with what it pays for."""

    project_id: str
    number: int
    name: str
    billing_account: str
    labels: Mapping[str, str]
    machines: Sequence[Machine]
    services: Sequence[Service]


def export_rows(
    project: Project, seed: int, started: datetime.date, first: datetime.date, now: float
) -> Iterator[_Dict]:
    """Rows of the detailed billing export in the month that begins on ``first``, by day, up to ``now``.

    https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/detailed-usage
    """
    day = first
    while day < next_period(first) and _moment(day) < now:
        end = min(_moment(day + DAY), now)
        hours = (end - _moment(day)) / 3600
        for machine in project.machines:
            cost = machine.price * hours
            path = f"projects/{project.project_id}/zones/{machine.zone}/instances/{machine.name}"
            yield _export(
                project,
                day,
                cost,
                service=("Compute Engine", "6F81-5844-456A"),
                sku=machine_sku(machine.machine_type),
                usage=(hours * 3600, "seconds", hours, "hour"),
                region=machine.zone.rpartition("-")[0],
                zone=machine.zone,
                resource=(machine.name, f"//compute.googleapis.com/{path}"),
                labels=machine.labels,
                # The discount that N1, N2 and C2 machines get for running all month.
                credit=-0.2 * cost if machine.machine_type.startswith(("n1", "n2")) else 0.0,
            )
        part = 1.0 if end == _moment(day + DAY) else INCOMPLETE * hours / 24
        for one in project.services:
            cost = one.cost(day, started, f"{seed}/{project.project_id}") * part
            yield _export(
                project,
                day,
                cost,
                service=(one.name, one.name.replace(" ", "")[:14].upper()),
                sku=f"{one.name} usage",
                usage=(cost, "requests", cost, "count"),
                region=one.region,
                zone=None,
                resource=None,
                labels=one.tags,
                credit=0.0,
            )
        day += DAY


def machine_sku(machine_type: str) -> str:
    """The name of what a machine is billed as."""
    return f"{machine_type} Instance running in Americas"


def sku_id(sku: str) -> str:
    """The id of a SKU, made of its name."""
    return sku.replace(" ", "")[:14].upper()


def _export(
    project: Project,
    day: datetime.date,
    cost: float,
    *,
    service: tuple[str, str],
    sku: str,
    usage: tuple[float, str, float, str],
    region: str,
    zone: str | None,
    resource: tuple[str, str] | None,
    labels: Mapping[str, str],
    credit: float,
) -> _Dict:
    begin = f"{day.isoformat()} 00:00:00 UTC"
    credits = [{"name": "Sustained Usage Discount", "full_name": "Sustained Usage Discount", "id": "sud"}]
    return {
        "billing_account_id": project.billing_account,
        "service": {"id": service[1], "description": service[0]},
        "sku": {"id": sku_id(sku), "description": sku},
        "usage_start_time": begin,
        "usage_end_time": f"{(day + DAY).isoformat()} 00:00:00 UTC",
        "export_time": f"{(day + DAY).isoformat()} 06:12:31 UTC",
        "project": {
            "id": project.project_id,
            "number": str(project.number),
            "name": project.name,
            "labels": [{"key": key, "value": value} for key, value in project.labels.items()],
            "ancestry_numbers": None,
        },
        "labels": [{"key": key, "value": value} for key, value in labels.items()],
        "system_labels": [],
        "location": {"location": region, "country": "US", "region": region, "zone": zone},
        "resource": {"name": resource[0], "global_name": resource[1]} if resource else None,
        "cost": round(cost, 9),
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "usage": {
            "amount": usage[0],
            "unit": usage[1],
            "amount_in_pricing_units": usage[2],
            "pricing_unit": usage[3],
        },
        "credits": [
            {**one, "amount": round(credit, 9), "type": "SUSTAINED_USAGE_DISCOUNT"} for one in credits if credit
        ],
        "invoice": {"month": f"{day:%Y%m}"},
        "cost_type": "regular",
        "cost_at_list": round(cost, 9),
    }


def write_export(
    projects: Sequence[Project], seed: int, started: float, folder: pathlib.Path, months: int, now: float
) -> list[pathlib.Path]:
    """One gzipped file of JSON lines for each month, as BigQuery exports a table."""
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
    begun = datetime.datetime.fromtimestamp(started, datetime.UTC).date()
    paths = []
    for first in first_days(today, months):
        path = folder / f"gcp_billing_export_{first:%Y%m}.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt", encoding="utf-8") as file:
            for project in projects:
                for row in export_rows(project, seed, begun, first, now):
                    file.write(json.dumps(row) + "\n")
        paths.append(path)
    return paths
