# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as one transaction: on real files, on a full disk, and killed at every step."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import host_files
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import (
    FolderRights,
    HostError,
    Transaction,
    Wanted,
    changes_for,
    inside,
    purged,
    recover,
    unfinished,
    work_folder,
)

#: what a transaction does to the disk
STEPS = ("mkdir", "rmdir", "unlink", "replace", "link", "symlink", "open", "fsync", "chmod")


def wanted(path: Path, content: str, mode: int = 0o644, **more: t.Any) -> Wanted:
    return Wanted(str(path), content.encode(), None, mode, -1, -1, **more)


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file and folder with its content and mode."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            found[str(path.relative_to(folder))] = (f"-> {os.readlink(path)}", 0)
        else:
            found[str(path.relative_to(folder))] = ("/" if path.is_dir() else path.read_text(), mode)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that holds a configuration as it was and a file of the same transaction elsewhere."""
    place = tmp_path / "place"
    root = place / "etc"
    (root / "rules").mkdir(parents=True)
    (root / "main.yml").write_text("old main\n")
    (root / "main.yml").chmod(0o640)
    (root / "rules" / "a.yml").write_text("old a\n")
    (root / "rules" / "gone.yml").write_text("gone\n")
    (root / "kept.txt").write_text("not ours\n")
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "link").symlink_to("/opt/thing-1/thing")
    return place


def files_of(place: Path) -> list[Wanted]:
    """What the tests bring: a changed file, a new one in a new folder, a link elsewhere; one is purged."""
    root = place / "etc"
    return [
        wanted(root / "main.yml", "new main\n", 0o600),
        wanted(root / "rules" / "a.yml", "old a\n"),
        wanted(root / "new" / "deep" / "b.yml", "new b\n"),
        Wanted(str(place / "elsewhere" / "link"), None, "/opt/thing-2/thing", 0o644, -1, -1),
        wanted(place / "elsewhere" / "made" / "unit.conf", "unit\n"),
    ]


def bring(place: Path) -> None:
    """The whole transaction."""
    root = str(place / "etc")
    recover(root)
    changes = changes_for(root, files_of(place), ["rules/*.yml"])
    transaction = Transaction(root, changes, FolderRights())
    transaction.stage()
    transaction.swap()
    transaction.commit()


def test_everything_is_brought_and_nothing_else_touched(place: Path) -> None:
    bring(place)
    assert tree(place) == {
        "etc": ("/", 0o755),
        "etc/kept.txt": ("not ours\n", 0o644),
        "etc/main.yml": ("new main\n", 0o600),
        "etc/new": ("/", 0o755),
        "etc/new/deep": ("/", 0o755),
        "etc/new/deep/b.yml": ("new b\n", 0o644),
        "etc/rules": ("/", 0o755),
        "etc/rules/a.yml": ("old a\n", 0o644),
        "elsewhere": ("/", 0o755),
        "elsewhere/link": ("-> /opt/thing-2/thing", 0),
        "elsewhere/made": ("/", 0o755),
        "elsewhere/made/unit.conf": ("unit\n", 0o644),
    }
    assert changes_for(str(place / "etc"), files_of(place), ["rules/*.yml"]) == ()


def test_rolling_back_gives_the_very_same_files(place: Path) -> None:
    before = tree(place)
    inode = (place / "etc" / "main.yml").stat().st_ino
    root = str(place / "etc")
    transaction = Transaction(root, changes_for(root, files_of(place), ["rules/*.yml"]), FolderRights())
    transaction.stage()
    transaction.swap()
    assert tree(place) != before
    transaction.roll_back()
    assert tree(place) == before
    assert (place / "etc" / "main.yml").stat().st_ino == inode


def test_a_root_that_was_not_there_is_gone_again_after_a_rollback(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    changes = changes_for(str(root), [wanted(root / "c" / "d.yml", "x\n")], [])
    transaction = Transaction(str(root), changes, FolderRights(0o750))
    transaction.stage()
    transaction.swap()
    assert stat.S_IMODE(root.stat().st_mode) == 0o750
    transaction.roll_back()
    assert list(tmp_path.iterdir()) == []


def killed_at(step: int, action: t.Callable[[], None]) -> bool:
    """Run an action in a child that is killed (SIGKILL) before its step number ``step``; whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def counting(function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
            def count(*args: t.Any, **kwargs: t.Any) -> t.Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return count

        try:
            for name in STEPS:
                setattr(os, name, counting(getattr(os, name)))
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed in another way"
    return os.WIFSIGNALED(status)


def copy_of(place: Path, name: str) -> Path:
    """The same place once more: the journal holds absolute paths, so a copy is made before anything begins."""
    target = place.parent / name
    shutil.copytree(place, target, symlinks=True)
    return target


def test_killed_at_any_step_the_next_run_finds_all_old_or_all_new(place: Path) -> None:
    old = tree(place)
    bring(copy_of(place, "whole"))
    new = tree(place.parent / "whole")
    seen = {"old": 0, "new": 0, "unfinished": 0}
    step = 0
    while True:
        step += 1
        target = copy_of(place, f"run{step}")
        if not killed_at(step, lambda folder=target: bring(folder)):  # type: ignore[misc]
            break
        root = str(target / "etc")
        seen["unfinished"] += unfinished(root)
        assert (target / "etc" / "main.yml").read_text() in ("old main\n", "new main\n"), "half a file is in use"
        recover(root)
        found = tree(target)
        assert found in (old, new), f"killed at step {step}: neither all old nor all new"
        seen["old" if found == old else "new"] += 1
        bring(target)
        assert tree(target) == new, f"killed at step {step}: the next run did not finish"
        assert not os.path.exists(work_folder(root))
    # The kill really came in every phase: before the journal, between journal and commit, and after the commit.
    assert seen["old"] > 15
    assert seen["unfinished"] > 8
    assert seen["new"] >= 1


def test_a_repair_that_is_killed_is_repaired(place: Path) -> None:
    old = tree(place)
    swaps = copy_of(place, "probe")
    root = str(swaps / "etc")
    transaction = Transaction(root, changes_for(root, files_of(swaps), ["rules/*.yml"]), FolderRights())
    transaction.stage()
    transaction.swap()
    killed = 0
    while killed_at(killed + 1, lambda: recover(root) and None):
        killed += 1
        if not unfinished(root):
            break
    recover(root)
    assert killed > 2
    assert tree(swaps) == old


def test_a_full_disk_changes_nothing(place: Path) -> None:
    before = tree(place)
    root = place / "etc"
    files = [wanted(root / "main.yml", "new\n"), wanted(root / "big.yml", "x" * 100_000)]
    transaction = Transaction(str(root), changes_for(str(root), files, []), FolderRights())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(HostError, match=r"is unchanged: File too large"):
            transaction.stage()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert tree(place) == before


FULL = """
import os, sys
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import *
root, size = sys.argv[1], int(sys.argv[2])
changes = changes_for(root, [
    Wanted(root + "/main.yml", b"new main", None, 0o644, -1, -1),
    Wanted(root + "/sub/big.yml", b"x" * size, None, 0o644, -1, -1),
], [])
before = sorted((path, open(os.path.join(path, name)).read()) for path, _f, names in os.walk(root) for name in names)
transaction = Transaction(root, changes, FolderRights())
try:
    transaction.stage()
    transaction.swap()
except HostError as error:
    print(error)
after = sorted((path, open(os.path.join(path, name)).read()) for path, _f, names in os.walk(root) for name in names)
print("same" if before == after else "different", os.listdir(os.path.dirname(root)))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_file_system_changes_nothing(tmp_path: Path) -> None:
    """A tmpfs of 64 KiB in a mount namespace of its own."""
    commands = (
        f"mount -t tmpfs -o size=64k tmpfs {tmp_path} 2>/dev/null && mkdir {tmp_path}/etc"
        f" && echo old > {tmp_path}/etc/main.yml && exec {sys.executable} - {tmp_path}/etc 200000"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", commands],
        input=FULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout
    assert "same ['etc']" in done.stdout


def test_a_swap_that_fails_half_way_is_undone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(place)
    root = str(place / "etc")
    transaction = Transaction(root, changes_for(root, files_of(place), ["rules/*.yml"]), FolderRights())
    transaction.stage()
    real = os.replace
    done: list[str] = []

    def third_fails(source: str, target: str) -> None:
        if "/root/" in source or "/file" in source:
            done.append(target)
            if len(done) == 3:
                raise OSError(28, "No space left on device", target)
        real(source, target)

    monkeypatch.setattr(os, "replace", third_fails)
    with pytest.raises(HostError, match=r"the previous files of .* are back: No space left"):
        transaction.swap()
    assert len(done) == 3
    assert tree(place) == before


def test_another_file_system_is_written_in_one_step_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links and renames across file systems are refused by the kernel; here by a stand-in for it."""
    before = tree(place)
    real_replace, real_link = os.replace, os.link

    def across(source: str, target: str) -> bool:
        return (".frugal-work" in source) != (".frugal-work" in target) and "elsewhere" in source + target

    def replace(source: str, target: str) -> None:
        if across(source, target):
            raise OSError(18, "Invalid cross-device link")
        real_replace(source, target)

    def link(source: str, target: str, **more: t.Any) -> None:
        if across(source, target):
            raise OSError(18, "Invalid cross-device link")
        real_link(source, target, **more)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "link", link)
    root = str(place / "etc")
    transaction = Transaction(root, changes_for(root, files_of(place), ["rules/*.yml"]), FolderRights())
    transaction.stage()
    transaction.swap()
    assert (place / "elsewhere" / "made" / "unit.conf").read_text() == "unit\n"
    assert os.readlink(place / "elsewhere" / "link") == "/opt/thing-2/thing"
    transaction.roll_back()
    assert tree(place) == before


