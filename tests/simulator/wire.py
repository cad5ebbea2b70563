# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and answers in the protocols of AWS, driven by botocore's own service models.

Reads ``ec2``, ``query``, ``json``, ``rest-json`` (body only) and ``smithy-rpc-v2-cbor``
requests into plain dictionaries and writes answers from them. Both directions are checked
against the model: unknown, missing and mistyped members of a request are the client's
``ValidationException``; those of an answer raise :class:`ModelMismatch`, so that the
simulator cannot drift from the real API. Times are seconds since the epoch throughout.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import functools
import json
import typing as t
import urllib.parse
import uuid
from xml.sax.saxutils import escape

import botocore.loaders
import botocore.model

from simulator import cbor
from simulator.errors import AwsError, ModelMismatch

if t.TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel, Shape

#: Credential scope -> botocore service, where the two differ.
SERVICE_OF_SIGNING_NAME = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "tagging": "resourcegroupstaggingapi",
}

_LOADER = botocore.loaders.create_loader()
UTC = datetime.UTC


@functools.cache
def service_model(service: str) -> ServiceModel | None:
    """botocore's model of a service, or None where botocore has no such service."""
    try:
        description = _LOADER.load_service_model(service, "service-2")
    except (botocore.exceptions.UnknownServiceError, botocore.exceptions.DataNotFoundError):
        return None
    return botocore.model.ServiceModel(description, service)


@dataclasses.dataclass(slots=True)
class Call:
    """One request: what is asked, of whom, and in which protocol."""

    service: str
    operation: str
    protocol: str
    account: str
    region: str
    access_key: str
    params: dict[str, t.Any]
    request_id: str
    resources: list[str] = dataclasses.field(default_factory=list)
    effect: bool = False

    def touched(self, resource: str, effect: bool = True) -> None:
        """Note, for the statistics, that this request named a resource and whether it changed it."""
        self.resources.append(resource)
        self.effect = self.effect or effect

    @property
    def name(self) -> str:
        """``ec2:DescribeInstances``: the form that IAM and the statistics use."""
        return f"{self.service}:{self.operation}"

    @property
    def changes_state(self) -> bool:
        """Whether the operation, by its name, may change something."""
        return self.service != "sts" and not self.operation.startswith(
            ("Describe", "Get", "List", "Search", "BatchGet", "Lookup", "Head", "Simulate")
        )


