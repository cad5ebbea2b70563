# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: what they refuse, who must agree, when nothing moves, and sentences for bad files."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.policy import (
    FreezeWindow,
    Policy,
    PolicyError,
    load_policy,
)
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Monthly, Risk
from hypothesis import given
from hypothesis import strategies as st

UTC = datetime.timezone.utc


def one(policy: t.Mapping[str, t.Any], recommendation: t.Any) -> t.Any:
    return Policy.from_dict(policy).judge([recommendation])[0]


def test_default_policy_approves_nothing_by_itself(spine: t.Any) -> None:
    judgement = load_policy(None).judge([spine.recommendation()])[0]
    assert judgement.status == "proposed"
    assert (judgement.rule.approvers, judgement.rule.group, judgement.rule.valid_days) == (1, "", 7.0)


@pytest.mark.parametrize(
    ("policy", "attributes", "changes", "reason", "said"),
    [
        ({}, {"tags": {"frugal:protected": "true"}}, {}, "protected", "protected by its tag frugal:protected=true"),
        ({"protected_tags": {"tier": "gold"}}, {"tags": {"tier": "gold"}}, {}, "protected", "tier=gold"),
        (
            {"protected_tags": {"tier": "gold"}},
            {"tags": {"frugal:protected": "true"}},
            {},
            "protected",
            "frugal:protected",
        ),
        ({"protected_tags": {"keep": True}}, {"tags": {"keep": "true"}}, {}, "protected", "keep=true"),
        ({"protected_tags": {"env": ["prod*", "live"]}}, {"tags": {"env": "production"}}, {}, "protected", "env=prod"),
        ({}, {"managed_by": "terraform", "manager": "state/web"}, {}, "managed", "terraform (state/web): change inst"),
        ({}, {"managed_by": "eks"}, {}, "managed", "managed by eks: change instance_type to m6i.large there"),
        ({}, {}, {"effort": "migrate"}, "effort", "its effort is migrate; the policy allows online, restart, replace"),
        ({"maximum_risk": 1}, {}, {"risk": Risk.of({"memory": 2})}, "risk", "risk is medium; the policy allows at mos"),
        ({"maximum_risk": "low"}, {}, {"risk": Risk.of({"memory": 2})}, "risk", "at most low"),
        (
            {"minimum_saving": 20},
            {},
            {"monthly": Monthly(30, 20, 10)},
            "saving",
            "it saves 10.00 USD/month; the policy asks for at least 20.00",
        ),
    ],
)
def test_refusals(policy: t.Any, attributes: t.Any, changes: t.Any, reason: str, said: str, spine: t.Any) -> None:
    recommendation = dataclasses.replace(spine.tagged(0, **attributes), **changes)
    judgement = one(policy, recommendation)
    assert (judgement.status, judgement.reason) == ("skipped", reason)
    assert said in judgement.why


def test_managers_can_be_allowed(spine: t.Any) -> None:
    assert one({"refuse_managed_by": ["eks"]}, spine.tagged(0, managed_by="terraform")).status == "proposed"


def test_too_small_an_instance_is_proposed_although_it_costs_more(spine: t.Any) -> None:
    more = spine.recommendation(finding="under_provisioned", monthly=Monthly(100, 200, -100))
    assert one({}, more).status == "proposed"
    assert one(spine.AUTOMATIC, more).status == "proposed", "an automatic rule spends nothing unless it says so"
    spending = {"approval": [{"name": "grow", "automatic": True, "match": {"minimum_saving": -150}}]}
    assert one(spending, more).status == "approved"


def test_the_first_rule_that_matches_decides(spine: t.Any) -> None:
    policy = {
        "groups": {"owners": ["alice", "bob"], "finops": ["carol"]},
        "approval": [
            {"name": "dev", "automatic": True, "match": {"tags": {"env": "dev"}, "maximum_risk": "low"}},
            {"name": "big", "approvers": 2, "group": "owners", "match": {"minimum_saving": 150}, "valid_days": 3},
            {"name": "here", "group": "finops", "match": {"scopes": ["111122223333/*"], "efforts": ["restart"]}},
            {"name": "rest", "approvers": 3},
        ],
    }
    judged = Policy.from_dict(policy)
    assert judged.rule(spine.recommendation()).name == "dev"
    assert judged.rule(spine.tagged(0, tags={"env": "prod"})).name == "here"
    assert judged.rule(spine.tagged(60, tags={})).name == "big"
    elsewhere = dataclasses.replace(spine.tagged(0, tags={}), effort="online")
    assert judged.rule(elsewhere).name == "rest"
    assert judged.may_approve("alice", "owners") and not judged.may_approve("carol", "owners")
    assert judged.may_approve("anybody", "")


