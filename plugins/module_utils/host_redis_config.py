# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change settings of a running Redis as one transaction: all of them, in memory, on disk and for the role, or none.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import host_tuned
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import RedisClient, RedisError, text

#: suffix -> bytes, as Redis reads memory sizes (config.c: memtoull)
UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": 1024**2,
    "g": 1000**3,
    "gb": 1024**3,
}
_SIZE = re.compile(r"(\d+)([a-z]{1,2})?\Z")
#: settings whose value is never shown
SECRET = re.compile(r"pass|auth")
HIDDEN = "(not shown)"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was changed, or with ``check`` would be: setting -> (before, after)."""

    changes: dict[str, tuple[str, str]]
    values: dict[str, str]
    #: the configuration file was written by CONFIG REWRITE, or would be
    rewritten: bool
    #: the settings that roles add were changed, or would be
    tuned: bool

    @property
    def changed(self) -> bool:
        """Whether anything is."""
        return bool(self.changes) or self.rewritten or self.tuned


def normal(value: t.Any) -> str:
    """A value as Redis keeps it: sizes in bytes, yes and no, words separated by one space."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(normal(part) for part in value)
    words = []
    for word in str(value).split():
        size = _SIZE.match(word.lower())
        unit = (size[2] or "") if size else None
        words.append(str(int(size[1]) * UNITS[unit]) if size and unit in UNITS else word)
    return " ".join(words)


def same(old: str, new: str) -> bool:
    """Whether two values mean the same: names are not case sensitive, classes of buffer limits may be left out."""
    if normal(old).lower() == normal(new).lower():
        return True
    limits = [_buffer_limits(normal(value)) for value in (old, new)]
    return bool(limits[0]) and bool(limits[1]) and {**limits[0], **limits[1]} == limits[0]


def _buffer_limits(value: str) -> dict[str, tuple[str, ...]]:
    """Class -> limits of client-output-buffer-limit; empty where it is something else."""
    words = value.split()
    rows = [tuple(words[at : at + 4]) for at in range(0, len(words), 4)]
    if not all(len(row) == 4 and row[0] in ("normal", "replica", "slave", "pubsub") for row in rows):
        return {}
    return {"replica" if row[0] == "slave" else row[0]: row[1:] for row in rows}


def shown(values: t.Mapping[str, str]) -> dict[str, str]:
    """Values as results and diffs show them."""
    return {name: HIDDEN if SECRET.search(name) else value for name, value in values.items()}


def diff(outcome: Outcome) -> dict[str, str]:
    """The changed settings, before and after, as lines of redis.conf."""
    sides = []
    for side in (0, 1):
        values = shown({name: pair[side] for name, pair in outcome.changes.items()})
        sides.append("".join(f"{name} {value or chr(34) * 2}\n" for name, value in sorted(values.items())))
    return {"before_header": "settings", "after_header": "settings", "before": sides[0], "after": sides[1]}


def apply(
    client: RedisClient,
    settings: t.Mapping[str, t.Any],
    *,
    persist: bool,
    tuned: str,
    check: bool,
    folder: str = host_tuned.FOLDER,
) -> Outcome:
    """Bring ``settings`` about; ``tuned`` names the service whose role keeps them (empty: none).

    :raises HostError: when one is refused or cannot be kept; everything is as before then.
    """
    names = {name.lower(): normal(value) for name, value in settings.items()}
    before = _current(client, names)
    wanted = {name: value for name, value in names.items() if not same(before[name], value)}
    _refuse_lost_writes(client, before, names)
    info = client.info("server")
    if persist and not info.get("config_file"):
        raise HostError(
            f"Redis at {client.where.name} runs without a configuration file, so the settings would be lost with its "
            "next start: start it with one, or set persist to false"
        )
    behind = persist and not wanted and _file_differs(info["config_file"], before, names)
    overlay = {name: before[name] if name not in wanted else value for name, value in names.items()}
    kept = host_tuned.read(tuned, folder) if tuned else {}
    adds = bool(tuned) and host_tuned.merged(tuned, overlay, folder) != kept
    if check or not (wanted or behind or adds):
        changes = {name: (before[name], value) for name, value in wanted.items()}
        rewrite = persist and (bool(wanted) or behind)
        return Outcome(changes, {**before, **wanted}, rewrite, adds)
    if wanted:
        _set(client, before, wanted)
    try:
        if persist and (wanted or behind):
            client.command("CONFIG", "REWRITE")
        after = _current(client, names)
        if tuned:
            host_tuned.write(tuned, after, folder)
    except HostError as error:
        _undo(client, {name: before[name] for name in wanted}, str(error), rewrite=persist)
    return Outcome(
        {name: (before[name], after[name]) for name in wanted if before[name] != after[name]},
        after,
        persist and (bool(wanted) or behind),
        bool(tuned) and host_tuned.read(tuned, folder) != kept,
    )


