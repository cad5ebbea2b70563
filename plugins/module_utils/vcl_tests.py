# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests for varnishtest from a declaration: what each rule of a site has to do, seen from clients and from the backend.

What is expected comes from :mod:`vcl_model`, not from the VCL. Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_model
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_script import (
    SOMEBODY,
    STORED,
    TOKEN,
    Headers,
    Script,
    Vtc,
    quoted,
)
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import UNKEYED, Site

#: how long answers of the test of grace live, and how long the test waits (seconds)
SHORT, WAIT = 1, 1.4


def tests(sites: Sequence[Site]) -> tuple[Vtc, ...]:
    """A test for each site."""
    found = []
    for site in sites:
        script = Script(sites, site)
        for part in PARTS:
            part(script)
        found.append(script.test())
    return tuple(found)


Part = t.Callable[[Script], None]


def _stores(script: Script) -> None:
    """What may be stored is, for GET, HEAD and Range; in all spellings of the host."""
    url = script.path()
    if not script.looked_up(url):
        script.title("Everything passes")
        script.passed(url)
        return
    script.title("A public answer is stored, for GET, HEAD and Range")
    number = script.stored(url)
    script.ask(url, method="HEAD", answer=number)
    script.ask(url, [("Range", "bytes=0-5")], answer=number, status=206, expect=[("resp.bodylen", "== 6")])
    script.ask(url, host=script.host.upper(), answer=number)
    script.ask(url, host=script.host + ".:80", answer=number)
    script.title("HEAD fetches the whole answer")
    other = script.path()
    number = script.ask(other, method="HEAD", seen=[("req.method", "== GET")], reply=[STORED])
    script.ask(other, answer=number)


def _query(script: Script) -> None:
    """Parameters that do not count, in any order."""
    query = script.site.query
    base = script.path()
    if query is None or not script.looked_up(base):
        return
    wanted = vcl_model.example((query.keep or ("frugal",))[0]) if query.keep != () else ""
    first = f"{base}?{wanted}=1" if wanted else base
    seen = [("req.url", f"== {quoted(script.normal(first))}")]
    script.title("Query strings")
    number = script.ask(first, seen=seen)
    for pattern in query.remove:
        name = vcl_model.example(pattern)
        if script.normal(f"{base}?{name}=2&{wanted}=1") == script.normal(first):
            script.ask(f"{base}?{name}=2&{wanted}=1", answer=number)
            script.ask(f"{first}{'&' if wanted else '?'}{name}&&", answer=number)
    if query.keep is not None:
        script.ask(f"{first}{'&' if wanted else '?'}not-declared=1", answer=number)
        return
    pair = script.path()
    ordered, turned = f"{pair}?fa=1&fb=2", f"{pair}?fb=2&fa=1"
    if script.normal(ordered) != ordered:
        return
    number = script.ask(ordered)
    script.ask(turned, answer=number if query.sort else 0)
    script.ask(f"{pair}?fa=1&fb=3")
    number = script.ask(f"{pair}?fa=2&fa=1", seen=[("req.url", f"== {quoted(pair + '?fa=2&fa=1')}")])
    script.ask(f"{pair}?fa=1&fa=2")
    script.ask(f"{pair}?fa=2&fa=1", answer=number)


