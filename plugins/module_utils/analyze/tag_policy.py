# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tag policy, and what it asks of one resource: which tags to set, which to remove, what a person has to decide.

Pure: takes tags and gives changes. Two spellings of a key (``env``, ``Env``, ``environment``) become one; where they
disagree, nothing is changed. A value comes from the resource itself, else from what it belongs to, else from the
policy's default. A value that is there is never replaced by a guess unless the policy says so.

Limits: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html and
https://cloud.google.com/compute/docs/labeling-resources#restrictions
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import functools
import hashlib
import json
import re
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence

#: What a value may be inherited from. ``account`` is the project on Google Cloud, ``instance`` the one a volume is of.
SOURCES = ("instance", "asg", "stack", "vpc", "account")
#: A resource with one of these is never changed, whatever the policy says; labels have no colon.
ALWAYS_PROTECTED: Mapping[str, tuple[str, ...]] = {"frugal:protected": ("true",), "frugal-protected": ("true",)}

Tags: t.TypeAlias = "Mapping[str, str]"
Source: t.TypeAlias = "tuple[str, str]"
_Dict: t.TypeAlias = "dict[str, t.Any]"


class TagPolicyError(ValueError):
    """One sentence: which part of the policy has which value, and what would be right."""


@dataclasses.dataclass(frozen=True)
class Cloud:
    """What a cloud allows: ``key`` and ``value`` say what is wrong with one, or nothing."""

    name: str
    word: str
    most: int
    key: Callable[[str], str]
    value: Callable[[str], str]
    reserved: tuple[str, ...] = ()


_AWS_TEXT = re.compile(r"[\w\s+\-=.:/@]*")


def _aws(most: int) -> Callable[[str], str]:
    def wrong(text: str) -> str:
        if len(text) > most:
            return f"AWS takes at most {most} characters"
        if not _AWS_TEXT.fullmatch(text):
            return "AWS takes letters, digits, spaces and + - = . _ : / @"
        return ""

    return wrong


def _aws_key(text: str) -> str:
    if text.lower().startswith("aws:"):
        return "keys that begin with aws: belong to AWS"
    return _aws(128)(text)


def _gcp(text: str) -> str:
    if text != text.lower():
        return f"labels of Google Cloud have no capitals, write {text.lower()!r}"
    if len(text) > 63:
        return "labels of Google Cloud have at most 63 characters"
    if not all(letter.isalnum() or letter in "-_" for letter in text):
        return "labels of Google Cloud have small letters, digits, '-' and '_'"
    return ""


def _gcp_key(text: str) -> str:
    if text and not text[0].isalpha() and text == text.lower():
        return "labels of Google Cloud begin with a small letter"
    return _gcp(text)


AWS = Cloud("AWS", "tag", 50, _aws_key, _aws(256), ("aws:",))
GCP = Cloud("Google Cloud", "label", 64, _gcp_key, _gcp, ("goog-",))


@functools.lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """What spellings have in common: letters and digits, in one case. ``Cost-Center`` is ``cost_center``."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of the policy. ``spellings`` and ``folded`` hold folded texts."""

    name: str
    spellings: frozenset[str]
    values: tuple[str, ...] = ()
    folded: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pattern: re.Pattern[str] | None = None
    default: str | None = None
    inherit: tuple[str, ...] = ()
    required: bool = True
    replace_invalid: bool = False
    resource_types: tuple[str, ...] = ()

    def settled(self, value: str) -> str | None:
        """The value in the policy's spelling; None where the policy does not allow it."""
        value = value.strip()
        if value in self.values:
            return value
        known = self.folded.get(fold(value))
        if known is not None:
            return known
        if self.pattern is not None:
            for spelled in (value, value.lower()):
                if self.pattern.fullmatch(spelled):
                    return spelled
            return None
        return None if self.values or not value else value

    def allowed(self, value: str) -> bool:
        """Whether the value is as the policy wants it, in its spelling."""
        return self.settled(value) == value

    @property
    def wanted(self) -> str:
        """What is allowed, in words."""
        ways = []
        if self.values:
            shown = ", ".join(self.values[:8]) + (", ..." if len(self.values) > 8 else "")
            ways.append(f"one of {shown}")
        if self.pattern is not None:
            ways.append(f"what matches {self.pattern.pattern}")
        return " or ".join(ways) or "a value"

    def applies(self, kind: str) -> bool:
        """Whether resources of this type need the key."""
        return not self.resource_types or any(fnmatch.fnmatchcase(kind, pattern) for pattern in self.resource_types)


