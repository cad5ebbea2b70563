# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which addresses the hosts of an inventory reach each other."""

from __future__ import annotations

DOCUMENTATION = r"""
name: addresses
short_description: Addresses under which inventory hosts reach each other
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Turns names of hosts into the addresses by which other hosts reach them, with a port where one is given.
  - The address is the first of the host's variables O(variables) that is set, else the host's name.
positional: _input, hostvars
options:
  _input:
    description: Names of hosts, such as C(groups['prometheus']).
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  port:
    description: The port to add; an IPv6 address is put into brackets then.
    type: int
  variables:
    description: Variables that may hold the address, in the order in which they count.
    type: list
    elements: str
    default: [monitoring_address, ansible_host]
"""

EXAMPLES = r"""
# ['10.0.0.5:9093', 'alert2.example.com:9093']
alertmanagers: "{{ groups['alertmanager'] | default([]) | frugal.cloud.addresses(hostvars, port=9093) }}"
"""

RETURN = r"""
_value:
  description: An address for each host, in the same order.
  type: list
  elements: str
"""

import typing as t
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError


def addresses(
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, t.Any]],
    port: int | None = None,
    variables: Sequence[str] = ("monitoring_address", "ansible_host"),
) -> list[str]:
    """The address of each host of ``hosts``, ``address:port`` where a port is given.

    :raises AnsibleFilterError: when a host is not in the inventory.
    """
    found = []
    for host in hosts:
        if host not in hostvars:
            raise AnsibleFilterError(f"addresses: {host!r} is not a host of the inventory")
        known = hostvars[host]
        address = next((str(known[name]) for name in variables if known.get(name)), host)
        if port is not None:
            address = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        found.append(address)
    return found


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file by name."""
        return {"addresses": addresses}
