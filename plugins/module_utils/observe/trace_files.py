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
from collections.abc import Iterable

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
#: µs since 1970 (the year 2255), and µs of one span (a year and a month), that are believed.
LATEST, LONGEST = 2**53, 2**45
_CHUNK = 16 * 1024**2
_KINDS = {"internal": INTERNAL, "server": SERVER, "client": CLIENT, "producer": PRODUCER, "consumer": CONSUMER}
_HOST_TAGS = frozenset(("hostname", "host.name", "host.id"))
_STATUS_TAGS = frozenset(("http.status_code", "http.response.status_code"))
_STATEMENT_TAGS = frozenset(("db.statement", "db.query.text"))
_SYSTEM_TAGS = frozenset(("db.system", "db.system.name", "db.type"))
_SPAN_ID = operator.attrgetter("spanID")
_FLAGS, _STATEMENT_SHIFT = 31, 5
#: Different lists of tags that are kept in mind.
_KNOWN_TAGS = 10_000


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


def read_files(paths: Iterable[str], builder: SpanBuilder) -> tuple[list[str], int]:
    """Add the traces of all files to ``builder``.

    Returns a sentence for every file, or trace in a file, that cannot be used, and how many files gave nothing
    because of that. The spans of an OTLP trace may be spread over lines and files: they are put together at the end.
    """
    refused: list[str] = []
    useless = 0
    reader = TraceReader(builder)
    for path in paths:
        try:
            wrong, right = reader.read(content_of(path), path)
        except TraceFileError as error:
            wrong, right = [str(error)], 0
        refused.extend(wrong)
        useless += bool(wrong) and not right
    reader.finish()
    return refused, useless


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


class TraceReader:
    """Turns documents of either form into rows of a :class:`SpanBuilder`."""

    def __init__(self, builder: SpanBuilder) -> None:
        self.builder = builder
        self._said = _Tags(builder)
        self._otlp = _OtlpTraces(builder)

    def read(self, content: bytes, name: str) -> tuple[list[str], int]:
        """Add the traces of one file's content; ``name`` is for the sentences.

        Returns a sentence for each trace (of OTLP: for each line) that contradicts itself, and how many were right.

        :raises TraceFileError: where it is neither form; the sentence has the byte, line or field.
        """
        wrong: list[str] = []
        right = 0
        for place, document, text in decode_content(content, name):
            if document.resourceSpans is not None:
                try:
                    self._otlp.add(document.resourceSpans, place)
                    right += 1
                except TraceFileError as error:
                    wrong.append(str(error))
                continue
            # Trace by trace: their objects stay in the processor's cache, and a file in memory only once.
            for number, raw in enumerate([text] if document.data is None else document.data):
                try:
                    self.add(decode_trace(raw, place, number), place)
                    right += 1
                except TraceFileError as error:
                    wrong.append(str(error))
        return wrong, right

    def finish(self) -> None:
        """Hand over the OTLP traces, which may have been spread over files."""
        self._otlp.finish()

    def add(self, trace: t.Any, name: str) -> None:
        """Add a decoded trace of Jaeger's form.

        :raises TraceFileError: where a span names a process that is not there, or its tags are none.
        """
        builder, said = self.builder, self._said
        trace_id, spans = trace.traceID, trace.spans
        operations, hosts = {}, {}
        for process_id, process in trace.processes.items():
            operations[process_id] = builder.operations_of(process.serviceName)
            host = next((str(tag.value) for tag in process.tags or () if tag.key in _HOST_TAGS), "")
            hosts[process_id] = builder.hosts[host]
        # Column by column: one loop with all of this in its body takes longer.
        spans.sort(key=_SPAN_ID)
        try:
            tags = [said[bytes(span.tags)] for span in spans]
        except deps.msgspec.DecodeError as error:
            raise TraceFileError(f"{name}: a span of trace {trace_id} has wrong tags: {_placed(error)}") from error
        parents: list[t.Any] = [
            ""
            if not (references := span.references)
            else references[0].spanID
            if len(references) == 1 and references[0].refType == "CHILD_OF" and references[0].traceID == trace_id
            else None
            for span in spans
        ]
        if None in parents or any(span.logs for span in spans):
            for i, span in enumerate(spans):
                if parents[i] is None:
                    parents[i], asynchronous = _reference(span.references, trace_id)
                    tags[i] |= asynchronous
                if span.logs and _error_in_logs(span.logs):
                    tags[i] |= ERROR
        try:
            operation = [operations[span.processID][span.operationName] for span in spans]
        except KeyError:
            span = next(span for span in spans if span.processID not in operations)
            raise TraceFileError(
                f"{name}: span {span.spanID} of trace {trace_id} names process {span.processID!r}, "
                "which the trace does not have"
            ) from None
        builder.add_columns(
            trace_id,
            [span.spanID for span in spans],
            parents,
            [span.startTime for span in spans],
            [span.duration for span in spans],
            operation,
            [tag & _FLAGS for tag in tags],
            [hosts[span.processID] for span in spans],
            [tag >> _STATEMENT_SHIFT for tag in tags],
        )


