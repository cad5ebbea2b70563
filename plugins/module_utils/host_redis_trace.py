# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys are used, in which order: a bounded sample of Redis' commands from MONITOR or from a file.

Runs on managed hosts: standard library only, Python 3.9 or later.

Keys are sampled by their hash, so that every access to a sampled key is seen and reuse distances hold (Waldspurger
et al., Efficient MRC Construction with SHARDS, FAST 2015). The sample has a fixed size: when there are too many keys
or accesses, the threshold is halved and what is above it dropped. Values are never kept, only their lengths.
"""

from __future__ import annotations

import array
import base64
import dataclasses
import re
import time
import typing as t
import zlib

from ansible_collections.frugal.cloud.plugins.module_utils import host_redis
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import RedisClient, RedisError

#: hashes are below this
HASHES = 1 << 24
#: names that are kept to find keys that are used most (lossy counting)
MOST_NAMES = 20_000
#: longest name that is shown (characters)
LONGEST_NAME = 120
#: a line without an end beyond this is no MONITOR output (bytes)
LONGEST_LINE = 64 * 1024 * 1024

READ, WRITE, DELETE, EXPIRE, CLEAR = range(5)

#: command -> (what it does to its keys, which arguments are keys)
COMMANDS: dict[bytes, tuple[int, str]] = {}
for _kind, _keys, _names in (
    (READ, "one", "get getrange substr strlen getbit bitcount bitpos getex"),
    (READ, "one", "hget hgetall hmget hexists hlen hkeys hvals hstrlen hscan hrandfield"),
    (READ, "one", "lrange llen lindex lpos smembers sismember smismember scard srandmember sscan"),
    (READ, "one", "zrange zrevrange zrangebyscore zrevrangebyscore zrangebylex zscore zmscore zrank zrevrank zcard"),
    (READ, "one", "zcount zlexcount zscan zrandmember xrange xrevrange xlen dump pfcount geopos geodist geosearch"),
    (READ, "all", "mget exists sinter sunion sdiff"),
    (WRITE, "one", "set setex psetex setnx getset append setrange setbit incr decr incrby decrby incrbyfloat"),
    (WRITE, "one", "hset hmset hsetnx hincrby hincrbyfloat hdel lpush rpush lpushx rpushx lpop rpop lset linsert"),
    (WRITE, "one", "lrem ltrim sadd srem spop zadd zincrby zrem zpopmin zpopmax xadd xtrim xdel pfadd geoadd restore"),
    (WRITE, "pairs", "mset msetnx"),
    (DELETE, "all", "del unlink"),
    (DELETE, "one", "getdel"),
    (EXPIRE, "one", "expire pexpire expireat pexpireat persist"),
    (CLEAR, "none", "flushdb flushall"),
):
    for _name in _names.split():
        COMMANDS[_name.encode()] = (_kind, _keys)

#: operation of a trace in the format of Twitter's cache traces -> what it does
OPERATIONS = {
    **dict.fromkeys((b"get", b"gets"), READ),
    **dict.fromkeys((b"set", b"add", b"replace", b"cas", b"append", b"prepend", b"incr", b"decr"), WRITE),
    b"delete": DELETE,
}

_LINE = re.compile(rb'\+?(\d+)\.(\d{3})\d* \[(\d+) [^"]*\] "([^"\\]*)"(.*)', re.S)
_WORD = re.compile(rb' "((?:[^"\\]|\\.)*)"', re.S)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.S)
_SHORT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much is read at most: ``seconds`` of time, ``megabytes`` of commands, sampled ``keys`` and ``events``.

    ``operations``: MONITOR is not begun on a server that runs more commands a second.
    ``slower``: it ends when a PING takes that many times as long as before.
    """

    seconds: float = 20.0
    megabytes: float = 256.0
    keys: int = 20_000
    events: int = 150_000
    operations: int = 50_000
    slower: float = 3.0
    buffer_megabytes: float = 8.0
    #: keys whose bytes and time to live are asked for afterwards
    measured_keys: int = 4_000


