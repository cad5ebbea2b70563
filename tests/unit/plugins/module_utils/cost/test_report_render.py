# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page, JSON and CSV: complete, the same every time, and safe whatever the cloud says."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import html.parser
import io
import itertools
import json
import re
import stat
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost import report_render as render
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report import collect
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_data import ActionRow, ApprovalRow, ReportData
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost.report_sample import SampleSource
from hypothesis import given
from hypothesis import strategies as some

ROLE = Path(render.__file__).resolve().parents[3] / "roles" / "report"
ASSETS = render.Assets(str(ROLE / "templates"), str(ROLE / "files"))
HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "<!--",
    "]]>&lt;",
)


class Page(html.parser.HTMLParser):
    """What a browser would see: elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


class Hostile(SampleSource):
    """The sample, with hostile text wherever a cloud or a person can put some."""

    def actions(self) -> Iterator[ActionRow]:
        for n, row in enumerate(super().actions()):
            bad = HOSTILE[n % len(HOSTILE)]
            record = row.recommendation
            chart = {**record.evidence["charts"][0], "metric": bad, "unit": bad, "start": bad}
            resource = dataclasses.replace(
                record.resource, id=f"{bad}{n}", name=bad, tags={bad: bad}, managed_by=bad, manager=bad
            )
            record = dataclasses.replace(
                record,
                resource=resource,
                current={bad: bad, "b": bad},
                proposed={bad: bad},
                reasons=(bad, bad),
                warnings=(bad,),
                refused=bad,
                binding_constraint=bad,
                evidence={
                    **record.evidence,
                    "charts": [chart],
                    "method": bad,
                    "price_source": bad,
                    "sources": {bad: bad},
                    "window_start": bad,
                },
            )
            approval = ApprovalRow(bad, datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), bad, bad)
            yield dataclasses.replace(
                row, recommendation=record, reason=bad, why=bad, approvals=(approval,), steps=(bad,), scope=bad
            )


def report(source: t.Any, **options: t.Any) -> ReportData:
    return collect(source, title=options.pop("title", "Cloud cost report"), **options)


@pytest.fixture(name="page", scope="module")
def rendered() -> str:
    return render.html(report(SampleSource()), ASSETS)


def test_hostile_text_stays_text() -> None:
    source = Hostile(60)
    text = render.html(report(source, title=HOSTILE[0]), ASSETS)
    page = Page(text)
    tags = [tag for tag, _unused in page.elements]
    assert tags.count("script") == 1
    assert tags.count("style") == 1
    assert "img" not in tags
    assert not [name for _unused, attributes in page.elements for name in attributes if name.startswith("on")]
    links = [attributes["href"] for _tag, attributes in page.elements if attributes.get("href")]
    assert not [link for link in links if not link.startswith("#")]
    seen = "".join(page.text)
    for bad in HOSTILE:
        assert bad in seen


def test_only_our_style_and_script_are_trusted(page: str) -> None:
    template = (ROLE / "templates" / "report.html.j2").read_text()
    assert re.findall(r"\{\{[^}]*\bsafe\b[^}]*\}\}", template) == ["{{ style | safe }}", "{{ script | safe }}"]
    policy = next(a["content"] for tag, a in Page(page).elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_the_page_needs_nothing_else(page: str) -> None:
    for tag, attributes in Page(page).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img", "form")
        assert not {"src", "srcset", "style", "action", "data"} & set(attributes), (tag, attributes)
    assert not re.findall(r"url\(|@import|https?://(?!www\.gnu\.org|www\.w3\.org/2000/svg)", page)


def test_the_page_is_accessible(page: str) -> None:
    elements = Page(page).elements
    levels = [int(tag[1]) for tag, _unused in elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in attributes for tag, attributes in elements if tag == "th")
    for tag, attributes in elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label"), attributes
    identifiers = [attributes["id"] for _unused, attributes in elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = {attributes["href"] for tag, attributes in elements if tag == "a"}
    assert targets <= {f"#{identifier}" for identifier in identifiers}
    assert dict(elements)["html"] == {"lang": "en"}


def test_the_same_data_give_the_same_files(page: str) -> None:
    data = report(SampleSource())
    assert render.html(data, ASSETS) == page
    assert list(render.json_lines(data, SampleSource())) == list(render.json_lines(data, SampleSource()))


def test_the_largest_page_is_small_enough() -> None:
    class Many(SampleSource):
        def actions(self) -> Iterator[ActionRow]:
            for number in range(12):
                for n, row in enumerate(super().actions()):
                    record = dataclasses.replace(row.recommendation, action=f"{row.recommendation.action}{n}{number}")
                    yield dataclasses.replace(row, recommendation=record)

    data = report(Many(), limit=100, rows=2000)
    assert (data.action_count, len(data.actions)) == (2400, 2000)
    assert len(render.html(data, ASSETS).encode()) < 3_000_000


def test_an_empty_ledger_gives_a_page_that_says_so() -> None:
    class Empty(SampleSource):
        def plans(self) -> list[t.Any]:
            return []

        def savings(self, now: datetime.datetime) -> list[t.Any]:
            return []

    text = " ".join("".join(Page(render.html(report(Empty(0)), ASSETS)).text).split())
    assert "The ledger holds no plan yet." in text
    assert "Nothing was applied yet." in text
    assert "Nothing was refused." in text


def test_evidence_of_another_shape_does_not_stop_the_page() -> None:
    class Old(SampleSource):
        def actions(self) -> Iterator[ActionRow]:
            for row in super().actions():
                yield dataclasses.replace(row, recommendation=dataclasses.replace(row.recommendation, evidence={}))

    assert "No series were kept for this action." in render.html(report(Old(3)), ASSETS)


def test_two_currencies_are_shown_apart() -> None:
    class Two(SampleSource):
        def plans(self) -> Iterator[t.Any]:
            for n, row in enumerate(super().plans()):
                yield dataclasses.replace(row, currency="EUR" if n else "USD")

    text = "".join(Page(render.html(report(Two()), ASSETS)).text)
    assert "EUR\u00a0" in text
    assert "(USD/month)" not in text


def test_json_holds_every_action_without_the_series() -> None:
    source = SampleSource()
    data = report(source, rows=10)
    document = json.loads("".join(render.json_lines(data, source)))
    assert len(document["actions"]) == 200
    assert document["summary"]["action_count"] == 200
    assert document["summary"]["totals"][0]["reduction"] == pytest.approx(data.totals[0].reduction, abs=1e-4)
    for entry, row in zip(document["actions"], source.actions()):
        assert entry["recommendation"]["id"] == row.recommendation.id
        assert entry["status"] == row.status
        assert "charts" not in entry["recommendation"]["evidence"]


def test_json_has_no_nan() -> None:
    class Strange(SampleSource):
        def actions(self) -> Iterator[ActionRow]:
            for row in super().actions():
                evidence = {**row.recommendation.evidence, "coverage": float("nan")}
                yield dataclasses.replace(
                    row, recommendation=dataclasses.replace(row.recommendation, evidence=evidence)
                )

    source = Strange(2)
    document = json.loads(
        "".join(render.json_lines(report(source, limit=0, rows=1), source)), parse_constant=pytest.fail
    )
    assert document["actions"][0]["recommendation"]["evidence"]["coverage"] is None


def test_csv_holds_every_action_and_its_numbers() -> None:
    source = SampleSource()
    text = "".join(render.csv_lines(source))
    assert text.count("\r\n") == 201
    rows = list(csv.DictReader(io.StringIO(text)))
    for row, action in zip(rows, source.actions(), strict=True):
        assert row["id"] == action.recommendation.id
        assert float(row["monthly_saving"]) == pytest.approx(action.saving, abs=0.006)
        assert row["resource_name"] == action.recommendation.resource.name
    assert min(float(row["monthly_saving"]) for row in rows) < 0


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =cmd|' /C calc'!A0", "\n=1"])
def test_a_formula_is_quoted(text: str) -> None:
    assert render.guarded(text) == f"'{text}"


@given(some.text())
def test_no_cell_begins_like_a_formula(text: str) -> None:
    guarded = render.guarded(text)
    assert guarded.lstrip(" ")[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")
    assert guarded in (text, f"'{text}")


def test_hostile_names_do_not_break_csv() -> None:
    class Formula(SampleSource):
        def actions(self) -> Iterator[ActionRow]:
            for row in super().actions():
                resource = dataclasses.replace(row.recommendation.resource, name='=HYPERLINK("http://x","y"),\r\nz')
                yield dataclasses.replace(
                    row, recommendation=dataclasses.replace(row.recommendation, resource=resource)
                )

    rows = list(csv.DictReader(io.StringIO("".join(render.csv_lines(Formula(2))), newline="")))
    assert [row["resource_name"] for row in rows] == ['\'=HYPERLINK("http://x","y"),\r\nz'] * 2


def test_a_file_is_replaced_only_where_it_differs(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.csv"
    assert render.publish(str(path), ["a\r\n", "b\r\n"], check=True)
    assert not path.parent.exists()
    assert render.publish(str(path), ["a\r\n", "b\r\n"])
    assert path.read_bytes() == b"a\r\nb\r\n"
    path.chmod(0o600)
    before = path.stat()
    assert not render.publish(str(path), ["a\r\nb\r\n"])
    assert path.stat().st_ino == before.st_ino
    assert render.publish(str(path), ["c\r\n"], check=True)
    assert path.read_bytes() == b"a\r\nb\r\n"
    assert render.publish(str(path), ["c\r\n"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["report.csv"]


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def chunks() -> Iterator[str]:
        yield "new"
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        render.publish(str(path), chunks())
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


def test_what_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(render.ReportError, match=r"^cannot write .*/file/report\.html: "):
        render.publish(str(blocked / "report.html"), ["x"])
    with pytest.raises(render.ReportError, match=r"^cannot read .*report\.css, which the page needs"):
        render.html(report(SampleSource(1)), render.Assets(str(ROLE / "templates"), str(tmp_path)))
    with pytest.raises(render.ReportError, match=r"^there is no template report\.html\.j2 in "):
        render.html(report(SampleSource(1)), render.Assets(str(tmp_path), str(ROLE / "files")))
    (tmp_path / "report.html.j2").write_text("{{ data.title }\n")
    with pytest.raises(render.ReportError, match=r"line 1 is wrong: "):
        render.html(report(SampleSource(1)), render.Assets(str(tmp_path), str(ROLE / "files")))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (1234.4, "USD\u00a01,234/month"),
        (99.994, "USD\u00a099.99/month"),
        (99.996, "USD\u00a0100/month"),
        (-5.5, "−USD\u00a05.50/month"),
        (0.0, "USD\u00a00/month"),
        (-0.001, "USD\u00a00.00/month"),
    ],
)
def test_money(amount: float, text: str) -> None:
    assert render.money(amount, "USD") == text


def test_words() -> None:
    assert render.words("over_provisioned") == "over-provisioned"
    assert render.words("ebs_iops_maximum") == "EBS IOPS maximum"
    assert render.sentence("idle: it does nothing") == "Idle: it does nothing"
    assert render.sentence("m6i.large: CPU binds") == "m6i.large: CPU binds"
    assert render.sentence("vCPUs bind") == "vCPUs bind"
    assert render.day("2026-03-01T00:00:00+00:00") == "1 Mar 2026"
    assert render.day("soon") == "soon"
    assert render.percent(0.034) == "3.4 %"
    assert render.percent(0.5) == "50 %"
