# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of a declaration as VCL: strings, regular expressions and durations that stay what they are.

VCL has no escapes in strings, and varnishtest counts braces: what could end a string, a block or a macro is taken apart
here or refused by :mod:`vcl_site`. Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import re
import typing as t

#: what PCRE would read as more than the character itself
_SPECIAL = frozenset(r".\+?^$|()[]#-")
#: what a VCL string or varnishtest would read as more than the character itself, as PCRE writes it
_ENCODED = {"{": r"\x7b", "}": r"\x7d", '"': r"\x22", " ": r"\x20"}
#: the longest duration (seconds): a year
LONGEST = 31_536_000.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w|y)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def string(text: str) -> str:
    """A VCL expression for any text without control characters but tab and line feed.

    A text with quotes becomes a sum of strings, since ``"}`` would end a long one; ``${`` is taken apart, since
    varnishtest would read a macro.
    """
    # Within {" and "} everything but "} itself may be: quotes get a string of their own, {"""}.
    pieces = re.split(r'(")|(?<=\$)(?=\{)', text)
    parts = []
    for piece in pieces:
        if piece == '"':
            parts.append('{"""}')
        elif piece:
            parts.append(f'{{"{piece}"}}' if "\n" in piece else f'"{piece}"')
    return " + ".join(parts) or '""'


def literal(text: str) -> str:
    """A regular expression that matches exactly ``text``."""
    return "".join(
        _ENCODED.get(one) or (f"\\{one}" if one in _SPECIAL else one) for one in text.replace("*", "\0")
    ).replace("\0", r"\*")


def pattern(text: str, anything: str) -> str:
    """A regular expression for a pattern; its ``*`` becomes ``anything``, repeated as often as can be."""
    return f"{anything}*".join(literal(part) for part in re.split(r"\*+", text))


def any_of(patterns: t.Iterable[str]) -> str:
    """An expression that matches what one of ``patterns`` matches."""
    return "(?:" + "|".join(patterns) + ")"


def paths(patterns: t.Iterable[str]) -> str:
    """An expression for ``req.url`` whose path, without the query, is one of these patterns."""
    return "^" + any_of(pattern(one, "[^?]") for one in patterns) + r"(?:\?|$)"


def parameters(patterns: t.Iterable[str]) -> str:
    """An expression for the name of a query parameter."""
    return any_of(pattern(one, "[^=&]") for one in patterns)


def cookies(patterns: t.Iterable[str]) -> str:
    """An expression for the name of a cookie."""
    return any_of(pattern(one, "[^=;]") for one in patterns)


def agents(patterns: t.Iterable[str]) -> str:
    """An expression for a User-Agent, without regard to case."""
    return "(?i)^" + any_of(pattern(one, ".") for one in patterns) + "$"


def hosts(names: t.Iterable[str]) -> str:
    """An expression for a Host header, with or without a port; ``*.example.com`` has one name or more before it."""
    found = []
    for name in names:
        if name == "*":
            found.append(r".*")
        elif name.startswith("*."):
            found.append(r"(?:[a-z0-9_-]+\.)+" + literal(name[2:]))
        else:
            found.append(literal(name))
    return "^" + any_of(found) + "(?::[0-9]+)?$"


def seconds(text: str) -> float | None:
    """Seconds of a duration such as ``500ms`` or ``1h``; None where it is none."""
    found = _DURATION.fullmatch(text)
    return float(found.group(1)) * _SECONDS[found.group(2)] if found else None


def duration(value: float) -> str:
    """Seconds as VCL writes them."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def indented(lines: t.Iterable[str], depth: int = 1) -> list[str]:
    """Lines of a block."""
    return [f"{'    ' * depth}{line}" if line else "" for line in lines]
