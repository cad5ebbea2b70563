# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a Redis server says about itself, its keys and its host: bounded in time, commands and bytes.

Runs on managed hosts: standard library only, Python 3.9 or later. Nothing is changed, KEYS is never sent, values are
never read but for their lengths, and neither passwords nor arguments of commands are returned.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import host_redis_trace as traces
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import Endpoint, RedisClient, RedisError, text

PARTS = ("config", "observe", "latency", "slowlog", "keys", "trace", "host")
#: settings whose value is or may be secret
SECRET = re.compile(r"pass|auth|secret|tls-key|rename-command|^user$|aclfile|proc-title|logfile|syslog")
#: what is asked of INFO in each look
COUNTERS = (
    "keyspace_hits",
    "keyspace_misses",
    "total_commands_processed",
    "total_connections_received",
    "evicted_keys",
    "expired_keys",
    "total_error_replies",
    "rejected_connections",
    "active_defrag_hits",
    "total_net_input_bytes",
    "total_net_output_bytes",
)
#: keys asked about in one pipeline
BATCH = 100
#: elements of a collection that are looked at
ELEMENTS = 16
#: longest answer to a question for elements (bytes); beyond it they are not asked for
MOST_ELEMENT_BYTES = 65_536
MOST_SLOW = 32


@dataclasses.dataclass(frozen=True)
class KeyLimits:
    """How many keys are looked at, for how long, and how many bytes of replies are read at most."""

    keys: int = 2_000
    seconds: float = 5.0
    megabytes: float = 16.0


@dataclasses.dataclass(frozen=True)
class Request:
    """What is read: parts of :data:`PARTS`."""

    where: Endpoint
    parts: frozenset[str] = frozenset(PARTS)
    #: how long counters are watched, in looks of equal length (seconds)
    observe_seconds: float = 6.0
    looks: int = 24
    key_limits: KeyLimits = dataclasses.field(default_factory=KeyLimits)
    trace_limits: traces.Limits = dataclasses.field(default_factory=traces.Limits)
    #: read accesses from this file, not from MONITOR
    trace_file: str = ""


def read(request: Request) -> dict[str, t.Any]:
    """Everything that was asked for, as plain data; a part that could not be read is in ``missing`` with the reason.

    :raises RedisError: when the server cannot be reached or does not let us in.
    """
    found: dict[str, t.Any] = {"missing": {}}
    with RedisClient.connect(request.where) as client:
        found["info"] = client.info("all")
        found["server"] = _server(found["info"])
        found["info"] = {name: value for name, value in found["info"].items() if not name.startswith("cmdstat_")}
        readers: dict[str, t.Callable[[], t.Any]] = {
            "config": lambda: config(client),
            # Counters first: what is asked of keys below counts as hits and misses too.
            "observe": lambda: observe(client, request.observe_seconds, request.looks),
            "latency": lambda: latency(client),
            "slowlog": lambda: slowlog(client),
            "trace": lambda: trace(client, request),
            "keys": lambda: keys(client, request.key_limits),
            "host": lambda: host(found["info"]),
        }
        for name, reader in readers.items():
            if name not in request.parts:
                continue
            try:
                found[name] = reader()
            except RedisError as error:
                if error.code == "unreachable":
                    raise
                found["missing"][name] = str(error)
    return found


def _server(info: t.Mapping[str, str]) -> dict[str, t.Any]:
    return {
        "version": info.get("redis_version", ""),
        "mode": info.get("redis_mode", ""),
        "role": info.get("role", ""),
        "config_file": info.get("config_file", ""),
        "allocator": info.get("mem_allocator", ""),
        "cluster": info.get("cluster_enabled") == "1",
        "replicas": int(info.get("connected_slaves", 0)),
        "uptime_seconds": int(info.get("uptime_in_seconds", 0)),
        "keys": sum(_keyspace(value)[0] for value in _databases(info).values()),
        "keys_with_ttl": sum(_keyspace(value)[1] for value in _databases(info).values()),
        "average_ttl_ms": max((_keyspace(value)[2] for value in _databases(info).values()), default=0),
    }


