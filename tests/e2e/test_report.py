# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report playbook on a ledger of 200 actions, and its page in a real browser."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost.report_sample import fill

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
#: The lowest contrast (WCAG 2.1) of any visible text against the first opaque background behind it.
CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let worst = { ratio: 99 };
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || ["SCRIPT", "OPTION"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const ink = luminance(channels(element.namespaceURI.endsWith("svg") ? style.fill : style.color));
    const paper = luminance(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < worst.ratio) worst = { ratio, element: element.outerHTML.slice(0, 120) };
  }
  return worst;
}"""


class Reporter:
    """Runs the playbook on one ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger.db"
        self.reports = folder / "reports"

    def run(self, *arguments: str, **variables: t.Any) -> subprocess.CompletedProcess[str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "FRUGAL_LEDGER_URL": f"sqlite:///{self.ledger}",
            "FRUGAL_DATA_DIR": str(self.folder / "data"),
        }
        extra = json.dumps({"report_directory": str(self.reports), **variables})
        return subprocess.run(
            ["ansible-playbook", "frugal.cloud.report", "-e", extra, *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(name="reporter", scope="module")
def reporter_on_a_full_ledger(tmp_path_factory: pytest.TempPathFactory) -> Reporter:
    reporter = Reporter(tmp_path_factory.mktemp("report"))
    with Ledger.open(f"sqlite:///{reporter.ledger}") as ledger:
        fill(ledger, 200)
    return reporter


@pytest.fixture(name="report", scope="module")
def written(reporter: Reporter) -> Path:
    ran = reporter.run()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "changed=1" in ran.stdout
    return reporter.reports / "report.html"


def test_check_mode_predicts_and_writes_nothing(tmp_path: Path, reporter: Reporter) -> None:
    ran = reporter.run("--check", report_directory=str(tmp_path / "new"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"changed=1 .*failed=0", ran.stdout)
    assert not (tmp_path / "new").exists()


def test_a_second_run_changes_nothing(reporter: Reporter, report: Path) -> None:
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in report.parent.iterdir()}
    ran = reporter.run()
    assert "changed=0" in ran.stdout, ran.stdout
    assert {path.name: (path.stat().st_ino, path.read_bytes()) for path in report.parent.iterdir()} == before
    assert set(before) == {"report.html", "report.json", "report.csv"}


def test_all_three_files_hold_the_same(report: Path) -> None:
    assert report.stat().st_size < 3_000_000
    document = json.loads(report.with_suffix(".json").read_text())
    with report.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(document["actions"]) == 200
    assert [row["id"] for row in rows] == [entry["recommendation"]["id"] for entry in document["actions"]]
    now = document["summary"]["totals"][0]["now"]
    assert f"{now:,.0f}" in report.read_text()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"report_charts": 101}, "charts is 101: give a number from 0 to 100"),
        ({"report_as_of": "soon"}, "as_of is 'soon': give a time such as"),
        ({"report_name": "../x"}, "name is '../x': give the name of a file, without a folder"),
        ({"report_template_directory": "/nowhere"}, "there is no template report.html.j2 in /nowhere"),
        ({"frugal_ledger_url": "mysql://x"}, "ledger_url names the database"),
    ],
)
def test_bad_input_is_one_sentence(reporter: Reporter, variables: dict[str, t.Any], sentence: str) -> None:
    ran = reporter.run(**variables)
    assert ran.returncode == 2
    assert sentence in " ".join(ran.stdout.split()) + " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stdout + ran.stderr


