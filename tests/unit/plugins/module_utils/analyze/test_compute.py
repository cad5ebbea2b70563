# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sizing engine decides, with real types and prices."""

from __future__ import annotations

import dataclasses
import math
import typing as t

import numpy as np
import pytest
import sizing_data as data
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import constraints
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.compute import (
    idle_instances,
    recommend_groups,
    recommend_instances,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import InvalidOption, SizingOptions, Verdict
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation
from ansible_collections.frugal.cloud.plugins.module_utils.resources import AutoScalingGroup, Instance, Volume


def judge(
    machine: Instance, cpu: t.Any, memory: t.Any = None, prices: t.Any = None, offered: t.Any = None, **options: t.Any
) -> Verdict:
    others = {name: {machine.instance_id: options.pop(name)} for name in list(options) if name.endswith("_second")}
    others |= {
        name: {machine.instance_id: options.pop(name)}
        for name in ("cpu_credit_balance", "cpu_surplus_credits_charged")
        if name in options
    }
    usage = data.usage({machine.instance_id: cpu}, None if memory is None else {machine.instance_id: memory}, **others)
    (verdict,) = recommend_instances(
        [machine], data.catalog(), offered, prices or data.prices(), usage, SizingOptions(**options)
    )
    return verdict


def proposed(verdict: Verdict) -> str:
    assert verdict.recommendation is not None, verdict
    return str(verdict.recommendation.proposed["instance_type"])


QUIET, HALF_MEMORY = data.daily(5.0, shape=(1, 1.1, 1.2, 1.3, 1.05)), data.daily(20.0, shape=(1, 1, 1, 1, 1))


class TestDecision:
    def test_a_quarter_of_the_cpu_and_memory_gets_a_quarter_of_the_machine(self) -> None:
        verdict = judge(data.instance(), QUIET, HALF_MEMORY, allow_burstable=False)
        assert verdict.outcome == "recommended" and verdict.finding == "over_provisioned"
        chosen = data.catalog()[proposed(verdict)]
        # 20 % of 32 GiB and 20 % headroom are 7.7 GiB: 8 GiB fit, 4 GiB do not.
        assert chosen.memory_gib == 8.0 and chosen.vcpus == 2
        assert proposed(verdict) == "m6a.large"
        recommendation = verdict.recommendation
        assert recommendation is not None
        assert recommendation.monthly.current == pytest.approx(0.384 * 730, abs=0.01)
        assert recommendation.monthly.saving == pytest.approx((0.384 - 0.0864) * 730, abs=0.01)
        assert recommendation.effort == "restart" and recommendation.current == {"instance_type": "m5.2xlarge"}
        assert recommendation.binding_constraint == "memory" and "memory" in recommendation.reasons[0]

    def test_record_survives_json(self) -> None:
        recommendation = judge(data.instance(), QUIET, HALF_MEMORY).recommendation
        assert recommendation is not None
        assert Recommendation.from_dict(recommendation.to_dict()).to_dict() == recommendation.to_dict()

    def test_evidence_shows_window_price_and_the_size_below(self) -> None:
        recommendation = judge(data.instance(), data.daily(10.0), HALF_MEMORY, allow_burstable=False).recommendation
        assert recommendation is not None
        evidence = recommendation.evidence
        assert evidence["window_start"].startswith("2026-06-01") and evidence["window_end"].startswith("2026-07-01")
        assert evidence["coverage"] == 1.0 and evidence["data_points"] == 30 * 288
        assert evidence["price_source"] == "AWS Price List" and evidence["price_date"] == "2026-07-20"
        assert [chart["metric"] for chart in evidence["charts"]] == ["CPU", "Memory", "Network", "EBS throughput"]
        assert len(evidence["charts"][0]["maximum"]) == 30
        assert evidence["method"] == "risk_priced" and evidence["overload_minute_price"] > 0

    def test_without_a_memory_metric_memory_is_never_reduced(self) -> None:
        verdict = judge(data.instance(), QUIET)
        assert data.catalog()[proposed(verdict)].memory_gib >= 32.0 if verdict.recommendation else True
        assert verdict.binding_constraint == "memory_unmeasured"

    def test_compute_optimizers_rule(self) -> None:
        # p99.5 of 40 % on 8 vCPUs and 20 % headroom: 3.84 vCPUs.
        flat = data.daily(40.0, shape=(1, 1, 1, 1, 1))
        verdict = judge(data.instance(), flat, HALF_MEMORY, method="percentile", allow_burstable=False)
        assert data.catalog()[proposed(verdict)].vcpus == 4
        # 45 % would need 4.3.
        verdict = judge(data.instance(), flat * 1.125, HALF_MEMORY, method="percentile", allow_burstable=False)
        assert verdict.recommendation is None or data.catalog()[proposed(verdict)].vcpus == 8
        verdict = judge(
            data.instance(), flat * 1.125, HALF_MEMORY, method="percentile", cpu_headroom=0.0, allow_burstable=False
        )
        assert data.catalog()[proposed(verdict)].vcpus == 4

    def test_saturated_cpu_gets_a_larger_type(self) -> None:
        full = data.daily(100.0, shape=(0.8, 1, 1, 1, 0.85))
        verdict = judge(data.instance(instance_type="m6i.large"), full, HALF_MEMORY, allow_burstable=False)
        assert verdict.finding == "under_provisioned"
        assert verdict.recommendation is not None and verdict.recommendation.monthly.saving < 0
        assert data.catalog()[proposed(verdict)].vcpus > 2
        verdict = judge(data.instance(instance_type="m6i.large"), full, HALF_MEMORY, include_under_provisioned=False)
        assert verdict.recommendation is None and verdict.finding == "under_provisioned"

    def test_idle_says_that_stopping_saves_more(self) -> None:
        verdict = judge(data.instance(), data.daily(1.0), HALF_MEMORY)
        assert verdict.finding == "idle"
        assert any("stopping" in reason for reason in verdict.reasons)

    def test_idle_only_question(self) -> None:
        averages = np.array([1.0, 4.9, 5.0, np.nan])
        assert idle_instances(averages, SizingOptions()).tolist() == [True, True, False, False]
        network = np.array([10.0, 5000.0, 1.0, 1.0])
        options = SizingOptions(idle_network_bytes_per_second=1000.0)
        assert idle_instances(averages, options, network).tolist() == [True, False, False, False]

    def test_no_change_for_cents(self) -> None:
        # From m6i.large to m6a.large saves 0.0096 USD an hour: 7.01 USD a month.
        small = data.instance(instance_type="m6i.large")
        busy, memory = data.daily(30.0), data.daily(40.0)
        assert proposed(judge(small, busy, memory, allow_burstable=False)) == "m6a.large"
        verdict = judge(small, busy, memory, allow_burstable=False, minimum_saving=7.5)
        assert verdict.outcome == "kept" and "too little for a change" in " ".join(verdict.reasons)

    def test_leaving_a_previous_generation_is_a_finding(self) -> None:
        busy = data.daily(45.0)
        verdict = judge(data.instance(instance_type="m5.large"), busy, data.daily(40.0), allow_burstable=False)
        assert verdict.finding == "previous_generation" and proposed(verdict) == "m6a.large"

    def test_zero_tolerance_for_one_instance(self) -> None:
        busy = data.daily(30.0)
        tolerant = judge(data.instance(), busy, HALF_MEMORY, allow_burstable=False, overload_minute_price=0.0)
        strict = judge(
            data.instance(), busy, HALF_MEMORY, allow_burstable=False, overload_minute_prices={"i-1": math.inf}
        )
        assert data.catalog()[proposed(tolerant)].vcpus < 8
        assert strict.recommendation is None or data.catalog()[proposed(strict)].vcpus == 8

    def test_architecture_change_is_opt_in_and_a_migration(self) -> None:
        offered = {data.ZONE: frozenset({"m5.2xlarge", "m6g.large"})}
        assert judge(data.instance(), QUIET, HALF_MEMORY, offered=offered).outcome == "kept"
        verdict = judge(
            data.instance(),
            QUIET,
            HALF_MEMORY,
            offered=offered,
            allow_architecture_change=True,
            allow_previous_generation=True,
        )
        assert proposed(verdict) == "m6g.large"
        assert verdict.recommendation is not None and verdict.recommendation.effort == "migrate"
        assert verdict.recommendation.risk.dimensions["platform"] == 3


class TestMoney:
    def test_covered_hours_save_nothing(self) -> None:
        verdict = judge(
            data.instance(),
            QUIET,
            HALF_MEMORY,
            data.prices(commitment_coverage={"m5": 0.75}, commitments_exist=True),
            allow_burstable=False,
        )
        assert verdict.recommendation is not None
        monthly = verdict.recommendation.monthly
        assert monthly.price_basis == "effective"
        assert monthly.list_saving == pytest.approx(217.25, abs=0.01)
        assert monthly.saving == pytest.approx(217.25 / 4, abs=0.01)

    def test_unknown_coverage_is_a_warning(self) -> None:
        verdict = judge(data.instance(), QUIET, HALF_MEMORY, data.prices(commitments_exist=True))
        assert verdict.recommendation is not None
        assert any("Savings Plans" in warning for warning in verdict.recommendation.warnings)

    def test_surplus_credits_are_paid(self) -> None:
        # Two busy days a week, 12.5 % of 8 vCPUs; on average 5.4 %.
        cpu = data.daily(np.where(np.arange(28) % 7 < 2, 12.5, 2.5), days=28, shape=(1, 1.05, 1.1, 1.15, 1.0))
        offered = {data.ZONE: frozenset({"m5.2xlarge", "t3.large"})}
        memory = data.daily(15.0, days=28, shape=(1, 1, 1, 1, 1))
        verdict = judge(data.instance(), cpu, memory, offered=offered, overload_minute_price=0.0)
        assert verdict.recommendation is not None and proposed(verdict) == "t3.large"
        # t3 runs at 2.5 GHz, m5 at 3.1: 1 vCPU of m5 is 1.24 of t3, of which 0.6 are the baseline.
        surplus = (0.125 * 8 * 3.1 / 2.5 - 2 * 0.30) * 730 * 2 / 7 * 0.05
        assert verdict.recommendation.monthly.proposed == pytest.approx(0.0832 * 730 + surplus, abs=0.05)
        assert any("surplus CPU credits" in reason for reason in verdict.reasons)

    def test_average_above_the_baseline_rules_burstable_types_out(self) -> None:
        offered = {data.ZONE: frozenset({"m5.2xlarge", "t3.large"})}
        # 8 % of 8 vCPUs are 32 % of 2: above t3.large's 30 %.
        verdict = judge(
            data.instance(),
            data.daily(8.0, shape=(1, 1, 1, 1, 1)),
            HALF_MEMORY,
            offered=offered,
            explain=True,
            explain_limit=200,
        )
        assert verdict.outcome == "kept"
        assert {item.instance_type: item.constraint for item in verdict.rejected}["t3.large"] == "cpu_baseline"


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "outcome", "words"),
        [
            ({"lifecycle": "spot"}, "refused", "spot"),
            ({"state": "stopped"}, "refused", "stopped"),
            ({"tenancy": "dedicated"}, "refused", "dedicated"),
            ({"placement_group": "cluster-1"}, "refused", "placement group cluster-1"),
            ({"capacity_reservation_id": "cr-1"}, "refused", "cr-1"),
            ({"product_codes": ("abc",)}, "refused", "Marketplace"),
            ({"root_device_type": "instance-store"}, "refused", "root device"),
            ({"managed_by": "eks", "manager": "prod"}, "redirected", "EKS cluster prod"),
            ({"managed_by": "ecs", "manager": "web"}, "redirected", "ECS cluster web"),
            ({"managed_by": "terraform", "manager": "net"}, "redirected", "Terraform"),
            ({"managed_by": "cloudformation", "manager": "s"}, "redirected", "CloudFormation stack s"),
            ({"managed_by": "asg", "manager": "web"}, "redirected", "Auto Scaling group web"),
        ],
    )
    def test_refused_with_reason_and_what_it_would_save(
        self, changes: dict[str, t.Any], outcome: str, words: str
    ) -> None:
        verdict = judge(data.instance(**changes), QUIET, HALF_MEMORY)
        assert verdict.outcome == outcome and verdict.recommendation is None
        assert words in verdict.refused_reason
        if changes.get("lifecycle") != "spot" and "root_device_type" not in changes:
            assert verdict.potential is not None and verdict.potential.monthly.saving > 100

    def test_instance_store_is_not_lost_unasked(self) -> None:
        machine = data.instance(instance_type="i4i.2xlarge")
        refused = judge(machine, QUIET, HALF_MEMORY)
        assert refused.outcome in ("refused", "kept")
        allowed = judge(machine, QUIET, HALF_MEMORY, allow_instance_store_loss=True)
        assert allowed.recommendation is not None
        assert any("erased" in warning for warning in allowed.recommendation.warnings)

    @pytest.mark.parametrize(
        ("machine", "cpu", "words"),
        [
            (data.instance(instance_type="m99.large"), QUIET, "m99.large, which the catalog"),
            (data.instance(operating_system="RHEL"), QUIET, "no RHEL price"),
            (data.instance(), data.daily(5.0, days=2), "48 hours of CPU data"),
            (data.instance(), np.full((30, 5), np.nan), "no CPU data"),
        ],
    )
    def test_unknown_with_reason(self, machine: Instance, cpu: t.Any, words: str) -> None:
        verdict = judge(machine, cpu)
        assert verdict.outcome == "unknown" and verdict.finding == "unknown" and words in verdict.reasons[0]

    def test_an_instance_without_usage_is_unknown(self) -> None:
        usage = data.usage({"i-other": QUIET})
        (verdict,) = recommend_instances([data.instance()], data.catalog(), None, data.prices(), usage, SizingOptions())
        assert verdict.outcome == "unknown" and "no usage data" in verdict.reasons[0]


