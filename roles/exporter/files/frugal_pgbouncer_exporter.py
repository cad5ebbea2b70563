# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts Debian's prometheus-pgbouncer-exporter 1.7 so that it works with pgbouncer 1.8 and later.

The exporter reads the column total_requests of SHOW STATS, which pgbouncer 1.8 replaced by total_xact_count and
total_query_count: it ends with a KeyError. And it keeps one connection for ever: after a restart of pgbouncer every
scrape fails. Both are put right here, before its own main function runs.
"""

from __future__ import annotations

import contextlib
import typing as t

import psycopg2
from prometheus_pgbouncer_exporter import cli, collectors

#: column of SHOW STATS: name of the metric, meaning
STATS = {
    "total_query_count": ("requests_total", "Total number of SQL queries pooled by pgbouncer"),
    "total_xact_count": ("transactions_total", "Total number of SQL transactions pooled by pgbouncer"),
    "total_wait_time": ("wait_microseconds_total", "Time that clients waited for a server connection"),
}


class Connection:
    """Looks like psycopg2's connection and is opened again when it was lost."""

    def __init__(self, connect: t.Callable[[], t.Any]) -> None:
        self._connect = connect
        self._open = connect()

    def cursor(self) -> t.Any:
        """A cursor on a connection that was alive a moment ago."""
        try:
            with self._open.cursor() as cursor:
                cursor.execute("SHOW VERSION;")
        except psycopg2.Error:
            with contextlib.suppress(psycopg2.Error):
                self._open.close()
            self._open = self._connect()
        return self._open.cursor()

    def close(self) -> None:
        """Close what is open."""
        self._open.close()


def main() -> None:
    """Put the columns and the connection right, then run the exporter."""
    metrics = collectors.StatsCollector.metrics
    metrics.pop("total_requests", None)
    metrics.update(STATS)
    connect = cli.get_connection
    cli.get_connection = lambda *arguments: Connection(lambda: connect(*arguments))
    cli.main()


if __name__ == "__main__":
    main()
