# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a service through the whole loop: plan, apply, verify, roll back, on a real ledger."""

from __future__ import annotations

import datetime
import pathlib
import types
import typing as t
from collections.abc import Mapping, Sequence

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.frugal.cloud.plugins.module_utils import host_tuned
from ansible_collections.frugal.cloud.plugins.module_utils.act.settings import SettingsActor
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.executor import Observed
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)
from ansible_collections.frugal.cloud.plugins.plugin_utils.tuning import (
    ADVICE_OPTIONS,
    TUNING_OPTIONS,
    Advice,
    AdvisingAction,
    TuningAction,
)

NOW = datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.timezone.utc)
OLD = {"maxmemory": 0, "maxmemory-policy": "noeviction"}
NEW = {"maxmemory": 64 << 20, "maxmemory-policy": "allkeys-lfu"}
POLICY = {
    "approval": [{"name": "all", "automatic": True}],
    "verification": {"soak_hours": 0, "rollback": "automatic"},
}


def advice(**changes: t.Any) -> Recommendation:
    values: dict[str, t.Any] = {
        "action": "cache_memory",
        "provider": "host",
        "scope": Scope.of_service("cache1", "cache"),
        "resource": Resource("cache1:6379", "cache", "cache1:6379"),
        "current": OLD,
        "proposed": NEW,
        "monthly": Monthly(0.0, 0.0, 0.0),
        "finding": "misconfigured",
        "reasons": ("writes fail when memory is full",),
        "binding_constraint": "memory",
        "risk": Risk.of({"memory": 1}),
        "effort": "online",
        "evidence": {"measured": {"hit_ratio": 0.5}},
    }
    return Recommendation(**{**values, **changes})


class Service:
    """A service with settings and a hit ratio."""

    def __init__(self) -> None:
        self.settings: dict[str, t.Any] = dict(OLD)
        self.hit_ratio = 0.7
        self.refuses = ""
        self.writes = 0


def plugin(service: Service, ledger_url: str, check: bool = False, **options: t.Any) -> TuningAction:
    """The action plugin on a service in memory, as Ansible would have made it."""

    class Tuning(TuningAction):
        service = "cache"
        kinds = ("cache_memory",)

        def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Mapping[str, t.Any]]:
            return {action.id: dict(the_service.settings) for action in actions}

        def write(self, action: PlannedAction, values: Mapping[str, t.Any]) -> str:
            the_service.writes += 1
            if the_service.refuses:
                return the_service.refuses
            the_service.settings.update(values)
            return ""

        def checks(
            self, actions: Sequence[PlannedAction], begun: Mapping[str, datetime.datetime]
        ) -> Mapping[str, Sequence[Check]]:
            found = {}
            for action in actions:
                before = action.recommendation.evidence["measured"]["hit_ratio"]
                worse = the_service.hit_ratio < before
                told = f"{before} before, {the_service.hit_ratio} now"
                found[action.id] = [Check("hit ratio", "failed" if worse else "passed", told)]
            return found

    the_service = service
    moment = NOW if options.get("stage", "apply") == "apply" else NOW + datetime.timedelta(hours=1)
    return made(
        Tuning,
        {**spec_defaults(TUNING_OPTIONS), "ledger_url": ledger_url, "as_of": moment.isoformat(), **options},
        check,
    )


def spec_defaults(options: Mapping[str, Mapping[str, t.Any]]) -> dict[str, t.Any]:
    return {name: option.get("default") for name, option in options.items()}


def made(kind: type[t.Any], args: dict[str, t.Any], check: bool = False) -> t.Any:
    found = object.__new__(kind)
    found.args = args
    found._variables = {"inventory_hostname": "cache1"}
    found._task = types.SimpleNamespace(check_mode=check, diff=True)
    return found


