# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Advice for Varnish: what costs hits is found, what is private or unclear is left alone, predictions hold."""

from __future__ import annotations

import math
import random
import typing as t

import pytest
import varnish_data as data
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import varnish, varnish_server
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_evidence import Effect, more_often
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_log import LogError, path_kinds, visits_of
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_requests import Requests
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_rules import Rules, Traffic
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_server import Growth, MissCurve
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import Site
from hypothesis import given, settings
from hypothesis import strategies as st
from varnish_data import PUBLIC, Request

OPTIONS = varnish.Options(host="web1")


def found(records: list[dict[str, t.Any]], **site: t.Any) -> dict[str, Recommendation]:
    """Recommendations by kind of action."""
    answer = varnish.analyse(data.stats(records), [{**data.SITE, **site}], {}, OPTIONS)
    return {item.action: item for item in answer.recommendations}


def refused(records: list[dict[str, t.Any]], **site: t.Any) -> dict[str, str]:
    answer = varnish.analyse(data.stats(records), [{**data.SITE, **site}], {}, OPTIONS)
    return {item["what"]: item["why"] for report in answer.sites for item in report["refused"]}


def public(request: Request) -> tuple[str, dict[str, t.Any]]:
    return request.path, dict(PUBLIC)


def tracked(request: Request) -> None:
    request.query = [("id", "1"), ("sort", "asc")]
    if request.source.random() < 0.5:
        request.query.reverse()
    if request.source.random() < 0.6:
        request.query += [("utm_source", f"s{request.source.randrange(20)}"), ("gclid", str(request.source.random()))]


# --- The query


def test_tracking_parameters_go_and_the_rest_is_sorted() -> None:
    advice = found(data.visits(1500, tracked, public))
    assert set(advice) == {"varnish_query"}
    item = advice["varnish_query"]
    assert item.proposed == {"query_parameters": {"sort": True, "remove": ["gclid", "utm_*"]}}
    assert item.current == {"query_parameters": None} and item.risk.total == 0 and not item.refused
    assert item.evidence["measured"]["hit_ratio"] == 0.0
    # 10 pages at 5 requests a second each, 4 s to live and 10 s of grace: nearly all are hits.
    assert item.evidence["predicted"]["hit_ratio"] > 0.95
    assert item.evidence["predicted"]["hit_ratio_without_this"] < 0.5
    # What is declared already is not advised again.
    assert not found(data.visits(1500, tracked, public), query_parameters={"remove": ["utm_*", "gclid"]})


def test_a_tracking_parameter_that_changes_answers_stays() -> None:
    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        return f"{request.path} {dict(request.query).get('utm_source')}", dict(PUBLIC)

    records = data.visits(1500, tracked, page)
    assert found(records)["varnish_query"].proposed["query_parameters"]["remove"] == ["gclid"]
    assert "it changes answers" in refused(records)["parameter utm_*"]


def test_pages_that_repeat_their_address_are_recognised_by_their_sizes() -> None:
    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        text = "&".join(f"{name}={value}" for name, value in request.query)
        return "", {**PUBLIC, "content_length": 5000 + len(request.path) + len(text)}

    item = found(data.visits(1500, tracked, page, etag=False))["varnish_query"]
    assert item.proposed["query_parameters"]["remove"] == ["gclid", "utm_*"]
    assert any("repeat the address" in warning for warning in item.warnings) and item.risk.total == 1


def unknown(request: Request) -> None:
    request.query = [("pos", str(request.source.randrange(1000)))]


def test_an_unknown_parameter_goes_only_by_equal_etags() -> None:
    item = found(data.visits(1500, unknown, public))["varnish_query"]
    assert item.proposed["query_parameters"] == {"sort": True, "remove": ["pos"]} and item.risk.total == 2
    # Equal sizes are not enough, and without anything to compare by nothing is said.
    sizes = data.visits(1500, unknown, public, etag=False)
    assert not found(sizes) and "answers have no ETag" in refused(sizes)["parameter pos"]

    def blind(request: Request) -> tuple[str, dict[str, t.Any]]:
        return request.path, {**PUBLIC, "content_length": -1}

    nothing = data.visits(1500, unknown, blind, etag=False)
    assert not found(nothing) and "0 pairs of answers can be compared" in refused(nothing)["parameter pos"]


def test_a_parameter_that_changes_answers_stays() -> None:
    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        return f"{request.path} {request.query}", dict(PUBLIC)

    records = data.visits(1500, unknown, page)
    assert not found(records) and "changes answers" in refused(records)["parameter pos"]


