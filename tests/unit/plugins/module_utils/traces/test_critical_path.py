# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Critical paths: published ones, ones computed by hand, and what must hold for any trace."""

from __future__ import annotations

import json
import random
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import critical_path
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import critical_paths
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_operations import (
    by_operation,
    by_service,
    flame,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_what_if import bounds, saved_without
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.traces.traces_sample import (
    Call,
    exclusive,
    jaeger,
    paths_of,
    shop,
    table_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[5]
#: Traces with known paths from CRISP's repository; they stay outside (see PROVENANCE.md there).
PUBLISHED = sorted((ROOT.parent / "shared" / "data" / "traces").glob("crisp_*.json"))
SERVER, CLIENT = {"span.kind": "server"}, {"span.kind": "client"}


@pytest.mark.skipif(not PUBLISHED, reason="../shared/data/traces is not there")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_paths_are_reproduced(path: Path) -> None:
    document = json.loads(path.read_text())
    known = document["testing"]
    paths = critical_paths(table_of(document["data"]))
    wanted = known["opTimeExclusive"] if isinstance(known, dict) else known[0]
    found = {f"[{name.split(' ')[0]}] {name.split(' ')[1]}": spent for name, spent in exclusive(paths).items()}
    assert found == wanted
    if isinstance(known, dict):
        # "Saved on the critical path" when the calls that failed take no time.
        assert saved_without(paths, paths.table.failed) == known["timeSavedOnCP"]
        assert sum(paths.table.duration) == known["totalWork"]


def test_last_finisher_first_and_then_what_ended_before_it() -> None:
    # c ends last (90); b (70) overlaps c and waits for nothing; a ended (40) before c began (45).
    paths = paths_of(Call("s root", 0, 100, [Call("a x", 10, 30), Call("b x", 20, 50), Call("c x", 45, 45)]))
    assert exclusive(paths) == {"s root": 25, "a x": 30, "c x": 45}
    assert [row.self_us for row in by_operation(paths) if row.service == "s"] == [20]  # 100 - (10 … 90)


def test_every_level_has_its_own_path() -> None:
    deep = Call("b x", 10, 60, [Call("c x", 15, 20, [Call("d x", 20, 10)]), Call("e x", 30, 35)])
    # e (30 … 65) is last under b; c (15 … 35) overlaps it by 5 of 60: not before. So d is off the path as well.
    assert exclusive(paths_of(Call("s root", 0, 100, [deep]))) == {"s root": 40, "b x": 25, "e x": 35}


def test_an_overlap_below_one_percent_counts_as_before() -> None:
    def path(overlap: int, *more: Call) -> dict[str, int]:
        calls = [Call("a x", 100, 300 + overlap), Call("b x", 400, 500), *more]
        return exclusive(paths_of(Call("s root", 0, 1000, calls)))

    assert path(9) == {"s root": 191, "a x": 309, "b x": 500}
    assert path(10) == {"s root": 500, "b x": 500}
    # Something else ends within the overlap: then it is no accident of clocks, and that call is before.
    assert path(9, Call("c x", 200, 205)) == {"s root": 295, "c x": 205, "b x": 500}


def test_tolerated_overlaps_never_take_more_than_there_is() -> None:
    # 0 … 505 and 500 … 1000: 1005 in a parent of 1000. The earlier call is cut by 5.
    paths = paths_of(Call("s root", 0, 1000, [Call("a x", 0, 505), Call("b x", 500, 500)]))
    assert exclusive(paths) == {"s root": 0, "a x": 500, "b x": 500}


def test_a_tie_goes_to_the_longer_call_whatever_the_order() -> None:
    one, two = Call("a x", 10, 40, span_id="z"), Call("b x", 20, 30, span_id="a")
    for calls in ([one, two], [two, one]):
        assert exclusive(paths_of(Call("s root", 0, 60, calls, span_id="r"))) == {"s root": 20, "a x": 40}


def test_overflowing_children_are_cut_and_outside_ones_set_aside() -> None:
    paths = paths_of(
        Call(
            "s root",
            100,
            100,
            [Call("early x", 90, 30), Call("late x", 150, 90), Call("gone x", 200, 50, [Call("deep x", 210, 10)])],
        )
    )
    assert exclusive(paths) == {"s root": 30, "early x": 20, "late x": 50}
    told = {problem.name: (problem.count, problem.largest_us) for problem in paths.problems}
    assert told == {"starts_before_parent": (1, 10), "outlives_parent": (1, 40), "outside_parent": (1, None)}
    # What was set aside is a tree of its own: its own time is still right.
    assert {row.service: row.self_us for row in by_operation(paths)}["gone"] == 40


def test_a_child_around_its_parent_is_cut_at_both_ends() -> None:
    assert exclusive(paths_of(Call("s root", 100, 100, [Call("a x", 50, 200)]))) == {"s root": 0, "a x": 100}


@pytest.mark.parametrize(
    ("client", "server", "moved"),
    [
        ({"host": "h1"}, {"host": "h2"}, True),
        ({"tags": CLIENT}, {"tags": SERVER}, True),  # hosts not known, but a call between services
        ({"host": "h1", "tags": CLIENT}, {"host": "h1", "tags": SERVER}, False),  # one clock: it really was so
        ({}, {}, False),
    ],
)
def test_clocks_that_differ_between_hosts(client: dict[str, t.Any], server: dict[str, t.Any], moved: bool) -> None:
    inner = Call("b serve", 70, 40, [Call("b work", 80, 20, host=server.get("host", ""))], **server)
    paths = paths_of(Call("s root", 0, 100, [Call("a call", 10, 50, [inner], **client)], host=client.get("host", "")))
    if moved:
        # 70 … 110 becomes 20 … 60, and its child with it.
        assert exclusive(paths) == {"s root": 50, "a call": 10, "b serve": 20, "b work": 20}
        assert [(p.name, p.count, p.largest_us) for p in paths.problems] == [("clock_skew", 1, 50)]
    else:
        assert exclusive(paths) == {"s root": 50, "a call": 50}
        assert [p.name for p in paths.problems] == ["outside_parent"]


def test_a_server_much_longer_than_its_client_is_no_clock_skew() -> None:
    inner = Call("b serve", 70, 52, tags=SERVER)
    paths = paths_of(Call("s root", 0, 100, [Call("a call", 10, 50, [inner], tags=CLIENT)]))
    assert [p.name for p in paths.problems] == ["outside_parent"]


def test_asynchronous_calls_are_told_and_not_waited_for() -> None:
    later = Call("mail send", 50, 50, [Call("smtp x", 60, 10)], reference="FOLLOWS_FROM")
    paths = paths_of(Call("s root", 0, 100, [Call("a x", 10, 20), later]))
    assert exclusive(paths) == {"s root": 80, "a x": 20}
    assert [(p.name, p.count, p.traces) for p in paths.problems] == [("asynchronous", 1, 1)]


def test_roots_that_are_missing_or_too_many() -> None:
    whole = Call("s root", 0, 100)
    orphan = Call("o root", 0, 50, [Call("o x", 10, 10)], parent="gone")
    two = jaeger(whole, "two")
    other = jaeger(Call("z root", 0, 10, span_id="zz"), "two")
    two["spans"] += other["spans"]
    two["processes"].update(other["processes"])
    lost = jaeger(whole, "lost")
    stray = jaeger(Call("p x", 5, 5, span_id="yy", parent="gone"), "lost")
    lost["spans"] += stray["spans"]
    lost["processes"].update(stray["processes"])
    circle = jaeger(Call("c root", 0, 10, [Call("c x", 1, 1)], parent="0001"), "circle")
    paths = critical_paths(table_of([jaeger(orphan, "orphan"), two, lost, circle]))
    # One orphan on top is the root; of two roots none is; a true root stands whatever hangs beside it.
    assert dict(zip(paths.table.trace_ids, (paths.roots >= 0).tolist())) == {
        "orphan": True,
        "two": False,
        "lost": True,
        "circle": False,
    }
    assert exclusive(paths) == {"o root": 40, "o x": 10, "s root": 100}
    told = {problem.name: (problem.count, problem.examples) for problem in paths.problems}
    assert told == {
        "missing_parent": (2, ("lost", "orphan")),
        "several_roots": (1, ("two",)),
        "no_root": (1, ("circle",)),
        "cycle": (2, ("circle",)),
    }


def test_nothing_at_all() -> None:
    paths = critical_paths(table_of([]))
    assert by_operation(paths) == [] and by_service(paths) == [] and flame(paths) == [] and bounds(paths, []) == {}


def test_a_chain_of_two_thousand_calls_and_a_span_with_five_thousand_children() -> None:
    deep = Call("s x0", 0, 20_000)
    at = deep
    for number in range(1, 2000):
        at.calls.append(Call(f"s x{number % 7}", number, 20_000 - 2 * number))
        at = at.calls[0]
    wide = Call("w root", 0, 100_000, [Call("w x", 20 * number, 10) for number in range(5000)])
    paths = paths_of(deep, wide)
    assert sum(exclusive(paths).values()) == 120_000
    assert exclusive(paths)["w x"] == 50_000
    number = paths.table.operations.index(("w", "x"))
    assert bounds(paths, [number])[number].removed_us == pytest.approx(25_000, rel=0.01)  # over two traces


def test_percentiles_are_values_that_were_seen() -> None:
    paths = paths_of(*(Call("s root", 0, duration) for duration in range(1, 21)))
    row = by_operation(paths)[0]
    assert row.duration == {"p50": 10, "p95": 19, "p99": 20}
    assert row.path == row.duration and row.path_share == 1.0


@pytest.mark.parametrize(
    ("calls", "removed", "halved"),
    [
        ([Call("a x", 10, 40), Call("b x", 50, 40)], 40, 20),  # in a row: b moves up
        ([Call("a x", 10, 40), Call("b x", 20, 40)], 0, 0),  # b is last and waits for nobody
        ([Call("b x", 10, 30), Call("a x", 20, 60)], 40, 30),  # until b ends at 40; halved: 50
        ([Call("a x", 10, 20), Call("b x", 10, 18), Call("c x", 30, 50)], 2, 2),  # c then waits for b
    ],
)
def test_what_if_bounds_by_hand(calls: list[Call], removed: float, halved: float) -> None:
    paths = paths_of(Call("s root", 0, 100, calls))
    number = paths.table.operations.index(("a", "x"))
    bound = bounds(paths, [number])[number]
    assert (bound.removed_us, bound.halved_us) == (removed, halved)


@pytest.mark.parametrize(("overlap", "removed"), [(9, 309), (10, 0)])
def test_what_if_takes_the_same_calls_for_consecutive_as_the_path(overlap: int, removed: float) -> None:
    calls = [Call("a x", 100, 300 + overlap), Call("b x", 400, 500)]
    paths = paths_of(Call("s root", 0, 1000, calls))
    number = paths.table.operations.index(("a", "x"))
    assert bounds(paths, [number])[number].removed_us == removed


def test_what_if_looks_through_callers() -> None:
    inner = Call("b x", 10, 60, [Call("a x", 20, 30), Call("a x", 50, 10)])
    paths = paths_of(Call("s root", 0, 100, [inner, Call("c x", 70, 20)]))
    number = paths.table.operations.index(("a", "x"))
    # 20 … 50 and 50 … 60 go; b ends at 10 + 10 + 0 + 0 + 10 = 30, c follows at once.
    assert bounds(paths, [number])[number].removed_us == 40


def test_flame_graph_adds_up() -> None:
    paths = critical_paths(table_of(shop(40)))
    frames = flame(paths, smallest=0.0)
    below = [frame.total_us for frame in frames]
    assert sum(frame.path_us for frame in frames) == sum(paths.exclusive) == frames[0].total_us
    assert all(frame.parent < number for number, frame in enumerate(frames))
    assert sum(frame.calls for frame in frames) == int(paths.rooted.sum())
    assert below[0] == max(below)


@st.composite
def nested(draw: st.DrawFn, depth: int = 4) -> Call:
    """A well-nested call: children lie within it; they may overlap each other."""
    length = draw(st.integers(1, 2_000)) if depth == 4 else 0

    def grow(start: int, end: int, depth: int) -> Call:
        call = Call(draw(st.sampled_from(["a x", "b y", "c z"])), start, end - start)
        if depth and end - start > 2:
            for size in draw(st.lists(st.integers(0, 100), max_size=4)):
                low = draw(st.integers(start, end))
                call.calls.append(grow(low, min(end, low + size * (end - start) // 100), depth - 1))
        return call

    return grow(0, length, depth)


@st.composite
def tangled(draw: st.DrawFn) -> Call:
    """A call whose children lie anywhere, on hosts with and without a name."""

    def grow(depth: int) -> Call:
        call = Call(
            draw(st.sampled_from(["a x", "b y"])),
            draw(st.integers(0, 300)),
            draw(st.integers(0, 300)),
            host=draw(st.sampled_from(["", "h1", "h2"])),
            tags=draw(st.sampled_from([{}, SERVER, CLIENT])),
            reference=draw(st.sampled_from(["CHILD_OF", "CHILD_OF", "FOLLOWS_FROM"])),
        )
        if depth:
            call.calls = [grow(depth - 1) for number in range(draw(st.integers(0, 3)))]
        return call

    return grow(3)


@settings(max_examples=80, deadline=None)
@given(nested())
def test_exclusive_times_add_up_to_the_root(call: Call) -> None:
    paths = paths_of(call)
    assert sum(exclusive(paths).values()) == call.duration
    assert (paths.exclusive >= 0).all() and (paths.exclusive <= paths.table.duration).all()
    assert (paths.self_time >= 0).all() and (paths.self_time <= paths.table.duration).all()
    # Off the path nothing is exclusive; on the path a span's parent is as well.
    assert not paths.exclusive[~paths.on_path].any()
    inner = paths.on_path & (paths.up >= 0)
    assert paths.on_path[paths.up[inner]].all()


@settings(max_examples=80, deadline=None)
@given(tangled(), st.randoms(use_true_random=False))
def test_the_order_of_spans_does_not_matter_and_nothing_exceeds_the_root(call: Call, order: random.Random) -> None:
    trace = jaeger(call, "t")
    shuffled = {**trace, "spans": list(trace["spans"])}
    order.shuffle(shuffled["spans"])
    one, two = critical_paths(table_of([trace])), critical_paths(table_of([shuffled]))
    assert exclusive(one) == exclusive(two)
    assert by_operation(one) == by_operation(two)
    assert [problem.to_dict() for problem in one.problems] == [problem.to_dict() for problem in two.problems]
    assert flame(one) == flame(two)
    if one.roots[0] >= 0:
        assert sum(exclusive(one).values()) == call.duration
        assert (one.exclusive >= 0).all()


@settings(max_examples=50, deadline=None)
@given(nested())
def test_a_bound_is_never_negative_nor_more_than_the_request(call: Call) -> None:
    paths = paths_of(call)
    for bound in bounds(paths, range(len(paths.table.operations))).values():
        assert 0 <= bound.halved_us <= bound.removed_us + 1e-6
        assert bound.removed_us <= call.duration


def test_own_times_of_spans_that_last_for_months(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(shop(20))
    usual = critical_paths(table).self_time.tolist()
    monkeypatch.setattr(critical_path, "_LARGEST", 1)
    assert critical_paths(table).self_time.tolist() == usual


def test_many_traces_at_once_are_each_one_alone() -> None:
    traces = list(shop(25, seed=3))
    together = critical_paths(table_of(traces))
    alone: dict[str, int] = {}
    for trace in traces:
        for name, spent in exclusive(critical_paths(table_of([trace]))).items():
            alone[name] = alone.get(name, 0) + spent
    assert exclusive(together) == alone
