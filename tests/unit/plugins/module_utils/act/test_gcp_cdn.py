# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud CDN: what is read, decided and changed, on a stand-in that checks requests with Google's discovery document."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.act.gcp_cdn import OPTIONS, Cdn, CdnError
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, result
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp, GcpError, session_from

pytest.importorskip("google.auth")
pytest.importorskip("googleapiclient")
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.tests.standins import google_api

WEB = "/compute/v1/projects/shop/global/backendServices/web"
FILES = "/compute/v1/projects/shop/global/backendBuckets/files"
SHOP = "/compute/v1/projects/shop/global/urlMaps/shop"
POLICY: dict[str, t.Any] = {
    "cache_mode": "use_origin_headers",
    "serve_while_stale": 60,
    "negative_caching": True,
    "negative_caching_policy": [{"code": 404, "ttl": 60}],
    "bypass_headers": ["Authorization"],
    "signed_url_cache_max_age": 3600,
    "cache_key": {"query_string_blacklist": ["utm_source", "gclid"]},
}


class Client:
    """A project, and how long asking for it would have waited."""

    def __init__(self, google: google_api.Google, url: str) -> None:
        self.google = google
        self.url = url
        self.waited: list[float] = []

    def gcp(self, **options: t.Any) -> Gcp:
        given = {
            "project": "shop",
            "auth_kind": "accesstoken",
            "access_token": google_api.TOKEN,
            "base_url": self.url,
            **options,
        }
        checked = ArgumentSpecValidator(ARGUMENTS).validate(given).validated_parameters
        return Gcp(session_from(checked), "shop", self.url, retries=2, sleep=self.waited.append)

    def run(self, check: bool = False, **wanted: t.Any) -> list[Change]:
        checked = ArgumentSpecValidator(OPTIONS).validate(wanted)
        assert checked.error_messages == []
        options = checked.validated_parameters
        cdn = Cdn(self.gcp())
        changes = cdn.decide(options["backends"], options["invalidate"])
        if not check:
            cdn.perform(changes)
        return changes

    @property
    def changed(self) -> list[str]:
        """The methods that changed something."""
        return [name for name, _path in self.google.requests if not name.endswith(".get")]


@pytest.fixture
def client() -> Iterator[Client]:
    google = google_api.cdn_project()
    with google_api.serving(google) as url:
        yield Client(google, url)


def test_services_and_buckets_in_one_call_and_then_nothing(client: Client) -> None:
    wanted = [
        {"name": "web", "enable_cdn": True, "compression": "automatic", "cdn_policy": POLICY},
        {"name": "files", "kind": "bucket", "enable_cdn": True, "cdn_policy": {"default_ttl": 60, "max_ttl": 600}},
    ]
    predicted = client.run(check=True, backends=wanted)
    assert client.changed == []
    changes = client.run(backends=wanted)
    assert result(changes) == result(predicted)
    assert client.changed == ["compute.backendServices.patch", "compute.backendBuckets.patch"]
    web = client.google.resources[WEB]
    assert (web["enableCDN"], web["compressionMode"], web["protocol"]) == (True, "AUTOMATIC", "HTTP")
    assert web["cdnPolicy"]["cacheKeyPolicy"] == {
        "includeHost": True,
        "includeProtocol": True,
        "includeQueryString": True,
        "queryStringBlacklist": ["utm_source", "gclid"],
    }, "what nobody wrote about stays"
    assert web["cdnPolicy"]["bypassCacheOnRequestHeaders"] == [{"headerName": "Authorization"}]
    assert changes[1].before == {"enableCdn": True, "cdnPolicy": None}
    assert client.run(backends=wanted) == []


def test_somebody_else_was_faster(client: Client) -> None:
    client.google.conflicts = 2
    assert len(client.run(backends=[{"name": "web", "enable_cdn": True}])) == 1
    assert client.google.resources[WEB]["enableCDN"]
    client.google.conflicts = 3
    with pytest.raises(GcpError, match=r"Invalid fingerprint \(412\)"):
        client.run(backends=[{"name": "web", "enable_cdn": False}])


