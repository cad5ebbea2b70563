# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of sites that Varnish serves: read, checked, frozen. docs/guides/varnish.md describes the fields.

What is wrong is said in one sentence that names the site, the field, its value and what would be right. What comes of a
declaration: :mod:`vcl` and :mod:`vcl_tests`. Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_text
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_fields import Fields, VclError

DIRECTORS = ("round_robin", "random", "fallback", "hash", "shard")
HASH_BY = ("url", "client", "cookie")
PLACES = ("recv", "hash", "backend_fetch", "backend_response", "deliver", "synth")
#: request headers that change an answer without being part of the cache's key (cache poisoning), and that applications
#: and frameworks are known to read
UNKEYED = (
    "Forwarded",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Path",
    "X-Host",
    "X-Original-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "Front-End-Https",
    "Proxy",
)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_HOST = re.compile(
    r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?|\[[0-9a-f:.]+\]|\*"
)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
#: RFC 6265's token, with * for patterns
_COOKIE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_EXACT_COOKIE = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_PARAMETER = re.compile(r"[^\s=&?#\"\x00-\x1f\x7f]{1,128}")
_PATH = re.compile(r"[/*][^\s?#\"\x00-\x1f\x7f]{0,511}")
_AGENT = re.compile(r"[\x20-\x7e]{1,256}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,256}")
_FILE = re.compile(r"/[A-Za-z0-9._/-]+")
_ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclasses.dataclass(frozen=True)
class HealthProbe:
    """How Varnish sees that a backend is well. Times in seconds."""

    path: str
    host: str
    interval: float
    timeout: float
    window: int
    threshold: int
    initial: int
    expected_status: int


@dataclasses.dataclass(frozen=True)
class Backend:
    """A server. Times in seconds; ``max_connections`` is 0 without a limit, ``address`` may be a socket's path."""

    name: str
    address: str
    port: int
    host: str
    max_connections: int
    connect_timeout: float
    first_byte_timeout: float
    between_bytes_timeout: float
    weight: float
    probe: HealthProbe | None


@dataclasses.dataclass(frozen=True)
class Director:
    """How one of several backends is chosen."""

    kind: str = "round_robin"
    by: str = "url"
    cookie: str = ""


@dataclasses.dataclass(frozen=True)
class Route:
    """Backends, by name, for some paths."""

    paths: tuple[str, ...]
    backends: tuple[str, ...]
    director: Director


@dataclasses.dataclass(frozen=True)
class Query:
    """What of a query string is part of the request; ``keep`` is None where all is."""

    remove: tuple[str, ...]
    keep: tuple[str, ...] | None
    sort: bool


@dataclasses.dataclass(frozen=True)
class Cookies:
    """What cookies do; ``keep`` is None where all reach the backend of a passed request."""

    pass_on: tuple[str, ...]
    vary_on: tuple[str, ...]
    ignore: tuple[str, ...]
    keep: tuple[str, ...] | None
    ignore_unknown: bool


@dataclasses.dataclass(frozen=True)
class Access:
    """Who may do something: who comes from ``networks`` and, or, knows the token; with both, both are needed."""

    networks: tuple[str, ...]
    token: str
    #: where the token is on the host, since VCL itself holds no secret; "" without a token
    token_file: str


@dataclasses.dataclass(frozen=True)
class TtlRule:
    """Times in seconds; None leaves what the site says."""

    path: str
    ttl: float
    grace: float | None
    keep: float | None


@dataclasses.dataclass(frozen=True)
class Site:
    """One site. Times in seconds."""

    name: str
    hosts: tuple[str, ...]
    backends: tuple[Backend, ...]
    director: Director
    routes: tuple[Route, ...]
    query: Query | None
    cookies: Cookies | None
    public_paths: tuple[str, ...]
    private_paths: tuple[str, ...]
    pass_paths: tuple[str, ...]
    websocket_paths: tuple[str, ...]
    default_ttl: float
    ttl_rules: tuple[TtlRule, ...]
    grace: float
    stale_if_error: float
    keep: float
    hit_for_miss_ttl: float
    ignore_vary: tuple[str, ...]
    device_classes: tuple[tuple[str, tuple[str, ...]], ...]
    default_device_class: str
    normalize_accept_encoding: bool
    compress: bool
    purge: Access | None
    #: the answer's header with its tags; "" where nothing can be banned
    tag_header: str
    trusted_proxies: tuple[str, ...]
    remove_request_headers: tuple[str, ...]
    debug: Access | None
    error_page: str
    vcl: tuple[tuple[str, str], ...]

    @property
    def symbol(self) -> str:
        """What names of this site begin with in VCL."""
        return "site_" + self.name.replace("-", "_")

    @property
    def default_backends(self) -> tuple[Backend, ...]:
        """Those that no route has for itself."""
        routed = {name for route in self.routes for name in route.backends}
        return tuple(backend for backend in self.backends if backend.name not in routed)

    @classmethod
    def from_dict(
        cls, declaration: t.Any, *, secret_directory: str = "/etc/varnish/secrets", where: str = "site"
    ) -> Site:
        """Check a declaration.

        :param secret_directory: where files with tokens are on the host.
        :raises VclError: when something in it cannot be used.
        """
        return _site(Fields(declaration, where), secret_directory)

    def secrets(self) -> dict[str, str]:
        """Content by path of the files that hold this site's tokens, as far as they are known here."""
        accesses = [access for access in (self.purge, self.debug) if access and access.token]
        return {access.token_file: access.token for access in accesses}


