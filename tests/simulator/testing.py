# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estates that the tests share, and waiting."""

from __future__ import annotations

import datetime
import time
import typing as t

ACCOUNT, OTHER = "111111111111", "222222222222"
NOW = "2026-06-15T12:00:00Z"
FAST = {"transition": 0.03, "status_checks": 0.03, "refresh_step": 0.03}


def moment(text: str) -> datetime.datetime:
    """A time in UTC."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def one_account(
    instances: list[dict[str, t.Any]] | None = None, account: dict[str, t.Any] | None = None, **region: t.Any
) -> dict[str, t.Any]:
    """An estate with one account and region."""
    content = {"instances": instances or [], **region}
    return {
        "now": NOW,
        "delays": FAST,
        "accounts": [{"id": ACCOUNT, "regions": {"us-east-1": content}, **(account or {})}],
    }


def plain(count: int = 1, kind: str = "m5.xlarge", **settings: t.Any) -> dict[str, t.Any]:
    """An entry of plain instances."""
    return {"name": "plain-{n}", "count": count, "type": kind, **settings}


def steady(cpu: float = 40, **more: t.Any) -> dict[str, t.Any]:
    """A flat usage without noise: ``cpu`` percent of the first type all the time."""
    return {"profile": "steady", "parameters": {"level": 1.0, "noise": 0.0}, "cpu_percent": cpu, **more}


def until(what: t.Callable[[], t.Any], seconds: float = 10.0) -> t.Any:
    """Wait until ``what`` gives something true, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not become true in {seconds} s")


def instance_ids(client: t.Any) -> list[str]:
    """The ids of all instances, in order."""
    pages = client.get_paginator("describe_instances").paginate()
    return [i["InstanceId"] for p in pages for r in p["Reservations"] for i in r["Instances"]]


def instance(client: t.Any, name: str) -> dict[str, t.Any]:
    """One instance as DescribeInstances shows it."""
    answer = client.describe_instances(InstanceIds=[name])
    return t.cast("dict[str, t.Any]", answer["Reservations"][0]["Instances"][0])


def state(client: t.Any, name: str) -> str:
    """The state of an instance."""
    return str(instance(client, name)["State"]["Name"])


def code_of(call: t.Callable[..., t.Any], **arguments: t.Any) -> str:
    """The error code that a call fails with."""
    import botocore.exceptions

    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])
    raise AssertionError("the call did not fail")


def query(
    instance_id: str, metric: str = "CPUUtilization", stat: str = "Average", period: int = 86400, identifier: str = "q"
) -> dict[str, t.Any]:
    """A query of GetMetricData on a metric of AWS/EC2."""
    return {
        "Id": identifier,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/EC2",
                "MetricName": metric,
                "Dimensions": [{"Name": "InstanceId", "Value": instance_id}],
            },
            "Period": period,
            "Stat": stat,
        },
    }


def values(
    client: t.Any, queries: list[dict[str, t.Any]], start: str, end: str, **options: t.Any
) -> dict[str, list[float]]:
    """Answers of GetMetricData by id, oldest first, all pages."""
    found: dict[str, list[float]] = {}
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries,
        StartTime=moment(start),
        EndTime=moment(end),
        ScanBy="TimestampAscending",
        **options,
    )
    for answer in pages:
        for result in answer["MetricDataResults"]:
            found.setdefault(result["Id"], []).extend(result["Values"])
    return found
