# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of tags: as few requests as possible, written to a file before the first is sent, and taken back from it.

A run is one file of JSON lines: a header, every request with the tags as they were, then a line for each that was
answered. A killed run is continued by reading the cloud again, which says itself what is done; nothing is repeated.
Undoing compares each tag with what the run wrote, so what somebody changed since stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
import typing as t
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

_Dict: t.TypeAlias = "dict[str, t.Any]"
#: Resources of one request. https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_TagResources.html
PER_REQUEST = 20


class JournalError(Exception):
    """One sentence: what is wrong with the folder, a file or the run that was named."""


@dataclasses.dataclass(frozen=True)
class Change:
    """What happens to one resource. ``before``: the tags that are touched, None where there is none."""

    id: str
    place: str
    set: Mapping[str, str]
    remove: tuple[str, ...]
    before: Mapping[str, str | None]


@dataclasses.dataclass(frozen=True)
class Write:
    """One request: the same tags for all ``changes``."""

    place: str
    set: Mapping[str, str]
    remove: tuple[str, ...]
    before: Mapping[str, Mapping[str, str | None]]

    @property
    def ids(self) -> tuple[str, ...]:
        """The resources."""
        return tuple(self.before)


def change(
    identity: str, place: str, tags: Mapping[str, str], setting: Mapping[str, str], remove: Iterable[str]
) -> Change:
    """What happens to a resource that has ``tags`` now."""
    gone = tuple(sorted(remove))
    return Change(identity, place, dict(setting), gone, {key: tags.get(key) for key in (*setting, *gone)})


def grouped(changes: Sequence[Change], size: int = PER_REQUEST) -> list[Write]:
    """The requests: tags are set first and removed afterwards, each request for up to ``size`` resources.

    Resources with the same tags to set share requests. Where few resources have all of them in common, a request
    for each single tag needs fewer: the smaller number wins.
    """
    changes = sorted(changes, key=lambda one: (one.place, one.id))
    together = _sets(changes, size, lambda one: [one.set])
    single = _sets(changes, size, lambda one: [{key: value} for key, value in one.set.items()])
    writes = together if len(together) <= len(single) else single
    removing: dict[tuple[str, tuple[str, ...]], list[Change]] = {}
    for one in changes:
        if one.remove:
            removing.setdefault((one.place, one.remove), []).append(one)
    for (place, keys), members in removing.items():
        for part in _parts(members, size):
            writes.append(Write(place, {}, keys, {one.id: _of(one, keys) for one in part}))
    return writes


def alike(changes: Sequence[Change], size: int = PER_REQUEST) -> list[Write]:
    """The same where one request both sets and removes: groups of resources with the same change."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]], list[Change]] = {}
    for one in sorted(changes, key=lambda one: (one.place, one.id)):
        groups.setdefault((one.place, tuple(sorted(one.set.items())), one.remove), []).append(one)
    return [
        Write(place, dict(tags), remove, {one.id: one.before for one in part})
        for (place, tags, remove), members in groups.items()
        for part in _parts(members, size)
    ]


def _sets(changes: Sequence[Change], size: int, split: Callable[[Change], list[Mapping[str, str]]]) -> list[Write]:
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Change]] = {}
    for one in changes:
        for tags in split(one) if one.set else ():
            groups.setdefault((one.place, tuple(sorted(tags.items()))), []).append(one)
    return [
        Write(place, dict(tags), (), {one.id: _of(one, [key for key, _value in tags]) for one in part})
        for (place, tags), members in groups.items()
        for part in _parts(members, size)
    ]


def _parts(members: Sequence[Change], size: int) -> Iterator[Sequence[Change]]:
    for at in range(0, len(members), size):
        yield members[at : at + size]


def _of(one: Change, keys: Iterable[str]) -> dict[str, str | None]:
    return {key: one.before[key] for key in keys}


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A run as its file tells it. ``outcomes``: number of a request -> resources that were refused, with why."""

    id: str
    header: Mapping[str, t.Any]
    writes: tuple[Write, ...]
    outcomes: Mapping[int, Mapping[str, str]]
    finished: bool

    @property
    def undoes(self) -> str:
        """The run that this one takes back; empty where it is none."""
        return str(self.header.get("undoes", ""))


