# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up what the make targets need, on a machine that has Python and Debian's packages only.

``environment.py dev`` makes the virtual environment that ``tests/requirements/dev.txt`` pins and
links ``build/dev`` to it. ``environment.py system`` installs missing Debian packages.

Environments live outside the checkout, in ``$FRUGAL_CACHE`` (default ``~/.cache/frugal-cloud``), named
after a hash of their pins and of the Python that made them: clones share them and a changed pin makes
a new one. Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "tests" / "requirements"
#: installs a hundred packages in seconds; pip does the same in minutes and is what remains where it fails
UV = "uv==0.13.9"
OLDEST_PYTHON = (3, 11)


class SetupError(Exception):
    """Something that a person has to do first, in one sentence."""


class SystemPackage(t.NamedTuple):
    """A Debian package, what needs it, and how its presence shows."""

    package: str
    purpose: str
    present: t.Callable[[], bool]


def _has_venv() -> bool:
    return importlib.util.find_spec("ensurepip") is not None and importlib.util.find_spec("venv") is not None


def _has_postgresql() -> bool:
    return shutil.which("initdb") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


SYSTEM_PACKAGES = {
    "venv": SystemPackage("python3-venv", "virtual environments", _has_venv),
    "git": SystemPackage("git", "the list of the collection's files", lambda: shutil.which("git") is not None),
    "ssh-keygen": SystemPackage(
        "openssh-client", "ansible-test's integration tests", lambda: shutil.which("ssh-keygen") is not None
    ),
    "chromium": SystemPackage("chromium", "the browser tests", lambda: shutil.which("chromium") is not None),
    "fonts": SystemPackage(
        "fonts-liberation", "text in the browser tests", lambda: any(Path("/usr/share/fonts").rglob("*.[to]tf"))
    ),
    "postgresql": SystemPackage("postgresql", "the ledger's tests on a real PostgreSQL", _has_postgresql),
    "prometheus": SystemPackage(
        "prometheus", "the tests with memory from a real Prometheus", lambda: shutil.which("promtool") is not None
    ),
    "alertmanager": SystemPackage(
        "prometheus-alertmanager", "alerts that a real Alertmanager routes", lambda: shutil.which("amtool") is not None
    ),
    "redis": SystemPackage(
        "redis-server", "the tests of Redis tuning on real servers", lambda: shutil.which("redis-server") is not None
    ),
    "varnish": SystemPackage(
        "varnish",
        "VCL that a real Varnish reads and varnishtest tests",
        lambda: shutil.which("varnishtest") is not None,
    ),
    "mmdebstrap": SystemPackage(
        "mmdebstrap", "the test hosts' root file system", lambda: shutil.which("mmdebstrap") is not None
    ),
    "systemd-nspawn": SystemPackage(
        "systemd-container", "test hosts with systemd", lambda: shutil.which("systemd-nspawn") is not None
    ),
    "ip": SystemPackage("iproute2", "the network between test hosts", lambda: shutil.which("ip") is not None),
    "java": SystemPackage(
        "default-jre-headless", "event-driven Ansible's rule engine", lambda: shutil.which("java") is not None
    ),
}


#: Debian starts these as soon as they are installed, and on all addresses; the tests start their own.
SERVICES = {
    "prometheus": "prometheus.service",
    "prometheus-alertmanager": "prometheus-alertmanager.service",
    "redis-server": "redis-server.service",
}
#: There where systemd is the machine's init.
SYSTEMD = Path("/run/systemd/system")


def cache() -> Path:
    """The folder outside the checkout that clones share."""
    return Path(os.environ.get("FRUGAL_CACHE") or Path.home() / ".cache" / "frugal-cloud")


