# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP/1.1 server for one WSGI application.

werkzeug's development server closes every connection and waits 10 ms after each request;
clients of the real cloud keep their connections. Here connections stay open, an answer goes
out in one piece, Nagle's algorithm is off, and the application can cut a connection.
"""

from __future__ import annotations

import io
import os
import socket
import socketserver
import struct
import typing as t

_Environ = dict[str, t.Any]
Application = t.Callable[[_Environ, t.Callable[..., t.Any]], t.Iterable[bytes]]

LONGEST_LINE = 65536
#: The key under which the application leaves the number of bytes after which it cuts the answer.
CUT_AFTER = "simulator.cut_after"


class _BadRequest(Exception):
    pass


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        """Serve requests on this connection until the client closes it."""
        try:
            while self._serve_one():
                pass
        except (ConnectionError, TimeoutError, _BadRequest):
            pass  # a client that goes away is no news

    def _serve_one(self) -> bool:
        line = self.rfile.readline(LONGEST_LINE)
        if not line.strip():
            return False
        try:
            method, target, version = line.decode("latin-1").split()
        except ValueError:
            raise _BadRequest from None
        environ = self._environ(method, target)
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ["wsgi.input"] = io.BytesIO(self._body(environ))
        keep = version != "HTTP/1.0" and environ.get("HTTP_CONNECTION", "").lower() != "close"
        return self._answer(environ, keep) and keep

    def _reset(self) -> None:
        """Break the connection off, as TLS tells an end from a cut: botocore would take half a body for whole."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def _environ(self, method: str, target: str) -> _Environ:
        path, _mark, query = target.partition("?")
        environ: _Environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": _unquoted(path),
            "QUERY_STRING": query,
            "RAW_URI": target,
            "REQUEST_URI": target,
            "SERVER_NAME": self.server.server_address[0],
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        while True:
            line = self.rfile.readline(LONGEST_LINE)
            if line in (b"\r\n", b"\n"):
                return environ
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise _BadRequest
            key = name.strip().upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = value.strip()

    def _body(self, environ: _Environ) -> bytes:
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline(LONGEST_LINE).split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline(LONGEST_LINE)
            self.rfile.readline(LONGEST_LINE)
            body = b"".join(chunks)
            environ["CONTENT_LENGTH"] = str(len(body))
            return body
        length = environ.get("CONTENT_LENGTH", "0") or "0"
        if not length.isdigit():
            raise _BadRequest
        return self.rfile.read(int(length))

    def _answer(self, environ: _Environ, keep: bool) -> bool:
        """Send what the application answers; False where the connection was cut."""
        state: dict[str, t.Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _info: t.Any = None) -> None:
            state["status"], state["headers"] = status, headers

        body = b"".join(self.server.application(environ, start_response))
        lines = [f"HTTP/1.1 {state['status']}"]
        lines += [f"{name}: {value}" for name, value in state["headers"] if name.lower() != "content-length"]
        lines += [f"Content-Length: {len(body)}", f"Connection: {'keep-alive' if keep else 'close'}"]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if environ["REQUEST_METHOD"] == "HEAD":
            body = b""
        cut = environ.get(CUT_AFTER)
        if cut is not None:
            self.connection.sendall(head + body[:cut])
            self._reset()
            return False
        self.connection.sendall(head + body)
        return True


def _unquoted(path: str) -> str:
    """The path as WSGI wants it: percent-decoded bytes, as latin-1."""
    if "%" not in path:
        return path
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(path).decode("latin-1")


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One thread a connection; port 0 picks a free port."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, host: str, port: int, application: Application) -> None:
        super().__init__((host, port), _Handler)
        self.application = application

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.server_address[1])