@dataclasses.dataclass(frozen=True)
class Policy:
    """All keys, and what is never changed."""

    cloud: Cloud
    keys: tuple[Key, ...]
    protected_tags: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=lambda: dict(ALWAYS_PROTECTED))
    protected_resources: tuple[str, ...] = ()
    known_keys: tuple[str, ...] = ()
    report_unknown: bool = False
    keep_variants: bool = False
    accounts: Mapping[str, Tags] = dataclasses.field(default_factory=dict)
    digest: str = ""

    @property
    def sources(self) -> frozenset[str]:
        """What values are inherited from."""
        return frozenset(source for key in self.keys for source in key.inherit)

    def named(self, name: str, option: str) -> Key:
        """The key of this name. :raises TagPolicyError: the policy has none."""
        for key in self.keys:
            if key.name == name:
                return key
        raise TagPolicyError(f"{option} is {name!r}: the policy's keys are {', '.join(key.name for key in self.keys)}")

    def protects(self, resource: Resource) -> bool:
        """Whether the resource must not be changed."""
        for name, values in self.protected_tags.items():
            value = resource.tags.get(name)
            if value is not None and any(fnmatch.fnmatchcase(value, pattern) for pattern in values):
                return True
        return any(fnmatch.fnmatchcase(resource.id, pattern) for pattern in self.protected_resources)


