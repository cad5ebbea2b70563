# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a redis.conf that a role wrote says."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_settings
short_description: Read the settings that a role wrote into a redis.conf
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Gives the settings that P(frugal.cloud.redis_conf#filter) has written into the file and that can be set while Redis
    runs. What Redis wrote itself, such as the master that it follows, is not among them.
options:
  _input:
    description: The file's text.
    type: str
    required: true
"""

EXAMPLES = r"""
settings: "{{ found.content | b64decode | frugal.cloud.redis_settings }}"
"""

RETURN = r"""
_value:
  description: The settings by name, each a text.
  type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.frugal.cloud.plugins.module_utils import redis_conf as conf
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def redis_settings(text: str) -> dict[str, str]:
    """Settings that can be set online, as the file has them.

    :raises AnsibleFilterError: when the file cannot be read.
    """
    try:
        found = conf.read(text)
    except HostError as error:
        raise AnsibleFilterError(str(error)) from error
    return {name: " ".join(found[name]) for name in conf.ours(text) if name in found and name not in conf.FIXED}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this file by name."""
        return {"redis_settings": redis_settings}
