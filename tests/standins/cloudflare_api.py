# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for Cloudflare's API: zones, their settings, rule sets, tiered cache and purges.

Every body is checked against the types of Cloudflare's own Python client, which is generated from
Cloudflare's OpenAPI description: a field, a type or a value that it does not know is refused with
400, as Cloudflare refuses it. What it cannot tell is whether an expression is right, and what a
plan allows.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import re
import types
import typing as t
import urllib.parse
from collections.abc import Iterator, Mapping

import typing_extensions
from ansible_collections.frugal.cloud.tests.standins.serving import Reply, Request
from ansible_collections.frugal.cloud.tests.standins.serving import serving as serving_http
from cloudflare._types import SequenceNotStr
from cloudflare.types.argo.tiered_caching_edit_params import TieredCachingEditParams
from cloudflare.types.cache.cache_purge_params import CachePurgeParams
from cloudflare.types.cache.smart_tiered_cache_edit_params import SmartTieredCacheEditParams
from cloudflare.types.rulesets.phase_update_params import PhaseUpdateParams
from cloudflare.types.zones.setting_get_response import SettingGetResponse

_Dict = dict[str, t.Any]
TOKEN = "the-token-of-the-tests"
ZONE = "023e105f4ecef8ad9ca31a8372d0c353"
PHASES = ("http_request_cache_settings", "http_response_compression")


class BadRequest(Exception):
    """A request that Cloudflare's description does not allow."""


