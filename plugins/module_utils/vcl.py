# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VCL from a declaration of sites. It holds no secret: tokens are in files that it names.

Written for VCL 4.1, tested with Varnish 7.1. Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_answer, vcl_request, vcl_text
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_fields import VclError
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import (
    Access,
    Backend,
    Director,
    HealthProbe,
    Site,
    read_sites,
)
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_text import string
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_tuned import merge

__all__ = ["Site", "VclError", "merge", "read_sites", "render"]

VERSION = "vcl 4.1;\n\n"
HEADER = """# Made by frugal.cloud from the declaration of {names}: change that, not this file.

import directors;
import std;
"""


def render(sites: Sequence[Site], *, stand_in: str = "") -> str:
    """The VCL of all sites.

    :param stand_in: a server of varnishtest that stands in for every backend, so that tests run without them.
    """
    known = tuple(sites)
    blocks: list[list[str]] = []
    for site in known:
        blocks += [_backend(site, backend, stand_in) for backend in site.backends]
        blocks += _acls(site)
    blocks.append(_init(known))
    for site in known:
        blocks.append(vcl_request.site_receive(site))
        blocks.append(vcl_answer.site_backend_response(site))
        blocks.append(vcl_answer.site_deliver(site))
        blocks.append(vcl_answer.site_synth(site))
    blocks.append(vcl_request.receive(known))
    blocks += _shared(known)
    # varnishtest writes the version itself.
    head = ("" if stand_in else VERSION) + HEADER.format(names=", ".join(site.name for site in known))
    return "\n".join([head, *("\n".join(block) + "\n" for block in blocks)])


def _backend(site: Site, backend: Backend, stand_in: str) -> list[str]:
    lines = [f"backend {vcl_request.backend_symbol(site, backend.name)} {{"]
    if stand_in:
        lines += [f'    .host = "${{{stand_in}_addr}}";', f'    .port = "${{{stand_in}_port}}";']
    elif backend.address.startswith("/"):
        lines.append(f"    .path = {string(backend.address)};")
    else:
        lines += [f"    .host = {string(backend.address)};", f'    .port = "{backend.port}";']
    if backend.host:
        lines.append(f"    .host_header = {string(backend.host)};")
    if backend.max_connections:
        lines.append(f"    .max_connections = {backend.max_connections};")
    lines += [
        f"    .connect_timeout = {vcl_text.duration(backend.connect_timeout)};",
        f"    .first_byte_timeout = {vcl_text.duration(backend.first_byte_timeout)};",
        f"    .between_bytes_timeout = {vcl_text.duration(backend.between_bytes_timeout)};",
    ]
    if backend.probe is not None and not stand_in:
        lines += vcl_text.indented(_probe(site, backend, backend.probe))
    return [*lines, "}"]


def _probe(site: Site, backend: Backend, probe: HealthProbe) -> list[str]:
    host = probe.host or backend.host or next((name for name in site.hosts if "*" not in name), "localhost")
    return [
        ".probe = {",
        "    .request =",
        f'        "GET {probe.path} HTTP/1.1"',
        f'        "Host: {host}"',
        '        "Connection: close"',
        '        "User-Agent: Varnish health probe";',
        f"    .interval = {vcl_text.duration(probe.interval)};",
        f"    .timeout = {vcl_text.duration(probe.timeout)};",
        f"    .window = {probe.window};",
        f"    .threshold = {probe.threshold};",
        f"    .initial = {min(probe.initial, probe.window)};",
        f"    .expected_response = {probe.expected_status};",
        "}",
    ]


def _acls(site: Site) -> list[list[str]]:
    found = []
    accesses: list[tuple[str, Access | None]] = [("purge", site.purge), ("debug", site.debug)]
    lists = [(name, access.networks) for name, access in accesses if access is not None]
    for name, networks in [*lists, ("proxies", site.trusted_proxies)]:
        if networks:
            entries = [ipaddress.ip_network(network) for network in networks]
            lines = [f'    "{entry.network_address}"/{entry.prefixlen};' for entry in entries]
            found.append([f"acl {site.symbol}_{name} {{", *lines, "}"])
    return found


def _init(sites: tuple[Site, ...]) -> list[str]:
    body: list[str] = []
    for site in sites:
        default = [backend.name for backend in site.default_backends]
        pools: list[tuple[int, Sequence[str], Director]] = [(-1, default, site.director)]
        pools += [(index, route.backends, route.director) for index, route in enumerate(site.routes)]
        for index, names, director in pools:
            if len(names) > 1:
                weights = {backend.name: backend.weight for backend in site.backends}
                body += _director(site, index, [(name, weights[name]) for name in names], director)
    return ["sub vcl_init {", *vcl_text.indented(body), "    return (ok);", "}"]


