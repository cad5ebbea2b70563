# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module C(slo) does with its options: standard library only, Python 3.9 or later."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils import slo_files
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import SloError, duration
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import Change, HostError, group_id, shown, user_id


def run(options: Mapping[str, t.Any], *, check: bool) -> dict[str, t.Any]:
    """Render, validate, and put the files in place where folders are named; returns the module's result.

    :raises SloError: when a declaration or an option cannot be used.
    :raises HostError: when the files cannot be written; the previous ones are in place.
    """
    dest, tests_dest = options["dest"] or "", options["tests_dest"] or ""
    _check_folders(dest, tests_dest)
    rights = _rights(options, check=check)
    rendered = slo_files.render(
        [*options["slos"], *slo_files.read_declarations(options["paths"])],
        interval=duration(options["evaluation_interval"], "evaluation_interval"),
        runbook_base_url=options["runbook_base_url"],
        dest=dest,
        tests_dest=tests_dest,
    )
    if not rendered and not options["purge"]:
        raise SloError("slos and paths are empty: declare at least one SLO, or set purge to remove the files of others")
    promtool = slo_files.find_promtool(options["promtool"] or "")
    if promtool and rendered:
        slo_files.validate(promtool, rendered, run_tests=options["run_tests"])
    rules = {item.rules_name: item.rules for item in rendered}
    tests = {item.tests_name: item.tests for item in rendered if item.tests}
    changes: list[Change] = []
    for path, files, pattern in ((tests_dest, tests, "slo-*_test.yml"), (dest, rules, "slo-*.yml")):
        if path:
            folder = slo_files.Folder(path, files, pattern if options["purge"] else "")
            changes += slo_files.publish(folder, rights, check=check)
    return {
        "changed": bool(changes),
        "diff": [shown(change) for change in changes],
        "files": [{"path": os.path.join(dest, name), "content": text} for name, text in rules.items()],
        "tests": [{"path": os.path.join(tests_dest, name), "content": text} for name, text in tests.items()],
        "slos": [slo_files.summary(item.slo) for item in rendered],
        "notes": slo_files.notes(rendered),
        "written": [change.path for change in changes if change.wanted is not None],
        "removed": [change.path for change in changes if change.wanted is None],
        "validated": bool(promtool and rendered),
        "tested": bool(promtool and options["run_tests"] and tests),
    }


def _check_folders(dest: str, tests_dest: str) -> None:
    """Folders that can be used together."""
    for option, path in (("dest", dest), ("tests_dest", tests_dest)):
        if path and not os.path.isabs(path):
            raise SloError(f"{option} is {path!r}: give an absolute path such as /etc/prometheus/rules")
    if tests_dest and not dest:
        raise SloError(f"tests_dest is {tests_dest!r} without dest: the tests name the rule files, so give dest, too")
    if tests_dest and os.path.normpath(tests_dest) == os.path.normpath(dest):
        raise SloError(
            f"tests_dest is {tests_dest!r}, the same folder as dest: Prometheus would read the tests as rules, so give "
            "another one"
        )


def _rights(options: Mapping[str, t.Any], *, check: bool) -> slo_files.Rights:
    """Owner, group and mode of the files."""
    try:
        mode = int(str(options["mode"]), 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise HostError(f"mode is {options['mode']!r}: give it in octal, such as '0644'")
    missing = -1 if check else None
    return slo_files.Rights(
        uid=user_id(options["owner"], missing=missing), gid=group_id(options["group"], missing=missing), mode=mode
    )
