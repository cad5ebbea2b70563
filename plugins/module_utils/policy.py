# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy: one YAML file that says what may change, when, and who must agree.

It judges recommendations (:meth:`Policy.judge`) when a plan is made, and is asked again
(:meth:`Policy.refuses`, :meth:`Policy.frozen`) when an action is applied. The values are
checked by Ansible's own argument-spec validator; the sentences are ours.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import fnmatch
import hashlib
import typing as t
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    BEYOND_MONEY,
    MANAGERS,
    RISK_NAMES,
    Finding,
    Recommendation,
    canonical_json,
)

#: A resource with this tag is never changed, whatever else the policy says.
ALWAYS_PROTECTED = {"frugal:protected": ("true",)}
#: Resources with these managers are changed where they are defined, not behind its back.
REFUSED_MANAGERS = ("terraform", "cloudformation", "eks", "ecs", "spot_fleet")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EFFORTS = ("online", "restart", "replace", "migrate")
FINDINGS = t.get_args(Finding)
CHECKS = ("instance_health", "alarms", "metrics", "slo")
#: Metrics that verification knows by name; others are named as the cloud names them.
METRICS = ("cpu_percent", "memory_percent")

_RISKS = [str(number) for number in range(len(RISK_NAMES))] + list(RISK_NAMES)
_MATCH_OPTIONS: dict[str, t.Any] = {
    "tags": {"type": "dict"},
    "scopes": {"type": "list", "elements": "str"},
    "actions": {"type": "list", "elements": "str"},
    "efforts": {"type": "list", "elements": "str", "choices": list(EFFORTS)},
    "findings": {"type": "list", "elements": "str", "choices": list(FINDINGS)},
    "maximum_risk": {"type": "str", "choices": _RISKS},
    "minimum_saving": {"type": "float"},
    "maximum_saving": {"type": "float"},
}
#: What a policy file may hold, in the words of an Ansible argument spec.
POLICY_OPTIONS: dict[str, t.Any] = {
    "protected_tags": {"type": "dict", "default": {}},
    "zero_tolerance_tags": {"type": "dict", "default": {}},
    "refuse_managed_by": {
        "type": "list",
        "elements": "str",
        "choices": [name for name in MANAGERS if name != "none"],
        "default": list(REFUSED_MANAGERS),
    },
    "minimum_saving": {"type": "float", "default": 1.0},
    "maximum_risk": {"type": "str", "choices": _RISKS, "default": "high"},
    "allowed_efforts": {"type": "list", "elements": "str", "choices": list(EFFORTS), "default": list(EFFORTS[:3])},
    "maximum_actions": {"type": "int", "default": 0},
    "maximum_failures": {"type": "int", "default": 5},
    "error_budget_floor": {"type": "float", "default": 0.0},
    "slos": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "service": {"type": "str", "default": ""},
            "match": {"type": "dict", "options": _MATCH_OPTIONS},
            "error_budget_floor": {"type": "float"},
            "maximum_burn_rate": {"type": "float", "default": 1.0},
            "fast_burn_rate": {"type": "float", "default": 14.4},
            "minimum_bad_events": {"type": "float", "default": 10.0},
            "on_missing": {"type": "str", "choices": ["refuse", "allow"], "default": "refuse"},
        },
    },
    "retry_after_days": {"type": "float", "default": 30.0},
    "retry_failed_after_days": {"type": "float", "default": 1.0},
    "freeze_windows": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "time_zone": {"type": "str", "default": "UTC"},
            "days": {"type": "list", "elements": "str", "choices": list(WEEKDAYS)},
            "start": {"type": "str"},
            "end": {"type": "str"},
            "from": {"type": "str"},
            "until": {"type": "str"},
            "match": {"type": "dict", "options": _MATCH_OPTIONS},
        },
    },
    "groups": {"type": "dict", "default": {}},
    "approval": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "match": {"type": "dict", "options": _MATCH_OPTIONS},
            "automatic": {"type": "bool", "default": False},
            "approvers": {"type": "int", "default": 1},
            "group": {"type": "str", "default": ""},
            "valid_days": {"type": "float", "default": 7.0},
        },
    },
    "verification": {
        "type": "dict",
        "options": {
            "soak_hours": {"type": "float", "default": 24.0},
            "rollback": {"type": "str", "choices": ["automatic", "manual"], "default": "manual"},
            "checks": {"type": "list", "elements": "str", "choices": list(CHECKS), "default": list(CHECKS)},
            "metrics": {"type": "list", "elements": "str", "default": ["cpu_percent"]},
        },
    },
    "overload_minute_price": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "tags": {"type": "dict", "required": True},
            "price": {"type": "float", "required": True},
        },
    },
}
#: Last part of a key -> smallest and largest value that make sense.
_RANGES: dict[str, tuple[float, float]] = {
    "maximum_actions": (0, float("inf")),
    "maximum_failures": (0, float("inf")),
    "error_budget_floor": (0, 1),
    "maximum_burn_rate": (0, float("inf")),
    "fast_burn_rate": (1, float("inf")),
    "minimum_bad_events": (0, float("inf")),
    "retry_after_days": (0, float("inf")),
    "retry_failed_after_days": (0, float("inf")),
    "approvers": (1, float("inf")),
    "valid_days": (0.01, float("inf")),
    "soak_hours": (0, float("inf")),
    "price": (0, float("inf")),
}
_TYPE_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict": "a mapping of keys to values",
}

