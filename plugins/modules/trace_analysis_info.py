#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What slows requests down, from their traces."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trace_analysis_info
short_description: Find what slows requests down, from the critical paths of their traces
version_added: 0.2.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads traces from Jaeger or from files, finds the critical path of each (the method of CRISP, USENIX ATC 2022), and
    sums them up by operation and service.
  - "Finds repeated calls (N+1), calls that could run at once, retries, chatty services, slow statements, where errors
    begin, and bottlenecks. Each finding has its evidence and a bound on what it is worth."
  - Says what each operation would save at most if it were gone or twice as fast, by timing the traces again.
  - Compares two windows with a rank test and the size of the effect.
  - Clock skew, missing parents, several roots and asynchronous spans are reported, not guessed away.
  - The values in database statements are taken out when they are read; they are in no result.
extends_documentation_fragment:
  - frugal.cloud.attributes.info
requirements:
  - msgspec
  - numpy
  - scipy, to compare two windows
options:
  paths:
    description:
      - Files of traces, or folders of them. Jaeger's JSON (as its API and page write it) or OTLP JSON, one document a
        file or one a line, gzipped or not.
      - Give this or O(jaeger_url).
    type: list
    elements: path
    default: []
  comparison_paths:
    description: Files of earlier traces to compare those of O(paths) with.
    type: list
    elements: path
    default: []
  jaeger_url:
    description: Jaeger's query service, such as V(http://127.0.0.1:16686).
    type: str
  jaeger_username:
    description: User for basic authentication.
    type: str
  jaeger_password:
    description: Its password.
    type: str
  jaeger_bearer_token:
    description: Token, instead of them.
    type: str
  validate_certs:
    description: Whether the certificate of O(jaeger_url) is checked.
    type: bool
    default: true
  ca_path:
    description: File of the authorities that may have signed it, instead of the system's.
    type: path
  timeout:
    description: Seconds that one request to Jaeger may take.
    type: int
    default: 60
  services:
    description: Only traces that touch one of these services; all where it is empty.
    type: list
    elements: str
    default: []
  as_of:
    description: End of the window (ISO 8601); now. With O(paths) and neither this nor O(window_minutes), all count.
    type: str
  window_minutes:
    description: Length of the window; traces count that began in it. 60 with O(jaeger_url).
    type: float
  comparison_as_of:
    description: End of an earlier window to compare with.
    type: str
  comparison_minutes:
    description: Its length; that of the window where it is not set.
    type: float
  max_traces:
    description: How many traces are analysed at most, the newest. A warning says when there are more.
    type: int
    default: 2000
  repeated_calls:
    description: From how many equal calls of one span, one after the other, they are a finding.
    type: int
    default: 5
  chatty_calls:
    description: From how many calls from one service to another in a median request they are a finding.
    type: int
    default: 10
  slow_query_ms:
    description: From which p95 (milliseconds) a database statement is a finding.
    type: float
    default: 100.0
  limit:
    description: How many findings, operations, services and changes are returned, the largest first.
    type: int
    default: 20
  output_path:
    description:
      - File for the whole result as JSON, for C(report_traces) of the role P(frugal.cloud.report#role).
      - It is replaced in one step, and not written in check mode.
    type: path
"""

EXAMPLES = r"""
- name: What slows the last hour's requests down?
  frugal.cloud.trace_analysis_info:
    jaeger_url: http://127.0.0.1:16686
  register: traces

- name: Is checkout slower than a day before, and through what?
  frugal.cloud.trace_analysis_info:
    jaeger_url: https://jaeger.example.com
    jaeger_bearer_token: "{{ vault_jaeger_token }}"
    services: [checkout]
    as_of: "2026-11-24T09:00:00Z"
    window_minutes: 30
    comparison_as_of: "2026-11-23T09:00:00Z"
    output_path: /srv/reports/checkout-traces.json

- name: The files that a collector wrote
  frugal.cloud.trace_analysis_info:
    paths: [/var/lib/otelcol/traces]
"""

RETURN = r"""
summary:
  description:
    - Traces, spans, services and operations. C(analysed) is how many traces have a critical path, C(failed) how many of
      these requests failed; C(duration) has the percentiles of their durations in µs.
  returned: success
  type: dict
  sample: {traces: 1200, analysed: 1196, spans: 98000, services: 9, operations: 31, failed: 14, spans_on_path: 21000,
           mean_us: 182340.2, duration: {p50: 160211, p95: 391002, p99: 602113}}
findings:
  description:
    - The first O(limit) findings, the largest first. C(kind) is one of C(n_plus_one), C(sequential_calls), C(retries),
      C(chatty_services), C(slow_query), C(errors) and C(bottleneck).
    - C(share) is at most the part of a mean request that it would save; for errors, the part of requests that fail with
      it. C(examples) are ids of traces.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: n_plus_one
      service: checkout
      operation: POST /orders
      summary: >-
        checkout POST /orders calls postgresql: SELECT * FROM prices WHERE id = ? 24 times in a row (at most 60): one
        call for all would save 41.2 ms of a request at most
      share: 0.226
      saving_us: 41200.5
      occurrences: 1196
      traces: 1196
      examples: [00284c37f23aa46cfb8846ac9d98e812]
      evidence: {called: "postgresql: SELECT * FROM prices WHERE id = ?", calls_median: 24, calls_most: 60,
                 path_us: 51420210}
finding_count:
  description: How many findings there are.
  returned: success
  type: int
  sample: 7
operations:
  description:
    - The first O(limit) operations, most time on critical paths first. Times in µs; C(path_us) and C(path_share) are
      what they themselves take of all critical paths. C(what_if) bounds what a mean request would save without them
      (C(removed_us)) or with them twice as fast (C(halved_us)).
  returned: success
  type: list
  elements: dict
  sample:
    - {service: payment, operation: POST /charge, calls: 1196, traces: 1196, errors: 3, self_us: 60110203,
       path_us: 58020110, path_share: 0.266, path_traces: 1190,
       duration: {p50: 48011, p95: 90233, p99: 120411}, path: {p50: 47002, p95: 88100, p99: 119002},
       what_if: {removed_us: 48512.1, halved_us: 24256.0, traces: 1000, removed_share: 0.266, halved_share: 0.133}}
services:
  description: The same by service, without C(what_if).
  returned: success
  type: list
  elements: dict
  sample: []
comparison:
  description:
    - With O(comparison_paths) or O(comparison_as_of), what changed - requests first, then O(limit) operations by
      what they add to a mean request (C(contribution_us)). C(verdict) is C(slower), C(faster), C(no change shown),
      C(new), C(gone) or C(too few traces). C(p_value) is Mann-Whitney's, corrected after Holm; C(delta) is Cliff's.
  returned: success
  type: list
  elements: dict
  sample:
    - {what: request, service: checkout, operation: POST /orders, verdict: slower, effect: large, traces_before: 1180,
       traces_now: 1196, median_before_us: 120012.0, median_now_us: 160211.0, mean_before_us: 131200.5,
       mean_now_us: 182340.2, delta: 0.61, p_value: 0.0, contribution_us: 51139.7}
problems:
  description: What traces do not say or say wrongly, how often, and what was done about it.
  returned: success
  type: list
  elements: dict
  sample:
    - {problem: outlives_parent, meaning: "a span ended after its parent, which did not wait for it: cut to it",
       count: 12, traces: 11, examples: [00284c37f23aa46cfb8846ac9d98e812], largest_us: 41200}
refused:
  description: A sentence for every file that could not be used; the others were analysed.
  returned: success
  type: list
  elements: str
  sample: ["/srv/traces/7.json is not JSON: input data was truncated"]
requests:
  description: Requests sent to Jaeger.
  returned: success
  type: int
  sample: 4
output_path:
  description: The file that holds everything.
  returned: when O(output_path) is set
  type: str
  sample: /srv/reports/checkout-traces.json
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_render import publish
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.trace_analysis import OPTIONS, request_from, returned, run


def main() -> None:
    """Arguments, one analysis, exit."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    with failing_clearly(module):
        answer = run(request_from(module.params))
        for warning in answer.warnings + answer.refused:
            module.warn(warning)
        result = returned(answer, module.params["limit"])
        if module.params["output_path"]:
            text = json.dumps(answer.document, sort_keys=True, separators=(",", ":")) + "\n"
            publish(module.params["output_path"], [text], check=module.check_mode)
            result["output_path"] = module.params["output_path"]
        module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
