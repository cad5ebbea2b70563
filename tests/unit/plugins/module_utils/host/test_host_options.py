# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of service_config: bad ones are one sentence, secrets stay out of results, and Python 3.9 is enough."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import host_options
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

PLUGINS = Path(__file__).resolve().parents[5] / "plugins"
HOST_FILES = sorted((PLUGINS / "module_utils").glob("host_*.py"))
HOST_MODULES = [
    PLUGINS / "modules" / f"{name}.py" for name in ("service_config", "service_config_info", "prometheus_textfile")
]


def options(**given: t.Any) -> dict[str, t.Any]:
    """Options as AnsibleModule hands them over, defaults filled in."""

    def filled(spec: dict[str, dict[str, t.Any]], values: dict[str, t.Any]) -> dict[str, t.Any]:
        return {**{name: one.get("default") for name, one in spec.items()}, **values}

    given["files"] = [filled(host_options.FILE, file) for file in given.get("files", [])]
    if given.get("probe"):
        given["probe"] = filled(host_options.PROBE, given["probe"])
    return filled(host_options.SERVICE_CONFIG, {"root": "/etc/x", **given})


def test_everything_becomes_a_request() -> None:
    request = host_options.request(
        options(
            files=[{"path": "a.yml", "content": "x", "mode": "0600"}, {"path": "/opt/l", "link": "t"}],
            validate=[["tool", "{root}"]],
            reload=["systemctl", "reload", "x"],
            probe={"port": 80},
            unit="x.service",
        ),
        check=False,
    )
    assert [(file.path, file.mode) for file in request.files] == [("/etc/x/a.yml", 0o600), ("/opt/l", 0o644)]
    assert request.reload == (("systemctl", "reload", "x"),)
    assert request.validate == (("tool", "{root}"),)
    assert request.probe is not None
    assert request.probe.port == 80


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"root": "/"}, "root is '/': give the absolute path"),
        ({"root": "etc"}, "root is 'etc': give the absolute path"),
        ({"start": True}, "start is true and unit is missing"),
        ({"files": [{"path": "a"}]}, "files has 'a': give it either content or link"),
        ({"files": [{"path": "a", "content": "", "link": "b"}]}, "files has 'a': give it either content or link"),
        ({"files": [{"path": "a", "content": "", "mode": "rw"}]}, "mode of a is 'rw': give an octal number"),
        ({"files": [{"path": "../a", "content": ""}]}, "give a path below /etc/x"),
        ({"validate": ["promtool check"]}, "validate has 'promtool': give each command as a list"),
        ({"reload": [["x"], "y"]}, "reload has 'y': give each command as a list"),
        ({"probe": {"port": 70000}}, "probe.port is 70000: give a number from 1 to 65535"),
        ({"probe": {"port": 1, "url": "http://x"}}, "probe has url and port: give one of url, port and command"),
        ({"probe": {"url": "x"}}, "probe.url is 'x': give an address that begins with http://"),
        ({"probe": {"port": 1, "timeout": 0.0}}, "probe.timeout is 0: give a number of seconds above 0"),
        ({"previous": True, "purge": ["*"]}, "previous is true and purge is set"),
        ({"previous": True, "keep": False}, "previous is true and keep is set"),
        ({"keep_directory": "kept"}, "keep_directory is 'kept': give the absolute path of a folder"),
        ({"owner": "nobody-here"}, "owner is 'nobody-here': there is no such user on this host"),
    ],
)
def test_bad_options_are_one_sentence(given: dict[str, t.Any], sentence: str) -> None:
    if given.get("validate") == ["promtool check"]:
        given = {"validate": [["promtool", "check"], "promtool"]}
    with pytest.raises(HostError) as refused:
        host_options.request(options(**given), check=False)
    assert sentence in str(refused.value)


def test_check_mode_takes_users_that_are_not_there_yet() -> None:
    assert host_options.request(options(owner="nobody-here"), check=True).rights.uid == -1


def run_module(name: str, **arguments: t.Any) -> dict[str, t.Any]:
    """Run a module as Ansible does, and read its result."""
    done = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.frugal.cloud.plugins.modules.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_remote_tmp": "/tmp", **arguments}}),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "raw": done.stdout}


