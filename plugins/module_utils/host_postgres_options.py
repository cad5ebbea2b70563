# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for PostgreSQL and pgbouncer's console; documented by ``doc_fragments/postgres.py``.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres import Connection
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres_stats import Reading

Options = t.Mapping[str, t.Any]

LOGIN: dict[str, dict[str, t.Any]] = {
    "login_host": {"type": "str", "default": ""},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str", "default": ""},
    "login_password": {"type": "str", "default": "", "no_log": True},
    "login_db": {"type": "str", "default": "postgres"},
    "login_sslmode": {
        "type": "str",
        "default": "",
        "choices": ["", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
    },
    "system_user": {"type": "str", "default": ""},
}
CONSOLE: dict[str, dict[str, t.Any]] = {
    "pgbouncer_host": {"type": "str", "default": ""},
    "pgbouncer_port": {"type": "int", "default": 6432},
    "pgbouncer_user": {"type": "str", "default": "pgbouncer"},
    "pgbouncer_password": {"type": "str", "default": "", "no_log": True},
    "pgbouncer_system_user": {"type": "str", "default": ""},
}
POSTGRES: dict[str, dict[str, t.Any]] = {
    **LOGIN,
    **CONSOLE,
    "samples": {"type": "int", "default": 5},
    "interval": {"type": "float", "default": 1.0},
}
#: most samples of one call, and longest time that they may take together (seconds)
MOST_SAMPLES = 600
LONGEST = 3_600.0
MOST_STATEMENTS = 500
_TABLE = re.compile(r"[^.\s]+\.[^.\s]+\Z")


def server(options: Options) -> Connection:
    """The server that the options name.

    :raises HostError: when the port is none.
    """
    return Connection(
        host=options["login_host"],
        port=_port("login_port", options["login_port"]),
        user=options["login_user"],
        password=options["login_password"] or "",
        database=options["login_db"],
        system_user=options["system_user"],
        sslmode=options["login_sslmode"],
    )


def console(options: Options) -> Connection | None:
    """pgbouncer's console; None where ``pgbouncer_host`` is empty."""
    if not options["pgbouncer_host"]:
        return None
    return Connection(
        host=options["pgbouncer_host"],
        port=_port("pgbouncer_port", options["pgbouncer_port"]),
        user=options["pgbouncer_user"],
        password=options["pgbouncer_password"] or "",
        database="pgbouncer",
        system_user=options["pgbouncer_system_user"],
    )


def reading(options: Options) -> Reading:
    """What is to be read.

    :raises HostError: when an option has a value that cannot be used.
    """
    samples, interval = options["samples"], options["interval"]
    if not 2 <= samples <= MOST_SAMPLES:
        raise HostError(f"samples is {samples}: give a number from 2 to {MOST_SAMPLES}")
    if not 0 < interval * (samples - 1) <= LONGEST:
        raise HostError(
            f"interval is {interval:g}: give seconds above 0, at most {LONGEST:.0f} for all samples together"
        )
    if not 0 <= options["statements"] <= MOST_STATEMENTS:
        raise HostError(f"statements is {options['statements']}: give a number from 0 to {MOST_STATEMENTS}")
    for table in options["tables"]:
        if not _TABLE.match(table):
            raise HostError(f"tables has {table!r}: give it as schema.name, such as public.products")
    databases = list(options["databases"])
    if options["tables"] or not databases:
        # Tables are those of the database of the login.
        databases.append(options["login_db"])
    return Reading(
        server=server(options),
        console=console(options),
        databases=tuple(dict.fromkeys(databases)),
        samples=samples,
        interval=interval,
        statements=options["statements"],
        tables=tuple(options["tables"]),
        activity=options["activity"],
    )


def _port(name: str, value: int) -> int:
    if not 0 < value < 65536:
        raise HostError(f"{name} is {value}: give a number from 1 to 65535")
    return value