@pytest.fixture(name="browser", scope="module")
def headless() -> Iterator[t.Any]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Opened:
    """A page with everything that it asked for or complained about."""

    def __init__(self, browser: t.Any, report: Path, viewport: dict[str, int], **options: t.Any) -> None:
        self.context = browser.new_context(viewport=viewport, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = report.as_uri()
        self.page.goto(self.address)

    def shown(self) -> list[str]:
        """Names of the actions that are shown, in order."""
        rows = self.page.locator("#action-table tbody tr:visible th")
        return [text.split("\n")[0].split("i-0")[0] for text in rows.all_inner_texts()]

    def money(self) -> list[float]:
        """Their savings."""
        cells = self.page.locator("#action-table tbody tr:visible td.n")
        return [float(value) for value in cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")]


@pytest.fixture(name="desktop")
def on_a_desktop(browser: t.Any, report: Path) -> Iterator[Opened]:
    opened = Opened(browser, report, DESKTOP, color_scheme="light")
    yield opened
    assert opened.complaints == []
    assert opened.requests == [opened.address]
    opened.context.close()


def test_charts_are_drawn(desktop: Opened) -> None:
    page = desktop.page
    assert page.locator("article.card").count() == 20
    charts = page.locator("svg[data-usage]")
    assert charts.count() == 60
    for kind in ("p99", "maximum", "limit-now", "limit-proposed"):
        sizes = page.locator(f"svg[data-usage] path.{kind}").evaluate_all(
            "paths => paths.map(path => [path.getBBox().width, getComputedStyle(path).stroke])"
        )
        assert len(sizes) == 60
        assert all(width > 200 and stroke.startswith("rgb") for width, stroke in sizes)
    assert page.locator("figure.savings path.realised").bounding_box()["width"] > 50
    assert page.locator("#spend svg.bar rect.now").first.bounding_box()["width"] > 50


def test_values_are_shown_under_the_pointer(desktop: Opened) -> None:
    figure = desktop.page.locator("figure.chart").first
    figure.scroll_into_view_if_needed()
    figure.locator("svg").hover()
    assert re.fullmatch(r"\d+ \w{3}: p99 [\d.]+ %, maximum [\d.]+ %", figure.locator("output").inner_text())
    desktop.page.mouse.move(0, 0)
    assert figure.locator("output").inner_text() == ""


def test_actions_are_sorted(desktop: Opened) -> None:
    page = desktop.page
    head = page.locator("#action-table thead th").nth(2)
    assert head.get_attribute("aria-sort") == "descending"
    page.locator("#show-all").click()
    assert len(desktop.shown()) == 200
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert desktop.money() == sorted(desktop.money())
    assert desktop.money()[0] < 0
    head.locator("button").click()
    assert desktop.money() == sorted(desktop.money(), reverse=True)
    page.locator("#action-table thead button").first.click()
    assert desktop.shown() == sorted(desktop.shown())


def test_actions_are_filtered(desktop: Opened) -> None:
    page = desktop.page
    assert len(desktop.shown()) == 25
    page.locator("#filter-status").select_option("verified")
    pills = page.locator("#action-table tbody tr:visible .pill").all_inner_texts()
    assert set(pills) == {"verified"}
    said = page.locator("#shown").inner_text()
    assert re.fullmatch(r"\d+ of 200 actions, saving USD [\d,]+/month together\.", said)
    page.locator("#filter-status").select_option("")
    page.locator("#filter-text").fill("web m6i.large")
    assert desktop.shown()
    assert all(name.startswith("web-") for name in desktop.shown())
    page.locator("#filter-text").fill("no such thing")
    assert desktop.shown() == []
    assert page.locator("#shown").inner_text().startswith("0 of 200 actions")
    page.locator("#filter-text").fill("")
    page.locator("#filter-risk").select_option("1")
    assert set(page.locator("#action-table tbody tr:visible .risk").all_inner_texts()) <= {"very low", "low"}


def test_an_action_leads_to_its_evidence(desktop: Opened) -> None:
    link = desktop.page.locator("#action-table tbody a").first
    name = link.inner_text()
    link.click()
    target = desktop.page.locator("article.card:target")
    assert target.locator("h3").inner_text() == name
    assert target.is_visible()


def test_the_page_fits_a_phone(browser: t.Any, report: Path) -> None:
    phone = Opened(browser, report, PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    width = phone.page.evaluate("document.documentElement.scrollWidth")
    assert width == PHONE["width"]
    phone.page.locator("#sort-by").select_option("0")
    assert phone.shown()
    assert phone.shown() == sorted(phone.shown())
    assert phone.page.locator("svg[data-usage]").first.bounding_box()["width"] > 280
    assert phone.complaints == []
    phone.context.close()


@pytest.mark.parametrize(
    ("medium", "width"),
    [
        *(("screen", width) for width in (320, 400, 641, 700, 768, 901, 1024, 1920)),
        ("print", 703),  # A4 upright with the page's margins
        ("print", 1032),
    ],
)
def test_no_width_scrolls_sideways(browser: t.Any, report: Path, medium: str, width: int) -> None:
    opened = Opened(browser, report, {"width": width, "height": 800})
    opened.page.emulate_media(media=medium)
    wider = opened.page.evaluate(
        "width => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 1)"
        ".map(e => e.outerHTML.slice(0, 100))",
        width,
    )
    assert wider == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.context.close()


def test_dark_mode_has_its_own_colours_and_all_text_has_contrast(browser: t.Any, report: Path) -> None:
    backgrounds = {}
    for scheme in ("light", "dark"):
        opened = Opened(browser, report, DESKTOP, color_scheme=scheme)
        backgrounds[scheme] = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        worst = opened.page.evaluate(CONTRAST)
        assert worst["ratio"] >= 4.5, (scheme, worst)
        opened.context.close()
    assert brightness(backgrounds["light"]) > 0.9
    assert brightness(backgrounds["dark"]) < 0.15


def brightness(colour: str) -> float:
    """Mean of red, green and blue, 0..1."""
    return sum(int(value) for value in re.findall(r"\d+", colour)[:3]) / 765


def test_the_page_prints(desktop: Opened) -> None:
    page = desktop.page
    document = page.pdf(format="A4", print_background=True)
    assert document.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", document)) >= 5
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".controls").is_visible()
    assert not page.locator("nav").is_visible()


def test_the_page_reads_without_scripts(browser: t.Any, report: Path) -> None:
    opened = Opened(browser, report, DESKTOP, java_script_enabled=False)
    assert opened.page.locator("#action-table tbody tr").count() == 200
    assert opened.page.locator("#action-table tbody tr").last.is_visible()
    assert opened.page.locator("svg[data-usage] path.p99").first.is_visible()
    opened.context.close()
