# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for New Relic's infrastructure agent: it wants a license key, and listens on its status port."""

from __future__ import annotations

import http.server
import re
import sys
from pathlib import Path

settings = dict(re.findall(r"(?m)^(\w+): '?(.+?)'?$", Path("/etc/newrelic-infra.yml").read_text(encoding="utf-8")))
if not re.fullmatch(r"[0-9a-f]{36}NRAL", settings.get("license_key", "")):
    sys.exit("license_key is not a license key")
port = int(settings["status_server_port"])
http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler).serve_forever()
