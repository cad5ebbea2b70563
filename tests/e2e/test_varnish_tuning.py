# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Varnish on a host, with visitors: recommended, planned, applied, verified, blamed for what hurts, taken back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import threading
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.e2e.loop import BIN, ROOT, Ran
from ansible_collections.frugal.cloud.tests.hosts import scenario
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
class Operator:
    """Runs playbooks against the host."""

    folder: Path
    hosts: scenario.Scenario
    shop: int
    ledger: str = "ledger.db"

    def run(self, *steps: str, plan: str = "") -> Ran:
        """The playbook, in a process of its own; it must succeed."""
        playbook = self.folder / "play.yml"
        playbook.write_text(PLAYBOOK, encoding="utf-8")
        inventory = scenario.write_inventory(self.hosts, self.folder / "hosts.yml")
        backend = {"name": "web", "address": self.hosts.network.gateway, "port": self.shop}
        extra = {
            "steps": steps,
            "plan": plan,
            "policy": POLICY,
            "data": str(self.folder / "data"),
            "varnish_listen_address": "0.0.0.0:6081",
            "varnish_sites": [{"name": "shop", "hosts": [load.HOST], "backends": [backend]}],
            "varnish_test": False,
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "FRUGAL_LEDGER"))}
        environment = {
            **kept,
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
            "ANSIBLE_NOCOLOR": "true",
            "FRUGAL_LEDGER_URL": f"sqlite:///{self.folder}/{self.ledger}",
        }
        command = [str(BIN / "ansible-playbook"), "-v", "-i", str(inventory), str(playbook), "-e", json.dumps(extra)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return Ran(done.returncode, done.stdout + done.stderr)

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


def task(ran: Ran, name: str) -> t.Mapping[str, t.Any]:
    """The result of the task with this very name."""
    lines = ran.output.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"TASK [{name}]"))
    line = next(line for line in lines[at:] if " => {" in line)
    found: t.Mapping[str, t.Any] = json.loads(line.partition(" => ")[2])
    return found


@pytest.mark.timeout(900)
def test_the_whole_loop_on_a_host_with_visitors(tmp_path: Path) -> None:
    with (
        scenario.running("web1") as hosts,
        cache.shop(tmp_path, address=hosts.network.gateway) as shop,
    ):
        operator = Operator(tmp_path, hosts, shop)
        operator.run("role")
        first = operator.vcl()
        with operator.visitors(1) as visitors:
            ran = operator.run("recommend", "plan", "predict", "apply")
        assert not visitors.wrong and not visitors.errors and not visitors.private_hits, visitors
        found, plan = task(ran, "Look at it"), task(ran, "Plan it")
        kinds = {item["action"] for item in found["recommendations"]}
        assert {"varnish_query", "varnish_vary", "varnish_cookies"} <= kinds
        assert found["summary"]["hit_ratio"] < 0.15 and found["sites"][0]["predicted"]["hit_ratio"] > 0.8
        assert task(ran, "Predict")["by_status"] == task(ran, "Apply")["by_status"] == {"applied": len(kinds)}
        tuned = operator.vcl()
        assert "utm_" in tuned and "utm_" not in first

        # The role keeps what was tuned, and has nothing to do.
        with operator.visitors(2) as visitors:
            ran = operator.run("role", "verify", "bad")
        assert not visitors.wrong and not visitors.errors and not visitors.private_hits, visitors
        assert visitors.hit_ratio > 0.7, visitors.hit_ratio
        verified = task(ran, "Verify")
        assert verified["by_status"] == {"applied": 0, "rolled_back": 0, "verified": len(kinds)}, verified
        assert ran.changed == 1, ran.output
        assert "varnishd refuses the VCL, vcl.recv of site shop" in task(ran, "VCL that cannot be")["msg"]
        assert "Varnish does not answer" in task(ran, "No such instance")["msg"]
        assert operator.vcl() == tuned

        ran = operator.run("rollback", "role", plan=plan["plan"]["id"])
        assert task(ran, "Roll back")["by_status"] == {"rolled_back": len(kinds)}
        # Nothing but the way back: the role finds what it would render.
        assert ran.changed == 1 and operator.vcl() == first, ran.output

        # The same change meets a backend that breaks: it is blamed, and goes back by itself.
        operator.ledger = "another.db"
        operator.run("plan", "apply")
        assert operator.vcl() == tuned
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://{hosts.network.gateway}:{shop}/break", timeout=10)
        with operator.visitors(3):
            verified = task(operator.run("verify"), "Verify")
        assert verified["by_status"]["rolled_back"] == len(kinds), verified
        assert any("errors: " in found["why"] for found in verified["verifications"].values())
        assert operator.vcl() == first
        # Nothing is tuned any more, so there is no file of it.
        assert hosts["web1"].run("ls", "/etc/frugal/tuning").strip() == ""
