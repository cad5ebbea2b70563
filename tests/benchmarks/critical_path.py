# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Critical paths of 10,000 traces of 100 spans, from JSON files to the aggregate by operation.

Ours beside a plain Python implementation of the same published algorithm (``plain_critical_path.py``), on the same
files in the same run, each in one process of its own. The aggregates must be equal to the microsecond, or the
benchmark fails. Database statements are read and normalised by ours although the peer does not: that is what the
module does.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
import typing as t
from pathlib import Path

TRACES, SPANS, SEED = 10_000, 100, 20_260_101
#: What must hold (issue: performance monitoring).
FASTER, MEMORY_MIB = 3.0, 1024
PHASES = ("parse", "build", "path", "aggregate")


def ours(folder: Path, output: Path) -> None:
    """Our pipeline, file by file, in one process: what ``trace_analysis_info`` does before it looks for findings."""
    from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import critical_paths
    from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_operations import by_operation
    from ansible_collections.frugal.cloud.plugins.module_utils.observe import trace_files
    from ansible_collections.frugal.cloud.plugins.module_utils.spans import SpanBuilder

    seconds = dict.fromkeys(PHASES, 0.0)
    reader = trace_files.TraceReader(SpanBuilder())
    for path in trace_files.files_of([str(folder)]):
        began = time.perf_counter()
        content = trace_files.content_of(path)
        [(place, document, _text)] = trace_files.decode_content(content, path)
        seconds["parse"] += time.perf_counter() - began
        for number, raw in enumerate(document.data):  # As TraceReader.read() does, with a clock.
            began = time.perf_counter()
            trace = trace_files.decode_trace(raw, place, number)
            parsed = time.perf_counter()
            reader.add(trace, place)
            seconds["parse"] += parsed - began
            seconds["build"] += time.perf_counter() - parsed
    began = time.perf_counter()
    table = reader.builder.build()
    built = time.perf_counter()
    paths = critical_paths(table)
    walked = time.perf_counter()
    aggregate = [dataclasses.asdict(figures) for figures in by_operation(paths)]
    seconds["build"] += built - began
    seconds["path"] = walked - built
    seconds["aggregate"] = time.perf_counter() - walked
    output.write_text(json.dumps({"seconds": seconds, "aggregate": aggregate}), encoding="utf-8")


class DifferentResults(Exception):
    """The two aggregates are not the same."""


def compare(mine: list[dict[str, t.Any]], theirs: list[dict[str, t.Any]]) -> None:
    """:raises DifferentResults: naming the first operation that differs."""
    for left, right in zip(mine, theirs):
        if left != right:
            raise DifferentResults(f"ours {left}\nplain {right}")
    if len(mine) != len(theirs):
        raise DifferentResults(f"ours has {len(mine)} operations, plain {len(theirs)}")


def run(traces: int = TRACES) -> list[dict[str, t.Any]]:
    """Generate, run both, compare."""
    import measured
    import trace_generator

    # It is imported on its own, so it does not need to be found under a package name here.
    root = Path(__file__).resolve().parents[2] / "build" / "root"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "traces"
        folder.mkdir()
        files = trace_generator.write(folder, traces, SPANS, SEED)
        size = sum(path.stat().st_size for path in files) / 1e6
        results, runs = {}, {}
        for who, script in (("ours", Path(__file__)), ("plain", Path(__file__).with_name("plain_critical_path.py"))):
            output = Path(name) / f"{who}.json"
            # The files are in the page cache for both: they have just been written.
            runs[who] = measured.measure([sys.executable, script, folder, output], {"PYTHONPATH": str(root)})
            results[who] = json.loads(output.read_text(encoding="utf-8"))
    compare(results["ours"]["aggregate"], results["plain"]["aggregate"])
    workload = f"{traces:,} traces of {SPANS} spans, {len(files)} Jaeger JSON files, {size:.0f} MB, seed {SEED}"
    seconds = {who: result["seconds"] for who, result in results.items()}
    total = {who: sum(phases.values()) for who, phases in seconds.items()}
    entries = []
    for phase in ("total", *PHASES):
        mine = total["ours"] if phase == "total" else seconds["ours"][phase]
        theirs = total["plain"] if phase == "total" else seconds["plain"][phase]
        entries.append(
            {
                "name": f"critical path: {phase}" + (" from files to the aggregate" if phase == "total" else ""),
                "workload": workload,
                "ours": round(mine, 3),
                "peer": round(theirs, 3),
                "peer_name": "plain Python",
                "unit": "seconds",
                "ratio": round(theirs / mine, 2),
                "note": "one process each; aggregates equal to the microsecond" if phase == "total" else "",
            }
        )
    entries.append(
        {
            "name": "critical path: peak memory",
            "workload": workload,
            "ours": round(runs["ours"].peak, 1),
            "peer": round(runs["plain"].peak, 1),
            "peer_name": "plain Python",
            "unit": "MiB",
            "ratio": round(runs["plain"].peak / runs["ours"].peak, 2),
        }
    )
    if traces == TRACES and (total["plain"] / total["ours"] < FASTER or runs["ours"].peak > MEMORY_MIB):
        raise DifferentResults(f"not {FASTER} times faster within {MEMORY_MIB} MiB: {json.dumps(entries, indent=1)}")
    return entries


if __name__ == "__main__":
    ours(Path(sys.argv[1]), Path(sys.argv[2]))
