# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand: throttling, cut connections, latency, denials; and the process as a whole."""

from __future__ import annotations

import http.client
import time
import typing as t

import botocore.config
import botocore.exceptions
import pytest
from simulator import estate
from simulator.errors import EstateError
from simulator.process import SimulatorError, SimulatorProcess
from simulator.testing import ACCOUNT, code_of, instance_ids, one_account, plain, state, steady, until

Start = t.Callable[..., t.Any]
ONCE = botocore.config.Config(retries={"total_max_attempts": 1})


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("ec2", "describe_instances", "RequestLimitExceeded"),
        ("autoscaling", "describe_auto_scaling_groups", "Throttling"),
        ("cloudwatch", "list_metrics", "Throttling"),
        ("pricing", "describe_services", "ThrottlingException"),
        ("savingsplans", "describe_savings_plans", "ThrottlingException"),
    ],
)
def test_each_service_throttles_in_its_own_words(start: Start, service: str, operation: str, code: str) -> None:
    simulator = start(one_account([plain(1)]))
    simulator.faults(throttle_rate=1)
    client = simulator.client(service, ACCOUNT, config=ONCE)
    assert code_of(getattr(client, operation)) == code


def test_a_throttled_request_has_no_effect_and_the_rate_is_seeded(start: Start) -> None:
    simulator = start(one_account([plain(1)]))
    client = simulator.client("ec2", ACCOUNT, config=ONCE)
    name = instance_ids(client)[0]
    simulator.faults(throttle_rate=1)
    assert code_of(client.stop_instances, InstanceIds=[name]) == "RequestLimitExceeded"

    def pattern() -> list[bool]:
        simulator.faults(throttle_rate=0.3, seed=7)
        seen = []
        for _number in range(40):
            try:
                client.describe_instances()
                seen.append(True)
            except botocore.exceptions.ClientError:
                seen.append(False)
        return seen

    first = pattern()
    assert pattern() == first
    assert 20 <= sum(first) <= 36
    simulator.faults(throttle_rate=0)
    assert state(client, name) == "running"


def test_retries_get_through(start: Start) -> None:
    simulator = start(one_account([plain(30)]))
    simulator.faults(throttle_rate=0.3, seed=3)
    client = simulator.client("ec2", ACCOUNT, config=botocore.config.Config(retries={"max_attempts": 8}))
    assert len(instance_ids(client)) == 30


def test_a_cut_answer_had_its_effect(start: Start) -> None:
    simulator = start(one_account([plain(1)]))
    client = simulator.client("ec2", ACCOUNT, config=ONCE)
    name = instance_ids(client)[0]
    simulator.faults(cut_rate=1)
    with pytest.raises((botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)):
        client.stop_instances(InstanceIds=[name])
    simulator.faults(cut_rate=0)
    until(lambda: state(client, name) == "stopped")
    change = simulator.stats()["changes"][0]
    assert (change["operation"], change["effect"], change["cut"]) == ("ec2:StopInstances", True, True)


def test_latency_is_added_to_each_request(start: Start) -> None:
    simulator = start(one_account([plain(1)]))
    client = simulator.client("ec2", ACCOUNT)
    client.describe_instances()
    simulator.faults(latency_ms=120)
    begun = time.monotonic()
    client.describe_instances()
    assert time.monotonic() - begun >= 0.12


def test_operations_and_accounts_can_be_denied_later(start: Start) -> None:
    simulator = start(one_account([plain(1)]))
    client, sts = simulator.client("ec2", ACCOUNT), simulator.client("sts", ACCOUNT)
    simulator.faults(deny=["ec2:Describe*"])
    assert code_of(client.describe_instances) == "UnauthorizedOperation"
    simulator.faults(deny=[], deny_account=[ACCOUNT])
    assert code_of(client.describe_volumes) == "UnauthorizedOperation"
    assert sts.get_caller_identity()["Account"] == ACCOUNT
    role = f"arn:aws:iam::{ACCOUNT}:role/x"
    assert code_of(sts.assume_role, RoleArn=role, RoleSessionName="tests") == "AccessDenied"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"throttle": 1}, "there is no fault 'throttle'"),
        ({"throttle_rate": 1.5}, "a share between 0 and 1"),
        ({"latency_ms": -1}, "not negative"),
        ({"deny": "ec2:*"}, "a list of strings"),
    ],
)
def test_nonsense_faults_are_refused_in_one_sentence(start: Start, settings: dict[str, t.Any], sentence: str) -> None:
    simulator = start(one_account())
    with pytest.raises(SimulatorError, match=sentence):
        simulator.faults(**settings)
    assert simulator.faults()["throttle_rate"] == 0


