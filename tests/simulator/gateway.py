# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door: every request comes in here.

In front of moto on one port: the control endpoints, then faults, then our own operations,
then moto for the rest. What neither knows is answered with AWS's own error for unknown
operations, in the protocol of the service.
"""

from __future__ import annotations

import collections
import fnmatch
import io
import json
import re
import threading
import time
import traceback
import typing as t
import urllib.parse

import moto.backends

from simulator import (
    anomaly_monitors,
    autoscaling,
    budgets,
    cloudfront,
    cloudwatch,
    control,
    cost_categories,
    cost_explorer,
    ec2,
    ecs,
    gcp,
    launch_templates,
    pricing,
    savings,
    sts,
    tagging,
    wire_xml,
)
from simulator.errors import AwsError, ModelMismatch
from simulator.faults import THROTTLING
from simulator.http_server import CUT_AFTER
from simulator.registry import OPERATIONS
from simulator.state import Cloud
from simulator.wire import (
    SERVICE_OF_SIGNING_NAME,
    Answer,
    Call,
    new_request_id,
    read_params,
    service_model,
    write_answer,
    write_error,
)

#: Importing these registers their operations.
SERVICES = (
    anomaly_monitors,
    autoscaling,
    budgets,
    cloudfront,
    cloudwatch,
    cost_categories,
    cost_explorer,
    ec2,
    ecs,
    launch_templates,
    pricing,
    savings,
    sts,
    tagging,
)

_Environ = dict[str, t.Any]
_StartResponse = t.Callable[..., t.Any]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_RPC_PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)")


class Statistics:
    """What was asked: counts, and every request that may have changed something, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self.results: collections.Counter[str] = collections.Counter()
        self.seconds: collections.defaultdict[str, float] = collections.defaultdict(float)
        self.answer_bytes = 0
        self.changes: list[dict[str, t.Any]] = []

    def note(self, call: Call, result: str, cut: bool, seconds: float, size: int, now: float) -> None:
        """Count one answered request."""
        with self._lock:
            self.counts[call.account][call.name] += 1
            self.results[result] += 1
            self.results["cut"] += cut
            self.seconds[call.name] += seconds
            self.answer_bytes += size
            if call.changes_state:
                self.changes.append(
                    {
                        "time": now,
                        "account": call.account,
                        "region": call.region,
                        "operation": call.name,
                        "resources": call.resources,
                        "result": result,
                        "effect": call.effect,
                        "cut": cut,
                    }
                )

    def note_google(self, method: str, status: int, size: int) -> None:
        """Count a request to Google Cloud, by its HTTP method."""
        with self._lock:
            self.counts["google"][method] += 1
            self.results["ok" if status < 400 else str(status)] += 1
            self.answer_bytes += size

    def describe(self) -> dict[str, t.Any]:
        """What ``GET /simulator/stats`` shows."""
        with self._lock:
            return {
                "total": sum(sum(counter.values()) for counter in self.counts.values()),
                "counts": {account: dict(counter) for account, counter in self.counts.items()},
                "results": dict(self.results),
                "server_seconds": {name: round(value, 4) for name, value in self.seconds.items()},
                "answer_bytes": self.answer_bytes,
                "changes": list(self.changes),
            }


