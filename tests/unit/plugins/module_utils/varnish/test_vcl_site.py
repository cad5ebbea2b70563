# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of sites: what is read, what is refused in which words, and what tuning adds."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import vcl_model, vcl_text
from ansible_collections.frugal.cloud.plugins.module_utils.vcl import Site, VclError, merge, read_sites
from hypothesis import given
from hypothesis import strategies as st

LEAST: dict[str, t.Any] = {"name": "shop", "hosts": ["shop.example.com"], "backends": [{"name": "a", "address": "::1"}]}
TOKEN = "an-opaque-token-of-24-ch"


def site(**fields: t.Any) -> Site:
    return Site.from_dict({**LEAST, **fields})


def test_what_is_not_declared_is_careful() -> None:
    least = site()
    assert least.cookies is None
    assert least.query is None
    assert (least.default_ttl, least.grace, least.stale_if_error, least.keep) == (0.0, 10.0, 10.0, 0.0)
    assert least.purge is None
    assert least.tag_header == ""
    assert least.debug is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Shop"}, r"sites\[0\]: name is 'Shop': give a name of lower-case letters"),
        ({"hosts": []}, "site shop has no hosts: give the names"),
        ({"hosts": ['a" || 1']}, r"site shop: hosts is 'a\" || 1': give host names"),
        ({"backends": []}, "site shop has no backends: give at least one"),
        ({"backends": [{"name": "a", "address": 'x"; }'}]}, r"site shop: backends\[0\].address is 'x\"; }'"),
        (
            {"backends": [{"name": "a", "address": "b", "port": 0}]},
            r"backends\[0\].port is 0: give a whole number from 1",
        ),
        ({"backends": [{"name": "a", "address": "b", "probe": {"path": "/ x"}}]}, r"probe.path is '/ x'"),
        (
            {"backends": [{"name": "a-b", "address": "b"}, {"name": "a_b", "address": "b"}]},
            "differ by more than - and _",
        ),
        ({"grace": "10"}, "site shop: grace is '10': give a duration such as 500ms"),
        ({"grace": "2y"}, "site shop: grace is '2y': give at most 1y"),
        ({"public_paths": ['/a"b']}, "site shop: public_paths is '/a\"b': give paths"),
        ({"private_paths": "/account"}, "site shop: private_paths is '/account': give a list"),
        ({"cookies": {"pass_on": ["a=b"]}}, "site shop: cookies.pass_on is 'a=b': give names of cookies"),
        ({"cookies": {"vary_on": ["sid"], "pass_on": ["s*"]}}, r"vary_on is 'sid': pass_on has s\*"),
        ({"cookies": {"unknown": "drop"}}, "cookies.unknown is 'drop': give one of pass, ignore"),
        ({"query_parameters": {"remove": ["a&b"]}}, "query_parameters.remove is 'a&b'"),
        ({"query_parameter": {}}, "site shop has 'query_parameter': there is no such field, there are name, hosts"),
        ({"ttl_rules": [{"path": "/x"}]}, r"site shop: ttl_rules\[0\] has no ttl"),
        ({"purge": {}}, "site shop: purge is open to everybody"),
        ({"purge": {"addresses": ["10.0.0.1/8"]}}, r"purge.addresses is '10.0.0.1/8': .* has host bits set"),
        ({"purge": {"token": "a", "token_file": "/x"}}, "purge.token cannot be used: give 16 to 256"),
        ({"purge": {"token": TOKEN, "token_file": "/x"}}, "purge has token and token_file: give one of them"),
        ({"ban": {"tag_header": "Tag"}}, "site shop: ban is set without purge"),
        ({"ban": {}}, "site shop: ban has no tag_header"),
        (
            {"purge": {"addresses": ["127.0.0.1"]}, "trusted_proxies": ["127.0.0.0/8"]},
            "whoever comes through it could purge: give a token",
        ),
        ({"ignore_vary": ["Cookie"]}, "ignore_vary is 'Cookie': give headers other than"),
        ({"remove_request_headers": ["host"]}, "HTTP itself needs this header"),
        ({"device_classes": {"mobile": []}}, "device_classes.mobile is empty"),
        ({"device_classes": {"Mobile": ["*"]}}, "give classes names such as mobile"),
        ({"director": {"type": "hash", "by": "cookie"}}, "give it together with by: cookie"),
        ({"director": {"by": "client"}}, "only type hash has it"),
        ({"routes": [{"paths": ["/a"], "backends": ["b"]}]}, "there is no such backend, there are a"),
        ({"routes": [{"paths": ["/a"], "backends": ["a"]}]}, "leave at least one for the other paths"),
        ({"error_page": "{"}, "its braces do not match"),
        ({"vcl": {"recv": "}"}}, "it would end the subroutine"),
        ({"vcl": {"init": ""}}, "site shop: vcl has 'init': there is no such field"),
        ({"compress": "yes"}, "site shop: compress is 'yes': give true or false"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(fields: dict[str, t.Any], message: str) -> None:
    with pytest.raises(VclError, match=message) as caught:
        read_sites([{**LEAST, **fields}])
    assert "\n" not in str(caught.value)


def test_a_bad_token_is_not_repeated() -> None:
    with pytest.raises(VclError) as caught:
        site(purge={"token": "secret but with blanks"})
    assert "secret but" not in str(caught.value)


def test_sites_go_together() -> None:
    other = {**LEAST, "name": "other"}
    with pytest.raises(VclError, match=r"site other: hosts has 'shop.example.com', as site shop has"):
        read_sites([LEAST, other])
    with pytest.raises(VclError, match="sites has 'shop' and 'shop'"):
        read_sites([LEAST, {**LEAST, "hosts": ["other.example.com"]}])
    for wrong in ([], "shop", LEAST):
        with pytest.raises(VclError, match="give a list with at least one site"):
            read_sites(wrong)


def test_a_token_gets_a_file_of_its_own() -> None:
    one = site(purge={"token": TOKEN})
    assert one.purge is not None
    assert re.fullmatch(r"/etc/varnish/secrets/shop-purge-[0-9a-f]{12}", one.purge.token_file)
    other = site(purge={"token": TOKEN + "2"})
    assert other.purge is not None
    assert other.purge.token_file != one.purge.token_file
    assert one.secrets() == {one.purge.token_file: TOKEN}
    assert site(purge={"token_file": "/etc/x"}).secrets() == {}


def test_tuning_unites_lists_and_its_rules_come_first() -> None:
    declared = {
        **LEAST,
        "cookies": {"pass_on": ["sid"], "ignore": ["_ga"]},
        "ttl_rules": [{"path": "/a", "ttl": "1m"}, {"path": "/b", "ttl": "1m"}],
    }
    tuned = {
        "shop": {
            "cookies": {"ignore": ["_ga", "_fbp"]},
            "query_parameters": {"remove": ["utm_*"]},
            "ttl_rules": [{"path": "/b", "ttl": "5m"}],
            "grace": "1m",
        },
        "unknown": {"grace": "1h"},
    }
    merged = merge([declared, {**LEAST, "name": "other"}], tuned)
    assert merged[1] == {**LEAST, "name": "other"}
    found = Site.from_dict(merged[0])
    assert found.cookies is not None
    assert found.cookies.ignore == ("_ga", "_fbp")
    assert found.cookies.pass_on == ("sid",)
    assert [(rule.path, rule.ttl) for rule in found.ttl_rules] == [("/b", 300.0), ("/a", 60.0)]
    assert found.grace == 60.0
    with pytest.raises(VclError, match=r"tuned.shop.cookies is \['_ga'\]: a mapping is declared there"):
        merge([declared], {"shop": {"cookies": ["_ga"]}})


# --- Texts of a declaration stay texts


def value_of(expression: str) -> str:
    """What a sum of VCL strings is, read as VCL's lexer reads it."""
    found, rest = "", expression
    while rest:
        if rest.startswith('{"'):
            end = rest.index('"}', 2)
            found, rest = found + rest[2:end], rest[end + 2 :]
        else:
            assert rest.startswith('"')
            end = rest.index('"', 1)
            assert "\n" not in rest[1:end]
            found, rest = found + rest[1:end], rest[end + 1 :]
        assert not rest or rest.startswith(" + ")
        rest = rest[3:]
    return found


@given(st.text(st.sampled_from('ab"{}$\n\\%(') | st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=40))
def test_a_string_is_the_text(text: str) -> None:
    expression = vcl_text.string(text)
    assert value_of(expression) == text
    assert "${" not in expression


ALLOWED = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"?#'), min_size=1, max_size=20)


@given(st.lists(ALLOWED.map("/".__add__), min_size=1, max_size=3), ALLOWED.map("/".__add__))
def test_a_pattern_of_paths_matches_what_the_model_says(patterns: list[str], path: str) -> None:
    expression = vcl_text.paths(patterns)
    assert not re.search(r'["\n{}]', expression)
    for text in (path, *(vcl_model.example(pattern, "x/y") for pattern in patterns)):
        expected = vcl_model.any_matches(patterns, text)
        for url in (text, f"{text}?a=/b"):
            assert (re.search(expression, url) is not None) == expected, (expression, url)


@given(st.lists(st.text(st.sampled_from("ab_.*[]()+-"), min_size=1, max_size=6), min_size=1, max_size=3))
def test_a_pattern_of_names_is_no_expression(patterns: list[str]) -> None:
    expression = vcl_text.cookies(patterns)
    for name in ("a", "ab", "b_a", "(a)", "[ab]", "a+b", "a.b", "axb"):
        assert (re.fullmatch(expression, name) is not None) == vcl_model.any_matches(patterns, name)


@pytest.mark.parametrize(
    ("names", "host", "right"),
    [
        (["shop.example.com"], "shop.example.com", True),
        (["shop.example.com"], "shop.example.com:8080", True),
        (["shop.example.com"], "shopxexample.com", False),
        (["shop.example.com"], "evil.com/shop.example.com", False),
        (["*.example.com"], "a.b.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "a.example.com.evil.com", False),
        (["*"], "[::1]:80", True),
    ],
)
def test_hosts(names: list[str], host: str, right: bool) -> None:
    assert (re.search(vcl_text.hosts(names), host) is not None) is right
