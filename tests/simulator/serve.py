# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command line of the simulated cloud; see README.md beside this file."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import logging
import os
import pathlib
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.pop("MOTO_ACCOUNT_ID", None)  # it would win over the account of the request

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)

from simulator import estate
from simulator.control import resident_mebibytes
from simulator.errors import EstateError
from simulator.gateway import Gateway
from simulator.http_server import Server
from simulator.state import Cloud

#: Word in front of the colon -> (module, function) that makes the description.
GENERATORS = {
    "fleet": ("simulator.estates.fleet", "fleet_estate"),
    "demo": ("simulator.estates.demo", "mixed_estate"),
}


def load(text: str, now: float | None = None) -> Cloud:
    """The cloud of an estate: a file, ``fleet:N`` or ``demo:SEED[:INSTANCES]``."""
    kind, _colon, rest = text.partition(":")
    if kind in GENERATORS and not pathlib.Path(text).exists():
        module, function = GENERATORS[kind]
        try:
            numbers = [int(part) for part in rest.split(":") if part]
            description = getattr(importlib.import_module(module), function)(*numbers)
        except (ValueError, TypeError):
            raise EstateError(f"{text} is neither a file nor fleet:N nor demo:SEED[:INSTANCES]") from None
        return estate.build(description, now=now)
    path = pathlib.Path(text)
    return estate.build(estate.read_estate(path), path.resolve().parent, now)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A simulated AWS for tests and the demo.")
    parser.add_argument("--estate", required=True, help="YAML or JSON file, fleet:N, or demo:SEED[:INSTANCES]")
    parser.add_argument("--port", type=int, default=0, help="0 (default) picks a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--now", help="start of the clock, ISO 8601; overrides the estate's now")
    parser.add_argument("--latency-ms", type=float)
    parser.add_argument("--throttle-rate", type=float, help="share of requests that are throttled, 0..1")
    parser.add_argument("--cut-rate", type=float, help="share of answers cut off half-way, 0..1")
    parser.add_argument("--seed", type=int, help="of the faults")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Build the estate, print one ready line (JSON), serve until interrupted."""
    options = _arguments(arguments)
    begun = time.monotonic()
    try:
        now = estate.moment("--now", options.now) if options.now else None
        cloud = load(options.estate, now)
        given = {
            key: value
            for key in ("latency_ms", "throttle_rate", "cut_rate", "seed")
            if (value := getattr(options, key)) is not None
        }
        cloud.faults.configure(given)
    except EstateError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    gateway = Gateway(cloud, DomainDispatcherApplication(create_backend_app))
    try:
        server = Server(options.host, options.port, gateway)
    except OSError:
        print(f"simulator: port {options.port} on {options.host} cannot be used", file=sys.stderr)
        return 2
    # The estate stays: the garbage collector need not look at it again with every answer.
    gc.collect()
    gc.freeze()
    ready = {
        "url": f"http://{options.host}:{server.port}",
        "accounts": len(cloud.accounts),
        "instances": sum(len(region.instances) for region in cloud.regions()),
        "volumes": sum(len(region.volumes) for region in cloud.regions()),
        "groups": sum(len(region.groups) for region in cloud.regions()),
        "seconds": round(time.monotonic() - begun, 2),
        "rss_mib": resident_mebibytes(),
        "pid": os.getpid(),
    }
    print(f"simulator ready {json.dumps(ready)}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
