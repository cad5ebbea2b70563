# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors the checkout to where ansible-test wants it: a real folder ansible_collections/frugal/cloud.

ansible-test resolves its working directory, so a symbolic link does not do. What git tracks or would
track is copied, what is gone is removed, and the collections that ours depends on are linked beside it
from the ansible package. ``workspace.py build/workspace`` prints the mirrored collection's folder.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
#: what ansible-test writes into the mirror, kept from run to run
KEPT = ("tests/output/", ".git/")


def tracked_files(checkout: Path) -> list[str]:
    """Every file that git tracks or would track, relative to ``checkout``; deleted ones left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=checkout, capture_output=True, check=True
    )
    names = {os.fsdecode(name) for name in listing.stdout.split(b"\0") if name}
    return sorted(name for name in names if os.path.lexists(checkout / name))


def mirror(checkout: Path, root: Path) -> Path:
    """Make ``root``/ansible_collections/frugal/cloud equal to ``checkout``; returns that folder."""
    target = root / "ansible_collections" / "frugal" / "cloud"
    target.mkdir(parents=True, exist_ok=True)
    if not (target / ".git").exists():
        subprocess.run(["git", "init", "-q", str(target)], check=True)
    wanted = tracked_files(checkout)
    for name in wanted:
        _copy(checkout / name, target / name)
    _prune(target, set(wanted))
    for dependency in dependencies(checkout):
        _link_dependency(root, dependency)
    return target


def _copy(source: Path, target: Path) -> None:
    try:
        before, now = target.lstat(), source.lstat()
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
    else:
        same = (before.st_size, before.st_mtime_ns, before.st_mode) == (now.st_size, now.st_mtime_ns, now.st_mode)
        if same and not source.is_symlink():
            return
        target.unlink()
    shutil.copy2(source, target, follow_symlinks=False)


def _prune(target: Path, wanted: set[str]) -> None:
    for folder, _folders, names in os.walk(target, topdown=False):
        relative = os.path.relpath(folder, target)
        prefix = "" if relative == "." else f"{relative}/"
        if prefix.startswith(KEPT):
            continue
        for name in names:
            if prefix + name not in wanted:
                os.unlink(os.path.join(folder, name))
        if prefix and not os.listdir(folder):
            os.rmdir(folder)


def dependencies(checkout: Path) -> list[str]:
    """Collections that ours needs: galaxy.yml's, and what requirements.yml adds for tests and roles."""
    galaxy = yaml.safe_load((checkout / "galaxy.yml").read_text(encoding="utf-8"))
    names = set(galaxy.get("dependencies") or {})
    requirements = checkout / "requirements.yml"
    if requirements.exists():
        listed = yaml.safe_load(requirements.read_text(encoding="utf-8")) or {}
        names |= {entry if isinstance(entry, str) else entry["name"] for entry in listed.get("collections") or []}
    names.discard("frugal.cloud")
    return sorted(names)


def bundled_collections() -> Path:
    """The folder ansible_collections that the ansible package brings."""
    import ansible_collections

    for entry in ansible_collections.__path__:
        if (Path(entry) / "amazon" / "aws").is_dir():
            return Path(entry)
    raise SystemExit("error: the ansible package is not installed here: run make setup first")


def _link_dependency(root: Path, name: str) -> None:
    namespace, collection = name.split(".")
    source = bundled_collections() / namespace / collection
    if not source.is_dir():
        raise SystemExit(f"error: requirements.yml names {name}, which the ansible package does not bring")
    link = root / "ansible_collections" / namespace / collection
    link.parent.mkdir(parents=True, exist_ok=True)
    if not (link.is_symlink() and Path(os.readlink(link)) == source):
        link.unlink(missing_ok=True)
        link.symlink_to(source)


def provide_get_pip(home: Path) -> None:
    """Put our stand-in where ansible-test, run with this home folder, looks for its downloaded get-pip."""
    import ansible_test._internal as internal

    source = Path(t.cast(str, internal.__file__)).with_name("python_requirements.py").read_text(encoding="utf-8")
    found = re.search(r"pip='([0-9.]+)'", source)
    if found is None:
        raise SystemExit("error: this version of ansible-test names no version of pip: look at workspace.py")
    target = home / ".ansible" / "test" / "cache" / f"get_pip_{found[1].replace('.', '_')}.py"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Several tiers and clones may do this at once: each writes a file of its own and moves it into place.
    handle, temporary = tempfile.mkstemp(dir=target.parent)
    with open(handle, "wb") as file:
        file.write(Path(__file__).with_name("get_pip.py").read_bytes())
    os.replace(temporary, target)


def main() -> int:
    parser = argparse.ArgumentParser(description="Mirror the checkout for ansible-test.")
    parser.add_argument("root", type=Path, nargs="?", default=ROOT / "build" / "workspace")
    options = parser.parse_args()
    print(mirror(ROOT, options.root.resolve()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
