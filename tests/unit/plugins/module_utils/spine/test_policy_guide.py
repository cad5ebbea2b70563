# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy guide tells the truth."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml
from ansible_collections.frugal.cloud.plugins.module_utils.policy import (
    POLICY_OPTIONS,
    REFUSED_MANAGERS,
    Policy,
    PolicyError,
)

GUIDE = pathlib.Path(__file__).resolve().parents[5] / "docs" / "guides" / "policy.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def test_the_example_is_a_policy() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert examples
    for example in examples:
        policy = Policy.from_dict(yaml.safe_load(example))
        assert len(policy.freeze_windows) == 3 and len(policy.approval) == 3


def rows_of(text: str) -> dict[str, str]:
    """The second column of the table's rows by the first."""
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))


def shown(spec: dict[str, t.Any]) -> str:
    """A default as the guide writes it."""
    return f"{spec['default']:g}" if spec["type"] != "str" else spec["default"]


def test_all_keys_are_in_the_table_with_their_defaults() -> None:
    policy, marker, slos = TEXT.partition("**`slos`**")
    assert marker
    rows = rows_of(policy)
    assert set(rows) == set(POLICY_OPTIONS)
    for key, spec in POLICY_OPTIONS.items():
        if isinstance(spec.get("default"), (int, float, str)):
            assert rows[key] == shown(spec)
    assert rows["refuse_managed_by"] == ", ".join(REFUSED_MANAGERS)
    assert rows["allowed_efforts"] == ", ".join(POLICY_OPTIONS["allowed_efforts"]["default"])
    rows = rows_of(slos)
    options = POLICY_OPTIONS["slos"]["options"]
    assert set(rows) == set(options)
    for key, spec in options.items():
        if isinstance(spec.get("default"), (int, float, str)) and spec["default"] != "":
            assert rows[key] == shown(spec)


def test_the_sentence_is_the_one_that_is_said() -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.from_dict({"maximum_risk": "tiny"}, "policy '/etc/frugal/policy.yml'")
    assert str(caught.value) in TEXT
