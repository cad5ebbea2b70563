# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces by playbook: read from a real Jaeger, analysed, and shown as a page in a real browser."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import typing as t
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger
from ansible_collections.frugal.cloud.tests.e2e.test_report import (
    CONTRAST,
    DESKTOP,
    PHONE,
    ROOT,
    Opened,
    brightness,
    headless,
)
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.traces.test_trace_files import otlp
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.traces.traces_sample import MORNING, shop

#: The browser is the fixture of the report's tests: pytest finds it by its name here.
SHARED = (headless,)
CACHE = Path(os.environ.get("FRUGAL_CACHE", "~/.cache/frugal-cloud")).expanduser()
DAY = 86_400 * 1_000_000
PLAYBOOK = """
- name: Analyse traces, then report
  hosts: localhost
  connection: local
  gather_facts: false
  roles:
    - role: frugal.cloud.trace_analysis
    - role: frugal.cloud.report
"""
#: Jaeger 2 with nothing but what the test needs: OTLP in, memory, the HTTP API out.
JAEGER = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines: {{traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}}}
  telemetry: {{metrics: {{level: none}}}}
extensions:
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 10000}}}}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}}}
exporters: {{jaeger_storage_exporter: {{trace_storage: memory}}}}
"""


class Analyst:
    """Runs the roles with a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.page = self.data / "reports" / "report-traces.html"
        (folder / "home").mkdir()
        (folder / "traces.yml").write_text(PLAYBOOK, encoding="utf-8")
        with Ledger.open(f"sqlite:///{self.folder}/ledger.db"):
            pass

    def run(self, *arguments: str, **variables: t.Any) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "FRUGAL_LEDGER_URL": f"sqlite:///{self.folder}/ledger.db",
            "FRUGAL_DATA_DIR": str(self.data),
        }
        extra = {"report_traces": "{{ trace_analysis_output_path }}", **variables}
        return subprocess.run(
            ["ansible-playbook", "traces.yml", "-e", json.dumps(extra), *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(name="analyst", scope="module")
def with_files(tmp_path_factory: pytest.TempPathFactory) -> Analyst:
    folder = tmp_path_factory.mktemp("traces")
    for name, seed, payment, begin in (("now", 1, 1.5, MORNING), ("then", 2, 1.0, MORNING - DAY)):
        traces = list(shop(120, seed, payment, begin))
        (folder / f"{name}.json").write_text(json.dumps({"data": traces}), encoding="utf-8")
    return Analyst(folder)


@pytest.fixture(name="page", scope="module")
def written(analyst: Analyst) -> Path:
    ran = analyst.run(
        trace_analysis_paths=[str(analyst.folder / "now.json")],
        trace_analysis_comparison_paths=[str(analyst.folder / "then.json")],
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "orders waits" in ran.stdout
    return analyst.page


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    analyst = Analyst(tmp_path)
    path = tmp_path / "now.json"
    path.write_text(json.dumps({"data": list(shop(5))}), encoding="utf-8")
    ran = analyst.run("--check", trace_analysis_paths=[str(path)])
    assert re.search(r"changed=1 .*failed=0", ran.stdout), ran.stdout + ran.stderr
    # The shared role makes the folder itself in check mode too: what follows may need it.
    assert [name for name in analyst.data.rglob("*") if name.is_file()] == []


def test_a_second_run_changes_nothing(analyst: Analyst, page: Path) -> None:
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in page.parent.iterdir()}
    ran = analyst.run(
        trace_analysis_paths=[str(analyst.folder / "now.json")],
        trace_analysis_comparison_paths=[str(analyst.folder / "then.json")],
    )
    assert re.search(r"changed=0 .*failed=0", ran.stdout), ran.stdout
    assert {path.name: (path.stat().st_ino, path.read_bytes()) for path in page.parent.iterdir()} == before
    assert set(before) == {"report.html", "report.json", "report.csv", "report-traces.html"}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"trace_analysis_paths": ["/nowhere"]}, "/nowhere does not exist: name files or folders of Jaeger JSON"),
        ({}, "give either paths or jaeger_url: one of them says where the traces are"),
        ({"trace_analysis_jaeger_url": "http://127.0.0.1:9"}, "Jaeger at http://127.0.0.1:9 cannot be read:"),
        ({"report_traces": "/etc/hostname"}, "traces is /etc/hostname, which is not JSON:"),
    ],
)
def test_bad_input_is_one_sentence_and_the_old_page_stays(
    analyst: Analyst, page: Path, variables: dict[str, t.Any], sentence: str
) -> None:
    before = {path: path.read_bytes() for path in page.parent.iterdir()}
    given = {"trace_analysis_paths": [str(analyst.folder / "now.json")]} if "report_traces" in variables else {}
    ran = analyst.run(**given, **variables)
    assert ran.returncode == 2
    assert sentence in " ".join(ran.stdout.split()) + " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stdout + ran.stderr
    assert {path: path.read_bytes() for path in page.parent.iterdir()} == before


