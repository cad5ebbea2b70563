# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of requests destroy the hit ratio of one site, and which of them may be left out.

Each part - parameters, their order, cookies, headers that answers vary on - is judged by what the
backend's own answers say (:mod:`varnish_evidence`). What looks private is never proposed to be
cached; what cannot be judged is refused with what is missing.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t
from collections.abc import Collection, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import vcl_text
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import varnish_known
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_evidence import (
    ENOUGH_PAIRS,
    Effect,
    Observation,
    effect,
    observations,
    repeats_address,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_log import STORABLE, Visit
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.varnish_rules import name_matches, path_matches
from ansible_collections.frugal.cloud.plugins.module_utils.vcl_site import Site

#: Values of a parameter from which it multiplies what is stored.
MANY_VALUES = 10
#: Share of requests from which a part is worth a look.
WORTH = 0.005
#: Most values of a cookie that many visitors share, such as a language.
FEW_VALUES = 16
#: Requests that each value of such a cookie must have.
SHARED_BY = 5
#: Classes of device that get a copy each, where the backend asks for the browser (patterns of User-Agent).
DEVICE_CLASSES = {"mobile": ("*Mobi*", "*iPhone*")}
#: Answers of a kind of page that are needed to call it public.
ENOUGH_ANSWERS = 5


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Something that costs hits and is left as it is, and why. ``requests``: the share that it concerns."""

    what: str
    why: str
    requests: float = 0.0

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data."""
        return {"what": self.what, "why": self.why, "requests": round(self.requests, 4)}


@dataclasses.dataclass
class Change:
    """A part of a declaration that should change. ``risk`` by dimension, 0 to 4; ``reasons`` are sentences."""

    fields: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    reasons: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    risk: dict[str, int] = dataclasses.field(default_factory=dict)
    effects: dict[str, str] = dataclasses.field(default_factory=dict)

    def raise_risk(self, dimension: str, to: int) -> None:
        """At least ``to`` in this dimension."""
        self.risk[dimension] = max(to, self.risk.get(dimension, 0))


class Requests:
    """The requests of one site under its present declaration, and what of them matters."""

    def __init__(self, visits: Sequence[Visit], site: Site) -> None:
        self.site = site
        self.visits = [visit for visit in visits if visit.readable]
        self.private = private_kinds(visits)
        self.refusals: list[Refusal] = []
        self.echo = repeats_address(self.visits)
        own = (visit for visit in self.visits if visit.kind not in self.private and not visit.authorization)
        self.observed: list[Observation] = observations(own, echo=self.echo)
        self._dropped: set[str] = set()
        self._ignored: set[str] = set()
        self._same: set[str] = set()
        self._total = max(1, len(self.visits))

    # --- parts of a request, without those that are known not to matter

    def _parameters(self, visit: Visit, without: str = "") -> tuple[tuple[str, str], ...]:
        pairs = ((name, value) for name, value, size in visit.query if name != without and name not in self._dropped)
        return tuple(sorted(pairs, key=lambda pair: pair[0]))

    def _cookies(self, visit: Visit, without: str = "") -> frozenset[tuple[str, str]]:
        if visit.cookies_cut:
            # Nobody knows what else it had: such a request is like no other.
            return frozenset((("", str(visit.time)),))
        return frozenset(pair for pair in visit.cookies if pair[0] != without and pair[0] not in self._ignored)

    def _variant(self, visit: Visit, without: str = "") -> tuple[tuple[str, str], ...]:
        return tuple(sorted(pair for pair in visit.vary.items() if pair[0] != without and pair[0] not in self._same))

    def _with_parameter(self, names: Collection[str]) -> float:
        """Share of requests that have one of these parameters."""
        return sum(any(name in names for name, value, size in visit.query) for visit in self.visits) / self._total

    def _with_cookie(self, names: Collection[str]) -> float:
        """Share of requests that have one of these cookies."""
        return sum(any(name in names for name, value in visit.cookies) for visit in self.visits) / self._total

    def _refuse(self, what: str, why: str, requests: float) -> None:
        self.refusals.append(Refusal(what, why, requests))

    # --- the query

    def query(self) -> Change:
        """Parameters that may go, and whether the order of the rest matters."""
        change = Change()
        removed = self._tracking_parameters(change) + self._other_parameters(change)
        order = self._order(change)
        if removed or order:
            change.fields = {"query_parameters": {"sort": not (order and order.some)}}
            if removed:
                change.fields["query_parameters"]["remove"] = sorted(set(removed))
        return change

    def _names(self) -> dict[str, tuple[int, int]]:
        """(requests, most distinct values on one page) of each parameter that the declaration leaves in."""
        query = self.site.query
        counts: collections.Counter[str] = collections.Counter()
        values: dict[str, dict[str, set[str]]] = collections.defaultdict(lambda: collections.defaultdict(set))
        for visit in self.visits:
            for name in {name for name, value, size in visit.query}:
                counts[name] += 1
            for name, value, _size in visit.query:
                values[name][visit.path].add(value)
        return {
            name: (counts[name], max(len(seen) for seen in values[name].values()))
            for name in sorted(counts)
            if query is None
            or not (
                name_matches(name, query.remove, vcl_text.parameters)
                or (query.keep is not None and not name_matches(name, query.keep, vcl_text.parameters))
            )
        }

    def _parameter_effect(self, names: Collection[str]) -> Effect:
        """Of several parameters together: none of them is in the rest."""
        before = set(self._dropped)
        self._dropped |= set(names)
        found = effect(
            self.observed,
            lambda visit: tuple(sorted((name, value) for name, value, size in visit.query if name in names)),
            lambda visit: (self._parameters(visit), self._cookies(visit), self._variant(visit)),
        )
        self._dropped = before
        return found

    def _tracking_parameters(self, change: Change) -> list[str]:
        patterns: dict[str, list[str]] = collections.defaultdict(list)
        for name in self._names():
            pattern = varnish_known.tracking_parameter(name)[0]
            if pattern:
                patterns[pattern].append(name)
        if not patterns:
            return []
        everything = {name for names in patterns.values() for name in names}
        together = self._parameter_effect(everything)
        removed = []
        for pattern, names in sorted(patterns.items()):
            share = self._with_parameter(names)
            found = self._parameter_effect(names) if together.some else together
            if found.some:
                self._refuse(f"parameter {pattern}", f"it changes answers: {found.told}", share)
                continue
            removed.append(pattern)
            self._dropped |= set(names)
            change.reasons.append(
                f"{pattern} ({varnish_known.TRACKING_PARAMETERS[pattern]}) is in {share:.1%} of requests"
            )
        if removed:
            change.effects["tracking parameters"] = together.told
            change.reasons.append(f"with other values of these, {together.told}")
            change.raise_risk("content", 0 if together.none and together.basis == "etag" else 1)
            if self.echo:
                change.warnings.append(
                    "pages repeat the address that they were asked by; from the cache they show it without these"
                )
            if not together.known:
                change.warnings.append(
                    "too few answers can be compared: that these parameters only track is known from lists alone"
                )
        return removed

    def _other_parameters(self, change: Change) -> list[str]:
        removed = []
        for name, (requests, values) in self._names().items():
            if name in self._dropped or values < MANY_VALUES or requests < WORTH * self._total:
                continue
            found = self._parameter_effect({name})
            what, share = f"parameter {name}", requests / self._total
            if found.none and found.basis == "etag":
                removed.append(name)
                self._dropped.add(name)
                change.effects[what] = found.told
                change.reasons.append(
                    f"{name} is in {share:.1%} of requests, has up to {values} values a page and changes nothing: "
                    f"{found.told}"
                )
                change.raise_risk("content", 2)
            elif found.some:
                self._refuse(what, f"it has up to {values} values a page and changes answers: {found.told}", share)
            elif found.none:
                self._refuse(
                    what,
                    f"it has up to {values} values a page; answers have no ETag, and {found.told}: that is not enough",
                    share,
                )
            else:
                why = f"it has up to {values} values a page, and {found.differing} pairs of answers can be compared"
                self._refuse(what, f"{why}: {ENOUGH_PAIRS} with an ETag are needed", share)
        return removed

    def _order(self, change: Change) -> Effect | None:
        """What the order of parameters does; None where requests do not differ in it."""
        if self.site.query is not None and self.site.query.sort:
            return None
        orders: dict[t.Any, set[tuple[str, ...]]] = collections.defaultdict(set)
        for visit in self.visits:
            names = tuple(name for name, value, size in visit.query if name not in self._dropped)
            if len(names) > 1:
                orders[visit.kind, tuple(sorted(names))].add(names)
        shuffled = {key for key, seen in orders.items() if len(seen) > 1}
        if not shuffled:
            return None
        found = effect(
            self.observed,
            lambda visit: tuple(name for name, value, size in visit.query if name not in self._dropped),
            lambda visit: (self._parameters(visit), self._cookies(visit), self._variant(visit)),
        )
        if found.some:
            self._refuse("order of parameters", f"it changes answers: {found.told}", 0.0)
        else:
            change.effects["order of parameters"] = found.told
            change.reasons.append(f"the same parameters come in different orders; {found.told}")
            change.raise_risk("content", 0 if found.none else 1)
        return found

    # --- headers that answers vary on

    def vary(self) -> Change:
        """Headers in Vary that do not change answers."""
        change = Change()
        taken = {name.lower() for name in self.site.ignore_vary}
        names = sorted({name for visit in self.visits for name in visit.vary} - taken)
        harmless = []
        for name in names:
            concerned = [one for one in self.observed if name in one.visit.vary]
            share = sum(name in visit.vary for visit in self.visits) / self._total
            values = {visit.vary[name] for visit in self.visits if name in visit.vary}
            if len(values) < 2 or share < WORTH:
                continue
            kinds = {visit.kind for visit in self.visits if name in visit.vary} - set(self.private)
            unclear = self._vary_refused(name, kinds, concerned, share)
            if unclear:
                continue
            found = self._vary_effect(name, concerned)
            harmless.append("-".join(part.capitalize() for part in name.split("-")))
            self._same.add(name)
            change.effects[f"Vary: {harmless[-1]}"] = found.told
            change.reasons.append(
                f"answers to {share:.1%} of requests vary on {harmless[-1]}, of which {len(values)} values were seen; "
                f"{found.told}"
            )
            change.raise_risk("content", 1 if found.basis == "etag" else 2)
            devices = {one.visit.device for one in concerned}
            if name == "user-agent" and len(devices) < 2:
                change.raise_risk("content", 2)
                change.warnings.append(
                    f"only {devices.pop()} browsers were seen: other classes of device get copies of their own, and "
                    "the backend gets the class instead of the User-Agent"
                )
        if harmless:
            change.fields = {"ignore_vary": harmless}
        if "User-Agent" in harmless and len(devices_of(self.observed)) < 2 and not self.site.device_classes:
            change.fields["device_classes"] = {name: list(patterns) for name, patterns in DEVICE_CLASSES.items()}
        return change

    def _vary_effect(self, name: str, concerned: Sequence[Observation]) -> Effect:
        return effect(
            concerned,
            lambda visit: visit.vary.get(name, ""),
            lambda visit: (self._parameters(visit), self._cookies(visit), self._variant(visit, without=name)),
        )

    def _vary_refused(self, name: str, kinds: Collection[str], concerned: Sequence[Observation], share: float) -> bool:
        """Whether the header must stay, which is then in the refusals: it is ignored on all pages or none."""
        what = f"Vary: {name}"
        for kind in sorted(kinds):
            found = self._vary_effect(name, [one for one in concerned if one.visit.kind == kind])
            if found.some:
                hint = "; device_classes keep a copy for each class of device" if name == "user-agent" else ""
                self._refuse(what, f"it changes answers of {kind}: {found.told}{hint}", share)
                return True
        found = self._vary_effect(name, concerned)
        if not found.known:
            self._refuse(what, f"{found.differing} pairs of answers can be compared, {ENOUGH_PAIRS} are needed", share)
            return True
        return False

    # --- cookies

    def cookies(self) -> Change:
        """Cookies that make requests pass without need, and pages that are the same for everybody."""
        change = Change()
        with_cookies = sum(bool(visit.cookies) for visit in self.visits) / self._total
        ignored = self._tracking_cookies(change)
        varied: list[str] = []
        public: list[str] = []
        for kind in sorted({visit.kind for visit in self.visits}):
            verdict = self._kind(kind, change)
            if verdict == "public":
                public.append(kind)
            elif verdict:
                varied.append(verdict)
        public = [kind for kind in public if self._alone(kind, public)]
        if ignored or varied:
            change.fields["cookies"] = {}
            if ignored:
                change.fields["cookies"]["ignore"] = ignored
            if varied:
                change.fields["cookies"]["vary_on"] = sorted(set(varied))
        if public:
            change.fields["public_paths"] = public
        if change.fields:
            change.reasons.insert(0, f"{with_cookies:.1%} of requests have cookies, which make them pass")
            own = sorted(kind for kind in self.private if kind != "/" and not kind.startswith("/*"))
            missing = [kind for kind in own if not path_matches(kind, self.site.private_paths)]
            if missing:
                change.fields["private_paths"] = missing
                change.reasons.append(
                    f"{', '.join(missing[:5])} stay private: "
                    + "; ".join(sorted({self.private[kind] for kind in missing})[:3])
                )
        return change

    def _tracking_cookies(self, change: Change) -> list[str]:
        cookies = self.site.cookies
        seen: dict[str, set[str]] = collections.defaultdict(set)
        for visit in self.visits:
            for name, _value in visit.cookies:
                pattern = varnish_known.tracking_cookie(name)[0]
                known = cookies is not None and name_matches(name, cookies.ignore, vcl_text.cookies)
                if known:
                    self._ignored.add(name)
                elif pattern:
                    seen[pattern].add(name)
        set_here = {name for visit in self.visits if visit.fetched for name in visit.fetched.set_cookie}
        ignored = []
        for pattern, names in sorted(seen.items()):
            share = self._with_cookie(names)
            found = self._tracking_effect(names)
            if found.some:
                self._refuse(f"cookie {pattern}", f"it changes answers: {found.told}", share)
            elif names & set_here:
                self._refuse(f"cookie {pattern}", "the backend itself sets it, so it may read it, too", share)
            else:
                ignored.append(pattern)
                self._ignored |= names
                change.effects[f"cookie {pattern}"] = found.told
                whose = varnish_known.TRACKING_COOKIES[pattern]
                change.reasons.append(f"{pattern} ({whose}) is in {share:.1%} of requests; {found.told}")
                change.raise_risk("content", 0 if found.none and found.basis == "etag" else 1)
        return ignored

    def _tracking_effect(self, names: Collection[str]) -> Effect:
        return effect(
            self.observed,
            lambda visit: frozenset(pair for pair in visit.cookies if pair[0] in names),
            lambda visit: (
                self._parameters(visit),
                frozenset(pair for pair in self._cookies(visit) if not varnish_known.tracking_cookie(pair[0])[0]),
                self._variant(visit),
            ),
        )

    def _kind(self, kind: str, change: Change) -> str:
        """``public`` where all cookies can go from this kind of page, the name of one to vary on, or nothing."""
        if kind in self.private:
            return ""
        own = [visit for visit in self.visits if visit.kind == kind]
        concerned = [visit for visit in own if any(name not in self._ignored for name, value in visit.cookies)]
        share = len(concerned) / self._total
        if share < WORTH or path_matches(
            kind, (*self.site.public_paths, *self.site.private_paths, *self.site.pass_paths)
        ):
            return ""
        names = sorted({name for visit in concerned for name, value in visit.cookies if name not in self._ignored})
        what = f"cookies {', '.join(names[:5])} on {kind}"
        why = self._not_for_everybody(kind, own)
        if why:
            self._refuse(what, why, share)
            return ""
        observed = [one for one in self.observed if one.visit.kind == kind]
        found = self._cookie_effect(observed)
        if found.some:
            shared = self._shared_cookie(names, concerned, observed)
            if shared and all(one.visit.fetched is not None and one.visit.fetched.public for one in observed):
                change.reasons.append(
                    f"{shared} changes {kind} and has few values, which many visitors share: a copy for each"
                )
                change.raise_risk("content", 2)
                return shared
            self._refuse(what, f"answers differ between visitors: {found.told}", share)
            return ""
        public = all(visit.fetched.public for visit in own if visit.fetched and visit.fetched.status == 200)
        if not found.known or found.values < MANY_VALUES:
            self._refuse(
                what,
                f"{found.differing} pairs of answers with other cookies can be compared, {ENOUGH_PAIRS} with "
                f"{MANY_VALUES} different visitors are needed",
                share,
            )
            return ""
        if not public and found.basis != "etag":
            self._refuse(what, f"answers have neither Cache-Control: public nor an ETag, and {found.told}", share)
            return ""
        change.effects[f"cookies on {kind}"] = found.told
        said = "says Cache-Control: public" if public else "may be cached by its Cache-Control"
        change.reasons.append(f"{kind} {said}; with other values of {', '.join(names[:5])} {found.told}")
        change.raise_risk("privacy", 1 if public and found.basis == "etag" else 2)
        return "public"

    def _not_for_everybody(self, kind: str, own: Sequence[Visit]) -> str:
        """Why this kind of page cannot be for everybody, whatever its answers look like; empty where it can."""
        answers = [visit.fetched for visit in own if visit.fetched is not None and visit.fetched.status in STORABLE]
        if any(visit.authorization for visit in own):
            return "some requests have Authorization"
        if any("cookie" in answer.vary or "authorization" in answer.vary or "*" in answer.vary for answer in answers):
            return "its answers vary on Cookie"
        if len(answers) < ENOUGH_ANSWERS:
            return f"{len(answers)} answers of the backend were seen, {ENOUGH_ANSWERS} are needed"
        if not all(answer.fresh for answer in answers):
            return "its answers do not say that they may be cached: they have no max-age"
        if kind.startswith("/*"):
            return "its address has nothing that tells it from others"
        return ""

    def _cookie_effect(self, observed: Sequence[Observation], only: str = "") -> Effect:
        def thing(visit: Visit) -> t.Any:
            return frozenset(pair for pair in self._cookies(visit) if not only or pair[0] == only)

        def rest(visit: Visit) -> t.Any:
            return (
                self._parameters(visit),
                self._cookies(visit, without=only) if only else None,
                self._variant(visit),
            )

        return effect(observed, thing, rest)

    def _shared_cookie(self, names: Sequence[str], concerned: Sequence[Visit], observed: Sequence[Observation]) -> str:
        """The one cookie that matters, when its values belong to many visitors each; empty where there is none."""
        matter = [name for name in names if self._cookie_effect(observed, only=name).some]
        if len(matter) != 1:
            return ""
        values = collections.Counter(value for visit in concerned for name, value in visit.cookies if name == matter[0])
        if len(values) > FEW_VALUES or min(values.values()) < SHARED_BY:
            return ""
        # With the same value the pages must be the same, whatever else the visitors bring.
        within = effect(
            observed,
            lambda visit: self._cookies(visit, without=matter[0]),
            lambda visit: (
                self._parameters(visit),
                frozenset(pair for pair in visit.cookies if pair[0] == matter[0]),
                self._variant(visit),
            ),
        )
        return "" if within.some else matter[0]

    def _alone(self, kind: str, public: Collection[str]) -> bool:
        """Whether the pattern of a public kind covers nothing else that was seen; else it is refused."""
        others = {
            visit.kind
            for visit in self.visits
            if visit.kind not in public
            and path_matches(visit.path, [kind])
            and (visit.kind in self.private or visit.authorization or visit.cookies)
        }
        if others:
            self._refuse(f"cookies on {kind}", f"the pattern would cover {', '.join(sorted(others)[:3])}, too", 0.0)
        return not others


def devices_of(observed: Sequence[Observation]) -> set[str]:
    """Classes of device that were seen on pages that vary on the browser."""
    return {one.visit.device for one in observed if "user-agent" in one.visit.vary}


def private_kinds(visits: Sequence[Visit]) -> Mapping[str, str]:
    """Kinds of pages of which any answer says that it is somebody's own, and why."""
    found: dict[str, str] = {}
    for visit in visits:
        for answer in (visit.fetched, visit.delivered):
            if answer is not None and visit.kind not in found and answer.private and answer.status < 500:
                found[visit.kind] = answer.private
    return found
