# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role wrote for Redis and may be set online."""

from __future__ import annotations

from ansible_collections.frugal.cloud.plugins.filter.redis_settings import redis_settings
from ansible_collections.frugal.cloud.plugins.module_utils import redis_conf


def test_what_a_role_wrote_and_may_be_set_online_is_read_back() -> None:
    wanted = {"masterauth": 'a "b" c', "maxmemory": "1gb", "save": "", "port": "7000", "bind": "10.0.0.1 127.0.0.1"}
    text = redis_conf.merge("", wanted) + "replicaof 10.0.0.2 6379\n"
    assert redis_settings(text) == {name: value for name, value in wanted.items() if name != "port"}
    assert redis_settings("") == {}
