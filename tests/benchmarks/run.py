# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every benchmark of this folder and prints each comparison.

A benchmark is a file here with a function ``run() -> list[dict]``. Each entry has ``name``, ``workload``,
``ours`` and ``peer`` (numbers, or None where one cannot be measured), ``unit``, ``ratio`` (peer divided by
ours unless the name says otherwise) and, if it likes, ``peer_name`` and ``note``. They run one after the
other, so that they do not disturb each other. The results go to ``build/bench.json``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import traceback
import typing as t
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
KEYS = ("name", "workload", "ours", "peer", "unit", "ratio")


class InvalidResult(Exception):
    """A benchmark returned something else than comparisons."""


def benchmarks(chosen: t.Sequence[str]) -> dict[str, t.Callable[[], list[dict[str, t.Any]]]]:
    """The ``run`` function of every file of this folder that has one, by file name without suffix."""
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
    found: dict[str, t.Callable[[], list[dict[str, t.Any]]]] = {}
    for path in sorted(FOLDER.glob("*.py")):
        # Only those that define run() are imported: the others are what they share.
        if path.name == Path(__file__).name or "\ndef run(" not in path.read_text(encoding="utf-8"):
            continue
        if chosen and path.stem not in chosen:
            continue
        specification = importlib.util.spec_from_file_location(path.stem, path)
        if specification is None or specification.loader is None:
            raise ImportError(f"cannot import {path}")
        module = importlib.util.module_from_spec(specification)
        sys.modules[path.stem] = module
        specification.loader.exec_module(module)
        found[path.stem] = module.run
    unknown = sorted(set(chosen) - set(found))
    if unknown:
        raise SystemExit(f"error: no benchmark {', '.join(unknown)} in {FOLDER.name}")
    return found


def checked(results: t.Any) -> list[dict[str, t.Any]]:
    """The results, if they are comparisons."""
    if not isinstance(results, list):
        raise InvalidResult(f"run() returned {type(results).__name__}, not a list")
    for entry in results:
        missing = [key for key in KEYS if key not in entry]
        if missing:
            raise InvalidResult(f"{entry} lacks {', '.join(missing)}")
    return results


def figure(value: t.Any) -> str:
    """A number with the digits that it deserves."""
    if value is None:
        return "–"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def line(entry: t.Mapping[str, t.Any]) -> str:
    """One comparison as a person reads it."""
    peer = entry.get("peer_name", "peer")
    ratio = f", ratio {figure(entry['ratio'])}" if entry["ratio"] is not None else ""
    note = f" ({entry['note']})" if entry.get("note") else ""
    return (
        f"  {entry['name']} [{entry['workload']}]: ours {figure(entry['ours'])}, "
        f"{peer} {figure(entry['peer'])} {entry['unit']}{ratio}{note}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the benchmarks and print each comparison.")
    parser.add_argument("benchmarks", nargs="*", help="which to run; all when none is named")
    parser.add_argument("--output", type=Path, required=True, help="file for the results, JSON")
    options = parser.parse_args()
    found = benchmarks(options.benchmarks)
    if not found:
        print("error: there is no benchmark yet: no file in tests/benchmarks defines run()", file=sys.stderr)
        return 1
    results: list[dict[str, t.Any]] = []
    failed = []
    for name, run in found.items():
        print(f"{name}:", flush=True)
        started = time.monotonic()
        try:
            entries = checked(run())
        except Exception:
            # The other benchmarks still tell something; the exit code says that this one did not.
            traceback.print_exc()
            failed.append(name)
            continue
        for entry in entries:
            print(line(entry), flush=True)
        print(f"  took {time.monotonic() - started:.0f} s", flush=True)
        results.extend(entries)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"{len(results)} comparisons in {options.output}")
    if failed:
        print(f"error: failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
