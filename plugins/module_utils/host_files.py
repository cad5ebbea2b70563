# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of files replaced as one transaction: all of them, or none, whenever the process or the machine dies.

Runs on managed hosts: standard library only, Python 3.9 or later.

What is new is written into a work folder beside the root, with its final owner and mode, so a full disk is met there
and the rest is renames. Before the first rename, the old files are linked into the work folder and a journal says what
belongs where. The journal's removal is the commit: a run that finds one puts the old files back first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import fnmatch
import grp
import json
import os
import pwd
import shutil
import stat
import time
import typing as t

#: a folder with more entries is no configuration: somebody named / or /var
MOST_ENTRIES = 20_000
#: content beyond this is not shown in a diff (bytes)
MOST_SHOWN = 100_000
#: how long another run is waited for (seconds)
LOCK_WAIT = 120.0
JOURNAL = "journal.json"
HIDDEN = "(not shown)"
MASK = "********"


class HostError(Exception):
    """Something on this host is not as it must be: one sentence for the operator."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A file (``content``) or symbolic link (``link``) as it shall be.

    ``path`` is absolute. ``uid`` and ``gid`` are -1 where the name is not known on this host yet (check mode only).
    """

    path: str
    content: bytes | None
    link: str | None
    mode: int
    uid: int
    gid: int
    secret: bool = False
    restart: bool = False
    #: parts of the content that are not shown; the rest may be
    secret_values: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Found:
    """What is at a path now; ``kind`` is ``absent``, ``file``, ``link`` or ``other``."""

    kind: str
    content: bytes = b""
    link: str = ""
    mode: int = 0
    uid: int = -1
    gid: int = -1


@dataclasses.dataclass(frozen=True)
class Change:
    """One path that is not as it shall be; ``wanted`` is None where it is removed."""

    path: str
    found: Found
    wanted: Wanted | None


@dataclasses.dataclass(frozen=True)
class FolderRights:
    """What folders that have to be made get; -1 leaves the owner as it comes."""

    mode: int = 0o755
    uid: int = -1
    gid: int = -1


USUAL_RIGHTS = FolderRights()


def user_id(name: str | None, *, missing: int | None = None) -> int:
    """The number of a user; -1 without a name, ``missing`` where it is unknown.

    :raises HostError: when it is unknown and ``missing`` is None.
    """
    if not name:
        return -1
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        if missing is None:
            raise HostError(f"owner is {name!r}: there is no such user on this host") from None
        return missing


def group_id(name: str | None, *, missing: int | None = None) -> int:
    """The number of a group, as :func:`user_id`."""
    if not name:
        return -1
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        if missing is None:
            raise HostError(f"group is {name!r}: there is no such group on this host") from None
        return missing


def inside(root: str, path: str, option: str) -> str:
    """The absolute path of a file that an option names relative to ``root``; absolute ones stay.

    :raises HostError: when it would leave the root.
    """
    if os.path.isabs(path):
        return os.path.normpath(path)
    joined = os.path.normpath(os.path.join(root, path))
    if not path or joined == root or not joined.startswith(root.rstrip("/") + "/"):
        raise HostError(f"{option} is {path!r}: give a path below {root}, or an absolute one")
    return joined


