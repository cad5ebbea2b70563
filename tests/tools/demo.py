# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole loop on simulated clouds: costs, then recommend, approve, apply, verify, book, report.

Three months of bills of AWS and Google Cloud become one dataset; what was unexpected in them is found, the month's end
is foreseen, tags, labels, budgets and a monitor are brought to what is declared. Then AWS' instances are rightsized.

A service level objective whose error budget burns holds some of the changes back, until the burn
is over: a real Prometheus tells, over series that were written for it.

    python tests/tools/demo.py [--seed 1] [--instances 200] [--output build/demo]

Runs the same playbooks that a user runs; only the endpoint differs. Leaves report.html,
report.json, report.csv and summary.json in the output folder.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "tools")]

from environment import SetupError, install_system_packages  # noqa: E402
from prometheus_server import WINDOWS, backfill, serve, slo_series  # noqa: E402
from simulator.process import SimulatorProcess  # noqa: E402

ACCOUNTS = {"111111111111": "production", "222222222222": "staging"}
REGION = "us-east-1"
DAY = 86_400.0
#: Days after the change over which overload minutes are counted, with the old and the new types.
WINDOW_DAYS = 30

INVENTORY = {
    "plugin": "frugal.cloud.scopes",
    "accounts": [{"id": number, "name": name} for number, name in ACCOUNTS.items()],
    "role_name": "frugal",
    "regions": [REGION],
    "projects": ["demo-shop", "demo-analytics"],
}
#: What the operator of the demo wants of costs.
COSTS: dict[str, t.Any] = {
    "cost_management_tag_keys": [{"key": "team"}, {"key": "env", "variants": ["environment"]}],
    "cost_management_tag_policy": {
        "keys": [
            {"key": "env", "values": ["prod", "staging"], "inherit": ["instance", "asg"]},
            {"key": "team", "inherit": ["instance", "asg"]},
        ]
    },
    "cost_management_active_tags": ["team", "env"],
    "cost_management_label_policy": {
        "keys": [
            {"key": "env", "variants": ["environment"], "values": ["prod", "staging"], "default": "prod"},
            {"key": "team", "default": "data"},
        ]
    },
    "cost_management_aws_budgets": [
        {
            "name": "company",
            "period": "monthly",
            "limit": {"amount": 75000, "unit": "USD"},
            "alerts": [{"threshold": 80, "emails": ["finance@example.com"]}],
        }
    ],
    "cost_management_gcp_billing_account": "01AB23-CD45EF-678901",
    "cost_management_gcp_budgets": [{"name": "company", "amount": 9000, "currency": "USD"}],
    "cost_management_anomaly_monitors": [{"name": "services", "each": "service"}],
}
MONTHS = 3
POLICY = {
    "verification": {"soak_hours": 24, "rollback": "automatic"},
    "maximum_risk": "high",
    "approval": [{"name": "everything", "approvers": 1, "valid_days": 7}],
}
#: The objective of one team's service; it guards that team's production machines.
SLO = {"slo": "checkout-availability", "service": "checkout"}
GUARD = {
    "name": SLO["slo"],
    "service": SLO["service"],
    "match": {"tags": {"team": "checkout", "env": "prod"}},
    "error_budget_floor": 0.2,
    "maximum_burn_rate": 1,
}
#: Hours from the beginning after which its budget stops to burn, and after which one looks again.
BURN_HOURS, LATER_HOURS = 1, 3


def burn(hours: float) -> dict[str, float]:
    """Burn rates by window: six times too fast, then over, but for the windows that still remember."""
    if hours < BURN_HOURS:
        return {**dict.fromkeys(WINDOWS, 6.2), "1d": 1.4, "3d": 0.9}
    return {**dict.fromkeys(WINDOWS, 0.2), "6h": 2.9, "1d": 1.3, "3d": 0.9}


@contextlib.contextmanager
def slo_server(folder: Path, began: float) -> t.Iterator[str]:
    """The address of a Prometheus with the recorded series of :data:`SLO` from ``began`` (epoch seconds) on.

    Empty, after one line that says why, where this machine has none and cannot get it.
    """
    try:
        install_system_packages(["prometheus"])
        moments = [began + 60 * minute for minute in range(-120, 30 * 60)]
        series = slo_series(SLO, moments, lambda at: burn((at - began) / 3600), lambda at: 0.62)
        data = backfill(folder, series)
    except SetupError as error:
        reason = str(error).partition("\n")[0]
        print(f"\n=== the step in which an SLO stops an apply is left out: {reason}", flush=True)
        yield ""
        return
    with serve(folder / "server", data) as server:
        yield server.url


