# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which function answers which operation, and what several of them need."""

from __future__ import annotations

import base64
import fnmatch
import functools
import json
import re
import typing as t

from simulator.errors import AwsError
from simulator.state import Account, Cloud, Region
from simulator.wire import Call

Handler = t.Callable[[Cloud, Call], dict[str, t.Any]]
#: (service, operation) -> what answers it.
OPERATIONS: dict[tuple[str, str], Handler] = {}
_Item = t.TypeVar("_Item")


def operation(service: str, name: str) -> t.Callable[[Handler], Handler]:
    """Register the decorated function as the answer to ``service:name``."""

    def register(function: Handler) -> Handler:
        OPERATIONS[service, name] = function
        return function

    return register


def account_of(cloud: Cloud, call: Call) -> Account:
    """The account that the request's credentials belong to."""
    return cloud.accounts[call.account]


def region_of(cloud: Cloud, call: Call) -> Region:
    """The region that the request is for."""
    return account_of(cloud, call).region(call.region)


def page(items: t.Sequence[_Item], limit: int, token: str | None, code: str) -> tuple[t.Sequence[_Item], str | None]:
    """One page, and the token of the next; a token that we did not make raises ``code``."""
    offset = 0
    if token:
        try:
            offset = int(json.loads(base64.urlsafe_b64decode(token))["offset"])
        except (ValueError, KeyError, TypeError):
            raise AwsError(code, "The token is not valid.") from None
    following = None
    if offset + limit < len(items):
        following = base64.urlsafe_b64encode(json.dumps({"offset": offset + limit}).encode()).decode()
    return items[offset : offset + limit], following


@functools.lru_cache(maxsize=4096)
def _wildcard(pattern: str) -> re.Pattern[str] | None:
    return re.compile(fnmatch.translate(pattern)) if any(c in pattern for c in "*?") else None


def matches(wanted: t.Sequence[str], values: t.Iterable[str]) -> bool:
    """Whether one of the values is one of those wanted (``*`` and ``?`` allowed)."""
    for value in values:
        for pattern in wanted:
            if value == pattern:
                return True
            compiled = _wildcard(pattern)
            if compiled and compiled.match(value):
                return True
    return False


Extractor = t.Callable[[t.Any], t.Iterable[str]]


def _tag_extractor(tags: t.Callable[[t.Any], t.Mapping[str, str]], key: str) -> Extractor:
    return lambda item: (tags(item)[key],) if key in tags(item) else ()


def apply_filters(
    items: t.Iterable[_Item],
    filters: t.Sequence[t.Mapping[str, t.Any]],
    extractors: t.Mapping[str, Extractor],
    tags: t.Callable[[_Item], t.Mapping[str, str]],
) -> list[_Item]:
    """EC2's filters: all must match, one value of each suffices. Unknown ones are an error as in EC2."""
    tests: list[tuple[Extractor, list[str]]] = []
    for one in filters:
        name, wanted = one.get("Name", ""), list(one.get("Values", []))
        if name.startswith("tag:"):
            tests.append((_tag_extractor(tags, name[4:]), wanted))
        elif name == "tag-key":
            tests.append((lambda item: tuple(tags(item)), wanted))
        elif name in extractors:
            tests.append((extractors[name], wanted))
        else:
            raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return [item for item in items if all(matches(wanted, extract(item)) for extract, wanted in tests)]


def tag_list(tags: t.Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as EC2 lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
