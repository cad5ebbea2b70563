# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes each role's README.md from its meta/argument_specs.yml: ``role_readmes.py``, or ``--check``.

What a role takes is written down once, where Ansible validates it.
"""

from __future__ import annotations

import argparse
import re
import sys
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
#: Ansible's markup; what is in the brackets may hold escaped characters
MARKUP = re.compile(r"\b(?P<kind>[A-Z]{1,2})\((?P<text>(?:[^()\\]|\\.|\([^()]*\))*)\)")


class NoSpecification(Exception):
    """A role without meta/argument_specs.yml."""


def markdown(text: str) -> str:
    """Ansible's documentation markup as Markdown, on one line."""

    def one(found: re.Match[str]) -> str:
        kind, inner = found["kind"], re.sub(r"\\(.)", r"\1", found["text"])
        if kind in ("C", "V", "O", "RV", "E"):
            return f"`{inner}`"
        if kind in ("M", "P"):
            return f"`{inner.split('#')[0]}`"
        if kind == "I":
            return f"*{inner}*"
        if kind == "B":
            return f"**{inner}**"
        if kind in ("L", "R"):
            label, target = (part.strip() for part in inner.rsplit(",", 1))
            return f"[{label}]({target})" if kind == "L" else label
        return inner if kind == "U" else found[0]

    return " ".join(MARKUP.sub(one, text).split())


def sentences(value: t.Any) -> list[str]:
    """A description, which is a text or a list of texts."""
    return [markdown(str(part)) for part in (value if isinstance(value, list) else [value or ""])]


def default_of(option: t.Mapping[str, t.Any]) -> str:
    """What applies when the option is not set, for the table."""
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return ""
    value = option["default"]
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return '`""`' if value == "" else f"`{value}`"


def rows(options: t.Mapping[str, t.Any], prefix: str = "") -> t.Iterator[str]:
    """The rows of the table of options, nested ones under their full path."""
    for name, option in options.items():
        kind = option.get("type", "str")
        if "elements" in option:
            kind = f"{kind} of {option['elements']}"
        text = " ".join(sentences(option.get("description")))
        if option.get("choices"):
            text += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
        cells = (f"`{prefix}{name}`", kind, default_of(option), text)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield from rows(option.get("options") or {}, f"{prefix}{name}.")


def readme(role: Path) -> str:
    """The text of the role's README.md."""
    path = role / "meta" / "argument_specs.yml"
    if not path.is_file():
        raise NoSpecification(f"roles/{role.name} has no meta/argument_specs.yml: write down what it takes there")
    specifications = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    lines = [f"# frugal.cloud.{role.name}", ""]
    for point, specification in specifications.items():
        if point != "main":
            lines += [f"## Entry point {point}", ""]
        lines += [f"{markdown(specification['short_description']).rstrip('.')}.", ""]
        for sentence in sentences(specification.get("description") or []):
            if sentence:
                lines += [sentence, ""]
        options = specification.get("options") or {}
        required = {name: option for name, option in options.items() if option.get("required")}
        lines += ["```yaml", "- name: " + markdown(specification["short_description"]), "  hosts: localhost"]
        lines += [
            "  gather_facts: false",
            "  tasks:",
            "    - name: Use the role",
            "      ansible.builtin.include_role:",
        ]
        lines += [f"        name: frugal.cloud.{role.name}"]
        lines += [f"        tasks_from: {point}"] if point != "main" else []
        lines += ["      vars:"] if required else []
        lines += [f"        {name}: ..." for name in required]
        lines += ["```", ""]
        if options:
            heading = "## Options" if point == "main" else "### Options"
            lines += [heading, "", "| name | type | default | meaning |", "|---|---|---|---|", *rows(options), ""]
    lines += ["## Licence", "", "GPL-3.0-or-later", ""]
    lines += ["<!-- Made by make readmes from meta/argument_specs.yml: change that file. -->", ""]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the roles' README.md files.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail where one is not up to date")
    options = parser.parse_args()
    problems = []
    for role in sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir()):
        try:
            text = readme(role)
        except NoSpecification as error:
            problems.append(str(error))
            continue
        target = role / "README.md"
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            continue
        if options.check:
            problems.append(f"roles/{role.name}/README.md is not up to date: run make readmes")
        else:
            target.write_text(text, encoding="utf-8")
            print(f"wrote roles/{role.name}/README.md")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