class Demo:
    """One run of the loop in ``output``, against ``simulator``."""

    def __init__(self, simulator: SimulatorProcess, output: Path, prometheus: str = "") -> None:
        self.simulator = simulator
        self.output = output
        self.prometheus = prometheus
        # JSON is YAML: no library is needed to write it.
        self.inventory = output / "scopes.yml"
        self.inventory.write_text(json.dumps(INVENTORY, indent=2))
        self.policy = output / "policy.yml"
        self.policy.write_text(json.dumps({**POLICY, "slos": [GUARD] if prometheus else []}, indent=2))
        self.environment = {
            **os.environ,
            **simulator.environment(next(iter(ACCOUNTS)), REGION),
            **simulator.google_environment(),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOWS": "1",
            "FRUGAL_DATA_DIR": str(output / "data"),
            "USER": "demo",
        }

    def say(self, text: str) -> None:
        """A headline of the demo itself."""
        print(f"\n=== {text}", flush=True)

    def play(self, playbook: str, **variables: t.Any) -> None:
        """Run a playbook as a user would, its output straight to the terminal."""
        variables = {
            "frugal_as_of": self.simulator.clock()["now"],
            "frugal_policy": str(self.policy),
            "frugal_limit": 15,
            # A simulated instance stops in a fraction of a second, a real one in a minute.
            "rightsizing_wait_sleep": 0.5,
            "rightsizing_max_in_flight": 50,
            **({"frugal_slo_prometheus": {"url": self.prometheus}} if self.prometheus else {}),
            **variables,
        }
        command = [str(Path(sys.executable).with_name("ansible-playbook")), f"frugal.cloud.{playbook}"]
        command += ["-i", str(self.inventory), "-e", json.dumps(variables)]
        shown = " ".join(
            f"-e {key}={value}" for key, value in variables.items() if key in ("frugal_stage", "frugal_approve")
        )
        self.say(f"ansible-playbook frugal.cloud.{playbook} {shown}")
        result = subprocess.run(command, env=self.environment, cwd=self.output, check=False)
        if result.returncode:
            raise SystemExit(f"frugal.cloud.{playbook} ended with exit code {result.returncode}")

    def actions(self) -> dict[str, int]:
        """Number of actions by status, from the report's own data."""
        report = json.loads((self.output / "report.json").read_text())
        return {status["name"]: status["count"] for status in report["summary"]["statuses"]}

    def held(self) -> int:
        """Number of approved actions that wait for an SLO, from the ledger."""
        ledger = sqlite3.connect(f"file:{self.output / 'data' / 'ledger.db'}?mode=ro", uri=True)
        with contextlib.closing(ledger):
            query = "SELECT count(*) FROM frugal_actions WHERE status = 'approved' AND why LIKE 'SLO %'"
            return int(ledger.execute(query).fetchone()[0])

    def apply(self) -> int:
        """Carry out what was approved; returns how many changes an SLO held back for a while."""
        self.play("rightsizing", frugal_stage="apply")
        if not self.prometheus:
            return 0
        held = self.held()
        self.say(f"{held} changes wait: the error budget of {SLO['slo']} burns. {LATER_HOURS} hours pass, it stops")
        self.simulator.clock(advance_seconds=LATER_HOURS * 3600)
        self.play("rightsizing", frugal_stage="apply")
        return held

    def costs(self) -> float:
        """Import the bills so far, look at them, put tags, labels, budgets and monitors in order; the sum in USD."""
        paths = self.simulator.bills(self.output / "exports", MONTHS)
        self.say(f"the providers left the bills of {MONTHS} months in {self.output / 'exports'}")
        exports = [{"source": f"{cloud}-export", "paths": files} for cloud, files in paths.items()]
        wanted = {**COSTS, "cost_management_exports": exports, "cost_management_report_directory": str(self.output)}
        self.play("cost_management", **wanted)
        self.play("cost_management", frugal_stage="apply", **wanted)
        self.play("cost_management", frugal_stage="verify", **wanted)
        with (self.output / "costs.csv").open(encoding="utf-8", newline="") as file:
            return sum(float(row["cost"]) for row in csv.DictReader(file))

    def run(self, costs: bool = True) -> dict[str, t.Any]:
        """The loop; returns what goes into summary.json (money in USD/month)."""
        began = time.monotonic()
        spent = self.costs() if costs else 0.0
        clock = self.simulator.clock()["epoch"]
        # What the same month would be like with the types of now: demand does not depend on them.
        before = self.simulator.truth(clock, clock + WINDOW_DAYS * DAY)["totals"]
        self.play("rightsizing", frugal_stage="recommend")
        self.play("approve", frugal_approve="all")
        held = self.apply()
        self.say("a day passes on the simulated clock")
        self.simulator.clock(advance_seconds=25 * 3600)
        self.play("rightsizing", frugal_stage="verify")
        self.say("a month passes on the simulated clock")
        self.simulator.clock(advance_seconds=WINDOW_DAYS * DAY)
        self.play("rightsizing", frugal_stage="verify")
        self.play("report", report_directory=str(self.output))
        after = self.simulator.truth(clock, clock + WINDOW_DAYS * DAY)["totals"]
        counts = self.actions()
        return {
            "cost_of_3_months": round(spent, 2),
            "monthly_cost_before": round(before["monthly_cost"], 2),
            "monthly_cost_after": round(after["monthly_cost"], 2),
            "reduction": round(1 - after["monthly_cost"] / before["monthly_cost"], 4),
            "actions_applied": counts.get("applied", 0) + counts.get("verified", 0),
            "actions_held_by_slo": held,
            "actions_refused": counts.get("skipped", 0) + counts.get("rejected", 0),
            "overload_minutes_before": round(before["overload_minutes"], 1),
            "overload_minutes_after": round(after["overload_minutes"], 1),
            "api_requests": self.simulator.stats()["total"],
            "seconds": round(time.monotonic() - began, 1),
        }


