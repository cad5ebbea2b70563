# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's answers: what would change, what is hidden, and what its errors say. The texts are Helm 3.22's own."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import helm
from ansible_collections.frugal.cloud.plugins.module_utils.helm_options import objection
from hypothesis import given
from hypothesis import strategies as st

CHART = helm.Chart("shop", "1.1.0", "2.2")
SECRET = "tuesday-horse-7"


def entry(revision: int, status: str, chart: str = "shop-1.0.0") -> dict[str, t.Any]:
    return {
        "revision": revision,
        "updated": "2026-11-24T15:01:02.123456789Z",
        "status": status,
        "chart": chart,
        "app_version": "2.1",
        "description": "Upgrade complete",
    }


def release(**other: t.Any) -> helm.Release:
    found = helm.release_of([entry(1, "superseded"), entry(2, "deployed")])
    assert found is not None
    return helm.dataclasses.replace(found, **other)


class TestRelease:
    def test_the_last_revision_counts_and_the_last_that_served_is_known(self) -> None:
        found = helm.release_of([entry(2, "failed"), entry(1, "deployed")])
        assert found is not None
        assert (found.revision, found.status, found.served) == (2, "failed", 1)

    def test_what_never_served_says_so(self) -> None:
        found = helm.release_of([entry(1, "pending-install")])
        assert found is not None
        assert found.served == 0

    @pytest.mark.parametrize("history", [[], [entry(1, "superseded"), entry(2, "uninstalled")]])
    def test_a_removed_one_is_none(self, history: list[dict[str, t.Any]]) -> None:
        assert helm.release_of(history) is None


class TestReasons:
    def test_none_where_all_is_as_wanted(self) -> None:
        same = helm.Chart("shop", "1.0.0", "2.1")
        assert helm.reasons(release(values={"replicas": 3}), same, {"replicas": 3}) == ()

    def test_each_difference_is_named(self) -> None:
        assert helm.reasons(None, CHART, {}) == ("it is not installed",)
        assert helm.reasons(release(), CHART, {"replicas": 3}) == (
            "chart shop-1.0.0 becomes shop-1.1.0",
            "the values differ",
        )
        assert helm.reasons(release(), helm.Chart("shop", "1.0.0", ""), {}) == ("application 2.1 becomes unnamed",)


class TestUnfinished:
    def test_what_serves_is_not(self) -> None:
        assert helm.unfinished("shop", None) == ""
        assert helm.unfinished("shop", release()) == ""

    def test_an_interrupted_run_says_since_when_and_what_helps(self) -> None:
        found = helm.unfinished("shop", helm.release_of([entry(1, "deployed"), entry(2, "pending-upgrade")]))
        assert found == (
            "release shop is pending-upgrade since 2026-11-24T15:01:02: a run is at work, or was interrupted; "
            "wait for it, or say recover=true, which rolls it back to revision 1"
        )

    def test_a_failed_first_install_is_removed(self) -> None:
        found = helm.unfinished("shop", helm.release_of([entry(1, "failed")]))
        assert found == (
            "release shop is failed, revision 1: recover=true removes what there is of it before it goes on"
        )


class TestMasking:
    def test_a_secret_is_hidden_plain_in_base64_and_in_json(self) -> None:
        secret = 'say "no"'
        text = f"a {secret} b c2F5ICJubyI= c " + json.dumps(secret)
        assert helm.Masker([secret])(text) == 'a ******** b ******** c "********"'

    def test_short_values_are_no_secrets(self) -> None:
        assert helm.Masker({"port": 80, "on": True, "none": None})("80 true") == "80 true"

    @given(st.text("abc", min_size=4, max_size=8), st.text("abc", min_size=4, max_size=8))
    def test_no_secret_is_left_where_one_holds_the_other(self, one: str, other: str) -> None:
        masked = helm.Masker([one, other])(f"<{one}> <{other}> <{one}{other}>")
        assert one not in masked
        assert other not in masked

    def test_the_diff_holds_none(self) -> None:
        manifest = (
            "---\n# Source: shop/templates/shop.yaml\napiVersion: v1\nkind: Secret\nmetadata: {name: shop}\n"
            "data: {old: b2xk, password: %s}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n"
            "data: {dsn: 'postgres://shop:%s@db', greeting: hello}\n"
        )
        before = release(
            values={"auth": {"password": "monday-cow-11"}, "replicas": 1}, manifest=manifest % ("bw==", "monday-cow-11")
        )
        after = {"auth": {"password": SECRET}, "replicas": 2}
        found = helm.diff(before, after, manifest % ("bg==", SECRET), {"auth": {"password": SECRET}})
        assert "monday-cow-11" not in str(found)
        assert SECRET not in str(found)
        assert "bw==" not in str(found)
        assert "replicas: 1" in found["before"]
        assert "replicas: 2" in found["after"]
        # Which value of a Secret changed is told, not what it is.
        assert "password: '******** (another)'" in found["after"]
        assert "old: '********'\n" in found["after"]

    def test_a_removal_has_nothing_after(self) -> None:
        found = helm.diff(release(values={"replicas": 1}), None, "", {})
        assert found["after"] == ""
        assert found["before"] == "values:\n  replicas: 1\n"


class TestMerged:
    def test_key_by_key_and_lists_as_a_whole(self) -> None:
        below = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
        assert helm.merged(below, {"a": {"c": [3]}, "d": None}) == {"a": {"b": 1, "c": [3]}, "d": None}
        assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


