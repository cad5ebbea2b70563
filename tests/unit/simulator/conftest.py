# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator for tests: in a thread of this process, because a process of its own takes seconds to start."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import threading
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# ansible-test's own environment has no moto: there is nothing to test there.
if importlib.util.find_spec("moto") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from simulator import estate
    from simulator.gateway import Gateway
    from simulator.http_server import Server
    from simulator.process import Simulator

    class ThreadSimulator(Simulator):
        """The simulator in a thread; ``cloud`` and ``gateway`` can be looked into."""

        def __init__(self, description: dict[str, t.Any], folder: pathlib.Path | None = None) -> None:
            self.cloud = estate.build(description, folder)
            self.gateway = Gateway(self.cloud, DomainDispatcherApplication(create_backend_app))
            self.server = Server("127.0.0.1", 0, self.gateway)
            self.url = f"http://127.0.0.1:{self.server.port}"
            self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
            self._thread.start()

        def stop(self) -> None:
            """Stop serving and wait for the thread."""
            self.server.shutdown()
            self.server.server_close()
            self._thread.join()


Start = t.Callable[..., t.Any]


@pytest.fixture
def start() -> t.Iterator[Start]:
    """Starts simulators for estate descriptions; they are stopped after the test."""
    running: list[t.Any] = []

    def begin(description: dict[str, t.Any], folder: pathlib.Path | None = None) -> t.Any:
        simulator = ThreadSimulator(description, folder)
        running.append(simulator)
        return simulator

    yield begin
    for simulator in running:
        simulator.stop()
