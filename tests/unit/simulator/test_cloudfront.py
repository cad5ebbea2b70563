# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CloudFront: what the module reads, decides and changes, on the simulator that checks with botocore's models."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.plugins.module_utils.act.cloudfront import CloudFront, DistributionError
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.cloudfront_options import OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, result
from simulator import cloudfront
from simulator.testing import ACCOUNT, one_account

DISTRIBUTION = {
    "id": "E2EXAMPLE",
    "origins": {"web": "origin.example.com", "files": "files.example.com"},
    "behaviors": {"default": "web", "/static/*": "files"},
}
CODE = "function handler(event) { return event.request; }"
WANTED: dict[str, t.Any] = {
    "cache_policies": [
        {"name": "pages", "default_ttl": 60, "query_strings": {"behavior": "all_except", "names": ["utm_source"]}}
    ],
    "origin_request_policies": [
        {"name": "to-origin", "headers": {"behavior": "only", "names": ["CloudFront-Viewer-Country"]}}
    ],
    "functions": [{"name": "sorted-query", "code": CODE}],
    "distributions": [
        {
            "id": "E2EXAMPLE",
            "price_class": "100",
            "http_version": "http2and3",
            "behaviors": [
                {
                    "cache_policy": "pages",
                    "origin_request_policy": "to-origin",
                    "compress": True,
                    "viewer_request_function": "sorted-query",
                },
                {"path_pattern": "/static/*", "cache_policy": "Managed-CachingOptimized"},
            ],
            "origin_shields": [{"origin": "web", "region": "eu-central-1"}],
        }
    ],
}


class World:
    """An account with one distribution."""

    def __init__(self, simulator: t.Any) -> None:
        self.simulator = simulator
        keys = {"aws_access_key_id": f"AKIA{ACCOUNT}", "aws_secret_access_key": "x"}
        self.aws = Aws("us-east-1", simulator.url, keys)
        self.state = cloudfront.state(simulator.cloud.accounts[ACCOUNT])

    def run(self, check: bool = False, **wanted: t.Any) -> list[Change]:
        checked = ArgumentSpecValidator(OPTIONS).validate(wanted)
        assert checked.error_messages == []
        front = CloudFront(self.aws)
        changes = front.decide(checked.validated_parameters)
        if not check:
            front.perform(changes)
        return changes

    @property
    def writes(self) -> list[str]:
        return [change["operation"] for change in self.simulator.gateway.statistics.changes]


@pytest.fixture
def world(start: Callable[..., t.Any]) -> World:
    return World(start(one_account(account={"distributions": [DISTRIBUTION]})))


def test_everything_at_once_and_then_nothing(world: World) -> None:
    predicted = world.run(check=True, **WANTED)
    assert world.writes == []
    changes = world.run(**WANTED)
    assert result(changes) == result(predicted)
    assert [change.about for change in changes] == [
        "cache policy pages",
        "origin request policy to-origin",
        "function sorted-query",
        "distribution E2EXAMPLE",
    ]
    config = world.state.distributions["E2EXAMPLE"]
    behavior = config["DefaultCacheBehavior"]
    assert (config["PriceClass"], config["HttpVersion"]) == ("PriceClass_100", "http2and3")
    assert behavior["Compress"]
    assert "ForwardedValues" not in behavior
    assert behavior["FunctionAssociations"]["Items"][0]["FunctionARN"].endswith(":function/sorted-query")
    assert config["CacheBehaviors"]["Items"][0]["CachePolicyId"] == cloudfront.MANAGED_CACHE["Managed-CachingOptimized"]
    assert config["Origins"]["Items"][0]["OriginShield"]["OriginShieldRegion"] == "eu-central-1"
    assert world.state.functions["sorted-query"]["LIVE"]["code"] == CODE.encode()
    (policy,) = world.state.policies["cache"].values()
    key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["QueryStringsConfig"]["QueryStrings"] == {"Quantity": 1, "Items": ["utm_source"]}
    assert world.run(**WANTED) == []


def test_a_diff_names_policies_and_not_ids(world: World) -> None:
    (*_others, change) = world.run(check=True, **WANTED)
    assert change.before["default"]["cache_policy"] is None
    assert change.after["default"] == {
        "cache_policy": "(new) pages",
        "origin_request_policy": "(new) to-origin",
        "compress": True,
        "functions": {"viewer-request": "sorted-query"},
    }
    assert change.after["/static/*"]["cache_policy"] == "Managed-CachingOptimized"


