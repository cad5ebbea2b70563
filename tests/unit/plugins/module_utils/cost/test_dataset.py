# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file a billing period and source, replaced as a whole or not at all."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, DatasetError, following, month
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus import BY_NAME, COLUMNS, tag_column

MAY, JUNE, JULY = (datetime.date(2026, number, 1) for number in (5, 6, 7))


def put(dataset: Dataset, source: str, period: datetime.date, text: str) -> None:
    with dataset.locked(), dataset.replacing(source, period) as path:
        path.write_text(text)


def test_a_period_is_replaced_and_others_stay(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    put(dataset, "aws-payer", MAY, "may")
    put(dataset, "aws-payer", JUNE, "june")
    put(dataset, "gcp", JUNE, "other")
    put(dataset, "aws-payer", JUNE, "corrected")
    assert [(part.period, part.source, part.path.read_text()) for part in dataset.parts()] == [
        (MAY, "aws-payer", "may"),
        (JUNE, "aws-payer", "corrected"),
        (JUNE, "gcp", "other"),
    ]
    assert [part.period for part in dataset.parts(sources=["aws-payer"], since=JUNE)] == [JUNE]
    assert [part.period for part in dataset.parts(until=JUNE)] == [MAY]
    dataset.remove("aws-payer", MAY)
    assert dataset.parts(until=JUNE) == []


def test_what_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    put(dataset, "aws", JUNE, "whole")
    with pytest.raises(RuntimeError), dataset.locked(), dataset.replacing("aws", JUNE) as path:
        path.write_text("half")
        raise RuntimeError
    assert [part.path.read_text() for part in dataset.parts()] == ["whole"]
    assert list(tmp_path.rglob(".aws.parquet")) == []


def test_what_a_killed_import_left_is_no_part_and_goes(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    put(dataset, "aws", JUNE, "whole")
    left = tmp_path / "BillingPeriod=2026-06" / ".aws.parquet"
    left.write_text("half")
    assert len(dataset.parts()) == 1
    put(dataset, "gcp", JUNE, "other")
    assert not left.exists()


def test_two_imports_do_not_meet(tmp_path: Path) -> None:
    first, second = Dataset(tmp_path), Dataset(tmp_path)
    with first.locked(), pytest.raises(DatasetError, match="another import writes to"), second.locked():
        pytest.fail("two imports at once")


@pytest.mark.parametrize("name", ["", "../x", "Payer", "a b", ".hidden", "a" * 65])
def test_a_source_is_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="source is"):
        Dataset(tmp_path).path(name, JUNE)


def test_months() -> None:
    assert month(datetime.date(2026, 6, 30)) == JUNE
    assert following(JUNE) == JULY
    assert following(datetime.date(2026, 12, 1)) == datetime.date(2027, 1, 1)


def test_columns_of_each_version() -> None:
    """43 columns in FOCUS 1.0, 50 in 1.1, 57 in 1.2."""
    assert len(BY_NAME) == len(COLUMNS) == 57
    assert sum(column.since == "1.0" for column in COLUMNS) == 43
    assert sum(column.since != "1.2" for column in COLUMNS) == 50
    assert tag_column("Cost-Center") == "x_tag_cost_center"
