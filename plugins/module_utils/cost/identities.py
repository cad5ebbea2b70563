# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Account ids, access keys and e-mail addresses made unreadable in reports, logs and messages.

What is left tells two apart for who knows them: the last four digits of an id, the first letter of an address.
"""

from __future__ import annotations

import re
import typing as t

#: How much of an id stays readable.
KEPT = 4
#: FOCUS columns whose whole value is an account's id, whatever the provider's ids look like.
COLUMNS = ("BillingAccountId", "SubAccountId")

# An account id is twelve digits by itself: not part of a longer number, of a hexadecimal id (i-0123...) or of a UUID.
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-"
_ACCOUNT = re.compile(rf"(?<![0-9a-f])(?<!{_UUID})[0-9]{{12}}(?![0-9a-f])")
# As the AWS console writes it: 1234-5678-9012.
_WRITTEN_ACCOUNT = re.compile(r"(?<![0-9a-f-])[0-9]{4}-[0-9]{4}-[0-9]{4}(?![0-9a-f-])")
# A billing account of Google Cloud: 01AB23-45CD67-89EF01.
_BILLING_ACCOUNT = re.compile(r"(?<![0-9A-Za-z-])[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}(?![0-9A-Za-z-])")
_ACCESS_KEY = re.compile(r"(?<![0-9A-Za-z])A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])")
_ADDRESS = re.compile(r"([\w!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]*@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
# Numbers and hexadecimal ids with hyphens (Azure's subscriptions are UUIDs); names of projects are none.
_ID = re.compile(r"[0-9A-Fa-f]+(?:-[0-9A-Fa-f]+)*")

T = t.TypeVar("T")


def _starred(found: re.Match[str]) -> str:
    return masked_id(found[0])


def masked_id(text: str) -> str:
    """An id with all letters and digits but the last four as stars; hyphens stay."""
    shown = len(text) - KEPT
    return "".join(letter if place >= shown or letter == "-" else "*" for place, letter in enumerate(text))


def masked(text: str) -> str:
    """The text with every account id, billing account, access key and e-mail address in it made unreadable."""
    for pattern in (_ACCOUNT, _WRITTEN_ACCOUNT, _BILLING_ACCOUNT, _ACCESS_KEY):
        text = pattern.sub(_starred, text)
    return _ADDRESS.sub(r"\1***@\2", text)


def masked_value(column: str, value: str) -> str:
    """A value of a FOCUS column: account columns hold ids of any length and form, the others text."""
    if column in COLUMNS and len(value) > KEPT and any(letter.isdigit() for letter in value) and _ID.fullmatch(value):
        return masked_id(value)
    return masked(value)


def masked_all(value: T) -> T:
    """The same of every text inside lists and dictionaries, their keys too."""
    if isinstance(value, str):
        return t.cast(T, masked(value))
    if isinstance(value, dict):
        return t.cast(T, {masked_all(key): masked_all(item) for key, item in value.items()})
    if isinstance(value, list):
        return t.cast(T, [masked_all(item) for item in value])
    return value
