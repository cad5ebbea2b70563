# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VCL for answers: which are stored and for how long, what leaves the cache, and what errors look like.

An answer that sets a cookie or says private, no-store, no-cache or Vary: * is never stored, whatever is declared.
Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import re

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_text
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_request import access_check, has_longer_grace, snippet
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import Site, TtlRule
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_text import string

#: What declared lives hold for: answers that RFC 9110 lets be stored without being asked, but errors.
STATUSES = "(" + " || ".join(f"beresp.status == {status}" for status in (200, 203, 300, 301, 308)) + ")"
#: What is worth compressing.
TEXTS = r"(?i)^(?:text/|application/(?:json|javascript|xml|[a-z.+-]+\+(?:json|xml)|wasm)|image/svg)"
ERROR_PAGE = "<!DOCTYPE html>\n<title>{status} {reason}</title>\n<h1>{status} {reason}</h1>\n"
RETRY_AFTER = 5


def site_backend_response(site: Site) -> list[str]:
    """The subroutine that decides on storing."""
    body: list[str] = []
    body += _errors(site)
    body += ["if (bereq.uncacheable) {", "    return (deliver);", "}"]
    body += _never(site)
    body += _life(site)
    body += _grace(site)
    body += _variants(site)
    if site.compress:
        body += [
            f"if (!beresp.http.Content-Encoding && beresp.http.Content-Type ~ {string(TEXTS)}) {{",
            "    set beresp.do_gzip = true;",
            "}",
        ]
    if site.purge is not None and site.tag_header:
        # What bans ask for, on the stored answer: the ban lurker sees no request.
        body += [
            f'std.collect(beresp.http.{site.tag_header}, ",");',
            f'set beresp.http.X-Cache-Site = "{site.name}";',
            "set beresp.http.X-Cache-Url = bereq.url;",
        ]
    body += snippet(site, "backend_response")
    return [
        f"sub {site.symbol}_uncacheable {{",
        '    std.log("frugal uncacheable " + beresp.http.X-Cache-Reason);',
        f"    set beresp.ttl = {vcl_text.duration(site.hit_for_miss_ttl)};",
        "    set beresp.grace = 0s;",
        "    set beresp.keep = 0s;",
        "    set beresp.uncacheable = true;",
        "    return (deliver);",
        "}",
        f"sub {site.symbol}_backend_response {{",
        *vcl_text.indented(body),
        "    return (deliver);",
        "}",
    ]


def _uncacheable(site: Site, condition: str, reason: str) -> list[str]:
    return [
        f"if ({condition}) {{",
        f'    set beresp.http.X-Cache-Reason = "{reason}";',
        f"    call {site.symbol}_uncacheable;",
        "}",
    ]


def _errors(site: Site) -> list[str]:
    """An error never takes the place of a good answer, and is not remembered."""
    given_up = "bereq.is_bgfetch"
    if has_longer_grace(site):
        # A fetch that is not given up ends the older answer, even when nothing is stored.
        given_up += " || (!bereq.uncacheable && !bereq.http.X-Cache-Stale)"
    return [
        "unset beresp.http.X-Cache-Reason;",
        "if (beresp.status >= 500) {",
        f"    if ({given_up}) {{",
        "        return (abandon);",
        "    }",
        '    set beresp.http.X-Cache-Reason = "status";',
        '    std.log("frugal uncacheable status");',
        "    set beresp.ttl = 0s;",
        "    set beresp.grace = 0s;",
        "    set beresp.keep = 0s;",
        "    set beresp.uncacheable = true;",
        "    return (deliver);",
        "}",
    ]


def _never(site: Site) -> list[str]:
    control = "beresp.http.Cache-Control"
    return [
        *_uncacheable(site, "bereq.http.Authorization", "authorization"),
        *_uncacheable(site, "beresp.http.Set-Cookie", "set_cookie"),
        *_uncacheable(
            site,
            f'{control} ~ "(?i)(?:private|no-store|no-cache)" || (!{control} && beresp.http.Pragma ~ "(?i)no-cache")',
            "cache_control",
        ),
        *_uncacheable(site, 'beresp.http.Surrogate-Control ~ "(?i)(?:private|no-store|no-cache)"', "surrogate_control"),
        *_uncacheable(site, r'beresp.http.Vary ~ "(?:^|[,\s])\*"', "vary"),
    ]


