# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pgbouncer's auth_query needs in PostgreSQL: a user, and a function that shows it password hashes.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import os
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_postgres import (
    Connection,
    ask,
    execute,
    identifier,
    literal,
)

#: Rounds of a new SCRAM secret, PostgreSQL's own default.
ITERATIONS = 4096
FUNCTION = "get_auth"
#: Superusers and replication users are not let through a pool.
BODY = """
SELECT rolname::text, rolpassword::text FROM pg_catalog.pg_authid
WHERE rolname = wanted AND rolcanlogin AND NOT rolsuper AND NOT rolreplication
AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())
"""


def scram_secret(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """The secret that PostgreSQL keeps for a password (RFC 5802, RFC 7677).

    The password is taken as it is: SASLprep leaves printable ASCII alone.
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.new(salted, b"Client Key", hashlib.sha256).digest()).digest()
    server = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def scram_matches(secret: str, password: str) -> bool:
    """Whether a kept secret is the one of this password."""
    try:
        kind, rounds, keys = secret.split("$", 2)
        iterations, salt = rounds.split(":", 1)
        if kind != "SCRAM-SHA-256" or ":" not in keys:
            return False
        made = scram_secret(password, base64.b64decode(salt, validate=True), int(iterations))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(made, secret)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The user and the databases that have the function, in ``schema``."""

    user: str
    password: str = dataclasses.field(repr=False)
    schema: str
    databases: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """Statements for one database; ``shown`` is what people may see of them."""

    database: str
    statements: tuple[str, ...]
    shown: tuple[str, ...]


def present(connection: Connection, wanted: Wanted) -> list[Step]:
    """What is missing.

    :raises HostError: when the server cannot be asked, or the user is one that must not be used for this.
    """
    steps = []
    roles = ask(
        connection,
        [
            f"""
SELECT rolcanlogin AS login, rolsuper AS super, coalesce(rolpassword, '') AS secret
FROM pg_authid WHERE rolname = {literal(wanted.user)}"""
        ],
    )[0]
    if roles and roles[0]["super"] == "t":
        raise HostError(f"{wanted.user} is a superuser: give pgbouncer's auth_query a user of its own")
    name = identifier(wanted.user)
    if not roles or roles[0]["login"] != "t" or not scram_matches(roles[0]["secret"], wanted.password):
        verb = "ALTER" if roles else "CREATE"
        secret = scram_secret(wanted.password, os.urandom(16))
        shown = f"{verb} ROLE {name} LOGIN PASSWORD"
        steps.append(Step(connection.database, (f"{shown} {literal(secret)}",), (f"{shown} ...",)))
    for database in wanted.databases:
        missing = _missing(connection.to(database), wanted)
        if missing:
            steps.append(Step(database, missing, missing))
    return steps


def _missing(connection: Connection, wanted: Wanted) -> tuple[str, ...]:
    schema, user = identifier(wanted.schema), identifier(wanted.user)
    found = ask(
        connection,
        [
            f"SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = {literal(wanted.schema)}) AS there",
            f"""
SELECT p.prosrc AS body, p.prosecdef AS definer, p.proacl IS NOT NULL AND NOT EXISTS (
 SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0) AS closed,
 coalesce(array_to_string(p.proconfig, ','), '') AS settings,
 EXISTS (SELECT FROM aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
 WHERE r.rolname = {literal(wanted.user)}) AS granted,
 EXISTS (SELECT FROM aclexplode(n.nspacl) a JOIN pg_roles r ON r.oid = a.grantee
 WHERE r.rolname = {literal(wanted.user)} AND a.privilege_type = 'USAGE') AS usable
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = {literal(wanted.schema)} AND p.proname = '{FUNCTION}'""",
        ],
    )
    right = {
        "body": BODY,
        "definer": "t",
        "closed": "t",
        "settings": "search_path=pg_catalog",
        "granted": "t",
        "usable": "t",
    }
    if found[1] and dict(found[1][0]) == right:
        return ()
    function = f"{schema}.{FUNCTION}(text)"
    made = () if found[0][0]["there"] == "t" else (f"CREATE SCHEMA {schema}",)
    signature = f"{schema}.{FUNCTION}(wanted text) RETURNS TABLE(username text, password text) LANGUAGE sql STABLE"
    return (
        *made,
        f"CREATE OR REPLACE FUNCTION {signature} SECURITY DEFINER SET search_path = pg_catalog AS $auth${BODY}$auth$",
        f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {user}",
        f"GRANT EXECUTE ON FUNCTION {function} TO {user}",
    )


def absent(connection: Connection, wanted: Wanted) -> list[Step]:
    """What has to go. :raises HostError: when the server cannot be asked."""
    steps = []
    user = identifier(wanted.user)
    there = ask(connection, [f"SELECT count(*) AS count FROM pg_roles WHERE rolname = {literal(wanted.user)}"])[0]
    for database in wanted.databases:
        found = ask(
            connection.to(database),
            [f"SELECT count(*) AS count FROM pg_namespace WHERE nspname = {literal(wanted.schema)}"],
        )[0]
        if found[0]["count"] != "0":
            gone = (
                f"DROP FUNCTION IF EXISTS {identifier(wanted.schema)}.{FUNCTION}(text)",
                f"DROP SCHEMA {identifier(wanted.schema)}",
            )
            steps.append(Step(database, gone, gone))
    if there[0]["count"] != "0":
        steps.append(Step(connection.database, (f"DROP ROLE {user}",), (f"DROP ROLE {user}",)))
    return steps


def carry_out(connection: Connection, steps: t.Sequence[Step]) -> None:
    """Do the steps, each database in one transaction. :raises HostError: with what the server said."""
    for step in steps:
        execute(connection.to(step.database), step.statements)
