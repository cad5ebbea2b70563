# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory of scopes: hosts and groups as documented, and one sentence for each mistake."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible_collections.frugal.cloud.plugins.inventory import scopes
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError

ACCOUNTS = [{"id": "111111111111", "name": "production"}, {"id": "222222222222"}]
KUBECONFIG = {"contexts": [{"name": "arn:aws:eks:eu-west-1:1:cluster/apps"}, {"name": "kind"}]}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)


class Plugin(scopes.InventoryModule):
    """The plugin with its options given directly, defaults from its documentation."""

    def __init__(self, options: dict[str, t.Any]) -> None:
        super().__init__()
        documented = deps.yaml.safe_load(scopes.DOCUMENTATION)["options"]
        defaults = {name: option.get("default") for name, option in documented.items()}
        constructed = {"strict": False, "compose": {}, "groups": {}, "keyed_groups": []}
        self.given = {**constructed, **defaults, **options}

    def get_option(self, option: str, hostvars: t.Any = None) -> t.Any:
        return self.given[option]

    def _read_config_data(self, path: str) -> dict[str, t.Any]:
        return self.given


def parsed(**options: t.Any) -> InventoryData:
    inventory = InventoryData()
    Plugin(options).parse(inventory, DataLoader(), "scopes.yml")
    return inventory


def template(text: str) -> str:
    """What a file that a person wrote holds: since ansible-core 2.19 only that is rendered."""
    try:
        from ansible.template import trust_as_template
    except ImportError:
        return text
    trusted: str = trust_as_template(text)
    return trusted


def variables(inventory: InventoryData, host: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = inventory.hosts[host].get_vars()
    return {name: value for name, value in found.items() if name.startswith(("frugal", "ansible"))}


def members(inventory: InventoryData, group: str) -> set[str]:
    return {host.name for host in inventory.groups[group].get_hosts()}


# -- AWS -----------------------------------------------------------------------------------------------


def test_each_account_in_each_region_is_a_host() -> None:
    inventory = parsed(accounts=ACCOUNTS, regions=["us-east-1", "eu-central-1"])
    assert set(inventory.hosts) == {
        "aws-111111111111-us-east-1",
        "aws-111111111111-eu-central-1",
        "aws-222222222222-us-east-1",
        "aws-222222222222-eu-central-1",
    }
    assert variables(inventory, "aws-111111111111-eu-central-1") == {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "frugal_provider": "aws",
        "frugal_account": "111111111111",
        "frugal_account_name": "production",
        "frugal_region": "eu-central-1",
    }
    assert variables(inventory, "aws-222222222222-us-east-1")["frugal_account_name"] == "222222222222"
    assert members(inventory, "aws") == set(inventory.hosts)
    assert members(inventory, "account_222222222222") == {
        "aws-222222222222-us-east-1",
        "aws-222222222222-eu-central-1",
    }
    assert members(inventory, "region_us_east_1") == {"aws-111111111111-us-east-1", "aws-222222222222-us-east-1"}


def test_roles_and_external_ids() -> None:
    """An account's own role counts before the common name; without a role there is no external id."""
    own = {"id": "333333333333", "role_arn": "arn:aws:iam::333333333333:role/path/own"}
    inventory = parsed(accounts=[*ACCOUNTS, own], regions=["us-east-1"], role_name="frugal", external_id="word")
    first = variables(inventory, "aws-111111111111-us-east-1")
    assert first["frugal_role_arn"] == "arn:aws:iam::111111111111:role/frugal"
    assert first["frugal_external_id"] == "word"
    assert variables(inventory, "aws-333333333333-us-east-1")["frugal_role_arn"] == own["role_arn"]
    plain = variables(
        parsed(accounts=ACCOUNTS, regions=["us-east-1"], external_id="word"), "aws-111111111111-us-east-1"
    )
    assert not {"frugal_role_arn", "frugal_external_id"} & set(plain)


def test_accounts_left_out() -> None:
    inventory = parsed(accounts=ACCOUNTS, exclude_accounts=["111111111111"], regions=["us-east-1"])
    assert set(inventory.hosts) == {"aws-222222222222-us-east-1"}


def test_the_active_accounts_of_an_organization(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Aws] = []

    def pages(self: Aws, service: str, method: str, **_named: t.Any) -> t.Iterator[dict[str, t.Any]]:
        asked.append(self)
        assert (service, method) == ("organizations", "list_accounts")
        yield {"Accounts": [{"Id": "444444444444", "Name": "four", "Status": "ACTIVE"}]}
        yield {
            "Accounts": [
                {"Id": "555555555555", "Name": "five", "Status": "SUSPENDED"},
                # AWS is replacing Status by State.
                {"Id": "666666666666", "Name": "six", "State": "ACTIVE"},
                {"Id": "777777777777", "Name": "seven", "State": "CLOSED", "Status": "ACTIVE"},
            ]
        }

    monkeypatch.setattr(Aws, "pages", pages)
    inventory = parsed(
        organization=True,
        exclude_accounts=["999999999999"],
        regions=["us-east-1"],
        profile="management",
        endpoint_url="http://127.0.0.1:1",
    )
    assert set(inventory.hosts) == {"aws-444444444444-us-east-1", "aws-666666666666-us-east-1"}
    assert variables(inventory, "aws-666666666666-us-east-1")["frugal_account_name"] == "six"
    assert asked[0].connection == {"profile_name": "management"}
    assert asked[0].endpoint_url == "http://127.0.0.1:1"


def test_an_organization_that_may_not_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def pages(*_arguments: t.Any, **_named: t.Any) -> t.NoReturn:
        raise AwsError("AWS denied organizations:ListAccounts (AccessDenied: no): grant that permission to the caller")

    monkeypatch.setattr(Aws, "pages", pages)
    with pytest.raises(AnsibleParserError, match=r"scopes\.yml: AWS denied organizations:ListAccounts"):
        parsed(organization=True, regions=["us-east-1"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"accounts": ACCOUNTS}, "regions is empty: list the AWS regions to look at, such as"),
        ({"accounts": ACCOUNTS, "regions": ["frankfurt"]}, "regions: 'frankfurt' is not an AWS region"),
        ({"accounts": ACCOUNTS, "regions": ["eu-central-1a"]}, "regions: 'eu-central-1a' is not an AWS region"),
        ({"accounts": [{"id": "123"}], "regions": ["us-east-1"]}, "accounts: id '123' is not an AWS account number"),
        ({"accounts": [{"id": 12345678901}], "regions": ["us-east-1"]}, "give 12 digits in quotes"),
        ({"accounts": [{"name": "x"}], "regions": ["us-east-1"]}, "accounts: id '' is not an AWS account number"),
    ],
)
def test_mistakes(options: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(AnsibleParserError) as caught:
        parsed(**options)
    assert sentence in str(caught.value)
    assert "scopes.yml" in str(caught.value)


# -- others --------------------------------------------------------------------------------------------


def test_projects() -> None:
    inventory = parsed(projects=["data-platform"])
    assert variables(inventory, "gcp-data-platform")["frugal_project"] == "data-platform"
    assert members(inventory, "gcp") == {"gcp-data-platform"}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "config"
    path.write_text(deps.yaml.safe_dump(KUBECONFIG), encoding="utf-8")
    return str(path)


def test_contexts(kubeconfig: str) -> None:
    inventory = parsed(contexts=["kind"], kubeconfig=kubeconfig)
    assert set(inventory.hosts) == {"kubernetes-kind"}
    values = variables(inventory, "kubernetes-kind")
    assert (values["frugal_context"], values["frugal_kubeconfig"]) == ("kind", kubeconfig)
    every = parsed(contexts=["*"], kubeconfig=f"{kubeconfig}:/another")
    assert set(every.hosts) == {"kubernetes-kind", "kubernetes-arn-aws-eks-eu-west-1-1-cluster-apps"}
    name = "kubernetes-arn-aws-eks-eu-west-1-1-cluster-apps"
    assert variables(every, name)["frugal_context"] == "arn:aws:eks:eu-west-1:1:cluster/apps"


def test_a_context_that_is_not_there(kubeconfig: str) -> None:
    with pytest.raises(AnsibleParserError, match=r"contexts: 'prod' is not in .*config; it has .*kind"):
        parsed(contexts=["prod"], kubeconfig=kubeconfig)


@pytest.mark.parametrize("content", ["[", "text", "contexts: [{}]", "contexts: 5", "- a"])
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content, encoding="utf-8")
    with pytest.raises(AnsibleParserError, match=r"kubeconfig .*config cannot be read"):
        parsed(contexts=["*"], kubeconfig=str(tmp_path / "config"))


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnsibleParserError, match=r"kubeconfig .*nowhere cannot be read"):
        parsed(contexts=["*"], kubeconfig=str(tmp_path / "nowhere"))


