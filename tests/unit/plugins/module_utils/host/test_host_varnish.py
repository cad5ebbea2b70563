# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading Varnish: lines that varnishlog 7.1 wrote, answers of its tools, and that nothing secret gets out."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import host_varnish
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_varnish import LogReader, Sample

MISS = """\
*   << Request  >> 2
-   Begin          req 1 rxreq
-   Timestamp      Start: 1795531447.047006 0.000000 0.000000
-   Timestamp      Req: 1795531447.047006 0.000000 0.000000
-   ReqMethod      GET
-   ReqURL         /p/1?id=1&utm_source=newsletter
-   ReqHeader      Host: Shop.example:8080
-   ReqHeader      User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148
-   ReqHeader      Accept-Encoding: gzip;q=0.5, br, deflate;q=0
-   ReqHeader      Cookie: _ga=GA1.2; sessionid=topsecret
-   ReqHeader      Authorization: Bearer verysecret
-   VCL_call       RECV
-   ReqUnset       Cookie: _ga=GA1.2; sessionid=topsecret
-   ReqURL         /p/1?id=1
-   VCL_return     hash
-   VCL_call       HASH
-   VCL_return     lookup
-   VCL_call       MISS
-   VCL_return     fetch
-   Link           bereq 3 fetch
-   Timestamp      Fetch: 1795531447.048174 0.001168 0.001168
-   RespStatus     200
-   RespHeader     Cache-Control: public, max-age=4
-   RespHeader     Vary: Accept-Encoding, User-Agent
-   VCL_call       DELIVER
-   VCL_return     deliver
-   Timestamp      Process: 1795531447.048187 0.001180 0.000012
-   ReqAcct        100 0 100 296 4021 4317
-   End
**  << BeReq    >> 3
--  Begin          bereq 2 fetch
--  Timestamp      Start: 1795531447.047087 0.000000 0.000000
--  BackendOpen    22 default 127.0.0.1 18080 127.0.0.1 49500 reuse
--  Timestamp      Beresp: 1795531447.048030 0.000943 0.000713
--  BerespStatus   200
--  BerespHeader   Cache-Control: public, max-age=4
--  BerespHeader   Vary: Accept-Encoding
--  BerespHeader   Vary: User-Agent
--  BerespHeader   ETag: W/"abc"
--  BerespHeader   Content-Length: 4021
--  TTL            RFC 4 10 0 1795531447 1795531447 1795531447 0 4 cacheable
--  VCL_call       BACKEND_RESPONSE
--  BerespHeader   Set-Cookie: added=by-vcl
--  VCL_return     deliver
--  Storage        malloc s0
--  Length         4021
--  End

"""
HIT = """\
*   << Request  >> 32775
-   Begin          req 32774 rxreq
-   Timestamp      Start: 1795531452.265040 0.000000 0.000000
-   ReqMethod      GET
-   ReqURL         /p/1
-   ReqHeader      Host: shop.example
-   VCL_call       RECV
-   VCL_return     hash
-   VCL_call       HASH
-   VCL_return     lookup
-   Hit            3 -1.217010 10.000000 0.000000
-   VCL_call       HIT
-   VCL_return     deliver
-   Link           bereq 32776 bgfetch
-   RespStatus     200
-   RespHeader     Content-Length: 4021
-   RespHeader     Age: 5
-   VCL_call       DELIVER
-   RespHeader     Set-Cookie: added=by-vcl
-   VCL_return     deliver
-   Timestamp      Process: 1795531452.265127 0.000086 0.000005
-   ReqAcct        100 0 100 302 4021 4323
-   End
**  << BeReq    >> 32776
--  Begin          bereq 32775 bgfetch
--  BerespStatus   304
--  BerespHeader   ETag: "abc"
--  VCL_call       BACKEND_RESPONSE
--  End

"""
PRIVATE = """\
*   << Request  >> 8
-   Begin          req 7 rxreq
-   Timestamp      Start: 1795531447.211446 0.000000 0.000000
-   ReqMethod      GET
-   ReqURL         /account/1
-   ReqHeader      Host: shop.example
-   VCL_call       RECV
-   VCL_return     hash
-   VCL_call       HASH
-   VCL_return     lookup
-   HitMiss        32773 119.935905
-   VCL_call       MISS
-   VCL_return     fetch
-   Link           bereq 9 fetch
-   RespStatus     200
-   VCL_call       DELIVER
-   Timestamp      Process: 1795531447.211915 0.000468 0.000004
-   End
**  << BeReq    >> 9
--  Begin          bereq 8 fetch
--  BerespStatus   200
--  BerespHeader   Cache-Control: private, no-store
--  BerespHeader   Set-Cookie: sessionid=topsecret; HttpOnly
--  TTL            RFC 120 10 0 1795531447 1795531447 1795531447 0 0 cacheable
--  VCL_call       BACKEND_RESPONSE
--  TTL            VCL 120 10 0 1795531447 uncacheable
--  VCL_return     deliver
--  End

"""
RESTARTED = """\
*   << Request  >> 20
-   Begin          req 19 rxreq
-   Timestamp      Start: 1795531460.0 0.000000 0.000000
-   ReqMethod      GET
-   ReqURL         /first
-   ReqHeader      Host: shop.example
-   VCL_call       RECV
-   VCL_return     restart
-   Link           req 21 restart
-   End
**  << Request  >> 21
--  Begin          req 20 restart
--  Timestamp      Start: 1795531460.1 0.100000 0.000000
--  ReqMethod      GET
--  ReqURL         /second
--  VCL_call       RECV
--  VCL_return     pass
--  VCL_call       PASS
--  VCL_return     fetch
--  RespStatus     503
--  VCL_call       DELIVER
--  Timestamp      Process: 1795531460.2 0.200000 0.100000
--  End

"""


