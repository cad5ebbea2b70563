# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels on the stand-in of Google's APIs: lists with fingerprints, setLabels, and a project's labels.

Resources are those of ``google.resources`` by their path. A fingerprint is of the labels, as the real one is.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import typing as t

from ansible_collections.frugal.cloud.tests.standins.google_api import Google, Refused

_Dict = dict[str, t.Any]
#: https://cloud.google.com/compute/docs/labeling-resources#restrictions
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_PATH = re.compile(r"/compute/v1/projects/([^/]+)/((?:zones|regions)/[^/]+|global)/([^/]+)/([^/]+)")


def mark(labels: t.Any) -> str:
    """The fingerprint of labels."""
    text = json.dumps(labels or {}, sort_keys=True)
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


@dataclasses.dataclass
class Labels:
    """Tests may set ``meanwhile``: so often somebody else changes a label before a request of ours arrives."""

    google: Google
    meanwhile: int = 0
    page: int = 500
    #: paths that refuse every label
    locked: set[str] = dataclasses.field(default_factory=set)

    def _shown(self, path: str) -> _Dict:
        if path not in self.google.resources:
            raise Refused(404, f"The resource '{path.removeprefix('/compute/v1/')}' was not found")
        found = self.google.resources[path]
        shown = {key: value for key, value in found.items() if not key.startswith("_")}
        return {**shown, "name": path.rpartition("/")[2], "labelFingerprint": mark(found.get("labels"))}

    def get(self, path: str, given: _Dict, body: t.Any) -> _Dict:
        """One resource of Compute Engine."""
        return self._shown(path)

    def _all(self, project: str, collection: str) -> list[tuple[str, str]]:
        found = []
        for path in sorted(self.google.resources):
            match = _PATH.fullmatch(path)
            if match and match[1] == project and match[3] == collection:
                found.append((match[2], path))
        return found

    def _paged(self, given: _Dict, rows: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], _Dict]:
        size = min(self.page, int(given.get("maxResults", 500)))
        begin = int(given.get("pageToken") or 0)
        more = {"nextPageToken": str(begin + size)} if begin + size < len(rows) else {}
        return rows[begin : begin + size], more

    def aggregated(self, path: str, given: _Dict, body: t.Any) -> _Dict:
        """All of one kind, by zone or region."""
        collection = path.rpartition("/")[2]
        rows, more = self._paged(given, self._all(given["project"], collection))
        items: dict[str, _Dict] = {}
        for scope, resource in rows:
            items.setdefault(scope, {collection: []})[collection].append(self._shown(resource))
        return {"items": items, **more}

    def snapshots(self, path: str, given: _Dict, body: t.Any) -> _Dict:
        """All snapshots."""
        rows, more = self._paged(given, self._all(given["project"], "snapshots"))
        return {"items": [self._shown(resource) for _scope, resource in rows], **more}

    def set_labels(self, path: str, given: _Dict, body: _Dict) -> None:
        """All labels of one resource, with the fingerprint of those that they replace."""
        target = path.removesuffix("/setLabels")
        there = self._shown(target)
        labels = self._may(target, body)
        if self.meanwhile:
            self.meanwhile -= 1
            self.google.resources[target].setdefault("labels", {})[f"other-{self.meanwhile}"] = "x"
            there = self._shown(target)
        if body.get("labelFingerprint") != there["labelFingerprint"]:
            raise Refused(412, "Labels fingerprint either invalid or resource labels have changed")
        self.google.resources[target]["labels"] = labels

    def _may(self, target: str, body: _Dict) -> dict[str, str]:
        if target in self.locked:
            raise Refused(400, "The resource does not take labels in its state.")
        labels: dict[str, str] = dict(body.get("labels") or {})
        if len(labels) > 64:
            raise Refused(400, "Too many labels: at most 64.")
        for key, value in labels.items():
            if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
                raise Refused(400, f"Invalid value for field 'labels': '{key}: {value}'. Use small letters.")
        return labels

    def project(self, path: str, given: _Dict, body: t.Any) -> _Dict:
        """The project, with an etag."""
        if path not in self.google.resources:
            raise Refused(403, "The caller does not have permission")
        found = self.google.resources[path]
        shown = {key: value for key, value in found.items() if not key.startswith("_")}
        return {**shown, "etag": mark(found.get("labels"))}

    def patch_project(self, path: str, given: _Dict, body: _Dict) -> _Dict:
        """Its labels, which are replaced as a whole."""
        if given.get("updateMask") != "labels" or set(body) - {"labels", "etag"}:
            raise Refused(400, "only labels can be changed here")
        labels = self._may(path, body)
        if self.meanwhile:
            self.meanwhile -= 1
            self.google.resources[path].setdefault("labels", {})[f"other-{self.meanwhile}"] = "x"
        if body.get("etag") != self.project(path, given, None)["etag"]:
            raise Refused(409, "There were concurrent policy changes.")
        self.google.resources[path]["labels"] = labels
        self.google.resources["/v3/operations/cp.1"] = {"name": "operations/cp.1", "done": True}
        return {"name": "operations/cp.1", "done": False}

    def operation(self, path: str, given: _Dict, body: t.Any) -> _Dict:
        """An operation of the Resource Manager."""
        return self.google.resources[path]


def install(google: Google) -> Labels:
    """Add labels to what the stand-in does with ``google.resources``."""
    if "cloudresourcemanager.v3" not in google.apis:
        google.apis.append("cloudresourcemanager.v3")
    labels = Labels(google)
    for collection in ("instances", "disks", "snapshots", "regionDisks"):
        google.handlers[f"compute.{collection}.get"] = labels.get
        google.handlers[f"compute.{collection}.setLabels"] = labels.set_labels
    for collection in ("instances", "disks"):
        google.handlers[f"compute.{collection}.aggregatedList"] = labels.aggregated
    google.handlers["compute.snapshots.list"] = labels.snapshots
    google.handlers["cloudresourcemanager.projects.get"] = labels.project
    google.handlers["cloudresourcemanager.projects.patch"] = labels.patch_project
    google.handlers["cloudresourcemanager.operations.get"] = labels.operation
    return labels
