# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that names the ledger."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``module_utils/module_support.py``."""

    DOCUMENTATION = r"""
options:
  ledger_url:
    description:
      - The ledger, which holds plans, approvals, the journal and savings - C(sqlite:///path/to/ledger.db) for a file on
        a local disk (C(~) is the home folder), or C(postgresql+psycopg://user@host/database) for a team and for AWX.
      - E(FRUGAL_LEDGER_URL) serves where it is not set, then C(sqlite:///~/.frugal/ledger.db).
      - PostgreSQL must be reached directly, not through a pooler that shares one server connection between clients,
        because a running job holds an advisory lock.
    type: str
requirements:
  - SQLAlchemy >= 2.0.0
  - psycopg[binary] >= 3.1.0, for a ledger on PostgreSQL
  - SQLite >= 3.35.0, for a ledger in a file
"""