def table(summary: dict[str, t.Any], instances: int) -> str:
    """The summary for people."""
    days = WINDOW_DAYS
    rows = [
        (f"cost of {MONTHS} months on both clouds so far", f"{summary['cost_of_3_months']:>12,.0f} USD"),
        (f"list price of {instances} instances, before", f"{summary['monthly_cost_before']:>12,.0f} USD/month"),
        ("after", f"{summary['monthly_cost_after']:>12,.0f} USD/month"),
        ("reduction", f"{summary['reduction']:>12.1%}"),
        ("changes applied", f"{summary['actions_applied']:>12}"),
        ("changes that waited for an SLO", f"{summary['actions_held_by_slo']:>12}"),
        ("changes refused, each with its reason", f"{summary['actions_refused']:>12}"),
        (f"overload minutes of the next {days} days, as it was", f"{summary['overload_minutes_before']:>12,.0f}"),
        ("as it is", f"{summary['overload_minutes_after']:>12,.0f}"),
        ("API requests", f"{summary['api_requests']:>12}"),
        ("seconds", f"{summary['seconds']:>12}"),
    ]
    width = max(len(name) for name, _value in rows)
    return "\n".join(f"  {name.ljust(width)}  {value}" for name, value in rows)


def main() -> None:
    """Arguments, simulator, loop, summary."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="seed of the estate")
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--without-costs", action="store_true", help="leave out what is done with bills")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    if output.exists():
        shutil.rmtree(output)
    output.mkdir(parents=True)
    instances = arguments.instances
    print(f"starting simulated clouds: {instances} instances in {len(ACCOUNTS)} accounts, seed {arguments.seed}")
    with (
        SimulatorProcess(f"demo:{arguments.seed}:{arguments.instances}") as simulator,
        slo_server(output / "prometheus", simulator.clock()["epoch"]) as prometheus,
    ):
        summary = Demo(simulator, output, prometheus).run(not arguments.without_costs)
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"\n{table(summary, instances)}\n")
    print(f"report: {output / 'report.html'}\nfigures: {output / 'summary.json'}")


if __name__ == "__main__":
    main()
