# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated clouds and operators for the tests of the loop. Each has folders and ports of its own."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.frugal.cloud.tests.e2e.loop import Loop
from ansible_collections.frugal.cloud.tests.simulator.process import SimulatorProcess
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.spine.conftest import (
    postgresql_server,
    postgresql_url,
)

#: Fixtures that are shared with the tests of the ledger: pytest finds them by their names here.
SHARED = (postgresql_server, postgresql_url)

MakeLoop = Callable[..., Loop]


@pytest.fixture(scope="module")
def make_loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeLoop]:
    """Start a simulator for an estate and return an operator for it; all end with the module's last test."""
    started: list[SimulatorProcess] = []

    def make(description: dict[str, t.Any], **settings: t.Any) -> Loop:
        simulator = SimulatorProcess(description)
        started.append(simulator)
        return Loop(simulator, tmp_path_factory.mktemp("operator"), **settings)

    yield make
    for simulator in started:
        simulator.stop()
