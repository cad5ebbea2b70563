# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``focus_import`` of millions of rows, beside pandas in the same run; each in its own process.

The rows are ``focus_generator``'s. pandas keeps all of them in memory, so it reads the largest size that fits into what
the machine has free (about 1.7 GiB a million rows); the module reads that size as well, for the comparison of times,
and ten million, for its memory. Both have to find the same sum. ``FRUGAL_FOCUS_ROWS`` asks for fewer rows than ten
million, ``FRUGAL_FOCUS_FOLDER`` keeps the generated files (7 GB) for the next run.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
import tempfile
import typing as t
from collections.abc import Iterator

import focus_generator
from ansible_collections.frugal.cloud.tests.benchmarks.measured import Measured, measure

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = 10_000_000
#: MiB of memory that pandas takes for a million rows, measured with one million.
PANDAS_MIB = 1750
MEMORY_LIMIT_MIB = 2048
TAGS = ("environment", "application")
ENGINES = ("c", "pyarrow")


def available_mib() -> int:
    """Memory that the machine has free."""
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


@contextlib.contextmanager
def _folder() -> Iterator[pathlib.Path]:
    kept = os.environ.get("FRUGAL_FOCUS_FOLDER")
    if kept:
        yield pathlib.Path(kept)
        return
    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


def _ours(paths: t.Sequence[pathlib.Path], target: pathlib.Path) -> tuple[Measured, dict[str, t.Any]]:
    """The module as Ansible runs it, without Ansible around it, which needs memory of its own."""
    arguments = {
        "dataset": str(target),
        "source": "generated",
        "paths": [str(path) for path in paths],
        "tag_keys": [{"key": key} for key in TAGS],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"ANSIBLE_MODULE_ARGS": arguments}, file)
        file.flush()
        module = ROOT / "plugins" / "modules" / "focus_import.py"
        done = measure([sys.executable, module, file.name], {"PYTHONPATH": str(ROOT / "build" / "root")})
    return done, json.loads(done.output)


def _billed(result: t.Mapping[str, t.Any]) -> tuple[int, float]:
    after = [one["after"] for one in result["periods"]]
    return sum(one["rows"] for one in after), sum(one["BilledCost"] for one in after)


def _same(name: str, ours: tuple[int, float], rows: int, billed: float | None) -> None:
    if ours[0] != rows or (billed is not None and abs(ours[1] - billed) > 1e-6 * abs(billed)):
        raise AssertionError(f"{name}: {ours[0]} rows, {ours[1]} by the module, {rows} rows, {billed} expected")


def run() -> list[dict[str, t.Any]]:
    """Generate, import, compare."""
    most = int(os.environ.get("FRUGAL_FOCUS_ROWS", ROWS))
    sizes = [size for size in (500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000) if size < most] + [most]
    fits = [size for size in sizes if size / 1e6 * PANDAS_MIB < 0.85 * available_mib()] or sizes[:1]
    both = fits[-1]
    entries = []
    with _folder() as folder, tempfile.TemporaryDirectory() as results:
        out = pathlib.Path(results)
        files = {size: focus_generator.generate(folder / f"{size}", size) for size in dict.fromkeys((both, most))}
        gib = sum(path.stat().st_size for path in files[both]) / 2**30
        done, result = _ours(files[both], out / "ours")
        peers = {}
        for engine in ENGINES:
            words = [sys.executable, ROOT / "tests/benchmarks/plain_focus.py", engine, out / engine, *files[both]]
            peers[engine] = measure(words, {})
            told = json.loads(peers[engine].output)
            _same(engine, _billed(result), told["rows"], told["billed"])
        engine, peer = min(peers.items(), key=lambda one: one[1].seconds)
        workload = f"{both:,} rows, {gib:.1f} GiB of CSV in {len(files[both])} files, 44 columns"
        shared = {"workload": workload, "peer_name": f"pandas (engine {engine})"}
        entries += [
            {
                "name": "FOCUS import: time",
                "ours": done.seconds,
                "peer": peer.seconds,
                "unit": "s",
                "ratio": peer.seconds / done.seconds,
                "note": f"other engine of pandas {max(one.seconds for one in peers.values()):.0f} s; the module "
                "also checks all rules of FOCUS; want a ratio of 1 or more",
                **shared,
            },
            {
                "name": "FOCUS import: memory",
                "ours": done.peak,
                "peer": peer.peak,
                "unit": "MiB",
                "ratio": peer.peak / done.peak,
                **shared,
            },
        ]
        # The same again: nothing has changed, so nothing but the files' bytes is read.
        again, repeated = _ours(files[both], out / "ours")
        if repeated["changed"] or repeated["files"]["read"]:
            raise AssertionError(f"a repeated import changed or read something: {repeated['files']}")
        entries.append(
            {
                "name": "FOCUS import repeated: time",
                "workload": workload,
                "ours": again.seconds,
                "peer": done.seconds,
                "peer_name": "the first import",
                "unit": "s",
                "ratio": done.seconds / again.seconds,
            }
        )
        if most != both:
            done, result = _ours(files[most], out / "most")
            _same("the largest size", _billed(result), most, None)
        entries.append(
            {
                "name": "FOCUS import at the largest size: memory",
                "workload": f"{most:,} rows",
                "ours": done.peak,
                "peer": MEMORY_LIMIT_MIB,
                "peer_name": "limit",
                "unit": "MiB",
                "ratio": MEMORY_LIMIT_MIB / done.peak,
                "note": f"{done.seconds:.0f} s; want a ratio of 1 or more",
            }
        )
    return entries
