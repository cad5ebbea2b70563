# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects of Google Cloud in an estate: what runs in them and what they pay for."""

from __future__ import annotations

import json
import re
import sys
import types
import typing as t
from collections.abc import Mapping
from pathlib import Path

from simulator import bills, gcp_billing
from simulator.errors import EstateError
from simulator.state import Cloud
from simulator.wire import Answer

_Dict = dict[str, t.Any]
_JSON = [("Content-Type", "application/json")]
_BUSY = {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}
BUSY = Answer(429, _JSON, json.dumps(_BUSY).encode())
_PROJECT_KEYS = ("id", "number", "name", "billing_account", "labels", "machines", "services")
_MACHINE_KEYS = ("name", "type", "zone", "count", "labels")
#: USD/hour in us-central1, from the price list that Kubernetes' autoscaler carries (cluster-autoscaler,
#: cloudprovider/gce/gce_price_info.go, 2026-08).
PRICES = {
    "e2-medium": 0.03351,
    "e2-standard-2": 0.06701,
    "e2-standard-4": 0.13402,
    "n1-standard-1": 0.0475,
    "n1-standard-4": 0.19,
    "n2-standard-2": 0.0971,
    "n2-standard-4": 0.1942,
    "n2-highmem-4": 0.262,
    "n2d-standard-4": 0.169,
    "c2-standard-4": 0.2088,
    "c3-standard-4": 0.20888,
}
#: https://cloud.google.com/compute/docs/labeling-resources#requirements
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def _keys(where: str, given: Mapping[str, t.Any], known: tuple[str, ...], needed: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            raise EstateError(f"{where}: unknown key {key!r}; there are {', '.join(known)}")
    for key in needed:
        if key not in given:
            raise EstateError(f"{where}: {key} is missing")


def _labels(where: str, given: Mapping[str, t.Any]) -> dict[str, str]:
    for key in given:
        if not _LABEL.fullmatch(key):
            raise EstateError(
                f"{where}: {key!r} is no key of a label: it begins with a small letter and has no capitals"
            )
    return {key: str(value) for key, value in given.items()}


def add_project(cloud: Cloud, one: _Dict, today: t.Any) -> None:
    """Add a project of the estate; raises EstateError with the place of the mistake."""
    where = f"project {one.get('id', '?')!r}"
    _keys(where, one, _PROJECT_KEYS, ("id", "billing_account"))
    machines = []
    for entry in one.get("machines", ()):
        _keys(f"{where} machine {entry.get('name', '?')!r}", entry, _MACHINE_KEYS, ("name", "type"))
        if entry["type"] not in PRICES:
            raise EstateError(f"{where}: there is no price of the machine type {entry['type']!r}")
        for number in range(int(entry.get("count", 1))):
            machines.append(
                bills.Machine(
                    str(entry["name"]).replace("{n}", f"{number:03d}"),
                    entry["type"],
                    entry.get("zone", "us-central1-a"),
                    PRICES[entry["type"]],
                    _labels(where, entry.get("labels", {})),
                )
            )
    cloud.projects.append(
        bills.Project(
            one["id"],
            int(one.get("number", 100_000_000_000 + len(cloud.projects))),
            one.get("name", one["id"]),
            one["billing_account"],
            _labels(where, one.get("labels", {})),
            machines,
            [bills.service(f"{where} service", entry, today) for entry in one.get("services", ())],
        )
    )


def _standins() -> tuple[types.ModuleType, types.ModuleType, types.ModuleType]:
    """The stand-ins of Google's APIs, which are part of the collection's tests: its name has to be importable."""
    root = Path(__file__).resolve().parents[2]
    here = root.parents[2] if root.parts[-3:] == ("ansible_collections", "frugal", "cloud") else root / "build" / "root"
    if str(here) not in sys.path:
        sys.path.insert(0, str(here))
    from ansible_collections.frugal.cloud.tests.standins import gcp_budgets, gcp_labels, google_api

    return google_api, gcp_budgets, gcp_labels


class Google:
    """Google's APIs over the projects of an estate, as one server."""

    def __init__(self, cloud: Cloud) -> None:
        self._api, budgets, labels = _standins()
        self._google = self._api.Google()
        #: machines by the path of their resource, whose labels their bills show
        self._machines: dict[str, bills.Machine] = {}
        for project in cloud.projects:
            self._add(project)
        labels.install(self._google)
        accounts = {project.billing_account: "USD" for project in cloud.projects}
        numbers = {project.project_id: project.number for project in cloud.projects}
        self.budgets = budgets.Budgets(accounts=accounts, projects=numbers)
        budgets.install(self._google, self.budgets)
        gcp_billing.install(self._google, cloud, PRICES)

    def _add(self, project: bills.Project) -> None:
        self._google.resources[f"/v3/projects/{project.project_id}"] = {
            "name": f"projects/{project.number}",
            "projectId": project.project_id,
            "displayName": project.name,
            "state": "ACTIVE",
            "labels": dict(project.labels),
        }
        base = f"/compute/v1/projects/{project.project_id}"
        for machine in project.machines:
            path = f"{base}/zones/{machine.zone}/instances/{machine.name}"
            self._machines[path] = machine
            self._google.resources[path] = {
                "labels": dict(machine.labels),
                "machineType": f"zones/{machine.zone}/machineTypes/{machine.machine_type}",
                "status": "RUNNING",
                "zone": f"zones/{machine.zone}",
            }

    def answer(self, environ: Mapping[str, t.Any], body: bytes) -> Answer:
        """Answer one request."""
        headers = {"Authorization": environ.get("HTTP_AUTHORIZATION", "")}
        path, query = environ.get("PATH_INFO", "/"), environ.get("QUERY_STRING", "")
        request = self._api.Request(environ["REQUEST_METHOD"], path, query, headers, body)
        reply = self._api.respond(self._google, request)
        if path.endswith("/setLabels"):
            target = path.removesuffix("/setLabels")
            if target in self._machines:
                self._machines[target].labels = dict(self._google.resources[target]["labels"])
        return Answer(reply.status, _JSON, json.dumps(reply.content).encode())
