# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of the reference site's promises: what it must find, and what it must not accuse."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.frugal.cloud.tests.reference_site import load


def line(kind: str, at: int, end: int, **more: t.Any) -> dict[str, t.Any]:
    """A line of the load generator's log."""
    return {"phase": "closed", "kind": kind, "at": at, "end": end, "status": 200, "took": float(end - at), **more}


def page(at: int, version: int, price: int = 100, kind: str = "product") -> dict[str, t.Any]:
    """A page with product 7."""
    return line(kind, at, at + 5, products=[[7, version, price]])


def changed(end: int, version: int, price: int = 200, status: int = 200) -> dict[str, t.Any]:
    """Staff's change of product 7, answered at ``end``."""
    return line("change_price", end - 50, end, products=[[7, version, price]], status=status)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([page(90, 0), changed(100, 1), page(101, 1, 200)], 0),
        ([changed(100, 1), page(101, 0)], 1),
        # On a list, in a cart: everywhere.
        ([changed(100, 1), page(101, 0, kind="cart"), page(101, 0, kind="search")], 2),
        # Asked before the change was answered, or in the same millisecond.
        ([changed(100, 1), page(99, 0), page(100, 0)], 0),
        # An answer that no later one may fall behind: of the newest change only.
        ([changed(100, 1), changed(200, 2, 300), page(150, 1, 200), page(201, 1, 200)], 1),
        # The log is in the order in which answers came.
        ([page(150, 0), changed(100, 1)], 1),
        # A change that failed promises nothing, an answer that is none shows nothing.
        ([changed(100, 1, status=503), page(101, 0)], 0),
        ([changed(100, 1), page(101, 0) | {"status": 502}], 0),
        # A page that says "not modified" shows what the browser kept.
        ([changed(100, 1), page(101, 0) | {"status": 304}], 1),
        # One version, two prices.
        ([page(1, 0, 100), page(2, 0, 101)], 1),
        ([changed(100, 1, 200), page(101, 1, 100)], 1),
    ],
)
def test_older_prices_are_found(lines: list[dict[str, t.Any]], found: int) -> None:
    compared, sentences = load.stale_prices(lines)
    assert len(sentences) == found, sentences
    assert compared == sum(one["kind"] != "change_price" and one["status"] in load.ANSWERS for one in lines)


def test_a_private_answer_is_given_once() -> None:
    one, other = line("cart", 1, 2, rendering="a"), line("account", 1, 2, rendering="b")
    assert load.twice_given([one, other]) == []
    assert load.twice_given([one, other, one]) == ["the cart answer a was given 2 times"]


def test_a_private_answer_has_no_age() -> None:
    assert load.kept_private([line("home", 1, 2, age=3), line("cart", 1, 2)]) == []
    assert load.kept_private([line("cart", 1, 2, age=3)]) == ["a cart answer was 3 s old"]


def test_figures_of_a_phase() -> None:
    """100 answers from 1 to 100 ms, one each 10 ms; a failure, and one that ended after the phase."""
    lines = [line("home", 10 * n, 10 * n + n) | {"took": float(n)} for n in range(1, 101)]
    lines += [line("cart", 500, 510, status=0), line("cart", 900, 1_011)]
    result = load.judge(lines, {"closed": 1.0, "open": 0})
    assert list(result.phases) == ["closed"]
    figures = result.phases["closed"]
    # The phase began with the first request, at 10 ms, and lasted until 1,010 ms: two answers came later.
    assert (figures.requests, figures.failed) == (91 + 1, 1)
    assert figures.throughput == 91
    assert (figures.p50, figures.p95) == (46, 87)
    assert set(figures.kinds) == {"home"}
    assert result.broken == {}


def test_what_customers_found_wrong_is_kept() -> None:
    lines = [
        line("cart", 1, 2),
        {"wrong": "another customer's answer", "kind": "cart", "customer": 1, "at": 2, "detail": {"owner": 2}},
    ]
    result = load.judge(lines, {"closed": 1.0})
    assert result.broken == {"another customer's answer": 1}
    assert result.examples == ('cart: another customer\'s answer: {"owner": 2}',)
    assert result.judged == 1


def test_the_mix_is_what_the_readme_says() -> None:
    """66 % public, 24 % private, 10 % written; header fragments for the share of pages with a session."""
    mix = load.TRAFFIC["mix"]
    assert set(mix) == {*load.PUBLIC, *load.PRIVATE, *load.WRITES}
    shares = [sum(mix[kind] for kind in kinds) for kinds in (load.PUBLIC, load.PRIVATE, load.WRITES)]
    assert shares == [66, 24, 10]
    pages = shares[0] - mix["asset"]
    assert mix["header"] == load.TRAFFIC["session_on_public_pages"] * pages
    assert sum(browser["share"] for browser in load.TRAFFIC["browsers"]) == pytest.approx(1)
