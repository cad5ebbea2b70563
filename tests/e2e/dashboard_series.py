# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series for every dashboard, under the names and labels of those that write them in earnest.

Exporters' own names are node_exporter 1.5, redis_exporter 1.45, prometheus_varnish_exporter 1.6, kube-state-metrics 2,
cAdvisor as the kubelet serves it, and the collector's spanmetrics connector. Recorded series (with a colon) are not
here: tests/e2e/test_dashboards.py evaluates the rules of role prometheus and of module slo on these.
"""

from __future__ import annotations

import datetime
import itertools
import math
import typing as t
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

Value = Callable[[float], float]

#: The moment that the dashboards are looked at (s since 1970)
END = int(datetime.datetime(2026, 1, 15, 12, 0, tzinfo=datetime.timezone.utc).timestamp())
STEP = 60
_HOUR = 3600
#: Hours before END in which there is a point a minute: the last ones, and those a day earlier
SPANS = ((7, 0), (26, 23))
SERVICES = ("checkout", "search")
HOSTS = ("10.0.0.11:9100", "10.0.0.12:9100")
#: Objectives whose rules are evaluated, as module slo takes them
SLOS: tuple[dict[str, t.Any], ...] = tuple(
    {
        "name": f"{service}-availability",
        "service": service,
        "objective": 99.5,
        "window": "30d",
        "sli": {
            "availability": {
                "total": f'http_requests_total{{service="{service}"}}',
                "bad": f'http_requests_total{{service="{service}",code=~"5.."}}',
            }
        },
    }
    for service in SERVICES
)
BUCKETS = ("0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "+Inf")


def steady(value: float) -> Value:
    """The same value at all times."""
    return lambda at: value


def wave(low: float, high: float, period: float = 3600.0) -> Value:
    """Up and down between two values, once a period (s)."""
    return lambda at: low + (high - low) * (0.5 + 0.5 * math.sin(2 * math.pi * at / period))


def count(per_second: float) -> Value:
    """A counter that grows evenly from the first moment on."""
    start = END - SPANS[-1][0] * _HOUR
    return lambda at: per_second * (at - start)


class Series:
    """Collects series and writes them as OpenMetrics, each metric's lines together."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[tuple[tuple[str, str], ...], Value]] = {}

    def add(self, name: str, value: Value, **labels: str) -> None:
        """One series."""
        self._by_name.setdefault(name, {})[tuple(sorted(labels.items()))] = value

    def histogram(self, name: str, per_second: float, bounds: t.Sequence[str], **labels: str) -> None:
        """The buckets, sum and count of a histogram whose observations spread over all bounds."""
        for index, bound in enumerate(bounds):
            self.add(f"{name}_bucket", count(per_second * (index + 1) / len(bounds)), le=bound, **labels)
        self.add(f"{name}_sum", count(per_second * float(bounds[1])), **labels)
        self.add(f"{name}_count", count(per_second), **labels)

    def names(self) -> set[str]:
        """Names of all metrics."""
        return set(self._by_name)

    def write(self, path: Path) -> None:
        """The file that promtool tsdb create-blocks-from openmetrics reads."""
        with path.open("w", encoding="utf-8") as file:
            for name, series in self._by_name.items():
                for labels, value in series.items():
                    written = ",".join(f'{key}="{text}"' for key, text in labels)
                    file.writelines(f"{name}{{{written}}} {value(at):.6f} {at}\n" for at in moments())
            file.write("# EOF\n")


def moments() -> Iterator[int]:
    """Seconds since 1970 of all points, in order."""
    for start, end in sorted(SPANS, reverse=True):
        yield from range(END - start * _HOUR, END - end * _HOUR + 1, STEP)


def everything() -> Series:
    """All series."""
    series = Series()
    for part in (services, hosts, kubernetes, redis, varnish, alerts, spans):
        part(series)
    return series


