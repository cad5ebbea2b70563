# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong is said in one sentence, with exit code 2, and nothing is left half-done."""

from __future__ import annotations

import collections
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.e2e.conftest import MakeLoop
from ansible_collections.frugal.cloud.tests.e2e.loop import STEPS, Loop, Ran, estate, machines, wait_for


@pytest.fixture(name="loop", scope="module")
def approved(make_loop: MakeLoop) -> Loop:
    """A loop whose plan is approved and waits to be applied."""
    loop = make_loop(estate([machines("web", 3)]))
    loop.recommend()
    loop.approve()
    return loop


def refused(loop: Loop, ran: Ran, *words: str) -> None:
    """One sentence that holds ``words``, exit code 2, nothing changed in the cloud."""
    assert ran.code == 2, ran.output
    check_sentence(ran.failure, *words)
    assert loop.changes() == []


def check_sentence(sentence: str, *words: str) -> None:
    assert "\n" not in sentence, sentence
    assert "Error:" not in sentence, sentence
    assert len(sentence) < 500, sentence
    for word in words:
        assert word in sentence, sentence


def file(tmp_path: Path, name: str, content: str | bytes) -> str:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


# -- where and when, policy, ledger ---------------------------------------------------------------


def tasks(loop: Loop, wanted: t.Sequence[tuple[str, dict[str, t.Any]]]) -> Ran:
    """A playbook of the operator's own: each task may fail and the next one goes on."""
    names = [f"The operator : task {number}" for number in range(len(wanted))]
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "ignore_errors": True,
        "tasks": [{"name": name, f"frugal.cloud.{module}": given} for name, (module, given) in zip(names, wanted)],
    }
    path = loop.folder / "operator.yml"
    path.write_text(json.dumps([play]))
    return loop.play(str(path))


RUNS = ("ec2_rightsizing", "optimization_rollback")
LEDGER_MODULES = ("optimization_plan_info", "optimization_approval", "ec2_rightsizing", "savings_info")


