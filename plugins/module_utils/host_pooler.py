# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of pgbouncer and pgpool-II as their files have them, changed in place and loaded.

The files are those that the roles ``pgbouncer`` and ``query_cache`` render: what is changed here is what a later run of
the role renders from the host's tuned settings, so that run changes nothing.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import host_files, host_kept, host_service, host_tuned
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

Values = t.Mapping[str, t.Any]
_SECTION = re.compile(r"\[(\w+)\]\s*\Z")
_SETTING = re.compile(r'("[^"]+"|[A-Za-z0-9_.*-]+)\s*=\s*(.*?)\s*\Z')
_PARAMETER = re.compile(r"(\w+)=('(?:[^']|'')*'|\S+)")
#: values of these are numbers
_NUMBER = re.compile(r"-?\d+\Z")


@dataclasses.dataclass(frozen=True)
class Service:
    """Where a role keeps a service's settings, and what tuning calls it."""

    name: str
    unit: str
    root: str
    #: file of the settings, relative to ``root``
    file: str
    role: str


PGBOUNCER = Service("pgbouncer", "pgbouncer.service", "/etc/pgbouncer", "pgbouncer.ini", "frugal.cloud.pgbouncer")


def set_up(service: Service, keep: str = host_kept.DIRECTORY) -> host_kept.Record:
    """How the role validates, loads and probes the service.

    :raises HostError: when the role has not set it up on this host.
    """
    record = host_kept.read(keep, service.root, service.unit)
    if record is None or not os.path.exists(os.path.join(service.root, service.file)):
        raise HostError(f"{service.name} was not set up by the role {service.role} on this host: run the role first")
    return record


def read_text(service: Service, name: str = "") -> str:
    """A file of the service, that of its settings by default. :raises HostError: when it cannot be read."""
    path = os.path.join(service.root, name or service.file)
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"{path} cannot be read: {error}") from None


def change(
    service: Service,
    texts: t.Mapping[str, str],
    tuned: Values,
    *,
    check: bool,
    restart: t.Collection[str] = (),
    keep: str = host_kept.DIRECTORY,
    folder: str = host_tuned.FOLDER,
) -> host_service.Outcome:
    """Put files (text by name) in place as the role would, load and probe them, and keep ``tuned`` for its later runs.

    A change of a file in ``restart`` restarts the service.

    :raises HostError: when that cannot be; everything is as before then.
    """
    record = set_up(service, keep)
    wanted = []
    for name, text in texts.items():
        path = os.path.join(service.root, name)
        found = os.stat(path)
        wanted.append(
            host_files.Wanted(
                path=path,
                content=text.encode(),
                link=None,
                mode=found.st_mode & 0o7777,
                uid=found.st_uid,
                gid=found.st_gid,
                restart=name in restart,
            )
        )
    how = record.how
    probe = how["probe"]
    request = host_service.Request(
        root=service.root,
        files=tuple(wanted),
        rights=host_files.FolderRights(**how["rights"]),
        validate=tuple(tuple(command) for command in how["validate"]),
        search_path=tuple(how["search_path"]),
        reload=tuple(tuple(command) for command in how["reload"]),
        probe=host_service.Probe(**{**probe, "command": tuple(probe["command"]), "status": tuple(probe["status"])})
        if probe
        else None,
        unit=service.unit,
        check=check,
        keep=keep,
        managed_by=record.managed_by,
        run=record.run,
    )
    before = host_tuned.read(service.name, folder)
    if check:
        return host_service.apply(request)
    # First what later runs read: a machine that dies in between is put right by the role or the next try.
    changed = host_tuned.write(service.name, tuned, folder)
    try:
        outcome = host_service.apply(request)
    except BaseException:
        host_tuned.write(service.name, {**dict.fromkeys(tuned), **before}, folder)
        raise
    return dataclasses.replace(outcome, changed=outcome.changed or changed)


# --- pgbouncer.ini


