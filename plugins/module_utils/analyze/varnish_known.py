# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters and cookies that scripts in the browser read and no server needs.

They only say where a visitor came from, so they may be taken off where nothing in the answers
speaks against it. Left out of the lists that browsers have are those that a page's own server
is known to read: ``mkt_tok`` (unsubscribing by mail) and names as short as ``__s``.
"""

from __future__ import annotations

import fnmatch

_FIREFOX = "Firefox's list of tracking parameters"
_ANALYTICS = "Google Analytics campaign"

#: Pattern of a query parameter -> whose it is. Sources: Firefox, services/settings/static-dumps/main/
#: query-stripping.json; Brave, components/query_filter/utils.cc; Google Analytics, "URL builders: collect campaign
#: data with custom URLs", for utm_*; Matomo, "What is campaign tracking", for mtm_* and pk_*.
TRACKING_PARAMETERS = {
    "utm_*": _ANALYTICS,
    "mtm_*": "Matomo campaign",
    "pk_campaign": "Matomo campaign",
    "pk_kwd": "Matomo campaign",
    **dict.fromkeys(
        (
            "__hsfp",
            "__hssc",
            "__hstc",
            "_hsenc",
            "_openstat",
            "dclid",
            "fbclid",
            "gbraid",
            "gclid",
            "hsctatracking",
            "mc_eid",
            "msclkid",
            "oly_anon_id",
            "oly_enc_id",
            "twclid",
            "vero_id",
            "wbraid",
            "wickedid",
            "yclid",
            "ysclid",
        ),
        _FIREFOX,
    ),
    "_gl": "Brave's list of tracking parameters",
}

#: Pattern of a cookie that a script sets and reads -> whose it is. Source: each vendor's published table of cookies.
TRACKING_COOKIES = {
    "_ga": "Google Analytics",
    "_ga_*": "Google Analytics",
    "_gid": "Google Analytics",
    "_gat": "Google Analytics",
    "_gat_*": "Google Analytics",
    "__utm?": "Google Analytics, until 2013",
    "_gcl_*": "Google Ads",
    "_gac_*": "Google Ads",
    "_fbp": "Meta",
    "_fbc": "Meta",
    "_clck": "Microsoft Clarity",
    "_clsk": "Microsoft Clarity",
    "_uetsid": "Microsoft Advertising",
    "_uetvid": "Microsoft Advertising",
    "_hj*": "Hotjar",
    "__hstc": "HubSpot",
    "__hssc": "HubSpot",
    "__hssrc": "HubSpot",
    "hubspotutk": "HubSpot",
    "_pk_id*": "Matomo",
    "_pk_ses*": "Matomo",
    "_pk_ref*": "Matomo",
    "_ttp": "TikTok",
    "_ym_*": "Yandex Metrica",
}


def _whose(name: str, patterns: dict[str, str]) -> tuple[str, str]:
    for pattern, owner in patterns.items():
        if fnmatch.fnmatchcase(name, pattern):
            return pattern, owner
    return "", ""


def tracking_parameter(name: str) -> tuple[str, str]:
    """(pattern, whose it is) of a parameter that only tracks; two empty texts where it is not known."""
    return _whose(name, TRACKING_PARAMETERS)


def tracking_cookie(name: str) -> tuple[str, str]:
    """(pattern, whose it is) of a cookie that only tracks; two empty texts where it is not known."""
    return _whose(name, TRACKING_COOKIES)
