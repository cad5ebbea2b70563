# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference shop: its table of pages under way, on which the promise about prices rests, and its settings."""

from __future__ import annotations

import os
import threading
import time

import pytest
from ansible_collections.frugal.cloud.tests.reference_site.shop import settings
from ansible_collections.frugal.cloud.tests.reference_site.shop.rendering import Rendering


def waited(rendering: Rendering, longest: float = 5.0) -> threading.Thread:
    """Somebody who waits for the pages that are under way now."""
    thread = threading.Thread(target=rendering.wait, args=(longest,), daemon=True)
    thread.start()
    return thread


def test_a_change_waits_for_pages_that_began_before() -> None:
    rendering = Rendering()
    rendering.begin()
    thread = waited(rendering)
    thread.join(0.05)
    assert thread.is_alive()
    rendering.end()
    thread.join(5)
    assert not thread.is_alive()


def test_a_change_does_not_wait_for_pages_that_begin_later() -> None:
    """This thread's page ends and the next begins before the one who waits looks: it is another page."""
    rendering = Rendering()
    rendering.begin()
    thread = waited(rendering)
    thread.join(0.02)
    rendering.begin()
    thread.join(5)
    assert not thread.is_alive()


def test_a_page_that_is_not_cacheable_any_more_is_not_waited_for() -> None:
    rendering = Rendering()
    rendering.begin()
    before = time.monotonic()
    rendering.wait(0.05)
    assert 0.04 <= time.monotonic() - before < 2


def test_processes_see_each_others_pages() -> None:
    """The table is shared by what is forked after it was made, and no two threads have one place."""
    rendering = Rendering()
    begun, go_on = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        rendering.begin()
        os.write(begun[1], b".")
        os.read(go_on[0], 1)
        rendering.end()
        os._exit(0)
    os.read(begun[0], 1)
    rendering.begin()
    rendering.end()
    thread = waited(rendering)
    thread.join(0.05)
    assert thread.is_alive()
    os.write(go_on[1], b".")
    thread.join(5)
    assert not thread.is_alive()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "the shop's environment lacks DATABASE_URL and SHOP_STAFF_TOKEN"),
        ({"CACHE_PURGE_URL": "cache1:6081"}, r"CACHE_PURGE_URL is cache1:6081; it takes http:// URLs"),
        ({"CACHE_PURGE_URL": "http://cache1:6081"}, "CACHE_PURGE_URL is set and CACHE_PURGE_TOKEN is not"),
    ],
)
def test_wrong_settings_are_refused(environ: dict[str, str], sentence: str) -> None:
    needed = {"DATABASE_URL": "dbname=shop", "SHOP_STAFF_TOKEN": "x"} if environ else {}
    with pytest.raises(settings.SettingsError, match=sentence):
        settings.read(needed | environ)
