# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the progress of the module ``ec2_rightsizing_info`` and what it found."""

from __future__ import annotations

import typing as t

from ansible_collections.frugal.cloud.plugins.plugin_utils.following import FollowingAction
from ansible_collections.frugal.cloud.plugins.plugin_utils.tables import money


class ActionModule(FollowingAction):
    """One module call, followed."""

    def summary(self, result: t.Mapping[str, t.Any]) -> t.Sequence[str]:
        """What there is, what it costs, what could be saved, what it took to find out."""
        summary, api = result["summary"], result["api"]
        currency = summary["currency"]
        spent = f", {money(summary['monthly_cost'], currency)}/month at list price" if summary["monthly_cost"] else ""
        saving = money(summary["monthly_saving"], currency)
        text = (
            f"{result['scope']}: {summary['instances']} instances{spent}; "
            f"{summary['recommendations']} changes would save {saving}/month "
            f"({api['requests']} API requests, {api['cost']:.2f} USD)"
        )
        lines = [text]
        if result.get("idle"):
            lines.append(f"{summary['findings']['idle']['resources']} instances are idle")
        if summary["not_recommended"]:
            reasons = ", ".join(f"{count} x {reason}" for reason, count in sorted(summary["not_recommended"].items()))
            lines.append(f"left alone: {reasons}")
        return lines
