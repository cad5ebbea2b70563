# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What test hosts get that Debian does not have: pinned, verified, fetched once."""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import environment  # noqa: E402
import host_downloads  # noqa: E402

CONTENT = b"not really a Java agent"


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maven repository and a role that pins an agent in it, with a cache of their own."""
    agent = tmp_path / "maven" / "1.2.3" / "opentelemetry-javaagent-1.2.3.jar"
    agent.parent.mkdir(parents=True)
    agent.write_bytes(CONTENT)
    defaults = tmp_path / "role" / "defaults" / "main.yml"
    defaults.parent.mkdir(parents=True)
    pins = {
        "otel_instrumentation_java_version": "1.2.3",
        "otel_instrumentation_java_checksum": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
    }
    defaults.write_text(yaml.safe_dump(pins))
    monkeypatch.setattr(host_downloads, "MAVEN", f"file://{tmp_path / 'maven'}")
    monkeypatch.setattr(host_downloads, "INSTRUMENTATION", tmp_path / "role")
    monkeypatch.setenv("FRUGAL_CACHE", str(tmp_path / "cache"))
    return agent


def test_the_agent_is_fetched_once(maven: Path) -> None:
    host_downloads.java()
    fetched = host_downloads.files() / "java" / maven.name
    assert fetched.read_bytes() == CONTENT
    maven.unlink()
    host_downloads.java()
    fetched.write_bytes(b"damaged")
    with pytest.raises(environment.SetupError, match="cannot be fetched"):
        host_downloads.java()


def test_an_agent_with_another_checksum_is_refused(maven: Path) -> None:
    maven.write_bytes(b"something else")
    with pytest.raises(
        environment.SetupError, match=r"jar has the checksum sha256:[0-9a-f]{64}, sha256:[0-9a-f]{64} is"
    ):
        host_downloads.java()
    assert not (host_downloads.files() / "java" / maven.name).exists()


def test_an_archive_depends_on_names_and_content_only(tmp_path: Path) -> None:
    folder = tmp_path / "node_modules"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "index.js").write_text("1")
    (folder / "tool").write_text("2")
    (folder / "tool").chmod(0o750)
    sums = set()
    for name in ("one.tar.gz", "two.tar.gz"):
        host_downloads.pack(tmp_path / name, folder)
        sums.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
        os.utime(folder / "tool", (1, 1))
        (folder / "a" / "index.js").chmod(0o600)
    assert len(sums) == 1
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        assert {member.name: member.mode for member in tar} == {
            "node_modules": 0o755,
            "node_modules/a": 0o755,
            "node_modules/a/index.js": 0o644,
            "node_modules/tool": 0o755,
        }


def test_what_the_role_pins_is_what_is_fetched() -> None:
    """Every package of the lists of wheels has an exact version and a checksum."""
    for path in host_downloads.WHEEL_LISTS:
        entries = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        packages = [entry for entry in entries if entry and not entry.startswith("#")]
        assert len(packages) > 5
        for entry in packages:
            assert "==" in entry.split()[0] and "--hash=sha256:" in entry, entry