def hashed(text: str) -> str:
    return f"<{len(text)}>"


def records(text: str, reclen: int = 255) -> list[dict[str, t.Any]]:
    return list(LogReader(hashed, reclen).requests(text.split("\n")))


def test_a_miss_is_what_the_client_sent_and_the_backend_said_before_vcl_changed_either() -> None:
    (record,) = records(MISS)
    assert record["outcome"] == "miss" and record["path"] == "/p/1" and record["host"] == "shop.example:8080"
    assert record["query"] == [["id", "<1>", 4], ["utm_source", "<10>", 21]] and record["query_length"] == 26
    assert record["cookies"] == [["_ga", "<5>"], ["sessionid", "<9>"]]
    assert record["authorization"] is True and record["device"] == "mobile" and record["accept_encoding"] == "br,gzip"
    assert record["vary"] == {"user-agent": "<68>"}
    assert record["ttfb"] == pytest.approx(0.00118) and record["bytes"] == 4021
    fetch = record["fetch"]
    assert fetch["etag"] == "<5>" and fetch["weak"] is True and fetch["vary"] == "accept-encoding, user-agent"
    assert fetch["ttl"] == [4.0, 10.0, 0.0] and fetch["cacheable"] is True and fetch["reused"] is True
    assert "set_cookie" not in fetch and "response" not in record


def test_a_hit_within_grace_tells_how_late_it_was_and_what_was_fetched_behind_it() -> None:
    (record,) = records(HIT)
    assert record["outcome"] == "hit" and record["left"] == pytest.approx(-1.217)
    assert record["response"] == {"content_length": 4021, "age": 5}
    assert record["fetch"]["reason"] == "bgfetch" and record["fetch"]["status"] == 304


def test_an_answer_that_cannot_be_stored_says_so() -> None:
    (record,) = records(PRIVATE)
    assert record["outcome"] == "hit_for_miss"
    assert record["fetch"]["set_cookie"] == ["sessionid"] and record["fetch"]["cacheable"] is False


def test_a_restarted_request_is_one_request_with_its_first_address_and_last_outcome() -> None:
    (record,) = records(RESTARTED)
    assert (record["path"], record["outcome"], record["status"]) == ("/first", "pass", 503)


