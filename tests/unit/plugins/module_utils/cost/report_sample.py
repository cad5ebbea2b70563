# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up fleet of 200 instances as a report's source: two accounts, three scopes, half a year of savings.

On-demand prices (USD/hour, Linux, us-east-1) are AWS's list prices of November 2025.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import random
import typing as t
from collections.abc import Iterable, Iterator

from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_data import (
    ActionRow,
    ApprovalRow,
    PlanRow,
    SavingRow,
    VerificationRow,
)
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import (
    Final,
    JournalEntry,
    Ledger,
    Saving,
    Selection,
    VerificationResult,
)
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    HOURS_PER_MONTH,
    Finding,
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)

AS_OF = datetime.datetime(2026, 11, 20, 9, 30, tzinfo=datetime.timezone.utc)
DAYS = 42
SCOPES = (("111122223333", "us-east-1"), ("111122223333", "eu-west-1"), ("444455556666", "us-east-1"))
#: type -> (USD/hour, vCPU, GiB, baseline Mbit/s)
TYPES = {
    "m5.4xlarge": (0.768, 16, 64, 5000),
    "m5.2xlarge": (0.384, 8, 32, 2500),
    "m5.xlarge": (0.192, 4, 16, 1250),
    "m5.large": (0.096, 2, 8, 750),
    "m6i.2xlarge": (0.384, 8, 32, 3125),
    "m6i.xlarge": (0.192, 4, 16, 1562),
    "m6i.large": (0.096, 2, 8, 781),
    "r5.2xlarge": (0.504, 8, 64, 2500),
    "r6i.xlarge": (0.252, 4, 32, 1562),
    "r6i.large": (0.126, 2, 16, 781),
    "c4.4xlarge": (0.796, 16, 30, 2500),
    "c6i.2xlarge": (0.34, 8, 16, 3125),
    "c6i.xlarge": (0.17, 4, 8, 1562),
    "t3.large": (0.0832, 2, 8, 512),
    "t3.medium": (0.0416, 2, 4, 256),
    "t3.small": (0.0208, 2, 2, 128),
}
CHANGES: tuple[tuple[str, str, str, str, Finding, str], ...] = (
    ("m5.4xlarge", "m6i.xlarge", "m6i.large", "api", "over_provisioned", "memory"),
    ("m5.2xlarge", "m6i.large", "t3.medium", "web", "over_provisioned", "memory"),
    ("m5.xlarge", "t3.medium", "t3.small", "ci-runner", "over_provisioned", "cpu"),
    ("r5.2xlarge", "r6i.xlarge", "r6i.large", "postgres", "over_provisioned", "memory"),
    ("c4.4xlarge", "c6i.2xlarge", "c6i.xlarge", "encoder", "previous_generation", "cpu"),
    ("m5.large", "t3.small", "t3.small", "staging", "idle", "network"),
    ("c6i.xlarge", "c6i.2xlarge", "c6i.xlarge", "search", "under_provisioned", "cpu"),
)
REFUSALS = (
    ("managed", "terraform", "{} is managed by terraform (module.web): change instance_type to {} there"),
    ("protected", "none", "{} is protected by its tag frugal:protected=true"),
    ("risk", "none", "its risk is high; the policy allows at most medium"),
    ("drifted", "none", "{} is no longer the type that the plan saw; it is now {}"),
    ("saving", "none", "it saves 3.20 USD/month; the policy asks for at least 5.00"),
)


