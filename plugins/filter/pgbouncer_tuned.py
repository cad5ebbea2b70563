# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pgbouncer's databases with what tuning has set."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pgbouncer_tuned
short_description: pgbouncer's databases with what tuning has set
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Puts settings C(databases.NAME.PARAMETER) into the declaration of the database that they name.
positional: _input, tuned
options:
  _input:
    description: Databases as in C(pgbouncer_databases) of role C(pgbouncer).
    type: list
    elements: dict
    required: true
  tuned:
    description: Settings by name; others than those of databases are passed over.
    type: dict
    required: true
"""

EXAMPLES = r"""
# [{name: shop, pool_size: 8}]
databases: "{{ [{'name': 'shop'}] | frugal.cloud.pgbouncer_tuned({'databases.shop.pool_size': 8}) }}"
"""

RETURN = r"""
_value:
  description: The databases.
  type: list
  elements: dict
"""

import typing as t
from collections.abc import Callable, Mapping, Sequence

_PREFIX = "databases."


def pgbouncer_tuned(databases: Sequence[Mapping[str, t.Any]], tuned: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The databases with what tuning has set."""
    found = [dict(database) for database in databases]
    for name, value in tuned.items():
        if name.startswith(_PREFIX):
            database, _dot, parameter = name[len(_PREFIX) :].rpartition(".")
            for one in found:
                if one.get("name") == database:
                    one[parameter] = value
    return found


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., t.Any]]:
        """The filter by its name."""
        return {"pgbouncer_tuned": pgbouncer_tuned}
