# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of module k8s_cost_info (``doc_fragments/kubernetes_cost.py``), checked and turned into questions."""

from __future__ import annotations

import datetime
import os
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import (
    CAPACITY_TYPES,
    REFERENCE_PRICES,
    SPLITS,
    PriceRule,
    Resources,
    check_dimensions,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import duration
from ansible_collections.frugal.cloud.plugins.module_utils.cost import dataset_options
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import check_source
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus import is_currency
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes import Bill, Prices, Window
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes_focus import SERVICE, Target
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes_result import Grouping
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError, moment
from ansible_collections.frugal.cloud.plugins.module_utils.observe.kubernetes_metrics import Selection
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import CONNECTION_OPTIONS

_HOUR = datetime.timedelta(hours=1)
_PRICE: dict[str, t.Any] = {
    "node": {"type": "str"},
    "instance_type": {"type": "str"},
    "region": {"type": "str"},
    "capacity_type": {"type": "str", "choices": list(CAPACITY_TYPES)},
    "hourly": {"type": "float", "required": True},
    "effective_hourly": {"type": "float"},
}
OPTIONS: dict[str, t.Any] = {
    "opencost": {"type": "dict", "options": CONNECTION_OPTIONS},
    "prometheus": {
        "type": "dict",
        "options": {
            **CONNECTION_OPTIONS,
            "matchers": {"type": "dict", "default": {}},
            "resolution": {"type": "str", "default": "1m"},
        },
    },
    "cluster": {"type": "str", "default": "default-cluster"},
    "start": {"type": "str"},
    "end": {"type": "str"},
    "window": {"type": "str", "default": "1d"},
    "aggregate": {"type": "list", "elements": "str", "default": ["namespace"]},
    "labels": {"type": "list", "elements": "str", "default": []},
    "shared_namespaces": {"type": "list", "elements": "str", "default": []},
    "shared_split": {"type": "str", "choices": list(SPLITS), "default": "proportional"},
    "node_prices": {"type": "list", "elements": "dict", "options": _PRICE, "default": []},
    "reference_prices": {
        "type": "dict",
        "options": {name: {"type": "float", "required": True} for name in ("cpu", "ram", "gpu")},
    },
    "storage_prices": {"type": "dict", "default": {}},
    "bill": {
        "type": "dict",
        "options": {
            "url": {"type": "str", "no_log": True},
            "sources": {"type": "list", "elements": "str", "default": []},
        },
    },
    "currency": {"type": "str", "default": "USD"},
    "min_coverage": {"type": "float", "default": 0.95},
    "metrics_by": {"type": "str"},
    **dataset_options.options("kubernetes"),
    "billed_elsewhere": {"type": "bool"},
    "billing_account_id": {"type": "str"},
    "billing_account_name": {"type": "str"},
    "sub_account_id": {"type": "str"},
    "provider": {"type": "str", "default": SERVICE},
}
#: What rows cannot do without.
REQUIRED_BY = {"dataset": ["billed_elsewhere", "billing_account_id"]}
Params: t.TypeAlias = "t.Mapping[str, t.Any]"


def window_from(params: Params, now: datetime.datetime) -> Window:
    """The window, in full hours; what is written to a dataset, or compared with a bill, in full days.

    :raises OptionError: it is none.
    """
    days = bool(params["dataset"] or params["bill"])
    unit = "midnight UTC" if days else "a full hour"
    today = now.replace(hour=0 if days else now.hour, minute=0, second=0, microsecond=0)
    end = moment(params["end"], "end") or today
    length = datetime.timedelta(seconds=duration(params["window"], "window"))
    start = moment(params["start"], "start") or end - length
    why = "because costs are compared and written by the day" if days else "because metrics are added up by the hour"
    for name, value in (("start", start), ("end", end)):
        if value.minute or value.second or value.microsecond or (days and value.hour):
            given = params[name] or f"{value.isoformat()} (by window {params['window']})"
            raise OptionError(f"{name} is {given}: give {unit}, {why}")
    if start >= end:
        raise OptionError(f"start is {start.isoformat()}, end {end.isoformat()}: give a start before the end")
    if end > now:
        raise OptionError(f"end is {end.isoformat()}: give a time that has passed")
    return Window(start, end)


def grouping_from(params: Params) -> Grouping:
    """By what costs are grouped. :raises CostError: a dimension that is none."""
    check_dimensions(params["aggregate"])
    if params["metrics_by"] is not None:
        check_dimensions([params["metrics_by"]])
        if params["currency"] != "USD":
            raise OptionError(
                f"metrics_by is set and currency is {params['currency']}: the metric is in US dollars, leave one out"
            )
    return Grouping(params["aggregate"], params["shared_namespaces"], params["shared_split"])


def selection_from(params: Params) -> Selection:
    """Which series of Prometheus. Labels that are grouped by are read in any case."""
    options = params["prometheus"]
    wanted = [
        one.removeprefix("label:") for one in (*params["aggregate"], params["metrics_by"] or "") if "label:" in one
    ]
    resolution = duration(options["resolution"], "resolution")
    if 3600 % resolution:
        raise OptionError(f"resolution is {options['resolution']}: give a part of an hour such as 1m or 5m")
    return Selection(
        tuple((str(name), str(value)) for name, value in options["matchers"].items()),
        tuple(dict.fromkeys([*params["labels"], *wanted])),
        resolution,
    )


def prices_from(params: Params) -> Prices:
    """Prices. :raises OptionError: one that is below zero."""
    rules = []
    for number, entry in enumerate(params["node_prices"]):
        for name in ("hourly", "effective_hourly"):
            if entry[name] is not None and entry[name] < 0:
                raise OptionError(f"node_prices[{number}].{name} is {entry[name]}: give 0 or more")
        patterns = {name: entry[name] or "" for name in ("node", "instance_type", "region", "capacity_type")}
        rules.append(PriceRule(entry["hourly"], entry["effective_hourly"], **patterns))
    reference = params["reference_prices"]
    if reference and (min(reference.values()) < 0 or not reference["cpu"] + reference["ram"] > 0):
        raise OptionError("reference_prices: give prices of 0 or more, and one of cpu and ram above 0")
    storage = {}
    for name, value in params["storage_prices"].items():
        try:
            storage[str(name)] = float(value)
        except (TypeError, ValueError):
            raise OptionError(f"storage_prices[{name}] is {value!r}: give a price of a GiB a month") from None
        if not storage[str(name)] >= 0:
            raise OptionError(f"storage_prices[{name}] is {value}: give 0 or more")
    return Prices(tuple(rules), {}, Resources(**reference) if reference else REFERENCE_PRICES, storage)


def check(params: Params) -> None:
    """:raises OptionError: options that do not go together, or have a value that cannot be."""
    if not is_currency(params["currency"]):
        raise OptionError(f"currency is {params['currency']!r}: give a code of ISO 4217, such as USD")
    if not 0 < params["min_coverage"] <= 1:
        raise OptionError(f"min_coverage is {params['min_coverage']}: give a share above 0 and up to 1")
    if params["opencost"]:
        for name in ("node_prices", "reference_prices", "storage_prices"):
            if params[name]:
                raise OptionError(
                    f"{name} is for prometheus: OpenCost has prices of its own (role opencost sets them); to charge "
                    "what nodes really cost, give bill"
                )
    check_source(params["source"])


def bill_from(params: Params) -> Bill | None:
    """The cost data that hold what nodes cost. :raises OptionError: nothing says where they are."""
    if not params["bill"]:
        return None
    url = params["bill"]["url"] or os.environ.get("FRUGAL_COST_URL")
    if not url:
        raise OptionError(
            "bill.url is not set, and FRUGAL_COST_URL neither: give the folder of the cost data, or a database"
        )
    return Bill(url, tuple(params["bill"]["sources"]))


def target_from(params: Params) -> Target:
    """Whose rows they are."""
    return Target(
        params["billing_account_id"],
        params["currency"],
        params["provider"],
        params["billing_account_name"],
        params["sub_account_id"],
        params["billed_elsewhere"],
    )
