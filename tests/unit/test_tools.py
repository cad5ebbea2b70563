# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools behind the make targets: a gate that cannot turn red is none."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tests" / "tools"
sys.path.insert(0, str(TOOLS))

import environment  # noqa: E402
import role_readmes  # noqa: E402
import run_importer  # noqa: E402
import run_tests  # noqa: E402
import workspace  # noqa: E402


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small git checkout with tracked, untracked and ignored files."""
    folder = tmp_path / "checkout"
    (folder / "plugins").mkdir(parents=True)
    (folder / "galaxy.yml").write_text("dependencies: {}\n")
    (folder / ".gitignore").write_text("/build/\n")
    (folder / "plugins" / "tracked.py").write_text("one = 1\n")
    subprocess.run(["git", "init", "-q", folder], check=True)
    subprocess.run(["git", "-C", folder, "add", "-A"], check=True)
    (folder / "plugins" / "new.py").write_text("two = 2\n")
    (folder / "build").mkdir()
    (folder / "build" / "leftover.py").write_text("three = 3\n")
    return folder


class TestMirror:
    def test_holds_tracked_and_new_files_but_no_ignored_ones(self, checkout: Path, tmp_path: Path) -> None:
        folder = workspace.mirror(checkout, tmp_path / "root")
        assert folder == tmp_path / "root" / "ansible_collections" / "frugal" / "cloud"
        assert (folder / "plugins" / "tracked.py").read_text() == "one = 1\n"
        assert (folder / "plugins" / "new.py").exists()
        assert not (folder / "build").exists()

    def test_follows_changes_and_removals_and_keeps_the_output_of_tests(self, checkout: Path, tmp_path: Path) -> None:
        folder = workspace.mirror(checkout, tmp_path / "root")
        output = folder / "tests" / "output" / "junit.xml"
        output.parent.mkdir(parents=True)
        output.write_text("<kept/>")
        (checkout / "plugins" / "tracked.py").write_text("changed = 1\n")
        (checkout / "plugins" / "new.py").unlink()
        workspace.mirror(checkout, tmp_path / "root")
        assert (folder / "plugins" / "tracked.py").read_text() == "changed = 1\n"
        assert not (folder / "plugins" / "new.py").exists()
        assert output.exists()

    def test_deleted_tracked_file_is_left_out(self, checkout: Path, tmp_path: Path) -> None:
        (checkout / "plugins" / "tracked.py").unlink()
        folder = workspace.mirror(checkout, tmp_path / "root")
        assert not (folder / "plugins" / "tracked.py").exists()

    def test_links_what_galaxy_yml_depends_on(self, checkout: Path, tmp_path: Path) -> None:
        (checkout / "galaxy.yml").write_text('dependencies: {"amazon.aws": ">=9.0.0"}\n')
        folder = workspace.mirror(checkout, tmp_path / "root")
        assert (folder.parents[1] / "amazon" / "aws" / "plugins" / "modules" / "ec2_instance.py").is_file()

    def test_unknown_dependency_is_named(self, checkout: Path, tmp_path: Path) -> None:
        (checkout / "galaxy.yml").write_text('dependencies: {"nobody.nothing": ">=1.0.0"}\n')
        with pytest.raises(SystemExit, match=r"nobody\.nothing"):
            workspace.mirror(checkout, tmp_path / "root")


def test_many_may_provide_get_pip_at_once(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(workspace.provide_get_pip, [tmp_path] * 40))
    files = list((tmp_path / ".ansible" / "test" / "cache").iterdir())
    assert [path.suffix for path in files] == [".py"]
    assert files[0].read_bytes() == (TOOLS / "get_pip.py").read_bytes()


def failing(run: run_tests.Run) -> None:
    run.command(sys.executable, "-c", "print('before the end'); raise SystemExit(3)")


def passing(run: run_tests.Run) -> None:
    run.command(sys.executable, "-c", "print('fine')")


def empty(_run: run_tests.Run) -> None:
    raise run_tests.NothingToTest("no test yet")


def broken(_run: run_tests.Run) -> None:
    raise ValueError("a fault of the tools")


class TestRunner:
    def run(self, logs: Path, **tiers: run_tests.Step) -> dict[str, run_tests.Outcome]:
        return {outcome.name: outcome for outcome in run_tests.Runner(tiers, 2, logs).run()}

    def test_tells_passed_failed_and_skipped(self, tmp_path: Path) -> None:
        outcomes = self.run(tmp_path, good=passing, bad=failing, none=empty, fault=broken)
        assert {name: outcome.result for name, outcome in outcomes.items()} == {
            "good": "passed",
            "bad": "failed",
            "none": "skipped",
            "fault": "failed",
        }
        assert "exit code 3" in outcomes["bad"].why
        text = run_tests.report(list(outcomes.values()), 1.0)
        assert "before the end" in text
        assert text.splitlines()[-1] == "1 passed, 2 failed, 1 skipped"

    def test_a_tier_that_hangs_is_ended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run_tests, "TIMEOUT", 0.0)
        started = time.monotonic()
        outcomes = self.run(tmp_path, slow=lambda run: run.command("sleep", "60"))
        assert outcomes["slow"].result == "failed"
        assert "took longer" in outcomes["slow"].why
        assert time.monotonic() - started < 20

    def test_commands_do_not_see_the_persons_own_settings(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "production")
        monkeypatch.setenv("ANSIBLE_CONFIG", "/etc/mine.cfg")
        script = "import os, json; print(json.dumps(sorted(os.environ)))"
        self.run(tmp_path, look=lambda run: run.command(sys.executable, "-c", script))
        seen = json.loads((tmp_path / "look.log").read_text().splitlines()[-1])
        assert "AWS_PROFILE" not in seen
        assert "ANSIBLE_CONFIG" not in seen

    def test_every_tier_says_what_it_is(self) -> None:
        assert all((step.__doc__ or "").strip() for step in run_tests.TIERS.values())


class TestImporterComplaints:
    def test_errors_and_warnings_count(self) -> None:
        output = "Loading module x\nWARNING: No changelog found.\nERROR: The import failed\nfine\n"
        assert len(run_importer.complaints(output)) == 2


class TestEnvironment:
    def test_two_processes_do_not_hold_one_lock(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        script = (
            f"import sys, time; sys.path.insert(0, {str(TOOLS)!r}); import environment, pathlib\n"
            f"with environment.locked(pathlib.Path({str(lock)!r})):\n"
            "    print('held', flush=True); time.sleep(1)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            other.stdout.readline()
            started = time.monotonic()
            with environment.locked(lock):
                waited = time.monotonic() - started
        assert waited > 0.5

    def test_missing_packages_are_named_to_someone_who_is_not_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        missing = environment.SystemPackage("chromium", "the browser tests", lambda: False)
        monkeypatch.setitem(t.cast(t.Any, environment.SYSTEM_PACKAGES), "chromium", missing)
        monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
        with pytest.raises(environment.SetupError, match="apt-get install chromium"):
            environment.install_system_packages(["chromium"])


class TestRoleReadmes:
    def test_markup(self) -> None:
        text = (
            "Set O(frugal_stage=apply) or C(a(b)c), see M(amazon.aws.ec2_instance) and L(the guide, https://x.org/a)."
        )
        assert role_readmes.markdown(text) == (
            "Set `frugal_stage=apply` or `a(b)c`, see `amazon.aws.ec2_instance` and [the guide](https://x.org/a)."
        )

    def test_options_with_nested_ones(self, tmp_path: Path) -> None:
        role = tmp_path / "thing"
        (role / "meta").mkdir(parents=True)
        (role / "meta" / "argument_specs.yml").write_text(
            "argument_specs:\n  main:\n    short_description: Does a thing\n    options:\n"
            "      thing_list:\n        type: list\n        elements: dict\n        required: true\n"
            "        description: What | where.\n        options:\n          name: {type: str, default: x}\n"
        )
        text = role_readmes.readme(role)
        assert "# frugal.cloud.thing" in text
        assert "| `thing_list` | list of dict | **required** | What \\| where. |" in text
        assert "| `thing_list.name` | str | `x` |" in text

    def test_role_without_specification_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(role_readmes.NoSpecification, match="argument_specs"):
            role_readmes.readme(tmp_path)


def test_a_service_that_came_with_a_package_does_not_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On the machine of somebody who only wanted the demo, nothing goes on listening; what was there is left alone."""
    ran: list[list[str]] = []

    def run(command: list[str], **_more: t.Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    def package(name: str, *, there: bool) -> environment.SystemPackage:
        return environment.SystemPackage(name, "a test", lambda: there)

    packages = {"prometheus": package("prometheus", there=False), "git": package("git", there=False)}
    monkeypatch.setattr(environment, "SYSTEM_PACKAGES", packages)
    monkeypatch.setattr(environment, "SYSTEMD", tmp_path)
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0)
    monkeypatch.setattr(environment.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(environment.subprocess, "run", run)
    monkeypatch.setenv("FRUGAL_CACHE", str(tmp_path / "cache"))
    environment.install_system_packages(packages)
    assert ran[1][-2:] == ["prometheus", "git"]
    assert ran[2:] == [["systemctl", "disable", "--quiet", "--now", "prometheus.service"]]
    packages["prometheus"] = package("prometheus", there=True)
    ran.clear()
    environment.install_system_packages(packages)
    assert all(command[0] == "apt-get" for command in ran)
