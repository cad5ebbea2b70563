# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Helm says about a release and a chart, what would change, and what its errors mean.

Runs where helm runs. What leaves it, a diff or a sentence, holds no secret: neither the ``data`` of a Secret nor what
the caller names as secret.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps

#: command -> exit code, output, errors
Run: t.TypeAlias = "Callable[[Sequence[str]], tuple[int, str, str]]"

HIDDEN = "********"
#: Shorter ones are no secrets, and are found in every other word.
SHORTEST_SECRET = 4
#: Revisions that have served at some time.
SERVED = ("deployed", "superseded")
#: Longest piece of Helm's own words in a sentence.
LONGEST = 600


class HelmError(Exception):
    """One sentence about what is wrong and what would be right."""


@dataclasses.dataclass(frozen=True)
class Chart:
    """What ``Chart.yaml`` says."""

    name: str
    version: str
    app_version: str

    @property
    def full_name(self) -> str:
        """As Helm writes it in lists of releases."""
        return f"{self.name}-{self.version}"


@dataclasses.dataclass(frozen=True)
class Release:
    """The last revision of a release."""

    revision: int
    #: deployed, failed, pending-install, pending-upgrade, pending-rollback, uninstalling, ...
    status: str
    chart: str
    app_version: str
    #: of the last change, as Helm writes it
    updated: str
    #: the last revision that served; 0 where none did
    served: int
    values: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    manifest: str = ""


def release_of(history: Sequence[Mapping[str, t.Any]]) -> Release | None:
    """The release of ``helm history``; None where it was removed."""
    if not history:
        return None
    last = max(history, key=lambda entry: int(entry["revision"]))
    if last["status"] == "uninstalled":
        return None
    return Release(
        revision=int(last["revision"]),
        status=str(last["status"]),
        chart=str(last["chart"]),
        app_version=str(last.get("app_version") or ""),
        updated=str(last.get("updated") or ""),
        served=max((int(entry["revision"]) for entry in history if entry["status"] in SERVED), default=0),
    )


def reasons(release: Release | None, chart: Chart, values: Mapping[str, t.Any]) -> tuple[str, ...]:
    """Why the release is not yet what is wanted; empty where it is.

    A chart's version stands for its content, as Helm has it: what a template makes up anew each time, such as a
    password, is no reason.
    """
    if release is None:
        return ("it is not installed",)
    found = []
    if release.chart != chart.full_name:
        found.append(f"chart {release.chart} becomes {chart.full_name}")
    elif release.app_version != chart.app_version:
        found.append(f"application {release.app_version or 'unnamed'} becomes {chart.app_version or 'unnamed'}")
    if dict(release.values) != dict(values):
        found.append("the values differ")
    return tuple(found)


def unfinished(name: str, release: Release | None) -> str:
    """Why nothing can be done with the release as it stands; empty where something can."""
    if release is None or release.status == "deployed":
        return ""
    after = f"rolls it back to revision {release.served}" if release.served else "removes what there is of it"
    if release.status.startswith("pending-"):
        return (
            f"release {name} is {release.status} since {release.updated[:19]}: a run is at work, or was interrupted; "
            f"wait for it, or say recover=true, which {after}"
        )
    return f"release {name} is {release.status}, revision {release.revision}: recover=true {after} before it goes on"


