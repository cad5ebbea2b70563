# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database under the ledger: address, tables, transactions and the lock of a run.

SQLite (a local file in WAL mode) and PostgreSQL behave the same from here on: a write
transaction excludes other writers on SQLite from its beginning, and a run's lock is free
the moment that its process dies.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import types
import typing as t
from collections.abc import Iterator

from ansible_collections.frugal.cloud.plugins.module_utils import deps

if t.TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

#: Version of the tables. A ledger of another version is left alone.
SCHEMA_VERSION = 1
#: Key of the PostgreSQL advisory lock under which the tables are created.
_CREATE_LOCK = 0x66727567616C
_SQLITE_HEADER = b"SQLite format 3\0"


class LedgerError(Exception):
    """The ledger cannot be used; the text is one sentence without any password."""


@functools.lru_cache(maxsize=1)
def tables() -> types.SimpleNamespace:
    """The tables: ``meta, plans, actions, approvals, journal, savings, runs`` and their ``metadata``.

    ``other`` is ``actions`` under another name, to compare rows with each other.

    Times are texts as ``plan.iso`` writes them: equal in both databases, and they sort.
    ``actions.record`` is the recommendation as zlib-compressed JSON.
    """
    sa = deps.sqlalchemy
    metadata = sa.MetaData()
    text, number = sa.Text, sa.Integer

    def column(name: str, kind: t.Any, **options: t.Any) -> t.Any:
        return sa.Column(name, kind, **{"nullable": False, **options})

    meta = sa.Table("frugal_ledger", metadata, column("version", number))
    plans = sa.Table(
        "frugal_plans",
        metadata,
        column("id", text, primary_key=True),
        column("scope", text),
        column("digest", text),
        column("policy", text),
        column("context", text),
        column("status", text),
        column("superseded_by", text, default=""),
        column("created_at", text),
    )
    sa.Index(
        "frugal_plans_one_open",
        plans.c.scope,
        unique=True,
        sqlite_where=plans.c.status == "open",
        postgresql_where=plans.c.status == "open",
    )
    actions = sa.Table(
        "frugal_actions",
        metadata,
        column("id", text, primary_key=True),
        column("plan_id", text),
        column("scope", text),
        column("recommendation_id", text),
        column("change_key", text),
        column("resource_id", text),
        column("kind", text),
        column("rank", number),
        column("status", text),
        column("previous_status", text, default=""),
        column("reason", text),
        column("why", text),
        column("rule", text),
        column("approvers_needed", number),
        column("approver_group", text),
        column("valid_days", sa.Float),
        column("approved_until", text, nullable=True),
        column("goal", text, default="apply"),
        column("run_id", text, default=""),
        column("deferred_by", text, default=""),
        column("saving", sa.Float),
        column("currency", text),
        column("applied_at", text, nullable=True),
        column("finished_at", text, nullable=True),
        column("updated_at", text),
        column("record", sa.LargeBinary),
        sa.Index("frugal_actions_plan", "plan_id", "rank"),
        sa.Index("frugal_actions_status", "status", "scope", "rank"),
        sa.Index("frugal_actions_resource", "scope", "resource_id", "status"),
    )
    approvals = sa.Table(
        "frugal_approvals",
        metadata,
        column("seq", number, primary_key=True, autoincrement=True),
        column("action_id", text),
        column("digest", text),
        column("approver", text),
        column("decision", text),
        column("comment", text),
        column("at", text),
        column("expires_at", text, nullable=True),
        sa.Index("frugal_approvals_action", "action_id"),
    )
    journal = sa.Table(
        "frugal_journal",
        metadata,
        column("seq", number, primary_key=True, autoincrement=True),
        column("action_id", text),
        column("run_id", text),
        column("at", text),
        column("direction", text),
        column("phase", text),
        column("step", text),
        column("result", text),
        column("detail", text),
        sa.Index("frugal_journal_action", "action_id", "seq"),
    )
    sa.Index(
        "frugal_journal_one_result",
        journal.c.action_id,
        journal.c.direction,
        unique=True,
        sqlite_where=journal.c.phase == "result",
        postgresql_where=journal.c.phase == "result",
    )
    savings = sa.Table(
        "frugal_savings",
        metadata,
        column("seq", number, primary_key=True, autoincrement=True),
        column("action_id", text),
        column("kind", text),
        column("period_start", text),
        column("period_end", text, nullable=True),
        column("amount", sa.Float),
        column("currency", text),
        column("basis", text),
        column("source", text),
        column("recorded_at", text),
        sa.UniqueConstraint("action_id", "kind", "period_start", "basis", name="frugal_savings_once"),
    )
    runs = sa.Table(
        "frugal_runs",
        metadata,
        column("id", text, primary_key=True),
        column("kind", text),
        column("operator", text),
        column("host", text),
        column("process", number),
        column("started_at", text),
        column("ended_at", text, nullable=True),
        column("outcome", text, default=""),
    )
    return types.SimpleNamespace(
        metadata=metadata,
        meta=meta,
        plans=plans,
        actions=actions,
        other=actions.alias("other"),
        approvals=approvals,
        journal=journal,
        savings=savings,
        runs=runs,
    )


