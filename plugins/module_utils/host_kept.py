# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service's files were before they were changed last, so that one step back is possible.

Runs on managed hosts: standard library only, Python 3.9 or later.

There is one record for each folder and unit, in a file that only its owner can read: it holds secrets. The file is
written by the transaction that changes the service's files, so a change and its record come and go together, whenever
the machine dies. A record also says how its files were validated, loaded and probed: what holds for the new files,
such as another port, may not hold for the old ones.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import stat
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import (
    Change,
    Found,
    HostError,
    Wanted,
    look,
)

DIRECTORY = "/var/lib/frugal/service_config"
#: Files that are larger together are not kept (bytes).
MOST_KEPT = 16 * 1024**2
#: A record with another number was written by another version of the collection and is left alone.
FORMAT = 1
NEVER = "nothing has changed it since it was set up"
FRESH = "this is its first configuration"
TAKEN = "it went back already, and one step is all that is kept"
SAME = "its files are as they were before"
LARGE = f"its previous files are larger than {MOST_KEPT // 1024**2} MiB together"
#: Where roles of this collection put a version of a program.
VERSION = re.compile(rb"/opt/[A-Za-z0-9_.+-]+")


@dataclasses.dataclass(frozen=True)
class Old:
    """A path as it was; ``secret`` and ``restart`` as for the file that took its place."""

    path: str
    found: Found
    secret: bool
    restart: bool


@dataclasses.dataclass(frozen=True)
class Previous:
    """Files as they were, how they were validated, loaded and probed, and whether the unit ran with them."""

    files: tuple[Old, ...]
    how: t.Mapping[str, t.Any]
    running: bool
    #: folders below /opt that the files name and that were there
    versions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of one service's configuration; ``reason`` says why ``previous`` is None."""

    root: str
    unit: str
    managed_by: str
    run: str
    #: when its files were changed last (seconds since 1970)
    changed: float
    how: t.Mapping[str, t.Any]
    previous: Previous | None
    reason: str = ""


def record_path(directory: str, root: str, unit: str) -> str:
    """Where the record of a service is."""
    return os.path.join(directory, hashlib.sha256(f"{root}\0{unit}".encode()).hexdigest()[:32] + ".json")


def make_directory(directory: str) -> bool:
    """Make the folder of records, for its owner alone; False where only root could.

    :raises HostError: when it cannot be made for another reason.
    """
    try:
        os.makedirs(os.path.dirname(directory), mode=0o755, exist_ok=True)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        os.chmod(directory, 0o700)
    except PermissionError:
        if os.geteuid():
            return False
        raise HostError(f"keep_directory is {directory!r}: it cannot be made there") from None
    except OSError as error:
        raise HostError(f"keep_directory is {directory!r}: {os.strerror(error.errno or 0)}") from None
    return os.access(directory, os.W_OK)


def read(directory: str, root: str, unit: str) -> Record | None:
    """The record of a service; None where there is none that can be used."""
    return _read(record_path(directory, root, unit))


def read_all(directory: str) -> list[Record]:
    """All records of this host, the one that changed last first."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    except OSError:
        return []
    records = [_read(os.path.join(directory, name)) for name in names]
    return sorted((record for record in records if record), key=lambda one: (-one.changed, one.root, one.unit))


def forget(directory: str, root: str, unit: str) -> None:
    """Remove the record of a service, and folders that are empty then."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(record_path(directory, root, unit))
    tidy(directory)


def tidy(directory: str) -> None:
    """Remove the folder of records, and the one it is in, where nothing is in them."""
    with contextlib.suppress(OSError):  # other services have records, or there is no such folder
        os.rmdir(directory)
        os.rmdir(os.path.dirname(directory))


