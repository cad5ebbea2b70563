# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud CDN: what backend services and buckets cache, signed URLs, and invalidations.

https://cloud.google.com/compute/docs/reference/rest/v1/backendServices (``cdnPolicy``), ``backendBuckets``, ``urlMaps``
"""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, carry_out, differs, written
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import Gcp, GcpError

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "t.Mapping[str, t.Any]"

COLLECTIONS = {"service": "backendServices", "bucket": "backendBuckets"}
#: Google writes the same field in two ways.
ENABLE = {"service": "enableCDN", "bucket": "enableCdn"}
#: option -> name in cdnPolicy
_POLICY = {
    "cache_mode": "cacheMode",
    "default_ttl": "defaultTtl",
    "max_ttl": "maxTtl",
    "client_ttl": "clientTtl",
    "negative_caching": "negativeCaching",
    "serve_while_stale": "serveWhileStale",
    "request_coalescing": "requestCoalescing",
    "signed_url_cache_max_age": "signedUrlCacheMaxAgeSec",
}
_KEY = {
    "include_host": "includeHost",
    "include_protocol": "includeProtocol",
    "include_query_string": "includeQueryString",
    "query_string_whitelist": "queryStringWhitelist",
    "query_string_blacklist": "queryStringBlacklist",
    "include_http_headers": "includeHttpHeaders",
    "include_named_cookies": "includeNamedCookies",
}
#: Parts of a cache key that buckets do not have.
_SERVICE_ONLY = (
    "include_host",
    "include_protocol",
    "include_query_string",
    "query_string_blacklist",
    "include_named_cookies",
)
_TEXTS: _Dict = {"type": "list", "elements": "str"}
#: Options of module gcp_cdn, which documents them.
OPTIONS: dict[str, _Dict] = {
    "backends": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": list(COLLECTIONS), "default": "service"},
            "enable_cdn": {"type": "bool"},
            "compression": {"type": "str", "choices": ["automatic", "disabled"]},
            "cdn_policy": {
                "type": "dict",
                "options": {
                    "cache_mode": {
                        "type": "str",
                        "choices": ["cache_all_static", "use_origin_headers", "force_cache_all"],
                    },
                    **{
                        name: {"type": "int"}
                        for name in (
                            "default_ttl",
                            "max_ttl",
                            "client_ttl",
                            "serve_while_stale",
                            "signed_url_cache_max_age",
                        )
                    },
                    "negative_caching": {"type": "bool"},
                    "negative_caching_policy": {
                        "type": "list",
                        "elements": "dict",
                        "options": {
                            "code": {"type": "int", "required": True},
                            "ttl": {"type": "int", "required": True},
                        },
                    },
                    "request_coalescing": {"type": "bool"},
                    "bypass_headers": {**_TEXTS, "no_log": False},
                    "cache_key": {
                        "type": "dict",
                        "no_log": False,
                        "options": {
                            "include_host": {"type": "bool"},
                            "include_protocol": {"type": "bool"},
                            "include_query_string": {"type": "bool"},
                            "query_string_whitelist": _TEXTS,
                            "query_string_blacklist": _TEXTS,
                            "include_http_headers": _TEXTS,
                            "include_named_cookies": _TEXTS,
                        },
                    },
                },
            },
            "signed_url_keys": {
                "type": "list",
                "elements": "dict",
                "no_log": False,
                "options": {
                    "name": {"type": "str", "required": True},
                    "value": {"type": "str", "no_log": True},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                },
            },
        },
    },
    "invalidate": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "url_map": {"type": "str", "required": True},
            "path": {"type": "str"},
            "host": {"type": "str"},
            "cache_tags": _TEXTS,
        },
    },
}
#: Tries when somebody else changes the same resource meanwhile.
CONFLICTS = 3


class CdnError(ValueError):
    """One sentence: which option has which value, and what would be right."""


def policy_body(backend: Options) -> _Dict:
    """``cdnPolicy`` and its neighbours in Google's words, as far as they are written.

    :raises CdnError: values that contradict each other; Google would say so after the first changes were made.
    """
    name, policy = backend["name"], backend.get("cdn_policy") or {}
    where = f"backends[{name}].cdn_policy"
    body: _Dict = {}
    if backend.get("enable_cdn") is not None:
        body[ENABLE[backend["kind"]]] = backend["enable_cdn"]
    if backend.get("compression") is not None:
        body["compressionMode"] = {"automatic": "AUTOMATIC", "disabled": "DISABLED"}[backend["compression"]]
    cdn: _Dict = {api: policy[option] for option, api in _POLICY.items() if policy.get(option) is not None}
    if "signedUrlCacheMaxAgeSec" in cdn:  # Google writes 64-bit numbers as texts
        cdn["signedUrlCacheMaxAgeSec"] = str(cdn["signedUrlCacheMaxAgeSec"])
    if "cacheMode" in cdn:
        cdn["cacheMode"] = cdn["cacheMode"].upper()
        forbidden = [option for option in ("default_ttl", "max_ttl", "client_ttl") if policy.get(option) is not None]
        if cdn["cacheMode"] == "USE_ORIGIN_HEADERS" and forbidden:
            raise CdnError(
                f"{where} has cache_mode use_origin_headers and {forbidden[0]}: the origin's headers say how long"
            )
        if cdn["cacheMode"] == "FORCE_CACHE_ALL" and policy.get("max_ttl") is not None:
            raise CdnError(
                f"{where} has cache_mode force_cache_all and max_ttl: default_ttl says how long, for everything"
            )
    order = [policy[option] for option in ("client_ttl", "default_ttl", "max_ttl") if policy.get(option) is not None]
    if order != sorted(order):
        raise CdnError(f"{where} has {order}: client_ttl is at most default_ttl, and that at most max_ttl")
    if policy.get("negative_caching_policy"):
        cdn["negativeCachingPolicy"] = [
            {"code": item["code"], "ttl": item["ttl"]} for item in policy["negative_caching_policy"]
        ]
    if policy.get("bypass_headers") is not None:
        cdn["bypassCacheOnRequestHeaders"] = [{"headerName": header} for header in policy["bypass_headers"]]
    key = policy.get("cache_key") or {}
    if key:
        cdn["cacheKeyPolicy"] = _key_body(backend, key, f"{where}.cache_key")
    if cdn:
        body["cdnPolicy"] = cdn
    return body


def _key_body(backend: Options, key: Options, where: str) -> _Dict:
    if key.get("query_string_whitelist") and key.get("query_string_blacklist"):
        raise CdnError(f"{where} has query_string_whitelist and query_string_blacklist: give one of them")
    if key.get("include_query_string") is False and (
        key.get("query_string_whitelist") or key.get("query_string_blacklist")
    ):
        raise CdnError(f"{where} has include_query_string: false and a list of parameters: give one of them")
    wrong = [option for option in _SERVICE_ONLY if key.get(option) is not None]
    if backend["kind"] == "bucket" and wrong:
        raise CdnError(f"{where} has {wrong[0]}, which backend buckets do not have")
    return {api: key[option] for option, api in _KEY.items() if key.get(option) is not None}


class Cdn:
    """Backends of one project's global load balancers."""

    def __init__(self, gcp: Gcp) -> None:
        self._gcp = gcp
        self._path = f"/compute/v1/projects/{gcp.project}/global"

    def decide(self, backends: Sequence[Options], invalidate: Sequence[Options] = ()) -> list[Change]:
        """Read what is there and say what has to change; invalidations come last.

        :raises CdnError: what was written cannot be. :raises GcpError: Google refuses.
        """
        bodies = [(backend, policy_body(backend)) for backend in backends]
        changes: list[Change] = []
        for backend, body in bodies:
            found = self._read(backend)
            about = f"backend {backend['kind']}"
            if differs(body, found):
                changes.append(
                    Change(about, "update", backend["name"], written(body, found), body, ("patch", backend, body))
                )
            changes += self._keys(backend, found)
        for item in invalidate:
            body = {name: item[name] for name in ("path", "host") if item.get(name)}
            if item.get("cache_tags"):
                body["cacheTags"] = list(item["cache_tags"])
            if not body:
                raise CdnError(f"invalidate[{item['url_map']}] says nothing: give path, host or cache_tags")
            changes.append(Change("URL map", "purge", item["url_map"], {}, body, ("invalidate", item, body)))
        return changes

    def _url(self, backend: Options) -> str:
        return f"{self._path}/{COLLECTIONS[backend['kind']]}/{backend['name']}"

    def _read(self, backend: Options) -> _Dict:
        about = f"backend {backend['kind']} {backend['name']}"
        try:
            return self._gcp.send("compute", "GET", self._url(backend), about)
        except GcpError as error:
            if error.status == 404:
                raise CdnError(
                    f"backends has {backend['name']!r}: project {self._gcp.project} has no global backend "
                    f"{backend['kind']} of that name"
                ) from None
            raise

    def _keys(self, backend: Options, found: _Dict) -> list[Change]:
        """Keys of signed URLs: Google keeps their names and never shows what they are."""
        there = set(found.get("cdnPolicy", {}).get("signedUrlKeyNames", ()))
        changes = []
        for key in backend.get("signed_url_keys") or ():
            name = key["name"]
            if key["state"] == "present" and name not in there:
                if not key.get("value"):
                    raise CdnError(
                        f"backends[{backend['name']}].signed_url_keys[{name}] has no value: give 16 bytes as base64url"
                    )
                changes.append(
                    Change("signed URL key", "create", name, {}, {"keyName": name}, ("addSignedUrlKey", backend, key))
                )
            elif key["state"] == "absent" and name in there:
                changes.append(
                    Change(
                        "signed URL key", "delete", name, {"keyName": name}, {}, ("deleteSignedUrlKey", backend, key)
                    )
                )
        return changes

    def perform(self, changes: Sequence[Change]) -> None:
        """Carry them out in order. :raises GcpError: the sentence says how many were made before."""
        carry_out(changes, self._one, GcpError)

    def _one(self, change: Change) -> None:
        verb, item, body = change.request
        if verb == "patch":
            self._patch(change, item, body)
            return
        query: _Dict = {}
        sent: t.Any = None
        if verb == "invalidate":
            path, sent = f"{self._path}/urlMaps/{item['url_map']}/invalidateCache", body
        elif verb == "addSignedUrlKey":
            path, sent = f"{self._url(item)}/{verb}", {"keyName": body["name"], "keyValue": body["value"]}
        else:
            path, query = f"{self._url(item)}/{verb}", {"keyName": body["name"]}
        self._done(self._gcp.send("compute", "POST", path, change.about, sent, query), change)

    def _patch(self, change: Change, backend: Options, body: _Dict) -> None:
        """Only what was written is sent; the fingerprint makes Google refuse where somebody was faster."""
        for attempt in range(CONFLICTS):
            found = self._read(backend)
            sent = {**body, **({"fingerprint": found["fingerprint"]} if "fingerprint" in found else {})}
            try:
                self._done(self._gcp.send("compute", "PATCH", self._url(backend), change.about, sent), change)
                return
            except GcpError as error:
                if error.status != 412 or attempt == CONFLICTS - 1:
                    raise

    def _done(self, operation: _Dict, change: Change) -> None:
        self._gcp.wait("compute", operation, f"{self._path}/operations", change.about)
