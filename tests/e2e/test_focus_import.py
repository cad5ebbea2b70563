# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""focus_import as Ansible runs it: check mode, diff, idempotence, a correction, sentences, removal."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.frugal.cloud.tests.e2e.test_cdn import run
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost.focus_files import JULY, JUNE, write_csv


def test_focus_import(tmp_path: Path) -> None:
    dataset = tmp_path / "costs"
    wanted: dict[str, t.Any] = {
        "dataset": str(dataset),
        "source": "aws",
        "paths": [str(tmp_path / "*.csv")],
        "tag_keys": [{"key": "team", "variants": ["squad"]}],
    }
    write_csv(tmp_path / "june.csv", [JUNE, {**JUNE, "BilledCost": -0.5, "EffectiveCost": -0.5}])
    write_csv(tmp_path / "july.csv", [{**JULY, "Tags": '{"Squad": "shop"}'}])

    predicted, output = run("focus_import", wanted, "--check", "--diff")
    assert predicted["changed"] and not dataset.exists()
    assert '+    "2026-07": {' in output
    done, _output = run("focus_import", wanted)
    assert done["periods"] == predicted["periods"]
    assert [(one["period"], one["after"]["BilledCost"], one["negative_rows"]) for one in done["periods"]] == [
        ("2026-06", 1.0, 1),
        ("2026-07", 1.5, 0),
    ]
    assert (done["files"], done["bad_lines"]["count"], done["violations"]) == ({"given": 2, "read": 2}, 0, [])
    again, _output = run("focus_import", wanted)
    assert (again["changed"], again["files"]) == (False, {"given": 2, "read": 0})

    write_csv(tmp_path / "july.csv", [{**JULY, "BilledCost": "much"}])
    refused, output = run("focus_import", wanted)
    assert refused["msg"] == (
        f"{tmp_path}/july.csv line 2, column BilledCost: 'much' is not a number: correct the file, or set "
        "skip_bad_lines to import the rest"
    )
    assert "111122223333" not in output

    gone, _output = run("focus_import", {**wanted, "state": "absent", "paths": None, "periods": ["2026-06"]})
    assert [(one["period"], one["after"]["rows"]) for one in gone["periods"]] == [("2026-06", 0)]
    assert [path.parent.name for path in dataset.glob("*/*.parquet")] == ["BillingPeriod=2026-07"]
    refused, _output = run("focus_import", {**wanted, "paths": None})
    assert refused["msg"] == "paths is empty: name the files to import"
