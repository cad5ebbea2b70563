# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask PostgreSQL and pgbouncer's console through psql, in bounded pieces.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import re
import secrets
import subprocess
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_service import find_program, said

#: longest run of one statement (milliseconds)
STATEMENT_TIMEOUT = 30_000
Row = dict[str, str]

#: Settings of sessions that read.
_READ_ONLY = {"default_transaction_read_only": "on", "statement_timeout": STATEMENT_TIMEOUT}
#: Settings of a superuser's session that is shown how statements are parsed; they stay out of the server's log.
_SHOW_TREES = {
    "log_min_messages": "panic",
    "log_min_error_statement": "panic",
    "client_min_messages": "log",
    "debug_pretty_print": "off",
    "debug_print_parse": "on",
    "debug_print_rewritten": "on",
    "pg_stat_statements.track": "none",
}
#: What a query may ask psql for by itself, or could end: such texts are not handed to it.
_UNSAFE = re.compile(r"[\\;\0]")
#: what psql writes before each message, and what is of no use to a reader
_PREFIX = re.compile(r"psql: ?(?:\S+:\d+: )?(?:error: )?")


@dataclasses.dataclass(frozen=True)
class Connection:
    """How psql reaches a server. An empty ``host`` is the default socket.

    ``system_user`` is who runs psql where the module runs as root: for peer authentication.
    """

    host: str = ""
    port: int = 5432
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    database: str = "postgres"
    system_user: str = ""
    sslmode: str = ""
    #: seconds
    connect_timeout: int = 10

    @property
    def place(self) -> str:
        """Address for people."""
        return f"{self.host or 'the local socket'}:{self.port}"

    def to(self, database: str) -> Connection:
        """The same server, another database."""
        return dataclasses.replace(self, database=database)


def _command(connection: Connection) -> list[str]:
    program = find_program("psql")
    if not program:
        raise HostError("psql is not on this host: install postgresql-client")
    words = [program, "--no-psqlrc", "--quiet", "--csv", "--no-password", "--file=-"]
    if connection.host:
        words.append(f"--host={connection.host}")
    words += [f"--port={connection.port}", f"--dbname={connection.database}"]
    if connection.user:
        words.append(f"--username={connection.user}")
    if connection.system_user and os.geteuid() == 0:
        # Not runuser: it opens a session, and takes the terminal.
        words = [
            "setpriv",
            f"--reuid={connection.system_user}",
            f"--regid={connection.system_user}",
            "--init-groups",
            "--",
            *words,
        ]
    return words


