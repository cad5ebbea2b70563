# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of traces: both forms, packed or not, and what is said about files that are none."""

from __future__ import annotations

import gzip
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import critical_paths
from ansible_collections.frugal.cloud.plugins.module_utils.observe import trace_files
from ansible_collections.frugal.cloud.plugins.module_utils.observe.trace_files import (
    TraceFileError,
    files_of,
    read_files,
)
from ansible_collections.frugal.cloud.plugins.module_utils.spans import (
    SpanBuilder,
    SpanTable,
    select,
    trace_starts,
    without_values,
)
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.traces.traces_sample import (
    Call,
    exclusive,
    jaeger,
    shop,
    table_of,
)

TREE = Call("s root", 0, 100, [Call("a x", 10, 30), Call("b x", 45, 45)])


def otlp(trace: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """A trace of Jaeger's form in OTLP's, one ResourceSpans a span, as batches of different services arrive."""
    found = []
    kinds = {"server": 2, "client": "SPAN_KIND_CLIENT", "producer": 4}
    for span in trace["spans"]:
        process = trace["processes"][span["processID"]]
        tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        failed = tags.pop("error", False)
        attributes = [{"key": "service.name", "value": {"stringValue": process["serviceName"]}}]
        attributes += [{"key": "host.name", "value": {"stringValue": tag["value"]}} for tag in process["tags"]]
        one = {
            "traceId": span["traceID"],
            "spanId": span["spanID"],
            "parentSpanId": span["references"][0]["spanID"] if span["references"] else "",
            "name": span["operationName"],
            "kind": kinds.get(tags.pop("span.kind", ""), 0),
            "startTimeUnixNano": str(span["startTime"] * 1000),
            "endTimeUnixNano": (span["startTime"] + span["duration"]) * 1000,
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in tags.items()],
            "status": {"code": "STATUS_CODE_ERROR"} if failed else {},
        }
        found.append({"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [one]}]})
    return found


def read(*paths: Path) -> tuple[SpanTable, list[str]]:
    builder = SpanBuilder()
    refused, useless = read_files(files_of([str(path) for path in paths]), builder)
    assert useless <= len(refused)
    return builder.build(), refused


def same(left: SpanTable, right: SpanTable) -> bool:
    """Whether two tables say the same, whatever numbers they gave to names."""
    return _said(left) == _said(right)


def _said(table: SpanTable) -> list[tuple[t.Any, ...]]:
    return sorted(
        (
            table.trace_ids[trace],
            table.operations[operation],
            start,
            duration,
            flags,
            table.hosts[host],
            table.statements[statement],
            parent >= 0 and table.operations[table.operation[parent]],
        )
        for trace, operation, start, duration, flags, host, statement, parent in zip(
            table.trace.tolist(),
            table.operation.tolist(),
            table.start.tolist(),
            table.duration.tolist(),
            table.flags.tolist(),
            table.host.tolist(),
            table.statement.tolist(),
            table.parent.tolist(),
        )
    )


def test_all_forms_of_the_same_traces_say_the_same(tmp_path: Path) -> None:
    traces = list(shop(12))
    wanted = table_of(traces)
    batches = [resource for trace in traces for resource in otlp(trace)]
    forms = {
        "api.json": json.dumps({"data": traces, "errors": None}),
        "bare.jsonl": "\n".join(json.dumps(trace) for trace in traces),
        "otlp.json": json.dumps({"resourceSpans": batches}),
        # Line by line and not by trace, as the collector's file exporter writes.
        "otlp.jsonl": "\n".join(json.dumps({"resourceSpans": [batch]}) for batch in batches[::2] + batches[1::2])
        + "\n",
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        for path in (tmp_path / name, tmp_path / f"{name}.gz"):
            table, refused = read(path)
            assert not refused and same(table, wanted), name


def test_spans_of_a_trace_may_be_spread_over_otlp_files(tmp_path: Path) -> None:
    batches = otlp(jaeger(TREE))
    for number, batch in enumerate(batches):
        (tmp_path / f"{number}.json").write_text(json.dumps({"resourceSpans": [batch]}))
    table, refused = read(tmp_path)
    assert not refused and exclusive(critical_paths(table)) == {"s root": 25, "a x": 30, "b x": 45}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "{} is empty: it should hold traces as Jaeger JSON or OTLP JSON"),
        ("hello", "{} is not JSON: invalid character (byte 0)"),
        ('{"data": [{"traceID"', "{} is not JSON: input data was truncated"),
        ("[]", "{} is not a file of traces: expected object, got array"),
        ('{"a": 1}', "{} is not a file of traces: it has neither 'data' (Jaeger) nor 'resourceSpans' (OTLP)"),
        (
            '{"data": [{"spans": [], "processes": {}}]}',
            "{} is not a file of traces: object missing required field traceID at $.data[0]",
        ),
        (
            json.dumps({"data": [jaeger(TREE), {**jaeger(TREE, "b"), "spans": [{"spanID": 7}]}]}),
            "{} is not a file of traces: expected str, got int at $.data[1].spans[0].spanID",
        ),
        (
            json.dumps({"data": [jaeger(Call("s root", 0, -1))]}),
            "{} is not a file of traces: expected int >= 0 at $.data[0].spans[0].duration",
        ),
        (
            json.dumps({"data": [jaeger(Call("s root", 0, 2**46))]}),
            "{} is not a file of traces: expected int <= 35184372088832 at $.data[0].spans[0].duration",
        ),
        (
            json.dumps({"data": [{**jaeger(TREE), "processes": {}}]}),
            "{}: span 0000 of trace a names process 's ', which the trace does not have",
        ),
        (
            json.dumps({"data": [jaeger(Call("s root", 0, 1))]}).replace('"tags": []', '"tags": [{"key": 1}]', 1),
            "{}: a span of trace a has wrong tags: expected str, got int at $[0].key",
        ),
        ('{"resourceSpans": []}\n{"resourceSpans": [}', "{} line 2 is not JSON: invalid character (byte 19)"),
        (
            '{"resourceSpans": []}\n{"resourceSpans": 1}',
            "{} line 2 is not a trace: expected array | null, got int at $.resourceSpans",
        ),
        (
            json.dumps({"resourceSpans": otlp(jaeger(Call("s root", 5, 5)))}).replace("10000", "4000"),
            "{}: span 0000 of trace a ends before it starts",
        ),
    ],
)
def test_wrong_files_are_one_sentence_and_the_others_are_read(tmp_path: Path, content: str, sentence: str) -> None:
    wrong, right = tmp_path / "wrong.json", tmp_path / "right.json"
    wrong.write_text(content)
    right.write_text(json.dumps({"data": [jaeger(TREE, "good")]}))
    table, refused = read(tmp_path)
    expected = sentence.format(wrong)
    assert [text.replace("`", "") for text in refused] == [expected]
    assert "good" in table.trace_ids


