# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VCL for requests: what is normalised, what passes, what may be looked up, who purges.

Only what is in the cache's key (URL, Host) or in ``Vary`` (the class of device, the scheme, declared cookies) may reach
the backend of a request that can be stored; the rest is taken off. Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_text
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import UNKEYED, Access, Director, Route, Site
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_text import string

#: Headers by which the parts of the VCL talk to each other. What clients or backends say in them is removed.
INTERNAL = (
    "X-Cache-Cookie",
    "X-Cache-Lookup",
    "X-Cache-Query",
    "X-Cache-Reason",
    "X-Cache-Site",
    "X-Cache-Sorted",
    "X-Cache-Stale",
    "X-Cache-Variant",
    "X-Device-Class",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Spellings of a path that a backend may read as another path: encoded letters, digits, - . / \ _ ~ # ? and %, empty
#: and dot segments, parameters. They are passed, so that no pattern of paths can be got round.
ODD_PATH = r"(?i)^[^?]*(?:%(?:2[35def]|3[0-9f]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9ae])|//|/\.\.?(?:/|\?|$)|;|\\)"
#: What a ban may name: nothing that a regular expression reads as more than the character itself, but the dot.
BAN_TAGS = r"^[A-Za-z0-9_.:/-]{1,128}(?: [A-Za-z0-9_.:/-]{1,128}){0,63}$"
BAN_PATH = r"^/[A-Za-z0-9_.:/@%~*-]{0,511}$"


def receive(sites: tuple[Site, ...]) -> list[str]:
    """``vcl_recv``: what holds for all sites, then the site's own part."""
    lines = [
        "sub vcl_recv {",
        "    if (req.restarts == 0) {",
        *(f"        unset req.http.{name};" for name in INTERNAL),
        "    }",
        "    # A client may send its cookies in several headers.",
        '    std.collect(req.http.Cookie, "; ");',
        "    # Not part of the cache's key: nobody may change an answer with them.",
        *(f"    unset req.http.{name};" for name in UNKEYED),
        '    if (!req.http.Host || req.http.Host ~ {"[^A-Za-z0-9.:\\[\\]_-]"}) {',
        '        return (synth(400, "Bad Request"));',
        "    }",
        '    if (req.http.Host ~ "[A-Z]") {',
        "        set req.http.Host = std.tolower(req.http.Host);",
        "    }",
        '    set req.http.Host = regsub(req.http.Host, "\\.?(?::(?:80|443)?)?$", "");',
        f'    if (req.method !~ "^(?:{"|".join((*METHODS, "PURGE", "BAN"))})$") {{',
        '        return (synth(405, "Method Not Allowed"));',
        "    }",
    ]
    for names, site in _by_host(sites):
        lines += [
            f'    if (req.http.Host ~ "{vcl_text.hosts(names)}") {{',
            f'        set req.http.X-Cache-Site = "{site.name}";',
            f"        call {site.symbol}_recv;",
            "    }",
        ]
    return [*lines, '    return (synth(404, "Not Found"));', "}"]


def _by_host(sites: tuple[Site, ...]) -> list[tuple[tuple[str, ...], Site]]:
    """Names and their site in the order in which they are compared: exact ones, then the longest patterns."""
    found: list[tuple[tuple[str, ...], Site]] = []
    patterns: list[tuple[str, Site]] = []
    for site in sites:
        exact = tuple(name for name in site.hosts if "*" not in name)
        if exact:
            found.append((exact, site))
        patterns += [(name, site) for name in site.hosts if "*" in name]
    patterns.sort(key=lambda entry: -len(entry[0]))
    return [*found, *(((name,), site) for name, site in patterns)]


def site_receive(site: Site) -> list[str]:
    """The subroutines of one site that ``vcl_recv`` calls."""
    body: list[str] = []
    body += _proxies(site)
    body += _devices(site)
    body += [f"unset req.http.{name};" for name in site.remove_request_headers]
    body += _backend_hint(site)
    body += _invalidation(site)
    body += _websocket(site)
    body += [
        'if (req.method != "GET" && req.method != "HEAD") {',
        *vcl_text.indented(_pass(site, "method")),
        "}",
    ]
    body += _paths(site)
    if site.query is not None:
        body.append(f"call {site.symbol}_query;")
    body += _credentials(site)
    body += _lookup(site)
    return [
        *_pass_subroutine(site),
        *_query_subroutine(site),
        f"sub {site.symbol}_recv {{",
        *vcl_text.indented(body),
        "}",
    ]


def _proxies(site: Site) -> list[str]:
    """Who the client is and how it came: from a proxy that is trusted, else from the connection."""
    own = [
        "set req.http.X-Forwarded-For = client.ip;",
        "if (std.port(server.ip) == 443) {",
        '    set req.http.X-Forwarded-Proto = "https";',
        "} else {",
        '    set req.http.X-Forwarded-Proto = "http";',
        "}",
    ]
    if not site.trusted_proxies:
        return own
    return [
        f"if (client.ip !~ {site.symbol}_proxies) {{",
        *vcl_text.indented(own),
        '} elsif (req.http.X-Forwarded-Proto ~ "(?i)^https$") {',
        '    set req.http.X-Forwarded-Proto = "https";',
        "} else {",
        '    set req.http.X-Forwarded-Proto = "http";',
        "}",
    ]


def _devices(site: Site) -> list[str]:
    """The class of device, and the header that keeps variants apart in ``Vary``."""
    lines: list[str] = []
    for index, (name, patterns) in enumerate(site.device_classes):
        lines += [
            f"{'} els' if index else ''}if (req.http.User-Agent ~ {string(vcl_text.agents(patterns))}) {{",
            f'    set req.http.X-Device-Class = "{name}";',
        ]
    if not lines:
        return ["set req.http.X-Cache-Variant = req.http.X-Forwarded-Proto;"]
    return [
        *lines,
        "} else {",
        f'    set req.http.X-Device-Class = "{site.default_device_class}";',
        "}",
        'set req.http.X-Cache-Variant = req.http.X-Forwarded-Proto + "," + req.http.X-Device-Class;',
    ]


def _backend_hint(site: Site) -> list[str]:
    lines: list[str] = []
    for index, route in enumerate(site.routes):
        lines += [
            f"{'} els' if index else ''}if (req.url ~ {string(vcl_text.paths(route.paths))}) {{",
            f"    set req.backend_hint = {_choice(site, route, index)};",
        ]
    hint = f"set req.backend_hint = {_choice(site, None, -1)};"
    return [*lines, "} else {", f"    {hint}", "}"] if lines else [hint]


def _choice(site: Site, route: Route | None, index: int) -> str:
    """The expression that names a backend."""
    names = route.backends if route else tuple(backend.name for backend in site.default_backends)
    if len(names) == 1:
        return backend_symbol(site, names[0])
    director = route.director if route else site.director
    return f"{director_symbol(site, index)}.backend({_chosen_by(director)})"


def _chosen_by(director: Director) -> str:
    if director.kind == "shard":
        return "by=URL"
    if director.kind != "hash":
        return ""
    if director.by == "client":
        return "req.http.X-Forwarded-For"
    if director.by == "cookie":
        name = vcl_text.literal(director.cookie)
        return f'regsub(req.http.Cookie, "^(?:.*;)?\\s*{name}=([^;]*).*$", "\\1")'
    return "req.url"


def backend_symbol(site: Site, name: str) -> str:
    """What a backend is called in VCL."""
    return f"{site.symbol}_backend_{name.replace('-', '_')}"


def director_symbol(site: Site, index: int) -> str:
    """What the director of a route is called in VCL; -1 is the one of all other paths."""
    return f"{site.symbol}_director_{'default' if index < 0 else index}"


# --- Purge and ban


def access_check(site: Site, option: str, access: Access, header: str) -> str:
    """A VCL condition that is true for those who may not."""
    conditions = []
    if access.networks:
        conditions.append(f"client.ip !~ {site.symbol}_{option}")
    if access.token_file:
        # The length first: a file that is missing or empty gives nobody access.
        conditions.append(
            f'req.http.{header} !~ "^.{{16,}}$" || req.http.{header} != std.fileread("{access.token_file}")'
        )
    return " || ".join(conditions)


def _invalidation(site: Site) -> list[str]:
    if site.purge is None:
        return [
            'if (req.method == "PURGE" || req.method == "BAN") {',
            '    return (synth(405, "Method Not Allowed"));',
            "}",
        ]
    lines = [
        'if (req.method == "PURGE" || req.method == "BAN") {',
        f"    if ({access_check(site, 'purge', site.purge, 'X-Purge-Token')}) {{",
        '        return (synth(403, "Forbidden"));',
        "    }",
        "}",
        "unset req.http.X-Purge-Token;",
        'if (req.method == "PURGE") {',
        *([f"    call {site.symbol}_query;"] if site.query is not None else []),
        "    return (purge);",
        "}",
        'if (req.method == "BAN") {',
    ]
    if not site.tag_header:
        return [*lines, '    return (synth(405, "Method Not Allowed"));', "}"]
    # Only conditions on the stored answer, obj.*, so that the ban lurker can work them off.
    where = f'"obj.http.X-Cache-Site == {site.name} && obj.http'
    return [
        *lines,
        f'    if (req.http.X-Ban-Tag ~ "{BAN_TAGS}") {{',
        '        set req.http.X-Ban-Tag = regsuball(regsuball(req.http.X-Ban-Tag, "[.]", "[.]"), " ", "|");',
        f'        if (std.ban({where}.{site.tag_header} ~ (?:^|[\\s,])(?:" + req.http.X-Ban-Tag + ")(?:[\\s,]|$)")) {{',
        '            return (synth(200, "Banned"));',
        "        }",
        "        return (synth(500, std.ban_error()));",
        "    }",
        f'    if (req.http.X-Ban-Path ~ "{BAN_PATH}") {{',
        '        set req.http.X-Ban-Path = regsuball(regsuball(req.http.X-Ban-Path, "[.]", "[.]"), "[*]", "[^?]*");',
        f'        if (std.ban({where}.X-Cache-Url ~ ^" + req.http.X-Ban-Path + "(?:\\?|$)")) {{',
        '            return (synth(200, "Banned"));',
        "        }",
        "        return (synth(500, std.ban_error()));",
        "    }",
        '    return (synth(400, "X-Ban-Tag or X-Ban-Path is missing or cannot be used"));',
        "}",
    ]


# --- What passes


def _pass(site: Site, reason: str) -> list[str]:
    return [f'set req.http.X-Cache-Reason = "{reason}";', f"call {site.symbol}_pass;"]


def _pass_subroutine(site: Site) -> list[str]:
    """The end of a request that is not looked up: to the backend, with the cookies that it may have."""
    lines = [f"sub {site.symbol}_pass {{", '    std.log("frugal pass " + req.http.X-Cache-Reason);']
    if site.cookies is not None and site.cookies.keep is not None:
        names = vcl_text.cookies((*site.cookies.keep, *site.cookies.pass_on, *site.cookies.vary_on))
        lines += [
            "    if (req.http.Cookie) {",
            '        set req.http.Cookie = regsuball(";" + req.http.Cookie, ";\\s*", ";");',
            f'        set req.http.Cookie = regsuball(req.http.Cookie, ";({names})=", "; \\1=");',
            '        set req.http.Cookie = regsuball(req.http.Cookie, ";[^ ][^;]*|;+$", "");',
            '        set req.http.Cookie = regsub(req.http.Cookie, "^[; ]+", "");',
            '        if (req.http.Cookie == "") {',
            "            unset req.http.Cookie;",
            "        }",
            "    }",
        ]
    return [*lines, "    return (pass);", "}"]


def _websocket(site: Site) -> list[str]:
    lines = []
    if site.websocket_paths:
        wanted = string(vcl_text.paths(site.websocket_paths))
        lines = [
            f'if (req.method == "GET" && req.http.Upgrade ~ "(?i)^websocket$" && req.url ~ {wanted}) {{',
            "    return (pipe);",
            "}",
        ]
    # No other protocol is tunnelled past the cache's rules.
    return [*lines, "unset req.http.Upgrade;", "unset req.http.HTTP2-Settings;"]


def _paths(site: Site) -> list[str]:
    """Paths that pass. Compared without regard to case: a backend may not care for it either."""
    lines: list[str] = []
    if site.private_paths or site.pass_paths or site.public_paths:
        lines += [f"if (req.url ~ {string(ODD_PATH)}) {{", *vcl_text.indented(_pass(site, "odd_path")), "}"]
    for patterns, reason in ((site.private_paths, "private_path"), (site.pass_paths, "path")):
        if patterns:
            condition = string("(?i)" + vcl_text.paths(patterns))
            lines += [f"if (req.url ~ {condition}) {{", *vcl_text.indented(_pass(site, reason)), "}"]
    return lines


def _credentials(site: Site) -> list[str]:
    """Authorization and cookies: they pass, are part of the variant, or are taken off."""
    lines = ["if (req.http.Authorization) {", *vcl_text.indented(_pass(site, "authorization")), "}"]
    lines += ["if (req.http.Cookie) {", *vcl_text.indented(_cookies(site)), "}"]
    if not site.public_paths:
        return lines
    return [
        f"if (req.url ~ {string(vcl_text.paths(site.public_paths))}) {{",
        "    unset req.http.Authorization;",
        "    unset req.http.Cookie;",
        "} else {",
        *vcl_text.indented(lines),
        "}",
    ]


def _cookies(site: Site) -> list[str]:
    rules = site.cookies
    if rules is None:
        return _pass(site, "cookie")
    lines: list[str] = []
    if rules.pass_on:
        # Read more liberally than cookies are written: what any backend could take for this cookie passes.
        condition = string(f"(?:^|[;,\\s]){vcl_text.cookies(rules.pass_on)}\\s*(?:=|;|,|$)")
        lines += [f"if (req.http.Cookie ~ {condition}) {{", *vcl_text.indented(_pass(site, "cookie")), "}"]
    if not rules.ignore_unknown:
        known = (*rules.ignore, *rules.vary_on)
        if known:
            found = f";\\s*{vcl_text.cookies(known)}\\s*(?:=[^;]*)?(?=;|$)"
            lines += [
                f'set req.http.X-Cache-Cookie = regsuball(";" + req.http.Cookie, "{found}", "");',
                'if (req.http.X-Cache-Cookie ~ "[^;\\s]") {',
                *vcl_text.indented(_pass(site, "unknown_cookie")),
                "}",
            ]
        else:
            lines += ['if (req.http.Cookie ~ "[^;\\s]") {', *vcl_text.indented(_pass(site, "unknown_cookie")), "}"]
    if not rules.vary_on:
        return [*lines, "unset req.http.Cookie;"]
    # One spelling for the same cookies: by name, the first where one is given twice.
    target = "req.http.X-Cache-Cookie"
    lines.append(f'set {target} = "";')
    for name in sorted(rules.vary_on):
        found = f"^(?:[^;]*;)*?\\s*{vcl_text.literal(name)}=([^;]*).*$"
        lines += [
            f'if (req.http.Cookie ~ "{found}") {{',
            f'    set {target} = {target} + "; {name}=" + regsub(req.http.Cookie, "{found}", "\\1");',
            "}",
        ]
    return [
        *lines,
        'set req.http.Cookie = regsub(req.http.X-Cache-Cookie, "^; ", "");',
        'if (req.http.Cookie == "") {',
        "    unset req.http.Cookie;",
        "}",
    ]


# --- What is looked up


def _query_subroutine(site: Site) -> list[str]:
    """The query string in one spelling: without what does not count, without empty parameters, in order."""
    query = site.query
    if query is None:
        return []
    lines = [
        'set req.http.X-Cache-Query = "&" + regsub(req.url, "^[^?]*\\?", "");',
        'set req.url = regsub(req.url, "\\?.*$", "");',
    ]
    if query.remove:
        unwanted = string(f"&{vcl_text.parameters(query.remove)}(?:=[^&]*)?(?=&|$)")
        lines.append(f'set req.http.X-Cache-Query = regsuball(req.http.X-Cache-Query, {unwanted}, "");')
    if query.keep is not None:
        wanted = f"(?!{vcl_text.parameters(query.keep)}(?:=|&|$))" if query.keep else ""
        lines.append(
            f'set req.http.X-Cache-Query = regsuball(req.http.X-Cache-Query, {string(f"&{wanted}[^&]*")}, "");'
        )
    lines.append('set req.http.X-Cache-Query = regsub(regsuball(req.http.X-Cache-Query, "&+(?=&|$)", ""), "^&", "?");')
    if query.sort:
        # The order of values of one name can mean something; equal names are neighbours once they are sorted.
        lines += [
            "set req.http.X-Cache-Sorted = std.querysort(req.http.X-Cache-Query);",
            'if (req.http.X-Cache-Sorted !~ "[?&]([^=&]+)(?:=[^&]*)?&\\1(?:=|&|$)") {',
            "    set req.http.X-Cache-Query = req.http.X-Cache-Sorted;",
            "}",
        ]
    lines.append("set req.url = req.url + req.http.X-Cache-Query;")
    return [
        f"sub {site.symbol}_query {{",
        '    if (req.url ~ "\\?") {',
        *vcl_text.indented(lines, 2),
        "    }",
        "}",
    ]


def _lookup(site: Site) -> list[str]:
    lines: list[str] = []
    for name in site.ignore_vary:
        if name.lower() == "user-agent" and site.device_classes:
            lines.append("set req.http.User-Agent = req.http.X-Device-Class;")
        else:
            lines.append(f"unset req.http.{name};")
    if site.normalize_accept_encoding:
        lines += [
            'if (req.http.Accept-Encoding ~ "(?i)(?:^|[,\\s])gzip\\s*(?:,|$|;\\s*q=(?:1|0?\\.0*[1-9]))") {',
            '    set req.http.Accept-Encoding = "gzip";',
            "} else {",
            "    unset req.http.Accept-Encoding;",
            "}",
        ]
    lines += _grace(site)
    lines += snippet(site, "recv")
    return [*lines, 'set req.http.X-Cache-Lookup = "1";', "return (hash);"]


def has_longer_grace(site: Site) -> bool:
    """Whether an error makes older answers good enough."""
    return site.stale_if_error > site.grace


def _grace(site: Site) -> list[str]:
    """While the backend is well, less of the grace that answers have is used."""
    if not has_longer_grace(site):
        return []
    chain: list[str] = []
    for index, rule in enumerate(site.ttl_rules):
        grace = site.grace if rule.grace is None else rule.grace
        chain += [
            f"{'} els' if index else ''}if (req.url ~ {string(vcl_text.paths([rule.path]))}) {{",
            f"    set req.grace = {vcl_text.duration(grace)};",
        ]
    usual = f"set req.grace = {vcl_text.duration(site.grace)};"
    chain = [*chain, "} else {", f"    {usual}", "}"] if chain else [usual]
    longest = max([site.stale_if_error, *(rule.grace for rule in site.ttl_rules if rule.grace is not None)])
    return [
        "if (req.http.X-Cache-Stale || !std.healthy(req.backend_hint)) {",
        f"    set req.grace = {vcl_text.duration(longest)};",
        "} else {",
        *vcl_text.indented(chain),
        "}",
    ]


def snippet(site: Site, place: str) -> list[str]:
    """The operator's own VCL for a place."""
    text = dict(site.vcl).get(place)
    return [] if text is None else [f"# Declared: vcl.{place} of site {site.name}", text.rstrip("\n")]
