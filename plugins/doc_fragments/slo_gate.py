# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option in ``module_utils/slo_gate.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the SLOs are that guard changes."""

    DOCUMENTATION = r"""
options:
  slo_prometheus:
    description:
      - The Prometheus that has the recorded series of the SLOs which the policy's C(slos) name.
      - With O(stage=apply) a change whose SLO has too little error budget left, or burns it too fast, waits; it is
        looked at again during the run. With O(stage=verify) a fast burn since the change began fails it.
      - Where it is not set, or has no data, the changes that are guarded wait, unless the policy says otherwise.
    type: dict
    suboptions:
      url:
        description: Its address, such as V(https://prometheus.example.com).
        type: str
        required: true
      username:
        description: User for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
      bearer_token:
        description: Token to send as bearer.
        type: str
      validate_certs:
        description: Whether its TLS certificate is checked.
        type: bool
        default: true
      refresh_seconds:
        description: For how long an answer is used before Prometheus is asked again during a run.
        type: float
        default: 30.0
"""
