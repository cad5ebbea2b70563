# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access logs of every format become the same requests, and what is asked of them has the right answer."""

from __future__ import annotations

import gzip
import json
import pathlib
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.access_logs import Question, study, told
from ansible_collections.frugal.cloud.plugins.module_utils.observe.access_logs import LogsError, Source, open_logs

duckdb = pytest.importorskip("duckdb")

START = 1_767_225_600  # 2026-01-01 00:00:00 UTC
CLOUDFRONT_FIELDS = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) "
    "cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken "
    "x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    "fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    "sc-range-start sc-range-end"
)


def cloudfront(path: str, query: str, result: str, size: int, kind: str, length: str = "-") -> str:
    values = dict.fromkeys(CLOUDFRONT_FIELDS.split(), "-")
    values.update(
        {
            "date": "2026-01-01",
            "time": "00:00:00",
            "sc-bytes": str(size),
            "cs-method": "GET",
            "x-host-header": "Shop.example.com",
            "cs-uri-stem": path,
            "sc-status": "200",
            "cs-uri-query": query or "-",
            "x-edge-result-type": result,
            "sc-content-type": kind,
            "sc-content-len": length,
        }
    )
    return "\t".join(values.values())


def cloudflare(path: str, query: str, result: str, size: int, kind: str, ratio: float = 0.0) -> str:
    return json.dumps(
        {
            "EdgeStartTimestamp": START * 10**9,
            "ClientRequestHost": "shop.example.com",
            "ClientRequestMethod": "GET",
            "ClientRequestURI": path + (f"?{query}" if query else ""),
            "EdgeResponseStatus": 200,
            "EdgeResponseBytes": size,
            "OriginResponseStatus": 0 if result == "hit" else 200,
            "OriginResponseBytes": 0 if result == "hit" else size,
            "CacheCacheStatus": result,
            "EdgeResponseContentType": kind + "; charset=utf-8",
            "EdgeResponseCompressionRatio": ratio,
            "ClientIP": "192.0.2.1",
        }
    )


def cloud_cdn(path: str, query: str, **request: t.Any) -> str:
    url = f"https://shop.example.com{path}" + (f"?{query}" if query else "")
    return json.dumps(
        {
            "timestamp": "2026-01-01T00:00:00.5Z",
            "httpRequest": {
                "requestMethod": "GET",
                "requestUrl": url,
                "status": 200,
                "responseSize": "500",
                **request,
            },
            "jsonPayload": {"statusDetails": "response_sent_by_backend"},
        }
    )


def line(path: str, cache: str, at: float = START, **more: t.Any) -> str:
    """A line of nginx or Varnish, as the guide's log formats write it."""
    values = {
        "time": at,
        "host": "shop.example.com",
        "method": "GET",
        "uri": path,
        "status": 200,
        "bytes": 2000,
        "origin_bytes": 0 if cache in ("HIT", "hit") else 2000,
        "cache": cache,
        "content_type": "text/html",
        "content_encoding": "gzip",
        "cache_control": "public, max-age=60",
        "set_cookie": "-",
    }
    return json.dumps({**values, **more})


def asked(
    tmp_path: pathlib.Path, form: str, lines: t.Sequence[str], question: Question | None = None
) -> dict[str, t.Any]:
    """What the logs say."""
    log = tmp_path / "access.log"
    log.write_text("\n".join(lines) + "\n")
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    with open_logs([Source(form, [str(log)])], str(folder)) as logs:
        return {**told(study(logs.database, question or Question())), "unreadable": logs.unreadable}


def outcomes(found: dict[str, t.Any]) -> dict[str, int]:
    return {row["outcome"]: row["requests"] for row in found["outcomes"]}


def reasons(found: dict[str, t.Any]) -> dict[str, tuple[int, int]]:
    return {row["reason"]: (row["requests"], row["possible_hits"]) for row in found["not_cached"]}


# -- formats ----------------------------------------------------------------------------------------------


def test_cloudfront(tmp_path: pathlib.Path) -> None:
    lines = [
        "#Version: 1.0",
        f"#Fields: {CLOUDFRONT_FIELDS}",
        cloudfront("/a", "", "Hit", 700, "text/html", "690"),
        cloudfront("/a", "", "RefreshHit", 700, "text/html"),
        cloudfront("/b", "x=1", "Miss", 5000, "text/css", "4900"),
        cloudfront("/c", "", "Error", 300, "text/html"),
        "cut\toff",
    ]
    found = asked(tmp_path, "cloudfront", lines)
    assert outcomes(found) == {"hit": 1, "revalidated": 1, "miss": 1, "other": 1}
    assert found["unreadable"] == 1
    assert found["summary"]["origin_bytes"] == 5000 + 300
    assert found["summary"]["hit_ratio"] == round(2 / 3, 4)
    assert found["paths"][0] == {
        "host": "shop.example.com",
        "path": "/b",
        "requests": 1,
        "hit_ratio": 0.0,
        "bytes": 5000,
        "origin_bytes": 5000,
    }
    (css,) = [row for row in found["compression"] if row["content_type"] == "text/css"]
    assert (css["bytes"], css["saved_bytes"]) == (5000, None), "how well it would compress nobody has said"