def _databases(info: t.Mapping[str, str]) -> dict[int, str]:
    return {int(name[2:]): value for name, value in info.items() if re.fullmatch(r"db\d+", name)}


def _keyspace(value: str) -> tuple[int, int, int]:
    """keys, keys with a time to live, average time to live in milliseconds, of a line ``db0:keys=1,expires=0,...``."""
    fields = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
    return int(fields.get("keys", 0)), int(fields.get("expires", 0)), int(fields.get("avg_ttl", 0))


def config(client: RedisClient) -> dict[str, str]:
    """All settings but secret ones."""
    return {name: value for name, value in client.config("*").items() if not SECRET.search(name)}


# --- Counters


def observe(client: RedisClient, seconds: float, looks: int) -> dict[str, t.Any]:
    """What counters did in ``looks`` spans of equal length: each value is a list of differences.

    ``read_us``: average time of a read command in each span (None where there was none), ``ping_us``: fastest of three
    PINGs after it, as a client on this host sees it.
    """
    span = seconds / looks
    columns: dict[str, list[t.Any]] = {name: [] for name in (*COUNTERS, "seconds", "read_us", "write_us", "ping_us")}
    columns["oom_errors"] = []
    before, calls, then = _counters(client), _calls(client), time.monotonic()
    start, calls_first = then, calls
    for number in range(looks):
        time.sleep(max(0.0, start + (number + 1) * span - time.monotonic()))
        after, calls_now, now = _counters(client), _calls(client), time.monotonic()
        for name in COUNTERS:
            columns[name].append(int(after.get(name, 0)) - int(before.get(name, 0)))
        columns["oom_errors"].append(traces.errors(after, "OOM") - traces.errors(before, "OOM"))
        columns["seconds"].append(round(now - then, 4))
        reads, writes = _times(calls, calls_now)
        columns["read_us"].append(reads)
        columns["write_us"].append(writes)
        columns["ping_us"].append(round(min(_ping(client) for count in range(3)) * 1e6, 1))
        before, calls, then = after, calls_now, now
    used = {
        name: (count - calls_first.get(name, (0, 0))[0], round(spent - calls_first.get(name, (0, 0))[1], 1))
        for name, (count, spent) in calls.items()
    }
    return {
        **columns,
        "commands": {name: list(value) for name, value in used.items() if value[0] > 0},
        "commands_ever": {name: count for name, (count, spent) in calls.items()},
    }


def _counters(client: RedisClient) -> dict[str, str]:
    """Both sections of counters; one INFO of several sections needs Redis 7."""
    return {**client.info("stats"), **client.info("errorstats")}


def _ping(client: RedisClient) -> float:
    start = time.perf_counter()
    client.command("PING")
    return time.perf_counter() - start


def _calls(client: RedisClient) -> dict[str, tuple[int, float]]:
    """command -> calls and microseconds since the start."""
    found: dict[str, tuple[int, float]] = {}
    for name, value in client.info("commandstats").items():
        fields = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
        with contextlib.suppress(KeyError, ValueError):
            found[name.replace("cmdstat_", "", 1)] = (int(fields["calls"]), float(fields["usec"]))
    return found


def _times(
    before: t.Mapping[str, tuple[int, float]], after: t.Mapping[str, tuple[int, float]]
) -> tuple[float | None, float | None]:
    """Average microseconds of a command that reads keys, and of one that writes them."""
    sums = {traces.READ: [0, 0.0], traces.WRITE: [0, 0.0]}
    for name, (calls, spent) in after.items():
        kind = traces.COMMANDS.get(name.encode(), (-1, ""))[0]
        if kind in sums:
            old = before.get(name, (0, 0.0))
            sums[kind][0] += calls - old[0]
            sums[kind][1] += spent - old[1]
    read, write = (round(spent / calls, 3) if calls > 0 else None for calls, spent in sums.values())
    return read, write


