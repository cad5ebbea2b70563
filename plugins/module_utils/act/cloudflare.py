# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A zone's caching at Cloudflare: settings, cache rules, compression, tiered cache, purges.

- https://developers.cloudflare.com/cache/how-to/cache-rules/ (rules of phase http_request_cache_settings)
- https://developers.cloudflare.com/rules/compression-rules/ (phase http_response_compression)
- https://developers.cloudflare.com/cache/how-to/tiered-cache/
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cloudflare import Cloudflare, CloudflareError
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, carry_out, differs, written

_Dict: t.TypeAlias = "dict[str, t.Any]"
Tiered: t.TypeAlias = "t.Literal['off', 'generic', 'smart']"

CACHE_PHASE = "http_request_cache_settings"
COMPRESSION_PHASE = "http_response_compression"
COMPRESSION_RULE = "frugal_compression"
#: Things in one purge, on every plan.
PURGE_BATCH = 30
_PURGES = {"tags": "tags", "hosts": "hosts", "prefixes": "prefixes", "files": "files"}
_SMART = "/cache/tiered_cache_smart_topology_enable"
_GENERIC = "/argo/tiered_caching"


class ZoneError(ValueError):
    """One sentence: which option has which value, and what would be right."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the module's options say, checked by Ansible."""

    settings: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    rules: Sequence[Mapping[str, t.Any]] = ()
    #: whether rules that are not ours are removed
    purge_rules: bool = False
    compression: Sequence[str] = ()
    tiered_cache: Tiered | None = None
    purge: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


def find_zone(server: Cloudflare, name: str) -> str:
    """The id of the zone ``name``. :raises ZoneError: where the token sees none. :raises CloudflareError: no answer."""
    found = server.get("/zones", f"the zone {name}", {"name": name})
    if not found:
        raise ZoneError(f"zone is {name!r}: this token sees no zone of that name; give its name, or zone_id")
    return str(found[0]["id"])


def rule_ref(name: str) -> str:
    """The reference by which a rule of ours is found again: it stays when Cloudflare gives rules new ids."""
    return "frugal_" + re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def rule_body(rule: Mapping[str, t.Any]) -> _Dict:
    """A cache rule in Cloudflare's words.

    :raises ZoneError: for a rule that says too little or contradicts itself.
    """
    name, cache = rule["name"], rule["cache"]
    if not rule_ref(name).removeprefix("frugal_"):
        raise ZoneError(f"rules has the name {name!r}: a name needs letters or digits")
    parameters: _Dict = {"cache": cache}
    key: _Dict = {}
    if rule.get("edge_ttl") is not None:
        parameters["edge_ttl"] = {"mode": "override_origin", "default": rule["edge_ttl"]}
    if rule.get("browser_ttl") is not None:
        parameters["browser_ttl"] = {"mode": "override_origin", "default": rule["browser_ttl"]}
    if rule.get("ignore_query_parameters"):
        key["custom_key"] = {"query_string": {"exclude": {"list": sorted(rule["ignore_query_parameters"])}}}
    for option in ("ignore_query_strings_order", "cache_by_device_type", "cache_deception_armor"):
        if rule.get(option) is not None:
            key[option] = rule[option]
    if key:
        parameters["cache_key"] = key
    if rule.get("serve_stale") is not None:
        parameters["serve_stale"] = {"disable_stale_while_updating": not rule["serve_stale"]}
    extra = sorted(set(parameters) - {"cache"})
    if not cache and extra:
        raise ZoneError(f"rules[{name}] has cache: false and {', '.join(extra)}: what is not cached has neither")
    return {
        "ref": rule_ref(name),
        "description": name,
        "expression": rule["expression"],
        "enabled": rule["enabled"],
        "action": "set_cache_settings",
        "action_parameters": parameters,
    }


