# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate, load, probe, and take back: with real commands, a real HTTP server, and a systemctl that acts a part."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import os
import socket
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import host_service
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError, Wanted
from ansible_collections.frugal.cloud.plugins.module_utils.host_service import (
    Probe,
    Request,
    answer,
    apply,
    go_back,
    said,
)

CHECK = "import json, sys; json.load(open(sys.argv[1]))"


def wanted(path: Path, content: str, **more: t.Any) -> Wanted:
    return Wanted(str(path), content.encode(), None, 0o644, -1, -1, **more)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A configuration that is in use."""
    root = tmp_path / "etc"
    root.mkdir()
    (root / "main.json").write_text('{"old": true}')
    return root


def request(root: Path, content: str, **more: t.Any) -> Request:
    """A request with a validator that reads JSON and a reload that notes what it saw."""
    log = root.parent / "log"
    note = f"import sys; open({str(log)!r}, 'a').write(open({str(root / 'main.json')!r}).read() + '\\n')"
    given: dict[str, t.Any] = {
        "root": str(root),
        "files": (wanted(root / "main.json", content),),
        "validate": ((sys.executable, "-c", CHECK, "{root}/main.json"),),
        "reload": ((sys.executable, "-c", note),),
        **more,
    }
    return Request(**given)


def loaded(root: Path) -> list[str]:
    log = root.parent / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_new_content_is_validated_written_and_loaded(root: Path) -> None:
    outcome = apply(request(root, '{"new": 1}'))
    assert outcome.changed
    assert outcome.validated
    assert outcome.written == (str(root / "main.json"),)
    assert outcome.service == "reloaded"
    assert loaded(root) == ['{"new": 1}']
    again = apply(request(root, '{"new": 1}'))
    assert not again.changed
    assert loaded(root) == ['{"new": 1}'], "an unchanged file is not loaded again"


def test_what_the_tool_refuses_changes_nothing(root: Path) -> None:
    with pytest.raises(HostError) as refused:
        apply(request(root, "{nonsense"))
    message = str(refused.value)
    assert f"refuses the new configuration of {root}" in message
    assert "Expecting property name enclosed in double quotes" in message
    assert "frugal-work" not in message
    assert "\n" not in message
    assert (root / "main.json").read_text() == '{"old": true}'
    assert loaded(root) == []
    assert [path.name for path in root.parent.iterdir()] == ["etc"]


def test_messages_do_not_hold_what_is_secret(root: Path) -> None:
    file = wanted(root / "main.json", '{"password": hunter2-secret}', secret=True)
    complain = (sys.executable, "-c", "import sys; sys.exit('bad line: \"password\": hunter2-secret}')")
    with pytest.raises(HostError) as refused:
        apply(request(root, "", files=(file,), validate=(complain,)))
    assert "hunter2" not in str(refused.value)
    assert 'bad line: "password": ********' in str(refused.value)
    file = wanted(root / "main.json", "receiver: someone\nkey: abc", secret_values=("abc",))
    complain = (sys.executable, "-c", "import sys; sys.exit('receiver someone with abc is unknown')")
    with pytest.raises(HostError, match=r"receiver someone with \*{8} is unknown"):
        apply(request(root, "", files=(file,), validate=(complain,)))


def test_a_missing_tool_is_one_sentence_and_no_problem_in_check_mode(root: Path) -> None:
    missing = request(root, '{"new": 1}', validate=(("no-such-tool", "{root}"),))
    with pytest.raises(HostError, match="validate needs 'no-such-tool', which is not on this host"):
        apply(missing)
    outcome = apply(dataclasses.replace(missing, check=True))
    assert outcome.changed
    assert not outcome.validated
    assert (root / "main.json").read_text() == '{"old": true}'


def test_tools_are_found_beside_a_new_binary_first(root: Path, tmp_path: Path) -> None:
    tool = tmp_path / "opt" / "checker"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho from-opt >&2\nexit 3\n")
    tool.chmod(0o755)
    with pytest.raises(HostError, match=r"checker refuses .*: from-opt \(exit code 3; nothing was changed\)"):
        apply(request(root, "{}", validate=(("checker",),), search_path=(str(tool.parent),)))


def test_check_mode_validates_and_changes_nothing(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    outcome = apply(request(root, '{"new": 1}', check=True))
    assert outcome.changed
    assert outcome.validated
    assert outcome.diff[0]["after"] == '{"new": 1}'
    with pytest.raises(HostError, match="refuses the new configuration"):
        apply(request(root, "{nonsense", check=True))
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before
    assert [path.name for path in root.parent.iterdir()] == ["etc"]
    assert not apply(request(root, '{"old": true}', check=True)).changed


def test_a_reload_that_fails_puts_the_old_files_back_and_loads_them(root: Path) -> None:
    log = root.parent / "log"
    script = (
        f"import sys; text = open({str(root / 'main.json')!r}).read(); open({str(log)!r}, 'a').write(text + '\\n');"
        "sys.exit('cannot take it' if 'new' in text else 0)"
    )
    with pytest.raises(HostError) as failed:
        apply(request(root, '{"new": 1}', reload=((sys.executable, "-c", script),)))
    assert "cannot take it; the previous files are back and loaded" in str(failed.value)
    assert loaded(root) == ['{"new": 1}', '{"old": true}']
    assert (root / "main.json").read_text() == '{"old": true}'


def test_a_service_that_takes_neither_is_said(root: Path) -> None:
    with pytest.raises(HostError, match="the previous files are back, but the service did not take them either"):
        apply(request(root, '{"new": 1}', reload=(("false",),)))
    assert (root / "main.json").read_text() == '{"old": true}'


def test_a_probe_that_fails_puts_the_old_files_back(root: Path) -> None:
    port = free_port()
    with pytest.raises(HostError) as failed:
        apply(request(root, '{"new": 1}', probe=Probe(port=port, timeout=0.5)))
    assert f"does not answer within 0.5 s: 127.0.0.1:{port}: Connection refused" in str(failed.value)
    assert "the previous files are back and loaded" in str(failed.value)
    assert loaded(root) == ['{"new": 1}', '{"old": true}']


def test_a_killed_run_is_repaired_and_loaded_even_if_nothing_else_changes(root: Path) -> None:
    kill = (sys.executable, "-c", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            apply(request(root, '{"new": 1}', reload=(kill,)))
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert (root / "main.json").read_text() == '{"new": 1}'
    checked = apply(request(root, '{"old": true}', check=True))
    assert checked.recovered
    assert checked.changed
    assert (root / "main.json").read_text() == '{"new": 1}', "check mode repairs nothing"
    outcome = apply(request(root, '{"old": true}'))
    assert outcome.recovered
    assert outcome.service == "reloaded"
    assert loaded(root) == ['{"old": true}']
    assert not apply(request(root, '{"old": true}')).changed


# --- A systemd that acts a part


SYSTEMCTL = """\
import json, sys, time
path = {state!r}
state = json.load(open(path))
verb = sys.argv[1]
state["calls"].append(" ".join(sys.argv[1:3]) if verb != "show" else "show")
if verb in ("start", "restart", "reload"):
    content = open({config!r}).read()
    bad = state["bad"] and state["bad"] in content
    if verb == "reload":
        state["loaded"] = content
    else:
        state["active"] = "failed" if bad else "active"
        state["pid"] = state["pid"] + 1
        state["loaded"] = content