def test_cloudfront_files_may_differ_in_their_fields(tmp_path: pathlib.Path) -> None:
    for name, fields in (("old.gz", CLOUDFRONT_FIELDS.split()[:26]), ("new.gz", CLOUDFRONT_FIELDS.split())):
        values = cloudfront("/a", "", "Hit", 700, "text/html").split("\t")[: len(fields)]
        with gzip.open(tmp_path / name, "wt") as file:
            file.write(f"#Version: 1.0\n#Fields: {' '.join(fields)}\n" + "\t".join(values) + "\n")
    with open_logs([Source("cloudfront", [f"{tmp_path}/*.gz"])], str(tmp_path)) as logs:
        assert told(study(logs.database, Question()))["summary"]["requests"] == 2


def test_cloudflare(tmp_path: pathlib.Path) -> None:
    states = ["hit", "stale", "revalidated", "expired", "miss", "bypass", "dynamic", "unknown"]
    found = asked(tmp_path, "cloudflare", [cloudflare("/a", "q=1", state, 100, "text/html") for state in states])
    assert outcomes(found) == {
        "hit": 2,
        "revalidated": 1,
        "expired": 1,
        "miss": 1,
        "bypass": 1,
        "dynamic": 1,
        "other": 1,
    }
    assert found["summary"]["first"] == START


def test_cloud_cdn(tmp_path: pathlib.Path) -> None:
    lines = [
        cloud_cdn("/a", "", cacheLookup=True, cacheHit=True),
        cloud_cdn("/a", "", cacheLookup=True, cacheHit=True, cacheValidatedWithOriginServer=True),
        cloud_cdn("/a", "x=1", cacheLookup=True, cacheFillBytes="480"),
        cloud_cdn("", "x=1"),
    ]
    found = asked(tmp_path, "cloud_cdn", lines)
    assert outcomes(found) == {"hit": 1, "revalidated": 1, "miss": 1, "dynamic": 1}
    assert found["summary"]["origin_bytes"] == 480 + 500
    assert {row["path"] for row in found["paths"]} == {"/a", "/"}


