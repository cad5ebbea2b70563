# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a scenario: a bridge and a range of addresses of its own, a network namespace for each host."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import typing as t

from ansible_collections.frugal.cloud.tests.hosts import machine

#: scenario n has the n-th /24 of it
POOL = ipaddress.IPv4Network("10.231.0.0/16")
NUMBERS = range(1, 255)
#: the hosts' addresses begin after the bridge's and a few that tests may use
FIRST_HOST = 10
MOST_HOSTS = 200


@dataclasses.dataclass(frozen=True)
class Network:
    """Names and addresses of the scenario with this number; they follow from the number alone."""

    number: int

    @property
    def range(self) -> ipaddress.IPv4Network:
        """The scenario's addresses."""
        return ipaddress.IPv4Network((int(POOL.network_address) + 256 * self.number, 24))

    @property
    def gateway(self) -> str:
        """The machine's own address on the bridge: hosts reach the machine by it."""
        return str(self.range[1])

    @property
    def bridge(self) -> str:
        """Name of the bridge (the kernel takes 15 characters)."""
        return f"frh{self.number}"

    def address(self, index: int) -> str:
        """The address of the scenario's host number ``index``, counted from 0."""
        if not 0 <= index < MOST_HOSTS:
            raise machine.HostError(f"a scenario has at most {MOST_HOSTS} hosts")
        return str(self.range[FIRST_HOST + index])

    def interface(self, index: int) -> str:
        """The machine's end of a host's cable."""
        return f"frh{self.number}-{index}"

    def namespace(self, index: int) -> str:
        """The host's network namespace."""
        return f"frugal-{self.number}-{index}"


def free_number(taken: t.Iterable[int], routes: t.Iterable[str]) -> int:
    """The lowest number that no scenario has and whose addresses no route of the machine is about.

    ``routes`` are destinations as ``ip route`` names them. One that is wider than the pool (the default route, a
    company's 10.0.0.0/8) does not count: the bridge's own route is narrower and wins.
    """
    used = set(taken)
    others = [ipaddress.IPv4Network(route) for route in routes if route != "default"]
    narrow = [other for other in others if other.prefixlen >= POOL.prefixlen]
    for number in NUMBERS:
        if number not in used and not any(Network(number).range.overlaps(other) for other in narrow):
            return number
    raise machine.HostError(f"all {len(NUMBERS)} address ranges for test hosts in {POOL} are taken")


def routes() -> list[str]:
    """Destinations of the machine's IPv4 routes."""
    return [entry["dst"] for entry in json.loads(machine.run("ip", "-json", "-4", "route", "show") or "[]")]


def create(network: Network, hosts: int) -> None:
    """Make the bridge and, for each host, a namespace with an eth0 on it."""
    bridge = network.bridge
    machine.run("ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0")
    machine.run("ip", "address", "add", f"{network.gateway}/24", "dev", bridge)
    machine.run("ip", "link", "set", bridge, "up")
    for index in range(hosts):
        name, outside = network.namespace(index), network.interface(index)
        machine.run("ip", "netns", "add", name)
        machine.run(
            *("ip", "link", "add", outside, "type", "veth"),
            *("peer", "name", "eth0", "netns", name),
        )
        machine.run("ip", "link", "set", outside, "master", bridge, "up")
        inside = ("ip", "-netns", name)
        machine.run(*inside, "link", "set", "lo", "up")
        machine.run(*inside, "address", "add", f"{network.address(index)}/24", "dev", "eth0")
        machine.run(*inside, "link", "set", "eth0", "up")
        # Ansible's default address comes from the default route. The machine forwards nothing: hosts are offline.
        machine.run(*inside, "route", "add", "default", "via", network.gateway)
        # Programs that ask for a cloud's metadata hear at once that there is none.
        machine.run(*inside, "route", "add", "unreachable", "169.254.0.0/16")


def remove(network: Network) -> None:
    """Take away what ``create`` made, as far as it is there."""
    links = [entry["ifname"] for entry in json.loads(machine.run("ip", "-json", "link", "show") or "[]")]
    for name in links:
        if name == network.bridge or name.startswith(f"{network.bridge}-"):
            machine.run("ip", "link", "delete", name, check=False)
    namespaces = json.loads(machine.run("ip", "-json", "netns", "list") or "[]")
    for entry in namespaces:
        if entry["name"].startswith(f"frugal-{network.number}-"):
            machine.run("ip", "netns", "delete", entry["name"], check=False)
