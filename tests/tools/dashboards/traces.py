# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces: rate, errors and duration of operations from span metrics, with the way into Jaeger.

Role otel_collector counts them with otel_collector_span_metrics, through the collector's span metrics connector:
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/connector/spanmetricsconnector
"""

from __future__ import annotations

from ansible_collections.frugal.cloud.tests.tools.dashboards.building import (
    JAEGER,
    RATE,
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
)

_OF = 'service_name=~"$service",span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"'
_CLIENT = 'service_name=~"$service",span_kind=~"SPAN_KIND_CLIENT|SPAN_KIND_PRODUCER"'
_CALLS = "${namespace}_calls_total"
_BUCKET = "${namespace}_duration_seconds_bucket"
_FAILED = 'status_code="STATUS_CODE_ERROR"'
_IN_JAEGER = f"{JAEGER}/search?service=${{__data.fields.service_name}}&lookback=1h&limit=20"


def _quantile(share: float, of: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({_BUCKET}{{{of}}}{RATE})))"


def _errors(of: str, by: str) -> str:
    """Share of failed calls; 0 where calls came and none failed."""
    calls = f"sum by ({by}) (rate({_CALLS}{{{of}}}{RATE}))"
    return f"(sum by ({by}) (rate({_CALLS}{{{of},{_FAILED}}}{RATE})) or 0 * {calls}) / ({calls} > 0)"


DASHBOARD = Dashboard(
    uid="frugal-traces",
    title="Traces: operations and their calls",
    description="Rate, errors and duration of every operation as its spans tell it, and a link to its traces.",
    tags=["traces"],
    links={"Jaeger": JAEGER},
    variables=[
        Variable(
            "namespace",
            "Prefix of the metrics",
            "As the connector's namespace says. Its default traces.span.metrics becomes this in Prometheus.",
            text="traces_span_metrics",
        ),
        Variable(
            "service", "Service", "Services with spans.", series="${namespace}_calls_total", of_label="service_name"
        ),
    ],
    rows=[
        Row(
            "Services",
            [
                Panel(
                    "Calls by service",
                    "Spans per second with which services answered a request or took a message.",
                    [Query(f"sum by (service_name) (rate({_CALLS}{{{_OF}}}{RATE}))", "{{service_name}}")],
                    unit="reqps",
                    minimum=0,
                ),
                Panel(
                    "Share of failed calls by service",
                    "Spans with the status Error, of all of the service's spans.",
                    [Query(_errors(_OF, "service_name"), "{{service_name}}")],
                    unit="percentunit",
                    steps=[0.001, 0.01],
                    minimum=0,
                ),
                Panel(
                    "Duration, p95, by service",
                    "95 of 100 spans of the service were at least this fast.",
                    [Query(_quantile(0.95, _OF, "service_name"), "{{service_name}}")],
                    unit="s",
                    minimum=0,
                ),
            ],
        ),
        Row(
            "Operations",
            [
                Panel(
                    "Operations",
                    "Every operation of the chosen services. A click on the service opens its traces in Jaeger.",
                    [
                        Query(f"sum by (service_name, span_name) (rate({_CALLS}{{{_OF}}}{RATE}))", "Calls"),
                        Query(_errors(_OF, "service_name, span_name"), "Failed"),
                        Query(_quantile(0.5, _OF, "service_name, span_name"), "p50"),
                        Query(_quantile(0.99, _OF, "service_name, span_name"), "p99"),
                    ],
                    kind="table",
                    unit="none",
                    units={"Calls": "reqps", "Failed": "percentunit", "p50": "s", "p99": "s"},
                    width=24,
                    links={"service_name": _IN_JAEGER},
                ),
                Panel(
                    "Where the time goes",
                    "Seconds of work per second, by operation: calls times their average duration. Make the thickest "
                    "band faster first.",
                    [
                        Query(
                            "topk(10, sum by (service_name, span_name) (rate("
                            f"${{namespace}}_duration_seconds_sum{{{_OF}}}{RATE})))",
                            "{{service_name}} {{span_name}}",
                        )
                    ],
                    unit="none",
                    width=12,
                    minimum=0,
                    stacked=True,
                ),
                Panel(
                    "Distribution of durations",
                    "How many of the chosen services' spans took how long.",
                    [Query(f"sum by (le) (rate({_BUCKET}{{{_OF}}}{RATE}))", "{{le}}")],
                    kind="heatmap",
                    unit="s",
                    width=12,
                ),
            ],
        ),
        Row(
            "Calls to others",
            [
                Panel(
                    "Calls to others",
                    "Calls per second that the chosen services make: to databases, caches and other services.",
                    [
                        Query(
                            f"sum by (service_name, span_name) (rate({_CALLS}{{{_CLIENT}}}{RATE}))",
                            "{{service_name}} {{span_name}}",
                        )
                    ],
                    unit="reqps",
                    minimum=0,
                ),
                Panel(
                    "Share of failed calls to others",
                    "Of the calls that the chosen services make.",
                    [Query(_errors(_CLIENT, "service_name, span_name"), "{{service_name}} {{span_name}}")],
                    unit="percentunit",
                    steps=[0.001, 0.01],
                    minimum=0,
                ),
                Panel(
                    "Calls to others for each request",
                    "How many calls a service makes to answer one request. A number that grows with the data is an N+1 "
                    "query.",
                    [
                        Query(
                            f"sum by (service_name) (rate({_CALLS}{{{_CLIENT}}}{RATE})) / "
                            f"(sum by (service_name) (rate({_CALLS}{{{_OF}}}{RATE})) > 0)",
                            "{{service_name}}",
                        )
                    ],
                    unit="none",
                    minimum=0,
                ),
            ],
        ),
    ],
)
