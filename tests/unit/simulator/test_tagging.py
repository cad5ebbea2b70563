# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""aws_cost_tags on the simulated cloud: what it reads, how few requests it writes, undoing, resuming, and the bill."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t
from collections.abc import Callable

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_cost_allocation import OPTIONS as COST_OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_cost_allocation import CostAllocationError
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_tags import TagError, region_of
from ansible_collections.frugal.cloud.plugins.module_utils.act.tag_journal import JournalError, Journals
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import TagPolicyError
from ansible_collections.frugal.cloud.plugins.module_utils.aws import ApiCost, ApiCostExceeded, Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.aws_tag_run import OPTIONS, run
from ansible_collections.frugal.cloud.plugins.module_utils.tag_runs import TagRunError, masking
from simulator import cost_categories, tagging
from simulator.testing import ACCOUNT, OTHER, one_account, plain

POLICY: dict[str, t.Any] = {
    "keys": [
        {
            "key": "env",
            "variants": ["environment"],
            "values": ["production", "staging"],
            "value_variants": {"production": ["prod"]},
            "inherit": ["instance", "asg", "stack", "vpc", "account"],
        },
    ],
    "accounts": {ACCOUNT: {"env": "staging"}},
}
TEAM: dict[str, t.Any] = {"keys": [{"key": "team", "values": ["shop"], "default": "shop"}]}
NOW = datetime.datetime(2026, 6, 15, 12, tzinfo=datetime.timezone.utc)
TAG, UNTAG = "resourcegroupstaggingapi:TagResources", "resourcegroupstaggingapi:UntagResources"


