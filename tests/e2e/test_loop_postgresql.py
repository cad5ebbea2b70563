# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once on one PostgreSQL ledger; and no secret in anything that is written or shown."""

from __future__ import annotations

import collections
import json
import re
import shutil

from ansible_collections.frugal.cloud.tests.e2e.conftest import MakeLoop
from ansible_collections.frugal.cloud.tests.e2e.loop import SECRET, STEPS, estate, machines

PASSWORD = "the-password-of-the-ledger"


def test_two_runs_at_once_take_nothing_twice(make_loop: MakeLoop, postgresql_url: str) -> None:
    loop = make_loop(estate([machines("web", 60)]), environ={"FRUGAL_LEDGER_URL": postgresql_url})
    loop.recommend()
    loop.approve()
    loop.simulator.stats(reset=True)
    runs = [loop.start("rightsizing", frugal_stage="apply", rightsizing_max_in_flight=5) for _number in range(2)]
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    applied = [int(re.search(r"us-east-1: (\d+) applied", output)[1]) for output in outputs]  # type: ignore[index]
    assert sum(applied) == 60
    assert min(applied) > 0, "one run did it all: they did not meet"
    assert set(loop.statuses().values()) == {"applied"}
    assert {tuple(steps) for steps in loop.taken_effect().values()} == {tuple(STEPS)}
    assert {change["result"] for change in loop.changes()} == {"ok"}
    results = collections.Counter(row["action_id"] for row in loop.journal("result"))
    assert (len(results), set(results.values())) == (60, {1})
    again = loop.stage("apply")
    assert (again.code, again.changed) == (0, 0), again.output


def test_no_secret_is_shown_or_kept(make_loop: MakeLoop, postgresql_url: str) -> None:
    loop = make_loop(estate([machines("web", 2)]))
    given = loop.simulator.client("sts", loop.account).assume_role(
        RoleArn=f"arn:aws:iam::{loop.account}:role/operator", RoleSessionName="tests"
    )["Credentials"]
    url = postgresql_url.replace("frugal@", f"frugal:{PASSWORD}@")
    loop.environ = {
        "FRUGAL_LEDGER_URL": url,
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
    role = {"frugal_role_arn": f"arn:aws:iam::{loop.account}:role/frugal", "frugal_external_id": "an-external-id"}
    outputs = [
        loop.recommend("-vvv", **role).output,
        loop.approve("-vvv").output,
        loop.stage("apply", "-vvv", **role).output,
        loop.stage("rollback", "-vvv", rightsizing_plan_id=loop.plan_id(), **role).output,
        loop.good("report", "-vvv").output,
    ]
    assert set(loop.statuses().values()) == {"rolled_back"}
    # What goes wrong is told without secrets, too.
    loop.environ["FRUGAL_LEDGER_URL"] = re.sub(r":\d+/", ":1/", url)
    failed = loop.play("approve", "-vvv", frugal_approve="all")
    assert failed.code == 2
    assert "cannot be reached" in failed.output
    outputs.append(failed.output)
    loop.environ["FRUGAL_LEDGER_URL"] = url
    loop.simulator.faults(deny=["ec2:DescribeInstances"])
    denied = loop.play("rightsizing", "-vvv", **role)
    assert denied.code == 2
    outputs.append(denied.output)
    shutil.rmtree(loop.folder / "ansible", ignore_errors=True)
    written = {path: path.read_bytes() for path in loop.folder.rglob("*") if path.is_file()}
    assert any(path.name == "report.html" for path in written)
    secrets = {
        "password": PASSWORD,
        "secret key": given["SecretAccessKey"],
        "session token": given["SessionToken"],
        "operator's key": SECRET,
    }
    for name, secret in secrets.items():
        for output in outputs:
            assert secret not in output, f"{name} in an output"
        assert secret not in json.dumps(loop.dump()), f"{name} in the ledger"
        for path, data in written.items():
            assert secret.encode() not in data, f"{name} in {path}"
