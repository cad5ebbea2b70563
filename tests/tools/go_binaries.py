# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the Go programs that the test hosts run: ``go_binaries.py jaeger otelcol``, all where none is named.

A folder of ``tests/go`` is a Go module with its pins (``go.mod``, ``go.sum``) and ``build.toml``: which
packages become which programs, and what the linker sets. Programs are kept outside the checkout, in
``$FRUGAL_CACHE/bin/<name>-<digest>``, named after a hash of the module and of the Go that built it, so
that they are built once (Jaeger takes minutes) and again when a pin changes. Beside them is an archive
laid out as upstream's release is, which the test hosts see below ``/srv/frugal/bin`` with its checksum.

Standard library only.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import typing as t
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "tests" / "go"
#: seconds between two lines of progress
PROGRESS = 20.0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is built from one Go module."""

    name: str
    folder: Path
    version: str
    #: folder inside the archive, empty for none; may name ``{version}`` and ``{architecture}``
    archive_folder: str
    #: program -> Go package
    programs: t.Mapping[str, str]
    #: Go variable -> text that the linker sets
    variables: t.Mapping[str, str]

    @property
    def oldest_go(self) -> tuple[int, int]:
        """The Go that ``go.mod`` asks for, as (major, minor)."""
        found = re.search(r"^go (\d+)\.(\d+)", (self.folder / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
        if found is None:
            raise environment.SetupError(f"{self.folder / 'go.mod'} names no Go version")
        return int(found[1]), int(found[2])


@dataclasses.dataclass(frozen=True)
class Built:
    """Where a module's programs and their archive are."""

    folder: Path
    programs: t.Mapping[str, Path]
    archive: Path
    #: of the archive, hexadecimal
    sha256: str
    version: str


def names() -> list[str]:
    """The modules that can be built."""
    return sorted(path.parent.name for path in MODULES.glob("*/build.toml"))


def recipe(name: str) -> Recipe:
    """Read ``build.toml`` of the module ``name``."""
    path = MODULES / name / "build.toml"
    if not path.is_file():
        raise environment.SetupError(f"there is no Go module {name!r} in tests/go, only {', '.join(names())}")
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    version = content["version"]
    return Recipe(
        name=name,
        folder=path.parent,
        version=version,
        archive_folder=content["archive_folder"],
        programs=content["programs"],
        variables={key: value.format(version=version) for key, value in content.get("variables", {}).items()},
    )


def go_version(program: str, text: str, oldest: tuple[int, int]) -> str:
    """Check the answer of ``go version``; raises SetupError when it is too old."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < oldest:
        raise environment.SetupError(
            f"{program} is {text.strip() or 'not a Go that answers'!r}, too old: "
            f"Go {oldest[0]}.{oldest[1]} or later is needed"
        )
    return text.strip()


def _go(oldest: tuple[int, int]) -> tuple[str, str]:
    program = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if program is None:
        raise environment.SetupError(
            f"there is no Go on this machine: install Go {oldest[0]}.{oldest[1]} or later and put it on the PATH"
        )
    done = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    return program, go_version(program, done.stdout, oldest)


def digest(of: Recipe, go: str) -> str:
    """A hash of all that decides what is built: the module's files and the Go."""
    told = hashlib.sha256(go.encode())
    for path in sorted(path for path in of.folder.rglob("*") if path.suffix in {".go", ".mod", ".sum", ".toml"}):
        told.update(f"{path.relative_to(of.folder)}\0".encode() + path.read_bytes())
    return told.hexdigest()[:12]


def build(name: str) -> Built:
    """Build the module ``name`` where that has not been done yet."""
    of = recipe(name)
    go, version = _go(of.oldest_go)
    architecture = version.rsplit("/", 1)[-1]
    target = environment.cache() / "bin" / f"{name}-{digest(of, version)}"
    done = target / "built.json"
    with environment.locked(target.with_name(f"{target.name}.lock")):
        if not done.exists():
            temporary = target.with_name(f"{target.name}.new")
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            _compile(of, go, temporary)
            archive = temporary / f"{name}-{of.version}-linux-{architecture}.tar.gz"
            folder = of.archive_folder.format(version=of.version, architecture=architecture)
            pack(archive, folder, {program: temporary / program for program in of.programs})
            told = {"archive": archive.name, "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
            (temporary / done.name).write_text(json.dumps(told), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
        told = json.loads(done.read_text(encoding="utf-8"))
        built = Built(
            folder=target,
            programs={program: target / program for program in of.programs},
            archive=target / told["archive"],
            sha256=told["sha256"],
            version=of.version,
        )
        publish(built, environment.cache() / "hosts" / "files" / "bin")
    return built


def _compile(of: Recipe, go: str, target: Path) -> None:
    flags = " ".join(["-s", "-w", *(f"-X {key}={value}" for key, value in of.variables.items())])
    # Low priority: minutes of compiling leave the machine to the tests that run beside it.
    command = [
        *("nice", "-n", "10", go, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false"),
        *("-ldflags", flags),
    ]
    environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    started = time.monotonic()
    for program, package in of.programs.items():
        with subprocess.Popen(
            [*command, "-o", str(target / program), package],
            cwd=of.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines: list[str] = []
            said = time.monotonic()
            print(f"Building {program} {of.version} from tests/go/{of.name}", flush=True)
            for line in process.stdout:
                lines.append(line.rstrip())
                if time.monotonic() - said > PROGRESS:
                    said = time.monotonic()
                    print(f"  {program}: {len(lines)} lines, {said - started:.0f} s: {lines[-1]}", flush=True)
        if process.returncode:
            raise environment.SetupError(f"go build of {program} failed: " + "\n".join(lines[-15:]))
    print(f"{', '.join(of.programs)}: built in {time.monotonic() - started:.0f} s", flush=True)


def pack(archive: Path, folder: str, files: t.Mapping[str, Path]) -> None:
    """Write a gzip'ed tar that depends on nothing but its members' content."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            member = tarfile.TarInfo(f"{folder}/{name}" if folder else name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))


def publish(built: Built, target: Path) -> None:
    """Put the archive and its checksum where the test hosts see them; a reader never sees half a file."""
    target.mkdir(parents=True, exist_ok=True)
    checksum = target / f"{built.archive.name}.sha256"
    if checksum.is_file() and checksum.read_text(encoding="ascii").strip() == built.sha256:
        return
    new = target / f".{built.archive.name}.{os.getpid()}"
    shutil.copyfile(built.archive, new)
    _move(new, target / built.archive.name)
    new = target / f".{checksum.name}.{os.getpid()}"
    new.write_text(f"{built.sha256}\n", encoding="ascii")
    _move(new, checksum)


def _move(new: Path, path: Path) -> None:
    new.chmod(0o644)
    new.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the Go programs that the test hosts run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all where none is named")
    parser.add_argument("--json", action="store_true", help="print where the programs are, as JSON on the last line")
    options = parser.parse_args()
    built = {}
    try:
        for name in options.names or names():
            result = build(name)
            built[name] = {
                "version": result.version,
                "programs": {program: str(path) for program, path in result.programs.items()},
                "archive": result.archive.name,
                "sha256": result.sha256,
            }
            print(f"{name} {result.version} is in {result.folder}", flush=True)
    except environment.SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(built))
    return 0


if __name__ == "__main__":
    sys.exit(main())
