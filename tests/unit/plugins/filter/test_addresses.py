# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of inventory hosts."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.frugal.cloud.plugins.filter.addresses import FilterModule

HOSTVARS = {
    "named": {},
    "reached": {"ansible_host": "192.0.2.7"},
    "inside": {"ansible_host": "192.0.2.8", "monitoring_address": "10.0.0.8"},
    "six": {"ansible_host": "2001:db8::1"},
    "empty": {"ansible_host": ""},
}


def test_the_most_particular_address_counts() -> None:
    addresses = FilterModule().filters()["addresses"]
    assert addresses(list(HOSTVARS), HOSTVARS) == ["named", "192.0.2.7", "10.0.0.8", "2001:db8::1", "empty"]


def test_a_port_is_added_and_ipv6_is_bracketed() -> None:
    addresses = FilterModule().filters()["addresses"]
    assert addresses(["inside", "six"], HOSTVARS, port=9090) == ["10.0.0.8:9090", "[2001:db8::1]:9090"]


def test_other_variables_can_hold_the_address() -> None:
    addresses = FilterModule().filters()["addresses"]
    assert addresses(["inside"], HOSTVARS, variables=["ansible_host"]) == ["192.0.2.8"]


def test_an_unknown_host_is_named() -> None:
    addresses = FilterModule().filters()["addresses"]
    with pytest.raises(AnsibleFilterError, match="'gone' is not a host of the inventory"):
        addresses(["gone"], HOSTVARS)
