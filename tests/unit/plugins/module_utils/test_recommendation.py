# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record that flows through everything: what is written is read again, and the same finding keeps its id."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    MANAGERS,
    RISK_NAMES,
    InvalidRecord,
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
    canonical_json,
)
from hypothesis import given
from hypothesis import strategies as st

words = st.text(min_size=1, max_size=12)
names = st.dictionaries(words, words, max_size=3)
money = st.floats(-1e6, 1e6, allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
recommendations = st.builds(
    Recommendation,
    action=st.sampled_from(["ec2_instance_type", "asg_instance_type"]),
    provider=st.just("aws"),
    scope=st.builds(Scope, words, words, zone=st.text(max_size=4), cluster=st.text(max_size=4)),
    resource=st.builds(Resource, words, words, words, names, st.sampled_from(MANAGERS), st.text(max_size=5)),
    current=names,
    proposed=names,
    monthly=st.builds(
        Monthly, money, money, money, st.sampled_from(["USD", "CNY"]), st.sampled_from(["list", "effective"]), money
    ),
    finding=st.sampled_from(["over_provisioned", "idle", "unknown"]),
    reasons=st.lists(words, min_size=1, max_size=3).map(tuple),
    binding_constraint=words,
    risk=st.dictionaries(words, st.integers(0, 4), max_size=3).map(Risk.of),
    effort=st.sampled_from(["online", "restart", "replace", "migrate"]),
    evidence=st.dictionaries(words, plain, max_size=4),
    warnings=st.lists(words, max_size=2).map(tuple),
    refused=st.text(max_size=10),
)


@given(recommendations)
def test_what_is_written_is_read_again(item: Recommendation) -> None:
    """Through JSON text, as ledgers, files and Ansible carry it."""
    again = Recommendation.from_dict(json.loads(json.dumps(item.to_dict())))
    assert again == item
    assert again.id == item.id
    assert again.to_dict() == item.to_dict()


@given(recommendations, recommendations)
def test_the_id_is_that_of_resource_and_action_alone(item: Recommendation, other: Recommendation) -> None:
    """Other money, evidence or size: the same finding. Another resource, scope or action: another."""
    same = dataclasses.replace(
        other, action=item.action, scope=item.scope, resource=dataclasses.replace(other.resource, **_identity(item))
    )
    assert same.id == item.id
    for changed in (
        dataclasses.replace(item, action=f"{item.action}x"),
        dataclasses.replace(item, provider="gcp"),
        dataclasses.replace(item, scope=dataclasses.replace(item.scope, region=f"{item.scope.region}x")),
        dataclasses.replace(item, resource=dataclasses.replace(item.resource, id=f"{item.resource.id}x")),
    ):
        assert changed.id != item.id


def _identity(item: Recommendation) -> dict[str, t.Any]:
    return {"id": item.resource.id, "type": item.resource.type}


def sample(**changes: t.Any) -> Recommendation:
    values: dict[str, t.Any] = {
        "action": "ec2_instance_type",
        "provider": "aws",
        "scope": Scope("123456789012", "eu-west-1", zone="eu-west-1a"),
        "resource": Resource("i-0123456789abcdef0", "ec2_instance", "web", {"env": "prod"}),
        "current": {"instance_type": "m5.2xlarge"},
        "proposed": {"instance_type": "m6i.large"},
        "monthly": Monthly(280.32, 70.08, 210.24),
        "finding": "over_provisioned",
        "reasons": ("memory binds",),
        "binding_constraint": "memory",
        "risk": Risk.of({"cpu": 1, "memory": 2}),
        "effort": "restart",
    }
    return Recommendation(**{**values, **changes})


def test_the_id_never_changes() -> None:
    """Ledgers out there hold it: this value is part of the format."""
    assert sample().id == "rec-a87781781d579377"


def test_the_zone_is_not_part_of_a_plans_scope() -> None:
    assert sample().scope.key == "123456789012/eu-west-1"
    assert Scope("p", "r", cluster="c", namespace="n").key == "p/r/c/n"


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"monthly": Monthly(280.0, 70.0, 210.4)}, True),
        ({"evidence": {"window_end": "later"}, "reasons": ("other words",), "warnings": ("w",)}, True),
        ({"monthly": Monthly(280.0, 60.0, 220.0)}, False),
        ({"proposed": {"instance_type": "m6a.large"}}, False),
        ({"effort": "migrate"}, False),
        ({"risk": Risk.of({"cpu": 4})}, False),
        ({"refused": "a spot instance"}, False),
    ],
)
def test_what_a_plans_digest_covers(changes: dict[str, t.Any], same: bool) -> None:
    assert (canonical_json(sample(**changes).decided()) == canonical_json(sample().decided())) is same


def test_risk_is_the_largest_of_its_dimensions() -> None:
    assert Risk.of({}).total == 0
    assert Risk.of({"cpu": 1, "memory": 3}).total == 3
    assert [Risk(total).name for total in range(5)] == list(RISK_NAMES)


@pytest.mark.parametrize("missing", sorted(set(sample().to_dict()) - {"id", "evidence", "warnings", "refused"}))
def test_a_record_without_a_field_is_refused(missing: str) -> None:
    data = sample().to_dict()
    del data[missing]
    with pytest.raises(InvalidRecord, match=f"not a recommendation: KeyError: '{missing}'"):
        Recommendation.from_dict(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "a/b"},
        {"scope": {"account": "1"}},
        {"risk": {"total": "much"}},
        {"monthly": None},
        {"resource": {"x": 1}},
    ],
)
def test_a_record_of_another_shape_is_refused(changes: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidRecord, match="not a recommendation"):
        Recommendation.from_dict({**sample().to_dict(), **changes})


@given(st.dictionaries(words, plain, max_size=4))
def test_equal_data_gives_equal_text(data: dict[str, t.Any]) -> None:
    assert canonical_json(data) == canonical_json(dict(reversed(list(data.items()))))
    assert json.loads(canonical_json(data)) == data
