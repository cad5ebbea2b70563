# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy users get: the tarball holds what belongs, and works from a clean folder by full names."""

from __future__ import annotations

import json
import tarfile
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
INVENTORIES = sorted(path.stem for path in (ROOT / "plugins" / "inventory").glob("*.py"))
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))

#: folders and files at the top of the tarball; anything else is a leftover or belongs into build_ignore
BELONGS = {
    "CHANGELOG.rst",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "docs",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "requirements.txt",
    "requirements.yml",
    "roles",
    "tests",
}


def test_holds_only_what_belongs(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert {name.split("/")[0] for name in names} <= BELONGS
    assert {name for name in names if name.startswith("tests/")} == {"tests/config.yml"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".tar.gz"))]
    assert not [name for name in names if name.startswith("extensions/molecule")]


def test_holds_every_plugin_role_and_playbook(tarball: Path, root: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = set(archive.getnames())
    for folder in ("plugins", "roles", "playbooks", "meta"):
        present = {
            path.relative_to(root).as_posix()
            for path in (root / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert present <= names, f"missing: {sorted(present - names)}"


def test_is_small(tarball: Path) -> None:
    """Galaxy refuses more than 20 MB, and nobody waits for it."""
    assert tarball.stat().st_size < 2_000_000


@pytest.mark.parametrize(("kind", "names"), [("module", MODULES), ("inventory", INVENTORIES)])
def test_documentation_by_full_name(installed: Path, command: t.Any, kind: str, names: list[str]) -> None:
    if not names:
        pytest.skip(f"no {kind} in the checkout")
    wanted = [f"frugal.cloud.{name}" for name in names]
    done = command("ansible-doc", "-t", kind, "--json", *wanted, ANSIBLE_COLLECTIONS_PATH=installed)
    documented = json.loads(done.stdout)
    assert sorted(documented) == wanted
    for name, entry in documented.items():
        assert entry["doc"]["short_description"], name
        assert entry["examples"], f"{name} has no examples"


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_playbook_by_full_name(installed: Path, command: t.Any, name: str) -> None:
    command("ansible-playbook", f"frugal.cloud.{name}", "--syntax-check", ANSIBLE_COLLECTIONS_PATH=installed)


def test_execution_environment(installed: Path, command: t.Any, tmp_path: Path) -> None:
    """ansible-builder finds the collection's Python requirements and makes a build context of them."""
    folder = installed / "ansible_collections" / "frugal" / "cloud"
    about = folder / "extensions" / "execution-environment" / "execution-environment.yml"
    context = tmp_path / "context"
    command("ansible-builder", "create", "--file", about, "--context", context, cwd=tmp_path)
    assert (context / "Containerfile").is_file() or (context / "Dockerfile").is_file()

    introspected = command("ansible-builder", "introspect", "--sanitize", installed)
    found = yaml.safe_load(introspected.stdout.split("---", 1)[1])["python"]
    names = [line.split(">=")[0] for line in (folder / "requirements.txt").read_text().splitlines() if ">=" in line]
    # ansible-builder leaves out what ansible-core itself brings.
    wanted = [name for name in names if name != "PyYAML"]
    assert "boto3" in wanted
    for requirement in wanted:
        assert any(line.lower().startswith(requirement.lower()) for line in found), (requirement, found)
