# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis Cluster of real servers under load: killed masters, moved slots, restarts, killed runs, backup and restore.

``make bench`` does the same with twenty kills.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.frugal.cloud.plugins.module_utils import (
    host_redis,
    host_redis_backup,
    host_redis_cluster,
)
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.tests.benchmarks import redis_cluster as bench
from ansible_collections.frugal.cloud.tests.benchmarks import redis_processes

#: a run of the module's steps in a process of its own, which can be killed
RUN = """
import sys
from ansible_collections.frugal.cloud.tests.benchmarks import redis_cluster as bench
from ansible_collections.frugal.cloud.plugins.module_utils.redis_plan import Goal, Member
members = tuple(Member(word, f"host{place % 3}") for place, word in enumerate(sys.argv[1].split(",")))
bench.converge(Goal(members, 1, frozenset(filter(None, sys.argv[2].split(",")))))
"""


@pytest.fixture(scope="module")
def cluster() -> t.Iterator[tuple[bench.Servers, bench.Servers]]:
    with bench.cluster() as both:
        yield both


def test_reshard_and_upgrade_without_an_error_to_a_client(cluster: tuple[bench.Servers, bench.Servers]) -> None:
    servers, more = cluster
    moved = bench.reshard(servers, more, 0.5)
    assert moved["slots"] > 4000
    assert moved["writes"] > 100
    assert (moved["errors"], moved["lost"]) == ({}, {})
    rolled = bench.upgrade(servers, 0.5)
    assert rolled["restarts"] == 6
    assert (rolled["errors"], rolled["lost"]) == ({}, {})


def test_no_confirmed_write_is_lost_with_a_master(cluster: tuple[bench.Servers, bench.Servers]) -> None:
    killed = bench.kill_masters(cluster[0], 2)
    assert killed["writes"] > 100
    assert killed["lost"] == {}
    # The kills were felt: else nothing was killed.
    assert killed["outage_most"] > redis_processes.NODE_TIMEOUT / 1000 / 2


def test_a_run_that_is_killed_half_way_is_continued(cluster: tuple[bench.Servers, bench.Servers]) -> None:
    servers, more = cluster
    client = redis.RedisCluster(host="127.0.0.1", port=servers[0].port)
    for number in range(2000):
        client.set(f"kept:{number}", number)
    everybody = [*servers, *more]
    words = [sys.executable, "-c", RUN, ",".join(server.address for server in everybody), ""]
    run = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    # In the midst of moving slots: some are with the new node, some are not.
    newcomer = redis.Redis(port=more[0].port)
    deadline = time.monotonic() + 60
    while not _slots(newcomer):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert 0 < _slots(newcomer) < 4096
    bench.converge(bench.goal_of(everybody))
    assert _slots(newcomer) == 4096
    bench.converge(bench.goal_of(servers, [server.address for server in more]))
    assert [client.get(f"kept:{number}") for number in range(2000)] == [b"%d" % number for number in range(2000)]
    # Nodes that left are empty and know nobody.
    assert newcomer.cluster("INFO")["cluster_known_nodes"] == "1"
    assert newcomer.dbsize() == 0
    client.close()


def _slots(node: redis.Redis) -> int:
    """How many slots a node says that it has."""
    with host_redis.RedisClient.connect(
        host_redis.Endpoint(port=node.connection_pool.connection_kwargs["port"])
    ) as one:
        lines = host_redis_cluster.parse_nodes(host_redis.text(one.command("CLUSTER", "NODES")))
    return next(len(line.slots) for line in lines if "myself" in line.flags)


def test_backup_and_restore(cluster: tuple[bench.Servers, bench.Servers], tmp_path: Path) -> None:
    servers = cluster[0]
    client = redis.RedisCluster(host="127.0.0.1", port=servers[0].port)
    for number in range(500):
        client.set(f"backup:{number}", number)
    endpoint = host_redis.Endpoint(port=servers[0].port, timeout=40)
    folder = tmp_path / "backups"
    first = host_redis_backup.back_up(endpoint, str(folder), 1)
    assert len(first.masters) == 3 and first.bytes > 0
    time.sleep(1.1)
    second = host_redis_backup.back_up(endpoint, str(folder), 1)
    assert second.removed == (first.path,)
    assert [str(path) for path in folder.iterdir()] == [second.path]
    with pytest.raises(HostError, match="keep is 0: give 1 or more"):
        host_redis_backup.back_up(endpoint, str(folder), 0)
    # As the guide says: each snapshot is served by a Redis of its own, and imported from there.
    for number in range(500):
        client.delete(f"backup:{number}")
    for snapshot in Path(second.path).glob("*.rdb"):
        _restore(snapshot, servers[0].address, tmp_path / "restored")
    assert [client.get(f"backup:{number}") for number in range(500)] == [b"%d" % number for number in range(500)]
    client.close()


def _restore(snapshot: Path, target: str, folder: Path) -> None:
    (port,) = redis_processes.free_ports(1)
    settings = {"dbfilename": snapshot.name, "save": ""}
    server = redis_processes.Server(port, folder / str(port), redis_processes.program(), settings)
    server.folder.mkdir(parents=True)
    (server.folder / snapshot.name).write_bytes(snapshot.read_bytes())
    server.start()
    try:
        words = ["redis-cli", "--cluster", "import", target, "--cluster-from", server.address, "--cluster-copy"]
        done = subprocess.run([*words, "--cluster-replace"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        server.stop()
