# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts are made of: a Debian 12 root file system and an offline package repository, made once.

Both live in ``$FRUGAL_CACHE/hosts`` and are shared by clones and scenarios. The root's folder is named after
a digest of its recipe. The repository only grows: what a line of ``packages.txt`` needs is downloaded from the
machine's own Debian sources when the line is new, and apt checks signatures and sums as it does it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import typing as t
from pathlib import Path

from ansible_collections.frugal.cloud.tests.hosts import machine
from ansible_collections.frugal.cloud.tests.tools import environment

SUITE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LIST = Path(__file__).resolve().parent / "packages.txt"
#: where hosts see the repository, and the folder of files that roles fetch
REPOSITORY_MOUNT = "/srv/packages"
FILES_MOUNT = "/srv/frugal"
#: what a plain Debian server has and Ansible needs (python3-apt cannot be installed in check mode)
ROOT_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "libnss-systemd", "udev", "init"),
    *("apt", "gnupg", "ca-certificates", "debian-archive-keyring", "openssl", "netbase", "adduser", "passwd"),
    *("python3", "python3-apt", "python3-debian", "sudo", "acl", "procps", "psmisc", "iproute2", "iputils-ping"),
    *("curl", "tar", "gzip", "bzip2", "xz-utils", "zstd", "unzip", "less", "logrotate", "cron", "tzdata"),
)
#: services that make no sense in a namespace: the network is ready, time and consoles are the machine's
MASKED = (
    *("console-getty.service", "getty.target", "systemd-timesyncd.service", "apt-daily.timer"),
    *("apt-daily-upgrade.timer", "systemd-networkd.service", "systemd-networkd-wait-online.service"),
    *("e2scrub_all.timer", "fstrim.timer", "systemd-resolved.service", "systemd-udev-trigger.service"),
)
ROOT_SCRIPT = f"""\
set -e
cd "$1"
echo 'deb [trusted=yes] file:{REPOSITORY_MOUNT} ./' > etc/apt/sources.list
rm -f etc/apt/sources.list.d/* etc/resolv.conf etc/hostname
touch etc/resolv.conf
mkdir -p .{REPOSITORY_MOUNT} .{FILES_MOUNT}
echo 'Acquire::Languages "none";' > etc/apt/apt.conf.d/90testhost
for unit in {" ".join(MASKED)}; do ln -sf /dev/null "etc/systemd/system/$unit"; done
"""

Say = t.Callable[[str], None]


def folder() -> Path:
    """Everything about hosts in the cache."""
    return environment.cache() / "hosts"


def files() -> Path:
    """Files that hosts see read-only below /srv/frugal."""
    path = folder() / "files"
    path.mkdir(parents=True, exist_ok=True)
    return path


def bytecode() -> Path:
    """Bytecode of the modules that Ansible sends to hosts; see ``kept_bytecode.py``."""
    path = folder() / "bytecode"
    path.mkdir(parents=True, exist_ok=True)
    return path


def repository_folder() -> Path:
    """The offline repository."""
    return folder() / f"repository-{SUITE}"


def listed(text: str) -> list[str]:
    """The packages of ``packages.txt``: a name a line, ``#`` begins a comment; sorted, each once."""
    names = set()
    for number, line in enumerate(text.splitlines(), 1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+(=[A-Za-z0-9.+:~-]+)?", name):
            raise machine.HostError(f"packages.txt line {number}: {name!r} is no Debian package name")
        names.add(name)
    return sorted(names)


def debian_sources(texts: t.Iterable[str], suite: str = SUITE) -> list[str]:
    """One-line entries for a Debian suite, out of the machine's own apt sources (both formats).

    Deb822 stanzas and one-line entries that name the suite, its updates or its security updates count, so that
    a mirror or proxy that the machine uses is used here. Without any, Debian's own addresses.
    """
    entries: dict[str, None] = {}

    def add(uri: str, name: str, components: str) -> None:
        if name in {suite, f"{suite}-updates", f"{suite}-security"} and "main" in components.split():
            entries[f"deb [signed-by={KEYRING}] {uri.rstrip('/')} {name} main"] = None

    for text in texts:
        for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
            fields = {k.lower(): v for k, v in re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza)}
            if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
                continue
            for uri in fields.get("uris", "").split():
                for name in fields.get("suites", "").split():
                    add(uri, name, fields.get("components", ""))
        for uri, name, components in re.findall(r"(?m)^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$", text):
            add(uri, name, components)
    if not any(entry.split()[-2] == suite for entry in entries):
        return [
            f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main",
            f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite}-updates main",
            f"deb [signed-by={KEYRING}] http://deb.debian.org/debian-security {suite}-security main",
        ]
    return list(entries)


def sources() -> list[str]:
    """``debian_sources`` of this machine."""
    etc = Path("/etc/apt")
    paths = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    found = [path for path in paths if path.is_file() and path.suffix in {".list", ".sources"}]
    return debian_sources(path.read_text(encoding="utf-8") for path in found)


