# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Redis client: RESP2 over TCP, TLS or a Unix socket, with ACL users, time limits and pipelines.

Runs on managed hosts: standard library only, Python 3.9 or later. Protocol:
https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
import time
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

#: commands that are sent before their replies are read; more could fill both sides' buffers and block both
PIPELINE = 500
#: largest single value that is read (bytes): Redis itself stores up to 512 MiB in one
LARGEST = 64 * 1024 * 1024
#: arrays within arrays; real replies have four levels at most
DEEPEST = 16
CHUNK = 65_536
#: how long a server that is still loading its data is asked again, unless told otherwise (seconds)
LOADING_WAIT = 0.0

#: The connection options of every module that talks to Redis; names as in community.general's Redis modules.
CONNECTION: dict[str, dict[str, t.Any]] = {
    "login_host": {"type": "str", "default": "127.0.0.1"},
    "login_port": {"type": "int", "default": 6379},
    "login_unix_socket": {"type": "path"},
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "tls": {"type": "bool", "default": False},
    "validate_certs": {"type": "bool", "default": True},
    "ca_certs": {"type": "path"},
    "client_cert_file": {"type": "path"},
    "client_key_file": {"type": "path"},
    "timeout": {"type": "float", "default": 10.0},
}


class RedisError(HostError):
    """Redis, or the way to it, refused: one sentence for the operator.

    ``code`` is the first word of Redis' own error (``ERR``, ``NOPERM``, ``WRONGPASS``, ``LOADING``...), or
    ``unreachable`` where there was no reply.
    """

    def __init__(self, message: str, code: str = "unreachable") -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where a server is and who asks. ``unix_socket`` wins over address and port; ``timeout`` in seconds."""

    address: str = "127.0.0.1"
    port: int = 6379
    unix_socket: str = ""
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    tls: bool = False
    validate_certs: bool = True
    ca_certs: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    timeout: float = 10.0

    @property
    def name(self) -> str:
        """How messages call it: the socket's path or ``address:port``."""
        if self.unix_socket:
            return self.unix_socket
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def endpoint(options: t.Mapping[str, t.Any]) -> Endpoint:
    """The endpoint that options named as in :data:`CONNECTION` give.

    :raises RedisError: when a value cannot be used.
    """
    port, timeout = int(options["login_port"]), float(options["timeout"])
    if not 0 < port < 65536:
        raise RedisError(f"login_port is {port}: give a number from 1 to 65535")
    if timeout <= 0:
        raise RedisError(f"timeout is {timeout:g}: give a number of seconds above 0")
    if options["login_user"] and not options["login_password"]:
        raise RedisError(f"login_user is {options['login_user']!r} and login_password is missing: give both")
    if bool(options["client_cert_file"]) != bool(options["client_key_file"]):
        raise RedisError("client_cert_file and client_key_file belong together: give both or neither")
    return Endpoint(
        address=options["login_host"],
        port=port,
        unix_socket=options["login_unix_socket"] or "",
        username=options["login_user"] or "",
        password=options["login_password"] or "",
        tls=bool(options["tls"]),
        validate_certs=bool(options["validate_certs"]),
        ca_certs=options["ca_certs"] or "",
        client_cert_file=options["client_cert_file"] or "",
        client_key_file=options["client_key_file"] or "",
        timeout=timeout,
    )


Word: t.TypeAlias = "str | bytes | int | float"


