# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate as a service: which SLO is asked for which action, how often, and what happens without an answer."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus, PrometheusError
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)
from ansible_collections.frugal.cloud.plugins.module_utils.slo_gate import GATE_OPTIONS, SloGate

NOW = datetime.datetime(2026, 6, 15, 12, tzinfo=datetime.timezone.utc)
BUDGET = 0.001
_Dict = dict[str, t.Any]


def action(number: int = 1, **tags: str) -> PlannedAction:
    recommendation = Recommendation(
        action="ec2_instance_type",
        provider="aws",
        scope=Scope("111111111111", "eu-west-1"),
        resource=Resource(f"i-{number}", "ec2_instance", "", tags),
        current={"instance_type": "m5.2xlarge"},
        proposed={"instance_type": "m6i.large"},
        monthly=Monthly(300.0, 100.0, 200.0),
        finding="over_provisioned",
        reasons=("cpu binds",),
        binding_constraint="cpu",
        risk=Risk.of({"cpu": 1}),
        effort="restart",
    )
    return PlannedAction(f"act-{number}", "plan-1", number, recommendation, "applied", applied_at=NOW)


def policy(*slos: _Dict, **more: t.Any) -> Policy:
    return Policy.from_dict({"slos": list(slos), **more})


class Server(Prometheus):
    """Burn rates by SLO, the same over every window; a name that is not there has no series."""

    def __init__(self, left: float = 0.9, **burns: float) -> None:
        super().__init__("http://prometheus.example")
        self.burns, self.left = burns, left
        self.trouble = ""
        self.asked: list[str] = []

    def _series(self, query: str) -> list[tuple[_Dict, float]]:
        self.asked.append(query)
        if self.trouble:
            raise PrometheusError(self.trouble)
        found: list[tuple[_Dict, float]] = []
        for name, burn in self.burns.items():
            labels = {"slo": name, "service": "shop"}
            for window in ("5m", "30m", "1h", "6h"):
                found.append(({"__name__": f"slo:sli_error:ratio_rate{window}", **labels}, burn * BUDGET))
            found.append(({"__name__": "slo:error_budget:ratio", **labels}, BUDGET))
            found.append(({"__name__": "slo:period_error_budget_remaining:ratio", **labels}, self.left))
        return found

    def query(self, query: str, at: float) -> t.Any:
        return self._series(query)

    def query_range(self, query: str, start: float, end: float, step: int) -> t.Any:
        moments = [start + step * number for number in range(int((end - start) // step) + 1)]
        late = NOW.timestamp() + 600
        return [
            (labels, [(at, value if at >= late or "budget" in labels["__name__"] else 0.0) for at in moments])
            for labels, value in self._series(query)
        ]


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime.datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += datetime.timedelta(seconds=seconds)


def test_an_action_that_nothing_guards_asks_nothing() -> None:
    server = Server()
    gate = SloGate(server, Clock())
    only_prod = policy({"name": "a", "match": {"tags": {"env": "prod"}}})
    assert gate.hold(action(env="dev"), policy()) == ""
    assert gate.hold(action(env="dev"), only_prod) == ""
    assert server.asked == []


def test_every_guard_has_a_say() -> None:
    gate = SloGate(Server(a=0.1, b=4.0), Clock())
    assert gate.hold(action(), policy({"name": "a"})) == ""
    assert "SLO b (service shop) burns" in gate.hold(action(), policy({"name": "a"}, {"name": "b"}))
    assert gate.hold(action(), policy({"name": "b", "maximum_burn_rate": 5})) == ""


def test_the_floor_of_the_policy_holds_for_all_and_each_may_have_its_own() -> None:
    gate = SloGate(Server(left=0.3, a=0.0), Clock())
    assert gate.hold(action(), policy({"name": "a"}, error_budget_floor=0.25)) == ""
    assert "has 30.0 % of its error budget left" in gate.hold(action(), policy({"name": "a"}, error_budget_floor=0.4))
    own = {"name": "a", "error_budget_floor": 0.2}
    assert gate.hold(action(), policy(own, error_budget_floor=0.4)) == ""


def test_a_guard_of_another_service_is_another_slo() -> None:
    gate = SloGate(Server(a=9.0), Clock())
    assert "SLO a (service cart) has no samples in Prometheus at http://prometheus.example" in gate.hold(
        action(), policy({"name": "a", "service": "cart"})
    )


def test_answers_are_used_for_a_while_and_then_asked_again() -> None:
    server, clock = Server(a=0.1, b=0.1), Clock()
    gate = SloGate(server, clock, 30)
    rules = policy({"name": "a"}, {"name": "b"})
    for number in range(100):
        assert gate.hold(action(number), rules) == ""
    assert len(server.asked) == 1
    assert 'slo=~"a|b"' in server.asked[0]
    server.burns["a"] = 50.0
    clock.forward(29)
    assert gate.hold(action(), rules) == ""
    clock.forward(1)
    assert "burns its error budget at 50.0 times" in gate.hold(action(), rules)
    assert len(server.asked) == 2
    server.burns["a"] = 0.1
    clock.forward(30)
    assert gate.hold(action(), rules) == "", "it recovers, too"


def test_an_old_answer_is_no_answer_once_the_server_is_gone() -> None:
    server, clock = Server(a=0.1), Clock()
    gate = SloGate(server, clock, 30)
    assert gate.hold(action(), policy({"name": "a"})) == ""
    server.trouble = "it is gone"
    clock.forward(31)
    assert gate.hold(action(), policy({"name": "a"})) == "SLO a guards it and cannot be read: it is gone"
    server.trouble = ""
    clock.forward(31)
    assert gate.hold(action(), policy({"name": "a"})) == ""


def test_another_policy_that_knows_more_slos_is_answered_at_once() -> None:
    server = Server(a=0.1, b=7.0)
    gate = SloGate(server, Clock())
    assert gate.hold(action(), policy({"name": "a"})) == ""
    assert "SLO b" in gate.hold(action(), policy({"name": "b"}))
    assert 'slo=~"a|b"' in server.asked[1]


@pytest.mark.parametrize("on_missing", ["refuse", "allow"])
def test_without_an_answer_nobody_guesses(on_missing: str) -> None:
    rules = policy({"name": "a", "on_missing": on_missing})
    unreachable = Server(a=0.1)
    unreachable.trouble = "Prometheus at http://prometheus.example cannot be read: Connection refused"
    whys = [SloGate(server, Clock()).hold(action(), rules) for server in (None, unreachable, Server(other=0.1))]
    forbidden = "the policy does not allow to go on without (on_missing)"
    if on_missing == "allow":
        assert whys == ["", "", ""]
        return
    assert whys == [
        "SLO a guards it and cannot be read: slo_prometheus does not say which Prometheus has its series",
        f"SLO a guards it and cannot be read: {unreachable.trouble}",
        f"SLO a has no samples in Prometheus at {unreachable.url}; {forbidden}",
    ]


def test_a_server_that_does_not_answer_is_not_asked_for_every_action() -> None:
    server = Server()
    server.trouble = "no"
    gate = SloGate(server, Clock())
    for number in range(50):
        assert gate.hold(action(number), policy({"name": "a"}))
    assert len(server.asked) == 1


def test_a_burn_that_is_known_holds_even_where_missing_data_would_not() -> None:
    gate = SloGate(Server(a=9.0), Clock())
    assert gate.hold(action(), policy({"name": "a", "on_missing": "allow"}))


# -- the watch --------------------------------------------------------------------------


def watched(server: Server | None, *slos: _Dict, checks: t.Sequence[str] = ("slo",)) -> t.Any:
    clock = Clock()
    clock.forward(3600)
    rules = {"plan-1": policy(*slos, verification={"checks": list(checks)})}
    return SloGate(server, clock).watch([action(1, app="shop"), action(2, app="batch")], rules, {"act-1": NOW})


def test_a_fast_burn_fails_what_it_guards_and_nothing_else() -> None:
    server = Server(a=20.0, b=20.0)
    found = watched(server, {"name": "a", "match": {"tags": {"app": "shop"}}})
    assert [check.outcome for check in found.failed("act-1")] == ["failed"]
    assert "act-2" not in found.checks
    assert not found.waits
    assert len(server.asked) == 1
    assert 'slo=~"a"' in server.asked[0]


def test_a_slow_burn_passes() -> None:
    found = watched(Server(a=5.0), {"name": "a"})
    assert [check.outcome for check in found.checks["act-1"]] == ["passed"]
    assert not found.failed("act-1")


def test_nothing_is_asked_where_the_policy_does_not_watch() -> None:
    server = Server(a=20.0)
    assert not watched(server, {"name": "a"}, checks=("alarms",)).checks
    assert not watched(server).checks
    assert server.asked == []


def test_without_data_the_verification_waits() -> None:
    found = watched(Server(), {"name": "a"})
    assert not found.checks
    assert found.waits["act-1"].startswith("SLO a has no samples since the change began in Prometheus at")
    assert watched(None, {"name": "a"}).waits["act-2"].endswith("which Prometheus has its series")
    unreachable = Server()
    unreachable.trouble = "it is gone"
    assert watched(unreachable, {"name": "a"}).waits["act-1"].endswith("cannot be read: it is gone")
    assert not watched(Server(), {"name": "a", "on_missing": "allow"}).waits


def test_options() -> None:
    options = GATE_OPTIONS["slo_prometheus"]["options"]
    assert options["password"]["no_log"]
    assert options["bearer_token"]["no_log"]
    assert SloGate.from_options(None, Clock()).hold(action(), policy()) == ""