Tags = Mapping[str, tuple[str, ...]]


class PolicyError(ValueError):
    """The policy cannot be read or holds a value that it must not hold; the text is one sentence."""


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """What a rule or freeze window applies to; what is not given does not restrict.

    ``scopes`` and tag values may hold shell wildcards. ``minimum_saving`` and
    ``maximum_saving`` in currency/month, both inclusive.
    """

    tags: Tags = dataclasses.field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    maximum_risk: int | None = None
    minimum_saving: float | None = None
    maximum_saving: float | None = None

    def covers(self, recommendation: Recommendation) -> bool:
        """Whether every given restriction holds for ``recommendation``."""
        saving = recommendation.monthly.saving
        return (
            all(_tag_matches(recommendation.resource.tags, {key: values}) for key, values in self.tags.items())
            and (not self.scopes or any(fnmatch.fnmatchcase(recommendation.scope.key, s) for s in self.scopes))
            and (not self.actions or recommendation.action in self.actions)
            and (not self.efforts or recommendation.effort in self.efforts)
            and (not self.findings or recommendation.finding in self.findings)
            and (self.maximum_risk is None or recommendation.risk.total <= self.maximum_risk)
            and (self.minimum_saving is None or saving >= self.minimum_saving)
            and (self.maximum_saving is None or saving <= self.maximum_saving)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """Who must agree to an action: ``approvers`` of ``group`` (anyone if empty), or nobody."""

    name: str
    match: Match = dataclasses.field(default_factory=Match)
    automatic: bool = False
    approvers: int = 1
    group: str = ""
    valid_days: float = 7.0

    def covers(self, recommendation: Recommendation) -> bool:
        """Whether this rule decides about ``recommendation``.

        An automatic rule covers an action that costs more only when it says so itself
        with a negative ``minimum_saving``.
        """
        if self.automatic and recommendation.monthly.saving < 0 and self.match.minimum_saving is None:
            return False
        return self.match.covers(recommendation)


#: Decides where no rule of the policy matches.
DEFAULT_RULE = Rule("default")


@dataclasses.dataclass(frozen=True, slots=True)
class FreezeWindow:
    """A time in which nothing that ``match`` covers is changed.

    Weekly: on ``days`` (0 is Monday; all when empty) from minute ``start`` to minute ``end``
    of the day in ``time_zone``; an ``end`` at or before ``start`` is on the next day. Dated:
    from ``begins`` until ``ends`` (local time, end exclusive).
    """

    name: str
    time_zone: str = "UTC"
    days: tuple[int, ...] = ()
    start: int = 0
    end: int = 1440
    begins: datetime.datetime | None = None
    ends: datetime.datetime | None = None
    match: Match = dataclasses.field(default_factory=Match)

    def end_at(self, now: datetime.datetime) -> datetime.datetime | None:
        """When the occurrence that contains ``now`` ends (UTC), or None when none does."""
        zone = zoneinfo.ZoneInfo(self.time_zone)
        if self.begins is not None and self.ends is not None:
            begin, end = (_utc(moment.replace(tzinfo=zone)) for moment in (self.begins, self.ends))
            return end if begin <= now < end else None
        today = now.astimezone(zone).date()
        for day in (today - datetime.timedelta(days=1), today):
            if self.days and day.weekday() not in self.days:
                continue
            last = day if self.end > self.start else day + datetime.timedelta(days=1)
            if _at(day, self.start, zone) <= now < _at(last, self.end, zone):
                return _at(last, self.end, zone)
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """The freeze window that holds now, and when the last of a chain of windows ends (UTC)."""

    name: str
    until: datetime.datetime

    @property
    def why(self) -> str:
        """One sentence for people."""
        return f"freeze window {self.name!r} until {self.until:%Y-%m-%d %H:%M} UTC"


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """How an applied action is verified: after ``soak_hours``, by ``checks`` on ``metrics``.

    ``rollback`` automatic: a failed verification is undone at once.
    """

    soak_hours: float = 24.0
    rollback: t.Literal["automatic", "manual"] = "manual"
    checks: tuple[str, ...] = CHECKS
    metrics: tuple[str, ...] = ("cpu_percent",)


@dataclasses.dataclass(frozen=True, slots=True)
class SloGuard:
    """A service level objective that guards the changes that ``match`` covers.

    ``name`` and ``service`` are the labels ``slo`` and ``service`` of its recorded series (any
    service where it is empty). A change waits while less than ``error_budget_floor`` (0..1;
    None: the policy's) of the budget is left, or while the burn rate is above
    ``maximum_burn_rate``. A burn rate of ``fast_burn_rate`` while an applied change soaks fails
    its verification, if at least ``minimum_bad_events`` were bad in that hour.
    ``on_missing``: what happens where the SLO has no data.
    """

    name: str
    service: str = ""
    match: Match = dataclasses.field(default_factory=Match)
    error_budget_floor: float | None = None
    maximum_burn_rate: float = 1.0
    fast_burn_rate: float = 14.4
    minimum_bad_events: float = 10.0
    on_missing: t.Literal["refuse", "allow"] = "refuse"


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """What the policy says about one recommendation.

    ``status`` is proposed, approved (an automatic rule) or skipped; ``reason`` is a word for
    machines (protected, managed, effort, risk, saving), ``why`` a sentence for people.
    """

    status: t.Literal["proposed", "approved", "skipped"]
    rule: Rule
    reason: str = ""
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Policy:
    """A validated policy. Money in currency/month, error budget as remaining share 0..1.

    ``maximum_actions`` and ``maximum_failures`` count per run; 0 is no limit.
    """

    protected_tags: Tags = dataclasses.field(default_factory=lambda: dict(ALWAYS_PROTECTED))
    zero_tolerance_tags: Tags = dataclasses.field(default_factory=dict)
    refuse_managed_by: tuple[str, ...] = REFUSED_MANAGERS
    minimum_saving: float = 1.0
    maximum_risk: int = 3
    allowed_efforts: tuple[str, ...] = EFFORTS[:3]
    maximum_actions: int = 0
    maximum_failures: int = 5
    error_budget_floor: float = 0.0
    slos: tuple[SloGuard, ...] = ()
    retry_after_days: float = 30.0
    retry_failed_after_days: float = 1.0
    freeze_windows: tuple[FreezeWindow, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    approval: tuple[Rule, ...] = ()
    verification: Verification = dataclasses.field(default_factory=Verification)
    overload_minute_price: tuple[tuple[Tags, float], ...] = ()
    #: The checked values as they were given, with defaults: what is stored and digested.
    values: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, t.Any], origin: str = "policy") -> Policy:
        """Build a policy from what a YAML file holds.

        :raises PolicyError: one sentence naming ``origin``, key, value and what would be right.
        """
        values = _checked(POLICY_OPTIONS, data, origin, "")
        verification = values["verification"]
        policy = cls(
            protected_tags={**_tags(values["protected_tags"]), **ALWAYS_PROTECTED},
            zero_tolerance_tags=_tags(values["zero_tolerance_tags"]),
            refuse_managed_by=tuple(values["refuse_managed_by"]),
            minimum_saving=values["minimum_saving"],
            maximum_risk=_risk(values["maximum_risk"]),
            allowed_efforts=tuple(values["allowed_efforts"]),
            maximum_actions=values["maximum_actions"],
            maximum_failures=values["maximum_failures"],
            error_budget_floor=values["error_budget_floor"],
            slos=tuple(SloGuard(**{**slo, "match": _match(slo["match"])}) for slo in values["slos"]),
            retry_after_days=values["retry_after_days"],
            retry_failed_after_days=values["retry_failed_after_days"],
            freeze_windows=tuple(
                _freeze_window(window, origin, f"freeze_windows[{index}]")
                for index, window in enumerate(values["freeze_windows"])
            ),
            groups=_groups(values["groups"], origin),
            approval=tuple(Rule(**{**rule, "match": _match(rule["match"])}) for rule in values["approval"]),
            verification=Verification(
                verification["soak_hours"],
                verification["rollback"],
                tuple(verification["checks"]),
                tuple(verification["metrics"]),
            ),
            overload_minute_price=tuple(
                (_tags(entry["tags"]), entry["price"]) for entry in values["overload_minute_price"]
            ),
            values=values,
        )
        for index, name in enumerate(policy.verification.metrics):
            parts = name.split(":")
            if name not in METRICS and (len(parts) != 3 or not all(parts)):
                raise PolicyError(
                    f"{origin}: verification.metrics[{index}] is {name!r}; it must be one of {', '.join(METRICS)}, "
                    "or Namespace:MetricName:Statistic such as MyApp:Latency:p99"
                )
        if policy.error_budget_floor and not policy.slos:
            raise PolicyError(
                f"{origin}: error_budget_floor is {policy.error_budget_floor:g} and slos is empty; "
                "slos must name the SLOs whose error budget is meant"
            )
        for index, slo in enumerate(policy.slos):
            if not slo.name.strip():
                raise PolicyError(
                    f"{origin}: slos[{index}].name is {slo.name!r}; "
                    "it must be the name of an SLO, the label slo of its recorded series"
                )
        for index, rule in enumerate(policy.approval):
            if rule.group and rule.group not in policy.groups:
                known = ", ".join(sorted(policy.groups)) or "none yet"
                raise PolicyError(
                    f"{origin}: approval[{index}].group is {rule.group!r}; it must be a key of groups ({known})"
                )
            if rule.group and not rule.automatic and len(set(policy.groups[rule.group])) < rule.approvers:
                raise PolicyError(
                    f"{origin}: approval[{index}].approvers is {rule.approvers}; it must be at most "
                    f"{len(set(policy.groups[rule.group]))}, the number of people in the group {rule.group!r}"
                )
        return policy

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data that :meth:`from_dict` takes back."""
        return dict(self.values)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over the checked values: order and defaults do not matter."""
        return hashlib.sha256(canonical_json(self.to_dict()).encode()).hexdigest()

    def rule(self, recommendation: Recommendation) -> Rule:
        """The first approval rule that covers ``recommendation``, or :data:`DEFAULT_RULE`."""
        return next((rule for rule in self.approval if rule.covers(recommendation)), DEFAULT_RULE)

    def refuses(self, recommendation: Recommendation) -> tuple[str, str] | None:
        """Why nobody may apply ``recommendation``: (reason, sentence), or None when they may."""
        resource = recommendation.resource
        name = f"{resource.id} ({resource.name})" if resource.name else resource.id
        tag = _first_tag(resource.tags, self.protected_tags)
        if tag:
            return "protected", f"{name} is protected by its tag {tag}={resource.tags[tag]}"
        if resource.managed_by in self.refuse_managed_by:
            manager = f" ({resource.manager})" if resource.manager else ""
            change = ", ".join(f"{key} to {value}" for key, value in recommendation.proposed.items())
            return "managed", f"{name} is managed by {resource.managed_by}{manager}: change {change} there"
        if recommendation.refused:
            return "refused", recommendation.refused
        if recommendation.effort not in self.allowed_efforts:
            allowed = ", ".join(self.allowed_efforts) or "none"
            return "effort", f"its effort is {recommendation.effort}; the policy allows {allowed}"
        if recommendation.risk.total > self.maximum_risk:
            allowed = RISK_NAMES[self.maximum_risk]
            return "risk", f"its risk is {recommendation.risk.name}; the policy allows at most {allowed}"
        monthly = recommendation.monthly
        if recommendation.finding not in BEYOND_MONEY and monthly.saving < self.minimum_saving:
            saves = f"it saves {monthly.saving:.2f} {monthly.currency}/month"
            return "saving", f"{saves}; the policy asks for at least {self.minimum_saving:.2f}"
        return None

    def judge(self, recommendations: Iterable[Recommendation]) -> list[Judgement]:
        """Judge each recommendation, in order.

        Freeze windows, expiry and error budget are not looked at: they depend on the moment
        and are checked when an action is applied.
        """
        judgements: list[Judgement] = []
        for recommendation in recommendations:
            rule = self.rule(recommendation)
            refusal = self.refuses(recommendation)
            if refusal:
                judgements.append(Judgement("skipped", rule, *refusal))
            elif rule.automatic:
                judgements.append(
                    Judgement("approved", rule, "automatic", f"approved by the policy's rule {rule.name!r}")
                )
            else:
                judgements.append(Judgement("proposed", rule))
        return judgements

    def frozen(self, now: datetime.datetime, recommendation: Recommendation | None = None) -> Frozen | None:
        """The freeze window at ``now`` for ``recommendation`` (None: windows for everything only)."""
        windows = [
            window
            for window in self.freeze_windows
            if (window.match.covers(recommendation) if recommendation else window.match == Match())
        ]
        found: Frozen | None = None
        moment = now
        for _unused in range(2 * len(windows) + 14):  # windows that follow each other without a gap are one
            ends = [(end, window.name) for window in windows if (end := window.end_at(moment))]
            if not ends:
                break
            moment = max(ends)[0]
            found = Frozen(found.name if found else max(ends)[1], moment)
        return found

    def guards(self, recommendation: Recommendation) -> tuple[SloGuard, ...]:
        """The SLOs that guard the change that ``recommendation`` proposes."""
        return tuple(slo for slo in self.slos if slo.match.covers(recommendation))

    def floor_of(self, guard: SloGuard) -> float:
        """The share of the error budget of ``guard`` that must be left: its own floor, or the policy's."""
        return self.error_budget_floor if guard.error_budget_floor is None else guard.error_budget_floor

    def may_approve(self, approver: str, group: str) -> bool:
        """Whether ``approver`` belongs to ``group``; an empty group is everybody."""
        return not group or approver in self.groups.get(group, ())

    def zero_tolerance(self, tags: Mapping[str, str]) -> bool:
        """Whether a resource with ``tags`` must not get a single overload minute more."""
        return _first_tag(tags, self.zero_tolerance_tags) is not None

    def price_of_overload_minute(self, tags: Mapping[str, str]) -> float | None:
        """Price (currency/minute) of an overload minute for a resource with ``tags``, if the policy sets one."""
        return next((price for wanted, price in self.overload_minute_price if _tag_matches(tags, wanted)), None)