def ini_get(text: str, names: t.Sequence[str]) -> dict[str, t.Any]:
    """Settings by name, ``databases.NAME.PARAMETER`` for those of a database; None where one is not set.

    :raises HostError: when a database is not there.
    """
    lines = _ini(text)
    found: dict[str, t.Any] = {}
    for name in names:
        database, parameter = _split(name)
        if database:
            parameters = _parameters(lines, database)
            if parameters is None:
                raise HostError(f"pgbouncer has no database {database!r}: declare it in pgbouncer_databases")
            found[name] = _plain(parameters.get(parameter))
        else:
            found[name] = _plain({key: value for section, key, value in lines if section == "pgbouncer"}.get(parameter))
    return found


def ini_set(text: str, values: Values) -> str:
    """The file with other settings; None takes one out. New ones go where their name is in order.

    :raises HostError: when a database is not there.
    """
    ini_get(text, list(values))
    lines = text.splitlines()
    for name, value in values.items():
        database, parameter = _split(name)
        if database:
            lines = _with_parameter(lines, database, parameter, value)
        else:
            lines = _with_setting(lines, parameter, value)
    return "\n".join(lines) + "\n"


def _split(name: str) -> tuple[str, str]:
    """(database, parameter) of ``databases.NAME.PARAMETER``, else ("", setting)."""
    if name.startswith("databases."):
        database, parameter = name[len("databases.") :].rsplit(".", 1)
        return database, parameter
    return "", name


def _ini(text: str) -> list[tuple[str, str, str]]:
    """(section, key, value) of each line that has one."""
    found, section = [], ""
    for line in text.splitlines():
        heading, setting = _SECTION.match(line), _SETTING.match(line)
        if heading:
            section = heading.group(1)
        elif setting and not line.startswith((";", "#", "%")):
            found.append((section, setting.group(1), setting.group(2)))
    return found


def _parameters(lines: t.Sequence[tuple[str, str, str]], database: str) -> dict[str, str] | None:
    for section, key, value in lines:
        if section == "databases" and key.strip('"') == database:
            return dict(_PARAMETER.findall(value))
    return None


def _plain(value: str | None) -> t.Any:
    if value is None:
        return None
    return int(value) if _NUMBER.match(value) else value


def _with_parameter(lines: t.Sequence[str], database: str, parameter: str, value: t.Any) -> list[str]:
    section, result = "", []
    for line in lines:
        heading, setting = _SECTION.match(line), _SETTING.match(line)
        if heading:
            section = heading.group(1)
        elif section == "databases" and setting and setting.group(1).strip('"') == database:
            parameters = dict(_PARAMETER.findall(setting.group(2)))
            parameters.pop(parameter, None)
            if value is not None:
                parameters[parameter] = str(value)
            ordered = " ".join(f"{key}={parameters[key]}" for key in sorted(parameters))
            line = f"{setting.group(1)} = {ordered}"
        result.append(line)
    return result


def _with_setting(lines: t.Sequence[str], name: str, value: t.Any) -> list[str]:
    section, result, placed = "", [], value is None
    for line in [*lines, "[end]"]:
        heading, setting = _SECTION.match(line), _SETTING.match(line)
        key = setting.group(1) if setting and not line.startswith((";", "#", "%")) else ""
        if section == "pgbouncer" and not placed and (heading or key > name):
            result.append(f"{name} = {value}")
            placed = True
        if heading:
            section = heading.group(1)
        if section == "pgbouncer" and key == name:
            if not placed:
                result.append(f"{name} = {value}")
                placed = True
            continue
        result.append(line)
    return result[:-1]


def ini_databases(text: str) -> list[str]:
    """Names of the databases in the file."""
    return [key.strip('"') for section, key, _value in _ini(text) if section == "databases"]


# --- pgpool-II

