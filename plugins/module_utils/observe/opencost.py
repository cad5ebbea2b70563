# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The allocation API of OpenCost (``http://opencost:9003``) and Kubecost (``http://kubecost:9090/model``).

https://opencost.io/docs/integrations/api and Kubecost's allocation API. One request a day bounds what one answer holds,
and does not ask OpenCost to compute a month at once, which it does in memory.
"""

from __future__ import annotations

import datetime
import json
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.observe.http_api import HttpApi, ServerError

#: OpenCost computes a day from Prometheus when it is asked: it may take minutes.
TIMEOUT = 300


class OpenCostError(ServerError):
    """One sentence: which server, what it said, what to do."""


class OpenCost(HttpApi):
    """An OpenCost or Kubecost: ``url``, optional basic authentication or bearer token, and certificate checks."""

    @classmethod
    def from_options(cls, options: Mapping[str, t.Any]) -> OpenCost:
        """The server that an option names. :raises OpenCostError: ``url`` is no address."""
        if not str(options["url"]).startswith(("http://", "https://")):
            raise OpenCostError(
                f"url is {options['url']!r}: give OpenCost's address such as http://opencost.opencost:9003, or "
                "Kubecost's such as http://kubecost.example.com/model"
            )
        return cls(
            "OpenCost",
            options["url"],
            hint="set its username and password, or its bearer_token",
            error=OpenCostError,
            username=options["username"] or "",
            password=options["password"] or "",
            bearer_token=options["bearer_token"] or "",
            validate_certs=options["validate_certs"],
            timeout=TIMEOUT,
        )

    def allocations(self, start: datetime.datetime, end: datetime.datetime) -> t.Any:
        """``data`` of the answer for one span of time: every container, and the idle cost of every node.

        :raises OpenCostError: one sentence.
        """
        query = {
            "window": f"{_text(start)},{_text(end)}",
            "step": f"{int((end - start).total_seconds() // 60)}m",
            "accumulate": "false",
            # OpenCost's and Kubecost's names for the same.
            "includeIdle": "true",
            "idle": "true",
            "idleByNode": "true",
            "shareIdle": "false",
        }
        content = self.get("/allocation", query)
        try:
            answer = json.loads(content)
        except ValueError as error:
            self.fail(f"does not answer in JSON: is it OpenCost's API, port 9003? ({error})", error)
        if not isinstance(answer, dict) or "data" not in answer:
            self.fail("answers something that is no allocation: Kubecost's address ends in /model")
        if answer.get("code", 200) != 200:
            self.fail(f"answered {answer['code']}: {answer.get('message') or 'no reason given'}")
        return answer["data"]


def _text(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
