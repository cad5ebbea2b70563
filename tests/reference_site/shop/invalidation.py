# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells HTTP caches which pages to forget: those that carry one of the named surrogate keys.

The request is ``BAN /`` with the keys in ``X-Ban-Tag`` and the shared token in ``X-Purge-Token``, as role varnish
takes it.
"""

from __future__ import annotations

import http.client
import time
import urllib.parse
from collections.abc import Sequence

from shop.cache import ForgetError
from shop.rendering import Rendering
from shop.settings import ARRIVAL, RENDERING, Settings

#: seconds until a cache must have answered
TIMEOUT = 5.0


def ban(settings: Settings, keys: Sequence[str]) -> None:
    """Let every cache forget the pages that carry one of ``keys``; raises ForgetError where one does not."""
    for url in settings.purge_urls:
        parts = urllib.parse.urlsplit(url)
        headers = {"Host": settings.host, "X-Purge-Token": settings.purge_token, "X-Ban-Tag": " ".join(keys)}
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
        try:
            connection.request("BAN", parts.path or "/", headers=headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ForgetError(f"the cache {url} cannot be told to forget {' '.join(keys)}: {error}") from None
        finally:
            connection.close()
        if answer.status >= 300:
            raise ForgetError(f"the cache {url} refuses to forget {' '.join(keys)}: HTTP status {answer.status}")


def ban_surely(settings: Settings, rendering: Rendering, keys: Sequence[str]) -> None:
    """The same, and again when every page rendered before now has arrived where it is kept.

    Such a page may reach a cache after the first ban. So wait until all of them have left, and ARRIVAL seconds more.
    """
    if not settings.purge_urls:
        return
    ban(settings, keys)
    rendering.wait(RENDERING)
    time.sleep(ARRIVAL)
    ban(settings, keys)
