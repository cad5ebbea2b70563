# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test hosts for real: two scenarios at once, runs that are killed, the cache, the network they do not have."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import typing as t
import urllib.request
import uuid
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.hosts import machine, packages, scenario

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="test hosts need root")

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, str(ROOT / "tests" / "hosts" / "testhosts.py")]


def cli(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line tool."""
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=check, timeout=600)


def remains(number: int, key: str) -> list[str]:
    """Everything of a scenario that is on this machine."""
    found = [str(path) for path in packages.folder().glob(f"scenarios/{number}-*")]
    found += [str(path) for path in machine.STATE.glob(f"{key}.json")]
    found += [line for line in machine.run("ip", "-oneline", "link").splitlines() if f"frh{number}" in line]
    found += [line for line in machine.run("ip", "netns").splitlines() if line.startswith(f"frugal-{number}-")]
    for root in machine.control_group_roots(Path("/proc/mounts").read_text(encoding="utf-8")):
        found += [str(path) for path in root.glob(f"frugal-{number}")]
    found += [
        line for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines() if f"/{number}-{key}" in line
    ]
    for path in Path("/proc").glob("[0-9]*"):
        if f"--machine=frugal-{number}-" in " ".join(machine.arguments(int(path.name))):
            found.append(f"process {path.name}")
    return found


@pytest.fixture
def key() -> t.Iterator[str]:
    """A name for a scenario; whatever is left of it goes at the end."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    scenario.down(name)


def test_two_scenarios_at_once_do_not_meet() -> None:
    keys = [f"test-{uuid.uuid4().hex[:8]}" for each in range(2)]
    owner = str(os.getpid())
    try:
        # Both begin at the same moment and have hosts of the same names.
        words = ("up", "--owner", owner, "mon1", "app1")
        started = [subprocess.Popen([*COMMAND, *words, "--scenario", key], stdout=subprocess.PIPE) for key in keys]
        assert [process.communicate(timeout=600) and process.returncode for process in started] == [0, 0]
        first, second = (scenario.find(key) for key in keys)
        assert not first.network.range.overlaps(second.network.range)
        for own in (first, second):
            own["app1"].run("sh", "-c", f"echo {own.key} > /srv/index.html")
            own["app1"].run("systemd-run", "--quiet", "python3", "-m", "http.server", "--directory", "/srv", "80")
        for own in (first, second):
            assert own["mon1"].run("hostname").strip() == "mon1"
            assert own["mon1"].run("getent", "hosts", "app1").split() == [own["app1"].address, "app1"]
            fetched = own["mon1"].run(
                "curl", "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "http://app1/"
            )
            assert fetched.strip() == own.key
            with urllib.request.urlopen(f"http://{own['app1'].address}/", timeout=10) as answer:
                assert answer.read().decode().strip() == own.key
        assert first["mon1"].run("cat", "/etc/machine-id") != second["mon1"].run("cat", "/etc/machine-id")
        # One going leaves the other as it was.
        assert scenario.down(first.key)
        assert remains(first.number, first.key) == []
        assert second["mon1"].run("curl", "-sS", "http://app1/").strip() == second.key
    finally:
        for key in keys:
            scenario.down(key)


RUN = """
import sys, time
from ansible_collections.frugal.cloud.tests.hosts import scenario
with scenario.running("mon1", "app1", key=sys.argv[1]) as hosts:
    print("ready", flush=True)
    time.sleep(600)
"""


def start_run(key: str) -> subprocess.Popen[str]:
    """A test run of its own that has two hosts."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", RUN, key], env=environ, stdout=subprocess.PIPE, text=True)


def test_a_killed_run_leaves_nothing_after_the_next_command(key: str) -> None:
    run = start_run(key)
    assert run.stdout is not None
    while run.stdout.readline().strip() != "ready":
        assert run.poll() is None
    left = scenario.find(key)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert remains(left.number, key), "the hosts went without help: this test tests nothing"
    assert "left by a run that was killed" in cli("sweep").stderr
    assert remains(left.number, key) == []


@pytest.mark.parametrize("after", [0.0, 0.1, 0.2, 0.4, 0.8])
def test_a_run_that_is_killed_while_it_boots_leaves_nothing(key: str, after: float) -> None:
    run = start_run(key)
    record = machine.STATE / f"{key}.json"
    while not record.exists():
        assert run.poll() is None
    number = scenario.find(key).number
    time.sleep(after)
    run.send_signal(signal.SIGKILL)
    run.wait()
    # A host that was being started then is found by its control group.
    cli("down", "--scenario", f"{key}-other")
    assert remains(number, key) == []


def test_a_host_that_hangs_is_removed_too(key: str) -> None:
    hosts = scenario.up(["mon1"], key, machine.process(os.getpid()))
    os.kill(hosts["mon1"].supervisor.pid, signal.SIGSTOP)
    os.kill(hosts["mon1"].pid, signal.SIGSTOP)
    assert scenario.down(key)
    assert remains(hosts.number, key) == []


def test_a_restart_keeps_the_disk_and_starts_what_is_enabled(key: str) -> None:
    hosts = scenario.up(["mon1"], key, machine.process(os.getpid()))
    hosts["mon1"].run("apt-get", "install", "-y", "-qq", "redis-server")
    hosts["mon1"].run("redis-cli", "set", "kept", "yes")
    before = hosts["mon1"].pid
    hosts = scenario.restart(key)
    assert hosts["mon1"].pid != before
    deadline = time.monotonic() + 30
    answer = ""
    while answer != "yes" and time.monotonic() < deadline:
        with contextlib.suppress(machine.HostError):
            answer = hosts["mon1"].run("redis-cli", "get", "kept").strip()
    assert answer == "yes"


def test_hosts_are_offline_and_have_an_environment_of_their_own(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://leaked.example/")
    hosts = scenario.up(["mon1"], key, machine.process(os.getpid()))
    assert "leaked" not in hosts["mon1"].run("env")
    with pytest.raises(machine.HostError, match="Could not resolve host"):
        hosts["mon1"].run("curl", "-sS", "http://deb.debian.org/")
    hosts["mon1"].run("apt-get", "update")
    origins = hosts["mon1"].run("apt-cache", "policy", "nginx")
    assert "file:/srv/packages" in origins
    assert "http" not in origins


def test_a_name_that_is_taken_is_refused_and_its_hosts_stay(key: str) -> None:
    hosts = scenario.up(["mon1"], key, machine.process(os.getpid()))
    refused = cli("up", "--scenario", key, "mon1", check=False)
    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        f"error: scenario {key} is up: take it down first with testhosts.py down --scenario {key}, "
        "or name yours with --scenario"
    )
    assert hosts["mon1"].run("hostname").strip() == "mon1"


def test_a_second_build_does_nothing() -> None:
    first = cli("build")
    index = packages.repository_folder() / "Packages"
    before = index.stat().st_mtime_ns
    second = cli("build")
    assert second.stderr == ""
    assert second.stdout == first.stdout
    assert index.stat().st_mtime_ns == before


def test_a_new_line_extends_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = packages.root()
    monkeypatch.setenv("FRUGAL_CACHE", str(tmp_path / "cache"))
    listing = tmp_path / "packages.txt"
    monkeypatch.setattr(packages, "LIST", listing)
    listing.write_text("hello\n")
    path = packages.repository(base)
    pool = path / "pool"
    assert {archive.name.partition("_")[0] for archive in pool.glob("*.deb")} == {"hello"}
    (archive,) = pool.glob("hello_*.deb")
    downloaded = archive.stat().st_mtime_ns
    # A package that is not there is named; what is there stays, and so does the index.
    listing.write_text("hello\nno-such-package\n")
    with pytest.raises(machine.HostError, match=r"^packages.txt: Debian bookworm has no package 'no-such-package'$"):
        packages.repository(base)
    assert "Package: hello\n" in (path / "Packages").read_text(encoding="utf-8")
    listing.write_text("hello\nsl\n")
    packages.repository(base)
    assert {archive.name.partition("_")[0] for archive in pool.glob("*.deb")} >= {"hello", "sl"}
    assert archive.stat().st_mtime_ns == downloaded
    assert "Package: sl\n" in (path / "Packages").read_text(encoding="utf-8")