elif verb == "stop":
    state["active"] = "inactive"
json.dump(state, open(path, "w"))
if verb == "show":
    print("ActiveState=" + state["active"]); print("SubState=x"); print("MainPID=" + str(state["pid"]))
    print("NRestarts=0"); print("NeedDaemonReload=" + state["stale"])
"""


#: what the unit wrote, between what systemd wrote about it
JOURNAL = """Starting x.service - X...
all is well
listen tcp: address already in use
x.service: Failed with result 'exit-code'.
Failed to start x.service - X."""


class Systemd:
    """What the stand-in did; ``bad`` is what a configuration that does not start holds."""

    def __init__(self, folder: Path, config: Path) -> None:
        self._state = folder / "state.json"
        self.write(active="active", pid=10_000_000, stale="no", bad="", calls=[], loaded="")
        for name, text in (
            ("systemctl", SYSTEMCTL.format(state=str(self._state), config=str(config))),
            ("journalctl", f"print({JOURNAL!r})"),
            ("ss", "print('LISTEN 0 5 127.0.0.1:9 0.0.0.0:* users:((\"thief\",pid=77,fd=3))')"),
        ):
            path = folder / name
            path.write_text(f"#!{sys.executable}\n{text}\n")
            path.chmod(0o755)

    def write(self, **state: t.Any) -> None:
        old = json.loads(self._state.read_text()) if self._state.exists() else {}
        self._state.write_text(json.dumps({**old, **state}))

    def read(self, key: str) -> t.Any:
        return json.loads(self._state.read_text())[key]

    def calls(self) -> list[str]:
        """What it was asked to do, questions left out."""
        return [call for call in self.read("calls") if call != "show"]


@pytest.fixture
def systemd(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(host_service, "SETTLE", 0.0)
    return Systemd(folder, root / "main.json")


def unit_request(root: Path, content: str, **more: t.Any) -> Request:
    given: dict[str, t.Any] = {"unit": "x.service", "reload": (("systemctl", "reload", "x.service"),), **more}
    return request(root, content, **given)


def test_a_running_unit_is_reloaded(root: Path, systemd: Systemd) -> None:
    assert apply(unit_request(root, '{"new": 1}')).service == "reloaded"
    assert systemd.calls() == ["reload x.service"]


def test_a_unit_without_reload_is_restarted(root: Path, systemd: Systemd) -> None:
    assert apply(unit_request(root, '{"new": 1}', reload=())).service == "restarted"
    assert systemd.calls() == ["daemon-reload", "reset-failed x.service", "restart x.service"]


def test_a_file_that_is_read_at_the_start_restarts_the_unit(root: Path, systemd: Systemd) -> None:
    files = (wanted(root / "main.json", "{}", restart=True),)
    assert apply(unit_request(root, "", files=files)).service == "restarted"
    assert not apply(unit_request(root, "", files=files)).changed


def test_a_unit_that_does_not_run_is_left_alone_until_it_shall_start(root: Path, systemd: Systemd) -> None:
    systemd.write(active="inactive")
    outcome = apply(unit_request(root, '{"new": 1}'))
    assert outcome.changed
    assert outcome.service == ""
    assert systemd.calls() == []
    assert apply(unit_request(root, '{"new": 1}', start=True, check=True)).service == "started"
    assert systemd.calls() == []
    assert apply(unit_request(root, '{"new": 1}', start=True)).service == "started"
    assert not apply(unit_request(root, '{"new": 1}', start=True)).changed


def test_a_unit_that_does_not_start_with_new_files_runs_with_the_old_ones(root: Path, systemd: Systemd) -> None:
    systemd.write(bad="new")
    with pytest.raises(HostError) as failed:
        apply(unit_request(root, '{"new": 1}', reload=(), probe=Probe(port=9, timeout=1)))
    assert str(failed.value) == (
        "x.service ends again after its start: listen tcp: address already in use"
        " (port 9 is held by thief, process 77); the previous files are back and loaded"
    )
    assert systemd.read("active") == "active"
    assert systemd.read("loaded") == '{"old": true}'


def test_a_unit_that_did_not_run_is_stopped_when_it_does_not_start(root: Path, systemd: Systemd) -> None:
    systemd.write(active="inactive", bad="new")
    with pytest.raises(HostError, match="the previous files are back and the service is stopped, as it was before"):
        apply(unit_request(root, '{"new": 1}', start=True))
    assert systemd.read("active") == "inactive"
    assert (root / "main.json").read_text() == '{"old": true}'


def test_a_unit_file_that_systemd_has_not_read_restarts_the_unit(root: Path, systemd: Systemd) -> None:
    systemd.write(stale="yes")
    outcome = apply(unit_request(root, '{"old": true}'))
    assert outcome.changed
    assert outcome.service == "restarted"


def test_the_way_back_restarts_what_is_read_at_the_start_and_starts_what_died(root: Path, systemd: Systemd) -> None:
    kept = {"keep": str(root.parent / "kept")}
    back = Request(str(root), unit="x.service", **kept)
    drop_in = wanted(root / "drop-in", "x", restart=True)
    apply(unit_request(root, "", files=(wanted(root / "main.json", "{}"), drop_in), **kept))
    assert go_back(back).service == "restarted", "a file that is read at the start is gone"
    apply(unit_request(root, '{"new": 1}', **kept))
    systemd.write(active="failed")
    outcome = go_back(back)
    assert outcome.service == "started", "it ran with what is put back"
    assert (systemd.read("active"), systemd.read("loaded")) == ("active", '{"old": true}')
    # What did not run before a change is not started by taking the change back.
    systemd.write(active="inactive")
    apply(unit_request(root, '{"new": 2}', **kept))
    assert go_back(back).service == ""
    assert (root / "main.json").read_text() == '{"old": true}'


def test_what_somebody_else_loads_is_put_in_place_and_back_alone(root: Path, systemd: Systemd) -> None:
    kept = {"keep": str(root.parent / "kept")}
    systemd.write(stale="yes")
    files = (wanted(root / "main.json", '{"new": 1}', restart=True),)
    outcome = apply(unit_request(root, "", files=files, load=False, **kept))
    assert (outcome.changed, outcome.service) == (True, "")
    outcome = go_back(Request(str(root), unit="x.service", **kept))
    assert (outcome.changed, outcome.service) == (True, "")
    assert (root / "main.json").read_text() == '{"old": true}'
    assert systemd.calls() == []


def test_the_way_back_to_what_was_there_first_does_not_ask_the_new_probe(root: Path, systemd: Systemd) -> None:
    kept = {"keep": str(root.parent / "kept")}
    probe = Probe(command=("grep", "new", str(root / "main.json")), timeout=1)
    apply(unit_request(root, '{"new": 1}', probe=probe, **kept))
    assert go_back(Request(str(root), unit="x.service", **kept)).changed


def test_files_of_before_with_which_the_unit_does_not_start_any_more_are_not_kept(root: Path, systemd: Systemd) -> None:
    kept = {"keep": str(root.parent / "kept")}
    apply(unit_request(root, '{"new": 1}', reload=(), **kept))
    systemd.write(bad="old")
    with pytest.raises(HostError, match=r"address already in use.*; the previous files are back and loaded"):
        go_back(Request(str(root), unit="x.service", **kept))
    assert systemd.read("loaded") == (root / "main.json").read_text() == '{"new": 1}'


def test_a_replaced_program_is_noticed(tmp_path: Path) -> None:
    program = tmp_path / "sleeper"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    child = os.posix_spawn(str(program), [str(program), "30"], {})
    try:
        deadline = time.monotonic() + 5
        while os.readlink(f"/proc/{child}/exe") != str(program) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not host_service.runs_replaced_program(child)
        program.unlink()
        assert host_service.runs_replaced_program(child)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert not host_service.runs_replaced_program(child)


# --- Probes


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def server() -> t.Iterator[str]:
    """An HTTP server: /200 answers 200."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_arguments: t.Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_probes(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert answer(Probe(url=f"{server}/200")) == ""
    assert answer(Probe(url=f"{server}/503")) == f"{server}/503 answers 503"
    assert answer(Probe(url=f"{server}/401", status=(200, 401))) == ""
    assert answer(Probe(url=f"{server}/204", status=(200,))) == f"{server}/204 answers 204"
    port = int(server.rpartition(":")[2])
    assert answer(Probe(port=port)) == ""
    nobody = free_port()
    assert answer(Probe(port=nobody)) == f"127.0.0.1:{nobody}: Connection refused"
    assert answer(Probe(url=f"http://127.0.0.1:{nobody}/")) == f"http://127.0.0.1:{nobody}/: Connection refused"
    assert answer(Probe(command=("true",))) == ""
    assert answer(Probe(command=("sh", "-c", "echo not yet; exit 2"))) == "sh -c echo not yet; exit 2: not yet"
    assert answer(Probe(command=("no-such-program",))) == "no-such-program cannot be run: No such file or directory"


def test_the_port_of_a_probe() -> None:
    assert Probe(url="http://127.0.0.1:9090/x").tcp_port() == 9090
    assert Probe(url="https://host/x").tcp_port() == 443
    assert Probe(port=6379).tcp_port() == 6379


def test_what_tools_say_is_one_line_without_what_is_right() -> None:
    promtool = """Checking /x/prometheus.yml
 SUCCESS: 1 rule files found

Checking /x/rules/own.yml
  FAILED:
/x/rules/own.yml: yaml: line 4: cannot unmarshal
"""
    assert said(promtool) == "/x/rules/own.yml: yaml: line 4: cannot unmarshal"
    amtool = "Checking '/x/a.yml'  FAILED: undefined receiver \"z\"\namtool: error: failed to validate 1 file(s)\n"
    assert said(amtool) == "Checking '/x/a.yml' FAILED: undefined receiver \"z\""
    assert said("x" * 5000).startswith("...")
    assert len(said("x" * 5000)) == 3 + host_service.LONGEST_MESSAGE
