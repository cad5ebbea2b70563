# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of module aws_cost_anomaly_monitor, which documents them."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

_Dict: t.TypeAlias = "dict[str, t.Any]"

_STATE: _Dict = {"type": "str", "choices": ["present", "absent"], "default": "present"}
_VALUES: _Dict = {
    "type": "dict",
    "options": {
        # The key of a tag is no secret.
        "key": {"type": "str", "required": True, "no_log": False},
        "values": {"type": "list", "elements": "str", "required": True},
    },
}

OPTIONS: dict[str, _Dict] = {
    "monitors": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "state": _STATE,
            "each": {"type": "str", "choices": ["service", "account", "tag", "cost_category"]},
            "key": {"type": "str", "no_log": False},
            "accounts": {"type": "list", "elements": "str"},
            "tag": _VALUES,
            "cost_category": _VALUES,
        },
    },
    "subscriptions": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "state": _STATE,
            "monitors": {"type": "list", "elements": "str"},
            "frequency": {"type": "str", "choices": ["immediate", "daily", "weekly"], "default": "daily"},
            # Addresses are kept out of logs and results, whatever else fails to mask them.
            "emails": {"type": "list", "elements": "str", "no_log": True},
            "sns_topic": {"type": "str"},
            "min_impact": {"type": "float"},
            "min_percent": {"type": "float"},
            "match": {"type": "str", "choices": ["all", "any"], "default": "all"},
        },
    },
    "show_identities": {"type": "bool", "default": False},
}


def people(subscriptions: Iterable[Mapping[str, t.Any]]) -> set[str]:
    """The addresses of all subscriptions."""
    return {address for one in subscriptions for address in one.get("emails") or ()}
