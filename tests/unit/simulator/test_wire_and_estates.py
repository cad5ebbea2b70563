# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire: protocols against botocore's models, and the estates that come with the simulator."""

from __future__ import annotations

import json
import pathlib
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import numpy as np
import pytest
from botocore.validate import ParamValidator
from simulator import catalog, cbor, costs, estate, prices, truth, wire
from simulator.errors import AwsError, EstateError, ModelMismatch
from simulator.estates import demo, fleet
from simulator.estates.demo import mixed_estate
from simulator.state import Span
from simulator.testing import ACCOUNT, instance_ids, moment, one_account, plain, query, steady

Start = t.Callable[..., t.Any]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        23,
        24,
        255,
        256,
        65536,
        2**40,
        -1,
        -1000,
        1.5,
        "text",
        "ü",
        b"\x00\x01",
        [1, [2, {"a": None}]],
        {"a": 1, "b": [1.0, 2.0]},
    ],
)
def test_cbor_round_trip(value: t.Any) -> None:
    assert cbor.decode(cbor.encode(value)) == value


def test_cbor_reads_what_other_encoders_write() -> None:
    assert cbor.decode(bytes.fromhex("9f0102ff")) == [1, 2]  # indefinite list
    assert cbor.decode(bytes.fromhex("bf6161f93e00ff")) == {"a": 1.5}  # indefinite map, half float
    assert cbor.decode(cbor.encode(cbor.Timestamp(5.0))) == 5.0
    for broken in (b"", b"\x1c", b"\x62a"):
        with pytest.raises(ValueError):
            cbor.decode(broken)


def signed(simulator: t.Any, service: str, path: str, body: bytes, headers: dict[str, str]) -> t.Any:
    """One signed request with a body of our own making."""
    request = botocore.awsrequest.AWSRequest("POST", simulator.url + path, headers=headers, data=body)
    credentials = botocore.credentials.Credentials(f"AKIA{ACCOUNT}TEST", "simulated")
    botocore.auth.SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    prepared = request.prepare()
    return urllib.request.urlopen(urllib.request.Request(prepared.url, body, dict(prepared.headers), method="POST"))


def test_cloudwatch_speaks_three_protocols(start: Start) -> None:
    simulator = start(one_account([plain(1, usage=steady(40))]))
    name = instance_ids(simulator.client("ec2", ACCOUNT))[0]
    begin, end = moment("2026-06-10"), moment("2026-06-12")
    by_json = simulator.client("cloudwatch", ACCOUNT).get_metric_data(
        MetricDataQueries=[query(name)], StartTime=begin, EndTime=end
    )["MetricDataResults"][0]
    body = cbor.encode(
        {
            "MetricDataQueries": [query(name)],
            "StartTime": cbor.Timestamp(begin.timestamp()),
            "EndTime": cbor.Timestamp(end.timestamp()),
        }
    )
    answer = signed(
        simulator,
        "monitoring",
        "/service/GraniteServiceVersion20100801/operation/GetMetricData",
        body,
        {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"},
    )
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
    by_cbor = cbor.decode(answer.read())["MetricDataResults"][0]
    assert by_cbor["Values"] == by_json["Values"] == pytest.approx([40, 40])
    assert by_cbor["Timestamps"] == [moment.timestamp() for moment in by_json["Timestamps"]]
    prefix = "MetricDataQueries.member.1."
    fields = {
        "Action": "GetMetricData",
        "Version": "2010-08-01",
        "StartTime": begin.isoformat(),
        "EndTime": end.isoformat(),
        prefix + "Id": "q",
        prefix + "MetricStat.Metric.Namespace": "AWS/EC2",
        prefix + "MetricStat.Metric.MetricName": "CPUUtilization",
        prefix + "MetricStat.Metric.Dimensions.member.1.Name": "InstanceId",
        prefix + "MetricStat.Metric.Dimensions.member.1.Value": name,
        prefix + "MetricStat.Period": "86400",
        prefix + "MetricStat.Stat": "Average",
    }
    text = urllib.parse.urlencode(fields).encode()
    xml = signed(simulator, "monitoring", "/", text, {"Content-Type": "application/x-www-form-urlencoded"}).read()
    assert xml.count(b"<member>2026-06-1") == 2
    assert b"<GetMetricDataResult>" in xml


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"TimePeriod": {"Start": "2026-06-01", "End": "2026-06-02"}, "Colour": 1}, "ValidationException"),
        ({"TimePeriod": {"Start": "2026-06-01"}}, "ValidationException"),
        ({"TimePeriod": "yesterday"}, "ValidationException"),
    ],
)
def test_requests_are_checked_against_the_model(start: Start, body: dict[str, t.Any], code: str) -> None:
    simulator = start(one_account())
    headers = {"X-Amz-Target": "AWSInsightsIndexService.GetCostAndUsage", "Content-Type": "application/x-amz-json-1.1"}
    with pytest.raises(urllib.error.HTTPError) as caught:
        signed(simulator, "ce", "/", json.dumps(body).encode(), headers)
    assert json.load(caught.value)["__type"] == code


