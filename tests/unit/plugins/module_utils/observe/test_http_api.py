# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access to a server's HTTP API: who asks, and what is said when it does not answer. With a real server."""

from __future__ import annotations

import base64
import http.server
import threading
import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.observe import http_api
from ansible_collections.frugal.cloud.plugins.module_utils.observe.http_api import HttpApi, ServerError, reason


class Server(http.server.ThreadingHTTPServer):
    """Answers what it is told to, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = (200, b"{}")
        self.asked: list[tuple[str, str, str, str | None]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.asked.append((self.command, self.path, body, self.headers.get("Authorization")))
        status, answer = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: t.Any) -> None:
        """Requests are in ``asked``."""


class ShopError(ServerError):
    """What one product raises."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def api(server: Server, user: str = "", **more: t.Any) -> HttpApi:
    url = f"http://{user}127.0.0.1:{server.server_port}/"
    return HttpApi("Shop", url, hint="set its key", error=ShopError, **more)


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def test_queries_and_forms(server: Server) -> None:
    client = api(server)
    assert client.get("/a", {"b": "c d"}) == b"{}"
    client.get("/plain")
    client.post("/form", {"query": "up{a='b'}"})
    assert server.asked == [
        ("GET", "/a?b=c+d", "", None),
        ("GET", "/plain", "", None),
        ("POST", "/form", "query=up%7Ba%3D%27b%27%7D", None),
    ]
    assert client.requests == 3


@pytest.mark.parametrize(
    ("user", "options", "sent"),
    [
        ("", {"username": "me", "password": "pw"}, basic("me:pw")),
        ("me:p%21w@", {}, basic("me:p!w")),
        ("me:wrong@", {"username": "you", "password": "pw"}, basic("you:pw")),
        ("", {"bearer_token": "token"}, "Bearer token"),
    ],
)
def test_who_asks(server: Server, user: str, options: dict[str, str], sent: str) -> None:
    client = api(server, user, **options)
    client.get("/")
    assert server.asked[0][3] == sent
    assert client.url == f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, b""), "answered 401: Unauthorized; set its key"),
        ((403, b'{"error": "not you"}'), "answered 403: not you; set its key"),
        ((500, b'{"errors": [{"msg": "disk is full"}]}'), "answered 500: disk is full"),
        ((502, b"<html>"), "answered 502: Bad Gateway"),
    ],
)
def test_a_refusal_is_one_sentence_about_the_server(server: Server, answer: tuple[int, bytes], said: str) -> None:
    server.answer = answer
    with pytest.raises(ShopError) as caught:
        api(server, "me:hunter2@").get("/")
    assert str(caught.value) == f"Shop at http://127.0.0.1:{server.server_port} {said}"


def test_an_answer_without_an_end_is_not_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_api, "MAXIMUM_ANSWER", 1024**2)
    server.answer = (200, b"x" * (1024**2 + 1))
    with pytest.raises(ShopError, match="answered more than 1 MiB: ask for a shorter time"):
        api(server).get("/")


def test_nobody_there() -> None:
    with pytest.raises(ShopError, match=r"Shop at http://127.0.0.1:9 cannot be read: .*[Rr]efused"):
        HttpApi("Shop", "http://127.0.0.1:9", hint="", error=ShopError).get("/")


@pytest.mark.parametrize("answer", [None, [], {}, {"errors": []}, {"errors": None}, {"error": None}, "text"])
def test_no_reason_is_none(answer: t.Any) -> None:
    assert reason(answer) == ""
