# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three months of cost data with all that reports have to tell apart; and the same in PostgreSQL."""

from __future__ import annotations

import datetime
import random
import typing as t
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, following
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import TagKey, write_rows

MONTHS = [datetime.date(2026, month, 1) for month in (7, 8, 9)]
ACCOUNTS = {"111111111111": "shop-prod", "222222222222": "lab", "333333333333": "platform"}
TEAMS = (None, "", "web", "data", "platform")
TAG_KEYS = (TagKey("team", ("Team",)), TagKey("cost-center"))


def row(month: datetime.date, day: int, cost: float, **values: t.Any) -> dict[str, t.Any]:
    """One row of usage; ``team`` is its tag."""
    team = values.pop("team", None)
    start = datetime.datetime(month.year, month.month, day)
    row = {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ContractedCost": cost,
        "ListCost": cost * 1.25,
        "BillingAccountId": "999999999999",
        "BillingCurrency": "USD",
        "BillingPeriodStart": month,
        "BillingPeriodEnd": following(month),
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + datetime.timedelta(days=1),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": cost * 10,
        "ConsumedUnit": "Hours",
        "ProviderName": "AWS",
        "ServiceName": "Amazon EC2",
        "ServiceCategory": "Compute",
        "SubAccountId": "111111111111",
        "Tags": {"Team": team} if team is not None else None,
    } | values
    return {**row, "SubAccountName": ACCOUNTS.get(row["SubAccountId"] or "")}


def rows(seed: int = 1, each: int = 150, months: t.Sequence[datetime.date] = MONTHS) -> Iterator[dict[str, t.Any]]:
    """Usage of three services, a commitment, tax, credits with and without a resource, two currencies."""
    drawn = random.Random(seed)
    services = (("Amazon EC2", "Compute"), ("Amazon S3", "Storage"), ("AWS Support", "Management and Governance"))
    for month in months:
        days = (following(month) - month).days
        for number in range(each):
            service, category = drawn.choice(services)
            yield row(
                month,
                number % days + 1,
                round(drawn.uniform(-1, 40), 7),
                team=drawn.choice(TEAMS),
                ServiceName=service,
                ServiceCategory=category,
                SubAccountId=drawn.choice(list(ACCOUNTS)),
                ResourceId=f"i-{number % 20}",
                ConsumedUnit="GB" if service == "Amazon S3" and number % 2 else "Hours",
                BillingCurrency="EUR" if number % 25 == 0 else "USD",
            )
        committed: dict[str, t.Any] = {
            "CommitmentDiscountId": "sp-1",
            "CommitmentDiscountType": "Savings Plan",
            "CommitmentDiscountCategory": "Spend",
            "CommitmentDiscountName": "compute",
            "CommitmentDiscountUnit": "USD",
        }
        for status, cost in (("Used", 75.0), ("Unused", 25.0)):
            yield row(
                month,
                1,
                0.0,
                **committed,
                EffectiveCost=cost,
                CommitmentDiscountStatus=status,
                CommitmentDiscountQuantity=cost,
                ListCost=cost * 2 if status == "Used" else 0.0,
                team="web",
            )
        yield row(
            month, 1, 100.0, **committed, EffectiveCost=0.0, ChargeCategory="Purchase", ChargeFrequency="Recurring"
        )
        yield row(month, 1, 55.5, ChargeCategory="Tax", ServiceName="Tax", SubAccountId=None, ConsumedQuantity=None)
        yield row(month, 2, -20.25, ChargeCategory="Credit", ResourceId="i-3", ConsumedQuantity=None)
        yield row(month, 3, -5.1, ChargeCategory="Credit", SubAccountId="222222222222", ConsumedQuantity=None)


def dataset(folder: Path, **settings: t.Any) -> Path:
    """Write :func:`rows` into ``folder`` as focus_import would."""
    for source, currency in (("payer", "USD"), ("payer-eu", "EUR")):
        own = [row for row in rows(**settings) if row["BillingCurrency"] == currency]
        write_rows(Dataset(folder), source, own, TAG_KEYS)
    return folder


def to_postgresql(url: str, folder: Path, table: str = "focus") -> None:
    """Copy the dataset into a table, names in small letters and money as decimals, as databases often keep them."""
    import duckdb
    import psycopg

    types = {"text": "text", "number": "numeric(30, 12)", "moment": "timestamptz", "map": "jsonb"}
    found = duckdb.execute(f"SELECT * FROM read_parquet('{folder}/*/*.parquet', hive_partitioning = false)")
    names = [described[0] for described in found.description]
    kinds = [types[focus.BY_NAME[name].kind] if name in focus.BY_NAME else "text" for name in names]
    with psycopg.connect(url, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SET TIMEZONE = 'UTC'")
        cursor.execute(
            f"CREATE TABLE {table} ({', '.join(f'{name.lower()} {kind}' for name, kind in zip(names, kinds))})"
        )
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            while batch := found.fetchmany(1000):
                for record in batch:
                    copy.write_row(record)