@pytest.mark.parametrize(
    ("form", "states", "expected"),
    [
        (
            "nginx",
            ["HIT", "MISS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "BYPASS", "-", ""],
            {"hit": 3, "miss": 1, "expired": 1, "revalidated": 1, "bypass": 1, "dynamic": 2},
        ),
        (
            "varnish",
            ["hit", "miss", "pass", "hitmiss", "hitpass", "pipe", "synth"],
            {"hit": 1, "miss": 1, "bypass": 3, "other": 2},
        ),
    ],
)
def test_nginx_and_varnish(
    tmp_path: pathlib.Path, form: str, states: t.Sequence[str], expected: dict[str, int]
) -> None:
    assert outcomes(asked(tmp_path, form, [line("/a", state) for state in states])) == expected


# -- why something was not cached -------------------------------------------------------------------------


def test_tracking_parameters_and_their_order(tmp_path: pathlib.Path) -> None:
    lines = [line(f"/p/1?id=1&utm_source={number}", "MISS") for number in range(4)] + [line("/p/1?id=1", "HIT")]
    found = asked(tmp_path, "nginx", lines)
    assert reasons(found) == {"tracking_parameters": (4, 3)}
    assert [(row["name"], row["values"], row["ignored"]) for row in found["parameters"]] == [
        ("id", 1, False),
        ("utm_source", 4, True),
    ]


def test_a_parameter_that_changes_the_answer_makes_pages_of_their_own(tmp_path: pathlib.Path) -> None:
    found = asked(tmp_path, "nginx", [line(f"/p?id={number}", "MISS") for number in range(4)])
    assert reasons(found) == {"once": (4, 0)}
    chosen = Question(ignored_parameters=["id"])
    assert reasons(asked(tmp_path, "nginx", [line(f"/p?id={n}", "MISS") for n in range(4)], chosen)) == {
        "tracking_parameters": (4, 3)
    }


def test_what_is_fetched_again_lived_too_short(tmp_path: pathlib.Path) -> None:
    found = asked(tmp_path, "nginx", [line("/p/1", "MISS")] * 3 + [line("/p/1", "EXPIRED")] * 2)
    assert reasons(found) == {"lifetime": (4, 4), "once": (1, 0)}


@pytest.mark.parametrize(
    "headers",
    [
        {"cache_control": "private, max-age=60"},
        {"cache_control": "no-store"},
        {"cache_control": "no-cache"},
        {"cache_control": "public, max-age=0"},
        {"set_cookie": "session"},
    ],
)
@pytest.mark.parametrize("state", ["BYPASS", "MISS", "EXPIRED", "-"])
def test_what_an_answer_forbids_is_never_possible(tmp_path: pathlib.Path, headers: dict[str, str], state: str) -> None:
    """Whatever the cache did with it, and also for what looks static."""
    question = Question(cdn_price=0.1, origin_price=0.1)
    lines = [line("/static/a.css", state, START + 3600 * 30 * n, **headers) for n in range(3)]
    found = asked(tmp_path, "nginx", lines, question)
    assert {reason: possible for reason, (_count, possible) in reasons(found).items()} == {"forbidden": 0}
    assert found["money"]["caching_saving"] == 0.0


def test_static_files_that_nobody_told_the_cache_to_keep(tmp_path: pathlib.Path) -> None:
    lines = [cloudflare("/static/site.css", "", "dynamic", 2000, "text/css")] * 3
    lines += [cloudflare("/api/me", "", "dynamic", 2000, "application/json")] * 3
    found = asked(tmp_path, "cloudflare", lines)
    assert reasons(found) == {"not_asked_for": (3, 2), "dynamic": (3, 2)}
    assert {row["path"] for row in found["not_cached"]} == {"/static/*.css", "/api/me"}


def test_writes_and_failures_cannot_be_cached(tmp_path: pathlib.Path) -> None:
    lines = [line("/cart", "MISS", method="POST")] * 3 + [line("/x", "MISS", status=500)] * 3
    assert reasons(asked(tmp_path, "nginx", lines)) == {}


def test_ids_in_paths_are_one_group(tmp_path: pathlib.Path) -> None:
    lines = [line(f"/p/{number}/reviews/all", "MISS") for number in range(5)]
    lines += [line("/o/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "MISS")]
    assert {row["path"] for row in asked(tmp_path, "nginx", lines)["paths"]} == {"/p/*/*", "/o/*"}


# -- bytes and money --------------------------------------------------------------------------------------


def test_compression_is_measured_where_the_logs_tell(tmp_path: pathlib.Path) -> None:
    lines = [cloudflare("/a", "", "hit", 1000, "text/html", 4.0), cloudflare("/b", "", "hit", 4000, "text/html")]
    lines += [cloudflare("/c", "", "hit", 900, "text/html"), cloudflare("/d", "", "hit", 9000, "image/png")]
    (row,) = asked(tmp_path, "cloudflare", lines)["compression"]
    assert row == {
        "content_type": "text/html",
        "requests": 1,
        "bytes": 4000,
        "compressed_bytes": 1000,
        "ratio": 4.0,
        "ratio_from": "logs",
        "saved_bytes": 3000,
    }


def test_money_is_that_of_a_month(tmp_path: pathlib.Path) -> None:
    gib = 1024**3
    lines = [
        line("/a", "HIT", START, bytes=10 * gib),
        line("/b", "MISS", START + 36.5 * 3600, bytes=5 * gib, origin_bytes=5 * gib),
        line("/b", "EXPIRED", START + 73 * 3600, bytes=5 * gib, origin_bytes=5 * gib),
    ]
    money = asked(tmp_path, "nginx", lines, Question(cdn_price=0.08, origin_price=0.10))["money"]
    assert money == {
        "cdn_egress": 16.0,  # 20 GiB in a tenth of a month, 0.08 USD each
        "origin_egress": 10.0,
        "compression_saving": 0.0,
        "caching_saving": 5.0,
        "why": "",
    }


def test_money_is_refused_where_something_is_missing(tmp_path: pathlib.Path) -> None:
    assert "neither cdn_price_gib" in asked(tmp_path, "nginx", [line("/a", "HIT")])["money"]["why"]
    short = asked(tmp_path, "nginx", [line("/a", "HIT")], Question(cdn_price=0.08))["money"]
    assert short["cdn_egress"] is None
    assert "the logs cover 0.0 h" in short["why"]


# -- bad input --------------------------------------------------------------------------------------------


def test_no_file(tmp_path: pathlib.Path) -> None:
    with (
        pytest.raises(LogsError, match=r"paths has .*nothing.*, where there is no file"),
        open_logs([Source("nginx", [f"{tmp_path}/nothing*.log"])], str(tmp_path)),
    ):
        pass


@pytest.mark.parametrize("form", ["cloudflare", "cloud_cdn", "nginx", "varnish"])
def test_another_format(tmp_path: pathlib.Path, form: str) -> None:
    with pytest.raises(LogsError, match=f"none of the 2 lines of .* is a request of format {form}"):
        asked(tmp_path, form, ['127.0.0.1 - - "GET / HTTP/1.1" 200 5', '{"a": 1}'])


def test_no_log_of_cloudfront(tmp_path: pathlib.Path) -> None:
    with pytest.raises(LogsError, match="no line that begins with #Fields"):
        asked(tmp_path, "cloudfront", ["a\tb"])


def test_broken_lines_are_counted(tmp_path: pathlib.Path) -> None:
    found = asked(tmp_path, "nginx", [line("/a", "HIT"), '{"uri": "/a', '{"status": "x", "uri": 5}', "\x00\x00"])
    assert (found["summary"]["requests"], found["unreadable"]) == (1, 3)


def test_a_size_of_memory_that_is_none(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(line("/a", "HIT"))
    with (
        pytest.raises(LogsError, match="memory_limit is 'much': give a size such as 1GB"),
        open_logs([Source("nginx", [str(log)])], str(tmp_path), "much"),
    ):
        pass
