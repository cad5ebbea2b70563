# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A big, plain fleet for benchmarks: who is idle is known, nothing is special.

A fifth of the instances is idle (average CPU well under 5 %), two fifths are busy, a fifth
works office hours and a fifth is quiet with spikes, as in the workload mix of the published
baseline against which the collection is measured. Usages are shared, so that 10,000
instances with eight metrics fit into little memory.
"""

from __future__ import annotations

import typing as t

_Dict = dict[str, t.Any]

TYPES = ("m5.large", "m5.xlarge", "m5.2xlarge", "c5.xlarge", "r5.large", "t3.medium", "m4.large", "m6i.large")
ACCOUNT = "123456789012"
#: class -> (share in twentieths, profile, CPU peak in percent, parameters)
_CLASSES: tuple[tuple[str, int, str, float, _Dict], ...] = (
    ("idle", 4, "idle", 3.0, {}),
    ("busy", 8, "steady", 70.0, {"noise": 0.3}),
    ("office", 4, "office", 70.0, {"low": 0.03}),
    ("spiky", 4, "spiky", 95.0, {"low": 0.03, "spikes_per_day": 4}),
)


def fleet_estate(instances: int = 10_000, variants: int = 10) -> _Dict:
    """The description of an estate with ``instances`` instances in one account and region.

    Each has a 100 GiB gp2 volume and its agent publishes memory; the tag ``class`` names its
    usage (idle, busy, office, spiky), so that a test knows the right answer.
    """
    templates = []
    made = 0
    for index, (name, share, profile, cpu, parameters) in enumerate(_CLASSES):
        last = index == len(_CLASSES) - 1
        count = instances - made if last else instances * share // 20
        made += count
        templates.append(
            {
                "name": f"{name}-{{n}}",
                "count": count,
                "type": list(TYPES),
                "launched_days_ago": 120,
                "memory_agent": True,
                "volumes": [{"size": 100, "type": "gp2"}],
                "tags": {
                    "class": name,
                    "env": ["prod", "dev", "staging"],
                    "owner": [f"team-{n}" for n in range(17)],
                },
                "usage": {
                    "profile": profile,
                    "seed": 100 * index,
                    "variants": variants,
                    "parameters": parameters,
                    "cpu_percent": cpu,
                    "memory_percent": 45,
                    "network_mbps": 20 if name == "idle" else 120,
                    "ebs_mbps": 8 if name == "idle" else 60,
                },
            }
        )
    return {
        "description": f"{instances} plain instances",
        "accounts": [
            {"id": ACCOUNT, "name": "fleet", "regions": {"us-east-1": {"instances": templates}}},
        ],
    }
