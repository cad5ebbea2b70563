# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for changes of tags, and taking them back, for fleets drawn at random; no cloud."""

from __future__ import annotations

import datetime
import tempfile
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")
import hypothesis
from ansible_collections.frugal.cloud.plugins.module_utils.act.tag_journal import (
    PER_REQUEST,
    Change,
    Journals,
    Write,
    alike,
    carry_out,
    change,
    grouped,
    touched,
    undoing,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import AWS, Resource, judge, parse
from hypothesis import strategies as st

NOW = datetime.datetime(2026, 6, 15, tzinfo=datetime.timezone.utc)
KEYS = ["env", "Env", "environment", "team", "Team", "Name"]
TAGS = st.dictionaries(
    st.sampled_from(KEYS), st.sampled_from(["prod", "Production", "dev", "shop", "", "?"]), max_size=5
)
FLEETS = st.lists(TAGS, max_size=60)
POLICY = parse(
    {
        "keys": [
            {
                "key": "env",
                "variants": ["environment"],
                "values": ["production", "dev"],
                "value_variants": {"production": ["prod"]},
            },
            {"key": "team", "pattern": "[a-z]+", "default": "shop"},
        ]
    },
    AWS,
)
Fleet = dict[str, dict[str, str]]


def changes_of(fleet: Fleet) -> list[Change]:
    found = []
    for identity, tags in fleet.items():
        one = judge(POLICY, Resource(identity, "s3", tags), {})
        if one.set or one.remove:
            found.append(change(identity, "us-east-1", tags, one.set, one.remove))
    return found


def send(fleet: Fleet, write: Write, refusing: frozenset[str] = frozenset()) -> dict[str, str]:
    """What the cloud does with a request."""
    for identity in write.ids:
        if identity not in refusing:
            fleet[identity].update(write.set)
            for key in write.remove:
                fleet[identity].pop(key, None)
    return {identity: "no" for identity in write.ids if identity in refusing}


@pytest.mark.parametrize("requests", [grouped, alike])
@hypothesis.given(fleet=FLEETS)
@hypothesis.settings(max_examples=40, deadline=None)
def test_changed_once_and_then_right(requests: t.Any, fleet: list[dict[str, str]]) -> None:
    now = {f"r{number}": dict(tags) for number, tags in enumerate(fleet)}
    before = {identity: dict(tags) for identity, tags in now.items()}
    changes = changes_of(now)
    writes = requests(changes)
    assert all(1 <= len(write.ids) <= PER_REQUEST for write in writes)
    for write in writes:
        send(now, write)
    for one in changes:
        assert now[one.id] == {
            **{key: value for key, value in before[one.id].items() if key not in one.remove},
            **one.set,
        }
    assert changes_of(now) == [], "what was changed is right"
    assert len(changes) == len({one.id for one in changes})


@hypothesis.given(fleet=FLEETS, refused=st.sets(st.integers(0, 59)), at=st.integers(0, 40))
@hypothesis.settings(
    max_examples=25, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_undone_from_the_journal_wherever_it_ended(
    tmp_path: Path, fleet: list[dict[str, str]], refused: set[int], at: int
) -> None:
    now = {f"r{number}": dict(tags) for number, tags in enumerate(fleet)}
    before = {identity: dict(tags) for identity, tags in now.items()}
    refusing = frozenset(f"r{number}" for number in refused)
    writes = grouped(changes_of(now))
    journals = Journals(Path(tempfile.mkdtemp(dir=tmp_path)))
    with journals.locked("aws/1"), journals.begin({"scope": "aws/1"}, writes, NOW) as journal:
        count = 0

        def until_killed(write: Write) -> dict[str, str]:
            nonlocal count
            count += 1
            answer = send(now, write, refusing)
            if count > at:
                # The cloud did it, and nobody noted the answer.
                raise KeyboardInterrupt
            return answer

        try:
            carry_out(journal, writes, until_killed, 1000)
            assert journals.unfinished("aws/1") == ""
        except KeyboardInterrupt:
            assert journals.unfinished("aws/1") == journal.run
    for identity, tags in before.items():
        if identity in refusing:
            assert now[identity] == tags, "without its new tags a resource keeps its old ones"
    back = undoing(touched([journals.read(journal.run)]), now)
    assert back.kept == {}
    for write in grouped(back.changes):
        send(now, write)
    assert now == before
    assert undoing(touched([journals.read(journal.run)]), now).changes == ()


def test_the_same_change_needs_the_fewest_requests() -> None:
    for count in (0, 1, 20, 21, 999, 1000):
        changes = [change(f"r{number}", "us-east-1", {}, {"a": "1", "b": "2"}, ()) for number in range(count)]
        assert len(grouped(changes)) == -(-count // 20)


def test_a_line_that_a_killed_run_was_writing(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    with journals.begin({"scope": "aws/1"}, [Write("us-east-1", {"a": "1"}, (), {"r": {"a": None}})], NOW) as journal:
        pass
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"answ')
    found = journals.read(journal.run)
    assert (len(found.writes), found.outcomes, found.finished) == (1, {}, False)
    assert found.writes[0].before == {"r": {"a": None}}