def test_of_a_file_with_one_wrong_trace_the_others_count(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text(json.dumps({"data": [jaeger(TREE, "a"), {"traceID": "b"}, jaeger(TREE, "c")]}))
    builder = SpanBuilder()
    refused, useless = read_files([str(path)], builder)
    assert builder.build().trace_ids == ("a", "c") and len(refused) == 1 and useless == 0


def test_packed_files_that_break_off_or_grow_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(json.dumps({"data": [jaeger(TREE)]}).encode())
    (tmp_path / "short.json.gz").write_bytes(packed[:-20])
    (tmp_path / "bomb.json.gz").write_bytes(gzip.compress(b" " * 5_000_000))
    monkeypatch.setattr(trace_files, "MAXIMUM_BYTES", 1_000_000)
    table, refused = read(tmp_path)
    assert not len(table)
    assert refused[0].startswith(f"{tmp_path}/bomb.json.gz unpacks to more than")
    assert refused[1].startswith(f"{tmp_path}/short.json.gz cannot be unpacked: ")


def test_folders_and_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match="does not exist: name files or folders of Jaeger JSON or OTLP JSON"):
        files_of([str(tmp_path / "none")])
    with pytest.raises(TraceFileError, match="holds no trace files: their names end in"):
        files_of([str(tmp_path)])
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("{}")
    assert files_of([str(tmp_path), str(tmp_path / "a.json")]) == [str(tmp_path / "a.json")]