@contextlib.contextmanager
def locked(path: Path) -> t.Iterator[None]:
    """Hold ``path`` as a lock: a second process waits, and the lock dies with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install_system_packages(names: t.Iterable[str]) -> None:
    """Install those of ``names`` (keys of SYSTEM_PACKAGES) that are missing, or say what to install."""
    missing = [SYSTEM_PACKAGES[name] for name in names if not SYSTEM_PACKAGES[name].present()]
    if not missing:
        return
    packages = " ".join(entry.package for entry in missing)
    why = "; ".join(f"{entry.package} for {entry.purpose}" for entry in missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(f"missing on this machine: {why}. Install them, on Debian with: apt-get install {packages}")
    print(f"Installing Debian packages: {why}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with locked(cache() / "apt.lock"):
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages.split()],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SetupError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    started = [SERVICES[entry.package] for entry in missing if entry.package in SERVICES]
    if started and SYSTEMD.is_dir():
        subprocess.run(["systemctl", "disable", "--quiet", "--now", *started], capture_output=True, check=False)


def virtual_environment(name: str) -> Path:
    """The environment that ``tests/requirements/<name>.txt`` pins, made when it is not there yet."""
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise SetupError(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old: "
            "Python 3.11 or later is needed, make PYTHON=python3.11 names one"
        )
    pins = REQUIREMENTS / f"{name}.txt"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    digest = hashlib.sha256(pins.read_bytes() + f"{sys.version}{sys.base_prefix}".encode()).hexdigest()[:10]
    path = cache() / f"{name}-{version}-{digest}"
    complete = path / ".complete"
    if complete.exists():
        return path
    install_system_packages(["venv"])
    with locked(path.with_name(f"{path.name}.lock")):
        if complete.exists():
            return path
        started = time.monotonic()
        print(f"Setting up Python packages in {path} (once)", flush=True)
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
        _install(path, pins)
        _compile(path)
        complete.touch()
        print(f"Python packages are set up, {time.monotonic() - started:.0f} s", flush=True)
    return path


def _install(path: Path, pins: Path) -> None:
    python = str(path / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    tried = subprocess.run([*pip, UV], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        command = [str(path / "bin" / "uv"), "pip", "install", "--quiet", "--python", python, "-r", str(pins)]
        environ = {**os.environ, "UV_CACHE_DIR": str(cache() / "uv")}
        # The machine's own certificates know a company's proxy; uv's own are there where the machine has none.
        for certificates in ("true", "false"):
            tried = subprocess.run(
                command,
                env={**environ, "UV_SYSTEM_CERTS": certificates},
                capture_output=True,
                text=True,
                check=False,
            )
            if tried.returncode == 0:
                return
    # A package index that only pip's own configuration knows, for one.
    print(f"uv could not install: {tried.stderr.strip()[-500:]}\nTrying pip, which takes minutes", flush=True)
    done = subprocess.run([*pip, "-r", str(pins)], check=False)
    if done.returncode:
        raise SetupError(f"pip could not install {pins.relative_to(ROOT)}: its message is above")


def _compile(path: Path) -> None:
    """Keep the packages' bytecode: tests start thousands of processes that import them.

    Ansible compiles collections itself, without keeping what it compiled.
    """
    for packages in path.glob("lib/python*/site-packages"):
        words = ["-m", "compileall", "-q", "-j", "0", "-x", "/(ansible_collections|tests?)/", str(packages)]
        # Some packages hold templates that are no Python; what cannot be compiled is compiled when it is needed.
        subprocess.run([str(path / "bin" / "python"), *words], capture_output=True, check=False)


def keep_bytecode(path: Path) -> None:
    """Modules that run on this machine are compiled once, not for every task; see ``tests/hosts/kept_bytecode.py``."""
    folder = cache() / "bytecode"
    folder.mkdir(parents=True, exist_ok=True)
    source = (ROOT / "tests" / "hosts" / "kept_bytecode.py").read_text(encoding="utf-8")
    for packages in path.glob("lib/python*/site-packages"):
        for name, text in (
            ("frugal_kept_bytecode.py", source),
            ("frugal_kept_bytecode.pth", f"import frugal_kept_bytecode; frugal_kept_bytecode.begin({str(folder)!r})\n"),
        ):
            file = packages / name
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                draft = file.with_name(f".{name}.{os.getpid()}")
                draft.write_text(text, encoding="utf-8")
                draft.replace(file)


def link(path: Path, target: Path) -> None:
    """Make ``path`` a symbolic link to ``target``, in one step so that nobody sees it missing."""
    if path.is_symlink() and os.readlink(path) == str(target):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.symlink_to(target)
    temporary.replace(path)


def link_collection() -> Path:
    """Let Python find the checkout as ansible_collections.frugal.cloud; returns the folder for PYTHONPATH."""
    root = ROOT / "build" / "root"
    link(root / "ansible_collections" / "frugal" / "cloud", ROOT)
    return root


def main() -> int:
    parser = argparse.ArgumentParser(description="Set up what the make targets need.")
    parser.add_argument("what", choices=[*sorted(p.stem for p in REQUIREMENTS.glob("*.txt")), "system"])
    parser.add_argument("--print", action="store_true", help="only print where the environment is")
    options = parser.parse_args()
    try:
        if options.what == "system":
            install_system_packages(SYSTEM_PACKAGES)
            return 0
        path = virtual_environment(options.what)
        if options.what == "dev":
            keep_bytecode(path)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    link(ROOT / "build" / options.what, path)
    link_collection()
    if options.print:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
