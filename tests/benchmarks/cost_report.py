# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monthly report over millions of FOCUS rows, beside pandas in the same run; each in its own process.

The rows are ``focus_generator``'s, imported by ``focus_import``; both read the Parquet files that it wrote, only the
columns that the question needs, and have to find the same sums. Times are of the whole process, start and imports of
libraries included. ``FRUGAL_FOCUS_ROWS`` asks for fewer rows than ten million; ``FRUGAL_FOCUS_FOLDER`` keeps the
generated files and the imported ones (8 GB) for the next run, and shares the former with ``focus.py``.
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = 10_000_000
#: What must hold (issue: FinOps data) with ten million rows.
FASTER, MEMORY_MIB = 5.0, 1024
TAGS = ("environment", "application")
BY = ("ServiceName", "SubAccountName", "x_tag_environment")
METRIC = "EffectiveCost"


class DifferentResults(Exception):
    """The two reports are not the same, or what must hold does not."""


def ours(dataset: str) -> list[list[t.Any]]:
    """What ``cost_report_info`` asks for its list of costs."""
    from ansible_collections.frugal.cloud.plugins.module_utils.cost import engine, queries

    _connection, table = engine.open_costs(dataset)
    return [list(row.values()) for row in engine.fetch(queries.monthly(table, BY, METRIC))]


def plain(dataset: str) -> list[list[t.Any]]:
    """The same as one writes it with pandas."""
    import pandas

    files = sorted(str(path) for path in pathlib.Path(dataset).glob("*/*.parquet"))
    columns = ["BillingPeriodStart", "BillingCurrency", *BY, METRIC]
    frame = pandas.concat([pandas.read_parquet(path, columns=columns) for path in files], ignore_index=True)
    frame["period"] = frame["BillingPeriodStart"].dt.to_period("M").dt.to_timestamp().dt.date
    sums = frame.groupby(["period", "BillingCurrency", *BY], dropna=False)[METRIC].sum().reset_index()
    return [[None if pandas.isna(value) else value for value in row] for row in sums.itertuples(index=False)]


def whole(dataset: str) -> list[list[t.Any]]:
    """Everything that the module returns, chargeback included, and both of its files."""
    from ansible_collections.frugal.cloud.plugins.module_utils.cost import cost_report, engine
    from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import Inherited, Pool, Rules

    _connection, table = engine.open_costs(dataset)
    support = Pool("support", match={"ServiceCategory": ("Management and Governance",)}, take_owned=True)
    rules = Rules(("x_tag_application",), (Inherited("SubAccountName"),), (support,))
    report = cost_report.Report(table, cost_report.Question(BY, tags=("tag:application",), rules=rules))
    for part in (report.months, report.costs, report.movers, report.commitments, report.coverage):
        part()
    allocations = report.allocations()
    bills = report.chargeback(allocations)["bills"]
    if not all(bill["adds_up"] for bill in bills):
        raise DifferentResults(f"the chargeback does not add up to the bill: {bills}")
    return [[sum(1 for _line in report.lines()), sum(1 for _line in report.chargeback_lines(allocations))]]


def compare(mine: list[list[t.Any]], theirs: list[list[t.Any]]) -> None:
    """:raises DifferentResults: naming the first row that differs."""
    sums = [{tuple(row[:-1]): row[-1] for row in rows} for rows in (mine, theirs)]
    if sums[0].keys() != sums[1].keys():
        raise DifferentResults(f"one alone has {sorted(map(str, sums[0].keys() ^ sums[1].keys()))[:3]}")
    for key, cost in sums[0].items():
        if abs(cost - sums[1][key]) > 1e-6 * max(1.0, abs(cost)):
            raise DifferentResults(f"{key}: ours {cost}, pandas {sums[1][key]}")


@contextlib.contextmanager
def _dataset(rows: int) -> Iterator[pathlib.Path]:
    """The rows, imported; a second time nothing is read."""
    import focus_generator
    from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
    from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import Request
    from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import run as run_import
    from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import TagKey

    kept = os.environ.get("FRUGAL_FOCUS_FOLDER")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(kept or name)
        files = focus_generator.generate(folder / f"{rows}", rows)
        target = folder / f"dataset-{rows}"
        run_import(
            Dataset(target),
            Request(source="generated", paths=[str(path) for path in files], tag_keys=[TagKey(key) for key in TAGS]),
        )
        yield target


def run() -> list[dict[str, t.Any]]:
    """Generate, import, ask both, compare."""
    from measured import measure

    rows = int(os.environ.get("FRUGAL_FOCUS_ROWS", ROWS))
    environ = {"PYTHONPATH": str(ROOT / "build" / "root")}
    with _dataset(rows) as dataset, tempfile.TemporaryDirectory() as name:
        size = sum(path.stat().st_size for path in dataset.glob("*/*.parquet")) / 1e6
        done, answers = {}, {}
        # The first reads the files into the page cache for both.
        for who in ("whole", "plain", "ours"):
            output = pathlib.Path(name) / f"{who}.json"
            done[who] = measure([sys.executable, __file__, who, dataset, output], environ)
            answers[who] = json.loads(output.read_text(encoding="utf-8"))
    compare(answers["ours"], answers["plain"])
    workload = f"{rows:,} rows, {size:.0f} MB of Parquet, {len(answers['ours']):,} rows of the report"
    shared = {"workload": workload, "peer_name": "pandas"}
    entries: list[dict[str, t.Any]] = [
        {
            "name": "monthly cost report: time",
            "ours": round(done["ours"].seconds, 2),
            "peer": round(done["plain"].seconds, 2),
            "unit": "seconds",
            "ratio": round(done["plain"].seconds / done["ours"].seconds, 2),
            "note": f"equal sums; want a ratio of {FASTER:g}",
            **shared,
        },
        {
            "name": "monthly cost report: peak memory",
            "ours": round(done["ours"].peak),
            "peer": round(done["plain"].peak),
            "unit": "MiB",
            "ratio": round(done["plain"].peak / done["ours"].peak, 2),
            "note": f"want less than {MEMORY_MIB} MiB",
            **shared,
        },
        {
            "name": "whole report with chargeback and files: peak memory",
            "ours": round(done["whole"].peak),
            "peer": MEMORY_MIB,
            "peer_name": "limit",
            "unit": "MiB",
            "ratio": round(MEMORY_MIB / done["whole"].peak, 2),
            "workload": workload,
            "note": f"{done['whole'].seconds:.1f} s; {answers['whole'][0][0]:,} and {answers['whole'][0][1]:,} lines",
        },
    ]
    if rows == ROWS and (
        done["plain"].seconds / done["ours"].seconds < FASTER or max(done["ours"].peak, done["whole"].peak) > MEMORY_MIB
    ):
        raise DifferentResults(f"not {FASTER} times faster within {MEMORY_MIB} MiB: {json.dumps(entries, indent=1)}")
    return entries


if __name__ == "__main__":
    answer = {"ours": ours, "plain": plain, "whole": whole}[sys.argv[1]](sys.argv[2])
    pathlib.Path(sys.argv[3]).write_text(json.dumps(answer, default=str), encoding="utf-8")