def load_policy(source: str | Mapping[str, t.Any] | None) -> Policy:
    """The policy in the YAML file ``source``, in a mapping, or the default one for None or an empty path.

    :raises PolicyError: when the file cannot be read or is malformed.
    :raises deps.MissingLibrary: when PyYAML is missing.
    """
    if not source:
        return Policy.from_dict({})
    if not isinstance(source, str):
        return Policy.from_dict(source)
    try:
        with open(source, encoding="utf-8") as file:
            data = deps.yaml.safe_load(file)
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PolicyError(f"policy {source!r} cannot be read: {what}; give the path of a YAML file") from error
    except deps.yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise PolicyError(f"policy {source!r}{place}: {problem}; correct the YAML") from error
    if data is None:
        return Policy.from_dict({})
    if not isinstance(data, Mapping):
        raise PolicyError(f"policy {source!r} holds {_shown(data)}; it must be {_TYPE_WORDS['dict']}")
    return Policy.from_dict(data, f"policy {source!r}")


def _checked(options: Mapping[str, t.Any], data: Mapping[str, t.Any], origin: str, path: str) -> dict[str, t.Any]:
    """``data`` with types converted and defaults filled in; every problem names the whole key."""
    for key in data:
        if key not in options:
            close = difflib.get_close_matches(str(key), options, 1)
            advice = f"did you mean {close[0]}?" if close else f"it must be one of {', '.join(options)}"
            raise PolicyError(f"{origin}: {path}{key} is not a key that a policy has; {advice}")
    values: dict[str, t.Any] = {}
    for key, spec in options.items():
        value = data.get(key)
        name = f"{path}{key}"
        if value is None:
            if spec.get("required"):
                raise PolicyError(f"{origin}: {name} is missing; it must be {_wanted(spec)}")
            nested = spec.get("options")
            optional = spec["type"] == "dict" and key == "match"
            values[key] = (
                _checked(nested, {}, origin, f"{name}.")
                if nested and "default" not in spec and not optional
                else spec.get("default")
            )
        elif spec.get("options") and spec["type"] == "list":
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise PolicyError(f"{origin}: {name} is {_shown(value)}; it must be a list of mappings")
            values[key] = []
            for index, item in enumerate(value):
                if not isinstance(item, Mapping):
                    raise PolicyError(f"{origin}: {name}[{index}] is {_shown(item)}; it must be {_TYPE_WORDS['dict']}")
                values[key].append(_checked(spec["options"], item, origin, f"{name}[{index}]."))
        elif spec.get("options"):
            if not isinstance(value, Mapping):
                raise PolicyError(f"{origin}: {name} is {_shown(value)}; it must be {_TYPE_WORDS['dict']}")
            values[key] = _checked(spec["options"], value, origin, f"{name}.")
        else:
            values[key] = _leaf(key, spec, value, origin, name)
    return values


