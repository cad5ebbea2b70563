# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tuning changes, made into VCL and put in place as role varnish does it, or not at all.

The host knows what the role was told (without secrets) and how its files are loaded and probed;
tuning adds its own file. Both make what a later run of the role renders, so that run changes nothing.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import (
    host_files,
    host_kept,
    host_service,
    host_tuned,
    host_varnish,
    vcl,
    vcl_module,
    vcl_tests,
)
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

#: What tuning may change besides sites.
SETTINGS = ("sites", "parameters", "storage_size")
#: In the overlay: what the role had said before tuning, so that the way back leads there.
REPLACED = "replaced"
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_VALUE = re.compile(r"[A-Za-z0-9.,_/+-]+\Z")
_SIZE = re.compile(r"[0-9]+[kKmMgGtT]?\Z")
_STORAGE = re.compile(r"(?<= )malloc,([0-9]+[kKmMgGtT]?)(?= |$)", re.MULTILINE)

Values = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where role varnish keeps its files; the defaults are the role's."""

    root: str = "/etc/varnish"
    unit: str = "varnish.service"
    drop_in: str = "/etc/systemd/system/varnish.service.d/frugal.conf"
    keep: str = host_kept.DIRECTORY
    tuned: str = host_tuned.FOLDER

    @property
    def vcl(self) -> str:
        """The VCL that is in use."""
        return os.path.join(self.root, "frugal.vcl")

    @property
    def parameters(self) -> str:
        """Parameters, as commands of the CLI."""
        return os.path.join(self.root, "frugal_parameters.cli")

    @property
    def declaration(self) -> str:
        """What the role was told."""
        return os.path.join(self.root, "sites.json")


def change(values: Values, *, check: bool, test: bool, layout: Layout) -> tuple[host_service.Outcome, dict[str, t.Any]]:
    """Put these values of tuning in place, None takes one out; returns what was done and what is tuned now.

    VCL is compiled, and with ``test`` tried by varnishtest, before anything changes.

    :raises HostError: when that cannot be; everything is as before then.
    """
    checked(values)
    record = host_kept.read(layout.keep, layout.root, layout.unit)
    declared = host_varnish.read_declaration(layout.declaration)
    if record is None or not declared:
        raise HostError("Varnish was not set up by role frugal.cloud.varnish on this host: run the role first")
    before = host_tuned.read("varnish", layout.tuned)
    unknown = sorted(set(values.get("sites") or {}) - {str(entry.get("name")) for entry in declared})
    if unknown:
        raise HostError(f"sites has {unknown[0]!r}: role varnish was told of no such site")
    files, replaced = _files(layout, declared, before, values)
    after = with_values(before, values)
    if replaced:
        after[REPLACED] = replaced
    _prove(files, layout, declared, after, test=test, check=check)
    request = _request(record, files, layout, check=check)
    if check:
        outcome = host_service.apply(request)
        return dataclasses.replace(outcome, changed=outcome.changed or before != after), after
    # First what later runs of the role read: a machine that dies in between is put right by the next of either.
    changed = host_tuned.write("varnish", {**dict.fromkeys(before), **after}, layout.tuned)
    try:
        outcome = host_service.apply(request)
    except BaseException:
        host_tuned.write("varnish", {**dict.fromkeys(after), **before}, layout.tuned)
        raise
    return dataclasses.replace(outcome, changed=outcome.changed or changed), after


def checked(values: Values) -> None:
    """Refuse what no role would render.

    :raises HostError: one sentence about the first value that cannot be used.
    """
    for name in values:
        if name not in SETTINGS:
            raise HostError(f"tuned has {name!r}: there are {', '.join(SETTINGS)}")
    size = values.get("storage_size")
    if size is not None and not _SIZE.match(str(size)):
        raise HostError(f"tuned.storage_size is {size!r}: give a size such as 512M")
    for name in ("sites", "parameters"):
        if not isinstance(values.get(name) or {}, dict):
            raise HostError(f"tuned.{name} is {values[name]!r}: give a mapping")
    for name, fields in (values.get("sites") or {}).items():
        if not isinstance(fields, dict):
            raise HostError(f"tuned.sites.{name} is {fields!r}: give a mapping of fields")
    for name, value in (values.get("parameters") or {}).items():
        if not _NAME.match(str(name)) or (value is not None and not _VALUE.match(str(value))):
            raise HostError(f"tuned.parameters has {name!r}: {value!r}: give a parameter and a value without blanks")


def with_values(before: Values, values: Values) -> dict[str, t.Any]:
    """What was tuned with other values in it: fields of sites and parameters one by one, None takes one out."""
    after = {name: value for name, value in before.items() if name != REPLACED}
    if "storage_size" in values:
        after["storage_size"] = values["storage_size"]
    if values.get("parameters"):
        after["parameters"] = _with(before.get("parameters", {}), values["parameters"])
    if values.get("sites"):
        sites = dict(before.get("sites", {}))
        for name, fields in values["sites"].items():
            sites[name] = _with(sites.get(name, {}), fields)
        after["sites"] = {name: fields for name, fields in sites.items() if fields}
    kept = {name: value for name, value in after.items() if value not in (None, {})}
    # In the order in which the file has it, for that is the order in which the role reads it.
    found: dict[str, t.Any] = json.loads(json.dumps(kept, sort_keys=True))
    return found