def test_the_staged_copy_is_the_root_as_it_will_be(place: Path) -> None:
    """Relative links that stay inside lead into the copy, so that a tool sees new files through old links."""
    root = place / "etc"
    (root / "enabled").mkdir()
    (root / "enabled" / "main").symlink_to("../main.yml")
    (root / "absolute").symlink_to(root / "main.yml")
    (root / "outside").symlink_to("/etc/hostname")
    transaction = Transaction(
        str(root), changes_for(str(root), files_of(place), ["rules/*.yml"]), FolderRights(), str(place / "copy")
    )
    transaction.stage()
    staged = Path(transaction.staged)
    assert (staged / "main.yml").read_text() == "new main\n"
    assert (staged / "enabled" / "main").read_text() == "new main\n"
    assert (staged / "absolute").read_text() == "new main\n"
    assert os.readlink(staged / "outside") == "/etc/hostname"
    assert (staged / "kept.txt").read_text() == "not ours\n"
    assert not (staged / "rules" / "gone.yml").exists()
    assert (root / "main.yml").read_text() == "old main\n"
    transaction.discard()
    assert not (place / "copy").exists()


def test_a_root_with_too_many_files_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_files, "MOST_ENTRIES", 3)
    root = str(place / "etc")
    transaction = Transaction(root, changes_for(root, files_of(place), []), FolderRights())
    with pytest.raises(HostError, match="holds more than 3 files: name the folder of one service"):
        transaction.stage()
    assert not os.path.exists(work_folder(root))