def test_an_order_that_changes_answers_is_kept() -> None:
    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        kept = [pair for pair in request.query if pair[0] in ("id", "sort")]
        return f"{request.path} {kept}", dict(PUBLIC)

    records = data.visits(1500, tracked, page)
    assert found(records)["varnish_query"].proposed["query_parameters"]["sort"] is False
    assert "it changes answers" in refused(records)["order of parameters"]


# --- Cookies


def analytics(request: Request) -> None:
    request.cookies["_ga"] = str(request.source.random())


def sessions(request: Request) -> None:
    if request.source.random() < 0.5:
        request.cookies["sessionid"] = str(request.source.random())


def test_analytics_cookies_are_ignored() -> None:
    item = found(data.visits(800, analytics, public))["varnish_cookies"]
    assert item.proposed == {"cookies": {"ignore": ["_ga"]}} and item.risk.total == 0
    assert item.evidence["predicted"]["hit_ratio"] > 0.9


def test_a_session_cookie_is_taken_off_where_answers_say_public_and_are_the_same() -> None:
    item = found(data.visits(1200, sessions, public))["varnish_cookies"]
    assert item.proposed == {"public_paths": ["/p/*"]}
    assert item.risk.dimensions["privacy"] == 1
    # By their sizes alone that is riskier.
    weaker = found(data.visits(1200, sessions, public, etag=False))["varnish_cookies"]
    assert weaker.proposed == item.proposed and weaker.risk.dimensions["privacy"] == 2


NOT_PUBLIC = {"cache_control": "max-age=4"}


def test_answers_that_do_not_say_public_need_etags() -> None:
    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        return request.path, dict(NOT_PUBLIC)

    assert found(data.visits(1200, sessions, page))["varnish_cookies"].risk.dimensions["privacy"] == 2
    sizes = data.visits(1200, sessions, page, etag=False)
    assert not found(sizes)
    assert "neither Cache-Control: public nor an ETag" in refused(sizes)["cookies sessionid on /p/*"]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"cache_control": "private, max-age=4"}, ""),
        ({"cache_control": "no-store"}, ""),
        ({**PUBLIC, "set_cookie": ["sessionid"]}, ""),
        ({**PUBLIC, "vary": "cookie"}, "its answers vary on Cookie"),
        ({}, "they have no max-age"),
    ],
)
def test_what_looks_private_is_never_proposed(headers: dict[str, t.Any], why: str) -> None:
    records = data.visits(1200, sessions, lambda request: (request.path, dict(headers)))
    advice = found(records)
    for item in advice.values():
        assert "public_paths" not in item.proposed and "vary_on" not in item.proposed.get("cookies", {})
    if why:
        assert why in refused(records)["cookies sessionid on /p/*"]


def test_pages_that_differ_between_visitors_are_left_alone_even_where_they_say_public() -> None:
    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        return f"{request.path} for {request.value('sessionid')}", dict(PUBLIC)

    records = data.visits(1200, sessions, page)
    assert not found(records)
    assert "answers differ between visitors" in refused(records)["cookies sessionid on /p/*"]


def test_one_visitor_in_a_hundred_who_gets_another_page_is_enough_to_leave_it() -> None:
    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        special = request.value("sessionid").endswith("00")
        return f"{request.path} {request.value('sessionid') if special else ''}", dict(PUBLIC)

    def some(request: Request) -> None:
        if request.source.random() < 0.5:
            request.cookies["sessionid"] = f"{request.source.randrange(100, 100_000):05d}"

    records = data.visits(2000, some, page)
    assert not found(records) and "answers differ" in refused(records)["cookies sessionid on /p/*"]


def test_requests_with_authorization_are_never_made_public() -> None:
    def make(request: Request) -> None:
        sessions(request)
        request.authorization = request.source.random() < 0.1

    records = data.visits(1200, make, public)
    assert not found(records)
    assert refused(records)["cookies sessionid on /p/*"] == "some requests have Authorization"


def test_a_cookie_with_few_values_that_many_share_gets_a_copy_for_each() -> None:
    def make(request: Request) -> None:
        request.cookies["currency"] = request.source.choice(("EUR", "USD", "GBP"))

    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        return f"{request.path} {request.value('currency')}", dict(PUBLIC)

    item = found(data.visits(1200, make, page))["varnish_cookies"]
    assert item.proposed == {"cookies": {"vary_on": ["currency"]}} and item.risk.total == 2


def test_few_visitors_are_no_proof() -> None:
    def make(request: Request) -> None:
        request.cookies["sessionid"] = request.source.choice(("a", "b", "c"))

    records = data.visits(1200, make, public)
    assert (
        not found(records) and "with 10 different visitors are needed" in refused(records)["cookies sessionid on /p/*"]
    )