def _current(client: RedisClient, names: t.Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        if re.search(r"[*?\[\]\s]", name):
            raise HostError(f"settings has {name!r}: give the name of one setting of redis.conf")
        answer = client.config(name)
        if name not in answer:
            raise HostError(
                f"settings has {name!r}, which Redis {client.info('server').get('redis_version', '')} at "
                f"{client.where.name} does not know"
            )
        found[name] = answer[name]
    return found


def _refuse_lost_writes(client: RedisClient, before: t.Mapping[str, str], names: t.Mapping[str, str]) -> None:
    """Refuse a limit below what is used where nothing may be evicted: every write would fail."""
    limit = names.get("maxmemory", before.get("maxmemory"))
    if "maxmemory" not in names and "maxmemory-policy" not in names:
        return
    limit = limit if limit is not None else client.config("maxmemory")["maxmemory"]
    policy = names.get("maxmemory-policy") or client.config("maxmemory-policy")["maxmemory-policy"]
    if not limit.isdigit() or limit == "0" or policy.lower() != "noeviction":
        return
    used = int(client.info("memory")["used_memory"])
    if used > int(limit) and (before.get("maxmemory"), before.get("maxmemory-policy")) != (limit, policy):
        raise HostError(
            f"maxmemory of {int(limit) / 2**20:.1f} MiB with noeviction would refuse every write: Redis at "
            f"{client.where.name} uses {used / 2**20:.1f} MiB"
        )


def _set(client: RedisClient, before: t.Mapping[str, str], wanted: t.Mapping[str, str]) -> None:
    """CONFIG SET of all; what is set is taken back when one is refused."""
    words = [word for pair in wanted.items() for word in pair]
    try:
        client.command("CONFIG", "SET", *words)
        return
    except RedisError as error:
        # Redis 7 sets several at once, all or none; before, it takes one at a time and says so.
        if len(wanted) == 1 or "wrong number of arguments" not in str(error).lower():
            raise HostError(_sentence(error, wanted)) from None
    done: dict[str, str] = {}
    for name, value in wanted.items():
        try:
            client.command("CONFIG", "SET", name, value)
        except RedisError as error:
            _undo(client, {old: before[old] for old in reversed(done)}, _sentence(error, {name: value}), rewrite=False)
        done[name] = value


def _sentence(error: RedisError, wanted: t.Mapping[str, str]) -> str:
    """Redis' refusal with the setting that it means."""
    told = str(error)
    named = re.search(r"argument '([^']+)'", told)
    names = [named[1]] if named and named[1] in wanted else list(wanted)
    values = ", ".join(f"{name} {HIDDEN if SECRET.search(name) else repr(wanted[name])}" for name in names)
    reason = told.split(") - ", 1)[-1] if ") - " in told else told.split(": ", 1)[-1]
    return f"Redis refuses {values}: {reason.strip()}; no setting was changed"


def _undo(client: RedisClient, old: t.Mapping[str, str], why: str, *, rewrite: bool) -> t.NoReturn:
    """Put old values back and fail."""
    left = []
    for name, value in old.items():
        try:
            client.command("CONFIG", "SET", name, value)
        except RedisError as error:
            left.append(f"{name} ({error})")
    if rewrite and old:
        try:
            client.command("CONFIG", "REWRITE")
        except RedisError as error:
            if text(error) not in why:
                left.append(f"the configuration file ({error})")
    if left:
        raise HostError(f"{why}; these could not be put back: {', '.join(left)}")
    raise HostError(why if "no setting was changed" in why else f"{why}; the settings are as before")


def _file_differs(path: str, before: t.Mapping[str, str], names: t.Mapping[str, str]) -> bool:
    """Whether the configuration file names other values than the server has, as after a killed run.

    Files that cannot be read, or that leave a setting out (it may be in an included file), count as equal.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    found: dict[str, list[str]] = {}
    for line in lines:
        try:
            words = shlex.split(line, comments=False) if line.strip() and not line.lstrip().startswith("#") else []
        except ValueError:
            continue
        if words:
            found.setdefault(words[0].lower(), []).append(" ".join(words[1:]))
    for name in names:
        values = found.get(name)
        # The last line counts, but for settings that have a line for each part.
        if values and not same(before[name], values[-1]) and not same(before[name], " ".join(values)):
            return True
    return False
