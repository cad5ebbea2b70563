# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Redis with replicas and Sentinels lacks to be as it shall be: from its servers to the next step.

Pure, like redis_plan: nothing here talks to Redis, and the servers themselves are the journal of a run.
Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.redis_plan import MOST_STEPS, Refused


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that shall be there, as it is."""

    address: str
    #: address of its master; empty for a master
    master: str = ""
    #: addresses of the replicas that it serves
    replicas: tuple[str, ...] = ()
    keys: int = 0
    restart: str = ""
    settings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Watch:
    """A Sentinel, and what it knows of our master."""

    address: str
    #: address of the master; empty where it watches none of this name
    master: str = ""
    #: settings of it that are not as they should be
    settings: tuple[str, ...] = ()
    #: why it has to be started again; empty where it has not
    restart: str = ""


@dataclasses.dataclass(frozen=True)
class Group:
    """All servers and Sentinels."""

    servers: t.Mapping[str, Server]
    watches: t.Mapping[str, Watch] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do; ``target`` is the other side where there is one."""

    action: str
    node: str
    target: str = ""
    reason: str = ""

    def sentence(self) -> str:
        """The step as an operator reads it."""
        words = {
            "configure": f"set {self.reason} on {self.node}",
            "restart": f"restart {self.node}: {self.reason}",
            # Sentinels choose which.
            "failover": f"let a replica take over from {self.target}: {self.reason}",
            "replicate": f"make {self.node} a replica of {self.target}",
            "watch": f"let Sentinel {self.node} watch {self.target}",
            "tell": f"set {self.reason} of Sentinel {self.node}",
        }
        return words[self.action]


def master_of(group: Group) -> str:
    """Who the master is: whom the Sentinels watch, else who has replicas or keys, else the first server.

    :raises Refused: when several could be it, or none of the servers is.
    """
    watched = collections.Counter(watch.master for watch in group.watches.values() if watch.master)
    if watched:
        best, count = watched.most_common(1)[0]
        if len(watched) > 1 and count * 2 <= len(group.watches):
            raise Refused(f"the Sentinels watch {' and '.join(sorted(watched))}: wait until they agree, or reset them")
        if best not in group.servers:
            raise Refused(f"the Sentinels watch {best}, which is not among the servers: add it to nodes, or reset them")
        return best
    followed = collections.Counter(server.master for server in group.servers.values() if server.master)
    strange = sorted(set(followed) - set(group.servers))
    if strange:
        raise Refused(f"{strange[0]} has replicas among the servers and nobody names it: add it to nodes")
    if followed:
        return followed.most_common(1)[0][0]
    full = [server.address for server in group.servers.values() if server.keys]
    return full[0] if full else next(iter(group.servers))


def check(group: Group) -> None:
    """Whether all data is the master's, so that no server loses what only it has.

    :raises Refused: when a server holds keys that are not its master's.
    """
    master = master_of(group)
    root = group.servers[master]
    if root.master and not group.watches:
        raise Refused(f"{master} is the master of others and a replica of {root.master}: name all servers in nodes")
    for server in group.servers.values():
        if server.address != master and not server.master and server.keys:
            raise Refused(
                f"{server.address} holds {server.keys} keys and is no replica of {master}, so it would lose them: "
                "empty it with FLUSHALL, or leave it out"
            )


def next_step(group: Group) -> Step | None:
    """The next step, None when all is as it shall be.

    :raises Refused: when that cannot be done safely.
    """
    master = master_of(group)
    servers = list(group.servers.values())
    for server in servers:
        if server.settings:
            return Step("configure", server.address, reason=", ".join(server.settings))
    # Replicas first: they read what an older master sends, not the reverse.
    for server in servers:
        if server.restart and server.address != master:
            return Step("restart", server.address, reason=server.restart)
    for server in servers:
        if server.address != master and server.master != master:
            return Step("replicate", server.address, master)
    for watch in group.watches.values():
        if watch.restart:
            return Step("restart", watch.address, reason=watch.restart)
        if watch.master != master:
            return Step("watch", watch.address, master)
        if watch.settings:
            return Step("tell", watch.address, master, reason=", ".join(watch.settings))
    if group.servers[master].restart:
        heirs = [server.address for server in servers if server.master == master]
        if heirs:
            return Step("failover", heirs[0], master, reason=f"{master} has to be restarted")
        return Step("restart", master, reason=group.servers[master].restart)
    return None


def plan(group: Group) -> tuple[Step, ...]:
    """All steps as they will be where nothing fails on the way.

    :raises Refused: when the goal cannot be reached safely.
    """
    check(group)
    steps: list[Step] = []
    while True:
        step = next_step(group)
        if step is None:
            return tuple(steps)
        steps.append(step)
        group = after(group, step)
        if len(steps) > MOST_STEPS:
            raise Refused(f"no end of steps is in sight, the last is to {step.sentence()}: this is an error of ours")


def after(group: Group, step: Step) -> Group:
    """The group that a step leads to where nothing fails."""
    servers, watches = dict(group.servers), dict(group.watches)
    if step.action == "configure":
        servers[step.node] = dataclasses.replace(servers[step.node], settings=())
    elif step.action == "restart" and step.node in watches:
        watches[step.node] = dataclasses.replace(watches[step.node], restart="")
    elif step.action == "restart":
        servers[step.node] = dataclasses.replace(servers[step.node], restart="")
    elif step.action == "replicate":
        servers[step.node] = dataclasses.replace(servers[step.node], master=step.target)
    elif step.action in ("watch", "tell"):
        watches[step.node] = Watch(step.node, step.target)
    elif step.action == "failover":
        for address, server in group.servers.items():
            servers[address] = dataclasses.replace(server, master="" if address == step.node else step.node)
        for address, watch in group.watches.items():
            watches[address] = dataclasses.replace(watch, master=step.node)
    return Group(servers, watches)
