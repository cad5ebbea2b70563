# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a Varnish on its host, analyses it on the controller, and recommends."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze import varnish
from ansible_collections.frugal.cloud.plugins.module_utils.host_varnish import ADVICE, OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import Advice, AdvisingAction


class ActionModule(AdvisingAction):
    """``varnish_stats_info`` on the host, then pure analysis."""

    service = "varnish"
    options: t.ClassVar[dict[str, dict[str, t.Any]]] = ADVICE

    def advise(self) -> Advice:
        """One reading of counters and log."""
        gain, grace = self.args["minimum_gain"], self.args["maximum_grace"]
        if not 0 <= gain <= 1:
            raise OptionError(f"minimum_gain is {gain:g}: give a share of requests from 0 to 1, such as 0.01")
        if grace < 0:
            raise OptionError(f"maximum_grace is {grace:g}: give seconds, 0 or more")
        data = self.call("varnish_stats_info", **{name: self.args[name] for name in OPTIONS})
        found = varnish.analyse(data, data["declaration"], data["tuned"], varnish.Options(self.host, gain, grace))
        more: dict[str, t.Any] = {"sites": [dict(site) for site in found.sites], "advice": list(found.advice)}
        return Advice(found.recommendations, found.summary, found.warnings, more)

    def summary(self, result: Mapping[str, t.Any]) -> Sequence[str]:
        """Each recommendation, the hit ratio now and then, and what is left as it is."""
        lines = []
        for site in result["sites"]:
            now, then = site["measured"], site["predicted"]
            lines.append(
                f"{site['name']}: hit ratio {now['hit_ratio']:.3f} now, {then['hit_ratio']:.3f} predicted; "
                f"{now['backend_requests_per_second']:.1f} backend requests/s now, "
                f"{then['backend_requests_per_second']:.1f} predicted"
            )
            lines += [f"  left alone: {refusal['what']}: {refusal['why']}" for refusal in site["refused"][:5]]
            lines += [f"  for the application: {text}" for text in site["advice"]]
        return [*super().summary(result), *lines, *(f"  advice: {text}" for text in result["advice"])]
