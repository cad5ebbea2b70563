# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that tuning has changed on a host: roles add them to what they render, so that they stay.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

#: A file for each service.
FOLDER = "/etc/frugal/tuning"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")


def path_of(service: str, folder: str = FOLDER) -> str:
    """Where the settings of ``service`` are. :raises HostError: when that is no name of a file."""
    if not _NAME.match(service):
        raise HostError(f"{service!r} is no name of a service: use lower case letters, digits, '.', '_' and '-'")
    return os.path.join(folder, f"{service}.json")


def read(service: str, folder: str = FOLDER) -> dict[str, t.Any]:
    """The settings by name; none where there is no file.

    :raises HostError: when the file cannot be read or holds something else.
    """
    path = path_of(service, folder)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise HostError(f"{path} cannot be read as settings: {error}") from None
    if not isinstance(found, dict):
        raise HostError(f"{path} holds {type(found).__name__}: settings by name are expected")
    return found


def merged(service: str, values: t.Mapping[str, t.Any], folder: str = FOLDER) -> dict[str, t.Any]:
    """What the file would hold with ``values`` in it; None takes a setting out."""
    settings = {**read(service, folder), **values}
    return {name: value for name, value in sorted(settings.items()) if value is not None}


def write(service: str, values: t.Mapping[str, t.Any], folder: str = FOLDER) -> bool:
    """Put ``values`` into the file, None takes a setting out; returns whether that changed it.

    Readers see the old or the whole new file; one without settings is removed.

    :raises HostError: when it cannot be written.
    """
    path = path_of(service, folder)
    before, after = read(service, folder), merged(service, values, folder)
    if before == after:
        return False
    try:
        if not after:
            os.unlink(path)
            return True
        os.makedirs(folder, mode=0o755, exist_ok=True)
        partial = f"{path}.{os.getpid()}.tmp"
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(after, file, indent=2, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as error:
        raise HostError(f"{path} cannot be written: {os.strerror(error.errno or 0)}") from None
    return True
