# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts replayed, and what they are worth.

The conditions are those of the rendered rules: :func:`fires` evaluates them for all moments at once, and
``test_alert_quality.py`` holds it against promtool.

Words
-----
*Due*: a page is due while the page's conditions without guards (sloth's table) hold of the *expected* numbers of
requests, that is, were traffic unlimited: no chance is in it.

*Incident to page for*: one during which a page is due at some moment, and in which at least ``FLOOR`` requests are
expected to fail. Smaller ones are counted apart: of what fails two requests nobody can say that it is no accident.

*Caught*: the page fires at some moment from the incident's start until ``GRACE`` after its end.

*Missed*: caught by sloth's table, and not by ours.

*False page*: one that begins to fire outside all incidents and their grace. Pages that begin less than ``MERGE`` after
the one before has ended are one page, as they are for who is paged.

*Delay*: from the incident's start until the page fires.
"""

from __future__ import annotations

import dataclasses
import typing as t

import numpy as np
from alert_replay.generator import STEP, Floats, Incident, World
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import slo as declarations
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import Slo

#: seconds after an incident's end: the short window of the slower page has to run empty
GRACE = 1800
MERGE = 1800
#: expected failed requests of an incident that counts
FLOOR = 15.0

Bools: t.TypeAlias = "np.ndarray[tuple[int], np.dtype[np.bool_]]"


def slo_of(objective: float, confidence: float) -> Slo:
    """The SLO that is replayed; confidence 0 is sloth's table: the same windows and factors, no guard."""
    return declarations.parse(
        {
            "name": "replayed",
            "service": "replay",
            "objective": objective,
            "evaluation_interval": f"{STEP}s",
            "sli": {"availability": {"bad": 'requests_total{code="500"}', "total": "requests_total"}},
            "alerting": {"confidence": confidence},
        }
    )


def _grown(counts: Floats, window: int) -> Floats:
    """What a counter grew by within the window that ends at each moment 1, 2, …"""
    counter = np.concatenate(([0.0], np.cumsum(counts, dtype=np.float64)))
    moments = np.arange(1, len(counter))
    return np.asarray(counter[moments] - counter[np.maximum(0, moments - window // STEP)])


def fires(slo: Slo, bad: t.Any, total: t.Any, severity: str = "page") -> Bools:
    """Whether the alert fires, at the end of each step: the conditions of the rendered rules."""
    found = np.zeros(len(total), dtype=bool)
    budget, z = float(slo.budget), slo.alerting.z if slo.alerting.confidence else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        for burn in slo.burns:
            if burn.severity != severity:
                continue
            holds = np.ones(len(total), dtype=bool)
            for window in (burn.short, burn.long):
                failed, seen = _grown(bad, window), _grown(total, window)
                # Noise of cumulated sums is no bad request.
                holds &= (seen > 1e-9) & (failed / seen > burn.threshold)
            if slo.alerting.confidence:
                bound = failed * np.maximum(0.0, 1.0 - 1.0 / (9.0 * failed) - z / (3.0 * np.sqrt(failed))) ** 3
                holds &= (failed > 0.0) & (bound / seen > budget)
            found |= holds
    return found


@dataclasses.dataclass(frozen=True)
class Judged:
    """What came of one incident; delays in seconds, None where it was not caught."""

    incident: Incident
    expected_bad: float
    sloth: float | None
    ours: float | None

    @property
    def missed(self) -> bool:
        """Caught by sloth's table and not by ours."""
        return self.sloth is not None and self.ours is None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Incidents in which a page was due, and false pages."""

    incidents: tuple[Judged, ...]
    false_sloth: int
    false_ours: int
    days: float

    def sized(self, low: float = FLOOR, high: float = float("inf")) -> list[Judged]:
        """The incidents in which so many requests were expected to fail; without limits, those to page for."""
        return [item for item in self.incidents if low <= item.expected_bad < high]


def _pages(firing: Bools) -> list[tuple[int, int]]:
    """Start and end (not included) of each page."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], firing.astype(np.int8), [0]))))
    found: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if found and start - found[-1][1] < MERGE // STEP:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _delay(firing: Bools, incident: Incident) -> float | None:
    found = np.flatnonzero(firing[incident.start : incident.end + GRACE // STEP])
    return float((found[0] + 1) * STEP) if found.size else None


def judge(world: World, confidence: float = declarations.CONFIDENCE) -> Verdict:
    """Replay one world with sloth's table and with ours."""
    sloth, ours = slo_of(world.objective, 0.0), slo_of(world.objective, confidence)
    due = fires(sloth, world.expected_bad, world.expected_total)
    by_sloth, by_ours = fires(sloth, world.bad, world.total), fires(ours, world.bad, world.total)
    judged = []
    excused = np.zeros(len(due) + 1, dtype=bool)
    for incident in world.incidents:
        excused[incident.start : incident.end + GRACE // STEP] = True
        if not due[incident.start : incident.end].any():
            continue
        expected = float(world.expected_bad[incident.start : incident.end].sum())
        judged.append(Judged(incident, expected, _delay(by_sloth, incident), _delay(by_ours, incident)))
    false = [sum(not excused[start] for start, _end in _pages(firing)) for firing in (by_sloth, by_ours)]
    return Verdict(tuple(judged), false[0], false[1], len(due) * STEP / 86400.0)


def together(verdicts: t.Iterable[Verdict]) -> Verdict:
    """Several worlds as one."""
    found = list(verdicts)
    return Verdict(
        tuple(item for verdict in found for item in verdict.incidents),
        sum(verdict.false_sloth for verdict in found),
        sum(verdict.false_ours for verdict in found),
        sum(verdict.days for verdict in found),
    )