def test_private_pages_beside_public_ones_are_declared_private() -> None:
    source = random.Random(3)
    records = data.visits(1200, sessions, public)
    for index in range(60):
        request = Request(f"/account/{index}", 1000.5 + index / 4, source)
        request.cookies["sessionid"] = str(source.random())
        page = {"cache_control": "private, no-store", "set_cookie": ["sessionid"]}
        records.append(data.record(request, lambda one, page=page: (str(one.at), page)))  # type: ignore[misc]
    item = found(records)["varnish_cookies"]
    assert item.proposed == {"public_paths": ["/p/*"], "private_paths": ["/account/*"]}


def test_a_pattern_that_would_cover_private_pages_is_refused() -> None:
    source = random.Random(3)
    records = data.visits(1200, sessions, public)
    for index in range(60):
        request = Request(f"/p/{index % 10}/review", 1000.5 + index / 4, source)
        request.cookies["sessionid"] = str(source.random())
        records.append(data.record(request, lambda one: (str(one.at), {"cache_control": "private"})))
    assert "varnish_cookies" not in found(records)
    assert "the pattern would cover /p/*/review" in refused(records)["cookies on /p/*"]


def test_a_request_whose_cookies_were_cut_is_no_evidence_and_passes() -> None:
    records = [{**one, "cookies_cut": True} for one in data.visits(800, analytics, public)]
    assert not found(records)


# --- Vary


def browsers(request: Request) -> None:
    request.agent = f"desktop-{request.source.randrange(40)}"


def varied(request: Request) -> tuple[str, dict[str, t.Any]]:
    return request.path, {**PUBLIC, "vary": "accept-encoding, user-agent"}


def test_vary_on_the_browser_without_any_effect() -> None:
    item = found(data.visits(1500, browsers, varied))["varnish_vary"]
    assert item.proposed["ignore_vary"] == ["User-Agent"] and set(item.proposed["device_classes"]) == {"mobile"}
    assert item.risk.total == 2 and "only desktop browsers were seen" in item.warnings[0]

    def all_devices(request: Request) -> None:
        request.agent = f"{request.source.choice(('desktop', 'mobile', 'tablet'))}-{request.source.randrange(20)}"

    item = found(data.visits(1500, all_devices, varied))["varnish_vary"]
    assert item.proposed == {"ignore_vary": ["User-Agent"]} and item.risk.total == 1


def test_vary_that_is_meant_stays() -> None:
    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        return f"{request.path} {request.agent == 'desktop-7'}", varied(request)[1]

    records = data.visits(1500, browsers, page)
    assert not found(records) and "device_classes" in refused(records)["Vary: user-agent"]


# --- Time


def test_grace_is_raised_only_as_far_as_pages_keep_still() -> None:
    def seldom(request: Request) -> None:
        request.query = []

    def page(request: Request) -> tuple[str, dict[str, t.Any]]:
        return request.path, {"cache_control": "public, max-age=2"}

    # 200 pages at 5 requests a second: each comes back after 40 s.
    records = data.visits(4000, seldom, page, pages=200, rate=5.0)
    assert "varnish_grace" not in found(records, grace="1h")
    item = found(records)["varnish_grace"]
    assert item.proposed == {"grace": "120s"} or item.proposed == {"grace": "300s"}
    assert item.evidence["predicted"]["hit_ratio"] > item.evidence["predicted"]["hit_ratio_without_this"] + 0.3

    def restless(request: Request) -> tuple[str, dict[str, t.Any]]:
        return f"{request.path} {int(request.at / 20)}", {"cache_control": "public, max-age=2"}

    assert "varnish_grace" not in found(data.visits(4000, seldom, restless, pages=200, rate=5.0))

    def strict(request: Request) -> tuple[str, dict[str, t.Any]]:
        return request.path, {"cache_control": "public, max-age=2, must-revalidate"}

    assert "varnish_grace" not in found(data.visits(4000, seldom, strict, pages=200, rate=5.0))


# --- Predictions


