# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step back: what files were before a change is kept for root alone, and comes back as one transaction."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
import subprocess
import sys
import textwrap
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import host_kept, host_service
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError, Wanted
from ansible_collections.frugal.cloud.plugins.module_utils.host_service import Outcome, Request, apply, go_back

CHECK = "import json, sys; json.load(open(sys.argv[1]))"


@dataclasses.dataclass
class Host:
    """A configuration in ``root``, what was kept of it in ``keep``, and what was loaded, in ``log``."""

    root: Path
    keep: Path
    log: Path

    def request(self, *files: Wanted, **more: t.Any) -> Request:
        note = f"import sys; open({str(self.log)!r}, 'a').write(open({str(self.root / 'main.json')!r}).read() + '\\n')"
        given: dict[str, t.Any] = {
            "root": str(self.root),
            "files": files,
            "validate": ((sys.executable, "-c", CHECK, "{root}/main.json"),),
            "reload": ((sys.executable, "-c", note),),
            "keep": str(self.keep),
            **more,
        }
        return Request(**given)

    def main(self, content: str, **more: t.Any) -> Wanted:
        return wanted(self.root / "main.json", content, **more)

    def set(self, content: str, **more: t.Any) -> Outcome:
        return apply(self.request(self.main(content), **more))

    def back(self, **more: t.Any) -> Outcome:
        return go_back(Request(str(self.root), keep=str(self.keep), **more))

    def tree(self) -> dict[str, t.Any]:
        """Every file with what it holds and who may do what."""
        return {
            str(path): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in sorted(self.root.rglob("*"))
        }

    def loaded(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def wanted(path: Path, content: str, mode: int = 0o644, **more: t.Any) -> Wanted:
    return Wanted(str(path), content.encode(), None, mode, -1, -1, **more)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Configured twice: there is something to go back to."""
    made = Host(tmp_path / "etc", tmp_path / "state" / "kept", tmp_path / "log")
    made.set("[1]")
    made.set("[2]")
    return made


def test_files_come_back_validated_and_loaded(host: Host) -> None:
    host.log.unlink()
    outcome = host.back()
    assert outcome.changed
    assert outcome.validated
    assert outcome.service == "reloaded"
    assert outcome.written == (str(host.root / "main.json"),)
    assert (outcome.diff[0]["before"], outcome.diff[0]["after"]) == ("[2]", "[1]")
    assert host.loaded() == ["[1]"]


def test_a_second_step_back_says_that_there_is_none(host: Host) -> None:
    host.back()
    again = host.back()
    assert not again.changed
    assert again.reason == host_kept.TAKEN
    assert (host.root / "main.json").read_text() == "[1]"
    host.set("[3]")
    assert host.back().changed
    assert (host.root / "main.json").read_text() == "[1]"


def test_nothing_was_before_a_first_configuration(tmp_path: Path) -> None:
    host = Host(tmp_path / "etc", tmp_path / "kept", tmp_path / "log")
    assert host.back().reason == host_kept.NEVER
    host.set("[1]")
    assert host.back().reason == host_kept.FRESH
    assert (host.root / "main.json").read_text() == "[1]"


def test_removed_added_and_linked_files_come_back_as_they_were(host: Host, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    link = tmp_path / "bin"
    first = (
        host.main("[1]"),
        wanted(host.root / "rules" / "a", "a", 0o640),
        Wanted(str(link), None, str(old), 0, -1, -1),
    )
    apply(host.request(*first))
    before = host.tree()
    second = (host.main("[1]"), wanted(host.root / "more" / "b", "b"), Wanted(str(link), None, str(new), 0, -1, -1))
    apply(host.request(*second, purge=("rules/*",)))
    assert os.readlink(link) == str(new)
    (host.root / "rules").rmdir()
    outcome = host.back()
    assert outcome.removed == (str(host.root / "more" / "b"),)
    assert os.readlink(link) == str(old)
    (host.root / "more").rmdir()
    assert host.tree() == before


def test_what_is_kept_is_for_its_owner_alone(host: Host) -> None:
    assert stat.S_IMODE(host.keep.stat().st_mode) == 0o700
    (record,) = host.keep.iterdir()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600


def test_secrets_that_come_back_are_not_shown(host: Host) -> None:
    apply(host.request(host.main("[1]"), wanted(host.root / "key", "old-hunter2", 0o640, secret=True)))
    apply(host.request(host.main("[1]"), wanted(host.root / "key", "new-hunter2", 0o640, secret=True)))
    outcome = host.back()
    assert (host.root / "key").read_text() == "old-hunter2"
    assert "hunter2" not in str(outcome)
    apply(host.request(host.main("[1]"), purge=("key",)))
    outcome = host.back()
    assert (host.root / "key").read_text() == "old-hunter2"
    assert "hunter2" not in str(outcome)


def test_messages_about_what_comes_back_hold_nothing_that_others_may_not_read(host: Host) -> None:
    quote = (sys.executable, "-c", "import os, sys; p = sys.argv[1]; sys.exit(os.path.exists(p) and open(p).read())")
    apply(host.request(host.main("[1]"), wanted(host.root / "key", "key: hunter2-secret", 0o640)))
    apply(host.request(host.main("[1]"), purge=("key",)))
    # As if the tool had become stricter, and quoted what it does not like.
    record = next(host.keep.iterdir())
    plain = json.loads(record.read_text())
    plain["previous"]["how"]["validate"] = [[*quote, "{root}/key"]]
    record.write_text(json.dumps(plain))
    with pytest.raises(HostError, match="refuses the new configuration") as refused:
        host.back()
    assert "hunter2" not in str(refused.value)


def test_check_mode_predicts_and_changes_nothing(host: Host) -> None:
    before, record = host.tree(), next(host.keep.iterdir()).read_bytes()
    outcome = host.back(check=True)
    assert outcome.changed
    assert outcome.validated
    assert outcome.diff[0]["after"] == "[1]"
    assert host.tree() == before
    assert next(host.keep.iterdir()).read_bytes() == record
    host.set("[3]", check=True)
    assert next(host.keep.iterdir()).read_bytes() == record


def test_what_does_not_load_any_more_leaves_everything_as_it_is(host: Host) -> None:
    # the tool has become stricter since
    checker = host.root.parent / "checker"
    text = "import sys; sys.exit('1 is out of fashion' if '1' in open(sys.argv[1]).read() else 0)"
    checker.write_text("")
    strict: dict[str, t.Any] = {"validate": ((sys.executable, str(checker), "{root}/main.json"),)}
    host.set("[1]", **strict)
    host.set("[3]", **strict)
    checker.write_text(text)
    before, record = host.tree(), next(host.keep.iterdir()).read_bytes()
    with pytest.raises(HostError, match="1 is out of fashion"):
        host.back()
    assert host.tree() == before
    assert next(host.keep.iterdir()).read_bytes() == record


def test_a_change_that_fails_keeps_what_was_kept(host: Host) -> None:
    record = next(host.keep.iterdir()).read_bytes()
    for bad in ({"reload": (("false",),)}, {"validate": (("false",),)}):
        with pytest.raises(HostError):
            host.set("[3]", **bad)
        assert next(host.keep.iterdir()).read_bytes() == record
    host.back()
    assert (host.root / "main.json").read_text() == "[1]"


def test_old_files_are_loaded_as_they_were_and_not_as_the_new_ones(host: Host) -> None:
    probe = host_service.Probe(command=("test", "-e", str(host.root / "main.json")), timeout=1.0)
    host.set("[3]", probe=probe)
    host.set("[4]", probe=dataclasses.replace(probe, command=("grep", "4", str(host.root / "main.json"))))
    assert host.back().changed, "the probe of [4] would not take [3]"
    host.set("[5]", probe=dataclasses.replace(probe, command=("grep", "5", str(host.root / "main.json"))))
    assert host.back().changed, "and [3] is loaded as it was, however often"


def test_changes_of_one_run_are_taken_back_together(host: Host) -> None:
    host.set("[3]", run="b")
    host.set("[4]", run="b")
    apply(host.request(host.main("[4]"), wanted(host.root / "more", "x"), run="b"))
    host.back()
    assert sorted(path.name for path in host.root.iterdir()) == ["main.json"]
    assert (host.root / "main.json").read_text() == "[2]"


def test_a_program_of_before_that_is_gone_is_said(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_kept, "VERSION", re.compile(rb"\S+/opt/[a-z0-9.-]+"))
    old = tmp_path / "opt" / "tool-1.0"
    old.mkdir(parents=True)
    link = tmp_path / "tool"
    apply(host.request(host.main("[2]"), Wanted(str(link), None, f"{old}/tool", 0, -1, -1, restart=True)))
    outcome = apply(
        host.request(host.main("[3]"), Wanted(str(link), None, str(tmp_path / "opt" / "tool-2.0"), 0, -1, -1))
    )
    assert outcome.previous_versions == (str(old),)
    old.rmdir()
    with pytest.raises(HostError, match=r"needs .*tool-1\.0, which is not on this host any more"):
        host.back()
    assert (host.root / "main.json").read_text() == "[3]"
    old.mkdir()
    assert host.back().changed
    assert os.readlink(link) == f"{old}/tool"


def test_too_much_is_not_kept_and_that_is_said(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_kept, "MOST_KEPT", 100)
    host.set(json.dumps(["x" * 200]))
    host.set("[4]")
    assert host.back().reason == host_kept.LARGE


def test_what_is_removed_is_forgotten(host: Host) -> None:
    apply(host.request(purge=("*",), reload=(), validate=(), forget=True))
    assert not host.keep.exists()
    assert not host.keep.parent.exists()


def test_a_damaged_record_is_none(host: Host) -> None:
    next(host.keep.iterdir()).write_text('{"format": 1, "previous": []}')
    assert host.back().reason == host_kept.NEVER
    assert host.set("[3]").changed


@pytest.mark.parametrize("moment", range(1, 9, 2))
def test_a_killed_way_back_is_undone_with_its_record(host: Host, moment: int) -> None:
    """Killed at each step on the disk: the next run finds files and record that belong together."""
    script = textwrap.dedent(f"""
        import os
        from ansible_collections.frugal.cloud.plugins.module_utils import host_files
        from ansible_collections.frugal.cloud.plugins.module_utils.host_service import Request, go_back
        left = {moment}
        def dies(call):
            def counted(*given, **named):
                global left
                left -= 1
                if not left:
                    os._exit(9)
                return call(*given, **named)
            return counted
        for name in ("_move", "_sync", "_link", "_write"):
            setattr(host_files, name, dies(getattr(host_files, name)))
        go_back(Request({str(host.root)!r}, keep={str(host.keep)!r}))
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert done.returncode in (0, 9)
    first = host.back()
    assert (host.root / "main.json").read_text() == "[1]"
    assert first.changed or first.reason == host_kept.TAKEN
    assert host.back().reason == host_kept.TAKEN


def test_records_are_listed_newest_first(host: Host, tmp_path: Path) -> None:
    other = Host(tmp_path / "etc2", host.keep, tmp_path / "log2")
    other.set("[1]", managed_by="role", run="a")
    assert [(record.root, record.managed_by) for record in host_kept.read_all(str(host.keep))] == [
        (str(other.root), "role"),
        (str(host.root), ""),
    ]
