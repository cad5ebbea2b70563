# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts, credentials, pages and filters, through boto3."""

from __future__ import annotations

import typing as t

import boto3
import pytest
from simulator.testing import ACCOUNT, NOW, OTHER, code_of, instance, instance_ids, one_account, plain

Start = t.Callable[..., t.Any]


def two_accounts(**other: t.Any) -> dict[str, t.Any]:
    def regions(count: int) -> dict[str, t.Any]:
        return {"us-east-1": {"instances": [plain(count)]}}

    return {
        "now": NOW,
        "accounts": [
            {"id": ACCOUNT, "regions": regions(2), "access_keys": ["AKIAFIRST"]},
            {"id": OTHER, "regions": regions(3), **other},
        ],
    }


def client_of(simulator: t.Any, service: str, credentials: dict[str, str]) -> t.Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=simulator.url,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials.get("SecretAccessKey", "x"),
        aws_session_token=credentials.get("SessionToken"),
    )


def test_each_account_sees_its_own_instances(start: Start) -> None:
    simulator = start(two_accounts())
    assert len(instance_ids(simulator.client("ec2", ACCOUNT))) == 2
    assert len(instance_ids(simulator.client("ec2", OTHER))) == 3
    listed = client_of(simulator, "sts", {"AccessKeyId": "AKIAFIRST"}).get_caller_identity()
    assert listed["Account"] == ACCOUNT
    stranger = client_of(simulator, "ec2", {"AccessKeyId": "AKIASTRANGER"})
    assert code_of(stranger.describe_instances) == "AuthFailure"


def test_an_assumed_role_works_in_its_account(start: Start) -> None:
    simulator = start(two_accounts())
    sts = simulator.client("sts", ACCOUNT)
    answer = sts.assume_role(RoleArn=f"arn:aws:iam::{OTHER}:role/reader", RoleSessionName="tests")
    given = answer["Credentials"]
    identity = client_of(simulator, "sts", given).get_caller_identity()
    assert identity["Account"] == OTHER
    assert identity["Arn"] == f"arn:aws:sts::{OTHER}:assumed-role/reader/tests"
    assert len(instance_ids(client_of(simulator, "ec2", given))) == 3


def test_an_account_can_refuse_roles_and_operations(start: Start) -> None:
    simulator = start(two_accounts(assume_role="deny", deny=["ec2:Stop*", "autoscaling:*"]))
    sts = simulator.client("sts", ACCOUNT)
    role = f"arn:aws:iam::{OTHER}:role/reader"
    assert code_of(sts.assume_role, RoleArn=role, RoleSessionName="tests") == "AccessDenied"
    ec2 = simulator.client("ec2", OTHER)
    name = instance_ids(ec2)[0]
    assert code_of(ec2.stop_instances, InstanceIds=[name]) == "UnauthorizedOperation"
    groups = simulator.client("autoscaling", OTHER)
    assert code_of(groups.describe_auto_scaling_groups) == "AccessDenied"
    assert instance(ec2, name)["State"]["Name"] == "running"


def test_pages_count_instances(start: Start) -> None:
    ec2 = start(one_account([plain(23)])).client("ec2", ACCOUNT)
    sizes, token = [], None
    while True:
        arguments = {"NextToken": token} if token else {}
        answer = ec2.describe_instances(MaxResults=10, **arguments)
        sizes.append(sum(len(r["Instances"]) for r in answer["Reservations"]))
        token = answer.get("NextToken")
        if not token:
            break
    assert sizes == [10, 10, 3]
    assert len(set(instance_ids(ec2))) == 23


@pytest.mark.parametrize("count", [4, 1001])
def test_page_sizes_out_of_range_are_refused(start: Start, count: int) -> None:
    ec2 = start(one_account([plain(6)])).client("ec2", ACCOUNT)
    assert code_of(ec2.describe_instances, MaxResults=count) == "InvalidParameterValue"


def test_a_page_token_of_somebody_else_is_refused(start: Start) -> None:
    ec2 = start(one_account([plain(6)])).client("ec2", ACCOUNT)
    assert code_of(ec2.describe_instances, MaxResults=5, NextToken="nonsense") == "InvalidNextToken"


def test_ids_and_pages_exclude_each_other(start: Start) -> None:
    ec2 = start(one_account([plain(1)])).client("ec2", ACCOUNT)
    name = instance_ids(ec2)[0]
    assert code_of(ec2.describe_instances, InstanceIds=[name], MaxResults=5) == "InvalidParameterCombination"
    assert code_of(ec2.describe_instances, InstanceIds=["i-00000000000000000"]) == "InvalidInstanceID.NotFound"


def test_filters_by_tag_state_and_wildcard(start: Start) -> None:
    entries = [
        plain(2, tags={"team": "search"}),
        plain(1, "t3.medium", tags={"team": "billing"}, state="stopped"),
    ]
    ec2 = start(one_account(entries)).client("ec2", ACCOUNT)

    def count(name: str, *wanted: str) -> int:
        answer = ec2.describe_instances(Filters=[{"Name": name, "Values": list(wanted)}])
        return len(answer["Reservations"])

    assert count("tag:team", "search") == 2
    assert count("tag:team", "search", "billing") == 3
    assert count("tag-key", "team") == 3
    assert count("instance-type", "t3.*") == 1
    assert count("instance-state-name", "stopped") == 1
    assert code_of(ec2.describe_instances, Filters=[{"Name": "colour", "Values": ["red"]}]) == "InvalidParameterValue"