class SampleSource:
    """A source of ``count`` actions; the same seed gives the same rows."""

    def __init__(self, count: int = 200, seed: int = 7, currency: str = "USD") -> None:
        self._count = count
        self._seed = seed
        self._currency = currency

    def plans(self) -> Iterable[PlanRow]:
        for i, (account, region) in enumerate(SCOPES):
            yield PlanRow(
                id=f"plan-{i}a1b2c3d4e5f",
                digest=f"{i}a1b2c3d4e5f" * 5,
                scope=f"{account}/{region}",
                account=account,
                made_at=AS_OF - datetime.timedelta(days=20, hours=i),
                policy="default",
                status="open",
                resources=(96, 41, 63)[i],
                monthly_spend=(31240.0, 9310.0, 14870.0)[i] * self._count / 200,
                currency=self._currency,
            )

    def actions(self) -> Iterator[ActionRow]:
        chance = random.Random(self._seed)
        for number in range(self._count):
            yield self._action(number, chance)

    def booked_until(self) -> datetime.datetime:
        return AS_OF.replace(day=1, hour=0, minute=0)

    def savings(self, now: datetime.datetime) -> Iterable[SavingRow]:
        for i, (account, region) in enumerate(SCOPES):
            for months_ago in range(6, -1, -1):
                month = (AS_OF.year * 12 + AS_OF.month - 1) - months_ago
                projected = (6 - months_ago + 1) * (1900.0, 620.0, 880.0)[i] / 2
                yield SavingRow(
                    scope=f"{account}/{region}",
                    month=f"{month // 12}-{month % 12 + 1:02d}",
                    projected=projected,
                    realised=projected * (0.93 + 0.01 * i) if months_ago else None,
                    currency=self._currency,
                    basis="on-demand list prices and running hours",
                )

    def _action(self, number: int, chance: random.Random) -> ActionRow:
        scope_index = chance.choices(range(3), (48, 20, 32))[0]
        account, region = SCOPES[scope_index]
        weights = (18, 26, 16, 14, 10, 10, 6)
        old, new, smaller, role, finding, binding = chance.choices(CHANGES, weights)[0]
        status = chance.choices(
            ("proposed", "approved", "applied", "verified", "rolled_back", "failed", "skipped", "rejected"),
            (30, 12, 8, 32, 2, 1, 13, 2),
        )[0]
        resource_id = f"i-0{chance.getrandbits(64):016x}"
        reason, manager, why = "", "none", ""
        if status == "skipped":
            reason, manager, text = chance.choice(REFUSALS)
            why = text.format(resource_id, new)
        elif status == "rolled_back":
            why = "p99 CPU after the change is 31 % higher than before (p = 0.002)"
        elif status == "failed":
            why = f"AWS had no capacity for {new} in {region}a; the instance runs as {old} again"
        elif status == "rejected":
            reason, why = "rejected", "rejected by bob: load test next week"
        made = AS_OF - datetime.timedelta(days=20)
        done = status in ("applied", "verified", "rolled_back", "failed")
        applied = made + datetime.timedelta(days=2, minutes=chance.randrange(300)) if done else None
        return ActionRow(
            plan_id=f"plan-{scope_index}a1b2c3d4e5f",
            scope=f"{account}/{region}",
            status=status,
            recommendation=self._recommendation(
                chance,
                (account, region),
                (old, new, smaller),
                f"{role}-{number:03d}",
                resource_id,
                finding,
                binding,
                manager,
            ),
            reason=reason,
            why=why,
            approvals=(ApprovalRow("alice", made + datetime.timedelta(days=1), comment="agreed with the team"),)
            if done or status == "approved"
            else (),
            applied_at=applied if status != "failed" else None,
            updated_at=applied,
            verification=VerificationRow(
                "passed" if status == "verified" else "failed",
                "status checks and alarms fine; p99 CPU as before (p = 0.41)" if status == "verified" else why,
                applied and applied + datetime.timedelta(hours=24),
            )
            if status in ("verified", "rolled_back")
            else None,
            steps=("stop", "change type", "start", "status checks") if done else (),
        )

    def _recommendation(
        self,
        chance: random.Random,
        place: tuple[str, str],
        types: tuple[str, str, str],
        name: str,
        resource_id: str,
        finding: Finding,
        binding: str,
        manager: str,
    ) -> Recommendation:
        old, new, smaller = types
        price_old, cpu_old, memory_old, network_old = TYPES[old]
        price_new, cpu_new, memory_new, network_new = TYPES[new]
        start = AS_OF - datetime.timedelta(days=DAYS + 20)
        load = chance.uniform(0.45, 0.8) * (1.5 if finding == "under_provisioned" else 1.0)
        charts = [
            chart(
                "CPU",
                "% of the current capacity",
                100.0,
                100.0 * cpu_new / cpu_old,
                min(100.0, 100.0 * cpu_new / cpu_old) * load * 0.9,
                chance,
                start,
            ),
            chart("Memory", "GiB", memory_old, memory_new, min(memory_old, memory_new) * load * 0.95, chance, start),
            chart(
                "Network",
                "Gbps",
                network_old / 1000,
                network_new / 1000,
                network_new / 1000 * 0.3 * load,
                chance,
                start,
            ),
        ]
        risks = {"cpu": chance.randrange(3), "memory": chance.randrange(4), "network": chance.randrange(2), "burst": 0}
        current, proposed = price_old * HOURS_PER_MONTH, price_new * HOURS_PER_MONTH
        smaller_price = TYPES[smaller][0] * HOURS_PER_MONTH
        return Recommendation(
            action="ec2_instance_type",
            provider="aws",
            scope=Scope(place[0], place[1], f"{place[1]}{chance.choice('abc')}"),
            resource=Resource(
                resource_id,
                "ec2_instance",
                name,
                {"Name": name, "team": chance.choice(("payments", "search", "platform")), "env": "production"},
                manager,
                "module.web" if manager == "terraform" else "",
            ),
            current={"instance_type": old},
            proposed={"instance_type": new},
            monthly=Monthly(current, proposed, current - proposed, self._currency),
            finding=finding,
            reasons=(
                f"{binding} binds: {memory_new * load * 0.9:.1f} GiB at most x 1.2; {new} has {memory_new} GiB",
                f"vCPUs: {cpu_new} of {new} hold p99.5 of the last {DAYS} days with 20 % headroom",
            ),
            binding_constraint=binding,
            risk=Risk.of(risks),
            effort="restart",
            evidence={
                "window_start": start.isoformat(),
                "window_end": (start + datetime.timedelta(days=DAYS)).isoformat(),
                "period_seconds": 86400,
                "data_points": DAYS * 288,
                "coverage": 0.991,
                "statistics": ["p50", "p90", "p99", "Maximum", "Average"],
                "sources": {"cpu_percent": "CloudWatch AWS/EC2", "memory_percent": "CloudWatch CWAgent"},
                "price_source": "AWS Pricing API",
                "price_date": "2026-10-30",
                "method": "risk_priced",
                "overload_minute_price": 0.1,
                "expected_overload_minutes": {
                    "current": 0.0,
                    "proposed": round(chance.uniform(0, 3), 1),
                    "one_size_smaller": {
                        "instance_type": smaller,
                        "monthly_saving": current - smaller_price,
                        "overload_minutes": round(chance.uniform(200, 4000)),
                    },
                },
                "charts": charts,
            },
            warnings=("Its public IP address will change: it has no Elastic IP.",) if chance.random() < 0.1 else (),
        )


