# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From parameters to the document, and from the document to the page."""

from __future__ import annotations

import html
import itertools
import json
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost import report_traces
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_render import Assets, ReportError
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError
from ansible_collections.frugal.cloud.plugins.module_utils.trace_analysis import (
    FORMAT,
    OPTIONS,
    Answer,
    request_from,
    returned,
    run,
)
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.traces.traces_sample import (
    MORNING,
    Call,
    jaeger,
    shop,
)

ROLE = Path(__file__).resolve().parents[5] / "roles" / "report"
ASSETS = Assets(str(ROLE / "templates"), str(ROLE / "files"))
DAY = 86_400 * 1_000_000


def params(**given: t.Any) -> dict[str, t.Any]:
    return {**{name: option.get("default") for name, option in OPTIONS.items()}, **given}


def analysed(**given: t.Any) -> Answer:
    return run(request_from(params(**given)))


@pytest.fixture(name="traces")
def written(tmp_path: Path) -> Path:
    """Sixty requests of today and sixty of yesterday, whose payments were faster."""
    folder = tmp_path / "traces"
    folder.mkdir()
    for name, seed, payment, begin in (("now", 1, 1.6, MORNING), ("then", 2, 1.0, MORNING - DAY)):
        document = {"data": list(shop(60, seed, payment, begin))}
        (folder / f"{name}.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "give either paths or jaeger_url: one of them says where the traces are"),
        ({"paths": ["/x"], "jaeger_url": "http://x"}, "give either paths or jaeger_url"),
        (
            {"jaeger_url": "jaeger:16686"},
            "jaeger_url is 'jaeger:16686': give the address of Jaeger's page, such as http:",
        ),
        ({"jaeger_url": "http://me:secret@x"}, "jaeger_url holds a user or a password: give them as jaeger_username"),
        ({"jaeger_url": "http://x", "comparison_paths": ["/x"]}, "comparison_paths goes with paths"),
        (
            {"paths": ["/x"], "comparison_paths": ["/y"], "comparison_as_of": "2026-01-01"},
            "give either comparison_paths or",
        ),
        ({"paths": ["/x"], "comparison_minutes": 5.0}, "comparison_minutes goes with comparison_as_of"),
        ({"paths": ["/x"], "as_of": "soon"}, "as_of is 'soon': give a time such as"),
        ({"paths": ["/x"], "comparison_as_of": "then"}, "comparison_as_of is 'then': give a time such as"),
        ({"paths": ["/x"], "window_minutes": 0.0}, "window_minutes is 0: give minutes above 0"),
        ({"paths": ["/x"], "limit": 0}, "limit is 0: give a number from 1 to 1000"),
        ({"paths": ["/x"], "max_traces": -1}, "max_traces is -1: give a number from 1 to 1000000"),
        ({"paths": ["/x"], "slow_query_ms": -1.0}, "slow_query_ms is -1: give milliseconds above 0"),
        ({"paths": ["/nowhere"]}, "/nowhere does not exist"),
    ],
)
def test_bad_input_is_one_sentence(given: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(Exception) as caught:
        analysed(**given)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert type(caught.value).__module__.startswith("ansible_collections.frugal.cloud.")


def test_the_document_holds_all_and_the_result_its_first_entries(traces: Path) -> None:
    answer = analysed(paths=[str(traces / "now.json")])
    document = answer.document
    assert document["format"] == FORMAT and not answer.refused and not answer.warnings
    assert document["summary"]["analysed"] == 60 and document["summary"]["services"] == 8
    assert sum(row["path_share"] for row in document["operations"]) == pytest.approx(1, abs=1e-5)
    assert json.loads(json.dumps(document)) == document
    result = returned(answer, 3)
    assert result["findings"] == document["findings"][:3] and result["finding_count"] == len(document["findings"]) > 3
    assert len(result["operations"]) == len(result["services"]) == 3 and result["comparison"] == []
    # The request itself has no bound: without it there is nothing.
    bounds = {row["service"]: row["what_if"] for row in document["operations"]}
    assert bounds["shop"] is None and 0 < bounds["bank"]["halved_share"] < bounds["bank"]["removed_share"] < 1


def test_the_same_files_give_the_same_document(traces: Path) -> None:
    first = analysed(paths=[str(traces / "now.json"), str(traces / "then.json")]).document
    second = analysed(paths=[str(traces / "then.json"), str(traces / "now.json")]).document
    del first["source"], second["source"]
    assert first == second


def test_windows_on_files_and_files_beside_files_compare_alike(traces: Path) -> None:
    windows = analysed(
        paths=[str(traces)],
        as_of="2026-11-24T08:30:00Z",
        window_minutes=60.0,
        comparison_as_of="2026-11-23T08:30:00Z",
    ).document
    files = analysed(paths=[str(traces / "now.json")], comparison_paths=[str(traces / "then.json")]).document
    assert windows["comparison"] == files["comparison"]
    assert windows["window"] == {"start": "2026-11-24T07:30:00Z", "end": "2026-11-24T08:30:00Z"}
    verdicts = {(row["what"], row["service"]): row["verdict"] for row in files["comparison"]}
    assert verdicts["operation", "bank"] == "slower"


def test_only_traces_of_some_services_and_only_so_many(traces: Path) -> None:
    stray = traces / "stray.json"
    stray.write_text(json.dumps({"data": [jaeger(Call("cron tick", 0, 10), "tick", MORNING)]}))
    assert analysed(paths=[str(traces)], services=["cron"]).document["summary"]["traces"] == 1
    with pytest.raises(OptionError, match="services has 'corn', which no trace has: there are bank, cache, cron"):
        analysed(paths=[str(traces)], services=["corn"])
    answer = analysed(paths=[str(traces)], max_traces=50)
    assert answer.document["summary"]["traces"] == 50
    assert answer.warnings == ["71 older traces were left out: raise max_traces to analyse them too"]
    assert answer.document["window"]["start"].startswith("2026-11-24T08")


def test_a_window_without_traces_is_a_warning(traces: Path) -> None:
    answer = analysed(paths=[str(traces)], as_of="2020-01-01", window_minutes=1.0, comparison_as_of="2021-01-01")
    assert len(answer.warnings) == 2 and answer.document["summary"]["analysed"] == 0
    assert answer.document["findings"] == answer.document["flame"] == answer.document["examples"] == []


def test_wrong_files_are_told_and_only_wrong_files_are_an_error(traces: Path) -> None:
    (traces / "broken.json").write_text("{")
    answer = analysed(paths=[str(traces)])
    assert answer.refused == [f"{traces}/broken.json is not JSON: input data was truncated"]
    assert answer.document["summary"]["traces"] == 120
    (traces / "empty.json").write_text("")
    with pytest.raises(OptionError, match="is not JSON: input data was truncated; nor can the other 1 files be used"):
        analysed(paths=[str(traces / "broken.json"), str(traces / "empty.json")])


def test_a_large_example_keeps_its_longest_spans_and_their_callers(tmp_path: Path) -> None:
    calls = [Call("a x", 10 * number, 10, [Call("b x", 10 * number, 1 + number % 9)]) for number in range(900)]
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"data": [jaeger(Call("s root", 0, 9000, calls))]}))
    [example] = analysed(paths=[str(path)]).document["examples"]
    assert len(example["spans"]) == 400 and example["left_out"] == 1801 - 400
    assert all(span["parent"] < number for number, span in enumerate(example["spans"]))