def test_everything_that_constrains_a_change_is_there(start: Start) -> None:
    entry = plain(
        1,
        os="Windows",
        elastic_ip=True,
        interfaces=2,
        addresses_per_interface=3,
        tenancy="dedicated",
        hibernation=True,
        volumes=[{"size": 50, "type": "gp2"}, {"size": 500, "type": "io2", "iops": 4000}],
        product_codes=["abc"],
        detailed_monitoring=True,
    )
    simulator = start(one_account([entry]))
    ec2 = simulator.client("ec2", ACCOUNT)
    found = instance(ec2, instance_ids(ec2)[0])
    assert found["Platform"] == "windows"
    assert (found["PlatformDetails"], found["UsageOperation"]) == ("Windows", "RunInstances:0002")
    assert found["EnaSupport"] is True
    assert found["Placement"]["Tenancy"] == "dedicated"
    assert found["HibernationOptions"] == {"Configured": True}
    assert found["Monitoring"] == {"State": "enabled"}
    assert found["CurrentInstanceBootMode"] == "legacy-bios"
    assert found["ProductCodes"][0]["ProductCodeId"] == "abc"
    assert [len(i["PrivateIpAddresses"]) for i in found["NetworkInterfaces"]] == [3, 3]
    assert found["NetworkInterfaces"][0]["Association"]["IpOwnerId"] == ACCOUNT
    address = ec2.describe_addresses()["Addresses"][0]
    assert (address["PublicIp"], address["InstanceId"]) == (found["PublicIpAddress"], found["InstanceId"])
    volumes = {v["VolumeType"]: v for v in ec2.describe_volumes()["Volumes"]}
    assert volumes["io2"]["Iops"] == 4000
    assert {m["Ebs"]["VolumeId"] for m in found["BlockDeviceMappings"]} == {v["VolumeId"] for v in volumes.values()}
    image = ec2.describe_images(ImageIds=[found["ImageId"]])["Images"][0]
    assert (image["Architecture"], image["EnaSupport"], image["Platform"]) == ("x86_64", True, "windows")


def test_graviton_boots_with_uefi(start: Start) -> None:
    ec2 = start(one_account([plain(1, "m7g.large")])).client("ec2", ACCOUNT)
    found = instance(ec2, instance_ids(ec2)[0])
    assert (found["Architecture"], found["CurrentInstanceBootMode"]) == ("arm64", "uefi")


def test_the_real_catalog_in_pages_of_a_hundred(start: Start) -> None:
    simulator = start(one_account())
    ec2 = simulator.client("ec2", ACCOUNT)
    names = [
        t["InstanceType"] for p in ec2.get_paginator("describe_instance_types").paginate() for t in p["InstanceTypes"]
    ]
    assert len(names) == len(set(names)) > 1300
    assert simulator.stats()["counts"][ACCOUNT]["ec2:DescribeInstanceTypes"] == -(-len(names) // 100)
    assert code_of(ec2.describe_instance_types, InstanceTypes=["m5.huge"]) == "InvalidInstanceType"
    zones = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["m5.large"]}]
    )["InstanceTypeOfferings"]
    assert {row["Location"] for row in zones} >= {"us-east-1a", "us-east-1b"}


def test_tags_can_be_set_and_removed(start: Start) -> None:
    simulator = start(one_account([plain(1)]))
    ec2 = simulator.client("ec2", ACCOUNT)
    name = instance_ids(ec2)[0]
    ec2.create_tags(Resources=[name], Tags=[{"Key": "owner", "Value": "me"}])
    ec2.create_tags(Resources=[name], Tags=[{"Key": "owner", "Value": "me"}])
    assert {"Key": "owner", "Value": "me"} in instance(ec2, name)["Tags"]
    ec2.delete_tags(Resources=[name], Tags=[{"Key": "owner"}])
    assert "owner" not in [tag["Key"] for tag in instance(ec2, name)["Tags"]]
    assert [change["effect"] for change in simulator.stats()["changes"]] == [True, False, True]


def test_ecs_container_instances(start: Start) -> None:
    simulator = start(one_account([plain(2, ecs_cluster="services"), plain(1)]))
    ecs = simulator.client("ecs", ACCOUNT)
    cluster = ecs.list_clusters()["clusterArns"][0]
    arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    found = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)["containerInstances"]
    assert {row["ec2InstanceId"] for row in found} == set(instance_ids(simulator.client("ec2", ACCOUNT))[:2])


def test_other_services_are_moto_for_the_same_account(start: Start) -> None:
    simulator = start(two_accounts())
    simulator.client("iam", OTHER).create_user(UserName="somebody")
    names = [user["UserName"] for user in simulator.client("iam", OTHER).list_users()["Users"]]
    assert names == ["somebody"]
    assert simulator.client("iam", ACCOUNT).list_users()["Users"] == []


def test_unknown_operations_get_an_aws_error(start: Start) -> None:
    simulator = start(one_account())
    hub = simulator.client("cost-optimization-hub", ACCOUNT)
    assert code_of(hub.list_recommendations) == "UnknownOperationException"
    ec2 = simulator.client("ec2", ACCOUNT)
    arguments = {"InstanceTypes": ["m5.large"], "TargetCapacity": 1}
    assert code_of(ec2.get_spot_placement_scores, **arguments) == "InvalidAction"
