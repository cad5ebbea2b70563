# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of SLOs: declarations read, rules and unit tests rendered, checked by promtool, put in place.

Runs on managed hosts: standard library only, Python 3.9 or later. Declarations in YAML files need PyYAML.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import slo_rules, slo_tests
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import Slo, SloError, parse_all
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_burn import window_name
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_yaml import to_yaml
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import (
    Change,
    FolderRights,
    HostError,
    Transaction,
    Wanted,
    changes_for,
    locked,
    recover,
)

#: The first words of every file that this makes: only such files are purged.
MARK = "# Made by frugal.cloud.slo"
#: Seconds that promtool may take for one call.
TIMEOUT = 300


@dataclasses.dataclass(frozen=True)
class Rendered:
    """The two files of an SLO; ``tests`` is '' where no test could be made."""

    slo: Slo
    rules: str
    tests: str

    @property
    def rules_name(self) -> str:
        """Name of the rule file."""
        return f"slo-{self.slo.name}.yml"

    @property
    def tests_name(self) -> str:
        """Name of the file of unit tests."""
        return f"slo-{self.slo.name}_test.yml"


@dataclasses.dataclass(frozen=True)
class Rights:
    """Owner, group (-1: as it comes) and mode of files."""

    uid: int = -1
    gid: int = -1
    mode: int = 0o644


def read_declarations(paths: Sequence[str]) -> list[t.Any]:
    """The declarations in JSON or YAML files: a list of them, or a mapping with the list in ``slos``.

    :raises SloError: one sentence about the file that cannot be used.
    """
    found: list[t.Any] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise SloError(f"paths has {path}, which cannot be read: {error}") from None
        content = _parsed(path, text)
        listed = content.get("slos") if isinstance(content, dict) and "slos" in content else content
        if isinstance(listed, dict):
            listed = [listed]
        if not isinstance(listed, list):
            raise SloError(f"paths has {path}, which holds no list of SLOs")
        found += listed
    return found


def _parsed(path: str, text: str) -> t.Any:
    try:
        return json.loads(text)
    except ValueError:
        if path.endswith(".json"):
            raise SloError(f"paths has {path}, which is no JSON") from None
    try:
        return deps.yaml.safe_load(text)
    except deps.yaml.YAMLError as error:
        raise SloError(f"paths has {path}, which is no YAML: {' '.join(str(error).split())}") from None


def render(
    declarations: Sequence[t.Any], *, interval: int, runbook_base_url: str = "", dest: str = "", tests_dest: str = ""
) -> list[Rendered]:
    """Check the declarations and render their files. The tests name the rules as seen from ``tests_dest``."""
    rendered = []
    for slo in parse_all(declarations, interval=interval, runbook_base_url=runbook_base_url):
        groups = slo_rules.groups(slo)
        about = f"{MARK[2:]}: change the declaration of SLO {slo.name}, not this file."
        rules = to_yaml({"groups": [group.to_dict() for group in groups]}, about)
        name = f"slo-{slo.name}.yml"
        if tests_dest:
            name = os.path.relpath(os.path.join(dest, name), tests_dest)
        tests = slo_tests.unit_tests(slo, groups, name)
        rendered.append(Rendered(slo, rules, to_yaml(tests, about) if tests["tests"] else ""))
    return rendered


def notes(rendered: Sequence[Rendered]) -> list[str]:
    """Sentences on thresholds that were lowered and tests that could not be made."""
    return [note for item in rendered for note in (*item.slo.notes(), *slo_tests.notes(item.slo))]


def summary(slo: Slo) -> dict[str, t.Any]:
    """What an SLO's alerts are, as data."""
    return {
        "name": slo.name,
        "service": slo.service,
        "objective": float(slo.objective * 100),
        "window": window_name(slo.period),
        "error_budget": float(slo.budget),
        "conditions": [
            {
                "severity": burn.severity,
                "long": window_name(burn.long),
                "short": window_name(burn.short),
                "factor": burn.factor,
                "threshold": burn.threshold,
            }
            for burn in slo.burns
        ],
    }


# promtool


def find_promtool(given: str) -> str:
    """Where promtool is: the path that was given, else the one in PATH, else ''.

    :raises SloError: when the one that was given is not there.
    """
    found = shutil.which(given or "promtool")
    if given and not found:
        raise SloError(f"promtool is {given!r}: there is no such program")
    return found or ""


def validate(promtool: str, rendered: Sequence[Rendered], *, run_tests: bool) -> None:
    """Let promtool check the rules and run their tests.

    :raises SloError: with promtool's own words, for the first SLO that it refuses.
    """
    with tempfile.TemporaryDirectory(prefix="frugal-slo-") as folder:
        for item in rendered:
            for name, text in ((item.rules_name, item.rules), (item.tests_name, _beside(item))):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
        steps = [("check", "rules", [item.rules_name for item in rendered])]
        if run_tests:
            steps.append(("test", "rules", [item.tests_name for item in rendered if item.tests]))
        for verb, noun, names in steps:
            if not names or _ask(promtool, [verb, noun, *names], folder) is None:
                continue
            for item, name in zip(rendered, [*names] if verb == "check" else [one.tests_name for one in rendered]):
                said = _ask(promtool, [verb, noun, name], folder) if name in names else None
                if said is not None:
                    raise SloError(f"SLO {item.slo.name}: promtool {verb} {noun} refuses what came of it: {said}")


def _beside(item: Rendered) -> str:
    """The tests, with the rules in the same folder."""
    tests = slo_tests.unit_tests(item.slo, slo_rules.groups(item.slo), item.rules_name)
    return to_yaml(tests)


def _ask(promtool: str, arguments: Sequence[str], folder: str) -> str | None:
    """None when promtool agrees, else what it says, on one line."""
    try:
        done = subprocess.run(
            [promtool, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not answer within {TIMEOUT} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines()]
    said = [line for line in lines if line and not line.startswith(("Checking ", "Unit Testing:", "FAILED", "SUCCESS"))]
    return " ".join(said)[:1000] or f"exit code {done.returncode}"


# Files


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder and the files that belong into it."""

    path: str
    files: dict[str, str]
    purge: str = ""


def changes(folder: Folder, rights: Rights) -> tuple[Change, ...]:
    """What differs. With ``purge`` (a pattern) files that this module made and that are not listed go."""
    wanted = [
        Wanted(os.path.join(folder.path, name), text.encode(), None, rights.mode, rights.uid, rights.gid)
        for name, text in folder.files.items()
    ]
    found = changes_for(folder.path, wanted, [folder.purge] if folder.purge else [])
    return tuple(
        change for change in found if change.wanted is not None or change.found.content.startswith(MARK.encode())
    )


def publish(folder: Folder, rights: Rights, *, check: bool) -> tuple[Change, ...]:
    """Make the folder as it shall be: all files or none. With ``check`` nothing is changed.

    :raises HostError: when the folder cannot be written; the previous files are in place.
    """
    if check:
        return changes(folder, rights)
    try:
        with locked(folder.path):
            recover(folder.path)
            found = changes(folder, rights)
            if found:
                transaction = Transaction(folder.path, found, FolderRights(uid=rights.uid, gid=rights.gid))
                transaction.stage()
                transaction.swap()
                transaction.commit()
            return found
    except OSError as error:
        raise HostError(f"{folder.path} is unchanged: {error}") from None
