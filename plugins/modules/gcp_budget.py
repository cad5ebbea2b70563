#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Budgets of Google Cloud."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_budget
short_description: Budgets of a Google Cloud billing account with their thresholds and notifications
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Brings budgets of a billing account to what is written, any number of them in one call. What is not written stays
    as it is, and what Google adds by itself is no difference; projects may be named by id, although Google shows
    numbers.
  - Somebody else's change at the same moment is noticed by the version, and the budget is read again. A lost answer
    makes no second budget.
  - It was tested on a stand-in that checks every request with Google's own discovery document, not on Google Cloud.
notes:
  - "IAM permissions on the billing account: C(billing.budgets.list), C(billing.budgets.get), C(billing.budgets.create),
    C(billing.budgets.update), C(billing.budgets.delete); for projects that are named by id
    C(resourcemanager.projects.get), for O(budgets[].pubsub_topic) C(pubsub.topics.setIamPolicy) on the topic."
  - The API C(billingbudgets.googleapis.com) has to be enabled, and C(cloudresourcemanager.googleapis.com) for
    projects that are named by id.
extends_documentation_fragment:
  - frugal.cloud.gcp
  - frugal.cloud.attributes
  - frugal.cloud.attributes.gcp
options:
  billing_account:
    description: The billing account's id, such as V(01AB23-45CD67-89EF01).
    type: str
    required: true
  budgets:
    description: Budgets.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name, up to 60 characters.
        type: str
        required: true
      id:
        description: Its id, where several budgets have this name.
        type: str
      state:
        description: Whether it is there.
        type: str
        choices: [present, absent]
        default: present
      amount:
        description: How much. Not below zero.
        type: float
      currency:
        description: The billing account's currency. Google takes no other.
        type: str
      last_period:
        description: Whether it is as much as was spent in the period before.
        type: bool
      period:
        description: After which time it begins anew. A new one does so each V(month) where nothing is said.
        type: str
        choices: [month, quarter, year, custom]
      start:
        description: First day, for O(budgets[].period=custom).
        type: str
      end:
        description: Last day, for O(budgets[].period=custom). Without it, there is none.
        type: str
      projects:
        description: Ids or numbers of the projects that count. V([]) for all.
        type: list
        elements: str
      folders:
        description: Numbers of the folders that count. With O(budgets[].organizations) they are all.
        type: list
        elements: str
      organizations:
        description: Numbers of the organizations that count.
        type: list
        elements: str
      services:
        description: Ids of the services that count, such as V(6F81-5844-456A). V([]) for all.
        type: list
        elements: str
      subaccounts:
        description: Billing accounts below this one that count. V([]) for all.
        type: list
        elements: str
      labels:
        description: The label that counts, and its value. Google takes one. V({}) for none.
        type: dict
      credits:
        description: Which credits reduce what counts.
        type: str
        choices: [include_all, exclude_all, include_specified]
      credit_types:
        description: Types of credits, for O(budgets[].credits=include_specified).
        type: list
        elements: str
      thresholds:
        description: When somebody is told. V([]) for never.
        type: list
        elements: dict
        suboptions:
          threshold:
            description: Percentage of the amount.
            type: float
            required: true
          spend:
            description: What is compared.
            type: str
            choices: [actual, forecasted]
            default: actual
      pubsub_topic:
        description: Topic that gets the state several times a day, as C(projects/PROJECT/topics/TOPIC). Empty for none.
        type: str
      channels:
        description: Up to five e-mail channels of Cloud Monitoring. V([]) for none.
        type: list
        elements: str
      default_recipients:
        description: Whether the billing account's administrators and users are told.
        type: bool
      project_recipients:
        description: Whether owners of the project are told, where only one counts.
        type: bool
      ownership:
        description: Who may change it, beside those whom the billing account belongs to.
        type: str
        choices: [all_users, billing_account]
  show_identities:
    description: Whether billing accounts and e-mail addresses are shown in diffs and messages.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: What the shop may cost, and who is told before it is too much
  frugal.cloud.gcp_budget:
    project: finops
    billing_account: "{{ billing_account }}"
    budgets:
      - name: shop
        amount: 4000
        projects: [shop-web, shop-data]
        thresholds:
          - threshold: 80
          - threshold: 100
            spend: forecasted
        pubsub_topic: projects/finops/topics/budgets
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in this order.
  returned: success
  type: list
  elements: dict
  sample: [{kind: budget, action: create, name: shop}]
api:
  description: Requests sent.
  returned: success
  type: dict
  sample: {requests: 2, calls: {"billingbudgets:GET": 1, "billingbudgets:POST": 1}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.act.gcp_budgets import Budgets
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden, hidden_result
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp
from ansible_collections.frugal.cloud.plugins.module_utils.gcp_budget_options import OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, read, decide, change, exit."""
    module = AnsibleModule(argument_spec={**ARGUMENTS, **OPTIONS}, supports_check_mode=True)
    show = module.params["show_identities"]
    with failing_clearly(module), hidden(show):
        gcp = Gcp.from_options(module.params)
        budgets = Budgets(gcp, module.params["billing_account"])
        changes = budgets.decide(module.params["budgets"])
        if not module.check_mode:
            budgets.perform(changes)
        module.exit_json(**hidden_result(changes, show), api={"requests": gcp.requests, "calls": gcp.calls})


if __name__ == "__main__":
    main()
