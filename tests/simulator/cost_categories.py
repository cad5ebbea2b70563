# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost allocation tags and Cost Categories, which belong to the account that pays: the first of the estate.

The bill knows the tags that resources have, and all that the estate names (``cost_allocation_tags``). That its
values show in Cost Explorer after a day only is not simulated.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t
import uuid

from simulator import tagging
from simulator.errors import AwsError
from simulator.registry import account_of, operation, page
from simulator.state import Account, Cloud
from simulator.wire import Call, iso_time

_Dict = dict[str, t.Any]
_MOST = 50


@dataclasses.dataclass
class State:
    """``tags``: key -> Active or Inactive, as far as somebody set it. ``categories`` by ARN."""

    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    categories: dict[str, _Dict] = dataclasses.field(default_factory=dict)


def state(account: Account) -> State:
    """What the account has of both."""
    if account.cost_categories is None:
        account.cost_categories = State()
    return t.cast("State", account.cost_categories)


def _payer(cloud: Cloud, call: Call) -> State:
    if call.account != next(iter(cloud.accounts)):
        raise AwsError("AccessDeniedException", "Linked account doesn't have access to this operation.")
    return state(account_of(cloud, call))


def _statuses(cloud: Cloud, mine: State) -> dict[str, str]:
    found: dict[str, str] = {}
    for account in cloud.accounts.values():
        stores: list[t.Mapping[str, t.Any]] = [tagging.state(account).resources]
        for region in account.regions.values():
            stores += [{name: one.tags for name, one in store.items()} for store in (region.instances, region.volumes)]
        found.update({key: "Inactive" for store in stores for tags in store.values() for key in tags})
    return {**found, **mine.tags}


@operation("ce", "ListCostAllocationTags")
def list_cost_allocation_tags(cloud: Cloud, call: Call) -> _Dict:
    """Tags that the bill knows, and whether it carries them."""
    params = call.params
    statuses = _statuses(cloud, _payer(cloud, call))
    found = [
        {
            "TagKey": key,
            "Type": "AWSGenerated" if key.startswith("aws:") else "UserDefined",
            "Status": status,
            "LastUpdatedDate": iso_time(cloud.clock.now()).replace(".000Z", "Z"),
        }
        for key, status in sorted(statuses.items())
        if key in params.get("TagKeys", [key]) and status == params.get("Status", status)
    ]
    shown, token = page(found, params.get("MaxResults", 100), params.get("NextToken"), "InvalidNextTokenException")
    return {"CostAllocationTags": list(shown), "NextToken": token}


@operation("ce", "UpdateCostAllocationTagsStatus")
def update_cost_allocation_tags_status(cloud: Cloud, call: Call) -> _Dict:
    """Switch up to 20 tags; those that the bill does not know fail by themselves."""
    wanted = call.params["CostAllocationTagsStatus"]
    if not 1 <= len(wanted) <= 20:
        raise AwsError("ValidationException", "CostAllocationTagsStatus must have between 1 and 20 members.")
    mine = _payer(cloud, call)
    known = _statuses(cloud, mine)
    errors = []
    for one in wanted:
        key = one["TagKey"]
        if key in known:
            call.touched(key, known[key] != one["Status"])
            mine.tags[key] = one["Status"]
        else:
            errors.append({"TagKey": key, "Code": "TagKeysNotFoundException", "Message": "Tag key not found."})
    return {"Errors": errors}


def _check(params: _Dict) -> None:
    values = {params.get("DefaultValue")}
    for rule in params["Rules"]:
        if rule.get("Type", "REGULAR") == "REGULAR":
            if "Rule" not in rule or "Value" not in rule:
                raise AwsError("ValidationException", "A regular rule needs Rule and Value.")
            values.add(rule["Value"])
        elif "InheritedValue" not in rule or "Rule" in rule:
            raise AwsError("ValidationException", "An inherited rule needs InheritedValue and no Rule.")
    splits = params.get("SplitChargeRules")
    if splits is not None and not splits:
        raise AwsError("ValidationException", "SplitChargeRules must have at least 1 member.")
    targets = {target for split in splits or () for target in split["Targets"]}
    for split in splits or ():
        if split["Source"] in targets:
            raise AwsError("ValidationException", f"{split['Source']} cannot be source and target.")
        shares = [value for one in split.get("Parameters", []) for value in one["Values"]]
        if (split["Method"] == "FIXED") != bool(shares):
            raise AwsError("ValidationException", "ALLOCATION_PERCENTAGES belong to the method FIXED, and only to it.")
        if shares and (len(shares) != len(split["Targets"]) or abs(sum(map(float, shares)) - 100) > 1e-6):
            raise AwsError("ValidationException", "Percentages have to be one for each target and 100 together.")