def services(series: Series) -> None:
    """Counters and histograms of services, and what the rules record of them."""
    for index, service in enumerate(SERVICES, start=1):
        for code, rate in (("200", 20.0 * index), ("404", 1.0), ("500", 0.2 * index)):
            series.add("http_requests_total", count(rate), service=service, code=code)
        series.histogram("http_request_duration_seconds", 20.0 * index, BUCKETS, service=service)
        series.add("frugal_service_cost_usd_per_hour", steady(1.5 * index), service=service)


def hosts(series: Series) -> None:
    """node_exporter on two hosts, and what the rules record of it."""
    for instance in HOSTS:
        of: Mapping[str, str] = {"instance": instance, "job": "node"}
        series.add("node_uname_info", steady(1), nodename=instance.split(":", maxsplit=1)[0], **of)
        for cpu, mode in itertools.product(("0", "1"), ("idle", "user")):
            series.add("node_cpu_seconds_total", count(0.7 if mode == "idle" else 0.3), cpu=cpu, mode=mode, **of)
        series.add("node_load1", wave(0.5, 2.5), **of)
        series.add("node_pressure_cpu_waiting_seconds_total", count(0.05), **of)
        series.add("node_vmstat_pgmajfault", count(3.0), **of)
        series.add("node_vmstat_oom_kill", steady(0), **of)
        for device in ("nvme0n1",):
            series.add("node_disk_io_time_weighted_seconds_total", count(0.4), device=device, **of)
            series.add("node_disk_io_time_seconds_total", count(0.3), device=device, **of)
        disk = {"device": "/dev/nvme0n1p1", "fstype": "ext4", "mountpoint": "/", **of}
        series.add("node_filesystem_size_bytes", steady(100e9), **disk)
        series.add("node_filesystem_avail_bytes", lambda at: 60e9 - 1000.0 * (at - END), **disk)
        series.add("node_filesystem_readonly", steady(0), **disk)
        series.add("node_filesystem_device_error", steady(0), **disk)
        for direction in ("receive", "transmit"):
            for what, rate in (("bytes", 2e6), ("packets", 2e3), ("drop", 0.01), ("errs", 0.001)):
                series.add(f"node_network_{direction}_{what}_total", count(rate), device="ens5", **of)
        series.add("node_memory_MemTotal_bytes", steady(16e9), **of)
        series.add("node_memory_MemAvailable_bytes", wave(6e9, 9e9), **of)


def kubernetes(series: Series) -> None:
    """kube-state-metrics and cAdvisor: two nodes, two deployments of two pods."""
    for node in ("node-a", "node-b"):
        series.add("kube_node_info", steady(1), node=node)
        series.add("kube_node_status_allocatable", steady(4), node=node, resource="cpu", unit="core")
        series.add("kube_node_status_allocatable", steady(16e9), node=node, resource="memory", unit="byte")
        for condition in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"):
            good = condition == "Ready"
            for status in ("true", "false", "unknown"):
                value = steady(1 if status == ("true" if good else "false") else 0)
                series.add("kube_node_status_condition", value, node=node, condition=condition, status=status)
    for deployment in SERVICES:
        of = {"namespace": "shop", "deployment": deployment}
        series.add("kube_deployment_spec_replicas", steady(2), **of)
        series.add("kube_deployment_status_replicas_available", steady(2), **of)
        scaler = {"namespace": "shop", "horizontalpodautoscaler": deployment}
        series.add("kube_horizontalpodautoscaler_status_current_replicas", steady(2), **scaler)
        series.add("kube_horizontalpodautoscaler_spec_max_replicas", steady(10), **scaler)
        for node in ("node-a", "node-b"):
            pod = {"namespace": "shop", "pod": f"{deployment}-{node}"}
            series.add("kube_pod_info", steady(1), node=node, **pod)
            for phase in ("Pending", "Running"):
                series.add("kube_pod_status_phase", steady(int(phase == "Running")), phase=phase, **pod)
            inside = {"container": "app", **pod}
            for resource, unit, requested, limit in (("cpu", "core", 1.0, 2.0), ("memory", "byte", 2e9, 4e9)):
                kind = {"resource": resource, "unit": unit, "node": node, **inside}
                series.add("kube_pod_container_resource_requests", steady(requested), **kind)
                series.add("kube_pod_container_resource_limits", steady(limit), **kind)
            series.add("kube_pod_container_status_restarts_total", steady(1), **inside)
            series.add("kube_pod_container_status_last_terminated_reason", steady(1), reason="OOMKilled", **inside)
            advised = {"node": node, "image": "registry/app", **inside}
            series.add("container_cpu_usage_seconds_total", count(0.3), cpu="total", **advised)
            series.add("container_memory_working_set_bytes", wave(1e9, 1.5e9), **advised)
            series.add("container_cpu_cfs_periods_total", count(10), **advised)
            series.add("container_cpu_cfs_throttled_periods_total", count(1), **advised)