def look(path: str) -> Found:
    """What is at a path."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Found("absent")
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return Found("link", link=os.readlink(path), uid=status.st_uid, gid=status.st_gid)
    if not stat.S_ISREG(status.st_mode):
        return Found("other", mode=mode, uid=status.st_uid, gid=status.st_gid)
    with open(path, "rb") as file:
        return Found("file", content=file.read(), mode=mode, uid=status.st_uid, gid=status.st_gid)


def as_wanted(found: Found, wanted: Wanted) -> bool:
    """Whether a path is as it shall be."""
    if wanted.link is not None:
        return found.kind == "link" and found.link == wanted.link
    return (
        found.kind == "file"
        and found.content == wanted.content
        and found.mode == wanted.mode
        and wanted.uid in (-1, found.uid)
        and wanted.gid in (-1, found.gid)
    )


def purged(root: str, patterns: t.Sequence[str], kept: t.AbstractSet[str]) -> list[str]:
    """Files below ``root`` that match a pattern and are not kept; ``*`` does not cross a folder, ``**`` does.

    :raises HostError: when a pattern leaves the root.
    """
    for pattern in patterns:
        if os.path.isabs(pattern) or ".." in pattern.split("/") or not pattern:
            raise HostError(f"purge has {pattern!r}: give a pattern relative to root, such as rules/*.yml")
    gone = []
    for folder, _folders, names in os.walk(root) if patterns else ():
        for name in names:
            path = os.path.join(folder, name)
            parts = os.path.relpath(path, root).split("/")
            if path not in kept and any(_matches(parts, pattern.split("/")) for pattern in patterns):
                gone.append(path)
    return sorted(gone)


def _matches(parts: t.Sequence[str], pattern: t.Sequence[str]) -> bool:
    """Whether the parts of a path match the parts of a pattern."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def changes_for(root: str, wanted: t.Sequence[Wanted], purge: t.Sequence[str]) -> tuple[Change, ...]:
    """What has to change, in the order in which it is done: writes first, then removals.

    :raises HostError: when two files have one path, or a folder or device is in the way.
    """
    kept: set[str] = set()
    changes = []
    for file in wanted:
        if file.path in kept:
            raise HostError(f"files has {file.path} twice: name each file once")
        kept.add(file.path)
        found = look(file.path)
        if found.kind == "other":
            raise HostError(f"{file.path} is a folder or device: a file cannot take its place")
        if not as_wanted(found, file):
            changes.append(Change(file.path, found, file))
    for path in purged(root, purge, kept):
        changes.append(Change(path, look(path), None))
    return tuple(changes)


# --- What a diff shows


def shown(change: Change) -> dict[str, str]:
    """A change as Ansible's diff. What others may not read on the host is not shown here either."""
    wanted = change.wanted
    masked = wanted.secret_values if wanted else ()
    before = _text(change.found, secret=bool(wanted and wanted.secret), masked=masked)
    after = _text(_becomes(wanted), secret=wanted.secret, masked=masked) if wanted else ""
    if masked:
        # What was secret before is not known: of the old lines, only those that stay are shown.
        staying = set(after.splitlines())
        before = "".join(f"{line if line in staying else HIDDEN}\n" for line in before.splitlines())
    if before == after and wanted:
        before, after = before + _rights(change.found), after + _rights(_becomes(wanted))
    return {"before_header": change.path, "after_header": change.path, "before": before, "after": after}


def _becomes(wanted: Wanted) -> Found:
    if wanted.link is not None:
        return Found("link", link=wanted.link)
    return Found("file", content=wanted.content or b"", mode=wanted.mode, uid=wanted.uid, gid=wanted.gid)


def _text(found: Found, *, secret: bool, masked: t.Sequence[str] = ()) -> str:
    if found.kind == "absent":
        return ""
    if found.kind == "link":
        return f"-> {found.link}\n"
    if secret or not (found.mode & stat.S_IROTH or masked):
        return f"{HIDDEN}\n"
    if len(found.content) > MOST_SHOWN or b"\0" in found.content:
        return f"({len(found.content)} bytes)\n"
    text = found.content.decode("utf-8", "replace")
    for value in masked:
        text = text.replace(value, MASK)
    return text


def _rights(found: Found) -> str:
    owner = "".join(f" {label} {number}" for label, number in (("uid", found.uid), ("gid", found.gid)) if number != -1)
    return f"(mode {found.mode:04o}{owner})\n"


# --- The work folder


def work_folder(root: str) -> str:
    """Where a transaction on ``root`` keeps what it needs: beside it, or inside where root is a mount of its own."""
    parent, name = os.path.split(root)
    with contextlib.suppress(OSError):
        if os.stat(root).st_dev != os.stat(parent).st_dev:
            return os.path.join(root, ".frugal-work")
    return os.path.join(parent, f".{name}.frugal-work")


@contextlib.contextmanager
def locked(root: str, wait: float = LOCK_WAIT) -> t.Iterator[None]:
    """Only one transaction on a root at a time.

    The lock is on the folder that holds the root, because the root may not be there yet, and dies with the process.

    :raises HostError: when another run holds it for longer than ``wait`` seconds.
    """
    folder = os.path.dirname(root)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise HostError(f"another run has been changing {root} for {wait:.0f} s: try again") from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def unfinished(root: str) -> bool:
    """Whether a run was killed between its first change and its end."""
    return os.path.exists(os.path.join(work_folder(root), JOURNAL))


