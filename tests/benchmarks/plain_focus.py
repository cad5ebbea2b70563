# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``focus_import`` does with CSV files, as one writes it with pandas: read, times, two tags, Parquet by month.

It checks nothing and refuses nothing. ``plain_focus.py ENGINE TARGET FILE...``; ENGINE is read_csv's, ``c`` or
``pyarrow``.
"""

from __future__ import annotations

import json
import pathlib
import sys

import pandas as pd

TAGS = ("environment", "application")
MOMENTS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
IDENTITIES = dict.fromkeys(("BillingAccountId", "SubAccountId", "SkuId"), "str")


def main() -> int:
    engine, target, *paths = sys.argv[1:]
    frames = [pd.read_csv(path, na_values=["NULL"], engine=engine, dtype=IDENTITIES) for path in paths]
    data = pd.concat(frames, ignore_index=True)
    del frames
    for name in MOMENTS:
        data[name] = pd.to_datetime(data[name])
    tags = [json.loads(text) if isinstance(text, str) else {} for text in data["Tags"]]
    for key in TAGS:
        data[f"x_tag_{key}"] = [one.get(key) for one in tags]
    del tags
    data["BillingPeriod"] = data["BillingPeriodStart"].dt.strftime("%Y-%m")
    data.to_parquet(pathlib.Path(target), partition_cols=["BillingPeriod"], compression="zstd")
    print(json.dumps({"rows": len(data), "billed": float(data["BilledCost"].sum())}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