def latency(client: RedisClient) -> dict[str, list[int]]:
    """LATENCY LATEST: event -> [when (epoch seconds), latest (ms), worst (ms)]."""
    return {text(item[0]): [int(value) for value in item[1:4]] for item in client.command("LATENCY", "LATEST")}


def slowlog(client: RedisClient) -> list[dict[str, t.Any]]:
    """The newest slow commands: name, what its key looks like, microseconds, when. No arguments: they may be secret."""
    answer = []
    for item in client.command("SLOWLOG", "GET", MOST_SLOW):
        words = item[3]
        name = text(words[0]).lower()
        known = traces.COMMANDS.get(name.encode())
        key = traces.pattern(words[1]) if known and known[1] != "none" and len(words) > 1 else ""
        answer.append({"command": name, "key": key, "microseconds": int(item[2]), "at": int(item[1])})
    return answer


# --- Keys


def keys(client: RedisClient, limits: KeyLimits) -> dict[str, t.Any]:
    """A random sample of keys (RANDOMKEY), as columns of equal length.

    ``ttl`` is in seconds, -1 for none; ``idle`` in seconds or ``frequency`` (LFU counter), -1 where the policy does
    not keep it; ``elements`` counts a collection's, ``largest`` is the longest of a few of its elements (bytes, -1:
    not looked at), ``element_bytes`` their mean.
    """
    columns: dict[str, list[t.Any]] = {name: [] for name in COLUMNS}
    end = time.monotonic() + limits.seconds
    seen: set[tuple[int, bytes]] = set()
    left = limits.megabytes * 1e6
    found = _databases(client.info("keyspace"))
    total = sum(_keyspace(value)[0] for value in found.values())
    try:
        for database, line in found.items():
            wanted = round(limits.keys * _keyspace(line)[0] / total) if total else 0
            client.command("SELECT", database)
            asked = taken = 0
            while taken < wanted and asked < 2 * wanted and time.monotonic() < end and left > 0:
                count = min(BATCH, 2 * wanted - asked, max(8, wanted - taken))
                asked += count
                names = client.pipeline([("RANDOMKEY",)] * count)
                names = [name for name in dict.fromkeys(names) if isinstance(name, bytes)]
                fresh = [name for name in names if (database, name) not in seen][: wanted - taken]
                seen.update((database, name) for name in fresh)
                taken += len(fresh)
                left -= _look(client, database, fresh, columns)
    finally:
        with contextlib.suppress(RedisError):
            client.command("SELECT", 0)
    return {"total": total, "sampled": len(columns["bytes"]), **columns}


COLUMNS = (
    "key pattern type encoding bytes ttl idle frequency elements largest element_bytes key_length database".split()
)
#: type -> how many elements, and some of them
SIZES = {"hash": "HLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD", "string": "STRLEN", "stream": "XLEN"}


def _look(client: RedisClient, database: int, names: t.Sequence[bytes], columns: dict[str, list[t.Any]]) -> float:
    """Add ``names`` to ``columns``; returns how many bytes of elements were read."""
    questions: list[tuple[t.Any, ...]] = []
    for name in names:
        questions += [
            ("TYPE", name),
            ("OBJECT", "ENCODING", name),
            ("MEMORY", "USAGE", name, "SAMPLES", 5),
            ("TTL", name),
            ("OBJECT", "IDLETIME", name),
            ("OBJECT", "FREQ", name),
        ]
    answers = client.pipeline(questions)
    rows = [answers[at : at + 6] for at in range(0, len(answers), 6)]
    lengths = client.pipeline([(SIZES.get(text(row[0]), "EXISTS"), name) for name, row in zip(names, rows)])
    kept = [
        (name, row, length)
        for name, row, length in zip(names, rows, lengths)
        if isinstance(row[2], int) and isinstance(length, int) and not isinstance(row[1], (RedisError, type(None)))
    ]
    elements = _elements(client, [(name, text(row[0]), length, row[2]) for name, row, length in kept])
    read = 0.0
    for (name, row, length), sizes in zip(kept, elements):
        kind = text(row[0])
        read += sum(sizes)
        columns["key"].append(traces.shown(name))
        columns["pattern"].append(traces.pattern(name))
        columns["type"].append(kind)
        columns["encoding"].append(text(row[1]))
        columns["bytes"].append(row[2])
        columns["ttl"].append(row[3] if isinstance(row[3], int) else -1)
        columns["idle"].append(row[4] if isinstance(row[4], int) else -1)
        columns["frequency"].append(row[5] if isinstance(row[5], int) else -1)
        columns["elements"].append(length)
        columns["largest"].append(max(sizes, default=-1))
        columns["element_bytes"].append(round(sum(sizes) / len(sizes), 1) if sizes else -1)
        columns["key_length"].append(len(name))
        columns["database"].append(database)
    return read


