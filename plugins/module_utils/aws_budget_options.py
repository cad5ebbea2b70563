# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of module aws_budget, which documents them."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

_Dict: t.TypeAlias = "dict[str, t.Any]"

_TEXT: _Dict = {"type": "str"}
_NAME: _Dict = {"type": "str", "required": True}
_TEXTS: _Dict = {"type": "list", "elements": "str"}
_NUMBER: _Dict = {"type": "float", "required": True}


def _entries(**options: _Dict) -> _Dict:
    return {"type": "list", "elements": "dict", "options": options}


def _mapping(**options: _Dict) -> _Dict:
    return {"type": "dict", "options": options}


def _choice(*choices: str, **more: t.Any) -> _Dict:
    return {"type": "str", "choices": list(choices), **more}


_THRESHOLD: dict[str, _Dict] = {
    "spend": _choice("actual", "forecasted", default="actual"),
    "threshold": _NUMBER,
    "threshold_type": _choice("percentage", "absolute_value", default="percentage"),
    # Addresses are kept out of logs and results, whatever else fails to mask them.
    "emails": {**_TEXTS, "no_log": True},
    "sns_topic": _TEXT,
}

OPTIONS: dict[str, _Dict] = {
    "budgets": {
        **_entries(
            name=_NAME,
            state=_choice("present", "absent", default="present"),
            type=_choice(
                "cost",
                "usage",
                "ri_utilization",
                "ri_coverage",
                "savings_plans_utilization",
                "savings_plans_coverage",
            ),
            period=_choice("daily", "monthly", "quarterly", "annually", "custom"),
            start=_TEXT,
            end=_TEXT,
            limit=_mapping(amount=_NUMBER, unit=_TEXT),
            planned_limits=_entries(start=_NAME, amount=_NUMBER, unit=_TEXT),
            auto_adjust=_mapping(
                type=_choice("historical", "forecast", required=True),
                periods={"type": "int"},
            ),
            filter={"type": "dict"},
            metric=_choice(
                "blended_cost",
                "unblended_cost",
                "amortized_cost",
                "net_unblended_cost",
                "net_amortized_cost",
                "usage_quantity",
                "normalized_usage_amount",
                "hours",
            ),
            cost_filters={"type": "dict"},
            cost_types=_mapping(
                **{
                    name: {"type": "bool"}
                    for name in (
                        "tax",
                        "subscription",
                        "blended",
                        "refund",
                        "credit",
                        "upfront",
                        "recurring",
                        "other_subscription",
                        "support",
                        "discount",
                        "amortized",
                    )
                }
            ),
            billing_view=_TEXT,
            alerts=_entries(
                **_THRESHOLD,
                comparison=_choice("greater_than", "less_than", "equal_to", default="greater_than"),
            ),
            actions=_entries(
                **_THRESHOLD,
                role=_NAME,
                approval=_choice("manual", "automatic", default="manual"),
                iam=_mapping(policy=_NAME, roles=_TEXTS, groups=_TEXTS, users=_TEXTS),
                scp=_mapping(policy=_NAME, targets={**_TEXTS, "required": True}),
                ssm=_mapping(
                    operation=_choice("stop_ec2_instances", "stop_rds_instances", required=True),
                    region=_NAME,
                    instances={**_TEXTS, "required": True},
                ),
            ),
            tags={"type": "dict"},
        ),
        "required": True,
    },
    "show_identities": {"type": "bool", "default": False},
}


def people(budgets: Sequence[Mapping[str, t.Any]]) -> set[str]:
    """All e-mail addresses of these budgets."""
    return {
        address
        for budget in budgets
        for option in ("alerts", "actions")
        for one in budget.get(option) or ()
        for address in one.get("emails") or ()
    }
