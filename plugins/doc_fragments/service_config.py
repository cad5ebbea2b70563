# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options about what a service's files were before."""

from __future__ import annotations


class ModuleDocFragment:
    """``DOCUMENTATION`` is for modules that change files, ``KEEP_DIRECTORY`` also for those that only look."""

    DOCUMENTATION = r"""
options:
  keep:
    description:
      - Whether what the files were before is kept, up to 16 MiB for each O(root) and O(unit). V(false) forgets it, as
        for a service that is removed.
      - Nothing is kept of a first configuration, unless O(unit) ran already.
    type: bool
    default: true
  load:
    description:
      - V(false) puts files in place and keeps those of before. Starting, restarting and reloading is left to whoever
        calls, also after O(previous=true).
    type: bool
    default: true
  managed_by:
    description: Who manages the configuration, such as the name of a role, for M(frugal.cloud.service_config_info).
    type: str
    default: ""
  run:
    description:
      - Name of the run that asks. Changes of one run are taken back together. Names are compared as texts, and a later
        run's must come after, as moments in UTC do.
    type: str
    default: ""
"""

    KEEP_DIRECTORY = r"""
options:
  keep_directory:
    description:
      - Folder of what files were before, in files that only their owner can read.
      - Users other than root keep nothing where they may not write.
    type: path
    default: /var/lib/frugal/service_config
"""
