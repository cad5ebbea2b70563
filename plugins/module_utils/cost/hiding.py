# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Account ids and addresses hidden in what a declarative module returns and in what it fails with."""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Iterator, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked, masked_all
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, result

_Dict: t.TypeAlias = "dict[str, t.Any]"


@contextlib.contextmanager
def hidden(show: bool) -> Iterator[None]:
    """Sentences of errors without account ids and addresses, unless they are to be shown."""
    try:
        yield
    except Exception as error:
        if not show and error.args and isinstance(error.args[0], str):
            error.args = (masked(error.args[0]), *error.args[1:])
        raise


def hidden_result(changes: Sequence[Change], show: bool) -> _Dict:
    """What a module returns about its changes; its diff without account ids and addresses, unless they are shown."""
    told = result(changes)
    return told if show else {**told, "diff": masked_all(told["diff"])}
