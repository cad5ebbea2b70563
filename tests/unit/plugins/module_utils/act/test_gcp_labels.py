# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gcp_cost_labels on a stand-in that checks every request with Google's discovery documents."""

from __future__ import annotations

import datetime
import pathlib
import typing as t
from collections.abc import Iterator

import pytest

pytest.importorskip("google.auth")
pytest.importorskip("googleapiclient")
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import TagPolicyError
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp, GcpError, session_from
from ansible_collections.frugal.cloud.plugins.module_utils.gcp_tag_run import OPTIONS, run
from ansible_collections.frugal.cloud.tests.standins import gcp_labels, google_api

ZONE = "/compute/v1/projects/shop/zones/us-central1-a"
POLICY: dict[str, t.Any] = {
    "keys": [
        {
            "key": "env",
            "variants": ["environment"],
            "values": ["production", "staging"],
            "value_variants": {"production": ["prod"]},
            "inherit": ["instance", "asg", "account"],
        }
    ]
}
NOW = datetime.datetime(2026, 6, 15, 12, tzinfo=datetime.timezone.utc)


class Client:
    """A project with machines, disks and a snapshot."""

    def __init__(self, google: google_api.Google, url: str, folder: pathlib.Path) -> None:
        self.google = google
        self.labels = gcp_labels.install(google)
        self.url = url
        self.folder = folder
        self.failure = ""
        self._second = 0
        link = "https://www.googleapis.com"
        google.resources.update(
            {
                "/v3/projects/shop": {"name": "projects/1", "projectId": "shop", "labels": {"env": "staging"}},
                f"{ZONE}/instances/web": {"labels": {"environment": "prod", "role": "web"}},
                f"{ZONE}/instances/new": {},
                f"{ZONE}/disks/web": {"users": [f"{link}{ZONE}/instances/web"]},
                "/compute/v1/projects/shop/regions/us-central1/disks/both": {"labels": {"env": "production"}},
                "/compute/v1/projects/shop/global/snapshots/old": {"labels": {"env": "prod"}},
            }
        )

    def run(self, check: bool = False, **wanted: t.Any) -> dict[str, t.Any]:
        self._second += 1
        given = {
            "project": "shop",
            "auth_kind": "accesstoken",
            "access_token": google_api.TOKEN,
            "base_url": self.url,
            "policy": POLICY,
            "journal_directory": str(self.folder / "journal"),
            **wanted,
        }
        checked = ArgumentSpecValidator({**ARGUMENTS, **OPTIONS}).validate(given)
        assert checked.error_messages == []
        options = checked.validated_parameters
        gcp = Gcp(session_from(options), "shop", self.url, retries=2, sleep=lambda _seconds: None)
        result, self.failure = run(gcp, options, check, NOW + datetime.timedelta(seconds=self._second))
        return result

    def of(self, path: str) -> dict[str, str]:
        """The labels of a resource."""
        return dict(self.google.resources[path].get("labels", {}))

    @property
    def changed(self) -> int:
        """Requests that changed something."""
        return sum(name.endswith(("setLabels", ".patch")) for name, _path in self.google.requests)


@pytest.fixture
def client(tmp_path: pathlib.Path) -> Iterator[Client]:
    google = google_api.Google()
    with google_api.serving(google) as url:
        yield Client(google, url, tmp_path)


def test_spellings_inheritance_and_then_nothing(client: Client) -> None:
    predicted = client.run(check=True)
    assert client.changed == 0
    result = client.run()
    assert client.failure == ""
    for name in ("changed", "writes", "changes", "diff", "summary"):
        assert result[name] == predicted[name]
    assert client.of(f"{ZONE}/instances/web") == {"role": "web", "env": "production"}
    assert client.of(f"{ZONE}/instances/new") == {"env": "staging"}, "from the project"
    assert client.of(f"{ZONE}/disks/web") == {"env": "production"}, "from its instance, which had another spelling"
    assert client.of("/compute/v1/projects/shop/global/snapshots/old") == {"env": "production"}
    assert client.changed == 4, "one for each resource that was not right"
    assert result["summary"]["resources"] == 6
    again = client.run()
    assert (again["changed"], again["writes"], client.changed) == (False, 0, 4)


