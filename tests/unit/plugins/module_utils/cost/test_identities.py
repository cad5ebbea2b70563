# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells who somebody is becomes unreadable; what only looks like it stays."""

from __future__ import annotations

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked, masked_all, masked_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arn:aws:iam::123456789012:role/admin", "arn:aws:iam::********9012:role/admin"),
        ("logs_123456789012 and 210987654321", "logs_********9012 and ********4321"),
        ("bucket-123456789012-eu", "bucket-********9012-eu"),
        ("account 1234-5678-9012", "account ****-****-9012"),
        ("billingAccounts/01AB23-45CD67-89EF01/budgets", "billingAccounts/******-******-**EF01/budgets"),
        ("tell ann.smith+cost@mail.example.com.", "tell a***@mail.example.com."),
        ("AKIAIOSFODNN7EXAMPLE", "****************MPLE"),
    ],
)
def test_identities_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected
    assert masked(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "i-0123456789012abcd",
        "vpc-0ab123456789012cd",
        "1234567890123",
        "12345678901",
        "6f1c2b3a-1111-2222-3333-123456789012",
        "2026-09-30T12:00:00Z",
        "$0.40 per million requests",
        "@here",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("SubAccountId", "51738928782", "*******8782"),
        ("BillingAccountId", "6f1c2b3a-1111-2222-3333-123456789012", "********-****-****-****-********9012"),
        ("SubAccountId", "shop-prod", "shop-prod"),
        ("SubAccountId", "facade", "facade"),
        ("ServiceName", "51738928782", "51738928782"),
        ("ResourceId", "arn:aws:ec2:eu-west-1:123456789012:x", "arn:aws:ec2:eu-west-1:********9012:x"),
    ],
)
def test_account_columns_hold_ids_of_any_form(column: str, value: str, expected: str) -> None:
    assert masked_value(column, value) == expected


def test_nested_results_are_masked() -> None:
    given = {"owners": ["ann@example.com"], "123456789012": {"cost": 1.5, "paid": True, "none": None}}
    assert masked_all(given) == {
        "owners": ["a***@example.com"],
        "********9012": {"cost": 1.5, "paid": True, "none": None},
    }
