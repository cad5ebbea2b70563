# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site behind the cache, and what a right answer of it is.

``shop.py PORT`` serves it. Pages say what they are about in their first line, so whoever asked can tell
whether the answer is theirs; a private page has a number that no two answers share. ``/count`` says how
many pages were made; once ``/break`` was asked for, every page is an error. With ``--echo`` a page repeats
its whole address, as pages do that link to themselves, and there are no ETags.
"""

from __future__ import annotations

import argparse
import hashlib
import http.cookies
import http.server
import itertools
import json
import threading
import time
import typing as t
import urllib.parse

#: what making a page takes (seconds)
WORK = 0.012
#: parameters that matter
MEANT = ("id", "sort", "q")
MAX_AGE = 4


def page(path: str, query: str, headers: t.Mapping[str, str]) -> tuple[dict[str, t.Any], dict[str, str]]:
    """What the page that is asked for says, and its headers."""
    cookies = http.cookies.SimpleCookie(headers.get("cookie", ""))
    session = cookies["sessionid"].value if "sessionid" in cookies else ""
    meant = sorted(pair for pair in urllib.parse.parse_qsl(query) if pair[0] in MEANT)
    says: dict[str, t.Any] = {"path": path, "query": meant}
    kind = path.split("/")[1]
    public = {"Cache-Control": f"public, max-age={MAX_AGE}", "Vary": "Accept-Encoding"}
    if kind == "account":
        says["session"] = session
        return says, {"Cache-Control": "private, no-store", "Set-Cookie": f"sessionid={session or 'new'}"}
    if kind == "profile":
        says["session"] = session
        return says, {}
    if kind == "api":
        says["token"] = headers.get("authorization", "")
        return says, {"Cache-Control": f"max-age={MAX_AGE}"}
    if kind == "price":
        says["currency"] = cookies["currency"].value if "currency" in cookies else "EUR"
    if kind == "m":
        says["phone"] = "iPhone" in headers.get("user-agent", "")
    if kind in ("v", "m"):
        public["Vary"] = "Accept-Encoding, User-Agent"
    return says, public


def is_private(path: str) -> bool:
    """Whether an answer must be made for each who asks."""
    return path.split("/")[1] in ("account", "profile", "api")


def wrong(body: bytes, path: str, query: str, headers: t.Mapping[str, str], seen: set[int]) -> str:
    """Why ``body`` is not the answer to this request; empty where it is. ``seen``: numbers of private pages."""
    try:
        got = json.loads(body.split(b"\n", 1)[0])
    except ValueError:
        return f"{path}: not a page of this shop: {body[:80]!r}"
    number = got.pop("number", None)
    expected = json.loads(json.dumps(page(path, query, headers)[0]))
    if got != expected:
        return f"{path}?{query}: the page says {got}, it should say {expected}"
    if is_private(path):
        if number is None or number in seen:
            return f"{path}: a private page came from a cache (number {number})"
        seen.add(number)
    return ""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in two writes: without this the body waits for the head's acknowledgement, 40 ms.
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    echo = False
    numbers = itertools.count(1)
    made = 0
    broken = False
    lock = threading.Lock()

    def log_message(self, format: str, *args: t.Any) -> None:
        """The access log is not wanted."""

    def do_GET(self) -> None:
        path, mark, query = self.path.partition("?")
        del mark
        if path == "/count":
            self._send(200, json.dumps({"made": _Handler.made}).encode(), {"Cache-Control": "no-store"})
            return
        _Handler.broken = self.broken or path == "/break"
        if self.broken:
            self._send(503, b"broken", {"Cache-Control": "no-store"})
            return
        time.sleep(WORK)
        with self.lock:
            _Handler.made += 1
        headers = {name.lower(): value for name, value in self.headers.items()}
        says, answer = page(path, query, headers)
        filling = b"x" * (4000 + sum(path.encode()) % 8 * 4000)
        if is_private(path):
            says["number"] = next(self.numbers)
        line = json.dumps(says).encode()
        if self.echo:
            filling = query.encode() + filling
        elif "Set-Cookie" not in answer:
            answer["ETag"] = '"' + hashlib.sha256(line).hexdigest()[:20] + '"'
        self._send(200, line + b"\n" + filling, {"Content-Type": "text/html", **answer})

    def _send(self, status: int, body: bytes, headers: t.Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the shop behind the cache.")
    parser.add_argument("port", type=int)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--echo", action="store_true", help="pages repeat their address and have no ETag")
    options = parser.parse_args()
    _Handler.echo = options.echo
    _Server((options.address, options.port), _Handler).serve_forever()


if __name__ == "__main__":
    main()