def test_pages_and_types(client: Client) -> None:
    for number in range(30):
        client.google.resources[f"{ZONE}/disks/d{number}"] = {}
    client.labels.page = 7
    result = client.run(resource_types=["compute:disk"])
    assert result["summary"]["resources"] == 32
    assert client.of(f"{ZONE}/disks/d29") == {"env": "staging"}
    assert client.of(f"{ZONE}/disks/web") == {"env": "production"}, "instances are read for what disks inherit"
    assert client.of(f"{ZONE}/instances/new") == {}


def test_somebody_else_was_faster(client: Client) -> None:
    client.labels.meanwhile = 3
    client.run(resource_types=["compute:instance"])
    assert client.failure == ""
    found = {**client.of(f"{ZONE}/instances/web"), **client.of(f"{ZONE}/instances/new")}
    assert {"other-0", "other-1", "other-2", "env", "role"} == set(found), "nobody's label is lost"
    client.labels.meanwhile = 99
    del client.google.resources[f"{ZONE}/instances/new"]["labels"]
    client.run(resource_types=["compute:instance"])
    assert "Labels fingerprint either invalid" in client.failure
    assert "1 resources were refused; the first is projects/shop/zones/us-central1-a/instances/new" in client.failure


def test_the_same_label_changed_meanwhile_is_left_alone(client: Client) -> None:
    seen = client.labels.aggregated

    def listed(path: str, given: dict[str, t.Any], body: t.Any) -> dict[str, t.Any]:
        answer = seen(path, given, body)
        if path.endswith("instances"):
            client.google.resources[f"{ZONE}/instances/new"]["labels"] = {"env": "production"}
        return answer

    client.google.handlers["compute.instances.aggregatedList"] = listed
    client.run(resource_types=["compute:instance"])
    assert "somebody changed env meanwhile, so it is left alone" in client.failure
    assert client.of(f"{ZONE}/instances/new") == {"env": "production"}
    assert client.of(f"{ZONE}/instances/web")["env"] == "production", "the others are done"


def test_the_project_itself(client: Client) -> None:
    client.google.resources["/v3/projects/shop"]["labels"] = {"environment": "prod"}
    client.labels.meanwhile = 1
    assert client.run(resource_types=["project"])["changed"]
    assert client.of("/v3/projects/shop") == {"env": "production", "other-0": "x"}
    undone = client.run(state="undone")
    assert client.of("/v3/projects/shop") == {"environment": "prod", "other-0": "x"}
    assert undone["kept"] == []


def test_undone_as_it_was(client: Client) -> None:
    paths = [path for path in client.google.resources if "compute" in path]
    before = {path: client.of(path) for path in paths}
    client.run()
    client.google.resources[f"{ZONE}/disks/web"]["labels"]["env"] = "staging"
    undone = client.run(state="undone")
    assert undone["kept"] == [{"resource": "projects/shop/zones/us-central1-a/disks/web", "keys": ["env"]}]
    assert {path: client.of(path) for path in paths} == {**before, f"{ZONE}/disks/web": {"env": "staging"}}


def test_single_resources_are_refused(client: Client) -> None:
    client.labels.locked.add(f"{ZONE}/instances/new")
    result = client.run()
    assert [one["resource"] for one in result["failed"]] == ["projects/shop/zones/us-central1-a/instances/new"]
    assert "does not take labels in its state (400)" in client.failure
    client.google.failing = "The disk is busy."
    client.labels.locked.clear()
    client.run()
    assert "failed: The disk is busy." in client.failure


def test_a_missing_permission_is_named(client: Client) -> None:
    client.google.denied["compute.instances.setLabels"] = "compute.instances.setLabels"
    with pytest.raises(GcpError, match=r"Permission 'compute.instances.setLabels' denied.* requests were made"):
        client.run()
    assert client.of(f"{ZONE}/instances/web") == {"environment": "prod", "role": "web"}
    client.google.denied.clear()
    del client.google.resources["/v3/projects/shop"]
    with pytest.raises(GcpError, match=r"does not have permission \(403\): grant resourcemanager.projects.get"):
        client.run()


def test_capitals_are_refused_before_anything_is_asked(client: Client) -> None:
    with pytest.raises(TagPolicyError, match=r"policy.keys\[0\].key is 'Env': labels of Google Cloud have no capitals"):
        client.run(policy={"keys": [{"key": "Env"}]})
    assert client.google.requests == []