class Journal:
    """The file of a run that is at work."""

    def __init__(self, path: Path, run: str, handle: int, undoes: str = "") -> None:
        self.path = path
        self.run = run
        self.undoes = undoes
        self.made = 0
        self._handle = handle

    def answered(self, number: int, refused: Mapping[str, str]) -> None:
        """A request was answered. Not synced: what a power cut loses is read from the cloud again."""
        self._append({"answered": number, **({"refused": dict(refused)} if refused else {})})

    def finish(self) -> None:
        """All requests were sent."""
        self._append({"finished": True})
        os.fsync(self._handle)

    def _append(self, line: _Dict) -> None:
        os.write(self._handle, json.dumps(line).encode() + b"\n")


class Journals:
    """A folder of runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def locked(self, scope: str) -> Iterator[None]:
        """No other run of the scope changes tags meanwhile; those of other accounts may.

        :raises JournalError: one does, or the folder cannot be written.
        """
        name = f".{hashlib.sha256(scope.encode()).hexdigest()[:16]}.lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"journal_directory {self.folder} cannot be written: {error.strerror}") from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise JournalError(
                    f"another run changes tags of the same account with journal_directory {self.folder}: wait"
                ) from None
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def begin(self, header: Mapping[str, t.Any], writes: Sequence[Write], now: datetime.datetime) -> Iterator[Journal]:
        """The file of a new run, with all its requests, safely on disk before the first of them is sent."""
        run = f"{now:%Y%m%dT%H%M%SZ-%f}-{uuid.uuid4().hex[:4]}"
        path = self.folder / f"{run}.jsonl"
        draft = self.folder / f".{run}.draft"
        try:
            with open(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(json.dumps({"run": run, "started": now.isoformat(), **header}) + "\n")
                for write in writes:
                    file.write(json.dumps(dataclasses.asdict(write)) + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
            _sync(self.folder)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(f"journal_directory {self.folder} cannot be written: {error.strerror}") from None
        try:
            yield Journal(path, run, handle, header.get("undoes", ""))
        finally:
            os.close(handle)

    def read(self, run: str) -> Recorded:
        """One run. :raises JournalError: there is none, or its file is damaged."""
        path = self.folder / f"{run}.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except OSError:
            known = self.runs()
            last = f"the last is {known[-1]}" if known else "there is none yet"
            raise JournalError(f"run is {run!r}, which journal_directory {self.folder} does not have: {last}") from None
        header: _Dict = {}
        writes: list[Write] = []
        outcomes: dict[int, Mapping[str, str]] = {}
        finished = False
        for number, text in enumerate(lines):
            try:
                line = json.loads(text) if text else {}
            except ValueError:
                # The line that was being written when the run was killed has no end.
                if number == len(lines) - 1:
                    break
                raise JournalError(f"{path}, line {number + 1}: it is damaged, so the run cannot be undone") from None
            if "run" in line:
                header = line
            elif "before" in line:
                writes.append(Write(line["place"], line["set"], tuple(line["remove"]), line["before"]))
            elif "answered" in line:
                outcomes[line["answered"]] = line.get("refused", {})
            finished = finished or bool(line.get("finished"))
        return Recorded(run, header, tuple(writes), outcomes, finished)

    def runs(self) -> list[str]:
        """All runs, oldest first."""
        return sorted(path.stem for path in self.folder.glob("*.jsonl"))

    def heads(self) -> list[_Dict]:
        """The headers of all runs, oldest first, with ``finished``; cheap, whatever the runs' size."""
        found = []
        for run in self.runs():
            path = self.folder / f"{run}.jsonl"
            with path.open("rb") as file:
                try:
                    header = json.loads(file.readline())
                except ValueError:
                    raise JournalError(f"{path}, line 1: it is damaged, so the run cannot be undone") from None
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 64))
                header["finished"] = file.read().endswith(b'{"finished": true}\n')
            found.append(header)
        return found

    def unfinished(self, scope: str) -> str:
        """The last run of this scope, if it was killed and not continued or undone since; else nothing."""
        mine = [head for head in self.heads() if head["scope"] == scope]
        return mine[-1]["run"] if mine and not mine[-1]["finished"] and not mine[-1].get("undoes") else ""

    def to_undo(self, scope: str, run: str) -> list[Recorded]:
        """The run that was named, or the last that nobody took back, with the killed ones that it continued.

        :raises JournalError: there is none.
        """
        heads = self.heads()
        undone = {head["undoes"] for head in heads if head.get("undoes") and head["finished"]}
        for head in reversed(heads):
            if head["run"] in undone and head.get("continues"):
                undone.add(head["continues"])
        if not run:
            open_runs = [
                h["run"] for h in heads if h["scope"] == scope and not h.get("undoes") and h["run"] not in undone
            ]
            if not open_runs:
                raise JournalError(f"journal_directory {self.folder} has no run of this account to undo")
            run = open_runs[-1]
        chain = [self.read(run)]
        if chain[0].header.get("scope") != scope:
            raise JournalError(f"run is {run!r}, which changed another account or project")
        if chain[0].undoes:
            raise JournalError(f"run is {run!r}, which took another run back: name one that set tags")
        while chain[0].header.get("continues"):
            chain.insert(0, self.read(chain[0].header["continues"]))
        return chain


