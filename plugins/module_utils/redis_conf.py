# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis.conf and sentinel.conf: settings compared by what they mean, and files that Redis and we both write.

Redis rewrites its file (CONFIG REWRITE, every failover by Sentinel), so what is wanted is merged into what is there:
lines of others stay, as the master that Sentinel chose. The settings that we wrote are named in a comment, which Redis
keeps: one that is no longer wanted goes. Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

#: begins the comment that names what we set
OURS = "# frugal.cloud sets:"
#: what Redis 7 reads at its start only (IMMUTABLE_CONFIG in its config.c), and what CONFIG SET refuses as protected
FIXED = frozenset(
    "aclfile always-show-logo aof_rewrite_cpulist appenddirname appendfilename bgsave_cpulist bio_cpulist"
    " cluster-config-file cluster-enabled cluster-port daemonize databases dbfilename dir disable-thp"
    " enable-debug-command enable-module-command enable-protected-configs io-threads io-threads-do-reads loadmodule"
    " logfile pidfile port rdbchecksum rename-command server_cpulist set-proc-title socket-mark-id supervised"
    " syslog-enabled syslog-facility syslog-ident tcp-backlog tls-port unixsocket unixsocketperm user".split()
)
#: what takes several words; the value of any other setting is one word, in quotes where it has blanks
SEVERAL = frozenset(
    "bind client-output-buffer-limit latency-tracking-info-percentiles loadmodule oom-score-adj-values rename-command"
    " replicaof save sentinel user".split()
)
#: 100mb and 104857600 are the same
UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}
SIZE = re.compile(r"(-?\d+)(b|k|kb|m|mb|g|gb)?\Z", re.I)
NAME = re.compile(r"[a-z][a-z0-9_.-]*\Z", re.I)
#: classes of clients in client-output-buffer-limit, with the name that Redis replies
CLASSES = {"slave": "replica"}

Settings = t.Mapping[str, str]


def words(line: str) -> list[str]:
    """The words of one line, with Redis' quotes.

    :raises HostError: when a quote does not end.
    """
    try:
        return shlex.split(line, comments=False)
    except ValueError:
        raise HostError(f"{line.split(' ', 1)[0]} has a quote that does not end: close it") from None


def quoted(word: str) -> str:
    """A word as redis.conf reads it: in double quotes where it has to be."""
    if word and re.fullmatch(r"[^\s\"'\\#]+", word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def wanted(options: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Settings as texts: true and false become yes and no, lists become words.

    :raises HostError: when a name or a value cannot be one of redis.conf.
    """
    found: dict[str, str] = {}
    for name, value in options.items():
        if not NAME.match(name):
            raise HostError(f"settings has {name!r}: give names of redis.conf, such as maxmemory-policy")
        if isinstance(value, bool):
            text = "yes" if value else "no"
        elif isinstance(value, (list, tuple)):
            text = " ".join(str(one) for one in value)
        elif isinstance(value, (str, int, float)):
            text = str(value)
        else:
            raise HostError(f"settings has {name}={value!r}: give a text, a number, true, false or a list")
        if "\n" in text or "\0" in text:
            raise HostError(f"settings has {name} with a line break: give one line")
        found[name.lower()] = text
    return found


def plain(name: str, value: str) -> str:
    """The value in the form in which two that mean the same are equal."""
    parts = value.split()
    if name == "client-output-buffer-limit":
        # CONFIG GET replies all classes in bytes; a line of the file has one of them.
        groups = [parts[start : start + 4] for start in range(0, len(parts), 4)]
        shown = (" ".join([CLASSES.get(g[0].lower(), g[0].lower()), *map(_number, g[1:])]) for g in groups if g)
        return " ".join(sorted(shown))
    if name == "notify-keyspace-events":
        return "".join(sorted(value))
    return " ".join(_number(part) for part in parts)


def _number(word: str) -> str:
    found = SIZE.match(word)
    if found:
        return str(int(found.group(1)) * UNITS[(found.group(2) or "").lower()])
    return word.lower() if word.lower() in ("yes", "no") else word


def same(name: str, have: str, want: str) -> bool:
    """Whether the running value is the wanted one; a class of client-output-buffer-limit among the others counts."""
    if name == "client-output-buffer-limit":
        return set(_classes(want).items()) <= set(_classes(have).items())
    return plain(name, have) == plain(name, want)


def _classes(value: str) -> dict[str, str]:
    parts = plain("client-output-buffer-limit", value).split()
    return {parts[start]: " ".join(parts[start + 1 : start + 4]) for start in range(0, len(parts), 4)}


def read(text: str) -> dict[str, list[str]]:
    """The file as name -> values, one a line, in their order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        parts = line.strip().split(None, 1)
        if parts and not parts[0].startswith("#"):
            found.setdefault(parts[0].lower(), []).append(" ".join(words(parts[1])) if len(parts) > 1 else "")
    return found


def ours(text: str) -> list[str]:
    """The settings that we wrote into the file."""
    for line in text.splitlines():
        if line.startswith(OURS):
            return line[len(OURS) :].split()
    return []


def merge(text: str, settings: Settings, header: str = "") -> str:
    """The file with these settings: unchanged where it has them, with the lines of others where it has not.

    :raises HostError: when the file that is there cannot be read.
    """
    found = read(text)
    gone = [name for name in ours(text) if name not in settings]
    stays = all(
        name in found and same(name, " ".join(found[name]), value) for name, value in settings.items()
    ) and not any(name in found for name in gone)
    if text and stays and sorted(ours(text)) == sorted(settings):
        return text
    lines = [f"{line}\n" for line in header.splitlines()]
    lines.append(f"{OURS} {' '.join(sorted(settings))}\n")
    lines += [_line(name, settings[name]) for name in sorted(settings)]
    own = {*settings, *gone}
    for line in text.splitlines():
        name = line.strip().split(None, 1)[0].lower() if line.strip() else ""
        if name and not name.startswith("#") and name not in own:
            lines.append(f"{line}\n")
    return "".join(lines)


def _line(name: str, value: str) -> str:
    if name in SEVERAL:
        return f"{name} {value}\n" if value else f'{name} ""\n'
    return f"{name} {quoted(value)}\n"
