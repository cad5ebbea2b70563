# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference site on two test hosts: ``app1`` has the shop and PostgreSQL, ``cache1`` is for caches.

``caching`` is what an operator's inventory says to ``frugal.cloud.caching``. ``STATES`` are the ways in which the
shop can be run afterwards: each is a set of its environment's variables and the address that customers use, so that
one pair of hosts is measured before and after, and each layer alone.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import http.client
import os
import resource
import socket
import tarfile
import time
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.tests.hosts import machine
from ansible_collections.frugal.cloud.tests.hosts.playbooks import Operator
from ansible_collections.frugal.cloud.tests.hosts.scenario import Scenario
from ansible_collections.frugal.cloud.tests.reference_site import load

FOLDER = Path(__file__).resolve().parent
HOSTS = ("app1", "cache1")
NAME = "shop.example.com"
#: secrets of these tests alone
DATABASE_PASSWORD = "database-of-the-tests"
STAFF_TOKEN = "staff-of-the-tests"
PURGE_TOKEN = "purge-token-of-the-tests"
REDIS_PASSWORD = "redis-of-the-tests"
POOL_PASSWORD = "pool-of-the-tests"
SHOP_PORT, POSTGRESQL_PORT, PGBOUNCER_PORT, QUERY_CACHE_PORT = 8000, 5432, 6432, 9999
REDIS_PORT, VARNISH_PORT = 6379, 6081


def processor_seconds(pid: int) -> dict[str, float]:
    """Processor time that a host's processes have taken so far, by program; ``pid`` is its PID 1 on this machine.

    A process that has ended counts for the one that waited for it: PostgreSQL's connections for its postmaster.
    """
    tick = os.sysconf("SC_CLK_TCK")
    found: dict[str, float] = {}
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            name, fields = Path(f"/proc/{one}/stat").read_text(encoding="utf-8").partition("(")[2].rsplit(")", 1)
        except OSError:
            continue
        waiting.extend(machine.children(one))
        found[name] = found.get(name, 0.0) + sum(map(int, fields.split()[11:15])) / tick
    return found


#: milliseconds of processor time a request by program
Cost = dict[str, float]


@dataclasses.dataclass(frozen=True)
class State:
    """What the shop uses."""

    database_port: int = POSTGRESQL_PORT
    redis: bool = False
    varnish: bool = False


STATES: Mapping[str, State] = {
    "before": State(),
    "pool": State(PGBOUNCER_PORT),
    "query cache": State(QUERY_CACHE_PORT),
    "application cache": State(redis=True),
    "HTTP cache": State(varnish=True),
    "after": State(PGBOUNCER_PORT, redis=True, varnish=True),
}


def scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803), with a salt that is always the same."""
    salt, iterations = b"salt-of-the-tests", 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client, server = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
    stored = hashlib.sha256(client).digest()
    texts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{texts[0]}${texts[1]}:{texts[2]}"


def caching(app: str, cache: str, operator: str) -> tuple[dict[str, list[str]], dict[str, t.Any]]:
    """An operator's groups and variables for ``frugal.cloud.caching``; all three are addresses."""
    groups = {"pgbouncer": ["app1"], "query_cache": ["app1"], "redis": ["cache1"], "varnish": ["cache1"]}
    return groups, {
        "redis_address": cache,
        "redis_password": REDIS_PASSWORD,
        "redis_maxmemory": "64mb",
        "redis_maxmemory_policy": "allkeys-lru",
        # A cache: what is lost at a restart is read again.
        "redis_appendonly": False,
        "redis_save": [],
        "varnish_listen_address": f"{cache}:{VARNISH_PORT}",
        "varnish_sites": [
            {
                "name": "shop",
                "hosts": [NAME],
                "backends": [{"name": "app1", "address": app, "port": SHOP_PORT, "probe": {"path": "/health"}}],
                "query_parameters": {"remove": ["utm_*", "gclid", "fbclid"], "sort": True},
                "cookies": {"pass_on": ["shop_session"], "ignore": ["_ga", "_gid", "_fbp"]},
                "public_paths": ["/", "/c/*", "/p/*", "/search", "/assets/*", "/login"],
                "private_paths": ["/header", "/cart*", "/account", "/checkout", "/staff/*"],
                "grace": "10s",
                "purge": {"addresses": [f"{app}/32"], "token": PURGE_TOKEN},
                "ban": {"tag_header": "Surrogate-Key"},
                "debug": {"addresses": [f"{operator}/32"]},
            }
        ],
        "pgbouncer_databases": [{"name": "shop", "host": "127.0.0.1"}],
        "pgbouncer_pool_mode": "transaction",
        "pgbouncer_default_pool_size": 8,
        "pgbouncer_auth_password": POOL_PASSWORD,
        "pgbouncer_auth_users": {"shop": scram_verifier(DATABASE_PASSWORD)},
        "pgbouncer_manage_database": True,
        "query_cache_database": "shop",
        "query_cache_users": {"shop": DATABASE_PASSWORD},
        # The shop uses the simple protocol: pgpool-II loses writes by the extended one.
        "query_cache_allow_writes": True,
        # Not the products: a price must not be as old as a result may be.
        "query_cache_tables": [
            f"public.{table}" for table in ("categories", "brands", "customers", "sessions", "orders", "order_lines")
        ],
    }