def wrong_checksum(archive: str, wanted: str) -> str:
    """Why the archive is not the one that is wanted; empty where it is."""
    digest = hashlib.sha256()
    with open(archive, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() == wanted.removeprefix("sha256:"):
        return ""
    return f"chart {archive} has sha256:{digest.hexdigest()}, not {wanted} as checksum says: it is not installed"


def leaves(value: t.Any) -> list[str]:
    """The texts of a nested value."""
    if isinstance(value, Mapping):
        return [leaf for each in value.values() for leaf in leaves(each)]
    if isinstance(value, (list, tuple)):
        return [leaf for each in value for leaf in leaves(each)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


class Masker:
    """Hides secrets in texts: as they are, in base64, and as they stand in JSON."""

    def __init__(self, secret_values: t.Any = None) -> None:
        found: set[str] = set()
        for secret in leaves(secret_values):
            if len(secret) >= SHORTEST_SECRET:
                found |= {secret, base64.b64encode(secret.encode()).decode(), json.dumps(secret)[1:-1]}
                found |= {line for line in secret.splitlines() if len(line) >= SHORTEST_SECRET}
        # The longest first: one may be part of another.
        self._secrets = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def values(self, plain: t.Any, secret: t.Any = None) -> t.Any:
        """Values with everything hidden that ``secret``, of the same layout, names."""
        if isinstance(secret, Mapping) and isinstance(plain, Mapping):
            return {key: self.values(value, secret.get(key)) for key, value in plain.items()}
        if secret is not None:
            return HIDDEN
        if isinstance(plain, Mapping):
            return {key: self.values(value) for key, value in plain.items()}
        if isinstance(plain, (list, tuple)):
            return [self.values(value) for value in plain]
        return self(plain) if isinstance(plain, str) else plain


def documents(manifest: str, masker: Masker, others: Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
    """Objects of a manifest by kind and name; the data of Secrets is hidden.

    ``others``: what ``raw_objects`` of another manifest returns: a value of a Secret that differs from it says so.
    """
    answer = {}
    for key, content in raw_objects(manifest).items():
        if content.get("kind") == "Secret":
            other = (others or {}).get(key, {})
            content = {
                **content,
                **{
                    field: {
                        name: HIDDEN if (other.get(field) or {}).get(name, value) == value else f"{HIDDEN} (another)"
                        for name, value in content[field].items()
                    }
                    for field in ("data", "stringData")
                    if content.get(field)
                },
            }
        answer[key] = masker.values(content)
    return answer


def raw_objects(manifest: str) -> dict[str, dict[str, t.Any]]:
    """Objects of a manifest by kind, namespace and name."""
    loader = getattr(deps.yaml, "CSafeLoader", deps.yaml.SafeLoader)
    found = {}
    for content in deps.yaml.load_all(manifest, Loader=loader):
        if isinstance(content, dict) and content.get("kind"):
            metadata = content.get("metadata") or {}
            place = "/".join(str(part) for part in (metadata.get("namespace"), metadata.get("name")) if part)
            found[f"{content['kind']} {place}"] = content
    return found


def diff(
    release: Release | None,
    values: Mapping[str, t.Any] | None,
    manifest: str,
    secret_values: Mapping[str, t.Any],
    hidden: Sequence[str] = (),
) -> dict[str, str]:
    """Values and manifest before and after, as Ansible shows them; ``values`` None: it goes away.

    ``secret_values`` and ``hidden`` stand nowhere in it.
    """
    # What was secret before is secret as well: it stands at the same place.
    masker = Masker([hidden, secret_values, _at(release.values if release else {}, secret_values)])
    before = raw_objects(release.manifest) if release else {}
    parts = {}
    for side, told, text, other in (
        ("before", release.values if release else None, release.manifest if release else "", None),
        ("after", values, manifest, before),
    ):
        lines = "" if told is None else _yaml({"values": masker.values(told, secret_values)})
        for key, content in sorted(documents(text, masker, other).items()):
            lines += f"--- # {key}\n{_yaml(content)}"
        parts[side] = lines
    return parts


def _at(values: t.Any, places: t.Any) -> t.Any:
    """What ``values`` has where ``places`` has something."""
    if isinstance(values, Mapping) and isinstance(places, Mapping):
        return [_at(values[key], place) for key, place in places.items() if key in values]
    return values


def _yaml(content: t.Any) -> str:
    text: str = deps.yaml.safe_dump(content, default_flow_style=False, sort_keys=True, width=1000)
    return text


def merged(below: Mapping[str, t.Any], above: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Values over values, key by key, as Helm merges its files."""
    answer = dict(below)
    for key, value in above.items():
        kept = answer.get(key)
        answer[key] = merged(kept, value) if isinstance(kept, Mapping) and isinstance(value, Mapping) else value
    return answer


def sentence(text: str, masker: Callable[[str], str] = lambda text: text) -> str:
    """What Helm's error says, in one line, with what would be right where that is known."""
    lines = [line.strip() for line in masker(text).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("WARNING:", "walk.go:", "level=WARN"))]
    start = next((number for number, line in enumerate(told) if line.startswith("Error:")), 0)
    first = " ".join(told[start:]).removeprefix("Error: ")[:LONGEST] or "helm said nothing"
    for pattern, form in _SENTENCES:
        found = re.search(pattern, first)
        if found:
            return form.format(first, *(group.replace('\\"', '"') for group in found.groups()))
    return first


#: (what Helm says, the sentence: {0} is all of it, {1} the first group)
_SENTENCES: tuple[tuple[str, str], ...] = (
    # the API server's own words, as kubernetes.core passes them on
    (r'"kind":"Status".*?"message":"((?:[^"\\]|\\.)*)"', "the cluster refuses: {1}"),
    (r"Could not create API client: (.*)", "the kubeconfig cannot be used: {1}"),
    (
        r"(?:Max retries exceeded with url|Failed to establish a new connection).*?(\[Errno .*?)['\")]",
        "the cluster does not answer: {1}",
    ),
    (r"context \"(.*?)\" does not exist", "context {1} is not in the kubeconfig; set context to one that is"),
    (
        r"cluster unreachable: .*(?:localhost|127\.0\.0\.1|\[::1\]):8080",
        "no cluster is named: there is no kubeconfig and nothing on localhost:8080; set kubeconfig to the path of one",
    ),
    (
        r"cluster unreachable: (.*)",
        "the cluster does not answer: {1}; see server and certificates in the kubeconfig",
    ),
    (r"error loading config file \"(.*?)\": (.*)", "kubeconfig {1} cannot be read: {2}"),
    (r"(\S+ is forbidden: .*)", "the cluster refuses: {1}; the guide on Kubernetes has the rights that are needed"),
    (
        r"values don't meet the specifications of the schema\(s\) in the following chart\(s\): (.*)",
        "the chart's schema refuses the values: {1}",
    ),
    (
        r"another operation \(install/upgrade/rollback\) is in progress",
        "another run is at work on this release, or was interrupted; wait for it, or say recover=true",
    ),
    (
        r"namespaces? \"(.*?)\" not found",
        "namespace {1} is not there; make it, or set create_namespace to true",
    ),
    (
        r"chart \"(.*?)\" version \"(.*?)\" not found in (\S+) repository",
        "chart {1} has no version {2} in {3}; name one that it has",
    ),
    (r"chart \"(.*?)\" matching (\S+) not found in .*", "chart {1} has no version {2} in the repository"),
    (
        r"looks like \"(.*?)\" is not a valid chart repository or cannot be reached: (.*)",
        "{1} does not answer as a chart repository: {2}",
    ),
    (r"invalid ownership metadata", "something else owns what the chart wants to make: {0}"),
)


class Helm:
    """Helm's commands that read; each raises HelmError with a sentence."""

    def __init__(self, run: Run, program: str, namespace: str, kubeconfig: str = "", context: str = "") -> None:
        self._run = run
        self._program = program
        self._common = ["--namespace", namespace]
        self._common += ["--kubeconfig", kubeconfig] if kubeconfig else []
        self._common += ["--kube-context", context] if context else []
        if kubeconfig and not os.path.isfile(kubeconfig):
            raise HelmError(f"kubeconfig {kubeconfig} is not there; give the path of a kubeconfig on this host")

    def _ask(self, *words: str) -> str:
        code, output, errors = self._run([self._program, *words])
        if code:
            raise HelmError(sentence(errors or output))
        return output

    def chart(self, archive: str) -> Chart:
        """What the archive holds."""
        content = deps.yaml.safe_load(self._ask("show", "chart", archive))
        return Chart(str(content["name"]), str(content["version"]), str(content.get("appVersion") or ""))

    def release(self, name: str) -> Release | None:
        """The release with its values and manifest; None where there is none."""
        code, output, errors = self._run([self._program, "history", name, "--output", "json", *self._common])
        if code and "release: not found" in errors:
            return None
        if code:
            raise HelmError(sentence(errors or output))
        found = release_of(json.loads(output))
        if found is None or not found.served:
            return found
        return dataclasses.replace(
            found,
            values=json.loads(self._ask("get", "values", name, "--output", "json", *self._common)) or {},
            manifest=self._ask("get", "manifest", name, *self._common),
        )

    def rendered(self, name: str, archive: str, values_file: str, release: Release | None, *options: str) -> str:
        """The manifest that the cluster's API server would get; Helm checks it against the cluster's schemas.

        Where a chart brings definitions (CRDs) and objects of them, a first install cannot be tried: it is rendered
        without asking the cluster.
        """
        words = [name, archive, "--values", values_file, *self._common]
        code, output, errors = self._run(
            [self._program, "upgrade", "--install", "--dry-run=server", "--output", "json", *words, *options]
        )
        if code == 0:
            return str(json.loads(output)["manifest"])
        undefined = "ensure CRDs are installed first" in errors
        absent_namespace = re.search(r"namespaces? \".*\" not found", errors) is not None
        if release is None and (undefined or absent_namespace):
            return self._ask("template", *words)
        raise HelmError(sentence(errors or output))


def masked_sentence(text: str, secrets: Iterable[t.Any]) -> str:
    """``sentence`` without the secrets."""
    return sentence(text, Masker(list(secrets)))
