# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of Helm charts on a real control plane: rolled out as a whole or not at all, and told in sentences.

Nodes and pods are played by kwok: a pod that finds a node is ready, one that asks for more than a node has never is.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.frugal.cloud.tests.e2e.helm_operator import CHARTS, ROOT, Operator, cluster, operator
from ansible_collections.frugal.cloud.tests.kubernetes.control_plane import DEPLOYER, ControlPlaneError, until

#: fixtures: pytest finds them by their names here
SHARED = (cluster, operator)
PASSWORD = "tuesday-horse-7"
_Dict = dict[str, t.Any]

# The first run may have to wait until the control plane is built.
pytestmark = pytest.mark.timeout(2400)


@pytest.fixture(scope="module", autouse=True)
def charts(operator: Operator) -> None:
    """A shop of our own in two versions, and kwok's chart, which comes with its Go module."""
    listed = subprocess.run(
        [shutil.which("go") or "/usr/local/go/bin/go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"],
        cwd=ROOT / "tests" / "go" / "kwok",
        capture_output=True,
        text=True,
        check=True,
    )
    operator.package("shop", CHARTS / "shop")
    operator.package("shop-1.1.0", CHARTS / "shop", "--version", "1.1.0", "--app-version", "2.2")
    operator.package("kwok", Path(listed.stdout.strip()) / "charts" / "kwok")