def redis(series: Series) -> None:
    """redis_exporter."""
    of = {"instance": "10.0.0.21:9121", "job": "redis"}
    for name, rate in (
        ("keyspace_hits_total", 80.0),
        ("keyspace_misses_total", 20.0),
        ("evicted_keys_total", 0.5),
        ("expired_keys_total", 2.0),
        ("commands_processed_total", 120.0),
    ):
        series.add(f"redis_{name}", count(rate), **of)
    for name, value in (
        ("up", 1),
        ("memory_used_bytes", 6e8),
        ("memory_max_bytes", 1e9),
        ("connected_clients", 40),
        ("config_maxclients", 10000),
    ):
        series.add(f"redis_{name}", steady(value), **of)
    for command, rate in (("get", 100.0), ("set", 20.0)):
        series.add("redis_commands_total", count(rate), cmd=command, **of)
        series.add("redis_commands_duration_seconds_total", count(rate * 2e-6), cmd=command, **of)


def varnish(series: Series) -> None:
    """prometheus_varnish_exporter."""
    of = {"instance": "10.0.0.31:9131", "job": "varnish"}
    for name, rate in (
        ("cache_hit", 87.0),
        ("cache_miss", 13.0),
        ("client_req", 100.0),
        ("backend_req", 13.0),
        ("n_lru_nuked", 0.2),
        ("backend_fail", 0.01),
    ):
        series.add(f"varnish_main_{name}", count(rate), **of)
    series.add("varnish_up", steady(1), **of)
    series.add("varnish_main_thread_queue_len", steady(0), **of)
    series.add("varnish_backend_up", steady(1), backend="default", server="unknown", **of)
    for kind in ("s0", "Transient"):
        series.add("varnish_sma_g_bytes", steady(2e8), type=kind, **of)
        series.add("varnish_sma_g_space", steady(1e8), type=kind, **of)


def alerts(series: Series) -> None:
    """What Prometheus itself writes while an alert fires: rules that are backfilled leave it out."""
    for slo in SLOS:
        series.add(
            "ALERTS",
            steady(1),
            alertname="SLOErrorBudgetBurnTicket",
            alertstate="firing",
            severity="ticket",
            slo=str(slo["name"]),
            service=str(slo["service"]),
        )


def spans(series: Series) -> None:
    """The spanmetrics connector's series."""
    bounds = ("0.005", "0.01", "0.05", "0.1", "0.5", "1.0", "+Inf")
    for service in SERVICES:
        for kind, span in (("SPAN_KIND_SERVER", f"GET /{service}"), ("SPAN_KIND_CLIENT", "SELECT orders")):
            for status, rate in (("STATUS_CODE_UNSET", 20.0), ("STATUS_CODE_ERROR", 0.1)):
                of = {"service_name": service, "span_name": span, "span_kind": kind, "status_code": status}
                series.add("traces_span_metrics_calls_total", count(rate), **of)
                series.histogram("traces_span_metrics_duration_seconds", rate, bounds, **of)
