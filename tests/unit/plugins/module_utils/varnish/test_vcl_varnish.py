# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Varnish with the generated VCL: its tests hold, go red when a rule is missing, and agree with the model."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import random
import re
import shutil
import stat
import typing as t

import pytest
import yaml
from ansible_collections.frugal.cloud.plugins.module_utils import vcl, vcl_model, vcl_module, vcl_tests
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_script import Script, Vtc

VARNISHD = shutil.which("varnishd", path=os.environ.get("PATH", "") + ":/usr/sbin") or ""
VARNISHTEST = shutil.which("varnishtest") or ""
needs_varnish = pytest.mark.skipif(not (VARNISHD and VARNISHTEST), reason="varnish is not installed")

Declaration = dict[str, t.Any]
TOKEN = "an-opaque-token-of-24-ch"
LEAST: Declaration = {
    "name": "least",
    "hosts": ["least.example.com"],
    "backends": [{"name": "a", "address": "127.0.0.1"}],
}
SHOP: Declaration = {
    "name": "shop",
    "hosts": ["shop.example.com", "*.shop.example.com"],
    "backends": [
        {"name": "web1", "address": "127.0.0.1", "port": 8000, "max_connections": 50, "probe": {"path": "/healthz"}},
        {"name": "web2", "address": "127.0.0.1", "port": 8001, "first_byte_timeout": "5s"},
        {"name": "images", "address": "127.0.0.1", "port": 8002},
    ],
    "routes": [{"paths": ["/img/*"], "backends": ["images"]}],
    "query_parameters": {"remove": ["utm_*", "gclid"]},
    "cookies": {
        "pass_on": ["sessionid", "wp_*"],
        "vary_on": ["currency", "lang"],
        "ignore": ["_ga*"],
        "keep": ["csrf*"],
    },
    "grace": "30s",
    "stale_if_error": "1h",
    "ttl_rules": [{"path": "/p/*", "ttl": "5m", "grace": "2h"}, {"path": "/q/*", "ttl": "1h", "keep": "1d"}],
    "public_paths": ["/static/*", "/p/*"],
    "private_paths": ["/account*"],
    "pass_paths": ["/api/*"],
    "websocket_paths": ["/ws"],
    "device_classes": {"tablet": ["*iPad*"], "mobile": ["*Mobile*", "*Android*"]},
    "ignore_vary": ["User-Agent", "Accept-Language"],
    "purge": {"addresses": ["10.0.0.0/8"], "token": TOKEN},
    "ban": {"tag_header": "Cache-Tag"},
    "debug": {"addresses": ["192.0.2.0/24"]},
    "trusted_proxies": ["172.16.0.0/12"],
    "remove_request_headers": ["X-Country"],
    "error_page": "<style>\nh1 {color: \"red\"}</style><h1>{status} {reason}</h1> ${x} 'q'",
    "vcl": {"recv": 'if (req.url == "/teapot") {\n    return (synth(418, "Teapot"));\n}'},
}
#: another way for everything that has two
OTHER: Declaration = {
    "name": "other",
    "hosts": ["*"],
    "backends": [
        {"name": "a", "address": "localhost", "host": "internal.example.com"},
        {"name": "b", "address": "::1", "weight": 2},
    ],
    "director": {"type": "hash", "by": "client"},
    "query_parameters": {"keep": ["page", "q*"], "sort": False},
    "cookies": {"pass_on": ["sid"], "unknown": "ignore"},
    "default_ttl": "1m",
    "grace": "0s",
    "stale_if_error": "5m",
    "purge": {"token": TOKEN},
    "normalize_accept_encoding": False,
    "compress": False,
}
PRIVATE: Declaration = {**LEAST, "name": "private", "hosts": ["private.example.com"], "private_paths": ["/*"]}


def sites_of(*declarations: Declaration) -> tuple[vcl.Site, ...]:
    return vcl.read_sites(declarations)


