# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/guides/permissions.md names exactly what the code calls: no call without a permission, none to spare.

Calls are found by their names: every text in the plugins that is an operation of one of the services in
botocore's own models, as ``describe_instances`` is. IAM calls an action as the API calls the operation, but for those
in ``aws.IAM_ACTIONS``.
"""

from __future__ import annotations

import ast
import json
import re
import typing as t
from pathlib import Path

import botocore
import botocore.session
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import IAM_ACTIONS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guides" / "permissions.md"
SERVICES = (
    "account", "autoscaling", "budgets", "ce", "cloudfront", "cloudwatch", "ec2", "ecs",
    "organizations", "pricing", "resourcegroupstaggingapi", "savingsplans", "sts",
)  # fmt: skip
#: asked for by AWS while it carries out something else, or by boto3 itself when it assumes a role
NOT_CALLED = {
    "ec2:CreateTags": "the tagging API asks each service whether the caller may tag its resources",
    "ec2:DeleteTags": "the same when it removes tags",
    "ec2:RunInstances": "a group that uses a launch template checks that its caller may launch from it",
    "iam:PassRole": "the instance profile of a launch template, the role of a budget's action",
    "sts:AssumeRole": "boto3's own credential provider calls it",
}


def operations() -> dict[str, set[str]]:
    """describe_instances -> {ec2:DescribeInstances}, for every operation whose name is not an English word."""
    session = botocore.session.get_session()
    found: dict[str, set[str]] = {}
    for service in SERVICES:
        for operation in session.get_service_model(service).operation_names:
            name = botocore.xform_name(operation)
            if "_" in name:
                action = f"{service}:{operation}"
                found.setdefault(name, set()).add(IAM_ACTIONS.get(action, action))
    return found


def calls() -> dict[str, set[str]]:
    """Operation -> the files that call it."""
    known = operations()
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known:
                found.setdefault(node.value, set()).add(path.relative_to(ROOT).as_posix())
    return found


def policies() -> list[dict[str, t.Any]]:
    """The JSON documents of the guide."""
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)]


def actions(policy: dict[str, t.Any]) -> list[str]:
    """The actions of one document, in its order."""
    found: list[str] = []
    for statement in policy["Statement"]:
        action = statement["Action"]
        found.extend([action] if isinstance(action, str) else action)
    return found


def test_every_call_has_its_permission_in_the_guide() -> None:
    granted = {action for policy in policies() for action in actions(policy)}
    known = operations()
    missing = {
        " or ".join(sorted(known[name])): sorted(files) for name, files in calls().items() if not known[name] & granted
    }
    assert not missing, "add these to docs/guides/permissions.md"


def test_the_guide_grants_nothing_to_spare() -> None:
    known = operations()
    called = {action for name in calls() for action in known[name]}
    granted = {action for policy in policies() for action in actions(policy)}
    assert granted - called - set(NOT_CALLED) == set()


def test_the_read_policy_changes_nothing() -> None:
    reading = actions(policies()[0])
    assert all(re.match(r"[a-z0-9]+:(Describe|Get|List)", action) for action in reading)


@pytest.mark.parametrize("policy", policies(), ids=lambda policy: actions(policy)[0])
def test_documents_are_well_formed(policy: dict[str, t.Any]) -> None:
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        assert "Resource" in statement or "Principal" in statement
        listed = statement["Action"]
        if isinstance(listed, list):
            assert listed == sorted(set(listed))