def test_a_prediction_agrees_with_renewal_theory() -> None:
    """Poisson arrivals at rate r and a life of T: r T / (1 + r T) are hits, without grace."""
    source = random.Random(11)
    at, records = 1000.0, []
    for index in range(6000):
        at += source.expovariate(10.0)
        request = Request(f"/p/{index % 10}", at, source)
        request.path = f"/p/{source.randrange(10)}"
        records.append(data.record(request, public))
    site = Site.from_dict({**data.SITE, "grace": "0s"})
    visits = visits_of(records)
    outcome = Rules(site, Traffic.of(visits, ())).simulate()
    assert outcome.hit_ratio == pytest.approx(4 / (1 + 4), abs=0.02)
    assert outcome.backend_requests == outcome.requests - outcome.hits


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 5)), min_size=30, max_size=120)
)
def test_no_private_answer_is_ever_stored_by_what_is_proposed(rows: list[tuple[int, bool, bool, int]]) -> None:
    """Whatever the mix: a kind of page that once said private is neither public nor kept by the proposed rules."""
    source = random.Random(1)
    records = []
    for index, (page, private, cookie, value) in enumerate(rows * 8):
        request = Request(f"/k{page}/{value}", 1000.0 + index / 20, source)
        if cookie:
            request.cookies["sessionid"] = f"{value}{index}"
        headers = {"cache_control": "private"} if private and page % 2 else dict(PUBLIC)
        records.append(data.record(request, lambda one, headers=headers: (one.path, headers)))  # type: ignore[misc]
    visits = visits_of(records)
    study = Requests(visits, Site.from_dict(data.SITE))
    proposed = study.cookies().fields
    kinds = {visit.kind for visit in visits if visit.fetched is not None and visit.fetched.private}
    assert not kinds & set(proposed.get("public_paths", ()))
    rules = Rules(Site.from_dict({**data.SITE, **proposed}), Traffic.of(visits, study.private))
    assert all(rules.lifetime(kind) == (0.0, 0.0) for kind in kinds)


def test_too_few_requests_a_foreign_log_and_an_unmanaged_varnish() -> None:
    answer = varnish.analyse(data.stats(data.visits(50, tracked, public)), [data.SITE], {}, OPTIONS)
    assert not answer.recommendations and "50 requests were seen, 200 are needed" in answer.warnings[0]
    answer = varnish.analyse(data.stats([]), [data.SITE], {}, OPTIONS)
    assert "the log holds no requests" in answer.warnings[0]
    with pytest.raises(LogError, match="not a sample of a Varnish log: KeyError"):
        varnish.analyse(data.stats([{"path": "/"}]), [data.SITE], {}, OPTIONS)
    (item,) = varnish.analyse(data.stats(data.visits(800, tracked, public)), [], {}, OPTIONS).recommendations
    assert item.refused.startswith("no sites are declared") and item.resource.id == "web1:6081/default"


def test_what_was_tuned_before_is_kept_and_added_to() -> None:
    tuned = {"sites": {"shop": {"query_parameters": {"remove": ["utm_*"]}}}}
    answer = varnish.analyse(data.stats(data.visits(1500, tracked, public)), [data.SITE], tuned, OPTIONS)
    (item,) = answer.recommendations
    assert item.current == {"query_parameters": {"remove": ["utm_*"]}}
    assert item.proposed == {"query_parameters": {"sort": True, "remove": ["utm_*", "gclid"]}}


def test_a_private_answer_from_the_cache_is_noticed() -> None:
    request = Request("/account/1", 1000.0, random.Random(1))
    leaked = data.record(request, public, outcome="hit")
    leaked["response"] = {"cache_control": "private", "content_length": 3}
    assert varnish.leaks(visits_of([leaked])) == ["/account/*: it says Cache-Control: private"]
    assert not varnish.leaks(visits_of([data.record(request, public, outcome="hit")]))


def test_kinds_of_paths() -> None:
    paths = {("h", path) for path in ("/", "/p/1", "/p/22", "/static/app.css", "/u/3f2504e04f8911d39a0c0305e82c3301/x")}
    paths |= {("h", f"/tag/{name}") for name in "abcdefghijk"}
    kinds = path_kinds(paths)
    assert kinds["h", "/"] == "/" and kinds["h", "/p/1"] == kinds["h", "/p/22"] == "/p/*"
    assert kinds["h", "/static/app.css"] == "/static/app.css" and kinds["h", "/tag/a"] == "/tag/*"
    assert kinds["h", "/u/3f2504e04f8911d39a0c0305e82c3301/x"] == "/u/*/x"


def test_fisher_agrees_with_scipy() -> None:
    from scipy.stats import fisher_exact

    for changed, pairs, changed_same, same in ((3, 40, 1, 60), (10, 50, 2, 100), (1, 30, 0, 30), (5, 5, 0, 200)):
        table = [[changed, pairs - changed], [changed_same, same - changed_same]]
        expected = fisher_exact(table, alternative="greater").pvalue
        assert more_often(changed, pairs, changed_same, same) == pytest.approx(expected, rel=1e-6)
    # Pages that change by themselves: as many changes with the cookie as without it prove nothing.
    assert Effect(100, 5, 100, 5, "etag").none and Effect(100, 30, 100, 5, "etag").some
    assert not Effect(10, 0, 10, 0, "etag").known


