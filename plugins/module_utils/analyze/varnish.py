# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a Varnish says of itself to recommendations: the declaration of its sites, storage, parameters."""

from __future__ import annotations

import collections
import dataclasses
import re
import statistics
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_text
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import varnish_server
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_evidence import Changes, changes
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_log import ANSWERED, Visit, visits_of
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_requests import Change, Refusal, Requests
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_rules import Outcome, Rules, Traffic
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Effort,
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import Site
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_tuned import merge

#: Kind of action -> the fields of a site's declaration that it changes.
SITE_KINDS: dict[str, tuple[str, ...]] = {
    "varnish_query": ("query_parameters",),
    "varnish_vary": ("ignore_vary", "device_classes"),
    "varnish_cookies": ("cookies", "public_paths", "private_paths"),
    "varnish_grace": ("grace",),
}
#: Kinds of actions on varnishd itself.
SERVER_KINDS = ("varnish_storage", "varnish_parameters")
#: Requests that a log must have before anything is said.
LEAST_REQUESTS = 200
#: How long answers may be served after their time, in seconds, from which the shortest that does is taken.
GRACES = (30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
#: Share of requests that may get an answer which is not the newest any more, at most.
OUTDATED = 0.001
#: Part of the best hit ratio that may be given up for a shorter grace.
NEARLY = 0.002
#: Times to the first byte that are kept to compare with later ones.
KEPT_TIMES = 200
NOT_MANAGED = (
    "no sites are declared, so nobody can make VCL of this: it is what role frugal.cloud.varnish should be told"
)


@dataclasses.dataclass(frozen=True)
class Options:
    """How to advise. ``minimum_gain``: hit ratio (share of requests) from which a change is worth its risk."""

    host: str
    minimum_gain: float = 0.01
    maximum_grace: float = 3600.0


@dataclasses.dataclass(frozen=True)
class Findings:
    """What was found. ``sites`` are figures and refusals of each site; ``advice`` is for people."""

    recommendations: tuple[Recommendation, ...] = ()
    summary: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    sites: tuple[Mapping[str, t.Any], ...] = ()
    advice: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def analyse(
    data: Mapping[str, t.Any], declared: Sequence[Mapping[str, t.Any]], tuned: Mapping[str, t.Any], options: Options
) -> Findings:
    """Everything that can be said.

    :param data: what ``varnish_stats_info`` returned.
    :param declared: the role's declaration of sites; empty where Varnish is not managed by it.
    :param tuned: what tuning has changed before (``/etc/frugal/tuning/varnish.json``).
    :raises LogError: when the sample of the log is none.
    :raises VclError: when the declaration cannot be used.
    """
    visits = visits_of(data["log"]["requests"])
    growth = growth_of(data)
    warnings = list(_warnings(data, visits))
    overlay = tuned.get("sites", {})
    managed = bool(declared)
    merged = merge(declared, overlay) if managed else [_stand_in(data["parameters"])]
    found: list[Recommendation] = []
    reports: list[Mapping[str, t.Any]] = []
    lookups: list[tuple[t.Any, int]] = []
    known: list[Visit] = []
    for site, own in _by_site([Site.from_dict(entry) for entry in merged], visits):
        known += own
        if len(own) < LEAST_REQUESTS:
            warnings.append(f"site {site.name}: {len(own)} requests were seen, {LEAST_REQUESTS} are needed to advise")
            continue
        declaration = next(entry for entry in merged if entry["name"] == site.name)
        study = _Study(site, declaration, overlay.get(site.name, {}), own, data["parameters"], options)
        reports.append(study.report())
        lookups += study.proposed_rules.lookups()
        found += study.recommendations(_resource(options.host, data, site.name), managed)
    figures = measured(known or visits)
    found += _server(data, growth, lookups, tuned, figures, options)
    summary = {
        **{name: value for name, value in figures.items() if name != "ttfb"},
        "outcomes": dict(collections.Counter(visit.outcome for visit in visits)),
        "version": data.get("version", ""),
        "sites": {report["name"]: report["predicted"]["hit_ratio"] for report in reports},
    }
    return Findings(tuple(found), summary, tuple(reports), tuple(varnish_server.advice(growth)), tuple(warnings))


def growth_of(data: Mapping[str, t.Any]) -> varnish_server.Growth:
    """The counters' growth while the log was read live, and their totals."""
    window = data.get("window") or {"seconds": 0.0, "counters": {}}
    return varnish_server.Growth(window["counters"], data["counters"], float(window["seconds"]))


def _warnings(data: Mapping[str, t.Any], visits: Sequence[Visit]) -> t.Iterator[str]:
    log = data["log"]
    if not visits:
        yield "the log holds no requests: read it for longer (log_seconds), while people use the sites"
    if log.get("incomplete"):
        yield f"{log['incomplete']} requests were overwritten before they could be read: they are left out"
    cut = sum(visit.url_cut or visit.cookies_cut for visit in visits)
    if cut:
        yield (
            f"{cut} requests have an address or cookies longer than a record of the log (parameter vsl_reclen, "
            f"{data['parameters'].get('vsl_reclen', '255')} bytes): they are taken as ones that must pass"
        )


def _stand_in(parameters: Mapping[str, str]) -> dict[str, t.Any]:
    """The declaration that says what Varnish's own VCL does."""
    return {
        "name": "default",
        "hosts": ["*"],
        "backends": [{"name": "default", "address": "127.0.0.1"}],
        "default_ttl": f"{float(parameters.get('default_ttl', 120)):g}s",
        "grace": f"{float(parameters.get('default_grace', 10)):g}s",
    }


# --- What actions mean on the host


def current(recommendation: Recommendation, tuned: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The fields that a recommendation changes, as tuning has left them; None: not changed by tuning."""
    place: Mapping[str, t.Any] = tuned
    if recommendation.action in SITE_KINDS:
        place = tuned.get("sites", {}).get(recommendation.evidence["site"], {})
    elif recommendation.action == "varnish_parameters":
        place = tuned.get("parameters", {})
    return {name: place.get(name) for name in recommendation.proposed}


def tuned(recommendation: Recommendation, values: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """These values of its fields, as module ``varnish_config`` takes them; None takes one out."""
    if recommendation.action in SITE_KINDS:
        return {"sites": {recommendation.evidence["site"]: dict(values)}}
    return {"parameters": dict(values)} if recommendation.action == "varnish_parameters" else dict(values)


def concerned(recommendation: Recommendation, data: Mapping[str, t.Any]) -> list[Visit]:
    """The requests of a reading that a recommendation is about: of its site, or all.

    :raises LogError: when the sample of the log is none.
    """
    visits = visits_of(data["log"]["requests"])
    if recommendation.action not in SITE_KINDS:
        return visits
    merged = merge(data["declaration"], data["tuned"].get("sites", {}))
    own = {site.name: found for site, found in _by_site([Site.from_dict(entry) for entry in merged], visits)}
    return own.get(recommendation.evidence["site"], [])


def _by_site(sites: Sequence[Site], visits: Sequence[Visit]) -> list[tuple[Site, list[Visit]]]:
    """The requests of each site, as the VCL would hand them out: exact names first, then the longest pattern."""
    names = [(name, site) for site in sites for name in site.hosts]
    names.sort(key=lambda entry: ("*" in entry[0], -len(entry[0])))
    patterns = [(vcl_text.hosts([name]), site) for name, site in names]
    owner: dict[str, str] = {}
    found: dict[str, list[Visit]] = {site.name: [] for site in sites}
    for visit in visits:
        if visit.host not in owner:
            matching = (site.name for pattern, site in patterns if re.search(pattern, visit.host))
            owner[visit.host] = next(matching, "")
        if owner[visit.host]:
            found[owner[visit.host]].append(visit)
    return [(site, found[site.name]) for site in sites]


def _resource(host: str, data: Mapping[str, t.Any], site: str = "") -> Resource:
    listens = data.get("listens") or [""]
    port = str(listens[0]).rpartition(":")[2]
    identity = f"{host}:{port}" if port else host
    if site:
        return Resource(f"{identity}/{site}", "varnish_site", f"{site} on {identity}")
    return Resource(identity, "varnish", identity)


# --- Figures


def measured(visits: Sequence[Visit]) -> dict[str, t.Any]:
    """How the cache did: ratios of all requests but those that no cache answers, times in seconds."""
    answered = [visit for visit in visits if visit.outcome in ANSWERED]
    seconds = answered[-1].time - answered[0].time if len(answered) > 1 else 0.0
    hits = sum(visit.outcome == "hit" for visit in answered)
    backend = sum(visit.fetched is not None for visit in answered)
    errors = sum(visit.status >= 500 for visit in answered)
    times = sorted(visit.ttfb for visit in answered)
    total = len(answered)
    return {
        "requests": total,
        "seconds": round(seconds, 1),
        "requests_per_second": round(total / seconds, 2) if seconds else 0.0,
        "hit_ratio": round(hits / total, 4) if total else 0.0,
        "backend_requests": backend,
        "backend_requests_per_second": round(backend / seconds, 2) if seconds else 0.0,
        "errors": errors,
        "ttfb_p50": round(statistics.median(times), 6) if times else 0.0,
        "ttfb_p95": round(times[int(0.95 * (total - 1))], 6) if times else 0.0,
        # Evenly spaced in rank: enough to compare two distributions by.
        "ttfb": [round(times[int((rank + 0.5) * total / KEPT_TIMES)], 6) for rank in range(KEPT_TIMES)]
        if total >= KEPT_TIMES
        else times,
    }


def leaks(visits: Sequence[Visit]) -> list[str]:
    """Private answers that came from the cache: each is a fault of the cache's rules."""
    return sorted(
        {
            f"{visit.kind}: {visit.delivered.private}"
            for visit in visits
            if visit.outcome == "hit" and visit.delivered is not None and visit.delivered.private
        }
    )


# --- One site


class _Study:
    """One site: what could be left out of its requests, what that would bring."""

    def __init__(
        self,
        site: Site,
        declaration: Mapping[str, t.Any],
        overlay: Mapping[str, t.Any],
        visits: Sequence[Visit],
        parameters: Mapping[str, str],
        options: Options,
    ) -> None:
        self._site, self._declaration, self._overlay, self._options = site, declaration, overlay, options
        self._visits = visits
        self._gzip = parameters.get("http_gzip_support", "on") == "on"
        requests = Requests(visits, site)
        self._requests = requests
        self._traffic = Traffic.of(visits, requests.private)
        self.figures = measured(visits)
        self._warm_up = self._rules({}).warm_up()
        changed = {
            "varnish_query": requests.query(),
            "varnish_vary": requests.vary(),
            "varnish_cookies": requests.cookies(),
        }
        self._changes = {kind: change for kind, change in changed.items() if change.fields}
        self.page_changes = self._page_changes()
        grace = self._grace()
        if grace.fields:
            self._changes["varnish_grace"] = grace
            self._warm_up = self._half()
        self._drop_useless()
        self.now = self._outcome({})
        self.proposed_rules = self._rules(self._changes)
        self.then = self._outcome(self._changes)

    def _rules(self, changed: Mapping[str, Change]) -> Rules:
        """The cache's rules with some changes."""
        fields: dict[str, t.Any] = {}
        for change in changed.values():
            fields.update(change.fields)
        name = self._site.name
        merged = merge([self._declaration], {name: fields} if fields else {})[0]
        return Rules(Site.from_dict(merged), self._traffic, normalized_encoding=self._gzip)

    def _outcome(self, changed: Mapping[str, Change]) -> Outcome:
        return self._rules(changed).simulate(self._warm_up)

    def _without(self, kind: str) -> Outcome:
        return self._outcome({name: change for name, change in self._changes.items() if name != kind})

    def _half(self) -> float:
        """Half of the log, in seconds: what is left to count by is the same for all lives of answers."""
        return (self._visits[-1].time - self._visits[0].time) / 2

    def _drop_useless(self) -> None:
        """Leave out, one after the other, what brings least beside the others, until each is worth it."""
        while self._changes:
            best = self._outcome(self._changes)
            gains = {kind: best.hit_ratio - self._without(kind).hit_ratio for kind in self._changes}
            kind = min(gains, key=lambda name: gains[name])
            if gains[kind] >= self._options.minimum_gain:
                return
            del self._changes[kind]

    def _page_changes(self) -> Changes:
        rules = self._rules(self._changes)
        # Only what is looked up: what passes is made for whoever asks.
        observed = [one for one in self._requests.observed if rules.key(one.visit) is not None]
        return changes(observed, rules.key)

    def _grace(self) -> Change:
        """The shortest time for which answers are served beyond their own that makes most of the difference."""
        change = Change()
        best = self._rules(self._changes).simulate(self._half())
        allowed: list[tuple[float, Outcome]] = []
        for grace in GRACES:
            if grace <= self._site.grace or grace > self._options.maximum_grace:
                continue
            fields = {**self._changes, "varnish_grace": Change({"grace": vcl_text.duration(grace)})}
            outcome = self._rules(fields).simulate(self._half())
            if self._outdated(outcome) <= OUTDATED:
                allowed.append((grace, outcome))
        if not allowed:
            return change
        most = max(outcome.hit_ratio for grace, outcome in allowed)
        grace, outcome = next(entry for entry in allowed if entry[1].hit_ratio >= most - NEARLY)
        if outcome.hit_ratio - best.hit_ratio < self._options.minimum_gain:
            return change
        seen = self.page_changes
        change.fields = {"grace": vcl_text.duration(grace)}
        why = (
            f"with {grace:g} s instead of {self._site.grace:g} s beyond their time to live, answers are there while "
            f"others are fetched; {seen.changed} of {seen.seen} answers to the same request differed from the last"
        )
        late = f"at most {self._outdated(outcome):.2%} of requests would get an answer that has changed since"
        change.reasons = [why, late]
        change.risk = {"content": 1 if seen.changed == 0 else 2}
        return change

    def _outdated(self, outcome: Outcome) -> float:
        """Share of requests whose answer has changed since, at most: changes a second times seconds past their time."""
        if not outcome.requests or not outcome.stale_seconds:
            return 0.0
        return self.page_changes.rate * outcome.stale_seconds / outcome.requests

    def report(self) -> dict[str, t.Any]:
        """Figures of this site, why requests missed or passed, and what is left as it is."""
        return {
            "name": self._site.name,
            "measured": {name: value for name, value in self.figures.items() if name != "ttfb"},
            "simulated": {"hit_ratio": round(self.now.hit_ratio, 4)},
            "predicted": self._predicted(self.then),
            "reasons": reasons(self._visits, self._requests.private),
            "paths": _paths(self._visits, self._requests.private),
            "refused": [refusal.to_dict() for refusal in self._refusals()],
            "advice": list(self._advice()),
        }

    def _refusals(self) -> list[Refusal]:
        return sorted(self._requests.refusals, key=lambda refusal: -refusal.requests)

    def _predicted(self, outcome: Outcome) -> dict[str, t.Any]:
        rate = self.figures["requests_per_second"]
        share = outcome.backend_requests / outcome.requests if outcome.requests else 0.0
        return {"hit_ratio": round(outcome.hit_ratio, 4), "backend_requests_per_second": round(share * rate, 2)}

    def _advice(self) -> t.Iterator[str]:
        """What only the application can do."""
        silent = sorted(
            kind for kind, ttl in self._traffic.lifetimes.items() if ttl is None and kind not in self._requests.private
        )
        if silent:
            yield f"{', '.join(silent[:5])}: answers do not say for how long they may be cached; send Cache-Control"
        seen = self.page_changes
        lives = [ttl for ttl in self._traffic.lifetimes.values() if ttl]
        if lives and seen.seconds and 1 / seen.rate > 10 * max(lives):
            yield (
                f"answers live {max(lives):g} s at most, and a page changes less often than every "
                f"{1 / seen.rate:.0f} s: a longer max-age saves requests"
            )
        plain = {
            visit.kind
            for visit in self._visits
            if visit.fetched
            and visit.fetched.length > 1024
            and not visit.fetched.encoding
            and "gzip" in visit.encodings
            and visit.fetched.content_type.startswith(("text/", "application/json", "application/javascript"))
        }
        if plain and not self._site.compress:
            kinds = ", ".join(sorted(plain)[:5])
            yield f"{kinds}: text comes and is stored uncompressed; compress: true stores it with gzip"

    def recommendations(self, resource: Resource, managed: bool) -> list[Recommendation]:
        """One for each group of changes."""
        found = []
        for kind, change in self._changes.items():
            new = merge([{"name": "x", **self._overlay}], {"x": change.fields})[0]
            without = self._without(kind)
            alone = self._outcome({kind: change})
            gain = (
                f"predicted hit ratio {self.then.hit_ratio:.3f} with all changes, {without.hit_ratio:.3f} without this "
                f"one, {self.figures['hit_ratio']:.3f} measured now"
            )
            found.append(
                Recommendation(
                    action=kind,
                    provider="host",
                    scope=Scope.of_service(self._options.host, "varnish"),
                    resource=resource,
                    current={name: self._overlay.get(name) for name in change.fields},
                    proposed={name: new[name] for name in change.fields},
                    monthly=Monthly(0.0, 0.0, 0.0),
                    finding="misconfigured",
                    reasons=(*change.reasons, gain),
                    binding_constraint=kind.removeprefix("varnish_"),
                    risk=Risk.of(change.risk),
                    effort="online",
                    evidence={
                        "site": self._site.name,
                        "measured": self.figures,
                        "predicted": {
                            **self._predicted(self.then),
                            "hit_ratio_without_this": round(without.hit_ratio, 4),
                            "hit_ratio_of_this_alone": round(alone.hit_ratio, 4),
                        },
                        "compared": change.effects,
                        "pages_changed": dataclasses.asdict(self.page_changes),
                    },
                    warnings=tuple(change.warnings),
                    refused="" if managed else NOT_MANAGED,
                )
            )
        return found


def reasons(visits: Sequence[Visit], private: Mapping[str, str]) -> dict[str, float]:
    """Why requests were not answered from the cache: shares of all requests, largest first."""
    counts: collections.Counter[str] = collections.Counter()
    known: dict[t.Any, float] = {}
    for visit in visits:
        if visit.outcome in ANSWERED and visit.outcome != "hit":
            counts[_reason(visit, private, known)] += 1
        # Exactly this address and these variants, and the same with its parameters in order.
        known[visit.host, visit.path, visit.query, tuple(sorted(visit.vary.items()))] = visit.time
        known[visit.host, visit.path, tuple(sorted(visit.query))] = visit.time
        known[visit.host, visit.path] = visit.time
    total = max(1, len(visits))
    return {reason: round(count / total, 4) for reason, count in counts.most_common(20)}


def _reason(visit: Visit, private: Mapping[str, str], known: Mapping[t.Any, float]) -> str:
    if not visit.readable:
        return "pass: method"
    if visit.kind in private:
        return "private: the backend says so"
    if visit.outcome in ("hit_for_miss", "hit_for_pass"):
        return "uncacheable: an answer before could not be stored"
    if visit.outcome == "pass":
        if visit.authorization:
            return "pass: Authorization"
        return "pass: cookies" if visit.cookies else "pass: the VCL says so"
    exact = (visit.host, visit.path, visit.query, tuple(sorted(visit.vary.items())))
    if exact in known:
        return "miss: expired"
    if (visit.host, visit.path, tuple(sorted(visit.query))) in known:
        in_order = any(key[:3] == exact[:3] for key in (exact,) if key in known)
        return "miss: another variant" if in_order or visit.vary else "miss: parameters in another order"
    return "miss: other parameters" if (visit.host, visit.path) in known else "miss: not asked for before"


def _paths(visits: Sequence[Visit], private: Mapping[str, str], most: int = 20) -> list[dict[str, t.Any]]:
    """Kinds of pages by the requests that the backend gets for them."""
    groups: dict[str, list[Visit]] = collections.defaultdict(list)
    for visit in visits:
        if visit.outcome in ANSWERED:
            groups[visit.kind].append(visit)
    rows = [
        {
            "path": kind,
            "requests": len(own),
            "backend_requests": sum(visit.fetched is not None for visit in own),
            "hit_ratio": round(sum(visit.outcome == "hit" for visit in own) / len(own), 4),
            "private": private.get(kind, ""),
        }
        for kind, own in groups.items()
    ]
    rows.sort(key=lambda row: (-t.cast(int, row["backend_requests"]), str(row["path"])))
    return rows[:most]


# --- varnishd itself


def _server(
    data: Mapping[str, t.Any],
    growth: varnish_server.Growth,
    lookups: Sequence[tuple[t.Any, int]],
    tuned: Mapping[str, t.Any],
    figures: Mapping[str, t.Any],
    options: Options,
) -> list[Recommendation]:
    """Storage and parameters."""
    found = []
    curve = varnish_server.MissCurve.of([(key, size + varnish_server.OBJECT_OVERHEAD) for key, size in lookups])
    storage = varnish_server.storage(growth, curve, data.get("memory", {}))
    evidence: dict[str, t.Any] = {"measured": dict(figures)}
    if not isinstance(storage, str):
        setting, more = storage
        proposal = {"storage_size": (tuned.get("storage_size"), setting.proposed)}
        found.append(
            _change_of_server(
                options, data, "varnish_storage", proposal, [setting], "restart", {**evidence, "storage": more}
            )
        )
    settings = varnish_server.parameters(growth, data["parameters"])
    if settings:
        before = tuned.get("parameters", {})
        values = {setting.name: (before.get(setting.name), setting.proposed) for setting in settings}
        found.append(_change_of_server(options, data, "varnish_parameters", values, settings, "online", evidence))
    return found


def _change_of_server(
    options: Options,
    data: Mapping[str, t.Any],
    kind: str,
    values: Mapping[str, tuple[t.Any, str]],
    settings: Sequence[varnish_server.Setting],
    effort: Effort,
    evidence: Mapping[str, t.Any],
) -> Recommendation:
    risk: dict[str, int] = {}
    for setting in settings:
        for dimension, value in setting.risk.items():
            risk[dimension] = max(value, risk.get(dimension, 0))
    return Recommendation(
        action=kind,
        provider="host",
        scope=Scope.of_service(options.host, "varnish"),
        resource=_resource(options.host, data),
        current={name: before for name, (before, value) in values.items()},
        proposed={name: value for name, (before, value) in values.items()},
        monthly=Monthly(0.0, 0.0, 0.0),
        finding="under_provisioned",
        reasons=tuple(f"{setting.name}: {setting.reason}" for setting in settings),
        binding_constraint=settings[0].name,
        risk=Risk.of(risk),
        effort=effort,
        evidence={**evidence, "running": {setting.name: setting.current for setting in settings}},
        warnings=("a restart empties the cache",) if effort == "restart" else (),
    )
