# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules share: the ledger's option, moments in time, and errors as one sentence."""

from __future__ import annotations

import contextlib
import datetime
import os
import typing as t
from collections.abc import Iterator

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.plan import from_iso

#: Where the ledger is when nobody says: documented in ``doc_fragments/ledger.py``.
DEFAULT_LEDGER = "sqlite:///~/.frugal/ledger.db"

LEDGER_OPTIONS: dict[str, dict[str, t.Any]] = {
    # A database URL may hold a password: no_log keeps it out of logs and results.
    "ledger_url": {"type": "str", "no_log": True},
}


class OptionError(ValueError):
    """An option has a value that cannot be used: one sentence that names option, value and what is right."""


class FailingModule(t.Protocol):
    """What AnsibleModule and AnsibleAWSModule have in common here."""

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        """Exit with an error."""


def ledger_url(given: str | None) -> str:
    """The ledger's URL: the option, else E(FRUGAL_LEDGER_URL), else a file in the home folder."""
    return given or os.environ.get("FRUGAL_LEDGER_URL") or DEFAULT_LEDGER


def moment(text: str | None, option: str) -> datetime.datetime | None:
    """The moment that an option names (ISO 8601, UTC unless it says otherwise), or None where it is not set.

    :raises OptionError: when it is not a time.
    """
    if not text:
        return None
    try:
        return from_iso(text)
    except ValueError:
        raise OptionError(f"{option} is {text!r}: give a time such as 2026-01-31T06:00:00Z") from None


@contextlib.contextmanager
def failing_clearly(module: FailingModule) -> Iterator[None]:
    """Turn the errors that this collection raises on purpose into one sentence; others stay what they are."""
    try:
        yield
    except deps.MissingLibrary as error:
        module.fail_json(msg=missing_required_lib(error.distribution), exception=error.trace)
    except Exception as error:
        if not getattr(type(error), "__module__", "").startswith("ansible_collections.frugal.cloud."):
            raise
        module.fail_json(msg=str(error))