def recover(root: str) -> bool:
    """Put the old files of a killed run back and remove what it left; whether files had been changed.

    May itself be killed and run again. The caller holds the lock.
    """
    work = work_folder(root)
    path = os.path.join(work, JOURNAL)
    try:
        with open(path, encoding="utf-8") as file:
            journal = json.load(file)
    except FileNotFoundError:
        shutil.rmtree(work, ignore_errors=True)
        return False
    _put_back(work, journal)
    _finish(work)
    return True


def _put_back(work: str, journal: t.Mapping[str, t.Any]) -> None:
    """The old files where they were; what was new is removed. Does no harm when done twice."""
    for entry in reversed(journal["files"]):
        with contextlib.suppress(OSError):
            os.unlink(_new_name(entry["path"]))
        backup = os.path.join(work, entry["backup"]) if entry["backup"] else ""
        if backup and os.path.lexists(backup):
            _move(backup, entry["path"])
        elif not backup:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(entry["path"])
    for folder in reversed(journal["folders"]):
        with contextlib.suppress(OSError):  # somebody else uses it by now
            os.rmdir(folder)


def _finish(work: str) -> None:
    """The commit: without its journal, what is left of the work folder means nothing."""
    os.unlink(os.path.join(work, JOURNAL))
    _sync(work)
    shutil.rmtree(work, ignore_errors=True)


class Transaction:
    """Changes on their way: :meth:`stage`, check the copy, :meth:`swap`, then :meth:`commit` or :meth:`roll_back`.

    ``work`` is where the copy is made; check mode gives a temporary folder and goes no further than :meth:`stage`.
    """

    def __init__(self, root: str, changes: t.Sequence[Change], rights: FolderRights, work: str = "") -> None:
        self.root = root
        self.work = work or work_folder(root)
        #: the root as it will be: unchanged files are links to the real ones
        self.staged = os.path.join(self.work, "root")
        self._changes = changes
        self._rights = rights
        self._journal: dict[str, t.Any] = {"files": [], "folders": []}
        self._made: list[str] = []

    def stage(self) -> None:
        """Write everything that is new; nothing that is in use changes.

        :raises HostError: when the disk is full or the folder cannot be written; what was begun is removed.
        """
        try:
            self._made = _make_folders(os.path.dirname(self.work), self._rights)
            # Others may pass through but not look around: validators may run as the service's user.
            os.mkdir(self.work, 0o711)
            self._mirror()
            for number, change in enumerate(self._changes):
                if change.wanted is not None:
                    _write(self._staged_path(number, change), change.wanted)
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError):
                raise HostError(f"writing into {self.work} failed, {self.root} is unchanged: {_why(error)}") from None
            raise

    def discard(self) -> None:
        """Remove the copy; nothing was changed."""
        shutil.rmtree(self.work, ignore_errors=True)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def swap(self) -> None:
        """Put what is new in place, file by file.

        :raises HostError: when that fails; the old files are back.
        """
        try:
            self._keep_old()
        except OSError as error:
            self.discard()
            raise HostError(f"{self.root} is unchanged: {_why(error)}") from None
        try:
            for folder in self._journal["folders"]:
                _make_folder(folder, self._rights)
            for number, change in enumerate(self._changes):
                if change.wanted is None:
                    os.unlink(change.path)
                else:
                    _move(self._staged_path(number, change), change.path)
            for folder in {os.path.dirname(change.path) for change in self._changes}:
                _sync(folder)
        except OSError as error:
            self.roll_back()
            raise HostError(f"the previous files of {self.root} are back: {_why(error)}") from None

    def roll_back(self) -> None:
        """The old files where they were."""
        _put_back(self.work, self._journal)
        _finish(self.work)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def commit(self) -> None:
        """What is new stays."""
        _finish(self.work)

    def _staged_path(self, number: int, change: Change) -> str:
        if self._below_root(change.path):
            return os.path.join(self.staged, os.path.relpath(change.path, self.root))
        return os.path.join(self.work, f"file{number}")

    def _below_root(self, path: str) -> bool:
        return path.startswith(self.root.rstrip("/") + "/")

    def _mirror(self) -> None:
        """The root as a tree of links, without the files that change."""
        changed = {change.path for change in self._changes}
        count = 0

        def mirror(folder: str) -> None:
            nonlocal count
            target = os.path.normpath(os.path.join(self.staged, os.path.relpath(folder, self.root)))
            status = os.stat(folder)
            os.mkdir(target)
            _own(target, status.st_uid, status.st_gid)
            os.chmod(target, stat.S_IMODE(status.st_mode))
            with os.scandir(folder) as entries:
                for entry in entries:
                    count += 1
                    if count > MOST_ENTRIES:
                        raise HostError(
                            f"root is {self.root!r}, which holds more than {MOST_ENTRIES} files: "
                            "name the folder of one service's configuration"
                        )
                    copy = os.path.join(target, entry.name)
                    if entry.path in changed or entry.path == self.work:
                        continue
                    if entry.is_symlink():
                        os.symlink(self._same_link(entry.path), copy)
                    elif entry.is_dir():
                        mirror(entry.path)
                    else:
                        os.symlink(entry.path, copy)

        if os.path.isdir(self.root):
            mirror(self.root)
        else:
            _make_folder(self.staged, self._rights)
        for change in self._changes:
            if change.wanted is not None and self._below_root(change.path):
                relative = os.path.relpath(os.path.dirname(change.path), self.root)
                _make_folders(os.path.normpath(os.path.join(self.staged, relative)), self._rights)

    def _same_link(self, path: str) -> str:
        """Where a link of the root leads from the copy: into the copy if it stays in the root."""
        target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        return os.path.join(self.staged, os.path.relpath(target, self.root)) if self._below_root(target) else target

    def _keep_old(self) -> None:
        """Link the old files into the work folder and write the journal: from here on a killed run is undone."""
        old = os.path.join(self.work, "old")
        os.mkdir(old, 0o700)
        for number, change in enumerate(self._changes):
            backup = ""
            if change.found.kind != "absent":
                backup = os.path.join("old", str(number))
                _link(change.path, os.path.join(self.work, backup))
            self._journal["files"].append({"path": change.path, "backup": backup})
        folders: list[str] = []
        for change in self._changes:
            if change.wanted is not None:
                missing = _missing_folders(os.path.dirname(change.path))
                folders += [folder for folder in missing if folder not in folders]
        self._journal["folders"] = folders
        path = os.path.join(self.work, JOURNAL)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(self._journal, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".new", path)
        _sync(self.work)