def after_change(
    before: Record | None, now: Record, changes: t.Sequence[Change], *, running: bool, fallback: t.Mapping[str, t.Any]
) -> Record:
    """The record once ``changes`` are made; ``now`` brings all but what was before.

    A run that changes a service twice can be taken back as a whole. ``fallback`` is how files are loaded that were
    there before the first record.
    """
    again = before is not None and bool(now.run) and before.run == now.run
    files = {change.path: _old(change) for change in changes}
    how = before.how if before else fallback
    if before is not None and again:
        if before.previous is None:
            return dataclasses.replace(now, previous=None, reason=before.reason)
        files = {**files, **{old.path: old for old in before.previous.files}}
        how, running = before.previous.how, before.previous.running
    elif before is None and not running:
        return dataclasses.replace(now, previous=None, reason=FRESH)
    if sum(len(old.found.content) for old in files.values()) > MOST_KEPT:
        return dataclasses.replace(now, previous=None, reason=LARGE)
    named = {folder for old in files.values() for folder in _named(old.found)}
    versions = tuple(sorted(folder for folder in named if os.path.isdir(folder)))
    return dataclasses.replace(now, previous=Previous(tuple(files.values()), how, running, versions), reason="")


def changes_back(record: Record) -> tuple[Change, ...]:
    """What has to change so that the files are as they were, writes before removals.

    :raises HostError: when a program that they need is gone, or a folder or device is in the way.
    """
    previous = record.previous
    if previous is None:
        return ()
    for folder in previous.versions:
        if not os.path.isdir(folder):
            raise HostError(
                f"what {record.unit or record.root} was before needs {folder}, which is not on this host any more: "
                "apply that version once more"
            )
    writes, removals = [], []
    for old in previous.files:
        found = look(old.path)
        if found.kind == "other":
            raise HostError(f"{old.path} is a folder or device: a file cannot take its place")
        if old.found.kind == "absent":
            if found.kind != "absent":
                removals.append(Change(old.path, found, None))
        elif found != old.found:
            writes.append(Change(old.path, found, _wanted(old)))
    return (*writes, *removals)


def versions(record: Record | None) -> tuple[str, ...]:
    """Folders of programs that must stay for the way back."""
    return record.previous.versions if record and record.previous else ()


def change_of(directory: str, record: Record) -> Change:
    """The record as one more file of the transaction that changes the service's files."""
    path = record_path(directory, record.root, record.unit)
    content = json.dumps(_plain(record), sort_keys=True).encode()
    return Change(path, look(path), Wanted(path, content, None, 0o600, -1, -1, secret=True))


# --- As plain data


def _old(change: Change) -> Old:
    wanted = change.wanted
    return Old(
        path=change.path,
        found=change.found,
        # What not everybody may read on the host is not shown either, whoever asks later.
        secret=bool(wanted and (wanted.secret or wanted.secret_values))
        or (change.found.kind == "file" and not change.found.mode & stat.S_IROTH),
        restart=bool(wanted and wanted.restart) or change.path.startswith("/etc/systemd/"),
    )


def _wanted(old: Old) -> Wanted:
    found = old.found
    link = found.link if found.kind == "link" else None
    content = None if found.kind == "link" else found.content
    return Wanted(old.path, content, link, found.mode, found.uid, found.gid, old.secret, old.restart)


def _named(found: Found) -> set[str]:
    """Folders below /opt that a file or link names."""
    text = found.link.encode("utf-8", "surrogateescape") if found.kind == "link" else found.content
    return {name.decode() for name in VERSION.findall(text)}


def _plain(record: Record) -> dict[str, t.Any]:
    plain = dataclasses.asdict(record)
    plain["format"] = FORMAT
    for old in (plain["previous"] or {"files": []})["files"]:
        old["found"]["content"] = base64.b64encode(old["found"]["content"]).decode()
    return plain


def _read(path: str) -> Record | None:
    try:
        with open(path, encoding="utf-8") as file:
            plain = json.load(file)
        if plain.pop("format") != FORMAT:
            return None
        previous = plain.pop("previous")
        return Record(**plain, previous=None if previous is None else _previous(previous))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        return None


def _previous(plain: t.Mapping[str, t.Any]) -> Previous:
    files = []
    for old in plain["files"]:
        found = dict(old["found"], content=base64.b64decode(old["found"]["content"]))
        files.append(Old(old["path"], Found(**found), old["secret"], old["restart"]))
    return Previous(tuple(files), plain["how"], plain["running"], tuple(plain["versions"]))
