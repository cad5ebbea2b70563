# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a service's files in place, load them, see that it answers; else everything is as before.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.frugal.cloud.plugins.module_utils import host_files, host_kept
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

#: longest run of one command (seconds)
COMMAND_TIMEOUT = 120.0
#: between two looks at a service that does not answer yet (seconds)
PROBE_INTERVAL = 0.25
#: how long a service must stay up after its first answer: systemd calls one that dies a moment later started (seconds)
SETTLE = 1.0
#: longest message of a tool that is repeated (characters)
LONGEST_MESSAGE = 600
#: shorter words of a secret file stay in messages, which would be all stars else (characters)
SHORTEST_SECRET = 6
#: what a program writes when it gives up
TROUBLE = re.compile(r"error|fail|cannot|can't|in use|denied|invalid|refus|fatal|panic|unable|unknown|no such", re.I)
#: what systemd writes about a unit, which says less than what the unit wrote itself
MANAGER = re.compile(
    r"^(Failed to start|Start(ing|ed)|Stop(ping|ped)|Reload(ing|ed)) |^\S+\.service: (?!Failed (at|to))"
)
#: what promtool and amtool write on the way
PROGRESS = re.compile(r"^Checking (?!.*FAILED)|\bSUCCESS\b|^FAILED:$|failed to validate \d+ file")

Command = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Probe:
    """How to see that a service answers: by HTTP, TCP or a command. ``timeout`` in seconds."""

    url: str = ""
    port: int = 0
    address: str = "127.0.0.1"
    command: Command = ()
    timeout: float = 30.0
    #: HTTP answers that are right; any 2xx where it is empty
    status: tuple[int, ...] = ()
    validate_certs: bool = True

    def tcp_port(self) -> int:
        """The port that the service has to hold, 0 where that is not known."""
        if self.url:
            parts = urllib.parse.urlsplit(self.url)
            return parts.port or (443 if parts.scheme == "https" else 80)
        return self.port


