#!/usr/bin/python
# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a zone is cached at Cloudflare."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudflare_cache
short_description: Settings, cache rules, compression, tiered cache and purges of a zone at Cloudflare
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Brings a zone to what is written - settings such as HTTP/3 and Early Hints, cache rules, the compression rule, the
    tiered cache - and purges what it is told to. What is not written stays as it is.
  - Cache rules of this module are found again by their name and stand after those of others, in the order in which they
    are written. Rules of others are kept, unless O(purge_rules=true).
  - It was tested on a stand-in that checks every request with the types that Cloudflare publishes, not on Cloudflare.
notes:
  - "Permissions of the token: Zone Settings Edit, Cache Rules Edit (for O(rules)), Response Compression Edit (for
    O(compression)), Cache Purge (for O(purge)), and Zone Read where O(zone) is a name."
  - A purge cannot be taken back, and it is done again each time that the module is told to.
extends_documentation_fragment:
  - frugal.cloud.attributes
options:
  api_token:
    description: A token of Cloudflare's API; E(CLOUDFLARE_API_TOKEN) serves where it is not set.
    type: str
  api_url:
    description: Where the API is.
    type: str
    default: https://api.cloudflare.com/client/v4
  validate_certs:
    description: Whether its TLS certificate is checked.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 30
  retries:
    description: How often a request is sent again while Cloudflare is busy or does not answer.
    type: int
    default: 5
  zone:
    description: The zone's name.
    type: str
  zone_id:
    description: The zone's id.
    type: str
  settings:
    description:
      - Settings by Cloudflare's name, such as C(http3), C(early_hints), C(brotli), C(0rtt), C(browser_cache_ttl).
      - A yes or no becomes C(on) or C(off).
      - A setting that the zone does not have, or that its plan does not let anybody change, is refused.
    type: dict
    default: {}
  rules:
    description: Cache rules, in their order.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name, by which it is found again.
        type: str
        required: true
      expression:
        description: Which requests it is for, in Cloudflare's rules language.
        type: str
        required: true
      enabled:
        description: Whether it is in force.
        type: bool
        default: true
      cache:
        description: Whether these requests may be cached. V(false) is for what is somebody's own.
        type: bool
        default: true
      edge_ttl:
        description: Seconds that Cloudflare keeps an answer, whatever its headers say. As they say where it is not set.
        type: int
      browser_ttl:
        description: Seconds that browsers keep it. As its headers say where it is not set.
        type: int
      ignore_query_parameters:
        description: Query parameters that do not change the answer.
        type: list
        elements: str
      ignore_query_strings_order:
        description: Whether the order of query parameters does not matter.
        type: bool
      cache_by_device_type:
        description: Whether mobiles, tablets and others have copies of their own.
        type: bool
      cache_deception_armor:
        description: Whether an answer is only kept when its type is what its path ends in.
        type: bool
      serve_stale:
        description: Whether an old answer is served while a new one is fetched.
        type: bool
  purge_rules:
    description: Whether cache rules that are not in O(rules) are removed.
    type: bool
    default: false
  compression:
    description: Algorithms with which answers are compressed, the preferred one first.
    type: list
    elements: str
    choices: [zstd, brotli, gzip, auto, default, none]
    default: []
  tiered_cache:
    description:
      - V(generic) asks few data centres of Cloudflare's before the origin, V(smart) the one that is nearest to it.
      - As it is where it is not set.
    type: str
    choices: ["off", generic, smart]
  purge:
    description: What is removed from the cache, after all other changes.
    type: dict
    suboptions:
      tags:
        description: Tags, as answers have them in C(Cache-Tag).
        type: list
        elements: str
      hosts:
        description: Host names.
        type: list
        elements: str
      prefixes:
        description: Host names with the beginning of a path, such as V(www.example.com/blog/).
        type: list
        elements: str
      files:
        description: Whole URLs.
        type: list
        elements: str
      everything:
        description: Everything.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: Cache what is the same for everybody, and nothing else
  frugal.cloud.cloudflare_cache:
    zone: example.com
    settings:
      http3: true
      early_hints: true
    compression: [zstd, brotli, gzip]
    tiered_cache: smart
    rules:
      - name: Pages without their campaign parameters
        expression: 'http.host eq "www.example.com"'
        ignore_query_parameters: [utm_source, utm_medium, utm_campaign, gclid, fbclid]
        ignore_query_strings_order: true
        serve_stale: true
      - name: Accounts and carts
        expression: 'starts_with(http.request.uri.path, "/account") or starts_with(http.request.uri.path, "/cart")'
        cache: false

- name: Forget two products
  frugal.cloud.cloudflare_cache:
    zone: example.com
    purge:
      tags: [product-17, product-18]
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in this order.
  returned: success
  type: list
  elements: dict
  sample: [{kind: setting, action: update, name: http3}]
zone_id:
  description: The zone's id.
  returned: success
  type: str
  sample: 023e105f4ecef8ad9ca31a8372d0c353
api_requests:
  description: How many requests were sent.
  returned: success
  type: int
  sample: 6
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frugal.cloud.plugins.module_utils.act.cloudflare import Wanted, Zone, find_zone
from ansible_collections.frugal.cloud.plugins.module_utils.cloudflare import OPTIONS, Cloudflare
from ansible_collections.frugal.cloud.plugins.module_utils.desired import result
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import failing_clearly


def main() -> None:
    """Arguments, read, decide, change, exit."""
    module = AnsibleModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
        mutually_exclusive=[("zone", "zone_id")],
        required_one_of=[("zone", "zone_id")],
    )
    params = module.params
    if not params["api_token"]:
        module.fail_json(msg="api_token is missing: give a token of Cloudflare, or set CLOUDFLARE_API_TOKEN")
    with failing_clearly(module):
        server = Cloudflare(
            params["api_token"], params["api_url"], params["timeout"], params["retries"], params["validate_certs"]
        )
        zone = Zone(server, params["zone_id"] or find_zone(server, params["zone"]), params["zone"] or "")
        names = ("settings", "rules", "purge_rules", "compression", "tiered_cache")
        changes = zone.decide(Wanted(**{name: params[name] for name in names}, purge=params["purge"] or {}))
        if not module.check_mode:
            zone.perform(changes)
        module.exit_json(**result(changes), zone_id=zone.id, api_requests=server.requests)


if __name__ == "__main__":
    main()
