# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of k8s_cost_info: windows and sentences."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import (
    CostError,
    PriceRule,
    Resources,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import SloError
from ansible_collections.frugal.cloud.plugins.module_utils.cost import kubernetes_options as options
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import DatasetError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes import Bill
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError

UTC = datetime.timezone.utc
NOW = datetime.datetime(2026, 9, 15, 14, 35, 12, tzinfo=UTC)
RULE = {"node": None, "instance_type": None, "region": None, "capacity_type": None, "effective_hourly": None}


def params(**given: t.Any) -> dict[str, t.Any]:
    found = {name: option.get("default") for name, option in options.OPTIONS.items()}
    return {**found, "prometheus": {"url": "http://p", "matchers": {}, "resolution": "1m"}, **given}


def window(**given: t.Any) -> tuple[str, str]:
    found = options.window_from(params(**given), NOW)
    return found.start.strftime("%d %H:%M"), found.end.strftime("%d %H:%M")


def test_windows() -> None:
    assert window() == ("14 14:00", "15 14:00")
    assert window(window="1h") == ("15 13:00", "15 14:00")
    assert window(start="2026-09-01T00:00:00Z", end="2026-09-02T06:00:00+02:00") == ("01 00:00", "02 04:00")
    # Full days where days are compared or written.
    assert window(dataset="x") == ("14 00:00", "15 00:00")
    assert window(bill={"url": "x"}, window="7d") == ("08 00:00", "15 00:00")


def test_a_window_is_a_list_of_days() -> None:
    found = options.window_from(params(start="2026-09-12T22:00:00Z", end="2026-09-14T03:00:00Z"), NOW)
    assert [(start.strftime("%d %H"), end.strftime("%d %H")) for start, end in found.days()] == [
        ("12 22", "13 00"),
        ("13 00", "14 00"),
        ("14 00", "14 03"),
    ]
    assert found.hours == 29


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"start": "2026-09-01T00:30:00Z"}, r"start is 2026-09-01T00:30:00Z: give a full hour, because"),
        ({"dataset": "x", "window": "1h"}, r"start is .*\(by window 1h\): give midnight UTC, because"),
        ({"start": "2026-09-10", "end": "2026-09-10"}, "give a start before the end"),
        ({"end": "2026-09-16"}, "end is 2026-09-16T00:00:00.*: give a time that has passed"),
        ({"start": "yesterday"}, "start is 'yesterday': give a time such as"),
    ],
)
def test_windows_that_cannot_be(given: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        window(**given)
    with pytest.raises(SloError, match="window is 'long': give a duration"):
        window(window="long")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"currency": "Dollar"}, "currency is 'Dollar': give a code of ISO 4217"),
        ({"min_coverage": 0}, "min_coverage is 0: give a share"),
        ({"opencost": {"url": "x"}, "node_prices": [{}]}, "node_prices is for prometheus: OpenCost has"),
    ],
)
def test_options_that_cannot_be(given: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        options.check(params(**given))
    with pytest.raises(DatasetError, match="source is 'Blue'"):
        options.check(params(source="Blue"))
    options.check(params())


def test_prices() -> None:
    found = options.prices_from(
        params(
            node_prices=[{**RULE, "instance_type": "m5.*", "hourly": 0.1, "effective_hourly": 0.06}],
            reference_prices={"cpu": 2.0, "ram": 1.0, "gpu": 0.0},
            storage_prices={"gp3": "0.08"},
        )
    )
    assert found.rules == (PriceRule(0.1, 0.06, instance_type="m5.*"),)
    assert (found.reference, found.storage) == (Resources(2, 1, 0), {"gp3": 0.08})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"node_prices": [{**RULE, "hourly": -1.0}]}, r"node_prices\[0\].hourly is -1.0: give 0 or more"),
        ({"node_prices": [{**RULE, "hourly": 1, "effective_hourly": -1}]}, r"node_prices\[0\].effective_hourly is -1"),
        ({"reference_prices": {"cpu": 0.0, "ram": 0.0, "gpu": 1.0}}, "reference_prices: give prices of 0 or more"),
        ({"storage_prices": {"gp3": "much"}}, r"storage_prices\[gp3\] is 'much': give a price of a GiB a month"),
        ({"storage_prices": {"gp3": -1}}, r"storage_prices\[gp3\] is -1: give 0 or more"),
        ({"storage_prices": {"gp3": float("nan")}}, r"storage_prices\[gp3\] is nan: give 0 or more"),
    ],
)
def test_prices_that_cannot_be(given: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        options.prices_from(params(**given))


def test_labels_that_are_grouped_by_are_read() -> None:
    found = options.selection_from(params(aggregate=["label:team", "pod"], labels=["app"], metrics_by="label:svc"))
    assert found.labels == ("app", "team", "svc")
    with pytest.raises(OptionError, match="resolution is 7m: give a part of an hour"):
        options.selection_from(params(prometheus={"matchers": {}, "resolution": "7m"}))


def test_metrics_are_in_us_dollars() -> None:
    with pytest.raises(OptionError, match="metrics_by is set and currency is EUR"):
        options.grouping_from(params(metrics_by="controller", currency="EUR"))
    with pytest.raises(CostError, match="aggregate has 'team'"):
        options.grouping_from(params(metrics_by="team"))


def test_the_bill_is_where_all_cost_data_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRUGAL_COST_URL", raising=False)
    bill = {"bill": {"url": None, "sources": ["payer"]}}
    with pytest.raises(OptionError, match=r"bill\.url is not set, and FRUGAL_COST_URL neither"):
        options.bill_from(params(**bill))
    monkeypatch.setenv("FRUGAL_COST_URL", "/srv/costs")
    assert options.bill_from(params(**bill)) == Bill("/srv/costs", ("payer",))
    assert options.bill_from(params()) is None
