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
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.observe.http_api import HttpApi, ServerError, reason
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


class JaegerError(ServerError):
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


class Jaeger(HttpApi):
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
        super().__init__(
            "Jaeger",
            url,
            hint="set jaeger_username and jaeger_password, or jaeger_bearer_token",
            error=JaegerError,
            username=username,
            password=password,
            bearer_token=bearer_token,
            validate_certs=validate_certs,
            ca_path=ca_path,
            timeout=timeout,
        )

    def services(self) -> list[str]:
        """Names of all services that Jaeger knows. :raises JaegerError: one sentence."""
        try:
            names = json.loads(self.get("/api/services"))["data"]
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
            self.fail(f"knows no service {unknown[0]!r}: it has {', '.join(known[:20]) or 'none'}")
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
        content = self.get("/api/traces", query)
        try:
            answer = decode_answer(content)
        except deps.msgspec.DecodeError as error:
            self.fail(f"answered something that is no list of traces: {error}", error)
        if answer.data is None:
            why = reason({"errors": answer.errors}) or "no reason given"
            self.fail(f"refused the search for {service}: {why}")
        return t.cast("list[t.Any]", answer.data)
