# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Savings Plans and Compute Optimizer, as far as the collection asks them."""

from __future__ import annotations

import typing as t

from simulator.errors import AwsError
from simulator.registry import account_of, operation, page
from simulator.state import Cloud
from simulator.wire import Call, iso_time

_Dict = dict[str, t.Any]


@operation("savingsplans", "DescribeSavingsPlans")
def describe_savings_plans(cloud: Cloud, call: Call) -> _Dict:
    """The account's plans."""
    params = call.params
    now = cloud.clock.now()
    rows = []
    for plan in account_of(cloud, call).savings_plans:
        state = "active" if plan.start <= now < plan.end else "retired"
        if params.get("states") and state not in params["states"]:
            continue
        if params.get("savingsPlanIds") and plan.plan_id not in params["savingsPlanIds"]:
            continue
        row: _Dict = {
            "savingsPlanId": plan.plan_id,
            "savingsPlanArn": f"arn:aws:savingsplans::{call.account}:savingsplan/{plan.plan_id}",
            "description": f"1 year No Upfront {plan.kind} Savings Plan",
            "start": iso_time(plan.start),
            "end": iso_time(plan.end),
            "state": state,
            "savingsPlanType": plan.kind,
            "paymentOption": "No Upfront",
            "productTypes": ["EC2"] if plan.kind == "EC2Instance" else ["EC2", "Fargate", "Lambda"],
            "currency": "USD",
            "commitment": f"{plan.commitment:.8f}",
            "upfrontPaymentAmount": "0.0",
            "recurringPaymentAmount": f"{plan.commitment:.8f}",
            "termDurationInSeconds": int(plan.end - plan.start),
            "tags": {},
        }
        if plan.kind == "EC2Instance":
            row["ec2InstanceFamily"], row["region"] = plan.family, plan.region
        rows.append(row)
    shown, token = page(rows, params.get("maxResults", 1000), params.get("nextToken"), "ValidationException")
    return {"savingsPlans": list(shown), "nextToken": token}


@operation("compute-optimizer", "GetEnrollmentStatus")
def get_enrollment_status(cloud: Cloud, call: Call) -> _Dict:
    """Active or Inactive, as the estate says."""
    active = account_of(cloud, call).compute_optimizer
    return {"status": "Active" if active else "Inactive", "memberAccountsEnrolled": False}


@operation("compute-optimizer", "GetEC2InstanceRecommendations")
def get_recommendations(cloud: Cloud, call: Call) -> _Dict:
    """OptInRequired, or (opted in, but fresh) no recommendation yet."""
    if not account_of(cloud, call).compute_optimizer:
        raise AwsError("OptInRequiredException", "The account is not opted in to AWS Compute Optimizer.", 403)
    return {"instanceRecommendations": [], "errors": []}
