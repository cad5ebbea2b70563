# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost files become whole billing periods; what is wrong with them is said with its place, and changes nothing."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, DatasetError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import Outcome, Request, run
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_remove import remove
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import FocusError, TagKey
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost.focus_files import (
    BASE,
    JULY,
    JUNE,
    write_csv,
)

duckdb = pytest.importorskip("duckdb")
FIRST = {month: datetime.date(2026, month, 1) for month in range(1, 13)}


def imported(dataset: Dataset, *paths: str, check: bool = False, **more: t.Any) -> Outcome:
    return run(dataset, Request("aws", list(paths), **more), check=check)


def sums(dataset: Dataset) -> dict[int, float]:
    """Billed cost by month of the billing period."""
    files = [str(part.path) for part in dataset.parts()]
    if not files:
        return {}
    return dict(
        duckdb.sql(
            f'SELECT month("BillingPeriodStart"), round(sum("BilledCost"), 6) FROM read_parquet({files}) GROUP BY ALL'
        ).fetchall()
    )


def states(dataset: Dataset) -> dict[str, tuple[int, bytes]]:
    """Time and bytes of each file of the dataset."""
    return {str(part.path): (part.path.stat().st_mtime_ns, part.path.read_bytes()) for part in dataset.parts()}


def refused(dataset: Dataset, *paths: str, **more: t.Any) -> str:
    """The sentence with which an import is refused, after which the dataset is what it was."""
    before = states(dataset)
    with pytest.raises(FocusError) as failed:
        imported(dataset, *paths, **more)
    assert states(dataset) == before
    assert not list(dataset.root.glob("*/.*")) and not list(dataset.root.glob(".staging-*"))
    sentence = str(failed.value)
    assert "\n" not in sentence
    return sentence