@pytest.fixture(name="told", scope="module")
def sentences(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each kind of nonsense is answered with, by modules that are given it; nothing changes meanwhile."""
    folder = tmp_path_factory.mktemp("nonsense")
    garbage = file(folder, "garbage.db", "this is not a database, whatever its name says\n" * 100)
    sound = (loop.data / "ledger.db").read_bytes()
    damaged = file(folder, "damaged.db", sound[:100] + b"\xaa" * (len(sound) - 100))
    policies: dict[str, t.Any] = {
        "unknown key": {"maximum_risks": "low"},
        "no number": {"minimum_saving": "a lot"},
        "unknown group": {"approval": [{"name": "all", "group": "owners"}]},
        "no file": "/nowhere/policy.yml",
        "no YAML": file(folder, "a.yml", "a: [1"),
        "a list": file(folder, "b.yml", "- a\n- b\n"),
        "no text": file(folder, "c.yml", b"\xff\xfe\x00"),
        "no time": file(folder, "d.yml", "freeze_windows: [{name: x, days: [monday], start: '25:00'}]"),
        "no metric": {"verification": {"metrics": ["latency"]}},
    }
    ledgers = {
        "garbage": f"sqlite:///{garbage}",
        "damaged": f"sqlite:///{damaged}",
        "no folder": "sqlite:////dev/null/ledger.db",
        "unknown database": "mysql://somebody:secret@server/ledger",
        "no address": "ledger.db",
    }
    right = {"ledger_url": loop.ledger_url, "as_of": loop.now}
    named = {"plan": loop.plan_id()}
    wanted: list[tuple[str, str, dict[str, t.Any]]] = [
        ("region", "ec2_rightsizing_info", {"region": "us-east-9"}),
        *(("region", module, {**right, **named, "region": "us-east-9"}) for module in RUNS),
        ("moment", "ec2_rightsizing_info", {"as_of": "yesterday"}),
        *(("moment", module, {**right, **named, "as_of": "yesterday"}) for module in (*RUNS, "optimization_approval")),
        *(("policy: " + kind, "ec2_rightsizing_info", {"policy": policy}) for kind, policy in policies.items()),
        *(
            ("ledger: " + kind, module, {**(named if module == "optimization_approval" else {}), "ledger_url": url})
            for kind, url in ledgers.items()
            for module in LEDGER_MODULES
        ),
    ]
    before = loop.dump()
    ran = tasks(loop, [(module, given) for _kind, module, given in wanted])
    failed = [result for result in ran.results if result.state == "fatal"]
    assert len(failed) == len(wanted), ran.output
    assert loop.dump() == before
    assert loop.changes() == []
    assert "secret@" not in ran.output
    found: dict[str, list[str]] = {}
    for (kind, _module, _given), result in zip(wanted, failed):
        found.setdefault(kind, []).append(str(result.data["msg"]).rpartition("Module failed: ")[2])
    return found


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("region", ("region 'us-east-9' is not an AWS region",)),
        ("moment", ("as_of is 'yesterday'", "2026-01-31T06:00:00Z")),
        ("policy: unknown key", ("maximum_risks is not a key", "did you mean maximum_risk?")),
        ("policy: no number", ("minimum_saving is 'a lot'; it must be a number",)),
        ("policy: unknown group", ("approval[0].group is 'owners'", "groups")),
        ("policy: no file", ("policy '/nowhere/policy.yml' cannot be read", "No such file")),
        ("policy: no YAML", ("policy", "line", "YAML")),
        ("policy: a list", ("it must be a mapping",)),
        ("policy: no text", ("it is not UTF-8 text",)),
        ("policy: no time", ("freeze_windows[0].start is '25:00'",)),
        ("policy: no metric", ("verification.metrics[0] is 'latency'", "cpu_percent")),
        ("ledger: garbage", ("garbage.db is not a SQLite database",)),
        ("ledger: damaged", ("damaged.db is damaged",)),
        ("ledger: no folder", ("/dev/null/ledger.db cannot be used", "a path that you may write")),
        ("ledger: unknown database", ("'mysql'", "sqlite:///path/to/ledger.db")),
        ("ledger: no address", ("ledger_url is not a database address",)),
    ],
)
def test_nonsense_is_answered_with_one_sentence(told: dict[str, list[str]], kind: str, words: tuple[str, ...]) -> None:
    for sentence in told[kind]:
        check_sentence(sentence, *words)


def test_a_playbook_ends_with_the_sentence(loop: Loop, tmp_path: Path) -> None:
    before = loop.dump()
    refused(loop, loop.stage("recommend", frugal_region="us-east-9"), "region 'us-east-9' is not an AWS region")
    refused(loop, loop.stage("recommend", frugal_policy=file(tmp_path, "policy.yml", "a: [1")), "policy", "line 1")
    assert loop.dump() == before
    garbage = file(tmp_path, "ledger.db", "this is not a database, whatever its name says\n" * 100)
    loop.environ["FRUGAL_LEDGER_URL"] = f"sqlite:///{garbage}"
    ran = loop.play("report")
    del loop.environ["FRUGAL_LEDGER_URL"]
    refused(loop, ran, "ledger.db is not a SQLite database")


def test_unreachable_endpoint(loop: Loop) -> None:
    loop.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    ran = loop.stage("recommend")
    del loop.environ["AWS_ENDPOINT_URL"]
    refused(loop, ran, "AWS cannot be reached", "http://127.0.0.1:9")


def test_unknown_stage(loop: Loop) -> None:
    ran = loop.stage("destroy")
    assert ran.code == 2
    assert "frugal_stage must be one of: recommend, apply, verify, rollback, got: destroy" in ran.output


# -- credentials and permissions --------------------------------------------------------------


def test_no_credentials(loop: Loop) -> None:
    loop.environ.update({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
    ran = loop.stage("recommend")
    del loop.environ["AWS_ACCESS_KEY_ID"], loop.environ["AWS_SECRET_ACCESS_KEY"]
    refused(loop, ran, "No AWS credentials were found", "profile")


def test_credentials_of_nobody(loop: Loop) -> None:
    loop.environ["AWS_ACCESS_KEY_ID"] = "AKIANOBODY"
    ran = loop.stage("recommend")
    del loop.environ["AWS_ACCESS_KEY_ID"]
    refused(loop, ran, "AWS did not accept the credentials", "InvalidClientTokenId")


@pytest.mark.parametrize(
    ("operation", "needed"),
    [
        ("ec2:DescribeInstances", True),
        ("ec2:DescribeInstanceTypes", True),
        ("cloudwatch:GetMetricData", True),
        ("pricing:GetProducts", True),
        ("ec2:DescribeAddresses", False),
        ("ce:*", False),
        ("ecs:*", False),
    ],
)
def test_a_read_that_is_denied(loop: Loop, operation: str, needed: bool) -> None:
    """It is an error where nothing can be said without it, else a warning; with empty caches."""
    before = loop.dump()
    loop.simulator.faults(deny=[operation])
    ran = task(loop, "ec2_rightsizing_info", {"as_of": loop.now})
    loop.simulator.faults(deny=[])
    if needed:
        refused(loop, ran, f"AWS denied {operation}", "grant that permission")
    else:
        assert ran.code == 0, ran.output
        assert f"AWS denied {operation.rstrip('*')}" in ran.output
    assert loop.dump() == before


def test_a_type_without_a_price_is_no_error(make_loop: MakeLoop) -> None:
    """It is said of that machine that nothing can be said; the others are planned."""
    loop = make_loop(estate([machines("web", 2), machines("odd", type="u-6tb1.56xlarge")]))
    ran = loop.recommend()
    found = ran.of("Find EC2 instances")
    odd = loop.instances()["odd"]["InstanceId"]
    told = {item["resource_id"]: item for item in found["not_recommended"]}
    assert told[odd]["outcome"] == "unknown"
    assert "u-6tb1.56xlarge" in told[odd]["reasons"][0]
    assert set(loop.statuses()) == {"web-000", "web-001"}


# -- plans and approvals -----------------------------------------------------------------------


def test_approval_of_a_plan_that_has_changed(make_loop: MakeLoop) -> None:
    """The plan that was looked at has become another one: its digest and its id approve nothing."""
    loop = make_loop(estate([machines("web", 2)]))
    loop.recommend()
    old = loop.rows("SELECT id, digest FROM frugal_plans")[0]
    loop.recommend(frugal_policy={"minimum_saving": 2})
    before = loop.dump()
    given = {"ledger_url": loop.ledger_url, "as_of": loop.now}
    ran = task(loop, "optimization_approval", {**given, "digest": old["digest"][:12]})
    refused(loop, ran, "no open plan has the digest", "the plan has changed since")
    ran = task(loop, "optimization_approval", {**given, "plan": loop.plan_id(), "digest": old["digest"][:12]})
    refused(loop, ran, "is not the plan that was looked at")
    ran = task(loop, "optimization_approval", {**given, "plan": old["id"]})
    refused(loop, ran, f"plan {old['id']} was superseded by {loop.plan_id()}")
    assert loop.dump() == before
    # Nothing is approved, so nothing is applied.
    assert (loop.stage("apply").changed, loop.changes()) == (0, [])


def test_an_approval_that_has_expired(make_loop: MakeLoop) -> None:
    loop = make_loop(estate([machines("web", 2)]))
    loop.recommend()
    loop.approve()
    loop.advance(8 * 24)
    ran = loop.stage("apply")
    assert ran.code == 0, ran.output
    assert ran.output.count("m5.2xlarge -> m6a.large: its approval has ended; approve it again") == 2
    assert set(loop.statuses().values()) == {"expired"}
    assert loop.changes() == []
    again = loop.stage("apply")
    assert (again.code, again.changed) == (0, 0), again.output
    loop.approve()
    assert loop.stage("apply").code == 0
    assert set(loop.statuses().values()) == {"applied"}


def task(loop: Loop, module: str, arguments: dict[str, t.Any]) -> Ran:
    """One task of a playbook of the operator's own, which may not fail."""
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [{"name": "The operator : task", f"frugal.cloud.{module}": arguments}],
    }
    path = loop.folder / "operator.yml"
    path.write_text(json.dumps([play]))
    return loop.play(str(path))


