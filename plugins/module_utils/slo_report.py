# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module ``slo_info`` answers: every SLO's figures and what they mean, as plain data."""

from __future__ import annotations

import collections
import datetime
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.error_budget import Assessment, assess
from ansible_collections.frugal.cloud.plugins.module_utils.executor import utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError, moment
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus
from ansible_collections.frugal.cloud.plugins.module_utils.observe.slo import Wanted, read_slos, require, with_past
from ansible_collections.frugal.cloud.plugins.module_utils.slo_series import Reading

#: https://prometheus.io/docs/concepts/data_model/
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def report(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The result of ``slo_info`` for its checked ``params``; ``server`` is for messages.

    :raises OptionError: a value cannot be used.
    :raises PrometheusError: the server cannot be read, or has none of the SLOs that were named.
    """
    at = moment(params["as_of"], "as_of") or utc_now()
    for label in params["labels"]:
        if not _LABEL.fullmatch(str(label)) or label in ("slo", "service"):
            raise OptionError(
                f"labels has the key {label!r}: give a label of Prometheus such as team; "
                "names and services are for the labels slo and service"
            )
    server = Prometheus.from_options(params["prometheus"])
    labels = {str(label): str(value) for label, value in params["labels"].items()}
    wanted = Wanted(params["names"], params["services"], labels)
    readings = read_slos(server, wanted, at)
    require(server, wanted, readings, at)
    readings = with_past(server, readings, wanted)
    slos = [_described(reading, assess(reading)) for reading in readings]
    return {
        "slos": slos,
        "by_state": dict(collections.Counter(slo["state"] for slo in slos)),
        "as_of": _text(at),
        "requests": server.requests,
        "server": server.url,
    }


def _described(reading: Reading, assessment: Assessment) -> dict[str, t.Any]:
    ahead = assessment.forecast
    hours = None if ahead.hours is None else datetime.timedelta(hours=ahead.hours)
    return {
        "name": reading.name,
        "service": reading.service,
        "labels": dict(reading.labels),
        "state": assessment.state,
        "why": assessment.why,
        "error_budget": reading.budget,
        "period_days": reading.period_days,
        "budget_left": _rounded(reading.left, 6),
        "burn_rates": {window: round(rate, 4) for window, rate in reading.burn_rates.items()},
        "events_per_second": _rounded(reading.events_per_second, 4),
        "forecast": {
            "hours": _rounded(ahead.hours, 2),
            "earliest_hours": _rounded(ahead.earliest, 2),
            "latest_hours": _rounded(ahead.latest, 2),
            "exhausted_at": None if hours is None else _text(reading.at + hours),
            "reason": ahead.reason,
        },
    }


def _text(at: datetime.datetime) -> str:
    """``2026-06-17T12:00:00Z``."""
    return at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
