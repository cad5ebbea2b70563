# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings on traces whose faults are known, and none where there are none; comparisons of two windows."""

from __future__ import annotations

import typing as t

import numpy
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import critical_paths
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_comparison import compare, holm, mann_whitney
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_findings import (
    Finding,
    FindingOptions,
    findings,
    milliseconds,
)
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.traces.traces_sample import (
    Call,
    paths_of,
    shop,
    table_of,
)

QUERY = {"span.kind": "client", "db.system": "postgresql"}


def found(kind: str, *calls: Call, **options: t.Any) -> list[Finding]:
    return [one for one in findings(paths_of(*calls), FindingOptions(**options)) if one.kind == kind]


def loop(times: int, gap: int = 10, **tags: t.Any) -> Call:
    calls = [
        Call("db SELECT", 10 + number * (100 + gap), 100, tags={**QUERY, "db.statement": f"SELECT {number}", **tags})
        for number in range(times)
    ]
    return Call("s root", 0, 20 + times * (100 + gap), calls)


def test_repeated_calls_by_hand() -> None:
    one, two = loop(6), loop(10)
    [finding] = found("n_plus_one", one, two)
    assert (finding.service, finding.operation) == ("s", "root")
    assert (finding.occurrences, finding.traces, finding.examples) == (2, 2, ("t0", "t1"))
    # 16 calls of 100 µs on the path; with one call a loop 2 of 16 would be left: 1400 saved over 2 requests.
    assert finding.saving_us == pytest.approx(700)
    assert finding.share == pytest.approx(1400 / (one.duration + two.duration))
    assert finding.evidence == {
        "called": "postgresql: SELECT ?",
        "calls_median": 6,
        "calls_most": 10,
        "path_us": 1600,
    }


def test_calls_at_once_or_too_few_are_no_loop() -> None:
    assert not found("n_plus_one", loop(4))
    assert not found("n_plus_one", loop(10, gap=-90))
    assert found("n_plus_one", loop(4), repeated_calls=4)


def test_calls_one_after_the_other_that_could_run_at_once() -> None:
    calls = [Call("a x", 0, 300), Call("b x", 310, 200), Call("c x", 520, 100), Call("s inner", 630, 300)]
    [finding] = found("sequential_calls", Call("s root", 0, 1000, calls))
    # Within the service itself nothing is called: "inner" does not count. 600 in all, 300 the longest.
    assert finding.saving_us == 300 and finding.evidence["calls_mean"] == 3
    assert [call["called"] for call in finding.evidence["calls"]] == ["a x", "b x", "c x"]
    assert not found("sequential_calls", Call("s root", 0, 1000, [Call("a x", 0, 300), Call("b x", 10, 300)]))


def test_retries_need_a_failure_before_them() -> None:
    def request(failed: bool, start: int = 400) -> Call:
        return Call(
            "s root",
            0,
            1000,
            [Call("a x", 100, 290, tags={"error": failed}), Call("a x", start, 300)],
        )

    [finding] = found("retries", request(True), request(True), request(False))
    assert (finding.occurrences, finding.traces, finding.saving_us) == (2, 2, pytest.approx(580 / 3))
    assert not found("retries", request(False), request(False))
    assert not found("retries", request(True, 200), request(True, 200))  # at once is no retry


def test_chatty_services() -> None:
    def request(times: int) -> Call:
        return Call("s root", 0, 10_000, [Call(f"a op{number % 3}", number * 50, 40) for number in range(times)])

    [finding] = found("chatty_services", request(12), request(20), request(12))
    assert (finding.service, finding.evidence["callee"]) == ("s", "a")
    assert (finding.evidence["calls_median"], finding.evidence["calls_most"]) == (12, 20)
    assert finding.saving_us == pytest.approx((44 - 3) * 40 / 3)
    assert not found("chatty_services", request(9))


def test_slow_statements_count_wherever_they_run() -> None:
    def request(duration: int) -> Call:
        tags = {**QUERY, "db.statement": f"SELECT * FROM big WHERE day = {duration}"}
        return Call("s root", 0, 1_000_000, [Call("db SELECT", 10, duration, tags=tags), Call("a x", 0, 900_000)])

    [finding] = found("slow_query", *(request(150_000 + number) for number in range(10)))
    assert finding.evidence["statement"] == "SELECT * FROM big WHERE day = ?"
    assert (finding.evidence["p50_us"], finding.evidence["p95_us"]) == (150_004, 150_009)
    assert finding.share == 0  # a is slower: the request does not wait for the query
    assert not found("slow_query", *(request(99_000) for number in range(10)))


