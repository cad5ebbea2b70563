# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and answers in the protocol ``rest-xml``, driven by botocore's service models.

Parameters stand in the path, the query string, headers and an XML body; which where is in the model.
"""

from __future__ import annotations

import base64
import re
import typing as t
import urllib.parse
from xml.etree import ElementTree

from simulator.errors import AwsError, ModelMismatch
from simulator.wire import Answer, Call, _check_scalar, _require, _scalar, _writers

if t.TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

_Dict = dict[str, t.Any]


def read_params(model: OperationModel, path: str, query: str, headers: t.Mapping[str, str], body: bytes) -> _Dict:
    """The request's parameters as boto3 users write them; ``headers`` by lower-case name."""
    shape = model.input_shape
    if shape is None:
        return {}
    result: _Dict = {}
    pattern = model.http["requestUri"].partition("?")[0]
    names = re.findall(r"\{(\w+)\+?\}", pattern)
    expression = re.sub(r"\\\{\w+(\\\+)?\\\}", lambda m: "(.+)" if m[1] else "([^/]+)", re.escape(pattern))
    match = re.fullmatch(expression, path)
    uri = dict(zip(names, match.groups())) if match else {}
    pairs = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    payload = shape.serialization.get("payload")
    for name, member in shape.members.items():
        place, wire = member.serialization.get("location"), member.serialization.get("name", name)
        found = {"uri": uri, "querystring": pairs, "header": headers}.get(place, {})
        key = wire.lower() if place == "header" else wire
        if key in found:
            result[name] = _scalar(member, urllib.parse.unquote(found[key]) if place == "uri" else found[key], name)
    if body.strip():
        root = _parsed(body)
        if payload:
            result[payload] = _read(shape.members[payload], root, payload)
        else:
            inside = {name for name, member in shape.members.items() if "location" not in member.serialization}
            result.update(_structure(shape, root, "", inside))
    _require(shape, result, "")
    return result


def _parsed(body: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise AwsError("MalformedXML", "The XML you provided was not well-formed.") from None


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _structure(shape: Shape, element: ElementTree.Element, path: str, only: set[str] | None = None) -> _Dict:
    members = {
        member.serialization.get("name", name): name
        for name, member in shape.members.items()
        if only is None or name in only
    }
    result: _Dict = {}
    for child in element:
        name = members.get(_tag(child))
        if name is None:
            raise AwsError("MalformedXML", f"{path or 'request'}: unknown element {_tag(child)}")
        result[name] = _read(shape.members[name], child, f"{path}.{name}")
    if only is None:
        _require(shape, result, path)
    return result


def _read(shape: Shape, element: ElementTree.Element, path: str) -> t.Any:
    if shape.type_name == "structure":
        return _structure(shape, element, path)
    if shape.type_name == "list":
        wanted = shape.member.serialization.get("name", "member")
        wrong = next((child for child in element if _tag(child) != wanted), None)
        if wrong is not None:
            raise AwsError("MalformedXML", f"{path}: {wanted} is expected, not {_tag(wrong)}")
        return [_read(shape.member, child, path) for child in element]
    text = element.text or ""
    value = base64.b64decode(text) if shape.type_name == "blob" else _scalar(shape, text, path)
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        raise AwsError("InvalidArgument", f"{path}: {value!r} is none of {', '.join(allowed)}")
    return value


def write_answer(model: OperationModel, call: Call, result: _Dict) -> Answer:
    """The answer to a request that went well: payload as body, the rest in headers."""
    shape = model.output_shape
    headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", call.request_id)]
    body = b""
    if shape is not None:
        payload = shape.serialization.get("payload")
        for name, value in result.items():
            if name not in shape.members:
                raise ModelMismatch(f"{shape.name} has no member {name}")
            member = shape.members[name]
            if member.serialization.get("location") == "header":
                _check_scalar(member, value)
                headers.append((member.serialization.get("name", name), str(value)))
            elif name == payload:
                body = _body(call, member, name, value)
    return Answer(model.http.get("responseCode", 200), headers, body)


def _body(call: Call, shape: Shape, name: str, value: t.Any) -> bytes:
    if shape.type_name == "blob":
        return bytes(value)
    tag = shape.serialization.get("name", shape.name or name)
    parts: list[str] = [f"<{tag}>"]
    _writers(call.service).writer(shape)(value, parts.append)
    parts.append(f"</{tag}>")
    return "".join(parts).encode()
