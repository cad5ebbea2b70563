# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration means, said once more in Python: what a request's URL becomes, and why it passes.

:mod:`vcl_tests` takes from here what Varnish has to do; the VCL comes from elsewhere, so each checks the other.
Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import fnmatch
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import Query, Site, TtlRule

#: an encoded character that a path can hold as it is, or that ends or parts it
_ENCODED = re.compile(r"%([0-9a-fA-F]{2})")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/\\#?%")


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern in which ``*`` stands for any characters."""
    return fnmatch.fnmatchcase(text, re.sub(r"([\[?])", r"[\1]", pattern))


def any_matches(patterns: t.Iterable[str], text: str) -> bool:
    """Whether one of the patterns matches."""
    return any(matches(pattern, text) for pattern in patterns)


def example(pattern: str, filling: str = "x1") -> str:
    """A text that a pattern matches."""
    return pattern.replace("*", filling)


def path_of(url: str) -> str:
    """The path of a URL."""
    return url.partition("?")[0]


def normalised(url: str, query: Query | None) -> str:
    """The URL that is looked up."""
    if query is None or "?" not in url:
        return url
    path, _mark, text = url.partition("?")
    kept = []
    for parameter in text.split("&"):
        name = parameter.partition("=")[0]
        if not parameter or any_matches(query.remove, name):
            continue
        if query.keep is None or any_matches(query.keep, name):
            kept.append(parameter)
    if query.sort and not _repeated(kept):
        kept.sort(key=lambda parameter: parameter.encode())
    return path + ("?" + "&".join(kept) if kept else "")


def _repeated(parameters: list[str]) -> bool:
    """Whether a name occurs twice, neighbours once sorted."""
    names = [parameter.partition("=")[0] for parameter in sorted(parameters, key=lambda one: one.encode())]
    return any(name and name == names[index + 1] for index, name in enumerate(names[:-1]))


def odd_path(path: str) -> bool:
    """Whether a backend may read a path as another one."""
    decoded = any(chr(int(code, 16)) in _PLAIN for code in _ENCODED.findall(path))
    parts = path.split("/")[1:]
    empty = any(part == "" for part in parts[:-1])
    return decoded or empty or "." in parts or ".." in parts or ";" in path or "\\" in path


def why_pass(site: Site, method: str, url: str, headers: Mapping[str, str]) -> str:
    """The reason for which a request is passed, ``""`` when it is looked up."""
    path = path_of(url)
    if method not in ("GET", "HEAD"):
        return "method"
    if (site.private_paths or site.pass_paths or site.public_paths) and odd_path(path):
        return "odd_path"
    lower = path.lower()
    if any_matches([pattern.lower() for pattern in site.private_paths], lower):
        return "private_path"
    if any_matches([pattern.lower() for pattern in site.pass_paths], lower):
        return "path"
    if any_matches(site.public_paths, path):
        return ""
    if headers.get("Authorization") is not None:
        return "authorization"
    return _why_cookies(site, headers.get("Cookie", ""))


def _why_cookies(site: Site, header: str) -> str:
    names = [cookie.strip().partition("=")[0] for cookie in header.split(";") if cookie.strip()]
    rules = site.cookies
    if rules is None:
        return "cookie" if names else ""
    if any(any_matches(rules.pass_on, name) for name in names):
        return "cookie"
    known = (*rules.ignore, *rules.vary_on)
    if not rules.ignore_unknown and any(not any_matches(known, name) for name in names):
        return "unknown_cookie"
    return ""


def rule_for(site: Site, url: str) -> TtlRule | None:
    """The rule for an answer's life that holds for a URL."""
    return next((rule for rule in site.ttl_rules if matches(rule.path, path_of(url))), None)


def device_class(site: Site, agent: str) -> str:
    """The class of a device, ``""`` where the site knows none."""
    if not site.device_classes:
        return ""
    for name, patterns in site.device_classes:
        if any_matches([pattern.lower() for pattern in patterns], agent.lower()):
            return name
    return site.default_device_class
