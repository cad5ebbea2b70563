# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DuckDB, a PostgreSQL server and Spark give the same cost report, chargeback to the cent included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.e2e import cost_answers
from ansible_collections.frugal.cloud.tests.tools import environment
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost import costs_sample

#: Seconds.
SPARK_AT_MOST = 90
#: For a few hundred rows Java spends its time on compiling code, not on running it.
SPARK_IN_A_HURRY = {
    "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "PYSPARK_SUBMIT_ARGS": "--conf spark.sql.codegen.wholeStage=false --conf spark.sql.codegen.factoryMode=NO_CODEGEN "
    "pyspark-shell",
    "SPARK_LOCAL_IP": "127.0.0.1",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return costs_sample.dataset(tmp_path_factory.mktemp("costs"))


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, t.Any]:
    answers = cost_answers.answers(str(folder))
    assert sum(line["cost"] for line in answers["chargeback"]) == pytest.approx(
        sum(month["cost"] for month in answers["months"]), abs=1e-9
    )
    return answers


def same(got: dict[str, t.Any], expected: dict[str, t.Any]) -> None:
    """Equal but for the last digit of sums; what is rounded to cents is equal."""
    assert got.keys() == expected.keys()
    for name in ("months", "chargeback", "coverage"):
        assert got[name] == expected[name]
    for name in ("lines", "days", "commitments"):
        assert len(got[name]) == len(expected[name])
        for one, other in zip(got[name], expected[name]):
            assert one == pytest.approx(other, abs=2e-6)
    for one, other in zip(got["movers"]["rows"], expected["movers"]["rows"], strict=True):
        assert one == pytest.approx(other, abs=2e-6)


def test_postgresql_gives_the_same_report(folder: Path, expected: dict[str, t.Any], postgresql_url: str) -> None:
    url = postgresql_url.replace("postgresql+psycopg://", "postgresql://")
    costs_sample.to_postgresql(url, folder, "bills")
    same(json.loads(json.dumps(cost_answers.answers(f"{url}?table=public.bills"))), expected)


@pytest.mark.timeout(SPARK_AT_MOST + 600)  # the first time its packages are installed
def test_spark_gives_the_same_report(folder: Path, expected: dict[str, t.Any]) -> None:
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, which is not installed")
    python = environment.virtual_environment("spark") / "bin" / "python"
    done = subprocess.run(
        [python, cost_answers.__file__, f"spark://local{folder}"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            **SPARK_IN_A_HURRY,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("build/root")),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=SPARK_AT_MOST,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    same(json.loads(done.stdout), expected)
