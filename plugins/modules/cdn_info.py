#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a CDN or cache did with its requests, from access logs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cdn_info
short_description: Say from access logs what a CDN caches, what it could cache, and what that costs
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Reads access logs of CloudFront, Cloudflare, Cloud CDN, nginx or Varnish with DuckDB - files of many gigabytes in
    bounded memory - and returns hit ratios by path, what was not served from the cache and why, query parameters that
    make copies, text that leaves uncompressed, and egress money.
  - What could have been a hit is an upper bound - the second and later requests for one URL within the logs. A log does
    not say how long an answer was good.
  - What an answer's own headers forbid to store is never counted as possible. Where the log does not tell whether an
    answer is the same for everybody, that is said and not counted as a saving.
  - Nothing is changed, and no content of cookies is read.
extends_documentation_fragment:
  - frugal.cloud.attributes
options:
  logs:
    description: The logs.
    type: list
    elements: dict
    required: true
    suboptions:
      format:
        description:
          - V(cloudfront) are standard logs, tab-separated with their C(#Fields) line.
          - V(cloudflare) is Logpush's dataset C(http_requests), V(cloud_cdn) are exported entries of Cloud Logging.
          - V(nginx) and V(varnish) are JSON lines with the keys that the guide gives as a log format.
        type: str
        required: true
        choices: [cloudflare, cloud_cdn, nginx, varnish, cloudfront]
      paths:
        description: Files, also with wildcards, also compressed with gzip.
        type: list
        elements: path
        required: true
  path_depth:
    description: How many parts of a path name its group. Numbers and ids in it become V(*).
    type: int
    default: 2
  ignored_parameters:
    description:
      - Patterns of query parameters that do not change an answer.
      - Where it is not set, those that are known to track visitors only, such as V(utm_*) and V(gclid).
    type: list
    elements: str
  cdn_price_gib:
    description: What a GiB that leaves the cache costs, in USD. Without it that egress has no price.
    type: float
  origin_price_gib:
    description: What a GiB that leaves the origin costs, in USD. Without it that egress has no price.
    type: float
  compression_ratio:
    description:
      - How many times smaller text gets by compression, where the logs do not tell. Without it no saving is claimed.
    type: float
  memory_limit:
    description: Memory for DuckDB, such as V(1GB); what needs more is written to O(temporary_directory) for the time.
    type: str
    default: 1GB
  temporary_directory:
    description: Where there is room for intermediate results; the system's temporary folder where it is not set.
    type: path
  limit:
    description: How many rows each list of the result has at most.
    type: int
    default: 20
requirements:
  - duckdb >= 1.3.0
"""

EXAMPLES = r"""
- name: What does CloudFront cache of the shop?
  frugal.cloud.cdn_info:
    logs:
      - format: cloudfront
        paths: [/srv/logs/E2EXAMPLE/*.gz]
    cdn_price_gib: 0.085
    origin_price_gib: 0.09
  register: cdn

- name: Show what could be cached and is not
  ansible.builtin.debug:
    var: cdn.not_cached
"""

RETURN = r"""
summary:
  description:
    - C(hit_ratio) is the share of requests that were served from the cache, also after the origin confirmed them;
      C(origin_offload) is the share that never reached the origin, C(byte_hit_ratio) the same of bytes.
  returned: success
  type: dict
  sample:
    requests: 20000
    bytes: 40136296
    origin_bytes: 17785509
    hit_ratio: 0.5568
    byte_hit_ratio: 0.5569
    origin_offload: 0.5568
    hours: 55.55
outcomes:
  description: Requests and bytes by what became of them.
  returned: success
  type: list
  elements: dict
  sample: [{outcome: hit, requests: 11136, bytes: 22350787}]
paths:
  description: Groups of paths, those first that take most bytes from the origin.
  returned: success
  type: list
  elements: dict
  sample: [{host: shop.example.com, path: "/p/*", requests: 15992, hit_ratio: 0.55, bytes: 320922, origin_bytes: 1406}]
not_cached:
  description:
    - Requests that were not served from the cache, by path and reason, with the hits and bytes that could have been.
  returned: success
  type: list
  elements: dict
  sample:
    - host: shop.example.com
      path: "/static/*.css"
      reason: not_asked_for
      requests: 924
      origin_bytes: 1848924
      possible_hits: 923
      possible_bytes: 1846923
      why: it is the same for everybody by its nature, and nothing tells the cache to keep it
parameters:
  description: Query parameters, those first that come with most misses; C(ignored) tells which do not change an answer.
  returned: success
  type: list
  elements: dict
  sample: [{name: utm_source, requests: 6475, misses: 1413, values: 99, ignored: true}]
compression:
  description: Text by content type - bytes that left uncompressed, and what compression would save.
  returned: success
  type: list
  elements: dict
  sample: [{content_type: text/html, requests: 7948, bytes: 159514, ratio: 3.2, ratio_from: logs, saved_bytes: 109666}]
money:
  description: USD a month of egress, and what could be saved of it at most; null, with C(why), without prices.
  returned: success
  type: dict
  sample: {cdn_egress: 812.4, origin_egress: 320.1, compression_saving: 97.5, caching_saving: 120.9, why: ""}
files:
  description: How many files were read.
  returned: success
  type: int
  sample: 214
unreadable_lines:
  description: Lines that are no request of the given format.
  returned: success
  type: int
  sample: 0
"""

import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.access_logs import Question, study, told
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError, failing_clearly
from ansible_collections.frugal.cloud.plugins.module_utils.observe.access_logs import CHOICES, Source, open_logs


def question_from(params: t.Mapping[str, t.Any]) -> Question:
    """What the options ask. :raises OptionError: for a value that cannot be."""
    for name, least in (("path_depth", 1), ("limit", 1), ("cdn_price_gib", 0), ("origin_price_gib", 0)):
        if params[name] is not None and params[name] < least:
            raise OptionError(f"{name} is {params[name]}: give {least} or more")
    ratio = params["compression_ratio"]
    if ratio is not None and ratio < 1:
        raise OptionError(f"compression_ratio is {ratio}: give size before ÷ size after, such as 3.5")
    ignored = params["ignored_parameters"]
    return Question(
        path_depth=params["path_depth"],
        limit=params["limit"],
        ignored_parameters=Question.ignored_parameters if ignored is None else ignored,
        cdn_price=params["cdn_price_gib"],
        origin_price=params["origin_price_gib"],
        compression_ratio=ratio,
    )


def main() -> None:
    """Arguments, one look at the logs, exit."""
    module = AnsibleModule(
        argument_spec={
            "logs": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "format": {"type": "str", "required": True, "choices": list(CHOICES)},
                    "paths": {"type": "list", "elements": "path", "required": True},
                },
            },
            "path_depth": {"type": "int", "default": 2},
            "ignored_parameters": {"type": "list", "elements": "str"},
            "cdn_price_gib": {"type": "float"},
            "origin_price_gib": {"type": "float"},
            "compression_ratio": {"type": "float"},
            "memory_limit": {"type": "str", "default": "1GB"},
            "temporary_directory": {"type": "path"},
            "limit": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    with failing_clearly(module):
        question = question_from(module.params)
        sources = [Source(item["format"], item["paths"]) for item in module.params["logs"]]
        with (
            tempfile.TemporaryDirectory(prefix="frugal-logs-", dir=module.params["temporary_directory"]) as folder,
            open_logs(sources, folder, module.params["memory_limit"]) as logs,
        ):
            answer = study(logs.database, question)
            module.exit_json(changed=False, **told(answer), files=len(logs.files), unreadable_lines=logs.unreadable)


if __name__ == "__main__":
    main()
