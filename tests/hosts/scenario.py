# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian hosts with systemd as PID 1 on this machine, for tests of roles.

A scenario is a named group of hosts with a network of their own. ``up`` boots one, ``down`` removes it in
whatever state it is, ``running`` is both around a block of Python. What a scenario has on the machine (bridge,
namespaces, control groups, folders) follows from its number and is recorded in /run/frugal-hosts before
anything is made: a run that is killed at any point leaves nothing that the next ``up`` or ``down`` does not find.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import time
import typing as t
import uuid
from pathlib import Path

import yaml
from ansible_collections.frugal.cloud.tests.hosts import kept_bytecode, machine, network, packages
from ansible_collections.frugal.cloud.tests.tools import environment

START = "import testhost_kept_bytecode; testhost_kept_bytecode.begin()\n"
HostError = machine.HostError
Say = t.Callable[[str], None]
#: seconds until systemd must have started; half a second is usual, a busy machine takes more
BOOT_TIMEOUT = 120
SHUTDOWN_TIMEOUT = 90
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
#: joins the control groups it is given, mounts the host's file system where only it sees it, becomes the command
LAUNCHER = """\
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift
base=$1; own=$2; shift 2
mount -t overlay overlay -o "lowerdir=$base,upperdir=$own/changes,workdir=$own/work" "$own/root" || exit 1
exec "$@"
"""

#: supervisors that this process started and has to reap
_started: list[subprocess.Popen[bytes]] = []


@dataclasses.dataclass(frozen=True)
class Host:
    """One host of a scenario."""

    name: str
    address: str
    #: systemd-nspawn, whose child is the host's PID 1
    supervisor: machine.Process

    @property
    def pid(self) -> int:
        """The host's PID 1 as this machine numbers it; raises HostError when the host is not running."""
        if self.supervisor.alive():
            for child in machine.children(self.supervisor.pid):
                if machine.is_init(child):
                    return child
        raise HostError(f"host {self.name} is not running")

    def command(self, words: t.Sequence[str]) -> list[str]:
        """The command that runs ``words`` in the host, with a login's environment and not this process's."""
        return [
            *("nsenter", "--all", f"--target={self.pid}", "--"),
            *("/usr/bin/env", "-i", "-C", "/root", "HOME=/root", "LANG=C.UTF-8", "USER=root", "LOGNAME=root"),
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            *words,
        ]

    def run(self, *words: str, check: bool = True, timeout: float = 600) -> str:
        """Run a command in the host and return its output; raises HostError when it fails."""
        return machine.run(*self.command(words), check=check, timeout=timeout)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is recorded about a scenario."""

    key: str
    number: int
    #: its folder in the cache: each host's changes and console log
    folder: str
    boot: str
    names: tuple[str, ...]
    #: the shared root below its hosts
    root: str
    #: the process whose end makes the scenario stale; without one it stays until somebody takes it down
    owner: machine.Process | None = None
    hosts: tuple[Host, ...] = ()

    @property
    def network(self) -> network.Network:
        """Its addresses."""
        return network.Network(self.number)

    def __getitem__(self, name: str) -> Host:
        for host in self.hosts:
            if host.name == name:
                return host
        raise HostError(f"scenario {self.key} has no host {name}; it has: {', '.join(self.names)}")

    def stale(self) -> bool:
        """Whether nobody wants it any more: its owner is gone, or the machine was started since."""
        return self.boot != machine.boot_id() or (self.owner is not None and not self.owner.alive())

    def inventory(self, groups: t.Mapping[str, t.Sequence[str]] | None = None) -> dict[str, t.Any]:
        """An inventory for Ansible; ``groups`` are hosts by group."""
        hosts = {
            host.name: {
                "ansible_connection": "community.docker.nsenter",
                "ansible_nsenter_pid": host.pid,
                "ansible_python_interpreter": "/usr/bin/python3",
                "testhost_address": host.address,
            }
            for host in self.hosts
        }
        inventory: dict[str, t.Any] = {
            "all": {"hosts": hosts, "vars": {"testhost_gateway": self.network.gateway, "testhost_scenario": self.key}}
        }
        for group, members in (groups or {}).items():
            inventory["all"].setdefault("children", {})[group] = {"hosts": {self[name].name: {} for name in members}}
        return inventory


def write_inventory(scenario: Scenario, path: Path, groups: t.Mapping[str, t.Sequence[str]] | None = None) -> Path:
    """Write the scenario's inventory for ``ansible-playbook -i``; returns ``path``."""
    path.write_text(yaml.safe_dump(scenario.inventory(groups), sort_keys=False), encoding="utf-8")
    return path


def _record(key: str) -> Path:
    return machine.STATE / f"{key}.json"


def write(scenario: Scenario) -> None:
    """Record a scenario, in one step."""
    path = _record(scenario.key)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(dataclasses.asdict(scenario), indent=1), encoding="utf-8")
    temporary.replace(path)


