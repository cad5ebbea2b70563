# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An AWS that answers from Python, for what reads it: the requests are checked by botocore's own models."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterator

import botocore.session
import botocore.validate
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError

_SESSION = botocore.session.get_session()
Answer = t.Callable[..., t.Any]


class FakeAws(Aws):
    """``answers`` maps ``service:method`` to what it returns: a value, a list of pages, an error, or a function."""

    def __init__(self, answers: dict[str, t.Any], region: str = "eu-west-1") -> None:
        super().__init__(region)
        self.answers: dict[str, t.Any] = answers
        self.asked: list[tuple[str, dict[str, t.Any]]] = []
        self._account = "111111111111"

    def _answer(self, service: str, method: str, arguments: dict[str, t.Any]) -> t.Any:
        name = f"{service}:{method}"
        self.asked.append((name, arguments))
        sent = {key: value for key, value in arguments.items() if key not in ("PaginationConfig", "prepare", "region")}
        operation = "".join(part.capitalize() for part in method.split("_"))
        shape = _SESSION.get_service_model(service).operation_model(operation).input_shape
        if shape is not None:
            report = botocore.validate.ParamValidator().validate(sent, shape)
            assert not report.has_errors(), report.generate_report()
        answer = self.answers[name]
        if callable(answer):
            answer = answer(**sent)
        if isinstance(answer, AwsError):
            raise answer
        return answer

    def read(self, service: str, method: str, region: str = "", **arguments: t.Any) -> t.Any:
        """The answer of one call."""
        return self._answer(service, method, {**arguments, "region": region})

    def pages(self, service: str, method: str, region: str = "", **arguments: t.Any) -> Iterator[dict[str, t.Any]]:
        """The pages of an answer."""
        answer = self._answer(service, method, {**arguments, "region": region})
        yield from answer if isinstance(answer, list) else [answer]

    def count(self, name: str) -> int:
        """How many times ``service:method`` was called."""
        return sum(asked == name for asked, _arguments in self.asked)


@pytest.fixture
def fake_aws() -> Callable[..., FakeAws]:
    """Build one."""
    return FakeAws
