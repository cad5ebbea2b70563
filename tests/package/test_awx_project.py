# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository works as an AWX project: AWX lists the playbooks of a checkout and runs them by path.

AWX cannot choose a collection's playbook by its full name, so this is how it is used there. The tests do
what AWX does with a project: clone it, install collections/requirements.yml from the project's folder,
list the files that look like playbooks, and run them with the collection path that it composes.
"""

from __future__ import annotations

import re
import subprocess
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
#: what AWX takes for a playbook, and folders that it never looks into (awx/main/utils/ansible.py)
LOOKS_LIKE_PLAYBOOK = re.compile(r"^\s*?-?\s*?(?:hosts|include|import_playbook|ansible.builtin.import_playbook):")
SKIPPED_FOLDERS = {"roles", "tasks", "group_vars", "host_vars"}


@pytest.fixture(scope="module")
def project(command: t.Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the checkout as it is now, uncommitted files included."""
    folder = tmp_path_factory.mktemp("awx") / "project"
    source = tmp_path_factory.mktemp("source")
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.com", "-c", "core.hooksPath=/dev/null")
    command("git", "init", "-q", source)
    command("git", "-C", source, "add", "-A")
    command("git", "-C", source, *who, "commit", "-q", "-m", "As it is now")
    command("git", "clone", "-q", source, folder)
    return folder


@pytest.fixture(scope="module")
def collections(project: Path, command: t.Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The collection path that AWX gives to jobs of the project after it synchronised it."""
    folder = tmp_path_factory.mktemp("requirements_collections")
    for requirements in ("collections/requirements.yml", "requirements.yml"):
        command(
            *("ansible-galaxy", "collection", "install", "-r", project / requirements, "--offline"),
            *("--collections-path", folder),
            cwd=project,
            ANSIBLE_COLLECTIONS_PATH=folder,
        )
    assert (folder / "ansible_collections" / "frugal" / "cloud" / "MANIFEST.json").is_file()
    return f"{folder}:~/.ansible/collections:/usr/share/ansible/collections"


def test_awx_lists_every_playbook_and_nothing_else_of_ours(project: Path) -> None:
    seen = set()
    for path in project.rglob("*.y*ml"):
        folders = path.relative_to(project).parts[:-1]
        if SKIPPED_FOLDERS & set(folders) or any(part.startswith(".") for part in folders):
            continue
        if any(LOOKS_LIKE_PLAYBOOK.match(line) for line in path.read_text(encoding="utf-8").splitlines()):
            seen.add(path.relative_to(project).as_posix())
    assert {f"playbooks/{name}" for name in PLAYBOOKS} <= seen
    strangers = {name for name in seen if not name.startswith(("playbooks/", "tests/", "extensions/"))}
    assert not strangers, "AWX would offer these as playbooks"


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_playbook_runs_from_the_project(project: Path, collections: str, command: t.Any, name: str) -> None:
    """Every role and module that the playbook names by its full name is found."""
    command(
        *("ansible-playbook", f"playbooks/{name}", "--syntax-check", "-i", "localhost,"),
        cwd=project,
        ANSIBLE_COLLECTIONS_PATH=collections,
    )


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_playbook_runs_from_a_checkout_that_make_set_up(project: Path, command: t.Any, name: str) -> None:
    """ansible.cfg points to build/root, which make setup links to the checkout."""
    link = project / "build" / "root" / "ansible_collections" / "frugal" / "cloud"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(project)
    command("ansible-playbook", f"playbooks/{name}", "--syntax-check", "-i", "localhost,", cwd=project)