class RunLock(t.Protocol):
    """A lock that is free the moment that the process which holds it dies."""

    def held(self) -> bool:
        """Whether this process still holds it."""

    def release(self) -> None:
        """Let it go; a second time does nothing."""


class _FileLock:
    """``flock`` on a file of its own: for ledgers in a SQLite file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            self._descriptor = None
            raise

    def held(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = None


class _AdvisoryLock:
    """A PostgreSQL advisory lock on a connection that does nothing else."""

    def __init__(self, connection: Connection, key: int) -> None:
        self._connection: Connection | None = connection
        self._key = key

    def held(self) -> bool:
        """Ask the server: after a broken connection the lock is gone although we live."""
        if self._connection is None:
            return False
        query = deps.sqlalchemy.text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() "
            "AND ((classid::bigint << 32) | objid::bigint) = :key"
        )
        try:
            return bool(self._connection.execute(query, {"key": self._key}).scalar())
        except deps.sqlalchemy.exc.SQLAlchemyError:
            return False

    def release(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(deps.sqlalchemy.exc.SQLAlchemyError):
                connection.invalidate()  # closes the server's side, and the lock with it
            connection.close()


class Database:
    """An open ledger database. ``shown`` is its address without a password.

    :raises LedgerError: from every method, when the database cannot do what is asked.
    """

    def __init__(
        self, engine: Engine, shown: str, *, path: str = "", timeout: float = 30.0, hidden: tuple[str, ...] = ()
    ) -> None:
        self.engine = engine
        self.shown = shown
        self.postgresql = engine.dialect.name == "postgresql"
        self._path = path
        self._timeout = timeout
        self._hidden = hidden

    @property
    def named(self) -> str:
        """What messages call it. ledger_url is no_log and Ansible masks its value, so a file is named by its path."""
        return self._path or self.shown

    @classmethod
    def open(cls, address: str, *, read_only: bool = False, timeout: float = 30.0) -> Database:
        """Open ``address`` and create the tables where there are none.

        :param address: ``sqlite:///path`` (``~`` is the home folder) or ``postgresql+psycopg://...``.
        :param read_only: change nothing; a ledger that does not exist yet is then an empty one.
        :param timeout: seconds to wait for another writer or for the server.
        :raises LedgerError: when it cannot be used; nothing was changed then.
        :raises deps.MissingLibrary: when SQLAlchemy or psycopg is missing.
        """
        url = _parsed(address)
        if url.get_backend_name() == "sqlite":
            database = cls._open_sqlite(url, read_only, timeout)
        else:
            database = cls._open_postgresql(url, read_only, timeout)
        try:
            return database._prepared(read_only)
        except BaseException:
            database.close()
            raise

    @classmethod
    def _open_sqlite(cls, url: URL, read_only: bool, timeout: float) -> Database:
        if not url.database or url.database == ":memory:":
            raise LedgerError("ledger_url names no file; give sqlite:///path/to/ledger.db")
        path = os.path.abspath(os.path.expanduser(url.database))
        shown = f"sqlite:///{path}"
        try:
            if _size(path):
                with open(path, "rb") as file:
                    if file.read(len(_SQLITE_HEADER)) != _SQLITE_HEADER:
                        raise LedgerError(
                            f"ledger {path} is not a SQLite database; give another path or restore a copy"
                        )
            elif read_only:
                return cls._empty(shown)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f"ledger {path} cannot be used: {error.strerror}; give a path that you may write"
            ) from error
        mode = "ro" if read_only else "rwc"
        engine = deps.sqlalchemy.create_engine(
            deps.sqlalchemy.engine.URL.create(
                "sqlite", database=f"file:{_quoted(path)}", query={"mode": mode, "uri": "true"}
            ),
            connect_args={"timeout": timeout},
        )
        _serialise_writers(engine, wal=not read_only)
        return cls(engine, shown, path=path, timeout=timeout)

    @classmethod
    def _open_postgresql(cls, url: URL, read_only: bool, timeout: float) -> Database:
        deps.psycopg  # noqa: B018 -- says what is missing better than SQLAlchemy does
        hidden = [str(url.password)] if url.password else []
        hidden += [str(value) for key, value in url.query.items() if "pass" in key.lower()]
        query = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
        engine = deps.sqlalchemy.create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={} if "connect_timeout" in url.query else {"connect_timeout": max(1, int(timeout))},
        )
        shown = url.set(query=query).render_as_string(hide_password=True)
        return cls(engine, shown, timeout=timeout, hidden=tuple(hidden))

    @classmethod
    def _empty(cls, shown: str) -> Database:
        """What a ledger that does not exist yet looks like to somebody who only reads."""
        engine = deps.sqlalchemy.create_engine("sqlite://", poolclass=deps.sqlalchemy.pool.StaticPool)
        with engine.begin() as connection:
            tables().metadata.create_all(connection)
        return cls(engine, shown)

    def _prepared(self, read_only: bool) -> Database:
        """Check the tables' version; create them where there are none."""
        sa, known = deps.sqlalchemy, tables()
        with self.read() as connection:
            names = set(sa.inspect(connection).get_table_names())
            present = known.meta.name in names
            version = connection.execute(sa.select(known.meta.c.version)).scalar() if present else None
        if present and version is not None:
            if version != SCHEMA_VERSION:
                raise LedgerError(
                    f"ledger {self.named} has tables of version {version}; this release of frugal.cloud reads version "
                    f"{SCHEMA_VERSION}: use the release that wrote it, or another ledger"
                )
            return self
        if self._path and names - {table.name for table in known.metadata.sorted_tables}:
            raise LedgerError(f"ledger {self.named} is a database of another program; give another path")
        if read_only:
            if self._path or self.postgresql:
                self.close()
                return Database._empty(self.shown)
            return self
        with self.write() as connection:
            if self.postgresql:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATE_LOCK})
            known.metadata.create_all(connection)
            if connection.execute(sa.select(known.meta.c.version)).scalar() is None:
                connection.execute(sa.insert(known.meta).values(version=SCHEMA_VERSION))
        return self

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._guard(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: committed when the block ends, rolled back when it raises."""
        with self._guard(), self.engine.connect() as plain:
            connection = plain.execution_options(frugal_write=True)
            with connection.begin():
                yield connection

    def lock(self, run_id: str) -> RunLock | None:
        """The lock of ``run_id``, or None when a living process holds it."""
        if self.postgresql:
            key = int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], "big") >> 1
            with self._guard():
                connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                got = connection.execute(
                    deps.sqlalchemy.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}
                ).scalar()
                if got:
                    return _AdvisoryLock(connection, key)
                connection.close()
                return None
        if not self._path:
            raise LedgerError(f"ledger {self.named} does not exist yet; a run needs one that may be written")
        folder = f"{self._path}-runs"
        try:
            os.makedirs(folder, exist_ok=True)
            return _FileLock(os.path.join(folder, f"{run_id}.lock"))
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                return None
            raise LedgerError(f"ledger {self.named}: the folder {folder} cannot be used: {error.strerror}") from error

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn what the database says into one sentence."""
        try:
            yield
        except deps.sqlalchemy.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            lines = str(cause).strip().splitlines() or [type(cause).__name__]
            said = lines[0].strip()
            for secret in self._hidden:
                said = said.replace(secret, "***")
            raise LedgerError(f"ledger {self.named} {self._sentence(said)}") from None

    def _sentence(self, said: str) -> str:
        low = said.lower()
        if "is locked" in low or "lock timeout" in low:
            return f"is locked by another process (waited {self._timeout:g} s); run again when that one has finished"
        if "malformed" in low or "not a database" in low or "corrupt" in low:
            return f"is damaged ({said}); restore a copy or give another path"
        if "readonly" in low or "read-only" in low:
            return f"may not be written ({said}); give one that you may write"
        if "unable to open" in low:
            return f"cannot be opened ({said}); give a path that you may read and write"
        if "connection" in low or "could not" in low or "resolve" in low:
            return f"cannot be reached: {said}; check its address, its server and the password"
        return f"answered: {said}"


def _parsed(address: str) -> URL:
    """The address, if it is one that a ledger can have. What is wrong is said without repeating a password."""
    right = "it must be sqlite:///path/to/ledger.db or postgresql+psycopg://user@host/database"
    try:
        url = deps.sqlalchemy.engine.make_url(address)
    except (deps.sqlalchemy.exc.ArgumentError, ValueError):
        raise LedgerError(f"ledger_url is not a database address; {right}") from None
    if url.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql", "postgres", "postgresql+psycopg"):
        raise LedgerError(f"ledger_url names the database {url.drivername!r}; {right}")
    return url.set(drivername="postgresql") if url.drivername == "postgres" else url


def _size(path: str) -> int:
    """Bytes of a file, 0 where there is none. :raises OSError: when that cannot be told."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _quoted(path: str) -> str:
    """A path within a SQLite ``file:`` address."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _serialise_writers(engine: Engine, *, wal: bool) -> None:
    """Begin write transactions with BEGIN IMMEDIATE.

    A deferred transaction that reads and then writes fails at once when another one wrote in
    between, whatever the busy timeout; an immediate one waits for its turn.
    """
    event = deps.sqlalchemy.event

    def connected(connection: t.Any, _record: t.Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
        if wal:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    def begun(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("frugal_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