# --- Single steps


def _why(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{os.strerror(error.errno) if error.errno else error}{where}"


def _own(path: str, uid: int, gid: int) -> None:
    status = os.lstat(path)
    if uid not in (-1, status.st_uid) or gid not in (-1, status.st_gid):
        os.chown(path, uid, gid, follow_symlinks=False)


def _missing_folders(folder: str) -> list[str]:
    """The folders that have to be made, outermost first."""
    missing: list[str] = []
    while not os.path.isdir(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    return missing


def _make_folder(folder: str, rights: FolderRights) -> None:
    os.mkdir(folder)
    _own(folder, rights.uid, rights.gid)
    os.chmod(folder, rights.mode)


def _make_folders(folder: str, rights: FolderRights) -> list[str]:
    missing = _missing_folders(folder)
    for one in missing:
        _make_folder(one, rights)
    return missing


def _write(path: str, wanted: Wanted) -> None:
    """A new file with its final owner and mode, on the disk when this returns."""
    if wanted.link is not None:
        os.symlink(wanted.link, path)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(wanted.content or b"")
        file.flush()
        os.fsync(descriptor)
    # The owner first: changing it clears special bits of the mode.
    _own(path, wanted.uid, wanted.gid)
    os.chmod(path, wanted.mode)


def _link(source: str, target: str) -> None:
    """A second name for a file, with all that belongs to it; a copy where that cannot be."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        _copy(source, target)


def _move(source: str, target: str) -> None:
    """Replace ``target`` in one step, also from another file system."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        new = _new_name(target)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        try:
            _copy(source, new)
            os.replace(new, target)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
            raise
        os.unlink(source)


def _new_name(path: str) -> str:
    """Where a file from another file system is written before it takes its place."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.frugal-new")


def _copy(source: str, target: str) -> None:
    status = os.lstat(source)
    shutil.copy2(source, target, follow_symlinks=False)
    _own(target, status.st_uid, status.st_gid)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
        with open(target, "rb") as file:
            os.fsync(file.fileno())


def _sync(folder: str) -> None:
    """Make the names in a folder survive a power cut; not all file systems can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
