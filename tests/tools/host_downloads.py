# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches what roles install on test hosts and Debian does not have: ``host_downloads.py wheels java node``.

All of it is pinned with checksums in the checkout: Python wheels by requirements files, OpenTelemetry's Java
agent by the defaults of role otel_instrumentation, its Node packages by ``tests/node/package-lock.json``. It
goes to ``$FRUGAL_CACHE/hosts/files``, which test hosts see as ``/srv/frugal``, and is fetched once.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import environment
import yaml

ROOT = Path(__file__).resolve().parents[2]
INSTRUMENTATION = ROOT / "roles" / "otel_instrumentation"
WHEEL_LISTS = (
    ROOT / "tests" / "requirements" / "sample_service.txt",
    ROOT / "tests" / "requirements" / "reference_site.txt",
    INSTRUMENTATION / "files" / "python.txt",
)
NODE = ROOT / "tests" / "node"
#: the Python of Debian 12, which test hosts run
HOST_PYTHON = "3.11"
MAVEN = "https://repo1.maven.org/maven2/io/opentelemetry/javaagent/opentelemetry-javaagent"


def files() -> Path:
    """The folder that test hosts see as /srv/frugal."""
    return environment.cache() / "hosts" / "files"


def wheels() -> None:
    """Python packages for test hosts, as wheels in ``wheels``."""
    target = files() / "wheels"
    pins = b"".join(path.read_bytes() for path in WHEEL_LISTS)
    done = target / f".{hashlib.sha256(pins).hexdigest()[:12]}"
    if done.exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    machine = platform.machine()
    for path in WHEEL_LISTS:
        print(f"Fetching the wheels of {path.relative_to(ROOT)}", flush=True)
        _run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--only-binary=:all:", "--python-version", HOST_PYTHON),
                *("--implementation", "cp", "--dest", str(target), "-r", str(path)),
                *("--platform", f"manylinux2014_{machine}", "--platform", f"manylinux_2_28_{machine}"),
            ]
        )
    done.touch()


def java() -> None:
    """OpenTelemetry's Java agent, in ``java``."""
    defaults = yaml.safe_load((INSTRUMENTATION / "defaults" / "main.yml").read_text(encoding="utf-8"))
    version = defaults["otel_instrumentation_java_version"]
    expected = defaults["otel_instrumentation_java_checksum"].removeprefix("sha256:")
    target = files() / "java" / f"opentelemetry-javaagent-{version}.jar"
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == expected:
        return
    url = f"{MAVEN}/{version}/{target.name}"
    print(f"Fetching {url}", flush=True)
    try:
        with urllib.request.urlopen(url, timeout=120) as reply:
            content = reply.read()
    except (urllib.error.URLError, TimeoutError) as error:
        raise environment.SetupError(f"{url} cannot be fetched: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise environment.SetupError(f"{url} has the checksum sha256:{found}, sha256:{expected} is pinned")
    _replace(target, content)


def node() -> None:
    """OpenTelemetry's packages for Node, as one archive with its sha256 in ``node``."""
    package = NODE / "package.json"
    version = yaml.safe_load(package.read_text(encoding="utf-8"))["version"]
    target = files() / "node" / f"opentelemetry-node-{version}.tar.gz"
    pins = hashlib.sha256(package.read_bytes() + (NODE / "package-lock.json").read_bytes()).hexdigest()[:12]
    done = target.parent / f".{pins}"
    if done.exists() and target.is_file():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise environment.SetupError("there is no npm on this machine: install it, on Debian with apt-get install npm")
    print(f"Fetching the Node packages of {package.relative_to(ROOT)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for path in (package, NODE / "package-lock.json"):
            shutil.copy(path, folder)
        _run([npm, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=Path(folder))
        archive = Path(folder) / target.name
        pack(archive, Path(folder) / "node_modules")
        content = archive.read_bytes()
    _replace(target, content)
    _replace(target.with_name(f"{target.name}.sha256"), f"{hashlib.sha256(content).hexdigest()}\n".encode())
    done.touch()


def pack(archive: Path, folder: Path) -> None:
    """Write ``folder`` as a gzip'ed tar that depends on nothing but names and content."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = "root"
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        # tarfile sorts what is in a folder
        tar.add(folder, folder.name, filter=plain)


def _replace(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.{os.getpid()}")
    new.write_bytes(content)
    new.chmod(0o644)
    new.replace(target)


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise environment.SetupError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-2000:]}")


KINDS: t.Mapping[str, t.Callable[[], None]] = {"wheels": wheels, "java": java, "node": node}


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch what roles install on test hosts.")
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help="all where none is named")
    options = parser.parse_args()
    for kind in options.kinds or KINDS:
        started = time.monotonic()
        try:
            with environment.locked(files() / f".{kind}.lock"):
                KINDS[kind]()
        except environment.SetupError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(f"{kind}: {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
