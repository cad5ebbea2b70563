# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pgpool-II's list of tables that must not be cached: all but those that are declared."""

from __future__ import annotations

DOCUMENTATION = r"""
name: query_cache_unsafe
short_description: pgpool-II's patterns for all tables but those that are declared
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - pgpool-II caches every table that is not in C(cache_unsafe_memqcache_table_list), whose entries are regular
    expressions. This makes the expressions that match every name except the declared ones, so that a new table is not
    cached until somebody declares it.
options:
  _input:
    description: Tables as C(schema.name), of letters, digits and underscores.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
# a table t of schema s, which statements call t or s.t
patterns: "{{ ['s.t'] | frugal.cloud.query_cache_unsafe }}"
"""

RETURN = r"""
_value:
  description: The patterns with commas between them.
  type: str
"""

import typing as t
from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.frugal.cloud.plugins.module_utils import host_pooler
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def query_cache_unsafe(tables: Sequence[str]) -> str:
    """The patterns with commas between them."""
    try:
        return host_pooler.unsafe_patterns(tables)
    except HostError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., t.Any]]:
        """The filter by its name."""
        return {"query_cache_unsafe": query_cache_unsafe}