#: (what Helm 3.22 writes, the sentence)
ERRORS = [
    (
        (
            'Error: Kubernetes cluster unreachable: Get "http://localhost:8080/version": dial tcp 127.0.0.1:8080: '
            "connect: connection refused\n"
        ),
        "no cluster is named: there is no kubeconfig and nothing on localhost:8080; set kubeconfig to the path of one",
    ),
    (
        (
            'Error: Kubernetes cluster unreachable: Get "https://127.0.0.1:1/version": dial tcp 127.0.0.1:1: connect: '
            "connection refused\n"
        ),
        (
            'the cluster does not answer: Get "https://127.0.0.1:1/version": dial tcp 127.0.0.1:1: connect: connection '
            "refused; see server and certificates in the kubeconfig"
        ),
    ),
    (
        (
            "level=WARN msg=old\nError: UPGRADE FAILED: values don't meet the specifications of the schema(s) in the "
            "following chart(s):\nshop:\n- at '/replicas': got string, want integer\n"
        ),
        "the chart's schema refuses the values: shop: - at '/replicas': got string, want integer",
    ),
    (
        'Error: Kubernetes cluster unreachable: context "green" does not exist\n',
        "context green is not in the kubeconfig; set context to one that is",
    ),
    ("", "helm said nothing"),
]


class TestSentence:
    @pytest.mark.parametrize(("text", "wanted"), ERRORS)
    def test_one_line_that_says_what_would_be_right(self, text: str, wanted: str) -> None:
        assert helm.sentence(text) == wanted

    def test_no_secret_is_in_it(self) -> None:
        told = helm.sentence(f'Error: parse "{SECRET}": invalid', helm.Masker([SECRET]))
        assert told == 'parse "********": invalid'

    @given(st.text())
    def test_it_is_one_line_whatever_helm_writes(self, text: str) -> None:
        assert "\n" not in helm.sentence(text)
        assert helm.sentence(text)


class TestChecksum:
    def test_another_archive_is_told_with_both_checksums(self, tmp_path: Path) -> None:
        archive = tmp_path / "shop.tgz"
        archive.write_bytes(b"chart")
        right = "sha256:" + helm.hashlib.sha256(b"chart").hexdigest()
        assert helm.wrong_checksum(str(archive), right) == ""
        wrong = "sha256:" + "0" * 64
        assert helm.wrong_checksum(str(archive), wrong) == (
            f"chart {archive} has {right}, not {wrong} as checksum says: it is not installed"
        )


class Program:
    """Answers as Helm does: the words that a command begins with -> (exit code, output, errors)."""

    def __init__(self, **answers: tuple[int, str, str]) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> tuple[int, str, str]:
        self.asked.append(list(command[1:]))
        return self.answers[command[1]]


class TestHelm:
    def test_no_release_is_none(self) -> None:
        program = Program(history=(1, "", "Error: release: not found\n"))
        assert helm.Helm(program, "helm", "shop").release("shop") is None

    def test_a_kubeconfig_that_is_not_there_is_told(self) -> None:
        with pytest.raises(helm.HelmError, match="kubeconfig /none is not there; give the path of a kubeconfig"):
            helm.Helm(Program(), "helm", "shop", kubeconfig="/none")

    def test_values_and_manifest_come_with_the_release(self) -> None:
        program = Program(history=(0, json.dumps([entry(1, "deployed")]), ""), get=(0, "null", ""))
        found = helm.Helm(program, "helm", "web", context="blue").release("shop")
        assert found is not None
        assert found.values == {}
        assert found.manifest == "null"
        assert all(words[-4:] == ["--namespace", "web", "--kube-context", "blue"] for words in program.asked)

    def test_a_first_install_whose_definitions_are_missing_is_rendered_without_the_cluster(self) -> None:
        told = 'Error: no matches for kind "Probe" in version "v1"\nensure CRDs are installed first\n'
        program = Program(upgrade=(1, "", told), template=(0, "kind: Probe", ""))
        asked = helm.Helm(program, "helm", "shop")
        assert asked.rendered("shop", "/shop.tgz", "/values.json", None) == "kind: Probe"
        with pytest.raises(helm.HelmError, match="no matches for kind"):
            asked.rendered("shop", "/shop.tgz", "/values.json", release())


GOOD = {
    "name": "shop",
    "namespace": "shop",
    "state": "present",
    "chart": "/srv/shop.tgz",
    "checksum": "sha256:" + "0" * 64,
    "timeout": 300,
    "history_max": 10,
}


class TestOptions:
    def test_good_ones_are_taken(self) -> None:
        assert objection(GOOD) == ""
        assert objection({**GOOD, "state": "absent", "chart": None, "checksum": None}) == ""

    @pytest.mark.parametrize(
        ("option", "value", "told"),
        [
            ("name", "Shop", "name is 'Shop': give lower-case"),
            ("namespace", "-a", "namespace is '-a': give lower-case"),
            ("name", "x" * 54, "at most 53"),
            ("chart", None, "chart is missing: give the path of a chart's archive"),
            ("checksum", None, "checksum is '': give the archive's checksum as sha256:"),
            ("checksum", "0" * 64, "a chart that is not verified is not installed"),
            ("timeout", 0, "timeout is 0: give 1 or more"),
        ],
    )
    def test_what_is_wrong_is_named(self, option: str, value: t.Any, told: str) -> None:
        assert told in objection({**GOOD, option: value})