def _director(site: Site, index: int, members: list[tuple[str, float]], director: Director) -> list[str]:
    name = vcl_request.director_symbol(site, index)
    lines = [f"new {name} = directors.{director.kind}();"]
    for member, weight in members:
        symbol = vcl_request.backend_symbol(site, member)
        weighted = f", {weight:g}" if director.kind in ("random", "hash") else ""
        lines.append(f"{name}.add_backend({symbol}{weighted});")
    if director.kind == "shard":
        lines.append(f"{name}.reconfigure();")
    return lines


def _shared(sites: tuple[Site, ...]) -> list[list[str]]:
    """The subroutines of Varnish, which call those of the site."""
    purgers = [
        'if (req.method == "PURGE" || req.method == "BAN") {',
        '    set resp.http.Content-Type = "text/plain; charset=utf-8";',
        '    set resp.body = resp.reason + {"\n"};',
        "    return (deliver);",
        "}",
    ]
    temporary = (
        "X-Cache-Cookie",
        "X-Cache-Lookup",
        "X-Cache-Query",
        "X-Cache-Reason",
        "X-Cache-Sorted",
    )
    return [
        ["sub vcl_pipe {", *vcl_text.indented(_pipe()), "}"],
        [
            "sub vcl_hash {",
            "    hash_data(req.url);",
            "    hash_data(req.http.Host);",
            *vcl_text.indented(_snippets(sites, "hash", "req")),
            "    return (lookup);",
            "}",
        ],
        [
            "sub vcl_backend_fetch {",
            *(f"    unset bereq.http.{name};" for name in temporary),
            *vcl_text.indented(_own_hosts(sites)),
            *vcl_text.indented(_snippets(sites, "backend_fetch", "bereq")),
            "}",
        ],
        [
            "sub vcl_backend_response {",
            *vcl_text.indented(_calls(sites, "backend_response", "bereq")),
            "}",
        ],
        [
            "sub vcl_deliver {",
            *vcl_text.indented(_calls(sites, "deliver", "req")),
            "    unset resp.http.X-Cache-Site;",
            "    unset resp.http.X-Cache-Url;",
            "    return (deliver);",
            "}",
        ],
        [
            "sub vcl_synth {",
            '    set resp.http.Cache-Control = "no-store";',
            *vcl_text.indented(purgers),
            '    set resp.http.Content-Type = "text/html; charset=utf-8";',
            f"    set resp.body = {vcl_answer.page('', 'resp')};",
            *vcl_text.indented(_calls(sites, "synth", "req")),
            "    return (deliver);",
            "}",
        ],
        [
            "sub vcl_backend_error {",
            '    set beresp.http.Cache-Control = "no-store";',
            '    set beresp.http.Content-Type = "text/html; charset=utf-8";',
            f'    set beresp.http.Retry-After = "{vcl_answer.RETRY_AFTER}";',
            *vcl_text.indented(_calls(sites, "backend_error", "bereq")),
            "    return (deliver);",
            "}",
        ],
    ]


def _pipe() -> list[str]:
    return [
        "if (req.http.Upgrade) {",
        "    set bereq.http.Upgrade = req.http.Upgrade;",
        '    set bereq.http.Connection = "upgrade";',
        "}",
        "return (pipe);",
    ]


def _by_site(bodies: list[tuple[Site, list[str]]], request: str) -> list[str]:
    """What each site does, where it does anything."""
    lines: list[str] = []
    for site, body in bodies:
        if body:
            begin = "} els" if lines else ""
            lines += [f'{begin}if ({request}.http.X-Cache-Site == "{site.name}") {{', *vcl_text.indented(body)]
    return [*lines, "}"] if lines else []


def _calls(sites: tuple[Site, ...], place: str, request: str) -> list[str]:
    return _by_site([(site, [f"call {site.symbol}_{place};"]) for site in sites], request)


def _snippets(sites: tuple[Site, ...], place: str, request: str) -> list[str]:
    return _by_site([(site, vcl_request.snippet(site, place)) for site in sites], request)


def _own_hosts(sites: tuple[Site, ...]) -> list[str]:
    """Backends that want another Host header get the client's one as X-Forwarded-Host."""
    bodies: list[tuple[Site, list[str]]] = []
    for site in sites:
        wanted = any(backend.host for backend in site.backends)
        bodies.append(
            (site, ["set bereq.http.X-Forwarded-Host = bereq.http.Host;", "unset bereq.http.Host;"] if wanted else [])
        )
    return _by_site(bodies, "bereq")
