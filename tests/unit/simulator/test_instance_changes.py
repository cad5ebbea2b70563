# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by which EC2 lets an instance change, and what changes with it."""

from __future__ import annotations

import typing as t

import pytest
from simulator.state import Delays
from simulator.testing import ACCOUNT, code_of, instance, instance_ids, one_account, plain, state, until

Start = t.Callable[..., t.Any]


def stopped(simulator: t.Any) -> tuple[t.Any, str]:
    """A client and the only instance, stopped."""
    ec2 = simulator.client("ec2", ACCOUNT)
    name = instance_ids(ec2)[0]
    ec2.stop_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "stopped")
    return ec2, name


def change(ec2: t.Any, name: str, kind: str) -> None:
    ec2.modify_instance_attribute(InstanceId=name, InstanceType={"Value": kind})


def refusal(ec2: t.Any, name: str, kind: str) -> str:
    return code_of(ec2.modify_instance_attribute, InstanceId=name, InstanceType={"Value": kind})


def test_stop_change_start(start: Start) -> None:
    simulator = start(one_account([plain(1, "m5.2xlarge")]))
    simulator.cloud.delays = Delays(transition=0.5, status_checks=0.5)  # long enough to be seen on a busy machine
    ec2 = simulator.client("ec2", ACCOUNT)
    name = instance_ids(ec2)[0]
    assert refusal(ec2, name, "m5.large") == "IncorrectInstanceState"
    answer = ec2.stop_instances(InstanceIds=[name])["StoppingInstances"][0]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == ("running", "stopping")
    until(lambda: state(ec2, name) == "stopped")
    change(ec2, name, "m6i.large")
    ec2.start_instances(InstanceIds=[name])
    assert state(ec2, name) == "pending"
    until(lambda: state(ec2, name) == "running")
    assert instance(ec2, name)["InstanceType"] == "m6i.large"

    def checks() -> set[str]:
        row = ec2.describe_instance_status(InstanceIds=[name])["InstanceStatuses"][0]
        return {row["InstanceStatus"]["Status"], row["SystemStatus"]["Status"]}

    assert checks() == {"initializing"}
    until(lambda: checks() == {"ok"})


def test_what_changed_is_in_the_statistics_in_order(start: Start) -> None:
    simulator = start(one_account([plain(1, "m5.2xlarge")]))
    ec2, name = stopped(simulator)
    change(ec2, name, "m5.large")
    change(ec2, name, "m5.large")
    ec2.start_instances(InstanceIds=[name])
    changes = simulator.stats(reset=True)["changes"]
    assert [(one["operation"], one["resources"], one["effect"]) for one in changes] == [
        ("ec2:StopInstances", [name], True),
        ("ec2:ModifyInstanceAttribute", [name], True),
        ("ec2:ModifyInstanceAttribute", [name], False),
        ("ec2:StartInstances", [name], True),
    ]
    assert simulator.stats()["total"] == 0


@pytest.mark.parametrize(
    ("image", "kind", "wanted", "code"),
    [
        ({}, "m5.large", "m5.enormous", "InvalidParameterValue"),
        ({}, "m5.large", "m6g.large", "InvalidParameterValue"),
        ({}, "m6g.large", "m5.large", "InvalidParameterValue"),
        ({"ena": False}, "m4.large", "m5.large", "InvalidParameterCombination"),
        ({"boot_mode": "uefi"}, "m5.large", "m4.large", "InvalidParameterValue"),
        ({"virtualization_type": "paravirtual"}, "m4.large", "m5.large", "InvalidParameterCombination"),
        ({"interfaces": 4}, "m5.xlarge", "m5.large", "AttachmentLimitExceeded"),
    ],
)
def test_types_that_cannot_run_the_machine_are_refused(
    start: Start, image: dict[str, t.Any], kind: str, wanted: str, code: str
) -> None:
    ec2, name = stopped(start(one_account([plain(1, kind, **image)])))
    assert refusal(ec2, name, wanted) == code
    assert instance(ec2, name)["InstanceType"] == kind


