# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Optional libraries: imported on first use, by deps alone, with one sentence where one is missing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import deps

PLUGINS = Path(deps.__file__).parents[1]
#: The folder that holds ansible_collections; not resolved, since it may be reached by a link.
ROOT = PLUGINS.parents[3]
PACKAGE = "ansible_collections.frugal.cloud.plugins"
#: Heavy, or not there on a machine that only runs Ansible.
OPTIONAL = ("boto3", "botocore", "jinja2", "numpy", "psycopg", "scipy", "sqlalchemy")


@pytest.mark.parametrize("name", sorted(deps.LIBRARIES))
def test_each_library_is_what_its_module_is(name: str) -> None:
    module, _distribution = deps.LIBRARIES[name]
    if name == "pyspark_sql":
        pytest.importorskip("pyspark", reason="Spark has an environment of its own: tests/requirements/spark.txt")
    assert getattr(deps, name) is importlib.import_module(module)


def test_a_missing_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deps.LIBRARIES, "absent", ("no_such_module", "no-such-package"))
    with pytest.raises(deps.MissingLibrary, match="no-such-package is required and is not installed") as caught:
        assert deps.absent
    assert caught.value.distribution == "no-such-package"
    assert "ModuleNotFoundError" in caught.value.trace


def test_an_unknown_name_is_a_plain_error() -> None:
    with pytest.raises(AttributeError, match="deps has no library 'nobody'"):
        assert deps.nobody


def python(code: str, *, blocked: t.Sequence[str] = ()) -> str:
    """Run code in a Python of its own, in which ``blocked`` modules cannot be imported."""
    block = "".join(f"sys.modules[{name!r}] = None\n" for name in blocked)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{block}{code}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(folder: str) -> list[str]:
    """The names of all files of a folder of plugins, as imports name them."""
    return sorted(
        f"{PACKAGE}.{'.'.join(path.relative_to(PLUGINS).with_suffix('').parts)}"
        for path in (PLUGINS / folder).rglob("*.py")
        if path.name != "__init__.py"
    )


def test_importing_everything_imports_no_optional_library() -> None:
    """amazon.aws imports botocore where it is there; all else stays away until it is used."""
    names = files("module_utils")
    assert len(names) > 30
    loaded = python(
        f"import importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    ).split()
    assert {"numpy", "scipy", "sqlalchemy", "psycopg"}.isdisjoint(loaded)


@pytest.mark.parametrize("folder", ["module_utils", "modules"])
def test_everything_can_be_imported_where_no_optional_library_is_there(folder: str) -> None:
    """As ansible-test's import test does: documentation and arguments are there on any machine."""
    names = files(folder)
    assert names
    python(f"import importlib\nfor name in {names!r}: importlib.import_module(name)", blocked=OPTIONAL)
