# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tag policy asks of resources, which policies are refused and why, and the reports."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import tag_report
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import (
    AWS,
    GCP,
    Judged,
    Policy,
    Resource,
    TagPolicyError,
    judge,
    parse,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_report import Charge

ENV: dict[str, t.Any] = {
    "key": "env",
    "variants": ["environment"],
    "values": ["production", "staging", "dev"],
    "value_variants": {"production": ["prod", "live"]},
    "inherit": ["asg", "vpc"],
}
TEAM = {"key": "team", "pattern": "[a-z]+(-[a-z]+)*", "inherit": ["account"]}


def policy(*keys: dict[str, t.Any], **more: t.Any) -> Policy:
    return parse({"keys": list(keys) or [ENV], **more}, AWS)


def judged(tags: dict[str, str], policy_: Policy | None = None, **parents: str) -> Judged:
    inherited = {
        ("asg", "web"): {"Environment": "PROD"},
        ("vpc", "vpc-1"): {"env": "staging"},
        ("vpc", "vpc-2"): {"env": "nonsense"},
        ("account", "1"): {"Team": "platform"},
    }
    return judge(policy_ or policy(), Resource("arn:x", "ec2:instance", tags, parents), inherited)


@pytest.mark.parametrize(
    ("tags", "set_", "remove"),
    [
        ({"env": "production"}, {}, ()),
        ({"env": "prod"}, {"env": "production"}, ()),
        ({"env": " Production "}, {"env": "production"}, ()),
        ({"Env": "dev"}, {"env": "dev"}, ("Env",)),
        ({"ENVIRONMENT": "live", "Name": "a"}, {"env": "production"}, ("ENVIRONMENT",)),
        ({"env": "production", "Environment": "PROD"}, {}, ("Environment",)),
        ({"en-v": "dev"}, {"env": "dev"}, ("en-v",)),
        # An empty value says nothing, in whatever spelling.
        ({"env": "", "Env": "dev"}, {"env": "dev"}, ("Env",)),
    ],
)
def test_spellings_become_one(tags: dict[str, str], set_: dict[str, str], remove: tuple[str, ...]) -> None:
    found = judged(tags)
    assert (dict(found.set), found.remove, found.findings) == (set_, remove, ())
    again = judged(found.after())
    assert again.compliant, "what was changed is as the policy wants it"


def test_spellings_that_disagree_are_left_to_a_person() -> None:
    found = judged({"env": "dev", "Environment": "prod"}, asg="web")
    assert not found.set
    assert not found.remove
    assert [finding.kind for finding in found.findings] == ["conflict"]
    assert found.findings[0].text == "env=dev, Environment=prod: spellings of one tag disagree"


def test_a_value_that_is_there_is_not_replaced_by_a_guess() -> None:
    found = judged({"env": "qa"}, asg="web")
    assert (dict(found.set), found.findings[0].kind) == ({}, "invalid")
    assert found.findings[0].text == "env=qa: use one of production, staging, dev"
    replacing = judged({"env": "qa"}, policy({**ENV, "replace_invalid": True}), asg="web")
    assert dict(replacing.set) == {"env": "production"}
    assert judged({"env": "dev", "Environment": "qa"}).findings, "neither of two is thrown away"


def test_values_are_inherited_in_order() -> None:
    first = judged({}, asg="web", vpc="vpc-1")
    assert (dict(first.set), dict(first.origins)) == ({"env": "production"}, {"env": "asg web"})
    assert dict(judged({}, vpc="vpc-1").set) == {"env": "staging"}
    assert judged({}, vpc="vpc-2").findings[0].kind == "missing", "what is inherited has to be allowed as well"
    with_default = policy({**ENV, "default": "dev"}, TEAM)
    found = judged({}, with_default, vpc="vpc-2", account="1")
    assert dict(found.set) == {"env": "dev", "team": "platform"}
    assert dict(found.origins) == {"env": "the policy's default", "team": "account 1"}


def test_what_is_protected_stays() -> None:
    for tags in ({"frugal:protected": "true", "Env": "dev"}, {"tier": "core-db", "Env": "dev"}):
        found = judged(tags, policy(protected_tags={"tier": ["core-*"]}))
        assert found.protected
        assert not found.compliant
        assert (dict(found.set), found.remove) == ({}, ())
    assert judged({"Env": "dev"}, policy(protected_resources=["arn:?"])).protected


def test_variants_can_stay_and_unknown_keys_be_told() -> None:
    assert judged({"Env": "dev"}, policy(keep_variants=True)).remove == ()
    found = judged(
        {"env": "dev", "Owner": "x", "Name": "n", "aws:cloudformation:stack-id": "s"},
        policy(unknown_keys="report", known_keys=["Name"]),
    )
    assert [finding.text for finding in found.findings] == ["tag Owner is not in the policy"]


def test_a_resource_without_room_is_left_alone() -> None:
    many = {f"k{number}": "v" for number in range(50)}
    found = judged({**many, "aws:x": "1"}, policy({**ENV, "default": "dev"}))
    assert (dict(found.set), found.findings[0].kind) == ({}, "full")
    # One spelling goes, another comes: 50 stay 50.
    merged = judged({**dict(list(many.items())[:49]), "Env": "dev"})
    assert dict(merged.set) == {"env": "dev"}


def test_keys_for_some_types_and_keys_that_nobody_needs() -> None:
    only = policy({**ENV, "resource_types": ["rds:*"]})
    assert judged({}, only).compliant
    assert judged({}, policy({**ENV, "required": False})).compliant
    assert judged({"env": "qa"}, policy({**ENV, "required": False})).findings


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "policy has no keys: give a list such as"),
        ([], "policy is list: use a mapping with keys"),
        ({"keys": [{"key": "env"}], "key": 1}, "policy has the unknown key 'key': did you mean keys?"),
        ({"keys": [{"key": "env", "valeus": []}]}, r"keys\[0\] has the unknown key 'valeus': did you mean values?"),
        ({"keys": [{"key": "aws:env"}]}, r"keys\[0\].key is 'aws:env': keys that begin with aws: belong to AWS"),
        ({"keys": [{"key": "e#v"}]}, r"is 'e#v': AWS takes letters"),
        ({"keys": [{"key": "env", "values": [True]}]}, r"keys\[0\].values holds True: use texts, in quotes"),
        ({"keys": [{"key": "env", "values": ["a", "A"]}]}, "has 'a' and 'A': spellings of one value"),
        ({"keys": [{"key": "env", "values": ["a"], "default": "b"}]}, r"default is 'b': use one of a"),
        ({"keys": [{"key": "env", "pattern": "("}]}, r"pattern is '\(', which is no regular expression"),
        ({"keys": [{"key": "env", "inherit": ["subnet"]}]}, "inherit has 'subnet': use instance, asg"),
        ({"keys": [{"key": "env"}, {"key": "Env"}]}, "has 'env' and 'Env' with a spelling in common"),
        ({"keys": [{"key": "env", "values": ["a"], "value_variants": {"b": ["c"]}}]}, "has 'b': it is none of values"),
        ({"keys": [{"key": "env"}], "unknown_keys": "x"}, "unknown_keys is 'x': use ignore or report"),
        ({"keys": [{"key": "env"}], "accounts": {"1": 2}}, "accounts.1 is 2: use a mapping"),
        ({"keys": [{"key": "env", "required": "yes"}]}, "required is 'yes': use true or false"),
    ],
)
def test_a_wrong_policy_is_refused_in_one_sentence(data: t.Any, sentence: str) -> None:
    with pytest.raises(TagPolicyError, match=sentence):
        parse(data, AWS)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ({"key": "Team"}, "is 'Team': labels of Google Cloud have no capitals, write 'team'"),
        ({"key": "team", "values": ["Shop"]}, "is 'Shop': labels of Google Cloud have no capitals, write 'shop'"),
        ({"key": "1team"}, "labels of Google Cloud begin with a small letter"),
        ({"key": "cost:center"}, "have small letters, digits, '-' and '_'"),
        ({"key": "t" * 64}, "at most 63 characters"),
        ({"key": "team", "default": "Shop"}, "default is 'Shop'"),
    ],
)
def test_labels_of_google_cloud(key: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(TagPolicyError, match=sentence):
        parse({"keys": [key]}, GCP)


def fleet() -> list[Judged]:
    both = policy(ENV, TEAM)
    tags = [
        {"team": "shop", "env": "dev"},
        {"team": "shop", "Env": "dev"},
        {"Team": "search", "env": "qa"},
        {"env": "dev", "frugal:protected": "true"},
    ]
    return [judged(one, both) for one in tags]


def test_compliance_by_team_and_by_key() -> None:
    rows = tag_report.teams(policy(ENV, TEAM), fleet(), "team")
    assert [(row["team"], row["resources"], row["compliant"], row["share"]) for row in rows] == [
        ("(none)", 1, 0, 0.0),
        ("search", 1, 0, 0.0),
        ("shop", 2, 1, 0.5),
    ]
    assert rows[1]["keys"] == {"env": 1, "team": 1}
    keys = {row["key"]: row for row in tag_report.by_key(policy(ENV, TEAM), fleet())}
    assert (keys["env"]["compliant"], keys["env"]["to_change"], keys["env"]["invalid"]) == (2, 1, 1)
    assert (keys["team"]["compliant"], keys["team"]["missing"]) == (2, 1)
    with pytest.raises(TagPolicyError, match="team_key is 'tema': the policy's keys are env, team"):
        tag_report.teams(policy(ENV, TEAM), fleet(), "tema")


def test_coverage_is_by_cost_and_not_by_count() -> None:
    charges = [
        Charge({"env": "production", "team": "shop"}, 900.0, "USD"),
        Charge({"env": "prod", "team": "shop"}, 60.0, "USD"),
        *[Charge({"env": "", "team": ""}, 1.0, "USD")] * 40,
        Charge({"env": "dev", "team": "Search"}, 5.0, "EUR"),
    ]
    euro, dollar = tag_report.coverage(policy(ENV, TEAM), {"env": charges, "team": charges}, "team")
    env, team = dollar["keys"]
    assert (env["cost"], env["tagged_share"], env["compliant_share"]) == (1000.0, 0.96, 0.9)
    assert team["compliant_share"] == 0.96
    assert dollar["teams"] == [
        {"team": "shop", "cost": 960.0, "share": 0.96},
        {"team": "(none)", "cost": 40.0, "share": 0.04},
    ]
    assert (euro["currency"], euro["teams"][0]["team"]) == ("EUR", "search")
    rows = tag_report.rows(tag_report.teams(policy(ENV, TEAM), fleet(), "team"), [dollar])
    shop = rows[-1]
    assert set(shop) == set(tag_report.COLUMNS)
    assert (shop["team"], shop["resources"], shop["cost"]) == ("shop", 2, 960.0)
