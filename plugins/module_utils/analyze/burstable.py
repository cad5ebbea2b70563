# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types that may use a whole vCPU only part of the time: t2, t3, t3a, t4g, and the flex families."""

from __future__ import annotations

from ansible_collections.frugal.cloud.plugins.module_utils.resources import InstanceType

#: Baseline utilisation per vCPU (share of a vCPU that can be used for ever) by size. Source: Amazon
#: EC2 User Guide, "Key concepts for burstable performance instances", credit table.
BASELINE_T3 = {
    "nano": 0.05,
    "micro": 0.10,
    "small": 0.20,
    "medium": 0.20,
    "large": 0.30,
    "xlarge": 0.40,
    "2xlarge": 0.40,
}
BASELINE_T2 = {
    "nano": 0.05,
    "micro": 0.10,
    "small": 0.20,
    "medium": 0.20,
    "large": 0.30,
    "xlarge": 0.225,
    "2xlarge": 0.16875,
}
BASELINES = {"t2": BASELINE_T2, "t3": BASELINE_T3, "t3a": BASELINE_T3, "t4g": BASELINE_T3}

#: Baseline of the flex families (m7i-flex, c7i-flex, ...): AWS states a baseline of 40 % of each
#: vCPU, and the whole vCPU for 95 % of the time over 24 hours (EC2 User Guide, "Flex instances").
FLEX_BASELINE = 0.40

#: USD per surplus vCPU-hour in unlimited mode. Source: Amazon EC2 on-demand pricing, "T2/T3/T4g
#: Unlimited Mode Pricing": 0.05 for Linux, RHEL and SUSE, 0.096 for Windows; T4g 0.04.
SURPLUS_LINUX = 0.05
SURPLUS_WINDOWS = 0.096
SURPLUS_T4G = 0.04


def baseline_share(instance_type: InstanceType) -> float:
    """Share of the type's vCPUs that it can use for ever: 1.0 for a type that is not burstable.

    A burstable type that the table does not know counts as 0.05, the lowest baseline there is.
    """
    if instance_type.burstable:
        return BASELINES.get(instance_type.family, {}).get(instance_type.size, 0.05)
    return FLEX_BASELINE if instance_type.family.endswith("-flex") else 1.0


def surplus_price(instance_type: InstanceType, operating_system: str) -> float:
    """USD per vCPU-hour above the baseline; 0 for types that have no surplus credits."""
    if not instance_type.burstable:
        return 0.0
    if instance_type.family == "t4g":
        return SURPLUS_T4G
    return SURPLUS_WINDOWS if operating_system.startswith("Windows") else SURPLUS_LINUX


def has_surplus(instance_type: InstanceType) -> bool:
    """True for burstable types that start in unlimited mode: all but t2, which starts in standard mode."""
    return instance_type.burstable and instance_type.family != "t2"
