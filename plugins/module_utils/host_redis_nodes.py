# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several Redis servers that belong together: connections, what each should run with, changes online, restarts.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import redis_conf
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import (
    CONNECTION as ONE_CONNECTION,
)
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import (
    Endpoint,
    RedisClient,
    RedisError,
    pairs,
    text,
)

#: between two looks at a server that is coming back (seconds)
INTERVAL = 0.1
#: settings that CONFIG GET shows and that no message or diff may hold
SECRET = frozenset({"masterauth", "requirepass", "tls-key-file-pass", "tls-client-key-file-pass"})

#: options of the modules that talk to several servers: how all of them are reached
CONNECTION = {
    name: option
    for name, option in ONE_CONNECTION.items()
    if name not in ("login_host", "login_port", "login_unix_socket")
}
USER: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "rules": {"type": "list", "elements": "str", "required": True, "no_log": True},
}


@dataclasses.dataclass(frozen=True)
class User:
    """A user of the ACL: rules as in an ACL file, passwords as ``#`` and their SHA-256."""

    name: str
    rules: tuple[str, ...] = dataclasses.field(default=(), repr=False)


@dataclasses.dataclass(frozen=True)
class NodeWish:
    """What a server should run with; what is empty is left as it is."""

    #: settings by name, as redis.conf has them
    settings: t.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    #: all users; None leaves them alone
    users: tuple[User, ...] | None = None
    #: build id of the program, as ``redis-server --version`` has it
    build: str = ""
    #: make it read its certificate again
    reload_tls: bool = False


@dataclasses.dataclass(frozen=True)
class Difference:
    """What has to change: while it runs, and by a restart."""

    settings: tuple[str, ...] = ()
    restart: str = ""


