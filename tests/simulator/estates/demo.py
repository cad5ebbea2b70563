# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mixed estate of the demo: two accounts, about as wasteful as estates are found to be.

Where the shares come from
--------------------------

==========================  =====================  ==========================================================
what                        share of instances     source
==========================  =====================  ==========================================================
idle, doing nothing         30 %                   [1] 30 % of virtual machines were comatose for six months
too big (idle included)     85 %                   [2] 84 % of 105,000 instances ran on a smaller footprint,
                                                   16 % were provisioned appropriately
average CPU of all          6 to 8 %               [3] 165,000 EC2 instances averaged 8 to 9 %; [4] gives more
                                                   for Azure: 60 % of machines average below 20 %
previous generation         16 to 19 % of spend    [5] 17 % of the EC2 budget on average (m4, c4, r4, t2 here;
                                                   m5, c5, r5 are what most others run)
Graviton                    14 to 20 % of spend    [5] 18 % of EC2 compute cost
Windows                     7 %                    [6] 6.6 % of EC2 instances
under-provisioned           3 %                    assumption; [2] counts them among the 16 %
memory is measured          85 %                   assumption: CloudWatch has no memory without the agent, and
                                                   no survey says how many install it
burstable                   a tenth                assumption
refused or redirected       about a sixth          assumption: two to six of each kind, so that every refusal
                                                   is seen (see ``_special``)
covered by a plan           one family (c6i)       assumption, less than the 26 % of instances that [3] found
                                                   reserved: a plan for the whole family, so nothing is saved
==========================  =====================  ==========================================================

Sizing that estate well saves more than half of its bill; customers' own guess is that they
waste 30 % [7], and [2] found 36 % on machines that were not chosen in a cloud.

1. Koomey and Taylor, "Zombie/Comatose Servers Redux", Anthesis, 2017,
   https://www.koomey.com/koomey_blog/our-newest-work-on-comatose-zombie-servers--out-this-week/
2. Rallo (TSO Logic), "Rightsizing Infrastructure Can Cut Costs 36%", AWS Enterprise Strategy
   Blog, https://aws.amazon.com/blogs/enterprise-strategy/rightsizing-infrastructure-can-cut-costs-36/
3. Feinleib, "Public Cloud Usage Trends", The Big Data Group, Q1 2013,
   https://docplayer.net/5880861-Public-cloud-usage-trends.html
4. Cortez et al., "Resource Central", SOSP 2017, figure 1, https://doi.org/10.1145/3132747.3132772
5. Datadog, "State of Cloud Costs", 2024, https://www.datadoghq.com/state-of-cloud-costs/
6. The Cloud Market, 21 March 2014, after
   https://www.openhealthnews.com/news-clipping/2014-03-23/most-popular-cloud-operating-system
7. Flexera, "State of the Cloud Report", 2020,
   https://www.globenewswire.com/news-release/2020/04/28/2023348/0/en/Flexera-Releases-2020-State-of-the-Cloud-Report.html

Usage is generated (see ``usage.py``), one series an instance; nobody's real machines are in it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import typing as t

_Dict = dict[str, t.Any]

PRODUCTION, STAGING = "111111111111", "222222222222"
REGION = "us-east-1"
#: The clock starts in the middle of a month: the last month's end is in a look-back of 32 days.
NOW = "2026-06-17T09:00:00Z"

#: share, name, (lowest, highest) CPU peak and memory level in percent of the type, profiles with weights
_CLASSES: tuple[tuple[float, str, tuple[float, float], tuple[float, float], dict[str, int]], ...] = (
    (0.30, "idle", (2, 5), (2.5, 7), {"idle": 1}),
    (0.35, "low", (7, 18), (6, 16), {"office": 5, "steady": 2, "spiky": 2, "batch": 2}),
    (0.20, "moderate", (22, 38), (15, 35), {"office": 5, "steady": 1, "spiky": 2, "batch": 2, "month_end": 2}),
    (0.12, "fitting", (55, 75), (50, 68), {"office": 4, "steady": 2, "batch": 1, "growing": 1}),
    (0.03, "short", (112, 135), (60, 72), {"office": 3, "spiky": 1}),
)
#: families with weights; sizes with weights
_CURRENT = {"m5": 24, "m6i": 10, "c5": 12, "r5": 12, "m5a": 5, "m6a": 4, "r6i": 4, "c6i": 3}
_PREVIOUS = {"m4": 8, "c4": 4, "r4": 4}
_GRAVITON = {"m6g": 7, "c6g": 5, "r6g": 4, "m7g": 3}
_BURSTABLE = {"t3": 7, "t2": 3}
#: Cards of a deck of 50: Graviton costs less than its share of machines, previous generations more.
_GENERATIONS = {"current": 24, "previous": 8, "graviton": 13, "burstable": 5}
_SIZES = {"large": 2, "xlarge": 8, "2xlarge": 8, "4xlarge": 4}
_BURSTABLE_SIZES = {"medium": 2, "large": 4, "xlarge": 3}