def test_a_password_is_in_no_output(analyst: Analyst) -> None:
    ran = analyst.run(
        "-vvv",
        trace_analysis_jaeger_url="http://127.0.0.1:9",
        trace_analysis_jaeger_username="reader",
        trace_analysis_jaeger_password="open-sesame",
        trace_analysis_jaeger_bearer_token="token-sesame",
    )
    # What is on the command line is ours to show; Ansible's own report of the task must not.
    task = ran.stdout.split("TASK [frugal.cloud.trace_analysis : Find", 1)[1]
    assert "sesame" not in task and "cannot be read" in task


def test_the_main_report_leads_to_the_page_and_back(browser: t.Any, page: Path) -> None:
    opened = Opened(browser, page.with_name("report.html"), DESKTOP)
    opened.page.get_by_role("link", name="Traces").click()
    assert opened.page.url == page.as_uri()
    assert opened.page.locator("h1").inner_text() == "Cloud cost report: traces"
    opened.page.get_by_role("link", name="Report", exact=True).click()
    assert opened.page.url == page.with_name("report.html").as_uri()
    assert opened.complaints == []
    opened.context.close()


def test_flame_graphs_are_drawn_and_the_critical_path_is_coloured(browser: t.Any, page: Path) -> None:
    opened = Opened(browser, page, DESKTOP, color_scheme="light", java_script_enabled=True)
    graphs = opened.page.locator("figure.flame")
    assert graphs.count() == 4
    for number in range(4):
        boxes = (
            graphs.nth(number)
            .locator("rect")
            .evaluate_all(
                "rects => rects.map(r => [r.getBoundingClientRect().width, getComputedStyle(r).fill, r.classList[0]])"
            )
        )
        assert boxes[0][0] > 1000 and len(boxes) > 5
        assert {fill for width, fill, look in boxes if look == "path"} == {"rgb(188, 215, 245)"}
    assert "payment POST /charge" in graphs.first.inner_text()
    assert opened.page.locator("#findings article").count() >= 8
    assert opened.page.locator("#comparison .pill.slower").count() >= 1
    assert opened.complaints == [] and opened.requests == [opened.address]
    opened.context.close()


@pytest.mark.parametrize(
    ("medium", "width"), [*(("screen", width) for width in (320, 360, 700, 901, 1920)), ("print", 703)]
)
def test_no_width_scrolls_sideways(browser: t.Any, page: Path, medium: str, width: int) -> None:
    opened = Opened(browser, page, {"width": width, "height": 800})
    opened.page.emulate_media(media=medium)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    text = opened.page.locator("figure.flame text").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert text == 11  # boxes shrink on a phone, their text does not
    opened.context.close()