@dataclasses.dataclass(frozen=True)
class Request:
    """Everything that one call of service_config asks for."""

    root: str
    files: tuple[host_files.Wanted, ...] = ()
    purge: tuple[str, ...] = ()
    rights: host_files.FolderRights = host_files.USUAL_RIGHTS
    validate: tuple[Command, ...] = ()
    #: folders in which commands are looked for before PATH
    search_path: tuple[str, ...] = ()
    reload: tuple[Command, ...] = ()
    probe: Probe | None = None
    unit: str = ""
    #: start the unit where it does not run
    start: bool = False
    #: restart the unit even when no file changed
    restart: bool = False
    #: false: somebody else starts, restarts and reloads the unit
    load: bool = True
    check: bool = False
    #: folder of the records of what files were before; none are kept where it is empty
    keep: str = ""
    #: remove the record in place of keeping one
    forget: bool = False
    #: which role and which run ask, for the record
    managed_by: str = ""
    run: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was done, or with ``check`` would be."""

    changed: bool = False
    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    validated: bool = False
    recovered: bool = False
    #: ``""``, ``reloaded``, ``restarted`` or ``started``
    service: str = ""
    diff: tuple[dict[str, str], ...] = ()
    #: folders of programs that the way back needs
    previous_versions: tuple[str, ...] = ()
    #: why there is nothing to go back to, where that was asked for
    reason: str = ""


def apply(request: Request) -> Outcome:
    """Bring files and service to what is asked for.

    :raises HostError: when that cannot be; files and service are as before then.
    """
    if request.check:
        return _apply(request)
    with host_files.locked(request.root):
        outcome = _apply(request)
        if request.forget:
            host_kept.forget(request.keep, request.root, request.unit)
        return outcome


def go_back(request: Request) -> Outcome:
    """Bring the files of a service to what they were before they were changed last, and load them.

    Of the request, ``root``, ``unit``, ``keep`` and ``check`` count: the rest is as it was with those files.

    :raises HostError: when that cannot be; files and service are as before then.
    """
    with contextlib.nullcontext() if request.check else host_files.locked(request.root):
        broken = host_files.unfinished(request.root)
        if not request.check:
            host_files.recover(request.root)
        record = host_kept.read(request.keep, request.root, request.unit)
        if record is None or record.previous is None:
            return Outcome(changed=broken, recovered=broken, reason=record.reason if record else host_kept.NEVER)
        changes = host_kept.changes_back(record)
        restart = bool(changes) and any(old.restart for old in record.previous.files)
        old_way = _with_how(request, record.previous.how, restart=restart, start=record.previous.running)
        # What is loaded by somebody else now is so on the way back, too. Records of before had no such word.
        old_way = dataclasses.replace(old_way, load=record.how.get("load", True))
        now = dataclasses.replace(record, how=record.previous.how, previous=None, reason=host_kept.TAKEN)
        outcome = _change(old_way, changes, broken, now)
        return outcome if changes else dataclasses.replace(outcome, reason=host_kept.SAME)


def _apply(request: Request) -> Outcome:
    # A killed run comes first: what it left is not what the operator had.
    broken = host_files.unfinished(request.root)
    if not request.check:
        host_files.recover(request.root)
    changes = host_files.changes_for(request.root, request.files, request.purge)
    keep = bool(request.keep) and not request.forget
    record = host_kept.read(request.keep, request.root, request.unit) if keep else None
    if changes and keep:
        record = host_kept.after_change(
            record,
            host_kept.Record(
                *(request.root, request.unit, request.managed_by, request.run, time.time()),
                how=_how(request),
                previous=None,
            ),
            changes,
            running=bool(request.unit) and unit_state(request.unit).running,
            # Nobody knows which port it had; the tools are those of now.
            fallback={**_how(request), "probe": None},
        )
        return _change(request, changes, broken, record)
    return dataclasses.replace(_change(request, changes, broken, None), previous_versions=host_kept.versions(record))


def _change(
    request: Request, changes: tuple[host_files.Change, ...], broken: bool, record: host_kept.Record | None
) -> Outcome:
    """Make the changes, and ``record`` with them."""
    service = _Service(request)
    outcome = Outcome(
        changed=bool(changes) or broken,
        written=tuple(change.path for change in changes if change.wanted is not None),
        removed=tuple(change.path for change in changes if change.wanted is None),
        recovered=broken,
        diff=tuple(host_files.shown(change) for change in changes),
        previous_versions=host_kept.versions(record),
    )
    step = service.step(changes, broken)
    recorded: tuple[host_files.Change, ...] = ()
    if record and not request.check and host_kept.make_directory(request.keep):
        recorded = (host_kept.change_of(request.keep, record),)
    if changes:
        try:
            validated = _transact(request, changes, recorded, service, step)
        except BaseException:
            if recorded:
                host_kept.tidy(request.keep)
            raise
        outcome = dataclasses.replace(outcome, validated=validated)
    elif step and not request.check:
        service.do(step)
    return dataclasses.replace(outcome, changed=outcome.changed or bool(step), service=DONE.get(step, ""))


def _how(request: Request) -> dict[str, t.Any]:
    """How files are validated, loaded and probed, as plain data."""
    return {
        "rights": dataclasses.asdict(request.rights),
        "validate": request.validate,
        "search_path": request.search_path,
        "reload": request.reload,
        "load": request.load,
        "probe": dataclasses.asdict(request.probe) if request.probe else None,
    }


def _with_how(request: Request, how: t.Mapping[str, t.Any], *, restart: bool, start: bool) -> Request:
    """The request with what :func:`_how` noted."""
    probe = how["probe"]
    return dataclasses.replace(
        request,
        rights=host_files.FolderRights(**how["rights"]),
        validate=tuple(tuple(command) for command in how["validate"]),
        search_path=tuple(how["search_path"]),
        reload=tuple(tuple(command) for command in how["reload"]),
        probe=Probe(**{**probe, "command": tuple(probe["command"]), "status": tuple(probe["status"])})
        if probe
        else None,
        restart=restart,
        start=start,
    )


def _transact(
    request: Request,
    changes: tuple[host_files.Change, ...],
    recorded: tuple[host_files.Change, ...],
    service: _Service,
    step: str,
) -> bool:
    """Stage, validate, swap, load, probe; returns whether the service's own tool looked at the files.

    ``recorded`` comes and goes with ``changes``, and is not looked at.
    """
    with contextlib.ExitStack() as stack:
        work = ""
        if request.check:  # beside the root would be a change
            work = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(prefix="frugal-check-")), "work")
            os.chmod(os.path.dirname(work), 0o711)
        transaction = host_files.Transaction(request.root, (*changes, *recorded), request.rights, work)
        transaction.stage()
        try:
            validated = _validate(request, transaction.staged, changes)
        except BaseException:
            transaction.discard()
            raise
        if request.check:
            transaction.discard()
            return validated
    transaction.swap()
    try:
        service.do(step)
    except BaseException as error:
        transaction.roll_back()
        if not isinstance(error, HostError):
            raise
        raise HostError(f"{_redact(str(error), changes)}; {service.undo(step)}") from None
    transaction.commit()
    return validated


def _validate(request: Request, staged: str, changes: t.Sequence[host_files.Change]) -> bool:
    """Let the tools look at the staged files.

    :raises HostError: with the message of the tool that refuses them.
    """
    looked = False
    for command in request.validate:
        argv = [part.replace("{root}", staged) for part in command]
        program = find_program(argv[0], request.search_path)
        if not program:
            if request.check:
                continue  # it will be installed by then
            raise HostError(f"validate needs {argv[0]!r}, which is not on this host: install it first")
        code, output = run((program, *argv[1:]))
        looked = True
        if code:
            message = _redact(said(output).replace(staged, request.root), changes)
            raise HostError(
                f"{os.path.basename(argv[0])} refuses the new configuration of {request.root}: {message}"
                f" (exit code {code}; nothing was changed)"
            )
    return looked


def _redact(message: str, changes: t.Sequence[host_files.Change]) -> str:
    """The message without what is secret: tools quote the line that they do not understand."""
    values: set[str] = set()
    for change in changes:
        wanted = change.wanted
        if wanted is None:
            continue
        values.update(wanted.secret_values)
        if wanted.secret:
            for line in (wanted.content or b"").decode("utf-8", "replace").splitlines():
                parts = (part.strip(" \t\"',;") for part in (line, *re.split(r"[:=\s]+", line)))
                values.update(part for part in parts if len(part) >= SHORTEST_SECRET)
    for value in sorted(values, key=len, reverse=True):
        message = message.replace(value, host_files.MASK)
    return message


# --- Commands


def find_program(name: str, search_path: t.Sequence[str] = ()) -> str:
    """Where a program is, ``""`` where it is not; system folders count even when PATH lacks them."""
    folders = [*search_path, *os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/local/sbin", "/usr/sbin"]
    return shutil.which(name, path=os.pathsep.join(folders)) or ""


def run(argv: Command, timeout: float = COMMAND_TIMEOUT) -> tuple[int, str]:
    """Run a command; exit code and what it wrote.

    :raises HostError: when it is missing or does not end.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"{' '.join(argv)} did not end within {timeout:.0f} s") from None
    except OSError as error:
        raise HostError(f"{argv[0]} cannot be run: {os.strerror(error.errno or 0)}") from None
    return done.returncode, done.stdout.decode("utf-8", "replace")


