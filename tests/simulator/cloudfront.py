# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CloudFront: distributions of the estate, cache and origin request policies, functions, invalidations.

What the service itself checks beyond its model: ETags, names that are taken, policies and
functions that a distribution names and that are not there, and Quantity against Items.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import typing as t

from simulator.errors import AwsError
from simulator.registry import account_of, operation, page
from simulator.state import Account, Cloud
from simulator.wire import Call

_Dict = dict[str, t.Any]
#: Policies that AWS offers to everybody: name -> id. Source: CloudFront Developer Guide, "Use managed cache policies".
MANAGED_CACHE = {
    "Managed-CachingOptimized": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "Managed-CachingDisabled": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
}
MANAGED_ORIGIN = {"Managed-AllViewer": "216adef6-5c7f-47e4-b989-5492eafa07d3"}
_PAGE = 100


@dataclasses.dataclass
class State:
    """What one account has."""

    distributions: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    #: kind -> id -> config
    policies: dict[str, dict[str, _Dict]] = dataclasses.field(default_factory=lambda: {"cache": {}, "origin": {}})
    #: name -> stage -> config and code
    functions: dict[str, dict[str, _Dict]] = dataclasses.field(default_factory=dict)
    invalidations: list[tuple[str, list[str]]] = dataclasses.field(default_factory=list)


def add_distribution(account: Account, one: _Dict) -> None:
    """A distribution of the estate: ``id``, ``origins`` (id: domain) and ``behaviors`` (path pattern: origin)."""
    origins = [
        {
            "Id": name,
            "DomainName": domain,
            "OriginPath": "",
            "CustomHeaders": {"Quantity": 0},
            "OriginShield": {"Enabled": False},
            "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"},
        }
        for name, domain in one["origins"].items()
    ]
    behaviors = [
        {"PathPattern": pattern, **_behavior(origin)}
        for pattern, origin in one.get("behaviors", {}).items()
        if pattern != "default"
    ]
    state(account).distributions[one["id"]] = {
        "CallerReference": one["id"],
        "Aliases": {"Quantity": len(one.get("aliases", [])), "Items": one.get("aliases", [])},
        "DefaultRootObject": "",
        "Origins": {"Quantity": len(origins), "Items": origins},
        "DefaultCacheBehavior": _behavior(one.get("behaviors", {}).get("default", origins[0]["Id"])),
        "CacheBehaviors": {"Quantity": len(behaviors), "Items": behaviors} if behaviors else {"Quantity": 0},
        "Comment": one.get("comment", ""),
        "PriceClass": "PriceClass_All",
        "Enabled": True,
        "HttpVersion": "http2",
    }


def _behavior(origin: str) -> _Dict:
    """As the console made them before there were policies."""
    return {
        "TargetOriginId": origin,
        "ViewerProtocolPolicy": "redirect-to-https",
        "Compress": False,
        "ForwardedValues": {"QueryString": True, "Cookies": {"Forward": "all"}},
        "MinTTL": 0,
        "DefaultTTL": 86400,
        "MaxTTL": 31536000,
        "FunctionAssociations": {"Quantity": 0},
    }


def state(account: Account) -> State:
    """What CloudFront has of an account."""
    found = account.cloudfront
    if found is None:
        found = account.cloudfront = State()
    return t.cast("State", found)


def _mine(cloud: Cloud, call: Call) -> State:
    return state(account_of(cloud, call))


def etag(value: t.Any) -> str:
    """The version of a resource: another one after each change."""
    text = json.dumps(value, sort_keys=True, default=repr)
    return "E" + hashlib.sha256(text.encode()).hexdigest()[:13].upper()


def _match(call: Call, value: t.Any) -> None:
    given = call.params.get("IfMatch")
    if not given:
        raise AwsError("InvalidIfMatchVersion", "The If-Match version is missing or not valid for the resource.")
    if given != etag(value):
        raise AwsError("PreconditionFailed", "The request failed because it didn't meet the preconditions.", 412)


