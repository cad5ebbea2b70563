# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Resource Groups Tagging API over the estate's instances and volumes, and over resources that are only an ARN.

As in the real service, resources that never had a tag are not listed, a request is for one region, at most 20
resources are written at once, and each of them may fail by itself. Terminated instances stay in the list.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from simulator.errors import AwsError, EstateError
from simulator.registry import account_of, operation, page, tag_list
from simulator.state import Account, Cloud, Region
from simulator.wire import Call

_Dict = dict[str, t.Any]
_SERVICE = "resourcegroupstaggingapi"
_WRITE_LIMIT = 20
_LIST_LIMIT = 100
_MOST_TAGS = 50
_ARN = re.compile(r"arn:aws:([a-z0-9-]+):([a-z0-9-]*):(\d{12})?:(.+)")


@dataclasses.dataclass
class State:
    """What one account has beside its instances and volumes. Tests may fill ``failing``: ARN -> message."""

    resources: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    #: region -> ARNs of ``resources``
    regions: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    #: had a tag once
    known: set[str] = dataclasses.field(default_factory=set)
    failing: dict[str, str] = dataclasses.field(default_factory=dict)
    #: what is being listed page by page, by filters: large accounts are not searched again for each page
    listings: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def state(account: Account) -> State:
    """What the tagging API has of an account."""
    if account.tagging is None:
        account.tagging = State()
    return t.cast("State", account.tagging)


def add_resources(account: Account, one: _Dict) -> None:
    """``count`` resources of the estate: ``arn`` (with ``{n}`` for the number), ``tags``, ``failing`` (a message)."""
    mine = state(account)
    for number in range(int(one.get("count", 1))):
        arn = str(one["arn"]).format(n=number)
        if not _ARN.fullmatch(arn):
            raise EstateError(f"account {account.account_id}: {arn!r} is no ARN")
        if arn not in mine.resources:
            mine.regions.setdefault(_region_of(arn), []).append(arn)
        mine.resources[arn] = {str(key): str(value) for key, value in one.get("tags", {}).items()}
        if mine.resources[arn]:
            mine.known.add(arn)
        if one.get("failing"):
            mine.failing[arn] = str(one["failing"])


def _region_of(arn: str) -> str:
    found = _ARN.fullmatch(arn)
    if found is None:
        raise AwsError("InvalidParameterException", f"The ARN {arn} is not valid.")
    return found[2] or "us-east-1"


def _kind(arn: str) -> str:
    found = _ARN.fullmatch(arn)
    if found is None:
        return ""
    head = re.split("[:/]", found[4], maxsplit=1)
    return f"{found[1]}:{head[0]}" if len(head) > 1 else found[1]


def _tags(mine: State, region: Region, arn: str) -> dict[str, str] | None:
    """The tags of a resource, to be changed in place; None where there is no such resource."""
    if arn in mine.resources:
        return mine.resources[arn]
    found = _ARN.fullmatch(arn)
    if found and (found[1], found[2], found[3]) == ("ec2", region.name, region.account):
        kind, _slash, name = found[4].partition("/")
        stores: dict[str, t.Mapping[str, t.Any]] = {"instance": region.instances, "volume": region.volumes}
        one = stores.get(kind, {}).get(name)
        return None if one is None else t.cast("dict[str, str]", one.tags)
    return None


def _everything(mine: State, region: Region) -> t.Iterator[tuple[str, dict[str, str]]]:
    """All that has tags or had some, in the region."""
    for arn in mine.regions.get(region.name, ()):
        tags = mine.resources[arn]
        if tags or arn in mine.known:
            yield arn, tags
    prefix = f"arn:aws:ec2:{region.name}:{region.account}"
    stores: tuple[tuple[str, t.Mapping[str, t.Any]], ...] = (("instance", region.instances), ("volume", region.volumes))
    for kind, store in stores:
        for name, one in store.items():
            arn = f"{prefix}:{kind}/{name}"
            if one.tags or arn in mine.known:
                yield arn, one.tags