def _read(path: Path) -> Scenario:
    content = json.loads(path.read_text(encoding="utf-8"))
    hosts = tuple(
        Host(entry["name"], entry["address"], machine.Process(*entry["supervisor"])) for entry in content["hosts"]
    )
    owner = machine.Process(*content["owner"]) if content["owner"] else None
    content |= {"names": tuple(content["names"]), "owner": owner, "hosts": hosts}
    return Scenario(**content)


@contextlib.contextmanager
def _locked() -> t.Iterator[None]:
    with environment.locked(machine.STATE / "lock"):
        yield


def scenarios() -> list[Scenario]:
    """All that are recorded on this machine."""
    return [_read(path) for path in sorted(machine.STATE.glob("[!.]*.json"))]


def find(key: str) -> Scenario:
    """The recorded scenario ``key``; raises HostError when there is none."""
    path = _record(key)
    if not path.exists():
        raise HostError(f"there is no scenario {key}: testhosts.py up --scenario {key} NAME makes one")
    return _read(path)


def up(names: t.Sequence[str], key: str, owner: machine.Process | None = None, say: Say = print) -> Scenario:
    """Boot hosts of these names; returns when systemd has started in all and apt knows the offline repository."""
    _check(names, key)
    _need_root()
    environment.install_system_packages(["mmdebstrap", "systemd-nspawn", "ip"])
    base = packages.root(say)
    packages.repository(base, say)
    with _locked():
        _sweep(say)
        if _record(key).exists():
            raise HostError(
                f"scenario {key} is up: take it down first with testhosts.py down --scenario {key}, "
                "or name yours with --scenario"
            )
        number = network.free_number([scenario.number for scenario in scenarios()], network.routes())
        home = packages.folder() / "scenarios" / f"{number}-{key}"
        # Until it is ready it is this process's: killed half-way, it is stale.
        maker = machine.process(os.getpid())
        scenario = Scenario(key, number, str(home), machine.boot_id(), tuple(names), str(base), maker)
        write(scenario)
    try:
        with machine.timed(f"Booting {', '.join(names)} in {scenario.network.range}", say):
            # What an unrecorded scenario of this number left: the records are on a file system that forgets.
            _remove_resources(scenario)
            home.mkdir(parents=True)
            network.create(scenario.network, len(names))
            for index in range(len(names)):
                _prepare(scenario, index)
            scenario = _boot(scenario, names)
        scenario = dataclasses.replace(scenario, owner=owner)
        write(scenario)
    except BaseException:
        down(key)
        raise
    return scenario


def restart(key: str, names: t.Sequence[str] = (), say: Say = print) -> Scenario:
    """Shut hosts down in order and boot them again with what is on their disks; all when none is named."""
    _need_root()
    scenario = find(key)
    hosts = [scenario[name] for name in names or scenario.names]
    with machine.timed(f"Restarting {', '.join(host.name for host in hosts)}", say):
        for host in hosts:
            with contextlib.suppress(ProcessLookupError):
                os.kill(host.supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + SHUTDOWN_TIMEOUT
        while any(host.supervisor.alive() for host in hosts):
            if time.monotonic() > deadline:
                alive = ", ".join(host.name for host in hosts if host.supervisor.alive())
                raise HostError(f"not shut down after {SHUTDOWN_TIMEOUT} s: {alive}")
            time.sleep(0.05)
            _reap()
        scenario = _boot(scenario, [host.name for host in hosts])
    return scenario


def _need_root() -> None:
    if os.geteuid() != 0:
        raise HostError("test hosts need root: they are namespaces, bridges and mounts")


def _check(names: t.Sequence[str], key: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}", key):
        raise HostError(f"{key!r} is no name for a scenario: letters, digits, dots, dashes, 80 characters at most")
    if not names or len(set(names)) != len(names):
        raise HostError("name one host or several, each once")
    for name in names:
        if not NAME.fullmatch(name) or name == "localhost":
            raise HostError(f"{name!r} is no host name: small letters, digits and dashes")


def _control_groups(scenario: Scenario) -> list[Path]:
    roots = machine.control_group_roots(Path("/proc/mounts").read_text(encoding="utf-8"))
    return [root / f"frugal-{scenario.number}" for root in roots]


def _prepare(scenario: Scenario, index: int) -> None:
    """Make a host's folder: its own changes to the root begin with its name and its neighbours."""
    name = scenario.names[index]
    own = Path(scenario.folder) / name
    for part in ("changes/etc", "work", "root"):
        (own / part).mkdir(parents=True)
    etc = own / "changes" / "etc"
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{scenario.network.address(i)} {other}" for i, other in enumerate(scenario.names)]
    (etc / "hosts").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (etc / "hostname").write_text(f"{name}\n", encoding="utf-8")
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n", encoding="utf-8")
    # Files go with the host: dpkg need not wait for the disk.
    (etc / "dpkg" / "dpkg.cfg.d").mkdir(parents=True)
    (etc / "dpkg" / "dpkg.cfg.d" / "testhost").write_text("force-unsafe-io\n", encoding="utf-8")
    python = own / "changes" / "usr" / "lib" / "python3" / "dist-packages"
    python.mkdir(parents=True)
    shutil.copyfile(kept_bytecode.__file__, python / "testhost_kept_bytecode.py")
    (python / "testhost_kept_bytecode.pth").write_text(START, encoding="utf-8")


def _boot(scenario: Scenario, names: t.Sequence[str]) -> Scenario:
    """Start hosts of a prepared scenario and wait for them; returns the scenario with them."""
    hosts = {host.name: host for host in scenario.hosts}
    for name in names:
        hosts[name] = _start(scenario, scenario.names.index(name))
    scenario = dataclasses.replace(scenario, hosts=tuple(hosts[name] for name in scenario.names if name in hosts))
    write(scenario)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: _wait(scenario[name], Path(scenario.folder)), names))
    return scenario


