# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of a declaration, read one by one: each is checked, and what is wrong is said in one sentence.

Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_text


class VclError(Exception):
    """A declaration that cannot be used: one sentence for the operator."""


class Fields:
    """The fields of one mapping: each is read once, in the type that it must have; what is left is unknown."""

    def __init__(self, value: t.Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise VclError(f"{where} is {value!r}: give a mapping of fields")
        self._left = {str(key): entry for key, entry in value.items()}
        self.where = where
        self.known: list[str] = []

    def take(self, name: str) -> t.Any:
        """The value of a field, None where it is not set."""
        self.known.append(name)
        return self._left.pop(name, None)

    def names(self) -> list[str]:
        """The fields that are set and have not been read."""
        return list(self._left)

    def wrong(self, name: str, value: t.Any, right: str) -> VclError:
        """The sentence about a field."""
        return VclError(f"{self.at(name)} is {value!r}: {right}")

    def at(self, name: str) -> str:
        """A field as messages name it: C(site shop: cookies.keep)."""
        return f"{self.where}{'.' if ':' in self.where else ': '}{name}"

    def done(self) -> None:
        """Refuse what has not been read."""
        for name in sorted(self._left):
            raise VclError(f"{self.where} has {name!r}: there is no such field, there are {', '.join(self.known)}")

    def text(self, name: str, allowed: re.Pattern[str], right: str, default: str | None = None) -> str:
        """A text that is ``allowed``; required without a default."""
        value = self.take(name)
        if value is None:
            if default is None:
                raise VclError(f"{self.where} has no {name}: {right}")
            return default
        return self.matching(name, value, allowed, right)

    def matching(self, name: str, value: t.Any, allowed: re.Pattern[str], right: str) -> str:
        """``value`` when it is a text that is allowed."""
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not allowed.fullmatch(str(value)):
            raise self.wrong(name, value, right)
        return str(value)

    def texts(self, name: str, allowed: re.Pattern[str], right: str) -> tuple[str, ...]:
        """A list of texts, each once."""
        return self.optional_texts(name, allowed, right) or ()

    def optional_texts(self, name: str, allowed: re.Pattern[str], right: str) -> tuple[str, ...] | None:
        """A list of texts, each once; None where it is not set."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.wrong(name, value, "give a list")
        return tuple(dict.fromkeys(self.matching(name, entry, allowed, right) for entry in value))

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number within bounds."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise self.wrong(name, value, f"give a number from {least:g} to {most:g}")
        return float(value)

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, value, f"give a whole number from {least} to {most}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, value, "give true or false")
        return value

    def duration(self, name: str, default: float) -> float:
        """Seconds."""
        found = self.optional_duration(name)
        return default if found is None else found

    def optional_duration(self, name: str) -> float | None:
        """Seconds; None where it is not set."""
        value = self.take(name)
        if value is None:
            return None
        found = vcl_text.seconds(value) if isinstance(value, str) else None
        if value == 0 and not isinstance(value, (bool, str)):
            found = 0.0
        if found is None:
            raise self.wrong(name, value, "give a duration such as 500ms, 10s, 5m, 1h or 7d")
        if found > vcl_text.LONGEST:
            raise self.wrong(name, value, "give at most 1y")
        return found

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of some texts."""
        value = self.take(name)
        if value is None:
            return default
        if value not in choices:
            raise self.wrong(name, value, f"give one of {', '.join(choices)}")
        return str(value)

    def networks(self, name: str) -> tuple[str, ...]:
        """Addresses and networks, in their usual form."""
        found = []
        for entry in self.optional_texts(name, re.compile(r".+"), "give addresses such as 10.0.0.0/24") or ():
            try:
                found.append(str(ipaddress.ip_network(entry)))
            except ValueError as error:
                raise self.wrong(name, entry, f"give an address or network such as 10.0.0.0/24 ({error})") from None
        return tuple(found)

    def inner(self, name: str) -> Fields | None:
        """A mapping in this one; None where it is not set."""
        value = self.take(name)
        return None if value is None else Fields(value, self.at(name))

    def inners(self, name: str) -> list[Fields]:
        """A list of mappings in this one."""
        value = self.take(name)
        if value is None:
            return []
        if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
            raise self.wrong(name, value, "give a list")
        return [Fields(entry, f"{self.at(name)}[{index}]") for index, entry in enumerate(value)]
