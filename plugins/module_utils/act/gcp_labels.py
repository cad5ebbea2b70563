# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of a project: instances, disks, snapshots, and the project itself.

Google takes all labels of one resource at a time, with the fingerprint of those that they replace: where somebody was
faster, the resource is read and changed again. https://cloud.google.com/compute/docs/labeling-resources
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act.tag_journal import Change, Write, alike
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import Policy, Resource, Source, Tags
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import OPERATION_TIMEOUT, Gcp, GcpError

_Dict: t.TypeAlias = "dict[str, t.Any]"
_COMPUTE = "/compute/v1/"
_MANAGER = "cloudresourcemanager"
#: How often a resource is read again because somebody was faster.
CONFLICTS = 4
KINDS = ("compute:instance", "compute:disk", "compute:snapshot", "project")
#: kind -> (member of answers, permission to set labels)
_PERMISSIONS = {
    "compute:instance": "compute.instances.setLabels",
    "compute:disk": "compute.disks.setLabels",
    "compute:snapshot": "compute.snapshots.setLabels",
    "project": "resourcemanager.projects.update",
}
_AGGREGATED = {"compute:instance": "instances", "compute:disk": "disks"}


@dataclasses.dataclass(frozen=True)
class _Known:
    """A resource as it was read last."""

    kind: str
    labels: Mapping[str, str]
    mark: str
    users: tuple[str, ...] = ()


def path_of(link: str) -> str:
    """``projects/shop/zones/z/instances/web`` of a link to it."""
    return link[link.index("projects/") :] if "projects/" in link else link


