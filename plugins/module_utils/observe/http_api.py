# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server's HTTP API: who asks, what is asked, and one sentence when it does not answer."""

from __future__ import annotations

import json
import typing as t
import urllib.error
import urllib.parse
from collections.abc import Mapping

from ansible.module_utils.urls import open_url

#: Bytes that one answer may have.
MAXIMUM_ANSWER = 1024**3


class ServerError(Exception):
    """One sentence: which server, what it said, what to do."""


class HttpApi:
    """A server called ``product`` at ``url``, with basic authentication or a bearer token where they are given.

    A user and password in ``url`` serve where none are given, and are not part of any sentence. ``hint`` says what to
    set when it does not let us in; ``error`` is what is raised.
    """

    def __init__(
        self,
        product: str,
        url: str,
        *,
        hint: str,
        error: type[ServerError] = ServerError,
        username: str = "",
        password: str = "",
        bearer_token: str = "",
        validate_certs: bool = True,
        ca_path: str = "",
        timeout: int = 60,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        self.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self.requests = 0
        self._name = f"{product} at {self.url}"
        self._hint = hint
        self._error = error
        user = username or urllib.parse.unquote(parts.username or "")
        self._headers = {"Accept": "application/json"}
        if bearer_token:
            self._headers["Authorization"] = f"Bearer {bearer_token}"
        self._options: dict[str, t.Any] = {
            "url_username": user or None,
            "url_password": password or urllib.parse.unquote(parts.password or "") or None,
            "force_basic_auth": bool(user),
            "validate_certs": validate_certs,
            "ca_path": ca_path or None,
            "timeout": timeout,
        }

    def get(self, path: str, query: Mapping[str, t.Any] | None = None) -> bytes:
        """What the server answers to GET. :raises ServerError: the class that was given; one sentence."""
        return self._send(path + (f"?{urllib.parse.urlencode(query)}" if query else ""), "GET", None)

    def post(self, path: str, form: Mapping[str, t.Any]) -> bytes:
        """What the server answers to a form. :raises ServerError: the class that was given; one sentence."""
        return self._send(path, "POST", urllib.parse.urlencode(form))

    def fail(self, what: str, cause: BaseException | None = None) -> t.NoReturn:
        """Say about this server what is wrong. :raises ServerError: the class that was given."""
        raise self._error(f"{self._name} {what}") from cause

    def _send(self, path: str, method: str, data: str | None) -> bytes:
        self.requests += 1
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"} if data else self._headers
        try:
            with open_url(f"{self.url}{path}", method=method, data=data, headers=headers, **self._options) as answer:
                content = t.cast("bytes", answer.read(MAXIMUM_ANSWER + 1))
        except urllib.error.HTTPError as error:
            hint = f"; {self._hint}" if error.code in (401, 403) else ""
            self.fail(f"answered {error.code}: {_reason(error)}{hint}", error)
        except (OSError, ValueError) as error:
            self.fail(f"cannot be read: {error}", error)
        if len(content) > MAXIMUM_ANSWER:
            self.fail(f"answered more than {MAXIMUM_ANSWER // 1024**2} MiB: ask for a shorter time")
        return content


def reason(answer: t.Any) -> str:
    """What an answer says about a failure: ``error`` (Prometheus), ``errors`` (Jaeger) or ``message`` (OpenCost)."""
    if not isinstance(answer, Mapping):
        return ""
    errors = answer.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else answer.get("error") or answer.get("message")
    return str((first.get("msg") or first) if isinstance(first, Mapping) else first or "")


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return reason(json.loads(error.read())) or str(error.reason)
    except (ValueError, OSError):
        return str(error.reason)
