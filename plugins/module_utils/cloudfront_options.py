# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of module cloudfront_cache, which documents them."""

from __future__ import annotations

import typing as t

_Dict: t.TypeAlias = "dict[str, t.Any]"

_TEXT: _Dict = {"type": "str"}
_NAME: _Dict = {"type": "str", "required": True}
_TEXTS: _Dict = {"type": "list", "elements": "str"}
_CHOICE: _Dict = {
    "type": "dict",
    "options": {
        "behavior": {"type": "str", "choices": ["none", "all", "only", "all_except"], "required": True},
        "names": _TEXTS,
    },
}


def _entries(**options: _Dict) -> _Dict:
    return {"type": "list", "elements": "dict", "default": [], "options": options}


OPTIONS: dict[str, _Dict] = {
    "cache_policies": _entries(
        name=_NAME,
        comment=_TEXT,
        min_ttl={"type": "int", "default": 0},
        default_ttl={"type": "int", "default": 86400},
        max_ttl={"type": "int", "default": 31536000},
        headers=_TEXTS,
        cookies=_CHOICE,
        query_strings=_CHOICE,
        gzip={"type": "bool", "default": True},
        brotli={"type": "bool", "default": True},
    ),
    "origin_request_policies": _entries(
        name=_NAME, comment=_TEXT, headers=_CHOICE, cookies=_CHOICE, query_strings=_CHOICE
    ),
    "functions": _entries(
        name=_NAME,
        comment=_TEXT,
        runtime={"type": "str", "choices": ["cloudfront-js-1.0", "cloudfront-js-2.0"], "default": "cloudfront-js-2.0"},
        code={"type": "str", "required": True},
    ),
    "distributions": _entries(
        id=_NAME,
        price_class={"type": "str", "choices": ["100", "200", "all"]},
        http_version={"type": "str", "choices": ["http1.1", "http2", "http3", "http2and3"]},
        behaviors={
            "type": "list",
            "elements": "dict",
            "options": {
                "path_pattern": {"type": "str", "default": "default"},
                "cache_policy": _TEXT,
                "origin_request_policy": _TEXT,
                "compress": {"type": "bool"},
                "viewer_request_function": _TEXT,
                "viewer_response_function": _TEXT,
            },
        },
        origin_shields={
            "type": "list",
            "elements": "dict",
            "options": {"origin": _NAME, "region": _TEXT},
        },
    ),
    "invalidate": _entries(
        distribution=_NAME,
        paths={"type": "list", "elements": "str", "required": True},
    ),
}
