# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives the real playbooks against a simulated cloud, and reads back what they did.

A :class:`Loop` is an operator: a data folder, credentials of one account and a clock. It runs
playbooks as processes of their own and tells exit code, recap and results of tasks; ledger
and cloud are read past the code under test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import time
import typing as t
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.tests.hosts.playbooks import BIN, ROOT, Ran
from ansible_collections.frugal.cloud.tests.simulator.process import SimulatorProcess

NOW = "2026-06-15T12:00:00Z"
FIRST, SECOND = "111111111111", "222222222222"
REGION = "us-east-1"
SECRET = "the-secret-access-key-of-the-tests"
#: Little CPU, little memory: an m5.2xlarge that can become the smallest size of a family.
QUIET = {"profile": "office", "cpu_percent": 12, "memory_percent": 15, "network_mbps": 20, "ebs_mbps": 5}
#: Short enough for tests, long enough to be killed in.
DELAYS = {"transition": 0.15, "status_checks": 0.15, "refresh_step": 0.15}
#: The state-changing requests that change the type of an instance, in order.
STEPS = ["ec2:StopInstances", "ec2:ModifyInstanceAttribute", "ec2:StartInstances"]
_Dict = dict[str, t.Any]


def estate(instances: Sequence[_Dict], **settings: t.Any) -> _Dict:
    """A description of one account with ``instances``; ``groups``, ``alarms`` and ``accounts`` (more of them) too.

    ``now=None`` is the real time.
    """
    region: _Dict = {"instances": list(instances)}
    for key in ("groups", "alarms"):
        if key in settings:
            region[key] = settings.pop(key)
    more = settings.pop("accounts", [])
    now = settings.pop("now", NOW)
    return {
        **({"now": now} if now else {}),
        "seed": 7,
        "delays": DELAYS,
        "usage": {"quiet": QUIET, **settings.pop("usage", {})},
        "accounts": [{"id": FIRST, "name": "first", "regions": {REGION: region}}, *more],
        **settings,
    }


def machines(name: str, count: int = 1, **settings: t.Any) -> _Dict:
    """An entry of ``instances``: ``count`` oversized machines."""
    return {
        "name": f"{name}-{{n}}" if count > 1 else name,
        "count": count,
        "type": "m5.2xlarge",
        "usage": "quiet",
        "memory_agent": True,
        **settings,
    }


