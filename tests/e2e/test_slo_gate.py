# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SLOs guard changes: a real Prometheus with backfilled series, the simulated cloud, and the real playbooks."""

from __future__ import annotations

import datetime
import json
import os
import socket
import subprocess
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.e2e.loop import BIN, NOW, Loop, Ran, estate, machines
from ansible_collections.frugal.cloud.tests.tools.prometheus_server import (
    WINDOWS,
    Server,
    backfill,
    installed,
    serve,
    slo_series,
    together,
)

HOUR = 3600.0
T0 = datetime.datetime.fromisoformat(NOW).timestamp()
#: Of "the-password-of-the-tests"; bcrypt with cost 4.
PASSWORD, HASH = "the-password-of-the-tests", "$2b$04$XkutQm8FThhM..zH30Hi7uKLRlNk3/Pi91SEEN43B5nf0UtP5w94q"
#: Seconds after NOW at which the SLO "breaks" begins to burn: in the middle of a run.
BREAKS_AFTER = 12.0
_Dict = dict[str, t.Any]

pytestmark = pytest.mark.skipif(
    not installed(), reason="Prometheus is not installed; on Debian: apt-get install prometheus"
)


def moments(begin: float, end: float, step: float) -> list[float]:
    return [T0 + begin + step * number for number in range(int((end - begin) / step) + 1)]


def recovers(at: float) -> _Dict:
    """Burns until an hour after NOW; a while later only the long windows remember."""
    if at < T0 + HOUR:
        return dict.fromkeys(WINDOWS, 6.2)
    return {**dict.fromkeys(WINDOWS, 0.2), "6h": 3.1, "1d": 2.0, "3d": 1.5}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks with one SLO for each case; all of service shop."""
    minutes = moments(-2 * HOUR, 30 * HOUR, 60)

    def labels(name: str) -> dict[str, str]:
        return {"slo": name, "service": "shop", "team": "checkout"}

    return backfill(
        tmp_path_factory.mktemp("slo"),
        together(
            slo_series(labels("recovers"), minutes, recovers, lambda at: 0.62),
            slo_series(labels("spent"), minutes, lambda at: 0.1, lambda at: 0.04),
            # Healthy until the middle of a run that begins at NOW; a sample every second.
            slo_series(
                labels("breaks"),
                moments(-60, 300, 1),
                lambda at: 0.1 if at < T0 + BREAKS_AFTER else 80.0,
                lambda at: 0.7,
            ),
            # Healthy while the change is made, an outage eight hours later, for half an hour.
            slo_series(labels("outage"), minutes, lambda at: 30.0 if T0 + 8 * HOUR <= at < T0 + 8.5 * HOUR else 0.2),
            slo_series(labels("calm"), minutes, lambda at: 0.4),
        ),
    )


@pytest.fixture(scope="module")
def server(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that everybody may ask."""
    with serve(tmp_path_factory.mktemp("server") / "open", data) as running:
        yield running


def guarded(*slos: _Dict, **verification: t.Any) -> _Dict:
    """A policy: everything is approved by itself, ``slos`` guard."""
    return {
        "approval": [{"name": "everything", "automatic": True}],
        "error_budget_floor": 0.2,
        "slos": list(slos),
        "verification": {"soak_hours": 24, "rollback": "automatic", **verification},
    }


@pytest.fixture
def planned(make_loop: Callable[..., Loop], server: Server) -> Callable[..., Loop]:
    """An operator with a plan that waits to be applied, under a policy with ``slos``."""

    def make(slos: list[_Dict], count: int = 3, url: str = "", **verification: t.Any) -> Loop:
        loop = make_loop(
            estate([machines("web", count, tags={"app": "shop"}), machines("batch", tags={"app": "batch"})])
        )
        loop.variables["frugal_policy"] = guarded(*slos, **verification)
        loop.variables["frugal_slo_prometheus"] = {"url": url or server.url, "refresh_seconds": 1}
        loop.recommend()
        assert set(loop.statuses().values()) == {"approved"}
        return loop

    return make


ONLY_SHOP = {"match": {"tags": {"app": "shop"}}}
BURNS = (
    "SLO recovers (service shop) burns its error budget at 6.2 times the sustainable rate over 1h "
    "and 6.2 times over 5m; the policy allows 1 (maximum_burn_rate)"
)


def deferred(ran: Ran) -> list[str]:
    """Why actions were left for later."""
    return [item["why"] for item in ran.of("Apply what")["deferred"]]


