# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the Grafana server, which cannot be had here: the calls of its HTTP API that role grafana makes.

Every request is checked: path, method, authentication, content type, and the body's keys and types. What Grafana would
not understand is answered as Grafana answers it, and kept in ``complaints``; Grafana ignores keys that it does not
know, this does not. Written from Grafana's documentation:

- https://grafana.com/docs/grafana/latest/developers/http_api/other/ (health)
- https://grafana.com/docs/grafana/latest/developers/http_api/user/ (change password)
- https://grafana.com/docs/grafana/latest/developers/http_api/serviceaccount/
- https://grafana.com/docs/grafana/latest/developers/http_api/annotations/

In a test host it is started as ``grafana server --homepath=... --config=...`` and takes address, folders and the
administrator from grafana.ini and the environment as Grafana does. Standard library only.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import dataclasses
import http.server
import json
import os
import re
import secrets
import sys
import typing as t
from collections.abc import Callable, Mapping
from pathlib import Path

_Dict = dict[str, t.Any]
VERSION = "12.1.1"
ROLES = ("None", "Viewer", "Editor", "Admin")


class Problem(Exception):
    """What Grafana answers instead: status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclasses.dataclass
class State:
    """What Grafana's database holds."""

    user: str
    password: str
    #: where it is kept between starts; nowhere where it is None
    file: Path | None = None
    accounts: dict[int, _Dict] = dataclasses.field(default_factory=dict)
    tokens: dict[int, _Dict] = dataclasses.field(default_factory=dict)
    annotations: list[_Dict] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)
    complaints: list[str] = dataclasses.field(default_factory=list)
    last_id: int = 1

    def new_id(self) -> int:
        """An id that was not used yet."""
        self.last_id += 1
        return self.last_id

    def load(self) -> None:
        """Take up what was kept: a password in the configuration counts at the first start only, as Grafana's."""
        if self.file and self.file.exists():
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            self.password, self.last_id = kept["password"], kept["last_id"]
            self.accounts = {int(key): value for key, value in kept["accounts"].items()}
            self.tokens = {int(key): value for key, value in kept["tokens"].items()}
            self.annotations = kept["annotations"]

    def save(self) -> None:
        """Keep it for the next start."""
        if self.file:
            names = ("password", "last_id", "accounts", "tokens", "annotations", "complaints")
            text = json.dumps({name: getattr(self, name) for name in names})
            self.file.write_text(text, encoding="utf-8")


def body_of(given: t.Any, required: Mapping[str, t.Any], optional: Mapping[str, t.Any]) -> _Dict:
    """The body, if it has the keys and types it must have. :raises Problem: 400 with what is wrong."""
    if not isinstance(given, dict):
        raise Problem(400, "bad request data")
    known = {**required, **optional}
    for name in required:
        if name not in given:
            raise Problem(400, f"{name} is required")
    for name, value in given.items():
        if name not in known:
            raise Problem(400, f"unknown field {name}")
        kinds = known[name] if isinstance(known[name], tuple) else (known[name],)
        # To Python, True is a number; to Grafana it is not.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise Problem(400, f"{name} is {value!r}")
    return given