_TEAMS = ("checkout", "search", "billing", "platform", "data", "mobile")


class _Maker:
    """Draws instances; the same seed gives the same estate."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.number = 0
        self._decks: dict[str, list[str]] = {}

    def pick(self, weights: t.Mapping[str, int]) -> str:
        """One of the keys, by weight."""
        return self.random.choices(list(weights), list(weights.values()))[0]

    def usage(self, name: str, wanted: t.Mapping[str, t.Any] | None = None) -> _Dict:
        """A usage of a class, with values of ``wanted`` instead of drawn ones."""
        _share, _name, cpu, memory, profiles = next(row for row in _CLASSES if row[1] == name)
        profile = self.pick(profiles)
        self.number += 1
        parameters: _Dict = {}
        if profile == "office":
            parameters = {"utc_offset": self.random.choice((-8, -5, 0, 1, 5.5))}
        elif profile == "batch":
            parameters = {"at_hour": self.random.randrange(0, 20), "hours": self.random.choice((1.5, 2, 3, 4))}
        peak = self.random.uniform(*cpu)
        usage: _Dict = {
            "profile": profile,
            "seed": self.seed * 10_000 + self.number,
            "parameters": parameters,
            "cpu_percent": round(peak, 1),
            "memory_percent": round(self.random.uniform(*memory), 1),
            "network_mbps": round(self.random.uniform(1, 4) * (1 if name == "idle" else peak / 4), 1),
            "ebs_mbps": round(self.random.uniform(0.5, 2) * (1 if name == "idle" else peak / 6), 1),
            "ebs_iops": round(self.random.uniform(5, 20) * (1 if name == "idle" else peak / 5)),
        }
        usage.update(wanted or {})
        return usage

    def instance_type(self) -> str:
        """A type by the shares of generations and architectures."""
        group = self._draw("generation", _GENERATIONS)
        families = {"current": _CURRENT, "previous": _PREVIOUS, "graviton": _GRAVITON, "burstable": _BURSTABLE}[group]
        size = self.pick(_BURSTABLE_SIZES) if group == "burstable" else self._draw(f"size of {group}", _SIZES)
        return f"{self.pick(families)}.{size}"

    def _draw(self, deck: str, cards: t.Mapping[str, int]) -> str:
        """A card from a shuffled deck, and not dice: every seed has the shares that are claimed."""
        left = self._decks.setdefault(deck, [])
        if not left:
            left += [name for name, count in cards.items() for _number in range(count)]
            self.random.shuffle(left)
        return left.pop()

    def instance(self, name: str, class_name: str, **settings: t.Any) -> _Dict:
        """An entry of the estate format."""
        kind = settings.pop("type", None) or self.instance_type()
        usage = self.usage(class_name, settings.pop("usage", None))
        if kind.startswith("t") and class_name != "idle":
            # Burstable machines that live within their credits, as those that are left alone do.
            usage["cpu_percent"] = min(usage["cpu_percent"], 35.0)
        windows = settings.pop("windows", False)
        entry: _Dict = {
            "name": name,
            "type": kind,
            "launched_days_ago": self.random.randrange(45, 300),
            "usage": usage,
            "memory_agent": self.random.random() < 0.85,
            "detailed_monitoring": self.random.random() < 0.08,
            "elastic_ip": self.random.random() < 0.1,
            "public_ip": self.random.random() < 0.1,
            "volumes": [{"type": "gp3", "size": self.random.choice((20, 30, 50))}],
            "tags": {"team": self.random.choice(_TEAMS), "class": class_name},
        }
        if windows:
            entry["os"] = "Windows"
        tags = {**entry["tags"], **settings.pop("tags", {})}
        entry.update(settings)
        entry["tags"] = tags
        return entry


def _special(maker: _Maker) -> tuple[list[_Dict], list[_Dict]]:
    """What must be refused or redirected: entries for production and for staging."""
    production = [
        maker.instance("render-spot-1", "low", type="c5.xlarge", lifecycle="spot"),
        maker.instance("render-spot-2", "low", type="c5.xlarge", lifecycle="spot"),
        *(maker.instance(f"eks-worker-{n}", "low", type="m5.large", managed_by="eks") for n in range(3)),
        *(maker.instance(f"ecs-agent-{n}", "moderate", type="m5.large", ecs_cluster="services") for n in range(2)),
        *(maker.instance(f"vpn-{n}", "low", type="m5.large", managed_by="terraform") for n in range(3)),
        *(maker.instance(f"stack-{n}", "low", type="m5.large", managed_by="cloudformation") for n in range(2)),
        *(maker.instance(f"ledger-{n}", "low", type="r5.large", managed_by="protected") for n in range(2)),
        maker.instance("licence-server", "low", type="m5.large", tenancy="dedicated"),
        *(maker.instance(f"scratch-{n}", "low", type="i3.large") for n in range(2)),
        *(
            maker.instance(f"fresh-{n}", "low", type="m6i.xlarge", launched_days_ago=1.5 + n / 2, memory_agent=True)
            for n in range(2)
        ),
        *(maker.instance(f"encoder-{n}", "low", type="c6i.large", memory_agent=True) for n in range(4)),
        maker.instance("appliance", "low", type="m5.large", product_codes=["8lqdnq4ynpmtpr2xs3chfsmgc"]),
        maker.instance("pinned", "low", type="m5.large", disable_api_stop=True),
        maker.instance(
            "closing-the-books",
            "moderate",
            type="r5.2xlarge",
            memory_agent=True,
            usage={"profile": "month_end", "parameters": {}, "cpu_percent": 62, "memory_percent": 40},
        ),
    ]
    staging = [
        maker.instance("old-kernel", "low", type="m4.xlarge", ena=False, memory_agent=True),
        maker.instance("no-nvme", "low", type="r4.xlarge", nvme_drivers=False, memory_agent=True),
        maker.instance("uefi-only", "low", type="m6i.xlarge", boot_mode="uefi", memory_agent=True),
        maker.instance(
            "credits-gone",
            "moderate",
            type="t3.large",
            memory_agent=True,
            usage={"profile": "steady", "parameters": {}, "cpu_percent": 60, "memory_percent": 45},
        ),
        maker.instance("switched-off", "idle", type="m5.xlarge", state="stopped"),
        maker.instance("ci-terraform", "low", type="c5.xlarge", managed_by="terraform"),
    ]
    return production, staging


def _groups(maker: _Maker) -> list[_Dict]:
    """Auto Scaling groups: plain with a pinned version, plain with $Latest, mixed instances."""

    def member(name: str, kind: str) -> _Dict:
        entry = maker.instance(f"{name}-{{n}}", "low", type=kind, memory_agent=True, elastic_ip=False)
        # The load balancer gives every member the same work: one shape, a few variants.
        entry["usage"] = {**entry["usage"], "profile": "office", "parameters": {}, "variants": 2}
        return entry

    return [
        {"name": "api", "desired": 6, "version": "1", "instances": member("api", "m5.2xlarge")},
        {"name": "storefront", "desired": 4, "version": "$Latest", "instances": member("storefront", "c5.2xlarge")},
        {
            "name": "workers",
            "desired": 4,
            "mixed_instances": {"overrides": ["m5.xlarge", "m5a.xlarge", "m6i.xlarge"]},
            "instances": member("workers", "m5.xlarge"),
        },
    ]


def mixed_estate(seed: int = 1, instances: int = 200) -> _Dict:
    """The description of an estate of ``instances`` instances; the shares are in the module's documentation."""
    maker = _Maker(seed)
    production, staging = _special(maker)
    groups = _groups(maker)
    members = sum(group["desired"] for group in groups)
    rest = instances - len(production) - len(staging) - members
    names = [row[1] for row in _CLASSES]
    counts = [round(instances * row[0]) for row in _CLASSES]
    # Shares are of all instances; nearly all that is special or in a group belongs to the class "low".
    counts[1] += rest - sum(counts)
    if counts[1] < 0:
        raise ValueError(f"the mixed estate needs more than {instances} instances")
    for class_name, count in zip(names, counts, strict=True):
        for number in range(count):
            windows = maker.random.random() < 0.07
            kind = maker.instance_type()
            while windows and (kind[2:3] == "g" or kind.partition(".")[0].endswith("g") or kind.startswith("t")):
                kind = maker.instance_type()
            if class_name in ("fitting", "short"):
                # Whoever looked at the size chose a current x86 type of a middle size.
                kind = f"{maker.pick({'m5': 3, 'm6i': 3, 'c5': 2, 'r5': 1})}.{maker.pick({'large': 2, 'xlarge': 1})}"
            entry = maker.instance(f"{class_name}-{number:03d}", class_name, type=kind, windows=windows)
            (production if maker.random.random() < 0.6 else staging).append(entry)
    for entry in production:
        entry["tags"]["env"] = "prod"
    for entry in staging:
        entry["tags"]["env"] = "staging"
    covered = sum(_c6i_price(entry["type"]) for entry in production)
    services = _services()
    alarms = {"name": "cpu-high", "metric": "CPUUtilization", "threshold": 95}
    for entry in production[::9]:
        entry["alarm"] = dict(alarms)
    return {
        "description": f"mixed estate, seed {seed}, {instances} instances",
        "now": NOW,
        "seed": seed,
        "accounts": [
            {
                "id": PRODUCTION,
                "name": "production",
                "savings_plans": [
                    {
                        "type": "EC2Instance",
                        "family": "c6i",
                        "region": REGION,
                        "commitment": round(covered * 0.73, 5),
                        "days_left": 240,
                    }
                ],
                "services": services[0],
                "regions": {REGION: {"instances": production, "groups": groups}},
            },
            {
                "id": STAGING,
                "name": "staging",
                "services": services[1],
                "regions": {REGION: {"instances": staging, "elastic_ips": 1, "volumes": [{"count": 2, "size": 40}]}},
            },
        ],
        "projects": _projects(),
    }


