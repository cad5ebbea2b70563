#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Billing accounts, prices and costs of Google Cloud."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_cost_info
short_description: Billing accounts, projects, list prices and costs of Google Cloud
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Lists billing accounts, the projects that each pays for, and list prices with their tiers, from the Cloud Billing
    API, which is free of charge.
  - Adds up the billing export in BigQuery by month or day and any keys. With O(dataset) it goes into the FOCUS dataset,
    by day, project, SKU, region and labels.
  - Google Cloud has no API for costs but this export, which has to be switched on once and holds what is used since
    then.
  - What a query reads costs money, in check mode too. A dry run, which is free, tells how much that is, O(max_api_cost)
    keeps it from running, and BigQuery is told to stop there.
notes:
  - "IAM permissions: C(billing.accounts.list) and C(billing.resourceAssociations.list) on the billing accounts (role
    Billing Account Viewer); for costs C(bigquery.jobs.create) in O(project) and C(bigquery.tables.getData) on the
    export (roles BigQuery Job User and BigQuery Data Viewer). Prices need the Cloud Billing API enabled in O(project),
    and no permission."
  - Resources and commitments are not told apart in the dataset; export the table to files and import them with
    M(frugal.cloud.focus_import) for those.
  - It was tested on a stand-in that checks every request with Google's own discovery documents and whose BigQuery is
    DuckDB, not on Google Cloud.
extends_documentation_fragment:
  - frugal.cloud.gcp
  - frugal.cloud.cost_rows
  - frugal.cloud.attributes
  - frugal.cloud.attributes.gcp
options:
  gather:
    description: What is asked for. V(prices) needs O(prices), V(costs) needs O(export_table).
    type: list
    elements: str
    choices: [billing_accounts, projects, prices, costs]
    default: [billing_accounts, projects]
  billing_account:
    description: The only billing account that is looked at, such as V(01AB23-CD45EF-678901). All where it is not set.
    type: str
  prices:
    description: Which list prices.
    type: dict
    suboptions:
      services:
        description: Services by the names that bills show, such as V(Compute Engine).
        type: list
        elements: str
        required: true
      regions:
        description: Regions; all where it is empty.
        type: list
        elements: str
        default: []
      contains:
        description: What a SKU's description has to contain, in capitals or not.
        type: str
        default: ""
      currency:
        description: Currency, as in ISO 4217.
        type: str
        default: USD
  export_table:
    description:
      - The table of the standard or detailed export as C(project.dataset.table), such as
        V(shop-billing.export.gcp_billing_export_v1_01AB23_CD45EF_678901). Not a view of it, which has no partitions.
    type: str
  location:
    description: Where the table is, such as V(europe-west3). BigQuery finds out itself where it is not set.
    type: str
    default: ""
  since:
    description: First day. The first of last month where it is not set.
    type: str
  until:
    description: The first day that no longer counts. Today where it is not set.
    type: str
  granularity:
    description: Months are those of invoices, which begin at midnight in California; days are those of usage in UTC.
    type: str
    choices: [monthly, daily]
    default: monthly
  group_by:
    description:
      - Keys, any number. V(service), V(sku), V(project), V(region), V(cost_type), V(billing_account), a label of
        resources as V(label:team), or of projects as V(project_label:team). Not for O(dataset), which has its own.
    type: list
    elements: str
    default: []
  source:
    description: Name of the source in the dataset. Small letters, digits, C(-), C(_) and C(.).
    type: str
    default: gcp-billing-export
  max_api_cost:
    description: What the query may cost, in USD at the on-demand price of what it reads (6.25 USD a TiB in the US).
    type: float
    default: 1.0
"""

EXAMPLES = r"""
- name: Which projects each billing account pays for
  frugal.cloud.gcp_cost_info:
    project: shop-billing
  register: billing

- name: List prices of machines of the type N2 in Frankfurt, in euros
  frugal.cloud.gcp_cost_info:
    project: shop-billing
    gather: [prices]
    prices:
      services: [Compute Engine]
      regions: [europe-west3]
      contains: N2 instance
      currency: EUR
    cache_directory: ~/.frugal/cache

- name: Fill the dataset with the last months
  frugal.cloud.gcp_cost_info:
    project: shop-billing
    gather: [costs]
    export_table: shop-billing.export.gcp_billing_export_v1_01AB23_CD45EF_678901
    since: "2026-09-01"
    dataset: /srv/frugal/costs
    tag_keys:
      - key: team
"""

RETURN = r"""
billing_accounts:
  description: Billing accounts that the credentials see.
  returned: when O(gather) has it
  type: list
  elements: dict
  sample: [{account_id: "******-******-**8901", name: Shop, open: true, currency: USD}]
projects:
  description: Projects with the billing account that pays for them.
  returned: when O(gather) has it
  type: list
  elements: dict
  sample: [{project: shop-web, account_id: "******-******-**8901", enabled: true}]
prices:
  description: SKUs; each tier's price holds from so many units a month on.
  returned: when O(gather) has it
  type: list
  elements: dict
  sample:
    - service: Compute Engine
      sku_id: A1B2-C3D4-E5F6
      description: N2 Instance Core running in Frankfurt
      usage_type: OnDemand
      regions: [europe-west3]
      unit: h
      currency: EUR
      tiers: [{from: 0.0, price: 0.0407}]
      since: "2026-11-01T00:00:00Z"
costs:
  description: Sums by period and group; quantities where the group has one unit.
  returned: when O(gather) has it and O(dataset) is not set
  type: list
  elements: dict
  sample:
    - period: 2026-10
      group: {service: Cloud Storage}
      currency: USD
      cost: 130.2
      credits: -10.2
      net_cost: 120.0
      quantity: 5200.0
      unit: gibibyte month
written:
  description: Billing periods of the dataset, with rows and sums before and after.
  returned: when O(dataset) is set
  type: list
  elements: dict
  sample:
    - period: "2026-10"
      currency: USD
      before:
      after: {rows: 310, BilledCost: 9120.55, EffectiveCost: 9120.55}
      changed: true
read_on:
  description: The oldest day on which one of the answers was read.
  returned: success
  type: str
  sample: "2026-11-24"
cached_answers:
  description: How many answers came from disk.
  returned: success
  type: int
  sample: 0
api:
  description: Requests sent, what queries are billed for, and what that costs in USD.
  returned: success
  type: dict
  sample: {requests: 3, calls: {"bigquery:GET": 1, "bigquery:POST": 2}, bytes_billed: 10485760, cost: 0.00006}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost.gcp_costs import OPTIONS, gather
from ansible_collections.frugal.cloud.plugins.module_utils.executor import utc_now
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, questions, exit."""
    module = AnsibleModule(argument_spec={**ARGUMENTS, **OPTIONS}, supports_check_mode=True)
    with failing_clearly(module):
        gcp = Gcp.from_options(module.params)
        found = gather(gcp, module.params, utc_now().date(), module.check_mode)
        for text in found.pop("warnings"):
            module.warn(text)
        module.exit_json(**found)


if __name__ == "__main__":
    main()
