# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake cloud for the executor, ledgers on both databases, and recommendations to plan with."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import tempfile
import types
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.executor import (
    Decision,
    Done,
    Drifted,
    Executor,
    Observed,
    Perform,
    StepOutcome,
    Wait,
)
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import JournalEntry, Ledger
from ansible_collections.frugal.cloud.plugins.module_utils.ledger_database import tables
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)

NOW = datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.timezone.utc)  # a Monday
SCOPE = "111122223333/eu-west-1"
OLD, NEW = "m5.2xlarge", "m6i.large"
AUTOMATIC = {"approval": [{"name": "all", "automatic": True}]}


def recommendation(number: int = 0, **changes: t.Any) -> Recommendation:
    """A recommendation for instance ``number`` that saves 100 + number USD/month."""
    values: dict[str, t.Any] = {
        "action": "ec2_instance_type",
        "provider": "aws",
        "scope": Scope("111122223333", "eu-west-1"),
        "resource": Resource(f"i-{number:04}", "ec2_instance", f"web-{number}", {"env": "dev"}),
        "current": {"instance_type": OLD},
        "proposed": {"instance_type": NEW},
        "monthly": Monthly(300.0, 200.0 - number, 100.0 + number),
        "finding": "over_provisioned",
        "reasons": ("the 99.5th percentile of CPU binds",),
        "binding_constraint": "cpu",
        "risk": Risk.of({"cpu": 1}),
        "effort": "restart",
        "evidence": {"window_end": "2026-03-01", "price_source": "test price list"},
    }
    return Recommendation(**{**values, **changes})


def tagged(number: int, **changes: t.Any) -> Recommendation:
    """A recommendation whose resource has other attributes."""
    plain = recommendation(number)
    return dataclasses.replace(plain, resource=dataclasses.replace(plain.resource, **changes))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, now: datetime.datetime = NOW) -> None:
        self.time = now

    def __call__(self) -> datetime.datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += datetime.timedelta(seconds=seconds)


class Crash(BaseException):
    """The process dies here. Not an Exception: nothing may catch it."""


@dataclasses.dataclass
class FakeInstance:
    """An instance that can be stopped, resized while stopped, and started; each takes a while."""

    type: str = OLD
    state: str = "running"
    polls: int = 0
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


class FakeCloud:
    """Instances in memory, and every state-changing call in order, with whether it changed anything."""

    def __init__(self, count: int = 0) -> None:
        self.instances = {f"i-{number:04}": FakeInstance() for number in range(count)}
        self.calls: list[tuple[str, str, bool]] = []
        self.no_capacity: set[str] = set()
        self.denied: set[str] = set()

    def change(self, step: str, identity: str, wanted: str) -> None:
        instance = self.instances[identity]
        before = (instance.type, instance.state)
        if step in self.denied:
            raise PermissionError(f"not allowed: {step}")
        if step == "stop" and instance.state == "running":
            instance.state, instance.polls = "stopping", 1
        elif step == "resize":
            if instance.state != "stopped":
                raise RuntimeError("IncorrectInstanceState")
            instance.type = wanted
        elif step == "start" and instance.state == "stopped":
            if instance.type in self.no_capacity:
                raise LookupError("InsufficientInstanceCapacity")
            instance.state, instance.polls = "pending", 1
        self.calls.append((step, identity, before != (instance.type, instance.state)))

    def look(self, identity: str) -> FakeInstance:
        instance = self.instances[identity]
        if instance.state in ("stopping", "pending"):
            if instance.polls == 0:
                instance.state = "stopped" if instance.state == "stopping" else "running"
            else:
                instance.polls -= 1
        return instance


class FakeActor:
    """Resizes fake instances. ``before`` and ``after`` run around each call of the cloud."""

    kinds = ("ec2_instance_type",)

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.reads = 0
        self.largest_read = 0
        self.performs = 0
        self.before: Callable[[str, str], None] = lambda step, identity: None
        self.after: Callable[[str, str], None] = lambda step, identity: None

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Observed]:
        self.reads += 1
        self.largest_read = max(self.largest_read, len(actions))
        found: dict[str, Observed] = {}
        for action in actions:
            identity = action.recommendation.resource.id
            if identity in self.cloud.instances:
                instance = self.cloud.look(identity)
                state = {"type": instance.type, "state": instance.state}
                found[action.id] = Observed(state, {"env": "dev", **instance.tags})
        return found

    def decide(
        self, action: PlannedAction, observed: Observed | None, direction: str, journal: Sequence[JournalEntry]
    ) -> Decision:
        if observed is None:
            return Drifted("it does not exist any more")
        old, new = action.recommendation.current["instance_type"], action.recommendation.proposed["instance_type"]
        goal = new if direction == "apply" else old
        kind, state = observed.state["type"], observed.state["state"]
        if kind not in (old, new):
            return Drifted(f"it is {kind}, neither {old} nor {new}")
        if state in ("stopping", "pending"):
            return Wait(5, f"it is {state}")
        if kind == goal:
            return Done() if state == "running" else Perform("start")
        return Perform("stop", {"was": state}) if state == "running" else Perform("resize", {"from": kind})

    def perform(self, step: str, actions: Sequence[PlannedAction]) -> Mapping[str, StepOutcome]:
        self.performs += 1
        outcomes: dict[str, StepOutcome] = {}
        for action in actions:
            identity = action.recommendation.resource.id
            values = action.recommendation.proposed if action.direction == "apply" else action.recommendation.current
            self.before(step, identity)
            try:
                self.cloud.change(step, identity, values["instance_type"])
            except (LookupError, PermissionError) as error:
                outcomes[action.id] = StepOutcome("failed", str(error))
            else:
                outcomes[action.id] = StepOutcome()
            self.after(step, identity)
        return outcomes