class TestConstraints:
    @pytest.mark.parametrize(
        ("machine", "options", "constraint"),
        [
            (data.instance(network_interfaces=4), {}, "network_interfaces"),
            (data.instance(ipv4_addresses_per_interface=12), {}, "ipv4_addresses"),
            (
                data.instance(volumes=tuple(Volume(f"v{n}", "gp3", 1, "", 3000, 125) for n in range(28))),
                {},
                "attachments",
            ),
            (data.instance(), {"network_in_bytes_per_second": data.daily(9e7)}, "network_baseline"),
            (data.instance(), {"network_packets_in_per_second": data.daily(1.5e5)}, "packets"),
            (data.instance(), {"ebs_read_bytes_per_second": data.daily(6e7)}, "ebs_throughput"),
            (data.instance(), {"ebs_write_operations_per_second": data.daily(3000.0)}, "ebs_iops"),
        ],
    )
    def test_demand_binds(self, machine: Instance, options: dict[str, t.Any], constraint: str) -> None:
        verdict = judge(machine, QUIET, HALF_MEMORY, allow_burstable=False, explain=True, explain_limit=200, **options)
        rejected = {item.instance_type: item for item in verdict.rejected}
        assert rejected["m6a.large"].constraint == constraint
        assert rejected["m6a.large"].figure and "m6a.large" in rejected["m6a.large"].figure

    @pytest.mark.parametrize(
        ("machine", "candidate", "constraint"),
        [
            (data.instance(), "m6g.large", "architecture"),
            (data.instance(), "t2.large", "hypervisor"),
            (data.instance(instance_type="m4.2xlarge", nvme_capable=None), "m6a.large", "nvme"),
            (data.instance(instance_type="m4.2xlarge", ena_enabled=False), "m6a.large", "ena"),
            (data.instance(hibernation=True), "m6a.large", None),
            (data.instance(), "m6i.large", "generation"),
            (data.instance(), "m5.large", None),
            (data.instance(efa_interfaces=1), "m6a.large", "efa"),
            (data.instance(boot_mode="uefi"), "t2.large", "hypervisor"),
        ],
    )
    def test_what_the_machine_is_binds(self, machine: Instance, candidate: str, constraint: str | None) -> None:
        current = data.catalog()[machine.instance_type]
        table = constraints.TypeTable.of(data.catalog())
        priced = np.ones(len(table.types), dtype=bool)
        codes = constraints.structural(table, machine, current, priced, None, SizingOptions())
        code = int(codes[table.index[candidate]])
        assert (None if code == constraints.FEASIBLE else constraints.CONSTRAINTS[code]) == constraint

    def test_only_what_the_zone_offers(self) -> None:
        verdict = judge(
            data.instance(),
            QUIET,
            HALF_MEMORY,
            offered={data.ZONE: frozenset({"m7i.large", "m5.2xlarge"})},
            allow_burstable=False,
        )
        assert proposed(verdict) == "m7i.large"

    def test_exhausted_credits_are_not_made_smaller(self) -> None:
        empty = data.daily(0.0)
        verdict = judge(
            data.instance(instance_type="t3.large"), data.daily(20.0), data.daily(20.0), cpu_credit_balance=empty
        )
        assert verdict.recommendation is None or data.catalog()[proposed(verdict)].vcpus >= 2

    def test_speed_is_never_assumed_to_gain(self) -> None:
        types = data.catalog()
        assert constraints.speed_ratio(types["m5.large"], types["m6i.large"]) == 1.0
        assert constraints.speed_ratio(types["m6g.large"], types["m6i.large"]) <= constraints.THREAD_SHARE
        for current in types.values():
            for candidate in types.values():
                assert 0.0 < constraints.speed_ratio(current, candidate) <= 1.0