def test_dry_run_says_what_would_happen_and_does_nothing(start: Start) -> None:
    ec2 = start(one_account([plain(1)])).client("ec2", ACCOUNT)
    name = instance_ids(ec2)[0]
    assert code_of(ec2.stop_instances, InstanceIds=[name], DryRun=True) == "DryRunOperation"
    assert state(ec2, name) == "running"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"disable_api_stop": True}, "OperationNotPermitted"),
        ({"lifecycle": "spot"}, "UnsupportedOperation"),
        ({"root_device_type": "instance-store"}, "UnsupportedOperation"),
    ],
)
def test_machines_that_cannot_be_stopped(start: Start, settings: dict[str, t.Any], code: str) -> None:
    ec2 = start(one_account([plain(2, **settings)])).client("ec2", ACCOUNT)
    assert code_of(ec2.stop_instances, InstanceIds=instance_ids(ec2)) == code
    assert {state(ec2, name) for name in instance_ids(ec2)} == {"running"}


def test_one_bad_instance_spoils_the_batch(start: Start) -> None:
    ec2 = start(one_account([plain(1), plain(1, disable_api_stop=True)])).client("ec2", ACCOUNT)
    names = instance_ids(ec2)
    assert code_of(ec2.stop_instances, InstanceIds=names) == "OperationNotPermitted"
    assert state(ec2, names[0]) == "running"


def test_a_public_address_changes_and_an_elastic_one_stays(start: Start) -> None:
    simulator = start(one_account([plain(1, public_ip=True), plain(1, elastic_ip=True)]))
    ec2 = simulator.client("ec2", ACCOUNT)
    names = instance_ids(ec2)
    before = [instance(ec2, name)["PublicIpAddress"] for name in names]
    ec2.stop_instances(InstanceIds=names)
    until(lambda: {state(ec2, name) for name in names} == {"stopped"})
    assert "PublicIpAddress" not in instance(ec2, names[0])
    ec2.start_instances(InstanceIds=names)
    until(lambda: {state(ec2, name) for name in names} == {"running"})
    after = [instance(ec2, name)["PublicIpAddress"] for name in names]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_missing_capacity_shows_at_the_start(start: Start) -> None:
    simulator = start(one_account([plain(1, "m5.large", zone="us-east-1a")]))
    ec2, name = stopped(simulator)
    simulator.faults(insufficient_capacity=["m6i.large/us-east-1a"])
    change(ec2, name, "m6i.large")
    assert code_of(ec2.start_instances, InstanceIds=[name]) == "InsufficientInstanceCapacity"
    change(ec2, name, "m5.large")
    ec2.start_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "running")


def test_a_type_that_the_zone_does_not_offer(start: Start) -> None:
    ec2, name = stopped(start(one_account([plain(1, "m4.large", zone="us-east-1e")])))
    offers = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "location", "Values": ["us-east-1e"]}]
    )["InstanceTypeOfferings"]
    assert "m7i.large" not in {row["InstanceType"] for row in offers}
    change(ec2, name, "t3.medium")  # needs ENA, which the image has, but zone e has no t3
    assert code_of(ec2.start_instances, InstanceIds=[name]) == "Unsupported"


def test_a_machine_without_nvme_drivers_fails_its_check_on_nitro(start: Start) -> None:
    simulator = start(one_account([plain(1, "m4.large", nvme_drivers=False, zone="us-east-1a")]))
    ec2, name = stopped(simulator)
    change(ec2, name, "m5.large")
    ec2.start_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "running")

    def check() -> str:
        row = ec2.describe_instance_status(InstanceIds=[name])["InstanceStatuses"][0]
        return str(row["InstanceStatus"]["Status"])

    until(lambda: check() == "impaired")


def test_an_alarm_can_go_off_after_a_change(start: Start) -> None:
    entry = plain(2, "m5.xlarge", alarm={"name": "latency", "after_change": True})
    simulator = start(one_account([entry]))
    ec2 = simulator.client("ec2", ACCOUNT)
    cloudwatch = simulator.client("cloudwatch", ACCOUNT)
    name = instance_ids(ec2)[0]
    assert {alarm["StateValue"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]} == {"OK"}
    ec2.stop_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "stopped")
    change(ec2, name, "m5.large")
    alarms = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert [alarm["Dimensions"] for alarm in alarms] == [[{"Name": "InstanceId", "Value": name}]]


def test_launched_and_terminated_instances(start: Start) -> None:
    simulator = start(one_account([plain(1)]))
    ec2 = simulator.client("ec2", ACCOUNT)
    image = instance(ec2, instance_ids(ec2)[0])["ImageId"]
    made = ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=2)["Instances"]
    names = [row["InstanceId"] for row in made]
    assert [state(ec2, name) for name in names] == ["running", "running"]
    ec2.terminate_instances(InstanceIds=names)
    until(lambda: {state(ec2, name) for name in names} == {"terminated"})