def _leaf(key: str, spec: Mapping[str, t.Any], value: t.Any, origin: str, name: str) -> t.Any:
    """One value, converted by Ansible's validator and held against its range."""
    bad_container = spec["type"] in ("str", "float", "int") and isinstance(value, (Mapping, list, tuple, set))
    bad_number = spec["type"] in ("float", "int") and isinstance(value, bool)
    bad_mapping = spec["type"] == "dict" and not isinstance(value, Mapping)
    checked = ArgumentSpecValidator({key: dict(spec)}).validate({key: value})
    if bad_container or bad_number or bad_mapping or checked.error_messages:
        raise PolicyError(f"{origin}: {name} is {_shown(value)}; it must be {_wanted(spec)}")
    converted = checked.validated_parameters[key]
    low, high = _RANGES.get(key, (float("-inf"), float("inf")))
    if spec["type"] in ("int", "float") and not low <= converted <= high:
        bounds = f"between {low:g} and {high:g}" if high != float("inf") else f"at least {low:g}"
        raise PolicyError(f"{origin}: {name} is {_shown(value)}; it must be {bounds}")
    return converted


def _wanted(spec: Mapping[str, t.Any]) -> str:
    """What an option takes, in words."""
    if spec["type"] == "list":
        inner = f" ({', '.join(spec['choices'])})" if spec.get("choices") else f" of {_TYPE_WORDS[spec['elements']]}"
        return f"a list{inner}"
    if spec.get("choices"):
        return f"one of {', '.join(spec['choices'])}"
    return _TYPE_WORDS[spec["type"]]