def test_the_gate_stops_an_apply_and_lets_it_go_on_when_the_burn_is_over(planned: Callable[..., Loop]) -> None:
    loop = planned([{"name": "recovers", "service": "shop", **ONLY_SHOP}])
    before = loop.types()

    predicted = loop.good("rightsizing", "--check", frugal_stage="apply")
    assert deferred(predicted) == [BURNS] * 3
    assert predicted.of("Apply what")["by_status"] == {"applied": 1}
    assert loop.types() == before

    ran = loop.good("rightsizing", frugal_stage="apply")
    assert deferred(ran) == [BURNS] * 3
    assert ran.of("Apply what")["by_status"] == {"applied": 1}
    assert f"3 left for later: {BURNS}" in ran.output
    assert sorted(loop.statuses().values()) == ["applied", "approved", "approved", "approved"]
    assert loop.statuses()["batch"] == "applied"
    held = [row for row in loop.actions().values() if row["status"] == "approved"]
    assert {row["why"] for row in held} == {BURNS}, "the plan and the report say why"

    again = loop.good("rightsizing", frugal_stage="apply")
    assert again.changed == 0
    assert deferred(again) == [BURNS] * 3

    listed = loop.good("report")
    report = json.loads((loop.folder / "reports" / "report.json").read_text())
    assert BURNS in json.dumps(report, ensure_ascii=False), listed.output

    loop.advance(2)
    ran = loop.good("rightsizing", frugal_stage="apply")
    assert deferred(ran) == []
    assert set(loop.statuses().values()) == {"applied"}
    assert loop.good("rightsizing", frugal_stage="apply").changed == 0


def test_too_little_budget_holds_and_every_reason_is_told(planned: Callable[..., Loop]) -> None:
    loop = planned([{"name": "spent", **ONLY_SHOP}, {"name": "absent", "match": {"tags": {"app": "batch"}}}])
    ran = loop.good("rightsizing", frugal_stage="apply")
    whys = deferred(ran)
    spent = (
        "SLO spent (service shop) has 4.0 % of its error budget left; "
        "the policy asks for at least 20.0 % (error_budget_floor)"
    )
    assert whys.count(spent) == 3
    absent = next(why for why in whys if why != spent)
    assert absent.startswith("SLO absent has no samples in Prometheus at http://127.0.0.1:")
    assert f"    3 {spent}" in ran.output and f"    1 {absent}" in ran.output
    assert ran.of("Apply what")["by_status"] == {}
    assert not loop.changes()


def test_a_burn_that_begins_during_a_run_stops_the_rest(planned: Callable[..., Loop]) -> None:
    loop = planned([{"name": "breaks"}], count=40)
    ran = loop.good("rightsizing", frugal_stage="apply", rightsizing_max_in_flight=1)
    statuses = sorted(loop.statuses().values())
    applied = statuses.count("applied")
    assert 0 < applied < 41, ran.output
    assert statuses == ["applied"] * applied + ["approved"] * (41 - applied), "nothing is left half done"
    assert all("burns its error budget at 80.0 times" in why for why in deferred(ran))
    assert ran.of("Apply what")["deferred_count"] == 41 - applied
    assert loop.good("rightsizing", frugal_stage="apply", frugal_as_of="2026-06-15T12:01:00Z").changed == 0


def test_a_fast_burn_while_it_soaks_is_rolled_back_at_once(planned: Callable[..., Loop]) -> None:
    loop = planned([{"name": "outage", **ONLY_SHOP}], count=2, checks=["slo", "instance_health"])
    before = loop.types()
    loop.good("rightsizing", frugal_stage="apply")
    assert set(loop.statuses().values()) == {"applied"}

    loop.advance(4)
    early = loop.good("rightsizing", frugal_stage="verify")
    assert not early.of("Verify what")["changed"], "it soaks, and nothing burns"
    assert early.of("Verify what")["deferred_count"] == 3

    loop.advance(5)
    predicted = loop.good("rightsizing", "--check", frugal_stage="verify").of("Verify what")
    ran = loop.good("rightsizing", frugal_stage="verify")
    result = ran.of("Verify what")
    assert predicted["by_status"] == result["by_status"] == {"applied": 0, "rolled_back": 2, "verified": 0}
    assert result["deferred_count"] == 1, "what the SLO does not guard goes on soaking"
    why = (
        "slo outage: SLO outage (service shop) burned its error budget at 30.0 times the sustainable rate over 1h "
        "at 2026-06-15 20:00 UTC; from 14.4 on it is too fast"
    )
    assert {item["why"] for item in result["verifications"].values()} == {why}
    now = loop.types()
    assert {name: kind for name, kind in now.items() if name != "batch"} == {
        name: kind for name, kind in before.items() if name != "batch"
    }
    assert now["batch"] != before["batch"]
    assert loop.good("rightsizing", frugal_stage="verify").changed == 0


def test_a_calm_soak_is_verified_with_its_figure(planned: Callable[..., Loop]) -> None:
    loop = planned([{"name": "calm"}], count=1, checks=["slo"])
    loop.good("rightsizing", frugal_stage="apply")
    loop.advance(25)
    result = loop.good("rightsizing", frugal_stage="verify").of("Verify what")
    assert result["by_status"]["verified"] == 2
    assert all("burned at most at 0.4 times" in item["why"] for item in result["verifications"].values())