def root_digest() -> str:
    """Names the root: another recipe is another root."""
    recipe = "\n".join([SUITE, *ROOT_PACKAGES, ROOT_SCRIPT])
    return hashlib.sha256(recipe.encode()).hexdigest()[:10]


def root(say: Say = print) -> Path:
    """The root file system that all hosts share below their own changes; built when it is not there yet."""
    path = folder() / f"root-{SUITE}-{root_digest()}"
    if path.exists():
        return path
    environment.install_system_packages(["mmdebstrap"])
    with environment.locked(folder() / "root.lock"):
        if path.exists():
            return path
        building = folder() / f"building-{path.name}"
        _remove_tree(building)
        with machine.timed(f"Building the hosts' Debian root in {path}, once", say):
            script = folder() / "root-script.sh"
            script.write_text(ROOT_SCRIPT, encoding="utf-8")
            machine.run(
                *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--quiet"),
                f"--include={','.join(ROOT_PACKAGES)}",
                f'--customize-hook=sh {script} "$1"',
                *(SUITE, str(building), *sources()),
                timeout=1800,
                DEBIAN_FRONTEND="noninteractive",
            )
            building.rename(path)
    return path


def _remove_tree(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def repository(base: Path, say: Say = print) -> Path:
    """The offline repository, holding what every line of ``packages.txt`` needs on top of the root ``base``."""
    path = repository_folder()
    record = path / "resolved.json"
    wanted = listed(LIST.read_text(encoding="utf-8"))
    if not missing(wanted, _resolved(record), base.name):
        return path
    with environment.locked(folder() / "repository.lock"):
        resolved = _resolved(record)
        todo = missing(wanted, resolved, base.name)
        if not todo:
            return path
        with machine.timed(f"Adding {len(todo)} packages to the hosts' offline repository in {path}", say):
            pool = path / "pool"
            (pool / "partial").mkdir(parents=True, exist_ok=True)
            apt = _apt(path, pool, base)
            try:
                machine.run(*apt, "update", timeout=600)
                for name in todo:
                    _download(apt, name)
                    resolved.setdefault(base.name, []).append(name)
            finally:
                # What came before a failure is there for the next try, and in the index for those who need only that.
                index(path, pool)
                _replace(record, json.dumps(resolved, indent=1, sort_keys=True))
    return path


def missing(wanted: t.Sequence[str], resolved: t.Mapping[str, t.Sequence[str]], base: str) -> list[str]:
    """Which packages have not been looked up for this root yet."""
    known = set(resolved.get(base, ()))
    return [name for name in wanted if name not in known]


def _resolved(record: Path) -> dict[str, list[str]]:
    if not record.exists():
        return {}
    return t.cast(dict[str, list[str]], json.loads(record.read_text(encoding="utf-8")))


def _apt(path: Path, pool: Path, base: Path) -> tuple[str, ...]:
    """apt-get that knows the root's installed packages and Debian's sources, and nothing of this machine's."""
    state = path / "apt"
    for name in ("state/lists/partial", "cache"):
        (state / name).mkdir(parents=True, exist_ok=True)
    listing = state / "sources.list"
    listing.write_text("\n".join(sources()) + "\n", encoding="utf-8")
    settings = {
        "Dir::State": state / "state",
        "Dir::State::status": base / "var/lib/dpkg/status",
        "Dir::State::extended_states": state / "extended_states",
        "Dir::Cache": state / "cache",
        "Dir::Cache::archives": pool,
        "Dir::Etc::SourceList": listing,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "true",
        "APT::Keep-Downloaded-Packages": "true",
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]
    return ("apt-get", "-q", "-y", *options)


def _download(apt: tuple[str, ...], name: str) -> None:
    try:
        machine.run(*apt, "install", "--download-only", name, timeout=1800)
    except machine.HostError as error:
        if "Unable to locate package" in str(error) or "has no installation candidate" in str(error):
            raise machine.HostError(f"packages.txt: Debian {SUITE} has no package {name!r}") from None
        raise machine.HostError(f"packages.txt: {name!r} cannot be downloaded: {error}") from None


def index(path: Path, pool: Path) -> None:
    """Write the repository's Packages file; each archive is read once and remembered beside it."""
    stanzas = []
    for archive in sorted(pool.glob("*.deb")):
        remembered = pool / f"{archive.name}.stanza"
        if not remembered.exists():
            control = machine.run("dpkg-deb", "--field", archive).rstrip("\n")
            content = archive.read_bytes()
            _replace(
                remembered,
                f"{control}\nFilename: ./pool/{archive.name}\nSize: {len(content)}\n"
                f"SHA256: {hashlib.sha256(content).hexdigest()}\n",
            )
        stanzas.append(remembered.read_text(encoding="utf-8"))
    _replace(path / "Packages", "\n".join(stanzas))


def _replace(path: Path, text: str) -> None:
    """Write a file in one step: hosts read the repository while it grows."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
