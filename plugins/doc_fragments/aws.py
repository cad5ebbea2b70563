# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that every AWS module has: amazon.aws' own, role assumption and the cap on paid calls."""

from __future__ import annotations


class ModuleDocFragment:
    """Documented here and not taken from amazon.aws, because Galaxy does not resolve others' fragments."""

    DOCUMENTATION = r"""
options:
  access_key:
    description:
      - AWS access key ID.
      - E(AWS_ACCESS_KEY_ID) or E(AWS_ACCESS_KEY) serve where it is not set.
    type: str
    aliases: [aws_access_key_id, aws_access_key]
  secret_key:
    description:
      - AWS secret access key.
      - E(AWS_SECRET_ACCESS_KEY) or E(AWS_SECRET_KEY) serve where it is not set.
    type: str
    aliases: [aws_secret_access_key, aws_secret_key]
  session_token:
    description:
      - AWS session token of temporary credentials.
      - E(AWS_SESSION_TOKEN) serves where it is not set.
    type: str
    aliases: [aws_session_token]
  profile:
    description:
      - Name of a profile in the AWS configuration files; not together with keys.
      - E(AWS_PROFILE) or E(AWS_DEFAULT_PROFILE) serve where it is not set.
    type: str
    aliases: [aws_profile]
  region:
    description:
      - The AWS region.
      - E(AWS_REGION), E(AWS_DEFAULT_REGION) or the profile's region serve where it is not set.
    type: str
    aliases: [aws_region]
  endpoint_url:
    description:
      - URL to talk to instead of AWS' own endpoints.
      - E(AWS_URL) serves where it is not set; botocore also knows E(AWS_ENDPOINT_URL).
    type: str
    aliases: [aws_endpoint_url]
  validate_certs:
    description: Whether TLS certificates of the endpoints are checked.
    type: bool
    default: true
  aws_ca_bundle:
    description:
      - A file of CA certificates to check TLS certificates with.
      - E(AWS_CA_BUNDLE) serves where it is not set.
    type: path
  aws_config:
    description: Settings of botocore's C(Config), merged over those of this collection.
    type: dict
  debug_botocore_endpoint_logs:
    description:
      - Return the set of API operations that were called as RV(ignore:resource_actions).
      - E(ANSIBLE_DEBUG_BOTOCORE_LOGS) serves where it is not set.
    type: bool
    default: false
  role_arn:
    description:
      - A role to assume first, such as V(arn:aws:iam::123456789012:role/frugal).
      - Its credentials are refreshed as long as the module runs.
    type: str
  external_id:
    description: The external ID that the role's trust policy asks for.
    type: str
  role_session_name:
    description: Name of the role session, as CloudTrail shows it.
    type: str
    default: frugal-cloud
  max_api_cost:
    description:
      - What paid API calls of this task may cost, in USD at list price (CloudWatch GetMetricData and ListMetrics,
        Cost Explorer).
      - The cost is known before anything is read; where it would be more, the task fails and nothing was spent.
    type: float
    default: 5.0
requirements:
  - boto3 >= 1.34.0
  - botocore >= 1.34.0
"""