def _without_bytecode(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


class Site:
    """The shop on the hosts of ``scenario``; ``folder`` is the operator's."""

    def __init__(self, scenario: Scenario, folder: Path, without: Sequence[str] = ()) -> None:
        """``without`` names groups that the operator does not want."""
        self.scenario = scenario
        self.operator = Operator(folder)
        self._without = without
        self.app, self.cache = (scenario[name].address for name in HOSTS)

    # Deployment

    def environment(self, state: State) -> dict[str, str]:
        """The shop's environment in this state."""
        values = {
            "SHOP_ADDRESS": "0.0.0.0",
            "SHOP_HOST": NAME,
            "SHOP_STAFF_TOKEN": STAFF_TOKEN,
            "DATABASE_URL": f"host=127.0.0.1 port={state.database_port} dbname=shop user=shop "
            f"password={DATABASE_PASSWORD} sslmode=disable connect_timeout=10",
        }
        if state.redis:
            values["CACHE_URL"] = f"redis://:{REDIS_PASSWORD}@{self.cache}:{REDIS_PORT}/0"
        if state.varnish:
            values["CACHE_PURGE_URL"] = f"http://{self.cache}:{VARNISH_PORT}/"
            values["CACHE_PURGE_TOKEN"] = PURGE_TOKEN
        return values

    def write(self) -> None:
        """Write the inventory with what the operator says about caching, and the playbook that installs the shop."""
        groups, variables = caching(self.app, self.cache, self.scenario.network.gateway)
        wanted = {group: hosts for group, hosts in groups.items() if group not in self._without}
        inventory = self.scenario.inventory({"shop": ["app1"], **wanted})
        inventory["all"]["vars"] |= {"ansible_become": False, **variables}
        self.operator.write("inventory.yml", inventory)
        play = {
            "name": "Install the shop",
            "hosts": "shop",
            "gather_facts": False,
            "tasks": [
                {
                    "name": "Install the reference site",
                    "ansible.builtin.include_tasks": str(FOLDER / "install.yml"),
                    "vars": {
                        "reference_site_archive": str(self._pack()),
                        "reference_site_database_password": scram_verifier(DATABASE_PASSWORD),
                        "reference_site_environment": self.environment(STATES["before"]),
                    },
                }
            ],
        }
        self.operator.write("shop.yml", [play])

    def _pack(self) -> Path:
        """What the shop's host needs, in one file: hosts take many files slowly."""
        path = self.operator.folder / "shop.tar"
        with tarfile.open(path, "w") as archive:
            for name in ("shop", "sql", "gunicorn_settings.py", "../requirements/reference_site.txt"):
                archive.add(FOLDER / name, Path(name).name, filter=_without_bytecode)
        return path

    def install(self) -> None:
        """Install the shop without caches, as it was before."""
        self.write()
        self.operator.good("shop.yml")

    def apply_caching(self) -> str:
        """The one run of the playbook; returns its output."""
        return self.operator.good("frugal.cloud.caching", frugal_stage="apply").output

    # States

    def url(self, state: State) -> str:
        """Where customers go."""
        return f"http://{self.cache}:{VARNISH_PORT}" if state.varnish else f"http://{self.app}:{SHOP_PORT}"

    def enter(self, state: State) -> None:
        """Run the shop in this state, with the data of the beginning and empty caches."""
        host = self.scenario["app1"]
        lines = "".join(f'{name}="{value}"\n' for name, value in sorted(self.environment(state).items()))
        # What holds connections to the database is cut off with it, and starts again.
        between = [unit for unit in ("pgbouncer.service", "pgpool2.service") if self._active(unit)]
        host.run("systemctl", "stop", "shop.service", *between)
        host.run("sh", "/opt/shop/sql/reset")
        if between:
            host.run("systemctl", "start", *between)
        host.run("sh", "-c", 'umask 077; printf %s "$1" > /etc/shop/shop.env', "sh", lines)
        if state.redis:
            self.empty_redis()
        if state.varnish:
            self.ban("X-Ban-Path", "/*")
        host.run("systemctl", "start", "shop.service")
        end = time.monotonic() + 30
        while self.get("/health", state)[0] != 200:
            if time.monotonic() > end:
                raise AssertionError("the shop does not answer: " + host.run("journalctl", "-n", "20", "-u", "shop"))
            time.sleep(0.2)

    def _active(self, unit: str) -> bool:
        return self.scenario["app1"].run("systemctl", "is-active", unit, check=False).strip() == "active"

    def empty_redis(self) -> None:
        """Let Redis forget everything."""
        with socket.create_connection((self.cache, REDIS_PORT), timeout=10) as connection:
            connection.sendall(f"AUTH {REDIS_PASSWORD}\r\nFLUSHALL\r\n".encode())
            with connection.makefile("rb") as answers:
                for said in (answers.readline(), answers.readline()):
                    if said.strip() != b"+OK":
                        raise AssertionError(f"Redis answers {said.decode()}")

    def ban(self, header: str, value: str) -> None:
        """Tell Varnish what to forget, from the shop's host as the shop does."""
        self.scenario["app1"].run(
            *("curl", "-sS", "--fail", "-o", "/dev/null", "-X", "BAN", "-H", f"Host: {NAME}"),
            *("-H", f"X-Purge-Token: {PURGE_TOKEN}", "-H", f"{header}: {value}"),
            f"http://{self.cache}:{VARNISH_PORT}/",
        )

    # Use

    def get(
        self, path: str, state: State, method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """One request to the shop: status, headers in small letters, body; status 0 where nobody answers."""
        address = (self.cache, VARNISH_PORT) if state.varnish and path != "/health" else (self.app, SHOP_PORT)
        connection = http.client.HTTPConnection(*address, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Host": NAME, **named})
            answer = connection.getresponse()
            return (
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read().decode(errors="replace"),
            )
        except OSError:
            return 0, {}, ""
        finally:
            connection.close()

    def processor_seconds(self) -> dict[str, float]:
        """Processor time so far: of the hosts' programs and, as ``k6``, of the load generator."""
        total: dict[str, float] = {}
        for host in self.scenario.hosts:
            for program, seconds in processor_seconds(host.pid).items():
                total[program] = total.get(program, 0.0) + seconds
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return total | {"k6": used.ru_utime + used.ru_stime}

    def measure(self, state: State, seconds: Mapping[str, float], **options: t.Any) -> tuple[load.Measurement, Cost]:
        """Customers use the shop in this state; also returns what a request cost."""
        before = self.processor_seconds()
        measured = load.run(self.url(state), STAFF_TOKEN, seconds, host=NAME, **options)
        after = self.processor_seconds()
        spent = {program: after[program] - before.get(program, 0.0) for program in after}
        return measured, {
            program: 1000 * value / measured.judged for program, value in spent.items() if value > 0 and measured.judged
        }