def _shown(value: t.Any) -> str:
    """A value as it may appear in a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _risk(value: str) -> int:
    """Risk 0..4 from its number or its name."""
    return int(value) if value.isdigit() else RISK_NAMES.index(value)


def _text(value: t.Any) -> str:
    """A tag's value as the cloud stores it: YAML's ``true`` is the text ``true``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tags(values: Mapping[str, t.Any] | None) -> dict[str, tuple[str, ...]]:
    """Tag -> accepted values, from single values and lists; no value accepts any."""
    result: dict[str, tuple[str, ...]] = {}
    for key, value in (values or {}).items():
        accepted = value if isinstance(value, (list, tuple)) else [value]
        result[str(key)] = tuple("*" if item is None else _text(item) for item in accepted)
    return result


def _tag_matches(tags: Mapping[str, str], wanted: Tags) -> bool:
    """Whether every wanted tag is there with an accepted value (shell wildcards allowed)."""
    return all(
        key in tags and any(fnmatch.fnmatchcase(tags[key], pattern) for pattern in accepted)
        for key, accepted in wanted.items()
    )


def _first_tag(tags: Mapping[str, str], wanted: Tags) -> str | None:
    """The first tag of ``wanted`` that ``tags`` has with an accepted value."""
    return next((key for key, accepted in wanted.items() if _tag_matches(tags, {key: accepted})), None)


