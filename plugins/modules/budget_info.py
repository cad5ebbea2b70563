#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of all budgets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: budget_info
short_description: State of all budgets of AWS and Google Cloud in one schema
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Limit, what was spent, what is expected, alerts in alarm and actions that wait for somebody, of all budgets of an
    AWS account and of billing accounts of Google Cloud.
  - AWS says itself what was spent and expected. Google's API does not, so that comes from imported cost data where
    O(cost_url) is set and the data knows what the budget counts; else it is null, and C(note) says why.
  - The forecast for Google Cloud lets each day to come cost what days of its name usually cost, the median of the last
    four complete weeks. Days are those of UTC, while Google's budgets begin at midnight of US Pacific Time.
notes:
  - "IAM permissions: C(sts:GetCallerIdentity), C(budgets:ViewBudget), C(budgets:DescribeBudgetActionsForAccount); at
    Google C(billing.budgets.list) on the billing account, and C(resourcemanager.projects.get) for budgets of projects."
  - AWS is asked for the account of the credentials. It was tested on a simulated cloud, not on AWS and Google Cloud.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.costs
  - frugal.cloud.attributes.info
  - frugal.cloud.attributes.aws
options:
  aws:
    description: Whether budgets of AWS are read.
    type: bool
    default: true
  billing_accounts:
    description: Billing accounts of Google Cloud whose budgets are read, such as V(01AB23-45CD67-89EF01).
    type: list
    elements: str
    default: []
  gcp:
    description: How Google Cloud is reached. The environment variables of the other modules for it serve here as well.
    type: dict
    suboptions:
      project:
        description: A project, for messages.
        type: str
        required: true
      auth_kind:
        description: Which credentials are used. V(application) are the application default credentials.
        type: str
        choices: [application, serviceaccount, machineaccount, accesstoken]
        default: application
      service_account_file:
        description: File with the key of a service account.
        type: path
      service_account_contents:
        description: The key itself, as JSON or a dictionary.
        type: jsonarg
      service_account_email:
        description: Which service account of the machine is used.
        type: str
      access_token:
        description: An access token.
        type: str
      scopes:
        description: Scopes that are asked for.
        type: list
        elements: str
        default: ["https://www.googleapis.com/auth/cloud-platform"]
      base_url:
        description: URL to talk to instead of Google's own, for all APIs.
        type: str
      timeout:
        description: Seconds to wait for an answer.
        type: int
        default: 60
      retries:
        description: How often a request is sent again while Google is busy or does not answer.
        type: int
        default: 5
"""

EXAMPLES = r"""
- name: Read the state of all budgets
  frugal.cloud.budget_info:
    region: us-east-1
    billing_accounts: ["{{ billing_account }}"]
    gcp: {project: finops}
    cost_url: /srv/costs
  register: found

- name: Say which will not be enough
  ansible.builtin.debug:
    msg: "{{ found.budgets | selectattr('forecast_share') | selectattr('forecast_share', '>', 1) }}"
"""

RETURN = r"""
budgets:
  description: All budgets, those nearest to their limit first.
  returned: success
  type: list
  elements: dict
  contains:
    provider: {description: V(aws) or V(gcp)., type: str, sample: aws}
    account: {description: Account or billing account., type: str, sample: "********9012"}
    id: {description: ARN or resource name., type: str}
    name: {description: Name., type: str, sample: shop}
    type: {description: What it tracks., type: str, sample: cost}
    unit: {description: "Currency, or what is counted.", type: str, sample: USD}
    limit: {description: How much in the present period., type: float, sample: 4000.0}
    actual: {description: What was spent in it; null where nobody knows., type: float, sample: 3000.0}
    forecast: {description: What will be spent in it; null where nobody knows., type: float, sample: 4200.0}
    actual_share: {description: "That part of the limit, 1 for all of it.", type: float, sample: 0.75}
    forecast_share: {description: "That part of the limit, 1 for all of it.", type: float, sample: 1.05}
    period: {description: "V(daily), V(monthly), V(quarterly), V(annually) or V(custom).", type: str, sample: monthly}
    start: {description: First day of the present period., type: str, sample: "2026-06-01"}
    end: {description: The day after its last; null where there is none., type: str, sample: "2026-07-01"}
    alerts: {description: "Each with spend, comparison, threshold, threshold_type, alarm.", type: list, elements: dict}
    alerts_in_alarm: {description: How many alerts are in alarm., type: int, sample: 1}
    actions: {description: "Each with id, type, status, approval, pending.", type: list, elements: dict}
    actions_pending: {description: How many actions wait for approval or failed., type: int, sample: 0}
    healthy: {description: Whether the provider keeps it up to date., type: bool, sample: true}
    note: {description: Why something is not known., type: str, sample: ""}
api:
  description: Requests sent to each provider.
  returned: success
  type: dict
  sample: {requests: 4, cost: 0.0, calls: {"budgets:DescribeBudgets": 1, "billingbudgets:GET": 1}}
"""

from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.budget_info import OPTIONS, all_states
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked_all
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, read, exit."""
    module = AwsModule(argument_spec=OPTIONS, supports_check_mode=True, check_boto3=False)
    show = module.params["show_identities"]
    with failing_clearly(module), hidden(show):
        aws = module.provider() if module.params["aws"] else None
        states, api = all_states(module.params, aws)
        budgets = [state.to_dict() for state in states]
        module.exit_json(changed=False, budgets=budgets if show else masked_all(budgets), api=api)


if __name__ == "__main__":
    main()
