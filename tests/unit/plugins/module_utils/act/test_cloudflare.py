# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloudflare: what is read, decided and changed, on a stand-in that checks every body with Cloudflare's own types."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.act.cloudflare import (
    CACHE_PHASE,
    COMPRESSION_PHASE,
    Wanted,
    Zone,
    ZoneError,
    find_zone,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cloudflare import Cloudflare, CloudflareError
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, result

pytest.importorskip("cloudflare")
from ansible_collections.frugal.cloud.tests.standins import cloudflare_api

RULE: dict[str, t.Any] = {
    "name": "Static files",
    "expression": 'starts_with(http.request.uri.path, "/static/")',
    "enabled": True,
    "cache": True,
    "edge_ttl": 86400,
    "ignore_query_parameters": ["utm_source", "gclid"],
    "ignore_query_strings_order": True,
    "serve_stale": True,
}
OTHER = {
    "id": "0" * 32,
    "ref": "0" * 32,
    "version": "3",
    "last_updated": "2025-01-01T00:00:00Z",
    "description": "made in the dashboard",
    "expression": "true",
    "enabled": True,
    "action": "set_cache_settings",
    "action_parameters": {"cache": False},
}


class Client:
    """A zone, the server that asks for it, and how long that would have waited."""

    def __init__(self, account: cloudflare_api.Account, url: str) -> None:
        self.account = account
        self.url = url
        self.waited: list[float] = []

    def server(self, token: str = cloudflare_api.TOKEN, retries: int = 3) -> Cloudflare:
        return Cloudflare(token, self.url, retries=retries, sleep=self.waited.append)

    def run(self, check: bool = False, **wanted: t.Any) -> list[Change]:
        zone = Zone(self.server(), cloudflare_api.ZONE, "example.com")
        changes = zone.decide(Wanted(**wanted))
        if not check:
            zone.perform(changes)
        return changes


@pytest.fixture
def client() -> Iterator[Client]:
    account = cloudflare_api.Account()
    with cloudflare_api.serving(account) as url:
        yield Client(account, url)


def test_everything_at_once_and_then_nothing(client: Client) -> None:
    wanted: dict[str, t.Any] = {
        "settings": {"http3": True, "early_hints": "on", "browser_cache_ttl": 3600},
        "rules": [RULE],
        "compression": ["zstd", "brotli", "gzip"],
        "tiered_cache": "smart",
    }
    predicted = client.run(check=True, **wanted)
    assert [method for method, _path in client.account.requests if method != "GET"] == []
    changes = client.run(**wanted)
    assert result(changes) == result(predicted)
    assert [change.kind for change in changes] == [
        "setting",
        "setting",
        "setting",
        "cache rules",
        "compression rules",
        "tiered cache",
        "tiered cache",
    ]
    assert client.account.settings["http3"] == "on"
    assert (client.account.tiered, client.account.smart) == ("on", "on")
    (rule,) = client.account.rulesets[CACHE_PHASE]
    assert rule["action_parameters"] == {
        "cache": True,
        "edge_ttl": {"mode": "override_origin", "default": 86400},
        "cache_key": {
            "custom_key": {"query_string": {"exclude": {"list": ["gclid", "utm_source"]}}},
            "ignore_query_strings_order": True,
        },
        "serve_stale": {"disable_stale_while_updating": False},
    }
    (compression,) = client.account.rulesets[COMPRESSION_PHASE]
    assert compression["action_parameters"]["algorithms"][0] == {"name": "zstd"}
    assert client.run(**wanted) == []


def test_rules_of_others_stay_where_they_are(client: Client) -> None:
    client.account.rulesets[CACHE_PHASE] = [dict(OTHER)]
    client.run(rules=[RULE, {**RULE, "name": "Pages", "edge_ttl": 60}])
    assert [rule["description"] for rule in client.account.rulesets[CACHE_PHASE]] == [
        "made in the dashboard",
        "Static files",
        "Pages",
    ]
    assert client.account.rulesets[CACHE_PHASE][0]["id"] == OTHER["id"]
    assert client.run(rules=[RULE, {**RULE, "name": "Pages", "edge_ttl": 60}]) == []


