# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads traces from Jaeger's HTTP API.

Jaeger's search answers with whole traces, for one service at a time, and cuts the answer at its limit without
saying so. An answer that holds as many traces as were asked for may therefore be cut: the window is halved then,
the newer half first, until the answers are whole or enough traces are there.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
import urllib.error
import urllib.parse
from collections.abc import Sequence

from ansible.module_utils.urls import open_url
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.observe.trace_files import (
    TraceFileError,
    TraceReader,
    decode_answer,
    decode_trace,
)
from ansible_collections.frugal.cloud.plugins.module_utils.spans import SpanBuilder

#: Traces asked for in one request: a few tens of MB of JSON at a hundred spans a trace.
BATCH = 400
#: A window of this many µs is not halved any more.
SHORTEST = 1_000_000
#: Bytes that one answer may have.
MAXIMUM_ANSWER = 1024**3


class JaegerError(Exception):
    """One sentence: which server, what it said, what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Traces that began from ``start`` to ``end``, µs since 1970."""

    start: int
    end: int

    def halves(self) -> tuple[Window, Window]:
        """The newer half, then the older."""
        middle = (self.start + self.end) // 2
        return Window(middle, self.end), Window(self.start, middle)


class Jaeger:
    """A Jaeger query service: ``url``, optional basic authentication or bearer token, and certificate checks."""

    def __init__(
        self,
        url: str,
        username: str = "",
        password: str = "",
        bearer_token: str = "",
        validate_certs: bool = True,
        ca_path: str = "",
        timeout: int = 60,
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        if bearer_token:
            headers["Authorization"] = f"Bearer {bearer_token}"
        self._options: dict[str, t.Any] = {
            "url_username": username or None,
            "url_password": password or None,
            "force_basic_auth": bool(username),
            "validate_certs": validate_certs,
            "ca_path": ca_path or None,
            "timeout": timeout,
            "headers": headers,
        }
        self.requests = 0

    def services(self) -> list[str]:
        """Names of all services that Jaeger knows. :raises JaegerError: one sentence."""
        try:
            names = json.loads(self._get("/api/services", {}))["data"]
        except (ValueError, KeyError, TypeError):
            raise JaegerError(f"{self.url} is no Jaeger: /api/services has no list of services") from None
        return sorted(str(name) for name in names or ())

    def read(self, services: Sequence[str], window: Window, most: int, builder: SpanBuilder) -> list[str]:
        """Add at most about ``most`` traces that began in ``window`` to ``builder``; all services where none is named.

        Returns warnings: services without a trace, and a limit that was reached.

        :raises JaegerError: one sentence; also where a named service is not there.
        """
        known = self.services()
        unknown = sorted(set(services) - set(known))
        if unknown:
            raise JaegerError(
                f"Jaeger at {self.url} knows no service {unknown[0]!r}: it has {', '.join(known[:20]) or 'none'}"
            )
        asked = list(dict.fromkeys(services)) or known
        warnings: list[str] = []
        before = builder.traces
        for number, service in enumerate(asked):
            # Each service gets an equal share of what is left, so that the first does not take it all.
            room = most - (builder.traces - before)
            share = -(-room // (len(asked) - number))
            if share <= 0 or self._read_service(service, window, share, builder):
                warnings.append(
                    f"service {service} has more traces in the window than were read: raise max_traces or shorten it"
                )
        return warnings

    def _read_service(self, service: str, window: Window, most: int, builder: SpanBuilder) -> bool:
        """Whether traces were left out."""
        reader = TraceReader(builder)
        left, cut = most, False
        windows = [window]
        while windows:
            if left <= 0:
                return True
            at = windows.pop()
            limit = min(BATCH, left)
            traces = self._search(service, at, limit)
            full = len(traces) >= limit
            if full and left > limit and at.end - at.start > SHORTEST:
                windows.extend(reversed(at.halves()))
                continue
            cut = cut or full
            before = builder.traces
            try:
                for number, raw in enumerate(traces):
                    trace = decode_trace(raw, self.url, number)
                    # Jaeger answers a trace for every service in it: one that is there already is no repetition.
                    if trace.traceID not in builder:
                        reader.add(trace, self.url)
            except TraceFileError as error:
                raise JaegerError(str(error)) from error
            left -= builder.traces - before
        return cut

    def _search(self, service: str, window: Window, limit: int) -> list[t.Any]:
        query = {"service": service, "start": window.start, "end": window.end, "limit": limit}
        content = self._get("/api/traces", query)
        try:
            answer = decode_answer(content)
        except deps.msgspec.DecodeError as error:
            raise JaegerError(f"Jaeger at {self.url} answered something that is no list of traces: {error}") from error
        if answer.data is None:
            raise JaegerError(f"Jaeger at {self.url} refused the search for {service}: {_errors(answer.errors)}")
        return t.cast("list[t.Any]", answer.data)

    def _get(self, path: str, query: dict[str, t.Any]) -> bytes:
        self.requests += 1
        url = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        try:
            with open_url(url, method="GET", **self._options) as answer:
                content = t.cast("bytes", answer.read(MAXIMUM_ANSWER + 1))
        except urllib.error.HTTPError as error:
            hint = "; set jaeger_username and jaeger_password, or jaeger_bearer_token" * (error.code in (401, 403))
            raise JaegerError(f"Jaeger at {self.url} answered {error.code}: {_reason(error)}{hint}") from error
        except (OSError, ValueError) as error:
            raise JaegerError(f"Jaeger at {self.url} cannot be read: {error}") from error
        if len(content) > MAXIMUM_ANSWER:
            raise JaegerError(f"Jaeger at {self.url} answered more than 1 GiB: shorten the window")
        return content


def _errors(errors: t.Any) -> str:
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("msg") or errors[0])
    return "no reason given"


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return _errors(json.loads(error.read())["errors"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)