PATHS = "give paths such as /static/*, without a query, blanks and quotes"
COOKIES = "give names of cookies such as sessionid or wp_*"
HEADERS = "give names of headers such as User-Agent"


def _site(fields: Fields, secret_directory: str) -> Site:
    name = fields.text("name", _NAME, "give a name of lower-case letters, digits, _ and -, such as shop")
    fields.where = f"site {name}"
    hosts = fields.texts("hosts", _HOST, "give host names in lower case, such as shop.example.com or *.example.com")
    if not hosts:
        raise VclError(f"{fields.where} has no hosts: give the names under which people reach it, or ['*']")
    backends = _backends(fields)
    grace = fields.duration("grace", 10.0)
    site = Site(
        name=name,
        hosts=hosts,
        backends=backends,
        director=_director(fields),
        routes=_routes(fields, backends),
        query=_query(fields),
        cookies=_cookies(fields),
        public_paths=fields.texts("public_paths", _PATH, PATHS),
        private_paths=fields.texts("private_paths", _PATH, PATHS),
        pass_paths=fields.texts("pass_paths", _PATH, PATHS),
        websocket_paths=fields.texts("websocket_paths", _PATH, PATHS),
        default_ttl=fields.duration("default_ttl", 0.0),
        ttl_rules=_ttl_rules(fields),
        grace=grace,
        stale_if_error=max(grace, fields.duration("stale_if_error", grace)),
        keep=fields.duration("keep", 0.0),
        hit_for_miss_ttl=fields.duration("hit_for_miss_ttl", 120.0),
        ignore_vary=_headers(fields, "ignore_vary"),
        device_classes=_device_classes(fields),
        default_device_class=fields.text("default_device_class", _NAME, "give a name such as desktop", "desktop"),
        normalize_accept_encoding=fields.flag("normalize_accept_encoding", True),
        compress=fields.flag("compress", True),
        purge=_access(fields, "purge", name, secret_directory),
        tag_header=_ban(fields),
        trusted_proxies=fields.networks("trusted_proxies"),
        remove_request_headers=_headers(fields, "remove_request_headers"),
        debug=_access(fields, "debug", name, secret_directory),
        error_page=_error_page(fields),
        vcl=_snippets(fields),
    )
    fields.done()
    _check_together(site, fields)
    return site


def _check_together(site: Site, fields: Fields) -> None:
    """What is right alone and wrong together."""
    if site.tag_header and site.purge is None:
        raise VclError(f"{fields.at('ban')} is set without purge: say in purge who may ban")
    if not site.default_backends:
        raise VclError(f"{fields.at('routes')} have all backends: leave at least one for the other paths")
    for option in ("purge", "debug"):
        access: Access | None = getattr(site, option)
        if access is None or access.token_file:
            continue
        for one in access.networks:
            for proxy in site.trusted_proxies:
                network, other = ipaddress.ip_network(one), ipaddress.ip_network(proxy)
                if network.version == other.version and network.overlaps(other):
                    raise fields.wrong(
                        f"{option}.addresses",
                        one,
                        f"trusted_proxies has {proxy}, so whoever comes through it could {option}: give a token",
                    )
    for header in site.ignore_vary:
        if header.lower() in ("cookie", "authorization", "host", "accept-encoding"):
            raise fields.wrong(
                "ignore_vary", header, "give headers other than Cookie, Authorization, Host and Accept-Encoding"
            )
    for header in site.remove_request_headers:
        if header.lower() in ("host", "connection", "content-length", "transfer-encoding"):
            raise fields.wrong("remove_request_headers", header, "HTTP itself needs this header")


def _backends(fields: Fields) -> tuple[Backend, ...]:
    found = tuple(_backend(entry) for entry in fields.inners("backends"))
    if not found:
        raise VclError(f"{fields.where} has no backends: give at least one, such as {{name: web1, address: 10.0.0.11}}")
    _distinct([backend.name for backend in found], fields.at("backends"))
    return found


