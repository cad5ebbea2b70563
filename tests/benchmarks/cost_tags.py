# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tag for 100,000 resources: requests are counted by the simulated cloud, in a process of its own.

The run is killed half way and continued, then the bound has to hold all the same: resources divided by 20, rounded up,
and every resource changed once.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import typing as t

from simulator.process import Simulator, SimulatorProcess
from simulator.testing import ACCOUNT, one_account

RESOURCES = 100_000
PER_REQUEST = 20
OPTIONS: dict[str, t.Any] = {
    "policy": {"keys": [{"key": "team", "values": ["shop"], "default": "shop"}]},
    "team_key": "team",
    "resource_types": ["s3"],
}
TAG = "resourcegroupstaggingapi:TagResources"


def estate(resources: int) -> dict[str, t.Any]:
    """An account with buckets that have some tag, and not the one that is wanted."""
    return one_account(account={"tagged": [{"arn": "arn:aws:s3:::b-{n}", "count": resources, "tags": {"Name": "b"}}]})


def tag(url: str, folder: str) -> dict[str, t.Any]:
    """One run of what module aws_cost_tags does."""
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
    from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_cost_allocation import OPTIONS as COST_OPTIONS
    from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
    from ansible_collections.frugal.cloud.plugins.module_utils.aws_tag_run import OPTIONS as TAG_OPTIONS
    from ansible_collections.frugal.cloud.plugins.module_utils.aws_tag_run import run as run_module

    given = ArgumentSpecValidator({**TAG_OPTIONS, **COST_OPTIONS}).validate({**OPTIONS, "journal_directory": folder})
    keys = {"aws_access_key_id": f"AKIA{ACCOUNT}TEST", "aws_secret_access_key": "x"}
    now = datetime.datetime.now(datetime.timezone.utc)
    result, failure, _warnings = run_module(Aws("us-east-1", url, keys), given.validated_parameters, False, now)
    if failure:
        raise RuntimeError(failure)
    return result


def measured(resources: int) -> dict[str, t.Any]:
    """Tag, killed after half of the requests, continue; what the cloud counted."""
    bound = math.ceil(resources / PER_REQUEST)
    with tempfile.TemporaryDirectory(prefix="frugal-") as folder, SimulatorProcess(estate(resources)) as simulator:
        begun = time.monotonic()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen([sys.executable, __file__, simulator.url, folder], env=environment)
        while process.poll() is None and _writes(simulator) < bound // 2:
            time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.2)
        half = _writes(simulator)
        result = tag(simulator.url, folder)
        seconds = time.monotonic() - begun
        changes = [one for one in simulator.stats()["changes"] if one["operation"] == TAG]
        touched = [arn for change in changes for arn in change["resources"]]
        again = tag(simulator.url, folder)
    return {
        "bound": bound,
        "before_the_kill": half,
        "writes": len(changes),
        "reads": result["api"]["calls"]["resourcegroupstaggingapi:GetResources"],
        "resources": len(set(touched)),
        "repeated": len(touched) - len(set(touched)),
        "again": again["writes"],
        "seconds": seconds,
    }


def _writes(simulator: Simulator) -> int:
    counts = simulator.stats()["counts"]
    return sum(int(one.get(TAG, 0)) for one in counts.values())


def run() -> list[dict[str, t.Any]]:
    """The comparison with the bound, and with a request for each resource as a loop over ``ec2_tag`` makes it."""
    found = measured(RESOURCES)
    if found["resources"] != RESOURCES or found["repeated"] or found["again"]:
        raise RuntimeError(f"not every resource was tagged exactly once: {found}")
    note = f"killed after {found['before_the_kill']:,} and continued; {found['seconds']:.0f} s with the simulated cloud"
    return [
        {
            "name": "requests that set a tag",
            "workload": f"{RESOURCES:,} resources",
            "ours": found["writes"],
            "peer": found["bound"],
            "peer_name": "resources / 20",
            "unit": "requests",
            "ratio": found["bound"] / found["writes"],
            "note": note,
        }
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One run against a simulated cloud.")
    parser.add_argument("url")
    parser.add_argument("folder")
    options = parser.parse_args()
    json.dump(tag(options.url, options.folder)["writes"], sys.stdout)