def test_a_phone_shows_the_same(browser: t.Any, page: Path) -> None:
    phone = Opened(browser, page, PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    assert phone.page.locator("figure.flame > svg").first.bounding_box()["width"] > 280
    assert phone.page.locator("#operations td[data-label=p95]").first.is_visible()
    phone.context.close()


def test_dark_mode_has_its_own_colours_and_all_text_has_contrast(browser: t.Any, page: Path) -> None:
    for scheme, dark in (("light", False), ("dark", True)):
        opened = Opened(browser, page, DESKTOP, color_scheme=scheme)
        assert (brightness(opened.page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.15) is dark
        worst = opened.page.evaluate(CONTRAST)
        assert worst["ratio"] >= 4.5, (scheme, worst)
        # CONTRAST looks at HTML backgrounds only: the boxes under the text are checked here.
        for look in ("path", "some", "off"):
            ink, paper = opened.page.evaluate(
                "look => { const r = document.querySelector('.flame rect'); r.setAttribute('class', look);"
                " return [getComputedStyle(document.querySelector('.flame text')).fill, getComputedStyle(r).fill]; }",
                look,
            )
            assert abs(brightness(ink) - brightness(paper)) > 0.5, (scheme, look)
        opened.context.close()


def test_the_page_prints(browser: t.Any, page: Path) -> None:
    opened = Opened(browser, page, DESKTOP, color_scheme="dark")
    assert opened.page.pdf(format="A4", print_background=True).startswith(b"%PDF-")
    opened.page.emulate_media(media="print", color_scheme="dark")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    fills = opened.page.locator("figure.flame rect.path").evaluate_all("r => r.map(e => getComputedStyle(e).fill)")
    assert set(fills) == {"rgb(188, 215, 245)"}
    opened.context.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(name="jaeger", scope="module")
def running_jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(URL of the API, URL for OTLP) of a Jaeger that is empty."""
    subprocess.run([sys.executable, ROOT / "tests" / "tools" / "go_binaries.py", "jaeger"], check=True)
    programs = sorted(CACHE.glob("bin/jaeger-*/jaeger"), key=lambda path: path.stat().st_mtime)
    folder = tmp_path_factory.mktemp("jaeger")
    query, grpc, otlp_port = free_port(), free_port(), free_port()
    (folder / "jaeger.yaml").write_text(JAEGER.format(query=query, grpc=grpc, otlp=otlp_port), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([programs[-1], "--config", folder / "jaeger.yaml"], stdout=log, stderr=log)
        try:
            for _attempt in range(150):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{query}/api/services"):
                    break
                time.sleep(0.2)
            else:
                pytest.fail(f"Jaeger did not start: {(folder / 'log').read_text()[-2000:]}")
            yield f"http://127.0.0.1:{query}", f"http://127.0.0.1:{otlp_port}/v1/traces"
        finally:
            process.terminate()
            process.wait(20)


def test_a_real_jaeger_gives_what_the_file_gives(jaeger: tuple[str, str], tmp_path: Path) -> None:
    query, receiver = jaeger
    traces = list(shop(60, seed=5, begin=int(time.time() * 1e6) - 300 * 1_000_000))
    for trace in traces:
        for span in trace["spans"]:  # OTLP wants span ids of eight bytes.
            span["spanID"] = f"{int(span['spanID'], 16) + 1:016x}"
            for reference in span["references"]:
                reference["spanID"] = f"{int(reference['spanID'], 16) + 1:016x}"
    for trace in traces:
        body = json.dumps({"resourceSpans": otlp(trace)}).encode()
        request = urllib.request.Request(receiver, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    (tmp_path / "same.json").write_text(json.dumps({"data": traces}), encoding="utf-8")
    analyst = Analyst(tmp_path)

    def document(name: str, **variables: t.Any) -> dict[str, t.Any]:
        path = tmp_path / name
        ran = analyst.run(trace_analysis_output_path=str(path), report_formats=["json"], **variables)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return t.cast("dict[str, t.Any]", json.loads(path.read_text(encoding="utf-8")))

    for _attempt in range(50):  # Jaeger takes what it got in batches.
        with urllib.request.urlopen(f"{query}/api/services") as answer:
            if len(json.loads(answer.read())["data"] or ()) == 8:
                break
        time.sleep(0.2)
    from_jaeger = document("jaeger.json", trace_analysis_jaeger_url=query, trace_analysis_services=["shop"])
    from_file = document("file.json", trace_analysis_paths=[str(tmp_path / "same.json")])
    assert from_jaeger["summary"]["traces"] == 60
    for part in ("summary", "operations", "services", "findings", "flame", "examples", "problems"):
        assert from_jaeger[part] == from_file[part], part
    # The names of the services, and all traces at once.
    assert from_jaeger["source"]["requests"] == 2
    # A second time with too small a limit: the newest, and a warning.
    ran = analyst.run(trace_analysis_jaeger_url=query, trace_analysis_services=["shop"], trace_analysis_max_traces=10)
    assert "has more traces in the window than were read" in ran.stdout + ran.stderr
    ran = analyst.run(trace_analysis_jaeger_url=query, trace_analysis_services=["shp"])
    assert "knows no service 'shp': it has bank, cache" in " ".join((ran.stdout + ran.stderr).split())
