# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module C(varnish_vcl) does: render, let varnishd look at it, let varnishtest run its tests.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import os
import re
import tempfile
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl, vcl_tests
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_service import find_program, run
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_fields import VclError
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_script import Vtc
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import Access, Site

#: how long varnishd may compile, and varnishtest may test one site (seconds)
COMPILE_TIMEOUT = 60.0
TEST_TIMEOUT = 120.0
#: what varnishtest may say about one test: more than it allows by itself
LOG_SIZE = "64M"
_WHERE = re.compile(r"\('[^']*' Line (\d+) Pos \d+\)")


def secrets(options: Mapping[str, t.Any]) -> set[str]:
    """The texts in the options that no result may hold."""
    found = set()
    for site in options["sites"] or ():
        for name in ("purge", "debug"):
            access = site.get(name) if isinstance(site, Mapping) else None
            token = access.get("token") if isinstance(access, Mapping) else None
            if token:
                found.add(str(token))
    return found


def render(options: Mapping[str, t.Any], *, check: bool) -> dict[str, t.Any]:
    """The module's result.

    :raises VclError: when a declaration cannot be used.
    :raises HostError: when varnishd refuses the VCL, or a test fails.
    """
    declared = vcl.merge(options["sites"], options["tuned"] or {})
    sites = vcl.read_sites(declared, secret_directory=options["secret_directory"])
    text = vcl.render(sites)
    tests = vcl_tests.tests(sites)
    same = _holds(options["installed"] or "", text)
    compiled = tested = False
    if options["validate"] and not same:
        program = _program("varnishd", options["varnishd"])
        if program:
            compile_vcl(program, text)
            compiled = True
        elif not check:
            raise HostError("varnishd is not on this host: install Varnish, or set validate to false")
    if options["test"] and not same:
        program = _program("varnishtest", options["varnishtest"])
        if program and _program("varnishd", options["varnishd"]):
            run_tests(program, tests)
            tested = True
        elif options["varnishtest"]:
            raise HostError(f"varnishtest is {options['varnishtest']!r}: there is no such program")
    return {
        "vcl": text,
        "tests": [{"name": test.name, "content": test.text} for test in tests],
        "secret_files": [
            {"path": access.token_file, "site": site.name, "option": name}
            for site in sites
            for name, access in _accesses(site)
            if access.token
        ],
        "declaration": [_without_tokens(entry, site) for entry, site in zip(options["sites"], sites)],
        "compiled": compiled,
        "tested": tested,
    }


def _accesses(site: Site) -> list[tuple[str, Access]]:
    pairs: list[tuple[str, Access | None]] = [("purge", site.purge), ("debug", site.debug)]
    return [(name, access) for name, access in pairs if access is not None]


def _without_tokens(declaration: Mapping[str, t.Any], site: Site) -> dict[str, t.Any]:
    """The declaration as it may lie on the host: files in place of tokens."""
    found = dict(declaration)
    for name, access in _accesses(site):
        if access.token and isinstance(found.get(name), Mapping):
            found[name] = {
                **{key: value for key, value in found[name].items() if key != "token"},
                "token_file": access.token_file,
            }
    return found


def _holds(path: str, text: str) -> bool:
    """Whether a file holds this text."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read() == text
    except (OSError, UnicodeDecodeError):
        return False


def _program(name: str, path: str | None) -> str:
    """Where a program is, ``""`` where it is not."""
    if path:
        return path if os.access(path, os.X_OK) else ""
    return find_program(name)


def compile_vcl(varnishd: str, text: str) -> None:
    """Let varnishd read the VCL.

    :raises HostError: with what it says, and where in the declaration that is.
    """
    with tempfile.TemporaryDirectory(prefix="frugal-vcl-") as folder:
        path = os.path.join(folder, "sites.vcl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        # -C only compiles; its working folder is not the one of the service.
        command = (varnishd, "-j", "none", "-n", os.path.join(folder, "work"), "-C", "-f", path)
        code, output = run(command, timeout=COMPILE_TIMEOUT)
    if code:
        raise HostError(refusal(text, output))


def refusal(text: str, output: str) -> str:
    """One sentence from what varnishd writes about a VCL that it refuses."""
    lines = output.splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith("Message from VCC-compiler")), -1)
    said = [" ".join(line.split()) for line in lines[start + 1 :]]
    end = next((index for index, line in enumerate(said) if line.startswith(("Running VCC", "VCL comp"))), None)
    said = [line for line in said[:end] if line]
    found = next((match for match in map(_WHERE.search, said) if match), None)
    if found is None:
        return f"varnishd refuses the VCL: {' '.join(said)[:300] or 'it does not say why'}"
    number = int(found.group(1))
    message = " ".join(said[: next(index for index, line in enumerate(said) if _WHERE.search(line))])
    return f"varnishd refuses the VCL{_declared(text, number)}: {message} in {text.splitlines()[number - 1].strip()!r}"


def _declared(text: str, number: int) -> str:
    """Which of the operator's own lines this is, as a part of a sentence; ``""`` when it is none."""
    for line in reversed(text.splitlines()[:number]):
        found = re.match(r"\s*# Declared: vcl\.(\w+) of site (\S+)", line)
        if found:
            return f", vcl.{found.group(1)} of site {found.group(2)}"
        if line.startswith("sub "):
            return ""
    return ""


def run_tests(varnishtest: str, tests: Sequence[Vtc]) -> None:
    """Run the tests one after the other.

    :raises HostError: with the first rule that does not hold.
    """
    for test in tests:
        code, output = run_test(varnishtest, test)
        if code:
            raise HostError(failure(test, output))


def run_test(varnishtest: str, test: Vtc) -> tuple[int, str]:
    """Exit code of a test (77: it cannot run here), and what varnishtest said."""
    with tempfile.TemporaryDirectory(prefix="frugal-vtc-") as folder:
        path = os.path.join(folder, f"{test.name}.vtc")
        with open(path, "w", encoding="utf-8") as file:
            file.write(test.text)
        command = (varnishtest, "-b", LOG_SIZE, "-t", f"{TEST_TIMEOUT:.0f}", path)
        return run(command, timeout=TEST_TIMEOUT + 30)


def failure(test: Vtc, output: str) -> str:
    """One sentence about a test that failed: the rule, and what was expected."""
    before, _mark, after = output.partition("\n----")
    reason = " ".join(after.split("\n", 1)[0].split()) or " ".join(output[-200:].split())
    asked = len(re.findall(r"^\*\* .*=== client ", before, re.MULTILINE))
    title = test.titles[asked - 1] if 0 < asked <= len(test.titles) else "before the first request"
    return f"site {test.name} does not do what is declared ({title}): varnishtest says {reason!r}"


__all__ = ["HostError", "VclError", "render", "secrets"]
