# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slim answers say the same as whole ones, and points land in their cells."""

from __future__ import annotations

import datetime
import functools
import json
import math
import typing as t

import boto3
import numpy as np
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import _moment
from ansible_collections.frugal.cloud.plugins.module_utils.observe import answers, cloudwatch

UTC = datetime.timezone.utc
XML = b"""<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>
<reservationSet><item><reservationId>r-1</reservationId><instancesSet><item><instanceId>i-1</instanceId>
<instanceType>m5.large</instanceType><launchTime>2026-01-02T03:04:05.000Z</launchTime>
<instanceState><code>16</code><name>running</name></instanceState><privateDnsName>ip-10</privateDnsName>
<tagSet><item><key>Name</key><value>one</value></item></tagSet>
<networkInterfaceSet><item><interfaceType>interface</interfaceType><attachment><status>attached</status></attachment>
<privateIpAddressesSet><item><primary>true</primary></item><item><primary>false</primary></item>
</privateIpAddressesSet></item></networkInterfaceSet></item></instancesSet></item></reservationSet>
<nextToken>more</nextToken></DescribeInstancesResponse>"""


@functools.cache
def _session() -> t.Any:
    """One for all tests: it reads EC2's model, 2 MB, only once."""
    return boto3.session.Session("key", "secret", region_name="us-east-1")


def _client(service: str) -> t.Any:
    return _session().client(service)


def _parsed(client: t.Any, operation: str, body: bytes) -> dict[str, t.Any]:
    """``body`` as this client would give it, without a server."""
    model = client.meta.service_model.operation_model(operation)
    answer = {"status_code": 200, "headers": {}, "body": body, "context": {}}
    parsed = client._response_parser.parse(answer, model.output_shape)
    parsed.pop("ResponseMetadata")
    return t.cast("dict[str, t.Any]", parsed)


def test_fleet_members_are_kept_and_the_rest_is_not_there() -> None:
    client = _client("ec2")
    answers.only_fleet_members(client)
    page = _parsed(client, "DescribeInstances", XML)
    assert page["NextToken"] == "more"
    instance = page["Reservations"][0]["Instances"][0]
    assert instance["Tags"] == [{"Key": "Name", "Value": "one"}]
    assert instance["State"] == {"Name": "running"}
    assert instance["LaunchTime"] == datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert len(instance["NetworkInterfaces"][0]["PrivateIpAddresses"]) == 2
    assert "PrivateDnsName" not in instance
    assert "Attachment" not in instance["NetworkInterfaces"][0]


def test_idle_members_are_fewer_and_other_clients_keep_theirs() -> None:
    slim, whole = _client("ec2"), _client("ec2")
    answers.only_idle_members(slim)
    kept = _parsed(slim, "DescribeInstances", XML)["Reservations"][0]["Instances"][0]
    assert set(kept) == {"InstanceId", "InstanceType", "State", "LaunchTime"}
    assert "PrivateDnsName" in _parsed(whole, "DescribeInstances", XML)["Reservations"][0]["Instances"][0]


def test_every_member_to_keep_exists() -> None:
    def check(shape: t.Any, members: answers.Members) -> None:
        while shape.type_name == "list":
            shape = shape.member
        assert set(members) <= set(shape.members), set(members) - set(shape.members)
        for name, inner in members.items():
            if inner:
                check(shape.members[name], inner)

    model = _client("ec2").meta.service_model
    check(model.operation_model("DescribeInstances").output_shape.members["Reservations"], {"Instances": {}})
    check(model.shape_for("Instance"), answers._INSTANCE)
    check(model.shape_for("Volume"), answers._VOLUME)


def _metric_answer(body: bytes, status: int = 200, kind: str = "application/x-amz-json-1.0") -> tuple[bytes, t.Any]:
    answer = {"status_code": status, "headers": {"Content-Type": kind}, "body": body}
    customized: dict[str, t.Any] = {}
    answers._metric_data(answer, customized)
    return t.cast(bytes, answer["body"]), customized