def _backend(fields: Fields) -> Backend:
    name = fields.text("name", _NAME, "give a name such as web1")
    address = fields.text("address", re.compile(r".+"), "give a host name, an IP address or the path of a socket")
    if not (_ADDRESS.fullmatch(address) or _FILE.fullmatch(address) or _is_ip(address)):
        raise fields.wrong("address", address, "give a host name, an IP address or the path of a socket")
    backend = Backend(
        name=name,
        address=address,
        port=fields.whole("port", 80, 1, 65535),
        host=fields.text("host", re.compile(r"[A-Za-z0-9.:\[\]-]+"), "give a host name such as shop.example.com", ""),
        max_connections=fields.whole("max_connections", 0, 0, 1_000_000),
        connect_timeout=fields.duration("connect_timeout", 3.5),
        first_byte_timeout=fields.duration("first_byte_timeout", 60.0),
        between_bytes_timeout=fields.duration("between_bytes_timeout", 60.0),
        weight=fields.number("weight", 1.0, 0.001, 1_000_000),
        probe=_probe(fields.inner("probe")),
    )
    fields.done()
    return backend


def _probe(fields: Fields | None) -> HealthProbe | None:
    if fields is None:
        return None
    probe = HealthProbe(
        path=fields.text("path", re.compile(r"/[^\s\"\x00-\x1f\x7f{}]*"), "give a path such as /healthz", "/"),
        host=fields.text("host", re.compile(r"[A-Za-z0-9.:\[\]-]+"), "give a host name such as shop.example.com", ""),
        interval=fields.duration("interval", 5.0),
        timeout=fields.duration("timeout", 2.0),
        window=fields.whole("window", 8, 1, 64),
        threshold=fields.whole("threshold", 3, 1, 64),
        initial=fields.whole("initial", 2, 0, 64),
        expected_status=fields.whole("expected_status", 200, 100, 599),
    )
    fields.done()
    if probe.threshold > probe.window:
        raise fields.wrong("threshold", probe.threshold, f"give at most window, which is {probe.window}")
    if probe.interval <= 0 or probe.timeout <= 0:
        raise VclError(f"{fields.where} has an interval or timeout of 0: give at least 100ms")
    return probe


def _director(fields: Fields) -> Director:
    inner = fields.inner("director")
    if inner is None:
        return Director()
    director = Director(
        kind=inner.choice("type", DIRECTORS, "round_robin"),
        by=inner.choice("by", HASH_BY, "url"),
        cookie=inner.text("cookie", _EXACT_COOKIE, "give the name of a cookie", ""),
    )
    inner.done()
    if (director.by == "cookie") != bool(director.cookie):
        raise inner.wrong("cookie", director.cookie, "give it together with by: cookie, and only then")
    if director.by != "url" and director.kind != "hash":
        raise inner.wrong("by", director.by, "only type hash has it")
    return director


def _routes(fields: Fields, backends: Sequence[Backend]) -> tuple[Route, ...]:
    names = [backend.name for backend in backends]
    found = []
    for inner in fields.inners("routes"):
        route = Route(
            paths=inner.texts("paths", _PATH, PATHS),
            backends=inner.texts("backends", _NAME, "give names of backends"),
            director=_director(inner),
        )
        inner.done()
        for name in route.backends:
            if name not in names:
                raise inner.wrong("backends", name, f"there is no such backend, there are {', '.join(names)}")
        if not route.paths or not route.backends:
            raise VclError(f"{inner.where} has no paths or no backends: give both")
        found.append(route)
    return tuple(found)


def _query(fields: Fields) -> Query | None:
    inner = fields.inner("query_parameters")
    if inner is None:
        return None
    right = "give names of parameters such as gclid or utm_*"
    query = Query(
        remove=inner.texts("remove", _PARAMETER, right),
        keep=inner.optional_texts("keep", _PARAMETER, right),
        sort=inner.flag("sort", True),
    )
    inner.done()
    return query


def _cookies(fields: Fields) -> Cookies | None:
    inner = fields.inner("cookies")
    if inner is None:
        return None
    found = Cookies(
        pass_on=inner.texts("pass_on", _COOKIE, COOKIES),
        vary_on=inner.texts("vary_on", _EXACT_COOKIE, "give exact names of letters, digits, _, . and -"),
        ignore=inner.texts("ignore", _COOKIE, COOKIES),
        keep=inner.optional_texts("keep", _COOKIE, COOKIES),
        ignore_unknown=inner.choice("unknown", ("pass", "ignore"), "pass") == "ignore",
    )
    inner.done()
    for name in found.vary_on:
        for other in found.pass_on:
            if re.fullmatch(vcl_text.cookies([other]), name):
                raise inner.wrong("vary_on", name, f"pass_on has {other}, so such a request is never looked up")
    return found