@pytest.fixture
def ledger_url(tmp_path: pathlib.Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.open(url) as ledger:
        ledger.make_plan("hosts/cache1/cache", [advice()], Policy.from_dict(POLICY), NOW)
    return url


def test_no_saving_is_asked_of_what_is_misconfigured() -> None:
    policy = Policy.from_dict({"minimum_saving": 5})
    assert policy.judge([advice()])[0].status == "proposed"
    assert policy.judge([advice(finding="over_provisioned")])[0].reason == "saving"


def test_check_mode_predicts_what_apply_does(ledger_url: str) -> None:
    service = Service()
    predicted = plugin(service, ledger_url, check=True).work()
    assert (service.settings, service.writes) == (OLD, 0)
    done = plugin(service, ledger_url).work()
    assert service.settings == NEW
    assert predicted["diff"] == done["diff"] == {"before": {"cache1:6379": OLD}, "after": {"cache1:6379": NEW}}
    assert predicted["by_status"] == done["by_status"] == {"applied": 1}
    assert done["scope"] == "hosts/cache1/cache"
    again = plugin(service, ledger_url).work()
    assert (again["changed"], service.writes) == (False, 1)


def test_what_holds_up_is_verified_and_what_hurts_goes_back(ledger_url: str) -> None:
    service = Service()
    plugin(service, ledger_url).work()
    service.hit_ratio = 0.4
    hurt = plugin(service, ledger_url, stage="verify").work()
    assert service.settings == OLD
    assert hurt["by_status"]["rolled_back"] == 1
    assert "0.5 before, 0.4 now" in next(iter(hurt["verifications"].values()))["why"]


def test_a_verified_change_can_still_be_undone(ledger_url: str) -> None:
    service = Service()
    plugin(service, ledger_url).work()
    assert plugin(service, ledger_url, stage="verify").work()["by_status"]["verified"] == 1
    with Ledger.open(ledger_url) as ledger:
        (plan,) = {action.plan_id for action in ledger.actions(Selection())}
    back = plugin(service, ledger_url, stage="rollback", plan=plan)
    result = back.work()
    assert (service.settings, result["by_status"]) == (OLD, {"rolled_back": 1})
    assert "rolled_back: cache1:6379" in "\n".join(back.summary(result))


def test_settings_that_somebody_changed_stay(ledger_url: str) -> None:
    service = Service()
    service.settings["maxmemory"] = 1
    result = plugin(service, ledger_url).work()
    assert service.settings["maxmemory"] == 1
    assert result["by_status"] == {"skipped": 1}
    assert result["outcomes"][0]["why"] == "maxmemory is 1 now, the plan saw 0"


def test_what_was_changed_after_the_change_fails_its_verification(ledger_url: str) -> None:
    service = Service()
    plugin(service, ledger_url).work()
    service.settings["maxmemory-policy"] = "noeviction"
    result = plugin(service, ledger_url, stage="verify").work()
    assert "maxmemory-policy allkeys-lfu -> noeviction" in next(iter(result["verifications"].values()))["why"]


def test_a_refused_change_fails_the_task_with_its_sentence(ledger_url: str) -> None:
    service = Service()
    service.refuses = "redis refuses maxmemory: not enough memory"
    result = plugin(service, ledger_url).work()
    assert result["failed"]
    assert "redis refuses maxmemory: not enough memory" in result["msg"]
    assert service.settings == OLD


def test_rollback_has_to_know_what(ledger_url: str) -> None:
    with pytest.raises(AnsibleActionFail, match="neither plan nor actions is set"):
        plugin(Service(), ledger_url, stage="rollback").work()


def test_advice_is_kept_in_a_file_for_the_plan(tmp_path: pathlib.Path) -> None:
    class Advising(AdvisingAction):
        service = "cache"

        def advise(self) -> Advice:
            return Advice([advice(), advice(action="cache_policy")], {"hit_ratio": 0.5}, ["sampled"])

    found = made(Advising, {**spec_defaults(ADVICE_OPTIONS), "data_directory": str(tmp_path), "limit": 1})
    result = found.work()
    assert result["recommendations_path"] == f"{tmp_path}/recommendations/hosts-cache1-cache.jsonl.gz"
    assert (len(result["recommendations"]), result["summary"]["recommendations"]) == (1, 2)
    assert result["warnings"] == ["sampled"]
    assert found.summary(result)[1] == (
        "  cache_memory: maxmemory 0 -> 67108864, maxmemory-policy noeviction -> allkeys-lfu: "
        "writes fail when memory is full"
    )


# -- the actor, where a run was killed in the middle ------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ({"maxmemory": 0, "maxmemory-policy": "noeviction"}, "Perform"),
        ({"maxmemory": 64 << 20, "maxmemory-policy": "noeviction"}, "Drifted"),
        ({"maxmemory": 64 << 20, "maxmemory-policy": "allkeys-lfu"}, "Drifted"),
        ({"maxmemory": 0, "maxmemory-policy": "allkeys-lru"}, "Drifted"),
    ],
)
def test_only_what_the_plan_saw_is_changed(found: dict[str, t.Any], word: str) -> None:
    actor = SettingsActor(("cache_memory",), lambda actions: {}, lambda action, values: "")
    action = PlannedAction("act-1", "plan-1", 1, advice(), "approved")
    assert type(actor.decide(action, Observed(found), "apply", [])).__name__ == word


def test_a_service_that_is_gone_has_drifted() -> None:
    actor = SettingsActor(("cache_memory",), lambda actions: {}, lambda action, values: "")
    action = PlannedAction("act-1", "plan-1", 1, advice(), "approved")
    assert type(actor.decide(action, None, "apply", [])).__name__ == "Drifted"


# -- what stays on the host -------------------------------------------------------------------------------


def test_tuned_settings_are_kept_until_they_are_taken_out(tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path / "tuning")
    assert host_tuned.read("redis", folder) == {}
    assert host_tuned.write("redis", {"maxmemory": "64mb", "hz": None}, folder)
    assert not host_tuned.write("redis", {"maxmemory": "64mb"}, folder)
    assert host_tuned.write("redis", {"hz": 20}, folder)
    assert host_tuned.read("redis", folder) == {"hz": 20, "maxmemory": "64mb"}
    assert host_tuned.write("redis", {"maxmemory": None, "hz": None}, folder)
    assert list((tmp_path / "tuning").iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_broken_file_is_told_of(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "redis.json").write_text(text)
    with pytest.raises(HostError, match=r"redis\.json"):
        host_tuned.write("redis", {"hz": 1}, str(tmp_path))
    assert (tmp_path / "redis.json").read_text() == text


@pytest.mark.parametrize("name", ["../x", "", "a/b", "Redis"])
def test_a_service_has_a_plain_name(name: str) -> None:
    with pytest.raises(HostError, match="no name of a service"):
        host_tuned.path_of(name)