def _services() -> tuple[list[_Dict], list[_Dict]]:
    """What production and staging pay for beside machines; one jump is there to be found."""
    database = {"category": "Databases", "subcategory": "Relational Databases"}
    production = [
        {"name": "Amazon Simple Storage Service", "daily": 190, "category": "Storage", "growth": 0.04},
        {"name": "Amazon Relational Database Service", "daily": 410, "weekend": 0.93, **database},
        {"name": "AWS Data Transfer", "daily": 120, "category": "Networking", "weekend": 0.7, "noise": 0.09},
        {"name": "Amazon CloudWatch", "daily": 46, "category": "Management and Governance"},
        {
            "name": "AWS Lambda",
            "daily": 70,
            "category": "Compute",
            "subcategory": "Serverless Compute",
            "weekend": 0.6,
            "jumps": [{"day": -12, "days": 5, "factor": 3.2}],
            "tags": {"team": "search"},
        },
    ]
    staging = [
        {"name": "Amazon Simple Storage Service", "daily": 22, "category": "Storage"},
        {"name": "Amazon Relational Database Service", "daily": 60, "weekend": 0.4, **database},
    ]
    return production, staging


def _projects() -> list[_Dict]:
    """Two projects of Google Cloud, one with labels as they should be, one with what grew."""
    account = "01AB23-CD45EF-678901"
    machines = [
        {"name": "shop-{n}", "type": "e2-standard-4", "count": 6, "labels": {"team": "mobile", "env": "prod"}},
        {"name": "feed-{n}", "type": "n2-standard-4", "count": 4, "labels": {"team": "search", "env": "prod"}},
    ]
    old = [
        {"name": "etl-{n}", "type": "n1-standard-4", "count": 5, "labels": {"environment": "prod"}},
        {"name": "notebook-{n}", "type": "n2-highmem-4", "count": 3, "labels": {}},
    ]
    return [
        {
            "id": "demo-shop",
            "name": "Shop",
            "billing_account": account,
            "labels": {"team": "mobile"},
            "machines": machines,
            "services": [
                {
                    "name": "Cloud SQL",
                    "daily": 85,
                    "region": "us-central1",
                    "weekend": 0.95,
                    "tags": {"team": "mobile"},
                },
                {"name": "Cloud Storage", "daily": 31, "region": "us-central1", "growth": 0.06},
            ],
        },
        {
            "id": "demo-analytics",
            "name": "Analytics",
            "billing_account": account,
            "machines": old,
            "services": [
                {
                    "name": "BigQuery",
                    "daily": 64,
                    "region": "us-central1",
                    "weekend": 0.5,
                    "jumps": [{"day": -20, "days": 40, "factor": 2.1}],
                }
            ],
        },
    ]


def _c6i_price(instance_type: str) -> float:
    """USD/hour on demand of a c6i type, 0 of others: what the plan has to cover."""
    family, _dot, size = instance_type.partition(".")
    return {"large": 0.085, "xlarge": 0.17, "2xlarge": 0.34, "4xlarge": 0.68}[size] if family == "c6i" else 0.0


def main() -> int:
    """Write the estate as JSON to standard output."""
    parser = argparse.ArgumentParser(description="The mixed estate of the demo, as JSON.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--instances", type=int, default=200)
    options = parser.parse_args()
    json.dump(mixed_estate(options.seed, options.instances), sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