class TestXenVolumes:
    """EBS usage of Xen types is an upper bound: it may allow less bandwidth, it never asks for more than there is."""

    QUIET, HALF = data.daily(5.0, shape=(1, 1.1, 1.2, 1.3, 1.05)), data.daily(20.0, shape=(1, 1, 1, 1, 1))
    PEAKS = (np.nan, np.nan, 1, 1, np.nan)
    NAMES = (
        "ebs_read_bytes_per_second",
        "ebs_write_bytes_per_second",
        "ebs_read_operations_per_second",
        "ebs_write_operations_per_second",
    )

    def judged(self, bytes_per_second: float, operations_per_second: float = 10.0) -> Verdict:
        levels = (bytes_per_second, bytes_per_second, operations_per_second, operations_per_second)
        bounds = {name: data.daily(level, shape=self.PEAKS) for name, level in zip(self.NAMES, levels)}
        return judge(data.instance(instance_type="m4.2xlarge"), self.QUIET, self.HALF, **bounds)

    def baseline(self, verdict: Verdict) -> float:
        name = proposed(verdict) if verdict.recommendation else "m4.2xlarge"
        return data.catalog()[name].ebs_baseline_mbps or 0.0

    def test_a_small_bound_allows_less_bandwidth(self) -> None:
        assert self.baseline(self.judged(1e5)) < 1000.0

    def test_a_bound_beyond_what_the_type_can_is_as_good_as_none(self) -> None:
        """m4.2xlarge can move 1,000 Mbps: 70 MB/s each way are 1,120, and 9,000 operations each way too many."""
        unmeasured = self.judged(np.nan, np.nan)
        for beyond in (self.judged(7e7), self.judged(1e9)):
            assert beyond.finding == unmeasured.finding
            assert self.baseline(beyond) == self.baseline(unmeasured)
        for verdict in (unmeasured, self.judged(7e7), self.judged(1e9), self.judged(1e5, 9000.0)):
            assert verdict.finding != "under_provisioned"
        assert self.baseline(self.judged(7e7)) >= 1000.0

    def test_charts_say_that_it_is_a_bound(self) -> None:
        recommendation = self.judged(1e5).recommendation
        assert recommendation is not None
        assert recommendation.evidence["charts"][-1]["metric"] == "EBS throughput, at most"


