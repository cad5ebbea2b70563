# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Overload minutes from daily statistics: against raw samples, and properties."""

from __future__ import annotations

import math
import typing as t

import numpy as np
import pytest
import sizing_data as data
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import burstable, risk_pricing
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.compute import recommend_instances
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.risk_pricing import Demand
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import SizingOptions, Verdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def statistics(samples: t.Any) -> t.Any:
    """(days, samples) -> (1, days, 5)."""
    found = np.percentile(samples, (50, 90, 99), axis=1).T
    return np.concatenate([found, samples.max(1)[:, None], samples.mean(1)[:, None]], axis=1)[None].astype(np.float32)


def demand(samples: t.Any) -> Demand:
    return Demand.of(statistics(samples), 86_400, 300)


class TestCurve:
    @pytest.mark.parametrize("samples_a_day", [2, 10, 20, 60, 120])
    def test_the_average_tells_how_long_a_job_runs(self, samples_a_day: int) -> None:
        # The area under the curve of shares above each level is the average demand. A job at 60 % that
        # runs 0.7 to 42 % of the day has the same percentiles over wide ranges of its length.
        samples = np.full((14, 288), 0.02)
        samples[:, 100 : 100 + samples_a_day] = 0.6
        found = demand(samples)
        area = np.trapezoid(found.observed[0], risk_pricing.grid()) + risk_pricing.grid()[0]
        assert area == pytest.approx(samples.mean(), rel=0.1)
        assert found.share_above(0.65)[0] == 0.0

    def test_one_sample_at_the_maximum_counts(self) -> None:
        samples = np.full((14, 288), 0.05)
        samples[:, 7] = 0.8
        assert 1 / 288 <= demand(samples).share_above(0.7)[0] < 3 / 288

    @pytest.mark.parametrize("seed", range(5))
    def test_close_to_the_raw_samples(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        samples = np.clip(random.lognormal(-2.5, 0.6, (20, 288)) * random.lognormal(0, 0.2, (20, 1)), 0, 1)
        found = demand(samples)
        for wanted in (90.0, 95.0, 99.5):
            assert found.percentile(wanted)[0] == pytest.approx(np.percentile(samples, wanted), rel=0.08)
        assert found.percentile(100.0)[0] == pytest.approx(samples.max())

    def test_missing_days_do_not_count(self) -> None:
        whole = statistics(np.random.default_rng(1).uniform(0.1, 0.4, (10, 288)))
        holes = np.concatenate([whole, np.full((1, 5, 5), np.nan, dtype=np.float32)], axis=1)
        assert np.allclose(Demand.of(whole, 86_400, 300).observed, Demand.of(holes, 86_400, 300).observed, atol=1e-6)

    def test_missing_percentiles_are_taken_as_more_demand(self) -> None:
        known = statistics(np.random.default_rng(1).uniform(0.1, 0.4, (10, 288)))
        unknown = known.copy()
        unknown[..., 1] = np.nan
        assert np.all(
            Demand.of(unknown, 86_400, 300).percentile(95.0) >= Demand.of(known, 86_400, 300).percentile(95.0)
        )

    def test_no_data_is_no_figure(self) -> None:
        found = Demand.of(np.full((1, 7, 5), np.nan, dtype=np.float32), 86_400, 300)
        assert np.isnan(found.peak[0]) and np.isnan(found.average[0]) and np.isnan(found.percentile(99.5)[0])
        assert found.expected().max() == 0.0


class TestFuture:
    def test_growth_is_continued_and_decline_is_not(self) -> None:
        days = np.arange(20.0)
        rising = np.exp(0.02 * days)[None, :]
        usable = np.ones((1, 20), dtype=bool)
        # 2 % a day for half of the history's 20 days.
        assert risk_pricing.growth(0.1 * rising, usable)[0] == pytest.approx(math.exp(0.2), rel=0.01)
        assert risk_pricing.growth(0.1 / rising, usable)[0] == 1.0
        noise = np.random.default_rng(0).lognormal(0, 0.2, (200, 20))
        assert np.mean(risk_pricing.growth(noise, np.ones((200, 20), dtype=bool)) > 1.0) < 0.08

    def test_recent_days_weigh_more(self) -> None:
        quiet_then_busy = np.concatenate([np.full((10, 288), 0.1), np.full((10, 288), 0.4)])
        busy_then_quiet = quiet_then_busy[::-1]
        ratio = np.array([[0.3]], dtype=np.float32)
        late = risk_pricing.at(demand(quiet_then_busy).expected(), ratio)[0, 0]
        early = risk_pricing.at(demand(busy_then_quiet).expected(), ratio)[0, 0]
        assert late > 0.6 > 0.5 > early > 0.1

    def test_short_history_leaves_more_risk(self) -> None:
        ratio = np.array([[0.5]], dtype=np.float32)
        short = risk_pricing.at(demand(np.full((4, 288), 0.3)).expected(), ratio)[0, 0]
        long = risk_pricing.at(demand(np.full((60, 288), 0.3)).expected(), ratio)[0, 0]
        assert short > 3 * long > 0

    def test_saturated_demand_reaches_beyond_the_machine(self) -> None:
        found = demand(np.full((14, 288), 1.0))
        tail = risk_pricing.saturated_tail(found.observed, 0.95, np.array([True]))
        assert risk_pricing.at(tail, np.array([[1.9]], dtype=np.float32))[0, 0] == pytest.approx(0.25, abs=0.01)
        none = risk_pricing.saturated_tail(found.observed, 0.95, np.array([False]))
        assert risk_pricing.at(none, np.array([[1.9]], dtype=np.float32))[0, 0] == 0.0


@st.composite
def usage_days(draw: st.DrawFn) -> t.Any:
    """14 to 30 days of statistics, percent of the machine."""
    days = draw(st.integers(14, 30))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    level = draw(st.floats(0.5, 25.0)) * random.lognormal(0.0, draw(st.floats(0.0, 0.4)), days)
    shape = np.cumprod([1.0, *random.uniform(1.0, 2.0, 3)])
    curve = np.minimum(level[:, None] * shape[None, :], 90.0)
    mean = 0.5 * curve[:, 0] + 0.4 * curve[:, 1] + 0.1 * curve[:, 2]
    return np.concatenate([curve, mean[:, None]], axis=1).astype(np.float32)


class TestProperties:
    @FEW
    @given(usage_days(), st.floats(1.05, 3.0))
    def test_more_demand_never_means_fewer_overload_minutes(self, days: t.Any, factor: float) -> None:
        less = Demand.of(days[None] / 100.0, 86_400, 300)
        more = Demand.of(days[None] / 100.0 * np.float32(factor), 86_400, 300)
        assert np.all(more.observed >= less.observed - 1e-4)
        assert np.all(more.expected() >= less.expected() - 2e-3)

    @FEW
    @given(usage_days())
    def test_curves_fall_and_are_shares(self, days: t.Any) -> None:
        for curve in (
            Demand.of(days[None] / 100.0, 86_400, 300).observed,
            Demand.of(days[None] / 100, 86_400, 60).expected(),
        ):
            assert curve.min() >= -1e-6 and curve.max() <= 1.0 + 1e-4
            assert np.all(np.diff(curve[0]) <= 1e-6)

    @FEW
    @given(usage_days(), st.floats(1.05, 3.0))
    def test_more_demand_never_gives_a_smaller_type_by_percentile(self, days: t.Any, factor: float) -> None:
        options = SizingOptions(method="percentile", allow_burstable=False)
        less, more = (size(values, options) for values in (days, np.minimum(days * factor, 94.0)))
        assert more >= less

    @FEW
    @given(usage_days(), st.floats(1.05, 3.0))
    def test_more_demand_never_gives_a_smaller_type_without_tolerance(self, days: t.Any, factor: float) -> None:
        options = SizingOptions(overload_minute_price=math.inf, allow_burstable=False)
        less, more = (size(values, options) for values in (days, np.minimum(days * factor, 94.0)))
        assert more >= less

    @FEW
    @given(usage_days(), st.floats(0.0, 100.0), st.floats(1.1, 20.0))
    def test_a_dearer_minute_never_gives_more_of_them(self, days: t.Any, multiple: float, factor: float) -> None:
        cheap, dear = (
            minutes(judge(days, SizingOptions(overload_multiple=value, minimum_saving_share=0.0, minimum_saving=0.0)))
            for value in (multiple, multiple * factor)
        )
        assert dear <= cheap + 0.2

    @FEW
    @given(usage_days(), st.floats(5.0, 80.0))
    def test_memory_always_fits(self, days: t.Any, percent: float) -> None:
        memory = data.daily(percent, len(days), (1, 1, 1, 1, 1))
        for values, needed in ((memory, percent / 100 * 32 * 1.2), (None, 32.0)):
            found = judge(days, SizingOptions(), values)
            if found.recommendation is not None:
                assert data.catalog()[found.recommendation.proposed["instance_type"]].memory_gib >= needed - 0.01


def judge(days: t.Any, options: SizingOptions, memory: t.Any = "some") -> Verdict:
    if isinstance(memory, str):
        memory = data.daily(10.0, len(days), (1, 1, 1, 1, 1))
    usage = data.usage({"i-1": days}, None if memory is None else {"i-1": memory})
    (found,) = recommend_instances([data.instance()], data.catalog(), None, data.prices(), usage, options)
    return found


def size(days: t.Any, options: SizingOptions) -> int:
    found = judge(days, options).recommendation
    return data.catalog()[found.proposed["instance_type"] if found else "m5.2xlarge"].vcpus


def minutes(verdict: Verdict) -> float:
    if verdict.recommendation is None:
        return 0.0
    return float(verdict.recommendation.evidence["expected_overload_minutes"]["proposed"])


class TestCatalog:
    def test_golden_figures(self) -> None:
        types = data.catalog()
        large = types["m5.large"]
        assert (large.network_baseline_gbps, large.network_peak_gbps) == (0.75, 10.0)
        assert (large.ebs_baseline_mbps, large.ebs_maximum_mbps, large.ebs_baseline_iops) == (650.0, 4750.0, 3600.0)
        assert (large.vcpus, large.cores, large.memory_gib, large.maximum_ebs_attachments) == (2, 1, 8.0, 27)
        assert types["m6i.large"].network_baseline_gbps == pytest.approx(0.781)
        assert types["m7i-flex.large"].network_baseline_gbps == pytest.approx(0.39)
        assert (types["m7i-flex.large"].ebs_baseline_mbps, types["m7i-flex.large"].ebs_baseline_iops) == (312.0, 2500.0)
        assert types["t3.medium"].network_baseline_gbps == pytest.approx(0.256)
        assert (types["t3.medium"].ebs_baseline_mbps, types["t3.medium"].ebs_baseline_iops) == (347.0, 2000.0)

    def test_every_type_that_moto_knows_converts(self) -> None:
        from ansible_collections.frugal.cloud.plugins.module_utils.observe.ec2_types import instance_type_from_api

        rows = data.api_rows()
        found = {name: instance_type_from_api(row) for name, row in rows.items()}
        assert len(found) > 1_000 and all(item.vcpus > 0 and item.memory_gib > 0 for item in found.values())
        assert found["g4dn.xlarge"].accelerators == 1 and found["g4dn.xlarge"].instance_storage_gb == 125
        assert found["mac2.metal"].bare_metal and found["mac2.metal"].hypervisor == "none"
        assert found["t2.micro"].ebs_baseline_mbps is None and found["t2.micro"].attachment_limit_type == "shared"

    def test_baselines_of_burstable_types(self) -> None:
        types = data.catalog()
        assert burstable.baseline_share(types["t3.medium"]) == 0.20
        assert burstable.baseline_share(types["t3.large"]) == 0.30
        assert burstable.baseline_share(types["m7i-flex.large"]) == 0.40
        assert burstable.baseline_share(types["m5.large"]) == 1.0
        assert burstable.surplus_price(types["t3.large"], "Linux") == 0.05
        assert burstable.surplus_price(types["t3.large"], "Windows") == 0.096
        assert burstable.surplus_price(types["m5.large"], "Linux") == 0.0