def _cookies(script: Script) -> None:
    """What cookies do."""
    url = script.path()
    if not script.looked_up(url):
        return
    rules = script.site.cookies
    public = script.ask(url)
    if rules is None:
        script.title("No cookies are declared: a request with any passes")
        script.passed(url, [("Cookie", "frugal=1")], seen=[("req.http.cookie", '== "frugal=1"')])
        script.ask(url, answer=public)
        return
    for pattern in rules.pass_on:
        cookie = f"{vcl_model.example(pattern)}=abc"
        script.title(f"Cookie {pattern} makes a request private")
        script.passed(
            url, [("Cookie", f"frugal-other=1; {cookie}")], seen=[("req.http.cookie", f"~ {quoted(_exactly(cookie))}")]
        )
        script.ask(url, [("Cookie", "frugal-other=1"), ("Cookie", cookie)])
    for pattern in rules.ignore:
        name = vcl_model.example(pattern)
        if script.looked_up(url, [("Cookie", f"{name}=1")]) and name not in rules.vary_on:
            script.title(f"Cookie {pattern} does not count")
            script.ask(url, [("Cookie", f"{name}=1")], answer=public)
            script.ask(script.path(), [("Cookie", f"{name}=1")], seen=[("req.http.cookie", "== <undef>")])
    for name in rules.vary_on:
        _varies(script, name)
    unknown = [("Cookie", "frugal-unknown=1")]
    if script.looked_up(url, unknown):
        script.title("Unknown cookies do not count, and never reach the backend of a stored answer")
        script.ask(url, unknown, answer=public)
        script.ask(script.path(), unknown, seen=[("req.http.cookie", "== <undef>")])
    else:
        kept = rules.keep is None or vcl_model.any_matches((*rules.keep, *rules.pass_on), "frugal-unknown")
        script.title("A request with an unknown cookie passes")
        script.passed(url, unknown, seen=[("req.http.cookie", '== "frugal-unknown=1"' if kept else "== <undef>")])
    script.ask(url, answer=public)
    for pattern in rules.keep or ():
        cookie = f"{vcl_model.example(pattern)}=abc"
        script.title(f"Cookie {pattern} reaches the backend with what passes")
        script.ask(
            url,
            [("Cookie", f"frugal-other=1; {cookie}")],
            method="POST",
            seen=[("req.http.cookie", f"~ {quoted(_exactly(cookie))}")],
        )


def _varies(script: Script, name: str) -> None:
    url = script.path()
    one, two = [("Cookie", f"{name}=one")], [("Cookie", f"{name}=two")]
    if not script.looked_up(url, one):
        return
    script.title(f"Each value of cookie {name} has its own copy")
    plain = script.ask(url, seen=[("req.http.cookie", "== <undef>")])
    first = script.ask(url, one, seen=[("req.http.cookie", f"== {quoted(name + '=one')}")])
    second = script.ask(url, two, seen=[("req.http.cookie", f"== {quoted(name + '=two')}")])
    for headers, number in ((one, first), (two, second), ([], plain)):
        script.ask(url, headers, answer=number)


def _exactly(cookie: str) -> str:
    """An expression that finds one cookie in a header."""
    return (
        "(^|; )"
        + "".join(f"[{one}]" if one in ".+*|$" else f"\\{one}" if one == "^" else one for one in cookie)
        + "(;|$)"
    )


def _credentials(script: Script) -> None:
    """Authorization and methods that change something pass, whatever the answer says."""
    url = script.path()
    if not script.looked_up(url):
        return
    public = script.ask(url)
    script.title("Authorization passes, even when the answer says that it is public")
    login = [("Authorization", "Basic ZnJ1Z2FsOmNsb3Vk")]
    script.passed(url, login, seen=[("req.http.authorization", '== "Basic ZnJ1Z2FsOmNsb3Vk"')])
    script.ask(url, answer=public)
    script.title("Only GET and HEAD are looked up")
    for method in ("POST", "PUT", "DELETE"):
        script.ask(url, method=method, seen=[("req.method", f"== {method}")])
    script.ask(url, answer=public)
    script.ask(url, method="TRACE", status=405)


def _unkeyed(script: Script) -> None:
    """Headers that are in no key reach no backend."""
    url = script.path()
    if not script.looked_up(url):
        return
    script.title("Headers that are not part of the cache's key do not reach the backend")
    names = (*UNKEYED, *script.site.remove_request_headers, "X-Cache-Stale")
    attack = [(name, "evil.example.com") for name in names if name.lower() != "cookie"]
    seen = [(f"req.http.{name}", "== <undef>") for name, _value in attack if name != "X-Forwarded-Host"]
    seen.append(("req.http.x-forwarded-host", '!= "evil.example.com"'))
    number = script.ask(url, attack, seen=seen)
    script.ask(url, answer=number)
    # A body is in no key either.
    script.ask(script.path(), body="evil", seen=[("req.http.content-length", "== <undef>")])


