# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows made in Python become whole billing periods of the dataset, or nothing at all."""

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, DatasetError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import (
    FocusError,
    TagKey,
    write_rows,
)

duckdb = pytest.importorskip("duckdb")
JUNE, JULY = datetime.date(2026, 6, 1), datetime.date(2026, 7, 1)


def row(day: int, cost: float, month: int = 6, **more: t.Any) -> dict[str, t.Any]:
    start = datetime.date(2026, month, day)
    return {
        "BilledCost": cost,
        "BillingAccountId": "111122223333",
        "BillingCurrency": "USD",
        "BillingPeriodStart": datetime.date(2026, month, 1),
        "ChargeCategory": "Usage",
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + datetime.timedelta(days=1),
        "ProviderName": "AWS",
        "ServiceName": "Amazon Simple Queue Service",
        **more,
    }


def read(dataset: Dataset, columns: str, order: str = "ALL") -> list[tuple[t.Any, ...]]:
    files = [str(part.path) for part in dataset.parts()]
    found: list[tuple[t.Any, ...]] = duckdb.sql(
        f"SELECT {columns} FROM read_parquet({files}, union_by_name = true) ORDER BY {order}"
    ).fetchall()
    return found


def test_rows_become_periods_with_all_columns_in_their_types(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    zone = datetime.timezone(datetime.timedelta(hours=2))
    written = write_rows(
        dataset,
        "api",
        [
            row(2, 1.5, Tags={"Team": "shop", "size": 3}),
            row(3, -0.5, month=7),
            row(4, 0, month=7, ChargePeriodStart=datetime.datetime(2026, 7, 4, 1, tzinfo=zone), x_Origin="test"),
        ],
        [TagKey("team"), TagKey("cost-center", ("CostCenter",))],
    )
    assert written.changed and written.rows == 3
    assert [
        (one.period, one.before, one.after.billed, one.negative_rows, one.zero_rows) for one in written.periods
    ] == [
        (JUNE, None, 1.5, 0, 0),
        (JULY, None, -0.5, 1, 1),
    ]
    kinds = {"text": "VARCHAR", "number": "DOUBLE", "moment": "TIMESTAMP", "map": "VARCHAR"}
    for part in dataset.parts():
        found = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{part.path}', hive_partitioning = false)").fetchall()
        assert [tuple(column[:2]) for column in found] == [
            *((column.name, kinds[column.kind]) for column in focus.COLUMNS),
            *((name, "VARCHAR") for name in ("x_Origin", "x_tag_team", "x_tag_cost_center")),
        ]
    moments = [moment for (moment,) in read(dataset, '"ChargePeriodStart"')]
    assert moments[-1] == datetime.datetime(2026, 7, 3, 23)
    assert read(dataset, '"x_tag_team", "Tags"')[0] == ("shop", '{"Team": "shop", "size": 3}')
    # What may not be null and was not given has a stand-in.
    assert read(dataset, '"EffectiveCost", "ListCost", "PublisherName", "ServiceCategory", "BillingPeriodEnd"')[-1] == (
        1.5,
        1.5,
        "AWS",
        "Other",
        datetime.datetime(2026, 7, 1),
    )


def test_the_same_rows_change_nothing_and_a_correction_replaces_its_period_only(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    rows = [row(1, 1.0), row(2, 2.0), row(1, 4.0, month=7)]
    write_rows(dataset, "api", rows)
    before = {part.period: part.path.stat().st_mtime_ns for part in dataset.parts()}
    again = write_rows(dataset, "api", reversed(rows))
    assert not again.changed
    assert {part.period: part.path.stat().st_mtime_ns for part in dataset.parts()} == before
    told = write_rows(dataset, "api", [row(1, 1.0), row(2, 2.5)], check=True)
    assert told.changed and told.periods[0].before is not None and told.periods[0].before.billed == 3.0
    assert read(dataset, 'sum("BilledCost")') == [(7.0,)]
    corrected = write_rows(dataset, "api", [row(1, 1.0), row(2, 2.5)])
    assert [one.period for one in corrected.periods if one.changed] == [JUNE]
    assert read(dataset, 'sum("BilledCost")') == [(7.5,)]
    # Another wish for tags is another file, of the same money.
    assert write_rows(dataset, "api", [row(1, 1.0), row(2, 2.5)], [TagKey("team")]).changed


def test_a_spelling_that_has_a_value_counts(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    tags = [{"env": "", "Environment": "prod"}, {"ENV": "dev"}, {"user:env": "test"}, {"stage": "x"}, {}]
    write_rows(
        dataset,
        "api",
        [row(number, 1.0, Tags=one) for number, one in enumerate(tags, 1)],
        [TagKey("env", ("environment",))],
    )
    assert read(dataset, '"x_tag_env"', '"ChargePeriodStart"') == [("prod",), ("dev",), ("test",), (None,), (None,)]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"BilledCost": None}, ("row 2", "BilledCost")),
        ({"BilledCost": "1"}, ("row 2", "BilledCost '1'", "number")),
        ({"BilledCost": float("nan")}, ("row 2", "BilledCost", "number")),
        ({"BillingCurrency": "Dollar"}, ("row 2", "'Dollar'", "ISO 4217")),
        ({"BillingCurrency": "EUR"}, ("row 2", "EUR", "USD", "source of its own")),
        ({"Cost": 1}, ("row 2", "'Cost'", "x_")),
        ({"Tags": "a=b"}, ("row 2", "Tags", "mapping")),
        ({"ServiceName": 1.5}, ("row 2", "ServiceName", "text")),
        ({"ChargePeriodEnd": datetime.date(2026, 6, 1)}, ("row 2", "ChargePeriodEnd", "not after")),
        ({"ChargePeriodStart": "yesterday"}, ("row 2", "'yesterday'", "2026-01-31T06:00:00Z")),
    ],
)
def test_a_row_that_cannot_be_is_refused_and_nothing_is_changed(
    tmp_path: Path, more: dict[str, t.Any], words: tuple[str, ...]
) -> None:
    dataset = Dataset(tmp_path)
    write_rows(dataset, "api", [row(1, 1.0)])
    with pytest.raises(FocusError) as failed:
        write_rows(dataset, "api", [row(1, 5.0), row(2, 1.0, **more)])
    for word in words:
        assert word in str(failed.value)
    assert "\n" not in str(failed.value)
    assert read(dataset, 'sum("BilledCost")') == [(1.0,)]


def test_names_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="small letters"):
        write_rows(Dataset(tmp_path), "My Source", [row(1, 1.0)])
    with pytest.raises(FocusError, match="twice"):
        write_rows(Dataset(tmp_path), "api", [row(1, 1.0)], [TagKey("cost-center"), TagKey("Cost Center")])
    with pytest.raises(FocusError, match="empty"):
        write_rows(Dataset(tmp_path), "api", [row(1, 1.0)], [TagKey("")])
    assert write_rows(Dataset(tmp_path), "api", []).periods == ()
