# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options in ``module_utils/host_postgres_options.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """How PostgreSQL and pgbouncer's console are reached, and how long they are watched."""

    DOCUMENTATION = r"""
options:
  login_host:
    description: Address of PostgreSQL, or folder of its socket. The default socket where it is empty.
    type: str
    default: ""
  login_port:
    description: Port of PostgreSQL.
    type: int
    default: 5432
  login_user:
    description: User to log in as; the operating system's user where it is empty.
    type: str
    default: ""
  login_password:
    description: Password of O(login_user).
    type: str
    default: ""
  login_db:
    description: Database to connect to.
    type: str
    default: postgres
  login_sslmode:
    description: How the connection is encrypted, as libpq's C(sslmode).
    type: str
    default: ""
    choices: ["", disable, allow, prefer, require, verify-ca, verify-full]
  system_user:
    description: Operating system's user who runs C(psql), for peer authentication, where the task runs as root.
    type: str
    default: ""
  pgbouncer_host:
    description: Address of pgbouncer, or folder of its socket. It is not asked where this is empty.
    type: str
    default: ""
  pgbouncer_port:
    description: Port of pgbouncer.
    type: int
    default: 6432
  pgbouncer_user:
    description: User of pgbouncer's console.
    type: str
    default: pgbouncer
  pgbouncer_password:
    description: Password of O(pgbouncer_user); none is needed on the socket as the user who runs pgbouncer.
    type: str
    default: ""
  pgbouncer_system_user:
    description: Operating system's user who runs C(psql) for the console, where the task runs as root.
    type: str
    default: ""
  samples:
    description: How many times sessions and counters are read.
    type: int
    default: 5
  interval:
    description: Seconds from one sample to the next.
    type: float
    default: 1.0
"""

    QUERY_CACHE = r"""
options:
  cache_host:
    description: Address of the query cache.
    type: str
    default: 127.0.0.1
  cache_port:
    description: Port of the query cache.
    type: int
    default: 9999
  cache_user:
    description: One of the users of the query cache, to read its counters.
    type: str
    default: ""
  cache_password:
    description: The password of O(cache_user).
    type: str
    default: ""
  cache_db:
    description: The database of the query cache.
    type: str
    default: postgres
  observe_seconds:
    description: How long counters are watched, in seconds.
    type: float
    default: 5.0
"""