def _run(connection: Connection, script: str, timeout: float, settings: t.Mapping[str, t.Any]) -> tuple[int, str, str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PGCLIENTENCODING": "UTF8", "PGAPPNAME": "frugal"}
    environment["PGCONNECT_TIMEOUT"] = str(connection.connect_timeout)
    if settings:
        # Not SET: statements that sessions use are counted, and these are ours.
        environment["PGOPTIONS"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
    if connection.password:
        environment["PGPASSWORD"] = connection.password
    if connection.sslmode:
        environment["PGSSLMODE"] = connection.sslmode
    try:
        done = subprocess.run(
            _command(connection),
            input=script.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
            env=environment,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"PostgreSQL at {connection.place} did not answer within {timeout:.0f} s") from None
    except OSError as error:
        raise HostError(f"psql cannot be run: {os.strerror(error.errno or 0)}") from None
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def ask(connection: Connection, statements: t.Sequence[str], *, console: bool = False) -> list[list[Row]]:
    """The rows of each statement, in one session that only reads.

    ``console`` is for pgbouncer's, which knows no transactions and no settings.

    :raises HostError: with what the server said, when it cannot be reached or refuses.
    """
    mark = secrets.token_hex(12)
    lines = ["\\set ON_ERROR_STOP on"]
    for statement in statements:
        lines += [f"\\echo {mark}", statement.rstrip().rstrip(";") + ";"]
    timeout = STATEMENT_TIMEOUT / 1000 * (1 + len(statements))
    code, output, errors = _run(connection, "\n".join(lines) + "\n", timeout, {} if console else _READ_ONLY)
    if code:
        raise HostError(refusal(connection, errors))
    return [list(csv.DictReader(io.StringIO(part.lstrip("\n")))) for part in output.split(mark)[1:]]


def execute(connection: Connection, statements: t.Sequence[str]) -> None:
    """Run statements in one transaction, all or none.

    :raises HostError: with what the server said.
    """
    ended = [text.rstrip(";") + ";" for text in statements]
    script = "\n".join(["\\set ON_ERROR_STOP on", "BEGIN;", *ended, "COMMIT;"])
    code, _output, errors = _run(connection, script + "\n", 4 * STATEMENT_TIMEOUT / 1000, {})
    if code:
        raise HostError(refusal(connection, errors))


def refusal(connection: Connection, errors: str) -> str:
    """What psql wrote, as one sentence that names the server."""
    text = said(_PREFIX.sub("", errors))
    text = re.sub(r"^connection to server (at|on socket) .*? failed: ", "", text)
    who = f" for user {connection.user}" if connection.user else ""
    return f"PostgreSQL at {connection.place}{who}, database {connection.database}: {text or 'psql failed'}"


# --- What the server's own parser says about a statement


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a statement refers to, by object identifiers, as the server's parser and rewriter see it.

    ``error`` says why that is not known.
    """

    relations: tuple[int, ...] = ()
    functions: tuple[int, ...] = ()
    types: tuple[int, ...] = ()
    select: bool = False
    locks_rows: bool = False
    modifies: bool = False
    samples: bool = False
    #: CURRENT_TIMESTAMP, CURRENT_USER and such, which are no functions to the parser
    session_values: bool = False
    error: str = ""


_NUMBERS = {
    "relations": re.compile(r":rtekind 0 :relid (\d+)"),
    "functions": re.compile(r":(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)"),
    "types": re.compile(r":(?:vartype|funcresulttype|resulttype|opresulttype|aggtype|paramtype) (\d+)"),
}
_TREE = re.compile(r"LOG:  (rewritten )?parse tree:\s+DETAIL:  (.*?)(?=\n\n|\Z)", re.DOTALL)
_COMMAND = re.compile(r":commandType (\d)")


def facts(connection: Connection, queries: t.Sequence[tuple[str, str]]) -> list[Facts]:
    """What each of ``queries`` (user, text with $1, $2 for constants) refers to. None of them is executed.

    psql's ``\\gdesc`` sends a statement to be parsed alone, by the protocol that takes one statement at a time. The
    server then sends its parse tree, before and after views are put in, to this session and not to its log.

    :raises HostError: when the server cannot be reached, or this user may not keep the trees from its log.
    """
    if not queries:
        return []
    mark = secrets.token_hex(12)
    lines = []
    role = None
    for user, text in queries:
        if user != role:
            lines += ["RESET ROLE;", f"SET ROLE {identifier(user)};"]
            role = user
        lines.append(f"\\warn {mark}begin")
        if not unsafe(text):
            lines += [text.rstrip().rstrip(";"), "\\gdesc"]
        lines.append(f"\\warn {mark}end")
    script = "\n".join(lines) + "\n"
    code, _output, errors = _run(connection, script, STATEMENT_TIMEOUT / 1000 * 4, {**_READ_ONLY, **_SHOW_TREES})
    parts = re.findall(f"{mark}begin\n(.*?){mark}end", errors, re.DOTALL)
    if code or len(parts) != len(queries):
        raise HostError(refusal(connection, errors))
    return [
        Facts(error="its text has a backslash, a semicolon or is no text") if unsafe(text) else read_facts(part)
        for (_user, text), part in zip(queries, parts)
    ]


def unsafe(text: str) -> bool:
    """Whether a text must not be handed to psql: it could be more than one statement, or a command of psql's."""
    return bool(_UNSAFE.search(text.rstrip().rstrip(";"))) or not text.strip()


def read_facts(messages: str) -> Facts:
    """The facts in what the server sent about one statement."""
    trees = [(bool(found[0]), found[1]) for found in _TREE.findall(messages)]
    parsed = next((tree for rewritten, tree in trees if not rewritten), "")
    rewritten = next((tree for after, tree in trees if after), "")
    if not parsed:
        error = re.search(r"ERROR:  (.*)", messages)
        return Facts(error=error.group(1) if error else "the server did not show how it parses it")
    # The lines are wrapped; texts in them are constants and names, which are not looked at.
    both = re.sub(r"\s+", " ", parsed + " " + rewritten)
    commands = set(_COMMAND.findall(both))

    def numbers(name: str) -> tuple[int, ...]:
        return tuple(sorted({int(one) for one in _NUMBERS[name].findall(both)} - {0}))

    return Facts(
        select=_COMMAND.search(both) is not None and commands == {"1"},
        locks_rows="{ROWMARKCLAUSE" in both or ":hasForUpdate true" in both,
        modifies=":hasModifyingCTE true" in both or bool(commands - {"1"}),
        samples="{TABLESAMPLECLAUSE" in both,
        session_values="{SQLVALUEFUNCTION" in both or "{NEXTVALUEEXPR" in both,
        relations=numbers("relations"),
        functions=numbers("functions"),
        types=numbers("types"),
    )


# --- SQL


def identifier(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL, whatever ``standard_conforming_strings`` says."""
    doubled = text.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"
