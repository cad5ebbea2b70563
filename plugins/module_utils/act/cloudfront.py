# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CloudFront: cache and origin request policies, functions, what distributions use of them, invalidations.

Amazon CloudFront API Reference: ``CachePolicyConfig``, ``OriginRequestPolicyConfig``, ``DistributionConfig``.
"""

from __future__ import annotations

import copy
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, carry_out, differs, written

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "Mapping[str, t.Any]"

#: What a behavior has from before there were cache policies; CloudFront refuses both together.
LEGACY = ("ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL")
EVENTS = {"viewer_request_function": "viewer-request", "viewer_response_function": "viewer-response"}
DEFAULT = "default"
PRICE_CLASSES = {"100": "PriceClass_100", "200": "PriceClass_200", "all": "PriceClass_All"}
#: Tries when somebody else changes the same distribution meanwhile.
CONFLICTS = 3
_QUERY = {"none": "none", "all": "all", "only": "whitelist", "all_except": "allExcept"}
_HEADERS = {**_QUERY, "all": "allViewer"}


class DistributionError(ValueError):
    """One sentence: which option has which value, and what would be right."""


def counted(items: Sequence[t.Any]) -> _Dict:
    """A list as CloudFront writes it."""
    return {"Quantity": len(items), "Items": list(items)} if items else {"Quantity": 0}


def _choice(option: Options | None, where: str, words: Mapping[str, str], behavior: str, key: str) -> _Dict:
    """``{behavior: only, names: [...]}`` in CloudFront's words."""
    chosen = option or {"behavior": "none"}
    names = chosen.get("names") or []
    lists = chosen["behavior"] in ("only", "all_except")
    if lists != bool(names):
        needs = "needs names" if lists else "has names, which it ignores: leave them out"
        raise DistributionError(f"{where} is {chosen['behavior']} and {needs}")
    return {behavior: words[chosen["behavior"]], **({key: counted(sorted(names))} if names else {})}


def cache_policy(policy: Options) -> _Dict:
    """``CachePolicyConfig``. :raises DistributionError: values that contradict each other."""
    where = f"cache_policies[{policy['name']}]"
    ttls = [policy["min_ttl"], policy["default_ttl"], policy["max_ttl"]]
    if ttls != sorted(ttls):
        raise DistributionError(f"{where} has {ttls}: min_ttl is at most default_ttl, and that at most max_ttl")
    headers = policy.get("headers") or []
    key = {
        "EnableAcceptEncodingGzip": policy["gzip"],
        "EnableAcceptEncodingBrotli": policy["brotli"],
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": counted(sorted(headers))}
        if headers
        else {"HeaderBehavior": "none"},
        "CookiesConfig": _choice(policy.get("cookies"), f"{where}.cookies", _QUERY, "CookieBehavior", "Cookies"),
        "QueryStringsConfig": _choice(
            policy.get("query_strings"), f"{where}.query_strings", _QUERY, "QueryStringBehavior", "QueryStrings"
        ),
    }
    return {
        "Name": policy["name"],
        "Comment": policy.get("comment") or "",
        "MinTTL": ttls[0],
        "DefaultTTL": ttls[1],
        "MaxTTL": ttls[2],
        "ParametersInCacheKeyAndForwardedToOrigin": key,
    }


def origin_request_policy(policy: Options) -> _Dict:
    """``OriginRequestPolicyConfig``. :raises DistributionError: values that contradict each other."""
    where = f"origin_request_policies[{policy['name']}]"
    return {
        "Name": policy["name"],
        "Comment": policy.get("comment") or "",
        "HeadersConfig": _choice(policy.get("headers"), f"{where}.headers", _HEADERS, "HeaderBehavior", "Headers"),
        "CookiesConfig": _choice(policy.get("cookies"), f"{where}.cookies", _QUERY, "CookieBehavior", "Cookies"),
        "QueryStringsConfig": _choice(
            policy.get("query_strings"), f"{where}.query_strings", _QUERY, "QueryStringBehavior", "QueryStrings"
        ),
    }