class TestGroups:
    GROUP = AutoScalingGroup(
        "web",
        "arn:web",
        "111111111111",
        data.REGION,
        "m5.2xlarge",
        launch_template_id="lt-1",
        launch_template_version="3",
        minimum_capacity=3,
        maximum_capacity=3,
        desired_capacity=3,
        instance_ids=("i-1", "i-2", "i-3"),
        instance_types=("m5.2xlarge",) * 3,
        availability_zones=(data.ZONE,),
    )

    def verdict(self, levels: tuple[float, ...] = (5.0, 5.0, 5.0), **changes: t.Any) -> Verdict:
        members = [data.instance(f"i-{n}", managed_by="asg", manager="web") for n in (1, 2, 3)]
        shape = (1, 1.1, 1.2, 1.3, 1.05)
        cpu = {f"i-{n}": data.daily(level, shape=shape) for n, level in zip((1, 2, 3), levels, strict=True)}
        usage = data.usage(cpu, dict.fromkeys(cpu, HALF_MEMORY))
        (found,) = recommend_groups(
            [dataclasses.replace(self.GROUP, **changes)],
            members,
            data.catalog(),
            None,
            data.prices(),
            usage,
            SizingOptions(allow_burstable=False),
        )
        return found

    def test_saving_counts_every_member(self) -> None:
        recommendation = self.verdict().recommendation
        assert recommendation is not None
        assert recommendation.action == "asg_instance_type" and recommendation.effort == "replace"
        assert recommendation.monthly.saving == pytest.approx(3 * (0.384 - 0.0864) * 730, abs=0.02)

    def test_the_busiest_member_decides(self) -> None:
        assert data.catalog()[proposed(self.verdict((5.0, 5.0, 30.0)))].vcpus > 2

    @pytest.mark.parametrize(
        ("changes", "outcome", "words"),
        [
            ({"mixed_instances_policy": True}, "redirected", "mixed instances policy"),
            ({"launch_configuration": "lc", "launch_template_id": ""}, "redirected", "launch configuration"),
            ({"managed_by": "eks", "manager": "prod"}, "redirected", "EKS cluster prod"),
            ({"launch_template_version": "$Latest", "uses_latest_or_default": True}, "redirected", "$Latest"),
            ({"instance_types": ("m5.large", "m5.2xlarge")}, "refused", "several types"),
            ({"maximum_capacity": 9, "scales_on": ("cpu",)}, "refused", "cpu"),
        ],
    )
    def test_groups_that_must_not_be_changed(self, changes: dict[str, t.Any], outcome: str, words: str) -> None:
        verdict = self.verdict(**changes)
        assert verdict.outcome == outcome and verdict.recommendation is None and words in verdict.refused_reason