class GcpLabels:
    """The labels of one project."""

    def __init__(
        self,
        gcp: Gcp,
        kinds: Sequence[str] = KINDS,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gcp = gcp
        self._kinds = tuple(kinds)
        self._sleep = sleep
        self._now = now
        self._known: dict[str, _Known] = {}

    @property
    def scope(self) -> str:
        """What a journal's runs belong to."""
        return f"gcp/{self._gcp.project}"

    @property
    def _project(self) -> str:
        return f"projects/{self._gcp.project}"

    def read(self, policy: Policy) -> tuple[list[tuple[str, Resource]], dict[Source, Tags]]:
        """All resources with their places, and the labels of what they inherit from.

        :raises GcpError: Google refuses.
        """
        inherited: dict[Source, Tags] = {}
        if "account" in policy.sources:
            project = self._gcp.project
            written = policy.accounts.get(project)
            inherited["account", project] = self._of_project().labels if written is None else written
        found: list[tuple[str, Resource]] = []
        machines: dict[str, Tags] = {}
        inherits = "instance" in policy.sources and "compute:disk" in self._kinds
        for identity, known in self._all(("compute:instance",) if inherits else ()):
            if known.kind == "compute:instance":
                machines[identity] = known.labels
            if known.kind not in self._kinds:
                continue
            parents = {} if known.kind == "project" else {"account": self._gcp.project}
            if known.users:
                parents["instance"] = known.users[0]
            found.append((_place(identity), Resource(identity, known.kind, known.labels, parents)))
        inherited.update({("instance", identity): labels for identity, labels in machines.items()})
        return found, inherited

    def _all(self, more: Sequence[str] = ()) -> Iterator[tuple[str, _Known]]:
        kinds = {*self._kinds, *more}
        for kind in KINDS:
            if kind not in kinds:
                continue
            for identity, known in self._listed(kind):
                self._known[identity] = known
                yield identity, known

    def _listed(self, kind: str) -> Iterator[tuple[str, _Known]]:
        if kind == "project":
            yield self._project, self._of_project()
            return
        collection = _AGGREGATED.get(kind)
        if collection is None:
            path, about = f"{_COMPUTE}{self._project}/global/snapshots", "snapshots"
            for page in self._gcp.pages("compute", path, about, {"maxResults": 500}):
                for item in page.get("items", ()):
                    yield f"{self._project}/global/snapshots/{item['name']}", _known(kind, item)
            return
        path = f"{_COMPUTE}{self._project}/aggregated/{collection}"
        for page in self._gcp.pages("compute", path, collection, {"maxResults": 500}):
            unreachable = list(page.get("unreachables", ()))
            for scope, part in page.get("items", {}).items():
                if part.get("warning", {}).get("code") == "UNREACHABLE":
                    unreachable.append(scope)
                for item in part.get(collection, ()):
                    yield f"{self._project}/{scope}/{collection}/{item['name']}", _known(kind, item)
            if unreachable:
                # Without them a report would be wrong, and nobody would see it.
                where = f"{', '.join(unreachable)} in project {self._gcp.project}"
                raise GcpError(f"Google Cloud cannot list {collection} of {where} now: try again later")

    def _of_project(self) -> _Known:
        about = "labels of the project"
        try:
            return _known("project", self._gcp.send(_MANAGER, "GET", f"/v3/{self._project}", about))
        except GcpError as error:
            raise _granting(error, "resourcemanager.projects.get") from None

    def now(self, places: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        """The labels of these resources as they are now; what is gone is left out."""
        kinds = {_kind(identity) for identity in places}
        for kind in KINDS:
            if kind in kinds:
                self._known.update(self._listed(kind))
        return {identity: self._known[identity].labels for identity in places if identity in self._known}

    def grouped(self, changes: Sequence[Change]) -> list[Write]:
        """The steps: each is one request for each of up to 20 resources."""
        return alike(changes)

    def send(self, write: Write) -> dict[str, str]:
        """Begin all changes of the step, then wait for each. The resources that were refused, with why.

        :raises GcpError: a permission is missing, or Google does not answer.
        """
        refused: dict[str, str] = {}
        begun: list[tuple[str, _Dict]] = []
        fatal: GcpError | None = None
        for identity, before in write.before.items():
            try:
                begun.append((identity, self._begin(identity, write, before)))
            except GcpError as error:
                if error.status not in (400, 404, 409, 412):
                    fatal = _granting(error, _PERMISSIONS[_kind(identity)])
                    break
                refused[identity] = str(error)
        for identity, operation in begun:
            try:
                self._wait(identity, operation)
            except GcpError as error:
                refused[identity] = str(error)
        if fatal is not None:
            raise fatal
        return refused

    def _begin(self, identity: str, write: Write, before: Mapping[str, str | None]) -> _Dict:
        """:raises GcpError: Google refuses, or somebody changed the same labels meanwhile."""
        about = f"labels of {identity}"
        for attempt in range(1, CONFLICTS + 1):
            known = self._known.get(identity) or self._fetched(identity)
            for key, value in before.items():
                if known.labels.get(key) != value:
                    raise GcpError(f"{about}: somebody changed {key} meanwhile, so it is left alone", 409)
            labels = {key: value for key, value in known.labels.items() if key not in write.remove}
            labels.update(write.set)
            try:
                if _kind(identity) == "project":
                    return self._gcp.send(
                        _MANAGER,
                        "PATCH",
                        f"/v3/{identity}",
                        about,
                        {"labels": labels, "etag": known.mark},
                        {"updateMask": "labels"},
                    )
                body = {"labels": labels, "labelFingerprint": known.mark}
                return self._gcp.send("compute", "POST", f"{_COMPUTE}{identity}/setLabels", about, body)
            except GcpError as error:
                if error.status not in (409, 412) or attempt == CONFLICTS:
                    raise
                self._known[identity] = self._fetched(identity)
        raise AssertionError("the last attempt returns or raises")

    def _fetched(self, identity: str) -> _Known:
        if _kind(identity) == "project":
            return self._of_project()
        return _known(
            _kind(identity), self._gcp.send("compute", "GET", f"{_COMPUTE}{identity}", f"labels of {identity}")
        )

    def _wait(self, identity: str, operation: _Dict) -> None:
        about = f"setting labels of {identity}"
        if _kind(identity) != "project":
            self._gcp.wait("compute", operation, f"{_COMPUTE}{self._project}/{_place(identity)}/operations", about)
            return
        until = self._now() + OPERATION_TIMEOUT
        while not operation.get("done"):
            if self._now() > until:
                raise GcpError(f"{about} was not done within {OPERATION_TIMEOUT:.0f} s")
            self._sleep(1.0)
            operation = self._gcp.send(_MANAGER, "GET", f"/v3/{operation['name']}", about)
        if operation.get("error"):
            raise GcpError(f"{about} failed: {operation['error'].get('message', operation['error'])}")


def _known(kind: str, item: Mapping[str, t.Any]) -> _Known:
    mark = item.get("labelFingerprint") or item.get("etag") or ""
    users = tuple(path_of(user) for user in item.get("users", ()))
    return _Known(kind, dict(item.get("labels") or {}), mark, users)


def _kind(identity: str) -> str:
    parts = identity.split("/")
    return "project" if len(parts) == 2 else f"compute:{parts[-2].rstrip('s')}"


def _place(identity: str) -> str:
    """``zones/us-central1-a``, ``global``, or ``project``."""
    parts = identity.split("/")
    return "/".join(parts[2:-2]) or "project"


def _granting(error: GcpError, permission: str) -> GcpError:
    """The same sentence, with the permission that is missing."""
    if error.status != 403 or permission in str(error):
        return error
    return GcpError(f"{error}: grant {permission}", error.status)
