# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test hosts without hosts: addresses, the recipe of the root and the repository, records, inventories."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible_collections.frugal.cloud.tests.hosts import command, kept_bytecode, machine, network, packages, scenario
from hypothesis import given
from hypothesis import strategies as st

DEBIAN = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="packages are made and read by dpkg-deb")
NUMBERS = st.integers(min_value=1, max_value=254)
DEBIAN_12 = """\
Types: deb deb-src
# a comment between the fields
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


class TestNetwork:
    @given(first=NUMBERS, second=NUMBERS)
    def test_two_scenarios_have_no_address_and_no_name_in_common(self, first: int, second: int) -> None:
        one, other = network.Network(first), network.Network(second)
        assert one.range.overlaps(other.range) == (first == second)
        assert (one.bridge == other.bridge) == (first == second)
        assert (one.namespace(0) == other.namespace(0)) == (first == second)

    @given(number=NUMBERS, index=st.integers(min_value=0, max_value=network.MOST_HOSTS - 1))
    def test_hosts_are_in_the_range_and_the_kernel_takes_the_names(self, number: int, index: int) -> None:
        net = network.Network(number)
        assert ipaddress.IPv4Address(net.address(index)) in net.range
        assert net.address(index) != net.gateway
        assert ipaddress.IPv4Address(net.address(index)) != net.range.broadcast_address
        assert len(net.interface(index)) <= 15

    def test_a_host_too_many_is_refused(self) -> None:
        with pytest.raises(machine.HostError, match="at most 200 hosts"):
            network.Network(1).address(200)

    def test_the_lowest_free_number_is_taken(self) -> None:
        assert network.free_number([], []) == 1
        assert network.free_number([1, 2, 4], ["default"]) == 3

    def test_a_network_that_the_machine_has_there_is_passed_over(self) -> None:
        assert network.free_number([1], ["10.231.2.0/24", "10.231.3.128/25", "10.231.4.7", "192.168.1.0/24"]) == 5

    def test_a_wide_route_of_a_company_does_not_take_all(self) -> None:
        assert network.free_number([], ["default", "10.0.0.0/8"]) == 1

    def test_no_range_left_is_said(self) -> None:
        with pytest.raises(machine.HostError, match="all 254 address ranges"):
            network.free_number(network.NUMBERS, [])


class TestSources:
    def test_the_machines_mirror_is_used(self) -> None:
        assert packages.debian_sources([DEBIAN_12]) == [
            f"deb [signed-by={packages.KEYRING}] http://mirror.example/debian bookworm main",
            f"deb [signed-by={packages.KEYRING}] http://mirror.example/debian bookworm-updates main",
            f"deb [signed-by={packages.KEYRING}] http://mirror.example/debian-security bookworm-security main",
        ]

    def test_lines_of_the_old_format_count_and_other_repositories_do_not(self) -> None:
        text = (
            "# deb http://commented.example/debian bookworm main\n"
            "deb [arch=amd64 signed-by=/some.gpg] http://one.example/debian bookworm main non-free\n"
            "deb-src http://one.example/debian bookworm main\n"
            "deb https://packages.example/apt sdk-bookworm main\n"
            "deb http://one.example/debian trixie main\n"
        )
        assert packages.debian_sources([text]) == [
            f"deb [signed-by={packages.KEYRING}] http://one.example/debian bookworm main"
        ]

    def test_a_disabled_stanza_does_not_count(self) -> None:
        found = packages.debian_sources(["Enabled: no\n" + DEBIAN_12.split("\n\n", maxsplit=1)[0]])
        assert all("deb.debian.org" in entry for entry in found)

    def test_a_machine_with_another_system_asks_debian_itself(self) -> None:
        found = packages.debian_sources(["deb http://archive.ubuntu.com/ubuntu noble main\n"])
        assert [entry.split()[-2] for entry in found] == ["bookworm", "bookworm-updates", "bookworm-security"]
        assert all("//deb.debian.org/" in entry for entry in found)


class TestPackages:
    def test_the_list_has_comments_versions_and_each_name_once(self) -> None:
        text = "# a list\nredis-server\n\nnginx  # web\nredis-server\nlibstdc++6\nvarnish=7.1.1-1.1\n"
        assert packages.listed(text) == ["libstdc++6", "nginx", "redis-server", "varnish=7.1.1-1.1"]

    @pytest.mark.parametrize("line", ["two words", "--option", "Upper", "a;b", "x"])
    def test_what_is_no_package_is_named_with_its_line(self, line: str) -> None:
        with pytest.raises(machine.HostError, match=f"line 2: '{line}' is no Debian package name"):
            packages.listed(f"nginx\n{line}\n")

    def test_the_committed_list_can_be_read(self) -> None:
        assert "prometheus" in packages.listed(packages.LIST.read_text(encoding="utf-8"))

    def test_only_new_lines_are_looked_up(self) -> None:
        resolved = {"root-a": ["nginx", "redis-server"]}
        assert packages.missing(["nginx", "redis-server"], resolved, "root-a") == []
        assert packages.missing(["nginx", "varnish"], resolved, "root-a") == ["varnish"]

    def test_another_root_has_other_packages_already(self) -> None:
        assert packages.missing(["nginx"], {"root-a": ["nginx"]}, "root-b") == ["nginx"]

    def test_another_recipe_is_another_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = packages.root_digest()
        assert before == packages.root_digest()
        monkeypatch.setattr(packages, "ROOT_PACKAGES", (*packages.ROOT_PACKAGES, "vim"))
        assert packages.root_digest() != before

    @DEBIAN
    def test_the_index_holds_every_archive_with_its_sum(self, tmp_path: Path) -> None:
        pool = tmp_path / "pool"
        pool.mkdir()
        for name in ("one", "two"):
            _archive(pool, name)
        packages.index(tmp_path, pool)
        stanzas = (tmp_path / "Packages").read_text(encoding="utf-8").strip().split("\n\n")
        fields = [dict(line.split(": ", 1) for line in stanza.splitlines()) for stanza in stanzas]
        assert [entry["Package"] for entry in fields] == ["one", "two"]
        for entry in fields:
            archive = tmp_path / entry["Filename"]
            assert int(entry["Size"]) == archive.stat().st_size
            summed = subprocess.run(["sha256sum", archive], capture_output=True, text=True, check=True).stdout
            assert entry["SHA256"] == summed.split()[0]

    @DEBIAN
    def test_an_archive_is_read_once(self, tmp_path: Path) -> None:
        pool = tmp_path / "pool"
        pool.mkdir()
        _archive(pool, "one")
        packages.index(tmp_path, pool)
        first = (tmp_path / "Packages").read_text(encoding="utf-8")
        (pool / "one_1_all.deb").write_bytes(b"no archive: reading it again would fail")
        packages.index(tmp_path, pool)
        assert (tmp_path / "Packages").read_text(encoding="utf-8") == first


def _archive(pool: Path, name: str) -> None:
    control = pool.parent / name / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: test\n"
    )
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", control.parents[1], pool / f"{name}_1_all.deb"],
        check=True,
        capture_output=True,
    )


class TestProcesses:
    def test_a_process_lives_until_it_ends(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        found = machine.process(child.pid)
        assert found.alive()
        child.kill()
        # A zombie has ended: nobody waits for it yet.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not found.alive()
        child.communicate()
        assert not found.alive()

    def test_a_later_process_of_the_same_number_is_another(self) -> None:
        own = machine.process(os.getpid())
        assert own.alive()
        assert not machine.Process(own.pid, own.started - 1).alive()

    def test_no_process_is_said(self) -> None:
        child = subprocess.Popen(["true"])
        child.wait()
        with pytest.raises(machine.HostError, match=f"no process {child.pid}"):
            machine.process(child.pid)

    def test_parents_lead_to_the_start(self) -> None:
        found = list(machine.parents(os.getpid()))
        assert found[0] == os.getppid()
        assert len(found) == len(set(found))

    def test_this_process_is_no_hosts_first(self) -> None:
        assert not machine.is_init(os.getpid())

    def test_a_failing_command_is_told_in_its_own_words(self) -> None:
        with pytest.raises(machine.HostError, match="exit code 3: broken"):
            machine.run("sh", "-c", "echo broken >&2; exit 3")

    def test_a_command_that_is_not_there_is_told(self) -> None:
        with pytest.raises(machine.HostError, match="no-such-tool is not installed"):
            machine.run("no-such-tool")

    def test_control_groups_of_both_layouts(self) -> None:
        older = (
            "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
            "cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\n"
            "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
        )
        assert machine.control_group_roots(older) == [
            Path("/sys/fs/cgroup/systemd"),
            Path("/sys/fs/cgroup/unified"),
        ]
        assert machine.control_group_roots("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == [Path("/sys/fs/cgroup")]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., scenario.Scenario]:
    """Record scenarios in a folder of the test's own; nothing is booted."""
    monkeypatch.setattr(machine, "STATE", tmp_path)

    def record(key: str, number: int = 1, **settings: t.Any) -> scenario.Scenario:
        own = machine.process(os.getpid())
        names = ("mon1", "app1")
        net = network.Network(number)
        hosts = tuple(scenario.Host(name, net.address(i), own) for i, name in enumerate(names))
        values = {"folder": str(tmp_path / key), "boot": machine.boot_id(), "root": "root-a", "hosts": hosts}
        made = scenario.Scenario(key=key, number=number, names=names, **{**values, **settings})
        scenario.write(made)
        return made

    return record


