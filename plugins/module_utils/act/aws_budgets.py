# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS Budgets of one account: read in bulk, decided, and changed so that a budget is as written or as it was."""

from __future__ import annotations

import datetime
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.act import aws_budget_terms as terms
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_budget_filter import BudgetError
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_budget_terms import (
    Action,
    AlertKey,
    State,
    Subscriber,
)
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, carry_out

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "Mapping[str, t.Any]"
#: A call: method of boto3's client and its arguments.
Step: t.TypeAlias = "tuple[str, _Dict]"

_PAGE: _Dict = {"MaxResults": 100}


def new_steps(wanted: State, today: datetime.date) -> list[Step]:
    """Calls that make a budget; AWS makes its notifications in the same call."""
    people = [
        {"Notification": terms.notification(key), "Subscribers": terms.listed(who)}
        for key, who in sorted(wanted.alerts.items())
    ]
    arguments: _Dict = {"Budget": terms.writable(wanted.budget, today)}
    if people:
        arguments["NotificationsWithSubscribers"] = people
    if wanted.tags:
        arguments["ResourceTags"] = _tag_list(wanted.tags)
    name = {"BudgetName": wanted.budget["BudgetName"]}
    return [
        ("create_budget", arguments),
        *(("create_budget_action", {**name, **action.body}) for action in wanted.actions or ()),
    ]


def steps(found: State | None, wanted: State | None, today: datetime.date) -> list[Step]:
    """Calls that make one state of a budget out of another, in an order in which alerts never go silent."""
    if found is None:
        return [] if wanted is None else new_steps(wanted, today)
    name = {"BudgetName": found.budget["BudgetName"]}
    if wanted is None:
        return [
            *(("delete_budget_action", {**name, "ActionId": one.identity}) for one in found.actions or ()),
            ("delete_budget", name),
        ]
    todo: list[Step] = []
    before, after = terms.writable(found.budget, today), terms.writable(wanted.budget, today)
    if terms.comparable(before) != terms.comparable(after):
        todo.append(("update_budget", {"NewBudget": after}))
    todo += _alert_steps(name, found.alerts, wanted.alerts)
    if wanted.actions is not None:
        todo += _action_steps(name, found.actions or (), wanted.actions)
    if wanted.tags is not None and found.tags is not None:
        todo += _tag_steps(found.tags, wanted.tags)
    return todo


def _alert_steps(
    name: _Dict,
    found: Mapping[AlertKey, frozenset[Subscriber]],
    wanted: Mapping[AlertKey, frozenset[Subscriber]],
) -> list[Step]:
    """One that is not wanted becomes one that is: so the limit of notifications is never in the way."""
    old = sorted(key for key in found if key not in wanted)
    new = sorted(key for key in wanted if key not in found)
    todo: list[Step] = []
    people = {key: found[key] for key in found if key in wanted}
    for before, after in zip(old, new):
        change = {"OldNotification": terms.notification(before), "NewNotification": terms.notification(after)}
        todo.append(("update_notification", {**name, **change}))
        people[after] = found[before]
    for key in sorted(people):
        todo += _people_steps({**name, "Notification": terms.notification(key)}, people[key], wanted[key])
    for key in new[len(old) :]:
        arguments = {"Notification": terms.notification(key), "Subscribers": terms.listed(wanted[key])}
        todo.append(("create_notification", {**name, **arguments}))
    for key in old[len(new) :]:
        todo.append(("delete_notification", {**name, "Notification": terms.notification(key)}))
    return todo


def _people_steps(where: _Dict, found: frozenset[Subscriber], wanted: frozenset[Subscriber]) -> list[Step]:
    """Subscribers of one notification. AWS deletes a notification with its last one, so additions come first."""
    exchanged: list[Step] = []
    added: list[Step] = []
    deleted: list[Step] = []
    for kind in ("EMAIL", "SNS"):
        old = terms.listed(frozenset(one for one in found - wanted if one[0] == kind))
        new = terms.listed(frozenset(one for one in wanted - found if one[0] == kind))
        exchanged += [
            ("update_subscriber", {**where, "OldSubscriber": before, "NewSubscriber": after})
            for before, after in zip(old, new)
        ]
        added += [("create_subscriber", {**where, "Subscriber": one}) for one in new[len(old) :]]
        deleted += [("delete_subscriber", {**where, "Subscriber": one}) for one in old[len(new) :]]
    return [*exchanged, *added, *deleted]


