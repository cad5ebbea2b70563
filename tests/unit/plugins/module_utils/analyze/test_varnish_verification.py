# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a Varnish does better since a change: each check passes when it should and fails when it should."""

from __future__ import annotations

import dataclasses
import random
import typing as t

import varnish_data as data
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import varnish
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_log import Visit, visits_of
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_verification import checks
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation
from varnish_data import PUBLIC, Request


def public(request: Request) -> tuple[str, dict[str, t.Any]]:
    return request.path, dict(PUBLIC)


def analytics(request: Request) -> None:
    request.cookies["_ga"] = str(request.source.random())


def advice() -> Recommendation:
    read = data.stats(data.visits(800, analytics, public))
    (item,) = varnish.analyse(read, [data.SITE], {}, varnish.Options("web1")).recommendations
    # As it comes back from a plan.
    return Recommendation.from_dict(item.to_dict())


def later(hits: float, number: int = 800, **changes: t.Any) -> list[Visit]:
    """Requests after the change, of which a share are hits, ten times as fast as what the backend makes."""
    source = random.Random(2)
    found = []
    for visit in visits_of(data.visits(number, analytics, public)):
        if source.random() < hits:
            delivered = visit.fetched
            visit = dataclasses.replace(visit, outcome="hit", ttfb=0.001, fetched=None, delivered=delivered)
        found.append(dataclasses.replace(visit, **changes))
    return found


def outcomes(visits: list[Visit]) -> dict[str, str]:
    return {check.name.partition(",")[0]: check.outcome for check in checks(advice(), visits)}


def test_a_cache_that_answers_more_passes() -> None:
    found = checks(advice(), later(0.9))
    assert {check.outcome for check in found} == {"passed"}
    told = {check.name: check.detail for check in found}
    assert told["hit ratio"].startswith("0.892 now, 0.000 before, 1.000 predicted")
    assert told["backend requests"].endswith("a request now, 1.000 before")


def test_each_harm_fails_its_check() -> None:
    good = later(0.9)
    before = advice()
    worse = dataclasses.replace(before, evidence={**before.evidence, "measured": varnish.measured(good)})
    judged = {check.name.partition(",")[0]: check.outcome for check in checks(worse, later(0.7))}
    assert judged["hit ratio"] == judged["backend requests"] == "failed"
    assert outcomes(later(0.9, ttfb=0.5))["time to the first byte"] == "failed"
    broken = [
        dataclasses.replace(visit, status=503) if number % 50 == 0 else visit for number, visit in enumerate(good)
    ]
    assert outcomes(broken)["errors"] == "failed"
    one = [dataclasses.replace(visit, status=503) if number == 5 else visit for number, visit in enumerate(good)]
    assert outcomes(one)["errors"] == "passed"


def test_one_private_answer_from_the_cache_fails_whatever_else_is_better() -> None:
    visits = later(0.9)
    hit = next(number for number, visit in enumerate(visits) if visit.outcome == "hit")
    delivered = visits[hit].delivered
    assert delivered is not None
    private = dataclasses.replace(delivered, cache_control="private")
    visits[hit] = dataclasses.replace(visits[hit], delivered=private)
    assert outcomes(visits)["private answers"] == "failed"


def test_few_requests_prove_nothing() -> None:
    assert outcomes(later(0.9, number=50)) == {"private answers": "passed", "hit ratio": "no_data"}
    assert set(outcomes([]).values()) == {"no_data"}


def test_what_an_action_means_on_the_host_and_back() -> None:
    item = advice()
    assert varnish.tuned(item, item.proposed) == {"sites": {"shop": {"cookies": {"ignore": ["_ga"]}}}}
    assert varnish.tuned(item, item.current) == {"sites": {"shop": {"cookies": None}}}
    assert varnish.current(item, {}) == {"cookies": None}
    assert varnish.current(item, varnish.tuned(item, item.proposed)) == dict(item.proposed)
    server = dataclasses.replace(item, action="varnish_parameters", proposed={"nuke_limit": "200"})
    assert varnish.current(server, varnish.tuned(server, server.proposed)) == {"nuke_limit": "200"}
    storage = dataclasses.replace(item, action="varnish_storage", proposed={"storage_size": "64M"})
    assert varnish.current(storage, varnish.tuned(storage, storage.proposed)) == {"storage_size": "64M"}


def test_only_the_requests_of_the_site_count() -> None:
    records = data.visits(300, analytics, public)
    read = data.stats([*records, {**records[0], "host": "other.example"}], declaration=[data.SITE])
    assert len(varnish.concerned(advice(), read)) == 300
    server = dataclasses.replace(advice(), action="varnish_storage")
    assert len(varnish.concerned(server, read)) == 301
