# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of ``helm_release`` and ``helm_release_info``, and what is wrong with a value of theirs."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

#: what Kubernetes takes as a name, as long as Helm lets it be
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")
CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")

COMMON_OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "chart": {"type": "path"},
    "version": {"type": "str"},
    "checksum": {"type": "str"},
    "values": {"type": "dict", "default": {}},
    "secret_values": {"type": "dict", "default": {}, "no_log": True},
    "hidden": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "skip_crds": {"type": "bool", "default": False},
    "kubeconfig": {"type": "path"},
    "context": {"type": "str"},
    "helm": {"type": "path", "default": "helm"},
}

RELEASE_OPTIONS: dict[str, dict[str, t.Any]] = {
    **COMMON_OPTIONS,
    "create_namespace": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 300},
    "history_max": {"type": "int", "default": 10},
    "recover": {"type": "bool", "default": False},
}


def objection(options: Mapping[str, t.Any], needs_chart: bool = True) -> str:
    """One sentence about the first option that cannot be used; empty where all can."""
    for option in ("name", "namespace"):
        if not NAME.fullmatch(str(options[option])):
            return (
                f"{option} is {options[option]!r}: give lower-case letters, digits and dashes, at most 53, "
                "that begin and end with a letter or digit"
            )
    if needs_chart and options["state"] == "present" and not options["chart"]:
        return "chart is missing: give the path of a chart's archive (.tgz)"
    if options["chart"] and not CHECKSUM.fullmatch(str(options["checksum"] or "")):
        return (
            f"checksum is {options['checksum'] or ''!r}: give the archive's checksum as sha256: and 64 hexadecimal "
            "digits; a chart that is not verified is not installed"
        )
    for option in ("timeout", "history_max"):
        if options.get(option) is not None and int(options[option]) < 1:
            return f"{option} is {options[option]}: give 1 or more"
    return ""