def test_zero_tolerance_and_price_of_overload_by_tag() -> None:
    policy = Policy.from_dict(
        {
            "zero_tolerance_tags": {"tier": "gold"},
            "overload_minute_price": [{"tags": {"tier": "silver"}, "price": 2}, {"tags": {"tier": "*"}, "price": 0.5}],
        }
    )
    assert policy.zero_tolerance({"tier": "gold"}) and not policy.zero_tolerance({"tier": "silver"})
    assert policy.price_of_overload_minute({"tier": "silver"}) == 2.0
    assert policy.price_of_overload_minute({"tier": "bronze"}) == 0.5
    assert policy.price_of_overload_minute({}) is None


def test_slos_guard_what_they_match(spine: t.Any) -> None:
    policy = Policy.from_dict(
        {
            "error_budget_floor": 0.1,
            "slos": [
                {"name": "everything"},
                {
                    "name": "checkout",
                    "service": "shop",
                    "match": {"tags": {"env": "prod"}},
                    "error_budget_floor": 0.5,
                    "on_missing": "allow",
                },
            ],
        }
    )
    everything, checkout = policy.slos
    assert (everything.maximum_burn_rate, everything.fast_burn_rate, everything.on_missing) == (1.0, 14.4, "refuse")
    assert policy.guards(spine.tagged(0, tags={"env": "dev"})) == (everything,)
    assert policy.guards(spine.tagged(0, tags={"env": "prod"})) == (everything, checkout)
    assert (policy.floor_of(everything), policy.floor_of(checkout)) == (0.1, 0.5)
    assert Policy.from_dict(policy.to_dict()) == policy
    assert "slo" in Policy.from_dict({}).verification.checks


def test_digest_knows_content_only(tmp_path: pathlib.Path) -> None:
    first, second = tmp_path / "a.yml", tmp_path / "b.yml"
    first.write_text("minimum_saving: 5\nmaximum_risk: low\n", encoding="utf-8")
    second.write_text("# a comment\nmaximum_risk: low\nminimum_saving: 5.0\nfreeze_windows: []\n", encoding="utf-8")
    assert load_policy(str(first)).digest == load_policy(str(second)).digest != load_policy(None).digest
    stored = load_policy(str(first))
    assert Policy.from_dict(stored.to_dict()).digest == stored.digest


# -- freeze windows ----------------------------------------------------------------------


def frozen_at(window: t.Mapping[str, t.Any], moment: str) -> str | None:
    policy = Policy.from_dict({"freeze_windows": [{"name": "w", **window}]})
    frozen = policy.frozen(datetime.datetime.fromisoformat(moment).replace(tzinfo=UTC))
    return frozen.until.isoformat()[:16] if frozen else None


@pytest.mark.parametrize(
    ("window", "moment", "until"),
    [
        ({"days": ["monday"], "start": "09:00", "end": "18:00"}, "2026-03-02T08:59", None),
        ({"days": ["monday"], "start": "09:00", "end": "18:00"}, "2026-03-02T09:00", "2026-03-02T18:00"),
        ({"days": ["monday"], "start": "09:00", "end": "18:00"}, "2026-03-02T18:00", None),
        ({"days": ["tuesday"], "start": "09:00", "end": "18:00"}, "2026-03-02T12:00", None),
        # over midnight: belongs to the day on which it begins
        ({"days": ["monday"], "start": "22:00", "end": "06:00"}, "2026-03-03T05:59", "2026-03-03T06:00"),
        ({"days": ["monday"], "start": "22:00", "end": "06:00"}, "2026-03-02T05:59", None),
        # YAML 1.1 reads an unquoted 22:00 as 1320
        ({"days": ["monday"], "start": 1320, "end": "06:00"}, "2026-03-02T22:30", "2026-03-03T06:00"),
        # whole days that follow each other are one window
        ({"days": ["saturday", "sunday"]}, "2026-03-07T12:00", "2026-03-09T00:00"),
        # Berlin is one hour ahead in winter, two in summer
        ({"start": "09:00", "end": "18:00", "time_zone": "Europe/Berlin"}, "2026-03-02T08:00", "2026-03-02T17:00"),
        ({"start": "09:00", "end": "18:00", "time_zone": "Europe/Berlin"}, "2026-07-01T07:00", "2026-07-01T16:00"),
        ({"start": "09:00", "end": "18:00", "time_zone": "Europe/Berlin"}, "2026-07-01T16:00", None),
        # the night in which clocks go forward has a window that is an hour shorter
        (
            {"days": ["saturday"], "start": "22:00", "end": "06:00", "time_zone": "Europe/Berlin"},
            "2026-03-29T03:59",
            "2026-03-29T04:00",
        ),
        ({"from": "2026-12-20", "until": "2027-01-02"}, "2027-01-02T23:59", "2027-01-03T00:00"),
        ({"from": "2026-12-20", "until": "2027-01-02"}, "2026-12-19T23:59", None),
        (
            {"from": "2026-12-20T18:00", "until": "2026-12-21T06:00", "time_zone": "America/New_York"},
            "2026-12-21T10:59",
            "2026-12-21T11:00",
        ),
        (
            {"from": datetime.date(2026, 12, 20), "until": datetime.date(2026, 12, 20)},
            "2026-12-20T12:00",
            "2026-12-21T00:00",
        ),
    ],
)
def test_freeze_windows(window: t.Any, moment: str, until: str | None) -> None:
    assert frozen_at(window, moment) == until


