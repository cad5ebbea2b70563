# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry of the report's charts: numbers in, SVG path data and words out.

The template draws them, the style sheet colours them: they show without scripts, print
as vectors and follow dark mode. Coordinates are in the units of the SVG view box.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_data import Month

#: Points of one line; longer series are cut into as many spans, each shown by its largest value.
MAXIMUM_POINTS = 180
_WORDS = {"cpu": "CPU", "ebs": "EBS", "iops": "IOPS"}
#: Metrics as people call them; others are shown by their own name.
_TITLES = {
    "network_in_bytes_per_second": "Network in",
    "network_out_bytes_per_second": "Network out",
    "network_packets_in_per_second": "Packets in",
    "network_packets_out_per_second": "Packets out",
    "ebs_read_bytes_per_second": "EBS read throughput",
    "ebs_write_bytes_per_second": "EBS write throughput",
    "ebs_read_operations_per_second": "EBS read operations",
    "ebs_write_operations_per_second": "EBS write operations",
    "ebs_bytes_per_second": "EBS throughput",
    "ebs_operations_per_second": "EBS operations",
    "cpu_credit_balance": "CPU credit balance",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """The plot area inside a view box."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    def x(self, share: float) -> float:
        """Horizontal place of ``share`` (0..1) of the plot's width."""
        return round(self.left + share * (self.width - self.left - self.right), 1)

    def y(self, share: float) -> float:
        """Vertical place of ``share`` (0..1) of the plot's height; 0 is at the bottom."""
        return round(self.height - self.bottom - share * (self.height - self.top - self.bottom), 1)


USAGE_FRAME = Frame(280, 140, 40, 4, 14, 20)
#: A usage chart over the whole width of its card.
WIDE_FRAME = Frame(580, 140, 40, 4, 14, 20)
SAVINGS_FRAME = Frame(560, 240, 62, 14, 14, 26)


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A tick or a limit: where it is and what it says. ``lower``: its label belongs below its line."""

    at: float
    label: str
    lower: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class UsageChart:
    """Usage of one metric against the limit of the present size and of the proposed one."""

    frame: Frame
    title: str
    unit: str
    summary: str
    p99: str
    maximum: str
    above: tuple[tuple[float, float], ...]
    current_limit: Mark | None
    proposed_limit: Mark | None
    horizontal: tuple[Mark, ...]
    vertical: tuple[Mark, ...]
    days: str
    p99_values: str
    maximum_values: str


@dataclasses.dataclass(frozen=True, slots=True)
class SavingsChart:
    """Projected and realised savings, summed up month by month."""

    frame: Frame
    currency: str
    summary: str
    projected: str
    realised: str
    realised_area: str
    points: tuple[tuple[float, float], ...]
    projected_total: float
    realised_total: float | None
    horizontal: tuple[Mark, ...]
    vertical: tuple[Mark, ...]


def usage_chart(series: Mapping[str, t.Any], frame: Frame = USAGE_FRAME) -> UsageChart | None:
    """Lay out one entry of a recommendation's ``evidence.charts``; None where nothing can be drawn.

    :param series: ``metric``, ``unit``, ``start`` (ISO 8601), ``period_seconds``, ``p99`` and
        ``maximum`` (values per period, null where there is no data), ``current_limit`` and
        ``proposed_limit`` (same unit, or null).
    """
    p99, maximum = _numbers(series.get("p99")), _numbers(series.get("maximum"))
    count = max(len(p99), len(maximum))
    known = [value for value in p99 + maximum if value is not None]
    if not known:
        return None
    p99 += [None] * (count - len(p99))
    maximum += [None] * (count - len(maximum))
    span = math.ceil(count / MAXIMUM_POINTS)
    p99, maximum = _thinned(p99, span), _thinned(maximum, span)
    points = len(p99)
    unit = str(series.get("unit") or "")
    current, proposed = _number(series.get("current_limit")), _number(series.get("proposed_limit"))
    limits = [value for value in (current, proposed) if value is not None]
    ticks = _ticks(max(known + limits))
    top = ticks[-1]

    def place(value: float) -> float:
        return frame.y(value / top if top else 0.0)

    def across(index: int) -> float:
        return frame.x(index / (points - 1) if points > 1 else 0.5)

    days = _days(series, points, span)
    above = tuple(
        (across(i), place(value))
        for i, value in enumerate(maximum)
        if proposed is not None and value is not None and value > proposed
    )
    at_current = Mark(place(current), f"now {quantity(current, unit)}") if current is not None else None
    at_proposed = None
    if proposed is not None and proposed != current:
        low = current is not None and 0 <= place(proposed) - place(current) < 14
        at_proposed = Mark(place(proposed), f"proposed {quantity(proposed, unit)}", low)
    title = metric_title(str(series.get("metric") or "usage"))
    return UsageChart(
        frame=frame,
        title=title,
        unit=unit,
        summary=_summary(title, unit, p99, maximum, current, proposed, days, len(above)),
        p99=_path(p99, across, place),
        maximum=_path(maximum, across, place),
        above=above,
        current_limit=at_current,
        proposed_limit=at_proposed,
        horizontal=tuple(Mark(place(tick), quantity(tick, unit, short=True)) for tick in ticks),
        vertical=tuple(Mark(across(i), days[i]) for i in sorted({0, (points - 1) // 2, points - 1})),
        days="|".join(days),
        p99_values="|".join("" if value is None else quantity(value, unit) for value in p99),
        maximum_values="|".join("" if value is None else quantity(value, unit) for value in maximum),
    )


def savings_chart(months: Sequence[Month], currency: str) -> SavingsChart | None:
    """Lay out the sums of ``months`` in ``currency``; None with fewer than two months."""
    chosen = [month for month in months if month.currency == currency]
    if len(chosen) < 2:
        return None
    projected: list[float | None] = [month.projected_to_date for month in chosen]
    realised = [month.realised_to_date for month in chosen]
    ticks = _ticks(max(value for value in projected + realised if value is not None))
    top, frame, last = ticks[-1], SAVINGS_FRAME, len(chosen) - 1

    def place(value: float) -> float:
        return frame.y(max(value, 0.0) / top if top else 0.0)

    def across(index: int) -> float:
        return frame.x(index / last)

    known = [(across(i), place(value)) for i, value in enumerate(realised) if value is not None]
    line = _path(realised, across, place)
    area = f"{line}L{known[-1][0]:g} {frame.y(0):g}L{known[0][0]:g} {frame.y(0):g}Z" if len(known) > 1 else ""
    step = max(1, math.ceil(len(chosen) / 7))
    final = next((value for value in reversed(realised) if value is not None), None)
    words = f"Projected savings to date {currency} {chosen[-1].projected_to_date:,.0f}"
    words += f", realised {currency} {final:,.0f}" if final is not None else ", none realised yet"
    return SavingsChart(
        frame=frame,
        currency=currency,
        summary=f"{words}, from {month_name(chosen[0].month)} to {month_name(chosen[-1].month)}.",
        projected=_path(projected, across, place),
        realised=line,
        realised_area=area,
        points=tuple(known),
        projected_total=chosen[-1].projected_to_date,
        realised_total=final,
        horizontal=tuple(Mark(place(tick), f"{tick:,.0f}") for tick in ticks),
        vertical=tuple(Mark(across(i), _month_label(chosen[i].month, i == 0)) for i in range(0, len(chosen), step)),
    )


def quantity(value: float, unit: str = "", *, short: bool = False) -> str:
    """Three significant digits with the unit: ``12.3 MB/s`` for bytes/second, ``4 vCPU``.

    ``short`` leaves the unit out where it does not scale, for axis labels.
    """
    base = unit.partition("(")[0].partition(" over ")[0].strip()
    if base.startswith("bytes"):
        rest = base.removeprefix("bytes").replace("/second", "/s")
        return _scaled(value, ("B", "kB", "MB", "GB", "TB"), rest)
    if abs(value) >= 10_000:
        rest = "" if short or not base else f" {base.replace('/second', '/s')}"
        return _scaled(value, ("", "k", "M", "G", "T"), rest).replace("  ", " ")
    number = _digits(value)
    if short or not base:
        return number
    if base.startswith(("percent", "%")):
        return f"{number} %"
    return f"{number} {base.replace('/second', '/s')}"


def metric_title(metric: str) -> str:
    """``Network in`` for ``network_in_bytes_per_second``; unknown metrics by their own name."""
    if metric in _TITLES:
        return _TITLES[metric]
    words = metric.removesuffix("_percent").removesuffix("_per_second").replace("_", " ").split()
    text = " ".join(_WORDS.get(word, word) for word in words)
    return text[:1].upper() + text[1:]


def month_name(month: str) -> str:
    """``Jan 2026`` for ``2026-01``."""
    try:
        return datetime.date.fromisoformat(f"{month}-01").strftime("%b %Y")
    except ValueError:
        return month


def _month_label(month: str, first: bool) -> str:
    """``Jan 2027`` for the first label and each January, else ``Feb``."""
    name = month_name(month)
    return name if first or month.endswith("-01") else name.partition(" ")[0]


def _scaled(value: float, steps: Sequence[str], rest: str) -> str:
    for step in steps[:-1]:
        if abs(value) < 999.5:
            return f"{_digits(value)} {step}{rest}".rstrip()
        value /= 1000
    return f"{_digits(value)} {steps[-1]}{rest}"


def _digits(value: float) -> str:
    """At most three significant digits, no exponent, no trailing zeros."""
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _number(value: t.Any) -> float | None:
    """A finite number, or None for anything else: evidence may come from an older version's ledger."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _numbers(values: t.Any) -> list[float | None]:
    return [_number(value) for value in values] if isinstance(values, (list, tuple)) else []


def _thinned(values: list[float | None], span: int) -> list[float | None]:
    if span <= 1:
        return values
    spans = (values[i : i + span] for i in range(0, len(values), span))
    return [max((value for value in part if value is not None), default=None) for part in spans]


def _ticks(largest: float) -> list[float]:
    """Three to five round numbers from 0 to just above ``largest``."""
    if largest <= 0:
        return [0.0, 1.0]
    raw = largest / 3
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    return [step * i for i in range(math.ceil(largest / step - 1e-9) + 1)]


def _path(values: Sequence[float | None], across: t.Callable[[int], float], place: t.Callable[[float], float]) -> str:
    """SVG path data; a gap where there is no value, a dot of length 0 where a value stands alone."""
    parts = []
    pen_down = False
    for i, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{across(i):g} {place(value):g}")
        if not pen_down and (i + 1 == len(values) or values[i + 1] is None):
            parts.append("h0")
        pen_down = True
    return "".join(parts)


def _days(series: Mapping[str, t.Any], points: int, span: int) -> list[str]:
    """The beginning of each period as people read it: ``3 Nov``, with the hour where periods are shorter than a day."""
    period = _number(series.get("period_seconds")) or 86400.0
    try:
        start = datetime.datetime.fromisoformat(str(series.get("start")))
        moments = [start + datetime.timedelta(seconds=period * span * i) for i in range(points)]
    except (ValueError, OverflowError):
        return [f"period {i * span + 1}" for i in range(points)]
    clock = " %H:%M" if period < 86400 else ""
    return [f"{moment.day} {moment.strftime('%b' + clock)}" for moment in moments]


def _summary(
    title: str,
    unit: str,
    p99: Sequence[float | None],
    maximum: Sequence[float | None],
    current: float | None,
    proposed: float | None,
    days: Sequence[str],
    above: int,
) -> str:
    """The chart in one sentence, for those who cannot see it."""
    parts = []
    known = [value for value in p99 if value is not None]
    if known:
        parts.append(f"p99 up to {quantity(max(known), unit)}")
    peaks = [(value, i) for i, value in enumerate(maximum) if value is not None]
    if peaks:
        value, i = max(peaks, key=lambda peak: (peak[0], -peak[1]))
        parts.append(f"maximum {quantity(value, unit)} on {days[i]}")
    if current is not None:
        parts.append(f"limit now {quantity(current, unit)}")
    if proposed is not None:
        parts.append(f"proposed {quantity(proposed, unit)}")
    if above:
        parts.append(f"maximum above the proposed limit in {above} of {len(maximum)} periods")
    return f"{title}: {'; '.join(parts)}."