def _stored(mine: State, arn: str) -> _Dict:
    if arn not in mine.categories:
        raise AwsError("ResourceNotFoundException", f"Cost category {arn} was not found.", 400)
    return mine.categories[arn]


def _definition(cloud: Cloud, arn: str, params: _Dict, name: str) -> _Dict:
    month = iso_time(cloud.clock.now())[:7]
    members = ("RuleVersion", "Rules", "SplitChargeRules", "DefaultValue")
    return {
        "CostCategoryArn": arn,
        "Name": name,
        "EffectiveStart": params.get("EffectiveStart", f"{month}-01T00:00:00Z"),
        **{member: copy.deepcopy(params[member]) for member in members if member in params},
    }


@operation("ce", "ListCostCategoryDefinitions")
def list_cost_category_definitions(cloud: Cloud, call: Call) -> _Dict:
    """Names and ARNs."""
    found = [
        {
            "CostCategoryArn": arn,
            "Name": one["Name"],
            "EffectiveStart": one["EffectiveStart"],
            "NumberOfRules": len(one["Rules"]),
            "Values": sorted({rule["Value"] for rule in one["Rules"] if "Value" in rule}),
        }
        for arn, one in _payer(cloud, call).categories.items()
    ]
    limit = call.params.get("MaxResults", 100)
    shown, token = page(found, limit, call.params.get("NextToken"), "ValidationException")
    return {"CostCategoryReferences": list(shown), "NextToken": token}


@operation("ce", "DescribeCostCategoryDefinition")
def describe_cost_category_definition(cloud: Cloud, call: Call) -> _Dict:
    """All of one."""
    found = _stored(_payer(cloud, call), call.params["CostCategoryArn"])
    return {"CostCategory": {**found, "ProcessingStatus": [{"Component": "COST_EXPLORER", "Status": "APPLIED"}]}}


@operation("ce", "CreateCostCategoryDefinition")
def create_cost_category_definition(cloud: Cloud, call: Call) -> _Dict:
    """A new one; its name must not be taken."""
    mine, params = _payer(cloud, call), call.params
    _check(params)
    if any(one["Name"] == params["Name"] for one in mine.categories.values()):
        raise AwsError("ValidationException", f"Cost category {params['Name']} already exists.")
    if len(mine.categories) >= _MOST:
        raise AwsError("ServiceQuotaExceededException", "Too many cost categories.")
    arn = f"arn:aws:ce::{call.account}:costcategory/{uuid.uuid4()}"
    mine.categories[arn] = _definition(cloud, arn, params, params["Name"])
    call.touched(params["Name"])
    return {"CostCategoryArn": arn, "EffectiveStart": mine.categories[arn]["EffectiveStart"]}


@operation("ce", "UpdateCostCategoryDefinition")
def update_cost_category_definition(cloud: Cloud, call: Call) -> _Dict:
    """Replaces all of it."""
    mine, params = _payer(cloud, call), call.params
    arn = params["CostCategoryArn"]
    old = _stored(mine, arn)
    _check(params)
    mine.categories[arn] = _definition(cloud, arn, {"EffectiveStart": old["EffectiveStart"], **params}, old["Name"])
    call.touched(old["Name"])
    return {"CostCategoryArn": arn, "EffectiveStart": mine.categories[arn]["EffectiveStart"]}


@operation("ce", "DeleteCostCategoryDefinition")
def delete_cost_category_definition(cloud: Cloud, call: Call) -> _Dict:
    """Gone."""
    mine = _payer(cloud, call)
    found = _stored(mine, call.params["CostCategoryArn"])
    del mine.categories[found["CostCategoryArn"]]
    call.touched(found["Name"])
    return {
        "CostCategoryArn": found["CostCategoryArn"],
        "EffectiveEnd": iso_time(cloud.clock.now()).replace(".000Z", "Z"),
    }
