# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Redis client, what is read by it and what is changed, on real servers where redis-server is installed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import (
    host_redis,
    host_redis_config,
    host_redis_options,
    host_redis_stats,
    host_redis_trace,
    host_tuned,
)
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import Endpoint, RedisClient, RedisError
from hypothesis import given
from hypothesis import strategies as st

needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
SECRET = "the-secret"


@contextlib.contextmanager
def running(folder: Path, *settings: str) -> t.Iterator[Endpoint]:
    """A server on a free port; ``settings`` are lines of its configuration file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"port {port}", "bind 127.0.0.1", f"dir {folder}", 'save ""', f"unixsocket {folder}/s", *settings]
    (folder / "redis.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    process = subprocess.Popen(["redis-server", str(folder / "redis.conf")], stdout=subprocess.DEVNULL)
    try:
        for _attempt in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield Endpoint(port=port)
    finally:
        process.kill()
        process.wait(10)


# One for each test: ansible-test runs each in a process of its own, which ends before what the module shares is ended.
@pytest.fixture
def server(tmp_path: Path) -> t.Iterator[Endpoint]:
    with running(tmp_path / "one", f"requirepass {SECRET}", f"user app on >{SECRET} ~* +get +ping") as where:
        yield dataclasses.replace(where, password=SECRET)


# --- The client


@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=20), st.integers()), min_size=1, max_size=8))
def test_what_is_sent_is_an_array_of_bulk_strings(words: list[bytes | str | int]) -> None:
    data = host_redis.encode(words)
    found = []
    assert data.startswith(b"*%d\r\n" % len(words))
    at = data.index(b"\r\n") + 2
    while at < len(data):
        end = data.index(b"\r\n", at)
        length = int(data[at + 1 : end])
        found.append(data[end + 2 : end + 2 + length])
        at = end + 4 + length
    assert found == [word if isinstance(word, bytes) else str(word).encode() for word in words]


@needs_redis
def test_replies_of_every_kind(server: Endpoint) -> None:
    with RedisClient.connect(server) as client:
        assert client.command("SET", "k", b"\xff\r\n\x00") == "OK"
        assert client.command("GET", "k") == b"\xff\r\n\x00"
        assert client.command("GET", "nothing") is None
        assert client.command("EVAL", "return {1, {2, 'x'}, false}", 0) == [1, [2, b"x"], None]
        assert client.pipeline([("INCR", "n")] * 1_300)[-1] == 1_300
        replies = client.pipeline([("GET", "k"), ("LPUSH", "k", "x"), ("PING",)])
        assert (replies[0], replies[2], replies[1].code) == (b"\xff\r\n\x00", "PONG", "WRONGTYPE")
        assert int(client.info("memory")["used_memory"]) > 0
        assert client.config("maxmemory", "save") == {"maxmemory": "0", "save": ""}


@needs_redis
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"password": "wrong"}, "refuses the password of user default"),
        ({"password": ""}, "wants a password: give login_password"),
        ({"username": "bob"}, "refuses the password of user bob"),
        ({"unix_socket": "/nowhere"}, "Redis at /nowhere cannot be reached: No such file or directory"),
        ({"address": "name.invalid"}, "Redis at name.invalid:"),
        ({"tls": True, "timeout": 0.3}, "TLS"),
    ],
)
def test_why_there_is_no_connection(server: Endpoint, changes: dict[str, t.Any], told: str) -> None:
    with pytest.raises(RedisError) as caught:
        RedisClient.connect(dataclasses.replace(server, **changes))
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_redis
def test_what_an_acl_user_may_not_do_is_named(server: Endpoint) -> None:
    with (
        RedisClient.connect(dataclasses.replace(server, username="app")) as client,
        pytest.raises(RedisError, match=r"user app of Redis at .* may not run CONFIG GET: extend the user's ACL"),
    ):
        client.config("maxmemory")


def test_a_server_that_is_loading_and_one_that_is_no_redis() -> None:
    def answering(*answers: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            for answer in answers:
                connection, _address = listener.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(answer)
            listener.close()

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    with pytest.raises(RedisError, match="is still loading its data: try again later") as caught:
        RedisClient.connect(Endpoint(port=answering(loading)))
    assert caught.value.code == "LOADING"
    RedisClient.connect(Endpoint(port=answering(loading, b"+PONG\r\n")), loading_wait=5).close()
    with pytest.raises(RedisError, match="does not speak the Redis protocol"):
        RedisClient.connect(Endpoint(port=answering(b"HTTP/1.1 400 Bad Request\r\n")))


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = Endpoint(port=listener.getsockname()[1], timeout=0.2)
        with pytest.raises(RedisError, match=r"did not answer within 0\.2 s"):
            RedisClient.connect(where)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"login_port": 0}, "login_port is 0: give a number from 1 to 65535"),
        ({"timeout": 0.0}, "timeout is 0: give a number of seconds above 0"),
        ({"login_user": "app"}, "login_user is 'app' and login_password is missing: give both"),
        ({"client_cert_file": "/c"}, "client_cert_file and client_key_file belong together"),
        ({"sample_keys": 0}, "sample_keys is 0: give 1 or more"),
    ],
)
def test_options_that_cannot_be(changes: dict[str, t.Any], told: str) -> None:
    options = {name: option.get("default") for name, option in host_redis_options.STATS.items()}
    with pytest.raises(RedisError, match=told):
        host_redis_options.request({**options, **changes})


# --- Reading


@needs_redis
def test_what_is_read_is_bounded_and_holds_no_secrets(server: Endpoint) -> None:
    with RedisClient.connect(server) as client:
        client.command("FLUSHALL")
        fill = [("SET", f"page:{number}", "v" * 90, "EX", 600) for number in range(400)]
        fill += [("HSET", f"user:{number}", *[f"field{n}" for n in range(20)]) for number in range(100)]
        client.pipeline([*fill, ("SELECT", 3), ("SADD", "tags:1", *range(40)), ("SELECT", 0)])
        client.command("CONFIG", "SET", "slowlog-log-slower-than", 0)
        client.command("SET", "session:12345", SECRET)
        client.command("CONFIG", "SET", "slowlog-log-slower-than", 10_000)
    request = host_redis_stats.Request(
        where=server,
        parts=frozenset(host_redis_stats.PARTS) - {"trace"},
        observe_seconds=0.3,
        looks=3,
        key_limits=host_redis_stats.KeyLimits(keys=200),
    )
    found = host_redis_stats.read(request)
    assert SECRET not in json.dumps(found)
    assert found["missing"] == {}
    assert (found["server"]["keys"], found["server"]["keys_with_ttl"]) == (502, 400)
    keys = found["keys"]
    assert 50 < keys["sampled"] <= 200
    assert {len(keys[name]) for name in host_redis_stats.COLUMNS} == {keys["sampled"]}
    rows = {name: {} for name in ("page:*", "user:*")}
    for number, pattern in enumerate(keys["pattern"]):
        rows[pattern] = {name: keys[name][number] for name in host_redis_stats.COLUMNS}
    assert (rows["page:*"]["type"], rows["page:*"]["encoding"]) == ("string", "raw")
    assert 0 < rows["page:*"]["ttl"] <= 600
    assert (rows["user:*"]["elements"], rows["user:*"]["largest"]) == (10, 7)
    assert len(found["observe"]["keyspace_hits"]) == 3
    assert any(item == {**item, "command": "set", "key": "session:*"} for item in found["slowlog"])
    assert found["host"]["local"]
    assert found["host"]["total"] > found["host"]["resident"] > 0


@needs_redis
def test_the_rights_that_the_guide_names_are_enough(server: Endpoint) -> None:
    rights = (
        "+ping +select +info +config|get +config|set +config|rewrite +latency|latest +slowlog|get +memory|usage "
        "+object +randomkey +type +ttl +exists +strlen +hlen +llen +scard +zcard +xlen +hrandfield +srandmember "
        "+zrandmember +lrange +monitor"
    )
    with RedisClient.connect(server) as client:
        client.command("ACL", "SETUSER", "tuning", "on", f">{SECRET}", "~*", *rights.split())
        client.pipeline([("HSET", "h:1", "f", "v"), ("RPUSH", "l:1", 1), ("ZADD", "z:1", 1, "m"), ("SADD", "s:1", 1)])
        client.pipeline([("XADD", "x:1", "*", "f", "v"), ("SET", "p:1", 1)])
    request = host_redis_stats.Request(
        where=dataclasses.replace(server, username="tuning"),
        observe_seconds=0.1,
        looks=2,
        trace_limits=host_redis_trace.Limits(seconds=0.1),
    )
    found = host_redis_stats.read(request)
    assert found["missing"] == {}
    assert {"hash", "list", "zset", "set", "stream", "string"} <= set(found["keys"]["type"])
    with RedisClient.connect(request.where) as client:
        done = host_redis_config.apply(client, {"lfu-log-factor": 11}, persist=True, tuned="", check=False)
        assert done.rewritten


@needs_redis
def test_monitor_sees_what_is_done_and_its_sample_says_how_much(server: Endpoint) -> None:
    stop = threading.Event()

    def work() -> None:
        with RedisClient.connect(server) as client:
            number = 0
            while not stop.is_set():
                number += 1
                key = b'odd "key"\r\n\xff:%d' % (number % 50)
                client.pipeline([("GET", key), ("SET", key, b"\x00" * 100, "PX", 5500), ("DEL", f"gone:{number}")])
                time.sleep(0.0005)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        sample, about = host_redis_trace.from_monitor(server, host_redis_trace.Limits(seconds=1.0), 0.1)
        with pytest.raises(RedisError, match="monitor_operations is 1"):
            host_redis_trace.from_monitor(server, host_redis_trace.Limits(operations=1), 0.1)
        small, _about = host_redis_trace.from_monitor(server, host_redis_trace.Limits(seconds=5, megabytes=0.05), 0.1)
    finally:
        stop.set()
        thread.join()
    assert about["stopped"] == ""
    assert about["keyspace_hits"] + about["keyspace_misses"] == pytest.approx(sample.totals[host_redis_trace.READ], 0.2)
    assert b'odd "key"\r\n\xff:7' in {name for _database, name in sample.names}
    writes = [number for number, kind in enumerate(sample.kinds) if kind == host_redis_trace.WRITE]
    assert {(sample.sizes[number], sample.lives[number]) for number in writes} == {(100, 6)}
    assert sum(small.totals) < 3_000
    with RedisClient.connect(server) as client:
        table = host_redis_trace.key_table(client, sample, 10)
    assert set(table) == {"key_bytes", "key_life", "key_length"}


@pytest.mark.parametrize(
    ("line", "kind", "key", "size", "life"),
    [
        (b'1700000000.123456 [0 127.0.0.1:5] "GET" "a"', 0, b"a", 0, 0),
        (b'1700000000.123456 [7 unix:/run/r] "setex" "a" "60" "four"', 1, b"a", 4, 60),
        (b'1700000000.123456 [0 [::1]:5] "SET" "a\\"\\x00" "\\xff\\n" "NX" "EX" "9"', 1, b'a"\x00', 2, 9),
        (b'1700000000.123456 [0 lua] "HSET" "h" "f" "value"', 1, b"h", 6, 0),
        (b'1700000000.000000 [0 127.0.0.1:5] "expireat" "a" "1700000030"', 3, b"a", 0, 30),
        (b'1700000000.123456 [0 127.0.0.1:5] "UNLINK" "a"', 2, b"a", 0, 0),
    ],
)
def test_lines_of_monitor(line: bytes, kind: int, key: bytes, size: int, life: int) -> None:
    sample = host_redis_trace.Sample(host_redis_trace.Limits())
    assert host_redis_trace.add_monitor_line(sample, line)
    assert (sample.kinds[0], sample.names[0][1], sample.sizes[0], sample.lives[0]) == (kind, key, size, life)


def test_a_trace_file_of_either_kind(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_bytes(b"0,user,4,10,1,get,0\n1,user,4,10,1,set,300\n2,a,b,3,77,1,add,5\n3,user,4,0,1,delete,0\n")
    sample = host_redis_trace.from_file(str(file), host_redis_trace.Limits())
    assert [name for _database, name in sample.names] == [b"user", b"a,b"]
    assert (list(sample.sizes), list(sample.lives)) == ([0, 10, 77, 0], [0, 300, 5, 0])
    file.write_bytes(b'OK\n1700000000.1 [0 1:2] "GET" "a"\n'.replace(b".1 ", b".123456 "))
    assert host_redis_trace.from_file(str(file), host_redis_trace.Limits()).totals[0] == 1
    file.write_text("hello\n", encoding="utf-8")
    with pytest.raises(RedisError, match="1 of 1 lines that are neither"):
        host_redis_trace.from_file(str(file), host_redis_trace.Limits())
    with pytest.raises(RedisError, match="cannot be read: No such file"):
        host_redis_trace.from_file(str(tmp_path / "nothing"), host_redis_trace.Limits())


def test_the_sample_has_a_fixed_size_and_keeps_all_of_a_key() -> None:
    sample = host_redis_trace.Sample(host_redis_trace.Limits(keys=500, events=3_000))
    for number in range(40_000):
        sample.add(number, host_redis_trace.READ, 0, b"key:%d" % (number % 4_000 if number % 4 else 1))
    assert len(sample.names) <= 500
    assert len(sample.times) <= 3_000
    assert sample.totals[host_redis_trace.READ] == 40_000
    counts = {key: list(sample.keys).count(key) for key in set(sample.keys)}
    # Every sampled key but the hot one was used eight times or so, and none of it is lost.
    assert min(counts.values()) >= 7
    assert sample.hottest(1)[0]["key"] == "key:1"
    assert sample.hottest(1)[0]["share"] == pytest.approx(0.25, abs=0.03)


# --- Changing


@pytest.mark.parametrize(
    ("old", "new", "equal"),
    [
        ("104857600", "100mb", True),
        ("100000000", "100M", True),
        ("allkeys-lfu", "ALLKEYS-LFU", True),
        ("yes", True, True),
        ("3600 1 300 100", "3600  1 300 100", True),
        ("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "replica 256mb 64mb 60", True),
        ("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "replica 512mb 64mb 60", False),
        ("104857600", "101mb", False),
        ("", "3600 1", False),
    ],
)
def test_what_means_the_same(old: str, new: t.Any, equal: bool) -> None:
    assert host_redis_config.same(old, host_redis_config.normal(new)) is equal


@needs_redis
def test_a_transaction_keeps_all_or_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as where, RedisClient.connect(where) as client:

        def apply(settings: dict[str, t.Any], check: bool = False, **more: t.Any) -> host_redis_config.Outcome:
            options = {"persist": True, "tuned": "redis", "folder": str(tmp_path / "tuned"), **more}
            return host_redis_config.apply(client, settings, check=check, **options)

        wanted = {"maxmemory": "64mb", "maxmemory-policy": "allkeys-lfu", "activerehashing": True}
        predicted = apply(wanted, check=True)
        assert client.config("maxmemory")["maxmemory"] == "0"
        done = apply(wanted)
        assert predicted.changes == done.changes
        assert set(done.changes) == {"maxmemory", "maxmemory-policy"}
        text = (tmp_path / "redis" / "redis.conf").read_text(encoding="utf-8")
        assert "maxmemory 64mb\n" in text
        assert host_tuned.read("redis", str(tmp_path / "tuned"))["maxmemory"] == "67108864"
        assert not apply(wanted).changed

        before = client.config("*")
        for settings, told in (
            ({"maxmemory": "32mb", "maxmemory-policy": "often"}, "Redis refuses maxmemory-policy 'often'"),
            ({"maxmemory": "32mb", "no-such": 1}, "settings has 'no-such', which Redis 7"),
            ({"maxmemory*": "32mb"}, "give the name of one setting"),
            ({"maxmemory": "100kb", "maxmemory-policy": "noeviction"}, "would refuse every write"),
        ):
            with pytest.raises(HostError, match=told.replace("*", r"\*")):
                apply(settings)
            assert client.config("*") == before

        # The file says something else, as after a run that was killed before it wrote it.
        file = tmp_path / "redis" / "redis.conf"
        file.write_text(text.replace("maxmemory 64mb", "maxmemory 10mb"), encoding="utf-8")
        again = apply({"maxmemory": "64mb"})
        assert (again.changes, again.rewritten) == ({}, True)
        assert "maxmemory 64mb\n" in file.read_text(encoding="utf-8")

        # What cannot be kept for the role is not set either.
        with pytest.raises(HostError, match="the settings are as before"):
            apply({"maxmemory": "48mb"}, folder="/proc/nowhere")
        assert client.config("*") == before
        assert "maxmemory 64mb\n" in file.read_text(encoding="utf-8")


@needs_redis
def test_without_a_configuration_file_nothing_can_be_kept(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as where, RedisClient.connect(where) as client:
        (tmp_path / "redis" / "redis.conf").unlink()
        (tmp_path / "redis" / "redis.conf").mkdir()
        with pytest.raises(HostError, match=r"refuses CONFIG REWRITE: .*the settings are as before"):
            host_redis_config.apply(client, {"maxmemory": "9mb"}, persist=True, tuned="", check=False)
        assert client.config("maxmemory")["maxmemory"] == "0"
