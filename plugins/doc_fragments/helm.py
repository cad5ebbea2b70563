# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules for releases of Helm, which ``module_utils/helm_options.py`` has."""

from __future__ import annotations


class ModuleDocFragment:
    """Which release is meant, of which chart, with which values, in which cluster."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the release.
    type: str
    required: true
  namespace:
    description: Namespace of the release.
    type: str
    required: true
  state:
    description: What is wanted of the release.
    type: str
    choices: [present, absent]
    default: present
  chart:
    description: Path of the chart's archive (C(.tgz)) on the host. Needed where O(state=present).
    type: path
  version:
    description: The version that the archive must hold. It is not compared where it is not set.
    type: str
  checksum:
    description: What the archive must have, as C(sha256:) and 64 hexadecimal digits. Needed with O(chart).
    type: str
  values:
    description: Values over the chart's own.
    type: dict
    default: {}
  secret_values:
    description:
      - Values over O(values) that no result, diff, message or log shows, wherever a template puts them.
      - Helm keeps them with the release, in a Secret of its namespace. Rather let a chart name a Secret that exists.
    type: dict
    default: {}
  hidden:
    description: Texts that no result, diff, message or log shows, such as a password inside of O(values).
    type: list
    elements: str
    default: []
  skip_crds:
    description: Leave out the definitions of resources (CRDs) that the chart brings.
    type: bool
    default: false
  kubeconfig:
    description: Path of the kubeconfig on the host. Where it is not set, E(KUBECONFIG) or C(~/.kube/config).
    type: path
  context:
    description: Context of the kubeconfig; the current one where it is not set.
    type: str
  helm:
    description: The program C(helm), a name or a path.
    type: path
    default: helm
"""
