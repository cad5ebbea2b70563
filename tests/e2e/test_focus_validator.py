# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the importers make of other formats passes the rules of FOCUS' own validator, version 1.2 of the specification.

The validator (https://github.com/finopsfoundation/focus-spec-validator) needs Python 3.12 or later and an environment
of its own: ``python3.12 tests/tools/environment.py focus_validator``. It has the rules, so nothing is fetched.
"""

from __future__ import annotations

import datetime
import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import Request, run
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import write_rows
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost.test_focus_formats import (
    EXPORT,
    REPORT,
    lines,
    report,
)

VALIDATOR = Path(__file__).resolve().parents[2] / "build" / "focus_validator" / "bin" / "focus-validator"
RULES = "1.2.0.1"
CRITERIA = (
    *(
        "AVAILABILITY_ZONE_SUPPORTED",
        "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
        "COMMITMENT_DISCOUNT_SUPPORTED",
    ),
    *("MULTIPLE_PRICING_CATEGORIES_SUPPORTED", "MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED", "NEGOTIATED_PRICING_SUPPORTED"),
    *("MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED", "PUBLIC_PRICE_LIST_SUPPORTED", "USAGE_MEASUREMENT_SUPPORTED"),
    *("UNIT_PRICING_SUPPORTED", "SUB_ACCOUNT_SUPPORTED", "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED", "REGION_SUPPORTED"),
    *("PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED", "TAGGING_SUPPORTED"),
)
#: Rules that no data can pass, or that ask for what the specification does not: the condition that the specification
#: states is missing or turned around in the validator's model, or is not computed.
FAULTY = {
    # "where payments are received by a third party" is read as: ProviderName is not InvoiceIssuerName, and AWS is
    # billed by Amazon Web Services, Inc.
    "BilledCost-C-005-C",
    # "when CommitmentDiscountId is not null" is turned around.
    "CommitmentDiscountStatus-C-004-C",
    # "when CapacityReservationId is not null" is not computed.
    "CapacityReservationStatus-C-004-C",
    # "when the charge is associated with an invoice": running months have none yet.
    "InvoiceId-C-005-C",
    # "and the purchase is intended to cover future eligible charges" is left out: each purchase would have to be free,
    # also a domain's name, and the SaaS agreements that the specification itself works out.
    "EffectiveCost-C-005-C",
}


_NOT_USAGE = dict.fromkeys(("ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit", "PricingCategory"))


def failed(path: Path) -> tuple[set[str], int]:
    """Rules that the file breaks, without those that only sum others up, and how many it passes."""
    done = subprocess.run(
        [
            *(VALIDATOR, "--data-file", path, "--validate-version", RULES, "--block-download"),
            *("--applicability-criteria", ",".join(CRITERIA)),
        ],
        # It looks for its list of currencies in the folder where it is run.
        cwd=next(VALIDATOR.parents[1].glob("lib/python*/site-packages")),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = re.findall(r"^❌ (\S+): FAIL .*", done.stdout, re.MULTILINE)
    sums = set(re.findall(r"^❌ (\S+): FAIL .*failed child rules", done.stdout, re.MULTILINE))
    passed = re.search(r"Pass: (\d+)", done.stdout)
    assert passed, done.stdout[-2000:] + done.stderr[-2000:]
    return set(found) - sums, int(passed[1])


@pytest.mark.skipif(not VALIDATOR.exists(), reason="python3.12 tests/tools/environment.py focus_validator was not run")
@pytest.mark.parametrize("kind", ["aws_cur2", "gcp_detailed", "rows"])
def test_what_we_write_passes(tmp_path: Path, kind: str) -> None:
    dataset = Dataset(tmp_path / "costs")
    if kind == "aws_cur2":
        run(dataset, Request("bill", [str(report(tmp_path / "cur.csv.gz", REPORT))]))
    elif kind == "gcp_detailed":
        name = "//compute.googleapis.com/projects/shop/zones/us-central1-a/instances/web"
        given = [{**row, "resource": {"name": "web", "global_name": name}} for row in EXPORT]
        run(dataset, Request("bill", [str(lines(tmp_path / "export.json.gz", given))]))
    else:
        day = datetime.date(2026, 6, 5)
        row = {
            "BilledCost": 2.0,
            "BillingAccountId": "111122223333",
            "BillingAccountType": "Management Account",
            "BillingCurrency": "USD",
            "BillingPeriodStart": datetime.date(2026, 6, 1),
            "ChargeCategory": "Usage",
            "ChargeDescription": "Requests",
            "ChargePeriodStart": day,
            "ChargePeriodEnd": day + datetime.timedelta(days=1),
            "ConsumedQuantity": 4.0,
            "ConsumedUnit": "Requests",
            "ContractedUnitPrice": 0.5,
            "ListUnitPrice": 0.5,
            "PricingCategory": "Standard",
            "PricingCurrencyContractedUnitPrice": 0.5,
            "PricingCurrencyListUnitPrice": 0.5,
            "PricingQuantity": 4.0,
            "PricingUnit": "Requests",
            "ProviderName": "AWS",
            "ServiceCategory": "Integration",
            "ServiceName": "Amazon Simple Queue Service",
            "ServiceSubcategory": "Messaging",
            "SkuId": "SQS",
            "SkuMeter": "Requests",
            "SkuPriceId": "SQS.1",
            "SubAccountId": "444455556666",
            "SubAccountName": "shop",
            "SubAccountType": "Member Account",
        }
        write_rows(dataset, "bill", [row, {**row, "BilledCost": -2.0, "ChargeCategory": "Credit", **_NOT_USAGE}])
    broken, passed = failed(dataset.parts()[0].path)
    assert broken <= FAULTY, broken - FAULTY
    assert passed > 300