def test_rules_change_order_go_and_are_purged(client: Client) -> None:
    client.account.rulesets[CACHE_PHASE] = [dict(OTHER)]
    client.run(rules=[RULE, {**RULE, "name": "Pages"}])
    assert len(client.run(rules=[{**RULE, "name": "Pages"}, RULE])) == 1
    (change,) = client.run(rules=[RULE])
    assert "frugal_pages" in change.before
    assert "frugal_pages" not in change.after
    (change,) = client.run(rules=[RULE], purge_rules=True)
    assert "made in the dashboard" in change.before
    assert [rule["ref"] for rule in client.account.rulesets[CACHE_PHASE]] == ["frugal_static_files"]
    client.run(rules=[], purge_rules=True)
    assert client.account.rulesets[CACHE_PHASE] == []


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        (("off", None), "smart", ("on", "on")),
        (("on", "on"), "generic", ("on", "off")),
        (("on", "on"), "off", ("off", "off")),
        (("off", None), "off", ("off", None)),
    ],
)
def test_tiered_cache(client: Client, before: t.Any, wanted: t.Any, after: t.Any) -> None:
    client.account.tiered, client.account.smart = before
    client.run(tiered_cache=wanted)
    assert (client.account.tiered, client.account.smart) == after
    assert client.run(tiered_cache=wanted) == []


def test_purges_come_last_and_in_parts(client: Client) -> None:
    tags = [f"product-{number}" for number in range(65)]
    changes = client.run(settings={"http3": "on"}, purge={"tags": tags, "files": ["https://example.com/a"]})
    assert [change.action for change in changes] == ["update", "purge", "purge", "purge", "purge"]
    assert [len(next(iter(body.values()))) for body in client.account.purged] == [30, 30, 5, 1]
    client.run(purge={"everything": True})
    assert client.account.purged[-1] == {"purge_everything": True}


def test_a_zone_is_found_by_name(client: Client) -> None:
    assert find_zone(client.server(), "example.com") == cloudflare_api.ZONE
    with pytest.raises(ZoneError, match=r"zone is 'example\.org': this token sees no zone"):
        find_zone(client.server(), "example.org")


def test_what_cloudflare_refuses_names_what_was_asked(client: Client) -> None:
    with pytest.raises(CloudflareError, match=r"refused setting browser_cache_ttl of example\.com: .*often"):
        client.run(settings={"browser_cache_ttl": "often"})
    with pytest.raises(CloudflareError, match=r"1 of 2 changes were made"):
        client.run(settings={"0rtt": "on", "browser_cache_ttl": "often"})


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"settings": {"http4": "on"}}, "settings has 'http4', which this zone does not have; it has 0rtt"),
        ({"settings": {"image_resizing": "on"}}, "which the plan of example.com does not let anybody change"),
        ({"rules": [RULE, RULE]}, "rules has the name 'Static files' more than once"),
        ({"rules": [{**RULE, "cache": False}]}, r"rules\[Static files\] has cache: false and cache_key, edge_ttl"),
        ({"rules": [{**RULE, "name": "!"}]}, "a name needs letters or digits"),
        ({"purge": {"everything": True, "tags": ["a"]}}, "purge has everything and tags: give one of them"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_changed(
    client: Client, wanted: dict[str, t.Any], sentence: str
) -> None:
    with pytest.raises(ZoneError, match=sentence):
        client.run(**wanted)
    assert [method for method, _path in client.account.requests if method != "GET"] == []


def test_a_busy_cloudflare_is_asked_again(client: Client) -> None:
    client.account.busy = 2
    assert len(client.run(settings={"http3": "on"})) == 1
    assert client.waited == [0.0, 0.0]


def test_a_broken_cloudflare_is_given_up(client: Client) -> None:
    client.account.broken = "/settings"
    with pytest.raises(CloudflareError, match=r"refused settings of example\.com: internal error \(500\)"):
        client.run(settings={"http3": "on"})
    assert client.waited == [0.5, 1.0, 2.0]


def test_a_wrong_token(client: Client) -> None:
    with pytest.raises(CloudflareError, match=r"Authentication error.*api_token, or CLOUDFLARE_API_TOKEN") as caught:
        find_zone(client.server("another-token"), "example.com")
    assert "another-token" not in str(caught.value)


def test_nobody_answers() -> None:
    server = Cloudflare("x", "http://127.0.0.1:9", retries=0)
    with pytest.raises(CloudflareError, match=r"Cloudflare at http://127\.0\.0\.1:9 cannot be asked"):
        find_zone(server, "example.com")
