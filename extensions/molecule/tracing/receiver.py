# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for New Relic and Prometheus: takes every POST on port 9999 and notes where it went and with which key."""

from __future__ import annotations

import http.server
import json
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 200 with an empty body, which is an empty OTLP response and all that remote write asks for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        noted = {
            "path": self.path,
            "type": self.headers.get("Content-Type"),
            "encoding": self.headers.get("Content-Encoding"),
            "key": self.headers.get("api-key"),
            "bytes": len(body),
        }
        with open(sys.argv[1], "a", encoding="utf-8") as file:
            file.write(json.dumps(noted) + "\n")
        self.send_response(200)
        self.send_header("Content-Type", self.headers.get("Content-Type") or "text/plain")
        self.send_header("Content-Length", "0")
        self.end_headers()


http.server.ThreadingHTTPServer(("127.0.0.1", 9999), Handler).serve_forever()