def _quantities(value: t.Any, path: str = "") -> None:
    """Quantity has to be the number of Items, wherever it stands."""
    if isinstance(value, dict):
        if "Quantity" in value and value["Quantity"] != len(value.get("Items", ())):
            raise AwsError("InconsistentQuantities", f"{path}: Quantity and the number of Items do not match.")
        for name, item in value.items():
            _quantities(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            _quantities(item, path)


# -- distributions ----------------------------------------------------------------------------------------


def _distribution(mine: State, identity: str) -> _Dict:
    if identity not in mine.distributions:
        raise AwsError("NoSuchDistribution", "The specified distribution does not exist.", 404)
    return mine.distributions[identity]


@operation("cloudfront", "GetDistributionConfig")
def get_distribution_config(cloud: Cloud, call: Call) -> _Dict:
    """A distribution's configuration and its version."""
    found = _distribution(_mine(cloud, call), call.params["Id"])
    return {"DistributionConfig": found, "ETag": etag(found)}


@operation("cloudfront", "UpdateDistribution")
def update_distribution(cloud: Cloud, call: Call) -> _Dict:
    """Replace it as a whole, as the API does."""
    mine, identity = _mine(cloud, call), call.params["Id"]
    _match(call, _distribution(mine, identity))
    config = call.params["DistributionConfig"]
    _quantities(config)
    for behavior in (config["DefaultCacheBehavior"], *config.get("CacheBehaviors", {}).get("Items", ())):
        _check_behavior(mine, behavior)
    mine.distributions[identity] = copy.deepcopy(config)
    call.touched(identity)
    return {"ETag": etag(config)}


def _check_behavior(mine: State, behavior: _Dict) -> None:
    policy = behavior.get("CachePolicyId")
    if policy is None and "ForwardedValues" not in behavior:
        raise AwsError("InvalidArgument", "Either CachePolicyId or ForwardedValues is needed.")
    if policy is not None:
        old = [name for name in ("ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL") if name in behavior]
        if old:
            raise AwsError("InvalidArgument", f"The parameter {old[0]} cannot be used with a cache policy.")
        if policy not in mine.policies["cache"] and policy not in MANAGED_CACHE.values():
            raise AwsError("NoSuchCachePolicy", "The cache policy does not exist.", 404)
    origin = behavior.get("OriginRequestPolicyId")
    if origin is not None and origin not in mine.policies["origin"] and origin not in MANAGED_ORIGIN.values():
        raise AwsError("NoSuchOriginRequestPolicy", "The origin request policy does not exist.", 404)
    for item in behavior.get("FunctionAssociations", {}).get("Items", ()):
        name = item["FunctionARN"].rpartition("/")[2]
        if "LIVE" not in mine.functions.get(name, {}):
            raise AwsError("InvalidFunctionAssociation", f"The function {name} is not published.")


@operation("cloudfront", "CreateInvalidation")
def create_invalidation(cloud: Cloud, call: Call) -> _Dict:
    """Remember what was removed."""
    mine, identity = _mine(cloud, call), call.params["DistributionId"]
    _distribution(mine, identity)
    batch = call.params["InvalidationBatch"]
    _quantities(batch)
    mine.invalidations.append((identity, batch["Paths"]["Items"]))
    call.touched(identity)
    made = {"Id": f"I{len(mine.invalidations):013d}", "Status": "InProgress", "CreateTime": cloud.clock.now()}
    return {"Invalidation": {**made, "InvalidationBatch": batch}}


# -- policies ---------------------------------------------------------------------------------------------


def _policy_operations(kind: str, word: str, plural: str, managed: dict[str, str], missing: str) -> None:
    """Register the operations of one kind of policy: they differ in their names only."""
    config = f"{word}Config"

    def shown(identity: str, body: _Dict) -> _Dict:
        return {"Id": identity, "LastModifiedTime": 1.7e9, config: body}

    def items(mine: State, wanted: str | None) -> list[_Dict]:
        own = [{"Type": "custom", word: shown(key, body)} for key, body in mine.policies[kind].items()]
        plain = {"MinTTL": 1} if kind == "cache" else {}
        behaviors = {
            "HeadersConfig": {"HeaderBehavior": "none"},
            "CookiesConfig": {"CookieBehavior": "none"},
            "QueryStringsConfig": {"QueryStringBehavior": "none"},
        }
        body = plain if kind == "cache" else behaviors
        aws = [{"Type": "managed", word: shown(key, {"Name": name, **body})} for name, key in managed.items()]
        return [item for item in (*own, *aws) if wanted in (None, item["Type"])]

    @operation("cloudfront", f"List{plural}")
    def listed(cloud: Cloud, call: Call) -> _Dict:
        found = items(_mine(cloud, call), call.params.get("Type"))
        limit = int(call.params.get("MaxItems", _PAGE))
        part, token = page(found, limit, call.params.get("Marker"), "InvalidArgument")
        answer: _Dict = {"MaxItems": limit, "Quantity": len(part), "Items": list(part)}
        return {f"{word}List": {**answer, **({"NextMarker": token} if token else {})}}

    @operation("cloudfront", f"Get{word}")
    def got(cloud: Cloud, call: Call) -> _Dict:
        body = own(_mine(cloud, call), call.params["Id"])
        return {word: shown(call.params["Id"], body), "ETag": etag(body)}

    def own(mine: State, identity: str) -> _Dict:
        if identity not in mine.policies[kind]:
            raise AwsError(missing, "The policy does not exist.", 404)
        return mine.policies[kind][identity]

    @operation("cloudfront", f"Create{word}")
    def created(cloud: Cloud, call: Call) -> _Dict:
        mine, body = _mine(cloud, call), call.params[config]
        _quantities(body)
        if body["Name"] in {known["Name"] for known in mine.policies[kind].values()}:
            raise AwsError(f"{word}AlreadyExists", "A policy with this name already exists.", 409)
        identity = f"{kind}-{len(mine.policies[kind]) + 1:08d}"
        mine.policies[kind][identity] = body
        call.touched(identity)
        return {word: shown(identity, body), "ETag": etag(body)}

    @operation("cloudfront", f"Update{word}")
    def updated(cloud: Cloud, call: Call) -> _Dict:
        mine, identity, body = _mine(cloud, call), call.params["Id"], call.params[config]
        _match(call, own(mine, identity))
        _quantities(body)
        mine.policies[kind][identity] = body
        call.touched(identity)
        return {word: shown(identity, body), "ETag": etag(body)}

    del listed, got, created, updated


_policy_operations("cache", "CachePolicy", "CachePolicies", MANAGED_CACHE, "NoSuchCachePolicy")
_policy_operations(
    "origin", "OriginRequestPolicy", "OriginRequestPolicies", MANAGED_ORIGIN, "NoSuchOriginRequestPolicy"
)


# -- functions --------------------------------------------------------------------------------------------


def _summary(call: Call, name: str, stage: str, found: _Dict) -> _Dict:
    metadata = {
        "FunctionARN": f"arn:aws:cloudfront::{call.account}:function/{name}",
        "Stage": stage,
        "LastModifiedTime": 1.7e9,
    }
    return {"Name": name, "Status": "UNPUBLISHED", "FunctionConfig": found["config"], "FunctionMetadata": metadata}


def _function(mine: State, name: str, stage: str) -> _Dict:
    if stage not in mine.functions.get(name, {}):
        raise AwsError("NoSuchFunctionExists", "The function does not exist.", 404)
    return mine.functions[name][stage]


@operation("cloudfront", "DescribeFunction")
def describe_function(cloud: Cloud, call: Call) -> _Dict:
    """What a function is, without its code."""
    name, stage = call.params["Name"], call.params.get("Stage", "DEVELOPMENT")
    found = _function(_mine(cloud, call), name, stage)
    return {"FunctionSummary": _summary(call, name, stage, found), "ETag": etag(found)}


@operation("cloudfront", "GetFunction")
def get_function(cloud: Cloud, call: Call) -> _Dict:
    """A function's code."""
    name, stage = call.params["Name"], call.params.get("Stage", "DEVELOPMENT")
    found = _function(_mine(cloud, call), name, stage)
    return {"FunctionCode": found["code"], "ETag": etag(found), "ContentType": "application/octet-stream"}


@operation("cloudfront", "CreateFunction")
def create_function(cloud: Cloud, call: Call) -> _Dict:
    """A new function, in development."""
    mine, name = _mine(cloud, call), call.params["Name"]
    if name in mine.functions:
        raise AwsError("FunctionAlreadyExists", "A function with the same name already exists.", 409)
    found = {"config": call.params["FunctionConfig"], "code": call.params["FunctionCode"]}
    mine.functions[name] = {"DEVELOPMENT": found}
    call.touched(name)
    return {"FunctionSummary": _summary(call, name, "DEVELOPMENT", found), "ETag": etag(found)}


@operation("cloudfront", "UpdateFunction")
def update_function(cloud: Cloud, call: Call) -> _Dict:
    """Another code, in development."""
    mine, name = _mine(cloud, call), call.params["Name"]
    _match(call, _function(mine, name, "DEVELOPMENT"))
    found = {"config": call.params["FunctionConfig"], "code": call.params["FunctionCode"]}
    mine.functions[name]["DEVELOPMENT"] = found
    call.touched(name)
    return {"FunctionSummary": _summary(call, name, "DEVELOPMENT", found), "ETag": etag(found)}


@operation("cloudfront", "PublishFunction")
def publish_function(cloud: Cloud, call: Call) -> _Dict:
    """What is in development goes live."""
    mine, name = _mine(cloud, call), call.params["Name"]
    found = _function(mine, name, "DEVELOPMENT")
    _match(call, found)
    mine.functions[name]["LIVE"] = found
    call.touched(name)
    return {"FunctionSummary": _summary(call, name, "LIVE", found)}