class RedisClient:
    """One connection. Replies: ``bytes`` and None (bulk strings), ``str`` (simple strings), ``int``, lists of these."""

    def __init__(self, where: Endpoint, connection: socket.socket) -> None:
        self.where = where
        self._socket = connection
        self._buffer = bytearray()
        self._at = 0

    @classmethod
    def connect(cls, where: Endpoint, loading_wait: float = LOADING_WAIT) -> RedisClient:
        """Connect and log in; a server that is loading its data is waited for ``loading_wait`` seconds.

        :raises RedisError: when that cannot be: unreachable, wrong password, still loading.
        """
        end = time.monotonic() + loading_wait
        while True:
            client = cls(where, _open(where))
            try:
                client._log_in()
                client.command("PING")
                return client
            except RedisError as error:
                client.close()
                if error.code != "LOADING" or time.monotonic() >= end:
                    raise
            except BaseException:
                client.close()
                raise
            time.sleep(0.1)

    def __enter__(self) -> RedisClient:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a closed one stays closed."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def command(self, *words: Word) -> t.Any:
        """Send one command and return its reply.

        :raises RedisError: when Redis refuses it or does not answer in time.
        """
        reply = self.pipeline([words])[0]
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def pipeline(self, commands: t.Sequence[t.Sequence[Word]]) -> list[t.Any]:
        """Send ``commands`` together and return their replies; one that Redis refuses is a RedisError in the list.

        :raises RedisError: when the connection is lost or an answer takes too long.
        """
        replies: list[t.Any] = []
        for start in range(0, len(commands), PIPELINE):
            part = commands[start : start + PIPELINE]
            self._send(b"".join(encode(words) for words in part))
            for words in part:
                replies.append(self._reply(_named(words)))
        return replies

    def stream(self, until: float, most_bytes: int) -> t.Iterator[bytes]:
        """Raw bytes as they arrive, until ``until`` (monotonic seconds) or ``most_bytes``; for MONITOR.

        Nothing else can be done with the connection afterwards: close it.

        :raises RedisError: when the connection is lost.
        """
        if self._at < len(self._buffer):
            yield bytes(self._buffer[self._at :])
            self._buffer.clear()
            self._at = 0
        taken = 0
        while taken < most_bytes:
            left = until - time.monotonic()
            if left <= 0:
                return
            try:
                self._socket.settimeout(left)
                chunk = self._socket.recv(CHUNK)
            except OSError as error:
                if _timed_out(error):
                    return
                raise self._lost(error) from None
            if not chunk:
                raise RedisError(f"Redis at {self.where.name} closed the connection")
            taken += len(chunk)
            yield chunk

    # --- What Redis says about itself

    def info(self, *sections: str) -> dict[str, str]:
        """INFO as a dictionary."""
        return parse_info(text(self.command("INFO", *sections)))

    def config(self, *patterns: str) -> dict[str, str]:
        """CONFIG GET of ``patterns`` (several need Redis 7: they are asked one by one)."""
        found: dict[str, str] = {}
        for reply in self.pipeline([("CONFIG", "GET", pattern) for pattern in patterns]):
            if isinstance(reply, RedisError):
                raise reply
            found.update(pairs(reply))
        return found

    # --- The protocol

    def _log_in(self) -> None:
        where = self.where
        if not where.password:
            return
        words = ("AUTH", where.username, where.password) if where.username else ("AUTH", where.password)
        self.command(*words)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self.where.timeout)
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from None

    def _reply(self, command: str, depth: int = 0) -> t.Any:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("utf-8", "replace")
        if kind == b"-":
            return self._refused(rest.decode("utf-8", "replace"), command)
        try:
            number = int(rest)
        except ValueError:
            kind = b""
        if kind == b":":
            return number
        if kind == b"$" and number <= LARGEST:
            if number < 0:
                return None
            data = self._exactly(number + 2)
            return data[:-2]
        if kind == b"*" and depth < DEEPEST:
            return None if number < 0 else [self._reply(command, depth + 1) for count in range(number)]
        raise RedisError(
            f"{self.where.name} does not speak the Redis protocol: it answered {line[:40]!r} "
            f"(is this Redis' port, and is tls set as the server wants it?)"
        )

    def _line(self) -> bytes:
        while True:
            end = self._buffer.find(b"\r\n", self._at)
            if end >= 0:
                line = bytes(self._buffer[self._at : end])
                self._at = end + 2
                return line
            if len(self._buffer) - self._at > CHUNK:
                raise RedisError(f"{self.where.name} does not speak the Redis protocol: a line has no end")
            self._fill()

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) - self._at < count:
            self._fill()
        data = bytes(self._buffer[self._at : self._at + count])
        self._at += count
        return data

    def _fill(self) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        try:
            chunk = self._socket.recv(CHUNK)
        except OSError as error:
            raise self._lost(error) from None
        if not chunk:
            raise RedisError(f"Redis at {self.where.name} closed the connection")
        self._buffer += chunk

    def _lost(self, error: OSError) -> RedisError:
        if _timed_out(error):
            return RedisError(f"Redis at {self.where.name} did not answer within {self.where.timeout:g} s")
        return RedisError(f"the connection to Redis at {self.where.name} was lost: {_why(error)}")

    def _refused(self, message: str, command: str) -> RedisError:
        code = message.split(" ", 1)[0]
        name, user = self.where.name, self.where.username or "default"
        if code == "WRONGPASS" or "invalid password" in message:
            return RedisError(f"Redis at {name} refuses the password of user {user}", "WRONGPASS")
        if code == "NOAUTH":
            return RedisError(f"Redis at {name} wants a password: give login_password", code)
        if "without any password configured" in message:
            return RedisError(f"Redis at {name} has no password and login_password is given: leave it out", code)
        if code == "LOADING":
            return RedisError(f"Redis at {name} is still loading its data: try again later", code)
        if code == "NOPERM":
            return RedisError(f"user {user} of Redis at {name} may not run {command}: extend the user's ACL", code)
        return RedisError(f"Redis at {name} refuses {command}: {message}", code)