class Grafana:
    """Answers requests on a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        account = r"/api/serviceaccounts/(\d+)"
        self._routes: list[tuple[str, t.Pattern[str], Callable[..., tuple[int, t.Any]]]] = [
            (method, re.compile(pattern), answer)
            for method, pattern, answer in (
                ("GET", r"/api/org", self._organisation),
                ("PUT", r"/api/user/password", self._change_password),
                ("GET", r"/api/serviceaccounts/search", self._search),
                ("POST", r"/api/serviceaccounts", self._create),
                ("PATCH", account, self._update),
                ("DELETE", account, self._delete),
                ("GET", account + r"/tokens", self._list_tokens),
                ("POST", account + r"/tokens", self._create_token),
                ("DELETE", account + r"/tokens/(\d+)", self._delete_token),
                ("POST", r"/api/annotations", self._annotate),
            )
        ]

    def answer(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[int, t.Any]:
        """Status and body of the answer."""
        path, _mark, query = path.partition("?")
        self.state.requests.append(f"{method} {path}")
        if (method, path) == ("GET", "/api/health"):
            return 200, {"commit": "standin", "database": "ok", "version": VERSION}
        try:
            self._authenticate(headers.get("Authorization", ""))
            given: t.Any = query
            if method in ("POST", "PUT", "PATCH"):
                if headers.get("Content-Type", "").split(";")[0] != "application/json":
                    raise Problem(400, f"content type is {headers.get('Content-Type')}")
                try:
                    given = json.loads(raw)
                except ValueError:
                    raise Problem(400, "bad request data") from None
            for wanted, pattern, answer in self._routes:
                found = pattern.fullmatch(path)
                if found and wanted == method:
                    return answer(given, *(int(number) for number in found.groups()))
            raise Problem(404, f"{method} {path}: Not found")
        except Problem as problem:
            if problem.status != 401:
                self.state.complaints.append(f"{method} {path}: {problem.message}")
            return problem.status, {"message": problem.message}
        finally:
            self.state.save()

    def _authenticate(self, header: str) -> None:
        expected = base64.b64encode(f"{self.state.user}:{self.state.password}".encode()).decode()
        if header != f"Basic {expected}":
            raise Problem(401, "Invalid username or password")

    def _organisation(self, query: str) -> tuple[int, t.Any]:
        return 200, {"id": 1, "name": "Main Org."}

    def _change_password(self, given: t.Any) -> tuple[int, t.Any]:
        body = body_of(given, {"oldPassword": str, "newPassword": str, "confirmNew": str}, {})
        if body["oldPassword"] != self.state.password:
            raise Problem(401, "Invalid old password")
        if body["newPassword"] != body["confirmNew"] or len(body["newPassword"]) < 4:
            raise Problem(400, "New password is too short")
        self.state.password = body["newPassword"]
        return 200, {"message": "User password changed"}

    def _account(self, number: int) -> _Dict:
        if number not in self.state.accounts:
            raise Problem(404, "service account not found")
        return self.state.accounts[number]

    def _search(self, query: str) -> tuple[int, t.Any]:
        found = list(self.state.accounts.values())
        return 200, {"totalCount": len(found), "serviceAccounts": found, "page": 1, "perPage": 1000}

    def _checked(self, body: _Dict) -> _Dict:
        if body.get("role", "Viewer") not in ROLES:
            raise Problem(400, f"invalid role value: {body['role']}")
        return body

    def _create(self, given: t.Any) -> tuple[int, t.Any]:
        body = self._checked(body_of(given, {"name": str}, {"role": str, "isDisabled": bool}))
        if body["name"] in [account["name"] for account in self.state.accounts.values()]:
            raise Problem(400, "service account already exists")
        number = self.state.new_id()
        account = {"id": number, "login": f"sa-1-{body['name']}", "orgId": 1, "role": "Viewer", "isDisabled": False}
        self.state.accounts[number] = {**account, **body, "tokens": 0, "avatarUrl": ""}
        return 201, self.state.accounts[number]

    def _update(self, given: t.Any, number: int) -> tuple[int, t.Any]:
        body = self._checked(body_of(given, {}, {"name": str, "role": str, "isDisabled": bool}))
        self._account(number).update(body)
        return 200, {"id": number, "message": "Service account updated", "serviceaccount": self._account(number)}

    def _delete(self, query: str, number: int) -> tuple[int, t.Any]:
        self._account(number)
        del self.state.accounts[number]
        self.state.tokens = {key: token for key, token in self.state.tokens.items() if token["account"] != number}
        return 200, {"message": "Service account deleted"}

    def _list_tokens(self, query: str, number: int) -> tuple[int, t.Any]:
        self._account(number)
        return 200, [
            {name: value for name, value in token.items() if name not in ("account", "key")}
            for token in self.state.tokens.values()
            if token["account"] == number
        ]

    def _create_token(self, given: t.Any, number: int) -> tuple[int, t.Any]:
        self._account(number)
        body = body_of(given, {"name": str}, {"secondsToLive": int})
        if body["name"] in [token["name"] for token in self.state.tokens.values()]:
            raise Problem(409, "a token with this name exists already")
        token = {"id": self.state.new_id(), "name": body["name"], "hasExpired": False, "isRevoked": False}
        key = f"glsa_{secrets.token_hex(16)}"
        self.state.tokens[token["id"]] = {**token, "account": number, "key": key}
        return 200, {"id": token["id"], "name": token["name"], "key": key}

    def _delete_token(self, query: str, number: int, token: int) -> tuple[int, t.Any]:
        if self.state.tokens.get(token, {}).get("account") != number:
            raise Problem(404, "service account token not found")
        del self.state.tokens[token]
        return 200, {"message": "API key deleted"}

    def _annotate(self, given: t.Any) -> tuple[int, t.Any]:
        optional = {"time": int, "timeEnd": int, "tags": list, "dashboardUID": str, "panelId": int}
        body = body_of(given, {"text": str}, optional)
        if not body["text"]:
            raise Problem(500, "Failed to save annotation")
        # Milliseconds: seconds would be a day in January 1970.
        if "time" in body and not 10**12 < body["time"] < 10**13:
            raise Problem(400, f"time is {body['time']}, which is no time in ms of this century")
        if any(not isinstance(tag, str) for tag in body.get("tags", [])):
            raise Problem(400, f"tags is {body['tags']}")
        number = self.state.new_id()
        self.state.annotations.append({"id": number, **body})
        return 200, {"id": number, "message": "Annotation added"}


def server(grafana: Grafana, address: str, port: int) -> http.server.ThreadingHTTPServer:
    """Listens, but does not answer yet: call serve_forever."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """One request after the other of a connection."""

        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = grafana.answer(self.command, self.path, dict(self.headers), raw)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815 - names that http.server asks for

        def log_message(self, format: str, *arguments: t.Any) -> None:
            """Say nothing."""

    return http.server.ThreadingHTTPServer((address, port), Handler)


def configured(file: Path, environment: Mapping[str, str]) -> tuple[State, str, int]:
    """State, address and port from grafana.ini. :raises SystemExit: where Grafana would not start either."""
    ini = configparser.ConfigParser(interpolation=None)
    with file.open(encoding="utf-8") as text:
        ini.read_file(text)
    provisioning = Path(ini["paths"]["provisioning"])
    for kind in ("datasources", "dashboards"):
        if not list((provisioning / kind).glob("*.yml")):
            raise SystemExit(f"no {kind} in {provisioning}")
    for dashboard in file.parent.glob("dashboards/*/*.json"):
        json.loads(dashboard.read_text(encoding="utf-8"))
    password = environment.get("GF_SECURITY_ADMIN_PASSWORD") or "admin"
    state = State(ini["security"]["admin_user"], password, Path(ini["paths"]["data"]) / "standin.json")
    state.load()
    return state, ini["server"]["http_addr"], int(ini["server"]["http_port"])


def main(arguments: t.Sequence[str]) -> None:
    """As ``grafana server`` is called."""
    parser = argparse.ArgumentParser(description="Stands in for Grafana.")
    parser.add_argument("command", choices=["server"])
    parser.add_argument("--homepath", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args(arguments)
    if not (options.homepath / "conf" / "defaults.ini").is_file():
        raise SystemExit(f"{options.homepath} is not Grafana's folder")
    state, address, port = configured(options.config, os.environ)
    state.save()
    server(Grafana(state), address, port).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