# -- in the middle of it -----------------------------------------------------------------------


@pytest.fixture(name="fresh")
def approved_and_fresh(make_loop: MakeLoop) -> Loop:
    loop = make_loop(estate([machines("web", 3)]))
    loop.recommend()
    loop.approve()
    loop.simulator.stats(reset=True)
    return loop


@pytest.mark.parametrize("operation", ["ec2:StopInstances", "ec2:ModifyInstanceAttribute"])
def test_a_write_that_is_denied_goes_back(fresh: Loop, operation: str) -> None:
    fresh.simulator.faults(deny=[operation])
    ran = fresh.stage("apply")
    fresh.simulator.faults(deny=[])
    assert ran.code == 2
    assert f"AWS denied {operation}" in ran.failure
    assert "grant that permission" in ran.failure
    assert set(fresh.statuses().values()) == {"failed"}
    assert {row["reason"] for row in fresh.actions().values()} == {"restored"}
    assert set(fresh.types().values()) == {"m5.2xlarge running"}


def test_a_start_that_is_denied_is_made_good_later(fresh: Loop) -> None:
    fresh.simulator.faults(deny=["ec2:StartInstances"])
    ran = fresh.stage("apply")
    assert ran.code == 2
    assert "AWS denied ec2:StartInstances" in ran.failure
    assert "could not be put back" in ran.failure
    assert {row["reason"] for row in fresh.actions().values()} == {"stranded"}
    fresh.simulator.faults(deny=[])
    assert fresh.stage("rollback", rightsizing_plan_id=fresh.plan_id()).code == 0
    assert set(fresh.types().values()) == {"m5.2xlarge running"}
    assert set(fresh.statuses().values()) == {"rolled_back"}


def test_reads_that_fail_in_the_middle_are_finished_by_the_next_run(make_loop: MakeLoop) -> None:
    loop = make_loop(estate([machines("web", 30)]))
    loop.recommend()
    loop.approve()
    loop.simulator.stats(reset=True)
    process = loop.start("rightsizing", frugal_stage="apply", rightsizing_max_in_flight=4)
    assert wait_for(lambda: len(loop.changes()) >= 3, process)
    loop.simulator.faults(deny=["ec2:DescribeInstances"])
    output, _nothing = process.communicate(timeout=300)
    ran = Ran(process.returncode, output)
    assert ran.code == 2
    assert "the resources cannot be read" in ran.failure
    assert "AWS denied ec2:DescribeInstances" in ran.failure
    assert "what was begun is finished by the next run" in ran.failure
    loop.simulator.faults(deny=[])
    statuses = collections.Counter(loop.statuses().values())
    assert statuses["applying"] > 0
    assert statuses["approved"] > 0
    assert statuses["failed"] == 0
    assert loop.stage("apply").code == 0
    assert set(loop.statuses().values()) == {"applied"}
    assert {tuple(steps) for steps in loop.taken_effect().values()} == {tuple(STEPS)}
