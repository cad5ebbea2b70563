# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading from Jaeger's API: how many requests, what is left out, and what is said when it fails.

The server here answers as Jaeger 2.13 was seen to do; ``tests/e2e/test_traces.py`` asks a real one.
"""

from __future__ import annotations

import http.server
import json
import threading
import typing as t
import urllib.parse
from collections.abc import Iterator

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.observe import jaeger as client
from ansible_collections.frugal.cloud.plugins.module_utils.observe.jaeger import Jaeger, JaegerError, Window
from ansible_collections.frugal.cloud.plugins.module_utils.spans import SpanBuilder
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.traces.traces_sample import MORNING, shop

HOUR = Window(MORNING, MORNING + 3600 * 1_000_000)


class Server(http.server.ThreadingHTTPServer):
    """``traces`` are what it holds; ``answer`` replaces what it says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.traces: list[dict[str, t.Any]] = []
        self.answer: tuple[int, bytes] | None = None
        self.asked: list[dict[str, str]] = []
        self.headers: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        server.headers.append(self.headers.get("Authorization"))
        names = {trace["traceID"]: {p["serviceName"] for p in trace["processes"].values()} for trace in server.traces}
        if url.path == "/api/services":
            status, body = 200, json.dumps({"data": sorted(set().union(*names.values()))}).encode()
        else:
            server.asked.append(query)
            start, end = int(query["start"]), int(query["end"])
            hits = [
                trace
                for trace in server.traces
                if query["service"] in names[trace["traceID"]] and start <= trace["spans"][0]["startTime"] <= end
            ]
            hits.sort(key=lambda trace: -trace["spans"][0]["startTime"])
            status, body = 200, json.dumps({"data": hits[: int(query["limit"])], "errors": None}).encode()
        if server.answer is not None:
            status, body = server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: t.Any) -> None:
        """Say nothing."""


@pytest.fixture(name="server")
def running() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def read(server: Server, *services: str, most: int = 1000, **options: t.Any) -> tuple[list[str], list[str], Jaeger]:
    builder = SpanBuilder()
    jaeger = Jaeger(server.url, **options)
    warnings = jaeger.read(services, HOUR, most, builder)
    return sorted(builder.build().trace_ids), warnings, jaeger


def test_one_request_a_service_and_one_for_their_names(server: Server) -> None:
    server.traces = list(shop(30))
    traces, warnings, jaeger = read(server, "shop", "payment")
    assert traces == sorted(trace["traceID"] for trace in server.traces)
    assert (warnings, jaeger.requests) == ([], 3)
    assert {query["service"] for query in server.asked} == {"shop", "payment"}


def test_all_services_where_none_is_named_each_trace_once(server: Server) -> None:
    server.traces = list(shop(10))
    builder = SpanBuilder()
    Jaeger(server.url).read((), HOUR, 1000, builder)
    assert builder.traces == 10 and builder.repeated_traces == 0


def test_an_answer_that_may_be_cut_is_asked_for_in_halves(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BATCH", 20)
    server.traces = list(shop(50))
    traces, warnings, jaeger = read(server, "shop")
    assert len(traces) == 50 and not warnings
    # No request asks for more than a batch, and halving does not go on where an answer is whole.
    assert {int(query["limit"]) for query in server.asked} <= set(range(1, 21)) and jaeger.requests < 40


def test_the_newest_are_read_and_the_rest_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.traces = list(shop(50))
    newest = sorted(trace["traceID"] for trace in server.traces[-10:])
    for batch in (400, 4):
        monkeypatch.setattr(client, "BATCH", batch)
        traces, warnings, _jaeger = read(server, "shop", most=10)
        assert traces == newest
        assert warnings == ["service shop has more traces in the window than were read: raise max_traces or shorten it"]


def test_the_first_service_does_not_take_it_all(server: Server) -> None:
    one, two = list(shop(20, seed=1)), list(shop(20, seed=2))
    for trace in two:
        for process in trace["processes"].values():
            process["serviceName"] = f"other-{process['serviceName']}"
    server.traces = one + two
    traces, warnings, _jaeger = read(server, "shop", "other-shop", most=10)
    assert len(traces) == 10 and len(warnings) == 2
    assert len({trace["traceID"] for trace in one} & set(traces)) == 5


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, b"{}"), "answered 401: Unauthorized; set jaeger_username and jaeger_password, or jaeger_bearer_token"),
        ((500, b'{"errors": [{"code": 500, "msg": "storage is down"}]}'), "answered 500: storage is down"),
        ((200, b"<html>"), "is no Jaeger: /api/services has no list of services"),
        ((200, b'{"data": ["a"]}'), "knows no service 'shop': it has a"),
    ],
)
def test_what_goes_wrong_is_one_sentence(server: Server, answer: tuple[int, bytes], sentence: str) -> None:
    server.answer = answer
    with pytest.raises(JaegerError) as caught:
        read(server, "shop")
    assert sentence in str(caught.value) and server.url in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b'{"data": null, "errors": [{"msg": "no such index"}]}', "refused the search for shop: no such index"),
        (b"[", "answered something that is no list of traces: "),
        (b'{"data": [{"traceID": 1}]}', "is not a file of traces: expected str, got int at $.data[0].traceID"),
    ],
)
def test_a_search_that_fails(server: Server, answer: bytes, sentence: str) -> None:
    server.answer = (200, answer)
    with pytest.raises(JaegerError) as caught:
        Jaeger(server.url)._read_service("shop", HOUR, 10, SpanBuilder())
    assert sentence in str(caught.value)


def test_nobody_there() -> None:
    with pytest.raises(JaegerError, match=r"Jaeger at http://127.0.0.1:9 cannot be read: .*[Rr]efused"):
        Jaeger("http://127.0.0.1:9").services()


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({}, None),
        ({"bearer_token": "t0"}, "Bearer t0"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
    ],
)
def test_how_it_says_who_asks(server: Server, options: dict[str, str], header: str | None) -> None:
    server.traces = list(shop(1))
    read(server, "shop", **options)
    assert set(server.headers) == {header}
