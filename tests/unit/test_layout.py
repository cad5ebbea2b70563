# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about the collection's files that no linter knows."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
PACKAGE = "ansible_collections.frugal.cloud.plugins"
SOURCES = sorted(path for path in PLUGINS.rglob("*.py") if "__pycache__" not in path.parts)
MODULES = sorted((PLUGINS / "modules").glob("*.py"))
#: import names that only deps.py may import
OPTIONAL = {
    "boto3", "botocore", "duckdb", "google", "ibis", "jinja2", "kubernetes", "numpy", "plotly", "psycopg",
    "pyarrow", "redis", "scipy", "sqlalchemy", "statsmodels",
}  # fmt: skip
CLOUD_COLLECTIONS = ("ansible_collections.amazon", "ansible_collections.google", "ansible_collections.kubernetes")
SPINE = ("recommendation", "resources", "plan", "policy", "ledger", "executor", "progress")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> t.Iterator[str]:
    """Every module that a file imports, those for type checkers only left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_deps_imports_optional_libraries(path: Path) -> None:
    if path == PLUGINS / "module_utils" / "deps.py":
        return
    found = {name.split(".")[0] for name in imported(parse(path))} & OPTIONAL
    assert not found, f"{name_of(path)} imports {sorted(found)}: use an attribute of deps"


def test_deps_itself_imports_nothing_optional_when_it_is_imported() -> None:
    found = {name.split(".")[0] for name in imported(parse(PLUGINS / "module_utils" / "deps.py"))} & OPTIONAL
    assert not found


BLOCKED = """
import importlib, importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Block())
failed = []
for name in {names!r}:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed.append(f"{{name}}: {{type(error).__name__}}: {{error}}")
sys.exit("\\n".join(failed) or 0)
"""


def test_every_file_can_be_imported_without_any_optional_library() -> None:
    """A module must be able to say what is missing; Ansible itself needs jinja2, so that stays."""
    names = [
        ".".join((PACKAGE, *path.relative_to(PLUGINS).with_suffix("").parts))
        for path in SOURCES
        if path.name != "__init__.py" and path.parent.name != "doc_fragments"
    ]
    script = BLOCKED.format(blocked=sorted(OPTIONAL - {"jinja2"}), names=names)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in SOURCES
        if path.parent.name == "analyze" or (path.parent.name == "module_utils" and path.stem.split("_")[0] in SPINE)
    ],
    ids=name_of,
)
def test_spine_and_analysis_know_no_cloud_collection(path: Path) -> None:
    found = [name for name in imported(parse(path)) if name.startswith(CLOUD_COLLECTIONS)]
    assert not found


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_source_files_carry_the_licence_and_are_typed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py":
        assert not text, "__init__.py files stay empty"
        return
    assert "GNU General Public License v3.0+" in "\n".join(text.splitlines()[:6])
    assert "from __future__ import annotations" in text


def uses_aws(path: Path) -> bool:
    return any(name.startswith(f"{PACKAGE}.module_utils.aws") for name in imported(parse(path)))


def test_action_group_holds_every_module_that_takes_aws_options() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    using = {path.stem for path in MODULES if uses_aws(path)}
    assert set(runtime["action_groups"]["aws"]) == using


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_thin(path: Path) -> None:
    """An entry file reads like a table of contents: 250 lines with its documentation."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


def test_dependencies_are_named_alike_everywhere() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    requirements = yaml.safe_load((ROOT / "requirements.yml").read_text(encoding="utf-8"))
    listed = {entry["name"]: entry["version"] for entry in requirements["collections"]}
    assert galaxy["dependencies"].items() <= listed.items()
