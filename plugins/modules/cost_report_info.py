#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monthly cost report and chargeback from FOCUS data."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cost_report_info
short_description: Report costs by month and any dimension or tag, and charge them back to who caused them
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Adds up cost data in FOCUS that M(frugal.cloud.focus_import) wrote, or that is in a database, where it is, and says
    what each month cost, by what, what changed since the month before, how commitments were used, and how much of the
    cost carries tags.
  - With O(chargeback) each month's bill is allocated to owners - by tag, by inheritance from an account or cost
    category, by splitting shared costs - and what nobody owns is always shown. The parts add up to the bill, to the
    cent.
  - Money is in the billing currency; bills in several currencies stay apart.
  - Months that are not over are shown and not compared.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
  - frugal.cloud.costs
  - frugal.cloud.costs.chargeback
options:
  first_month:
    description: First billing month of the report, such as V(2026-07); the oldest that there is where it is not set.
    type: str
  last_month:
    description: Last billing month of the report, included; the newest that there is where it is not set.
    type: str
  by:
    description:
      - Columns of FOCUS to report by, such as V(ServiceName) or V(SubAccountName), and tags as V(tag:team).
      - A tag can be used that was named in O(frugal.cloud.focus_import#module:tag_keys) at import.
    type: list
    elements: str
    default: [ServiceName]
  metric:
    description:
      - V(EffectiveCost) spreads what was paid for commitments over what used them, V(BilledCost) is what is invoiced,
        V(ContractedCost) is at negotiated prices before commitments, V(ListCost) at list prices.
    type: str
    default: EffectiveCost
    choices: [EffectiveCost, BilledCost, ContractedCost, ListCost]
  filters:
    description:
      - Only rows with one of the given values, by column or tag. An empty text stands for rows without a value.
    type: dict
    default: {}
  tags:
    description: Tags whose coverage is reported, such as V(team); those of O(chargeback) where it is not set.
    type: list
    elements: str
  limit:
    description: How many rows the lists of the result have for each month.
    type: int
    default: 20
  movers:
    description: How many rows RV(movers) has for each currency.
    type: int
    default: 10
  report_path:
    description: File for every row of the report, not only O(limit) of them; CSV or JSON by its suffix.
    type: path
  chargeback_path:
    description: File for every part that an owner pays; CSV or JSON by its suffix.
    type: path
  closed_path:
    description:
      - A file that O(chargeback_path) wrote before, when months were charged. What late corrections changed in them
        since is in RV(chargeback) as C(corrections), to be booked in a later month.
    type: path
"""

EXAMPLES = r"""
- name: What did September cost, and what changed?
  frugal.cloud.cost_report_info:
    cost_url: /srv/frugal/costs
    first_month: 2026-09
    by: [ServiceName, "tag:team"]
    report_path: /srv/reports/2026-09.csv
  register: costs

- name: Charge the third quarter back to teams
  frugal.cloud.cost_report_info:
    cost_url: postgresql://reader@db.example.com/costs
    first_month: 2026-07
    last_month: 2026-09
    chargeback:
      tags: [team, owner]
      inherit:
        - column: SubAccountName
          owners: {shop-prod: shop, shop-test: shop}
      shared:
        - name: support
          match: {ServiceName: AWS Support (Business)}
          take_owned: true
        - name: platform
          owners: [platform]
          method: fixed
          targets: [shop, data]
          percentages: {shop: 70, data: 30}
    chargeback_path: /srv/reports/chargeback.csv
"""

RETURN = r"""
months:
  description:
    - Each month's bill by currency - C(cost) by O(metric), all four costs, and the parts by C(ChargeCategory).
    - C(complete) says whether its last day has usage. C(previous), C(change) and C(change_percent) are null where two
      complete months cannot be compared.
  returned: success
  type: list
  elements: dict
  sample:
    - {month: "2026-09", currency: USD, cost: 1812.4, previous: 1700.0, change: 112.4, change_percent: 6.61,
       effective: 1812.4, billed: 1850.0, contracted: 1900.0, list: 2400.0, categories: {Usage: 1700.4, Tax: 112.0},
       rows: 120394, complete: true, used_until: "2026-10-01"}
costs:
  description: Costs by O(by), the newest month and the dearest first; C(share) is of the month's bill.
  returned: success
  type: list
  elements: dict
  sample: [{month: "2026-09", currency: USD, ServiceName: Amazon EC2, cost: 912.5, previous: 900.0, change: 12.5,
            change_percent: 1.39, share: 0.5035}]
omitted:
  description: How many rows RV(costs) leaves out by month, and what they cost.
  returned: success
  type: list
  elements: dict
  sample: [{month: "2026-09", currency: USD, combinations: 31, cost: 12.07}]
movers:
  description: What changed most between the last two complete months, up or down; null where there are no two.
  returned: success
  type: dict
  sample:
    month: "2026-09"
    previous_month: "2026-08"
    rows: [{currency: USD, ServiceName: Amazon S3, cost: 80.0, previous: 20.0, change: 60.0, change_percent: 300.0}]
commitments:
  description:
    - Reservations and savings plans - what of their cost was C(used) and C(wasted), what was C(purchased) in the month,
      and C(saved) against the list price of what they covered.
  returned: success
  type: list
  elements: dict
  sample: [{month: "2026-09", currency: USD, id: sp-1, name: compute, type: Savings Plan, category: Spend, used: 75.0,
            wasted: 25.0, utilization: 0.75, purchased: 100.0, saved: 50.0, unit: USD, used_quantity: 75.0,
            wasted_quantity: 25.0}]
coverage:
  description: How much of the cost of usage and purchases carries each tag.
  returned: success
  type: list
  elements: dict
  sample: [{month: "2026-09", currency: USD, tag: team, cost: 1700.4, tagged: 1500.0, coverage: 0.8821}]
chargeback:
  description:
    - C(owners) with what they pay, C(unallocated) with its causes by account and service, C(pools) with what they held
      and who paid it, and C(bills), which say that the parts add up.
    - With O(closed_path) also C(corrections), by month, owner and part.
  returned: when O(chargeback) is set
  type: dict
  sample:
    owners: [{month: "2026-09", currency: USD, owner: shop, cost: 1200.0, direct: 1000.0, inherited: 100.0,
              following: 40.0, shared: {platform: 60.0}}]
    unallocated: [{month: "2026-09", currency: USD, cost: 12.4, share: 0.0068,
                   causes: [{SubAccountId: "********2222", ServiceName: Amazon S3, cost: 12.4}]}]
    pools: [{month: "2026-09", currency: USD, pool: platform, own: 100.0, received: 0.0,
             split: {shop: 60.0, data: 40.0}}]
    bills: [{month: "2026-09", currency: USD, bill: 1812.4, allocated: 1812.4, adds_up: true}]
    corrections: [{month: "2026-08", currency: USD, owner: shop, component: direct, pool: "", closed: 900.0, now: 912.5,
                   change: 12.5}]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost import report_options
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_options import COST_OPTIONS, reveal
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, one report, exit."""
    argument_spec: dict[str, t.Any] = {**COST_OPTIONS, **report_options.OPTIONS}
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True)
    reveal(module)
    with failing_clearly(module):
        module.exit_json(changed=False, **report_options.report(module.params, check=module.check_mode))


if __name__ == "__main__":
    main()
