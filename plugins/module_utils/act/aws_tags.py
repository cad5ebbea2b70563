# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of an account's resources through the Resource Groups Tagging API: read in pages, written 20 at a time.

https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/. The API lists what has tags or had some once.
Instances and volumes that never had one are found by EC2 itself, everything else has to be named by its ARN.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.tag_journal import Change, Write, grouped
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import Policy, Resource, Source, Tags
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError

_Dict: t.TypeAlias = "dict[str, t.Any]"
_API = "resourcegroupstaggingapi"
#: Of one GetResources call: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
PER_PAGE = 100
#: Resources without a region are reached here.
GLOBAL = "us-east-1"
GROUP_TAG = "aws:autoscaling:groupName"
STACK_TAG = "aws:cloudformation:stack-id"
#: So often a request is sent again after the connection broke: the same tags twice are the same tags.
ATTEMPTS = 3
_ARN = re.compile(r"arn:[a-z0-9-]+:([a-z0-9-]+):([a-z0-9-]*):(\d{12})?:(.+)")


class TagError(ValueError):
    """One sentence: which option has which value, and what would be right."""


def kind_of(arn: str) -> str:
    """The type of a resource as the tagging API names it: ``ec2:instance``, ``s3``, ``rds:db``."""
    found = _ARN.fullmatch(arn)
    if found is None:
        return ""
    head = re.split("[:/]", found[4], maxsplit=1)
    return f"{found[1]}:{head[0]}" if len(head) > 1 else found[1]


def region_of(arn: str, region: str) -> str:
    """The region where a resource is tagged; ARNs of buckets do not name theirs, so that is ``region``.

    :raises TagError: it is no ARN.
    """
    found = _ARN.fullmatch(arn)
    if found is None:
        raise TagError(f"resources has {arn!r}: give ARNs, such as arn:aws:s3:::my-bucket")
    return found[2] or (region if found[1] == "s3" else GLOBAL)


