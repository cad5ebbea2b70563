# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caching in the application: what a cache policy names is kept in Redis, and a change is seen at once.

``cached`` keeps a value for the policy's seconds: good for what may be that old. ``leased`` is for values that
must not outlive a change. Each such value is kept under a lease, a random number stored beside it. Whoever changes
the value deletes the lease after the commit; who reads next makes a new one before looking at the database. A
reader that looked before the commit stores its old value under the old lease, where nobody looks any more.
Whatever Redis does (not there, slow, key evicted), the database answers.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import typing as t
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import redis

#: seconds; a cache that takes longer is no help
TIMEOUT = 0.25
#: seconds that a lease lives without being renewed: longer than any value under it
LEASE = 86400

Load = Callable[[Sequence[str]], Mapping[str, t.Any]]


class ForgetError(Exception):
    """The cache may still hold what has to be forgotten; one sentence."""


class Cache:
    """Redis behind a policy: ``{"listing": {"seconds": 60}, "card": {"seconds": 300, "leased": true}}``."""

    def __init__(self, url: str, policy: Path) -> None:
        self._policy: dict[str, dict[str, t.Any]] = json.loads(policy.read_text(encoding="utf-8"))
        self._redis: redis.Redis | None = None
        if url:
            self._redis = redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)

    def _rule(self, kind: str) -> dict[str, t.Any] | None:
        return self._policy.get(kind) if self._redis is not None else None

    def keeps(self, kind: str) -> bool:
        """Whether values of this kind are cached at all."""
        return self._rule(kind) is not None

    def cached(self, kind: str, key: str, load: Callable[[], t.Any]) -> t.Any:
        """The value of ``kind`` and ``key``, at most the policy's seconds old; None is not kept."""
        rule = self._rule(kind)
        if rule is None or self._redis is None:
            return load()
        name = f"shop:{kind}:{key}"
        try:
            found = self._redis.get(name)
        except redis.RedisError:
            return load()
        if found is not None:
            return json.loads(found)
        value = load()
        if value is not None:
            with contextlib.suppress(redis.RedisError):
                self._redis.set(name, json.dumps(value), ex=rule["seconds"])
        return value

    def leased(self, kind: str, keys: Sequence[str], load: Load) -> dict[str, t.Any]:
        """The values of ``kind`` by key, none older than the last ``forget`` of its key."""
        rule = self._rule(kind)
        if rule is None or self._redis is None or not keys:
            return dict(load(keys)) if keys else {}
        try:
            leases = self._leases(kind, keys)
            kept = self._redis.mget([f"shop:{kind}:{key}:{leases[key]}" for key in keys])
        except redis.RedisError:
            return dict(load(keys))
        values = {key: json.loads(value) for key, value in zip(keys, kept) if value is not None}
        missing = [key for key in keys if key not in values]
        if missing:
            loaded = load(missing)
            values.update(loaded)
            pipeline = self._redis.pipeline(transaction=False)
            for key, value in loaded.items():
                pipeline.set(f"shop:{kind}:{key}:{leases[key]}", json.dumps(value), ex=rule["seconds"])
            with contextlib.suppress(redis.RedisError):
                pipeline.execute()
        return values

    def _leases(self, kind: str, keys: Sequence[str]) -> dict[str, str]:
        """Each key's lease; those that have none get one."""
        assert self._redis is not None
        names = [f"shop:lease:{kind}:{key}" for key in keys]
        leases = {key: lease.decode() for key, lease in zip(keys, self._redis.mget(names)) if lease is not None}
        lacking = [key for key in keys if key not in leases]
        if lacking:
            # Another reader may be making one too: SET NX decides, and both read what was decided.
            pipeline = self._redis.pipeline(transaction=False)
            for key in lacking:
                pipeline.set(f"shop:lease:{kind}:{key}", secrets.token_hex(8), nx=True, ex=LEASE)
                pipeline.get(f"shop:lease:{kind}:{key}")
            answers = pipeline.execute()
            for key, lease in zip(lacking, answers[1::2]):
                # Evicted or forgotten in between: a lease that nobody shares.
                leases[key] = lease.decode() if lease is not None else secrets.token_hex(8)
        return leases

    def forget(self, kind: str, keys: Sequence[str]) -> None:
        """Forget leased values after a commit; raises ForgetError where Redis cannot be told."""
        if self._rule(kind) is None or self._redis is None or not keys:
            return
        for attempt in (1, 2, 3):
            try:
                self._redis.delete(*(f"shop:lease:{kind}:{key}" for key in keys))
                return
            except redis.RedisError as error:
                if attempt == 3:
                    raise ForgetError(f"Redis cannot be told to forget {kind} {', '.join(keys)}: {error}") from None
