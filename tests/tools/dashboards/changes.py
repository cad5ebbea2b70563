# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before and after a change: two windows of the same length side by side, and how they differ."""

from __future__ import annotations

from ansible_collections.frugal.cloud.tests.tools.dashboards.building import (
    HOST,
    SERVICE,
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
    graph,
)

_OF = 'service=~"$service"'
_HOSTS = 'instance=~"$instance"'
_NOW = "[$window]"
_THEN = "[$window] offset $offset"


def _both(series: str, by: str) -> tuple[str, str]:
    """The average of a window that ends now, and of one that ends one offset earlier."""
    return (f"avg by ({by}) (avg_over_time({series}{_NOW}))", f"avg by ({by}) (avg_over_time({series}{_THEN}))")


def _compared(title: str, description: str, series: str, by: str, unit: str) -> Panel:
    """Before, after, and the difference as a share of before."""
    after, before = _both(series, by)
    return Panel(
        title,
        description + " The change is the share by which it grew or, below zero, shrank.",
        [
            Query(before, "Before"),
            Query(after, "After"),
            Query(f"({after}) / ({before} > 0) - 1", "Change"),
        ],
        kind="table",
        unit=unit,
        units={"Change": "percentunit"},
        width=12,
    )


def _drawn(title: str, description: str, series: str, label: str, unit: str) -> Panel:
    """The line of now, and that of then laid over it."""
    return graph(
        title,
        description,
        [
            Query(series, f"{{{{{label}}}}} now"),
            Query(f"{series} offset $offset", f"{{{{{label}}}}} $offset earlier"),
        ],
        unit=unit,
    )


_RATE = f"service:http_requests:rate5m{{{_OF}}}"
_ERRORS = f"service:http_errors:ratio_rate5m{{{_OF}}}"
_P95 = f"service:http_request_duration_seconds:p95{{{_OF}}}"
_COST = f"service:cost_per_request:usd{{{_OF}}}"
_CPU = f"instance:cpu_utilisation:ratio5m{{{_HOSTS}}}"
_MEMORY = f"instance:memory_utilisation:ratio{{{_HOSTS}}}"

DASHBOARD = Dashboard(
    uid="frugal-before-after",
    title="Before and after a change",
    description="Compares a window that ends now with one of the same length that ended one offset earlier. Choose an "
    "offset of whole days, so that like is compared with like, and long enough to reach back behind the change. "
    "Changes that were marked are drawn as vertical lines.",
    tags=["changes"],
    variables=[
        SERVICE,
        HOST,
        Variable("window", "Window", "How long each of the two windows is.", choices=["1h", "15m", "6h", "1d", "7d"]),
        Variable(
            "offset",
            "Offset",
            "By how much the window before ended earlier than the window after.",
            choices=["1d", "1h", "6h", "7d", "14d", "28d"],
        ),
    ],
    rows=[
        Row(
            "Services",
            [
                _compared("Duration, p95", "By service, in seconds.", _P95, "service", "s"),
                _compared("Share of failed requests", "By service.", _ERRORS, "service", "percentunit"),
                _compared(
                    "Requests", "By service, per second. A change of load explains much.", _RATE, "service", "reqps"
                ),
                _compared("Cost of a request", "By service, in USD.", _COST, "service", "currencyUSD"),
            ],
        ),
        Row(
            "Services, over time",
            [
                _drawn("Duration, p95", "Now, and one offset earlier.", _P95, "service", "s"),
                _drawn("Share of failed requests", "Now, and one offset earlier.", _ERRORS, "service", "percentunit"),
                _drawn("Requests", "Now, and one offset earlier.", _RATE, "service", "reqps"),
            ],
        ),
        Row(
            "Hosts",
            [
                _compared(
                    "Processor", "By host: share of the time in which it works.", _CPU, "instance", "percentunit"
                ),
                _compared("Memory", "By host: share that is used.", _MEMORY, "instance", "percentunit"),
            ],
        ),
    ],
)
