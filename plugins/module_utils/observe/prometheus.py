# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Prometheus server, and memory usage from its node_exporter where no CloudWatch agent publishes it.

Prometheus computes the statistics itself: one range query a statistic answers for the
whole fleet, with one point a day.
"""

from __future__ import annotations

import datetime
import json
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.observe.http_api import HttpApi, ServerError, reason
from ansible_collections.frugal.cloud.plugins.module_utils.resources import STATISTICS, FleetUsage

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.resources import FloatArray

#: node_exporter's own names; MemAvailable is what the kernel says can be used without swapping.
MEMORY_PERCENT = "100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"
#: Resolution of the subquery below: the interval at which usage is sampled.
RESOLUTION = "1m"

_FUNCTIONS = {
    "p50": "quantile_over_time(0.5, ({expression})[1d:{resolution}])",
    "p90": "quantile_over_time(0.9, ({expression})[1d:{resolution}])",
    "p99": "quantile_over_time(0.99, ({expression})[1d:{resolution}])",
    "Maximum": "max_over_time(({expression})[1d:{resolution}])",
    "Average": "avg_over_time(({expression})[1d:{resolution}])",
}


#: How to reach a server: options of modules. A module that takes them documents them.
CONNECTION_OPTIONS: dict[str, dict[str, t.Any]] = {
    "url": {"type": "str", "required": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "bearer_token": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool", "default": True},
}

#: (labels, [(epoch seconds, value)]) of one series.
Series: t.TypeAlias = "tuple[Mapping[str, str], list[tuple[float, float]]]"


class PrometheusError(ServerError):
    """One sentence: which server, what it said, what to do."""


class Prometheus(HttpApi):
    """A Prometheus server: ``url``, optional basic authentication or bearer token, and certificate checks.

    A user and password in ``url`` serve where none are given, and are not part of any sentence.
    """

    def __init__(
        self,
        url: str,
        username: str = "",
        password: str = "",
        bearer_token: str = "",
        validate_certs: bool = True,
        timeout: int = 60,
    ) -> None:
        super().__init__(
            "Prometheus",
            url,
            hint="set its username and password, or its bearer_token",
            error=PrometheusError,
            username=username,
            password=password,
            bearer_token=bearer_token,
            validate_certs=validate_certs,
            timeout=timeout,
        )

    @classmethod
    def from_options(cls, options: Mapping[str, t.Any], timeout: int = 60) -> Prometheus:
        """The server that checked :data:`CONNECTION_OPTIONS` name. :raises PrometheusError: ``url`` is no address."""
        if not str(options["url"]).startswith(("http://", "https://")):
            raise PrometheusError(
                f"url is {options['url']!r}: give the address of a Prometheus such as https://prometheus.example.com"
            )
        return cls(
            options["url"],
            options["username"] or "",
            options["password"] or "",
            options["bearer_token"] or "",
            options["validate_certs"],
            timeout,
        )

    def query_range(self, query: str, start: float, end: float, step: int) -> list[Series]:
        """Every series from ``start`` to ``end`` (epoch seconds). :raises PrometheusError: one sentence."""
        found = self._ask("query_range", {"query": query, "start": start, "end": end, "step": step})
        return [
            (series["metric"], [(float(moment), float(value)) for moment, value in series["values"]])
            for series in found
        ]

    def query(self, query: str, at: float) -> list[tuple[Mapping[str, str], float]]:
        """(labels, value) of every series at ``at`` (epoch seconds). :raises PrometheusError: one sentence."""
        return [
            (series["metric"], float(series["value"][1])) for series in self._ask("query", {"query": query, "time": at})
        ]

    def _ask(self, path: str, arguments: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
        content = self.post(f"/api/v1/{path}", arguments)
        try:
            data = json.loads(content)
        except ValueError as error:
            self.fail(f"cannot be read: {error}", error)
        if not isinstance(data, dict) or data.get("status") != "success":
            said = reason(data) if isinstance(data, dict) else "its answer is not that of a Prometheus"
            self.fail(f"refused a query: {said}")
        return t.cast("list[dict[str, t.Any]]", data["data"]["result"])


def read_memory(
    server: Prometheus,
    names: Mapping[str, str],
    usage: FleetUsage,
    as_of: datetime.datetime,
    label: str = "instance_id",
    expression: str = MEMORY_PERCENT,
    statistics: Sequence[str] = ("p99", "Maximum"),
    warnings: list[str] | None = None,
) -> FleetUsage:
    """Add ``memory_percent`` to ``usage`` for instances whose series carries a known name in ``label``.

    ``names`` maps the label's value (an instance id, or a private address without port) to
    the instance id. Values that CloudWatch gave are kept; Prometheus fills what is missing.
    That it knows none of them is a warning: it may watch other accounts.

    :raises PrometheusError: one sentence; also where no series has such a label.
    """
    numpy = deps.numpy
    position = {instance_id: index for index, instance_id in enumerate(usage.instance_ids)}
    shape = (len(position), usage.periods, len(STATISTICS))
    found: FloatArray = numpy.full(shape, numpy.nan, dtype=numpy.float32)
    start = usage.start.timestamp()
    labels_seen: set[str] = set()
    for statistic in statistics:
        query = _FUNCTIONS[statistic].format(expression=expression, resolution=RESOLUTION)
        # Each point looks back over one day, so the value of a day stands at its end.
        for labels, points in server.query_range(
            query, start + usage.period_seconds, start + usage.period_seconds * usage.periods, usage.period_seconds
        ):
            labels_seen.update(labels)
            index = position.get(names.get(labels.get(label, "").rsplit(":", 1)[0], ""))
            if index is None:
                continue
            for moment, value in points:
                day = int((moment - start) // usage.period_seconds) - 1
                if 0 <= day < usage.periods and moment - usage.period_seconds < as_of.timestamp():
                    found[index, day, STATISTICS.index(statistic)] = value
    if labels_seen and label not in labels_seen:
        raise PrometheusError(
            f"Prometheus at {server.url}: no series has the label {label!r}, only {', '.join(sorted(labels_seen))}; "
            "let label name the one that holds the instance id"
        )
    if numpy.isnan(found).all() and warnings is not None:
        warnings.append(
            f"Prometheus at {server.url} has no memory of these {len(position)} instances: "
            + (f"its label {label} names others" if labels_seen else "it has no series of node_exporter in this time")
        )
    known = usage.metrics.get("memory_percent")
    memory = found if known is None else numpy.where(numpy.isnan(known), found, known)
    if numpy.isnan(memory).all():
        return usage
    source = ", ".join(filter(None, (usage.sources.get("memory_percent"), f"Prometheus {server.url}")))
    return FleetUsage(
        instance_ids=usage.instance_ids,
        start=usage.start,
        period_seconds=usage.period_seconds,
        periods=usage.periods,
        metrics={**usage.metrics, "memory_percent": memory},
        sources={**usage.sources, "memory_percent": source},
    )