def _never(script: Script) -> None:
    """Answers that are never stored."""
    if not script.looked_up(script.path()):
        return
    script.title("These answers are never stored, on no path")
    replies: list[Headers] = [
        [STORED, ("Set-Cookie", "session=1")],
        [("Cache-Control", "private, max-age=600")],
        [("Cache-Control", "no-store")],
        [("Cache-Control", "max-age=600"), ("Cache-Control", "private")],
        [("Cache-Control", "max-age=0")],
        [("Cache-Control", "max-age=600"), ("Surrogate-Control", "no-store")],
        [STORED, ("Vary", "*")],
    ]
    patterns = ["", *(rule.path for rule in script.site.ttl_rules), *script.site.public_paths]
    for pattern in patterns:
        for reply in replies:
            url = script.path(pattern)
            if not pattern or (script.looked_up(url) and "*" in pattern):
                script.passed(url, reply=reply)
    script.title("Errors are not stored")
    url = script.path()
    again = script.site.stale_if_error > script.site.grace
    if not again:
        script.ask(url, backend_status=500, status=500, reply=[STORED])
        script.stored(url)
    script.title("An answer that says nothing about its life")
    url = script.path()
    if vcl_model.rule_for(script.site, url) is None:
        (script.stored if script.site.default_ttl >= 5 else script.passed)(url, reply=[])


def _devices(script: Script) -> None:
    """Each class of device has its own copy."""
    url = script.path()
    if not script.site.device_classes or not script.looked_up(url):
        return
    script.title("Each class of device has its own copy")
    agents = ["frugal"]
    for _name, patterns in script.site.device_classes:
        agents += [vcl_model.example(pattern, "frugal") for pattern in patterns]
    numbers: dict[str, int] = {}
    for agent in agents:
        name = vcl_model.device_class(script.site, agent)
        headers = [("User-Agent", agent)]
        if name in numbers:
            script.ask(url, headers, answer=numbers[name])
        else:
            numbers[name] = script.ask(url, headers, seen=[("req.http.x-device-class", f"== {name}")])
    script.ask(
        url,
        [("User-Agent", agents[0]), ("X-Device-Class", "evil")],
        answer=numbers[vcl_model.device_class(script.site, agents[0])],
    )


def _vary(script: Script) -> None:
    """Vary on what is ignored costs nothing; on other headers it keeps answers apart."""
    url = script.path()
    if not script.looked_up(url):
        return
    script.title("Vary")
    for name in script.site.ignore_vary:
        url = script.path()
        number = script.ask(url, [(name, "one")], reply=[STORED, ("Vary", name)])
        script.ask(url, [(name, "two")], answer=number, expect=[("resp.http.vary", f"~ {quoted(f'^{name}(,|$)')}")])
    if "x-frugal" not in [name.lower() for name in (*script.site.ignore_vary, *script.site.remove_request_headers)]:
        url = script.path()
        first = script.ask(url, [("X-Frugal", "one")], reply=[STORED, ("Vary", "X-Frugal")])
        script.ask(url, [("X-Frugal", "two")], reply=[STORED, ("Vary", "X-Frugal")])
        script.ask(url, [("X-Frugal", "one")], answer=first)
    if script.site.normalize_accept_encoding:
        url = script.path()
        reply = [STORED, ("Vary", "Accept-Encoding")]
        number = script.ask(url, [("Accept-Encoding", "gzip, deflate, br")], reply=reply)
        script.ask(url, [("Accept-Encoding", "br;q=1.0, gzip;q=0.8")], answer=number)


