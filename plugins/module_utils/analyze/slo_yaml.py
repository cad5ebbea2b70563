# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML for people, written without a YAML library: the managed hosts that this runs on need have none.

Mappings and lists in block style; texts of several lines as literal blocks; every other scalar as JSON, which YAML
reads alike. Deterministic: the same data gives the same text.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Mapping

#: Texts that need no quotes: no YAML version takes them for a number, a bool, null or a date.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_:.-]*[A-Za-z0-9_]")
_WORDS = frozenset("true false yes no on off null nan inf y n".split())


def to_yaml(value: t.Any, comment: str = "") -> str:
    """A document, below comment lines where ``comment`` has any."""
    head = "".join(f"# {line}\n" if line else "#\n" for line in comment.splitlines())
    return head + "\n".join(_lines(value, 0)) + "\n"


def _lines(value: t.Any, depth: int) -> t.Iterator[str]:
    """The lines of a mapping or list that is not empty."""
    pad = "  " * depth
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{pad}{_scalar(str(key))}:", item, depth)
    else:
        for item in value:
            if isinstance(item, (Mapping, list)) and item:
                inner = list(_lines(item, depth + 1))
                yield f"{pad}- {inner[0].lstrip(' ')}"
                yield from inner[1:]
            else:
                yield from _entry(f"{pad}-", item, depth)


def _entry(head: str, value: t.Any, depth: int) -> t.Iterator[str]:
    """A key or dash with its value."""
    if isinstance(value, (Mapping, list)) and value:
        yield head
        yield from _lines(value, depth + 1)
    elif isinstance(value, str) and _is_block(value):
        yield f"{head} |-"
        for line in value.split("\n"):
            yield f"{'  ' * (depth + 1)}{line}" if line else ""
    else:
        yield f"{head} {_scalar(value)}"


def _is_block(text: str) -> bool:
    """Whether a text reads better, and safely, as a literal block: several lines, or quotes inside."""
    lines = text.split("\n")
    if len(lines) == 1 and '"' not in text:
        return False
    if lines[0].startswith(" ") or not (lines[0] and lines[-1]):
        return False
    return all(line == line.rstrip() and line.isprintable() for line in lines)


def _scalar(value: t.Any) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        # YAML reads JSON's escapes, but wants all that cannot be printed escaped.
        text = json.dumps(value, ensure_ascii=False)
        return "".join(item if item.isprintable() else f"\\U{ord(item):08x}" for item in text)
    text = json.dumps(value)
    # Without a dot, YAML 1.1 takes a number with an exponent for a text.
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text