@dataclasses.dataclass
class World:
    """A ledger with a plan of approved actions, the cloud they are about, and a clock."""

    ledger: Ledger
    cloud: FakeCloud
    actor: FakeActor
    clock: Clock

    def executor(self, **options: t.Any) -> Executor:
        return Executor(
            self.ledger, self.actor, **{"now": self.clock, "sleep": self.clock.sleep, "max_in_flight": 4, **options}
        )


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Build a world of ``count`` instances with one approved action each.

    All worlds of a test share one ledger, emptied in between, in memory where the system has
    a file system for that: some tests build a hundred worlds.
    """
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="frugal-ledger-", dir=memory) as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")

        def make(count: int = 3, policy: Mapping[str, t.Any] | None = None) -> World:
            with ledger.database.write() as connection:
                for table in tables().metadata.sorted_tables:
                    if table is not tables().meta:
                        connection.execute(table.delete())
            cloud = FakeCloud(count)
            recommendations = [recommendation(number) for number in range(count)]
            ledger.make_plan(SCOPE, recommendations, Policy.from_dict(AUTOMATIC if policy is None else policy), NOW)
            return World(ledger, cloud, FakeActor(cloud), Clock())

        yield make
        ledger.close()


@pytest.fixture
def sqlite_url(tmp_path: pathlib.Path) -> str:
    """The address of a SQLite ledger that does not exist yet."""
    return f"sqlite:///{tmp_path}/state/ledger.db"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server of its own on a free port; yields the address of its maintenance database."""
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(folders[-1]) if folders else shutil.which("initdb")
    if not found:
        pytest.skip("PostgreSQL's initdb is not installed")
    binaries = pathlib.Path(found).parent
    as_root = os.geteuid() == 0
    if as_root:
        try:
            subprocess.run(["runuser", "-u", "postgres", "--", "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("root may not run PostgreSQL, and there is no user postgres to run it as")
    prefix = ["runuser", "-u", "postgres", "--"] if as_root else []
    folder = tempfile.mkdtemp(prefix="frugal-postgresql-")
    os.chmod(folder, 0o755)
    data = os.path.join(folder, "data")
    os.mkdir(data)
    if as_root:
        shutil.chown(data, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    control = shlex.join([*prefix, str(binaries / "pg_ctl"), "-D", data, "-w"])
    # Ends the server when this process ends, however it ends: ansible-test forks a process for
    # each test and lets it die without tearing down.
    keeper = subprocess.Popen(
        ["sh", "-c", f"cat; {control} -m immediate stop; rm -rf {shlex.quote(folder)}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )

    def call(*command: str) -> None:
        subprocess.run([*prefix, *command], check=True, capture_output=True, cwd="/")

    try:
        call(str(binaries / "initdb"), "-D", data, "-A", "trust", "-U", "frugal", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        call(str(binaries / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", os.path.join(data, "log"), "start")
        yield f"postgresql+psycopg://frugal@127.0.0.1:{port}/postgres"
    finally:
        assert keeper.stdin
        keeper.stdin.close()
        keeper.wait(timeout=60)


@pytest.fixture
def postgresql_url(postgresql_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database."""
    import sqlalchemy

    name = f"ledger_{abs(hash(request.node.nodeid)) % 10**12}"
    engine = sqlalchemy.create_engine(postgresql_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    try:
        yield postgresql_server.rpartition("/")[0] + f"/{name}"
    finally:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty ledger, on each of the databases."""
    address: str = request.getfixturevalue(f"{request.param}_url")
    return address


@pytest.fixture(scope="session")
def spine() -> types.SimpleNamespace:
    """What tests share; a fixture, because importlib mode has no imports between test files."""
    return types.SimpleNamespace(
        NOW=NOW,
        SCOPE=SCOPE,
        OLD=OLD,
        NEW=NEW,
        AUTOMATIC=AUTOMATIC,
        recommendation=recommendation,
        tagged=tagged,
        Crash=Crash,
        Clock=Clock,
        FakeActor=FakeActor,
        FakeCloud=FakeCloud,
    )
