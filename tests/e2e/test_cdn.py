# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for CDNs as Ansible runs them, on stand-ins: check mode, diff, idempotence, secrets, sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.frugal.cloud.tests.simulator.process import SimulatorProcess
from ansible_collections.frugal.cloud.tests.standins import cloudflare_api, google_api

ROOT = Path(__file__).resolve().parents[2]
_Dict = dict[str, t.Any]


def run(module: str, arguments: _Dict, *flags: str) -> tuple[_Dict, str]:
    """One run with ``ansible -m``: its result, and all that it printed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "CLOUDFLARE_", "AWS_"))}
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible", "localhost", "-c", "local", "-i", "localhost,", *flags),
            *("-m", f"frugal.cloud.{module}", "-a", json.dumps(arguments)),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
        ],
        env={
            **kept,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "root"),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert "Traceback" not in output, output
    start = done.stdout.rindex("=> {") + 3
    return json.JSONDecoder().raw_decode(done.stdout[start:])[0], output


def test_cloudflare() -> None:
    account = cloudflare_api.Account()
    with cloudflare_api.serving(account) as url:
        wanted: _Dict = {
            "api_url": url,
            "api_token": cloudflare_api.TOKEN,
            "zone": "example.com",
            "settings": {"http3": True},
            "rules": [{"name": "Static", "expression": "true", "edge_ttl": 60}],
            "tiered_cache": "smart",
        }
        predicted, output = run("cloudflare_cache", wanted, "--check", "--diff")
        assert predicted["changed"]
        assert account.settings["http3"] == "off"
        assert '+    "http3": "on"' in output
        assert cloudflare_api.TOKEN not in output
        done, _output = run("cloudflare_cache", wanted)
        assert done["changes"] == predicted["changes"]
        assert account.settings["http3"] == "on"
        again, _output = run("cloudflare_cache", wanted)
        assert (again["changed"], again["changes"], again["api_requests"]) == (False, [], 5)
        refused, _output = run("cloudflare_cache", {**wanted, "zone": "example.org"})
        assert "zone is 'example.org': this token sees no zone of that name" in refused["msg"]
        missing, _output = run("cloudflare_cache", {**wanted, "api_token": None})
        assert missing["msg"].startswith("api_token is missing")


def test_google() -> None:
    google = google_api.cdn_project()
    with google_api.serving(google) as url:
        wanted: _Dict = {
            "project": "shop",
            "base_url": url,
            "auth_kind": "accesstoken",
            "access_token": google_api.TOKEN,
            "backends": [
                {
                    "name": "web",
                    "enable_cdn": True,
                    "cdn_policy": {"cache_mode": "use_origin_headers"},
                    "signed_url_keys": [{"name": "k1", "value": "nZtRohdNF9m3cKM24IcK4w=="}],
                }
            ],
        }
        predicted, output = run("gcp_cdn", wanted, "--check", "--diff", "-vvv")
        assert predicted["changed"]
        assert '+    "enableCDN": true' in output
        assert google_api.TOKEN not in output
        assert "nZtRohdNF9m3cKM24IcK4w" not in output
        done, _output = run("gcp_cdn", wanted)
        assert done["changes"] == predicted["changes"]
        again, _output = run("gcp_cdn", wanted)
        assert (again["changed"], again["api"]["requests"]) == (False, 1)
        refused, _output = run("gcp_cdn", {**wanted, "backends": [{"name": "api"}]})
        assert "project shop has no global backend service of that name" in refused["msg"]


def test_cloudfront() -> None:
    account = {
        "id": "111111111111",
        "distributions": [{"id": "E2EXAMPLE", "origins": {"web": "origin.example.com"}}],
        "regions": {},
    }
    with SimulatorProcess({"now": "2026-06-15T12:00:00Z", "accounts": [account]}) as simulator:
        keys = simulator.credentials("111111111111")
        wanted: _Dict = {
            "region": "us-east-1",
            "endpoint_url": simulator.url,
            "access_key": keys["aws_access_key_id"],
            "secret_key": keys["aws_secret_access_key"],
            "cache_policies": [{"name": "pages", "query_strings": {"behavior": "all_except", "names": ["gclid"]}}],
            "distributions": [{"id": "E2EXAMPLE", "behaviors": [{"cache_policy": "pages", "compress": True}]}],
        }
        predicted, output = run("cloudfront_cache", wanted, "--check", "--diff")
        assert [change["action"] for change in predicted["changes"]] == ["create", "update"]
        assert '+        "cache_policy": "(new) pages"' in output
        assert [change["operation"] for change in simulator.stats()["changes"]] == []
        done, _output = run("cloudfront_cache", wanted)
        assert done["changes"] == predicted["changes"]
        again, _output = run("cloudfront_cache", wanted)
        assert (again["changed"], again["changes"]) == (False, [])
        refused, _output = run("cloudfront_cache", {**wanted, "distributions": [{"id": "E1"}]})
        assert refused["msg"] == "distributions has 'E1', which account 111111111111 does not have"


def test_access_logs(tmp_path: Path) -> None:
    """Two requests for one page with campaign parameters of their own, a private one, and a line that is cut off."""
    shown = {"host": "shop.example.com", "method": "GET", "status": 200, "bytes": 2000, "cache_control": "max-age=60"}
    lines: list[_Dict] = [
        {**shown, "uri": f"/p/1?utm_source={n}", "time": 1_767_225_600, "cache": "MISS"} for n in (1, 2)
    ]
    lines.append({**shown, "uri": "/account", "time": 1_767_225_601, "cache": "BYPASS", "cache_control": "private"})
    log = tmp_path / "access.log"
    log.write_text("\n".join(json.dumps(line) for line in lines) + '\n{"uri": "/p')
    found, _output = run("cdn_info", {"logs": [{"format": "nginx", "paths": [str(log)]}], "origin_price_gib": 0.09})
    assert (found["changed"], found["summary"]["requests"], found["unreadable_lines"]) == (False, 3, 1)
    assert {row["reason"]: row["possible_hits"] for row in found["not_cached"]} == {
        "tracking_parameters": 1,
        "forbidden": 0,
    }
    assert found["money"]["why"].startswith("the logs cover 0.0 h")
    refused, _output = run("cdn_info", {"logs": [{"format": "cloudflare", "paths": [str(log)]}]})
    assert "is a request of format cloudflare: choose the format that they have" in refused["msg"]
    wrong, _output = run("cdn_info", {"logs": [{"format": "nginx", "paths": [str(log)]}], "compression_ratio": 0.5})
    assert wrong["msg"].startswith("compression_ratio is 0.5: give size before")