def test_a_freeze_window_for_some_resources_only(spine: t.Any) -> None:
    policy = Policy.from_dict(
        {"freeze_windows": [{"name": "shop", "start": "00:00", "match": {"tags": {"app": "shop"}}}]}
    )
    assert policy.frozen(spine.NOW, spine.tagged(0, tags={"app": "shop"}))
    assert not policy.frozen(spine.NOW, spine.tagged(0, tags={"app": "blog"}))
    assert not policy.frozen(spine.NOW), "it is not a freeze of everything"


@given(
    moment=st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2027, 1, 1), timezones=st.just(UTC)),
    start=st.integers(0, 1439),
    end=st.integers(0, 1440),
    days=st.sets(st.integers(0, 6)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_the_end_of_a_window_is_after_now_and_within_a_day(
    moment: datetime.datetime, start: int, end: int, days: set[int], zone: str
) -> None:
    window = FreezeWindow("w", zone, tuple(days), start, end)
    until = window.end_at(moment)
    if until is not None:
        assert moment < until <= moment + datetime.timedelta(hours=25)
    policy = dataclasses.replace(Policy.from_dict({}), freeze_windows=(window,))
    frozen = policy.frozen(moment)
    assert (frozen is None) == (until is None)
    if frozen is not None and until is not None:
        assert frozen.until >= until


# -- bad files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ({"freez_windows": []}, "policy: freez_windows is not a key that a policy has; did you mean freeze_windows?"),
        ({"minimum_saving": "much"}, "policy: minimum_saving is 'much'; it must be a number"),
        ({"minimum_saving": True}, "policy: minimum_saving is True; it must be a number"),
        ({"maximum_actions": -1}, "policy: maximum_actions is -1; it must be at least 0"),
        ({"error_budget_floor": 25}, "policy: error_budget_floor is 25; it must be between 0 and 1"),
        (
            {"error_budget_floor": 0.25},
            "policy: error_budget_floor is 0.25 and slos is empty; slos must name the SLOs whose error budget is meant",
        ),
        ({"slos": [{"service": "shop"}]}, "policy: slos[0].name is missing; it must be text"),
        (
            {"slos": [{"name": " "}]},
            "policy: slos[0].name is ' '; it must be the name of an SLO, the label slo of its recorded series",
        ),
        (
            {"slos": [{"name": "a", "maximum_burn_rate": -1}]},
            "policy: slos[0].maximum_burn_rate is -1; it must be at least 0",
        ),
        (
            {"slos": [{"name": "a", "fast_burn_rate": 0.5}]},
            "policy: slos[0].fast_burn_rate is 0.5; it must be at least 1",
        ),
        (
            {"slos": [{"name": "a"}, {"name": "b", "on_missing": "wait"}]},
            "policy: slos[1].on_missing is 'wait'; it must be one of refuse, allow",
        ),
        (
            {"slos": [{"name": "a", "error_budget_floor": "20 %"}]},
            "policy: slos[0].error_budget_floor is '20 %'; it must be a number",
        ),
        (
            {"slos": [{"name": "a", "maximum_burn": 1}]},
            "policy: slos[0].maximum_burn is not a key that a policy has; did you mean maximum_burn_rate?",
        ),
        ({"maximum_risk": 9}, "policy: maximum_risk is 9; it must be one of 0, 1, 2, 3, 4, very low, low, medium"),
        ({"allowed_efforts": ["reboot"]}, "policy: allowed_efforts is ['reboot']; it must be a list (online, restart"),
        ({"protected_tags": "keep"}, "policy: protected_tags is 'keep'; it must be a mapping of keys to values"),
        ({"approval": {"name": "x"}}, "policy: approval is {'name': 'x'}; it must be a list of mappings"),
        ({"approval": ["x"]}, "policy: approval[0] is 'x'; it must be a mapping"),
        ({"approval": [{"approvers": 1}]}, "policy: approval[0].name is missing; it must be text"),
        ({"approval": [{"name": "x", "approvers": 0}]}, "policy: approval[0].approvers is 0; it must be at least 1"),
        ({"approval": [{"name": {"a": 1}}]}, "policy: approval[0].name is {'a': 1}; it must be text"),
        ({"approval": [{"name": "x", "match": {"tag": {}}}]}, "approval[0].match.tag is not a key"),
        (
            {"approval": [{"name": "x", "group": "ops"}]},
            "policy: approval[0].group is 'ops'; it must be a key of groups (none yet)",
        ),
        (
            {"groups": {"ops": ["a"]}, "approval": [{"name": "x", "group": "ops", "approvers": 2}]},
            "approval[0].approvers is 2; it must be at most 1, the number of people in the group 'ops'",
        ),
        ({"groups": {"ops": "alice"}}, "policy: groups.ops is 'alice'; it must be a list of approvers' names"),
        ({"verification": {"rollback": "maybe"}}, "verification.rollback is 'maybe'; it must be one of automatic, man"),
        (
            {"freeze_windows": [{"name": "x", "time_zone": "Berlin", "start": "01:00"}]},
            "freeze_windows[0].time_zone is 'Berlin'; it must be a name of the IANA time zone database",
        ),
        (
            {"freeze_windows": [{"name": "x", "start": "25:00"}]},
            "freeze_windows[0].start is '25:00'; it must be a time",
        ),
        ({"freeze_windows": [{"name": "x", "days": ["mon"]}]}, "freeze_windows[0].days is ['mon']; it must be a list"),
        ({"freeze_windows": [{"name": "x"}]}, "freeze_windows[0] ('x') must have either from and until, or days"),
        ({"freeze_windows": [{"name": "x", "from": "2026-01-01"}]}, "must have either from and until"),
        (
            {"freeze_windows": [{"name": "x", "from": "2026-02-01", "until": "2026-01-01"}]},
            "freeze_windows[0].until is '2026-01-01'; it must be after from, '2026-02-01'",
        ),
        (
            {"freeze_windows": [{"name": "x", "from": "soon", "until": "2026-01-01"}]},
            "freeze_windows[0].from is 'soon'; it must be a date such as 2026-12-20",
        ),
        (
            {"freeze_windows": [{"name": "x", "from": "2026-01-01T00:00Z", "until": "2026-01-02"}]},
            "it must be local time: the key time_zone says which",
        ),
    ],
)
def test_malformed_policies_are_one_sentence(policy: t.Any, sentence: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.from_dict(policy)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: [1", "line 1: expected ',' or ']', but got '<stream end>'; correct the YAML"),
        (b"- a\n- b\n", "holds ['a', 'b']; it must be a mapping of keys to values"),
        (b"\xff\xfe\x00", "cannot be read: it is not UTF-8 text"),
        (b"minimum_saving: x\n", "minimum_saving is 'x'; it must be a number"),
    ],
)
def test_malformed_files_are_one_sentence(content: bytes, sentence: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "policy.yml"
    file.write_bytes(content)
    with pytest.raises(PolicyError) as caught:
        load_policy(str(file))
    assert str(caught.value).startswith(f"policy '{file}'") and sentence in str(caught.value)


def test_missing_file_and_empty_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read: No such file or directory; give the path of a YAML file"):
        load_policy(str(tmp_path / "none.yml"))
    (tmp_path / "empty.yml").write_text("# nothing yet\n", encoding="utf-8")
    assert load_policy(str(tmp_path / "empty.yml")).digest == load_policy(None).digest