class Gateway:
    """The WSGI application."""

    def __init__(self, cloud: Cloud, moto_application: t.Callable[..., t.Iterable[bytes]]) -> None:
        self.cloud = cloud
        self.moto = moto_application
        self.statistics = Statistics()
        self.control = control.Control(cloud, self.statistics)
        self.google: gcp.Google | None = None
        # One request at a time: the cloud's state is plain data, and Python runs one thread anyway.
        self.lock = threading.RLock()

    def __call__(self, environ: _Environ, start_response: _StartResponse) -> t.Iterable[bytes]:
        """Answer one request."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        if len(body) < length:
            # The client died while it wrote: nothing was asked, and nobody waits for the answer.
            return _send(Answer(400, [], b""), start_response)
        path = environ.get("PATH_INFO", "/")
        if path.startswith("/simulator/"):
            with self.lock:
                self.cloud.agenda.settle()
                answer = self.control.answer(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), body)
            return _send(answer, start_response)
        call = _identify(environ, body)
        if call is None:
            if self.cloud.projects and environ.get("HTTP_AUTHORIZATION", "").startswith("Bearer "):
                return self._google(environ, body, start_response)
            return self._unsigned(environ, body, start_response)
        return self._signed(environ, call, body, start_response)

    def _signed(self, environ: _Environ, call: Call, body: bytes, start_response: _StartResponse) -> t.Iterable[bytes]:
        faults = self.cloud.faults
        if faults.latency_ms:
            time.sleep(faults.latency_ms / 1000)
        throttled, cut = faults.draw()
        begun = time.perf_counter()
        with self.lock:
            self.cloud.agenda.settle()
            try:
                if throttled:
                    cut = False
                    code, status = THROTTLING.get(call.service, ("ThrottlingException", 400))
                    raise AwsError(code, "Rate exceeded", status)
                answer = self._answer(environ, call, body)
                result = "ok" if answer.status < 400 else str(answer.status)
            except AwsError as error:
                answer, result = write_error(call, error), error.code
            except ModelMismatch as error:
                answer, result = _defect(call, str(error)), "InternalFailure"
            except Exception as error:
                # Nothing may end the connection but a cut that was asked for.
                traceback.print_exc()
                answer, result = _defect(call, repr(error)), "InternalFailure"
            seconds = time.perf_counter() - begun
            self.statistics.note(call, result, cut, seconds, len(answer.body), self.cloud.clock.now())
        if cut:
            return _cut(environ, answer, start_response)
        return _send(answer, start_response)

    def _google(self, environ: _Environ, body: bytes, start_response: _StartResponse) -> t.Iterable[bytes]:
        """A request to Google Cloud: who asks has a token."""
        faults = self.cloud.faults
        if faults.latency_ms:
            time.sleep(faults.latency_ms / 1000)
        throttled, cut = faults.draw()
        with self.lock:
            if self.google is None:
                self.google = gcp.Google(self.cloud)
            answer = gcp.BUSY if throttled else self.google.answer(environ, body)
            self.statistics.note_google(environ["REQUEST_METHOD"], answer.status, len(answer.body))
        if cut and not throttled:
            return _cut(environ, answer, start_response)
        return _send(answer, start_response)

    def _answer(self, environ: _Environ, call: Call, body: bytes) -> Answer:
        account = self.cloud.account_of_key(call.access_key)
        if account is None:
            code = "AuthFailure" if call.service == "ec2" else "InvalidClientTokenId"
            raise AwsError(code, "The security token included in the request is invalid.", 403)
        call.account = account.account_id
        self._authorize(call, account.deny)
        handler = OPERATIONS.get((call.service, call.operation))
        if handler is None:
            return self._moto(environ, call, body)
        model = service_model(call.service)
        if model is None:
            raise ModelMismatch(f"botocore has no service {call.service}")
        operation = model.operation_model(call.operation)
        if call.protocol == "rest-xml":
            headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key[:5] == "HTTP_"}
            path, query = environ.get("PATH_INFO", "/"), environ.get("QUERY_STRING", "")
            call.params = wire_xml.read_params(operation, path, query, headers, body)
            return wire_xml.write_answer(operation, call, handler(self.cloud, call))
        call.params = read_params(operation, call.protocol, body, environ.get("QUERY_STRING", ""))
        return write_answer(operation, call, handler(self.cloud, call))

    def _authorize(self, call: Call, denied: t.Iterable[str]) -> None:
        if call.name == "sts:GetCallerIdentity":
            return  # needs no permission in the real cloud either
        permission = budgets.PERMISSIONS.get(call.name, call.name)
        refused = call.account in self.cloud.faults.deny_account or any(
            fnmatch.fnmatchcase(name, pattern)
            for pattern in (*denied, *self.cloud.faults.deny)
            for name in (call.name, permission)
        )
        if refused:
            message = (
                f"User: arn:aws:iam::{call.account}:user/operator is not authorized to perform: {permission} "
                "because no identity-based policy allows the action"
            )
            if call.service == "ec2":
                raise AwsError(
                    "UnauthorizedOperation", f"You are not authorized to perform this operation. {message}", 403
                )
            code = "AccessDenied" if call.protocol in ("query", "rest-xml") else "AccessDeniedException"
            raise AwsError(code, message, 403 if call.protocol == "query" else 400)

    def _moto(self, environ: _Environ, call: Call, body: bytes) -> Answer:
        """What moto says; its HTML error pages become AWS's errors for unknown operations."""
        model = service_model(call.service)
        if call.service not in moto.backends.list_of_moto_modules() and call.service not in _MOTO_NAMES:
            raise _unknown(call)
        inner = dict(environ)
        inner["wsgi.input"] = io.BytesIO(body)
        inner["CONTENT_LENGTH"] = str(len(body))
        inner["HTTP_X_MOTO_ACCOUNT_ID"] = call.account
        state: dict[str, t.Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _info: t.Any = None) -> t.Any:
            state["status"], state["headers"] = int(status.split(maxsplit=1)[0]), headers
            return None

        try:
            content = self.moto(inner, start_response)
        except NotImplementedError:
            raise _unknown(call) from None
        data = b"".join(content)
        close = getattr(content, "close", None)
        if close:
            close()
        kind = next((value for key, value in state["headers"] if key.lower() == "content-type"), "")
        page = data[:64].lstrip().lower()
        not_found = state["status"] in (404, 501) and model is not None and data.lstrip()[:1] not in (b"{", b"<")
        if state["status"] >= 400 and (page.startswith((b"<!doctype", b"<html")) or not_found):
            raise _unknown(call)
        if state["status"] >= 500 and "html" in kind:
            raise _unknown(call)
        call.effect = call.changes_state and state["status"] < 400
        drop = ("content-length", "connection", "transfer-encoding", "server", "date")
        headers = [(key, value) for key, value in state["headers"] if key.lower() not in drop]
        return Answer(state["status"], headers, data)

    def _unsigned(self, environ: _Environ, body: bytes, start_response: _StartResponse) -> t.Iterable[bytes]:
        """Requests without a signature: nothing here serves them."""
        answer = Answer(
            403,
            [("Content-Type", "application/json")],
            json.dumps(
                {"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"}
            ).encode(),
        )
        return _send(answer, start_response)


