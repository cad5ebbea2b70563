# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services, the RED way: rate, errors, duration. From the recording rules of role prometheus."""

from __future__ import annotations

from ansible_collections.frugal.cloud.tests.tools.dashboards.building import (
    SERVICE,
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
    figure,
    graph,
)

_OF = 'service=~"$service"'

DASHBOARD = Dashboard(
    uid="frugal-services",
    title="Services: rate, errors, duration",
    description="What each service is asked, how much of it fails, how long it takes, and what a request costs.",
    tags=["red"],
    variables=[
        SERVICE,
        Variable(
            "requests_metric",
            "Counter of requests",
            "Only the panel of status codes reads it; the others read recording rules.",
            text="http_requests_total",
        ),
        Variable(
            "duration_metric",
            "Histogram of durations",
            "Only the heat map reads it; without _bucket. The other panels read recording rules.",
            text="http_request_duration_seconds",
        ),
    ],
    rows=[
        Row(
            "Now",
            [
                figure(
                    "Requests",
                    "Requests per second of all chosen services, over the last 5 minutes.",
                    f"sum(service:http_requests:rate5m{{{_OF}}})",
                    unit="reqps",
                    width=5,
                ),
                figure(
                    "Share of failed requests",
                    "Of all requests to the chosen services in the last 5 minutes. Busy services weigh more.",
                    f"sum(service:http_errors:ratio_rate5m{{{_OF}}} * on (service) "
                    f"service:http_requests:rate5m{{{_OF}}}) / sum(service:http_requests:rate5m{{{_OF}}})",
                    unit="percentunit",
                    steps=[0.001, 0.01],
                    width=5,
                    decimals=2,
                ),
                figure(
                    "Slowest service, p95",
                    "95 of 100 requests of the slowest chosen service were at least this fast.",
                    f"max(service:http_request_duration_seconds:p95{{{_OF}}})",
                    unit="s",
                    steps=[0.5, 1.0],
                    width=5,
                ),
                figure(
                    "Lowest Apdex",
                    "1: everybody is satisfied; below 0.85 users begin to complain. Of the worst chosen service.",
                    f"min(service:apdex:ratio5m{{{_OF}}})",
                    unit="none",
                    steps=[0.94, 0.85, 0.7],
                    width=5,
                    decimals=2,
                ),
                figure(
                    "Alerts that fire",
                    "Alerts on the chosen services. 0 is what you want to see.",
                    f'count(ALERTS{{alertstate="firing",{_OF}}}) or vector(0)',
                    unit="none",
                    steps=[1],
                    width=4,
                ),
            ],
        ),
        Row(
            "Rate and errors",
            [
                graph(
                    "Requests by service",
                    "Requests per second over 5 minutes. A drop to zero is as alarming as a peak.",
                    [Query(f"service:http_requests:rate5m{{{_OF}}}", "{{service}}")],
                    unit="reqps",
                ),
                graph(
                    "Share of failed requests by service",
                    "Requests that failed, of all requests in 5 minutes.",
                    [Query(f"service:http_errors:ratio_rate5m{{{_OF}}}", "{{service}}")],
                    runbook="ServiceErrorsHigh",
                    unit="percentunit",
                    steps=[0.001, 0.01],
                ),
                graph(
                    "Requests by status code",
                    "Which answers the chosen services give. Codes of 500 and more are the services' fault.",
                    [
                        Query(
                            f"sum by (code) (rate(${{requests_metric}}{{{_OF}}}[$__rate_interval]))",
                            "{{code}}",
                        )
                    ],
                    unit="reqps",
                    stacked=True,
                ),
            ],
        ),
        Row(
            "Duration",
            [
                graph(
                    f"Duration, {name}",
                    f"{share} of 100 requests were at least this fast, by service.",
                    [Query(f"service:http_request_duration_seconds:{name}{{{_OF}}}", "{{service}}")],
                    unit="s",
                    steps=[0.5, 1.0] if name == "p95" else [],
                    runbook="ServiceLatencyHigh" if name == "p95" else "",
                )
                for name, share in (("p50", 50), ("p95", 95), ("p99", 99))
            ],
        ),
        Row(
            "Users and money",
            [
                Panel(
                    "Distribution of durations",
                    "How many requests took how long. Two bands mean two kinds of requests, such as hit and miss.",
                    [
                        Query(
                            f"sum by (le) (rate(${{duration_metric}}_bucket{{{_OF}}}[$__rate_interval]))",
                            "{{le}}",
                        )
                    ],
                    kind="heatmap",
                    unit="s",
                ),
                graph(
                    "Apdex by service",
                    "Share of satisfied users: requests within the target, and half of those within four times it.",
                    [Query(f"service:apdex:ratio5m{{{_OF}}}", "{{service}}")],
                    runbook="ServiceApdexLow",
                    unit="none",
                    steps=[0.94, 0.85, 0.7],
                    maximum=1,
                ),
                graph(
                    "Cost of 1,000 requests",
                    "What the service costs, in USD, for the requests it served. It rises when traffic falls and the "
                    "machines stay.",
                    [Query(f"1000 * service:cost_per_request:usd{{{_OF}}}", "{{service}}")],
                    runbook="CostPerRequestHigh",
                    unit="currencyUSD",
                ),
            ],
        ),
    ],
)