def holds(test: Vtc) -> None:
    code, output = vcl_module.run_test(VARNISHTEST, test)
    assert code == 0, vcl_module.failure(test, output)


@needs_varnish
def test_all_directors_compile_side_by_side() -> None:
    kinds = ("round_robin", "random", "fallback", "hash", "shard")
    sites = [
        {
            "name": f"by-{kind}".replace("_", "-"),
            "hosts": [f"{index}.example.com"],
            "backends": SHOP["backends"],
            "director": {"type": kind},
        }
        for index, kind in enumerate(kinds)
    ]
    vcl_module.compile_vcl(VARNISHD, vcl.render(sites_of(*sites, OTHER)))


@needs_varnish
@pytest.mark.parametrize(
    "declarations", [(SHOP, LEAST), (OTHER,), (LEAST,), (PRIVATE,)], ids=lambda one: one[0]["name"]
)
def test_varnish_does_what_is_declared(declarations: tuple[Declaration, ...]) -> None:
    holds(vcl_tests.tests(sites_of(*declarations))[0])


#: what is broken in the VCL, and the generated test that has to see it
MUTATIONS = {
    "if (req.http.Authorization) {": "Authorization passes",
    'if (req.http.Cookie ~ "(?:^|[;,\\s])(?:sessionid|wp_[^=;]*)': "Cookie sessionid makes a request private",
    "if (beresp.http.Set-Cookie) {": "These answers are never stored",
    "unset req.http.X-Forwarded-Host;": "Headers that are not part of the cache's key",
    "client.ip !~ site_shop_purge ||": "Who may not purge changes nothing",
    'if (req.url ~ "(?i)^(?:/account[^?]*)(?:\\?|$)") {': "/account* is private",
}
BROKEN = {"if (": "if (false && ", "unset ": "# unset ", "client": "false && client"}


@needs_varnish
@pytest.mark.parametrize("line", MUTATIONS)
def test_a_rule_that_is_missing_is_seen(line: str) -> None:
    """Without the rule's line, the test of that rule fails."""
    test = vcl_tests.tests(
        sites_of(
            {key: value for key, value in SHOP.items() if key != "cookies"}
            | {"cookies": {"pass_on": ["sessionid", "wp_*"], "unknown": "ignore"}}
        )
    )[0]
    start = next(word for word in BROKEN if line.startswith(word))
    broken = line.replace(start, BROKEN[start], 1)
    text = test.text.replace(line, broken)
    assert text != test.text
    code, output = vcl_module.run_test(VARNISHTEST, dataclasses.replace(test, text=text))
    assert code == 2
    assert f"site shop does not do what is declared ({MUTATIONS[line]}" in vcl_module.failure(test, output)


@needs_varnish
def test_query_strings_and_cookies_are_read_as_the_model_reads_them() -> None:
    """120 URLs with odd parameters, and 60 odd cookies, through a real Varnish."""
    chance = random.Random(20261124)
    site = sites_of({**SHOP, "stale_if_error": "30s", "private_paths": [], "pass_paths": [], "public_paths": []})[0]
    script = Script([site], site)
    script.title("URLs")
    words = [
        "utm_source=x",
        "utm_",
        "gclid",
        "gclid=1=2",
        "xgclid=1",
        "a=1",
        "a=2",
        "b",
        "b=",
        "=",
        "",
        "a%20=3",
        "c?d=1",
    ]
    for number in range(120):
        url = f"/u{number}?" + "&".join(chance.choice(words) for _index in range(chance.randint(0, 5)))
        assert site.query is not None
        expected = vcl_model.normalised(url, site.query)
        script.ask(url, seen=[("req.url", f'== "{expected}"')])
    script.title("Cookies")
    pieces = ["sessionid=1", "wp_x=2", "_ga=3", "_gax", "currency=EUR", "currency=", "lang=de; lang=en", "x=1", "", " "]
    script.ask("/cookies")
    for number in range(60):
        header = "; ".join(chance.choice(pieces) for _index in range(chance.randint(1, 4)))
        reason = vcl_model.why_pass(site, "GET", "/", {"Cookie": header})
        url = f"/c{number}"
        first = script.ask(url, [("Cookie", header)] if header.strip() else [])
        script.ask(url, [("Cookie", header)] if header.strip() else [], answer=0 if reason else first)
    holds(script.test())