QUERY_CACHE = Service("query_cache", "pgpool2.service", "/etc/pgpool2", "pgpool.conf", "frugal.cloud.query_cache")
#: file of the settings that pgpool-II loads without a restart
TABLES_FILE = "tables.conf"
_TABLE = re.compile(r"[A-Za-z0-9_]+\.[A-Za-z0-9_]+\Z")
_DECLARED = "# declared:"
#: what the role's own options say, as JSON: a setting that goes back to that is not tuned any more
_OPTIONS = "# options: "
#: setting of the role's options by the one of pgpool-II, and its unit
_CONF = {"ttl": ("memqcache_expire", ""), "memory_mb": ("memqcache_total_size", "MB")}


def unsafe_patterns(tables: t.Sequence[str]) -> str:
    """Regular expressions that together match every table's name but these, qualified or not, with commas between them.

    pgpool-II caches what is not in its list of unsafe tables. The names are put into a tree of their letters; a name
    that is none of them leaves the tree somewhere, or ends inside it.

    :raises HostError: when a name is none of a table, or has other letters than pgpool-II can be told.
    """
    names = set()
    for table in tables:
        if not _TABLE.match(table):
            raise HostError(
                f"query_cache_tables has {table!r}: give tables as schema.name, of letters, digits and underscores"
            )
        names |= {table, table.split(".", 1)[1]}
    if not names:
        return ".*"
    patterns = []
    for length in range(max(map(len, names)) + 1):
        for prefix in sorted({name[:length] for name in names if len(name) >= length}):
            following = "".join(
                sorted({name[length] for name in names if name.startswith(prefix) and len(name) > length})
            )
            text = prefix.replace(".", "[.]")
            patterns.append(f"{text}[^{following}].*" if following else f"{text}..*")
            if prefix and prefix not in names:
                patterns.append(text)
    return ",".join(patterns)


def conf_get(text: str, tables: str) -> dict[str, t.Any]:
    """``tables``, ``ttl`` (seconds) and ``memory_mb`` of the query cache, from its two files."""
    found: dict[str, t.Any] = {"tables": [], "ttl": None, "memory_mb": None}
    for line in tables.splitlines():
        if line.startswith(_DECLARED):
            found["tables"] = line[len(_DECLARED) :].split()
    for line in text.splitlines():
        setting = _SETTING.match(line)
        for name, (key, _unit) in _CONF.items():
            if setting and setting.group(1) == key:
                found[name] = int(re.sub(r"\D", "", setting.group(2)) or 0)
    return found


def conf_tuned(tables: str, values: Values) -> dict[str, t.Any]:
    """What later runs of the role have to be told of ``values``: None for what its own options say already."""
    options: dict[str, t.Any] = {}
    for line in tables.splitlines():
        if line.startswith(_OPTIONS):
            with contextlib.suppress(ValueError):
                options = json.loads(line[len(_OPTIONS) :])
    return {name: None if name in options and options[name] == value else value for name, value in values.items()}


def conf_set(text: str, tables: str, values: Values) -> tuple[str, str]:
    """The two files with other values. :raises HostError: when one of them cannot be."""
    for name, value in values.items():
        if name == "tables":
            tables = tables_text(value or [], tables)
        elif name not in _CONF:
            raise HostError(f"{name!r} is no setting of the query cache: use tables, ttl or memory_mb")
        else:
            if not isinstance(value, int) or value <= 0:
                raise HostError(f"{name} is {value!r}: give a whole number above 0")
            key, unit = _CONF[name]
            text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}{unit}", text)
    return text, tables


def tables_text(declared: t.Sequence[str], text: str) -> str:
    """The file of tables: what is declared, and what pgpool-II makes of it."""
    ordered = sorted(set(declared))
    patterns = unsafe_patterns(ordered)
    kept = [line for line in text.splitlines() if line.startswith("#") and not line.startswith(_DECLARED)]
    lines = [*kept, " ".join([_DECLARED, *ordered]), f"cache_unsafe_memqcache_table_list = '{patterns}'"]
    return "\n".join(line.rstrip() for line in lines) + "\n"
