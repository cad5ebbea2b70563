# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes tests for varnishtest: requests, and what clients and the backend see of them.

A test has one server that answers in order and numbers its answers: the number that a client gets says whether the
answer came from the cache. Clients come by the PROXY protocol, so that they can have any address.
Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl, vcl_model
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import Access, Site

Header = tuple[str, str]
Headers = Sequence[Header]
STORED: Header = ("Cache-Control", "public, max-age=600")
#: addresses from documentation's networks (RFC 5737): where clients come from when it does not matter
SOMEBODY = ("192.0.2.77", "198.51.100.77", "203.0.113.77")
TOKEN = "varnishtest-0123456789"
#: how long a client waits for an answer (seconds); only a test that fails waits so long
CLIENT_TIMEOUT = 8


@dataclasses.dataclass(frozen=True)
class Vtc:
    """A test: the site's name, what varnishtest reads, and what each client in it is there for."""

    name: str
    text: str
    titles: tuple[str, ...]


def quoted(text: str) -> str:
    """A string as varnishtest reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _with_test_token(access: Access | None) -> Access | None:
    """The same access with the token of the tests, whose file they write."""
    if access is None or not access.token_file:
        return access
    return dataclasses.replace(access, token=TOKEN, token_file="${tmpdir}/token")


class Script:
    """Builds the test of one site."""

    def __init__(self, sites: Sequence[Site], site: Site) -> None:
        self.sites = [
            dataclasses.replace(one, purge=_with_test_token(one.purge), debug=_with_test_token(one.debug))
            for one in sites
        ]
        self.site = next(one for one in self.sites if one.name == site.name)
        self._server: list[str] = []
        self._clients: list[str] = []
        self._titles: list[str] = []
        self._title = ""
        self._answers = 0
        self._paths = 0
        self.host = vcl_model.example(self.site.hosts[0], "any.example.com" if self.site.hosts[0] == "*" else "x1")

    def test(self) -> Vtc:
        """The test, once all requests are asked for."""
        return Vtc(self.site.name, self._text(), tuple(self._titles))

    def _text(self) -> str:
        lines = [
            f"varnishtest {quoted('The rules of site ' + self.site.name + ', made from its declaration')}",
            "",
            "shell {printf %s " + TOKEN + " > ${tmpdir}/token && chmod 0644 ${tmpdir}/token}",
            "",
            "server s1 {",
            *(f"\t{line}" for line in self._server),
            "} -start",
            "",
            "varnish v1 -proto PROXY -vcl {",
            vcl.render(self.sites, stand_in="s1"),
            "} -start",
            "",
            *self._clients,
            "server s1 -wait" if self._server else "",
        ]
        return "\n".join(lines) + "\n"

    # --- One request

    def path(self, pattern: str = "") -> str:
        """A path that has not been used: for a pattern, else one that nothing is declared for where there is one."""
        self._paths += 1
        filling = f"frugal-{self._paths}"
        return vcl_model.example(pattern, filling) if pattern else f"/{filling}"

    def title(self, text: str) -> None:
        """What the next requests show."""
        self._title = text
        self._clients += ["", f"# {text}"]

    def ask(
        self,
        url: str,
        headers: Headers = (),
        *,
        method: str = "GET",
        answer: int = 0,
        status: int = 200,
        reply: Headers | None = None,
        seen: Sequence[tuple[str, str]] = (),
        expect: Sequence[tuple[str, str]] = (),
        address: str = SOMEBODY[0],
        host: str = "",
        backend_status: int = 200,
        keep_server: bool = False,
        body: str = "",
    ) -> int:
        """One request. ``answer`` 0 has to reach the backend, which replies with ``reply`` and sees ``seen``.

        :param keep_server: the request reaches the backend later, by itself.
        :returns: the number of the answer that the client gets.
        """
        number = answer
        if not answer and status in (200, 206, 404, 500, 503) and not keep_server:
            number = self.serve(seen, [STORED] if reply is None else reply, backend_status, method)
        request = [f"txreq -req {method} -url {quoted(url)} -hdr {quoted('Host: ' + (host or self.host))}"]
        request += [f"-hdr {quoted(f'{name}: {value}')}" for name, value in headers]
        if body:
            request.append(f"-body {quoted(body)}")
        lines = [
            f"timeout {CLIENT_TIMEOUT}",
            " ".join(request),
            "rxresphdrs" if method == "HEAD" else "rxresp",
            f"expect resp.status == {status}",
        ]
        if number:
            lines.append(f'expect resp.http.x-answer == "{number}"')
        lines += [f"expect {what} {value}" for what, value in expect]
        self._titles.append(self._title)
        self._clients += [
            f'client c1 -proxy1 "{address}:1111 203.0.113.1:80" {{',
            *(f"\t{line}" for line in lines),
            "} -run",
        ]
        return number

    def serve(self, seen: Sequence[tuple[str, str]], reply: Headers, status: int = 200, method: str = "GET") -> int:
        """The backend's part of the next request that reaches it; returns the answer's number."""
        self._answers += 1
        if self._server:
            self._server.append("accept")
        self._server.append("rxreq")
        self._server += [f"expect {what} {value}" for what, value in seen]
        sent = [("Connection", "close"), ("X-Answer", str(self._answers)), *reply]
        body = "" if method == "HEAD" else f" -body {quoted(f'answer {self._answers} ' + 'x' * 20)}"
        self._server.append(
            f"txresp -status {status} " + " ".join(f"-hdr {quoted(f'{name}: {value}')}" for name, value in sent) + body
        )
        return self._answers

    def fetched(self, url: str, number: int) -> None:
        """Wait until what Varnish fetches in the background has come."""
        self.raw(
            f"logexpect l{number} -v v1 -d 1 -g vxid "
            f"-q {quoted(f'Begin ~ bgfetch and BereqURL eq {quoted(self.normal(url))}')} {{",
            "\texpect * * End",
            "} -run",
        )

    def raw(self, *lines: str) -> None:
        """Lines between the requests."""
        self._clients += lines

    def looked_up(self, url: str, headers: Headers = (), method: str = "GET") -> bool:
        """Whether such a request is looked up in the cache."""
        return not vcl_model.why_pass(self.site, method, url, dict(headers))

    def stored(self, url: str, headers: Headers = (), **options: t.Any) -> int:
        """Ask twice: the second answer comes from the cache. Returns its number."""
        number = self.ask(url, headers, **options)
        return self.ask(url, headers, answer=number, host=options.get("host", ""))

    def passed(self, url: str, headers: Headers = (), **options: t.Any) -> None:
        """Ask twice: both reach the backend."""
        self.ask(url, headers, **options)
        self.ask(url, headers, **options)

    def normal(self, url: str) -> str:
        """The URL that the backend sees."""
        return vcl_model.normalised(url, self.site.query)
