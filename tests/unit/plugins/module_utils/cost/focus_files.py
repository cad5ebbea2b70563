# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost files for tests, written by hand."""

from __future__ import annotations

import csv
import gzip
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

BASE: Mapping[str, t.Any] = {
    "BilledCost": 1.5,
    "BillingAccountId": "111122223333",
    "BillingAccountName": "payer",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-06-01T00:00:00Z",
    "BillingPeriodEnd": "2026-07-01T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "ChargePeriodStart": "2026-06-05T00:00:00Z",
    "ChargePeriodEnd": "2026-06-06T00:00:00Z",
    "ContractedCost": 1.5,
    "EffectiveCost": 1.5,
    "InvoiceIssuerName": "Amazon Web Services, Inc.",
    "ListCost": 1.5,
    "PricingCategory": "Standard",
    "ProviderName": "AWS",
    "PublisherName": "Amazon Web Services, Inc.",
    "ServiceCategory": "Compute",
    "ServiceName": "AWS Lambda",
    "SubAccountId": "444455556666",
    "Tags": "",
}
JUNE = {"BillingPeriodStart": "2026-06-01T00:00:00Z", "BillingPeriodEnd": "2026-07-01T00:00:00Z"}
JULY = {
    "BillingPeriodStart": "2026-07-01T00:00:00Z",
    "BillingPeriodEnd": "2026-08-01T00:00:00Z",
    "ChargePeriodStart": "2026-07-05T00:00:00Z",
    "ChargePeriodEnd": "2026-07-06T00:00:00Z",
}


def write_csv(path: Path, rows: Iterable[Mapping[str, t.Any]], base: Mapping[str, t.Any] | None = None) -> str:
    """A CSV file of ``base`` (``BASE``) with what each row says otherwise; compressed where its name ends in gz."""
    listed = [{**(BASE if base is None else base), **one} for one in rows]
    names = list(dict.fromkeys(name for one in listed for name in one))
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(listed)
    return str(path)
