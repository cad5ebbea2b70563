# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Google Cloud: options, one session, retries, a request counter and error sentences.

Options are called as in google.cloud; beside them there is a base URL, for Private Service Connect
and for tests. Requests are sent again as Google's own clients do it
(https://cloud.google.com/storage/docs/retry-strategy, https://google.aip.dev/194).
"""

from __future__ import annotations

import json
import time
import typing as t
from collections.abc import Callable, Iterator, Mapping

from ansible.module_utils.basic import env_fallback
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.retry_after import asked_to_wait

if t.TYPE_CHECKING:
    from google.auth.transport import requests as google_requests

_Dict: t.TypeAlias = "dict[str, t.Any]"

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
#: An operation that is not done after this time is given up (seconds).
OPERATION_TIMEOUT = 300.0
_AGAIN = {408, 429, 500, 502, 503, 504}
_REFUSED = {429}

#: Options of every module for Google Cloud; documented by ``doc_fragments/gcp.py``.
ARGUMENTS: dict[str, _Dict] = {
    "project": {"type": "str", "required": True, "fallback": (env_fallback, ["GCP_PROJECT", "GOOGLE_CLOUD_PROJECT"])},
    "auth_kind": {
        "type": "str",
        "choices": ["application", "serviceaccount", "machineaccount", "accesstoken"],
        "default": "application",
        "fallback": (env_fallback, ["GCP_AUTH_KIND"]),
    },
    "service_account_file": {"type": "path", "fallback": (env_fallback, ["GCP_SERVICE_ACCOUNT_FILE"])},
    "service_account_contents": {
        "type": "jsonarg",
        "no_log": True,
        "fallback": (env_fallback, ["GCP_SERVICE_ACCOUNT_CONTENTS"]),
    },
    "service_account_email": {"type": "str", "fallback": (env_fallback, ["GCP_SERVICE_ACCOUNT_EMAIL"])},
    "access_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["GCP_ACCESS_TOKEN"])},
    "scopes": {"type": "list", "elements": "str", "default": list(SCOPES)},
    "base_url": {"type": "str", "fallback": (env_fallback, ["GCP_BASE_URL"])},
    "timeout": {"type": "int", "default": 60},
    "retries": {"type": "int", "default": 5},
}


class GcpError(Exception):
    """One sentence: what Google Cloud said, about what, what to do. ``status`` is that of HTTP, 0 without answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


def session_from(options: Mapping[str, t.Any]) -> google_requests.AuthorizedSession:
    """A session with the credentials that the options name.

    :raises GcpError: there are none, or they cannot be read.
    """
    kind, scopes = options["auth_kind"], options["scopes"]
    try:
        if kind == "accesstoken":
            if not options["access_token"]:
                raise GcpError("auth_kind is accesstoken and access_token is not set")
            credentials = deps.google_credentials.Credentials(token=options["access_token"])
        elif kind == "serviceaccount":
            credentials = _service_account(options)
        elif kind == "machineaccount":
            email = options["service_account_email"] or "default"
            credentials = deps.google_compute_engine.Credentials(email, scopes=scopes)
        else:
            credentials, _project = deps.google_auth.default(scopes=scopes)
    except (deps.google_exceptions.GoogleAuthError, ValueError, OSError) as error:
        raise GcpError(
            f"there are no usable credentials of Google Cloud (auth_kind is {kind}): {_line(error)}"
        ) from None
    return deps.google_requests.AuthorizedSession(credentials)


def _service_account(options: Mapping[str, t.Any]) -> t.Any:
    kind = deps.google_service_account.Credentials
    if options["service_account_contents"]:
        info = json.loads(options["service_account_contents"])
        return kind.from_service_account_info(info, scopes=options["scopes"])
    if options["service_account_file"]:
        return kind.from_service_account_file(options["service_account_file"], scopes=options["scopes"])
    raise GcpError("auth_kind is serviceaccount: set service_account_file or service_account_contents")


class Gcp:
    """One project. ``service`` is an API's name in its address, such as C(compute)."""

    def __init__(
        self,
        session: google_requests.AuthorizedSession,
        project: str,
        base_url: str | None = None,
        timeout: int = 60,
        retries: int = 5,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.project = project
        self.calls: dict[str, int] = {}
        self._session = session
        self._base = base_url.rstrip("/") if base_url else ""
        self._timeout = timeout
        self._retries = retries
        self._sleep = sleep
        self._now = now

    @classmethod
    def from_options(cls, options: Mapping[str, t.Any]) -> Gcp:
        """The project that checked options name. :raises GcpError: no credentials."""
        session = session_from(options)
        return cls(session, options["project"], options["base_url"], options["timeout"], options["retries"])

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return sum(self.calls.values())

    def send(
        self,
        service: str,
        method: str,
        path: str,
        about: str,
        body: t.Any = None,
        query: Mapping[str, t.Any] | None = None,
        *,
        once: bool = False,
    ) -> _Dict:
        """The answer to a request; sent again while Google is busy, with the same body.

        :param once: the request would act twice: it is sent again only where Google says that it did nothing (429).
        :raises GcpError: one sentence that names ``about``.
        """
        url = f"{self._base or f'https://{service}.googleapis.com'}{path}"
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            pause = min(32.0, 2.0**attempt)
            self.calls[f"{service}:{method}"] = self.calls.get(f"{service}:{method}", 0) + 1
            try:
                answer = self._session.request(method, url, json=body, params=query, timeout=self._timeout)
            except deps.google_exceptions.RefreshError as error:
                raise GcpError(f"Google Cloud does not take the credentials: {_line(error)}") from None
            except (deps.google_exceptions.TransportError, deps.requests.RequestException) as error:
                if last or once:
                    raise GcpError(f"{url} cannot be asked: {_line(error)}") from None
                self._sleep(pause)
                continue
            if answer.status_code in (_REFUSED if once else _AGAIN) and not last:
                self._sleep(asked_to_wait(answer.headers, pause))
                continue
            return self._read(answer, about)
        raise AssertionError("the last attempt returns or raises")

    def _read(self, answer: t.Any, about: str) -> _Dict:
        try:
            found = answer.json() if answer.content else {}
        except ValueError:
            found = {}
        if answer.status_code >= 400:
            error = found.get("error") if isinstance(found, Mapping) else None
            said = str(error.get("message") if isinstance(error, Mapping) else error or answer.reason)
            raise GcpError(
                f"Google Cloud refused {about} in project {self.project}: {' '.join(said.split()).rstrip('.')} "
                f"({answer.status_code})",
                answer.status_code,
            )
        return t.cast("_Dict", found)

    def pages(self, service: str, path: str, about: str, query: Mapping[str, t.Any] | None = None) -> Iterator[_Dict]:
        """All pages of a list."""
        token = ""
        while True:
            page = self.send(
                service, "GET", path, about, query={**(query or {}), **({"pageToken": token} if token else {})}
            )
            yield page
            token = page.get("nextPageToken", "")
            if not token:
                return

    def wait(self, service: str, operation: _Dict, path: str, about: str) -> None:
        """Until an operation of Compute Engine is done; ``path`` is where operations of its kind are.

        :raises GcpError: it failed, or took too long.
        """
        until = self._now() + OPERATION_TIMEOUT
        pause = 0.5
        while operation.get("status") != "DONE":
            if self._now() > until:
                raise GcpError(f"{about} in project {self.project} was not done within {OPERATION_TIMEOUT:.0f} s")
            self._sleep(pause)
            pause = min(5.0, pause * 2)
            operation = self.send(service, "GET", f"{path}/{operation['name']}", about)
        errors = operation.get("error", {}).get("errors")
        if errors:
            said = "; ".join(str(error.get("message", error)) for error in errors)
            raise GcpError(f"{about} in project {self.project} failed: {said}", operation.get("httpErrorStatusCode", 0))


def _line(error: BaseException) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())