def _open(where: Endpoint) -> socket.socket:
    """A connected socket, with TLS if the endpoint has it."""
    plain: socket.socket | None = None
    try:
        if where.unix_socket:
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            plain.settimeout(where.timeout)
            plain.connect(where.unix_socket)
        else:
            plain = socket.create_connection((where.address, where.port), where.timeout)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _encrypted(plain, where) if where.tls else plain
    except ssl.SSLCertVerificationError as error:
        _close(plain)
        raise RedisError(
            f"the certificate of Redis at {where.name} is not valid: {error.verify_message}; "
            "give its authority as ca_certs"
        ) from None
    except ssl.SSLError as error:
        _close(plain)
        raise RedisError(
            f"Redis at {where.name} does not answer with TLS: {error.reason or error}; "
            "set tls as the server has it, and check ca_certs, client_cert_file and client_key_file"
        ) from None
    except (OSError, UnicodeError) as error:
        _close(plain)
        late = f"no answer within {where.timeout:g} s{' to TLS: does it speak TLS there?' if where.tls else ''}"
        why = late if _timed_out(error) else _why(error)
        raise RedisError(f"Redis at {where.name} cannot be reached: {why}") from None


def _encrypted(plain: socket.socket, where: Endpoint) -> socket.socket:
    context = ssl.create_default_context(cafile=where.ca_certs or None)
    if not where.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if where.client_cert_file:
        context.load_cert_chain(where.client_cert_file, where.client_key_file)
    return context.wrap_socket(plain, server_hostname=where.address)


def _close(connection: socket.socket | None) -> None:
    if connection is not None:
        connection.close()


def _timed_out(error: Exception) -> bool:
    """Whether a socket was waited for too long; Python 3.9 has a class of its own for that, called timeout."""
    return isinstance(error, TimeoutError) or type(error).__name__ == "timeout"


def _why(error: Exception) -> str:
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return f"{getattr(error, 'strerror', None) or error}{where}"


def _named(words: t.Sequence[Word]) -> str:
    """What a message calls a command: its name, without arguments, which may be secret."""
    first = text(words[0]).upper()
    second = text(words[1]).upper() if len(words) > 1 and isinstance(words[1], str) else ""
    containers = {"CONFIG", "ACL", "CLUSTER", "CLIENT", "SCRIPT", "MEMORY", "LATENCY", "SLOWLOG", "OBJECT", "SENTINEL"}
    return f"{first} {second}" if first in containers and second else first


def encode(words: t.Sequence[Word]) -> bytes:
    """A command as RESP2 sends it: an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


def text(value: t.Any) -> str:
    """A reply as text; bytes that are not UTF-8 survive a way back through :func:`encode`."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def pairs(reply: t.Sequence[t.Any]) -> dict[str, str]:
    """A flat array of names and values, as CONFIG GET gives it, as a dictionary."""
    return {text(name): text(value) for name, value in zip(reply[::2], reply[1::2])}


def parse_info(answer: str) -> dict[str, str]:
    """INFO's lines ``name:value`` as a dictionary, in their order."""
    lines = (line.partition(":") for line in answer.splitlines() if line and not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}
