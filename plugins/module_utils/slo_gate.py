# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SLOs guard changes: the gate before an action begins, and the watch while it soaks.

Knows policies, planned actions and a Prometheus, and nothing of any cloud: whoever carries
out actions asks :meth:`SloGate.hold` before each, and :meth:`SloGate.watch` when verifying.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.error_budget import fast_burn, rule
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import (
    CONNECTION_OPTIONS,
    Prometheus,
    PrometheusError,
)
from ansible_collections.frugal.cloud.plugins.module_utils.observe.slo import Wanted, read_history, read_slos
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy, SloGuard
from ansible_collections.frugal.cloud.plugins.module_utils.slo_series import History, Reading, title

#: Where the SLOs' series are: an option of modules that apply and verify; documented by each.
GATE_OPTIONS: dict[str, dict[str, t.Any]] = {
    "slo_prometheus": {
        "type": "dict",
        "options": {**CONNECTION_OPTIONS, "refresh_seconds": {"type": "float", "default": 30.0}},
    },
}
#: Seconds after which a server that does not answer counts as unreachable: a run waits for it.
TIMEOUT = 20
_NOWHERE = "slo_prometheus does not say which Prometheus has its series"


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """What the watch saw, by action id: checks, and why an action cannot be judged yet."""

    checks: Mapping[str, Sequence[Check]]
    waits: Mapping[str, str]

    def failed(self, identity: str) -> Sequence[Check]:
        """The checks of an action that failed."""
        return [check for check in self.checks.get(identity, ()) if check.outcome == "failed"]


class SloGate:
    """Holds changes back while an SLO that guards them has too little budget left or burns too fast.

    :param server: where the recorded series are; None: nobody said, so guarded changes wait.
    :param now: the clock; figures are those of its moment.
    :param refresh_seconds: how long an answer is used before it is asked for again. A long
        run so notices that a budget begins to burn.
    """

    def __init__(
        self, server: Prometheus | None, now: Callable[[], datetime.datetime], refresh_seconds: float = 30.0
    ) -> None:
        self._server = server
        self._now = now
        self._refresh = datetime.timedelta(seconds=refresh_seconds)
        self._names: set[str] = set()
        self._read_at: datetime.datetime | None = None
        self._readings: list[Reading] = []
        self._trouble = ""

    @classmethod
    def from_options(cls, options: Mapping[str, t.Any] | None, now: Callable[[], datetime.datetime]) -> SloGate:
        """The gate that the checked option ``slo_prometheus`` names. :raises PrometheusError: one sentence."""
        if not options:
            return cls(None, now)
        return cls(Prometheus.from_options(options, TIMEOUT), now, options["refresh_seconds"])

    def hold(self, action: PlannedAction, policy: Policy) -> str:
        """Why ``action`` has to wait: SLO, figure and rule in one sentence; empty: it may begin."""
        guards = policy.guards(action.recommendation)
        if not guards:
            return ""
        self._read({guard.name for guard in policy.slos})
        for guard in guards:
            readings = [reading for reading in self._readings if _is_meant(guard, reading.name, reading.service)]
            ruling = rule(readings, guard, policy.floor_of(guard))
            if ruling.outcome == "held":
                return ruling.why
            if ruling.outcome == "blind" and guard.on_missing == "refuse":
                return self._blind(guard, ruling.why)
        return ""

    def _blind(self, guard: SloGuard, why: str, trouble: str = "") -> str:
        """One sentence for an SLO that cannot be judged."""
        trouble = trouble or self._trouble
        if self._server is None or trouble:
            return f"{title(guard.name, guard.service)} guards it and cannot be read: {trouble or _NOWHERE}"
        return f"{why} in Prometheus at {self._server.url}; the policy does not allow to go on without (on_missing)"

    def _read(self, names: set[str]) -> None:
        """Read all SLOs that were ever asked for, unless the last answer is new enough and knows ``names``."""
        now = self._now()
        if self._read_at is not None and names <= self._names and now - self._read_at < self._refresh:
            return
        self._names |= names
        self._read_at = now
        self._readings, self._trouble = [], ""
        if self._server is not None:
            try:
                self._readings = read_slos(self._server, Wanted(self._names), now)
            except PrometheusError as error:
                self._trouble = str(error)

    def watch(
        self,
        actions: Sequence[PlannedAction],
        policies: Mapping[str, Policy],
        begun: Mapping[str, datetime.datetime],
    ) -> Watched:
        """Whether budgets burned fast since ``actions`` began (``begun``, by id); ``policies`` by plan id.

        One query for all of them. Only actions whose policy has the check ``slo`` are looked at.
        """
        now = self._now()
        guarded = [
            (action, guards)
            for action in actions
            if "slo" in policies[action.plan_id].verification.checks
            and (guards := policies[action.plan_id].guards(action.recommendation))
        ]
        checks: dict[str, list[Check]] = {}
        waits: dict[str, str] = {}
        if not guarded:
            return Watched(checks, waits)
        since = {action.id: begun.get(action.id) or action.applied_at or now for action, _guards in guarded}
        histories: list[History] = []
        trouble = "" if self._server is not None else _NOWHERE
        if self._server is not None:
            names = {guard.name for _action, guards in guarded for guard in guards}
            try:
                histories = read_history(self._server, Wanted(names), min(since.values()), now)
            except PrometheusError as error:
                trouble = str(error)
        for action, guards in guarded:
            for guard in guards:
                meant = [history for history in histories if _is_meant(guard, history.name, history.service)]
                check = fast_burn(meant, guard, since[action.id])
                if check is not None:
                    checks.setdefault(action.id, []).append(check)
                elif guard.on_missing == "refuse":
                    why = f"{title(guard.name, guard.service)} has no samples since the change began"
                    waits.setdefault(action.id, self._blind(guard, why, trouble))
        return Watched(checks, waits)


def _is_meant(guard: SloGuard, name: str, service: str) -> bool:
    return name == guard.name and guard.service in ("", service)
