# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules share: where the ledger is, moments, and errors as one sentence."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import (
    DEFAULT_LEDGER,
    OptionError,
    failing_clearly,
    ledger_url,
    moment,
)

UTC = datetime.timezone.utc


class Failed(Exception):
    """fail_json ends a module; this ends a test."""


class Module:
    def fail_json(self, msg: str, **more: t.Any) -> t.NoReturn:
        raise Failed(msg, more)


def test_where_the_ledger_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRUGAL_LEDGER_URL", raising=False)
    assert ledger_url(None) == DEFAULT_LEDGER
    monkeypatch.setenv("FRUGAL_LEDGER_URL", "sqlite:///from/environment.db")
    assert ledger_url("") == "sqlite:///from/environment.db"
    assert ledger_url("sqlite:///from/option.db") == "sqlite:///from/option.db"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T06:00:00Z", datetime.datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("2026-01-31T06:00:00", datetime.datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("2026-01-31T06:00:00+02:00", datetime.datetime(2026, 1, 31, 4, tzinfo=UTC)),
        ("2026-01-31", datetime.datetime(2026, 1, 31, tzinfo=UTC)),
        ("", None),
        (None, None),
    ],
)
def test_moments(text: str | None, expected: datetime.datetime | None) -> None:
    assert moment(text, "as_of") == expected


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "31.01.2026"])
def test_a_moment_that_is_none(text: str) -> None:
    with pytest.raises(OptionError, match=f"^as_of is '{text}': give a time such as 2026-01-31T06:00:00Z$"):
        moment(text, "as_of")


def test_our_errors_become_sentences() -> None:
    with pytest.raises(Failed) as caught, failing_clearly(Module()):
        raise AwsError("one sentence")
    assert caught.value.args == ("one sentence", {})


def test_a_missing_library_says_what_to_install() -> None:
    with pytest.raises(Failed, match="numpy") as caught, failing_clearly(Module()):
        raise deps.MissingLibrary("numpy", "the trace")
    assert caught.value.args[1] == {"exception": "the trace"}


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), failing_clearly(Module()):
        raise ZeroDivisionError