def _with(before: Values, values: Values) -> dict[str, t.Any]:
    return {name: value for name, value in {**before, **values}.items() if value is not None}


# --- Files


def _files(
    layout: Layout, declared: t.Sequence[Values], before: Values, values: Values
) -> tuple[list[host_files.Wanted], dict[str, t.Any]]:
    """The files that change, and what the role had said of parameters and storage that are tuned."""
    replaced: dict[str, t.Any] = {
        "parameters": dict(before.get(REPLACED, {}).get("parameters", {})),
        "storage_size": before.get(REPLACED, {}).get("storage_size"),
    }
    files = []
    if values.get("sites"):
        sites = with_values(before, values).get("sites", {})
        files.append(_wanted(layout.vcl, _render(declared, sites)))
    if values.get("parameters"):
        text = _text(layout.parameters)
        files.append(_wanted(layout.parameters, _with_parameters(text, before, values, replaced["parameters"])))
    if "storage_size" in values:
        text = _text(layout.drop_in)
        found = _STORAGE.search(text)
        if not found:
            raise HostError(f"{layout.drop_in} names no storage such as malloc,256M: run role varnish first")
        size = values["storage_size"]
        if size is None:
            size = replaced["storage_size"] or found[1]
            replaced["storage_size"] = None
        elif before.get("storage_size") is None:
            replaced["storage_size"] = found[1]
        new = text[: found.start(1)] + str(size) + text[found.end(1) :]
        files.append(_wanted(layout.drop_in, new, restart=True))
    return files, {name: value for name, value in replaced.items() if value not in (None, {})}


def _render(declared: t.Sequence[Values], tuned: Values) -> str:
    """The VCL of the declaration with what is tuned.

    :raises HostError: when they do not go together.
    """
    try:
        return vcl.render(vcl.read_sites(vcl.merge(declared, tuned)))
    except vcl.VclError as error:
        raise HostError(str(error)) from None


def _with_parameters(text: str, before: Values, values: Values, replaced: dict[str, t.Any]) -> str:
    """The role's file of parameters with other values; ``replaced`` keeps what the role had said."""
    lines = (line.split(None, 2) for line in text.splitlines())
    found = {words[1]: words[2] for words in lines if len(words) == 3 and words[0] == "param.set"}
    for name, value in values["parameters"].items():
        if value is not None:
            if name not in before.get("parameters", {}) and name in found:
                replaced[name] = found[name]
            found[name] = str(value)
        elif name in replaced:
            found[name] = str(replaced.pop(name))
        else:
            found.pop(name, None)
    return "".join(f"param.set {name} {value}\n" for name, value in sorted(found.items()))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"{path} cannot be read: {error}") from None


def _wanted(path: str, text: str, *, restart: bool = False) -> host_files.Wanted:
    """A file with other content and the rights that it has."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise HostError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None
    return host_files.Wanted(
        path=path,
        content=text.encode(),
        link=None,
        mode=found.st_mode & 0o7777,
        uid=found.st_uid,
        gid=found.st_gid,
        restart=restart,
    )


# --- Proof and transaction


def _prove(
    files: t.Sequence[host_files.Wanted],
    layout: Layout,
    declared: t.Sequence[Values],
    after: Values,
    *,
    test: bool,
    check: bool,
) -> None:
    """Let varnishd read new VCL, and varnishtest try it.

    :raises HostError: with what they say when they refuse it.
    """
    new = next((file for file in files if file.path == layout.vcl), None)
    if new is None or new.content is None or new.content.decode() == _text(layout.vcl):
        return
    varnishd = host_service.find_program("varnishd")
    if not varnishd:
        raise HostError("varnishd is not on this host: install Varnish first")
    vcl_module.compile_vcl(varnishd, new.content.decode())
    varnishtest = host_service.find_program("varnishtest")
    if test and varnishtest and not check:
        sites = vcl.read_sites(vcl.merge(declared, after.get("sites", {})))
        vcl_module.run_tests(varnishtest, vcl_tests.tests(sites))


def _request(
    record: host_kept.Record, files: t.Sequence[host_files.Wanted], layout: Layout, *, check: bool
) -> host_service.Request:
    """The role's own way to load and probe."""
    how = record.how
    probe = how["probe"]
    return host_service.Request(
        root=layout.root,
        files=tuple(files),
        rights=host_files.FolderRights(**how["rights"]),
        validate=tuple(tuple(command) for command in how["validate"]),
        search_path=tuple(how["search_path"]),
        reload=tuple(tuple(command) for command in how["reload"]),
        probe=host_service.Probe(**{**probe, "command": tuple(probe["command"]), "status": tuple(probe["status"])})
        if probe
        else None,
        unit=layout.unit,
        check=check,
        keep=layout.keep,
        managed_by=record.managed_by,
        run=record.run,
    )