def fill(ledger: Ledger, count: int = 200) -> None:
    """Put the fleet into a ledger as runs would: plans, decisions, steps, results, verification, bookings."""
    rows = list(SampleSource(count).actions())
    policy = Policy.from_dict({"minimum_saving": 20, "maximum_risk": "medium"})
    made = AS_OF - datetime.timedelta(days=80)
    for account, region in SCOPES:
        scope = f"{account}/{region}"
        recommendations = [_for_policy(row) for row in rows if row.scope == scope]
        plan = ledger.make_plan(scope, recommendations, policy, made).plan
        waiting = [action for action in plan.actions if action.status == "proposed"]
        if len(waiting) < 10:
            continue
        ledger.decide("rejected", "bob", made, plan_id=plan.id, action_ids=[waiting[0].id], comment="load test")
        approved = [action.id for action in waiting[1 : len(waiting) * 3 // 4]]
        ledger.decide("approved", "alice", made, plan_id=plan.id, action_ids=approved, comment="agreed")
        _apply(ledger, scope, made + datetime.timedelta(hours=5), len(approved) * 4 // 5)


def _for_policy(row: ActionRow) -> Recommendation:
    """The recommendation with what makes the policy refuse it, where the row is skipped for that reason."""
    record = row.recommendation
    tags = dict(record.resource.tags)
    if row.reason == "protected":
        tags["frugal:protected"] = "true"
    refused = f"{record.resource.id} runs as spot: its price is not on demand" if row.reason == "drifted" else ""
    return dataclasses.replace(record, resource=dataclasses.replace(record.resource, tags=tags), refused=refused)


def _apply(ledger: Ledger, scope: str, now: datetime.datetime, count: int) -> None:
    selection = Selection(scopes=(scope,))
    with ledger.run("apply", now) as run:
        claimed = ledger.claim(run, selection, count, now)
        for step in ("stop", "change_type", "start", "wait"):
            ledger.record_outcomes(
                [JournalEntry(action.id, run.id, now, "apply", "outcome", step, "ok") for action in claimed]
            )
        lost = Final(claimed[0], "failed", "insufficient_capacity", "AWS had no capacity; it runs as before again")
        ledger.finish(run, [lost, *(Final(action, "applied") for action in claimed[1:])], now)
    checked = now + datetime.timedelta(days=1)
    results = {action.id: VerificationResult(True, "status checks and alarms fine") for action in claimed[3:]}
    results[claimed[1].id] = VerificationResult(False, "p99 CPU is 31 % higher than before (p = 0.002)")
    ledger.record_verifications(results, checked)
    with ledger.run("rollback", checked) as run:
        undone = ledger.claim(run, Selection(action_ids=(claimed[1].id,)), 1, checked, rollback=True)
        ledger.finish(run, [Final(undone[0], "rolled_back", "rollback", "verification failed", "revert")], checked)
    october = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
    november = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
    bookings = [
        Saving(action.id, "realised", start, end, 0.95 * action.recommendation.monthly.saving, "USD", "bill", "FOCUS")
        for action in claimed[2:]
        for start, end in ((now, october), (october, november))
    ]
    ledger.record_realised(bookings, november + datetime.timedelta(days=2))


def chart(
    metric: str,
    unit: str,
    current_limit: float,
    proposed_limit: float,
    level: float,
    chance: random.Random,
    start: datetime.datetime,
) -> dict[str, t.Any]:
    """Six weeks with a weekly rhythm, some peaks, and a day without data."""
    p99: list[float | None] = []
    maximum: list[float | None] = []
    for day in range(DAYS):
        if day == 17:
            p99.append(None)
            maximum.append(None)
            continue
        weekend = 0.55 if (start + datetime.timedelta(days=day)).weekday() >= 5 else 1.0
        usual = level * weekend * (0.85 + 0.12 * math.sin(day / 6) + chance.uniform(-0.05, 0.05))
        p99.append(float(f"{usual:.3g}"))
        maximum.append(float(f"{min(current_limit, usual * chance.choice((1.05, 1.1, 1.2, 1.45))):.3g}"))
    return {
        "metric": metric,
        "unit": unit,
        "start": start.isoformat(),
        "period_seconds": 86400,
        "p99": p99,
        "maximum": maximum,
        "current_limit": current_limit,
        "proposed_limit": proposed_limit,
    }