class TestRecords:
    def test_a_record_is_read_as_it_was_written(self, recorded: t.Callable[..., scenario.Scenario]) -> None:
        made = recorded("first", owner=machine.process(os.getpid()))
        assert scenario.find("first") == made
        assert scenario.scenarios() == [made]

    def test_no_record_is_said(self, recorded: t.Callable[..., scenario.Scenario]) -> None:
        with pytest.raises(machine.HostError, match="no scenario other"):
            scenario.find("other")

    def test_stale_is_what_nobody_wants(self, recorded: t.Callable[..., scenario.Scenario]) -> None:
        own = machine.process(os.getpid())
        gone = machine.Process(own.pid, own.started - 1)
        assert not recorded("by-hand").stale()
        assert not recorded("owned", owner=own).stale()
        assert recorded("killed", owner=gone).stale()
        assert recorded("before-restart", boot="another").stale()

    def test_a_host_that_is_not_there_is_named_with_those_that_are(
        self, recorded: t.Callable[..., scenario.Scenario]
    ) -> None:
        with pytest.raises(machine.HostError, match="has no host web1; it has: mon1, app1"):
            recorded("first")["web1"]

    def test_a_dead_host_is_said(self, recorded: t.Callable[..., scenario.Scenario]) -> None:
        own = machine.process(os.getpid())
        dead = scenario.Host("mon1", "10.231.1.10", machine.Process(own.pid, own.started - 1))
        with pytest.raises(machine.HostError, match="host mon1 is not running"):
            dead.run("true")