def _lives(script: Script) -> None:
    """Rules for lives: what Varnish notes for the answer."""
    site = script.site
    for rule in site.ttl_rules:
        url = script.path(rule.path)
        if vcl_model.rule_for(site, url) is not rule or not script.looked_up(url) or "*" not in rule.path:
            continue
        script.title(f"Answers of {rule.path} live as declared")
        if rule.ttl <= 0:
            script.passed(url)
            continue
        number = script.stored(url, seen=[("req.url", f"== {quoted(script.normal(url))}")])
        grace = site.stale_if_error if rule.grace is None else rule.grace
        if rule.grace is not None and site.stale_if_error > site.grace:
            grace = max(grace, site.stale_if_error)
        keep = site.keep if rule.keep is None else rule.keep
        script.raw(
            "varnish v1 -vsl_catchup",
            f"logexpect l{number} -v v1 -d 1 -g request -q {quoted(f'BereqURL eq {quoted(script.normal(url))}')} {{",
            f"\texpect * * TTL {quoted(f'^VCL {rule.ttl:.0f} {grace:.0f} {keep:.0f} ')}",
            "} -run",
        )


def _paths(script: Script) -> None:
    """Paths that pass, and paths that are the same for everybody."""
    site = script.site
    session = vcl_model.example((site.cookies.pass_on or ("frugal",))[0]) if site.cookies else "frugal"
    person = [("Cookie", f"{session}=abc"), ("Authorization", "Basic ZnJ1Z2Fs")]
    for pattern in site.private_paths:
        url = script.path(pattern)
        script.title(f"{pattern} is private")
        script.passed(url, person, reply=[STORED], seen=[("req.http.authorization", "!= <undef>")])
        script.ask(url.upper() if url != url.upper() else url, reply=[STORED])
        script.ask(url, reply=[], expect=[("resp.http.cache-control", '== "private, no-store"')])
    for pattern in site.pass_paths:
        script.title(f"{pattern} passes")
        script.passed(script.path(pattern), reply=[STORED])
    for pattern in site.public_paths:
        url = script.path(pattern)
        if script.looked_up(url):
            script.title(f"{pattern} is the same for everybody")
            seen = [("req.http.authorization", "== <undef>"), ("req.http.cookie", "== <undef>")]
            number = script.ask(url, person, seen=seen)
            script.ask(url, answer=number)
            script.ask(url, person, answer=number)
    if site.private_paths or site.pass_paths or site.public_paths:
        script.title("Spellings of a path that a backend may read as another one pass")
        for url in (
            f"//{script.path()[1:]}",
            f"/%61{script.path()[1:]}",
            f"/x/..{script.path()}",
            f"{script.path()};a=1",
        ):
            script.passed(url, reply=[STORED])
    for pattern in site.websocket_paths:
        url = script.path(pattern)
        script.title(f"{pattern} opens a tunnel")
        seen = [("req.http.upgrade", "== websocket"), ("req.http.connection", "== upgrade")]
        script.ask(url, [("Upgrade", "websocket"), ("Connection", "Upgrade")], seen=seen, reply=[])
    if script.looked_up(script.path()):
        script.title("Nothing else is upgraded")
        seen = [("req.http.upgrade", "== <undef>")]
        script.ask(script.path(), [("Upgrade", "h2c"), ("Connection", "Upgrade")], seen=seen)


def _inside(networks: Sequence[str]) -> str:
    """An address of one of these networks, in which a client of the tests can be."""
    return str(ipaddress.ip_network(networks[0]).network_address) if networks else SOMEBODY[0]


def _outside(networks: Sequence[str]) -> str:
    """An address in none of them, ``""`` when there is none."""
    known = [ipaddress.ip_network(network) for network in networks]
    return next((one for one in SOMEBODY if not any(ipaddress.ip_address(one) in network for network in known)), "")


