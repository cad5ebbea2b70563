# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who installs Helm charts by playbooks on a control plane of the tests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.frugal.cloud.tests.kubernetes.control_plane import ControlPlane, ControlPlaneError, programs

ROOT = Path(__file__).resolve().parents[2]
CHARTS = ROOT / "tests" / "kubernetes" / "charts"
_Dict = dict[str, t.Any]


@dataclasses.dataclass
class Ran:
    """A playbook that has ended, as its JSON tells it."""

    code: int
    output: str
    content: _Dict

    @property
    def results(self) -> list[tuple[str, _Dict]]:
        """Task and result, in order."""
        return [
            (task["task"]["name"], result)
            for play in self.content["plays"]
            for task in play["tasks"]
            for result in task["hosts"].values()
        ]

    @property
    def changed(self) -> int:
        """Tasks that changed something."""
        return int(self.content["stats"]["localhost"]["changed"])

    def of(self, name: str) -> _Dict:
        """The last result of the task with this name."""
        found = [result for task, result in self.results if task.endswith(name)]
        assert found, f"no task {name!r} in:\n{self.output[-3000:]}"
        return found[-1]

    @property
    def failure(self) -> str:
        """What the only failure says."""
        found = [str(result["msg"]) for task, result in self.results if result.get("failed")]
        assert found, f"nothing failed in:\n{self.output[-3000:]}"
        return found[-1].removeprefix("Task failed: ").removeprefix("Action failed: ")


@dataclasses.dataclass
class Operator:
    """Somebody who runs playbooks against the cluster."""

    cluster: ControlPlane
    folder: Path
    charts: dict[str, Path]

    def chart(self, name: str) -> _Dict:
        """Options of the module for a packaged chart."""
        return {"chart": str(self.charts[name]), "checksum": self.checksum(name)}

    def checksum(self, name: str) -> str:
        """Of a packaged chart."""
        return "sha256:" + hashlib.sha256(self.charts[name].read_bytes()).hexdigest()

    def play(self, tasks: list[_Dict], *flags: str, succeeds: bool = True, **variables: t.Any) -> Ran:
        """Run tasks on localhost."""
        settings = {
            "ansible_python_interpreter": str(self.cluster.programs.python),
            "helm_release_helm": str(self.cluster.helm),
            "helm_release_kubeconfig": str(self.cluster.kubeconfig),
            "helm_release_chart_cache": str(self.folder / "cache"),
            **variables,
        }
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": settings,
            "module_defaults": {
                f"frugal.cloud.{module}": {"helm": str(self.cluster.helm), "kubeconfig": str(self.cluster.kubeconfig)}
                for module in ("helm_release", "helm_release_info")
            },
            "tasks": tasks,
        }
        path = self.folder / "play.yml"
        path.write_text(yaml.safe_dump([play], sort_keys=False))
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "HELM_", "KUBE"))}
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), str(path), *flags],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={
                **environ,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
                "ANSIBLE_PIPELINING": "true",
                "HOME": str(self.folder),
            },
        )
        text = done.stdout + done.stderr
        assert "{" in done.stdout, text
        ran = Ran(done.returncode, text, json.loads(done.stdout[done.stdout.index("{") :]))
        assert (ran.code == 0) == succeeds, text[-4000:]
        return ran

    def package(self, name: str, source: Path, *options: str) -> None:
        """Make an archive of a chart's folder and know it by a name."""
        command = [
            str(self.cluster.helm),
            "package",
            str(source),
            "--destination",
            str(self.folder / "charts"),
            *options,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        self.charts[name] = Path(done.stdout.rpartition(": ")[2].strip())

    def release(self, *flags: str, succeeds: bool = True, **options: t.Any) -> Ran:
        """Run the module once."""
        return self.play(
            [{"name": "release", "frugal.cloud.helm_release": options, "register": "release"}],
            *flags,
            succeeds=succeeds,
        )

    def role(self, *flags: str, succeeds: bool = True, **variables: t.Any) -> Ran:
        """Run the role once."""
        task = {"name": "role", "ansible.builtin.include_role": {"name": "frugal.cloud.helm_release"}}
        return self.play([task], *flags, succeeds=succeeds, **variables)

    def serving(self, namespace: str, name: str) -> tuple[str, int]:
        """Image and number of pods that are ready with it."""
        pods = self.cluster.items(f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{name}")
        images = [
            pod["spec"]["containers"][0]["image"]
            for pod in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        ]
        assert len(set(images)) <= 1, images
        return (images or [""])[0], len(images)

    def helm(self, *words: str) -> str:
        """What helm itself says."""
        command = [str(self.cluster.helm), *words, "--kubeconfig", str(self.cluster.kubeconfig)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all; skipped only where its programs cannot be built."""
    try:
        programs()
    except ControlPlaneError as error:
        pytest.skip(f"the control plane cannot be built: {error}")
    with ControlPlane.start(tmp_path_factory.mktemp("cluster")) as running:
        running.add_nodes(2)
        yield running


@pytest.fixture(scope="module")
def operator(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator without charts."""
    return Operator(cluster, tmp_path_factory.mktemp("operator"), {})