@dataclasses.dataclass(slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


# --- reading -----------------------------------------------------------------------------


def parse_time(value: t.Any) -> float:
    """Seconds since the epoch from a number or an ISO 8601 text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = str(value)
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise AwsError("ValidationError", f"{text} is not a valid timestamp") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _invalid(path: str, what: str) -> AwsError:
    return AwsError("ValidationException", f"{path or 'request'}: {what}")


def _scalar(shape: Shape, value: t.Any, path: str) -> t.Any:
    kind = shape.type_name
    try:
        if kind == "timestamp":
            return parse_time(value)
        if kind in ("integer", "long"):
            if isinstance(value, (bool, float)) and not float(value).is_integer():
                raise ValueError
            return int(value)
        if kind in ("float", "double"):
            return float(value)
        if kind == "boolean":
            if isinstance(value, bool):
                return value
            return {"true": True, "false": False}[str(value).lower()]
        if kind == "blob":
            return value if isinstance(value, bytes) else base64.b64decode(value)
    except (ValueError, TypeError, KeyError):
        raise _invalid(path, f"{value!r} is not a {kind}") from None
    if not isinstance(value, str):
        raise _invalid(path, f"{value!r} is not a string")
    return value


def _read_json(shape: Shape, value: t.Any, path: str = "") -> t.Any:
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            raise _invalid(path, "a structure is needed")
        members = shape.members
        result = {}
        for key, item in value.items():
            if item is None:
                continue
            if key not in members:
                raise _invalid(path, f"unknown member {key}")
            result[key] = _read_json(members[key], item, f"{path}.{key}" if path else key)
        _require(shape, result, path)
        return result
    if kind == "list":
        if not isinstance(value, list):
            raise _invalid(path, "a list is needed")
        return [_read_json(shape.member, item, f"{path}[{index}]") for index, item in enumerate(value)]
    if kind == "map":
        if not isinstance(value, dict):
            raise _invalid(path, "a map is needed")
        return {key: _read_json(shape.value, item, f"{path}.{key}") for key, item in value.items()}
    return _scalar(shape, value, path)


def _require(shape: Shape, result: dict[str, t.Any], path: str) -> None:
    for name in shape.required_members:
        if name not in result:
            raise AwsError("ValidationException", f"{path + '.' if path else ''}{name} is required")


def _tree(pairs: t.Iterable[tuple[str, str]]) -> dict[str, t.Any]:
    """``A.1.B=x`` as ``{"A": {"1": {"B": "x"}}}``."""
    root: dict[str, t.Any] = {}
    for key, value in pairs:
        node = root
        *parents, last = key.split(".")
        for part in parents:
            child = node.get(part)
            if not isinstance(child, dict):
                child = node[part] = {}
            node = child
        node[last] = value
    return root


def _query_name(shape: Shape, member: str, ec2: bool) -> str:
    serialization = shape.serialization
    if ec2:
        if "queryName" in serialization:
            return str(serialization["queryName"])
        name = str(serialization.get("name", member))
        return name[0].upper() + name[1:]
    if shape.type_name == "list" and serialization.get("flattened"):
        return str(shape.member.serialization.get("name", serialization.get("name", member)))
    return str(serialization.get("name", member))


def _indexed(node: dict[str, t.Any]) -> list[t.Any]:
    return [node[key] for key in sorted((key for key in node if key.isdigit()), key=int)]


def _read_query(shape: Shape, node: t.Any, ec2: bool, path: str = "") -> t.Any:
    kind = shape.type_name
    if kind == "structure":
        result: dict[str, t.Any] = {}
        if not isinstance(node, dict):
            return result
        left = set(node)
        for member, inner in shape.members.items():
            name = _query_name(inner, member, ec2)
            if name in node:
                left.discard(name)
                result[member] = _read_query(inner, node[name], ec2, f"{path}.{member}" if path else member)
        if left:
            raise AwsError("UnknownParameter", f"The parameter {sorted(left)[0]} is not recognized")
        _require(shape, result, path)
        return result
    if kind == "list":
        if not isinstance(node, dict):
            return []  # an empty list is sent as an empty value
        if not ec2 and not shape.serialization.get("flattened"):
            node = node.get(str(shape.member.serialization.get("name", "member")), {})
        return [_read_query(shape.member, item, ec2, path) for item in _indexed(node)]
    if kind == "map":
        entries = node if shape.serialization.get("flattened") else node.get("entry", {})
        key_name = str(shape.key.serialization.get("name", "key"))
        value_name = str(shape.value.serialization.get("name", "value"))
        return {e[key_name]: _read_query(shape.value, e[value_name], ec2, path) for e in _indexed(entries)}
    return _scalar(shape, node, path)


def read_params(model: OperationModel, protocol: str, body: bytes, query: str = "") -> dict[str, t.Any]:
    """The request's parameters as boto3 users write them, times as seconds since the epoch."""
    shape = model.input_shape
    if protocol in ("json", "rest-json"):
        try:
            value = json.loads(body) if body.strip() else {}
        except ValueError:
            raise AwsError("SerializationException", "the request is not JSON") from None
        return t.cast("dict[str, t.Any]", _read_json(shape, value)) if shape else {}
    if protocol == "smithy-rpc-v2-cbor":
        try:
            value = cbor.decode(body) if body else {}
        except ValueError:
            raise AwsError("SerializationException", "the request is not CBOR") from None
        return t.cast("dict[str, t.Any]", _read_json(shape, value)) if shape else {}
    pairs = urllib.parse.parse_qsl(body.decode() or query, keep_blank_values=True)
    tree = _tree((key, value) for key, value in pairs if key not in ("Action", "Version"))
    return t.cast("dict[str, t.Any]", _read_query(shape, tree, protocol == "ec2")) if shape else {}


# --- writing -----------------------------------------------------------------------------


@functools.lru_cache(maxsize=65536)
def iso_time(moment: float) -> str:
    """``2026-01-31T12:00:00.000Z``: how AWS writes times in XML."""
    return datetime.datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


Writer = t.Callable[[t.Any, t.Callable[[str], None]], None]
_SCALAR_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "boolean": (bool,),
    "timestamp": (float, int),
    "blob": (bytes,),
}