class World:
    """An account, and the module's options filled in."""

    def __init__(self, simulator: t.Any, folder: pathlib.Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self.aws = Aws("us-east-1", simulator.url, _keys())
        self.account = simulator.cloud.accounts[ACCOUNT]
        self.warnings: list[str] = []
        self.failure = ""
        self._second = 0

    def options(self, **wanted: t.Any) -> dict[str, t.Any]:
        given = {
            "policy": POLICY,
            "journal_directory": str(self.folder / "journal"),
            "show_identities": True,
            **wanted,
        }
        checked = ArgumentSpecValidator({**OPTIONS, **COST_OPTIONS}).validate(given)
        assert checked.error_messages == []
        return t.cast("dict[str, t.Any]", checked.validated_parameters)

    def run(self, check: bool = False, limit_cost: float = 5.0, **wanted: t.Any) -> dict[str, t.Any]:
        self._second += 1
        # One session for all: opening it takes longer than what is tested.
        self.aws.calls.clear()
        self.aws.cost = ApiCost(limit_cost)
        now = NOW + datetime.timedelta(seconds=self._second)
        result, self.failure, self.warnings = run(self.aws, self.options(**wanted), check, now)
        return result

    def count(self, operation: str) -> int:
        counts = self.simulator.gateway.statistics.counts
        return sum(one[operation] for one in counts.values())

    @property
    def tags(self) -> dict[str, dict[str, str]]:
        """Of all resources, by the last part of their ARN."""
        found = {arn.rpartition("/")[2].rpartition(":")[2]: tags for arn, tags in self.tagging.resources.items()}
        for region in self.account.regions.values():
            found.update({name: one.tags for name, one in {**region.instances, **region.volumes}.items()})
        return {name: dict(tags) for name, tags in found.items()}

    @property
    def tagging(self) -> tagging.State:
        return tagging.state(self.account)


def _keys() -> dict[str, str]:
    return {"aws_access_key_id": f"AKIA{ACCOUNT}", "aws_secret_access_key": "x"}


def buckets(count: int, name: str = "b", **tags: str) -> dict[str, t.Any]:
    return {"arn": f"arn:aws:s3:::{name}-{{n}}", "count": count, "tags": tags}


@pytest.fixture
def world(start: Callable[..., t.Any], tmp_path: pathlib.Path) -> Callable[..., World]:
    def begin(*tagged: dict[str, t.Any], instances: t.Any = (), **account: t.Any) -> World:
        estate = one_account(list(instances), {"tagged": list(tagged), **account} if not instances else None)
        if instances:
            estate["accounts"][0].update({"tagged": list(tagged), **account})
        return World(start(estate), tmp_path)

    return begin


def test_as_few_requests_as_possible(world: Callable[..., World]) -> None:
    one = world(buckets(999, note="x"))
    predicted = one.run(check=True, policy=TEAM, limit=2)
    assert one.count(TAG) == 0
    assert not (one.folder / "journal").exists(), "check mode writes nothing down"
    done = one.run(policy=TEAM, limit=2)
    for name in ("changed", "writes", "changes", "diff", "summary"):
        assert predicted[name] == done[name]
    assert (done["writes"], one.count(TAG), one.count(UNTAG)) == (50, 50, 0), "999 resources, 20 a request"
    assert done["api"]["calls"]["resourcegroupstaggingapi:GetResources"] == 10
    assert len(done["changes"]) == 2
    assert all(tags == {"note": "x", "team": "shop"} for tags in one.tags.values())
    again = one.run(policy=TEAM)
    assert (again["changed"], again["writes"], one.count(TAG)) == (False, 0, 50)


def test_spellings_are_merged_and_what_is_missing_is_inherited(world: Callable[..., World]) -> None:
    stack = f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/shop/1"
    one = world(
        buckets(3, "a", Env="PROD"),
        buckets(2, "c", environment="staging", Env="prod"),
        {"arn": stack, "tags": {"Env": "prod"}},
        {"arn": f"arn:aws:rds:us-east-1:{ACCOUNT}:db:shop", "tags": {"aws:cloudformation:stack-id": stack}},
        {"arn": f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/vpc-{ACCOUNT}", "tags": {"env": "production"}},
        instances=[plain(3)],
    )
    region = one.account.regions["us-east-1"]
    *alive, gone = region.instances.values()
    for machine in alive:
        machine.tags.clear()
    gone.state = "terminated"
    gone.tags["Env"] = "prod"
    gone.volume_ids.clear()
    region.volumes = {name: volume for name, volume in region.volumes.items() if volume.instance_id != gone.instance_id}
    result = one.run()
    tags = one.tags
    assert tags["a-0"] == {"env": "production"}
    assert tags["c-0"] == {"environment": "staging", "Env": "prod"}, "who is right, a person decides"
    assert tags["shop"]["env"] == "production"
    assert {finding["kind"] for finding in result["findings"]} == {"conflict"}
    for machine in alive:
        assert machine.tags == {"env": "production"}, "found though it never had a tag; inherited from its VPC"
        for volume in machine.volume_ids:
            assert region.volumes[volume].tags == {"env": "production"}
    assert gone.tags["Env"] == "prod", "the tagging API lists it still"
    origins = {change["from"].get("env", "").split()[0] for change in result["changes"]}
    assert origins == {"tag", "stack", "vpc"}, "a volume's instance had nothing itself, its VPC had"
    assert one.run()["writes"] == 0


def test_groups_and_accounts(world: Callable[..., World]) -> None:
    one = world(buckets(1, note="x"), instances=[plain(1)])
    region = one.account.regions["us-east-1"]
    (machine,) = region.instances.values()
    machine.tags.clear()
    machine.tags["aws:autoscaling:groupName"] = "web"
    from simulator.state import Group

    region.groups["web"] = Group("web", 0.0, {}, 1, 1, 1, ["us-east-1a"], tags={"env": "prod"})
    one.run()
    assert machine.tags["env"] == "production"
    assert region.volumes[machine.volume_ids[0]].tags == {"env": "production"}
    assert one.tags["b-0"]["env"] == "staging", "from the account, as the policy writes it"


def test_many_different_values_need_few_requests_as_well(world: Callable[..., World]) -> None:
    # Each pair of values is on one bucket: together they would be 40 requests, one by one they are 4 and 10.
    one = world(*[buckets(1, f"b{n}", Owner=f"o{n % 10}", Env=("prod", "staging", "a", "b")[n % 4]) for n in range(40)])
    policy = {"keys": [{"key": "env"}, {"key": "owner"}], "keep_variants": True}
    assert one.run(policy=policy)["writes"] == 14
    assert one.count(TAG) == 14
    assert one.tags["b7-0"] == {"Owner": "o7", "Env": "b", "env": "b", "owner": "o7"}


def test_single_resources_are_refused_and_the_others_are_done(world: Callable[..., World]) -> None:
    one = world(buckets(30, "a", Env="prod"), {**buckets(1, "locked", Env="prod"), "failing": "Access denied by S3."})
    result = one.run()
    assert one.failure == (
        "1 resources were refused; the first is arn:aws:s3:::locked-0: InvalidParameterException: Access denied by S3."
    )
    assert result["failed"] == [
        {"resource": "arn:aws:s3:::locked-0", "why": "InvalidParameterException: Access denied by S3."}
    ]
    assert one.tags["locked-0"] == {"Env": "prod"}, "without its new tag it keeps the old one"
    assert one.tags["a-29"] == {"env": "production"}
    assert one.run()["writes"] == 1, "only what is left is tried again, and nothing removed without its new tag"
    one.tagging.failing.clear()
    assert one.run()["changed"]
    assert one.tags["locked-0"] == {"env": "production"}


def test_a_run_with_too_many_refusals_ends(world: Callable[..., World]) -> None:
    one = world({**buckets(100, "locked", Env="prod"), "failing": "No."})
    result = one.run(maximum_failures=25)
    assert (result["writes"], result["changed"]) == (2, False)
    assert "40 resources were refused, and the run ended there (maximum_failures)" in one.failure


def test_undone_as_it_was(world: Callable[..., World]) -> None:
    one = world(buckets(45, "a", Env="prod", note="n"), buckets(2, "b", env="prod"))
    before = one.tags
    first = one.run()
    assert one.tags != before
    one.tagging.resources["arn:aws:s3:::a-7"]["env"] = "staging"
    predicted = one.run(check=True, state="undone")
    undone = one.run(state="undone")
    assert predicted["changes"] == undone["changes"]
    assert undone["undone"] == first["run"]
    assert undone["kept"] == [{"resource": "arn:aws:s3:::a-7", "keys": ["env"]}]
    assert one.tags == {**before, "a-7": {"Env": "prod", "note": "n", "env": "staging"}}
    assert one.run(state="undone", run=first["run"])["changed"] is False, "twice is once"
    with pytest.raises(JournalError, match="has no run of this account to undo"):
        one.run(state="undone")
    with pytest.raises(JournalError, match=r"run is 'nonsense', which journal_directory .* does not have"):
        one.run(state="undone", run="nonsense")


def test_journals_hold_what_is_needed_and_only_their_owner_reads_them(world: Callable[..., World]) -> None:
    one = world(buckets(1, Env="prod"))
    result = one.run()
    path = one.folder / "journal" / f"{result['run']}.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[1]["before"] == {"arn:aws:s3:::b-0": {"env": None}}
    assert lines[2]["before"] == {"arn:aws:s3:::b-0": {"Env": "prod"}}
    assert lines[-1] == {"finished": True}
    path.write_text(path.read_text(encoding="utf-8").replace('"answered": 0', '"answered: 0'), encoding="utf-8")
    with pytest.raises(JournalError, match=r"line 4: it is damaged, so the run cannot be undone"):
        one.run(state="undone")


SCRIPT = """
import datetime, json, sys
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.aws_tag_run import run
url, keys, options = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
run(Aws("us-east-1", url, keys), options, False, datetime.datetime(2026, 6, 15, 11, tzinfo=datetime.timezone.utc))
"""


def test_killed_continued_without_repeating_and_undone(world: Callable[..., World]) -> None:
    one = world(buckets(400, note="x"))
    before = one.tags
    options = one.options(policy=TEAM)
    one.simulator.cloud.faults.configure({"latency_ms": 20})
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, one.simulator.url, json.dumps(_keys()), json.dumps(options)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    until = time.monotonic() + 60
    while one.count(TAG) < 5 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    one.simulator.cloud.faults.configure({"latency_ms": 0})
    tagged = sum("team" in tags for tags in one.tags.values())
    assert 0 < tagged < 400
    second = one.run(policy=TEAM)
    assert all(tags["team"] == "shop" for tags in one.tags.values())
    assert one.count(TAG) == 20, "killed and continued: 400 resources, 20 a request, none twice"
    changes = one.simulator.gateway.statistics.describe()["changes"]
    assert len({arn for change in changes for arn in change["resources"]}) == 400
    assert all(change["effect"] for change in changes)
    undone = one.run(state="undone")
    assert undone["undone"] == second["run"]
    assert one.tags == before, "what the killed run had done as well"


def test_one_run_at_a_time_for_each_account(world: Callable[..., World]) -> None:
    one = world(buckets(1, Env="prod"))
    journals = Journals(one.folder / "journal")
    with journals.locked(f"aws/{OTHER}"):
        assert one.run()["changed"], "another account's run does not matter"
    with journals.locked(f"aws/{ACCOUNT}"):
        with pytest.raises(JournalError, match="another run changes tags of the same account"):
            one.run()
        assert not one.run(check=True)["changed"]
    with pytest.raises(TagPolicyError, match="team_key is 'team': the policy's keys are env"):
        one.run(team_key="team")


def test_a_missing_permission_is_named(world: Callable[..., World]) -> None:
    one = world(buckets(50, Env="prod"), deny=["resourcegroupstaggingapi:UntagResources"])
    with pytest.raises(
        AwsError, match=r"AWS denied tag:UntagResources in account 111111111111 .*: grant that"
    ) as error:
        one.run()
    assert "; 3 of 6 requests were made (run 2026" in str(error.value)
    assert one.tags["b-0"] == {"Env": "prod", "env": "production"}, "nothing is lost"
    with pytest.raises(AwsError, match=r"in account \*{8}1111 "), masking({"show_identities": False}):
        one.run()
    one.account.deny.clear()
    assert one.run()["writes"] == 3
    assert one.tags["b-0"] == {"env": "production"}


def test_the_accounts_tags_cannot_be_read(world: Callable[..., World]) -> None:
    one = world(buckets(1), deny=["organizations:ListTagsForResource"])
    policy = {key: value for key, value in POLICY.items() if key != "accounts"}
    with pytest.raises(AwsError, match=r"AWS denied organizations:ListTagsForResource.*; write them under accounts"):
        one.run(policy=policy)


def test_a_broken_connection_is_no_harm(world: Callable[..., World]) -> None:
    one = world(buckets(60, Env="prod"))
    one.simulator.cloud.faults.configure({"cut_rate": 0.3})
    one.run()
    assert set(map(str, one.tags.values())) == {"{'env': 'production'}"}


def test_resources_that_never_had_a_tag(world: Callable[..., World]) -> None:
    one = world(buckets(2))
    assert one.run(policy=TEAM)["summary"]["resources"] == 0
    assert one.run(policy=TEAM, resources=["arn:aws:s3:::b-0", "arn:aws:s3:::b-1"])["writes"] == 1
    assert one.tags["b-1"] == {"team": "shop"}
    with pytest.raises(TagError, match="resources has 'b-1': give ARNs"):
        one.run(policy=TEAM, resources=["b-1"])


def test_regions_of_arns() -> None:
    assert region_of("arn:aws:s3:::logs", "eu-west-1") == "eu-west-1"
    assert region_of("arn:aws:iam::111111111111:user/a", "eu-west-1") == "us-east-1"
    assert region_of(f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs", "us-east-1") == "eu-west-1"


def test_types_and_regions(world: Callable[..., World]) -> None:
    queue = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs"
    one = world(buckets(1, Env="prod"), {"arn": queue, "tags": {"Env": "prod"}}, instances=[plain(1)])
    only = one.run(regions=["eu-west-1", "us-east-1"], resource_types=["s3", "sqs"])
    assert (only["summary"]["resources"], only["writes"]) == (2, 4), "one for each region, set and removed"
    assert one.tags["jobs"] == {"env": "production"}
    assert "ec2:DescribeInstances" not in only["api"]["calls"]


def test_reports(world: Callable[..., World]) -> None:
    one = world(
        buckets(3, Env="prod", team="=shop"),
        buckets(1, "c", env="staging", team="ops@example.com"),
        instances=[plain(1)],
    )
    keys = [*POLICY["keys"], {"key": "team", "required": False}]
    wanted = {"policy": {**POLICY, "keys": keys}, "state": "reported"}
    for name in ("tags.csv", "tags.json"):
        path = one.folder / name
        assert one.run(check=True, report_path=str(path), **wanted)["changed"]
        assert not path.exists()
        assert one.run(report_path=str(path), **wanted)["changed"]
        assert not one.run(report_path=str(path), **wanted)["changed"]
    assert one.count(TAG) == 0
    text = (one.folder / "tags.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0].startswith("team,resources,compliant,share")
    assert "'=shop,3,0,0.0,3,0,0," in text, "no formula for spreadsheets"
    assert "ops@example.com,1,1,1.0" in text
    one.run(report_path=str(one.folder / "masked.csv"), show_identities=False, **wanted)
    masked = (one.folder / "masked.csv").read_text(encoding="utf-8")
    assert "o***@example.com" in masked
    assert "ops@" not in masked
    with pytest.raises(TagRunError, match=r"report_path is '/x.pdf': let it end in .csv or .json"):
        one.run(report_path="/x.pdf", **wanted)


def test_the_report_after_a_run_is_what_the_next_one_finds(world: Callable[..., World]) -> None:
    one = world(buckets(3, Env="prod"), {**buckets(1, "locked", Env="prod"), "failing": "No."})
    path = one.folder / "tags.json"
    assert one.run(report_path=str(path))["summary"]["compliant"] == 0
    assert json.loads(path.read_text(encoding="utf-8"))["summary"] == {
        "resources": 4,
        "compliant": 3,
        "to_change": 1,
        "to_decide": 0,
        "protected": 0,
    }
    assert not one.run(report_path=str(path))["changed"]


def test_account_ids_are_not_shown(world: Callable[..., World]) -> None:
    one = world({"arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:jobs", "tags": {"Env": "prod"}})
    shown = str(one.run(show_identities=False))
    assert ACCOUNT not in shown
    assert "arn:aws:sqs:us-east-1:********1111:jobs" in shown
    assert ACCOUNT not in str(one.run(state="undone", show_identities=False))


def test_the_bill_carries_tags(world: Callable[..., World]) -> None:
    one = world(buckets(1, **{f"k{number:02}": "v" for number in range(45)}))
    keys = [f"k{number:02}" for number in range(45)]
    wanted = {"state": "enforced", "active_tags": [*keys, "new"], "limit": 1}
    predicted = one.run(check=True, **wanted)
    assert one.count("ce:UpdateCostAllocationTagsStatus") == 0
    result = one.run(**wanted)
    assert predicted["cost_changes"] == result["cost_changes"]
    assert one.warnings == [
        "the bill does not know the tag 'new' yet: it can be activated about a day after a resource first has it"
    ]
    assert one.count("ce:UpdateCostAllocationTagsStatus") == 3, "45 tags, 20 a request"
    assert len(result["cost_changes"]) == 45
    again = one.run(active_tags=keys[1:], inactive_tags=["k00"])
    assert [change["name"] for change in again["cost_changes"]] == ["k00"]
    assert one.run(active_tags=keys[1:], inactive_tags=["k00"])["cost_changes"] == []
    with pytest.raises(CostAllocationError, match="active_tags and inactive_tags both have 'k00'"):
        one.run(active_tags=keys, inactive_tags=["k00"])
    with pytest.raises(ApiCostExceeded, match="raise max_api_cost"):
        one.run(active_tags=keys, limit_cost=0.001)


CATEGORY: dict[str, t.Any] = {
    "name": "Product",
    "default_value": "shared",
    "rules": [
        {"value": "shop", "tags": {"team": ["shop", "web"]}},
        {"value": "search", "accounts": [OTHER], "services": ["AmazonEC2"]},
    ],
    "split_charges": [{"source": "shared", "targets": ["shop", "search"], "method": "fixed", "percentages": [70, 30]}],
}


def test_cost_categories(world: Callable[..., World]) -> None:
    one = world()
    predicted = one.run(check=True, cost_categories=[CATEGORY])
    result = one.run(cost_categories=[CATEGORY])
    assert predicted["cost_changes"] == result["cost_changes"]
    assert result["changed"]
    state = cost_categories.state(one.account)
    (stored,) = state.categories.values()
    assert stored["Rules"][1]["Rule"]["And"][0]["Dimensions"] == {
        "Key": "LINKED_ACCOUNT",
        "Values": [OTHER],
        "MatchOptions": ["EQUALS"],
    }
    assert stored["SplitChargeRules"][0]["Parameters"] == [{"Type": "ALLOCATION_PERCENTAGES", "Values": ["70", "30"]}]
    assert not one.run(cost_categories=[CATEGORY])["changed"]
    even = {**CATEGORY, "split_charges": [{"source": "shared", "targets": ["shop"], "method": "even"}]}
    change = one.run(cost_categories=[even])
    assert change["cost_changes"] == [{"kind": "cost category", "action": "update", "name": "Product"}]
    # What is not written stays; an empty list takes it away.
    assert not one.run(cost_categories=[{"name": "Product", "rules": CATEGORY["rules"]}])["changed"]
    assert one.run(cost_categories=[{**CATEGORY, "split_charges": []}])["changed"]
    (stored,) = state.categories.values()
    assert "SplitChargeRules" not in stored
    assert not one.run(cost_categories=[{**CATEGORY, "split_charges": []}])["changed"]
    assert one.run(cost_categories=[{"name": "Product", "state": "absent"}])["changed"]
    assert not one.run(cost_categories=[{"name": "Product", "state": "absent"}])["changed"]
    assert state.categories == {}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"rules": []}, r"cost_categories\[Product\] has no rules"),
        ({"rules": [{"value": "shop"}]}, r"rules\[0\] matches nothing: give tags, accounts, services or expression"),
        ({"rules": [{"tags": {"team": "a"}}]}, r"rules\[0\] has no value"),
        ({"rules": [{"value": "x", "inherit_tag": "team"}]}, r"inherits its value: give one of value, inherit_tag"),
        (
            {"split_charges": [{"source": "shared", "targets": ["shop", "x"]}]},
            r"split_charges\[0\] has 'x': no rule gives it",
        ),
        (
            {"split_charges": [{"source": "shared", "targets": ["shop"], "method": "fixed", "percentages": [70]}]},
            r"percentages is \[70.0\]: give one for each of the 1 targets, 100 together",
        ),
        ({"split_charges": [{"source": "shop", "targets": ["shop"]}]}, "name other values than the source 'shop'"),
        (
            {"split_charges": [{"source": "shop", "targets": ["search"]}, {"source": "shared", "targets": ["shop"]}]},
            "has the source 'shop' twice or as a target as well",
        ),
        ({"effective_start": "2026-01-15"}, "effective_start is '2026-01-15': give the first day of a month"),
    ],
)
def test_wrong_cost_categories(world: Callable[..., World], changed: dict[str, t.Any], sentence: str) -> None:
    one = world(buckets(1, Env="prod"))
    with pytest.raises(CostAllocationError, match=sentence):
        one.run(cost_categories=[{**CATEGORY, **changed}])
    assert one.count(TAG) == 0, "nothing is half done"


