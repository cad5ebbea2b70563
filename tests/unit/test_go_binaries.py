# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The builder of Go programs for test hosts, with a module that needs nothing from the network."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import environment  # noqa: E402
import go_binaries  # noqa: E402

MAIN = 'package main\n\nimport "fmt"\n\nvar version = "none"\n\nfunc main() { fmt.Print(version) }\n'


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Go module ``hello`` below a cache of its own."""
    folder = tmp_path / "go" / "hello"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module example.com/hello\n\ngo 1.21\n")
    (folder / "main.go").write_text(MAIN)
    (folder / "build.toml").write_text(
        'version = "1.2"\narchive_folder = "hello-{version}-{architecture}"\n\n'
        '[programs]\nhello = "."\n\n[variables]\n"main.version" = "v{version}"\n'
    )
    monkeypatch.setattr(go_binaries, "MODULES", tmp_path / "go")
    monkeypatch.setenv("FRUGAL_CACHE", str(tmp_path / "cache"))
    return folder


class TestRecipe:
    def test_the_committed_modules_are_complete(self) -> None:
        assert set(go_binaries.names()) >= {"helm", "jaeger", "kubecp", "kwok", "otelcol"}
        for name in go_binaries.names():
            of = go_binaries.recipe(name)
            assert of.programs, name
            assert (of.folder / "go.sum").stat().st_size > 0, name
            assert of.oldest_go >= (1, 24), name

    def test_an_unknown_module_is_named_with_those_there_are(self, module: Path) -> None:
        with pytest.raises(environment.SetupError, match=r"'nothing'.*only hello"):
            go_binaries.recipe("nothing")

    @pytest.mark.parametrize(
        ("text", "accepted"),
        [
            ("go version go1.24.0 linux/amd64", True),
            ("go version go1.26.8 linux/amd64", True),
            ("go version go2.0 linux/arm64", True),
            ("go version go1.19.8 linux/amd64", False),
            ("", False),
        ],
    )
    def test_too_old_a_go_is_refused_in_one_sentence(self, text: str, accepted: bool) -> None:
        if accepted:
            assert go_binaries.go_version("/usr/bin/go", text, (1, 24)) == text
            return
        with pytest.raises(environment.SetupError, match=r"^/usr/bin/go is .*Go 1\.24 or later is needed$"):
            go_binaries.go_version("/usr/bin/go", text, (1, 24))

    def test_no_go_at_all_is_one_sentence(self, module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def nowhere(*arguments: t.Any, **options: t.Any) -> None:
            return None

        monkeypatch.setattr(shutil, "which", nowhere)
        with pytest.raises(environment.SetupError, match=r"^there is no Go on this machine: install Go 1\.21"):
            go_binaries.build("hello")

    def test_the_digest_follows_the_pins_and_the_go(self, module: Path) -> None:
        of = go_binaries.recipe("hello")
        first = go_binaries.digest(of, "go version go1.26.8 linux/amd64")
        assert go_binaries.digest(of, "go version go1.26.9 linux/amd64") != first
        (module / "README.md").write_text("not built")
        assert go_binaries.digest(of, "go version go1.26.8 linux/amd64") == first
        (module / "go.sum").write_text("a pin\n")
        assert go_binaries.digest(of, "go version go1.26.8 linux/amd64") != first


def test_an_archive_depends_on_its_content_only(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF" * 1000)
    sums = set()
    for name in ("one.tar.gz", "two.tar.gz"):
        go_binaries.pack(tmp_path / name, "folder", {"program": program})
        program.touch()
        sums.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(sums) == 1
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        assert [(member.name, member.mode) for member in tar] == [("folder/program", 0o755)]


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go on this machine")
class TestBuild:
    def test_builds_once_packs_and_publishes(
        self, module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        built = go_binaries.build("hello")
        said = capsys.readouterr().out
        assert "Building hello 1.2" in said
        answer = subprocess.run([built.programs["hello"]], capture_output=True, text=True, check=True)
        assert answer.stdout == "v1.2"
        published = tmp_path / "cache" / "hosts" / "files" / "bin"
        archive = published / built.archive.name
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == built.sha256
        assert (published / f"{archive.name}.sha256").read_text() == f"{built.sha256}\n"
        with tarfile.open(archive) as tar:
            (member,) = tar.getnames()
        assert member.startswith("hello-1.2-") and member.endswith("/hello")
        assert go_binaries.build("hello") == built
        assert capsys.readouterr().out == ""

    def test_a_module_that_does_not_compile_leaves_nothing_behind(self, module: Path, tmp_path: Path) -> None:
        (module / "main.go").write_text("package main\n\nfunc main() { missing() }\n")
        with pytest.raises(environment.SetupError, match=r"go build of hello failed: [\s\S]*missing"):
            go_binaries.build("hello")
        assert not list((tmp_path / "cache").rglob("built.json"))
        (module / "main.go").write_text(MAIN)
        assert go_binaries.build("hello").programs["hello"].exists()