def _life(site: Site) -> list[str]:
    """The time for which an answer is fresh: its own, a rule's, or the site's where it says nothing."""
    explicit = r'beresp.http.Cache-Control ~ "(?i)(?:^|[,\s])(?:s-maxage|max-age)\s*=" || beresp.http.Expires'
    lines = [
        f"if (!({explicit})) {{",
        f"    set beresp.ttl = {vcl_text.duration(0.0)};",
        f"    if {STATUSES} {{",
        f"        set beresp.ttl = {vcl_text.duration(site.default_ttl)};",
        "    }",
        "}",
    ]
    # A rule speaks where the answer says nothing or may be stored; max-age=0 is the backend's no.
    if site.ttl_rules:
        lines += [
            f"if ({STATUSES} && (beresp.ttl > 0s || !({explicit}))) {{",
            *vcl_text.indented(_rules(site)),
            "}",
        ]
    return [*lines, *_uncacheable(site, "beresp.ttl <= 0s", "ttl")]


def _rules(site: Site) -> list[str]:
    lines: list[str] = []
    for index, rule in enumerate(site.ttl_rules):
        lines += [
            f"{'} els' if index else ''}if (bereq.url ~ {string(vcl_text.paths([rule.path]))}) {{",
            f"    set beresp.ttl = {vcl_text.duration(rule.ttl)};",
        ]
    return [*lines, "}"]


def _grace(site: Site) -> list[str]:
    """How long an answer is good enough after its time, and how long it can be revalidated."""
    lines: list[str] = []
    for index, rule in enumerate(site.ttl_rules):
        grace, keep = _stale(site, rule)
        lines += [
            f"{'} els' if index else ''}if (bereq.url ~ {string(vcl_text.paths([rule.path]))}) {{",
            f"    set beresp.grace = {vcl_text.duration(grace)};",
            f"    set beresp.keep = {vcl_text.duration(keep)};",
        ]
    usual = [
        f"set beresp.grace = {vcl_text.duration(site.stale_if_error)};",
        f"set beresp.keep = {vcl_text.duration(site.keep)};",
    ]
    lines = [*lines, "} else {", *vcl_text.indented(usual), "}"] if lines else usual
    return [
        'if (beresp.http.Cache-Control ~ "(?i)(?:must|proxy)-revalidate") {',
        "    set beresp.grace = 0s;",
        f"    set beresp.keep = {vcl_text.duration(site.keep)};",
        '} elsif (beresp.http.Cache-Control !~ "(?i)stale-while-revalidate") {',
        *vcl_text.indented(lines),
        "} else {",
        f"    set beresp.keep = {vcl_text.duration(site.keep)};",
        "}",
    ]


def _stale(site: Site, rule: TtlRule) -> tuple[float, float]:
    """Grace and keep of a rule's answers, in seconds."""
    grace = site.stale_if_error if rule.grace is None else rule.grace
    if rule.grace is not None and has_longer_grace(site):
        grace = max(rule.grace, site.stale_if_error)
    return grace, site.keep if rule.keep is None else rule.keep


def _variants(site: Site) -> list[str]:
    """What else tells answers apart. In Vary, so that a purge takes all variants of a URL."""
    lines = []
    if site.cookies is not None and site.cookies.vary_on:
        lines += [
            "if (!beresp.http.Vary) {",
            '    set beresp.http.Vary = "Cookie";',
            r'} elsif (beresp.http.Vary !~ "(?i)(?:^|[,\s])Cookie(?:[,\s]|$)") {',
            '    set beresp.http.Vary = beresp.http.Vary + ", Cookie";',
            "}",
        ]
    return [
        *lines,
        "if (!beresp.http.Vary) {",
        '    set beresp.http.Vary = "X-Cache-Variant";',
        '} elsif (beresp.http.Vary !~ "X-Cache-Variant$") {',
        '    set beresp.http.Vary = beresp.http.Vary + ", X-Cache-Variant";',
        "}",
    ]


