# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our modules have in common: check mode, diff and idempotence."""

from __future__ import annotations


class ModuleDocFragment:
    """``ATTRIBUTES`` is for modules that change something, ``INFO`` for those that only read."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Changes nothing in check mode and says what it would change.
    support: full
  diff_mode:
    description: Returns what changed, or would change, as a diff.
    support: full
  idempotent:
    description: Run again in the same state, it changes nothing.
    support: full
  platform:
    description: Where it runs - usually on the machine that runs Ansible.
    platforms: posix
    support: full
"""

    INFO = r"""
attributes:
  check_mode:
    description: It only reads, in check mode as well.
    support: full
  diff_mode:
    description: There is nothing to compare, because nothing is changed.
    support: none
  idempotent:
    description: It changes nothing.
    support: full
  platform:
    description: Where it runs - usually on the machine that runs Ansible.
    platforms: posix
    support: full
"""

    AWS = r"""
attributes:
  action_group:
    description: Use C(group/frugal.cloud.aws) in C(module_defaults) to set AWS options once for all modules.
    membership: frugal.cloud.aws
    support: full
"""

    GCP = r"""
attributes:
  action_group:
    description: Use C(group/frugal.cloud.gcp) in C(module_defaults) to set Google's options once for all modules.
    membership: frugal.cloud.gcp
    support: full
"""