def _elements(client: RedisClient, keys_found: t.Sequence[tuple[bytes, str, int, int]]) -> list[list[int]]:
    """Lengths of a few elements of each key: fields and values of a hash each count as one."""
    questions: list[tuple[t.Any, ...]] = []
    for name, kind, count, size in keys_found:
        # A page of a huge element could be gigabytes.
        if not count or size / count * ELEMENTS * 2 > MOST_ELEMENT_BYTES:
            kind = ""
        questions.append(
            {
                "hash": ("HRANDFIELD", name, ELEMENTS, "WITHVALUES"),
                "set": ("SRANDMEMBER", name, ELEMENTS),
                "zset": ("ZRANDMEMBER", name, ELEMENTS),
                "list": ("LRANGE", name, 0, ELEMENTS - 1),
            }.get(kind, ("PING",))
        )
    answers = client.pipeline(questions)
    return [[len(item) for item in answer] if isinstance(answer, list) else [] for answer in answers]


# --- Accesses and host


def trace(client: RedisClient, request: Request) -> dict[str, t.Any]:
    """A sample of accesses, and the bytes and time to live of its keys."""
    if request.trace_file:
        sample = traces.from_file(request.trace_file, request.trace_limits)
        about: dict[str, t.Any] = {"source": request.trace_file, "stopped": ""}
    else:
        sample, about = traces.from_monitor(request.where, request.trace_limits)
    table = traces.key_table(client, sample, request.trace_limits.measured_keys)
    return sample.to_dict({**about, **table})


def host(info: t.Mapping[str, str]) -> dict[str, t.Any]:
    """Memory of the host and the limit of the server's control group, in bytes; kernel settings that matter.

    0 where it is not known: the server may be on another machine, or in a container.
    """
    facts: dict[str, t.Any] = {"total": 0, "available": 0, "limit": 0, "resident": 0}
    process = int(info.get("process_id", 0) or 0)
    command = _file(f"/proc/{process}/comm") if process else ""
    facts["local"] = "redis" in command or "valkey" in command
    if not facts["local"]:
        return facts
    memory = {
        line.split(":")[0]: int(line.split()[1]) * 1024 for line in _file("/proc/meminfo").splitlines() if " kB" in line
    }
    facts["total"], facts["available"] = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    facts["swap"] = memory.get("SwapTotal", 0)
    resident = re.search(r"VmRSS:\s+(\d+) kB", _file(f"/proc/{process}/status"))
    facts["resident"] = int(resident[1]) * 1024 if resident else 0
    facts["limit"] = _group_limit(_file(f"/proc/{process}/cgroup"))
    facts["overcommit"] = _file("/proc/sys/vm/overcommit_memory").strip()
    huge = re.search(r"\[(\w+)\]", _file("/sys/kernel/mm/transparent_hugepage/enabled"))
    facts["transparent_hugepages"] = huge[1] if huge else ""
    return facts


def _group_limit(groups: str) -> int:
    """The smallest memory limit of the control group and those around it, 0 for none (cgroup v2 and v1)."""
    limits = []
    for line in groups.splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0":
            root, name = "/sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts) + 1):
            value = _file("/".join([root, *parts[:depth], name])).strip()
            if value.isdigit() and int(value) < 1 << 60:
                limits.append(int(value))
    return min(limits, default=0)


def _file(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