def _defect(call: Call, what: str) -> Answer:
    return write_error(call, AwsError("InternalFailure", f"a defect of the simulator: {what}", 500))


_MOTO_NAMES = {"elbv2", "stepfunctions", "logs", "organizations", "tagging"}


def _unknown(call: Call) -> AwsError:
    if call.protocol in ("query", "ec2"):
        return AwsError("InvalidAction", f"The action {call.operation} is not valid for this web service.")
    return AwsError("UnknownOperationException", f"The simulator does not know {call.name}.")


def _identify(environ: _Environ, body: bytes) -> Call | None:
    """Service, operation and protocol of a signed request; None where it is not signed."""
    match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if match is None:
        return None
    access_key, region, signing_name = match.groups()
    service = SERVICE_OF_SIGNING_NAME.get(signing_name, signing_name)
    path = environ.get("PATH_INFO", "/")
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    rpc = _RPC_PATH.fullmatch(path)
    if rpc:
        operation, protocol = rpc[2], "smithy-rpc-v2-cbor"
    elif target:
        operation, protocol = target.rpartition(".")[2], "json"
    elif path == "/" and (action := _action(environ, body)):
        operation, protocol = action, "ec2" if service == "ec2" else "query"
    else:
        operation, protocol = _rest_operation(service, environ["REQUEST_METHOD"], path)
    return Call(service, operation, protocol, "unknown", region, access_key, {}, new_request_id())


def _action(environ: _Environ, body: bytes) -> str:
    text = body.decode(errors="replace") if body else environ.get("QUERY_STRING", "")
    match = re.search(r"(?:^|&)Action=(\w+)", text)
    return match[1] if match else ""


def _rest_operation(service: str, method: str, path: str) -> tuple[str, str]:
    """The operation of a REST request, by the model's URI patterns."""
    model = service_model(service)
    if model is None:
        return f"{method} {path}", "rest-json"
    protocol = "rest-xml" if model.metadata.get("protocol") == "rest-xml" else "rest-json"
    best: tuple[int, str] | None = None
    for name in model.operation_names:
        http = model.operation_model(name).http
        pattern = http["requestUri"].partition("?")[0]
        expression = re.sub(r"\\\{\w+(\\\+)?\\\}", lambda m: ".+" if m[1] else "[^/]+", re.escape(pattern))
        if http["method"] == method and re.fullmatch(expression, urllib.parse.unquote(path)):
            literal = len(re.sub(r"\{\w+\+?\}", "", pattern))
            if best is None or literal > best[0]:
                best = literal, name
    return (best[1] if best else f"{method} {path}"), protocol


_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}


def _headers(answer: Answer) -> list[tuple[str, str]]:
    return [*answer.headers, ("Content-Length", str(len(answer.body)))]


def _send(answer: Answer, start_response: _StartResponse) -> list[bytes]:
    start_response(f"{answer.status} {_REASONS.get(answer.status, 'Error')}", _headers(answer))
    return [answer.body]


def _cut(environ: _Environ, answer: Answer, start_response: _StartResponse) -> list[bytes]:
    """Send half of the answer and drop the connection: the change took effect, the client cannot know."""
    environ[CUT_AFTER] = len(answer.body) // 2
    return _send(answer, start_response)
