# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``testhosts.py``: its arguments, and which function does what."""

from __future__ import annotations

import argparse
import os
import sys
import typing as t

import yaml
from ansible_collections.frugal.cloud.tests.hosts import machine, packages, scenario
from ansible_collections.frugal.cloud.tests.tools import environment


def say(text: str) -> None:
    """Progress goes to standard error: standard output is for what was asked."""
    print(text, file=sys.stderr, flush=True)


def groups(words: t.Sequence[str]) -> dict[str, list[str]]:
    """Hosts by group, from words like ``web=web1,web2``."""
    found: dict[str, list[str]] = {}
    for word in words:
        group, equals, members = word.partition("=")
        if not group or not equals or not members:
            raise machine.HostError(f"--group {word}: write GROUP=HOST,HOST")
        found.setdefault(group, []).extend(members.split(","))
    return found


def runs_molecule_test(words: t.Sequence[str]) -> bool:
    """Whether a command line is a ``molecule test`` that destroys its hosts at its end."""
    names = [os.path.basename(word) for word in words[:3]]
    if "molecule" not in names:
        return False
    rest = words[names.index("molecule") + 1 :]
    command = next((word for word in rest if not word.startswith("-")), "")
    return command == "test" and not {"--destroy=never", "never"} & set(rest)


def _owner(options: argparse.Namespace) -> machine.Process | None:
    if options.owner:
        return machine.process(options.owner)
    # A test run that is killed cannot clean up; hosts of molecule create or converge are meant to stay.
    if options.molecule:
        for pid in machine.parents(os.getpid()):
            words = machine.arguments(pid)
            if runs_molecule_test(words):
                return machine.process(pid)
    return None


def up(options: argparse.Namespace) -> int:
    """Boot hosts."""
    found = scenario.up(options.names, options.scenario, _owner(options), say)
    for host in found.hosts:
        print(f"{host.name} {host.address}")
    return 0


def down(options: argparse.Namespace) -> int:
    """Remove the hosts of a scenario and what killed runs left."""
    if not scenario.down(options.scenario):
        say(f"There was no scenario {options.scenario}")
    return 0


def restart(options: argparse.Namespace) -> int:
    """Shut hosts down in order and boot them again."""
    scenario.restart(options.scenario, options.names, say)
    return 0


def sweep(options: argparse.Namespace) -> int:
    """Remove what killed runs left, of all scenarios."""
    scenario.sweep(say)
    return 0


def execute(options: argparse.Namespace) -> int:
    """Run a command in a host."""
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    command = scenario.find(options.scenario)[options.name].command(words or ["/bin/bash"])
    os.execvp(command[0], command)


def inventory(options: argparse.Namespace) -> int:
    """Print an inventory for ansible-playbook."""
    found = scenario.find(options.scenario)
    print(yaml.safe_dump(found.inventory(groups(options.group)), sort_keys=False), end="")
    return 0


def status(options: argparse.Namespace) -> int:
    """Show what is up on this machine."""
    for found in scenario.scenarios():
        owner = f"until process {found.owner.pid} ends" if found.owner else "until taken down"
        print(f"{found.key}: {found.network.range}, {'stale' if found.stale() else owner}")
        for host in found.hosts:
            print(f"  {host.name} {host.address} {'running' if host.supervisor.alive() else 'not running'}")
    return 0


def build(options: argparse.Namespace) -> int:
    """Make the root and the repository, so that the next start finds them."""
    root = packages.root(say)
    print(root)
    print(packages.repository(root, say))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="testhosts.py", description="Debian hosts with systemd for tests of roles.")
    default = os.environ.get("FRUGAL_SCENARIO") or "manual"
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, function: t.Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("--scenario", default=default, help="default: $FRUGAL_SCENARIO, else manual")
        return command

    command = add("up", up)
    command.add_argument("names", nargs="+", metavar="name")
    command.add_argument("--owner", type=int, metavar="PID", help="the hosts may be removed when this process ended")
    command.add_argument("--molecule", action="store_true", help="the owner is the molecule test that called this")
    command = add("exec", execute)
    command.add_argument("name")
    command.add_argument("command", nargs=argparse.REMAINDER, help="-- and a command; a shell without one")
    command = add("inventory", inventory)
    command.add_argument("--group", action="append", default=[], metavar="GROUP=HOST,HOST")
    command = add("restart", restart)
    command.add_argument("names", nargs="*", metavar="name", help="all when none is named")
    add("down", down)
    add("sweep", sweep)
    add("status", status)
    add("build", build)
    options = parser.parse_args()
    try:
        return t.cast(int, options.function(options))
    except (machine.HostError, environment.SetupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
