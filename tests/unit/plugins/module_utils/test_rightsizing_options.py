# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of EC2 rightsizing: what they mean, and one sentence for each value that cannot be used."""

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.plugins.doc_fragments.rightsizing import ModuleDocFragment
from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError
from ansible_collections.frugal.cloud.plugins.module_utils.policy import PolicyError
from ansible_collections.frugal.cloud.plugins.module_utils.rightsizing_options import (
    OPTIONS,
    InvalidRequest,
    request_from,
)


def params(**given: t.Any) -> dict[str, t.Any]:
    """What a module gets where a user gives ``given``."""
    checked = ArgumentSpecValidator({**OPTIONS, "data_directory": {"type": "path"}}).validate(given)
    assert not checked.error_messages, checked.error_messages
    return t.cast("dict[str, t.Any]", checked.validated_parameters)


def test_defaults() -> None:
    """32 days hold a month with its end, all metrics, list prices where Cost Explorer is not asked."""
    request = request_from(params())
    assert request.lookback_days == 32
    assert set(request.metrics) == {"cpu", "memory", "network", "packets", "ebs", "credits"}
    assert request.use_commitments
    assert request.prometheus is None
    assert request.options.method == "risk_priced"
    assert abs(request.as_of - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=1)
    # Nowhere to keep anything.
    request.cache.store("kind", "key", request.as_of.date(), 1)
    assert request.cache.load("kind", "key") is None


def test_each_option_reaches_what_it_is_about(tmp_path: Path) -> None:
    request = request_from(
        params(
            as_of="2026-06-15T12:00:00Z",
            filters={"tag:env": "prod", "instance-type": ["m5.large", "m5.xlarge"], "owner-id": 111111111111},
            instance_ids=["i-1"],
            metrics=["cpu", "memory"],
            lookback_days=14,
            trust_usage_before_restart=True,
            method="percentile",
            cpu_percentile=95,
            cpu_headroom=0.3,
            memory_headroom=0.1,
            minimum_saving=5,
            allow_burstable=False,
            allow_architecture_change=True,
            explain=True,
            commitments="none",
            price_refresh_days=1,
            price_offline_days=2,
            prometheus={"url": "http://prometheus.example/", "label": "node", "username": "u", "password": "p"},
            policy={"minimum_saving": 7},
            data_directory=str(tmp_path),
        )
    )
    assert request.as_of == datetime.datetime(2026, 6, 15, 12, tzinfo=datetime.timezone.utc)
    assert request.filters == {
        "tag:env": ["prod"],
        "instance-type": ["m5.large", "m5.xlarge"],
        "owner-id": ["111111111111"],
    }
    assert list(request.instance_ids) == ["i-1"]
    assert request.trust_usage_before_restart
    assert not request.use_commitments
    options = request.options
    assert (options.method, options.percentile, options.cpu_headroom) == ("percentile", 95, 0.3)
    assert (options.memory_headroom, options.minimum_saving, options.explain) == (0.1, 5, True)
    assert (options.allow_burstable, options.allow_architecture_change) == (False, True)
    assert (request.prices.refresh_days, request.prices.offline_days) == (1, 2)
    assert request.prometheus is not None
    assert request.prometheus.url == "http://prometheus.example"
    assert request.prometheus_label == "node"
    assert request.policy.minimum_saving == 7
    request.cache.store("kind", "key", request.as_of.date(), 1)
    assert request.cache.load("kind", "key") == (request.as_of.date(), 1)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"lookback_days": 0}, InvalidRequest, "lookback_days is 0: it must be from 1 to 200"),
        ({"lookback_days": 201}, InvalidRequest, "lookback_days is 201: it must be from 1 to 200"),
        ({"metrics": ["memory"]}, InvalidRequest, "metrics must hold cpu"),
        ({"metrics": []}, InvalidRequest, "metrics must hold cpu"),
        ({"as_of": "tomorrow"}, OptionError, "as_of is 'tomorrow'"),
        ({"policy": {"minimum": 1}}, PolicyError, "minimum is not a key that a policy has"),
        ({"policy": "/nowhere/policy.yml"}, PolicyError, "/nowhere/policy.yml"),
        ({"cpu_percentile": 101}, InvalidRequest, "cpu_percentile is 101: it must be from 50 to 100"),
        ({"cpu_headroom": -1}, ValueError, "cpu_headroom"),
        ({"overload_minute_price": -0.5}, ValueError, "overload_minute_price"),
    ],
)
def test_values_that_cannot_be_used(given: dict[str, t.Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence.replace(".", r"\.")) as caught:
        request_from(params(**given))
    assert "\n" not in str(caught.value)
    assert type(caught.value).__module__.startswith("ansible_collections.frugal.cloud.")


def test_what_is_documented_is_what_there_is() -> None:
    """Names, types, defaults and choices of the fragment and of the code are the same."""
    documented = deps.yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert set(documented) == set(OPTIONS)
    for name, option in OPTIONS.items():
        told = documented[name]
        assert told.get("type", "str") == option["type"], name
        assert told.get("default") == option.get("default"), name
        assert told.get("choices") == option.get("choices"), name
        inner = option.get("options", {})
        assert set(told.get("suboptions", {})) == set(inner), name
        for key, value in inner.items():
            assert told["suboptions"][key].get("default") == value.get("default"), f"{name}.{key}"
            assert told["suboptions"][key].get("required", False) == value.get("required", False), f"{name}.{key}"


def test_secrets_are_marked() -> None:
    assert OPTIONS["prometheus"]["options"]["password"]["no_log"]
    assert OPTIONS["prometheus"]["options"]["bearer_token"]["no_log"]