@dataclasses.dataclass(frozen=True)
class Resource:
    """Something with tags. ``kind`` such as ``ec2:instance``; ``parents``: source -> its id, as in ``Inherited``."""

    id: str
    kind: str
    tags: Tags
    parents: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What stays wrong and a person has to decide."""

    key: str
    kind: t.Literal["missing", "invalid", "conflict", "unknown_key", "full"]
    text: str


@dataclasses.dataclass(frozen=True)
class Judged:
    """What the policy asks of a resource. ``origins``: key -> where its new value comes from.

    ``wrong`` holds the keys that are not as the policy wants them now, ``findings`` what will not be after the change.
    """

    resource: Resource
    set: Tags = dataclasses.field(default_factory=dict)
    remove: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    origins: Tags = dataclasses.field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    protected: bool = False

    @property
    def compliant(self) -> bool:
        """Whether there is nothing to do and nothing to decide."""
        return not self.wrong and not self.remove and not self.findings

    def after(self) -> dict[str, str]:
        """The tags when the change is made."""
        kept = {key: value for key, value in self.resource.tags.items() if key not in self.remove}
        return {**kept, **self.set}


def judge(policy: Policy, resource: Resource, inherited: Mapping[Source, Tags]) -> Judged:
    """What the policy asks of the resource. ``inherited``: (source, id) -> the tags of what resources belong to."""
    setting: dict[str, str] = {}
    removing: list[str] = []
    findings: list[Finding] = []
    origins: dict[str, str] = {}
    wrong: list[str] = []
    for key in policy.keys:
        if not key.applies(resource.kind):
            continue
        decided = _decide(policy, key, resource, inherited)
        if decided.finding is not None:
            wrong.append(key.name)
            findings.append(decided.finding)
        elif decided.value is not None:
            if resource.tags.get(key.name) != decided.value:
                wrong.append(key.name)
                setting[key.name] = decided.value
                origins[key.name] = decided.origin
            if not policy.keep_variants:
                removing.extend(decided.variants)
    if policy.report_unknown:
        findings.extend(_unknown(policy, resource))
    protected = policy.protects(resource)
    if not protected and setting:
        own = sum(not key.startswith(policy.cloud.reserved) for key in {*resource.tags, *setting} - set(removing))
        if own > policy.cloud.most:
            most = policy.cloud.most
            text = f"{policy.cloud.name} takes {most} {policy.cloud.word}s at most, and it would have {own}"
            findings.append(Finding(min(setting), "full", text))
            setting, removing, origins = {}, [], {}
    if protected:
        setting, removing, origins = {}, [], {}
    return Judged(resource, setting, tuple(removing), tuple(findings), origins, tuple(wrong), protected)


@dataclasses.dataclass(frozen=True)
class _Decided:
    value: str | None = None
    origin: str = ""
    variants: tuple[str, ...] = ()
    finding: Finding | None = None


def _spelled(policy: Policy, key: Key, tags: Tags) -> tuple[str, ...]:
    """The tags that are this key in another spelling."""
    return tuple(
        name
        for name in tags
        if name != key.name and fold(name) in key.spellings and not name.startswith(policy.cloud.reserved)
    )


def value_of(policy: Policy, key: Key, tags: Tags) -> str | None:
    """The value that tags give a key, in any spelling; None where they have none, or no allowed one."""
    for name in (key.name, *_spelled(policy, key, tags)):
        value = key.settled(tags.get(name, ""))
        if value is not None:
            return value
    return None


def _decide(policy: Policy, key: Key, resource: Resource, inherited: Mapping[Source, Tags]) -> _Decided:
    tags = resource.tags
    variants = _spelled(policy, key, tags)
    names = [name for name in (key.name, *variants) if name in tags]
    settled = {name: key.settled(tags[name]) for name in names}
    good = {value for value in settled.values() if value is not None}
    bad = [name for name in names if settled[name] is None and tags[name].strip()]
    word = policy.cloud.word
    if len(good) > 1:
        told = ", ".join(f"{name}={tags[name]}" for name in names)
        return _Decided(finding=Finding(key.name, "conflict", f"{told}: spellings of one {word} disagree"))
    if bad and not key.replace_invalid:
        # A good value beside a bad one in another spelling is a conflict as well: neither is thrown away.
        text = f"{bad[0]}={tags[bad[0]]}: use {key.wanted}"
        return _Decided(finding=Finding(key.name, "invalid", text))
    if good:
        (value,) = good
        there = next((name for name in names if settled[name] == value), key.name)
        origin = "its value in the policy's spelling" if there == key.name else f"{word} {there}"
        return _Decided(value, origin, variants)
    for source in key.inherit:
        parent = resource.parents.get(source)
        found = value_of(policy, key, inherited.get((source, parent), {})) if parent else None
        if found is not None:
            return _Decided(found, f"{source} {parent}", variants)
    if key.default is not None:
        return _Decided(key.default, "the policy's default", variants)
    if bad:
        return _Decided(finding=Finding(key.name, "invalid", f"{bad[0]}={tags[bad[0]]}: use {key.wanted}"))
    if not key.required:
        return _Decided()
    return _Decided(finding=Finding(key.name, "missing", f"{word} {key.name} is missing: use {key.wanted}"))


def _unknown(policy: Policy, resource: Resource) -> Iterable[Finding]:
    spellings = frozenset().union(*(key.spellings for key in policy.keys))
    for name in resource.tags:
        if fold(name) in spellings or name in policy.protected_tags or name.startswith(policy.cloud.reserved):
            continue
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in policy.known_keys):
            yield Finding(name, "unknown_key", f"{policy.cloud.word} {name} is not in the policy")


# -- reading a policy -----------------------------------------------------------------------------------------------

_KEY_MEMBERS: Mapping[str, type] = {
    "key": str,
    "variants": list,
    "values": list,
    "value_variants": dict,
    "pattern": str,
    "default": str,
    "inherit": list,
    "required": bool,
    "replace_invalid": bool,
    "resource_types": list,
}
_MEMBERS: Mapping[str, type] = {
    "keys": list,
    "protected_tags": dict,
    "protected_resources": list,
    "known_keys": list,
    "unknown_keys": str,
    "keep_variants": bool,
    "accounts": dict,
}
_WORDS = {str: "text", list: "a list", dict: "a mapping", bool: "true or false"}


def parse(data: t.Any, cloud: Cloud, where: str = "policy") -> Policy:
    """A policy from what its file holds. :raises TagPolicyError: one sentence about the first mistake."""
    _checked(data, _MEMBERS, where)
    if not data.get("keys"):
        raise TagPolicyError(f"{where} has no keys: give a list such as [{{key: team}}, {{key: env}}]")
    keys = tuple(_key(one, cloud, f"{where}.keys[{number}]") for number, one in enumerate(data["keys"]))
    _distinct(keys, where)
    unknown = data.get("unknown_keys", "ignore")
    if unknown not in ("ignore", "report"):
        raise TagPolicyError(f"{where}.unknown_keys is {unknown!r}: use ignore or report")
    protected = dict(ALWAYS_PROTECTED)
    for name, values in data.get("protected_tags", {}).items():
        given = values if isinstance(values, list) else [values]
        protected[str(name)] = tuple(_texts(given, f"{where}.protected_tags.{name}"))
    accounts: dict[str, dict[str, str]] = {}
    for account, tags in data.get("accounts", {}).items():
        if not isinstance(tags, Mapping):
            raise TagPolicyError(f"{where}.accounts.{account} is {tags!r}: use a mapping such as {{team: platform}}")
        accounts[str(account)] = {str(name): str(value) for name, value in tags.items()}
    return Policy(
        cloud,
        keys,
        protected,
        tuple(_texts(data.get("protected_resources", []), f"{where}.protected_resources")),
        tuple(_texts(data.get("known_keys", []), f"{where}.known_keys")),
        unknown == "report",
        data.get("keep_variants", False),
        accounts,
        hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest(),
    )


def _checked(data: t.Any, members: Mapping[str, type], where: str) -> None:
    if not isinstance(data, Mapping):
        raise TagPolicyError(f"{where} is {type(data).__name__}: use a mapping with {', '.join(members)}")
    for name, value in data.items():
        if name not in members:
            close = difflib.get_close_matches(str(name), members, 1)
            meant = f"did you mean {close[0]}?" if close else f"it has {', '.join(members)}"
            raise TagPolicyError(f"{where} has the unknown key {name!r}: {meant}")
        kind = members[name]
        plain = kind is str and isinstance(value, (str, int, float)) and not isinstance(value, bool)
        if not plain and not isinstance(value, kind):
            raise TagPolicyError(f"{where}.{name} is {value!r}: use {_WORDS[kind]}")


def _texts(values: Sequence[t.Any], where: str) -> list[str]:
    for value in values:
        # YAML reads yes, no, on and off as booleans, and a tag is text.
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise TagPolicyError(f"{where} holds {value!r}: use texts, in quotes where YAML reads something else")
    return [str(value) for value in values]


def _key(data: t.Any, cloud: Cloud, where: str) -> Key:
    _checked(data, _KEY_MEMBERS, where)
    name = str(data.get("key", ""))
    if not name:
        raise TagPolicyError(f"{where} has no key: name the {cloud.word}, as in {{key: team}}")
    _may(cloud.key, name, f"{where}.key")
    values = tuple(_texts(data.get("values", []), f"{where}.values"))
    for value in values:
        _may(cloud.value, value, f"{where}.values")
    folded: dict[str, str] = {}
    for value in values:
        if fold(value) in folded:
            raise TagPolicyError(f"{where}.values has {folded[fold(value)]!r} and {value!r}: spellings of one value")
        folded[fold(value)] = value
    for value, given in data.get("value_variants", {}).items():
        if values and value not in values:
            raise TagPolicyError(f"{where}.value_variants has {value!r}: it is none of values ({', '.join(values)})")
        _may(cloud.value, str(value), f"{where}.value_variants")
        for variant in _texts(given if isinstance(given, list) else [given], f"{where}.value_variants.{value}"):
            if folded.setdefault(fold(variant), str(value)) != str(value):
                raise TagPolicyError(
                    f"{where}.value_variants has {variant!r} for both {folded[fold(variant)]!r} and {value!r}"
                )
    inherit = tuple(_texts(data.get("inherit", []), f"{where}.inherit"))
    for source in inherit:
        if source not in SOURCES:
            raise TagPolicyError(f"{where}.inherit has {source!r}: use {', '.join(SOURCES)}")
    variants = _texts(data.get("variants", []), f"{where}.variants")
    key = Key(
        name,
        frozenset(fold(one) for one in (name, *variants)),
        values,
        folded,
        _pattern(data.get("pattern"), f"{where}.pattern"),
        None if data.get("default") is None else str(data["default"]),
        inherit,
        data.get("required", True),
        data.get("replace_invalid", False),
        tuple(_texts(data.get("resource_types", []), f"{where}.resource_types")),
    )
    if key.default is not None:
        _may(cloud.value, key.default, f"{where}.default")
        if not key.allowed(key.default):
            raise TagPolicyError(f"{where}.default is {key.default!r}: use {key.wanted}")
    return key


def _may(wrong: Callable[[str], str], text: str, where: str) -> None:
    if wrong(text):
        raise TagPolicyError(f"{where} is {text!r}: {wrong(text)}")


def _pattern(text: t.Any, where: str) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(str(text))
    except re.error as error:
        raise TagPolicyError(f"{where} is {text!r}, which is no regular expression: {error}") from None


def _distinct(keys: Sequence[Key], where: str) -> None:
    owner: dict[str, Key] = {}
    for key in keys:
        for spelling in key.spellings:
            other = owner.setdefault(spelling, key)
            if other is not key:
                raise TagPolicyError(f"{where}.keys has {other.name!r} and {key.name!r} with a spelling in common")