def _purge(script: Script) -> None:
    """Who may purge and ban, and what that takes."""
    site, url = script.site, script.path()
    if not script.looked_up(url):
        return
    number = script.ask(url)
    if site.purge is None:
        script.title("Nobody may purge or ban")
        script.ask(url, method="PURGE", status=405)
        script.ask(url, method="BAN", status=405)
        script.ask(url, answer=number)
        return
    access = site.purge
    address, outside = _inside(access.networks), _outside(access.networks) if access.networks else ""
    token = [("X-Purge-Token", TOKEN)] if access.token_file else []
    script.title("Who may not purge changes nothing")
    for method in ("PURGE", "BAN"):
        if outside:
            script.ask(url, token, method=method, status=403, address=outside)
        if token:
            script.ask(url, [], method=method, status=403, address=address)
            script.ask(url, [("X-Purge-Token", TOKEN + "x")], method=method, status=403, address=address)
            script.ask(url, [("X-Purge-Token", "")], method=method, status=403, address=address)
    script.ask(url, answer=number)
    script.title("A purge takes the page in all its variants")
    script.ask(url, token, method="PURGE", status=200, address=address, keep_server=True)
    script.stored(url)
    if not site.tag_header:
        script.ask(url, token, method="BAN", status=405, address=address)
        return
    _ban(script, token, address)


def _ban(script: Script, token: Headers, address: str) -> None:
    site = script.site
    script.title("A ban takes the pages that have a tag, or are below a path, and no others")
    one, other, tag = script.path(), script.path(), site.tag_header

    def ban(name: str, value: str, status: int = 200) -> None:
        script.ask("/", [*token, (name, value)], method="BAN", status=status, address=address, keep_server=True)

    hidden = [(f"resp.http.{tag}", "== <undef>"), ("resp.http.x-cache-url", "== <undef>")]
    first = script.ask(one, reply=[STORED, (tag, "frugal.a frugal-b")], expect=hidden)
    second = script.ask(other, reply=[STORED, (tag, "frugal-c,frugal-d")])
    ban("X-Ban-Tag", "frugal frugal-e frugalxa")
    script.ask(one, answer=first)
    ban("X-Ban-Tag", "frugal-z frugal.a")
    first = script.ask(one, reply=[STORED, (tag, "frugal-a")])
    script.ask(other, answer=second)
    ban("X-Ban-Tag", "frugal-d")
    second = script.ask(other, reply=[STORED])
    ban("X-Ban-Path", f"{one}x*")
    script.ask(one, answer=first)
    ban("X-Ban-Path", f"{one[:-1]}*")
    script.ask(one)
    ban("X-Ban-Tag", "a || obj.status == 200", status=400)
    ban("X-Ban-Path", "/(.*", status=400)
    script.ask(other, answer=second) if not vcl_model.matches(f"{one[:-1]}*", other) else None


def _debug(script: Script) -> None:
    """What the cache did is told only to those who may know, and only when they ask."""
    url, access = script.path(), script.site.debug
    if not script.looked_up(url):
        return
    script.title("What the cache did is told only to who may ask")
    number = script.ask(url, expect=[("resp.http.x-cache", "== <undef>")])
    asks = [("X-Cache-Debug", "1")]
    if access is None:
        script.ask(url, asks, answer=number, expect=[("resp.http.x-cache", "== <undef>")])
        return
    address = _inside(access.networks)
    token = [("X-Debug-Token", TOKEN)] if access.token_file else []
    script.ask(url, [*asks, *token], answer=number, address=address, expect=[("resp.http.x-cache", "== HIT")])
    outside = _outside(access.networks) if access.networks else ""
    if outside:
        script.ask(url, [*asks, *token], answer=number, address=outside, expect=[("resp.http.x-cache", "== <undef>")])
    if token:
        script.ask(url, asks, answer=number, address=address, expect=[("resp.http.x-cache", "== <undef>")])


