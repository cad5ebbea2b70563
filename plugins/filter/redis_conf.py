# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A redis.conf that Redis and a role write in turn."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_conf
short_description: Merge settings into a redis.conf or sentinel.conf
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Gives the text of the file with these settings. Where the file has them already, it is given as it is; lines that
    Redis or Sentinel wrote stay, and settings that an earlier run wrote and that are no longer wanted go.
positional: _input, settings
options:
  _input:
    description: The file's text; empty where there is none.
    type: str
    required: true
  settings:
    description: The settings by name. C(true) and C(false) become C(yes) and C(no), a list becomes words.
    type: dict
    required: true
  header:
    description: What a new file begins with.
    type: str
    default: ""
"""

EXAMPLES = r"""
text: "{{ (found.content | default('') | b64decode) | frugal.cloud.redis_conf({'maxmemory': '1gb'}) }}"
"""

RETURN = r"""
_value:
  description: The file's text.
  type: str
"""

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.frugal.cloud.plugins.module_utils import redis_conf as conf
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def redis_conf(text: str, settings: Mapping[str, t.Any], header: str = "") -> str:
    """The file with these settings.

    :raises AnsibleFilterError: when a setting cannot be one of redis.conf, or the file cannot be read.
    """
    try:
        return conf.merge(text, conf.wanted(settings), header)
    except HostError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file by name."""
        return {"redis_conf": redis_conf}
