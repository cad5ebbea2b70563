# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tuning has found, merged over the declarations of sites. Standard library only: it runs on managed hosts."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.vcl_fields import VclError


def merge(declarations: Sequence[t.Any], tuned: Mapping[str, t.Any]) -> list[t.Any]:
    """Declarations with what tuning has found, by name of site.

    Lists are united, mappings merged, other values replaced. Rules of ``ttl_rules`` are put before the declared ones,
    and replace one with the same path.

    :raises VclError: when a site is tuned in another form than it is declared.
    """
    found = []
    for entry in declarations:
        extra = tuned.get(entry.get("name", "")) if isinstance(entry, Mapping) else None
        found.append(_united(entry, extra, f"tuned.{entry.get('name')}") if extra else entry)
    return found


def _united(declared: t.Any, tuned: t.Any, where: str) -> t.Any:
    if declared is None:
        return tuned
    if isinstance(declared, Mapping):
        if not isinstance(tuned, Mapping):
            raise VclError(f"{where} is {tuned!r}: a mapping is declared there")
        return {
            **declared,
            **{key: _united(declared.get(key), value, f"{where}.{key}") for key, value in tuned.items()},
        }
    if isinstance(declared, Sequence) and not isinstance(declared, str):
        if not isinstance(tuned, Sequence) or isinstance(tuned, str):
            raise VclError(f"{where} is {tuned!r}: a list is declared there")
        if any(isinstance(entry, Mapping) for entry in tuned):
            replaced = {_key(entry) for entry in tuned}
            return [*tuned, *(entry for entry in declared if _key(entry) not in replaced)]
        return [*declared, *(entry for entry in tuned if entry not in declared)]
    return tuned


def _key(entry: t.Any) -> str:
    """What tells the entries of a list apart."""
    return str(entry.get("path") or entry.get("name") or entry) if isinstance(entry, Mapping) else str(entry)