def _proxies(script: Script) -> None:
    """Whose word about the client counts."""
    url = script.path()
    if not script.looked_up(url):
        return
    said = [("X-Forwarded-For", "198.51.100.9"), ("X-Forwarded-Proto", "https")]
    stranger = _outside(script.site.trusted_proxies)
    script.title("Whose word about the client counts")
    plain = 0
    if stranger:
        seen = [("req.http.x-forwarded-for", f"== {quoted(stranger)}"), ("req.http.x-forwarded-proto", "== http")]
        plain = script.ask(url, said, address=stranger, seen=seen)
    if script.site.trusted_proxies:
        proxy = _inside(script.site.trusted_proxies)
        seen = [("req.http.x-forwarded-for", '~ "^198.51.100.9"'), ("req.http.x-forwarded-proto", "== https")]
        secure = script.ask(url, said, address=proxy, seen=seen)
        script.ask(url, said, address=proxy, answer=secure)
    if stranger:
        script.ask(url, address=stranger, answer=plain)


def _hosts(script: Script) -> None:
    """Every host of the site is served; others are not."""
    url = script.path()
    script.title("Hosts")
    if script.looked_up(url):
        for name in script.site.hosts:
            host = vcl_model.example(name, "other.example.com" if name == "*" else "x1")
            script.stored(url, host=host) if host != script.host else script.stored(url)
    if not any("*" in site.hosts for site in script.sites):
        script.ask(url, host="frugal.invalid", status=404, keep_server=True)
    script.ask(url, host="bad host", status=400)


def _routes(script: Script) -> None:
    """Paths with backends of their own."""
    for route in script.site.routes:
        url = script.path(route.paths[0])
        if "*" not in route.paths[0] or vcl_model.odd_path(url):
            continue
        names = "|".join(name.replace("-", "_") for name in route.backends)
        script.title(f"{route.paths[0]} has backends of its own")
        number = script.ask(url)
        script.raw(
            "varnish v1 -vsl_catchup",
            f"logexpect l{number} -v v1 -d 1 -g request -q {quoted(f'BereqURL eq {quoted(script.normal(url))}')} {{",
            f"\texpect * * BackendOpen {quoted(f'{script.site.symbol}_backend_({names}) ')}",
            "} -run",
        )


def _grace(script: Script) -> None:
    """After its time, an answer is served while a new one is fetched, and while there are only errors."""
    site, url = script.site, script.path()
    rule = vcl_model.rule_for(site, url)
    if not script.looked_up(url) or rule is not None:
        return
    short: Headers = [("Cache-Control", f"public, max-age={SHORT}")]
    strict: Headers = [("Cache-Control", f"public, max-age={SHORT}, must-revalidate")]
    strict_url, failing = script.path(), script.path()
    script.title("Grace: after its time an answer is served once more while a new one is fetched")
    number = script.ask(url, reply=short)
    script.ask(strict_url, reply=strict)
    old = script.ask(failing, reply=short)
    script.raw(f"delay {WAIT}")
    script.ask(strict_url, reply=strict)
    if site.grace > WAIT:
        newer = script.serve((), [STORED])
        script.ask(url, answer=number)
        script.fetched(url, newer)
        script.ask(url, answer=newer)
        script.title("An error in the background leaves the old answer")
        failed = script.serve((), [], 503)
        script.ask(failing, answer=old)
        script.fetched(failing, failed)
        script.serve((), [STORED])
        script.ask(failing, answer=old)
        return
    script.ask(url, reply=[STORED])
    if site.stale_if_error > WAIT:
        script.title("An old answer is better than an error")
        script.serve((), [], 503)
        script.serve((), [], 503)
        script.ask(failing, answer=old)


#: in this order: the test of grace waits, so it comes last
PARTS: tuple[Part, ...] = (
    _stores,
    _query,
    _cookies,
    _credentials,
    _unkeyed,
    _never,
    _devices,
    _vary,
    _lives,
    _paths,
    _purge,
    _debug,
    _proxies,
    _hosts,
    _routes,
    _grace,
)