def test_what_people_sent_is_hashed_with_a_key_that_no_other_reading_has() -> None:
    first, second = host_varnish.keyed_hasher(), host_varnish.keyed_hasher()
    assert first("topsecret") == first("topsecret") != first("other")
    assert first("topsecret") != second("topsecret")
    text = json.dumps(list(LogReader(first).requests((MISS + HIT + PRIVATE).split("\n"))))
    for secret in ("secret", "GA1.2", "newsletter", "abc"):
        assert secret not in text


def test_a_record_that_was_cut_is_marked_and_a_request_that_was_overwritten_is_counted() -> None:
    (record,) = records(MISS, reclen=39)
    assert record["cookies_cut"] is True
    (record,) = records(MISS, reclen=30)
    assert record["url_cut"] is True
    reader = LogReader(hashed)
    assert not list(reader.requests(MISS.replace("--  End", "--  End            synth").split("\n")))
    assert reader.incomplete == 1
    # A group without its end is not a request yet.
    assert not list(LogReader(hashed).requests(MISS.rstrip("\n").split("\n")))


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0", "desktop"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126.0 Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X)", "tablet"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", "bot"),
        ("", "desktop"),
    ],
)
def test_devices(agent: str, device: str) -> None:
    assert host_varnish.device(agent) == device


def test_counters_are_read_from_both_forms_and_backends_lose_the_name_of_the_vcl() -> None:
    entry = {"description": "", "flag": "c", "format": "i", "value": 3}
    names = {"MAIN.cache_hit": entry, "VBE.boot.web1.req": entry, "VBE.reload_1.web1.req": entry, "LCK.x.y": entry}
    nested = {"version": 1, "timestamp": "2026-11-24T14:44:12", "counters": names}
    flat = {"timestamp": "2026-11-24T14:44:12", **names}
    for form in (nested, flat):
        assert host_varnish.parse_counters(json.dumps(form)) == {"MAIN.cache_hit": 3, "VBE.web1.req": 6}
    with pytest.raises(HostError, match="something else than JSON"):
        host_varnish.parse_counters("no such thing")


def test_parameters_are_texts_without_units() -> None:
    answer = [2, ["param.show", "-j"], 1795531452.4,
              {"name": "accept_filter", "implemented": False},
              {"name": "default_grace", "implemented": True, "value": 10.0, "units": "seconds"},
              {"name": "http_gzip_support", "implemented": True, "value": True},
              {"name": "thread_pool_max", "implemented": True, "value": 5000}]  # fmt: skip
    assert host_varnish.parse_parameters(json.dumps(answer)) == {
        "default_grace": "10.0",
        "http_gzip_support": "on",
        "thread_pool_max": "5000",
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"log_seconds": -1.0}, "log_seconds is -1: give 0 to 3600"),
        ({"log_requests": 0}, "log_requests is 0: give 1 to 100000"),
    ],
)
def test_wrong_bounds_are_refused(options: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(HostError, match=sentence):
        host_varnish.sample_from({"log_seconds": 0.0, "log_requests": 1, "log_history": True, **options})


def tool(folder: pathlib.Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_reading_the_log_ends_in_time_and_keeps_the_newest(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").write_text(MISS + HIT + PRIVATE, encoding="utf-8")
    # The history ends by itself; live, the same comes once and then nothing more.
    script = f'cat {tmp_path}/log; case "$*" in *-d*) exit 0;; *) exec sleep 60;; esac'
    tool(tmp_path, "varnishlog", script)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    read = host_varnish.read_log("", Sample(seconds=0.5, requests=4), hashed)
    assert [record["outcome"] for record in read["requests"]] == ["hit_for_miss", "miss", "hit", "hit_for_miss"]
    assert read["seen"] == 6 and read["cut"] and read["live"] == 3


def test_a_varnish_that_does_not_answer_is_one_sentence(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host_varnish, "find_program", lambda name: str(tmp_path / name))
    tool(tmp_path, "varnishadm", 'echo "No -T in shared memory: Is varnishd running?" >&2; exit 1')
    with pytest.raises(HostError, match="Varnish does not answer: varnishadm of instance 'x' says No -T in shared"):
        host_varnish.read_parameters("x")
    monkeypatch.setattr(host_varnish, "find_program", lambda name: "")
    with pytest.raises(HostError, match="varnishstat is not on this host: install Varnish first"):
        host_varnish.read_counters("")