def test_two_runs_do_not_meet(place: Path) -> None:
    root = str(place / "etc")
    refused = pytest.raises(HostError, match="another run has been changing")
    with host_files.locked(root), refused, host_files.locked(root, wait=0.1):
        pass
    with host_files.locked(root, wait=0.1):
        pass


@pytest.mark.parametrize(
    ("patterns", "gone"),
    [
        (["*.yml"], ["main.yml"]),
        (["rules/*.yml"], ["rules/a.yml", "rules/gone.yml"]),
        (["**"], ["kept.txt", "main.yml", "rules/a.yml", "rules/gone.yml"]),
        (["**/*.yml"], ["main.yml", "rules/a.yml", "rules/gone.yml"]),
        ([], []),
    ],
)
def test_purge_patterns(place: Path, patterns: list[str], gone: list[str]) -> None:
    root = str(place / "etc")
    assert purged(root, patterns, set()) == [os.path.join(root, name) for name in gone]


@pytest.mark.parametrize("pattern", ["../x", "/etc/*", ""])
def test_purge_stays_below_the_root(place: Path, pattern: str) -> None:
    with pytest.raises(HostError, match="give a pattern relative to root"):
        purged(str(place / "etc"), [pattern], set())


@pytest.mark.parametrize("path", ["../x", ".", "", "a/../../x"])
def test_paths_stay_below_the_root(path: str) -> None:
    with pytest.raises(HostError, match="give a path below /etc/x, or an absolute one"):
        inside("/etc/x", path, "path")


def test_a_folder_in_the_way_is_one_sentence(place: Path) -> None:
    root = place / "etc"
    with pytest.raises(HostError, match="rules is a folder or device"):
        changes_for(str(root), [wanted(root / "rules", "x")], [])
    with pytest.raises(HostError, match=r"main\.yml twice: name each file once"):
        changes_for(str(root), [wanted(root / "main.yml", "x"), wanted(root / "main.yml", "y")], [])


def test_unknown_owners_are_one_sentence() -> None:
    with pytest.raises(HostError, match="owner is 'nobody-here': there is no such user"):
        host_files.user_id("nobody-here")
    with pytest.raises(HostError, match="group is 'nobody-here': there is no such group"):
        host_files.group_id("nobody-here")
    assert host_files.user_id("nobody-here", missing=-1) == -1
    assert host_files.group_id("0") == 0
    assert host_files.user_id(None) == -1


def diff_of(root: Path, file: Wanted) -> dict[str, str]:
    return host_files.shown(changes_for(str(root), [file], [])[0])


def test_diffs_show_content_rights_and_links(place: Path) -> None:
    root = place / "etc"
    shown = diff_of(root, wanted(root / "rules" / "a.yml", "new a\n"))
    assert (shown["before"], shown["after"]) == ("old a\n", "new a\n")
    shown = diff_of(root, wanted(root / "rules" / "a.yml", "old a\n", 0o664))
    assert "(mode 0644" in shown["before"]
    assert "(mode 0664" in shown["after"]
    shown = diff_of(place, Wanted(str(place / "elsewhere" / "link"), None, "/new", 0o644, -1, -1))
    assert (shown["before"], shown["after"]) == ("-> /opt/thing-1/thing\n", "-> /new\n")


def test_diffs_do_not_show_what_is_secret(place: Path) -> None:
    root = place / "etc"
    for file in (
        wanted(root / "rules" / "a.yml", "password: hush-hush\n", secret=True),
        wanted(root / "main.yml", "password: hush-hush\n", 0o640),
    ):
        shown = diff_of(root, file)
        assert "hush" not in str(shown)
        assert "old" not in str(shown)
    (root / "rules" / "a.yml").write_text("user: me\npassword: old-secret\n")
    shown = diff_of(root, wanted(root / "rules" / "a.yml", "user: me\npassword: new-s\n", secret_values=("new-s",)))
    assert shown["after"] == "user: me\npassword: ********\n"
    assert shown["before"] == "user: me\n(not shown)\n"
