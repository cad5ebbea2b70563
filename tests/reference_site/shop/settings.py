# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the environment says about the shop's surroundings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

#: seconds that a page may take to be cacheable, from its first look at its data: nobody waits longer for one
RENDERING = 5.0
#: seconds until what the server has handed to the network is in every cache
ARRIVAL = 0.2


class SettingsError(Exception):
    """The environment lacks something or holds something wrong; one sentence."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the shop's services are."""

    #: libpq's connection string: the server itself, a connection pool or a query cache
    database_url: str
    #: what the shop's staff authorises with
    staff_token: str
    #: the shop's name, by which caches know its pages
    host: str = "shop.example.com"
    #: Redis; without one nothing is cached in the application
    cache_url: str = ""
    #: cache_policy.json or a file of the same form
    cache_policy: Path = Path(__file__).parent / "cache_policy.json"
    #: HTTP caches that are told what to forget, separated by commas; without one nobody is told
    purge_urls: tuple[str, ...] = ()
    purge_token: str = ""


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raises SettingsError."""
    environ = os.environ if environ is None else environ
    missing = [name for name in ("DATABASE_URL", "SHOP_STAFF_TOKEN") if not environ.get(name)]
    if missing:
        raise SettingsError(f"the shop's environment lacks {' and '.join(missing)}")
    urls = tuple(url.strip().rstrip("/") for url in environ.get("CACHE_PURGE_URL", "").split(",") if url.strip())
    for url in urls:
        if not url.startswith("http://"):
            raise SettingsError(f"CACHE_PURGE_URL is {url}; it takes http:// URLs, separated by commas")
    if urls and not environ.get("CACHE_PURGE_TOKEN"):
        raise SettingsError("CACHE_PURGE_URL is set and CACHE_PURGE_TOKEN is not: caches need it to let us purge")
    return Settings(
        database_url=environ["DATABASE_URL"],
        staff_token=environ["SHOP_STAFF_TOKEN"],
        host=environ.get("SHOP_HOST") or Settings.host,
        cache_url=environ.get("CACHE_URL", ""),
        cache_policy=Path(environ.get("CACHE_POLICY") or Settings.cache_policy),
        purge_urls=urls,
        purge_token=environ.get("CACHE_PURGE_TOKEN", ""),
    )
