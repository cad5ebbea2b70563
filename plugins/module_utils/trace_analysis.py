# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From traces to what slows requests down: reads them, analyses them, and writes one document.

The document is what module ``trace_analysis_info`` returns the first entries of, and what the
report's page of traces is drawn from.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
import urllib.parse
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import Paths, critical_paths
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_comparison import compare
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_findings import FindingOptions, findings
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_operations import (
    SHARES,
    Figures,
    by_operation,
    by_service,
    flame,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_what_if import bounds
from ansible_collections.frugal.cloud.plugins.module_utils.executor import utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError, moment
from ansible_collections.frugal.cloud.plugins.module_utils.observe.jaeger import Jaeger, Window
from ansible_collections.frugal.cloud.plugins.module_utils.observe.trace_files import files_of, read_files
from ansible_collections.frugal.cloud.plugins.module_utils.spans import SpanBuilder, SpanTable, select, trace_starts

#: What the document says it is.
FORMAT = "frugal.cloud traces 1"
#: Operations whose removal and halving are tried.
WHAT_IF_OPERATIONS = 20
#: Traces shown as they were: which percentile of the most frequent request, by its name.
EXAMPLES = {"median": 0.5, "p95": 0.95, "slowest": 1.0}
#: Spans of an example; of a larger trace the longest ones with their ancestors.
EXAMPLE_SPANS = 400
_DEFAULTS = FindingOptions()
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

OPTIONS: dict[str, dict[str, t.Any]] = {
    "paths": {"type": "list", "elements": "path", "default": []},
    "comparison_paths": {"type": "list", "elements": "path", "default": []},
    "jaeger_url": {"type": "str"},
    "jaeger_username": {"type": "str"},
    "jaeger_password": {"type": "str", "no_log": True},
    "jaeger_bearer_token": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "timeout": {"type": "int", "default": 60},
    "services": {"type": "list", "elements": "str", "default": []},
    "as_of": {"type": "str"},
    "window_minutes": {"type": "float"},
    "comparison_as_of": {"type": "str"},
    "comparison_minutes": {"type": "float"},
    "max_traces": {"type": "int", "default": 2000},
    "repeated_calls": {"type": "int", "default": _DEFAULTS.repeated_calls},
    "chatty_calls": {"type": "int", "default": _DEFAULTS.chatty_calls},
    "slow_query_ms": {"type": "float", "default": _DEFAULTS.slow_query_us / 1000},
    "limit": {"type": "int", "default": 20},
    "output_path": {"type": "path"},
}
#: Minutes of Jaeger's traces that are looked at when nobody says.
DEFAULT_MINUTES = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Where traces come from and which of them count; windows are None where files are taken whole."""

    paths: tuple[str, ...]
    comparison_paths: tuple[str, ...]
    jaeger: Jaeger | None
    services: tuple[str, ...]
    window: Window | None
    comparison: Window | None
    max_traces: int
    findings: FindingOptions


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The document, and what was wrong on the way: ``refused`` files and ``warnings``, one sentence each."""

    document: dict[str, t.Any]
    refused: list[str]
    warnings: list[str]


def request_from(params: Mapping[str, t.Any]) -> Request:
    """The typed request behind a module's parameters. :raises OptionError: one sentence."""
    if bool(params["paths"]) == bool(params["jaeger_url"]):
        raise OptionError("give either paths or jaeger_url: one of them says where the traces are")
    if params["comparison_paths"] and not params["paths"]:
        raise OptionError("comparison_paths goes with paths: with jaeger_url, give comparison_as_of")
    if params["comparison_paths"] and params["comparison_as_of"]:
        raise OptionError("give either comparison_paths or comparison_as_of: one of them says what to compare with")
    url = params["jaeger_url"]
    if url and not url.startswith(("http://", "https://")):
        raise OptionError(f"jaeger_url is {url!r}: give the address of Jaeger's page, such as http://127.0.0.1:16686")
    if url and "@" in urllib.parse.urlsplit(url).netloc:
        raise OptionError("jaeger_url holds a user or a password: give them as jaeger_username and jaeger_password")
    for name, least, most in (
        ("timeout", 1, 3600),
        ("max_traces", 1, 1_000_000),
        ("limit", 1, 1000),
        ("repeated_calls", 2, 100_000),
        ("chatty_calls", 2, 100_000),
    ):
        if not least <= params[name] <= most:
            raise OptionError(f"{name} is {params[name]}: give a number from {least} to {most}")
    for name in ("window_minutes", "comparison_minutes"):
        if params[name] is not None and not 0 < params[name] <= 525_600:
            raise OptionError(f"{name} is {params[name]:g}: give minutes above 0, at most 525600 (a year)")
    if not 0 < params["slow_query_ms"] <= 1e9:
        raise OptionError(f"slow_query_ms is {params['slow_query_ms']:g}: give milliseconds above 0")
    if params["comparison_minutes"] is not None and not params["comparison_as_of"]:
        raise OptionError("comparison_minutes goes with comparison_as_of: give the end of the window to compare with")
    return Request(
        paths=tuple(params["paths"]),
        comparison_paths=tuple(params["comparison_paths"]),
        jaeger=Jaeger(
            url,
            params["jaeger_username"] or "",
            params["jaeger_password"] or "",
            params["jaeger_bearer_token"] or "",
            params["validate_certs"],
            params["ca_path"] or "",
            params["timeout"],
        )
        if url
        else None,
        services=tuple(params["services"]),
        window=_window(params, "as_of", "window_minutes", always=bool(url)),
        comparison=_comparison_window(params),
        max_traces=params["max_traces"],
        findings=FindingOptions(
            repeated_calls=params["repeated_calls"],
            chatty_calls=params["chatty_calls"],
            slow_query_us=round(params["slow_query_ms"] * 1000),
        ),
    )


def _window(params: Mapping[str, t.Any], at: str, minutes: str, *, always: bool) -> Window | None:
    """The window that two options name; without either of them None, or with ``always`` the last hour."""
    if not (always or params[at] or params[minutes]):
        return None
    end = moment(params[at], at) or utc_now()
    micros = round((end - _EPOCH) / datetime.timedelta(microseconds=1))
    return Window(micros - round((params[minutes] or DEFAULT_MINUTES) * 60e6), micros)


def _comparison_window(params: Mapping[str, t.Any]) -> Window | None:
    if not params["comparison_as_of"]:
        return None
    minutes = {**params, "comparison_minutes": params["comparison_minutes"] or params["window_minutes"]}
    return _window(minutes, "comparison_as_of", "comparison_minutes", always=True)


def run(request: Request) -> Answer:
    """Read and analyse.

    :raises TraceFileError: no file can be used. :raises JaegerError: Jaeger cannot be read.
    """
    warnings: list[str] = []
    refused: list[str] = []
    now, before = _read(request, warnings, refused)
    paths = critical_paths(now)
    earlier = critical_paths(before) if before is not None else None
    if not len(now.trace_ids):
        warnings.append("there are no traces to analyse: look at the window, the services and the source")
    if earlier is not None and not len(earlier.table.trace_ids):
        warnings.append("there are no traces to compare with: look at the comparison window")
    document = document_of(paths, earlier, request)
    document["source"] = {
        "jaeger": request.jaeger.url if request.jaeger else None,
        "paths": list(request.paths),
        "comparison_paths": list(request.comparison_paths),
        "requests": request.jaeger.requests if request.jaeger else 0,
        "refused": refused,
    }
    return Answer(document, refused, warnings)


def _read(request: Request, warnings: list[str], refused: list[str]) -> tuple[SpanTable, SpanTable | None]:
    """The traces of now, and those to compare with."""
    if request.jaeger is not None and request.window is not None:
        now = _from_jaeger(request.jaeger, request, request.window, warnings)
        if request.comparison is None:
            return now, None
        return now, _from_jaeger(request.jaeger, request, request.comparison, warnings)
    read = _from_files(request.paths, refused)
    now = _chosen(read, request, request.window, warnings)
    if request.comparison_paths:
        earlier = _from_files(request.comparison_paths, refused)
        return now, _chosen(earlier, request, None, warnings)
    if request.comparison is not None:
        return now, _chosen(read, request, request.comparison, warnings)
    return now, None


def _from_jaeger(server: Jaeger, request: Request, window: Window, warnings: list[str]) -> SpanTable:
    builder = SpanBuilder()
    warnings.extend(server.read(request.services, window, request.max_traces, builder))
    return builder.build()


def _from_files(paths: Sequence[str], refused: list[str]) -> SpanTable:
    builder = SpanBuilder()
    files = files_of(paths)
    sentences, useless = read_files(files, builder)
    if useless == len(files):
        raise OptionError(sentences[0] + (f"; nor can the other {len(files) - 1} files be used" * (len(files) > 1)))
    refused.extend(sentences)
    return builder.build()


def _chosen(table: SpanTable, request: Request, window: Window | None, warnings: list[str]) -> SpanTable:
    """Those traces of files that are in the window and touch one of the services, the newest where they are many."""
    numpy = deps.numpy
    starts = trace_starts(table)
    wanted = numpy.ones(len(starts), dtype=bool)
    if window is not None:
        wanted &= (starts >= window.start) & (starts < window.end)
    if request.services:
        known = {service for service, operation in table.operations}
        unknown = sorted(set(request.services) - known)
        if unknown:
            raise OptionError(
                f"services has {unknown[0]!r}, which no trace has: there are {', '.join(sorted(known)[:20]) or 'none'}"
            )
        operations = [i for i, (service, operation) in enumerate(table.operations) if service in request.services]
        touched = numpy.zeros(len(starts), dtype=bool)
        touched[table.trace[numpy.isin(table.operation, operations)]] = True
        wanted &= touched
    excess = int(wanted.sum()) - request.max_traces
    if excess > 0:
        chosen = numpy.flatnonzero(wanted)
        names = numpy.array([table.trace_ids[i] for i in chosen])
        wanted[chosen[numpy.lexsort((names, starts[chosen]))[:excess]]] = False
        warnings.append(f"{excess} older traces were left out: raise max_traces to analyse them too")
    return select(table, wanted)


def document_of(paths: Paths, earlier: Paths | None, request: Request) -> dict[str, t.Any]:
    """Everything that is known about the traces, as plain data."""
    operations = by_operation(paths)
    return {
        "format": FORMAT,
        "window": _window_dict(paths.table, request.window),
        "comparison_window": _window_dict(earlier.table, request.comparison) if earlier else None,
        "summary": summary_of(paths),
        "operations": _operation_dicts(paths, operations),
        "services": [figures.to_dict() for figures in by_service(paths)],
        "findings": [finding.to_dict() for finding in findings(paths, request.findings)],
        "problems": [problem.to_dict() for problem in paths.problems],
        "comparison": [change.to_dict() for change in compare(earlier, paths)] if earlier else None,
        "flame": [dataclasses.asdict(frame) for frame in flame(paths)],
        "examples": examples_of(paths),
    }


def summary_of(paths: Paths) -> dict[str, t.Any]:
    """How many traces and spans there are, how long requests take and how many fail."""
    numpy = deps.numpy
    table = paths.table
    roots = paths.roots[paths.roots >= 0]
    durations = numpy.sort(paths.end[roots] - paths.start[roots])
    used = {table.operations[number] for number in numpy.unique(table.operation).tolist()}
    return {
        "traces": len(table.trace_ids),
        "analysed": len(roots),
        "spans": len(table),
        "services": len({service for service, operation in used}),
        "operations": len(used),
        "failed": int(table.failed[roots].sum()),
        "spans_on_path": int(paths.on_path.sum()),
        "mean_us": round(float(durations.mean()), 1) if len(durations) else None,
        "duration": {
            name: int(durations[max(0, int(numpy.ceil(share * len(durations) - 1e-9)) - 1)])
            for name, share in SHARES.items()
        }
        if len(durations)
        else {},
    }


def _operation_dicts(paths: Paths, operations: Sequence[Figures]) -> list[dict[str, t.Any]]:
    """Figures with, for those most on the path, what they could save. A request's root is the request itself."""
    numpy = deps.numpy
    table = paths.table
    numbers = {name: number for number, name in enumerate(table.operations)}
    roots = set(table.operation[paths.roots[paths.roots >= 0]].tolist())
    tried = [
        number
        for figures in operations
        if (number := numbers[figures.service, figures.operation]) not in roots and figures.path_us
    ]
    found = bounds(paths, tried[:WHAT_IF_OPERATIONS])
    dicts = []
    mean = float(numpy.mean((paths.end - paths.start)[paths.roots[paths.roots >= 0]])) if roots else 0.0
    for figures in operations:
        bound = found.get(numbers[figures.service, figures.operation])
        what_if = None
        if bound is not None:
            what_if = {
                **bound.to_dict(),
                "removed_share": round(bound.removed_us / mean, 6) if mean else 0.0,
                "halved_share": round(bound.halved_us / mean, 6) if mean else 0.0,
            }
        dicts.append({**figures.to_dict(), "what_if": what_if})
    return dicts


def examples_of(paths: Paths) -> list[dict[str, t.Any]]:
    """A median, a p95 and the slowest trace of the request that takes most time in all, span by span."""
    numpy = deps.numpy
    table = paths.table
    roots = paths.roots[paths.roots >= 0]
    if not len(roots):
        return []
    width = paths.end - paths.start
    operations = table.operation[roots]
    totals = numpy.bincount(operations, weights=width[roots])
    names = table.operations
    main = min(numpy.flatnonzero(totals == totals.max()).tolist(), key=lambda number: names[number])
    chosen = sorted(
        roots[operations == main].tolist(), key=lambda row: (int(width[row]), table.trace_ids[int(table.trace[row])])
    )
    examples: list[dict[str, t.Any]] = []
    for name, share in EXAMPLES.items():
        root = chosen[max(0, int(numpy.ceil(share * len(chosen) - 1e-9)) - 1)]
        trace = int(table.trace[root])
        if any(example["trace"] == table.trace_ids[trace] for example in examples):
            continue
        examples.append(
            {
                "which": name,
                "trace": table.trace_ids[trace],
                "service": names[main][0],
                "operation": names[main][1],
                "duration_us": int(width[root]),
                **_spans_of(paths, root),
            }
        )
    return examples


def _spans_of(paths: Paths, root: int) -> dict[str, t.Any]:
    """The spans of one trace, parents before children, children by start; times in µs since the root's start."""
    numpy = deps.numpy
    table = paths.table
    rows = numpy.flatnonzero((table.trace == table.trace[root]) & paths.rooted)
    kept = set(rows.tolist())
    if len(rows) > EXAMPLE_SPANS:
        kept = {root}
        for row in rows[numpy.lexsort((rows, -(paths.end - paths.start)[rows]))].tolist():
            way, at = [], row
            while at not in kept:
                way.append(at)
                at = int(paths.up[at])
            if len(kept) + len(way) <= EXAMPLE_SPANS:
                kept.update(way)
    children: dict[int, list[int]] = {}
    for row in sorted(kept, key=lambda row: (-int(paths.start[row]), int(paths.end[row]), -row)):
        children.setdefault(int(paths.up[row]), []).append(row)
    spans: list[dict[str, t.Any]] = []
    stack = [(root, -1)]
    begin = int(paths.start[root])
    while stack:
        row, parent = stack.pop()
        service, operation = table.operations[int(table.operation[row])]
        spans.append(
            {
                "parent": parent,
                "service": service,
                "operation": operation,
                "start_us": int(paths.start[row]) - begin,
                "duration_us": int(paths.end[row] - paths.start[row]),
                "on_path": bool(paths.on_path[row]),
                "path_us": int(paths.exclusive[row]),
                "failed": bool(table.failed[row]),
            }
        )
        stack.extend((child, len(spans) - 1) for child in children.get(row, ()))
    return {"spans": spans, "left_out": len(rows) - len(kept)}


def _window_dict(table: SpanTable, window: Window | None) -> dict[str, t.Any] | None:
    """The window asked for, else that of the traces."""
    if window is not None:
        return {"start": _iso(window.start), "end": _iso(window.end)}
    if not len(table):
        return None
    return {"start": _iso(int(table.start.min())), "end": _iso(int((table.start + table.duration).max()))}


def _iso(micros: int) -> str | None:
    try:
        return (_EPOCH + datetime.timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return None  # A clock so far off that it has no date.


def returned(answer: Answer, limit: int) -> dict[str, t.Any]:
    """What the module returns: the first ``limit`` of each list, all requests of the comparison."""
    document = answer.document
    changes = document["comparison"]
    if changes is not None:
        requests = [change for change in changes if change["what"] == "request"]
        changes = requests[:limit] + [change for change in changes if change["what"] != "request"][:limit]
    return {
        "summary": document["summary"],
        "findings": document["findings"][:limit],
        "finding_count": len(document["findings"]),
        "operations": document["operations"][:limit],
        "services": document["services"][:limit],
        "comparison": changes or [],
        "problems": document["problems"],
        "refused": answer.refused,
        "requests": document["source"]["requests"],
    }
