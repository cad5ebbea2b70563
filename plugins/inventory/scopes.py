# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory of scopes: one host for each account and region, project or cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scopes
short_description: Turns accounts x regions, projects and clusters into hosts
version_added: 0.1.0
author:
  - frugal.cloud contributors (@frugal-cloud)
description:
  - Every AWS account and region, Google Cloud project and Kubernetes context becomes a host that runs on this machine
    (C(ansible_connection=local)), so that Ansible's forks and AWX' job slices spread the work.
  - An account that fails stops only its own hosts.
  - Each AWS host has the variables C(frugal_provider), C(frugal_account), C(frugal_account_name) and C(frugal_region);
    where a role is assumed also C(frugal_role_arn) and C(frugal_external_id).
  - Google Cloud hosts have C(frugal_project), Kubernetes hosts C(frugal_context) and C(frugal_kubeconfig).
  - Hosts are in the groups C(aws), C(gcp) or C(kubernetes), C(account_<number>) and C(region_<name>).
  - Listing an organization needs C(organizations:ListAccounts) in its management account or a delegated administrator.
extends_documentation_fragment:
  - ansible.builtin.constructed
options:
  plugin:
    description: Must be V(frugal.cloud.scopes). The name of the file must end with C(scopes.yml) or C(scopes.yaml).
    required: true
    choices: [frugal.cloud.scopes]
  accounts:
    description: AWS accounts to list, without asking AWS Organizations.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Account number; quote it, since leading zeros count.
        type: str
        required: true
      name:
        description: A name for people.
        type: str
      role_arn:
        description: Role to assume; made from O(role_name) where it is not set.
        type: str
  organization:
    description: Whether to list the active accounts of the AWS organization.
    type: bool
    default: false
  exclude_accounts:
    description: Account numbers to leave out.
    type: list
    elements: str
    default: []
  role_name:
    description:
      - Name of the role to assume in each account.
      - Where neither this nor a role is given, the caller's own credentials are used.
    type: str
    default: ""
  external_id:
    description: External ID of these roles.
    type: str
    default: ""
  regions:
    description: AWS regions.
    type: list
    elements: str
    default: []
  profile:
    description: AWS profile with which the organization is listed.
    type: str
    default: ""
    env:
      - name: AWS_PROFILE
  endpoint_url:
    description: URL to talk to instead of AWS' own endpoints.
    type: str
    default: ""
    env:
      - name: AWS_ENDPOINT_URL
  projects:
    description: Google Cloud projects.
    type: list
    elements: str
    default: []
  contexts:
    description: Kubernetes contexts; V(*) stands for all of the kubeconfig file.
    type: list
    elements: str
    default: []
  kubeconfig:
    description: The kubeconfig file.
    type: path
    default: ~/.kube/config
    env:
      - name: KUBECONFIG
"""

EXAMPLES = r"""
# Two accounts, named here: inventory/scopes.yml
plugin: frugal.cloud.scopes
accounts:
  - id: "111111111111"
    name: production
  - id: "222222222222"
    name: staging
role_name: frugal
regions: [us-east-1, eu-central-1]

