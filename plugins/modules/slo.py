#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Service level objectives become Prometheus rules, alerts and unit tests."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slo
short_description: Turn service level objectives into Prometheus rules, burn-rate alerts and unit tests
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Renders a rule file for each declared SLO - error ratios over 5 minutes to 3 days and over the whole window, what is
    left of the error budget, burn rates, and multi-window multi-burn-rate alerts (C(SLOErrorBudgetBurnPage) and
    C(SLOErrorBudgetBurnTicket)) - and a file of promtool unit tests for every rule.
  - The alerts want evidence - at low traffic one bad request pages nobody; at high traffic nothing is delayed. At low
    objectives no threshold is beyond what can be reached.
  - Where promtool is there, it checks the rules and runs the tests before a file is written. Without O(dest) the files
    are only returned.
  - Needs nothing but Python's standard library (PyYAML for O(paths) in YAML).
extends_documentation_fragment:
  - frugal.cloud.attributes
options:
  slos:
    description:
      - Declarations. Each has C(name), C(service), C(objective) in percent, C(window) (V(7d) to V(92d), default
        V(30d)), C(sli), and if you like C(description), C(labels), C(annotations), C(alerting),
        C(evaluation_interval).
      - C(sli) has one of C(availability), C(latency), C(throughput), C(saturation). In it are C(total) with C(bad) or
        C(good), selectors of counters (or lists of them); or C(histogram), C(threshold) (a bucket's bound) and
        C(selector); or C(time_slice).
      - C(time_slice) judges every evaluation - one of C(gauge) (a selector), C(counter) (selectors, the rate per second
        over C(rate_window)) and C(query) (PromQL) is C(above) or C(below) a limit. C(missing=bad) counts an evaluation
        without a value as a bad one.
      - C(alerting) has C(page) and C(ticket) (a boolean, or C(labels) and C(annotations)), C(confidence) (0.9 to
        0.99999, default 0.995; 0 switches that guard off), C(minimum_events) in the long window, C(runbook_base_url).
    type: list
    elements: dict
    default: []
  paths:
    description: Files with declarations, JSON or YAML, a list or a mapping with the list in C(slos).
    type: list
    elements: path
    default: []
  evaluation_interval:
    description:
      - How often the rules are evaluated, a minute or a whole part of it. A page fires at the first evaluation after
        its condition is met, so take what your scrapes allow.
    type: str
    default: 30s
  runbook_base_url:
    description: Where the runbooks are; C(/SLOErrorBudgetBurnPage.md) is added.
    type: str
    default: https://github.com/frugal-cloud/frugal.cloud/blob/main/docs/runbooks
  dest:
    description: Folder for the rule files, C(slo-NAME.yml).
    type: path
  tests_dest:
    description: Folder for the unit tests, C(slo-NAME_test.yml). Prometheus must not read rules from it.
    type: path
  purge:
    description: Whether files that this module made for SLOs that are not declared any more are removed.
    type: bool
    default: false
  promtool:
    description: Path of promtool. Without it the one in E(PATH) is taken, and without that one nothing is checked.
    type: path
  run_tests:
    description: Whether promtool runs the unit tests, too; it takes about a second for each SLO.
    type: bool
    default: true
  owner:
    description: Owner of the files.
    type: str
  group:
    description: Group of the files.
    type: str
  mode:
    description: Mode of the files, octal.
    type: str
    default: "0644"
"""

EXAMPLES = r"""
- name: Three SLOs
  frugal.cloud.slo:
    dest: /etc/prometheus/rules
    slos:
      - name: shop-availability
        service: shop
        objective: 99.9
        sli:
          availability:
            bad: http_requests_total{service="shop",code=~"5.."}
            total: http_requests_total{service="shop"}
      - name: shop-latency
        service: shop
        objective: 99
        window: 28d
        sli:
          latency: {histogram: http_request_duration_seconds, selector: 'service="shop"', threshold: 0.5}
        alerting: {minimum_events: 100}
      - name: shop-cpu
        service: shop
        objective: 95
        sli:
          saturation:
            time_slice: {gauge: 'instance:cpu_utilisation:ratio5m{job="shop"}', above: 0.9}
"""

RETURN = r"""
files:
  description: The rule files, with C(path) (in O(dest), or only a name) and C(content).
  returned: success
  type: list
  elements: dict
  sample: [{path: slo-shop-availability.yml, content: "groups: …"}]
tests:
  description: The files of unit tests, in the same form.
  returned: success
  type: list
  elements: dict
  sample: [{path: slo-shop-availability_test.yml, content: "rule_files: …"}]
slos:
  description: Budget and alert conditions of each SLO. Thresholds are error ratios.
  returned: success
  type: list
  elements: dict
  sample:
    - name: shop-availability
      service: shop
      objective: 99.9
      window: 30d
      error_budget: 0.001
      conditions: [{severity: page, long: 1h, short: 5m, factor: 14.4, threshold: 0.0144}]
notes:
  description: What to know - thresholds that were lowered because they could not be reached, rules without tests.
  returned: success
  type: list
  elements: str
  sample: []
written:
  description: Files that were written, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/prometheus/rules/slo-shop-availability.yml]
removed:
  description: Files that were removed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: []
validated:
  description: Whether promtool has checked the rules.
  returned: success
  type: bool
  sample: true
tested:
  description: Whether promtool has run the unit tests.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.frugal.cloud.plugins.module_utils import deps, slo_module
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import SloError
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_rules import DEFAULT_RUNBOOKS
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError


def main() -> None:
    """Arguments, one rendering, exit."""
    module = AnsibleModule(
        argument_spec={
            "slos": {"type": "list", "elements": "dict", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "evaluation_interval": {"type": "str", "default": "30s"},
            "runbook_base_url": {"type": "str", "default": DEFAULT_RUNBOOKS},
            "dest": {"type": "path"},
            "tests_dest": {"type": "path"},
            "purge": {"type": "bool", "default": False},
            "promtool": {"type": "path"},
            "run_tests": {"type": "bool", "default": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str", "default": "0644"},
        },
        supports_check_mode=True,
    )
    try:
        result = slo_module.run(module.params, check=module.check_mode)
    except (SloError, HostError) as error:
        module.fail_json(msg=str(error))
    except deps.MissingLibrary as error:
        module.fail_json(msg=missing_required_lib(error.distribution), exception=error.trace)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