def _match(values: Mapping[str, t.Any] | None) -> Match:
    if not values:
        return Match()
    risk = values["maximum_risk"]
    return Match(
        tags=_tags(values["tags"]),
        scopes=tuple(values["scopes"] or ()),
        actions=tuple(values["actions"] or ()),
        efforts=tuple(values["efforts"] or ()),
        findings=tuple(values["findings"] or ()),
        maximum_risk=None if risk is None else _risk(risk),
        minimum_saving=values["minimum_saving"],
        maximum_saving=values["maximum_saving"],
    )


def _groups(values: Mapping[str, t.Any], origin: str) -> dict[str, tuple[str, ...]]:
    for name, members in values.items():
        if not isinstance(members, (list, tuple)) or not all(isinstance(member, str) for member in members):
            raise PolicyError(f"{origin}: groups.{name} is {_shown(members)}; it must be a list of approvers' names")
    return {str(name): tuple(members) for name, members in values.items()}


def _freeze_window(values: Mapping[str, t.Any], origin: str, path: str) -> FreezeWindow:
    """A freeze window from checked values; times are local to its time zone."""
    try:
        zoneinfo.ZoneInfo(values["time_zone"])
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise PolicyError(
            f"{origin}: {path}.time_zone is {values['time_zone']!r}; "
            "it must be a name of the IANA time zone database such as Europe/Berlin"
        ) from None
    dated = values["from"] is not None or values["until"] is not None
    weekly = any(values[key] is not None for key in ("days", "start", "end"))
    if dated == weekly or (dated and (values["from"] is None or values["until"] is None)):
        raise PolicyError(
            f"{origin}: {path} ({values['name']!r}) must have either from and until, or days with start and end"
        )
    common = {"name": values["name"], "time_zone": values["time_zone"], "match": _match(values["match"])}
    if not dated:
        return FreezeWindow(
            days=tuple(WEEKDAYS.index(day) for day in values["days"] or ()),
            start=_minute(values["start"], 0, origin, f"{path}.start"),
            end=_minute(values["end"], 1440, origin, f"{path}.end"),
            **common,
        )
    begins = _local(values["from"], origin, f"{path}.from", last=False)
    ends = _local(values["until"], origin, f"{path}.until", last=True)
    if ends <= begins:
        raise PolicyError(f"{origin}: {path}.until is {values['until']!r}; it must be after from, {values['from']!r}")
    return FreezeWindow(begins=begins, ends=ends, **common)