def problem(kind: t.Any, value: t.Any, where: str) -> str:
    """Why ``value`` is not of this type; empty where it is."""
    origin = typing_extensions.get_origin(kind)
    arguments = typing_extensions.get_args(kind)
    if origin in (typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.Annotated):
        return problem(arguments[0], value, where)
    if origin is typing_extensions.Literal or origin is t.Literal:
        return "" if value in arguments else f"{where}: {value!r} is none of {arguments}"
    if origin in (t.Union, types.UnionType):
        found = [problem(one, value, where) for one in arguments]
        return "" if "" in found else min(found, key=len)
    if origin in (collections.abc.Iterable, list, SequenceNotStr, collections.abc.Sequence):
        if not isinstance(value, list):
            return f"{where}: a list is expected"
        return next((why for n, item in enumerate(value) if (why := problem(arguments[0], item, f"{where}[{n}]"))), "")
    if origin is dict:
        if not isinstance(value, dict):
            return f"{where}: an object is expected"
        return next((why for k, item in value.items() if (why := problem(arguments[1], item, f"{where}.{k}"))), "")
    if typing_extensions.is_typeddict(kind):
        return _problem_of_object(kind, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return ""
    if kind in (str, int, float, bool):
        good = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        return "" if good else f"{where}: {value!r} is no {kind.__name__}"
    return "" if kind in (object, t.Any) or value is None else f"{where}: {kind} is not understood by the stand-in"


def _problem_of_object(kind: t.Any, value: t.Any, where: str) -> str:
    if not isinstance(value, dict):
        return f"{where}: an object is expected"
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    for name, hint in hints.items():
        if typing_extensions.get_origin(hint) is typing_extensions.Required and name not in value:
            return f"{where}.{name} is missing"
    for name, item in value.items():
        if name not in hints:
            return f"{where}.{name} is unknown"
        why = problem(hints[name], item, f"{where}.{name}")
        if why:
            return why
    return ""


def _settings() -> dict[str, t.Any]:
    """Setting -> type of its value, from the client's description of all settings."""
    found: dict[str, t.Any] = {}
    for model in typing_extensions.get_args(SettingGetResponse):
        fields = getattr(model, "model_fields", {})
        if "id" in fields and "value" in fields:
            for name in typing_extensions.get_args(fields["id"].annotation):
                found[name] = fields["value"].annotation
    return found


SETTINGS = _settings()


@dataclasses.dataclass
class Account:
    """One account with one zone; tests look at it and change it."""

    name: str = "example.com"
    settings: _Dict = dataclasses.field(
        default_factory=lambda: {
            "http3": "off",
            "early_hints": "off",
            "brotli": "off",
            "browser_cache_ttl": 14400,
            "0rtt": "off",
            "image_resizing": "off",
        }
    )
    locked: set[str] = dataclasses.field(default_factory=lambda: {"image_resizing"})
    rulesets: dict[str, list[_Dict]] = dataclasses.field(default_factory=dict)
    tiered: str = "off"
    smart: str | None = None
    purged: list[_Dict] = dataclasses.field(default_factory=list)
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    #: so many requests are answered with 429 first
    busy: int = 0
    #: a path that answers 500, whatever is asked
    broken: str = ""
    _versions: int = 0

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: t.Any) -> tuple[int, t.Any]:
        """Status and result of one request."""
        self.requests.append((method, path))
        if self.broken and self.broken in path:
            return 500, "internal error"
        if (method, path) == ("GET", "/zones"):
            names = query.get("name", [self.name])
            return 200, [{"id": ZONE, "name": self.name}] if self.name in names else []
        match = re.fullmatch(r"/zones/([0-9a-f]{32})(/.*)", path)
        if not match or match[1] != ZONE:
            return 404, "Could not route to the zone, perhaps its identifier is wrong"
        return self._of_zone(method, match[2], body)

    def _of_zone(self, method: str, rest: str, body: t.Any) -> tuple[int, t.Any]:
        if (method, rest) == ("GET", "/settings"):
            return 200, [self._setting(name) for name in self.settings]
        if method == "PATCH" and rest.startswith("/settings/"):
            return self._edit(rest.removeprefix("/settings/"), body)
        phase = re.fullmatch(r"/rulesets/phases/(\w+)/entrypoint", rest)
        if phase and phase[1] in PHASES:
            return self._phase(method, phase[1], body)
        if rest == "/argo/tiered_caching" and method in ("GET", "PATCH"):
            if method == "PATCH":
                self._check(TieredCachingEditParams, {"zone_id": ZONE, **body})
                self.tiered = body["value"]
            return 200, {"id": "tiered_caching", "value": self.tiered, "editable": True}
        if rest == "/cache/tiered_cache_smart_topology_enable" and method in ("GET", "PATCH"):
            if method == "PATCH":
                self._check(SmartTieredCacheEditParams, {"zone_id": ZONE, **body})
                self.smart = body["value"]
            if self.smart is None:
                return 404, "Unable to retrieve tiered_cache_smart_topology_enable setting value"
            return 200, {"id": "tiered_cache_smart_topology_enable", "value": self.smart, "editable": True}
        if (method, rest) == ("POST", "/purge_cache"):
            self._check(CachePurgeParams, {"zone_id": ZONE, **body})
            if any(isinstance(items, list) and len(items) > 30 for items in body.values()):
                raise BadRequest("You can only purge 30 at once")
            self.purged.append(body)
            return 200, {"id": ZONE}
        return 405, f"Method {method} not available for {rest}"

    def _setting(self, name: str) -> _Dict:
        return {"id": name, "value": self.settings[name], "editable": name not in self.locked}

    def _edit(self, name: str, body: _Dict) -> tuple[int, t.Any]:
        if set(body) != {"value"} or name not in self.settings:
            raise BadRequest("Undefined zone setting")
        why = problem(SETTINGS[name], body["value"], name)
        if why:
            raise BadRequest(f"Invalid value for zone setting {name}: {why}")
        self.settings[name] = body["value"]
        return 200, self._setting(name)

    def _phase(self, method: str, phase: str, body: t.Any) -> tuple[int, t.Any]:
        if method == "PUT":
            # Cloudflare takes rules as it returned them, with their ids.
            bare = [{key: value for key, value in rule.items() if key != "id"} for rule in body["rules"]]
            self._check(PhaseUpdateParams, {**body, "zone_id": ZONE, "rules": bare})
            kept = []
            for rule in body["rules"]:
                self._versions += 1
                new = f"{self._versions:032x}"
                made = {"id": new, "ref": rule.get("id", new), "version": "1", "last_updated": "2026-01-01T00:00:00Z"}
                kept.append({**made, "enabled": True, **rule})
            self.rulesets[phase] = kept
        elif method != "GET":
            return 405, "method not available"
        if phase not in self.rulesets:
            return 404, "could not find entrypoint ruleset in the " + phase + " phase"
        return 200, {"id": "2f2feab2026849078ba485f918791bdc", "phase": phase, "rules": self.rulesets[phase]}

    def _check(self, kind: t.Any, value: t.Any) -> None:
        why = problem(kind, value, "body")
        if why:
            raise BadRequest(why)


@contextlib.contextmanager
def serving(account: Account) -> Iterator[str]:
    """The stand-in on a free port; the address to give as ``api_url``."""

    def reply(request: Request) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _reply(403, "Authentication error")
        if account.busy:
            account.busy -= 1
            return _reply(429, "Rate limited", {"Retry-After": "0"})
        if not request.path.startswith("/client/v4/"):
            return _reply(404, "not found")
        path, query = request.path.removeprefix("/client/v4"), urllib.parse.parse_qs(request.query)
        try:
            return _reply(*account.answer(request.method, path, query, request.json()))
        except (BadRequest, ValueError, KeyError, TypeError) as error:
            return _reply(400, f"{type(error).__name__}: {error}")

    with serving_http(reply) as url:
        yield f"{url}/client/v4"


def _reply(status: int, found: t.Any, headers: Mapping[str, str] | None = None) -> Reply:
    """As Cloudflare wraps results and errors."""
    good = status == 200
    errors = [] if good else [{"code": 1000 + status, "message": found}]
    return Reply(
        status, {"success": good, "errors": errors, "messages": [], "result": found if good else None}, headers or {}
    )