def test_metric_data_in_json_stays_plain() -> None:
    results = [{"Id": "q0", "Timestamps": [1.7e9], "Values": [2.5]}]
    body, customized = _metric_answer(json.dumps({"MetricDataResults": results, "NextToken": "n"}).encode())
    assert customized == {"MetricDataResults": results, "NextToken": "n"}
    assert json.loads(body) == {}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{}", 400, "application/x-amz-json-1.0"),
        (b'{"MetricDataResults": [', 200, "application/x-amz-json-1.0"),
        (b"<xml/>", 200, "text/xml"),
        (b"[]", 200, "application/x-amz-json-1.0"),
    ],
)
def test_anything_else_is_left_to_botocore(body: bytes, status: int, kind: str) -> None:
    assert _metric_answer(body, status, kind) == (body, {})


def test_timestamps_of_every_protocol() -> None:
    expected = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for value in ("2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05+00:00", expected.timestamp()):
        assert _moment(value) == expected
    assert _moment("Fri, 02 Jan 2026 03:04:05 GMT") == expected


def _queries(metric: str, statistic: int, rows: list[int], scales: list[float]) -> cloudwatch._Queries:
    return cloudwatch._Queries(
        metric, "AWS/EC2", metric, statistic, np.array(rows, np.intp), np.array(scales, np.float32)
    )


def test_requests_hold_500_queries_and_every_query_once() -> None:
    parts = [_queries("a", 0, list(range(700)), [1.0] * 700), _queries("b", 1, list(range(350)), [1.0] * 350)]
    requests = list(cloudwatch._parts(parts))
    assert [sum(end - first for _part, first, end in request) for request in requests] == [500, 500, 50]
    asked = [
        (part.usage_metric, at) for request in requests for part, first, end in request for at in range(first, end)
    ]
    assert asked == [("a", at) for at in range(700)] + [("b", at) for at in range(350)]


def test_points_land_in_the_cells_of_their_query_scaled_and_the_larger_one_counts() -> None:
    grid = cloudwatch._Grid(datetime.datetime(2026, 1, 1, tzinfo=UTC), cloudwatch.DAY, 3)
    start = grid.start.timestamp()
    memory = _queries("memory", 2, [0, 1, 1], [1.0, 1.0, 0.5])
    cpu = _queries("cpu", 3, [2, 0], [1.0, 2.0])
    arrays = {name: np.full((3, 3, 5), np.nan, np.float32) for name in ("memory", "cpu")}
    day = float(cloudwatch.DAY)
    answer = [
        (0, [start, start + 2 * day], [10.0, 12.0]),
        (1, [start], [20.0]),  # two series of one instance meet on the first day
        (2, [start, start + day], [60.0, 8.0]),
        (3, [start + day, start + 3 * day, start - day], [50.0, 99.0, 99.0]),  # the last two lie outside
        (4, [start], [7.0]),
    ]
    cloudwatch._fill(arrays, [(memory, 0, 3), (cpu, 0, 2)], answer, grid, {})
    expected = {"memory": {(0, 0): 10.0, (0, 2): 12.0, (1, 0): 30.0, (1, 1): 4.0}, "cpu": {(2, 1): 50.0, (0, 0): 14.0}}
    for name, statistic in (("memory", 2), ("cpu", 3)):
        for row in range(3):
            for period in range(3):
                value = float(arrays[name][row, period, statistic])
                wanted = expected[name].get((row, period))
                assert math.isnan(value) if wanted is None else value == wanted, (name, row, period)
        assert np.isnan(np.delete(arrays[name], statistic, axis=2)).all()


def test_a_request_may_begin_in_the_middle_of_a_metric() -> None:
    grid = cloudwatch._Grid(datetime.datetime(2026, 1, 1, tzinfo=UTC), cloudwatch.DAY, 1)
    part = _queries("cpu", 4, [0, 1, 2, 3], [1.0] * 4)
    arrays = {"cpu": np.full((4, 1, 5), np.nan, np.float32)}
    cloudwatch._fill(arrays, [(part, 2, 4)], [(0, [grid.start.timestamp()], [5.0]), (1, [], [])], grid, {})
    assert arrays["cpu"][2, 0, 4] == 5.0
    assert np.isnan(np.delete(arrays["cpu"][:, 0, 4], 2)).all()