class Sample:
    """Accesses to the keys whose hash is below a threshold."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.threshold = HASHES
        #: all accesses that were seen, by kind, sampled or not
        self.totals = [0] * 5
        self._ids: dict[tuple[int, bytes], int] = {}
        self.hashes = array.array("I")
        self.names: list[tuple[int, bytes]] = []
        self.times = array.array("Q")
        self.keys = array.array("I")
        self.kinds = array.array("B")
        self.sizes = array.array("I")
        #: seconds to live that the command sets, 0 for none, rounded up
        self.lives = array.array("I")
        #: reads of all keys, sampled or not, up to the access
        self.positions = array.array("I")
        self.first = self.last = 0
        self._counts: dict[tuple[int, bytes], int] = {}
        self._forgotten = 0

    @property
    def rate(self) -> float:
        """Share of all keys that is sampled."""
        return self.threshold / HASHES

    def add(self, at: int, kind: int, database: int, key: bytes, size: int = 0, life: int = 0) -> None:
        """One access ``at`` milliseconds since 1970; ``size`` is the value's length (0: unknown)."""
        self.totals[kind] += 1
        self.first = self.first or at
        self.last = at
        identity = (database, key)
        if kind <= WRITE:
            self._count(identity)
        number = self._ids.get(identity)
        if number is None:
            found = (zlib.crc32(key, database) * 2654435761 & 0xFFFFFFFF) >> 8
            if found >= self.threshold:
                return
            number = self._ids[identity] = len(self.names)
            self.names.append(identity)
            self.hashes.append(found)
        elif self.hashes[number] >= self.threshold:
            return
        self.times.append(at)
        self.keys.append(number)
        self.kinds.append(kind)
        self.sizes.append(min(size, 0xFFFFFFFF))
        self.lives.append(min(max(life, 0), 0xFFFFFFFF))
        self.positions.append(self.totals[READ])
        while len(self._ids) > self._limits.keys or len(self.times) > self._limits.events:
            self._halve()

    def clear(self, at: int) -> None:
        """FLUSHALL: everything goes, sampled or not."""
        self.totals[CLEAR] += 1
        self.times.append(at)
        self.keys.append(0xFFFFFFFF)
        self.kinds.append(CLEAR)
        self.sizes.append(0)
        self.lives.append(0)
        self.positions.append(self.totals[READ])

    def _halve(self) -> None:
        self.threshold //= 2
        new: dict[int, int] = {}
        names: list[tuple[int, bytes]] = []
        hashes = array.array("I")
        for number, found in enumerate(self.hashes):
            if found < self.threshold:
                new[number] = len(names)
                names.append(self.names[number])
                hashes.append(found)
        keep = [at for at, key in enumerate(self.keys) if key in new or key == 0xFFFFFFFF]
        self.keys = array.array("I", [new.get(self.keys[at], 0xFFFFFFFF) for at in keep])
        for column in ("times", "kinds", "sizes", "lives", "positions"):
            values = getattr(self, column)
            setattr(self, column, array.array(values.typecode, [values[at] for at in keep]))
        self.names, self.hashes = names, hashes
        self._ids = {identity: number for number, identity in enumerate(names)}

    def _count(self, identity: tuple[int, bytes]) -> None:
        """Lossy counting (Manku and Motwani, VLDB 2002): the keys that are used most are found without keeping all."""
        self._counts[identity] = self._counts.get(identity, self._forgotten) + 1
        if len(self._counts) > MOST_NAMES:
            self._forgotten = sorted(self._counts.values())[len(self._counts) // 2]
            self._counts = {name: count for name, count in self._counts.items() if count > self._forgotten}

    def hottest(self, count: int) -> list[dict[str, t.Any]]:
        """The keys that are used most, each with its share of all reads and writes (at most)."""
        everything = self.totals[READ] + self.totals[WRITE]
        best = sorted(self._counts.items(), key=lambda item: -item[1])[:count]
        return [
            {"key": shown(name[1]), "database": name[0], "share": round(number / everything, 5)}
            for name, number in best
        ]

    def to_dict(self, table: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Plain data: columns of accesses and of keys, packed; ``table`` is added."""
        origin = self.first
        deltas = array.array("I", [min(max(0, at - origin), 0xFFFFFFFF) for at in self.times])
        return {
            "rate": self.rate,
            "reads": self.totals[READ],
            "writes": self.totals[WRITE],
            "deletes": self.totals[DELETE],
            "seconds": round((self.last - self.first) / 1000.0, 3),
            "start": origin / 1000.0,
            "events": len(deltas),
            "sampled_keys": len(self.names),
            "milliseconds": packed(deltas),
            "key": packed(self.keys),
            "kind": packed(self.kinds),
            "size": packed(self.sizes),
            "life": packed(self.lives),
            "position": packed(self.positions),
            "hottest": self.hottest(10),
            **table,
        }


def packed(values: array.array[int]) -> str:
    """An array as text: little-endian, zlib, base64; the first letter is its type code."""
    if values.itemsize > 1 and _BIG_ENDIAN:
        values = array.array(values.typecode, values)
        values.byteswap()
    return values.typecode + base64.b64encode(zlib.compress(values.tobytes(), 1)).decode("ascii")


_BIG_ENDIAN = array.array("H", [1]).tobytes() == b"\0\1"


def shown(key: bytes) -> str:
    """A key as messages show it: text without control characters, cut."""
    name = key.decode("utf-8", "backslashreplace")
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def pattern(key: bytes) -> str:
    """What keys of one kind have in common: runs of digits, and parts like UUIDs and hashes, become ``*``."""
    name = shown(key)
    name = re.sub(r"[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*|\d+", "*", name)
    return re.sub(r"\*(?:[-_.]?\*)+", "*", name)


# --- Reading lines


def unescaped(word: bytes) -> bytes:
    """An argument as it was, from MONITOR's notation."""
    if b"\\" not in word:
        return word
    return _ESCAPE.sub(
        lambda found: bytes([int(found[1], 16)]) if found[1] else _SHORT.get(found[2], found[2]),
        word,
    )


def add_monitor_line(sample: Sample, line: bytes) -> bool:
    """Add what one line of MONITOR says; False where it is no such line."""
    found = _LINE.match(line)
    if found is None:
        return False
    known = COMMANDS.get(found[4].lower())
    if known is None:
        return True
    kind, where = known
    at, database = int(found[1]) * 1000 + int(found[2]), int(found[3])
    if kind == CLEAR:
        sample.clear(at)
        return True
    rest = found[5]
    first = _WORD.match(rest)
    if first is None:
        return True
    key = unescaped(first[1])
    if where == "one":
        size = life = 0
        if kind in (WRITE, EXPIRE):
            size, life = _size_and_life(found[4].lower(), _WORD.findall(rest, first.end()), at)
        sample.add(at, kind, database, key, size, life)
        return True
    words = _WORD.findall(rest)
    step = 2 if where == "pairs" else 1
    for number in range(0, len(words), step):
        size = len(unescaped(words[number + 1])) if step == 2 and number + 1 < len(words) else 0
        sample.add(at, kind, database, unescaped(words[number]), size)
    return True


def _size_and_life(command: bytes, words: list[bytes], at: int) -> tuple[int, int]:
    """Length of the value and seconds to live that a command sets."""
    if command in (b"expire", b"pexpire", b"expireat", b"pexpireat"):
        return 0, _life(command[:-2] if command.endswith(b"at") else command, words[0] if words else b"", at, command)
    if command in (b"setex", b"psetex"):
        return (len(unescaped(words[1])), _life(command, words[0], at)) if len(words) > 1 else (0, 0)
    if command != b"set":
        return sum(len(unescaped(word)) for word in words), 0
    life = 0
    for number in range(1, len(words) - 1):
        option = words[number].lower()
        if option in (b"ex", b"px", b"exat", b"pxat"):
            life = _life(option, words[number + 1], at, option)
    return (len(unescaped(words[0])) if words else 0), life


def _life(unit: bytes, value: bytes, at: int, command: bytes = b"") -> int:
    try:
        number = int(value)
    except ValueError:
        return 0
    milliseconds = number if unit.startswith(b"p") else number * 1000
    if command.endswith(b"at"):
        milliseconds -= at
    return max(1, -(-milliseconds // 1000))


def add_trace_line(sample: Sample, line: bytes) -> bool:
    """Add a line ``timestamp,key,key_size,value_size,client_id,operation,TTL`` (Twitter's cache traces; seconds)."""
    fields = line.rsplit(b",", 5)
    when, comma, key = fields[0].partition(b",") if len(fields) == 6 else (b"", b"", b"")
    kind = OPERATIONS.get(fields[4].strip().lower()) if comma else None
    if kind is None:
        return False
    try:
        at, size, life = int(float(when) * 1000), int(fields[2]), int(fields[5] or 0)
    except ValueError:
        return False
    sample.add(at, kind, 0, key, size if kind == WRITE else 0, life if kind == WRITE else 0)
    return True


def from_file(path: str, limits: Limits) -> Sample:
    """The sample of a file: saved output of MONITOR, or Twitter's format (``add_trace_line``).

    :raises RedisError: when it cannot be read or has other lines.
    """
    sample = Sample(limits)
    add: t.Callable[[Sample, bytes], bool] | None = None
    left = int(limits.megabytes * 1e6)
    good = bad = 0
    try:
        with open(path, "rb") as file:
            for line in file:
                left -= len(line)
                if left < 0:
                    break
                line = line.rstrip(b"\r\n")
                if not line or line == b"OK":
                    continue
                if add is None:
                    add = add_monitor_line if _LINE.match(line) else add_trace_line
                if add(sample, line):
                    good += 1
                else:
                    bad += 1
    except OSError as error:
        raise RedisError(f"trace_file {path} cannot be read: {error.strerror}", "file") from None
    if not good or bad > good // 100:
        raise RedisError(
            f"trace_file {path} has {bad} of {good + bad} lines that are neither output of MONITOR nor "
            "timestamp,key,key_size,value_size,client_id,operation,TTL",
            "file",
        )
    return sample


# --- MONITOR


class Guard:
    """Looks at what MONITOR costs while it runs, and says when it is too much."""

    def __init__(self, client: RedisClient, limits: Limits) -> None:
        self._client = client
        self._limits = limits
        self.before = sorted(self._ping() for count in range(20))[10]
        self.during: list[float] = []
        self._slow = 0

    def _ping(self) -> float:
        start = time.perf_counter()
        self._client.command("PING")
        return time.perf_counter() - start

    def stop(self) -> str:
        """Why to stop now; empty where all is well."""
        best = min(self._ping() for count in range(3))
        self.during.append(best)
        most = max(self._limits.slower * self.before, self.before + 0.001)
        self._slow = self._slow + 1 if best > most else 0
        if self._slow >= 4:
            return f"a PING took {best * 1e6:.0f} µs, {self.before * 1e6:.0f} µs before"
        clients = self._client.info("clients")
        waiting = int(clients.get("client_recent_max_output_buffer", clients.get("client_longest_output_list", 0)))
        if waiting > self._limits.buffer_megabytes * 1e6:
            return f"{waiting / 1e6:.0f} MB of output wait for a client"
        return ""

    def to_dict(self) -> dict[str, float]:
        """The figures, in microseconds."""
        middle = sorted(self.during)[len(self.during) // 2] if self.during else 0.0
        return {"ping_before_us": round(self.before * 1e6, 1), "ping_during_us": round(middle * 1e6, 1)}


def from_monitor(
    where: host_redis.Endpoint, limits: Limits, measure_rate: float = 0.5
) -> tuple[Sample, dict[str, t.Any]]:
    """A sample of what the server does from now on, and what it cost: {"seconds", "bytes", "stopped", ...}.

    :raises RedisError: when the server is too busy for it, or refuses it.
    """
    with RedisClient.connect(where) as control:
        rate = _rate(control, measure_rate)
        if rate > limits.operations:
            raise RedisError(
                f"Redis at {where.name} runs {rate:.0f} commands a second: MONITOR would slow it down "
                f"(monitor_operations is {limits.operations}); give a trace_file",
                "busy",
            )
        guard = Guard(control, limits)
        sample = Sample(limits)
        before = {**control.info("stats"), **control.info("errorstats")}
        start = time.monotonic()
        taken, stopped = _watch(where, limits, guard, sample)
        seconds = time.monotonic() - start
        after = {**control.info("stats"), **control.info("errorstats")}
        counts = {name: int(after.get(name, 0)) - int(before.get(name, 0)) for name in COUNTED}
    return sample, {
        "source": "monitor",
        "stopped": stopped,
        "watched_seconds": round(seconds, 3),
        "bytes": taken,
        "commands_per_second_before": round(rate, 1),
        "commands_per_second": round(counts["total_commands_processed"] / seconds, 1),
        **guard.to_dict(),
        **{name: counts[name] for name in COUNTED[:4]},
        "oom_errors": errors(after, "OOM") - errors(before, "OOM"),
    }


#: counters that are watched while MONITOR runs; the first are in the result
COUNTED = ("keyspace_hits", "keyspace_misses", "evicted_keys", "expired_keys", "total_commands_processed")


def errors(info: t.Mapping[str, str], code: str) -> int:
    """Replies with this error since the server's start, by INFO errorstats (Redis 6.2 and later)."""
    found = re.search(r"count=(\d+)", info.get(f"errorstat_{code}", ""))
    return int(found[1]) if found else 0


def _rate(client: RedisClient, seconds: float) -> float:
    """Commands a second, measured over ``seconds``."""
    name = "total_commands_processed"
    first, start = int(client.info("stats")[name]), time.monotonic()
    time.sleep(seconds)
    return (int(client.info("stats")[name]) - first) / (time.monotonic() - start)


def _watch(where: host_redis.Endpoint, limits: Limits, guard: Guard, sample: Sample) -> tuple[int, str]:
    taken, rest, stopped = 0, b"", ""
    end = time.monotonic() + limits.seconds
    with RedisClient.connect(where) as monitor:
        monitor.command("MONITOR")
        while not stopped and time.monotonic() < end and taken < limits.megabytes * 1e6:
            until = min(end, time.monotonic() + 0.25)
            for chunk in monitor.stream(until, int(limits.megabytes * 1e6) - taken):
                taken += len(chunk)
                lines = (rest + chunk).split(b"\r\n")
                rest = lines.pop()
                if len(rest) > LONGEST_LINE:
                    raise RedisError(f"Redis at {where.name} sent a command of more than 64 MiB", "size")
                for line in lines:
                    add_monitor_line(sample, line)
            stopped = guard.stop()
    if taken >= limits.megabytes * 1e6:
        stopped = f"monitor_megabytes ({limits.megabytes:g}) were read"
    return taken, stopped


def key_table(client: RedisClient, sample: Sample, most: int) -> dict[str, t.Any]:
    """Bytes (0: not known), and seconds to live (0: none, 0xFFFFFFFF: the key is gone) of the first ``most`` keys."""
    count = min(most, len(sample.names))
    sizes, lives = array.array("I", [0] * count), array.array("I", [0] * count)
    by_database: dict[int, list[int]] = {}
    for number in range(count):
        by_database.setdefault(sample.names[number][0], []).append(number)
    for database, numbers in by_database.items():
        client.command("SELECT", database)
        commands: list[tuple[t.Any, ...]] = []
        for number in numbers:
            key = sample.names[number][1]
            commands += [("MEMORY", "USAGE", key, "SAMPLES", 5), ("TTL", key)]
        replies = client.pipeline(commands)
        for number, size, life in zip(numbers, replies[::2], replies[1::2]):
            sizes[number] = min(size, 0xFFFFFFFF) if isinstance(size, int) else 0
            lives[number] = 0xFFFFFFFF if life == -2 else max(0, life) if isinstance(life, int) else 0
    client.command("SELECT", 0)
    lengths = array.array("I", [len(name[1]) for name in sample.names])
    return {"key_bytes": packed(sizes), "key_life": packed(lives), "key_length": packed(lengths)}
