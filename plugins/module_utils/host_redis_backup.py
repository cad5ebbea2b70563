# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of a Redis Cluster: a snapshot of each master, each slot in exactly one of them.

Each snapshot is one moment of one master; Redis has none of the whole cluster. What is made sure of is that no slot
moved and no master was replaced meanwhile, so no key is missing or there twice.
Runs on managed hosts: standard library only, Python 3.9 or later, and redis-cli.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import time
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import redis_plan
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import Endpoint
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_cluster import View, parse_nodes
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_nodes import Nodes

MANIFEST = "manifest.json"
#: how a folder that is not complete ends
PARTIAL = ".partial"
#: longest transfer of one snapshot (seconds)
TRANSFER = 3600.0


@dataclasses.dataclass(frozen=True)
class Backup:
    """What was kept and what was removed."""

    path: str
    masters: tuple[str, ...]
    removed: tuple[str, ...]
    bytes: int


def masters_of(view: View) -> dict[str, frozenset[int]]:
    """Master -> its slots, as one node has it.

    :raises HostError: when a slot has no master that answers, or is on its way between two.
    """
    found = {line.address: line.slots for line in view.lines if not line.master and line.slots}
    count = sum(len(slots) for slots in found.values())
    if count != redis_plan.SLOTS:
        raise HostError(f"{redis_plan.SLOTS - count} slots have no master: mend the cluster before it is backed up")
    for line in view.lines:
        if line.address in found and line.flags & {"fail", "fail?"}:
            raise HostError(f"{line.address} does not answer and has slots: wait until a replica has taken over")
        if line.migrating or line.importing:
            raise HostError(f"slots of {line.address} are being moved: back up when that is done")
    return found


def back_up(endpoint: Endpoint, folder: str, keep: int, *, check: bool = False) -> Backup:
    """Fetch a snapshot of each master into a folder below ``folder``, and remove the oldest beyond ``keep``.

    :raises HostError: when that cannot be; nothing is removed then, and no half backup is left.
    """
    if keep < 1:
        raise HostError(f"keep is {keep}: give 1 or more")
    address = endpoint.name
    nodes = Nodes(endpoint, {})
    try:
        before = _masters(nodes, address)
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = os.path.join(folder, name)
        old = sorted(one for one in _complete(folder))
        surplus = old[: max(0, len(old) + 1 - keep)]
        if check:
            return Backup(target, tuple(sorted(before)), tuple(os.path.join(folder, one) for one in surplus), 0)
        work = target + PARTIAL
        os.makedirs(work, mode=0o700)
        try:
            entries = [_fetch(nodes.endpoint(master), slots, work) for master, slots in sorted(before.items())]
            if _masters(nodes, address) != before:
                raise HostError("a slot moved or a master was replaced while it was backed up: try again")
            with open(os.path.join(work, MANIFEST), "w", encoding="utf-8") as file:
                json.dump({"taken": name, "masters": entries}, file, indent=2, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            os.rename(work, target)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        for one in surplus:
            shutil.rmtree(os.path.join(folder, one))
        size = sum(int(entry["bytes"]) for entry in entries)
        return Backup(target, tuple(sorted(before)), tuple(os.path.join(folder, one) for one in surplus), size)
    finally:
        nodes.close()


def _complete(folder: str) -> t.Iterator[str]:
    """Names of the backups that are there; other folders are not ours to count or to remove."""
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            if os.path.exists(os.path.join(folder, name, MANIFEST)) and not name.endswith(PARTIAL):
                yield name


def _masters(nodes: Nodes, address: str) -> dict[str, frozenset[int]]:
    text = nodes.ask(address, ("CLUSTER", "NODES"))[0]
    return masters_of(View(address, parse_nodes(text), {}, {}))


def _fetch(where: Endpoint, slots: t.AbstractSet[int], work: str) -> dict[str, t.Any]:
    """One snapshot, taken over the replication protocol as a new replica would, and looked at by Redis' own check."""
    path = os.path.join(work, where.name.replace(":", "-").strip("[]") + ".rdb")
    words = ["redis-cli", "--no-auth-warning", "-h", where.address, "-p", str(where.port), "--rdb", path]
    if where.username:
        words += ["--user", where.username]
    if where.tls:
        words += ["--tls"] + ([] if where.validate_certs else ["--insecure"])
        for option, value in (
            ("--cacert", where.ca_certs),
            ("--cert", where.client_cert_file),
            ("--key", where.client_key_file),
        ):
            words += [option, value] if value else []
    # Not on the command line, which everybody on the host can read.
    environment = {**os.environ, "REDISCLI_AUTH": where.password} if where.password else dict(os.environ)
    _run(words, environment, f"the snapshot of {where.name}")
    _run(["redis-check-rdb", path], dict(os.environ), f"the check of the snapshot of {where.name}")
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
        os.fsync(file.fileno())
    os.chmod(path, 0o600)
    return {
        "address": where.name,
        "file": os.path.basename(path),
        "slots": redis_plan.ranges(slots),
        "bytes": os.path.getsize(path),
        "sha256": digest.hexdigest(),
    }


def _run(words: t.Sequence[str], environment: dict[str, str], what: str) -> None:
    try:
        done = subprocess.run(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TRANSFER, check=False
        )
    except FileNotFoundError:
        raise HostError(f"{words[0]} is not on this host: install redis-tools") from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{what} did not end within {TRANSFER:.0f} s") from None
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise HostError(f"{what} failed: {lines[-1]} (exit code {done.returncode})")
