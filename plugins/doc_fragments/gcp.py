# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules for Google Cloud, called as in google.cloud."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``module_utils/gcp.py``."""

    DOCUMENTATION = r"""
options:
  project:
    description:
      - The project.
      - E(GCP_PROJECT) or E(GOOGLE_CLOUD_PROJECT) serve where it is not set.
    type: str
    required: true
  auth_kind:
    description:
      - Which credentials are used. V(application) are the application default credentials.
      - E(GCP_AUTH_KIND) serves where it is not set.
    type: str
    choices: [application, serviceaccount, machineaccount, accesstoken]
    default: application
  service_account_file:
    description:
      - File with the key of a service account, for O(auth_kind=serviceaccount).
      - E(GCP_SERVICE_ACCOUNT_FILE) serves where it is not set.
    type: path
  service_account_contents:
    description:
      - The key itself, as JSON or a dictionary, for O(auth_kind=serviceaccount).
      - E(GCP_SERVICE_ACCOUNT_CONTENTS) serves where it is not set.
    type: jsonarg
  service_account_email:
    description:
      - Which service account of the machine is used, for O(auth_kind=machineaccount).
      - E(GCP_SERVICE_ACCOUNT_EMAIL) serves where it is not set.
    type: str
  access_token:
    description:
      - An access token, for O(auth_kind=accesstoken).
      - E(GCP_ACCESS_TOKEN) serves where it is not set.
    type: str
  scopes:
    description: Scopes that are asked for.
    type: list
    elements: str
    default: ["https://www.googleapis.com/auth/cloud-platform"]
  base_url:
    description:
      - URL to talk to instead of Google's own, for all APIs.
      - E(GCP_BASE_URL) serves where it is not set.
    type: str
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 60
  retries:
    description: How often a request is sent again while Google is busy or does not answer.
    type: int
    default: 5
requirements:
  - google-auth >= 2.20.0
  - requests >= 2.28.0
"""
