# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the declaration of sites, storage and parameters of a Varnish as approved, verifies and takes back."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.settings import Settings
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import varnish
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_verification import checks as checks_of
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.host_varnish import TUNING
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import TuningAction


class ActionModule(TuningAction):
    """What was tuned is in one file on the host; module ``varnish_config`` renders and loads what follows from it."""

    service = "varnish"
    kinds = (*varnish.SITE_KINDS, *varnish.SERVER_KINDS)
    options: t.ClassVar[dict[str, dict[str, t.Any]]] = TUNING

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Settings]:
        """The fields that each action changes, as tuning has left them."""
        tuned = self._stats(log_seconds=0.0)["tuned"]
        return {action.id: varnish.current(action.recommendation, tuned) for action in actions}

    def write(self, action: PlannedAction, values: Settings) -> str:
        """One transaction on the host."""
        self.call("varnish_config", tuned=varnish.tuned(action.recommendation, values), test=self.args["test"])
        return ""

    def checks(
        self, actions: Sequence[PlannedAction], begun: Mapping[str, datetime.datetime]
    ) -> Mapping[str, Sequence[Check]]:
        """The log, read live now, against what it said before."""
        del begun
        data = self._stats(log_seconds=self.args["log_seconds"])
        return {
            action.id: checks_of(action.recommendation, varnish.concerned(action.recommendation, data))
            for action in actions
        }

    def _stats(self, log_seconds: float) -> Mapping[str, t.Any]:
        return self.call(
            "varnish_stats_info",
            instance=self.args["instance"],
            log_seconds=log_seconds,
            log_history=False,
            log_requests=self.args["log_requests"],
        )