class TestLife:
    """One release from its first day to its last; each test goes on where the one before it ended."""

    def test_check_mode_on_a_fresh_cluster_says_what_would_be_made(self, operator: Operator) -> None:
        ran = operator.release("--check", "--diff", name="web", namespace="life", **operator.chart("shop"))
        assert ran.changed == 1
        result = ran.of("release")
        assert result["changes"] == ["it is not installed"]
        assert "image: shop:2.1" in result["diff"]["after"]
        assert result["diff"]["before"] == ""
        with pytest.raises(ControlPlaneError, match="404"):
            operator.cluster.get("/api/v1/namespaces/life")

    def test_it_is_installed_once(self, operator: Operator) -> None:
        options = {"name": "web", "namespace": "life", "secret_values": {"password": PASSWORD}}
        first = operator.release(**options, **operator.chart("shop"))
        assert first.of("release")["revision"] == 1
        assert operator.serving("life", "web") == ("shop:2.1", 2)
        second = operator.release(**options, **operator.chart("shop"))
        assert second.changed == 0
        assert second.of("release")["revision"] == 1
        assert second.of("release")["chart"] == "shop-1.0.0"

    def test_an_upgrade_is_predicted_then_done_and_no_secret_is_shown(self, operator: Operator) -> None:
        options = {
            "name": "web",
            "namespace": "life",
            "values": {"replicas": 3, "image": "shop:2.2"},
            "secret_values": {"password": "friday-fish-1"},
            **operator.chart("shop-1.1.0"),
        }
        predicted = operator.release("--check", "--diff", "-vvv", **options)
        assert predicted.of("release")["changes"] == ["chart shop-1.0.0 becomes shop-1.1.0", "the values differ"]
        assert "replicas: 3" in predicted.of("release")["diff"]["after"]
        assert "replicas: 2" in predicted.of("release")["diff"]["before"]
        assert operator.serving("life", "web") == ("shop:2.1", 2)
        done = operator.release("--diff", "-vvv", **options)
        assert done.of("release")["diff"] == predicted.of("release")["diff"]
        assert (done.of("release")["revision"], done.of("release")["app_version"]) == (2, "2.2")
        assert operator.serving("life", "web") == ("shop:2.2", 3)
        assert PASSWORD not in predicted.output + done.output
        # What Ansible itself says of the task with -vvv is not ours: it is the play that holds the new one.
        for ran in (predicted, done):
            assert "friday-fish-1" not in json.dumps(ran.of("release").get("diff"))

    def test_a_broken_upgrade_is_rolled_back_and_the_old_one_serves(self, operator: Operator) -> None:
        good = {
            "name": "web",
            "namespace": "life",
            "values": {"replicas": 3, "image": "shop:2.2"},
            "secret_values": {"password": "friday-fish-1"},
            **operator.chart("shop-1.1.0"),
        }
        broken = {**good, "values": {"replicas": 3, "image": "shop:2.3", "cpu": 100}, "timeout": 5}
        ran = operator.release(succeeds=False, **broken)
        assert ran.failure == (
            "release web: the rollout of shop-1.1.0 failed: not everything was ready within 5 s; "
            "it was rolled back: shop-1.1.0 of revision 2 serves again"
        )
        until("the old one serves", lambda: operator.serving("life", "web") == ("shop:2.2", 3), 20)
        assert operator.release(**good).changed == 0

    def test_an_interrupted_run_is_told_and_recovered(self, operator: Operator) -> None:
        values = ["--set", "cpu=100", "--set", "replicas=3"]
        command = ["upgrade", "web", str(operator.charts["shop-1.1.0"]), "--namespace", "life", "--wait", *values]
        process = subprocess.Popen(
            [str(operator.cluster.helm), *command, "--kubeconfig", str(operator.cluster.kubeconfig)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def pending() -> bool:
            secrets = operator.cluster.items("/api/v1/namespaces/life/secrets?labelSelector=status%3Dpending-upgrade")
            return bool(secrets)

        until("helm is at work", pending, 30)
        process.kill()
        process.wait()
        options = {
            "name": "web",
            "namespace": "life",
            "values": {"replicas": 3, "image": "shop:2.2"},
            "secret_values": {"password": "friday-fish-1"},
            **operator.chart("shop-1.1.0"),
        }
        told = operator.release(succeeds=False, **options).failure
        assert told.startswith("release web is pending-upgrade since 20")
        assert told.endswith("or say recover=true, which rolls it back to revision 4")
        recovered = operator.release(recover=True, **options)
        assert recovered.changed == 1
        assert recovered.of("release")["recovered"] == "rolled back to revision 4"
        assert recovered.of("release")["status"] == "deployed"
        assert operator.serving("life", "web") == ("shop:2.2", 3)

    def test_it_is_removed_once(self, operator: Operator) -> None:
        options = {"name": "web", "namespace": "life", "state": "absent"}
        assert operator.release("--check", **options).changed == 1
        assert operator.serving("life", "web")[1] == 3
        assert operator.release(**options).changed == 1
        assert operator.cluster.items("/apis/apps/v1/namespaces/life/deployments") == []
        assert operator.release(**options).changed == 0
        assert operator.cluster.get("/api/v1/namespaces/life")["status"]["phase"] == "Active"


class TestUpstream:
    def test_a_chart_that_others_wrote_is_installed(self, operator: Operator) -> None:
        task = {
            "name": "kwok",
            "frugal.cloud.helm_release": {"name": "kwok", "namespace": "kube-system", **operator.chart("kwok")},
        }
        ran = operator.play([task, task])
        assert [result["changed"] for name, result in ran.results] == [True, False]
        found = operator.cluster.items("/apis/apps/v1/namespaces/kube-system/deployments")
        assert [item["status"].get("readyReplicas") for item in found] == [1]


class TestRefused:
    """Every error is one sentence, and leaves what there was."""

    def test_sentences_of_the_module(self, operator: Operator) -> None:
        good = {"name": "bad", "namespace": "bad", **operator.chart("shop")}
        broken = operator.folder / "broken.kubeconfig"
        broken.write_text(
            operator.cluster.kubeconfig.read_text().replace(operator.cluster.server, "https://127.0.0.1:1")
        )
        zeros = "sha256:" + "0" * 64
        archive = operator.charts["shop"]
        cases: list[tuple[_Dict, str]] = [
            ({"checksum": None}, "checksum is '': give the archive's checksum as sha256: and 64 hexadecimal digits"),
            ({"checksum": zeros}, f"chart {archive} has {operator.checksum('shop')}, not {zeros} as checksum says"),
            ({"chart": "/none.tgz"}, "chart is '/none.tgz': there is no such file; give the path of an archive"),
            ({"version": "9.9.9"}, f"version is '9.9.9': {archive} holds shop-1.0.0"),
            (
                {"values": {"replicas": "many"}},
                "the chart's schema refuses the values: shop: - at '/replicas': got string, want integer",
            ),
            ({"namespace": "tried", "values": {"cpu": "lots"}}, "quantities must match the regular expression"),
            ({"kubeconfig": "/none"}, "kubeconfig /none is not there; give the path of a kubeconfig on this host"),
            ({"kubeconfig": None}, "no cluster is named: there is no kubeconfig and nothing on localhost:8080"),
            ({"kubeconfig": str(broken)}, "the cluster does not answer: Get"),
            ({"context": "green"}, "context green is not in the kubeconfig; set context to one that is"),
            ({"helm": "/none/helm"}, "helm is '/none/helm': there is no such program on this host; install Helm 3"),
            ({"name": "Bad"}, "name is 'Bad': give lower-case letters, digits and dashes"),
        ]
        tasks = [
            {
                "name": f"case {number}",
                "frugal.cloud.helm_release": {key: value for key, value in {**good, **options}.items() if value},
                "ignore_errors": True,
            }
            for number, (options, told) in enumerate(cases)
        ]
        # The one without a kubeconfig takes none from the defaults either.
        tasks[7]["module_defaults"] = {"frugal.cloud.helm_release": {"helm": str(operator.cluster.helm)}}
        ran = operator.play(tasks)
        for number, (options, told) in enumerate(cases):
            message = ran.of(f"case {number}")["msg"]
            assert told in message, (options, message)
            assert "\n" not in message
            assert "Traceback" not in message
        with pytest.raises(ControlPlaneError, match="404"):
            operator.cluster.get("/api/v1/namespaces/bad")
        # What only the API server knows to be wrong is told by the rollout; nothing of it is left.
        assert ran.of("case 5")["msg"].endswith("what there was of it was removed again")
        assert operator.helm("list", "--all", "--namespace", "tried", "--short") == ""
        assert operator.cluster.items("/apis/apps/v1/namespaces/tried/deployments") == []

    def test_what_another_release_owns_is_not_touched(self, operator: Operator) -> None:
        def task(name: str, **values: t.Any) -> _Dict:
            options = {"name": name, "namespace": "owned", "values": values, **operator.chart("shop")}
            return {"name": name, "frugal.cloud.helm_release": options, "ignore_errors": True}

        ran = operator.play([task("one", shared="common"), task("two", shared="common")])
        assert "something else owns what the chart wants to make" in ran.of("two")["msg"]
        assert operator.helm("list", "--namespace", "owned", "--short").split() == ["one"]

    def test_rights_are_refused_then_given_as_the_guide_says(self, operator: Operator) -> None:
        options = {
            "name": "web",
            "namespace": "shop",
            "kubeconfig": str(operator.cluster.kubeconfig_of(DEPLOYER)),
            "create_namespace": False,
            **operator.chart("shop"),
        }
        told = operator.release(succeeds=False, **options).failure
        assert told.startswith('the cluster refuses: secrets is forbidden: User "deployer" cannot list')
        text = (ROOT / "docs" / "guides" / "kubernetes.md").read_text(encoding="utf-8")
        rights = text.partition("<!-- rights -->")[2].partition("```yaml")[2].partition("```")[0]
        for document in yaml.safe_load_all(rights):
            kind = {"Namespace": "/api/v1/namespaces"}.get(document["kind"])
            path = kind or f"/apis/rbac.authorization.k8s.io/v1/namespaces/shop/{document['kind'].lower()}s"
            operator.cluster.create(path, document)
        assert operator.release(**options).changed == 1
        assert operator.serving("shop", "web") == ("shop:2.1", 2)
        assert operator.release(**{**options, "state": "absent"}).changed == 1


@contextlib.contextmanager
def repository(folder: Path, helm: Path) -> Iterator[str]:
    """A chart repository on loopback."""
    subprocess.run([str(helm), "repo", "index", str(folder)], check=True, capture_output=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


class TestRole:
    """What the role adds to the module: fetching, Secrets, and their end."""

    def test_a_chart_is_fetched_once_and_verified(self, operator: Operator) -> None:
        variables: _Dict = {
            "helm_release_name": "fetched",
            "helm_release_namespace": "fetched",
            "helm_release_chart": "shop",
            "helm_release_version": "1.0.0",
            "helm_release_checksum": operator.checksum("shop"),
        }
        role = {"name": "role", "ansible.builtin.include_role": {"name": "frugal.cloud.helm_release"}}
        refused = {"name": "refused", "ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}

        def case(**other: str) -> _Dict:
            return {"block": [role], "rescue": [refused], "vars": other}

        with repository(operator.charts["shop"].parent, operator.cluster.helm) as url:
            variables["helm_release_repository"] = url
            zeros = "sha256:" + "0" * 64
            ran = operator.play(
                [
                    case(helm_release_checksum=""),
                    case(helm_release_version="9.9.9"),
                    case(helm_release_chart="shoe"),
                    case(helm_release_checksum=zeros),
                    case(helm_release_chart=f"{url}/shop-1.0.0.tgz", helm_release_checksum=zeros),
                ],
                **variables,
            )
            told = [result["msg"] for name, result in ran.results if name == "refused"]
            assert told[0].startswith('helm_release_checksum is "": chart shop is not verified and not installed')
            assert told[1] == (
                f"chart shop 9.9.9 could not be fetched: chart shop has no version 9.9.9 in {url}; name one that it has"
            )
            assert told[2] == (
                f"chart shoe 1.0.0 could not be fetched: chart shoe has no version 1.0.0 in {url}; name one that it has"
            )
            assert told[3] == (
                f"chart shop 1.0.0 from {url} has {operator.checksum('shop')}, not {zeros} as helm_release_checksum "
                "says: it is not installed"
            )
            assert "The checksum for" in told[4]
            checked = operator.play([role], "--check", **variables)
            assert checked.changed == 1
            # The chart is in the cache now, which is not what is managed.
            assert len(list((operator.folder / "cache").glob("shop-1.0.0-*.tgz"))) == 1
        # The repository is gone; the cache has the chart.
        assert operator.role(**variables).changed == 1
        gone = operator.role(succeeds=False, **{**variables, "helm_release_checksum": "sha256:" + "1" * 64})
        assert gone.failure.startswith("chart shop 1.0.0 could not be fetched: ")
        assert "connection refused" in gone.failure

    def test_secrets_go_with_revisions(self, operator: Operator) -> None:
        variables: _Dict = {
            "helm_release_name": "web",
            "helm_release_namespace": "secrets",
            "helm_release_chart": str(operator.charts["shop"]),
            "helm_release_version": "1.0.0",
            "helm_release_checksum": operator.checksum("shop"),
            "helm_release_values": {"greeting": "{{ helm_release_secret_names.db }}"},
        }

        def with_password(number: int) -> _Dict:
            return {**variables, "helm_release_secrets": {"db": {"password": f"{PASSWORD}-{number}"}}}

        def kept() -> list[str]:
            path = "/api/v1/namespaces/secrets/secrets?labelSelector=frugal.cloud%2Frelease%3Dweb"
            return [item["metadata"]["name"] for item in operator.cluster.items(path)]

        def used() -> str:
            return str(operator.cluster.get("/api/v1/namespaces/secrets/configmaps/web")["data"]["greeting"])

        checked = operator.role("--check", **with_password(0))
        assert checked.changed == 2, "the namespace and the release"
        outputs = []
        for number in range(3):
            outputs.append(operator.role("--diff", **with_password(number)))
            assert used() in kept()
            # Secrets are as old as the second in which they were made.
            time.sleep(1)
        assert len(kept()) == 2, "the one that is used and the one before"
        again = operator.role("--diff", **with_password(2))
        assert again.changed == 0
        told = [json.dumps(ran.content["plays"][0]["tasks"]) for ran in outputs]
        assert all(PASSWORD not in text for text in told)
        assert operator.role(**{**with_password(2), "helm_release_state": "absent"}).changed == 2
        assert kept() == []