def test_answers_are_checked_against_the_model() -> None:
    model = wire.service_model("ec2")
    assert model is not None
    operation = model.operation_model("DescribeVolumes")
    call = wire.Call("ec2", "DescribeVolumes", "ec2", ACCOUNT, "us-east-1", "key", {}, "id")
    for wrong in ({"Volumes": [{"Colour": "red"}]}, {"Volumes": [{"Size": "big"}]}, {"Volumes": [{"Size": True}]}):
        with pytest.raises(ModelMismatch):
            wire.write_answer(operation, call, wrong)
    with pytest.raises(AwsError, match="not recognized"):
        wire.read_params(operation, "ec2", b"Action=DescribeVolumes&Colour=red")


READS = {
    "ec2": [
        "describe_instances",
        "describe_volumes",
        "describe_images",
        "describe_instance_types",
        "describe_instance_status",
        "describe_addresses",
        "describe_regions",
        "describe_availability_zones",
        "describe_launch_templates",
        "describe_tags",
        "describe_instance_credit_specifications",
    ],
    "autoscaling": ["describe_auto_scaling_groups", "describe_auto_scaling_instances"],
    "cloudwatch": ["list_metrics", "describe_alarms"],
    "savingsplans": ["describe_savings_plans"],
    "pricing": ["describe_services"],
    "ecs": ["list_clusters"],
}


def test_what_boto3_reads_fits_its_own_models(start: Start) -> None:
    simulator = start(mixed_estate(1))
    for service, operations in READS.items():
        client = simulator.client(service, demo.PRODUCTION)
        for operation in operations:
            answer = getattr(client, operation)()
            answer.pop("ResponseMetadata")
            name = client.meta.method_to_api_mapping[operation]
            shape = client.meta.service_model.operation_model(name).output_shape
            report = ParamValidator().validate(answer, shape)
            assert not report.has_errors(), (operation, report.generate_report())
            assert any(answer.values()), operation


# --- estates -----------------------------------------------------------------------------


def test_the_example_of_the_readme_is_an_estate() -> None:
    cloud = estate.build(estate.read_estate(pathlib.Path(fleet.__file__).with_name("example.yml")))
    assert sum(len(region.instances) for region in cloud.regions()) == 11


def test_a_fleet_of_ten_thousand_is_made_in_seconds() -> None:
    begun = time.monotonic()
    cloud = estate.build(fleet.fleet_estate(10_000))
    assert time.monotonic() - begun < 20
    instances = next(cloud.regions()).instances
    assert len(instances) == 10_000
    assert len({id(one.usage) for one in instances.values()}) <= 4 * 8 * 10
    classes = [one.tags["class"] for one in instances.values()]
    assert {name: classes.count(name) for name in set(classes)} == {
        "idle": 2000,
        "busy": 4000,
        "office": 2000,
        "spiky": 2000,
    }


def test_idle_means_idle_in_the_fleet() -> None:
    cloud = estate.build(fleet.fleet_estate(200))
    now = cloud.clock.now()
    for one in next(cloud.regions()).instances.values():
        demand = one.usage.get("cpu")
        assert demand is not None
        mean = float(demand.samples(300, now - 14 * 86400, now).mean()) / one.spec.vcpus * 100
        assert (mean < 5) == (one.tags["class"] == "idle"), (one.tags["class"], mean)