@dataclasses.dataclass
class Loop:
    """An operator with a data folder of their own. ``now`` is the moment that playbooks take for now."""

    simulator: SimulatorProcess
    folder: Path
    account: str = FIRST
    now: str = NOW
    variables: _Dict = dataclasses.field(default_factory=dict)
    environ: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def ledger_url(self) -> str:
        """Where the ledger is."""
        return self.environ.get("FRUGAL_LEDGER_URL") or f"sqlite:///{self.data}/ledger.db"

    def environment(self) -> dict[str, str]:
        """No settings of the person's own Ansible or AWS; the simulator's address and credentials."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "AWS_", "FRUGAL_"))}
        return {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(self.folder),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "OPENBLAS_NUM_THREADS": "1",
            **self.simulator.environment(self.account, REGION),
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "FRUGAL_DATA_DIR": str(self.data),
            **self.environ,
        }

    def start(self, playbook: str, *arguments: str, **variables: t.Any) -> subprocess.Popen[str]:
        """Start a playbook of the collection (or of a file), its output in one pipe."""
        extra = {
            "frugal_as_of": self.now,
            "rightsizing_wait_sleep": 0.2,
            "report_directory": str(self.folder / "reports"),
            **self.variables,
            **variables,
        }
        environment = {key: value for key, value in self.environment().items() if value}
        self.folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [
                str(BIN / "ansible-playbook"),
                playbook if "/" in playbook else f"frugal.cloud.{playbook}",
                "-v",
                "-e",
                json.dumps(extra),
                *arguments,
            ],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, playbook: str, *arguments: str, **variables: t.Any) -> Ran:
        """Run a playbook to its end."""
        process = self.start(playbook, *arguments, **variables)
        try:
            output, _nothing = process.communicate(timeout=600)
        except BaseException:
            kill_tree(process.pid)
            raise
        assert "Traceback" not in output, output
        return Ran(process.returncode, output)

    def good(self, playbook: str, *arguments: str, **variables: t.Any) -> Ran:
        """Run a playbook that must succeed."""
        ran = self.play(playbook, *arguments, **variables)
        assert ran.code == 0, ran.output
        return ran

    def recommend(self, *arguments: str, **variables: t.Any) -> Ran:
        """Find and plan."""
        return self.good("rightsizing", *arguments, **variables)

    def approve(self, *arguments: str, **variables: t.Any) -> Ran:
        """Approve all that waits."""
        return self.good("approve", *arguments, **{"frugal_approve": "all", **variables})

    def stage(self, name: str, *arguments: str, **variables: t.Any) -> Ran:
        """Run another stage of rightsizing, whatever its exit code."""
        return self.play("rightsizing", *arguments, frugal_stage=name, **variables)

    # -- what there is afterwards ----------------------------------------------------------

    def rows(self, query: str, **values: t.Any) -> list[_Dict]:
        """Rows of the ledger's tables."""
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.ledger_url)
        try:
            with engine.connect() as connection:
                return [dict(row._mapping) for row in connection.execute(sqlalchemy.text(query), values)]
        finally:
            engine.dispose()

    def dump(self) -> dict[str, list[str]]:
        """All that the ledger holds, to compare."""
        import sqlalchemy

        if self.ledger_url.startswith("sqlite") and not Path(self.ledger_url.partition("///")[2]).exists():
            return {}
        engine = sqlalchemy.create_engine(self.ledger_url)
        try:
            tables = sqlalchemy.inspect(engine).get_table_names()
        finally:
            engine.dispose()
        return {name: sorted(str(sorted(row.items())) for row in self.rows(f"SELECT * FROM {name}")) for name in tables}

    def actions(self) -> dict[str, _Dict]:
        """Actions of all plans, by name of the resource (the latest plan wins)."""
        names = {value["InstanceId"]: name for name, value in self.instances().items()}
        query = (
            "SELECT a.id, a.plan_id, a.resource_id, a.status, a.reason, a.why, a.goal FROM frugal_actions a "
            "JOIN frugal_plans p ON p.id = a.plan_id ORDER BY p.created_at, a.rank"
        )
        return {names.get(row["resource_id"], row["resource_id"]): row for row in self.rows(query)}

    def statuses(self) -> dict[str, str]:
        """Status of each action, by name of the resource."""
        return {name: row["status"] for name, row in self.actions().items()}

    def proposed(self) -> dict[str, str]:
        """The type that is proposed for each resource, by its name."""
        names = {row["id"]: name for name, row in self.actions().items()}
        return {
            names[row["id"]]: json.loads(zlib.decompress(row["record"]))["proposed"]["instance_type"]
            for row in self.rows("SELECT id, record FROM frugal_actions")
            if row["id"] in names
        }

    def journal(self, phase: str = "") -> list[_Dict]:
        """The journal, in order; one phase of it, if given."""
        rows = self.rows("SELECT * FROM frugal_journal ORDER BY seq")
        return [row for row in rows if phase in ("", row["phase"])]

    def plan_id(self) -> str:
        """The open plan of the account."""
        rows = self.rows("SELECT id FROM frugal_plans WHERE status = 'open' AND scope LIKE :s", s=f"{self.account}/%")
        assert len(rows) == 1
        return str(rows[0]["id"])

    def instances(self) -> dict[str, _Dict]:
        """The account's instances as EC2 lists them, by name; group members by their id."""
        pages = self.simulator.client("ec2", self.account).get_paginator("describe_instances").paginate()
        found: dict[str, _Dict] = {}
        for page in pages:
            for reservation in page["Reservations"]:
                for item in reservation["Instances"]:
                    tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
                    grouped = "aws:autoscaling:groupName" in tags
                    found[item["InstanceId"] if grouped else tags.get("Name", item["InstanceId"])] = item
        return found

    def types(self) -> dict[str, str]:
        """``type state`` of each instance, by name."""
        return {name: f"{item['InstanceType']} {item['State']['Name']}" for name, item in self.instances().items()}

    def changes(self) -> list[_Dict]:
        """Requests that may change something, as the simulator saw them."""
        return t.cast(list[_Dict], self.simulator.stats()["changes"])

    def taken_effect(self) -> dict[str, list[str]]:
        """Resource -> the requests that were not refused, in order."""
        found: dict[str, list[str]] = {}
        for change in self.changes():
            if change["result"] == "ok":
                for resource in change["resources"]:
                    found.setdefault(resource, []).append(change["operation"])
        return found

    def advance(self, hours: float) -> None:
        """Let time pass, in the cloud and for the playbooks."""
        self.now = self.simulator.clock(advance_seconds=hours * 3600)["now"]


def descendants(pid: int) -> list[int]:
    """The processes that ``pid`` has started, and theirs: Ansible's workers are sessions of their own."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found += mine
        waiting += mine
    return found


def kill_tree(pid: int) -> None:
    """kill -9 for a process and all that it has started, itself first so that it starts no more."""
    for number in [pid, *descendants(pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def wait_for(what: t.Callable[[], t.Any], process: subprocess.Popen[str], seconds: float = 120.0) -> bool:
    """Wait until ``what`` is true; false where the process ended first."""
    end = time.monotonic() + seconds
    while process.poll() is None:
        if what():
            return True
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.03)
    return False


def only(values: Mapping[str, t.Any], *names: str) -> dict[str, t.Any]:
    """The part of ``values`` whose keys begin with one of ``names``."""
    return {key: value for key, value in values.items() if key.startswith(names)}