def _start(scenario: Scenario, index: int) -> Host:
    """Start systemd-nspawn on a host's files, in control groups and a network namespace of the host's own."""
    name = scenario.names[index]
    own = Path(scenario.folder) / name
    groups = [root / name for root in _control_groups(scenario)]
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    # Not --suppress-sync: it answers EINVAL to an open with O_DSYNC, and databases (badger for one) do not start then.
    nspawn = [
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no"),
        f"--directory={own}/root",
        f"--machine=frugal-{scenario.number}-{index}",
        f"--hostname={name}",
        f"--network-namespace-path=/run/netns/{scenario.network.namespace(index)}",
        f"--bind-ro={packages.repository_folder()}:{packages.REPOSITORY_MOUNT}",
        f"--bind-ro={packages.files()}:{packages.FILES_MOUNT}",
        f"--bind={packages.bytecode()}:{kept_bytecode.FOLDER}",
    ]
    # The mount is seen by systemd-nspawn alone and goes with it; what the machine unmounts later is unmounted here.
    words = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", LAUNCHER, "launcher"]
    words += [*map(str, groups), "--", scenario.root, str(own), *nspawn]
    with (own / "console.log").open("ab") as console:
        supervisor = subprocess.Popen(
            words,
            env={"PATH": os.environ.get("PATH", os.defpath), "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started.append(supervisor)
    return Host(name, scenario.network.address(index), machine.process(supervisor.pid))


def _reap() -> None:
    """Take note of ended supervisors that this process started."""
    _started[:] = [process for process in _started if process.poll() is None]


def _wait(host: Host, home: Path) -> None:
    """Wait until systemd has started all units, then let apt read the repository."""
    deadline = time.monotonic() + BOOT_TIMEOUT
    state = "nothing"
    while state not in {"running", "degraded"}:
        if time.monotonic() > deadline or not host.supervisor.alive():
            log = home / host.name / "console.log"
            end = log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
            raise HostError(f"host {host.name} did not start (systemd says {state}); the end of its console: {end}")
        time.sleep(0.1)
        with contextlib.suppress(HostError):
            state = host.run("systemctl", "is-system-running", check=False, timeout=30).strip() or "nothing"
    host.run("apt-get", "update", "-qq")


def down(key: str) -> bool:
    """Remove a scenario, in whatever state it is; returns whether there was one. Stale ones go with it."""
    with _locked():
        found = _record(key).exists()
        if found:
            _remove(_read(_record(key)))
        _sweep()
    return found


def sweep(say: Say = print) -> None:
    """Remove the scenarios that runs left which were killed."""
    with _locked():
        _sweep(say)


def _sweep(say: Say | None = None) -> None:
    for scenario in scenarios():
        if scenario.stale():
            if say:
                say(f"Removing scenario {scenario.key}, left by a run that was killed")
            _remove(scenario)


def _remove(scenario: Scenario) -> None:
    _remove_resources(scenario)
    _record(scenario.key).unlink(missing_ok=True)


def _remove_resources(scenario: Scenario) -> None:
    """Kill what runs in the scenario's control groups and remove all that its number names."""
    for group in _control_groups(scenario):
        _empty(group)
    _reap()
    network.remove(scenario.network)
    home = Path(scenario.folder)
    if home.exists():
        shutil.rmtree(home)


def _empty(group: Path) -> None:
    """Kill all processes below a control group and remove it."""
    deadline = time.monotonic() + 20
    while group.exists():
        for procs in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                for pid in procs.read_text(encoding="utf-8").split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        for path in sorted(group.rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                path.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
        if time.monotonic() > deadline:
            raise HostError(f"processes in {group} cannot be ended")
        time.sleep(0.02)


@contextlib.contextmanager
def running(*names: str, key: str = "", say: Say = print) -> t.Iterator[Scenario]:
    """Hosts for the length of a block: ``with running("mon1", "app1") as scenario: scenario["mon1"].run("id")``."""
    key = key or f"python-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    scenario = up(names, key, machine.process(os.getpid()), say)
    try:
        yield scenario
    finally:
        down(key)
