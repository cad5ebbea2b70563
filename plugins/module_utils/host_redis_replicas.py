# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings one Redis, its replicas and their Sentinels to what they shall be, step by step.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import redis_replicas
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import (
    Endpoint,
    RedisClient,
    RedisError,
    pairs,
    parse_info,
)
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_nodes import Nodes, NodeWish
from ansible_collections.frugal.cloud.plugins.module_utils.redis_replicas import Group, Server, Step, Watch

#: how often the same step may be needed, since servers fail and come back meanwhile
SAME_STEP = 5
#: between two looks at servers that are on their way (seconds)
INTERVAL = 0.1
#: how long a replica may take to take over (seconds)
FAILOVER_WAIT = 30.0
#: what Sentinels are told: option of ours -> word of SENTINEL SET, and what SENTINEL MASTER calls it
TOLD = {
    "quorum": ("quorum", "quorum"),
    "down_after": ("down-after-milliseconds", "down-after-milliseconds"),
    "failover_timeout": ("failover-timeout", "failover-timeout"),
    "parallel_syncs": ("parallel-syncs", "parallel-syncs"),
}


@dataclasses.dataclass(frozen=True)
class Sentinels:
    """What Sentinels shall do. Times in seconds."""

    addresses: tuple[str, ...] = ()
    name: str = "main"
    quorum: int = 0
    down_after: float = 5.0
    failover_timeout: float = 60.0
    parallel_syncs: int = 1
    #: build id of the program that they should run; empty for any
    build: str = ""

    def told(self) -> dict[str, int]:
        """The numbers as Sentinel has them: times in milliseconds."""
        return {
            "quorum": self.quorum or len(self.addresses) // 2 + 1,
            "down_after": round(self.down_after * 1000),
            "failover_timeout": round(self.failover_timeout * 1000),
            "parallel_syncs": self.parallel_syncs,
        }


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The steps that were done, or in check mode would be, and the servers before and after."""

    steps: tuple[Step, ...]
    before: str
    after: str
    master: str


class Replicas:
    """The servers, the Sentinels, and what is done with them."""

    def __init__(
        self,
        endpoint: Endpoint,
        wishes: t.Mapping[str, NodeWish],
        sentinels: Sentinels,
        *,
        wait: float,
        restart_wait: float,
        check: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._addresses = tuple(wishes)
        self._sentinels = sentinels
        self._wait = wait
        self._check = check
        self.nodes = Nodes(endpoint, wishes, restart_wait)
        self._infos: dict[str, dict[str, str]] = {}
        # Sentinel has no command to read its certificate again, and is quickly back.
        self._renewing = set(sentinels.addresses) if any(wish.reload_tls for wish in wishes.values()) else set()

    def converge(self) -> Outcome:
        """Bring all to what they shall be.

        :raises HostError: when that cannot be, with why; steps that were done stay done.
        """
        try:
            group = self.read()
            steps = redis_replicas.plan(group)
            before = shown(group)
            if self._check:
                for predicted in steps:
                    group = redis_replicas.after(group, predicted)
                return Outcome(steps, before, shown(group), redis_replicas.master_of(group))
            done: list[Step] = []
            while True:
                redis_replicas.check(group)
                step = redis_replicas.next_step(group)
                if step is None:
                    group = self._settled(done, watched=True)
                    return Outcome(tuple(done), before, shown(group), redis_replicas.master_of(group))
                if done.count(step) >= SAME_STEP:
                    raise HostError(f"the step to {step.sentence()} changes nothing: look into its journal")
                getattr(self, f"_{step.action}")(step)
                done.append(step)
                group = self._settled(done)
        finally:
            self.nodes.close()

    # --- Reading

    def read(self) -> Group:
        """All servers and Sentinels as they are now.

        :raises HostError: when one cannot be asked.
        """
        servers = {}
        for address in self._addresses:
            info = parse_info(self.nodes.ask(address, ("INFO",))[0])
            if info.get("redis_mode") != "standalone":
                raise HostError(f"{address} is a server of mode {info.get('redis_mode')}: name servers without cluster")
            self._infos[address] = info
            wish = self.nodes.compare(address, info)
            followers = [value for key, value in info.items() if key.startswith("slave") and "ip=" in value]
            parts = [dict(part.split("=", 1) for part in one.split(",")) for one in followers]
            master = f"{info['master_host']}:{info['master_port']}" if info.get("role") == "slave" else ""
            servers[address] = Server(
                address,
                master=self._known(master),
                replicas=tuple(f"{part['ip']}:{part['port']}" for part in parts),
                keys=sum(int(value.split("=")[1].split(",")[0]) for key, value in info.items() if key[:2] == "db"),
                restart=wish.restart,
                settings=wish.settings,
            )
        return Group(servers, {address: self._watch_of(address) for address in self._sentinels.addresses})

    def _known(self, address: str) -> str:
        """An address as nodes has it: servers call themselves loopback by several names."""
        host, _colon, port = address.rpartition(":")
        for one in self._addresses:
            if host in ("localhost", "::1") and one == f"127.0.0.1:{port}":
                return one
        return address

    def _watch_of(self, address: str) -> Watch:
        restart = "a new certificate is read at its start" if address in self._renewing else ""
        with self._sentinel(address) as client:
            info = client.info("server")
            if self._sentinels.build and info.get("redis_build_id") != self._sentinels.build:
                restart = f"it runs Redis {info.get('redis_version')}, and another build is installed"
            try:
                found = pairs(client.command("SENTINEL", "MASTER", self._sentinels.name))
            except RedisError as error:
                if "No such master" not in str(error):
                    raise
                return Watch(address, restart=restart)
        off = [name for name, value in self._sentinels.told().items() if found.get(TOLD[name][1]) != str(value)]
        return Watch(address, f"{found['ip']}:{found['port']}", tuple(off), restart)

    def _sentinel(self, address: str) -> RedisClient:
        return RedisClient.connect(self.nodes.endpoint(address))

    # --- Waiting

    def _settled(self, done: t.Sequence[Step], *, watched: bool = False) -> Group:
        deadline = time.monotonic() + self._wait
        while True:
            group = self.read()
            why = self._unsettled(group) or (self._unwatched(group) if watched else "")
            if not why:
                return group
            if time.monotonic() > deadline:
                last = f" after the step to {done[-1].sentence()}" if done else ""
                raise HostError(f"the servers are not well within {self._wait:g} s{last}: {why}")
            time.sleep(INTERVAL)

    def _unsettled(self, group: Group) -> str:
        for address, info in self._infos.items():
            if info.get("loading") == "1":
                return f"{address} is loading its data"
            known = group.servers[address].master in group.servers
            if info.get("role") == "slave" and known and info.get("master_link_status") != "up":
                return f"replica {address} has no link to its master yet"
        return ""

    def _unwatched(self, group: Group) -> str:
        """Whether enough Sentinels know each other and all replicas to replace the master."""
        for address in group.watches:
            with self._sentinel(address) as client:
                try:
                    client.command("SENTINEL", "CKQUORUM", self._sentinels.name)
                except RedisError as error:
                    return str(error)
                known = pairs(client.command("SENTINEL", "MASTER", self._sentinels.name))
            if int(known.get("num-other-sentinels", 0)) < len(group.watches) - 1:
                return f"Sentinel {address} does not know all others yet"
            if int(known.get("num-slaves", 0)) < len(group.servers) - 1:
                return f"Sentinel {address} does not know all replicas yet"
        return ""

    # --- Steps

    def _configure(self, step: Step) -> None:
        self.nodes.configure(step.node)

    def _restart(self, step: Step) -> None:
        self.nodes.restart(step.node)
        self._renewing.discard(step.node)

    def _replicate(self, step: Step) -> None:
        host, port = step.target.rsplit(":", 1)
        client = self.nodes.client(step.node)
        client.command("REPLICAOF", host.strip("[]"), port)
        self._kept(client)

    @staticmethod
    def _kept(client: RedisClient) -> None:
        """Write into its file what the server is now, so that it is the same after a restart."""
        with contextlib.suppress(RedisError):
            client.command("CONFIG", "REWRITE")

    def _watch(self, step: Step) -> None:
        told = self._sentinels.told()
        host, port = step.target.rsplit(":", 1)
        with self._sentinel(step.node) as client:
            # An old master of that name, which the others do not watch any more.
            with contextlib.suppress(RedisError):
                client.command("SENTINEL", "REMOVE", self._sentinels.name)
            client.command("SENTINEL", "MONITOR", self._sentinels.name, host.strip("[]"), port, told["quorum"])
        self._tell(step)

    def _tell(self, step: Step) -> None:
        words: list[t.Any] = []
        for name, value in self._sentinels.told().items():
            words += [TOLD[name][0], value]
        if self._endpoint.username:
            words += ["auth-user", self._endpoint.username]
        if self._endpoint.password:
            words += ["auth-pass", self._endpoint.password]
        with self._sentinel(step.node) as client:
            client.command("SENTINEL", "SET", self._sentinels.name, *words)

    def _failover(self, step: Step) -> None:
        if not self._sentinels.addresses:
            host, port = step.node.rsplit(":", 1)
            self.nodes.client(step.target).command("FAILOVER", "TO", host.strip("[]"), port)
        else:
            # Sentinel promotes without waiting for the replica, so the master takes no writes until it has all.
            master = self.nodes.client(step.target)
            master.command("CLIENT", "PAUSE", round(FAILOVER_WAIT * 1000), "WRITE")
            try:
                self._caught_up(step)
                with self._sentinel(self._sentinels.addresses[0]) as client:
                    self._asked(client)
                # While it is paused, Sentinels cannot tell it anything: they publish on the same connection. And
                # were it a master still when the pause ends, it would take the writes that waited, and lose them.
                host, port = self._promoted(step).rsplit(":", 1)
                master.command("REPLICAOF", host.strip("[]"), port)
            finally:
                with contextlib.suppress(RedisError):
                    master.command("CLIENT", "UNPAUSE")
        self._taken_over(step)
        for address in self._addresses:
            self._kept(self.nodes.client(address))

    def _caught_up(self, step: Step) -> None:
        """Wait until all replicas have what the master had when it was paused: any of them may be chosen."""
        offset = int(parse_info(self.nodes.ask(step.target, ("INFO", "replication"))[0])["master_repl_offset"])
        followers = [address for address in self._addresses if address != step.target]
        deadline = time.monotonic() + FAILOVER_WAIT / 2
        while time.monotonic() < deadline:
            infos = [parse_info(self.nodes.ask(address, ("INFO", "replication"))[0]) for address in followers]
            if all(int(info.get("slave_repl_offset", -1)) >= offset for info in infos):
                return
            time.sleep(INTERVAL)
        raise HostError(f"the replicas of {step.target} do not catch up with it: nothing was changed")

    def _asked(self, client: RedisClient) -> None:
        deadline = time.monotonic() + FAILOVER_WAIT / 2
        while True:
            try:
                client.command("SENTINEL", "FAILOVER", self._sentinels.name)
                return
            except RedisError as error:
                # It looks at replicas every few seconds, and one that it just met is no good replica yet.
                if error.code not in ("INPROG", "NOGOODSLAVE") or time.monotonic() > deadline:
                    raise
                time.sleep(INTERVAL)

    def _promoted(self, step: Step) -> str:
        """The replica that became master."""
        deadline = time.monotonic() + FAILOVER_WAIT
        while time.monotonic() < deadline:
            group = self.read()
            for server in group.servers.values():
                if server.address != step.target and not server.master:
                    return server.address
            time.sleep(INTERVAL)
        raise HostError(f"the Sentinels promote no replica of {step.target} within {FAILOVER_WAIT:g} s: ask them why")

    def _taken_over(self, step: Step) -> None:
        """Until there is another master and all that are asked follow it."""
        deadline = time.monotonic() + FAILOVER_WAIT
        while time.monotonic() < deadline:
            group = self.read()
            masters = [server.address for server in group.servers.values() if not server.master]
            followed = {server.master for server in group.servers.values() if server.master}
            one = len(masters) == 1 and masters[0] != step.target and followed <= set(masters)
            if one and all(watch.master == masters[0] for watch in group.watches.values()):
                return
            time.sleep(INTERVAL)
        raise HostError(f"no replica took over from {step.target} within {FAILOVER_WAIT:g} s: ask the Sentinels why")


def shown(group: Group) -> str:
    """The servers as a diff shows them."""
    lines = [
        f"{server.address}: {f'replica of {server.master}' if server.master else 'master'}\n"
        for server in group.servers.values()
    ]
    lines += [f"Sentinel {watch.address}: {watch.master or 'watches nobody'}\n" for watch in group.watches.values()]
    return "".join(lines)


def sentinels(options: t.Mapping[str, t.Any]) -> Sentinels:
    """What the Sentinels shall do, from a module's options.

    :raises HostError: when a value cannot be used.
    """
    found = Sentinels(
        tuple(options["sentinels"]),
        options["master_name"],
        options["quorum"] or 0,
        options["down_after"],
        options["failover_timeout"],
        options["parallel_syncs"],
        options["sentinel_build"] or "",
    )
    for name in ("down_after", "failover_timeout", "parallel_syncs", "wait", "restart_wait"):
        if options[name] <= 0:
            raise HostError(f"{name} is {options[name]:g}: give a number above 0")
    if found.addresses and not 0 < found.told()["quorum"] <= len(found.addresses):
        raise HostError(
            f"quorum is {found.quorum}: give a number from 1 to {len(found.addresses)}, which agree on a fault"
        )
    return found
