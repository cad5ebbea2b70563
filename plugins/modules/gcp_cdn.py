#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cloud CDN caches."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_cdn
short_description: Cache policy, cache keys, negative caching, signed URLs and invalidations of Cloud CDN
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Brings backend services and backend buckets of a project's global load balancers to what is written. What is not
    written stays as it is.
  - Several backends go in one call. Somebody else's change at the same moment is noticed by the fingerprint, and the
    resource is read again.
  - It was tested on a stand-in that checks every request with Google's own discovery document, not on Google Cloud.
notes:
  - "IAM permissions: C(compute.backendServices.get), C(compute.backendServices.update), C(compute.backendBuckets.get),
    C(compute.backendBuckets.update), C(compute.globalOperations.get); for O(backends[].signed_url_keys) also
    C(compute.backendServices.addSignedUrlKey), C(compute.backendServices.deleteSignedUrlKey) and those of buckets; for
    O(invalidate) C(compute.urlMaps.invalidateCache)."
  - An invalidation cannot be taken back, and it is done again each time that the module is told to.
extends_documentation_fragment:
  - frugal.cloud.gcp
  - frugal.cloud.attributes
  - frugal.cloud.attributes.gcp
options:
  backends:
    description: Backends that exist already.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The backend's name.
        type: str
        required: true
      kind:
        description: A backend service or a backend bucket.
        type: str
        choices: [service, bucket]
        default: service
      enable_cdn:
        description: Whether Cloud CDN is on.
        type: bool
      compression:
        description: Whether Google compresses text.
        type: str
        choices: [automatic, disabled]
      cdn_policy:
        description: What is cached, and how long.
        type: dict
        suboptions:
          cache_mode:
            description:
              - V(cache_all_static) caches what is static by its type, V(use_origin_headers) what the origin allows.
              - V(force_cache_all) caches everything, private or not. Only for backends without anything personal.
            type: str
            choices: [cache_all_static, use_origin_headers, force_cache_all]
          default_ttl:
            description: Seconds for answers that do not say how long they are good.
            type: int
          max_ttl:
            description: Seconds at most.
            type: int
          client_ttl:
            description: Seconds at most in browsers.
            type: int
          negative_caching:
            description: Whether errors and redirects are cached.
            type: bool
          negative_caching_policy:
            description: For how long, by status.
            type: list
            elements: dict
            suboptions:
              code:
                description: Status.
                type: int
                required: true
              ttl:
                description: Seconds.
                type: int
                required: true
          serve_while_stale:
            description: Seconds that an old answer is served while a new one is fetched.
            type: int
          request_coalescing:
            description: Whether requests for the same URL wait for one fetch.
            type: bool
          bypass_headers:
            description: Request headers with which the cache is not asked, such as C(Authorization).
            type: list
            elements: str
          signed_url_cache_max_age:
            description: Seconds that answers to signed requests are cached.
            type: int
          cache_key:
            description: What makes requests the same.
            type: dict
            suboptions:
              include_host:
                description: Whether hosts have copies of their own.
                type: bool
              include_protocol:
                description: Whether HTTP and HTTPS have copies of their own.
                type: bool
              include_query_string:
                description: Whether the query string counts.
                type: bool
              query_string_whitelist:
                description: The only parameters that count.
                type: list
                elements: str
              query_string_blacklist:
                description: Parameters that do not count.
                type: list
                elements: str
              include_http_headers:
                description: Request headers that count.
                type: list
                elements: str
              include_named_cookies:
                description: Cookies that count.
                type: list
                elements: str
      signed_url_keys:
        description: Keys that sign URLs and cookies. Google shows only names, so a key under a known name is kept.
        type: list
        elements: dict
        suboptions:
          name:
            description: The key's name.
            type: str
            required: true
          value:
            description: 16 random bytes as base64url.
            type: str
          state:
            description: Whether the key is there.
            type: str
            choices: [present, absent]
            default: present
  invalidate:
    description: What is removed from the cache, after all other changes.
    type: list
    elements: dict
    default: []
    suboptions:
      url_map:
        description: The URL map's name.
        type: str
        required: true
      path:
        description: Path, with V(*) at its end for all below it.
        type: str
      host:
        description: Host; all where it is not set.
        type: str
      cache_tags:
        description: Tags, as answers have them in C(Cache-Tag).
        type: list
        elements: str
"""

EXAMPLES = r"""
- name: Cache what is static, and pages without their campaign parameters
  frugal.cloud.gcp_cdn:
    project: shop-production
    backends:
      - name: shop-web
        enable_cdn: true
        compression: automatic
        cdn_policy:
          cache_mode: use_origin_headers
          serve_while_stale: 60
          negative_caching: true
          bypass_headers: [Authorization]
          cache_key:
            query_string_blacklist: [utm_source, utm_medium, utm_campaign, gclid, fbclid]

- name: Forget a page
  frugal.cloud.gcp_cdn:
    project: shop-production
    invalidate:
      - url_map: shop
        path: /products/17
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in this order.
  returned: success
  type: list
  elements: dict
  sample: [{kind: backend service, action: update, name: shop-web}]
api:
  description: Requests sent.
  returned: success
  type: dict
  sample: {requests: 3, calls: {"compute:GET": 2, "compute:PATCH": 1}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.act.gcp_cdn import OPTIONS, Cdn
from ansible_collections.frugal.cloud.plugins.module_utils.desired import result
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, read, decide, change, exit."""
    module = AnsibleModule(argument_spec={**ARGUMENTS, **OPTIONS}, supports_check_mode=True)
    with failing_clearly(module):
        gcp = Gcp.from_options(module.params)
        cdn = Cdn(gcp)
        changes = cdn.decide(module.params["backends"], module.params["invalidate"])
        if not module.check_mode:
            cdn.perform(changes)
        module.exit_json(**result(changes), api={"requests": gcp.requests, "calls": gcp.calls})


if __name__ == "__main__":
    main()