def test_control_requests_are_checked(start: Start) -> None:
    simulator = start(one_account())
    with pytest.raises(SimulatorError, match="there is no GET"):
        simulator.control("GET", "weather")
    with pytest.raises(SimulatorError, match="not 'hours'"):
        simulator.control("POST", "clock", {"hours": 1})
    with pytest.raises(SimulatorError, match="not a valid timestamp"):
        simulator.clock(now="tomorrow")


def test_connections_stay_open(start: Start) -> None:
    simulator = start(one_account())
    connection = http.client.HTTPConnection("127.0.0.1", simulator.server.port)
    ports = set()
    for _number in range(3):
        connection.request("GET", "/simulator/clock")
        ports.add(connection.sock.getsockname()[1])
        assert connection.getresponse().read().startswith(b"{")
    assert len(ports) == 1


def test_unsigned_requests_are_refused(start: Start) -> None:
    simulator = start(one_account())
    connection = http.client.HTTPConnection("127.0.0.1", simulator.server.port)
    connection.request("POST", "/", "Action=DescribeInstances", {"Content-Type": "application/x-www-form-urlencoded"})
    assert connection.getresponse().status == 403


def test_the_process_starts_answers_and_ends() -> None:
    description = one_account([plain(3, usage=steady(10))])
    with SimulatorProcess(description, arguments=["--latency-ms", "1", "--now", "2026-07-01T00:00:00Z"]) as simulator:
        assert simulator.ready["instances"] == 3
        assert simulator.clock()["now"].startswith("2026-07-01T00:00")
        assert simulator.faults()["latency_ms"] == 1
        assert len(instance_ids(simulator.client("ec2", ACCOUNT))) == 3
        assert simulator.stats()["rss_mib"] > 10
    assert simulator._process.poll() is not None
    assert simulator.errors == ""


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ({"accounts": []}, "the estate has no accounts"),
        ({"accounts": [{"id": "12"}]}, "does not have 12 digits"),
        ({"colour": "red"}, "unknown key 'colour'"),
        (one_account([plain(1, "m5.gigantic")]), "there is no instance type 'm5.gigantic'"),
        (one_account([plain(1, colour="red")]), "unknown key 'colour'"),
        (one_account([plain(1, usage="nobody")]), "there is no usage named 'nobody'"),
        (one_account([plain(1, usage={"profile": "lazy"})]), "'lazy' is not one of idle"),
        (one_account([plain(1, state="paused")]), "not 'paused'"),
        (one_account([plain(1, managed_by="nobody")]), "managed_by 'nobody' is not one of"),
        (one_account([plain(1, os="BeOS")]), "os 'BeOS' is not one of"),
        ({**one_account(), "now": "yesterday"}, "'yesterday' is not an ISO 8601 time"),
        ({**one_account(), "faults": {"cut_rate": 7}}, "a share between 0 and 1"),
    ],
)
def test_a_bad_estate_names_the_mistake(description: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(EstateError) as caught:
        estate.build(description)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("/nowhere/estate.yml", "cannot read the estate /nowhere/estate.yml"),
        ("demo:x", "neither a file nor fleet:N"),
    ],
)
def test_the_process_says_in_one_sentence_why_it_does_not_start(name: str, sentence: str) -> None:
    with pytest.raises(SimulatorError) as caught:
        SimulatorProcess(name)
    assert sentence in str(caught.value)
    assert "Traceback" not in str(caught.value)