class AwsTags:
    """The tags of one account in some regions."""

    def __init__(self, aws: Aws, regions: Sequence[str], kinds: Sequence[str] = (), extra: Sequence[str] = ()) -> None:
        self._aws = aws
        self._regions = tuple(regions) or (aws.region,)
        self._kinds = tuple(kinds)
        self._extra: dict[str, list[str]] = {}
        for arn in extra:
            self._extra.setdefault(region_of(arn, aws.region), []).append(arn)

    @property
    def scope(self) -> str:
        """What a journal's runs belong to."""
        return f"aws/{self._aws.account}"

    def read(self, policy: Policy) -> tuple[list[tuple[str, Resource]], dict[Source, Tags]]:
        """All resources with their regions, and the tags of what they inherit from.

        :raises AwsError: AWS refuses.
        """
        found: list[tuple[str, Resource]] = []
        inherited: dict[Source, Tags] = {}
        parents = {"account": self._aws.account} if "account" in policy.sources else {}
        if parents:
            inherited["account", self._aws.account] = self._account_tags(policy)
        for region in dict.fromkeys((*self._regions, *self._extra)):
            listed = self._listed(region) if region in self._regions else {}
            machines = self._machines(region, policy) if region in self._regions else None
            missing = [arn for arn in self._extra.get(region, ()) if arn not in listed]
            listed.update({arn: {} for arn in missing}, **self.tags_of(region, missing))
            if machines is not None:
                self._merge(region, listed, machines)
            self._inherit(region, listed, policy, inherited)
            for arn, tags in listed.items():
                own = {**parents, **(machines.parents(arn, listed) if machines else {})}
                if STACK_TAG in tags:
                    own["stack"] = tags[STACK_TAG]
                if GROUP_TAG in tags:
                    own["asg"] = f"{region}/{tags[GROUP_TAG]}"
                found.append((region, Resource(arn, kind_of(arn), tags, own)))
        return found, inherited

    def _listed(self, region: str, kinds: Sequence[str] = ()) -> dict[str, dict[str, str]]:
        chosen = list(kinds or self._kinds)
        arguments: _Dict = {"ResourceTypeFilters": chosen} if chosen else {}
        pages = self._aws.pages(_API, "get_resources", region=region, ResourcesPerPage=PER_PAGE, **arguments)
        return {
            item["ResourceARN"]: _tags(item.get("Tags", ()))
            for page in pages
            for item in page["ResourceTagMappingList"]
        }

    def tags_of(self, region: str, arns: Sequence[str]) -> dict[str, dict[str, str]]:
        """The tags of these resources, as far as the tagging API knows them."""
        found: dict[str, dict[str, str]] = {}
        for at in range(0, len(arns), PER_PAGE):
            part = list(arns[at : at + PER_PAGE])
            answer = self._aws.read(_API, "get_resources", region=region, ResourceARNList=part)
            found.update(
                {item["ResourceARN"]: _tags(item.get("Tags", ())) for item in answer["ResourceTagMappingList"]}
            )
        return found

    def _machines(self, region: str, policy: Policy) -> _Machines | None:
        """Instances and volumes as EC2 lists them, where they are asked for."""
        if self._kinds and not {"ec2", "ec2:instance", "ec2:volume"} & set(self._kinds):
            return None
        machines = _Machines(region, self._aws.account)
        for page in self._aws.pages("ec2", "describe_instances", region=region, MaxResults=1000):
            for reservation in page["Reservations"]:
                for instance in reservation["Instances"]:
                    machines.add_instance(instance)
        for page in self._aws.pages("ec2", "describe_volumes", region=region, MaxResults=500):
            for volume in page["Volumes"]:
                machines.add_volume(volume)
        return machines

    def _merge(self, region: str, listed: dict[str, dict[str, str]], machines: _Machines) -> None:
        """Add those that never had a tag, drop those that are gone: both lists lag behind the truth otherwise."""
        wanted = {"ec2:instance", "ec2:volume"}
        if self._kinds and "ec2" not in self._kinds:
            wanted &= set(self._kinds)
        for arn in [arn for arn in listed if kind_of(arn) in wanted and arn not in machines.tags]:
            del listed[arn]
        listed.update({arn: tags for arn, tags in machines.tags.items() if kind_of(arn) in wanted})

    def _account_tags(self, policy: Policy) -> Tags:
        account = self._aws.account
        if account in policy.accounts:
            return policy.accounts[account]
        try:
            pages = self._aws.pages("organizations", "list_tags_for_resource", region=GLOBAL, ResourceId=account)
            return _tags(tag for page in pages for tag in page["Tags"])
        except AwsError as error:
            raise AwsError(
                f"tags of the account, which the policy inherits from, cannot be read: {error}; write them under "
                "accounts in the policy, or run in the organization's management account",
                error.code,
            ) from None

    def _inherit(self, region: str, listed: Mapping[str, Tags], policy: Policy, inherited: dict[Source, Tags]) -> None:
        """The tags of stacks, VPCs, groups and instances of the region, as far as the policy inherits from them."""
        for source, kind in (("stack", "cloudformation:stack"), ("vpc", "ec2:vpc")):
            if source not in policy.sources:
                continue
            there = listed if not self._kinds or kind in self._kinds else self._listed(region, [kind])
            for arn, tags in there.items():
                if kind_of(arn) == kind:
                    # Stacks are named by their ARN in the tag of their resources, VPCs by their id.
                    inherited[source, arn if source == "stack" else arn.rpartition("/")[2]] = tags
        if "instance" in policy.sources:
            instances = {arn: tags for arn, tags in listed.items() if kind_of(arn) == "ec2:instance"}
            inherited.update({("instance", arn): tags for arn, tags in instances.items()})
        if "asg" in policy.sources and any(GROUP_TAG in tags for tags in listed.values()):
            pages = self._aws.pages("autoscaling", "describe_auto_scaling_groups", region=region, MaxRecords=100)
            for page in pages:
                for group in page["AutoScalingGroups"]:
                    inherited["asg", f"{region}/{group['AutoScalingGroupName']}"] = _tags(group.get("Tags", ()))

    def now(self, places: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        """The tags of these resources (ARN -> region) as they are now; what AWS does not know any more is left out."""
        found: dict[str, Mapping[str, str]] = {}
        for region in dict.fromkeys(places.values()):
            found.update(self.tags_of(region, [arn for arn, place in places.items() if place == region]))
        return found

    def grouped(self, changes: Sequence[Change]) -> list[Write]:
        """The requests for these changes: up to 20 resources each."""
        return grouped(changes)

    def send(self, write: Write) -> dict[str, str]:
        """One request. The resources that AWS refused, with why.

        :raises AwsError: the request as a whole was refused.
        """
        arns = list(write.ids)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if write.set:
                    answer = self._aws.write(
                        _API, "tag_resources", write.place, ResourceARNList=arns, Tags=dict(write.set)
                    )
                else:
                    answer = self._aws.write(
                        _API, "untag_resources", write.place, ResourceARNList=arns, TagKeys=list(write.remove)
                    )
                break
            except AwsError as error:
                if not error.effect_unknown or attempt == ATTEMPTS:
                    raise
        failed = answer.get("FailedResourcesMap") or {}
        return {arn: f"{one.get('ErrorCode', '')}: {one.get('ErrorMessage', '')}" for arn, one in failed.items()}


class _Machines:
    """Instances and volumes of a region: tags, and what they belong to."""

    def __init__(self, region: str, account: str) -> None:
        partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
        self._prefix = f"arn:{partition}:ec2:{region}:{account}"
        self.tags: dict[str, dict[str, str]] = {}
        self._vpcs: dict[str, str] = {}
        self._owners: dict[str, str] = {}

    def add_instance(self, instance: _Dict) -> None:
        """One of DescribeInstances."""
        if instance["State"]["Name"] in ("terminated", "shutting-down"):
            return
        arn = f"{self._prefix}:instance/{instance['InstanceId']}"
        self.tags[arn] = _tags(instance.get("Tags", ()))
        self._vpcs[arn] = instance.get("VpcId", "")

    def add_volume(self, volume: _Dict) -> None:
        """One of DescribeVolumes."""
        arn = f"{self._prefix}:volume/{volume['VolumeId']}"
        self.tags[arn] = _tags(volume.get("Tags", ()))
        for attachment in volume.get("Attachments", ()):
            if "InstanceId" in attachment:
                self._owners[arn] = f"{self._prefix}:instance/{attachment['InstanceId']}"

    def parents(self, arn: str, listed: Mapping[str, Tags]) -> dict[str, str]:
        """What an instance or a volume belongs to; a volume to all that its instance belongs to."""
        owner = self._owners.get(arn, "")
        found = {"instance": owner} if owner else {}
        machine = owner or arn
        if self._vpcs.get(machine):
            found["vpc"] = self._vpcs[machine]
        group = self.tags.get(owner, {}).get(GROUP_TAG)
        if group:
            found["asg"] = f"{self._prefix.split(':')[3]}/{group}"
        stack = self.tags.get(owner, {}).get(STACK_TAG)
        if stack:
            found["stack"] = stack
        return found


def _tags(items: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in items}
