# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of EC2 rightsizing, documented in ``doc_fragments/rightsizing.py``, and what they mean."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import SizingOptions
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import moment
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cloudwatch import GROUPS, MAXIMUM_LOOKBACK_DAYS
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prices import PriceOptions
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import CONNECTION_OPTIONS, Prometheus
from ansible_collections.frugal.cloud.plugins.module_utils.policy import load_policy
from ansible_collections.frugal.cloud.plugins.module_utils.rightsizing import Request

_DEFAULTS = SizingOptions()

OPTIONS: dict[str, dict[str, t.Any]] = {
    "filters": {"type": "dict", "default": {}},
    "instance_ids": {"type": "list", "elements": "str", "default": []},
    "metrics": {"type": "list", "elements": "str", "choices": list(GROUPS), "default": list(GROUPS)},
    "lookback_days": {"type": "int", "default": 32},
    "as_of": {"type": "str"},
    "minimum_history_hours": {"type": "float", "default": _DEFAULTS.minimum_history_hours},
    "trust_usage_before_restart": {"type": "bool", "default": False},
    "method": {"type": "str", "choices": ["risk_priced", "percentile"], "default": _DEFAULTS.method},
    "overload_minute_price": {"type": "float"},
    "cpu_percentile": {"type": "float", "default": _DEFAULTS.percentile},
    "cpu_headroom": {"type": "float", "default": _DEFAULTS.cpu_headroom},
    "memory_headroom": {"type": "float", "default": _DEFAULTS.memory_headroom},
    "network_headroom": {"type": "float", "default": _DEFAULTS.network_headroom},
    "ebs_headroom": {"type": "float", "default": _DEFAULTS.ebs_headroom},
    "idle_cpu_percent": {"type": "float", "default": _DEFAULTS.idle_cpu_percent},
    "minimum_saving": {"type": "float", "default": _DEFAULTS.minimum_saving},
    "include_under_provisioned": {"type": "bool", "default": _DEFAULTS.include_under_provisioned},
    "allow_burstable": {"type": "bool", "default": _DEFAULTS.allow_burstable},
    "allow_previous_generation": {"type": "bool", "default": _DEFAULTS.allow_previous_generation},
    "allow_architecture_change": {"type": "bool", "default": _DEFAULTS.allow_architecture_change},
    "allow_unverified_nvme": {"type": "bool", "default": _DEFAULTS.allow_unverified_nvme},
    "allow_instance_store_loss": {"type": "bool", "default": _DEFAULTS.allow_instance_store_loss},
    "prometheus": {
        "type": "dict",
        "options": {
            **CONNECTION_OPTIONS,
            "label": {"type": "str", "default": "instance_id"},
        },
    },
    "commitments": {"type": "str", "choices": ["cost_explorer", "none"], "default": "cost_explorer"},
    "price_refresh_days": {"type": "int", "default": PriceOptions.refresh_days},
    "price_offline_days": {"type": "int", "default": PriceOptions.offline_days},
    "policy": {"type": "raw"},
    "explain": {"type": "bool", "default": False},
}


class InvalidRequest(ValueError):
    """An option has a value that cannot be used; one sentence."""


def request_from(params: Mapping[str, t.Any]) -> Request:
    """The typed request behind a module's ``params``.

    :raises InvalidRequest: a value is out of range.
    :raises InvalidOption: the sizing engine refuses one.
    :raises PolicyError: the policy is malformed.
    """
    days = params["lookback_days"]
    if not 1 <= days <= MAXIMUM_LOOKBACK_DAYS:
        raise InvalidRequest(f"lookback_days is {days}: it must be from 1 to {MAXIMUM_LOOKBACK_DAYS}")
    unknown = set(params["metrics"]) - set(GROUPS)
    if unknown or "cpu" not in params["metrics"]:
        raise InvalidRequest("metrics must hold cpu: nothing can be sized without it")
    if not 50.0 <= params["cpu_percentile"] <= 100.0:
        raise InvalidRequest(
            f"cpu_percentile is {params['cpu_percentile']:g}: it must be from 50 to 100 (100: the maximum)"
        )
    filters: dict[str, list[str]] = {}
    for name, values in params["filters"].items():
        filters[name] = [str(value) for value in (values if isinstance(values, (list, tuple)) else [values])]
    server = params["prometheus"]
    folder = params.get("data_directory")
    return Request(
        as_of=moment(params["as_of"], "as_of") or datetime.datetime.now(datetime.timezone.utc),
        options=_sizing(params),
        policy=load_policy(params["policy"]),
        cache=Cache(str(Path(folder) / "cache") if folder else ""),
        prices=PriceOptions(params["price_refresh_days"], params["price_offline_days"]),
        filters=filters,
        instance_ids=params["instance_ids"],
        metrics=params["metrics"],
        lookback_days=days,
        trust_usage_before_restart=params["trust_usage_before_restart"],
        use_commitments=params["commitments"] == "cost_explorer",
        prometheus=Prometheus.from_options(server) if server else None,
        prometheus_label=server["label"] if server else "instance_id",
    )


def _sizing(params: Mapping[str, t.Any]) -> SizingOptions:
    same = (
        "method",
        "overload_minute_price",
        "cpu_headroom",
        "memory_headroom",
        "network_headroom",
        "ebs_headroom",
        "minimum_history_hours",
        "minimum_saving",
        "include_under_provisioned",
        "idle_cpu_percent",
        "allow_burstable",
        "allow_previous_generation",
        "allow_architecture_change",
        "allow_unverified_nvme",
        "allow_instance_store_loss",
        "explain",
    )
    return SizingOptions(percentile=params["cpu_percentile"], **{name: params[name] for name in same})
