# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real varnishd on loopback in front of the shop, both of this process alone."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import typing as t
import urllib.request
from pathlib import Path

SHOP = Path(__file__).with_name("shop.py")


@dataclasses.dataclass(frozen=True)
class Cache:
    """Where the parts are. ``instance`` is varnishd's working directory, what its tools call -n."""

    port: int
    shop_port: int
    instance: str

    def made(self) -> int:
        """How many pages the shop has made."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.shop_port}/count", timeout=10) as reply:
            return int(json.load(reply)["made"])


def program() -> str | None:
    """varnishd, or None where Debian's package varnish is not installed."""
    return shutil.which("varnishd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def shop(folder: Path, *, address: str = "127.0.0.1", echo: bool = False) -> t.Iterator[int]:
    """Serve the shop; it goes with the block. Its port."""
    port = free_port()
    command = [sys.executable, str(SHOP), str(port), "--address", address, *(["--echo"] if echo else [])]
    with open(folder / "shop.log", "wb") as log, contextlib.ExitStack() as stack:
        stack.callback(_end, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        _wait(address, port, folder / "shop.log")
        yield port


@contextlib.contextmanager
def running(folder: Path, *, storage: str = "malloc,64M", echo: bool = False) -> t.Iterator[Cache]:
    """Start the shop and varnishd with its own VCL; both go with the block."""
    daemon = program()
    if daemon is None:
        raise RuntimeError("varnishd is not installed: apt-get install varnish")
    port = free_port()
    instance = folder / "varnishd"
    command = [daemon, "-F", "-n", str(instance), "-j", "none", "-a", f"127.0.0.1:{port}", "-s", storage]
    with contextlib.ExitStack() as stack:
        shop_port = stack.enter_context(shop(folder, echo=echo))
        command += ["-b", f"127.0.0.1:{shop_port}"]
        log = stack.enter_context(open(folder / "varnishd.log", "wb"))
        stack.callback(_end, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        _wait("127.0.0.1", port, folder / "varnishd.log")
        yield Cache(port, shop_port, str(instance))


def _wait(address: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing listens on {address}:{port}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
