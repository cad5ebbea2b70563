# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page of traces: what ``trace_analysis_info`` wrote, drawn.

Flame graphs are boxes in shares of the width: the page needs no script for them, text keeps its size on a phone,
and they print as vectors.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_render import Assets, ReportError, render

#: What the file says it is; ``trace_analysis.FORMAT``, which this layer must not import.
FORMAT = "frugal.cloud traces 1"
#: Rows that the page shows of each list; the JSON file holds all.
OPERATIONS, SERVICES, FINDINGS, CHANGES = 40, 20, 40, 20
#: Boxes narrower than this share of the width are not drawn, and below the other have no text.
NARROWEST, NARROWEST_TEXT = 0.0008, 0.02
#: Rows of boxes of one flame graph.
DEEPEST = 40

KINDS = {
    "n_plus_one": "N+1 calls",
    "sequential_calls": "One after the other",
    "retries": "Retries",
    "chatty_services": "Chatty services",
    "slow_query": "Slow statement",
    "errors": "Errors",
    "bottleneck": "Bottleneck",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """One box of a flame graph: place and width in percent, row from the top. ``look`` is its class."""

    left: float
    width: float
    row: int
    look: str
    label: str
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class Flame:
    """A flame graph, its root on top."""

    title: str
    summary: str
    boxes: tuple[Box, ...]
    rows: int
    left_out: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the before/after chart, from the middle: place and width in percent."""

    left: float
    width: float


def read_document(path: str) -> dict[str, t.Any]:
    """What ``trace_analysis_info`` wrote to ``path``. :raises ReportError: one sentence."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise ReportError(f"traces is {path}, which cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ReportError(f"traces is {path}, which is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ReportError(f"traces is {path}, which is not the output_path of trace_analysis_info: run it again")
    return document


def page(path: str, assets: Assets, *, title: str, report: str | None = None) -> str:
    """The page for the document in ``path``; ``report`` is the name of the main page beside it.

    :raises ReportError: where the document is none or lacks something, or a template or asset is missing.
    """
    document = read_document(path)
    try:
        comparison = document["comparison"]
        requests = [change for change in comparison or () if change["what"] == "request"][:CHANGES]
        changes = [change for change in comparison or () if change["what"] == "operation"][:CHANGES]
        values = {
            "title": title,
            "report": report,
            "document": document,
            # Names in a file are never trusted: only an address of the web becomes a link.
            "jaeger": re.match(r"https?://", str(document["source"]["jaeger"])) and document["source"]["jaeger"],
            "summary": document["summary"],
            "flame": aggregate(document["flame"]),
            "examples": [example(one) for one in document["examples"]],
            "findings": document["findings"][:FINDINGS],
            "operations": document["operations"][:OPERATIONS],
            "services": document["services"][:SERVICES],
            "requests": requests,
            "changes": list(zip(changes, diverging([change["contribution_us"] for change in changes]))),
            "kinds": KINDS,
            "time": time,
            "signed": signed,
        }
        return render("traces.html.j2", assets, ("report.css", "traces.css"), (), values)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ReportError(f"traces is {path}, which lacks something: {error}; run trace_analysis_info again") from error


def aggregate(frames: Sequence[Mapping[str, t.Any]]) -> Flame:
    """The stacks of calls of all requests. Width is time spent; calls that ran at once share their caller's width."""
    children: dict[int, list[int]] = collections.defaultdict(list)
    below = [int(frame["path_us"]) for frame in frames]
    for number in range(len(frames) - 1, -1, -1):
        parent = frames[number]["parent"]
        children[parent].insert(0, number)
        if parent >= 0:
            below[parent] += below[number]
    whole = sum(frames[number]["total_us"] for number in children[-1])
    boxes: list[Box] = []
    stack = [(-1, 0.0, 100.0, -1)]
    while stack:
        number, left, width, row = stack.pop()
        own = frames[number]["total_us"] if number >= 0 else whole
        wide = sum(frames[child]["total_us"] for child in children[number])
        scale = width / max(own, wide, 1)
        for child in children[number]:
            frame = frames[child]
            share = frame["total_us"] * scale
            if share >= 100 * NARROWEST and row + 1 < DEEPEST:
                boxes.append(_box(frame, left, share, row + 1, below[child], whole))
                stack.append((child, left, share, row + 1))
            left += share
    boxes.sort(key=lambda box: (box.row, box.left))
    first = frames[0] if frames else None
    return Flame(
        "All requests",
        f"Flame graph of {len(frames)} stacks of calls"
        + (f"; the widest request is {first['service']} {first['operation']}" if first else ""),
        tuple(boxes),
        1 + max((box.row for box in boxes), default=-1),
    )


def _box(frame: Mapping[str, t.Any], left: float, width: float, row: int, below: int, whole: int) -> Box:
    on_path = below / frame["total_us"] if frame["total_us"] else 0.0
    name = f"{frame['service']} {frame['operation']}"
    return Box(
        round(left, 3),
        round(width, 3),
        row,
        "path" if on_path >= 0.5 else "some" if on_path >= 0.05 else "off",
        name if width >= 100 * NARROWEST_TEXT else "",
        f"{name}: {frame['calls']} calls, {time(frame['total_us'] / max(1, frame['calls']))} each; "
        f"{100 * below / max(1, whole):.3g} % of all critical paths, {time(frame['path_us'])} of them its own",
    )


def example(trace: Mapping[str, t.Any]) -> Flame:
    """One trace as it was: from left to right is time, calls stand below their caller."""
    spans = trace["spans"]
    whole = max(1, trace["duration_us"])
    rows: list[list[tuple[int, int]]] = []
    placed: list[int] = []
    boxes = []
    left_out = trace["left_out"]
    for span in spans:
        start, end = span["start_us"], span["start_us"] + span["duration_us"]
        row = placed[span["parent"]] + 1 if span["parent"] >= 0 else 0
        while row < len(rows) and any(low < end and start < high for low, high in rows[row]):
            row += 1
        placed.append(row)
        if row >= DEEPEST:
            left_out += 1
            continue
        while row >= len(rows):
            rows.append([])
        rows[row].append((start, end))
        name = f"{span['service']} {span['operation']}"
        width = 100 * span["duration_us"] / whole
        own = f", {time(span['path_us'])} of it on the critical path itself" if span["on_path"] else ""
        boxes.append(
            Box(
                round(100 * start / whole, 3),
                round(max(width, 0.15), 3),
                row,
                ("path" if span["on_path"] else "off") + (" failed" if span["failed"] else ""),
                name if width >= 100 * NARROWEST_TEXT else "",
                f"{name}: {time(span['duration_us'])} from {time(start)}{own}{', failed' if span['failed'] else ''}",
            )
        )
    named = {"median": "The median request", "p95": "A slow request (p95)", "slowest": "The slowest request"}
    return Flame(
        f"{named.get(trace['which'], trace['which'])}: {trace['service']} {trace['operation']}, {time(whole)}",
        f"Timeline of trace {trace['trace']}, {len(spans)} spans over {time(whole)}",
        tuple(boxes),
        len(rows),
        left_out,
    )


def diverging(values: Sequence[float]) -> list[Bar]:
    """Bars to the right for what got slower, to the left for what got faster."""
    largest = max((abs(value) for value in values), default=0.0) or 1.0
    return [Bar(round(50 + min(0.0, 50 * value / largest), 2), round(abs(50 * value / largest), 2)) for value in values]


def time(microseconds: float) -> str:
    """``12.3 ms``: three digits, in the unit that suits, with a space that does not break."""
    for limit, unit, size in ((999.5, "µs", 1.0), (999_500, "ms", 1e3), (float("inf"), "s", 1e6)):
        if abs(microseconds) < limit:
            return f"{microseconds / size:.3g}\u00a0{unit}"
    return "–"


def signed(microseconds: float) -> str:
    """The same with its sign."""
    return f"{'+' if microseconds > 0 else '−' if microseconds < 0 else ''}{time(abs(microseconds))}"
