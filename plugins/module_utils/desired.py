# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declarative module has to change, and what it returns about that. Knows no provider."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable, Mapping, Sequence

_Dict: t.TypeAlias = "dict[str, t.Any]"


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing to do: ``before`` and ``after`` hold what differs; ``request`` is what carries it out."""

    kind: str
    action: t.Literal["create", "update", "delete", "purge", "publish"]
    name: str
    before: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    after: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    request: t.Any = None

    @property
    def about(self) -> str:
        """The thing, in words."""
        return f"{self.kind} {self.name}"


def result(changes: Sequence[Change]) -> _Dict:
    """``changed``, the list of changes, and their diff."""
    return {
        "changed": bool(changes),
        "changes": [{"kind": change.kind, "action": change.action, "name": change.name} for change in changes],
        "diff": [
            {
                "before_header": change.about,
                "after_header": change.about,
                "before": dict(change.before),
                "after": dict(change.after),
            }
            for change in changes
        ],
    }


def carry_out(
    changes: Sequence[Change], one: Callable[[Change], None], error: type[Exception], *, naming: bool = False
) -> None:
    """Do ``one`` for each change, in order.

    :param naming: whether the sentences of ``one`` do not say yet which thing they are about.
    :raises error: as ``one`` raised it; its sentence says in addition how many changes were made before.
    """
    for number, change in enumerate(changes):
        try:
            one(change)
        except error as refused:
            about = f"{change.about}: " if naming else ""
            done = f"; {number} of {len(changes)} changes were made" if len(changes) > 1 else ""
            refused.args = (f"{about}{refused}{done}", *refused.args[1:])
            raise


def differs(wanted: t.Any, found: t.Any) -> bool:
    """Whether what was written is not what is there; what nobody wrote about may be anything.

    A list has to be equal as a whole, its mappings as far as they are written.
    """
    if isinstance(wanted, Mapping):
        return not isinstance(found, Mapping) or any(differs(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        if not isinstance(found, (list, tuple)) or len(wanted) != len(found):
            return True
        return any(differs(one, other) for one, other in zip(wanted, found))
    return bool(wanted != found)


def written(wanted: t.Any, found: t.Any) -> t.Any:
    """The part of ``found`` that ``wanted`` writes about: the left side of a diff."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {key: written(value, found.get(key)) for key, value in wanted.items()}
    return found
