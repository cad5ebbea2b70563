# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Millions of FOCUS rows with the distributions of the FOCUS project's own sample, the same for the same seed.

``../shared/data/focus`` has the sample (1,000 rows of three providers, CC BY 4.0, see PROVENANCE.md). Each generated
row is one of its rows, on another day, of one of many resources, with amounts and costs that are some times larger or
smaller. What is messy in it stays: the literal ``NULL``, times without zone, an extra column.
"""

from __future__ import annotations

import argparse
import datetime
import pathlib

import duckdb

#: The folder beside the checkout.
SAMPLE = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "focus" / "focus_sample_1.0.csv"
#: Rows of one file: what a provider's export has, about.
ROWS_PER_FILE = 500_000
#: Resources for each of the sample's.
RESOURCES = 200
_SCALED = (
    *("BilledCost", "ConsumedQuantity", "ContractedCost", "EffectiveCost", "ListCost", "PricingQuantity"),
    *("ListUnitPrice", "ContractedUnitPrice"),
)


def months(first: datetime.date, count: int) -> list[datetime.date]:
    """The first days of so many months."""
    found = [first.replace(day=1)]
    while len(found) < count:
        found.append((found[-1] + datetime.timedelta(days=32)).replace(day=1))
    return found


def generate(
    folder: pathlib.Path, rows: int, seed: int = 1, first: datetime.date = datetime.date(2026, 1, 1), count: int = 3
) -> list[pathlib.Path]:
    """Write CSV files with ``rows`` rows of ``count`` months in all; files that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute(
        f"CREATE TABLE sample AS SELECT row_number() OVER () - 1 AS place, * FROM read_csv('{SAMPLE}', header = true, "
        "all_varchar = true, nullstr = 'NULL', allow_quoted_nulls = false)"
    )
    (size,) = connection.execute("SELECT count(*) FROM sample").fetchone() or (0,)
    names = [row[0] for row in connection.execute("DESCRIBE sample").fetchall() if row[0] != "place"]
    texts = [name for name in names if name not in (*_SCALED, "Id")]
    paths = []
    for number, month in enumerate(months(first, count)):
        share = rows * (number + 1) // count - rows * number // count
        start = rows * number // count
        for part, begin in enumerate(range(0, share, ROWS_PER_FILE)):
            path = folder / f"focus-{month:%Y-%m}-{part:02d}.csv"
            paths.append(path)
            if path.exists():
                continue
            columns = ", ".join(_column(name, month, seed) for name in names)
            end = min(share, begin + ROWS_PER_FILE)
            draft = path.with_suffix(".draft")
            connection.execute(
                f"COPY (SELECT {columns} FROM (SELECT r AS number, hash(r, {seed}) AS drawn "
                f"FROM range({start + begin}, {start + end}) t(r)) JOIN sample ON place = drawn % {size}) "
                f"TO '{draft}' (FORMAT csv, HEADER, NULLSTR 'NULL', FORCE_QUOTE ({', '.join(texts)}))"
            )
            draft.replace(path)
    connection.close()
    return paths


def _column(name: str, month: datetime.date, seed: int) -> str:
    """SQL of a column, from the sample's row and what was drawn."""
    hours = f"(hash(number, {seed}, 'hour') % 672)::INTEGER"
    start = f"(TIMESTAMP '{month} 00:00:00' + to_hours({hours}))"
    following = months(month, 2)[1]
    values = {
        "BillingPeriodStart": f"'{month} 00:00:00'",
        "BillingPeriodEnd": f"'{following} 00:00:00'",
        "ChargePeriodStart": f"strftime({start}, '%Y-%m-%d %H:%M:%S')",
        "ChargePeriodEnd": f"strftime({start} + INTERVAL 1 HOUR, '%Y-%m-%d %H:%M:%S')",
        "ResourceId": f"\"ResourceId\" || '-' || (hash(number, {seed}, 'resource') % {RESOURCES})",
        "Id": "number",
    }
    # Between a half and one and a half times what the sample has; prices stay.
    if name in _SCALED and not name.endswith("UnitPrice"):
        scale = f"(0.5 + (hash(number, {seed}, 'scale') % 1000) / 1000)"
        values[name] = f'round(CAST("{name}" AS DOUBLE) * {scale}, 11)'
    return f'{values.get(name, chr(34) + name + chr(34))} AS "{name}"'


def main() -> int:
    parser = argparse.ArgumentParser(description="Write generated FOCUS rows as CSV files.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--months", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for path in generate(options.folder, options.rows, options.seed, count=options.months):
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
