# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count requests, hits and bytes of CloudFront logs line by line: what an operator's script does."""

from __future__ import annotations

import collections
import json
import sys


def main() -> None:
    """Read the files that are named and print the counts as JSON."""
    requests = hits = size = 0
    groups: collections.Counter[str] = collections.Counter()
    for name in sys.argv[1:]:
        columns: dict[str, int] = {}
        with open(name, encoding="utf-8") as file:
            for line in file:
                if line.startswith("#"):
                    if line.startswith("#Fields:"):
                        columns = {field: at for at, field in enumerate(line.split()[1:])}
                    continue
                fields = line.rstrip("\n").split("\t")
                requests += 1
                hits += fields[columns["x-edge-result-type"]] in ("Hit", "RefreshHit")
                size += int(fields[columns["sc-bytes"]])
                groups[fields[columns["cs-uri-stem"]].split("/")[1]] += 1
    print(json.dumps({"requests": requests, "hits": hits, "bytes": size, "groups": groups}))


if __name__ == "__main__":
    main()