def test_only_the_payer_has_cost_categories(start: Callable[..., t.Any], tmp_path: pathlib.Path) -> None:
    estate = one_account()
    estate["accounts"].insert(0, {"id": OTHER, "regions": {}})
    one = World(start(estate), tmp_path)
    with pytest.raises(AwsError, match="AWS denied ce:ListCostCategoryDefinitions"):
        one.run(cost_categories=[CATEGORY])


def test_coverage_by_cost_from_cost_explorer(world: Callable[..., World]) -> None:
    one = world(instances=[plain(1, tags={"env": "production"}), plain(3, name="x-{n}", tags={"env": "prod"})])
    result = one.run(check=True, cost_source="cost_explorer", cost_since="2026-06-01", cost_until="2026-06-15")
    (covered,) = result["coverage"]
    (env,) = covered["keys"]
    assert covered["currency"] == "USD"
    assert env["cost"] > 0
    machines = env["tagged"]
    assert env["compliant"] == pytest.approx(machines / 4, rel=0.01), "prod is a spelling, not the value"
    assert env["tagged_share"] < 1, "volumes have no tag"
    assert result["api"]["cost"] == 0.01
    with pytest.raises(ValueError, match="cost_since is 2026-06-15 and cost_until 2026-06-01"):
        one.run(cost_source="cost_explorer", cost_since="2026-06-15", cost_until="2026-06-01")