def _size(one: t.Any, now: float) -> str:
    """What p99.5 and 20 % more asks for, within the architecture and generation of hypervisor."""
    cpu, memory = one.usage.get("cpu"), one.usage.get("memory")
    vcpus = 1.2 * float(np.quantile(cpu.samples(300, now - 32 * 86400, now), 0.995))
    gib = 1.2 * float(memory.samples(300, now - 32 * 86400, now).max()) if one.memory_agent else one.spec.memory_gib
    best = (prices.on_demand(one.instance_type, one.image.operating_system) or 0.0, one.instance_type)
    overloaded = vcpus > one.spec.vcpus or gib > one.spec.memory_gib
    candidates = []
    for name in prices.priced_types():
        spec = catalog.spec(name)
        price = prices.on_demand(name, one.image.operating_system)
        if (
            spec is not None
            and price is not None
            and one.image.architecture in spec.architectures
            and spec.nitro == one.spec.nitro
            and not spec.burstable
            and not spec.instance_storage
            and spec.vcpus >= vcpus
            and spec.memory_gib >= gib
        ):
            candidates.append((price, name))
    if overloaded:
        return min(candidates)[1]
    return min([best, *candidates])[1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_mixed_estate_keeps_its_promises(seed: int) -> None:
    """200 instances, two accounts; sensible sizing saves half and adds no overload minute."""
    cloud = estate.build(mixed_estate(seed))
    now = cloud.clock.now()
    everyone = [(region, one) for region in cloud.regions() for one in region.instances.values()]
    assert len(everyone) == 200
    assert len(cloud.accounts) == 2
    before = after = overload_before = overload_after = 0.0
    shares: dict[str, float] = {"previous": 0.0, "graviton": 0.0}
    means, idle, windows, refused = [], 0, 0, 0
    for _region, one in everyone:
        if one.state != "running":
            continue
        price = costs.hourly_list(one)
        before += price
        shares["previous"] += price * (one.spec.family in ("m4", "c4", "r4", "t2"))
        shares["graviton"] += price * (one.image.architecture == "arm64")
        demand = one.usage.get("cpu").samples(300, max(one.launch_time, now - 14 * 86400), now)
        means.append(float(np.minimum(demand / one.spec.vcpus, 1).mean()) * 100)
        idle += one.tags["class"] == "idle"
        windows += one.image.operating_system == "Windows"
        window = (now, now + 14 * 86400)
        minutes = truth.overload(cloud, one, *window).get("any", 0.0)
        overload_before += minutes
        fresh = now - one.launch_time < 3 * 86400
        if fresh or _is_refused(one):
            refused += 1
            after += price
            overload_after += minutes
            continue
        kind = _size(one, now)
        after += costs.hourly_list(one, kind)
        one.spans = [Span(now, float("inf"), kind)]
        overload_after += truth.overload(cloud, one, *window).get("any", 0.0)
    assert 1 - after / before >= 0.5
    assert overload_before > 0
    assert overload_after == 0
    assert 0.15 <= shares["previous"] / before <= 0.21
    assert 0.13 <= shares["graviton"] / before <= 0.21
    assert 5.5 <= float(np.mean(means)) <= 8.5
    assert 58 <= idle <= 62
    assert 3 <= windows <= 22
    assert 28 <= refused <= 40


def _is_refused(one: t.Any) -> bool:
    return bool(
        one.lifecycle
        or one.ecs_cluster
        or one.group_name == "workers"
        or one.tenancy != "default"
        or one.disable_api_stop
        or one.image.product_codes
        or one.spec.instance_storage
        or one.instance_type.startswith("c6i.")
        or {"terraform", "eks:cluster-name", "frugal:protected", "aws:cloudformation:stack-name"} & set(one.tags)
    )


def test_the_same_seed_gives_the_same_estate() -> None:
    assert mixed_estate(5, 180) == mixed_estate(5, 180)
    assert mixed_estate(5, 180) != mixed_estate(6, 180)
    with pytest.raises(ValueError, match="more than"):
        mixed_estate(1, 10)


def test_an_estate_that_is_not_yaml(tmp_path: t.Any) -> None:
    path = tmp_path / "estate.yml"
    path.write_text("accounts: [", encoding="utf-8")
    with pytest.raises(EstateError, match="is not valid"):
        estate.read_estate(path)
