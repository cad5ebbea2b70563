# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloudflare's API v4: one client with retries, a request counter and error sentences.

- https://developers.cloudflare.com/fundamentals/api/reference/limits/ (1,200 requests in five minutes, Retry-After)
"""

from __future__ import annotations

import http.client
import json
import time
import typing as t
import urllib.error
import urllib.parse
from collections.abc import Callable, Mapping

from ansible.module_utils.basic import env_fallback
from ansible.module_utils.urls import Request, make_context
from ansible_collections.frugal.cloud.plugins.module_utils.retry_after import asked_to_wait

URL = "https://api.cloudflare.com/client/v4"

_Dict: t.TypeAlias = "dict[str, t.Any]"

_TEXTS: _Dict = {"type": "list", "elements": "str"}
_FLAG: _Dict = {"type": "bool"}
_SECONDS: _Dict = {"type": "int"}
#: Options of module cloudflare_cache, which documents them.
OPTIONS: dict[str, _Dict] = {
    "api_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["CLOUDFLARE_API_TOKEN"])},
    "api_url": {"type": "str", "default": URL},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 30},
    "retries": {"type": "int", "default": 5},
    "zone": {"type": "str"},
    "zone_id": {"type": "str"},
    "settings": {"type": "dict", "default": {}},
    "rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "expression": {"type": "str", "required": True},
            "enabled": {"type": "bool", "default": True},
            "cache": {"type": "bool", "default": True},
            "edge_ttl": _SECONDS,
            "browser_ttl": _SECONDS,
            "ignore_query_parameters": _TEXTS,
            "ignore_query_strings_order": _FLAG,
            "cache_by_device_type": _FLAG,
            "cache_deception_armor": _FLAG,
            "serve_stale": _FLAG,
        },
    },
    "purge_rules": {"type": "bool", "default": False},
    "compression": {
        "type": "list",
        "elements": "str",
        "choices": ["zstd", "brotli", "gzip", "auto", "default", "none"],
        "default": [],
    },
    "tiered_cache": {"type": "str", "choices": ["off", "generic", "smart"]},
    "purge": {
        "type": "dict",
        "options": {
            "tags": _TEXTS,
            "hosts": _TEXTS,
            "prefixes": _TEXTS,
            "files": _TEXTS,
            "everything": {"type": "bool", "default": False},
        },
    },
}


class CloudflareError(Exception):
    """One sentence: what Cloudflare said, about what, and what to do. ``status`` is that of HTTP, 0 without answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Cloudflare:
    """Sends requests; ``sleep`` takes seconds and is replaced in tests."""

    def __init__(
        self,
        api_token: str,
        url: str = URL,
        timeout: int = 30,
        retries: int = 5,
        validate_certs: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.requests = 0
        self._token = api_token
        self._retries = retries
        self._request = Request(timeout=timeout, context=make_context(validate_certs=validate_certs))
        self._sleep = sleep

    def get(self, path: str, about: str, query: Mapping[str, t.Any] | None = None) -> t.Any:
        """The result of a GET. :raises CloudflareError: one sentence."""
        return self.send("GET", path + (f"?{urllib.parse.urlencode(query)}" if query else ""), about)

    def send(self, method: str, path: str, about: str, body: t.Any = None) -> t.Any:
        """The result of a request; asked again while Cloudflare is busy. All that is sent may be sent twice.

        :raises CloudflareError: one sentence that names ``about``.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            pause = min(30.0, 0.5 * 2**attempt)
            self.requests += 1
            try:
                with self._request.open(method, self.url + path, data=data, headers=headers) as answer:
                    return self._result(json.loads(answer.read()), about)
            except urllib.error.HTTPError as error:
                if not last and (error.code == 429 or error.code >= 500):
                    self._sleep(asked_to_wait(error.headers, pause))
                    continue
                raise self._refused(error, about) from None
            except (OSError, http.client.HTTPException) as error:
                if not last:
                    self._sleep(pause)
                    continue
                raise CloudflareError(f"Cloudflare at {self.url} cannot be asked: {error}") from None
            except ValueError:
                raise CloudflareError(f"Cloudflare at {self.url} answered with something that is no JSON") from None
        raise AssertionError("the last attempt returns or raises")

    def _result(self, answer: t.Any, about: str) -> t.Any:
        if not isinstance(answer, Mapping) or not answer.get("success"):
            raise CloudflareError(f"Cloudflare refused {about}: {_said(answer)}")
        return answer.get("result")

    def _refused(self, error: urllib.error.HTTPError, about: str) -> CloudflareError:
        try:
            said = _said(json.loads(error.read()))
        except (ValueError, OSError):
            said = str(error.reason)
        hint = ""
        if error.code in (401, 403):
            hint = "; api_token, or CLOUDFLARE_API_TOKEN, has to be a token with the permissions that the module names"
        return CloudflareError(f"Cloudflare refused {about}: {said} ({error.code}){hint}", error.code)


def _said(answer: t.Any) -> str:
    """What Cloudflare's errors say, as one line."""
    errors = answer.get("errors") if isinstance(answer, Mapping) else None
    texts = [str(error.get("message", error)) if isinstance(error, Mapping) else str(error) for error in errors or ()]
    return "; ".join(" ".join(text.split()).rstrip(".") for text in texts) or "no reason given"