GUIDE = pathlib.Path(__file__).parents[5] / "docs" / "guides" / "varnish.md"


def declared_in_guide() -> list[Declaration]:
    """The sites that the guide declares."""
    found: list[Declaration] = []
    for block in re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE):
        (play,) = yaml.safe_load(block)
        for role in play.get("roles", ()):
            found += role["vars"]["varnish_sites"]
        for task in play.get("tasks", ()):
            found += task["frugal.cloud.varnish_vcl"]["sites"]
    return found


@needs_varnish
def test_what_the_guide_declares_does_what_it_says() -> None:
    sites = sites_of(*declared_in_guide())
    assert [site.name for site in sites] == ["shop", "docs"]
    vcl_module.compile_vcl(VARNISHD, vcl.render(sites))
    holds(vcl_tests.tests(sites)[0])


def test_the_guide_names_every_field() -> None:
    guide = GUIDE.read_text()
    with pytest.raises(vcl.VclError) as caught:
        sites_of({**LEAST, "nothing": 1})
    names = str(caught.value).rpartition("there are ")[2].split(", ")
    assert len(names) > 25
    assert [name for name in names if f"| `{name}` |" not in guide] == []


# --- The module


OPTIONS: Declaration = {
    "sites": [SHOP],
    "tuned": {},
    "secret_directory": "/etc/varnish/secrets",
    "installed": None,
    "validate": True,
    "test": False,
    "varnishd": None,
    "varnishtest": None,
}


def test_the_result_holds_no_token() -> None:
    result = vcl_module.render({**OPTIONS, "validate": False}, check=False)
    assert TOKEN not in repr(result)
    assert vcl_module.secrets(OPTIONS) == {TOKEN}
    (file,) = result["secret_files"]
    assert file["site"] == "shop"
    assert file["path"] in result["vcl"]
    again = vcl_module.render({**OPTIONS, "validate": False, "sites": result["declaration"]}, check=False)
    assert again["vcl"] == result["vcl"]


@needs_varnish
def test_broken_vcl_is_said_with_its_place() -> None:
    broken = {**SHOP, "vcl": {"recv": "set req.url = ;"}}
    with pytest.raises(HostError) as caught:
        vcl_module.render({**OPTIONS, "sites": [broken]}, check=False)
    assert str(caught.value).startswith("varnishd refuses the VCL, vcl.recv of site shop: ")
    assert str(caught.value).endswith("in 'set req.url = ;'")


@needs_varnish
def test_a_failed_test_is_said_with_its_rule() -> None:
    shop = {**SHOP, "vcl": {"backend_response": "set beresp.ttl = 0s;\nset beresp.uncacheable = true;"}}
    with pytest.raises(HostError, match=r"site shop does not do what is declared \(A public answer is stored"):
        vcl_module.render({**OPTIONS, "sites": [shop], "test": True}, check=False)


def test_what_is_in_use_is_not_compiled_again(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "varnishd"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    options = {**OPTIONS, "varnishd": str(path), "installed": str(tmp_path / "sites.vcl")}
    with pytest.raises(HostError, match="varnishd refuses the VCL: it does not say why"):
        vcl_module.render(options, check=False)
    (tmp_path / "sites.vcl").write_text(vcl.render(sites_of(SHOP)))
    assert vcl_module.render(options, check=False)["compiled"] is False


def test_without_varnishd() -> None:
    options = {**OPTIONS, "varnishd": "/nowhere/varnishd"}
    with pytest.raises(HostError, match="varnishd is not on this host: install Varnish"):
        vcl_module.render(options, check=False)
    assert vcl_module.render(options, check=True)["compiled"] is False
