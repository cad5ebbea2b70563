# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics as text for node_exporter's textfile collector, checked so that the collector takes all of them.

Runs on managed hosts: standard library only, Python 3.9 or later.
The format is https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.
"""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
#: what samples of a type may add to the metric's name
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
#: how a text may name a value that is no plain number
SPECIAL = {"+inf": "+Inf", "inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
#: the label that tells buckets and quantiles apart
EXTRA_LABEL = {"histogram": "le", "summary": "quantile"}

Options = t.Mapping[str, t.Any]


def render(metrics: t.Sequence[Options]) -> str:
    """The file's text for metrics of the form C({name, type, help, samples: [{suffix, labels, value}]}).

    :raises HostError: when the collector would refuse the file, and with it all other files of its folder's metrics.
    """
    lines: list[str] = []
    names: set[str] = set()
    for metric in metrics:
        name, kind = metric["name"], metric["type"]
        if not METRIC_NAME.match(name):
            raise HostError(f"metrics has the name {name!r}: give letters, digits, _ and :, and no digit first")
        if kind not in TYPES:
            raise HostError(f"type of {name} is {kind!r}: give one of {', '.join(TYPES)}")
        taken = {name, *(name + suffix for suffix in SUFFIXES.get(kind, ("",)))}
        if taken & names:
            raise HostError(f"metrics has {min(taken & names)} twice: put all samples of a metric into one entry")
        names |= taken
        if metric["help"]:
            lines.append(f"# HELP {name} {_escaped(metric['help'], quotes=False)}")
        lines.append(f"# TYPE {name} {kind}")
        if not metric["samples"]:
            raise HostError(f"samples of {name} is empty: give at least one, or leave the metric out")
        lines.extend(_samples(name, kind, metric["samples"]))
    return "".join(f"{line}\n" for line in lines)


def _samples(name: str, kind: str, samples: t.Sequence[Options]) -> t.Iterator[str]:
    """The lines of one metric, in the order of their labels so that the same samples give the same file."""
    found: dict[str, str] = {}
    for sample in samples:
        suffix = sample.get("suffix") or ""
        allowed = SUFFIXES.get(kind, ("",))
        if suffix not in allowed:
            right = ", ".join(repr(one) for one in allowed)
            raise HostError(f"suffix of a sample of {name} is {suffix!r}: a {kind} has {right}")
        labels = _labels(name, kind, suffix, sample.get("labels") or {})
        series = f"{name}{suffix}{labels}"
        if series in found:
            raise HostError(f"samples of {name} has {series} twice: give each combination of labels once")
        found[series] = number(sample["value"], series, positive=kind in ("counter", "histogram"))
    for series in sorted(found):
        yield f"{series} {found[series]}"


def _labels(name: str, kind: str, suffix: str, labels: t.Mapping[str, t.Any]) -> str:
    for label in labels:
        if not LABEL_NAME.match(label) or label.startswith("__"):
            raise HostError(
                f"labels of {name} has {label!r}: give letters, digits and _, no digit first and not __ at the start"
            )
    wanted = EXTRA_LABEL.get(kind)
    if wanted and suffix in ("_bucket", "") and wanted not in labels:
        raise HostError(f"labels of a sample of {name}{suffix} lacks {wanted}: a {kind} needs it")
    if wanted and wanted in labels:
        number(labels[wanted], f"{wanted} of {name}")
    text = ",".join(f'{key}="{_escaped(labels[key], quotes=True)}"' for key in sorted(labels))
    return f"{{{text}}}" if text else ""


def _escaped(text: t.Any, *, quotes: bool) -> str:
    escaped = str(text).replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped


def number(value: t.Any, what: str, *, positive: bool = False) -> str:
    """A value as text that Prometheus reads.

    :raises HostError: when it is no number, or below 0 where that cannot be.
    """
    text = str(value).strip()
    if text.lower() in SPECIAL:
        text = SPECIAL[text.lower()]
    elif isinstance(value, bool) or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        raise HostError(f"value of {what} is {value!r}: give a number, +Inf, -Inf or NaN")
    parsed = float(text.replace("Inf", "inf"))
    if positive and (parsed < 0 or math.isnan(parsed)):
        raise HostError(f"value of {what} is {value}: a counter cannot be below 0")
    return text
