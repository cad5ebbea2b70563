# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a Varnish do better since a change, or at least no worse? What its log says now, against what it said before."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish import leaks, measured
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_evidence import more_often
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_log import Visit
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check, Outcome, regression
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation

#: Requests that are needed to say anything.
LEAST_REQUESTS = 200
#: Loss of hit ratio, and growth of the backend's share of requests, that still count as no worse.
SLACK = 0.01
#: Growth of the share of errors that counts, when it is also more than chance.
ERRORS, CHANCE = 0.002, 0.02


def checks(recommendation: Recommendation, visits: Sequence[Visit]) -> list[Check]:
    """Private answers, hit ratio, backend requests, errors and time to the first byte.

    :param visits: requests since the change, of the site that it is about; of all sites for varnishd's own settings.
    """
    found = [_private(visits)]
    before: Mapping[str, t.Any] = recommendation.evidence.get("measured", {})
    now = measured(visits)
    if now["requests"] < LEAST_REQUESTS or not before.get("requests"):
        why = f"{now['requests']} requests were seen, {LEAST_REQUESTS} are needed"
        return [*found, Check("hit ratio", "no_data", why)]
    predicted = recommendation.evidence.get("predicted", {}).get("hit_ratio")
    foreseen = f", {predicted:.3f} predicted with all changes of the plan" if predicted is not None else ""
    found.append(
        Check(
            "hit ratio",
            _judge(now["hit_ratio"] >= before["hit_ratio"] - SLACK),
            f"{now['hit_ratio']:.3f} now, {before['hit_ratio']:.3f} before{foreseen}",
        )
    )
    then_share, share = (figures["backend_requests"] / figures["requests"] for figures in (before, now))
    found.append(
        Check(
            "backend requests",
            _judge(share <= then_share + SLACK),
            f"{share:.3f} a request now, {then_share:.3f} before",
        )
    )
    found.append(_errors(before, now))
    found.append(regression("time to the first byte, in seconds", before["ttfb"], now["ttfb"]))
    return found


def _judge(good: bool) -> Outcome:
    return "passed" if good else "failed"


def _private(visits: Sequence[Visit]) -> Check:
    leaked = leaks(visits)
    if leaked:
        return Check("private answers", "failed", f"came from the cache: {'; '.join(leaked[:3])}")
    # No proof by itself: without requests nothing can leak.
    return Check("private answers", "passed" if visits else "no_data", "none came from the cache")


def _errors(before: Mapping[str, t.Any], now: Mapping[str, t.Any]) -> Check:
    """Answers of 500 and above: more of them, by more than chance."""
    then_share, share = (figures["errors"] / figures["requests"] for figures in (before, now))
    chance = more_often(now["errors"], now["requests"], before["errors"], before["requests"])
    worse = share > then_share + ERRORS and chance < CHANCE
    return Check("errors", _judge(not worse), f"{share:.2%} of requests now, {then_share:.2%} before")