def test_keys_of_signed_urls(client: Client) -> None:
    key = {"name": "k1", "value": "nZtRohdNF9m3cKM24IcK4w=="}
    (change,) = client.run(backends=[{"name": "web", "signed_url_keys": [key]}])
    assert key["value"] not in str(result([change]))
    assert client.google.resources[WEB]["cdnPolicy"]["signedUrlKeyNames"] == ["k1"]
    assert client.run(backends=[{"name": "web", "signed_url_keys": [key]}]) == []
    client.run(backends=[{"name": "web", "signed_url_keys": [{"name": "k1", "state": "absent"}]}])
    assert client.google.resources[WEB]["cdnPolicy"]["signedUrlKeyNames"] == []


def test_invalidations_come_last(client: Client) -> None:
    changes = client.run(
        invalidate=[{"url_map": "shop", "path": "/p/*", "cache_tags": ["product-17"]}],
        backends=[{"name": "web", "enable_cdn": True}],
    )
    assert [change.action for change in changes] == ["update", "purge"]
    assert client.google.resources[SHOP]["invalidated"] == [{"path": "/p/*", "cacheTags": ["product-17"]}]


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ({"cdn_policy": {"cache_mode": "use_origin_headers", "max_ttl": 60}}, "use_origin_headers and max_ttl"),
        ({"cdn_policy": {"cache_mode": "force_cache_all", "max_ttl": 60}}, "force_cache_all and max_ttl"),
        ({"cdn_policy": {"default_ttl": 60, "max_ttl": 30}}, r"\[60, 30\]: client_ttl is at most default_ttl"),
        (
            {"cdn_policy": {"cache_key": {"query_string_whitelist": ["a"], "query_string_blacklist": ["b"]}}},
            "query_string_whitelist and query_string_blacklist: give one of them",
        ),
        (
            {"cdn_policy": {"cache_key": {"include_query_string": False, "query_string_whitelist": ["a"]}}},
            "include_query_string: false and a list",
        ),
        (
            {"kind": "bucket", "cdn_policy": {"cache_key": {"include_host": True}}},
            "include_host, which backend buckets do not have",
        ),
        ({"signed_url_keys": [{"name": "k1"}]}, "has no value: give 16 bytes as base64url"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_changed(
    client: Client, backend: dict[str, t.Any], sentence: str
) -> None:
    with pytest.raises(CdnError, match=sentence):
        client.run(backends=[{"name": "web", "enable_cdn": True}, {"name": "web", **backend}])
    assert client.changed == []


def test_a_backend_that_is_not_there(client: Client) -> None:
    with pytest.raises(CdnError, match="backends has 'api': project shop has no global backend service of that name"):
        client.run(backends=[{"name": "api"}])


def test_an_invalidation_of_nothing(client: Client) -> None:
    with pytest.raises(CdnError, match=r"invalidate\[shop\] says nothing"):
        client.run(invalidate=[{"url_map": "shop"}])


def test_a_failed_operation_says_how_much_was_done(client: Client) -> None:
    client.google.failing = "quota exceeded"
    with pytest.raises(GcpError, match=r"backend service web in project shop failed: quota exceeded; 0 of 2 changes"):
        client.run(
            backends=[{"name": "web", "enable_cdn": True}, {"name": "files", "kind": "bucket", "enable_cdn": False}]
        )


def test_a_busy_google_is_asked_again(client: Client) -> None:
    client.google.busy = 2
    assert len(client.run(check=True, backends=[{"name": "web", "enable_cdn": True}])) == 1
    assert client.waited == [1.0, 2.0]
    client.google.busy = 9
    with pytest.raises(GcpError, match=r"refused backend service web in project shop: .*unavailable \(503\)"):
        client.run(backends=[{"name": "web", "enable_cdn": True}])


def test_a_token_that_is_none(client: Client) -> None:
    with pytest.raises(GcpError, match="does not take the credentials"):
        Cdn(client.gcp(access_token="old")).decide([{"name": "web", "kind": "service"}])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"access_token": None}, "auth_kind is accesstoken and access_token is not set"),
        ({"auth_kind": "serviceaccount"}, "set service_account_file or service_account_contents"),
        (
            {"auth_kind": "serviceaccount", "service_account_file": "/nowhere.json"},
            r"no usable credentials of Google Cloud \(auth_kind is serviceaccount\)",
        ),
        (
            {"auth_kind": "serviceaccount", "service_account_contents": "{}"},
            r"no usable credentials of Google Cloud \(auth_kind is serviceaccount\)",
        ),
    ],
)
def test_credentials_that_are_none(client: Client, options: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(GcpError, match=sentence):
        client.gcp(**options)