def test_where_errors_begin_and_how_far_they_go() -> None:
    bad = {"error": True}
    broken = Call("s root", 0, 100, [Call("a x", 10, 50, [Call("b x", 20, 10, tags=bad)], tags=bad)], tags=bad)
    caught = Call("s root", 0, 100, [Call("a x", 10, 50, [Call("b x", 20, 10, tags=bad)])])
    [finding] = found("errors", broken, caught, caught)
    assert (finding.service, finding.occurrences, finding.traces) == ("b", 3, 3)
    assert finding.evidence == {"reached_request": 1, "route": "b → a → s"}
    assert finding.share == pytest.approx(1 / 3) and finding.saving_us is None
    [only] = found("errors", caught)
    assert only.evidence == {"reached_request": 0, "route": "b"} and "none reached the request" in only.summary
    assert finding.summary == (
        "3 errors began in b x, in 3 of 3 requests; 1 request failed with them, by way of b → a → s"
    )
    assert only.summary.startswith("1 error began in b x, in 1 of 1 requests")


def test_the_shop_shows_what_was_put_into_it() -> None:
    kinds = {(one.kind, one.service): one for one in findings(critical_paths(table_of(shop(300))))}
    assert set(kinds) == {
        ("bottleneck", "bank"),
        ("bottleneck", "orders"),
        ("chatty_services", "shop"),
        ("errors", "bank"),
        ("errors", "payment"),
        ("n_plus_one", "shop"),
        ("retries", "shop"),
        ("sequential_calls", "shop"),
        ("slow_query", "orders"),
    }
    assert kinds["errors", "bank"].evidence["route"] == "bank → payment → shop"
    assert kinds["n_plus_one", "shop"].evidence["called"] == "postgresql: SELECT price FROM prices WHERE id = ?"
    assert all(0 <= one.share <= 1 for one in kinds.values())


def test_a_healthy_request_has_no_finding_but_where_its_time_goes() -> None:
    calls = [Call("a x", 10, 900, [Call("b x", 20, 800)]), Call("c x", 10, 850)]
    kinds = {one.kind for one in findings(paths_of(*[Call("s root", 0, 1000, calls)] * 5))}
    assert kinds == {"bottleneck"}


@pytest.mark.parametrize(("time", "text"), [(0, "0 µs"), (12.34, "12.3 µs"), (1500, "1.5 ms"), (2_340_000, "2.34 s")])
def test_times_in_words(time: float, text: str) -> None:
    assert milliseconds(time) == text


def test_a_slower_operation_is_named_and_the_others_are_not() -> None:
    before, now = (critical_paths(table_of(shop(200, seed, slower))) for seed, slower in ((1, 1.0), (2, 1.6)))
    changes = compare(before, now)
    verdicts = {(change.what, change.service, change.operation): change.verdict for change in changes}
    assert verdicts["request", "shop", "POST /checkout"] == "slower"
    slower = {name for name, verdict in verdicts.items() if verdict == "slower" and name[0] == "operation"}
    assert slower == {("operation", "bank", "POST /transfer")}
    # What operations add makes up the whole change of the mean.
    request = next(change for change in changes if change.what == "request")
    added = sum(change.contribution_us for change in changes if change.what == "operation")
    assert added == pytest.approx(request.mean_now_us - request.mean_before_us)


def test_the_other_way_round_it_is_faster() -> None:
    before, now = (critical_paths(table_of(shop(200, seed, slower))) for seed, slower in ((1, 1.6), (2, 1.0)))
    assert {change.verdict for change in compare(before, now) if change.what == "request"} == {"faster"}


def test_the_same_again_shows_no_change_in_twenty_pairs() -> None:
    seen: set[str] = set()
    for seed in range(0, 40, 2):
        one, two = (critical_paths(table_of(shop(30, seed + step))) for step in (0, 1))
        seen |= {change.verdict for change in compare(one, two)}
    assert seen <= {"no change shown", "too few traces"}


def test_new_gone_and_too_few() -> None:
    one = paths_of(*[Call("s root", 0, 100, [Call("a x", 10, 50)])] * 30)
    two = paths_of(*[Call("s root", 0, 100, [Call("b x", 10, 50)])] * 30, Call("s rare", 0, 10))
    verdicts = {(change.what, change.operation, change.service): change.verdict for change in compare(one, two)}
    assert verdicts["operation", "x", "a"] == "gone" and verdicts["operation", "x", "b"] == "new"
    assert verdicts["request", "rare", "s"] == "new"
    few = paths_of(*[Call("s root", 0, 100 + number) for number in range(5)])
    assert [change.verdict for change in compare(few, one) if change.what == "request"] == ["too few traces"]


def test_rank_test_by_hand() -> None:
    # All of one below all of the other: U = 400, z = (400 - 200 - 0.5) / sqrt(20 * 20 * 41 / 12) = 5.396.
    p_value, delta = mann_whitney(numpy.arange(1, 21), numpy.arange(21, 41))
    assert delta == 1.0 and p_value == pytest.approx(6.8e-8, rel=0.01)
    assert mann_whitney(numpy.full(20, 5), numpy.full(20, 5)) == (1.0, 0.0)


def test_holm_by_hand() -> None:
    # In order 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]