def page_of(folder: Path, document: dict[str, t.Any]) -> str:
    path = folder / "traces-document.json"
    path.write_text(json.dumps(document))
    return report_traces.page(str(path), ASSETS, title="Shop", report="report.html")


def test_the_page_is_one_file_that_fetches_nothing(tmp_path: Path, traces: Path) -> None:
    document = analysed(paths=[str(traces / "now.json")], comparison_paths=[str(traces / "then.json")]).document
    page = page_of(tmp_path, document)
    assert page == page_of(tmp_path, document)
    assert "<script" not in page and "<link" not in page and "src=" not in page and "style=" not in page
    assert "default-src 'none'" in html.unescape(page) and "N+1 calls" in page and 'href="report.html"' in page
    for finding in document["findings"]:
        assert finding["kind"] in page
    assert page.count('class="flame"') == 1 + len(document["examples"])


def test_names_from_traces_are_never_markup(tmp_path: Path) -> None:
    nasty = "</title><script>alert(1)</script>"
    path = tmp_path / "nasty.json"
    path.write_text(json.dumps({"data": [jaeger(Call(f"{nasty}\u00a0s {nasty}", 0, 10), nasty)]}))
    page = page_of(tmp_path, analysed(paths=[str(path)]).document)
    assert "<script" not in page and "&lt;script&gt;" in page


def test_traces_are_links_into_jaeger_and_nothing_else_is(tmp_path: Path, traces: Path) -> None:
    document = analysed(paths=[str(traces)]).document
    links = {"http://j:16686": 'href="http://j:16686/trace/', "javascript:alert(1)//": "", None: ""}
    for address, link in links.items():
        document["source"]["jaeger"] = address
        page = page_of(tmp_path, document)
        assert (link in page) if link else ("/trace/" not in page)


def test_boxes_stay_within_their_callers(tmp_path: Path, traces: Path) -> None:
    document = analysed(paths=[str(traces)]).document
    for flame in (report_traces.aggregate(document["flame"]), *map(report_traces.example, document["examples"])):
        assert flame.boxes and flame.boxes[0].width == 100
        for box in flame.boxes:
            assert box.left >= -0.001 and box.left + box.width <= 100.2 and box.row < flame.rows
        for row in range(flame.rows):
            inside = sorted((box.left, box.width) for box in flame.boxes if box.row == row)
            for (left, width), (follows, _width) in itertools.pairwise(inside):
                assert left + min(width, 0.1) <= follows + 0.2


def test_the_critical_path_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    calls = [Call("a x", 0, 40), Call("b x", 10, 85, tags={"error": True})]
    path.write_text(json.dumps({"data": [jaeger(Call("s root", 0, 100, calls))]}))
    document = analysed(paths=[str(path)]).document
    for flame in (report_traces.aggregate(document["flame"]), report_traces.example(document["examples"][0])):
        looks = {box.label.split(" ")[0]: box.look for box in flame.boxes}
        assert (looks["s"], looks["a"], looks["b"].split(" ")[0]) == ("path", "off", "path")
    # a and b overlap: one of them stands a row lower.
    assert {box.label: (box.row, box.look) for box in flame.boxes}["b x"] == (2, "path failed")


def test_a_page_without_traces(tmp_path: Path, traces: Path) -> None:
    page = page_of(tmp_path, analysed(paths=[str(traces)], as_of="2020-01-01").document)
    assert "There is no trace with a critical path" in page


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "which cannot be read: No such file or directory"),
        ("{", "which is not JSON: "),
        ("[]", "which is not the output_path of trace_analysis_info: run it again"),
        ('{"format": "frugal.cloud traces 1"}', "which lacks something: 'comparison'; run trace_analysis_info again"),
    ],
)
def test_a_wrong_document_is_one_sentence(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = tmp_path / "document.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ReportError, match=re.escape(f"traces is {path}, {sentence}")):
        report_traces.page(str(path), ASSETS, title="Shop")


def test_both_layers_mean_the_same_format() -> None:
    assert report_traces.FORMAT == FORMAT
