# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of module gcp_budget, which documents them."""

from __future__ import annotations

import typing as t

_Dict: t.TypeAlias = "dict[str, t.Any]"

_TEXT: _Dict = {"type": "str"}
_TEXTS: _Dict = {"type": "list", "elements": "str"}

OPTIONS: dict[str, _Dict] = {
    "billing_account": {"type": "str", "required": True},
    "budgets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "id": _TEXT,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "amount": {"type": "float"},
            "currency": _TEXT,
            "last_period": {"type": "bool"},
            "period": {"type": "str", "choices": ["month", "quarter", "year", "custom"]},
            "start": _TEXT,
            "end": _TEXT,
            "projects": _TEXTS,
            "folders": _TEXTS,
            "organizations": _TEXTS,
            "services": _TEXTS,
            "subaccounts": _TEXTS,
            "labels": {"type": "dict"},
            "credits": {"type": "str", "choices": ["include_all", "exclude_all", "include_specified"]},
            "credit_types": _TEXTS,
            "thresholds": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "threshold": {"type": "float", "required": True},
                    "spend": {"type": "str", "choices": ["actual", "forecasted"], "default": "actual"},
                },
            },
            "pubsub_topic": _TEXT,
            "channels": _TEXTS,
            "default_recipients": {"type": "bool"},
            "project_recipients": {"type": "bool"},
            "ownership": {"type": "str", "choices": ["all_users", "billing_account"]},
        },
    },
    "show_identities": {"type": "bool", "default": False},
}
