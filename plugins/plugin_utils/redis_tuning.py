# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plugins that advise on Redis and tune it share."""

from __future__ import annotations

import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_tuning import service_name
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Scope
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import HostAction


class RedisAction(HostAction):
    """Each server of a host, known by its port or socket, has a scope and so a plan of its own."""

    service: t.ClassVar[str] = "redis"

    @property
    def instance(self) -> str:
        """The server's port, or the path of its socket."""
        return str(self.args["login_unix_socket"] or self.args["login_port"])

    def scope(self) -> Scope:
        """``redis`` on the usual port, ``redis-<port>`` elsewhere."""
        return Scope.of_service(self.host, service_name(self.instance))
