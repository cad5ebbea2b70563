# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that change with the content they stand for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: content_names
short_description: Names for Secrets and ConfigMaps that change with their content
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Gives each object a name of a prefix, the object's own name, and ten hexadecimal digits of its content's SHA-256.
  - A pod that names such an object is renewed when the content changes, and an older revision still names what it was
    installed with.
positional: _input, prefix
options:
  _input:
    description: Objects by name, each a dictionary of its content.
    type: dict
    required: true
  prefix:
    description: What all names begin with.
    type: str
    required: true
"""

EXAMPLES = r"""
# {'config': 'shop-config-3f1a5c0b77'}
names: "{{ {'config': {'user': 'shop'}} | frugal.cloud.content_names('shop') }}"
"""

RETURN = r"""
_value:
  description: The objects' names in the cluster, by their own.
  type: dict
"""

import hashlib
import json
import typing as t
from collections.abc import Mapping


def content_names(objects: Mapping[str, t.Any], prefix: str) -> dict[str, str]:
    """Name -> name with a digest of the content."""
    return {
        str(name): f"{prefix}-{name}-" + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
        for name, content in objects.items()
    }


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, t.Callable[..., dict[str, str]]]:
        """Filters by name."""
        return {"content_names": content_names}