def said(output: str) -> str:
    """What a tool wrote, as one line: without what it found right, and the end of it where it is long."""
    lines = dict.fromkeys(" ".join(line.split()) for line in output.splitlines())
    kept = [line for line in lines if line and not PROGRESS.search(line)] or [line for line in lines if line]
    text = "; ".join(kept)
    return text if len(text) <= LONGEST_MESSAGE else "..." + text[-LONGEST_MESSAGE:]


# --- The unit

#: what to do with a service, and how a result calls it
DONE = {"start": "started", "restart": "restarted", "reload": "reloaded"}


@dataclasses.dataclass(frozen=True)
class UnitState:
    """What systemd knows about a unit."""

    active: str
    sub: str
    pid: int
    restarts: int
    #: its unit file changed since systemd read it
    stale: bool

    @property
    def running(self) -> bool:
        """Whether it does its work."""
        return self.active in ("active", "reloading")


def unit_state(unit: str) -> UnitState:
    """Ask systemd; a host without systemd has no running unit."""
    if not find_program("systemctl"):
        return UnitState("inactive", "dead", 0, 0, False)
    names = "ActiveState,SubState,MainPID,NRestarts,NeedDaemonReload"
    output = run((find_program("systemctl"), "show", unit, "--property", names))[1]
    values = dict(line.partition("=")[::2] for line in output.splitlines())
    return UnitState(
        active=values.get("ActiveState", "inactive"),
        sub=values.get("SubState", "dead"),
        pid=int(values.get("MainPID") or 0),
        restarts=int(values.get("NRestarts") or 0),
        stale=values.get("NeedDaemonReload") == "yes",
    )