class Zone:
    """One zone at Cloudflare."""

    def __init__(self, server: Cloudflare, zone_id: str, name: str = "") -> None:
        self._server = server
        self._path = f"/zones/{zone_id}"
        self.id = zone_id
        self._name = name or zone_id

    def decide(self, wanted: Wanted) -> list[Change]:
        """Read what is there and say what has to change, purges last.

        :raises ZoneError: what was written cannot be. :raises CloudflareError: Cloudflare does not answer.
        """
        changes = self._settings(wanted.settings)
        if wanted.rules or wanted.purge_rules:
            bodies = [rule_body(rule) for rule in wanted.rules]
            refs = [body["ref"] for body in bodies]
            twice = next((body["description"] for body in bodies if refs.count(body["ref"]) > 1), None)
            if twice:
                raise ZoneError(f"rules has the name {twice!r} more than once: each rule needs a name of its own")
            changes += self._ruleset(CACHE_PHASE, "cache rules", bodies, keep_others=not wanted.purge_rules)
        if wanted.compression:
            body = {
                "ref": COMPRESSION_RULE,
                "description": COMPRESSION_RULE,
                "expression": "true",
                "enabled": True,
                "action": "compress_response",
                "action_parameters": {"algorithms": [{"name": name} for name in wanted.compression]},
            }
            changes += self._ruleset(COMPRESSION_PHASE, "compression rules", [body], keep_others=True)
        if wanted.tiered_cache:
            changes += self._tiered(wanted.tiered_cache)
        return changes + self._purges(wanted.purge)

    def perform(self, changes: Sequence[Change]) -> None:
        """Carry them out in order. :raises CloudflareError: the sentence says how many were made before."""
        carry_out(changes, self._one, CloudflareError)

    def _one(self, change: Change) -> None:
        method, path, body = change.request
        self._server.send(method, path, f"{change.about} of {self._name}", body)

    def _settings(self, wanted: Mapping[str, t.Any]) -> list[Change]:
        if not wanted:
            return []
        found = {item["id"]: item for item in self._server.get(f"{self._path}/settings", f"settings of {self._name}")}
        changes = []
        for name, value in sorted(wanted.items()):
            if name not in found:
                known = ", ".join(sorted(found))
                raise ZoneError(f"settings has {name!r}, which this zone does not have; it has {known}")
            value = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
            if not differs(value, found[name]["value"]):
                continue
            if found[name].get("editable") is False:
                raise ZoneError(f"settings has {name!r}, which the plan of {self._name} does not let anybody change")
            changes.append(
                Change(
                    "setting",
                    "update",
                    name,
                    {name: found[name]["value"]},
                    {name: value},
                    ("PATCH", f"{self._path}/settings/{name}", {"value": value}),
                )
            )
        return changes

    def _ruleset(self, phase: str, about: str, wanted: Sequence[_Dict], *, keep_others: bool) -> list[Change]:
        """One request replaces all rules of a phase: those of others first, as they were, then ours in their order."""
        path = f"{self._path}/rulesets/phases/{phase}/entrypoint"
        try:
            rules = self._server.get(path, f"{about} of {self._name}").get("rules") or []
        except CloudflareError as error:
            if error.status != 404:  # a phase without rules has no rule set yet
                raise
            rules = []
        ours = [rule for rule in rules if str(rule.get("ref", "")).startswith("frugal_")]
        others = [rule for rule in rules if rule not in ours]
        kept = others if keep_others else []
        before = {rule["ref"]: rule for rule in ours}
        same = [rule["ref"] for rule in ours] == [rule["ref"] for rule in wanted]
        if same and len(kept) == len(others) and not any(differs(rule, before[rule["ref"]]) for rule in wanted):
            return []
        body = {"rules": [*(_sendable(rule) for rule in kept), *wanted]}
        shown = {rule["ref"]: written(rule, before[rule["ref"]]) for rule in wanted if rule["ref"] in before}
        gone = {rule["ref"]: _sendable(rule) for rule in ours if rule["ref"] not in {w["ref"] for w in wanted}}
        dropped = (
            {} if keep_others else {str(rule.get("description") or rule["id"]): _sendable(rule) for rule in others}
        )
        return [
            Change(
                about,
                "update",
                phase,
                {**shown, **gone, **dropped},
                {rule["ref"]: rule for rule in wanted},
                ("PUT", path, body),
            )
        ]

    def _tiered(self, wanted: Tiered) -> list[Change]:
        goals = {
            _GENERIC: "off" if wanted == "off" else "on",
            _SMART: "on" if wanted == "smart" else "off",
        }
        changes = []
        for path, goal in goals.items():
            try:
                found = self._server.get(self._path + path, f"the tiered cache of {self._name}")["value"]
            except CloudflareError as error:
                if error.status != 404:
                    raise
                found = "off"
            if found != goal:
                name = "smart topology" if path == _SMART else "tiered caching"
                request = ("PATCH", self._path + path, {"value": goal})
                changes.append(Change("tiered cache", "update", name, {"value": found}, {"value": goal}, request))
        return changes

    def _purges(self, wanted: Mapping[str, t.Any]) -> list[Change]:
        path = f"{self._path}/purge_cache"
        if wanted.get("everything"):
            others = [name for name in _PURGES if wanted.get(name)]
            if others:
                raise ZoneError(f"purge has everything and {', '.join(others)}: give one of them")
            return [Change("purge", "purge", "everything", {}, {}, ("POST", path, {"purge_everything": True}))]
        changes = []
        for option, field in _PURGES.items():
            items = list(dict.fromkeys(wanted.get(option) or ()))
            for start in range(0, len(items), PURGE_BATCH):
                part = items[start : start + PURGE_BATCH]
                name = part[0] if len(part) == 1 else f"{len(part)} {option} from {part[0]}"
                changes.append(Change("purge", "purge", name, {}, {option: part}, ("POST", path, {field: part})))
        return changes


def _sendable(rule: Mapping[str, t.Any]) -> _Dict:
    """A rule without what only Cloudflare writes."""
    return {key: value for key, value in rule.items() if key not in ("version", "last_updated", "categories")}