@dataclasses.dataclass(frozen=True)
class Undoing:
    """How to take runs back: ``changes``, and resource -> keys that somebody changed since."""

    changes: tuple[Change, ...]
    kept: Mapping[str, tuple[str, ...]]


@dataclasses.dataclass
class _Touched:
    place: str
    before: dict[str, str | None] = dataclasses.field(default_factory=dict)
    after: dict[str, str | None] = dataclasses.field(default_factory=dict)


def touched(runs: Iterable[Recorded]) -> dict[str, _Touched]:
    """Resource -> its tags before the first of the runs and after the last; refused changes are left out.

    A request without an answer may have taken effect or not: the cloud will tell.
    """
    found: dict[str, _Touched] = {}
    for run in runs:
        for number, write in enumerate(run.writes):
            refused = run.outcomes.get(number, {})
            for identity, before in write.before.items():
                if identity in refused:
                    continue
                one = found.setdefault(identity, _Touched(write.place))
                for key, value in before.items():
                    one.before.setdefault(key, value)
                    one.after[key] = write.set.get(key)
    return found


def undoing(found: Mapping[str, _Touched], tags: Mapping[str, Mapping[str, str]]) -> Undoing:
    """How to bring ``tags`` (by resource, as they are now) back to what they were; resources that are gone are none."""
    changes = []
    kept: dict[str, tuple[str, ...]] = {}
    for identity, one in found.items():
        now = tags.get(identity)
        if now is None:
            continue
        setting: dict[str, str] = {}
        remove = []
        foreign = []
        for key, before in one.before.items():
            there = now.get(key)
            if there == before:
                continue
            if there != one.after[key]:
                foreign.append(key)
            elif before is None:
                remove.append(key)
            else:
                setting[key] = before
        if foreign:
            kept[identity] = tuple(foreign)
        if setting or remove:
            changes.append(change(identity, one.place, now, setting, remove))
    return Undoing(tuple(changes), kept)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run did: the resources that were changed, those refused with why, and how many requests it made."""

    run: str
    done: frozenset[str]
    refused: Mapping[str, str]
    requests: int
    stopped: bool


def carry_out(
    journal: Journal,
    writes: Sequence[Write],
    send: Callable[[Write], Mapping[str, str]],
    maximum_failures: int,
) -> Outcome:
    """Send all requests in order; ``send`` returns the resources that were refused, with why.

    A resource that did not get its new tags keeps its old ones. More than ``maximum_failures`` refused resources end
    the run: something is wrong that more requests do not cure.
    """
    done: set[str] = set()
    refused: dict[str, str] = {}
    for number, write in enumerate(writes):
        ids = [identity for identity in write.before if identity not in refused]
        if not ids:
            journal.answered(number, {identity: refused[identity] for identity in write.before})
            continue
        here = dataclasses.replace(write, before={identity: write.before[identity] for identity in ids})
        answer = send(here)
        journal.made += 1
        refused.update(answer)
        done.update(identity for identity in ids if identity not in answer)
        journal.answered(number, {identity: refused[identity] for identity in write.before if identity in refused})
        if len(refused) > maximum_failures:
            return Outcome(journal.run, frozenset(done - set(refused)), refused, journal.made, True)
    if not (journal.undoes and refused):
        # A run that was not taken back completely can be taken back again.
        journal.finish()
    return Outcome(journal.run, frozenset(done - set(refused)), refused, journal.made, False)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
