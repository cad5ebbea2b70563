# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monthly report adds up, compares only what can be compared, and shows nobody's account."""

from __future__ import annotations

import csv
import json
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("ibis")
pytest.importorskip("pyarrow")

from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus, report_options
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import RulesError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_options import COST_OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import TagKey, write_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.queries import QueryError
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost import costs_sample

JULY, AUGUST, SEPTEMBER = costs_sample.MONTHS
USD = [row for row in costs_sample.rows() if row["BillingCurrency"] == "USD"]
RULES: dict[str, t.Any] = {
    "tags": ["team"],
    "inherit": [{"column": "SubAccountName", "owners": {"shop-prod": "shop"}}],
    "shared": [{"name": "platform", "owners": ["platform"]}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return costs_sample.dataset(tmp_path_factory.mktemp("costs"))


def params(folder: Path, **given: t.Any) -> dict[str, t.Any]:
    """As Ansible hands them over: defaults filled in, suboptions too."""

    def filled(options: dict[str, t.Any], values: dict[str, t.Any]) -> dict[str, t.Any]:
        done = {name: values.get(name, option.get("default")) for name, option in options.items()}
        for name, option in options.items():
            if "options" in option and done[name]:
                value = done[name]
                done[name] = (
                    [filled(option["options"], item) for item in value]
                    if isinstance(value, list)
                    else filled(option["options"], value)
                )
        return done

    return filled({**COST_OPTIONS, **report_options.OPTIONS}, {"cost_url": str(folder), **given})


def report(folder: Path, **given: t.Any) -> dict[str, t.Any]:
    check = given.pop("check", False)
    return report_options.report(params(folder, **given), check=check)


def cost(month: t.Any, metric: str = "EffectiveCost", **values: t.Any) -> float:
    chosen = [row for row in USD if row["BillingPeriodStart"] == month]
    return sum(row[metric] for row in chosen if all(row[name] == value for name, value in values.items()))


def test_months_by_currency_and_what_they_are_compared_with(folder: Path) -> None:
    months = report(folder)["months"]
    assert [(row["month"], row["currency"]) for row in months] == [
        (f"2026-0{month}", currency) for month in (7, 8, 9) for currency in ("EUR", "USD")
    ]
    july, august = months[1], months[3]
    assert (july["cost"], july["previous"], july["change"]) == (round(cost(JULY), 2), None, None)
    assert (august["cost"], august["previous"]) == (round(cost(AUGUST), 2), round(cost(JULY), 2))
    assert august["change"] == round(cost(AUGUST) - cost(JULY), 2)
    assert august["change_percent"] == round((cost(AUGUST) / cost(JULY) - 1) * 100, 2)
    assert august["billed"] == round(cost(AUGUST, "BilledCost"), 2)
    assert august["categories"] == {
        category: round(cost(AUGUST, ChargeCategory=category), 2) for category in ("Usage", "Purchase", "Tax", "Credit")
    }
    assert (august["complete"], august["used_until"]) == (True, "2026-09-01")
    # The last euros of each month are spent on its 26th day.
    assert (months[0]["complete"], months[2]["complete"], months[2]["change"]) == (False, False, None)


def test_first_month_is_compared_with_one_that_is_not_shown(folder: Path) -> None:
    told = report(folder, first_month="2026-08", last_month="2026-08", sources=["payer"])
    (month,) = told["months"]
    assert (month["month"], month["previous"]) == ("2026-08", round(cost(JULY), 2))
    assert {row["month"] for row in told["costs"]} == {"2026-08"}
    assert all(row["previous"] is not None for row in told["costs"])
    assert told["movers"]["previous_month"] == "2026-07"


def test_costs_and_what_they_leave_out_add_up(folder: Path) -> None:
    told = report(folder, by=["ServiceName", "tag:team"], limit=2, sources=["payer"])
    costs = [row for row in told["costs"] if row["month"] == "2026-09"]
    assert [row["month"] for row in told["costs"]] == ["2026-09"] * 2 + ["2026-08"] * 2 + ["2026-07"] * 2
    assert costs[0]["cost"] >= costs[1]["cost"]
    assert costs[0]["share"] == pytest.approx(costs[0]["cost"] / cost(SEPTEMBER), abs=1e-6)
    (omitted,) = (row for row in told["omitted"] if row["month"] == "2026-09")
    assert sum(row["cost"] for row in costs) + omitted["cost"] == pytest.approx(cost(SEPTEMBER), abs=1e-4)


def test_what_came_new_cost_nothing_before(tmp_path: Path) -> None:
    rows = [costs_sample.row(AUGUST, 31, 5.0), costs_sample.row(SEPTEMBER, 30, 5.0)]
    rows.append(costs_sample.row(SEPTEMBER, 1, 2.0, ServiceName="Amazon S3"))
    write_rows(Dataset(tmp_path), "s", rows)
    told = report(tmp_path)
    (new,) = (row for row in told["costs"] if row["ServiceName"] == "Amazon S3")
    assert (new["previous"], new["change"], new["change_percent"]) == (0.0, 2.0, None)
    assert [row["ServiceName"] for row in told["movers"]["rows"]] == ["Amazon S3"]


def test_a_month_that_is_not_over_is_not_compared(tmp_path: Path) -> None:
    rows = [costs_sample.row(JULY, 31, 7.0), costs_sample.row(AUGUST, 31, 5.0), costs_sample.row(SEPTEMBER, 3, 1.0)]
    write_rows(Dataset(tmp_path), "s", rows)
    told = report(tmp_path)
    assert [(row["complete"], row["change"]) for row in told["months"]] == [(True, None), (True, -2.0), (False, None)]
    assert (told["movers"]["month"], told["movers"]["previous_month"]) == ("2026-08", "2026-07")
    assert told["costs"][0]["change"] is None
    assert report(tmp_path, first_month="2026-09")["movers"] is None


def test_commitments_and_coverage(folder: Path) -> None:
    told = report(folder, first_month="2026-09", tags=["team", "cost-center"], sources=["payer"])
    (commitment,) = told["commitments"]
    assert (commitment["used"], commitment["wasted"], commitment["utilization"]) == (75.0, 25.0, 0.75)
    assert (commitment["saved"], commitment["purchased"]) == (150.0 - 100.0, 100.0)
    team, center = told["coverage"]
    own = cost(SEPTEMBER, ChargeCategory="Usage") + cost(SEPTEMBER, ChargeCategory="Purchase")
    tagged = sum(
        row["EffectiveCost"]
        for row in USD
        if row["BillingPeriodStart"] == SEPTEMBER and (row["Tags"] or {}).get("Team")
    )
    assert (team["tag"], team["cost"], team["tagged"]) == ("team", round(own, 2), round(tagged, 2))
    assert team["coverage"] == pytest.approx(tagged / own, abs=1e-6)
    assert (center["tag"], center["tagged"], center["coverage"]) == ("cost_center", 0.0, 0.0)


@pytest.mark.parametrize("metric", ["EffectiveCost", "BilledCost"])
def test_chargeback_adds_up_to_the_bill(folder: Path, metric: str) -> None:
    told = report(folder, chargeback=RULES, metric=metric)
    back = told["chargeback"]
    bills = {(row["month"], row["currency"]): row["cost"] for row in told["months"]}
    assert {(row["month"], row["currency"]): row["bill"] for row in back["bills"]} == bills
    assert all(row["adds_up"] and row["bill"] == row["allocated"] for row in back["bills"])
    for bill, total in bills.items():
        parts = [row for row in back["owners"] + back["unallocated"] if (row["month"], row["currency"]) == bill]
        assert sum(round(row["cost"] * 100) for row in parts) == round(total * 100)
    for row in back["owners"]:
        components = row["direct"] + row["inherited"] + row["following"] + sum(row["shared"].values())
        assert components == pytest.approx(row["cost"], abs=1e-9)
    assert {row["owner"] for row in back["owners"]} == {"web", "data", "shop"}
    assert len(back["unallocated"]) == len(bills)
    (july,) = (row for row in back["unallocated"] if (row["month"], row["currency"]) == ("2026-07", "USD"))
    assert sum(cause["cost"] for cause in july["causes"]) == pytest.approx(july["cost"], abs=0.01)


def test_account_ids_are_masked_unless_asked_for(folder: Path, tmp_path: Path) -> None:
    chosen: dict[str, t.Any] = {"by": ["SubAccountId", "SubAccountName"], "chargeback": RULES}
    chosen |= {"report_path": str(tmp_path / "r.csv"), "chargeback_path": str(tmp_path / "c.json")}
    shown = json.dumps(report(folder, **chosen)) + (tmp_path / "r.csv").read_text() + (tmp_path / "c.json").read_text()
    assert "********1111" in shown
    assert not any(account in shown for account in ("111111111111", "222222222222", "999999999999"))
    asked = json.dumps(report(folder, **chosen, show_identities=True)) + (tmp_path / "r.csv").read_text()
    assert asked.count("111111111111") > 5
    assert "999999999999" in asked
    assert "*" not in asked


def test_files_hold_every_row(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.csv"
    told = report(folder, by=["tag:team"], limit=1, report_path=str(path))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(told["costs"]) + sum(row["combinations"] for row in told["omitted"])
    assert sum(float(row["cost"]) for row in rows if row["currency"] == "USD") == pytest.approx(
        sum(row["EffectiveCost"] for row in USD), abs=1e-4
    )
    other = tmp_path / "chargeback.json"
    back = report(folder, chargeback=RULES, chargeback_path=str(other))["chargeback"]
    lines = json.loads(other.read_text(encoding="utf-8"))
    assert sum(line["cost"] for line in lines) == pytest.approx(sum(row["bill"] for row in back["bills"]), abs=1e-9)
    assert any(line["owner"] == "" and line["component"] == "unallocated" for line in lines)
    assert json.loads("".join(report_options.rendered("x.json", ["a"], []))) == []


def test_check_mode_writes_nothing(folder: Path, tmp_path: Path) -> None:
    report(folder, report_path=str(tmp_path / "report.csv"), check=True)
    assert list(tmp_path.iterdir()) == []


def test_formulas_in_tags_stay_text(tmp_path: Path) -> None:
    write_rows(Dataset(tmp_path / "d"), "s", [costs_sample.row(JULY, 1, 5.0, ServiceName='=cmd|" /C calc"!A0')])
    report(tmp_path / "d", report_path=str(tmp_path / "r.csv"))
    assert ",\"'=cmd" in (tmp_path / "r.csv").read_text(encoding="utf-8")


def test_filters_leave_other_rows_out(folder: Path) -> None:
    told = report(folder, filters={"ServiceName": "Amazon S3", "tag:team": ["web", "data"]}, sources=["payer"])
    assert {row["ServiceName"] for row in told["costs"]} == {"Amazon S3"}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"limit": 0}, CostsError, "limit is 0: give 1 or more"),
        ({"first_month": "2026-13"}, CostsError, "first_month is '2026-13': give a month such as 2026-09"),
        ({"first_month": "2026-09", "last_month": "2026-08"}, CostsError, "before first_month"),
        ({"first_month": "2027-03"}, CostsError, "it has 2026-07 to 2026-09 of payer"),
        ({"first_month": "2026-10"}, CostsError, "there is no cost data of these months"),
        ({"filters": {"ServiceName": {"a": 1}}}, CostsError, "filters of ServiceName is"),
        ({"filters": {"ServiceName": "Azure"}}, CostsError, "there is no cost data of these months, sources and"),
        ({"report_path": "/tmp/report.xls"}, CostsError, "end it with .csv or .json"),
        ({"chargeback_path": "/tmp/c.csv"}, CostsError, "chargeback_path needs chargeback"),
        ({"memory_limit": "lots"}, CostsError, "memory_limit is 'lots'"),
        ({"by": ["tag:owner"]}, QueryError, "no tag column for 'tag:owner'"),
        ({"chargeback": {"tags": []}}, CostsError, "name the tag that says who pays"),
        (
            {"chargeback": {"tags": ["team"], "shared": [{"name": "p", "match": {"Nothing": "x"}}]}},
            QueryError,
            "'Nothing' is no column",
        ),
        (
            {
                "chargeback": {
                    "tags": ["team"],
                    "shared": [{"name": "p", "owners": ["x"], "method": "fixed", "percentages": {"a": "half"}}],
                }
            },
            CostsError,
            "the percentage of a in pool p is 'half'",
        ),
        (
            {"chargeback": {"tags": ["team"], "shared": [{"name": "p", "owners": ["x"], "method": "fixed"}]}},
            RulesError,
            "give one for each",
        ),
    ],
)
def test_bad_options_are_one_sentence(
    folder: Path, given: dict[str, t.Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        report(folder, **given)


def test_benchmark_asks_both_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    benchmark = pytest.importorskip("ansible_collections.frugal.cloud.tests.benchmarks.cost_report")
    monkeypatch.setattr(benchmark, "BY", ("ServiceName", "SubAccountName", "x_tag_team"))
    ours, theirs = (json.loads(json.dumps(ask(str(folder)), default=str)) for ask in (benchmark.ours, benchmark.plain))
    benchmark.compare(ours, theirs)
    with pytest.raises(benchmark.DifferentResults, match="one alone has"):
        benchmark.compare(ours[1:], theirs)
    with pytest.raises(benchmark.DifferentResults, match="pandas"):
        benchmark.compare([[*ours[0][:-1], ours[0][-1] + 1], *ours[1:]], theirs)


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_late_corrections_are_lines_to_book(tmp_path: Path, suffix: str) -> None:
    dataset, closed = tmp_path / "costs", tmp_path / f"july.{suffix}"
    rows = list(costs_sample.rows(months=[JULY, AUGUST]))
    rows = [row for row in rows if row["BillingCurrency"] == "USD"]
    write_rows(Dataset(dataset), "payer", rows, costs_sample.TAG_KEYS)
    first = report(dataset, last_month="2026-07", chargeback=RULES, chargeback_path=str(closed))["chargeback"]
    unchanged = report(dataset, chargeback=RULES, closed_path=str(closed))["chargeback"]
    assert unchanged["corrections"] == []
    # The provider corrects July: a row for the web team, and one that nobody owns.
    late = [
        costs_sample.row(JULY, 31, 12.5, team="web", ChargeClass="Correction"),
        costs_sample.row(JULY, 31, -3.25, SubAccountId="222222222222", ChargeClass="Correction"),
    ]
    write_rows(Dataset(dataset), "payer", rows + late, costs_sample.TAG_KEYS)
    told = report(dataset, chargeback=RULES, closed_path=str(closed))["chargeback"]
    assert {row["month"] for row in told["corrections"]} == {"2026-07"}
    (web,) = (row for row in told["corrections"] if (row["owner"], row["component"]) == ("web", "direct"))
    # By rounding, a cent may go to another part.
    assert web["change"] == round(web["now"] - web["closed"], 2) == pytest.approx(12.5, abs=0.011)
    (july, _august) = told["bills"]
    assert sum(round(row["change"] * 100) for row in told["corrections"]) == round(
        (july["bill"] - first["bills"][0]["bill"]) * 100
    )
    # A month that is not shown is not known to have changed.
    assert (
        report(dataset, first_month="2026-08", chargeback=RULES, closed_path=str(closed))["chargeback"]["corrections"]
        == []
    )


def test_files_that_are_no_closed_chargeback(folder: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("month,owner\n2026-07,web\n", encoding="utf-8")
    with pytest.raises(CostsError, match=r"wrong.csv': give a file that chargeback_path wrote"):
        report(folder, chargeback=RULES, closed_path=str(wrong))
    with pytest.raises(CostsError, match=r"none.json', which cannot be read: No such file"):
        report(folder, chargeback=RULES, closed_path=str(tmp_path / "none.json"))
    with pytest.raises(CostsError, match="closed_path needs chargeback"):
        report(folder, closed_path=str(wrong))


EXAMPLES = Path(__file__).resolve().parents[6] / "shared" / "data" / "focus" / "spec_examples"


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared/data/focus/spec_examples is not there")
@pytest.mark.parametrize(
    ("name", "used", "wasted", "purchased", "saved"),
    [
        ("commitment_discount_usage_scenario_1", 1.0, 0.0, 0.0, None),
        ("commitment_discount_usage_scenario_2", 0.0, 1.0, 0.0, None),
        ("commitment_discount_usage_scenario_3", 0.75, 0.25, 0.0, None),
        ("commitment_discount_usage_scenario_4", 1.0, 0.0, 0.0, None),
        ("zero_percent_utilization_without_commitment_discount_flexibility", 0.0, 1.5, 1.5, -1.5),
        ("one_hundred_percent_utilization_without_commitment_discount_flexibility", 1.5, 0.0, 1.5, 1.5),
        ("one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource", 0.5, 0.0, 0.5, 2.5),
        ("one_hundred_percent_utilization_with_commitment_discount_flexibility_with_2_resources", 2.0, 0.0, 2.0, 2.0),
    ],
)
def test_commitments_of_the_specification(
    tmp_path: Path, name: str, used: float, wasted: float, purchased: float, saved: float | None
) -> None:
    with (EXAMPLES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        given = [
            {key: None if value == "null" else value for key, value in row.items()} for row in csv.DictReader(file)
        ]
    identity = {"BillingAccountId": "1", "BillingCurrency": "USD", "ProviderName": "P", "ServiceName": "S"}
    numbers = {column.name for column in focus.COLUMNS if column.kind == "number"}
    write_rows(
        Dataset(tmp_path),
        "example",
        [
            {
                key: float(value) if value and key in numbers else value
                for key, value in row.items()
                if key in focus.BY_NAME
            }
            | identity
            for row in given
        ],
    )
    (row,) = report(tmp_path)["commitments"]
    assert (row["used"], row["wasted"], row["purchased"]) == (used, wasted, purchased)
    assert row["utilization"] == used / (used + wasted)
    # The scenarios of usage alone have no list prices.
    assert saved is None or row["saved"] == saved


GUIDE = Path(__file__).resolve().parents[5] / "docs" / "guides" / "cost_reports.md"


@pytest.mark.skipif(not GUIDE.is_file(), reason="the guides are not part of what ansible-test sees")
def test_examples_of_the_guide_work(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    keys = [TagKey("team"), TagKey("owner"), TagKey("cost_category")]
    write_rows(
        Dataset(tmp_path / "costs"),
        "payer",
        [{**row, "Tags": {"team": (row["Tags"] or {}).get("Team")}} for row in USD],
        keys,
    )
    blocks = GUIDE.read_text(encoding="utf-8").split("```yaml\n")[1:]
    tasks = [task for block in blocks for task in yaml.safe_load(block.partition("```")[0])]
    asked = [task["frugal.cloud.cost_report_info"] for task in tasks if "frugal.cloud.cost_report_info" in task]
    assert len(asked) >= 3
    known = {*report_options.OPTIONS, *COST_OPTIONS}
    for given in asked:
        assert set(given) <= known
        paths = {name: str(tmp_path / Path(given[name]).name) for name in given if name.endswith("_path")}
        months = {name: str(given[name]) for name in ("first_month", "last_month") if name in given}
        told = report(tmp_path / "costs", **{**given, **months, **paths, "cost_url": str(tmp_path / "costs")})
        assert told["months"]
        if "chargeback" in given:
            assert {row["owner"] for row in told["chargeback"]["owners"]} >= {"web", "data", "shop"}
            assert all(bill["adds_up"] for bill in told["chargeback"]["bills"])
