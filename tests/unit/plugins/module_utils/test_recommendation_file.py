# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recommendations in files: whole or not at all, and what is no such file is refused in a sentence."""

from __future__ import annotations

import gzip
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    InvalidRecord,
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation_file import (
    read_json_lines,
    read_recommendations,
    write_json_lines,
)


def sample(number: int) -> Recommendation:
    return Recommendation(
        action="ec2_instance_type",
        provider="aws",
        scope=Scope("123456789012", "eu-west-1"),
        resource=Resource(f"i-{number}", "ec2_instance", "größer ☁"),
        current={"instance_type": "m5.2xlarge"},
        proposed={"instance_type": "m6i.large"},
        monthly=Monthly(3, 1, 2),
        finding="idle",
        reasons=("two\nlines",),
        binding_constraint="memory",
        risk=Risk.of({}),
        effort="restart",
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    paths = [str(tmp_path / "new" / f"{number}.gz") for number in range(2)]
    for number, path in enumerate(paths):
        write_json_lines(path, (sample(10 * number + item).to_dict() for item in range(3)))
    read = read_recommendations(paths)
    assert read == [sample(number) for number in (0, 1, 2, 10, 11, 12)]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "found.gz"
    write_json_lines(str(path), [{"first": 1}])

    def interrupted() -> t.Iterator[dict[str, int]]:
        yield {"second": 2}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_json_lines(str(path), interrupted())
    assert list(read_json_lines(str(path))) == [{"first": 1}]
    assert [item.name for item in tmp_path.iterdir()] == ["found.gz"]


def test_no_findings_are_an_empty_file(tmp_path: Path) -> None:
    write_json_lines(str(tmp_path / "none.gz"), [])
    assert read_recommendations([str(tmp_path / "none.gz")]) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip", gzip.compress(b"not JSON\n"), gzip.compress(b'{"a": 1}')[:-6]],
    ids=["empty", "text", "not JSON", "cut off"],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    if not content:
        assert list(read_json_lines(str(path))) == []
        return
    with pytest.raises(InvalidRecord, match="other cannot be read as a file of recommendations"):
        list(read_json_lines(str(path)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match=r"nowhere\.gz cannot be read"):
        read_recommendations([str(tmp_path / "nowhere.gz")])


@pytest.mark.parametrize("record", [b"{}", b"[]", b"1"])
def test_json_that_is_no_recommendation(tmp_path: Path, record: bytes) -> None:
    path = tmp_path / "other.gz"
    path.write_bytes(gzip.compress(record + b"\n"))
    with pytest.raises(InvalidRecord, match="not a recommendation"):
        read_recommendations([str(path)])
