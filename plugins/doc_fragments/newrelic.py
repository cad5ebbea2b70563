# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that ask New Relic's NerdGraph."""

from __future__ import annotations


class ModuleDocFragment:
    """``DOCUMENTATION`` is the connection; ``ALERTING`` are alert policies and their conditions."""

    DOCUMENTATION = r"""
options:
  account_id:
    description: The account's number.
    type: int
    required: true
  api_key:
    description: A user key of the account. E(NEW_RELIC_API_KEY) where it is not set.
    type: str
  region:
    description: Where the account is kept.
    type: str
    choices: [us, eu]
    default: us
  endpoint:
    description: Address of the GraphQL API, where it is not that of O(region), as behind a proxy.
    type: str
  timeout:
    description: How long to wait for an answer, in seconds.
    type: int
    default: 30
  retries:
    description: How often to ask again when New Relic is busy.
    type: int
    default: 5
  validate_certs:
    description: Whether the certificate has to be valid.
    type: bool
    default: true
"""

    ALERTING = r"""
options:
  policies:
    description: Alert policies, known by their names.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      state:
        description: V(absent) removes it with all its conditions.
        type: str
        choices: [present, absent]
        default: present
      incident_preference:
        description: How issues are grouped.
        type: str
        choices: [per_policy, per_condition, per_condition_and_target]
        default: per_policy
      purge_conditions:
        description: Whether NRQL conditions of the policy that are not listed are removed.
        type: bool
        default: false
      conditions:
        description: NRQL conditions, known by their names. What is left out keeps its value, or New Relic's default.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
          state:
            description: V(absent) removes it.
            type: str
            choices: [present, absent]
            default: present
          type:
            description: Compare with a fixed value, or with what the signal usually does. A change makes it anew.
            type: str
            choices: [static, baseline]
            default: static
          enabled:
            description: Whether it alerts.
            type: bool
          query:
            description: What is measured, in NRQL, without a time range. Required to be present.
            type: str
          description:
            description: What people are told.
            type: str
          runbook_url:
            description: Address of its runbook.
            type: str
          violation_time_limit_seconds:
            description: After how many seconds an incident is closed in any case.
            type: int
          baseline_direction:
            description:
              - On which side of the baseline it alerts. Required with O(policies[].conditions[].type=baseline).
            type: str
            choices: [upper_only, lower_only, upper_and_lower]
          terms:
            description: One critical threshold, and one warning if wanted.
            type: list
            elements: dict
            suboptions:
              priority:
                description: How bad it is.
                type: str
                choices: [critical, warning]
                default: critical
              operator:
                description: On which side of the threshold it alerts; baselines know only V(above).
                type: str
                choices: [above, above_or_equals, below, below_or_equals, equals, not_equals]
                default: above
              threshold:
                description: The value, or for a baseline the number of standard deviations.
                type: float
                required: true
              duration:
                description: For how many seconds it is looked at.
                type: int
                required: true
              occurrences:
                description: Whether every value in that time has to be beyond the threshold, or one is enough.
                type: str
                choices: [all, at_least_once]
                default: all
          signal:
            description: How values become a signal.
            type: dict
            suboptions:
              aggregation_window:
                description: Length of a window, in seconds.
                type: int
              aggregation_method:
                description: When a window is complete.
                type: str
                choices: [event_flow, event_timer, cadence]
              aggregation_delay:
                description: How long to wait for late data, in seconds.
                type: int
              aggregation_timer:
                description: How long to wait after the last data, in seconds.
                type: int
              fill_option:
                description: What a window without data counts as.
                type: str
                choices: [none, last_value, static]
              fill_value:
                description: The value for V(static).
                type: float
              slide_by:
                description: By how many seconds windows follow each other.
                type: int
          expiration:
            description: What happens when no data comes.
            type: dict
            suboptions:
              duration:
                description: After how many seconds without data.
                type: int
              open_violation:
                description: Whether that opens an incident.
                type: bool
              close_violations:
                description: Whether that closes incidents.
                type: bool
"""

    DASHBOARDS = r"""
options:
  dashboards:
    description: Dashboards, known by their names.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      state:
        description: V(absent) removes it.
        type: str
        choices: [present, absent]
        default: present
      description:
        description: What it shows.
        type: str
        default: ""
      permissions:
        description: Who sees and changes it.
        type: str
        choices: [private, public_read_only, public_read_write]
        default: public_read_only
      pages:
        description: Its pages. At least one is required to be present; others are removed.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
          description:
            description: What it shows.
            type: str
            default: ""
          widgets:
            description: Its widgets, in order; others are removed.
            type: list
            elements: dict
            default: []
            suboptions:
              title:
                description: Its title.
                type: str
                default: ""
              visualization:
                description: How it is drawn, such as V(viz.line), V(viz.billboard) or V(viz.markdown).
                type: str
                default: viz.line
              queries:
                description: What it shows, in NRQL.
                type: list
                elements: str
                default: []
              text:
                description: Text of a widget V(viz.markdown).
                type: str
              configuration:
                description: More of its raw configuration. What is left out is not compared.
                type: dict
                default: {}
              column:
                description: Column from 1 to 12.
                type: int
                default: 1
              row:
                description: Row from 1 on.
                type: int
                default: 1
              width:
                description: Width in columns.
                type: int
                default: 4
              height:
                description: Height in rows.
                type: int
                default: 3
  deployments:
    description:
      - Deployments to mark on an entity's charts. A version (with its commit and time, where they are given) that was
        marked for the entity since O(deployment_days) is not marked again.
    type: list
    elements: dict
    default: []
    suboptions:
      entity_guid:
        description: The entity, such as an application, by its GUID.
        type: str
        required: true
      version:
        description: What was deployed.
        type: str
        required: true
      changelog:
        description: What is new, or the address where that is written.
        type: str
      commit:
        description: The commit.
        type: str
      deep_link:
        description: Address of the pipeline or job.
        type: str
      deployment_type:
        description: How it was deployed.
        type: str
        choices: [basic, blue_green, canary, other, rolling, shadow]
      description:
        description: What people are told.
        type: str
      group_id:
        description: Deployments with the same text belong together.
        type: str
      timestamp:
        description: When, in milliseconds since 1970; now where it is not set. From O(deployment_days) ago until now.
        type: int
      user:
        description: Who.
        type: str
  deployment_days:
    description: How many days back deployments are looked at, to see whether they are marked.
    type: int
    default: 30
"""