class TestOrder:
    def test_same_input_same_output_whatever_the_order(self) -> None:
        machines = [
            data.instance(f"i-{n}", kind) for n, kind in enumerate(("m5.2xlarge", "m5.large", "m4.xlarge") * 60)
        ]
        random = np.random.default_rng(3)
        cpu = {m.instance_id: data.daily(float(random.uniform(1, 60)), days=14) for m in machines}
        memory = {m.instance_id: data.daily(float(random.uniform(5, 45)), days=14) for m in machines}

        def run(order: t.Sequence[int]) -> list[dict[str, t.Any]]:
            chosen = [machines[index] for index in order]
            usage = data.usage({m.instance_id: cpu[m.instance_id] for m in chosen}, memory)
            found = recommend_instances(
                chosen, data.catalog(), None, data.prices(), usage, SizingOptions(chart_limit=0)
            )
            return [item.to_dict() for item in found]

        forward = run(range(len(machines)))
        assert run(random.permutation(len(machines)).tolist()) == forward
        savings = [item["recommendation"]["monthly"]["saving"] for item in forward if item["recommendation"]]
        assert len(savings) > 50

    def test_charts_only_for_the_first(self) -> None:
        machines = [data.instance(f"i-{n}") for n in range(5)]
        usage = data.usage({m.instance_id: QUIET for m in machines}, {m.instance_id: HALF_MEMORY for m in machines})
        found = recommend_instances(machines, data.catalog(), None, data.prices(), usage, SizingOptions(chart_limit=2))
        drawn = [bool(item.recommendation.evidence["charts"]) for item in found if item.recommendation]
        assert drawn == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "guess"}, "method is 'guess'"),
        ({"percentile": 20.0}, "percentile is 20.0"),
        ({"cpu_headroom": 20.0}, "cpu_headroom is 20.0"),
        ({"minimum_coverage": 50.0}, "minimum_coverage is 50.0"),
        ({"overload_minute_price": -1.0}, "^overload_minute_price is -1.0: it must not be negative"),
        ({"overload_minute_prices": {"i-1": -1.0}}, "^the price of an overload minute of i-1 is -1.0: it must not be"),
        ({"overload_multiple": math.nan}, "overload_multiple is nan"),
    ],
)
def test_bad_options_are_named(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        SizingOptions(**options)
