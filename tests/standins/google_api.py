# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for Google's APIs, driven by the discovery documents that google-api-python-client brings.

Method, path, query and body of every request are checked against the document: an unknown method,
parameter or field, or a wrong type or enum value, is refused with 400 or 404, as Google refuses
it. Resources are kept by their path; get and patch work as the document's schemas say, with
fingerprints where a schema has one, and answer with operations that take a moment. What else a
method does has to be given as a handler: it gets the path, the names in path and query, and the
body, and answers with a dict, which is checked against the document's schema too, or with None,
which begins an operation of Compute Engine.

Other stand-ins bring an API as a file beside this one whose ``install`` adds its documents' names
to :attr:`Google.apis` and its handlers to :attr:`Google.handlers`.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import importlib.util
import json
import re
import typing as t
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.frugal.cloud.tests.standins.serving import Reply, Request
from ansible_collections.frugal.cloud.tests.standins.serving import serving as serving_http

_Dict = dict[str, t.Any]
TOKEN = "ya29.the-token-of-the-tests"


_Handler: t.TypeAlias = "t.Callable[[str, _Dict, t.Any], _Dict | None]"

#: What errors are called beside their HTTP status (google/rpc/code.proto).
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


class Refused(Exception):
    """An answer that is no success; ``reason`` is what Google calls it beside the HTTP status."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or _STATUSES.get(status, "INTERNAL")


@functools.cache
def document(name: str) -> _Dict:
    """The discovery document of an API, such as C(compute.v1)."""
    found = importlib.util.find_spec("googleapiclient")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "discovery_cache" / "documents" / f"{name}.json"
    return t.cast("_Dict", json.loads(path.read_text(encoding="utf-8")))


@dataclasses.dataclass(frozen=True)
class Method:
    """A method of a document and the paths that it answers."""

    api: str
    path: re.Pattern[str]
    description: _Dict
    #: letters of the path that are fixed: of two methods that a path suits, the one with more is meant
    fixed: int

    @property
    def id(self) -> str:
        """``compute.backendServices.patch``."""
        return str(self.description["id"])


@functools.cache
def methods(api: str) -> list[Method]:
    """All methods of an API."""
    found: list[Method] = []

    def collect(resources: _Dict, prefix: str) -> None:
        for resource in resources.values():
            for method in resource.get("methods", {}).values():
                template = prefix + method.get("flatPath", method["path"])
                parts = re.split(r"\{\+?(\w+)\}", template)
                pattern = "".join(f"(?P<{part}>[^/]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts))
                found.append(Method(api, re.compile(pattern), method, sum(map(len, parts[::2]))))
            collect(resource.get("resources", {}), prefix)

    root = document(api)
    collect(root["resources"], "/" + root["servicePath"])
    return found


def check(schemas: _Dict, schema: _Dict, value: t.Any, where: str) -> None:
    """:raises Refused: ``value`` is not what ``schema`` says."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    kind = schema.get("type", "any")
    if kind == "object":
        if not isinstance(value, dict):
            raise Refused(400, f"Invalid value at '{where}': an object is expected")
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner is None:
                raise Refused(
                    400, f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
                )
            check(schemas, inner, item, f"{where}.{name}")
    elif kind == "array":
        if not isinstance(value, list):
            raise Refused(400, f"Invalid value at '{where}': a list is expected")
        for number, item in enumerate(value):
            check(schemas, schema["items"], item, f"{where}[{number}]")
    elif kind != "any":
        _check_plain(schema, kind, value, where)


def _check_plain(schema: _Dict, kind: str, value: t.Any, where: str) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good = {"boolean": isinstance(value, bool), "integer": number, "number": number, "string": isinstance(value, str)}
    if kind == "string" and schema.get("format") in ("int64", "uint64"):
        good["string"] = isinstance(value, str) or number
    if not good.get(kind, False):
        raise Refused(400, f"Invalid value at '{where}' ({kind}): {value!r}")
    if schema.get("enum") and value not in schema["enum"]:
        raise Refused(400, f"Invalid value for field '{where}': '{value}'. Must be one of {schema['enum']}")