def test_nothing_asked_for_is_no_host() -> None:
    assert set(parsed().hosts) == set()


# -- constructed ---------------------------------------------------------------------------------------


def test_keyed_groups_and_composed_variables() -> None:
    keyed = [{"key": template("frugal_account_name"), "prefix": "stage"}]
    inventory = parsed(
        accounts=ACCOUNTS,
        regions=["us-east-1"],
        keyed_groups=keyed,
        compose={"team": template("frugal_account_name | upper")},
        groups={"prod": template("frugal_account_name == 'production'")},
    )
    assert members(inventory, "stage_production") == {"aws-111111111111-us-east-1"}
    assert members(inventory, "prod") == {"aws-111111111111-us-east-1"}
    assert inventory.hosts["aws-111111111111-us-east-1"].get_vars()["team"] == "PRODUCTION"


def test_strict_refuses_what_cannot_be_composed() -> None:
    options: dict[str, t.Any] = {"projects": ["p"], "compose": {"team": template("nobody_defined_this")}}
    assert "team" not in parsed(**options).hosts["gcp-p"].get_vars()
    with pytest.raises(AnsibleError, match="team"):
        parsed(**options, strict=True)


@pytest.mark.parametrize(
    ("name", "ours"),
    [("scopes.yml", True), ("team.scopes.yaml", True), ("scopes.json", False), ("hosts.yml", False)],
)
def test_which_files_are_ours(tmp_path: Path, name: str, ours: bool) -> None:
    path = tmp_path / name
    path.write_text("plugin: frugal.cloud.scopes\n", encoding="utf-8")
    assert scopes.InventoryModule().verify_file(str(path)) is ours
    assert scopes.InventoryModule().verify_file(str(tmp_path / "missing" / name)) is False