def test_a_changed_policy_and_function_are_updated(world: World) -> None:
    world.run(**WANTED)
    changed = {
        "cache_policies": [{**WANTED["cache_policies"][0], "default_ttl": 300}],
        "functions": [{"name": "sorted-query", "code": CODE + "\n// faster"}],
    }
    changes = world.run(**changed)
    assert [(change.kind, change.action) for change in changes] == [("cache policy", "update"), ("function", "update")]
    assert changes[0].before["DefaultTTL"] == 60
    assert world.state.functions["sorted-query"]["LIVE"]["code"].endswith(b"faster")
    assert world.run(**changed) == []


def test_a_function_that_was_never_published_is(world: World) -> None:
    world.run(functions=WANTED["functions"])
    del world.state.functions["sorted-query"]["LIVE"]
    (change,) = world.run(functions=WANTED["functions"])
    assert change.action == "publish"


def test_a_function_and_a_shield_go_again(world: World) -> None:
    world.run(**WANTED)
    gone = {
        "id": "E2EXAMPLE",
        "behaviors": [{"viewer_request_function": ""}],
        "origin_shields": [{"origin": "web"}],
    }
    assert len(world.run(distributions=[gone])) == 1
    config = world.state.distributions["E2EXAMPLE"]
    assert config["DefaultCacheBehavior"]["FunctionAssociations"] == {"Quantity": 0}
    assert config["Origins"]["Items"][0]["OriginShield"] == {"Enabled": False}
    assert world.run(distributions=[gone]) == []


def test_invalidations_come_last(world: World) -> None:
    changes = world.run(
        invalidate=[{"distribution": "E2EXAMPLE", "paths": ["/p/*", "/"]}],
        distributions=[{"id": "E2EXAMPLE", "price_class": "200"}],
    )
    assert [change.action for change in changes] == ["update", "purge"]
    assert world.state.invalidations == [("E2EXAMPLE", ["/p/*", "/"])]


def test_somebody_else_was_faster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is made on what is there then, and theirs stays."""
    theirs = iter(["first", "second"])
    real = cloudfront._match

    def meanwhile(call: t.Any, value: t.Any) -> None:
        comment = next(theirs, "")
        if comment:
            world.state.distributions["E2EXAMPLE"]["Comment"] = comment
        real(call, world.state.distributions["E2EXAMPLE"])

    monkeypatch.setattr(cloudfront, "_match", meanwhile)
    world.run(distributions=[{"id": "E2EXAMPLE", "price_class": "100"}])
    config = world.state.distributions["E2EXAMPLE"]
    assert (config["PriceClass"], config["Comment"]) == ("PriceClass_100", "second")


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (
            {"cache_policies": [{"name": "p", "min_ttl": 90, "default_ttl": 60}]},
            r"\[90, 60, 31536000\]: min_ttl is at most",
        ),
        (
            {"cache_policies": [{"name": "p", "cookies": {"behavior": "only"}}]},
            r"cache_policies\[p\]\.cookies is only and needs names",
        ),
        (
            {"cache_policies": [{"name": "p", "cookies": {"behavior": "all", "names": ["a"]}}]},
            "is all and has names, which it ignores",
        ),
        ({"cache_policies": [{"name": "Managed-CachingOptimized"}]}, "is AWS's own: choose another name"),
        ({"distributions": [{"id": "E1"}]}, f"distributions has 'E1', which account {ACCOUNT} does not have"),
        (
            {"distributions": [{"id": "E2EXAMPLE", "behaviors": [{"path_pattern": "/x"}]}]},
            r"behaviors has '/x'; the distribution has default, /static/\*",
        ),
        (
            {"distributions": [{"id": "E2EXAMPLE", "behaviors": [{"cache_policy": "pgaes"}]}]},
            "names the cache policy 'pgaes', which is neither there nor written here",
        ),
        (
            {"distributions": [{"id": "E2EXAMPLE", "origin_shields": [{"origin": "db"}]}]},
            "origin_shields has 'db'; its origins are web, files",
        ),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_changed(
    world: World, wanted: dict[str, t.Any], sentence: str
) -> None:
    with pytest.raises(DistributionError, match=sentence):
        world.run(functions=WANTED["functions"], **wanted)
    assert world.writes == []


def test_what_aws_refuses_says_how_much_was_done(world: World) -> None:
    """A function that is not there is only noticed by AWS."""
    behaviors = [{"viewer_request_function": "nothing"}]
    with pytest.raises(
        AwsError, match=r"distribution E2EXAMPLE: .*nothing is not published.*; 1 of 2 changes were made"
    ):
        world.run(functions=WANTED["functions"], distributions=[{"id": "E2EXAMPLE", "behaviors": behaviors}])