def test_results_hold_no_secret_and_all_the_rest(tmp_path: Path) -> None:
    files = [
        {"path": "web.yml", "content": "user: me\npassword: hunter2-secret\n", "secret": True, "mode": "0640"},
        {"path": "part.yml", "content": "key: abc-secret\nlevel: debug\n", "secret_values": ["abc-secret"]},
        {"path": "main.yml", "content": "level: info\n"},
    ]
    where = {"root": str(tmp_path / "etc"), "keep_directory": str(tmp_path / "kept")}
    result = run_module("service_config", **where, files=files, _ansible_diff=True)
    assert result["changed"], result
    assert "hunter2" not in result["raw"]
    assert "abc-secret" not in result["raw"]
    assert "level: info" in result["raw"]
    assert "level: debug" in result["raw"]
    assert [diff["after"] for diff in result["diff"]] == [
        "(not shown)\n",
        "key: ********\nlevel: debug\n",
        "level: info\n",
    ]
    assert not run_module("service_config", **where, files=files)["changed"]


def test_a_step_back_by_the_module_and_what_it_says(tmp_path: Path) -> None:
    where = {"root": str(tmp_path / "etc"), "keep_directory": str(tmp_path / "kept")}
    for level in ("info", "debug"):
        files = [
            {"path": "main.yml", "content": f"level: {level}\n"},
            {"path": "key", "content": f"hunter2-{level}\n", "secret": True, "mode": "0600"},
        ]
        run_module("service_config", **where, files=files, managed_by="shop", run="r1" if level == "info" else "r2")
    (listed,) = run_module("service_config_info", keep_directory=where["keep_directory"])["services"]
    # No unit ran with the first configuration, but the second was a change of it.
    assert (listed["previous"], listed["managed_by"], listed["run"]) == (True, "shop", "r2")
    assert listed["files"] == [str(tmp_path / "etc" / name) for name in ("main.yml", "key")]
    nothing = run_module("service_config_info", keep_directory=where["keep_directory"], managed_by=["other"])
    assert nothing["services"] == []
    result = run_module("service_config", **where, previous=True, _ansible_diff=True)
    assert (tmp_path / "etc" / "main.yml").read_text() == "level: info\n"
    assert (tmp_path / "etc" / "key").read_text() == "hunter2-info\n"
    assert "hunter2" not in result["raw"]
    assert "level: info" in result["raw"]
    again = run_module("service_config", **where, previous=True)
    assert not again["changed"]
    assert again["reason"] == "it went back already, and one step is all that is kept"


def test_a_refusal_is_a_message_without_a_traceback(tmp_path: Path) -> None:
    result = run_module(
        "service_config",
        root=str(tmp_path / "etc"),
        keep_directory=str(tmp_path / "state" / "kept"),
        files=[{"path": "main.yml", "content": "x\n"}],
        validate=[["sh", "-c", "echo line 1 is wrong; exit 1"]],
    )
    assert result["failed"]
    assert "line 1 is wrong" in result["msg"]
    assert "exception" not in result
    assert list(tmp_path.iterdir()) == []


OURS = "ansible_collections.frugal.cloud.plugins.module_utils"


def imported(path: Path) -> set[str]:
    """What a file imports, by full name; it has to be Python 3.9."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def with_what_they_import(paths: t.Iterable[Path]) -> list[Path]:
    """The files and those of ours that they import, and so on."""
    found: set[Path] = set()
    left = list(paths)
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            parts = [name.removeprefix(f"{OURS}.").split(".")[0] for name in imported(path) if name.startswith(OURS)]
            left += [PLUGINS / "module_utils" / f"{part}.py" for part in parts]
    return sorted(found)


@pytest.mark.parametrize("path", with_what_they_import([*HOST_FILES, *HOST_MODULES]), ids=lambda path: path.name)
def test_what_runs_on_hosts_needs_python_3_9_and_nothing_else(path: Path) -> None:
    foreign = {
        name
        for name in imported(path)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not name.startswith(f"{OURS}.")
        and name != "ansible.module_utils.basic.AnsibleModule"
    }
    assert not foreign