def runs_replaced_program(pid: int) -> bool:
    """Whether a process runs a program that has been replaced on the disk since it started."""
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith(" (deleted)")
    except OSError:
        return False


class _Service:
    """Loads what changed: by the unit where one is named, else by the reload commands."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._unit = request.unit
        self._before = unit_state(self._unit) if self._unit else None

    def step(self, changes: t.Sequence[host_files.Change], broken: bool) -> str:
        """What has to be done with the service: ``start``, ``restart``, ``reload`` or ``""``."""
        request, before = self._request, self._before
        if not request.load:
            return ""
        changed = bool(changes) or broken
        if before is None:
            return "reload" if changed and (request.reload or request.probe) else ""
        if not before.running:
            return "start" if request.start else ""
        # Files of a killed run, a replaced program and a unit file that systemd has not read: nobody knows what runs.
        again = request.restart or broken or before.stale or runs_replaced_program(before.pid)
        if again or any(_needs_restart(change) for change in changes):
            return "restart"
        if changes:
            return "reload" if request.reload else "restart"
        return ""

    def do(self, step: str, *, ask: bool = True) -> None:
        """Do it and see that the service answers; without ``ask`` only that its unit stays up.

        :raises HostError: with what the service said.
        """
        since = time.time()
        if step in ("start", "restart"):
            self._systemctl("daemon-reload")
            # A unit that failed too often is not started again without this.
            run((find_program("systemctl"), "reset-failed", self._unit))
            try:
                self._systemctl(step, self._unit)
            except HostError as error:
                self._stop_if_new(step)
                raise HostError(
                    f"{self._unit} does not start: {self._journal(since) or error}{self._holder()}"
                ) from None
        elif step == "reload":
            for command in self._request.reload:
                code, output = run(command)
                if code:
                    message = self._journal(since) if self._unit else ""
                    raise HostError(f"{' '.join(command)} failed: {message or said(output) or f'exit code {code}'}")
        if step:
            try:
                self._wait_for_answer(since, (self._request.probe if ask else None) or Probe(timeout=10.0))
            except HostError:
                self._stop_if_new(step)
                raise

    def undo(self, step: str) -> str:
        """Load the previous files again; returns how that went, as the end of a sentence."""
        try:
            if step == "start":
                self._systemctl("daemon-reload")
                return "the previous files are back and the service is stopped, as it was before"
            if step:
                # The probe may belong to the new configuration, such as another port.
                self.do(step, ask=False)
                return "the previous files are back and loaded"
        except HostError as error:
            return f"the previous files are back, but the service did not take them either: {error}"
        return "the previous files are back"

    def _stop_if_new(self, step: str) -> None:
        """A service that was not running before is not left restarting for ever."""
        if step == "start":
            run((find_program("systemctl"), "stop", self._unit))

    def _systemctl(self, *arguments: str) -> None:
        program = find_program("systemctl")
        if not program:
            raise HostError(f"unit is {self._unit!r}: this host has no systemd")
        code, output = run((program, *arguments))
        if code:
            raise HostError(f"systemctl {' '.join(arguments)} failed: {said(output)}")

    def _wait_for_answer(self, since: float, probe: Probe) -> None:
        """Until the probe is content and the unit stays up, or time is over."""
        deadline = time.monotonic() + probe.timeout
        first = unit_state(self._unit) if self._unit else None
        why = ""
        while True:
            if first is not None:
                state = unit_state(self._unit)
                died = state.active == "failed" or state.sub == "auto-restart" or state.restarts > first.restarts
                if died or state.active == "inactive":
                    raise HostError(
                        f"{self._unit} ends again after its start: {self._journal(since) or state.sub}{self._holder()}"
                    )
            why = answer(probe)
            if not why:
                if first is None or self._stays(first):
                    return
                why = "it ended after its first answer"
            if time.monotonic() >= deadline:
                what = self._unit or "the service"
                said_by_unit = self._journal(since) if self._unit else ""
                note = f" (it says: {said_by_unit})" if said_by_unit else ""
                raise HostError(f"{what} does not answer within {probe.timeout:g} s: {why}{note}{self._holder()}")
            time.sleep(PROBE_INTERVAL)

    def _stays(self, first: UnitState) -> bool:
        time.sleep(SETTLE)
        state = unit_state(self._unit)
        return state.running and state.restarts == first.restarts

    def _journal(self, since: float) -> str:
        """The last thing the unit said that sounds like trouble, ``""`` without one."""
        program = find_program("journalctl")
        if not program:
            return ""
        output = run((program, "--unit", self._unit, "--since", f"@{since:.6f}", "--output", "cat", "--no-pager"))[1]
        lines = [line for line in output.splitlines() if TROUBLE.search(line) and not MANAGER.search(line)]
        return said(lines[-1]) if lines else ""

    def _holder(self) -> str:
        """Who else holds the port that the probe asks, as the end of a sentence."""
        port = self._request.probe.tcp_port() if self._request.probe else 0
        program = find_program("ss")
        if not port or not program or not self._unit:
            return ""
        output = run((program, "-H", "-l", "-t", "-n", "-p", f"sport = :{port}"))[1]
        own = unit_state(self._unit).pid
        for name, pid in re.findall(r'\("([^"]+)",pid=(\d+)', output):
            if int(pid) != own:
                return f" (port {port} is held by {name}, process {pid})"
        return ""


def _needs_restart(change: host_files.Change) -> bool:
    """Whether a change is read at the start only. Removed drop-ins are such, too."""
    if change.wanted is not None:
        return change.wanted.restart
    return change.path.startswith("/etc/systemd/")


# --- The probe


def answer(probe: Probe) -> str:
    """Ask once: ``""`` when the service answers as it should, else why not."""
    try:
        if probe.url:
            return _http(probe)
        if probe.port:
            with socket.create_connection((probe.address, probe.port), timeout=5.0):
                return ""
        if probe.command:
            code, output = run(probe.command, timeout=max(1.0, probe.timeout))
            return "" if code == 0 else f"{' '.join(probe.command)}: {said(output) or f'exit code {code}'}"
    except HostError as error:
        return str(error)
    except OSError as error:
        reason = getattr(error, "reason", error)
        where = probe.url or f"{probe.address}:{probe.port}"
        return f"{where}: {getattr(reason, 'strerror', None) or reason}"
    return ""


def _http(probe: Probe) -> str:
    """Ask by HTTP, past any proxy."""
    context = ssl.create_default_context()
    if not probe.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(probe.url, timeout=5.0) as response:
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    right = status in probe.status if probe.status else 200 <= status < 300
    return "" if right else f"{probe.url} answers {status}"