class TestInventory:
    def test_hosts_groups_and_addresses(
        self,
        recorded: t.Callable[..., scenario.Scenario],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setattr(scenario.Host, "pid", property(lambda host: 4711))
        made = recorded("first", 7)
        path = scenario.write_inventory(made, tmp_path / "hosts.yml", {"monitoring": ["mon1"]})
        listing = InventoryManager(loader=DataLoader(), sources=[str(path)])
        assert [host.name for host in listing.groups["monitoring"].get_hosts()] == ["mon1"]
        assert sorted(listing.hosts) == ["app1", "mon1"]
        found = {**listing.groups["all"].get_vars(), **listing.hosts["app1"].vars}
        assert {name: value for name, value in found.items() if not name.startswith("inventory_")} == {
            "ansible_connection": "community.docker.nsenter",
            "ansible_nsenter_pid": 4711,
            "ansible_python_interpreter": "/usr/bin/python3",
            "testhost_address": "10.231.7.11",
            "testhost_gateway": "10.231.7.1",
            "testhost_scenario": "first",
        }


class TestKeptBytecode:
    @pytest.fixture
    def compiled(self) -> list[str]:
        return []

    @pytest.fixture
    def kept(self, compiled: list[str], tmp_path: Path) -> t.Callable[[str, bytes], t.Any]:
        def compile_source(path: str, source: bytes) -> t.Any:
            compiled.append(path)
            return compile(source, path, "exec")

        return kept_bytecode.keeping(compile_source, str(tmp_path))

    @staticmethod
    def value(code: t.Any) -> int:
        names: dict[str, t.Any] = {}
        exec(code, names)
        return int(names["value"])

    def test_the_same_source_is_compiled_once_wherever_it_is(
        self, kept: t.Callable[[str, bytes], t.Any], compiled: list[str]
    ) -> None:
        assert [self.value(kept(f"/tmp/{n}/a.py", b"value = 1")) for n in range(3)] == [1, 1, 1]
        assert compiled == ["/tmp/0/a.py"]

    def test_another_source_of_the_same_name_is_another(
        self, kept: t.Callable[[str, bytes], t.Any], compiled: list[str]
    ) -> None:
        assert [self.value(kept("/tmp/a.py", b"value = %d" % n)) for n in (1, 2, 1)] == [1, 2, 1]
        assert len(compiled) == 2

    def test_what_cannot_be_read_is_compiled_again(
        self, kept: t.Callable[[str, bytes], t.Any], compiled: list[str], tmp_path: Path
    ) -> None:
        kept("/tmp/a.py", b"value = 1")
        (file,) = tmp_path.iterdir()
        file.write_bytes(file.read_bytes()[:9])
        assert self.value(kept("/tmp/a.py", b"value = 1")) == 1
        assert len(compiled) == 2

    def test_a_folder_that_cannot_be_written_does_not_matter(self) -> None:
        kept = kept_bytecode.keeping(lambda path, source: compile(source, path, "exec"), "/nowhere")
        assert self.value(kept("/tmp/a.py", b"value = 1")) == 1


class TestCommand:
    @pytest.mark.parametrize(
        ("names", "key", "said"),
        [
            (["Mon1"], "good", "'Mon1' is no host name"),
            (["localhost"], "good", "'localhost' is no host name"),
            (["a", "a"], "good", "each once"),
            ([], "good", "name one host"),
            (["a"], "../bad", "'../bad' is no name for a scenario"),
        ],
    )
    def test_bad_names_are_refused_before_anything_is_made(self, names: list[str], key: str, said: str) -> None:
        with pytest.raises(machine.HostError, match=said):
            scenario.up(names, key)

    @pytest.mark.parametrize(
        ("words", "owned"),
        [
            (["/venv/bin/python", "/venv/bin/molecule", "test", "-s", "web"], True),
            (["molecule", "test"], True),
            (["python", "-m", "molecule", "test"], True),
            (["python", "/venv/bin/molecule", "converge", "-s", "test"], False),
            (["python", "/venv/bin/molecule", "converge"], False),
            (["python", "/venv/bin/molecule", "test", "--destroy=never"], False),
            (["python", "/venv/bin/molecule", "test", "--destroy", "never"], False),
            (["pytest", "tests/molecule/test_hosts.py"], False),
            ([""], False),
        ],
    )
    def test_hosts_belong_to_a_molecule_test_alone(self, words: list[str], owned: bool) -> None:
        assert command.runs_molecule_test(words) is owned

    def test_groups_are_read(self) -> None:
        assert command.groups(["web=a,b", "db=a", "web=c"]) == {"web": ["a", "b", "c"], "db": ["a"]}
        with pytest.raises(machine.HostError, match="--group web: write GROUP=HOST,HOST"):
            command.groups(["web"])

    def test_an_error_is_one_sentence_and_exit_code_1(self, tmp_path: Path) -> None:
        script = Path(command.__file__).with_name("testhosts.py")
        done = subprocess.run(
            [sys.executable, script, "exec", "--scenario", "no-such-scenario", "mon1", "--", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "there is no scenario no-such-scenario" in done.stderr
