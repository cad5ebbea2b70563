# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error of Helm's or of the cluster's says, in one sentence."""

from __future__ import annotations

DOCUMENTATION = r"""
name: helm_error
short_description: One sentence about an error of Helm or of a Kubernetes cluster
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Leaves of Helm's output what went wrong, on one line, and adds what would be right where that is known.
positional: _input
options:
  _input:
    description: What the program wrote.
    type: str
    required: true
"""

EXAMPLES = r"""
# chart shop has no version 9 in https://charts.example.com; name one that it has
sentence: "{{ result.stderr | frugal.cloud.helm_error }}"
"""

RETURN = r"""
_value:
  description: The sentence.
  type: str
"""

import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.helm import sentence


def helm_error(text: str) -> str:
    """The sentence."""
    return sentence(str(text))


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        """Filters by name."""
        return {"helm_error": helm_error}