class Kind(t.NamedTuple):
    """A kind of policy: how its operations and members are called."""

    about: str
    list_method: str
    list_member: str
    get_method: str
    create_method: str
    update_method: str
    member: str

    @property
    def config(self) -> str:
        """The member with what a policy says."""
        return f"{self.member}Config"


CACHE = Kind(
    "cache policy",
    "list_cache_policies",
    "CachePolicyList",
    "get_cache_policy",
    "create_cache_policy",
    "update_cache_policy",
    "CachePolicy",
)
ORIGIN = Kind(
    "origin request policy",
    "list_origin_request_policies",
    "OriginRequestPolicyList",
    "get_origin_request_policy",
    "create_origin_request_policy",
    "update_origin_request_policy",
    "OriginRequestPolicy",
)


class CloudFront:
    """CloudFront of one account."""

    def __init__(self, aws: Aws, now: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._now = now
        #: kind -> name -> id; what is to be made has an empty one
        self._ids: dict[str, dict[str, str]] = {CACHE.about: {}, ORIGIN.about: {}}
        self._functions: dict[str, str] = {}

    # -- decide -------------------------------------------------------------------------------------------

    def decide(self, wanted: Options) -> list[Change]:
        """Read what is there and say what has to change, in the order in which it is done.

        :raises DistributionError: what was written cannot be. :raises AwsError: AWS refuses.
        """
        caches = [cache_policy(item) for item in wanted["cache_policies"]]
        origins = [origin_request_policy(item) for item in wanted["origin_request_policies"]]
        uses = [behavior for one in wanted["distributions"] for behavior in one.get("behaviors") or ()]
        changes = self._policies(CACHE, caches, any(behavior.get("cache_policy") for behavior in uses))
        changes += self._policies(ORIGIN, origins, any(behavior.get("origin_request_policy") for behavior in uses))
        changes += self._made_functions(wanted["functions"])
        for one in wanted["distributions"]:
            found = self._config(one["id"])[0]
            edited = self._edited(one, found)
            before, after = self._told(one, found), self._told(one, edited)
            if edited != found:
                changes.append(Change("distribution", "update", one["id"], before, after, ("distribution", one)))
        for item in wanted["invalidate"]:
            after = {"paths": list(item["paths"])}
            changes.append(Change("distribution", "purge", item["distribution"], {}, after, ("invalidate", item)))
        return changes

    def _policies(self, kind: Kind, wanted: Sequence[_Dict], needed: bool) -> list[Change]:
        if not wanted and not needed:
            return []
        found: dict[str, _Dict] = {}
        marker = ""
        while True:
            more: _Dict = {"Marker": marker} if marker else {}
            page = self._aws.read("cloudfront", kind.list_method, **more)[kind.list_member]
            for item in page.get("Items", ()):
                policy = item[kind.member]
                found[policy[kind.config]["Name"]] = {**policy, "Type": item["Type"]}
            marker = page.get("NextMarker", "")
            if not marker:
                break
        self._ids[kind.about] = {name: policy["Id"] for name, policy in found.items()}
        changes = []
        for config in wanted:
            name = config["Name"]
            there = found.get(name)
            if there is None:
                self._ids[kind.about][name] = ""
                changes.append(Change(kind.about, "create", name, {}, config, ("create", kind, config)))
            elif there["Type"] == "managed":
                raise DistributionError(f"{kind.about} {name!r} is AWS's own: choose another name")
            elif differs(config, there[kind.config]):
                before = written(config, there[kind.config])
                changes.append(Change(kind.about, "update", name, before, config, ("update", kind, config)))
        return changes

    def _made_functions(self, wanted: Sequence[Options]) -> list[Change]:
        changes = []
        for one in wanted:
            name = one["name"]
            config = {"Comment": one.get("comment") or "", "Runtime": one["runtime"]}
            code = one["code"].encode()
            there = self._function(name, "DEVELOPMENT")
            live = self._function(name, "LIVE")
            after = {**config, "code": one["code"]}
            if there is None:
                changes.append(Change("function", "create", name, {}, after, ("function", one)))
            elif differs({**config, "code": code}, there) or live is None or differs({**config, "code": code}, live):
                shown = live or there
                before = {**written(config, shown), "code": shown["code"].decode("utf-8", "replace")}
                action: t.Literal["update", "publish"] = "update" if live else "publish"
                changes.append(Change("function", action, name, before, after, ("function", one)))
            self._functions[name] = f"arn:aws:cloudfront::{self._aws.account}:function/{name}"
        return changes

    def _function(self, name: str, stage: str) -> _Dict | None:
        """Configuration, code and version of a function; None where there is none."""
        try:
            found = self._aws.read("cloudfront", "describe_function", Name=name, Stage=stage)
        except AwsError as error:
            if error.code == "NoSuchFunctionExists":
                return None
            raise
        code = self._aws.read("cloudfront", "get_function", Name=name, Stage=stage)["FunctionCode"].read()
        return {**found["FunctionSummary"]["FunctionConfig"], "code": code, "ETag": found["ETag"]}

    def _config(self, identity: str) -> tuple[_Dict, str]:
        try:
            found = self._aws.read("cloudfront", "get_distribution_config", Id=identity)
        except AwsError as error:
            if error.code == "NoSuchDistribution":
                account = self._aws.account
                raise DistributionError(
                    f"distributions has {identity!r}, which account {account} does not have"
                ) from None
            raise
        return found["DistributionConfig"], found["ETag"]

    def _edited(self, one: Options, found: _Dict) -> _Dict:
        """The whole configuration with what was written in it."""
        config = copy.deepcopy(found)
        if one.get("price_class"):
            config["PriceClass"] = PRICE_CLASSES[one["price_class"]]
        if one.get("http_version"):
            config["HttpVersion"] = one["http_version"]
        for behavior in one.get("behaviors") or ():
            self._edit_behavior(one, behavior, _behavior_of(one, behavior, config))
        for shield in one.get("origin_shields") or ():
            origin = next((item for item in config["Origins"]["Items"] if item["Id"] == shield["origin"]), None)
            if origin is None:
                known = ", ".join(item["Id"] for item in config["Origins"]["Items"])
                where = f"distributions[{one['id']}].origin_shields"
                raise DistributionError(f"{where} has {shield['origin']!r}; its origins are {known}")
            region = shield.get("region")
            origin["OriginShield"] = {"Enabled": True, "OriginShieldRegion": region} if region else {"Enabled": False}
        return config

    def _edit_behavior(self, one: Options, behavior: Options, there: _Dict) -> None:
        if behavior.get("cache_policy"):
            there["CachePolicyId"] = self._id(CACHE, behavior["cache_policy"], one)
            for name in LEGACY:
                there.pop(name, None)
        if behavior.get("origin_request_policy"):
            there["OriginRequestPolicyId"] = self._id(ORIGIN, behavior["origin_request_policy"], one)
        if behavior.get("compress") is not None:
            there["Compress"] = behavior["compress"]
        for option, event in EVENTS.items():
            function: str | None = behavior.get(option)
            if function is None:
                continue
            known = there.get("FunctionAssociations", {}).get("Items", ())
            others = [item for item in known if item["EventType"] != event]
            arn = self._functions.get(function) or f"arn:aws:cloudfront::{self._aws.account}:function/{function}"
            mine = [{"EventType": event, "FunctionARN": arn}] if function else []
            if len(others) != len(known) or mine:
                ordered = sorted([*others, *mine], key=lambda item: str(item["EventType"]))
                there["FunctionAssociations"] = counted(ordered)

    def _id(self, kind: Kind, name: str, one: Options) -> str:
        ids = self._ids[kind.about]
        if name not in ids:
            raise DistributionError(
                f"distributions[{one['id']}] names the {kind.about} {name!r}, which is neither there nor written here"
            )
        return ids[name] or f"(new) {name}"

    def _told(self, one: Options, config: _Dict) -> _Dict:
        """What a person wants to see of it: names of policies, not ids."""
        shown: _Dict = {"price_class": config["PriceClass"], "http_version": config["HttpVersion"]}
        names = {key: policy for ids in self._ids.values() for policy, key in ids.items() if key}
        for behavior in one.get("behaviors") or ():
            there = _behavior_of(one, behavior, config)
            functions = there.get("FunctionAssociations", {}).get("Items", ())
            shown[behavior["path_pattern"]] = {
                "cache_policy": _named(names, there.get("CachePolicyId")),
                "origin_request_policy": _named(names, there.get("OriginRequestPolicyId")),
                "compress": there.get("Compress"),
                "functions": {item["EventType"]: item["FunctionARN"].rpartition("/")[2] for item in functions},
            }
        shields = {shield["origin"] for shield in one.get("origin_shields") or ()}
        shown["origin_shields"] = {
            item["Id"]: item.get("OriginShield", {}).get("OriginShieldRegion")
            for item in config["Origins"]["Items"]
            if item["Id"] in shields
        }
        return shown

    # -- perform ------------------------------------------------------------------------------------------

    def perform(self, changes: Sequence[Change]) -> None:
        """Carry them out in order. :raises AwsError: the sentence says how many were made before."""
        carry_out(changes, self._one, AwsError, naming=True)

    def _one(self, change: Change) -> None:
        verb, *rest = change.request
        if verb in ("create", "update"):
            kind, config = rest
            self._write_policy(verb, kind, config)
        elif verb == "function":
            self._write_function(rest[0])
        elif verb == "invalidate":
            reference = f"frugal-{self._now():.6f}"
            paths = counted(rest[0]["paths"])
            self._aws.write(
                "cloudfront",
                "create_invalidation",
                DistributionId=rest[0]["distribution"],
                InvalidationBatch={"Paths": paths, "CallerReference": reference},
            )
        else:
            self._write_distribution(rest[0])

    def _write_policy(self, verb: str, kind: Kind, config: _Dict) -> None:
        name = config["Name"]
        if verb == "create":
            made = self._aws.write("cloudfront", kind.create_method, **{kind.config: config})
            self._ids[kind.about][name] = made[kind.member]["Id"]
            return
        identity = self._ids[kind.about][name]
        version = self._aws.read("cloudfront", kind.get_method, Id=identity)["ETag"]
        self._aws.write("cloudfront", kind.update_method, Id=identity, IfMatch=version, **{kind.config: config})

    def _write_function(self, one: Options) -> None:
        name = one["name"]
        given = {
            "Name": name,
            "FunctionConfig": {"Comment": one.get("comment") or "", "Runtime": one["runtime"]},
            "FunctionCode": one["code"].encode(),
        }
        there = self._function(name, "DEVELOPMENT")
        if there is None:
            version = self._aws.write("cloudfront", "create_function", **given)["ETag"]
        else:
            version = self._aws.write("cloudfront", "update_function", IfMatch=there["ETag"], **given)["ETag"]
        self._aws.write("cloudfront", "publish_function", Name=name, IfMatch=version)

    def _write_distribution(self, one: Options) -> None:
        """The whole configuration is sent, as it is at this moment; where somebody was faster it is read again."""
        for attempt in range(CONFLICTS):
            found, version = self._config(one["id"])
            try:
                self._aws.write(
                    "cloudfront",
                    "update_distribution",
                    Id=one["id"],
                    IfMatch=version,
                    DistributionConfig=self._edited(one, found),
                )
                return
            except AwsError as error:
                if error.code != "PreconditionFailed" or attempt == CONFLICTS - 1:
                    raise


def _behavior_of(one: Options, behavior: Options, config: _Dict) -> _Dict:
    """The behavior of this path pattern in ``config``. :raises DistributionError: there is none."""
    pattern = behavior["path_pattern"]
    if pattern == DEFAULT:
        return t.cast("_Dict", config["DefaultCacheBehavior"])
    items = config.get("CacheBehaviors", {}).get("Items", ())
    found = next((item for item in items if item["PathPattern"] == pattern), None)
    if found is None:
        known = ", ".join([DEFAULT, *(item["PathPattern"] for item in items)])
        raise DistributionError(f"distributions[{one['id']}].behaviors has {pattern!r}; the distribution has {known}")
    return t.cast("_Dict", found)


def _named(names: Mapping[str, str], identity: str | None) -> str | None:
    """A policy's name where it is known, else its id."""
    return None if identity is None else names.get(identity, identity)