@dataclasses.dataclass
class Google:
    """The cloud; tests look at it and change it."""

    apis: list[str] = dataclasses.field(default_factory=lambda: ["compute.v1"])
    #: resources by path
    resources: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    handlers: dict[str, _Handler] = dataclasses.field(default_factory=dict)
    #: permissions that the caller lacks, by the method that needs them
    denied: dict[str, str] = dataclasses.field(default_factory=dict)
    #: APIs that nobody has enabled, such as C(cloudbilling)
    disabled: set[str] = dataclasses.field(default_factory=set)
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    #: so many requests are answered with 503 first
    busy: int = 0
    #: so many patches find that somebody was faster
    conflicts: int = 0
    #: ends the next operation with this error
    failing: str = ""
    operations: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    _count: int = 0

    def answer(self, verb: str, path: str, query: dict[str, list[str]], body: t.Any) -> _Dict:
        """The answer to a request. :raises Refused: what is none."""
        method, names = self._method(verb, path)
        self.requests.append((method.id, path))
        given = self._check(method, query, body)
        self._allow(method)
        action = method.id.rpartition(".")[2]
        if method.id in self.handlers:
            said = self.handlers[method.id](path, {**names, **given}, body)
            if said is not None:
                check(document(method.api)["schemas"], method.description.get("response", {}), said, "the answer")
                return said
        elif method.id.endswith("Operations.get"):
            return self._operation(path.rpartition("/")[2])
        elif action == "get":
            return self._get(path)
        elif action == "patch":
            self._patch(path, body)
        else:
            raise Refused(501, f"the stand-in has no handler for {method.id}")
        return self._begin(path)

    def _method(self, verb: str, path: str) -> tuple[Method, _Dict]:
        found = [
            (method, match.groupdict())
            for api in self.apis
            for method in methods(api)
            if method.description["httpMethod"] == verb and (match := method.path.fullmatch(path))
        ]
        if not found:
            raise Refused(404, f"The requested URL {path} was not found on this server.")
        return max(found, key=lambda one: one[0].fixed)

    def _allow(self, method: Method) -> None:
        service = method.id.partition(".")[0]
        if service in self.disabled:
            title = document(method.api)["title"]
            raise Refused(403, f"{title} has not been used in project 4711 before or it is disabled.")
        if method.id in self.denied:
            raise Refused(
                403, f"Permission '{self.denied[method.id]}' denied on resource (or the resource may not exist)."
            )

    def _check(self, method: Method, query: dict[str, list[str]], body: t.Any) -> _Dict:
        """What the query says: lists where a parameter may be repeated."""
        root = document(method.api)
        known = {**root.get("parameters", {}), **method.description.get("parameters", {})}
        for name in query:
            if name not in known:
                raise Refused(
                    400, f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.'
                )
        for name, parameter in method.description.get("parameters", {}).items():
            if parameter.get("required") and parameter["location"] == "query" and name not in query:
                raise Refused(400, f"Required parameter: {name}")
        if "request" in method.description:
            check(root["schemas"], method.description["request"], body if body is not None else {}, "body")
        elif body is not None:
            raise Refused(400, "this method takes no body")
        return {name: values if known[name].get("repeated") else values[-1] for name, values in query.items()}

    def _get(self, path: str) -> _Dict:
        if path not in self.resources:
            raise Refused(404, f"The resource '{path.removeprefix('/compute/v1/')}' was not found")
        found = self.resources[path]
        mark = base64.b64encode(str(found.setdefault("_version", 1)).encode()).decode()
        shown = {key: value for key, value in found.items() if key != "_version"}
        named = {"name": path.rpartition("/")[2], **shown}
        return {**named, "fingerprint": mark} if "backendServices" in path else named

    def _patch(self, path: str, body: _Dict) -> None:
        there = self._get(path)
        if self.conflicts:
            self.conflicts -= 1
            self.resources[path]["_version"] += 1
            raise Refused(412, "Invalid fingerprint.")
        if body.get("fingerprint", there.get("fingerprint")) != there.get("fingerprint"):
            raise Refused(412, "Invalid fingerprint.")
        found = self.resources[path]
        _merge(found, {key: value for key, value in body.items() if key != "fingerprint"})
        found["_version"] += 1

    def _begin(self, target: str) -> _Dict:
        self._count += 1
        name = f"operation-{self._count}"
        self.operations[name] = {"name": name, "status": "RUNNING", "targetLink": target, "kind": "compute#operation"}
        return dict(self.operations[name])

    def _operation(self, name: str) -> _Dict:
        if name not in self.operations:
            raise Refused(404, f"The resource '{name}' was not found")
        operation = self.operations[name]
        operation["status"] = "DONE"
        if self.failing:
            operation["error"] = {"errors": [{"code": "RESOURCE_ERROR", "message": self.failing}]}
            self.failing = ""
        return operation


def _merge(found: _Dict, given: _Dict) -> None:
    """JSON merge patch (RFC 7396): mappings are merged, all else is replaced."""
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            _merge(found[key], value)
        elif value is None:
            found.pop(key, None)
        else:
            found[key] = value


def respond(google: Google, request: Request) -> Reply:
    """The answer to a request of HTTP."""
    try:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Request had invalid authentication credentials.")
        if google.busy:
            google.busy -= 1
            raise Refused(503, "The service is currently unavailable.")
        query = urllib.parse.parse_qs(request.query, keep_blank_values=True)
        return Reply(200, google.answer(request.method, request.path, query, request.json()))
    except Refused as error:
        said = {"code": error.status, "message": str(error), "status": error.reason}
        return Reply(error.status, {"error": said})


@contextlib.contextmanager
def serving(google: Google) -> Iterator[str]:
    """All of Google's APIs at one address; it is what to give as ``base_url``."""
    with serving_http(functools.partial(respond, google)) as url:
        yield url


def cdn_project(project: str = "shop") -> Google:
    """A project with a backend service, a backend bucket and a URL map, as a load balancer has them."""
    google = Google()
    base = f"/compute/v1/projects/{project}/global"
    google.resources[f"{base}/backendServices/web"] = {
        "enableCDN": False,
        "protocol": "HTTP",
        "cdnPolicy": {"cacheKeyPolicy": {"includeHost": True, "includeProtocol": True, "includeQueryString": True}},
    }
    google.resources[f"{base}/backendBuckets/files"] = {"enableCdn": True, "bucketName": "files"}
    google.resources[f"{base}/urlMaps/shop"] = {}

    def add(path: str, names: _Dict, body: _Dict) -> None:
        found = google.resources[path.rpartition("/")[0]]
        found.setdefault("cdnPolicy", {}).setdefault("signedUrlKeyNames", []).append(body["keyName"])

    def remove(path: str, names: _Dict, body: _Dict) -> None:
        google.resources[path.rpartition("/")[0]]["cdnPolicy"]["signedUrlKeyNames"].remove(names["keyName"])

    def invalidate(path: str, names: _Dict, body: _Dict) -> None:
        google.resources[path.rpartition("/")[0]].setdefault("invalidated", []).append(body)

    for collection in ("backendServices", "backendBuckets"):
        google.handlers[f"compute.{collection}.addSignedUrlKey"] = add
        google.handlers[f"compute.{collection}.deleteSignedUrlKey"] = remove
    google.handlers["compute.urlMaps.invalidateCache"] = invalidate
    return google
