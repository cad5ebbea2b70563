# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads traces from files: Jaeger's JSON (as its API and its page write it) and OTLP JSON, gzipped or not.

OTLP comes as one document or as one document a line (OpenTelemetry collector's file exporter). Only the fields
that the analysis needs are decoded, with types; everything else is skipped.
"""

from __future__ import annotations

import functools
import gzip
import operator
import os
import types
import typing as t
import zlib
from collections.abc import Iterable, Iterator

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.spans import (
    ASYNC,
    CLIENT,
    CONSUMER,
    ERROR,
    INTERNAL,
    PRODUCER,
    SERVER,
    Row,
    SpanBuilder,
)

#: Endings of the files that are read from a folder.
ENDINGS = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
#: Bytes that one file may have when it is unpacked: a gzip file of a few MB can hold terabytes.
MAXIMUM_BYTES = 2 * 1024**3
_CHUNK = 16 * 1024**2
_KINDS = {"internal": INTERNAL, "server": SERVER, "client": CLIENT, "producer": PRODUCER, "consumer": CONSUMER}
_HOST_TAGS = frozenset(("hostname", "host.name", "host.id"))
_WANTED = frozenset(
    (
        "span.kind",
        "error",
        "otel.status_code",
        "http.status_code",
        "http.response.status_code",
        "db.statement",
        "db.query.text",
        "db.system",
        "db.system.name",
        "db.type",
    )
)


class TraceFileError(Exception):
    """A file is not one of traces: one sentence with the file and the place in it."""


def files_of(paths: Iterable[str]) -> list[str]:
    """The files behind ``paths``: files as they are, of folders those with one of :data:`ENDINGS`, sorted.

    :raises TraceFileError: where a path does not exist, or a folder holds no such file.
    """
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.endswith(ENDINGS))
            if not names:
                raise TraceFileError(f"{path} holds no trace files: their names end in {', '.join(ENDINGS)}")
            found.extend(os.path.join(path, name) for name in names)
        elif os.path.exists(path):
            found.append(path)
        else:
            raise TraceFileError(f"{path} does not exist: name files or folders of Jaeger JSON or OTLP JSON")
    return list(dict.fromkeys(found))


def read_files(paths: Iterable[str], builder: SpanBuilder) -> list[str]:
    """Add the traces of all files to ``builder``; returns a sentence for every file that cannot be used.

    The spans of an OTLP trace may be spread over lines and files: they are put together at the end.
    """
    refused: list[str] = []
    otlp = OtlpTraces(builder)
    for path in paths:
        try:
            read_content(content_of(path), path, builder, otlp)
        except TraceFileError as error:
            refused.append(str(error))
    otlp.finish()
    return refused


def content_of(path: str) -> bytes:
    """The bytes of a file, unpacked where they are gzipped. :raises TraceFileError: one sentence."""
    try:
        with open(path, "rb") as file:
            magic = file.read(2)
            file.seek(0)
            if magic != b"\x1f\x8b":
                if os.fstat(file.fileno()).st_size > MAXIMUM_BYTES:
                    raise TraceFileError(f"{path} is larger than {MAXIMUM_BYTES // 1024**3} GiB: split it")
                return file.read()
            chunks, size = [], 0
            with gzip.GzipFile(fileobj=file) as unpacked:
                while chunk := unpacked.read(_CHUNK):
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > MAXIMUM_BYTES:
                        raise TraceFileError(f"{path} unpacks to more than {MAXIMUM_BYTES // 1024**3} GiB: split it")
            return b"".join(chunks)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TraceFileError(f"{path} cannot be unpacked: {error}") from error
    except OSError as error:
        raise TraceFileError(f"{path} cannot be read: {error.strerror or error}") from error


def read_content(content: bytes, name: str, builder: SpanBuilder, otlp: OtlpTraces | None = None) -> None:
    """Add the traces of one file's content; ``name`` is for the sentence that refuses it.

    All or nothing for Jaeger's form; OTLP spans go to ``otlp`` (with None, they are finished here).

    :raises TraceFileError: where it is neither form; the sentence has the byte, line or field.
    """
    decoders = _decoders()
    spread = otlp or OtlpTraces(builder)
    msgspec = deps.msgspec
    if not content.strip():
        raise TraceFileError(f"{name} is empty: it should hold traces as Jaeger JSON or OTLP JSON")
    try:
        documents = [(name, decoders.document.decode(content))]
    except msgspec.ValidationError as error:
        raise TraceFileError(f"{name} is not a file of traces: {_placed(error)}") from error
    except msgspec.DecodeError as error:
        if "trailing characters" not in str(error):
            raise TraceFileError(f"{name} is not JSON: {_placed(error)}") from error
        documents = _lines(content, name, decoders)
    for place, document in documents:
        _check(document, place)
    for place, document in documents:
        if document.resourceSpans is not None:
            spread.add(document.resourceSpans, place)
        elif document.data is not None:
            add_jaeger(document.data, place, builder)
        else:
            add_jaeger([document], place, builder)  # One trace that is a document of its own.
    if otlp is None:
        spread.finish()


def add_jaeger(traces: Iterable[t.Any], name: str, builder: SpanBuilder) -> None:
    """Add decoded traces of Jaeger's form. :raises TraceFileError: where a span names a process that is not there."""
    operations, hosts = builder.operations, builder.hosts
    for trace in traces:
        services = {}
        for process_id, process in trace.processes.items():
            host = next((str(tag.value) for tag in process.tags or () if tag.key in _HOST_TAGS), "")
            services[process_id] = (process.serviceName, hosts[host])
        rows: list[Row] = []
        for span in trace.spans:
            parent, flags, statement = "", 0, 0
            if span.references:
                parent, flags = _reference(span.references, trace.traceID)
            tags = span.tags
            if tags:
                system = text = ""
                for tag in tags:
                    key = tag.key
                    if key not in _WANTED:
                        continue
                    value = tag.value
                    if key == "span.kind":
                        flags |= _KINDS.get(value, 0)
                    elif key == "error":
                        if value and value != "false":
                            flags |= ERROR
                    elif key == "otel.status_code":
                        if value == "ERROR":
                            flags |= ERROR
                    elif key == "http.status_code" or key == "http.response.status_code":
                        if value != 200 and _server_error(value):
                            flags |= ERROR
                    elif key == "db.statement" or key == "db.query.text":
                        text = str(value)
                    else:
                        system = system or str(value)
                if text or system:
                    statement = builder.statement(system, text)
            if span.logs and b"error" in bytes(span.logs) and _error_in_logs(span.logs):
                flags |= ERROR
            try:
                service, host_number = services[span.processID]
            except KeyError:
                raise TraceFileError(
                    f"{name}: span {span.spanID} of trace {trace.traceID} names process {span.processID!r}, "
                    "which the trace does not have"
                ) from None
            rows.append(
                (
                    span.spanID,
                    parent,
                    span.startTime,
                    span.duration,
                    operations[service, span.operationName],
                    flags,
                    host_number,
                    statement,
                )
            )
        builder.add(trace.traceID, rows)


class OtlpTraces:
    """Puts together the spans of OTLP traces, which come batch by batch."""

    def __init__(self, builder: SpanBuilder) -> None:
        self._builder = builder
        self._rows: dict[str, list[Row]] = {}

    def add(self, resources: Iterable[t.Any], name: str) -> None:
        """Take one batch. :raises TraceFileError: where a span ends before it starts; nothing of the batch is kept."""
        builder = self._builder
        batch: list[tuple[str, Row]] = []
        for resource in resources:
            attributes = _attributes(resource.resource.attributes if resource.resource else None)
            service = str(attributes.get("service.name", "unknown_service"))
            host = str(next((attributes[key] for key in ("host.name", "host.id") if key in attributes), ""))
            host_number = builder.hosts[host]
            for scope in resource.scopeSpans or resource.instrumentationLibrarySpans or ():
                for span in scope.spans or ():
                    values = _attributes(span.attributes)
                    start, end = span.startTimeUnixNano // 1000, span.endTimeUnixNano // 1000
                    if end < start:
                        raise TraceFileError(
                            f"{name}: span {span.spanId} of trace {span.traceId} ends before it starts"
                        )
                    kind = span.kind
                    flags = kind if isinstance(kind, int) else _KINDS.get(kind.rsplit("_", 1)[-1].lower(), 0)
                    code = span.status.code if span.status else 0
                    status = values.get("http.response.status_code", values.get("http.status_code"))
                    if code in (2, "STATUS_CODE_ERROR", "2") or _server_error(status):
                        flags |= ERROR
                    system = str(values.get("db.system.name", values.get("db.system", "")))
                    text = str(values.get("db.query.text", values.get("db.statement", "")))
                    row = (
                        span.spanId,
                        span.parentSpanId or "",
                        start,
                        end - start,
                        builder.operations[service, span.name],
                        flags,
                        host_number,
                        builder.statement(system, text) if text or system else 0,
                    )
                    batch.append((span.traceId, row))
        for trace_id, row in batch:
            self._rows.setdefault(trace_id, []).append(row)

    def finish(self) -> None:
        """Hand the traces over to the builder."""
        for trace_id, rows in self._rows.items():
            self._builder.add(trace_id, rows)
        self._rows = {}


class _Decoders(t.NamedTuple):
    document: t.Any
    logs: t.Any


@functools.lru_cache(maxsize=1)
def _decoders() -> _Decoders:
    """Decoders for the documents; made on first use because msgspec is optional."""
    msgspec = deps.msgspec
    # A moment or a duration: whole, not negative, and small enough for the sum of two to fit 64 bits.
    time = t.Annotated[int, msgspec.Meta(ge=0, le=2**61)]
    nano = t.Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    kind = t.Annotated[int, msgspec.Meta(ge=0, le=5)]
    text, whole, anything = _optional(str), _optional(int), t.Any
    tag = _struct("Tag", ("key", str), ("value", anything, None))
    tags = _optional(_list(tag))
    reference = _struct("Reference", ("refType", str, "CHILD_OF"), ("traceID", str, ""), ("spanID", str, ""))
    span = _struct(
        "Span",
        ("spanID", str),
        ("operationName", str),
        ("startTime", time),
        ("duration", time),
        ("processID", str, ""),
        ("references", _optional(_list(reference)), None),
        ("tags", tags, None),
        ("logs", msgspec.Raw, msgspec.Raw(b"")),
    )
    processes = types.GenericAlias(dict, (str, _struct("Process", ("serviceName", str), ("tags", tags, None))))
    trace = _struct("Trace", ("traceID", str), ("spans", _list(span)), ("processes", processes))
    value = _struct("Value", ("stringValue", text, None), ("intValue", whole, None), ("boolValue", anything, None))
    attributes = _optional(_list(_struct("Attribute", ("key", str), ("value", _optional(value), None))))
    otlp_span = _struct(
        "OtlpSpan",
        ("traceId", str),
        ("spanId", str),
        ("name", str),
        ("startTimeUnixNano", nano),
        ("endTimeUnixNano", nano),
        ("parentSpanId", text, None),
        ("kind", _either(kind, str), 0),
        ("status", _optional(_struct("Status", ("code", _either(int, str), 0))), None),
        ("attributes", attributes, None),
    )
    scopes = _optional(_list(_struct("Scope", ("spans", _optional(_list(otlp_span)), None))))
    resource_spans = _struct(
        "ResourceSpans",
        ("resource", _optional(_struct("Resource", ("attributes", attributes, None))), None),
        ("scopeSpans", scopes, None),
        ("instrumentationLibrarySpans", scopes, None),
    )
    document = _struct(
        "Document",
        ("data", _optional(_list(trace)), None),
        ("resourceSpans", _optional(_list(resource_spans)), None),
        ("traceID", text, None),
        ("spans", _optional(_list(span)), None),
        ("processes", _optional(processes), None),
        ("errors", anything, None),
    )
    # strict=False: OTLP JSON writes 64-bit numbers as text.
    return _Decoders(msgspec.json.Decoder(document, strict=False), msgspec.json.Decoder(t.Any))


def _struct(name: str, *fields: t.Any) -> t.Any:
    """A type of objects with these fields: (name, type) or (name, type, default)."""
    # gc=False: these objects never refer to themselves, and a million of them would keep the collector busy.
    return deps.msgspec.defstruct(name, fields, gc=False)


def _list(kind: t.Any) -> t.Any:
    return types.GenericAlias(list, (kind,))


def _optional(kind: t.Any) -> t.Any:
    return _either(kind, type(None))


def _either(*kinds: t.Any) -> t.Any:
    return functools.reduce(operator.or_, kinds)


def decode_answer(content: bytes) -> t.Any:
    """A document of Jaeger's API, ``data`` and ``errors``. :raises msgspec.DecodeError: where it is none."""
    return _decoders().document.decode(content)


def _lines(content: bytes, name: str, decoders: _Decoders) -> list[tuple[str, t.Any]]:
    """The documents of a file that has one a line."""
    msgspec = deps.msgspec
    documents = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{name} line {number}"
        try:
            documents.append((place, decoders.document.decode(line)))
        except msgspec.ValidationError as error:
            raise TraceFileError(f"{place} is not a trace: {_placed(error)}") from error
        except msgspec.DecodeError as error:
            raise TraceFileError(f"{place} is not JSON: {_placed(error)}") from error
    return documents


def _check(document: t.Any, place: str) -> None:
    if document.data is None and document.resourceSpans is None and document.spans is None:
        raise TraceFileError(
            f"{place} is not a file of traces: it has neither 'data' (Jaeger) nor 'resourceSpans' (OTLP)"
        )
    if document.spans is not None and (document.traceID is None or document.processes is None):
        raise TraceFileError(f"{place} is not a file of traces: it has 'spans' without 'traceID' and 'processes'")


def _placed(error: Exception) -> str:
    """msgspec's message with its place as people write it: ``at $.data[0]`` without quotes."""
    text = str(error).replace("JSON is malformed: ", "").replace("`", "").replace(" - at ", " at ")
    return text[:1].lower() + text[1:]


def _reference(references: Iterable[t.Any], trace_id: str) -> tuple[str, int]:
    """The parent, and ASYNC where there is only a FOLLOWS_FROM. References to other traces are links, no parents."""
    follows = ""
    for reference in references:
        if reference.traceID and reference.traceID != trace_id:
            continue
        if reference.refType == "CHILD_OF":
            return reference.spanID, 0
        follows = follows or reference.spanID
    return (follows, ASYNC) if follows else ("", 0)


def _server_error(status: t.Any) -> bool:
    try:
        return int(status) >= 500
    except (TypeError, ValueError, OverflowError):
        return False


def _error_in_logs(logs: t.Any) -> bool:
    """Whether a log of the span says ``event: error`` (OpenTracing) — the form that Jaeger's clients write."""
    entries = _decoders().logs.decode(logs)
    if not isinstance(entries, list):
        return False
    return any(
        isinstance(field, dict) and field.get("key") == "event" and field.get("value") == "error"
        for entry in entries
        if isinstance(entry, dict)
        for field in entry.get("fields") or ()
    )


def _attributes(attributes: Iterable[t.Any] | None) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for attribute in attributes or ():
        value = attribute.value
        if value is None:
            continue
        if value.stringValue is not None:
            found[attribute.key] = value.stringValue
        elif value.intValue is not None:
            found[attribute.key] = value.intValue
        elif value.boolValue is not None:
            found[attribute.key] = value.boolValue
    return found


def sentences(refused: list[str]) -> Iterator[str]:
    """At most ten sentences, and how many more there are."""
    yield from refused[:10]
    if len(refused) > 10:
        yield f"{len(refused) - 10} more files cannot be used"