def _check_scalar(shape: Shape, value: t.Any) -> None:
    allowed = _SCALAR_TYPES[shape.type_name]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise ModelMismatch(f"{shape.name} wants {shape.type_name}, not {value!r}")


def _xml_text(shape: Shape) -> t.Callable[[t.Any], str]:
    kind = shape.type_name
    if kind in ("string", "character"):
        return lambda value: escape(value) if any(c in value for c in "&<>") else value
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    if kind == "timestamp":
        return iso_time
    if kind == "blob":
        return lambda value: base64.b64encode(value).decode()
    if kind in ("integer", "long"):
        return str
    return lambda value: repr(float(value))


class XmlWriters:
    """Compiled writers, one a shape: about 0.3 µs a field, which a generic walk cannot do."""

    def __init__(self) -> None:
        self._known: dict[str, Writer] = {}

    def writer(self, shape: Shape) -> Writer:
        """The writer of what stands inside the shape's tag."""
        known = self._known.get(shape.name)
        if known is None:
            # A recursive shape meets itself while it is being compiled: look it up when it is used.
            self._known[shape.name] = functools.partial(self._write_later, shape.name)
            known = self._known[shape.name] = self._compile(shape)
        return known

    def _write_later(self, name: str, value: t.Any, append: t.Callable[[str], None]) -> None:
        self._known[name](value, append)

    def _compile(self, shape: Shape) -> Writer:
        if shape.type_name == "structure":
            return self._structure(shape)
        if shape.type_name == "list":
            return self._list(shape)
        if shape.type_name == "map":
            return self._map(shape)
        text = _xml_text(shape)
        allowed = _SCALAR_TYPES[shape.type_name]

        truth = shape.type_name == "boolean"

        def write_scalar(value: t.Any, append: t.Callable[[str], None]) -> None:
            if not isinstance(value, allowed) or (isinstance(value, bool) and not truth):
                _check_scalar(shape, value)
            append(text(value))

        return write_scalar

    def _structure(self, shape: Shape) -> Writer:
        members: dict[str, tuple[str, str, Writer]] = {}
        for name, member in shape.members.items():
            tag = str(member.serialization.get("name", name))
            if member.type_name == "list" and member.serialization.get("flattened"):
                inner = str(member.member.serialization.get("name", tag))
                members[name] = ("", "", self._items(member.member, inner))
            else:
                members[name] = (f"<{tag}>", f"</{tag}>", self.writer(member))

        def write_structure(value: t.Any, append: t.Callable[[str], None]) -> None:
            for key, item in value.items():
                if item is None:
                    continue
                try:
                    opening, closing, write = members[key]
                except KeyError:
                    raise ModelMismatch(f"{shape.name} has no member {key}") from None
                append(opening)
                write(item, append)
                append(closing)

        return write_structure

    def _items(self, shape: Shape, tag: str) -> Writer:
        opening, closing, write = f"<{tag}>", f"</{tag}>", self.writer(shape)

        def write_items(value: t.Any, append: t.Callable[[str], None]) -> None:
            for item in value:
                append(opening)
                write(item, append)
                append(closing)

        return write_items

    def _list(self, shape: Shape) -> Writer:
        return self._items(shape.member, str(shape.member.serialization.get("name", "member")))

    def _map(self, shape: Shape) -> Writer:
        key_tag = str(shape.key.serialization.get("name", "key"))
        value_tag = str(shape.value.serialization.get("name", "value"))
        write = self.writer(shape.value)

        def write_map(value: t.Any, append: t.Callable[[str], None]) -> None:
            for key, item in value.items():
                append(f"<entry><{key_tag}>{escape(key)}</{key_tag}><{value_tag}>")
                write(item, append)
                append(f"</{value_tag}></entry>")

        return write_map


@functools.cache
def _writers(service: str) -> XmlWriters:
    return XmlWriters()


