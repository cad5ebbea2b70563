# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS' bill knows of tags: which tags it carries (cost allocation tags), and Cost Categories with split charges.

Both belong to the account that pays. https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/
"""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, carry_out, differs, written

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "t.Mapping[str, t.Any]"

REGION = "us-east-1"
#: Tags of one UpdateCostAllocationTagsStatus call.
PER_REQUEST = 20
RULE_VERSION = "CostCategoryExpression.v1"
METHODS = ("proportional", "even", "fixed")
_TEXTS: _Dict = {"type": "list", "elements": "str"}
#: Options of aws_cost_tags, which documents them.
OPTIONS: dict[str, _Dict] = {
    "active_tags": {**_TEXTS, "default": []},
    "inactive_tags": {**_TEXTS, "default": []},
    "cost_categories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "default_value": {"type": "str"},
            "effective_start": {"type": "str"},
            "rules": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "value": {"type": "str"},
                    "tags": {"type": "dict"},
                    "accounts": _TEXTS,
                    "services": _TEXTS,
                    "expression": {"type": "dict"},
                    "inherit_tag": {"type": "str"},
                    "inherit_account_name": {"type": "bool", "default": False},
                },
            },
            "split_charges": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "source": {"type": "str", "required": True},
                    "targets": {**_TEXTS, "required": True},
                    "method": {"type": "str", "choices": list(METHODS), "default": "proportional"},
                    "percentages": {"type": "list", "elements": "float"},
                },
            },
        },
    },
}


class CostAllocationError(ValueError):
    """One sentence: which option has which value, and what would be right."""


def category(wanted: Options) -> _Dict:
    """A Cost Category in AWS' words. :raises CostAllocationError: what was written cannot be."""
    name = wanted["name"]
    where = f"cost_categories[{name}]"
    if not wanted.get("rules"):
        raise CostAllocationError(f"{where} has no rules: give at least one, such as {{value: shop, accounts: [...]}}")
    rules = [_rule(rule, f"{where}.rules[{number}]") for number, rule in enumerate(wanted["rules"])]
    config: _Dict = {"RuleVersion": RULE_VERSION, "Rules": rules}
    if wanted.get("default_value"):
        config["DefaultValue"] = wanted["default_value"]
    if wanted.get("effective_start"):
        config["EffectiveStart"] = _month(wanted["effective_start"], f"{where}.effective_start")
    inherits = any(rule["Type"] == "INHERITED_VALUE" for rule in rules)
    known = {rule["Value"] for rule in rules if "Value" in rule} | {wanted.get("default_value")}
    if wanted.get("split_charges") is not None:
        splits = [
            _split(split, f"{where}.split_charges[{number}]") for number, split in enumerate(wanted["split_charges"])
        ]
        for number, split in enumerate(splits):
            for value in (split["Source"], *split["Targets"]):
                if value not in known and not inherits:
                    there = ", ".join(sorted(one for one in known if one))
                    raise CostAllocationError(
                        f"{where}.split_charges[{number}] has {value!r}: no rule gives it ({there})"
                    )
        sources = [split["Source"] for split in splits]
        targets = {target for split in splits for target in split["Targets"]}
        for source in sources:
            if sources.count(source) > 1 or source in targets:
                # https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/splitcharge-cost-categories.html
                raise CostAllocationError(
                    f"{where}.split_charges has the source {source!r} twice or as a target as well"
                )
        config["SplitChargeRules"] = splits
    return config


def _rule(rule: Options, where: str) -> _Dict:
    if rule.get("inherit_tag") or rule.get("inherit_account_name"):
        if rule.get("value") or (rule.get("inherit_tag") and rule.get("inherit_account_name")):
            raise CostAllocationError(
                f"{where} inherits its value: give one of value, inherit_tag, inherit_account_name"
            )
        tag = rule.get("inherit_tag")
        value = {"DimensionName": "TAG", "DimensionKey": tag} if tag else {"DimensionName": "LINKED_ACCOUNT_NAME"}
        return {"Type": "INHERITED_VALUE", "InheritedValue": value}
    if not rule.get("value"):
        raise CostAllocationError(f"{where} has no value: say what costs that match it are called")
    parts: list[_Dict] = [
        {"Tags": {"Key": key, "Values": _listed(values), "MatchOptions": ["EQUALS"]}}
        for key, values in (rule.get("tags") or {}).items()
    ]
    for option, dimension in (("accounts", "LINKED_ACCOUNT"), ("services", "SERVICE_CODE")):
        if rule.get(option):
            parts.append({"Dimensions": {"Key": dimension, "Values": list(rule[option]), "MatchOptions": ["EQUALS"]}})
    if rule.get("expression"):
        parts.append(dict(rule["expression"]))
    if not parts:
        raise CostAllocationError(f"{where} matches nothing: give tags, accounts, services or expression")
    return {"Type": "REGULAR", "Value": rule["value"], "Rule": parts[0] if len(parts) == 1 else {"And": parts}}


def _split(split: Options, where: str) -> _Dict:
    targets = list(split["targets"])
    if not targets or split["source"] in targets:
        raise CostAllocationError(
            f"{where}.targets is {targets}: name other values than the source {split['source']!r}"
        )
    found: _Dict = {"Source": split["source"], "Targets": targets, "Method": split["method"].upper()}
    shares = split.get("percentages")
    if split["method"] == "fixed":
        if not shares or len(shares) != len(targets) or min(shares) < 0 or abs(sum(shares) - 100) > 1e-6:
            raise CostAllocationError(
                f"{where}.percentages is {shares}: give one for each of the {len(targets)} targets, 100 together"
            )
        found["Parameters"] = [{"Type": "ALLOCATION_PERCENTAGES", "Values": [f"{share:g}" for share in shares]}]
    elif shares:
        raise CostAllocationError(f"{where}.percentages is {shares}: only method fixed takes them")
    return found