@pytest.mark.parametrize("on_missing", ["refuse", "allow"])
def test_an_unreachable_prometheus(planned: Callable[..., Loop], on_missing: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    loop = planned([{"name": "calm", "on_missing": on_missing}], count=1, url=url)
    ran = loop.good("rightsizing", frugal_stage="apply")
    if on_missing == "allow":
        assert set(loop.statuses().values()) == {"applied"}
        loop.advance(25)
        verified = loop.good("rightsizing", frugal_stage="verify").of("Verify what")
        assert verified["by_status"]["verified"] == 2
        return
    whys = deferred(ran)
    assert len(whys) == 2
    assert all(
        why.startswith(f"SLO calm guards it and cannot be read: Prometheus at {url} cannot be read") for why in whys
    )
    assert not loop.changes()
    # Nobody said where it is: nobody guesses either.
    ran = loop.good("rightsizing", frugal_stage="apply", frugal_slo_prometheus={})
    assert {"slo_prometheus does not say" in why for why in deferred(ran)} == {True}


def test_what_was_applied_waits_for_its_verification_while_its_slo_cannot_be_read(
    planned: Callable[..., Loop], server: Server
) -> None:
    loop = planned([{"name": "calm"}], count=1, checks=["slo", "instance_health"])
    loop.good("rightsizing", frugal_stage="apply")
    loop.advance(25)
    blind = loop.good("rightsizing", frugal_stage="verify", frugal_slo_prometheus={})
    assert not blind.of("Verify what")["changed"]
    assert set(loop.statuses().values()) == {"applied"}
    assert "slo_prometheus does not say" in blind.of("Verify what")["deferred"][0]["why"]
    loop.good("rightsizing", frugal_stage="verify")
    assert set(loop.statuses().values()) == {"verified"}


# -- slo_info ---------------------------------------------------------------------------


def info(folder: Path, **options: t.Any) -> _Dict:
    """What the module returns, by the ad-hoc command."""
    environment = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "ANSIBLE_COLLECTIONS_PATH": str(Path(__file__).resolve().parents[2] / "build" / "root"),
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LANG": "C.UTF-8",
    }
    arguments = json.dumps({"as_of": NOW, **options})
    command = [str(BIN / "ansible"), "localhost", "-m", "frugal.cloud.slo_info", "-a", arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=folder, timeout=120
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return t.cast(_Dict, json.loads(done.stdout.rpartition(" => ")[2]))


def test_slo_info_tells_budgets_burns_and_what_they_mean(server: Server, tmp_path: Path) -> None:
    found = info(tmp_path, prometheus={"url": server.url}, labels={"team": "checkout"})
    slos = {slo["name"]: slo for slo in found["slos"]}
    assert sorted(slos) == ["breaks", "calm", "outage", "recovers", "spent"]
    assert found["requests"] == 2
    assert {name: slo["state"] for name, slo in slos.items()} == {
        "breaks": "healthy",
        "calm": "healthy",
        "outage": "healthy",
        "recovers": "burning_fast",
        "spent": "healthy",
    }
    burning = slos["recovers"]
    assert burning["budget_left"] == pytest.approx(0.62)
    assert burning["burn_rates"] == pytest.approx(dict.fromkeys(WINDOWS, 6.2))
    assert (burning["service"], burning["labels"], burning["period_days"]) == ("shop", {"team": "checkout"}, 30)
    # 0.62 of 30 days at a burn of 6.2 are three days; the past before the series begin gives nothing back.
    assert burning["forecast"]["hours"] == pytest.approx(72.0, rel=0.01)
    assert burning["forecast"]["exhausted_at"].startswith("2026-06-18T")
    assert found["as_of"] == NOW


def test_slo_info_names_those_that_are_there(server: Server, tmp_path: Path) -> None:
    refused = info(tmp_path, prometheus={"url": server.url}, names=["calm", "speed"])
    assert refused["msg"] == (
        f"Prometheus at {server.url} has no SLO speed at 2026-06-15 12:00 UTC; it has SLO breaks (service shop), "
        "SLO calm (service shop), SLO outage (service shop), SLO recovers (service shop), SLO spent (service shop)"
    )
    nothing = info(tmp_path, prometheus={"url": server.url}, as_of="2026-01-01T00:00:00Z")
    assert nothing["slos"] == []


def test_slo_info_asks_for_a_password(data: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "closed", data, f"basic_auth_users: {{reader: '{HASH}'}}\n") as server:
        refused = info(tmp_path, prometheus={"url": server.url})
        assert f"Prometheus at {server.url} answered 401" in refused["msg"]
        wrong = info(tmp_path, prometheus={"url": server.url, "username": "reader", "password": "guessed-word"})
        assert "set its username and password" in wrong["msg"]
        assert "guessed-word" not in json.dumps(wrong)
        right = info(tmp_path, prometheus={"url": server.url, "username": "reader", "password": PASSWORD})
        assert right["by_state"] == {"burning_fast": 1, "healthy": 4}
