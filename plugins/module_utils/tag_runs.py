# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What aws_cost_tags and gcp_cost_labels have in common: judge all resources, change them by a journal, report."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime
import io
import json
import os
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.act.tag_journal import (
    Change,
    Journals,
    Outcome,
    Write,
    carry_out,
    change,
    touched,
    undoing,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import tag_report
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import (
    Cloud,
    Judged,
    Policy,
    Resource,
    Source,
    TagPolicyError,
    Tags,
    judge,
    parse,
)
from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked, masked_all
from ansible_collections.frugal.cloud.plugins.module_utils.cost.tag_coverage import Charges
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import GcpError

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "Mapping[str, t.Any]"

#: The key by which is reported where nobody says.
TEAM = "team"
#: Options of both modules, documented by ``doc_fragments/tags.py``.
OPTIONS: dict[str, _Dict] = {
    "policy": {"type": "raw", "required": True},
    "state": {"type": "str", "choices": ["enforced", "reported", "undone"], "default": "enforced"},
    "run": {"type": "str"},
    "journal_directory": {"type": "path", "default": "~/.frugal/tags"},
    "maximum_failures": {"type": "int", "default": 100},
    "team_key": {"type": "str", "no_log": False},
    "report_path": {"type": "path"},
    "limit": {"type": "int", "default": 50},
    "show_identities": {"type": "bool", "default": False},
    # An address may hold a password.
    "cost_url": {"type": "str", "no_log": True},
    "cost_since": {"type": "str"},
    "cost_until": {"type": "str"},
}


class Tagger(t.Protocol):
    """A cloud's side: reads tags and sends requests."""

    @property
    def scope(self) -> str:
        """What runs in a journal belong to."""

    def read(self, policy: Policy) -> tuple[list[tuple[str, Resource]], dict[Source, Tags]]:
        """Resources with their places, and the tags of what they inherit from."""

    def now(self, places: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """The tags that these resources have now."""

    def grouped(self, changes: Sequence[Change]) -> list[Write]:
        """The requests for these changes."""

    def send(self, write: Write) -> Mapping[str, str]:
        """Send one; the resources that were refused, with why."""


class TagRunError(ValueError):
    """One sentence: which option has which value, and what would be right."""


def load(source: t.Any, cloud: Cloud) -> Policy:
    """The policy in a YAML file or a mapping. :raises TagPolicyError: it cannot be read, or is wrong."""
    if not isinstance(source, str):
        return parse(source, cloud)
    where = f"policy {source}"
    try:
        data = deps.yaml.safe_load(Path(source).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise TagPolicyError(f"{where} cannot be read: {what}") from None
    except deps.yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise TagPolicyError(f"{where}{place}: {getattr(error, 'problem', None) or 'it is not YAML'}") from None
    return parse(data, cloud, where)


def team_of(policy: Policy, options: Options) -> str:
    """The key by which is reported: the option, else C(team) where the policy has it, else its first key.

    :raises TagPolicyError: the policy has no such key.
    """
    known = [key.name for key in policy.keys]
    chosen = options["team_key"] or (TEAM if TEAM in known else known[0])
    return policy.named(chosen, "team_key").name


@contextlib.contextmanager
def masking(options: Options) -> Iterator[None]:
    """Account ids and addresses in errors are made unreadable unless the options ask for them."""
    try:
        yield
    except Exception as error:
        own = type(error).__module__.startswith("ansible_collections.frugal.cloud.")
        if own and not options["show_identities"] and error.args and isinstance(error.args[0], str):
            error.args = (masked(error.args[0]), *error.args[1:])
        raise


class Runner:
    """One call of a module."""

    def __init__(
        self, tagger: Tagger, policy: Policy, options: Options, check_mode: bool, now: datetime.datetime
    ) -> None:
        if options["run"] and options["state"] != "undone":
            raise TagRunError(f"run is {options['run']!r} and state is {options['state']}: it belongs to undone")
        if options["limit"] < 0 or options["maximum_failures"] < 0:
            name = "limit" if options["limit"] < 0 else "maximum_failures"
            raise TagRunError(f"{name} is {options[name]}: give 0 or more")
        if options["report_path"] and Path(options["report_path"]).suffix not in (".csv", ".json"):
            raise TagRunError(f"report_path is {options['report_path']!r}: let it end in .csv or .json")
        self._team = team_of(policy, options)
        self._tagger = tagger
        self._policy = policy
        self._options = options
        self._check = check_mode
        self._now = now
        self._journals = Journals(Path(options["journal_directory"]).expanduser())
        self._judged: list[tuple[str, Judged]] = []
        #: What went wrong without ending the run; empty where nothing did.
        self.failure = ""

    def run(self, charges: Callable[[], Charges]) -> _Dict:
        """Do what ``state`` says; the module's result."""
        writing = not self._check and self._options["state"] != "reported"
        with self._journals.locked(self._tagger.scope) if writing else contextlib.nullcontext():
            result = self._undo() if self._options["state"] == "undone" else self._enforce(charges)
        return result if self._options["show_identities"] else masked_all(result)

    def _enforce(self, charges: Callable[[], Charges]) -> _Dict:
        covered = tag_report.coverage(self._policy, charges(), self._team)
        resources, inherited = self._tagger.read(self._policy)
        self._judged = [(place, judge(self._policy, one, inherited)) for place, one in resources]
        changes = [
            change(one.resource.id, place, one.resource.tags, one.set, one.remove)
            for place, one in self._judged
            if one.set or one.remove
        ]
        reporting = self._options["state"] == "reported"
        writes = [] if reporting else self._tagger.grouped(changes)
        outcome = self._carry_out(writes, {"policy": self._policy.digest})
        report = self._report(covered, self._judged)
        result = {**report, **self._changed(writes, outcome)}
        result["changes"] = [
            {
                "resource": one.resource.id,
                "set": dict(one.set),
                "remove": list(one.remove),
                "from": dict(one.origins),
            }
            for one in self._first(one for _place, one in self._judged if one.set or one.remove)
        ]
        result["diff"] = [] if reporting else self._diff(changes)
        if self._options["report_path"]:
            after = report if reporting else self._report(covered, self._after(inherited, outcome))
            result["changed"] = self._written(after) or result["changed"]
        return result

    def _after(self, inherited: Mapping[Source, Tags], outcome: Outcome | None) -> list[tuple[str, Judged]]:
        """What is judged when the changes are made: what a second run would find, so that it writes the same report."""
        found = []
        for place, one in self._judged:
            changed = (one.set or one.remove) and (outcome is None or one.resource.id in outcome.done)
            resource = dataclasses.replace(one.resource, tags=one.after()) if changed else one.resource
            found.append((place, judge(self._policy, resource, inherited) if changed else one))
        return found

    def _undo(self) -> _Dict:
        runs = self._journals.to_undo(self._tagger.scope, self._options["run"] or "")
        found = touched(runs)
        decided = undoing(found, self._tagger.now({identity: one.place for identity, one in found.items()}))
        writes = self._tagger.grouped(decided.changes)
        outcome = self._carry_out(writes, {"undoes": runs[-1].id}, always=True)
        result = self._changed(writes, outcome)
        result["undone"] = runs[-1].id
        result["kept"] = [
            {"resource": identity, "keys": list(keys)} for identity, keys in self._first(decided.kept.items())
        ]
        result["changes"] = [
            {"resource": one.id, "set": dict(one.set), "remove": list(one.remove), "from": {}}
            for one in self._first(decided.changes)
        ]
        result["diff"] = self._diff(decided.changes)
        return result

    def _carry_out(self, writes: Sequence[Write], header: _Dict, always: bool = False) -> Outcome | None:
        """Send the requests; None where there is nothing to do or nothing may be done."""
        if self._check or not (writes or always):
            return None
        scope = self._tagger.scope
        continues = "" if header.get("undoes") else self._journals.unfinished(scope)
        if continues:
            header = {**header, "continues": continues}
        with self._journals.begin({"scope": scope, **header}, writes, self._now) as journal:
            try:
                return carry_out(journal, writes, self._tagger.send, self._options["maximum_failures"])
            except (AwsError, GcpError) as error:
                done = f"; {journal.made} of {len(writes)} requests were made (run {journal.run})"
                error.args = (f"{error}{done}", *error.args[1:])
                raise

    def _changed(self, writes: Sequence[Write], outcome: Outcome | None) -> _Dict:
        refused = outcome.refused if outcome else {}
        if refused:
            identity, why = sorted(refused.items())[0]
            ended = ", and the run ended there (maximum_failures)" if outcome and outcome.stopped else ""
            text = f"{len(refused)} resources were refused{ended}; the first is {identity}: {why}"
            self.failure = text if self._options["show_identities"] else masked(text)
        return {
            "changed": bool(outcome.done if outcome else writes),
            "run": outcome.run if outcome else "",
            "writes": outcome.requests if outcome else len(writes),
            "failed": [{"resource": one, "why": why} for one, why in self._first(sorted(refused.items()))],
        }

    def _report(self, covered: list[_Dict], found: Sequence[tuple[str, Judged]]) -> _Dict:
        judged = [one for _place, one in found]
        deciding = (
            {"resource": one.resource.id, "key": finding.key, "kind": finding.kind, "text": finding.text}
            for one in judged
            for finding in one.findings
        )
        return {
            "summary": {
                "resources": len(judged),
                "compliant": sum(one.compliant for one in judged),
                "to_change": sum(bool(one.set or one.remove) for one in judged),
                "to_decide": sum(bool(one.findings) for one in judged),
                "protected": sum(one.protected for one in judged),
            },
            "keys": tag_report.by_key(self._policy, judged),
            "teams": tag_report.teams(self._policy, judged, self._team),
            "coverage": covered,
            "findings": list(self._first(deciding)),
        }

    def _first(self, items: t.Iterable[t.Any]) -> list[t.Any]:
        return [item for _number, item in zip(range(self._options["limit"]), items)]

    def _diff(self, changes: Sequence[Change]) -> list[_Dict]:
        shown = []
        for one in self._first(changes):
            after: dict[str, str | None] = {**one.before, **one.set, **dict.fromkeys(one.remove)}
            shown.append(
                {
                    "before_header": one.id,
                    "after_header": one.id,
                    "before": {key: value for key, value in one.before.items() if value is not None},
                    "after": {key: value for key, value in after.items() if value is not None},
                }
            )
        return shown

    def _written(self, result: _Dict) -> bool:
        """Write the report; whether it says something else than before. :raises TagRunError: it cannot be written."""
        path = Path(self._options["report_path"])
        table = tag_report.rows(result["teams"], result["coverage"])
        shown = {name: result[name] for name in ("summary", "keys", "teams", "coverage")}
        if not self._options["show_identities"]:
            table, shown = masked_all(table), masked_all(shown)
        text = json.dumps(shown, indent=2) + "\n" if path.suffix == ".json" else _csv(table)
        try:
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                return False
            if not self._check:
                path.parent.mkdir(parents=True, exist_ok=True)
                draft = path.with_name(f".{path.name}.{os.getpid()}")
                draft.write_text(text, encoding="utf-8")
                draft.replace(path)
        except OSError as error:
            raise TagRunError(f"report_path {path} cannot be written: {error.strerror}") from None
        return True


def _csv(table: Sequence[_Dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, tag_report.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: "" if row[name] is None else _plain(row[name]) for name in tag_report.COLUMNS} for row in table
    )
    return text.getvalue()


def _plain(value: t.Any) -> t.Any:
    """A text that spreadsheets do not take for a formula: tags are written by anybody."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value
