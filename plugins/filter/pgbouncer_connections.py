# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections pgbouncer's pools can open."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pgbouncer_connections
short_description: How many connections pgbouncer's pools can open
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - For each server, the sum over its databases of users times pool and reserve, or C(max_db_connections) where that is
    less.
positional: _input, settings
options:
  _input:
    description: Databases as in C(pgbouncer_databases) of role C(pgbouncer).
    type: list
    elements: dict
    required: true
  settings:
    description: Settings of pgbouncer, such as C(default_pool_size).
    type: dict
    required: true
"""

EXAMPLES = r"""
# {'db1:5432': 60}
connections: "{{ [{'host': 'db1', 'users': 3}] | frugal.cloud.pgbouncer_connections({'default_pool_size': 20}) }}"
"""

RETURN = r"""
_value:
  description: Connections by server, as C(host:port); C(socket) for a server on this host's socket.
  type: dict
"""

import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.postgres_pools import worst_case


def pgbouncer_connections(databases: Sequence[Mapping[str, t.Any]], settings: Mapping[str, t.Any]) -> dict[str, int]:
    """The most connections that pools can open, by server (``host:port``)."""
    try:
        return worst_case(databases, settings)
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"pgbouncer_databases: sizes of pools are whole numbers ({error})") from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., t.Any]]:
        """The filter by its name."""
        return {"pgbouncer_connections": pgbouncer_connections}
