# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One account and region as the target of a run."""

from __future__ import annotations

import functools

from ansible_collections.frugal.cloud.plugins.module_utils.act.registry import ec2_actors
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.ec2_verification import accept, ec2_checks
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Scope
from ansible_collections.frugal.cloud.plugins.module_utils.runs import Target


def ec2_target(aws: Aws, pause: float) -> Target:
    """What a run of EC2 rightsizing works on; ``pause`` seconds between looks at an instance on its way."""
    return Target(
        scope=Scope(aws.account, aws.region).key,
        actor=ec2_actors(aws, pause),
        checks=functools.partial(ec2_checks, aws),
        account=lambda: {"api": aws.account_of_calls()},
        accept=accept,
    )