# --- varnishd itself


def growth(seconds: float = 30.0, **counters: int) -> Growth:
    values = {name if "__" not in name else name.replace("__", "."): value for name, value in counters.items()}
    named = {name if "." in name else f"MAIN.{name}": value for name, value in values.items()}
    return Growth(named, named, seconds)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=60), st.integers(1, 9))
def test_reuse_distances_are_what_an_lru_cache_needs(keys: list[int], capacity: int) -> None:
    """An LRU cache of ``capacity`` objects of one byte hits exactly where the distance is at most its size."""
    order: list[int] = []
    for key, distance in zip(keys, varnish_server.reuse_distances([(key, 1) for key in keys])):
        assert (key in order[-capacity:]) == (distance <= capacity)
        if key in order:
            order.remove(key)
        order.append(key)


def test_storage_grows_to_where_the_curve_gets_flat() -> None:
    source = random.Random(5)
    mib = 1 << 20
    # 100 objects of 1 MiB, equally popular: hits need nearly all of them.
    curve = MissCurve.of([(source.randrange(100), mib) for index in range(3000)])
    counters = growth(n_lru_nuked=500, SMA__s0__g_bytes=50 * mib, SMA__s0__g_space=0)
    found = varnish_server.storage(counters, curve, {"available": 1 << 30})
    assert not isinstance(found, str)
    setting, evidence = found
    assert 95 <= int(setting.proposed.rstrip("M")) <= 115 and setting.current == "50M"
    assert evidence["lookups"]["now"] == pytest.approx(0.48, abs=0.05) and evidence["lookups"]["then"] > 0.95
    assert math.isclose(curve.hit_ratio(1e12), 1 - 100 / 3000, abs_tol=0.01)
    # No memory, no need, nothing thrown out.
    assert "has only 10 MiB of free memory" in varnish_server.storage(counters, curve, {"available": 10 * mib})
    assert varnish_server.storage(growth(SMA__s0__g_bytes=50 * mib), curve, {"available": 1 << 30}) == ""


def test_parameters_by_the_counters_that_say_so() -> None:
    values = {"thread_pools": "2", "thread_pool_max": "100", "thread_pool_min": "10", "nuke_limit": "50",
              "workspace_client": "98304", "workspace_backend": "98304", "http_max_hdr": "64"}  # fmt: skip
    assert not varnish_server.parameters(growth(), values)
    limited = {
        one.name: one.proposed for one in varnish_server.parameters(growth(threads_limited=5, req_dropped=2), values)
    }
    assert limited == {"thread_pool_max": "200"}
    queued = {one.name: one.proposed for one in varnish_server.parameters(growth(sess_queued=9, threads=70), values)}
    assert queued == {"thread_pool_min": "35"}
    rest = varnish_server.parameters(growth(n_lru_limited=1, ws_client_overflow=1, losthdr=1), values)
    assert {one.name: one.proposed for one in rest} == {
        "nuke_limit": "200",
        "workspace_client": "196608",
        "http_max_hdr": "128",
    }


def test_advice_about_backends() -> None:
    said = varnish_server.advice(growth(backend_conn=900, backend_reuse=100, backend_fail=3))
    assert "900 of 1000 requests needed a new connection" in said[0] and "3 connections to backends failed" in said[1]
    assert not varnish_server.advice(growth(backend_conn=5, backend_reuse=1000))


def test_server_settings_are_recommendations_of_their_own() -> None:
    mib = 1 << 20
    counters = {"MAIN.n_lru_nuked": 70, "SMA.s0.g_bytes": 16 * mib, "SMA.s0.g_space": 0, "MAIN.losthdr": 4}
    read = data.stats(data.visits(300, lambda request: None, public), counters=counters)
    read["parameters"] = {**data.PARAMETERS, "http_max_hdr": "64"}
    answer = varnish.analyse(read, [data.SITE], {"storage_size": "16M"}, OPTIONS)
    items = {item.action: item for item in answer.recommendations}
    assert items["varnish_storage"].current == {"storage_size": "16M"}
    assert items["varnish_storage"].proposed == {"storage_size": "36M"} and items["varnish_storage"].effort == "restart"
    assert items["varnish_parameters"].proposed == {"http_max_hdr": "128"}
    assert items["varnish_parameters"].resource.id == "web1:6081"