def _ttl_rules(fields: Fields) -> tuple[TtlRule, ...]:
    found = []
    for inner in fields.inners("ttl_rules"):
        path = inner.text("path", _PATH, PATHS)
        ttl = inner.optional_duration("ttl")
        if ttl is None:
            raise VclError(f"{inner.where} has no ttl: give a duration such as 5m")
        found.append(TtlRule(path, ttl, inner.optional_duration("grace"), inner.optional_duration("keep")))
        inner.done()
    return tuple(found)


def _headers(fields: Fields, name: str) -> tuple[str, ...]:
    return fields.texts(name, _HEADER, HEADERS)


def _device_classes(fields: Fields) -> tuple[tuple[str, tuple[str, ...]], ...]:
    inner = fields.inner("device_classes")
    if inner is None:
        return ()
    found = []
    for name in inner.names():
        if not _NAME.fullmatch(name):
            raise inner.wrong(name, name, "give classes names such as mobile")
        patterns = inner.texts(name, _AGENT, "give patterns of User-Agent such as *Mobile*")
        if not patterns:
            raise VclError(f"{inner.at(name)} is empty: give patterns of User-Agent such as *Mobile*")
        found.append((name, patterns))
    return tuple(found)


def _access(fields: Fields, name: str, site: str, secret_directory: str) -> Access | None:
    inner = fields.inner(name)
    if inner is None:
        return None
    networks = inner.networks("addresses")
    token = inner.take("token")
    if token is not None and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        # Its value stays out of the message.
        raise VclError(f"{inner.at('token')} cannot be used: give 16 to 256 letters, digits and . _ ~ + / = -")
    file = inner.text("token_file", _FILE, "give the absolute path of a file that holds a token", "")
    inner.done()
    if token and file:
        raise VclError(f"{inner.where} has token and token_file: give one of them")
    if token:
        # Varnish reads a file once: another token is another file. The name tells nothing of 16 random characters.
        digest = hashlib.sha256(token.encode()).hexdigest()[:12]
        file = f"{secret_directory}/{site}-{name}-{digest}"
    if not networks and not file:
        raise VclError(f"{inner.where} is open to everybody: give addresses, a token, or both")
    return Access(networks, token or "", file)


def _ban(fields: Fields) -> str:
    inner = fields.inner("ban")
    if inner is None:
        return ""
    header = inner.text("tag_header", _HEADER, "give the name of a header such as Cache-Tag")
    inner.done()
    return header


def _error_page(fields: Fields) -> str:
    value = fields.take("error_page")
    if value is None:
        return ""
    if not isinstance(value, str) or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value) or len(value) > 65_536:
        raise fields.wrong("error_page", str(value)[:80], "give HTML of at most 64 KiB without control characters")
    if not _balanced(value):
        raise fields.wrong("error_page", value[:80], "its braces do not match, write &#123; and &#125; for single ones")
    return value


def _snippets(fields: Fields) -> tuple[tuple[str, str], ...]:
    inner = fields.inner("vcl")
    if inner is None:
        return ()
    found = []
    for place in PLACES:
        text = inner.take(place)
        if text is None:
            continue
        if not isinstance(text, str) or "\x00" in text:
            raise inner.wrong(place, text, "give VCL as a text")
        if not _balanced(text):
            raise inner.wrong(place, text[:80], "its braces do not match, so it would end the subroutine that it is in")
        found.append((place, text))
    inner.done()
    return tuple(found)


def _balanced(text: str) -> bool:
    """Whether each brace has its counterpart: varnishtest counts them, in strings, too."""
    depth = 0
    for one in re.findall(r"[{}]", text):
        depth += 1 if one == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _distinct(names: Sequence[str], where: str) -> None:
    """Names that stay different when they are symbols of VCL."""
    known: dict[str, str] = {}
    for name in names:
        before = known.setdefault(name.replace("-", "_"), name)
        if before is not name or names.count(name) > 1:
            raise VclError(f"{where} has {name!r} and {before!r}: give names that differ by more than - and _")


def read_sites(declarations: t.Any, *, secret_directory: str = "/etc/varnish/secrets") -> tuple[Site, ...]:
    """Check all declarations.

    :raises VclError: when one cannot be used, or two do not go together.
    """
    if isinstance(declarations, (str, Mapping)) or not isinstance(declarations, Sequence) or not declarations:
        raise VclError(f"sites is {declarations!r}: give a list with at least one site")
    sites = tuple(
        Site.from_dict(entry, secret_directory=secret_directory, where=f"sites[{index}]")
        for index, entry in enumerate(declarations)
    )
    _distinct([site.name for site in sites], "sites")
    owners: dict[str, str] = {}
    for site in sites:
        for host in site.hosts:
            before = owners.setdefault(host, site.name)
            if before != site.name:
                raise VclError(
                    f"site {site.name}: hosts has {host!r}, as site {before} has: a host belongs to one site"
                )
    return sites