def _sent(config: _Dict) -> _Dict:
    """Without split charges where there shall be none: AWS takes no empty list."""
    return {key: value for key, value in config.items() if value != []}


def _listed(values: t.Any) -> list[str]:
    return [str(value) for value in (values if isinstance(values, list) else [values])]


def _month(text: str, where: str) -> str:
    """The moment as AWS writes it. Costs can be categorized anew from the first of a month only."""
    try:
        day = datetime.date.fromisoformat(text[:10])
    except ValueError:
        day = None
    if day is None or day.day != 1:
        raise CostAllocationError(f"{where} is {text!r}: give the first day of a month, such as 2026-01-01")
    return f"{day.isoformat()}T00:00:00Z"


class CostAllocation:
    """Cost allocation tags and Cost Categories of the account that pays."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        #: Tags that were asked for and that the bill does not know.
        self.unknown: list[str] = []

    def decide(self, options: Options) -> list[Change]:
        """Read what is there and say what has to change.

        :raises CostAllocationError: what was written cannot be. :raises AwsError: AWS refuses.
        """
        both = sorted(set(options["active_tags"]) & set(options["inactive_tags"]))
        if both:
            raise CostAllocationError(f"active_tags and inactive_tags both have {both[0]!r}: write it in one of them")
        wanted = [(one, category(one) if one["state"] == "present" else {}) for one in options["cost_categories"]]
        return self._tags(options) + self._categories(wanted)

    def _tags(self, options: Options) -> list[Change]:
        wanted = dict.fromkeys(options["active_tags"], "Active")
        wanted.update(dict.fromkeys(options["inactive_tags"], "Inactive"))
        if not wanted:
            return []
        found: dict[str, str] = {}
        keys = sorted(wanted)
        for at in range(0, len(keys), 100):
            more: _Dict = {"TagKeys": keys[at : at + 100]}
            while True:
                self._aws.cost.charge("Cost Explorer request", 1)
                page = self._aws.read("ce", "list_cost_allocation_tags", region=REGION, **more)
                found.update({tag["TagKey"]: tag["Status"] for tag in page["CostAllocationTags"]})
                if not page.get("NextToken"):
                    break
                more["NextToken"] = page["NextToken"]
        self.unknown = [key for key in keys if key not in found and wanted[key] == "Active"]
        return [
            Change("cost allocation tag", "update", key, {"status": found[key]}, {"status": wanted[key]}, ("tag",))
            for key in keys
            if key in found and found[key] != wanted[key]
        ]

    def _categories(self, wanted: Sequence[tuple[Options, _Dict]]) -> list[Change]:
        if not wanted:
            return []
        arns: dict[str, str] = {}
        more: _Dict = {}
        while True:
            self._aws.cost.charge("Cost Explorer request", 1)
            page = self._aws.read("ce", "list_cost_category_definitions", region=REGION, MaxResults=100, **more)
            arns.update({one["Name"]: one["CostCategoryArn"] for one in page["CostCategoryReferences"]})
            if not page.get("NextToken"):
                break
            more["NextToken"] = page["NextToken"]
        changes = []
        for option, config in wanted:
            name = option["name"]
            arn = arns.get(name)
            if option["state"] == "absent":
                if arn:
                    changes.append(Change("cost category", "delete", name, self._definition(arn), {}, ("delete", arn)))
            elif arn is None:
                changes.append(Change("cost category", "create", name, {}, config, ("create", _sent(config))))
            else:
                found = {"SplitChargeRules": [], **self._definition(arn)}
                if differs(config, found):
                    # An update replaces all of it, and what was not written stays.
                    kept = {key: found[key] for key in ("DefaultValue", "SplitChargeRules") if found.get(key)}
                    before = written(config, found)
                    request = ("update", _sent({**kept, **config}), arn)
                    changes.append(Change("cost category", "update", name, before, config, request))
        return changes

    def _definition(self, arn: str) -> _Dict:
        self._aws.cost.charge("Cost Explorer request", 1)
        found = self._aws.read("ce", "describe_cost_category_definition", region=REGION, CostCategoryArn=arn)
        config = found["CostCategory"]
        members = ("RuleVersion", "Rules", "DefaultValue", "SplitChargeRules", "EffectiveStart")
        return {key: config[key] for key in members if key in config}

    def perform(self, changes: Sequence[Change]) -> None:
        """Carry them out: tags 20 at a time, then categories. :raises AwsError: AWS refuses one."""
        tags = [change for change in changes if change.request[0] == "tag"]
        for at in range(0, len(tags), PER_REQUEST):
            part = tags[at : at + PER_REQUEST]
            given = [{"TagKey": change.name, "Status": change.after["status"]} for change in part]
            answer = self._aws.write("ce", "update_cost_allocation_tags_status", REGION, CostAllocationTagsStatus=given)
            errors = answer.get("Errors") or []
            if errors:
                told = "; ".join(f"{one.get('TagKey')}: {one.get('Message')}" for one in errors)
                done = at + len(part) - len(errors)
                raise AwsError(f"AWS refused cost allocation tags ({told}); {done} of {len(tags)} were changed")
        carry_out([change for change in changes if change.request[0] != "tag"], self._one, AwsError, naming=True)

    def _one(self, change: Change) -> None:
        verb, *rest = change.request
        if verb == "create":
            self._aws.write("ce", "create_cost_category_definition", REGION, Name=change.name, **rest[0])
        elif verb == "update":
            config, arn = rest
            self._aws.write("ce", "update_cost_category_definition", REGION, CostCategoryArn=arn, **config)
        else:
            self._aws.write("ce", "delete_cost_category_definition", REGION, CostCategoryArn=rest[0])
