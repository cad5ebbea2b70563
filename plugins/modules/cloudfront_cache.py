#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CloudFront caches."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudfront_cache
short_description: Cache policies, origin requests, compression, origin shield and functions of CloudFront
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Brings cache policies, origin request policies and functions of an account to what is written, and existing
    distributions to use them. What is not written stays as it is.
  - A behavior that gets a cache policy loses C(ForwardedValues) and its TTLs - CloudFront takes them only without one.
  - Versions (ETags) make AWS refuse where somebody was faster, and the distribution is read again.
notes:
  - "IAM permissions: C(cloudfront:ListCachePolicies), C(cloudfront:GetCachePolicy), C(cloudfront:CreateCachePolicy),
    C(cloudfront:UpdateCachePolicy), C(cloudfront:ListOriginRequestPolicies), C(cloudfront:GetOriginRequestPolicy),
    C(cloudfront:CreateOriginRequestPolicy), C(cloudfront:UpdateOriginRequestPolicy), C(cloudfront:DescribeFunction),
    C(cloudfront:GetFunction), C(cloudfront:CreateFunction), C(cloudfront:UpdateFunction),
    C(cloudfront:PublishFunction), C(cloudfront:GetDistributionConfig), C(cloudfront:UpdateDistribution),
    C(cloudfront:CreateInvalidation), C(sts:GetCallerIdentity)."
  - An invalidation cannot be taken back, costs money beyond 1,000 paths a month, and is done each time.
extends_documentation_fragment:
  - frugal.cloud.aws
  - frugal.cloud.attributes
  - frugal.cloud.attributes.aws
options:
  cache_policies:
    description: Cache policies - what makes requests the same, and how long answers are kept.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      comment: {description: What it is for., type: str}
      min_ttl: {description: Seconds at least., type: int, default: 0}
      default_ttl: {description: Seconds for answers that do not say how long they are good., type: int, default: 86400}
      max_ttl: {description: Seconds at most., type: int, default: 31536000}
      headers: {description: Request headers that count., type: list, elements: str}
      cookies:
        description: Which cookies count.
        type: dict
        suboptions:
          behavior:
            description: All of them, none, those in C(names), or all but those.
            type: str
            required: true
            choices: [none, all, only, all_except]
          names: {description: Names., type: list, elements: str}
      query_strings:
        description: Which query parameters count.
        type: dict
        suboptions:
          behavior:
            description: All of them, none, those in C(names), or all but those.
            type: str
            required: true
            choices: [none, all, only, all_except]
          names: {description: Names., type: list, elements: str}
      gzip: {description: "Whether answers are kept compressed with gzip, too.", type: bool, default: true}
      brotli: {description: "Whether answers are kept compressed with brotli, too.", type: bool, default: true}
  origin_request_policies:
    description: Origin request policies - what reaches the origin and does not count for the cache.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      comment: {description: What it is for., type: str}
      headers:
        description: Which headers reach the origin.
        type: dict
        suboptions:
          behavior:
            description: All of them, none, those in C(names), or all but those.
            type: str
            required: true
            choices: [none, all, only, all_except]
          names: {description: Names., type: list, elements: str}
      cookies:
        description: Which cookies reach the origin.
        type: dict
        suboptions:
          behavior:
            description: All of them, none, those in C(names), or all but those.
            type: str
            required: true
            choices: [none, all, only, all_except]
          names: {description: Names., type: list, elements: str}
      query_strings:
        description: Which query parameters reach the origin.
        type: dict
        suboptions:
          behavior:
            description: All of them, none, those in C(names), or all but those.
            type: str
            required: true
            choices: [none, all, only, all_except]
          names: {description: Names., type: list, elements: str}
  functions:
    description: CloudFront Functions; they are published.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      comment: {description: What it is for., type: str}
      runtime:
        description: The runtime.
        type: str
        choices: [cloudfront-js-1.0, cloudfront-js-2.0]
        default: cloudfront-js-2.0
      code: {description: JavaScript., type: str, required: true}
  distributions:
    description: Distributions that exist already.
    type: list
    elements: dict
    default: []
    suboptions:
      id: {description: Its id., type: str, required: true}
      price_class:
        description: Which edge locations serve it. V(100) are the cheapest.
        type: str
        choices: ["100", "200", all]
      http_version:
        description: The newest version of HTTP that it speaks.
        type: str
        choices: [http1.1, http2, http3, http2and3]
      behaviors:
        description: Behaviors that exist already.
        type: list
        elements: dict
        suboptions:
          path_pattern: {description: Path pattern; V(default) for the default behavior., type: str, default: default}
          cache_policy: {description: "Name of a cache policy, one of yours or of AWS' own.", type: str}
          origin_request_policy: {description: Name of an origin request policy., type: str}
          compress: {description: Whether CloudFront compresses text., type: bool}
          viewer_request_function: {description: Name of a function for requests; empty for none., type: str}
          viewer_response_function: {description: Name of a function for answers; empty for none., type: str}
      origin_shields:
        description: Origins that are asked from one region only.
        type: list
        elements: dict
        suboptions:
          origin: {description: The origin's id., type: str, required: true}
          region: {description: The region of its shield; none where it is not set., type: str}
  invalidate:
    description: What is removed from the cache, after all other changes.
    type: list
    elements: dict
    default: []
    suboptions:
      distribution: {description: The distribution's id., type: str, required: true}
      paths: {description: "Paths, with V(*) at the end for all below.", type: list, elements: str, required: true}
"""

EXAMPLES = r"""
- name: Pages without their campaign parameters, compressed, from one shield
  frugal.cloud.cloudfront_cache:
    region: us-east-1
    cache_policies:
      - name: shop-pages
        default_ttl: 60
        query_strings:
          behavior: all_except
          names: [utm_source, utm_medium, utm_campaign, gclid, fbclid]
    distributions:
      - id: E2EXAMPLE
        price_class: "100"
        http_version: http2and3
        behaviors:
          - cache_policy: shop-pages
            origin_request_policy: Managed-AllViewer
            compress: true
        origin_shields:
          - origin: web
            region: eu-central-1
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in this order.
  returned: success
  type: list
  elements: dict
  sample: [{kind: cache policy, action: create, name: shop-pages}]
api:
  description: Requests sent, by operation.
  returned: success
  type: dict
  sample: {requests: 7, cost: 0.0, calls: {"cloudfront:UpdateDistribution": 1}}
"""

from ansible_collections.frugal.cloud.plugins.module_utils.act.cloudfront import CloudFront
from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsModule
from ansible_collections.frugal.cloud.plugins.module_utils.cloudfront_options import OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.desired import result
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, read, decide, change, exit."""
    module = AwsModule(argument_spec=OPTIONS, supports_check_mode=True)
    with failing_clearly(module):
        aws = module.provider()
        cloudfront = CloudFront(aws)
        changes = cloudfront.decide(module.params)
        if not module.check_mode:
            cloudfront.perform(changes)
        module.exit_json(**result(changes), api=aws.account_of_calls())


if __name__ == "__main__":
    main()
