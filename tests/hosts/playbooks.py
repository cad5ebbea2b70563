# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks as an operator does, each in a process of its own, and tells what they said."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
_RESULT = re.compile(
    r"^(?P<state>ok|changed|fatal|failed|skipping): \[(?P<host>[^\]]+)\](?:: FAILED!)?"
    r"(?: => \(item=.*?\))?(?: =>)? (?P<result>\{.*\})$"
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a module returned for a task on a host."""

    task: str
    host: str
    state: str
    data: t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Ran:
    """A playbook that has ended; it was run with ``-v``, which prints each result on one line."""

    code: int
    output: str

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Counts of the recap by host."""
        recap = self.output.rpartition("PLAY RECAP")[2]
        return {
            match[1]: {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", match[2])}
            for match in re.finditer(r"^(\S+)\s+: (ok=.*)$", recap, re.MULTILINE)
        }

    @property
    def changed(self) -> int:
        """Tasks that changed something, on all hosts."""
        return sum(counts["changed"] for counts in self.recap.values())

    @property
    def changes(self) -> list[str]:
        """What changed: ``host: task``, in order."""
        found, task = [], ""
        for line in self.output.splitlines():
            if line.startswith("TASK ["):
                task = line[len("TASK [") :].partition("]")[0]
            elif line.startswith("changed: ["):
                found.append(f"{line[len('changed: [') :].partition(']')[0].partition(' -> ')[0]}: {task}")
        return found

    @property
    def results(self) -> list[Result]:
        """Results of all tasks, in order; tasks without the name of their role."""
        task = ""
        found: list[Result] = []
        for line in self.output.splitlines():
            if line.startswith("TASK ["):
                task = line.removeprefix("TASK [").partition("]")[0].rpartition(" : ")[2]
            match = _RESULT.match(line)
            if match:
                with contextlib.suppress(json.JSONDecodeError):
                    host = match["host"].partition(" -> ")[0]
                    found.append(Result(task, host, match["state"], json.loads(match["result"])))
        return found

    def of(self, beginning: str, host: str = "") -> t.Mapping[str, t.Any]:
        """The result of the last task whose name begins so."""
        found = [r for r in self.results if r.task.startswith(beginning) and host in ("", r.host)]
        assert found, f"no result of {beginning!r} in:\n{self.output}"
        return found[-1].data

    def task(self, name: str) -> t.Mapping[str, t.Any]:
        """The result of the task with this very name."""
        found = [r for r in self.results if r.task == name]
        assert found, f"no result of {name!r} in:\n{self.output}"
        return found[-1].data

    @property
    def failure(self) -> str:
        """The message of the only task that failed, without what ansible-core puts in front."""
        messages = {str(r.data["msg"]).rpartition("Module failed: ")[2] for r in self.results if r.state == "fatal"}
        assert len(messages) == 1, f"{len(messages)} failures in:\n{self.output}"
        return messages.pop()


@dataclasses.dataclass
class Operator:
    """A person with a folder, which holds ``inventory.yml`` and playbooks, and in it a data folder with a ledger.

    Nothing of the tester's own Ansible, home or ledger comes in. ``secrets`` must not be in any output.
    """

    folder: Path
    ledger: str = "ledger.db"
    secrets: tuple[str, ...] = ()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def environment(self) -> dict[str, str]:
        """The environment of the operator's processes."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "AWS_", "FRUGAL_"))}
        return {
            **kept,
            "HOME": str(self.folder),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
            "ANSIBLE_NOCOLOR": "true",
            "FRUGAL_DATA_DIR": str(self.data),
            "FRUGAL_LEDGER_URL": f"sqlite:///{self.data / self.ledger}",
        }

    def write(self, name: str, content: t.Any) -> Path:
        """Write a file into the folder, as YAML unless it is text already; returns its path."""
        path = self.folder / name
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    def play(self, playbook: str | Path, *words: str, timeout: float = 900, **variables: t.Any) -> Ran:
        """Run a playbook of the folder, or of a collection by its full name, to its end, however that is."""
        self.data.mkdir(exist_ok=True)
        done = subprocess.run(
            [
                *(str(BIN / "ansible-playbook"), str(playbook), "-v", "-i", "inventory.yml"),
                *(("-e", json.dumps(variables)) if variables else ()),
                *words,
            ],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        shown = [secret for secret in self.secrets if secret in done.stdout]
        assert not shown, f"a secret is in the output of {playbook}"
        assert "Traceback" not in done.stdout, done.stdout
        return Ran(done.returncode, done.stdout)

    def good(self, playbook: str | Path, *words: str, timeout: float = 900, **variables: t.Any) -> Ran:
        """Run a playbook that must succeed."""
        ran = self.play(playbook, *words, timeout=timeout, **variables)
        assert ran.code == 0, ran.output[-8000:]
        return ran
