# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""STS: who am I, and roles in other accounts."""

from __future__ import annotations

import random
import string
import time
import typing as t

from simulator.errors import AwsError
from simulator.registry import account_of, operation
from simulator.state import Cloud, Credentials
from simulator.wire import Call

_Dict = dict[str, t.Any]
_LETTERS = string.ascii_uppercase + "234567"


def _random(length: int) -> str:
    return "".join(random.choices(_LETTERS, k=length))


def _give(cloud: Cloud, account: str, arn: str, user_id: str, seconds: int) -> _Dict:
    held = Credentials(f"ASIA{_random(16)}", account, arn, user_id, time.time() + seconds)
    cloud.credentials[held.access_key] = held
    return {
        "AccessKeyId": held.access_key,
        "SecretAccessKey": _random(40),
        "SessionToken": _random(64),
        # Real time: it is the client's own clock that says when they expire.
        "Expiration": held.expires,
    }


@operation("sts", "GetCallerIdentity")
def get_caller_identity(cloud: Cloud, call: Call) -> _Dict:
    """The account and ARN behind the access key."""
    held = cloud.credentials.get(call.access_key)
    if held is not None:
        return {"Account": held.account, "Arn": held.arn, "UserId": held.user_id}
    account = account_of(cloud, call).account_id
    return {"Account": account, "Arn": f"arn:aws:iam::{account}:user/operator", "UserId": f"AIDA{account}OPER"}


@operation("sts", "AssumeRole")
def assume_role(cloud: Cloud, call: Call) -> _Dict:
    """Credentials for ``arn:aws:iam::<account>:role/<name>``, whatever the name; denied accounts refuse."""
    arn, name = call.params["RoleArn"], call.params["RoleSessionName"]
    parts = arn.split(":")
    if len(parts) != 6 or not parts[5].startswith("role/"):
        raise AwsError("ValidationError", f"{arn} is invalid")
    target, role = parts[4], parts[5].rpartition("/")[2]
    account = cloud.accounts.get(target)
    if account is None or account.denied or target in cloud.faults.deny_account:
        caller = get_caller_identity(cloud, call)["Arn"]
        raise AwsError(
            "AccessDenied", f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}", 403
        )
    user_id = f"AROA{target}ROLE:{name}"
    assumed = f"arn:aws:sts::{target}:assumed-role/{role}/{name}"
    given = _give(cloud, target, assumed, user_id, call.params.get("DurationSeconds", 3600))
    return {"Credentials": given, "AssumedRoleUser": {"AssumedRoleId": user_id, "Arn": assumed}}


@operation("sts", "GetSessionToken")
def get_session_token(cloud: Cloud, call: Call) -> _Dict:
    """Temporary credentials for the caller's own account."""
    identity = get_caller_identity(cloud, call)
    seconds = call.params.get("DurationSeconds", 3600)
    return {"Credentials": _give(cloud, identity["Account"], identity["Arn"], identity["UserId"], seconds)}