def _minute(text: str | None, default: int, origin: str, path: str) -> int:
    """Minutes since midnight from ``HH:MM``.

    YAML 1.1 reads an unquoted 22:00 as the number 22 * 60: that is the same minute.
    """
    if text is None:
        return default
    if text.isdigit() and int(text) <= 1440:
        return int(text)
    hours, _unused, minutes = text.partition(":")
    if hours.isdigit() and minutes.isdigit() and int(minutes) < 60 and int(hours) * 60 + int(minutes) <= 1440:
        return int(hours) * 60 + int(minutes)
    raise PolicyError(f"{origin}: {path} is {text!r}; it must be a time of day such as 06:30")


def _local(text: str, origin: str, path: str, *, last: bool) -> datetime.datetime:
    """A local moment from an ISO date or time; a bare date as the last one includes its day."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise PolicyError(f"{origin}: {path} is {text!r}; it must be a date such as 2026-12-20") from None
    if moment.tzinfo is not None:
        raise PolicyError(f"{origin}: {path} is {text!r}; it must be local time: the key time_zone says which")
    return moment + datetime.timedelta(days=1) if last and len(text) <= 10 else moment


def _at(day: datetime.date, minute: int, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    """Minute ``minute`` (0..1440) of ``day`` on the clocks of ``zone``, in UTC."""
    local = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(minutes=minute)
    return _utc(local.replace(tzinfo=zone))


def _utc(moment: datetime.datetime) -> datetime.datetime:
    return moment.astimezone(datetime.timezone.utc)
