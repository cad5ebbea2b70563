# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ``load.js`` with k6 against the shop and judges its log: how fast it was, and which promise was broken."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import typing as t
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
TRAFFIC: dict[str, t.Any] = json.loads((FOLDER / "traffic.json").read_text(encoding="utf-8"))
#: kinds of requests: what may be in a shared cache, what is a customer's own, what writes
PUBLIC = ("home", "category", "product", "search", "asset")
PRIVATE = ("header", "cart", "account", "checkout")
WRITES = ("add_to_cart", "change_cart", "place_order", "login", "change_price", "change_stock")
STAFF = ("change_price", "change_stock")
#: HTTP status codes that are answers; the shop refuses an order of what is sold out with 409
ANSWERS = (200, 304, 409)

Line = Mapping[str, t.Any]


class LoadError(Exception):
    """The load generator did not run; one sentence."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """What customers saw in one phase of a run: requests/s and milliseconds, of answers that were answers."""

    requests: int
    failed: int
    throughput: float
    p50: float
    p95: float
    p99: float
    #: p50 and p95 by kind of request
    kinds: Mapping[str, tuple[float, float]]
    #: requests that an HTTP cache answered with what it kept for a second or longer
    aged: int


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One run of the load generator."""

    phases: Mapping[str, Phase]
    #: broken promises, each once, with how often
    broken: Mapping[str, int]
    examples: tuple[str, ...]
    #: answers that were judged, and prices on them that were compared with what staff had set
    judged: int
    prices: int


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values; 0 without any."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0


def phase(lines: Sequence[Line], seconds: float) -> Phase:
    """Figures of one phase's lines; ``seconds`` is how long it lasted, and what ended later does not count."""
    begun = min((line["at"] for line in lines), default=0)
    counted = [line for line in lines if line["end"] <= begun + 1000 * seconds]
    good = [line for line in counted if line["status"] in ANSWERS]
    took = sorted(line["took"] for line in good)
    kinds = {}
    for kind in (*PUBLIC, *PRIVATE, *WRITES):
        own = sorted(line["took"] for line in good if line["kind"] == kind)
        if own:
            kinds[kind] = (statistics.median(own), percentile(own, 0.95))
    return Phase(
        requests=len(counted),
        failed=len(counted) - len(good),
        throughput=len(good) / seconds,
        p50=percentile(took, 0.50),
        p95=percentile(took, 0.95),
        p99=percentile(took, 0.99),
        kinds=kinds,
        aged=sum(line.get("age", 0) > 0 for line in good),
    )


def stale_prices(lines: Iterable[Line]) -> tuple[int, list[str]]:
    """How many prices were compared, and a sentence for each that was older than promised.

    A product's version is raised by each change. An answer to a request that began (``at``, milliseconds) after the
    answer to a change had come (``end``) shows that change's version or a later one; and all that show one version
    show one price.
    """
    events: list[tuple[int, int, Line]] = []
    for line in lines:
        if not line.get("products") or line["status"] not in ANSWERS:
            continue
        if line["kind"] in STAFF:
            # At the same millisecond the request came first: nobody is accused of what cannot be told apart.
            events.append((line["end"], 1, line))
        else:
            events.append((line["at"], 0, line))
    events.sort(key=lambda event: event[:2])
    newest: dict[int, int] = {}
    priced: dict[tuple[int, int], int] = {}
    compared, found = 0, []
    for moment, written, line in events:
        for product, version, price in line["products"]:
            if priced.setdefault((product, version), price) != price:
                found.append(f"{line['kind']} shows product {product} version {version} at another price")
            if written:
                newest[product] = max(version, newest.get(product, 0))
                continue
            compared += 1
            if version < newest.get(product, 0):
                found.append(
                    f"{line['kind']} at {moment} shows product {product} in version {version}, "
                    f"version {newest[product]} was there before"
                )
    return compared, found


def twice_given(lines: Iterable[Line]) -> list[str]:
    """A sentence for each private answer that was given more than once."""
    times = Counter(line["rendering"] for line in lines if line.get("rendering"))
    kinds = {line["rendering"]: line["kind"] for line in lines if line.get("rendering")}
    return [f"the {kinds[one]} answer {one} was given {count} times" for one, count in times.items() if count > 1]


def kept_private(lines: Iterable[Line]) -> list[str]:
    """A sentence for each private answer that says of itself that it was kept (``Age``)."""
    return [
        f"a {line['kind']} answer was {line['age']} s old"
        for line in lines
        if line.get("age") and line["kind"] in (*PRIVATE, *WRITES)
    ]


def judge(lines: Sequence[Line], seconds: Mapping[str, float]) -> Measurement:
    """A run's log as a measurement."""
    requests = [line for line in lines if "wrong" not in line]
    compared, stale = stale_prices(requests)
    wrong = [line for line in lines if "wrong" in line]
    own = [f"{line['kind']}: {line['wrong']}: {json.dumps(line.get('detail'))[:200]}" for line in wrong]
    broken = {
        "an older price": len(stale),
        "a private answer given twice": len(twice := twice_given(requests)),
        "a private answer from a cache": len(kept := kept_private(requests)),
        **Counter(str(line["wrong"]) for line in wrong),
    }
    return Measurement(
        phases={
            name: phase([line for line in requests if line["phase"] == name], seconds[name])
            for name in seconds
            if seconds[name]
        },
        broken={name: count for name, count in broken.items() if count},
        examples=(*stale[:5], *twice[:5], *kept[:5], *own[:10]),
        judged=sum(line["status"] in ANSWERS for line in requests),
        prices=compared,
    )


def read(path: Path) -> list[Line]:
    """The lines of a log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("{")]


def k6() -> str:
    """The load generator, installed where it is not there yet."""
    # Like the other tools that only some tests need, it has an environment of its own.
    command = [sys.executable, str(ROOT / "tests" / "tools" / "environment.py"), "load", "--print"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"k6 cannot be installed: {(done.stderr or done.stdout).strip()[-500:]}")
    return str(Path(done.stdout.split()[-1]) / "bin" / "k6")


def run(
    url: str,
    staff_token: str,
    seconds: Mapping[str, float],
    *,
    rate: int = 0,
    customers: int = 0,
    host: str = "shop.example.com",
    seed: int = 1,
    log: Path | None = None,
) -> Measurement:
    """Let customers use the shop at ``url``: ``seconds`` of phases ``warm``, ``open`` (``rate``/s) and ``closed``."""
    with tempfile.TemporaryDirectory() as folder:
        path = log or Path(folder) / "k6.log"
        path.unlink(missing_ok=True)
        settings = {
            "SHOP_URL": url,
            "SHOP_HOST": host,
            "STAFF_TOKEN": staff_token,
            "SEED": str(seed),
            "RATE": str(rate),
            "CUSTOMERS": str(customers or TRAFFIC["customers_at_once"]),
            **{name.upper(): f"{seconds.get(name, 0):g}" for name in ("warm", "open", "closed")},
        }
        done = subprocess.run(
            [
                *(k6(), "run", "--quiet", "--no-usage-report", "--address", ""),
                *("--log-format=raw", f"--log-output=file={path}", str(FOLDER / "load.js")),
            ],
            env={"PATH": os.environ["PATH"], "HOME": folder, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=sum(seconds.values()) + 120,
            check=False,
        )
        if done.returncode or not path.exists():
            raise LoadError(
                f"k6 ended with exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
            )
        return judge(read(path), seconds)