# Every account of the organization but one
# plugin: frugal.cloud.scopes
# organization: true
# exclude_accounts: ["999999999999"]
# role_name: frugal
# regions: [us-east-1]
"""

import itertools
import os
import re
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError

_REGION = re.compile(r"^[a-z]{2}(-[a-z]+)+-\d$")


class InventoryModule(BaseInventoryPlugin, Constructable):  # type: ignore[misc]
    """Adds hosts with plain values: Ansible no longer renders templates that an inventory plugin sets."""

    NAME = "frugal.cloud.scopes"

    def verify_file(self, path: str) -> bool:
        """Files that end with ``scopes.yml`` or ``scopes.yaml``."""
        return bool(super().verify_file(path)) and path.endswith(("scopes.yml", "scopes.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Read the file, list the organization if asked to, add the hosts."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            for name, groups, variables in itertools.chain(self._aws(), self._projects(), self._contexts()):
                self._add(name, groups, variables)
        except (AwsError, deps.MissingLibrary) as error:
            raise AnsibleParserError(f"{path}: {error}") from error

    def _add(self, name: str, groups: list[str], variables: dict[str, str]) -> None:
        self.inventory.add_host(name)
        shared = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        for key, value in {**shared, **variables}.items():
            self.inventory.set_variable(name, key, value)
        for group in groups:
            self.inventory.add_host(name, group=self.inventory.add_group(group))
        strict = self.get_option("strict")
        hostvars = self.inventory.get_host(name).get_vars()
        self._set_composite_vars(self.get_option("compose"), hostvars, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), hostvars, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), hostvars, name, strict=strict)

    def _aws(self) -> Iterator[tuple[str, list[str], dict[str, str]]]:
        accounts = list(self.get_option("accounts"))
        if self.get_option("organization"):
            accounts += self._organization()
        regions = self.get_option("regions")
        if accounts and not regions:
            raise AwsError("regions is empty: list the AWS regions to look at, such as [us-east-1]")
        for region in regions:
            if not _REGION.match(region):
                raise AwsError(f"regions: {region!r} is not an AWS region; use names such as eu-central-1")
        excluded = set(self.get_option("exclude_accounts"))
        role_name = self.get_option("role_name")
        for account, region in itertools.product(accounts, regions):
            number = str(account.get("id", ""))
            if not re.fullmatch(r"\d{12}", number):
                raise AwsError(f"accounts: id {number!r} is not an AWS account number; give 12 digits in quotes")
            if number in excluded:
                continue
            role = account.get("role_arn") or (f"arn:aws:iam::{number}:role/{role_name}" if role_name else "")
            variables = {
                "frugal_provider": "aws",
                "frugal_account": number,
                "frugal_account_name": account.get("name") or number,
                "frugal_region": region,
            }
            if role:
                variables["frugal_role_arn"] = role
            if role and self.get_option("external_id"):
                variables["frugal_external_id"] = self.get_option("external_id")
            groups = ["aws", f"account_{number}", f"region_{region.replace('-', '_')}"]
            yield f"aws-{number}-{region}", groups, variables

    def _organization(self) -> list[dict[str, str]]:
        profile = self.get_option("profile")
        aws = Aws(
            region="us-east-1",
            endpoint_url=self.get_option("endpoint_url") or None,
            connection={"profile_name": profile} if profile else {},
        )
        return [
            {"id": account["Id"], "name": account.get("Name", "")}
            for page in aws.pages("organizations", "list_accounts")
            for account in page["Accounts"]
            if account.get("State", account.get("Status")) == "ACTIVE"
        ]

    def _projects(self) -> Iterator[tuple[str, list[str], dict[str, str]]]:
        for project in self.get_option("projects"):
            yield f"gcp-{project}", ["gcp"], {"frugal_provider": "gcp", "frugal_project": project}

    def _contexts(self) -> Iterator[tuple[str, list[str], dict[str, str]]]:
        wanted = self.get_option("contexts")
        if not wanted:
            return
        path = Path(self.get_option("kubeconfig").split(os.pathsep)[0]).expanduser()
        try:
            data = deps.yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            known = [context["name"] for context in data.get("contexts", ())]
        except (OSError, deps.yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise AnsibleParserError(f"kubeconfig {path} cannot be read: {error}") from error
        for context in known if "*" in wanted else wanted:
            if context not in known:
                raise AnsibleParserError(f"contexts: {context!r} is not in {path}; it has {', '.join(known) or 'none'}")
            name = re.sub(r"[^A-Za-z0-9_.-]", "-", context)
            variables = {"frugal_provider": "kubernetes", "frugal_context": context, "frugal_kubeconfig": str(path)}
            yield f"kubernetes-{name}", ["kubernetes"], variables
