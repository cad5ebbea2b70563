# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Varnish on a host, with visitors: recommended, planned, applied, verified, blamed for what hurts, taken back."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.hosts import scenario
from ansible_collections.frugal.cloud.tests.hosts.playbooks import Operator, Ran
from ansible_collections.frugal.cloud.tests.varnish import cache, load, workload

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="test hosts need root")

RATE = 100.0
POLICY = {
    "approval": [{"name": "all", "automatic": True}],
    "verification": {"soak_hours": 0, "rollback": "automatic"},
}
PLAYBOOK = """
- name: A cache before the shop
  hosts: web1
  gather_facts: false
  module_defaults:
    # The scenario of the role runs the VCL's own tests.
    frugal.cloud.varnish_tuning: {test: false}
    frugal.cloud.varnish_config: {test: false}
  tasks:
    - name: Run the role
      when: "'role' in steps"
      ansible.builtin.include_role:
        name: frugal.cloud.varnish
    - name: Look at it
      when: "'recommend' in steps"
      frugal.cloud.varnish_tuning_info:
        log_seconds: 10
        data_directory: "{{ data }}"
    - name: Plan it
      when: "'plan' in steps"
      frugal.cloud.optimization_plan:
        scope: hosts/web1/varnish
        recommendations_path: "{{ data }}/recommendations/hosts-web1-varnish.jsonl.gz"
        policy: "{{ policy }}"
      delegate_to: localhost
      vars:
        ansible_connection: local
        ansible_python_interpreter: "{{ ansible_playbook_python }}"
    - name: Predict
      when: "'predict' in steps"
      check_mode: true
      frugal.cloud.varnish_tuning:
    - name: Apply
      when: "'apply' in steps"
      frugal.cloud.varnish_tuning:
    - name: Verify
      when: "'verify' in steps"
      frugal.cloud.varnish_tuning:
        stage: verify
        log_seconds: 8
    - name: Roll back
      when: "'rollback' in steps"
      frugal.cloud.varnish_tuning:
        stage: rollback
        plan: "{{ plan }}"
    - name: VCL that cannot be
      when: "'bad' in steps"
      frugal.cloud.varnish_config:
        tuned: {sites: {shop: {vcl: {recv: "set req.http.X = nonsense;"}}}}
      ignore_errors: true
    - name: No such instance
      when: "'bad' in steps"
      frugal.cloud.varnish_tuning_info:
        instance: nowhere
      ignore_errors: true
"""


@dataclasses.dataclass
class Tuner(Operator):
    """Runs the playbook against the host."""

    hosts: scenario.Scenario = dataclasses.field(kw_only=True)
    shop: int = dataclasses.field(kw_only=True)

    def run(self, *steps: str, plan: str = "") -> Ran:
        """Steps of the playbook; they must succeed."""
        self.write("inventory.yml", self.hosts.inventory())
        backend = {"name": "web", "address": self.hosts.network.gateway, "port": self.shop}
        return self.good(
            self.write("play.yml", PLAYBOOK),
            timeout=400,
            steps=steps,
            plan=plan,
            policy=POLICY,
            data=str(self.data),
            varnish_listen_address="0.0.0.0:6081",
            varnish_sites=[{"name": "shop", "hosts": [load.HOST], "backends": [backend]}],
            varnish_test=False,
        )

    def vcl(self) -> str:
        """What the host's Varnish makes its decisions by."""
        return self.hosts["web1"].run("varnishadm", "vcl.show", self.active())

    def active(self) -> str:
        """The name of the VCL in use."""
        lines = self.hosts["web1"].run("varnishadm", "vcl.list").splitlines()
        return next(line.split()[-1] for line in lines if line.startswith("active"))

    @contextlib.contextmanager
    def visitors(self, seed: int) -> t.Iterator[load.Result]:
        """Visitors of the site for the length of the block; every answer is looked at."""
        stop = threading.Event()
        address = self.hosts["web1"].address
        result = load.Result()
        thread = threading.Thread(target=load.until, args=(stop, address, 6081, workload.visits(seed), RATE, result))
        thread.start()
        try:
            yield result
        finally:
            stop.set()
            thread.join()


@pytest.mark.timeout(900)
def test_the_whole_loop_on_a_host_with_visitors(tmp_path: Path) -> None:
    with (
        scenario.running("web1") as hosts,
        cache.shop(tmp_path, address=hosts.network.gateway) as shop,
    ):
        operator = Tuner(tmp_path, hosts=hosts, shop=shop)
        operator.run("role")
        first = operator.vcl()
        with operator.visitors(1) as visitors:
            ran = operator.run("recommend", "plan", "predict", "apply")
        assert not visitors.wrong and not visitors.errors and not visitors.private_hits, visitors
        found, plan = ran.task("Look at it"), ran.task("Plan it")
        kinds = {item["action"] for item in found["recommendations"]}
        assert {"varnish_query", "varnish_vary", "varnish_cookies"} <= kinds
        assert found["summary"]["hit_ratio"] < 0.15 and found["sites"][0]["predicted"]["hit_ratio"] > 0.8
        assert ran.task("Predict")["by_status"] == ran.task("Apply")["by_status"] == {"applied": len(kinds)}
        tuned = operator.vcl()
        assert "utm_" in tuned and "utm_" not in first

        # The role keeps what was tuned, and has nothing to do.
        with operator.visitors(2) as visitors:
            ran = operator.run("role", "verify", "bad")
        assert not visitors.wrong and not visitors.errors and not visitors.private_hits, visitors
        assert visitors.hit_ratio > 0.7, visitors.hit_ratio
        verified = ran.task("Verify")
        assert verified["by_status"] == {"applied": 0, "rolled_back": 0, "verified": len(kinds)}, verified
        assert ran.changed == 1, ran.output
        assert "varnishd refuses the VCL, vcl.recv of site shop" in ran.task("VCL that cannot be")["msg"]
        assert "Varnish does not answer" in ran.task("No such instance")["msg"]
        assert operator.vcl() == tuned

        ran = operator.run("rollback", "role", plan=plan["plan"]["id"])
        assert ran.task("Roll back")["by_status"] == {"rolled_back": len(kinds)}
        # Nothing but the way back: the role finds what it would render.
        assert ran.changed == 1 and operator.vcl() == first, ran.output

        # The same change meets a backend that breaks: it is blamed, and goes back by itself.
        operator.ledger = "another.db"
        operator.run("plan", "apply")
        assert operator.vcl() == tuned
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://{hosts.network.gateway}:{shop}/break", timeout=10)
        with operator.visitors(3):
            verified = operator.run("verify").task("Verify")
        assert verified["by_status"]["rolled_back"] == len(kinds), verified
        assert any("errors: " in found["why"] for found in verified["verifications"].values())
        assert operator.vcl() == first
        # Nothing is tuned any more, so there is no file of it.
        assert hosts["web1"].run("ls", "/etc/frugal/tuning").strip() == ""
