# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that ask a provider's API for costs."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``module_utils/cost/dataset_options.py`` and of the cache."""

    DOCUMENTATION = r"""
options:
  dataset:
    description:
      - Folder of the FOCUS dataset. Where it is set, costs are written there as rows of FOCUS instead of being
        returned, and each billing period of O(source) in them is replaced as a whole.
      - Periods are whole months then.
    type: path
  tag_keys:
    description: Tags or labels that become plain columns C(x_tag_<key>) of the dataset.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description: The tag's key.
        type: str
        required: true
      variants:
        description: Other spellings of it.
        type: list
        elements: str
        default: []
  cache_directory:
    description:
      - Folder that keeps answers with the day on which they were read. They hold account ids, and only their owner can
        read them.
      - An answer that is too old still serves, with a warning, while the provider cannot be reached.
    type: path
  cache_days:
    description: How many days ago an answer may have been read; V(0) are answers of today.
    type: int
    default: 0
  show_identities:
    description: Whether account ids and e-mail addresses are returned in full. The dataset always holds them.
    type: bool
    default: false
"""