class Nodes:
    """Servers by address, asked over one connection each."""

    def __init__(self, endpoint: Endpoint, wishes: t.Mapping[str, NodeWish], restart_wait: float = 120.0) -> None:
        self._endpoint = endpoint
        self._wishes = wishes
        self._restart_wait = restart_wait
        self._clients: dict[str, RedisClient] = {}
        self._reloaded: set[str] = set()

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def endpoint(self, address: str) -> Endpoint:
        """How the server at ``address`` (host:port) is reached."""
        host, colon, port = address.rpartition(":")
        if not colon or not port.isdigit() or not 0 < int(port) < 65536:
            raise HostError(f"nodes has {address!r}: give host:port with a port from 1 to 65535")
        return dataclasses.replace(self._endpoint, address=host.strip("[]"), port=int(port))

    def client(self, address: str) -> RedisClient:
        """The connection to a server.

        :raises RedisError: when it cannot be reached or refuses the password.
        """
        if address not in self._clients:
            self._clients[address] = RedisClient.connect(self.endpoint(address), self._restart_wait)
        return self._clients[address]

    def drop(self, address: str) -> None:
        """Forget a connection, such as one that was lost."""
        client = self._clients.pop(address, None)
        if client is not None:
            client.close()

    def ask(self, address: str, *commands: tuple[t.Any, ...]) -> list[str]:
        """Replies as texts; a connection that was lost meanwhile is opened once more.

        :raises RedisError: when the server refuses or cannot be reached.
        """
        for last in (False, True):
            try:
                replies = self.client(address).pipeline(commands)
                break
            except RedisError as error:
                self.drop(address)
                if last or error.code != "unreachable":
                    raise
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return [text(reply) for reply in replies]

    # --- What it runs with

    def compare(self, address: str, info: t.Mapping[str, str]) -> Difference:
        """What the server lacks of what it should run with."""
        wish = self._wishes.get(address, NodeWish())
        restart: list[str] = []
        online = list(self._users_off(address, wish))
        if wish.reload_tls and address not in self._reloaded:
            online.append("the certificate")
        if wish.build and info.get("redis_build_id", wish.build) != wish.build:
            restart.append(f"it runs Redis {info.get('redis_version')}, and another build is installed")
        for name, have in self._settings_off(address, wish).items():
            if name in redis_conf.FIXED:
                shown = "" if name in SECRET else f" is {have!r} and should be {wish.settings[name]!r}"
                restart.append(f"{name}{shown}")
            else:
                online.append(name)
        return Difference(tuple(online), "; ".join(restart))

    def _settings_off(self, address: str, wish: NodeWish) -> dict[str, str]:
        """Settings that are not as they should be, with what they are."""
        names = [name for name in wish.settings if name not in ("user", "include", "rename-command")]
        replies = self.client(address).pipeline([("CONFIG", "GET", name) for name in names])
        found: dict[str, str] = {}
        for name, reply in zip(names, replies):
            if isinstance(reply, RedisError):
                raise reply
            have = pairs(reply).get(name)
            # What CONFIG GET does not know, as loadmodule, is seen at the next start.
            if have is not None and not redis_conf.same(name, have, wish.settings[name]):
                found[name] = have
        return found

    def _users_off(self, address: str, wish: NodeWish) -> t.Iterator[str]:
        if wish.users is None:
            return
        client = self.client(address)
        known = {text(name) for name in client.command("ACL", "USERS")}
        for user in wish.users:
            # Redis keeps rules in a form of its own, so it is asked what these would become: by a user that is there
            # for the length of one transaction, in which nobody else is served.
            scratch = f"frugal-{secrets.token_hex(8)}"
            replies = client.pipeline(
                [
                    ("MULTI",),
                    ("ACL", "SETUSER", scratch, "reset", *user.rules),
                    ("ACL", "GETUSER", scratch),
                    ("ACL", "DELUSER", scratch),
                    ("ACL", "GETUSER", user.name),
                    ("EXEC",),
                ]
            )
            for reply in replies:
                if isinstance(reply, RedisError):
                    raise reply
            refused = [reply for reply in replies[-1] if isinstance(reply, RedisError)]
            if refused:
                raise RedisError(f"users has {user.name} with rules that Redis refuses: {refused[0]}", refused[0].code)
            if _acl(replies[-1][1]) != _acl(replies[-1][3] or ()):
                yield f"user {user.name}"
        for name in sorted(known - {user.name for user in wish.users} - {"default"}):
            yield f"no user {name}"

    def configure(self, address: str) -> None:
        """Set what can be set while it runs: settings all or none, then users.

        :raises RedisError: when the server refuses a value; it has the old ones then.
        """
        wish = self._wishes[address]
        client = self.client(address)
        words: list[str] = []
        for name in self._settings_off(address, wish):
            if name not in redis_conf.FIXED:
                words += [name, wish.settings[name]]
        if wish.reload_tls:
            for name in ("tls-cert-file", "tls-key-file", "tls-ca-cert-file"):
                if wish.settings.get(name) and name not in words:
                    words += [name, wish.settings[name]]
            self._reloaded.add(address)
        if words:
            client.command("CONFIG", "SET", *words)
        if wish.users is not None:
            # Not ACL LOAD: it cuts the connections of every user but the default one.
            for user in wish.users:
                client.command("ACL", "SETUSER", user.name, "reset", *user.rules)
            for line in self._users_off(address, wish):
                if line.startswith("no user "):
                    client.command("ACL", "DELUSER", line[len("no user ") :])

    def restart(self, address: str) -> None:
        """End the server in order, so that its unit starts it again, and wait until it answers.

        :raises HostError: when it does not end or does not come back.
        """
        client = self.client(address)
        before = client.info("server").get("run_id")
        try:
            client.command("SHUTDOWN")
        except RedisError as error:
            if error.code != "unreachable":
                raise
        self.drop(address)
        deadline = time.monotonic() + self._restart_wait
        why = "it still runs"
        while time.monotonic() < deadline:
            with contextlib.suppress(RedisError):
                if self.client(address).info("server").get("run_id") != before:
                    return
            self.drop(address)
            why = "it does not answer"
            time.sleep(INTERVAL)
        raise HostError(
            f"{address} did not come back within {self._restart_wait:g} s of its restart ({why}): look into its unit's "
            "journal; all other nodes run on as they were"
        )


def node_wishes(options: t.Mapping[str, t.Any]) -> dict[str, NodeWish]:
    """What each of the nodes should run with, from a module's options.

    :raises HostError: when a setting cannot be one of redis.conf.
    """
    users = options["users"]
    wanted = None if users is None else tuple(User(user["name"], tuple(user["rules"])) for user in users)
    return {
        node["address"]: NodeWish(
            redis_conf.wanted({**options["settings"], **node["settings"]}),
            wanted,
            node["build"] or "",
            options["reload_tls"],
        )
        for node in options["nodes"]
    }


def _acl(reply: t.Sequence[t.Any]) -> dict[str, t.Any]:
    """ACL GETUSER's reply as a dictionary."""
    found: dict[str, t.Any] = {}
    for name, value in zip(reply[::2], reply[1::2]):
        found[text(name)] = [text(one) for one in value] if isinstance(value, list) else text(value)
    return found
