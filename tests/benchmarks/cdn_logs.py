# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``cdn_info`` over gigabytes of CloudFront logs, beside a script that reads them line by line.

The logs are generated: 2,000 products by a zipf-like draw, campaign parameters on a third of the requests, assets,
private pages; 33 fields a line as CloudFront writes them. The module answers all that it answers (paths, reasons,
possible hits, parameters, compression, money) with 1 GB for DuckDB; the script (``plain_cdn_logs.py``) only counts
requests, hits and bytes by group of paths, in one pass. Both have to find the same hits and bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import typing as t
from pathlib import Path

import duckdb
from ansible_collections.frugal.cloud.tests.benchmarks.measured import measure

ROOT = Path(__file__).resolve().parents[2]
LINES = 8_000_000
FILES = 8
HEAD = (
    "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status "
    "cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header "
    "cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type "
    "cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type "
    "sc-content-type sc-content-len sc-range-start sc-range-end\n"
)
#: a line from its number; hash() is seeded by nothing but the number, so the files are the same everywhere
SQL = """
COPY (
    WITH drawn AS (
        SELECT n, (hash(n) % 1000000) / 1e6 AS a, (hash(n + 7) % 1000000) / 1e6 AS b,
            (hash(n + 13) % 1000000) / 1e6 AS c
        FROM range({first}, {last}) r(n)
    ), made AS (
        SELECT n, b, c,
            CASE WHEN a < .6 THEN '/p/' || CAST(floor(2000 ** b) AS INTEGER)
                WHEN a < .75 THEN '/c/c' || CAST(1 + floor(40 * b) AS INTEGER)
                WHEN a < .93 THEN '/assets/app-' || CAST(floor(30 * b) AS INTEGER) || '.js' ELSE '/account' END AS path,
            CASE WHEN a < .6 AND c < .33 THEN 'utm_source=s' || CAST(floor(90 * c * 3) AS INTEGER) || '&utm_campaign=c'
                || CAST(n % 997 AS INTEGER) ELSE '-' END AS query,
            CASE WHEN a >= .93 THEN 'Miss' WHEN a < .6 AND c < .33 THEN if(c < .05, 'Hit', 'Miss')
                WHEN c < .9 THEN 'Hit' ELSE 'Miss' END AS result,
            CASE WHEN a < .75 OR a >= .93 THEN 'text/html' ELSE 'text/javascript' END AS kind
        FROM drawn
    )
    SELECT concat_ws(chr(9), '2026-05-' || lpad(CAST(1 + n // 400000 % 28 AS VARCHAR), 2, '0'),
        lpad(CAST(n // 3600 % 24 AS VARCHAR), 2, '0') || ':00:00', 'FRA56-P1',
        CAST(800 + CAST(40000 * b AS INTEGER) AS VARCHAR),
        '192.0.2.' || CAST(n % 254 AS VARCHAR), 'GET', 'd111111abcdef8.cloudfront.net', path, '200', '-',
        'Mozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)%20AppleWebKit/537.36%20Chrome/142.0.0.0%20Safari/537.36',
        query, '-', result, 'request' || CAST(n AS VARCHAR), 'shop.example.com', 'https', '400', '0.031', '-',
        'TLSv1.3', 'TLS_AES_128_GCM_SHA256', result, 'HTTP/2.0', '-', '-', CAST(20000 + n % 40000 AS VARCHAR), '0.031',
        result, kind,
        CAST(400 + CAST(40000 * b AS INTEGER) AS VARCHAR), '-', '-')
    FROM made
) TO '{path}' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '\\x01')
"""


def generate(folder: Path, lines: int) -> int:
    """Write the logs; returns their size in bytes."""
    database = duckdb.connect()
    size = 0
    for number in range(FILES):
        first, last = lines * number // FILES, lines * (number + 1) // FILES
        body, path = folder / f"body-{number}", folder / f"E2EXAMPLE.2026-05-{number:02d}.log"
        database.execute(SQL.format(first=first, last=last, path=body))
        with path.open("wb") as file:
            file.write(HEAD.encode())
            with body.open("rb") as source:
                while chunk := source.read(1 << 24):
                    file.write(chunk)
        body.unlink()
        size += path.stat().st_size
    return size


def result_of(output: str) -> dict[str, t.Any]:
    """The module's result, as Ansible prints it."""
    return t.cast(dict[str, t.Any], json.JSONDecoder().raw_decode(output[output.rindex("=> {") + 3 :])[0])


def run(lines: int = LINES) -> list[dict[str, t.Any]]:
    """Generate, read twice, compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = generate(folder, lines)
        arguments = {
            "logs": [{"format": "cloudfront", "paths": [f"{folder}/*.log"]}],
            "cdn_price_gib": 0.085,
            "temporary_directory": name,
        }
        binaries = Path(sys.executable).parent
        ours = measure(
            [
                *(binaries / "ansible", "localhost", "-c", "local", "-i", "localhost,", "-m", "frugal.cloud.cdn_info"),
                *("-a", json.dumps(arguments), "-e", f"ansible_python_interpreter={sys.executable}"),
            ],
            {
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            },
        )
        peer = measure([sys.executable, ROOT / "tests/benchmarks/plain_cdn_logs.py", *folder.glob("*.log")], {})
    found, counted = result_of(ours.output)["summary"], json.loads(peer.output)
    for key in ("requests", "bytes"):
        if found[key] != counted[key]:
            raise AssertionError(f"{key}: {found[key]} by the module, {counted[key]} by the script")
    if abs(found["hit_ratio"] - counted["hits"] / counted["requests"]) > 1e-4:
        raise AssertionError(f"hit ratio: {found['hit_ratio']} by the module, {counted['hits']} hits by the script")
    workload = f"{lines:,} requests of CloudFront, {size / 2**30:.1f} GiB in {FILES} files"
    shared = {"workload": workload, "peer_name": "plain Python, one pass, counts only"}
    return [
        {
            "name": "cdn_info: seconds",
            "ours": ours.seconds,
            "peer": peer.seconds,
            "unit": "s",
            "ratio": peer.seconds / ours.seconds,
            **shared,
        },
        {
            "name": "cdn_info: memory of the module",
            "ours": ours.peaks.get("module", ours.peak),
            "peer": peer.peak,
            "unit": "MiB",
            "ratio": peer.peak / ours.peaks.get("module", ours.peak),
            **shared,
        },
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="cdn_info over gigabytes of logs.")
    parser.add_argument("--lines", type=int, default=LINES)
    for entry in run(parser.parse_args().lines):
        print(f"  {entry['name']} [{entry['workload']}]: {entry['ours']:.1f} {entry['unit']}, peer {entry['peer']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