def _plain(shape: Shape, value: t.Any, as_cbor: bool) -> t.Any:
    """The answer as JSON or CBOR holds it, checked against the model."""
    kind = shape.type_name
    if kind == "structure":
        result = {}
        for key, item in value.items():
            if item is None:
                continue
            if key not in shape.members:
                raise ModelMismatch(f"{shape.name} has no member {key}")
            member = shape.members[key]
            result[member.serialization.get("name", key)] = _plain(member, item, as_cbor)
        for name in shape.required_members:
            if value.get(name) is None:
                raise ModelMismatch(f"{shape.name} lacks {name}")
        return result
    if kind == "list":
        member = shape.member
        if member.type_name in ("double", "float") and value:
            _check_scalar(member, value[0])  # long series: one look is enough, they come from one array
            return value
        if member.type_name == "timestamp" and value:
            _check_scalar(member, value[0])
            return [cbor.Timestamp(item) for item in value] if as_cbor else value
        return [_plain(member, item, as_cbor) for item in value]
    if kind == "map":
        return {key: _plain(shape.value, item, as_cbor) for key, item in value.items()}
    _check_scalar(shape, value)
    if kind == "timestamp":
        return cbor.Timestamp(value) if as_cbor else value
    if kind == "blob" and not as_cbor:
        return base64.b64encode(value).decode()
    return value


def write_answer(model: OperationModel, call: Call, result: dict[str, t.Any]) -> Answer:
    """The answer to a request that went well."""
    shape = model.output_shape
    if call.protocol in ("json", "rest-json"):
        body = json.dumps(_plain(shape, result, as_cbor=False) if shape else {}).encode()
        kind = f"application/x-amz-json-{model.service_model.metadata.get('jsonVersion', '1.0')}"
        return _http(200, "application/json" if call.protocol == "rest-json" else kind, body, call)
    if call.protocol == "smithy-rpc-v2-cbor":
        body = cbor.encode(_plain(shape, result, as_cbor=True) if shape else {})
        return _http(200, "application/cbor", body, call, [("smithy-protocol", "rpc-v2-cbor")])
    parts: list[str] = []
    namespace = model.service_model.metadata.get("xmlNamespace", "http://ec2.amazonaws.com/doc/2016-11-15")
    parts.append(f'<{model.name}Response xmlns="{namespace}">')
    wrapper = shape.serialization.get("resultWrapper") if shape else None
    if call.protocol == "ec2":
        parts.append(f"<requestId>{call.request_id}</requestId>")
    if wrapper:
        parts.append(f"<{wrapper}>")
    if shape:
        _writers(call.service).writer(shape)(result, parts.append)
    if wrapper:
        parts.append(f"</{wrapper}>")
    if call.protocol != "ec2":
        parts.append(f"<ResponseMetadata><RequestId>{call.request_id}</RequestId></ResponseMetadata>")
    parts.append(f"</{model.name}Response>")
    return _http(200, "text/xml", "".join(parts).encode(), call)


def write_error(call: Call, error: AwsError) -> Answer:
    """An error in the protocol that the client speaks."""
    code, message, status = error.code, error.message, error.status
    if call.protocol in ("json", "rest-json"):
        body = json.dumps({"__type": code, "message": message, "Message": message}).encode()
        return _http(status, "application/x-amz-json-1.0", body, call, [("x-amzn-ErrorType", code)])
    if call.protocol == "smithy-rpc-v2-cbor":
        body = cbor.encode({"__type": code, "message": message, "Message": message})
        extra = [("smithy-protocol", "rpc-v2-cbor"), ("x-amzn-query-error", f"{code};Sender")]
        return _http(status, "application/cbor", body, call, extra)
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if call.protocol == "ec2":
        text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{call.request_id}</RequestID></Response>"
    elif call.protocol == "rest-xml":
        text = f"<Error>{inner}<RequestId>{call.request_id}</RequestId></Error>"
    else:
        fault = "Sender" if status < 500 else "Receiver"
        text = (
            f"<ErrorResponse><Error><Type>{fault}</Type>{inner}</Error>"
            f"<RequestId>{call.request_id}</RequestId></ErrorResponse>"
        )
    return _http(status, "text/xml", text.encode(), call)


def _http(status: int, kind: str, body: bytes, call: Call, extra: t.Sequence[tuple[str, str]] = ()) -> Answer:
    headers = [("Content-Type", kind), ("x-amzn-RequestId", call.request_id), *extra]
    return Answer(status, headers, body)


def new_request_id() -> str:
    """A request id as AWS gives them."""
    return str(uuid.uuid4())