def site_deliver(site: Site) -> list[str]:
    """What becomes of an answer on its way out."""
    body: list[str] = []
    body += _again(site, "resp.status >= 500")
    if site.private_paths:
        body += [
            'if (req.http.X-Cache-Reason == "private_path" && !resp.http.Cache-Control) {',
            '    set resp.http.Cache-Control = "private, no-store";',
            "}",
        ]
    if site.device_classes:
        # Caches beyond this one know no classes of devices.
        body += ['if (resp.http.Vary ~ "X-Cache-Variant$" && resp.http.Vary !~ "(?i)User-Agent") {']
        body += ['    set resp.http.Vary = regsub(resp.http.Vary, "X-Cache-Variant$", "User-Agent");', "}"]
    body += [
        'set resp.http.Vary = regsub(resp.http.Vary, "(?:^|, )X-Cache-Variant$", "");',
        'if (resp.http.Vary == "") {',
        "    unset resp.http.Vary;",
        "}",
    ]
    body += _debug(site)
    if site.tag_header:
        body.append(f"unset resp.http.{site.tag_header};")
    body += snippet(site, "deliver")
    return [f"sub {site.symbol}_deliver {{", *vcl_text.indented(body), "}"]


def _again(site: Site, condition: str) -> list[str]:
    """An older answer is better than an error; only what was looked up is asked again, and once."""
    if not has_longer_grace(site):
        return []
    once = "req.http.X-Cache-Lookup && !req.http.X-Cache-Stale && req.restarts == 0"
    return [f"if ({condition} && {once}) {{", '    set req.http.X-Cache-Stale = "1";', "    return (restart);", "}"]


def _debug(site: Site) -> list[str]:
    if site.debug is None:
        return ["unset resp.http.X-Cache-Reason;"]
    return [
        f'if (req.http.X-Cache-Debug == "1" && !({access_check(site, "debug", site.debug, "X-Debug-Token")})) {{',
        "    if (!req.http.X-Cache-Lookup) {",
        '        set resp.http.X-Cache = "PASS";',
        "        set resp.http.X-Cache-Reason = req.http.X-Cache-Reason;",
        "    } elsif (obj.uncacheable) {",
        '        set resp.http.X-Cache = "UNCACHEABLE";',
        "    } elsif (obj.hits == 0) {",
        '        set resp.http.X-Cache = "MISS";',
        "    } elsif (obj.ttl < 0s) {",
        '        set resp.http.X-Cache = "STALE";',
        "    } else {",
        '        set resp.http.X-Cache = "HIT";',
        "    }",
        "    set resp.http.X-Cache-Hits = obj.hits;",
        "} else {",
        "    unset resp.http.X-Cache-Reason;",
        "}",
    ]


def site_synth(site: Site) -> list[str]:
    """Errors that Varnish makes itself, and answers to PURGE and BAN."""
    body = [*_again(site, "resp.status == 503"), *snippet(site, "synth")]
    return [
        f"sub {site.symbol}_synth {{",
        *vcl_text.indented(body),
        f"    set resp.body = {page(site.error_page, 'resp')};",
        "}",
        f"sub {site.symbol}_backend_error {{",
        *(["    set beresp.ttl = 0s;"] if has_longer_grace(site) else []),
        f"    set beresp.body = {page(site.error_page, 'beresp')};",
        "}",
    ]


def page(template: str, answer: str) -> str:
    """The expression of an error page."""
    values = {"{status}": f"{answer}.status", "{reason}": f"{answer}.reason"}
    parts = re.split(r"(\{status\}|\{reason\})", template or ERROR_PAGE)
    return " + ".join(values.get(part) or string(part) for part in parts if part)
