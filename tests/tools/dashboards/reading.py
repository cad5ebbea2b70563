# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dashboard's file asks of Prometheus: its expressions with the variables filled in, as Grafana does it."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path

_Dict = dict[str, t.Any]
#: Grafana's own: the rate interval at a scrape interval of a minute and less, and the default time range
BUILT_IN = {"__rate_interval": "5m", "__interval": "1m", "__range": "6h"}
_REFERENCE = re.compile(r"\$\{(?P<braced>\w+)(?::\w+)?\}|\$(?P<bare>\w+)")
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")


class UnknownVariable(KeyError):
    """An expression names a variable that the dashboard does not define."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """One query of a panel, with the variables still in it."""

    panel: _Dict
    target: _Dict

    @property
    def expr(self) -> str:
        """As it is written in the file."""
        return str(self.target["expr"])

    @property
    def instant(self) -> bool:
        """Whether only the latest values are asked for."""
        return bool(self.target.get("instant"))

    @property
    def name(self) -> str:
        """For test names and messages."""
        return f"{self.panel['title']} ({self.target['refId']})"


def read(path: Path) -> _Dict:
    """The dashboard."""
    return t.cast(_Dict, json.loads(path.read_text(encoding="utf-8")))


def panels(dashboard: _Dict) -> Iterator[_Dict]:
    """Every panel that shows data; rows left out."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from (inner for inner in panel.get("panels", []))


def queries(dashboard: _Dict) -> Iterator[Asked]:
    """Every query of every panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Asked(panel, target)


def variables(dashboard: _Dict) -> dict[str, _Dict]:
    """The variables by name."""
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def chosen(dashboard: _Dict) -> dict[str, str]:
    """What each variable stands for when the dashboard is opened: All, the first choice, or the text."""
    values = dict(BUILT_IN)
    for name, variable in variables(dashboard).items():
        if variable["type"] == "datasource":
            continue
        value = str(variable["current"]["value"])
        values[name] = str(variable["allValue"]) if value == "$__all" else value
    return values


def label_values(variable: _Dict) -> tuple[str, str]:
    """Series and label that a variable of this kind lists."""
    found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
    assert found, variable["query"]
    return found["series"], found["label"]


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with the variables' values in it. :raises UnknownVariable: when there is no such variable."""

    def one(found: re.Match[str]) -> str:
        name = found["braced"] or found["bare"]
        if name not in values:
            raise UnknownVariable(name)
        return values[name]

    return _REFERENCE.sub(one, text)