def test_traces_and_spans_that_come_twice(tmp_path: Path) -> None:
    trace = jaeger(TREE)
    trace["spans"].append(dict(trace["spans"][1]))
    (tmp_path / "one.json").write_text(json.dumps({"data": [trace]}))
    (tmp_path / "two.json").write_text(json.dumps({"data": [trace]}))
    table = read(tmp_path)[0]
    assert len(table) == 3 and (table.repeated_spans, table.repeated_traces) == (1, 1)
    assert {p.name: p.count for p in critical_paths(table).problems} == {"repeated_span": 1, "repeated_trace": 1}


@pytest.mark.parametrize(
    "tags",
    [
        [{"key": "error", "value": True}],
        [{"key": "error", "value": "ClientSideError"}],
        [{"key": "otel.status_code", "value": "ERROR"}],
        [{"key": "http.status_code", "value": 503}],
        [{"key": "http.response.status_code", "value": "500"}],
    ],
)
def test_what_a_failed_span_is(tags: list[dict[str, t.Any]]) -> None:
    trace = jaeger(Call("s root", 0, 1))
    trace["spans"][0]["tags"] = tags
    assert table_of([trace]).failed.tolist() == [True]


@pytest.mark.parametrize(
    "tags",
    [
        [],
        None,
        [{"key": "error", "value": False}],
        [{"key": "error", "value": "false"}],
        [{"key": "http.status_code", "value": 404}],
        [{"key": "http.status_code"}],
    ],
)
def test_what_it_is_not(tags: t.Any) -> None:
    trace = jaeger(Call("s root", 0, 1))
    trace["spans"][0]["tags"] = tags
    assert table_of([trace]).failed.tolist() == [False]


def test_an_error_that_only_a_log_tells() -> None:
    trace = jaeger(Call("s root", 0, 1))
    trace["spans"][0]["logs"] = [{"timestamp": 1, "fields": [{"key": "event", "value": "error"}]}]
    assert table_of([trace]).failed.tolist() == [True]
    trace["spans"][0]["logs"] = [{"timestamp": 1, "fields": [{"key": "message", "value": "no error"}]}, 7]
    assert table_of([trace]).failed.tolist() == [False]


def test_a_reference_to_another_trace_is_no_parent() -> None:
    trace = jaeger(TREE)
    trace["spans"][0]["references"] = [{"refType": "CHILD_OF", "traceID": "other", "spanID": "x"}]
    trace["spans"][1]["references"].insert(0, {"refType": "FOLLOWS_FROM", "traceID": "a", "spanID": "0002"})
    assert exclusive(critical_paths(table_of([trace]))) == {"s root": 25, "a x": 30, "b x": 45}


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("SELECT * FROM t1 WHERE id = -5 AND name='O''Hara'", "SELECT * FROM t1 WHERE id = ? AND name=?"),
        ("SELECT a\n  FROM b WHERE c IN (1, 2,3) LIMIT $1", "SELECT a FROM b WHERE c IN (?, …) LIMIT ?"),
        ("GET user:12345", "GET user:?"),
        ("UPDATE t SET x=x-1 WHERE y=1.5e3", "UPDATE t SET x=x-? WHERE y=?"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_statements_lose_their_values(statement: str, kept: str) -> None:
    assert without_values(statement) == kept


def test_selecting_traces_keeps_their_spans_together() -> None:
    table = table_of(shop(6))
    starts = trace_starts(table)
    part = select(table, starts > starts.min())
    assert len(part.trace_ids) == 5 and part.trace_ids == table.trace_ids[1:]
    whole, cut = critical_paths(table), critical_paths(part)
    assert cut.exclusive.tolist() == whole.exclusive[table.trace > 0].tolist()
