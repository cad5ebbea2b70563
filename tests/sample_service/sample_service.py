# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small shop that tests of the monitoring roles watch: two routes, one of which calls the other over HTTP.

It exports Prometheus metrics and can be made slow or faulty while it runs. It knows nothing of tracing:
spans come from role otel_instrumentation only, as they would for anybody's service. README.md has its
endpoints; the environment variables are read by ``settings``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
import typing as t
import urllib.error
import urllib.request

import flask
import prometheus_client
import waitress

#: the buckets of the latency histogram, in seconds
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: no fault may hang a request longer than this, in seconds
LONGEST_DELAY = 10.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the service listens, what it is called and whom it asks for the stock."""

    service: str
    address: str
    port: int
    #: base URL of the service that answers /stock, itself by default
    stock_url: str
    threads: int


def settings(environ: t.Mapping[str, str]) -> Settings:
    """Read ``SAMPLE_NAME``, ``_ADDRESS``, ``_PORT``, ``_STOCK_URL`` and ``_THREADS``."""
    address, port = environ.get("SAMPLE_ADDRESS", "127.0.0.1"), int(environ.get("SAMPLE_PORT", "8000"))
    own = f"http://{'127.0.0.1' if address == '0.0.0.0' else address}:{port}"
    return Settings(
        service=environ.get("SAMPLE_NAME", "sample"),
        address=address,
        port=port,
        stock_url=environ.get("SAMPLE_STOCK_URL", own),
        threads=int(environ.get("SAMPLE_THREADS", "64")),
    )


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with /stock: each answer is late by ``delay_seconds``, ``error_ratio`` of them are an error 500."""

    delay_seconds: float = 0.0
    error_ratio: float = 0.0

    @classmethod
    def from_json(cls, content: t.Any) -> Fault:
        """Read a request's body; raises ValueError that names what is wrong with it."""
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(content, dict) or not set(content) <= known:
            raise ValueError(f"a fault is a JSON object with {' and/or '.join(sorted(known))}")
        for name, value in content.items():
            largest = LONGEST_DELAY if name == "delay_seconds" else 1.0
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
                raise ValueError(f"{name} is {value!r}, it has to be a number from 0 to {largest:g}")
        return cls(**content)


class Injector:
    """Holds the present fault. Errors are spread evenly, not drawn, so that a ratio is exact."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fault = Fault()
        self._owed = 0.0

    def get(self) -> Fault:
        """The present fault."""
        with self._lock:
            return self._fault

    def set(self, fault: Fault) -> None:
        """Replace the present fault; it holds for requests that begin after this."""
        with self._lock:
            self._fault, self._owed = fault, 0.0

    def apply(self) -> bool:
        """Wait as long as the fault says; returns whether this answer shall be an error."""
        with self._lock:
            fault = self._fault
            self._owed += fault.error_ratio
            failed = self._owed >= 1.0
            if failed:
                self._owed -= 1.0
        if fault.delay_seconds:
            time.sleep(fault.delay_seconds)
        return failed


def application(config: Settings) -> flask.Flask:
    """The service as a WSGI application with metrics of its own."""
    app = flask.Flask("sample_service")
    injector = Injector()
    registry = prometheus_client.CollectorRegistry()
    requests = prometheus_client.Counter(
        "http_requests", "Requests that were answered.", ["service", "code", "route"], registry=registry
    )
    durations = prometheus_client.Histogram(
        "http_request_duration_seconds",
        "From request to answer.",
        ["service", "route"],
        buckets=BUCKETS,
        registry=registry,
    )

    def measured(route: str, answer: t.Callable[[], flask.Response]) -> flask.Response:
        started = time.perf_counter()
        try:
            response = answer()
        except OSError as error:  # what urllib raises for an error answer, a refused connection and a timeout
            response = flask.jsonify(error=f"/stock: {error}")
            response.status_code = error.code if isinstance(error, urllib.error.HTTPError) else 502
        requests.labels(config.service, str(response.status_code), route).inc()
        durations.labels(config.service, route).observe(time.perf_counter() - started)
        return response

    @app.get("/order")
    def order() -> flask.Response:
        def answer() -> flask.Response:
            with urllib.request.urlopen(f"{config.stock_url}/stock?item=book", timeout=30) as reply:
                return flask.jsonify(item="book", left=json.load(reply)["left"])

        return measured("/order", answer)

    # The fault is in the route that is called, so that both routes are late or faulty with it.
    @app.get("/stock")
    def stock() -> flask.Response:
        def answer() -> flask.Response:
            failed = injector.apply()
            item = flask.request.args.get("item", "book")
            response = flask.jsonify(item=item, left=len(item))
            response.status_code = 500 if failed else 200
            return response

        return measured("/stock", answer)

    @app.get("/fault")
    def show_fault() -> flask.Response:
        return flask.jsonify(dataclasses.asdict(injector.get()))

    @app.post("/fault")
    def set_fault() -> tuple[flask.Response, int]:
        try:
            fault = Fault.from_json(flask.request.get_json(force=True, silent=True))
        except ValueError as error:
            return flask.jsonify(error=str(error)), 400
        injector.set(fault)
        return flask.jsonify(dataclasses.asdict(fault)), 200

    @app.get("/health")
    def health() -> flask.Response:
        return flask.jsonify(status="up", service=config.service)

    @app.get("/metrics")
    def metrics() -> flask.Response:
        return flask.Response(
            prometheus_client.generate_latest(registry), content_type=prometheus_client.CONTENT_TYPE_LATEST
        )

    # A rate needs a first sample: series are there before the first request.
    for route in ("/order", "/stock"):
        durations.labels(config.service, route)
        for code in ("200", "500"):
            requests.labels(config.service, code, route)
    return app


def main() -> None:
    """Serve until the process is ended."""
    config = settings(os.environ)
    waitress.serve(
        application(config), host=config.address, port=config.port, threads=config.threads, ident="sample-service"
    )


if __name__ == "__main__":
    main()
