# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New Relic's GraphQL API, NerdGraph: one client with retries, a request counter and error sentences.

Many operations go in one request, each under an alias of its own, as GraphQL allows.

- https://docs.newrelic.com/docs/apis/nerdgraph/get-started/introduction-new-relic-nerdgraph/ (endpoints, key)
- https://spec.graphql.org/October2021/#sec-Response-Format (errors in an answer with status 200)
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import time
import typing as t
import urllib.error
from collections.abc import Callable, Sequence

from ansible.module_utils.urls import Request, make_context
from ansible_collections.frugal.cloud.plugins.module_utils.retry_after import asked_to_wait

ENDPOINTS: dict[str, str] = {
    "us": "https://api.newrelic.com/graphql",
    "eu": "https://api.eu.newrelic.com/graphql",
}
#: Operations in one request at most: small enough for an answer in time, large enough for a fleet.
BATCH = 20
#: Classes of errors with which NerdGraph says that it did nothing and may be asked again.
_NOT_DONE = {"TOO_MANY_REQUESTS", "RATE_LIMITED", "THROTTLED"}
#: Classes of errors after which it is unknown what was done: only reading is tried again.
_UNKNOWN = {"TIMEOUT", "SERVER_ERROR", "INTERNAL_SERVER_ERROR"}
_WRONG_KEY = {"UNAUTHORIZED", "FORBIDDEN", "UNAUTHENTICATED"}

_Dict: t.TypeAlias = "dict[str, t.Any]"


class NewRelicError(Exception):
    """One sentence: what New Relic said, about what, and what to do."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """One field of a request.

    ``call`` is the field with its arguments, ``returns`` what is selected of the answer; ``$name`` is a variable in
    both. ``variables`` maps a name to its GraphQL type and value; ``about`` is for error sentences.
    """

    call: str
    returns: str
    variables: dict[str, tuple[str, t.Any]]
    about: str


class NerdGraph:
    """Sends requests; ``sleep`` takes seconds and is replaced in tests."""

    def __init__(
        self,
        endpoint: str,
        api_key: str,
        timeout: int = 30,
        retries: int = 5,
        validate_certs: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.requests = 0
        self._api_key = api_key
        self._retries = retries
        # One for all requests: to load the authorities' certificates takes longer than to ask.
        self._request = Request(timeout=timeout, context=make_context(validate_certs=validate_certs))
        self._sleep = sleep

    def query(self, around: Sequence[str], operations: Sequence[Operation]) -> list[t.Any]:
        """Read: ``around`` are the fields from the root to the operations, such as C(actor)."""
        return self._batches("query", around, operations)

    def mutate(self, operations: Sequence[Operation]) -> list[t.Any]:
        """Change. What was done before an error stays done; the sentence says how many that are."""
        return self._batches("mutation", (), operations)

    def _batches(self, kind: str, around: Sequence[str], operations: Sequence[Operation]) -> list[t.Any]:
        found: list[t.Any] = []
        for start in range(0, len(operations), BATCH):
            batch = operations[start : start + BATCH]
            data, errors = self._send(*document(kind, around, batch), reading=kind == "query")
            if errors:
                raise NewRelicError(self._sentence(errors, batch, start, len(operations), kind))
            for step in around:
                data = (data or {}).get(step.split("(")[0]) or {}
            found += [(data or {}).get(f"o{index}") for index in range(len(batch))]
        return found

    def _send(self, text: str, variables: _Dict, reading: bool) -> tuple[t.Any, list[_Dict]]:
        """Data and errors of an answer, asked for again while New Relic is busy."""
        body = json.dumps({"query": text, "variables": variables})
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            wait = min(30.0, 0.5 * 2**attempt)
            self.requests += 1
            try:
                headers = {"API-Key": self._api_key, "Content-Type": "application/json"}
                with self._request.open("POST", self.endpoint, data=body, headers=headers) as answer:
                    found = json.loads(answer.read())
            except urllib.error.HTTPError as error:
                if error.code in (401, 403):
                    raise self._refused(str(error.code)) from None
                if not last and (error.code == 429 or (reading and error.code >= 500)):
                    self._sleep(asked_to_wait(error.headers, wait))
                    continue
                raise NewRelicError(f"New Relic at {self.endpoint} answered {error.code}: {error.reason}") from None
            except (OSError, ValueError, http.client.HTTPException) as error:
                if reading and not last and not isinstance(error, ValueError):
                    self._sleep(wait)
                    continue
                raise NewRelicError(f"New Relic at {self.endpoint} cannot be asked: {error}") from None
            if not isinstance(found, dict):
                raise NewRelicError(f"New Relic at {self.endpoint} answered with something that is no GraphQL")
            errors = found.get("errors") or []
            classes = {_class_of(error) for error in errors}
            if classes & _WRONG_KEY:
                raise self._refused(str(errors[0].get("message")))
            # A mutation that was throttled in part has done the other part: asking again would do that twice.
            nothing_done = not any((found.get("data") or {}).values())
            if not last and ((classes & _NOT_DONE and (reading or nothing_done)) or (reading and classes & _UNKNOWN)):
                self._sleep(wait)
                continue
            return found.get("data"), errors
        raise AssertionError("the last attempt returns or raises")

    def _refused(self, said: str) -> NewRelicError:
        return NewRelicError(
            f"New Relic at {self.endpoint} does not take the key ({said}): api_key, or NEW_RELIC_API_KEY, has to be a "
            "user key of an account in this region"
        )

    def _sentence(self, errors: list[_Dict], batch: Sequence[Operation], start: int, total: int, kind: str) -> str:
        """The first error, about which operation it is, and how much was done before."""
        error = errors[0]
        alias = next((step for step in error.get("path") or [] if str(step).startswith("o")), "")
        index = int(alias[1:]) if alias[1:].isdigit() and int(alias[1:]) < len(batch) else None
        about = batch[index].about if index is not None else batch[0].about if len(batch) == 1 else "the request"
        said = " ".join(str(error.get("message") or "no reason given").split()).rstrip(".")
        done = ""
        if kind == "mutation":
            failed = {step for found in errors for step in found.get("path") or []}
            well = (
                start + sum(f"o{number}" not in failed for number in range(len(batch))) if index is not None else start
            )
            done = f"; {well} of {total} changes were made" if total > 1 else ""
        return f"New Relic refused {about}: {said}{done}"


def document(kind: str, around: Sequence[str], operations: Sequence[Operation]) -> tuple[str, _Dict]:
    """A request's text and variables: each operation and each of its variables has a name of its own."""
    declared: list[str] = []
    fields: list[str] = []
    values: _Dict = {}
    for index, operation in enumerate(operations):
        field = re.sub(r"\$(\w+)", rf"$\g<1>{index}", f"{operation.call} {{ {operation.returns} }}")
        for name, (graphql_type, value) in operation.variables.items():
            declared.append(f"${name}{index}: {graphql_type}")
            values[f"{name}{index}"] = value
        fields.append(f"o{index}: {field}")
    opened = "".join(f"{step} {{ " for step in around)
    closed = " }" * len(around)
    variables = f"({', '.join(declared)})" if declared else ""
    return f"{kind}{variables} {{ {opened}{' '.join(fields)}{closed} }}", values


def _class_of(error: _Dict) -> str:
    extensions = error.get("extensions") or {}
    return str(extensions.get("errorClass") or extensions.get("code") or "")