def _action_steps(name: _Dict, found: Sequence[Action], wanted: Sequence[Action]) -> list[Step]:
    """Actions have no name of their own: the same work at the same threshold is the same action."""
    left = list(found)
    missing: list[Action] = []
    todo: list[Step] = []

    def update(old: Action, new: Action) -> None:
        body = {key: value for key, value in new.body.items() if key != "ActionType"}
        todo.append(("update_budget_action", {**name, "ActionId": old.identity, **body}))

    for one in wanted:
        same = [
            old for old in left if terms.action_key(old.body, whole=False) == terms.action_key(one.body, whole=False)
        ]
        if not same:
            missing.append(one)
            continue
        left.remove(same[0])
        if terms.action_key(same[0].body) != terms.action_key(one.body):
            update(same[0], one)
    for one in missing:
        alike = [old for old in left if old.body["ActionType"] == one.body["ActionType"]]
        if alike:
            left.remove(alike[0])
            update(alike[0], one)
        else:
            todo.append(("create_budget_action", {**name, **one.body}))
    return [*todo, *(("delete_budget_action", {**name, "ActionId": old.identity}) for old in left)]


def _tag_steps(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[Step]:
    new = {key: value for key, value in wanted.items() if found.get(key) != value}
    old = sorted(key for key in found if key not in wanted)
    todo: list[Step] = []
    if new:
        todo.append(("tag_resource", {"ResourceTags": _tag_list(new)}))
    if old:
        todo.append(("untag_resource", {"ResourceTagKeys": old}))
    return todo


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


class Budgets:
    """AWS Budgets of one account."""

    def __init__(self, aws: Aws, now: Callable[[], float] = time.time) -> None:
        self._aws = aws
        self._now = now
        self._made = 0
        #: what of each budget was asked for, and is asked for again when something failed: no permission beyond that
        self._asked: dict[str, frozenset[str]] = {}

    # -- read ---------------------------------------------------------------------------------------------

    def read(self, names: Mapping[str, frozenset[str]]) -> dict[str, State]:
        """Budgets by name. The value of a name says what is asked for beside it: ``people``, ``actions``, ``tags``.

        Three requests for all budgets and their alerts and actions, one more for each notification's people.

        :raises AwsError: AWS refuses.
        """
        account: _Dict = {"AccountId": self._aws.account}
        extra: _Dict = {"ShowFilterExpression": True} if self.knows_expressions() else {}
        budgets: dict[str, _Dict] = {}
        for page in self._aws.pages("budgets", "describe_budgets", **account, **_PAGE, **extra):
            budgets.update((one["BudgetName"], one) for one in page.get("Budgets", ()) if one["BudgetName"] in names)
        notifications = self._notifications(account) if budgets else {}
        wants_actions = any("actions" in names[name] for name in budgets)
        actions = self._actions(account) if wants_actions else {}
        found = {}
        for name, budget in budgets.items():
            alerts = {}
            for one in notifications.get(name, ()):
                key = terms.alert_key(one)
                asked = "people" in names[name]
                alerts[key] = self._subscribers({**account, "BudgetName": name}, key) if asked else frozenset()
            found[name] = State(
                budget,
                alerts,
                tuple(actions.get(name, ())) if "actions" in names[name] else None,
                self._tags(name) if "tags" in names[name] else None,
            )
        return found

    def knows_expressions(self) -> bool:
        """Whether this botocore knows filter expressions."""
        model = self._aws.client("budgets").meta.service_model.operation_model("DescribeBudgets")
        return "ShowFilterExpression" in model.input_shape.members

    def _notifications(self, account: _Dict) -> dict[str, list[_Dict]]:
        method = "describe_budget_notifications_for_account"
        found: dict[str, list[_Dict]] = {}
        for page in self._aws.pages("budgets", method, **account, **_PAGE):
            for one in page.get("BudgetNotificationsForAccount", ()):
                found.setdefault(one["BudgetName"], []).extend(one.get("Notifications", ()))
        return found

    def _actions(self, account: _Dict) -> dict[str, list[Action]]:
        found: dict[str, list[Action]] = {}
        for page in self._aws.pages("budgets", "describe_budget_actions_for_account", **account, **_PAGE):
            for one in page["Actions"]:
                found.setdefault(one["BudgetName"], []).append(terms.action_of(one))
        return found

    def _subscribers(self, budget: _Dict, key: AlertKey) -> frozenset[Subscriber]:
        method = "describe_subscribers_for_notification"
        pages = self._aws.pages("budgets", method, **budget, Notification=terms.notification(key), **_PAGE)
        return frozenset(
            (one["SubscriptionType"], one["Address"]) for page in pages for one in page.get("Subscribers", ())
        )

    def _arn(self, name: str) -> str:
        partition = self._aws.session.get_partition_for_region(self._aws.region)
        return f"arn:{partition}:budgets::{self._aws.account}:budget/{name}"

    def _tags(self, name: str) -> dict[str, str]:
        answer = self._aws.read("budgets", "list_tags_for_resource", ResourceARN=self._arn(name))
        tags = {one["Key"]: one["Value"] for one in answer.get("ResourceTags", ())}
        return {key: value for key, value in tags.items() if not key.startswith("aws:")}

    # -- decide -------------------------------------------------------------------------------------------

    def decide(self, budgets: Sequence[Options]) -> list[Change]:
        """What has to change, a change for each budget.

        :raises BudgetError: what was written cannot be; then nothing was asked. :raises AwsError: AWS refuses.
        """
        today = self._today()
        self._asked = {}
        for one in budgets:
            if one["name"] in self._asked:
                raise BudgetError(f"budgets has {one['name']!r} twice: write everything about a budget in one place")
            self._asked[one["name"]] = _asked(one)
            terms.check(one, today)
        if not self.knows_expressions() and any(one.get("filter") or one.get("metric") for one in budgets):
            raise BudgetError("budgets[].filter and metric need a newer botocore: update boto3, or use cost_filters")
        known = self.read(self._asked) if budgets else {}
        changes = []
        for one in budgets:
            found = known.get(one["name"])
            wanted = self._wanted(one, found, today)
            if steps(found, wanted, today):
                changes.append(_change(one["name"], found, wanted))
        return changes

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self._now(), terms.UTC).date()

    def _wanted(self, one: Options, found: State | None, today: datetime.date) -> State | None:
        if one["state"] == "absent":
            return None
        budget = terms.budget(one, None if found is None else found.budget, today)
        alerts = terms.alerts(one, budget) if one.get("alerts") is not None else None
        actions = terms.actions(one) if one.get("actions") is not None else None
        tags = {str(key): str(value) for key, value in one["tags"].items()} if one.get("tags") is not None else None
        if found is None:
            return State(budget, alerts or {}, actions, tags)
        gone = terms.removed(one, found.budget)
        whole = found.budget
        if gone or terms.changed(budget, found.budget):
            whole = terms.merged(budget, found.budget, gone)
        return State(whole, found.alerts if alerts is None else alerts, actions, tags)

    # -- perform ------------------------------------------------------------------------------------------

    def perform(self, changes: Sequence[Change]) -> None:
        """Carry them out in order; a budget that cannot be as written becomes what it was.

        :raises AwsError: the sentence says what was kept, and how many budgets were changed before.
        """
        carry_out(changes, self._one, AwsError, naming=True)

    def _one(self, change: Change) -> None:
        found, wanted = change.request
        self._made = 0
        try:
            self._run(change.name, steps(found, wanted, self._today()))
        except AwsError as error:
            if not self._made and not error.effect_unknown:
                raise
            self._recover(change, error)

    def _run(self, name: str, todo: Sequence[Step]) -> None:
        for method, arguments in todo:
            given = dict(arguments)
            if method in ("tag_resource", "untag_resource"):
                given["ResourceARN"] = self._arn(name)
            else:
                given["AccountId"] = self._aws.account
            self._aws.write("budgets", method, **given)
            self._made += 1

    def _recover(self, change: Change, error: AwsError) -> None:
        """Complete the budget where only the answer was lost, else take back what was made of it.

        :raises AwsError: the budget is not as written.
        """
        found, wanted = change.request
        asked = {change.name: self._asked[change.name]}
        if error.effect_unknown:
            try:
                self._run(change.name, steps(self.read(asked).get(change.name), wanted, self._today()))
                return
            except AwsError as again:
                error = again
        try:
            now = self.read(asked).get(change.name)
            self._run(change.name, steps(now, found, self._today()))
        except AwsError as worse:
            text = f"{error}; what had been changed of it could not be taken back: {worse}"
        else:
            text = f"{error}; the budget is {'as it was' if found else 'not there'}, nothing half-done was kept"
        raise AwsError(text, error.code, error.effect_unknown) from error


def _asked(one: Options) -> frozenset[str]:
    """What has to be known beside a budget itself, for what is written about it."""
    absent = one["state"] == "absent"
    options = {
        "people": absent or one.get("alerts") is not None,
        "actions": absent or one.get("actions") is not None,
        "tags": one.get("tags") is not None,
    }
    return frozenset(option for option, needed in options.items() if needed)


def _change(name: str, found: State | None, wanted: State | None) -> Change:
    """What differs, as people read it."""
    before, after = terms.shown(found), terms.shown(wanted)
    if found is not None and wanted is not None:
        # What was not asked for is in one of the two only.
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        skipped = {"actions": wanted.actions is None, "tags": wanted.tags is None}
        keys = [key for key in keys if not skipped.get(key)]
        before = {key: before[key] for key in keys if key in before}
        after = {key: after[key] for key in keys if key in after}
    action: t.Literal["create", "update", "delete"] = "update"
    if found is None:
        action = "create"
    elif wanted is None:
        action = "delete"
    return Change("budget", action, name, before, after, (found, wanted))