@operation(_SERVICE, "GetResources")
def get_resources(cloud: Cloud, call: Call) -> _Dict:
    """Resources with tags, filtered by type, tag or ARN, in pages of at most 100."""
    params = call.params
    account = account_of(cloud, call)
    mine, region = state(account), account.region(call.region)
    arns, kinds, filters = params.get("ResourceARNList"), params.get("ResourceTypeFilters"), params.get("TagFilters")
    if arns and (kinds or filters or params.get("PaginationToken") or "ResourcesPerPage" in params):
        raise AwsError("InvalidParameterException", "ResourceARNList cannot be combined with filters and pages.")
    if arns and len(arns) > _LIST_LIMIT:
        raise AwsError("InvalidParameterException", "ResourceARNList has more than 100 members.")
    limit = params.get("ResourcesPerPage", _LIST_LIMIT if arns else 50)
    if not 1 <= limit <= _LIST_LIMIT:
        raise AwsError("InvalidParameterException", "ResourcesPerPage must be between 1 and 100.")
    asked = json.dumps([region.name, arns, kinds, filters], sort_keys=True)
    if not params.get("PaginationToken"):
        mine.listings[asked] = [arn for arn, tags in _everything(mine, region) if _wanted(arn, tags, params)]
    found = mine.listings.get(asked, [])
    shown, token = page(found, limit, params.get("PaginationToken"), "PaginationTokenExpiredException")
    if not token:
        mine.listings.pop(asked, None)
    listed = [(arn, _tags(mine, region, arn)) for arn in shown]
    return {
        "PaginationToken": token or "",
        "ResourceTagMappingList": [
            {"ResourceARN": arn, "Tags": tag_list(tags)} for arn, tags in listed if tags is not None
        ],
    }


def _wanted(arn: str, tags: t.Mapping[str, str], params: _Dict) -> bool:
    """Whether a resource is what the request asks for."""
    if params.get("ResourceARNList") and arn not in params["ResourceARNList"]:
        return False
    kinds = params.get("ResourceTypeFilters")
    if kinds and not {_kind(arn), _kind(arn).partition(":")[0]} & set(kinds):
        return False
    return all(
        one["Key"] in tags and (not one.get("Values") or tags[one["Key"]] in one["Values"])
        for one in params.get("TagFilters") or ()
    )


def _each(cloud: Cloud, call: Call, keys: t.Iterable[str], change: t.Callable[[dict[str, str]], str]) -> _Dict:
    """Change the tags of each resource; what ``change`` returns is why it did not."""
    arns = call.params["ResourceARNList"]
    if len(arns) > _WRITE_LIMIT:
        raise AwsError("InvalidParameterException", f"ResourceARNList has {len(arns)} members; the limit is 20.")
    if len(set(arns)) != len(arns):
        raise AwsError("InvalidParameterException", "ResourceARNList names a resource twice.")
    reserved = [key for key in keys if key.lower().startswith("aws:")]
    if reserved:
        raise AwsError("InvalidParameterException", f"{reserved[0]}: keys that begin with aws: are reserved.")
    for arn in arns:
        if _region_of(arn) != call.region:
            raise AwsError("InvalidParameterException", f"{arn} is not in {call.region}.")
    account = account_of(cloud, call)
    mine, region = state(account), account.region(call.region)
    failed: dict[str, _Dict] = {}
    for arn in arns:
        tags = _tags(mine, region, arn)
        before = dict(tags or {})
        why = mine.failing.get(arn, "")
        if not why:
            why = f"{arn} does not exist." if tags is None else change(tags)
        if why:
            failed[arn] = {"StatusCode": 400, "ErrorCode": "InvalidParameterException", "ErrorMessage": why}
        else:
            mine.known.add(arn)
        call.touched(arn, not why and tags != before)
    return {"FailedResourcesMap": failed}


@operation(_SERVICE, "TagResources")
def tag_resources(cloud: Cloud, call: Call) -> _Dict:
    """Set tags on up to 20 resources."""
    wanted: dict[str, str] = call.params["Tags"]
    for key, value in wanted.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise AwsError("InvalidParameterException", f"The tag {key} is too long.")

    def change(tags: dict[str, str]) -> str:
        if sum(not key.startswith("aws:") for key in {**tags, **wanted}) > _MOST_TAGS:
            return "A resource can have 50 tags at most."
        tags.update(wanted)
        return ""

    return _each(cloud, call, wanted, change)


@operation(_SERVICE, "UntagResources")
def untag_resources(cloud: Cloud, call: Call) -> _Dict:
    """Remove tags from up to 20 resources; those that are not there are no mistake."""
    keys: list[str] = call.params["TagKeys"]

    def change(tags: dict[str, str]) -> str:
        for key in keys:
            tags.pop(key, None)
        return ""

    return _each(cloud, call, keys, change)