def test_messy_csv_is_read_as_it_is_meant(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    rows: list[dict[str, t.Any]] = [
        {"Tags": '{"team": "shop", "note": "a, \\"b\\""}', "Id": 7, "ResourceId": "NULL"},
        {"BillingPeriodStart": "2026-06-01 00:00:00", "ChargePeriodStart": "2026-06-05 01:00:00", "Tags": "NULL"},
        # An offset is not lost: 02:00 two hours east of Greenwich is midnight.
        {"ChargePeriodStart": "2026-06-05T02:00:00+02:00", "ChargeCategory": "usage", "ChargeFrequency": "Usage-based"},
        {"BilledCost": "-0.5", "EffectiveCost": "-0.5", "ChargeDescription": "two\nlines"},
        {"BilledCost": "0", "EffectiveCost": "0.0", "ContractedCost": "NULL", "PublisherName": ""},
        {"BilledCost": "1e-7", "EffectiveCost": "1e-7"},
    ]
    path = write_csv(tmp_path / "messy.csv.gz", rows)
    outcome = imported(dataset, path, tag_keys=[TagKey("team")])
    (june,) = outcome.written.periods
    assert (june.after.rows, june.negative_rows, june.zero_rows) == (6, 1, 1)
    assert june.after.billed == pytest.approx(4.0000001)
    assert outcome.assumed == {"ContractedCost": 1, "PublisherName": 1}
    found = duckdb.sql(
        'SELECT "ChargePeriodStart", "ChargeCategory", "ChargeFrequency", "ResourceId", "x_Id", "x_tag_team", '
        f'"PublisherName", "ContractedCost", "ChargeDescription" FROM \'{dataset.root}/*/*.parquet\' '
        'WHERE "x_tag_team" IS NULL ORDER BY "ChargePeriodStart", "BilledCost"'
    ).fetchall()
    midnight = datetime.datetime(2026, 6, 5)
    assert [row[0] for row in found] == [midnight] * 4 + [datetime.datetime(2026, 6, 5, 1)]
    assert {row[1:4] for row in found} == {("Usage", "Usage-Based", None)}
    assert {row[4:6] for row in found} == {(None, None)}
    assert ("AWS", 0.0) in {row[6:8] for row in found}
    assert "two\nlines" in {row[8] for row in found}


def test_what_is_there_is_not_read_again_and_only_new_months_are(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    june = write_csv(tmp_path / "june.csv", [JUNE])
    july = write_csv(tmp_path / "july.csv", [JULY, {**JULY, "BilledCost": 2}])
    assert imported(dataset, june, july).read == 2
    before = states(dataset)
    again = imported(dataset, str(tmp_path / "*.csv"))
    assert (again.read, again.written.changed, again.files) == (0, False, 2)
    assert [one.after.billed for one in again.written.periods] == [1.5, 3.5]
    assert states(dataset) == before

    # A correction of July comes weeks later: July is another, June is not touched.
    write_csv(tmp_path / "july.csv", [{**JULY, "BilledCost": 10}])
    told = imported(dataset, str(tmp_path / "*.csv"), check=True)
    assert told.written.changed and states(dataset) == before
    corrected = imported(dataset, str(tmp_path / "*.csv"))
    assert corrected.read == 1
    assert [(one.period, one.changed) for one in corrected.written.periods] == [(FIRST[6], False), (FIRST[7], True)]
    assert corrected.written.periods[1].before is not None
    assert (corrected.written.periods[1].before.billed, corrected.written.periods[1].after.billed) == (3.5, 10)
    assert sums(dataset) == {6: 1.5, 7: 10.0}

    # A new file adds to July: the file that is known is read again, since its rows belong to the same month.
    write_csv(tmp_path / "late.csv", [{**JULY, "BilledCost": 1, "ServiceName": "Amazon Athena"}])
    assert imported(dataset, str(tmp_path / "*.csv")).read == 2
    assert sums(dataset) == {6: 1.5, 7: 11.0}
    # Without it, July is what the other file says again.
    assert imported(dataset, june, july).read == 1
    assert sums(dataset) == {6: 1.5, 7: 10.0}
    # Other tags are other files.
    assert imported(dataset, june, july, tag_keys=[TagKey("team")]).read == 2


def test_check_mode_makes_no_folder(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    outcome = imported(dataset, write_csv(tmp_path / "june.csv", [JUNE]), check=True)
    assert outcome.written.changed and not dataset.root.exists()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"BilledCost": "abc"}, ("line 5", "column BilledCost", "'abc' is not a number")),
        ({"ChargePeriodStart": "yesterday"}, ("line 5", "column ChargePeriodStart", "'yesterday' is not a time")),
        ({"BillingCurrency": ""}, ("line 5", "column BillingCurrency", "empty")),
        ({"BillingAccountId": "NULL"}, ("line 5", "column BillingAccountId", "empty")),
        ({"Tags": "team=shop"}, ("line 5", "column Tags", "JSON object")),
        ({"Tags": "[1]"}, ("line 5", "column Tags", "JSON object")),
        ({"BillingPeriodEnd": "2026-05-01"}, ("line 5", "column BillingPeriodEnd", "not after BillingPeriodStart")),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_broken_line_is_named_and_skipped_only_if_asked(
    tmp_path: Path, row: dict[str, str], words: tuple[str, ...], suffix: str
) -> None:
    dataset = Dataset(tmp_path / "costs")
    imported(dataset, write_csv(tmp_path / "before.csv", [{"BilledCost": 99}]))
    # The second charge takes two lines, so the broken one is in line 5.
    rows = [{}, {"ChargeDescription": "two\nlines"}, row, {"BilledCost": 7}]
    path = write_csv(tmp_path / f"broken{suffix}", rows)
    sentence = refused(dataset, path)
    for word in (path, *words, "skip_bad_lines"):
        assert word in sentence
    outcome = imported(dataset, path, skip_bad_lines=True)
    assert outcome.bad_lines == 1 and outcome.broken[0].line == 5
    assert sums(dataset) == {6: 10.0}
    assert not imported(dataset, path, skip_bad_lines=True).written.changed


def test_lines_with_too_few_or_many_columns_are_named(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    path = tmp_path / "short.csv"
    write_csv(path, [{}, {}])
    whole = path.read_text()
    path.write_text(f"{whole}1.5,111122223333,payer\n")
    assert f"{path} line 4, column BillingCurrency: the line ends before it" in refused(dataset, str(path))
    path.write_text(whole.rstrip() + ",more,and more\n")
    assert f"{path} line 3: the line has more than {len(BASE)} columns" in refused(dataset, str(path))


def test_what_is_no_cost_data_is_said(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    nothing = tmp_path / "nothing.csv"
    nothing.write_text("")
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    packed = tmp_path / "cut.csv.gz"
    write_csv(packed, [{}] * 100)
    packed.write_bytes(packed.read_bytes()[:-20])
    assert "no header" in refused(dataset, str(nothing))
    assert "none of the known exports" in refused(dataset, str(other))
    assert "no column BilledCost" in refused(dataset, str(other), format="focus")
    assert "cut.csv.gz cannot be read" in refused(dataset, str(packed))
    assert "'/nowhere/*.csv', where there is no file" in refused(dataset, "/nowhere/*.csv")
    assert "paths is empty" in refused(dataset)
    good = write_csv(tmp_path / "good.csv", [{}])
    assert "memory_limit is 'much'" in refused(dataset, good, memory_limit="much")
    with pytest.raises(DatasetError, match="small letters"):
        run(dataset, Request("../x", [good]))


def test_currencies_are_not_added(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    usd = write_csv(tmp_path / "usd.csv", [{}])
    eur = write_csv(tmp_path / "eur.csv", [{"BillingCurrency": "EUR"}])
    odd = write_csv(tmp_path / "odd.csv", [{"BillingCurrency": "Credits"}])
    assert "EUR" in refused(dataset, usd, eur) and "USD" in refused(dataset, usd, eur)
    assert "source of its own" in refused(dataset, usd, eur)
    assert "'Credits', which is no currency" in refused(dataset, odd)
    assert "charges in EUR, and currency is USD" in refused(dataset, eur, currency="USD")
    assert imported(dataset, eur, currency="EUR").written.periods[0].currency == "EUR"


def test_charges_count_once(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    june = write_csv(tmp_path / "june.csv", [{}])
    (tmp_path / "copy.csv").write_bytes((tmp_path / "june.csv").read_bytes())
    assert "hold the same" in refused(dataset, june, str(tmp_path / "copy.csv"))
    across = {"BillingPeriodStart": "2026-06-15T00:00:00Z", "BillingPeriodEnd": "2026-07-15T00:00:00Z"}
    overlapping = write_csv(tmp_path / "across.csv", [across])
    sentence = refused(dataset, june, overlapping)
    assert "2026-06-01 to 2026-07-01 and 2026-06-15 to 2026-07-15" in sentence
    assert "111122223333" not in sentence
    imported(dataset, june)
    # Another source with the same account in the same month.
    with pytest.raises(FocusError, match=r"source 'aws' has charges .* in 2026-06 already") as failed:
        run(dataset, Request("explorer", [june]))
    assert "444455556666" not in str(failed.value)
    # Another account of the same payer is fine, and so is another month.
    run(dataset, Request("other", [write_csv(tmp_path / "b.csv", [{"SubAccountId": "777788889999"}, JULY])]))
    assert sums(dataset) == {6: 3.0, 7: 1.5}


def test_parquet_and_lines_of_json_are_the_same_as_csv(tmp_path: Path) -> None:
    rows = [{**BASE, "Tags": {"team": "shop", "env": "prod"}, "ResourceId": None}, {**BASE, **JULY, "Tags": None}]
    path = tmp_path / "focus.json"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    # As Google writes FOCUS: times with UTC, tags as a list, small letters.
    google = [
        {
            **one,
            "Tags": [{"key": key, "value": value} for key, value in (one["Tags"] or {}).items()],
            "ChargeCategory": "usage",
            "ChargePeriodStart": one["ChargePeriodStart"].replace("T", " ").replace("Z", ".000000 UTC"),
            "BilledCost": str(one["BilledCost"]),
        }
        for one in rows
    ]
    (tmp_path / "google.json").write_text("".join(json.dumps(one) + "\n" for one in google))
    write_csv(
        tmp_path / "focus.csv",
        [{**one, "Tags": json.dumps(one["Tags"], separators=(",", ":")) if one["Tags"] else ""} for one in rows],
    )
    duckdb.sql(
        "COPY (SELECT * REPLACE (CAST(BillingPeriodStart AS TIMESTAMPTZ) AS BillingPeriodStart, "
        "CAST(BilledCost AS DECIMAL(18, 6)) AS BilledCost, map_from_entries([{k: 'team', v: 'shop'}, {k: 'env', "
        f"v: 'prod'}}]) AS Tags) FROM read_json('{path}') WHERE month(CAST(BillingPeriodStart AS TIMESTAMP)) = 6 "
        f"UNION ALL BY NAME SELECT * EXCLUDE (Tags) FROM read_json('{path}') "
        f"WHERE month(CAST(BillingPeriodStart AS TIMESTAMP)) = 7) TO '{tmp_path}/focus.parquet' (FORMAT parquet)"
    )
    found = {}
    for name in ("focus.csv", "focus.json", "focus.parquet", "google.json"):
        dataset = Dataset(tmp_path / f"costs-{name}")
        imported(dataset, str(tmp_path / name), tag_keys=[TagKey("team"), TagKey("env")])
        found[name] = duckdb.sql(
            f"SELECT * FROM read_parquet('{dataset.root}/*/*.parquet', hive_partitioning = false) ORDER BY ALL"
        ).fetchall()
    assert found["focus.csv"] == found["focus.json"] == found["focus.parquet"]
    assert [row[-2:] for row in found["focus.csv"]] == [("shop", "prod"), (None, None)]
    assert [row[-2:] for row in found["google.json"]] == [("shop", "prod"), (None, None)]
    assert [row[1] for row in found["google.json"]] == [1.5, 1.5]


def test_broken_lines_of_json_are_named(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    path = tmp_path / "focus.json"
    lines = [json.dumps(BASE), json.dumps({**BASE, "BilledCost": "abc"}), json.dumps(BASE)]
    path.write_text("\n".join(lines))
    assert f"{path} line 2, column BilledCost: it is not a number" in refused(dataset, str(path))
    path.write_text("\n".join([lines[0], lines[2], '{"BilledCost":']))
    assert f"{path} line 3: it is no JSON at character" in refused(dataset, str(path))
    outcome = imported(dataset, str(path), skip_bad_lines=True)
    assert outcome.bad_lines == 1 and sums(dataset) == {6: 3.0}


def test_own_columns_and_the_dataset_itself_can_be_imported_again(tmp_path: Path) -> None:
    dataset, copy = Dataset(tmp_path / "costs"), Dataset(tmp_path / "copy")
    imported(
        dataset, write_csv(tmp_path / "a.csv", [{"Tags": '{"team": "shop"}', "x_Mine": 5}]), tag_keys=[TagKey("team")]
    )
    imported(copy, str(dataset.root / "*/*.parquet"), tag_keys=[TagKey("team")])
    read = "SELECT * FROM read_parquet('{}/*/*.parquet', hive_partitioning = false)"
    assert duckdb.sql(read.format(copy.root)).fetchall() == duckdb.sql(read.format(dataset.root)).fetchall()


def test_periods_are_removed(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    imported(dataset, write_csv(tmp_path / "a.csv", [JUNE, JULY]))
    with pytest.raises(FocusError, match="'June'"):
        remove(dataset, "aws", ["June"])
    assert [one.period for one in remove(dataset, "aws", ["2026-06"], check=True)] == [FIRST[6]]
    assert sums(dataset) == {6: 1.5, 7: 1.5}
    assert [one.before and one.before.billed for one in remove(dataset, "aws", ["2026-06"])] == [1.5]
    assert sums(dataset) == {7: 1.5}
    assert remove(dataset, "aws", ["2026-06"]) == () and remove(dataset, "other") == ()
    # What was removed is there again after the next import, though its file is known from July.
    assert imported(dataset, str(tmp_path / "a.csv")).read == 1
    assert sums(dataset) == {6: 1.5, 7: 1.5}


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from ansible_collections.frugal.cloud.plugins.module_utils.cost import dataset, focus_import
    root, path, wait_for = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    replaced = []
    real = Path.replace
    def counted(self, target):
        # Dies with SIGKILL in front of the given rename: before any (0), or between two billing periods (1).
        if len(replaced) == wait_for:
            os.kill(os.getpid(), signal.SIGKILL)
        replaced.append(self)
        return real(self, target)
    Path.replace = counted
    focus_import.run(dataset.Dataset(root), focus_import.Request("aws", [path]))
"""


@pytest.mark.parametrize("renames", [0, 1])
def test_an_import_killed_half_way_loses_nothing_and_the_next_one_finishes(tmp_path: Path, renames: int) -> None:
    dataset = Dataset(tmp_path / "costs")
    imported(dataset, write_csv(tmp_path / "a.csv", [JUNE, JULY]))
    new = write_csv(tmp_path / "b.csv", [{**JUNE, "BilledCost": 10}, {**JULY, "BilledCost": 20}])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(dataset.root), new, str(renames)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    # Each billing period is the old one or the new one, as a whole, and no reader sees what was on its way.
    found = sums(dataset)
    assert sorted(found) == [6, 7]
    assert [found[6] == 10.0, found[7] == 20.0].count(True) == renames
    assert {found[6], found[7]} <= {1.5, 10.0, 20.0}
    assert list(dataset.root.glob("BillingPeriod=*/.*.parquet"))
    finished = imported(dataset, new)
    assert finished.written.changed
    assert sums(dataset) == {6: 10.0, 7: 20.0}
    assert not list(dataset.root.glob("BillingPeriod=*/.*.parquet")) and not list(dataset.root.glob(".staging-*"))
    assert not imported(dataset, new).written.changed


def test_an_import_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """Where the process really is when it dies is up to the clock: what was there before is there, whole."""
    dataset = Dataset(tmp_path / "costs")
    imported(dataset, write_csv(tmp_path / "a.csv", [JUNE, JULY]))
    new = write_csv(tmp_path / "b.csv", [{**JUNE, "BilledCost": 10}] * 20_000 + [{**JULY, "BilledCost": 20}])
    program = textwrap.dedent(KILLED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, "-c", program, str(dataset.root), new, "-1"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 30
        while not list(dataset.root.glob(".staging-*/*.parquet")) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.kill()
    assert sums(dataset) in ({6: 1.5, 7: 1.5}, {6: 200_000.0, 7: 1.5}, {6: 1.5, 7: 20.0}, {6: 200_000.0, 7: 20.0})
    imported(dataset, new)
    assert sums(dataset) == {6: 200_000.0, 7: 20.0}
    assert not list(dataset.root.glob(".staging-*"))
