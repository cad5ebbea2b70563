# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of service_config, and the request that they make.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import (
    FolderRights,
    HostError,
    Wanted,
    group_id,
    inside,
    user_id,
)
from ansible_collections.frugal.cloud.plugins.module_utils.host_kept import DIRECTORY
from ansible_collections.frugal.cloud.plugins.module_utils.host_service import Command, Probe, Request

Options = t.Mapping[str, t.Any]

FILE: dict[str, dict[str, t.Any]] = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str"},
    "link": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "secret": {"type": "bool", "default": False, "no_log": False},
    "secret_values": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "restart": {"type": "bool", "default": False},
}
PROBE: dict[str, dict[str, t.Any]] = {
    "url": {"type": "str"},
    "port": {"type": "int"},
    "address": {"type": "str", "default": "127.0.0.1"},
    "command": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 30},
    "status": {"type": "list", "elements": "int", "default": []},
    "validate_certs": {"type": "bool", "default": True},
}
SERVICE_CONFIG: dict[str, dict[str, t.Any]] = {
    "root": {"type": "path", "required": True},
    # no_log keeps all of it out of the system log; the module narrows that to what is secret for its result.
    "files": {"type": "list", "elements": "dict", "default": [], "no_log": True, "options": FILE},
    "purge": {"type": "list", "elements": "str", "default": []},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "directory_mode": {"type": "str", "default": "0755"},
    "validate": {"type": "list", "elements": "list", "default": []},
    "search_path": {"type": "list", "elements": "path", "default": []},
    "reload": {"type": "list", "elements": "raw", "default": []},
    "unit": {"type": "str"},
    "start": {"type": "bool", "default": False},
    "restart": {"type": "bool", "default": False},
    "load": {"type": "bool", "default": True},
    "probe": {"type": "dict", "options": PROBE},
    "previous": {"type": "bool", "default": False},
    "keep": {"type": "bool", "default": True},
    "keep_directory": {"type": "path", "default": DIRECTORY},
    "managed_by": {"type": "str", "default": ""},
    "run": {"type": "str", "default": ""},
}
#: options that the way back takes from its record
NOT_WITH_PREVIOUS = ("files", "purge", "validate", "reload", "probe", "start", "restart")


def secrets(options: Options) -> set[str]:
    """The texts that no result may hold."""
    found = {file["content"] for file in options["files"] if file["secret"] and file["content"]}
    for file in options["files"]:
        found.update(value for value in file["secret_values"] if value)
    return found


def request(options: Options, *, check: bool) -> Request:
    """The request that the options make.

    :raises HostError: when an option has a value that cannot be used.
    """
    root = os.path.normpath(options["root"])
    if not os.path.isabs(root) or root == "/":
        raise HostError(f"root is {options['root']!r}: give the absolute path of the folder of one service")
    for option in ("start", "restart"):
        if options[option] and not options["unit"]:
            raise HostError(f"{option} is true and unit is missing: name the systemd unit")
    if not options["load"] and (options["start"] or options["restart"]):
        raise HostError("load is false and start or restart is true: leave all of it to whoever loads the files")
    if options["previous"]:
        given = [name for name in NOT_WITH_PREVIOUS if options[name]] + (["keep"] if not options["keep"] else [])
        if given:
            raise HostError(
                f"previous is true and {given[0]} is set: the files of before come with how they were loaded, "
                "so name only root and unit"
            )
    if not os.path.isabs(options["keep_directory"]):
        raise HostError(f"keep_directory is {options['keep_directory']!r}: give the absolute path of a folder")
    # In check mode, users and groups may be made by an earlier task that was only predicted.
    missing = -1 if check else None
    uid, gid = user_id(options["owner"], missing=missing), group_id(options["group"], missing=missing)
    return Request(
        root=root,
        files=tuple(_wanted(root, file, uid, gid, missing) for file in options["files"]),
        purge=tuple(options["purge"]),
        rights=FolderRights(permissions(options["directory_mode"], "directory_mode"), uid, gid),
        validate=commands(options["validate"], "validate"),
        search_path=tuple(options["search_path"]),
        reload=commands(options["reload"], "reload"),
        probe=_probe(options["probe"]),
        unit=options["unit"] or "",
        start=options["start"],
        restart=options["restart"],
        load=options["load"],
        check=check,
        keep=os.path.normpath(options["keep_directory"]),
        forget=not options["keep"],
        managed_by=options["managed_by"],
        run=options["run"],
    )


def permissions(text: str, option: str) -> int:
    """Permissions from an octal number.

    :raises HostError: when it is none.
    """
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise HostError(f'{option} is {text!r}: give an octal number in quotes, such as "0640"')
    return mode


def commands(value: t.Sequence[t.Any], option: str) -> tuple[Command, ...]:
    """One command or several, as tuples of texts.

    :raises HostError: when something else is given.
    """
    if not value:
        return ()
    many = value if isinstance(value[0], (list, tuple)) else [value]
    found = []
    for command in many:
        good = isinstance(command, (list, tuple)) and command
        if not good or not all(isinstance(part, (str, int, float)) for part in command):
            raise HostError(
                f"{option} has {command!r}: give each command as a list, such as [systemctl, reload, nginx]"
            )
        found.append(tuple(str(part) for part in command))
    return tuple(found)


def _wanted(root: str, file: Options, uid: int, gid: int, missing: int | None) -> Wanted:
    if (file["content"] is None) == (file["link"] is None):
        raise HostError(f"files has {file['path']!r}: give it either content or link")
    return Wanted(
        path=inside(root, file["path"], "files[].path"),
        content=None if file["content"] is None else file["content"].encode("utf-8", "surrogateescape"),
        link=file["link"],
        mode=permissions(file["mode"], f"mode of {file['path']}"),
        uid=user_id(file["owner"], missing=missing) if file["owner"] else uid,
        gid=group_id(file["group"], missing=missing) if file["group"] else gid,
        secret=file["secret"],
        secret_values=tuple(sorted((value for value in file["secret_values"] if value), key=len, reverse=True)),
        restart=file["restart"],
    )


def _probe(options: Options | None) -> Probe | None:
    if not options:
        return None
    ways = [name for name in ("url", "port", "command") if options[name]]
    if len(ways) != 1:
        raise HostError(f"probe has {' and '.join(ways) or 'nothing'}: give one of url, port and command")
    if options["url"] and not options["url"].startswith(("http://", "https://")):
        raise HostError(f"probe.url is {options['url']!r}: give an address that begins with http:// or https://")
    if options["port"] and not 0 < options["port"] < 65536:
        raise HostError(f"probe.port is {options['port']}: give a number from 1 to 65535")
    if options["timeout"] <= 0:
        raise HostError(f"probe.timeout is {options['timeout']:g}: give a number of seconds above 0")
    return Probe(
        url=options["url"] or "",
        port=options["port"] or 0,
        address=options["address"],
        command=tuple(options["command"]),
        timeout=options["timeout"],
        status=tuple(options["status"]),
        validate_certs=options["validate_certs"],
    )