def decode_content(content: bytes, name: str) -> list[tuple[str, t.Any, bytes]]:
    """The documents in one file's content, each with its place and text; traces of Jaeger's form are not decoded yet.

    :raises TraceFileError: where it holds none.
    """
    msgspec = deps.msgspec
    decoders = _decoders()
    if not content.strip():
        raise TraceFileError(f"{name} is empty: it should hold traces as Jaeger JSON or OTLP JSON")
    try:
        documents = [(name, decoders.document.decode(content), content)]
    except msgspec.ValidationError as error:
        raise TraceFileError(f"{name} is not a file of traces: {_placed(error)}") from error
    except msgspec.DecodeError as error:
        if "trailing characters" not in str(error):
            raise TraceFileError(f"{name} is not JSON: {_placed(error)}") from error
        documents = _lines(content, name, decoders)
    for place, document, _text in documents:
        if document.data is None and document.resourceSpans is None and document.spans is None:
            raise TraceFileError(
                f"{place} is not a file of traces: it has neither 'data' (Jaeger) nor 'resourceSpans' (OTLP)"
            )
    return documents


def decode_trace(raw: t.Any, name: str, number: int = 0) -> t.Any:
    """A trace of Jaeger's form, the ``number``-th of its document. :raises TraceFileError: where it is none."""
    try:
        return _decoders().trace.decode(raw)
    except deps.msgspec.DecodeError as error:
        place, found = f" at $.data[{number}]", _placed(error)
        placed = found.replace(" at $", place) if " at $" in found else found + place
        raise TraceFileError(f"{name} is not a file of traces: {placed}") from error


class _Tags(dict[bytes, int]):
    """What a span's tags say, as flags and, shifted, the number of its statement.

    Many spans have the same tags, to the byte: they are decoded once.
    """

    def __init__(self, builder: SpanBuilder) -> None:
        super().__init__()
        self._builder = builder

    def __missing__(self, tags: bytes) -> int:
        if len(self) >= _KNOWN_TAGS:
            self.clear()
        flags = 0
        system = text = ""
        for tag in _decoders().tags.decode(tags) or ():
            key, value = tag.key, tag.value
            if key == "span.kind":
                flags |= _KINDS.get(str(value), 0)
            elif key == "error":
                if value and value != "false":
                    flags |= ERROR
            elif key == "otel.status_code":
                if value == "ERROR":
                    flags |= ERROR
            elif key in _STATUS_TAGS:
                if _server_error(value):
                    flags |= ERROR
            elif key in _STATEMENT_TAGS:
                text = str(value)
            elif key in _SYSTEM_TAGS:
                system = system or str(value)
        if text or system:
            flags |= self._builder.statement(system, text) << _STATEMENT_SHIFT
        self[tags] = flags
        return flags


class _OtlpTraces:
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
                    if not 0 <= end - start <= LONGEST:
                        what = "ends before it starts" if end < start else "lasts longer than a year"
                        raise TraceFileError(f"{name}: span {span.spanId} of trace {span.traceId} {what}")
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
    trace: t.Any
    tags: t.Any
    log: t.Any


@functools.lru_cache(maxsize=1)
def _decoders() -> _Decoders:
    """Decoders for the documents; made on first use because msgspec is optional."""
    msgspec = deps.msgspec
    # Whole, not negative, and small enough for 64 bits to hold what is computed from millions of them.
    moment = t.Annotated[int, msgspec.Meta(ge=0, le=LATEST)]
    time = t.Annotated[int, msgspec.Meta(ge=0, le=LONGEST)]
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
        ("startTime", moment),
        ("duration", time),
        ("processID", str, ""),
        ("references", _optional(_list(reference)), None),
        ("tags", msgspec.Raw, msgspec.Raw(b"null")),
        ("logs", _optional(_list(msgspec.Raw)), None),
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
        ("data", _optional(_list(msgspec.Raw)), None),
        ("resourceSpans", _optional(_list(resource_spans)), None),
        ("spans", _optional(_list(msgspec.Raw)), None),
        ("errors", anything, None),
    )
    decoder = msgspec.json.Decoder
    # strict=False: OTLP JSON writes 64-bit numbers as text.
    return _Decoders(decoder(document, strict=False), decoder(trace), decoder(tags), decoder(anything))


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


def _lines(content: bytes, name: str, decoders: _Decoders) -> list[tuple[str, t.Any, bytes]]:
    """The documents of a file that has one a line."""
    msgspec = deps.msgspec
    documents = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{name} line {number}"
        try:
            documents.append((place, decoders.document.decode(line), line))
        except msgspec.ValidationError as error:
            raise TraceFileError(f"{place} is not a trace: {_placed(error)}") from error
        except msgspec.DecodeError as error:
            raise TraceFileError(f"{place} is not JSON: {_placed(error)}") from error
    return documents


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


def _error_in_logs(logs: Iterable[t.Any]) -> bool:
    """Whether a log of the span says ``event: error`` (OpenTracing), as Jaeger's clients write it."""
    for raw in logs:
        if b"error" not in bytes(raw):
            continue
        entry = _decoders().log.decode(raw)
        fields = entry.get("fields") if isinstance(entry, dict) else None
        for field in fields if isinstance(fields, list) else ():
            if isinstance(field, dict) and field.get("key") == "event" and field.get("value") == "error":
                return True
    return False


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
