# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage as demand: what workloads ask for, whatever the size of their instance.

A :class:`Shape` is an endless series of samples: a generated profile (values of about
0..1, where 1 is the usual peak), or a trace from a CSV file in its own unit. A
:class:`Demand` scales a shape into absolute units; many instances share one shape, so
10,000 of them need little memory. A :class:`Usage` holds the demands of one workload:

========================================  ==========================================
``cpu``                                   vCPUs
``memory``                                GiB in use
``network_in``, ``network_out``           bytes/s
``packets_in``, ``packets_out``           packets/s
``ebs_read_bytes``, ``ebs_write_bytes``   bytes/s over all volumes
``ebs_read_ops``, ``ebs_write_ops``       operations/s over all volumes
========================================  ==========================================

Samples carry the time at which they begin: the sample of 12:00 covers 12:00 to 12:05.
"""

from __future__ import annotations

import calendar
import csv
import dataclasses
import datetime
import functools
import pathlib
import typing as t
import zlib

import numpy as np

from simulator.errors import EstateError

if t.TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

DAY = 86400
DIMENSIONS = (
    "cpu",
    "memory",
    "network_in",
    "network_out",
    "packets_in",
    "packets_out",
    "ebs_read_bytes",
    "ebs_write_bytes",
    "ebs_read_ops",
    "ebs_write_ops",
)
#: Where an estate gives bytes and not packets or operations: mean packet and request sizes.
BYTES_PER_PACKET = 900.0
BYTES_PER_OPERATION = 16384.0


class Shape:
    """An endless series with one sample every ``step`` seconds (60 or 300)."""

    def __init__(self, step: int) -> None:
        if step not in (60, 300):
            raise EstateError(f"a series has a sample every 60 or 300 seconds, not every {step}")
        self.step = step
        self._days: dict[tuple[int, int], Floats] = {}

    def generate(self, day: int) -> Floats:
        """The samples of one day (days since the epoch), shape (86400 / step,), NaN where there is none."""
        raise NotImplementedError

    def day(self, day: int, sample: int) -> Floats:
        """The day's samples every ``sample`` (60 or 300) seconds: averaged, or repeated."""
        known = self._days.get((day, sample))
        if known is None:
            known = self.generate(day)
            if sample > self.step:
                known = known.reshape(-1, sample // self.step).mean(axis=1, dtype=np.float32)
            elif sample < self.step:
                known = np.repeat(known, self.step // sample)
            self._days[day, sample] = known
        return known

    def samples(self, sample: int, start: float, end: float) -> Floats:
        """Samples that begin in [start, end), every ``sample`` seconds; the first at or after start."""
        first = -int(-start // sample)
        count = max(0, -int(-end // sample) - first)
        if not count:
            return np.empty(0, np.float32)
        per_day = DAY // sample
        first_day, last_day = first // per_day, (first + count - 1) // per_day
        days = np.concatenate([self.day(day, sample) for day in range(first_day, last_day + 1)])
        offset = first - first_day * per_day
        return days[offset : offset + count]


def _noise(generator: np.random.Generator, count: int, spread: float) -> Floats:
    """Multiplicative noise around 1: slow (hourly, interpolated) and fast, each half of the spread."""
    knots = generator.normal(0.0, spread / 2, 25)
    slow = np.interp(np.linspace(0, 24, count, endpoint=False), np.arange(25), knots)
    fast = generator.normal(0.0, spread / 2, count)
    return np.clip(1.0 + slow + fast, 0.05, None).astype(np.float32)


class Profile(Shape):
    """A generated series. Everything about a day follows from (kind, seed, day), in any order.

    Kinds and their own parameters (all have ``noise``, the relative spread, and ``low``, the
    level of quiet times):

    - ``idle``: next to nothing all day; 1 is what the odd cron job takes
    - ``steady``: day and night at ``level`` of the peak
    - ``office``: from ``from_hour`` to ``to_hour``, Monday to Friday (UTC plus ``utc_offset``)
    - ``spiky``: low, with ``spikes_per_day`` peaks of ``spike_minutes``
    - ``batch``: one run of ``hours`` a day from ``at_hour``
    - ``month_end``: an office day whose peak is three times higher on the last two days of the
      month and the first of the next
    - ``growing``: as office, growing by ``per_month`` (0.1: 10 % in 30 days), 1 at ``now``
    """

    KINDS: t.ClassVar[dict[str, dict[str, float]]] = {
        "idle": {"low": 0.35, "noise": 0.3},
        "steady": {"level": 0.8, "noise": 0.12},
        "office": {"low": 0.08, "noise": 0.15, "from_hour": 8, "to_hour": 18, "utc_offset": 0, "weekend": 0.1},
        "spiky": {"low": 0.12, "noise": 0.2, "spikes_per_day": 6, "spike_minutes": 20},
        "batch": {"low": 0.05, "noise": 0.1, "at_hour": 2, "hours": 3},
        "month_end": {"low": 0.03, "noise": 0.12, "from_hour": 8, "to_hour": 18, "utc_offset": 0, "normal": 0.33},
        "growing": {"low": 0.15, "noise": 0.12, "from_hour": 8, "to_hour": 20, "utc_offset": 0, "per_month": 0.1},
    }

    def __init__(self, kind: str, seed: int, parameters: t.Mapping[str, float], now: float, step: int = 300) -> None:
        super().__init__(step)
        if kind not in self.KINDS:
            raise EstateError(f"usage profile {kind!r} is not one of {', '.join(self.KINDS)}")
        unknown = sorted(set(parameters) - set(self.KINDS[kind]))
        if unknown:
            raise EstateError(f"usage profile {kind} has no parameter {unknown[0]!r} ({', '.join(self.KINDS[kind])})")
        self.kind = kind
        self.seed = seed
        self.now = now
        self.parameters = {**self.KINDS[kind], **parameters}

    def generate(self, day: int) -> Floats:
        """See the class: one day of the profile."""
        generator = np.random.default_rng((zlib.crc32(self.kind.encode()), self.seed, day))
        count = DAY // self.step
        level = getattr(self, f"_{self.kind}")(day, count, generator)
        values = level * _noise(generator, count, self.parameters["noise"])
        return np.asarray(np.clip(values, 0.0, 1.0 if self.kind != "growing" else None), np.float32)

    def _hours(self, count: int) -> Floats:
        hours = np.linspace(0, 24, count, endpoint=False, dtype=np.float32)
        return (hours + np.float32(self.parameters.get("utc_offset", 0))) % 24

    def _working_day(self, count: int) -> Floats:
        """0 by night, 1 in working hours, with a ramp of an hour and a dip at lunch."""
        hours, p = self._hours(count), self.parameters
        rise = np.clip(hours - p["from_hour"] + 0.5, 0, 1)
        fall = np.clip(p["to_hour"] - hours + 0.5, 0, 1)
        middle = (p["from_hour"] + p["to_hour"]) / 2
        lunch = 1 - 0.25 * np.exp(-(((hours - middle) / 0.8) ** 2))
        return np.asarray(rise * fall * lunch * 0.85, np.float32)

    def _idle(self, _day: int, count: int, generator: np.random.Generator) -> Floats:
        level = np.full(count, self.parameters["low"], np.float32)
        level[:: max(1, count // 24)] = generator.uniform(0.5, 1.0)
        return level

    def _steady(self, _day: int, count: int, _generator: np.random.Generator) -> Floats:
        return np.full(count, self.parameters["level"], np.float32)

    def _office(self, day: int, count: int, _generator: np.random.Generator) -> Floats:
        p = self.parameters
        weekend = (day + 3) % 7 >= 5  # day 0 was a Thursday
        peak = p["weekend"] if weekend else 1.0
        return np.asarray(np.maximum(p["low"], self._working_day(count) * peak), np.float32)

    def _spiky(self, _day: int, count: int, generator: np.random.Generator) -> Floats:
        p = self.parameters
        level = np.full(count, p["low"], np.float32)
        length = max(1, round(p["spike_minutes"] * 60 / self.step))
        for at in generator.integers(0, count, generator.poisson(p["spikes_per_day"])):
            level[at : at + length] = generator.uniform(0.75, 1.0)
        return level

    def _batch(self, _day: int, count: int, generator: np.random.Generator) -> Floats:
        p = self.parameters
        level = np.full(count, p["low"], np.float32)
        start = (p["at_hour"] + generator.uniform(0, 0.5)) * count / 24
        level[int(start) : int(start + p["hours"] * count / 24)] = 0.9
        return level

    def _month_end(self, day: int, count: int, _generator: np.random.Generator) -> Floats:
        p = self.parameters
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
        days = calendar.monthrange(date.year, date.month)[1]
        peak = 1.0 if date.day >= days - 1 or date.day == 1 else p["normal"]
        return np.asarray(np.maximum(p["low"], self._working_day(count) * peak), np.float32)

    def _growing(self, day: int, count: int, _generator: np.random.Generator) -> Floats:
        p = self.parameters
        months = (day - self.now / DAY) / 30
        growth = max(0.05, 1 + p["per_month"] * months)
        return np.asarray(np.maximum(p["low"], self._working_day(count)) * growth, np.float32)


class Trace(Shape):
    """A series from a file, placed so that ``now`` falls at the fraction ``now_at`` of it.

    It repeats before its beginning and after its end unless ``repeat`` is false. Gaps of
    more than an hour stay gaps; shorter ones take the value before. ``keep_hours`` moves it
    by less than a day so that times of day stay what they were in the file.
    """

    def __init__(
        self, times: Floats, values: Floats, now: float, now_at: float, repeat: bool, keep_hours: bool
    ) -> None:
        interval = float(np.median(np.diff(times)))
        super().__init__(60 if interval <= 150 else 300)
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        begin, end = float(times[0]), float(times[-1]) + interval
        count = max(1, round((end - begin) / self.step))
        grid = np.full(count, np.nan, np.float64)
        weight = np.zeros(count)
        index = np.minimum(((times - begin) // self.step).astype(int), count - 1)
        sums = np.zeros(count)
        np.add.at(sums, index, values)
        np.add.at(weight, index, 1)
        np.divide(sums, weight, out=grid, where=weight > 0)
        self.values = _fill_short_gaps(grid, 3600 // self.step).astype(np.float32)
        shift = now - (begin + now_at * (end - begin))
        if keep_hours:
            shift = round(shift / DAY) * DAY
        self.first = round((begin + shift) / self.step)  # index of the first sample on the endless grid
        self.repeat = repeat

    def generate(self, day: int) -> Floats:
        """One day of the (repeated) trace."""
        per_day = DAY // self.step
        index = np.arange(day * per_day, (day + 1) * per_day) - self.first
        values = self.values[index % len(self.values)]
        if not self.repeat:
            values = np.where((index >= 0) & (index < len(self.values)), values, np.float32(np.nan))
        return values


def _fill_short_gaps(grid: npt.NDArray[np.float64], longest: int) -> npt.NDArray[np.float64]:
    missing = np.isnan(grid)
    if not missing.any():
        return grid
    position = np.where(missing, 0, np.arange(len(grid)))
    last = np.maximum.accumulate(position)
    near = (np.arange(len(grid)) - last) <= longest
    return np.where(missing & near, grid[last], grid)


def _numbers(path: pathlib.Path, rows: list[list[str]], column: int) -> npt.NDArray[np.float64]:
    try:
        return np.array([float(row[column]) for row in rows])
    except (ValueError, IndexError):
        raise EstateError(f"{path}: column {column} holds something that is not a number") from None


def _timestamps(path: pathlib.Path, texts: list[str]) -> npt.NDArray[np.float64]:
    """Seconds since the epoch from seconds, milliseconds or ISO 8601 texts (UTC where none is named)."""
    try:
        numbers = np.array([float(text) for text in texts])
        return numbers / 1000 if numbers[0] > 1e11 else numbers
    except ValueError:
        pass
    try:
        moments = [datetime.datetime.fromisoformat(text.strip()) for text in texts]
    except ValueError:
        raise EstateError(f"{path}: timestamps are neither numbers nor ISO 8601") from None
    return np.array([m.replace(tzinfo=m.tzinfo or datetime.UTC).timestamp() for m in moments])


@functools.lru_cache(maxsize=64)
def read_columns(path: pathlib.Path, time_column: str, value_columns: tuple[str, ...]) -> tuple[t.Any, t.Any]:
    """Times (seconds) and the sum of the named columns; the delimiter is found by itself.

    Names are compared without surrounding blanks. Raises :class:`EstateError`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise EstateError(f"cannot read the trace {path}: {error.strerror}") from None
    if len(lines) < 3:
        raise EstateError(f"{path}: a trace needs a header and at least two rows")
    delimiter = ";" if lines[0].count(";") > lines[0].count(",") else ","
    header, *rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter) if row]
    places = {name: place for place, name in enumerate(header)}
    for name in (time_column, *value_columns):
        if name not in places:
            raise EstateError(f"{path} has no column {name!r}; it has {', '.join(header)}")
    times = _timestamps(path, [row[places[time_column]] for row in rows])
    values = sum((_numbers(path, rows, places[name]) for name in value_columns), np.zeros(len(rows)))
    return times, values


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """``offset + scale * shape``, never below zero; ``scale`` is not negative."""

    shape: Shape
    scale: float
    offset: float = 0.0

    def samples(self, sample: int, start: float, end: float) -> npt.NDArray[np.float64]:
        """The demand in its unit, as :meth:`Shape.samples` places it."""
        return np.maximum(self.offset + self.scale * self.shape.samples(sample, start, end).astype(np.float64), 0.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """The demands of one workload; a dimension that is absent is not used at all."""

    demands: t.Mapping[str, Demand]

    def get(self, dimension: str) -> Demand | None:
        """The demand in a dimension, packets and operations derived from bytes where not given."""
        known = self.demands.get(dimension)
        if known is not None:
            return known
        for derived, source, size in (
            ("packets_in", "network_in", BYTES_PER_PACKET),
            ("packets_out", "network_out", BYTES_PER_PACKET),
            ("ebs_read_ops", "ebs_read_bytes", BYTES_PER_OPERATION),
            ("ebs_write_ops", "ebs_write_bytes", BYTES_PER_OPERATION),
        ):
            if dimension == derived and source in self.demands:
                bytes_demand = self.demands[source]
                return Demand(bytes_demand.shape, bytes_demand.scale / size, bytes_demand.offset / size)
        return None


NO_USAGE = Usage({})
