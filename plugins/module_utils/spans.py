# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spans of many traces as columns: what readers fill and the analysis reads.

A million spans are a few arrays instead of a million objects. Times are whole microseconds
since 1970. The spans of a trace stand together, sorted by span id, so that nothing which is
computed from them depends on the order in which a collector wrote them.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils import deps

if t.TYPE_CHECKING:
    import numpy
    import numpy.typing

    IntArray = numpy.typing.NDArray[numpy.int64]
    BoolArray = numpy.typing.NDArray[numpy.bool_]

#: Kinds of spans (OpenTelemetry's numbers; 0: not stated), in the lowest three bits of ``flags``.
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
KIND_BITS = 7
#: The span failed.
ERROR = 8
#: Its caller did not wait for it (FOLLOWS_FROM).
ASYNC = 16

#: Values of ``parent`` for spans without a parent in the trace.
NO_PARENT = -1
PARENT_MISSING = -2

#: One span as readers hand it over: span id, parent id ("" where it has none), start and duration in µs,
#: number of the operation, flags, number of the host (0: not known), number of the statement (0: none).
Row: t.TypeAlias = "tuple[str, str, int, int, int, int, int, int]"

#: Rows that are kept as Python objects before they become arrays.
_BATCH = 65_536
#: Text in quotes, numbers with a sign where one can stand, numbers that do not end a name, and $1.
_LITERAL = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[-+](?<![\w$).]\S)\d[\w.]*|\d(?<![\w$]\d)[\w.]*|\$\d+""")
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")
_SPACE = re.compile(r"\s{2,}|[\t-\r]")
_STATEMENT_LENGTH = 200


@dataclasses.dataclass(frozen=True, slots=True)
class SpanTable:
    """All spans, one a row; ``trace`` and ``operation`` are positions in ``trace_ids`` and ``operations``.

    ``parent`` is a row, or :data:`NO_PARENT` or :data:`PARENT_MISSING`. ``operations`` are (service, operation);
    ``statements`` are (database system, statement without its values), number 0 meaning none; ``hosts`` likewise.
    ``repeated_traces`` and ``repeated_spans`` were seen before under the same id and left out.
    """

    trace: IntArray
    parent: IntArray
    start: IntArray
    duration: IntArray
    operation: IntArray
    flags: IntArray
    host: IntArray
    statement: IntArray
    trace_ids: tuple[str, ...]
    operations: tuple[tuple[str, str], ...]
    hosts: tuple[str, ...]
    statements: tuple[tuple[str, str], ...]
    repeated_traces: int = 0
    repeated_spans: int = 0

    def __len__(self) -> int:
        return len(self.start)

    @property
    def kind(self) -> IntArray:
        """Kind of each span, 0 where it is not stated."""
        return self.flags & KIND_BITS

    @property
    def failed(self) -> BoolArray:
        """Whether each span failed."""
        return t.cast("BoolArray", (self.flags & ERROR) != 0)


class _Numbers(dict[t.Any, int]):
    """Gives every new key the next number."""

    def __missing__(self, key: t.Any) -> int:
        number = self[key] = len(self)
        return number


class _Operations(dict[str, int]):
    """The numbers of one service's operations."""

    def __init__(self, service: str, numbers: _Numbers) -> None:
        super().__init__()
        self._service = service
        self._numbers = numbers

    def __missing__(self, operation: str) -> int:
        number = self[operation] = self._numbers[self._service, operation]
        return number


class SpanBuilder:
    """Gathers traces into a :class:`SpanTable`."""

    def __init__(self) -> None:
        self.operations = _Numbers()
        self.hosts = _Numbers({"": 0})
        self._statements = _Numbers({("", ""): 0})
        self._services: dict[str, _Operations] = {}
        self._raw_statements: dict[tuple[str, str], int] = {}
        self._traces: dict[str, int] = {}
        self._columns: list[list[IntArray]] = [[] for number in range(8)]
        self._pending: list[list[int]] = [[] for number in range(8)]
        self._flushed = 0
        self.repeated_traces = 0
        self.repeated_spans = 0

    @property
    def traces(self) -> int:
        """How many traces there are so far."""
        return len(self._traces)

    def __contains__(self, trace_id: str) -> bool:
        return trace_id in self._traces

    def __len__(self) -> int:
        return self._flushed + len(self._pending[0])

    def statement(self, system: str, text: str) -> int:
        """The number of a database statement, its values taken out: they may be personal, and tell nothing here."""
        number = self._raw_statements.get((system, text))
        if number is None:
            if len(self._raw_statements) >= _BATCH:
                self._raw_statements.clear()
            number = self._statements[(system, without_values(text))]
            self._raw_statements[(system, text)] = number
        return number

    def operations_of(self, service: str) -> Mapping[str, int]:
        """The numbers of a service's operations by name; a new name gets the next number."""
        numbers = self._services.get(service)
        if numbers is None:
            numbers = self._services[service] = _Operations(service, self.operations)
        return numbers

    def add(self, trace_id: str, rows: list[Row]) -> None:
        """Take one whole trace. A trace that is there already is counted and left out.

        Of spans with the same id, the first in order of all columns is kept, whichever came first.
        """
        if not rows:
            return
        rows.sort()
        kept = [row for i, row in enumerate(rows) if not i or rows[i - 1][0] != row[0]]
        if trace_id not in self:
            self.repeated_spans += len(rows) - len(kept)
        self.add_columns(trace_id, *map(list, zip(*kept)))

    def add_columns(
        self,
        trace_id: str,
        identifiers: list[str],
        parents: list[str],
        start: list[int],
        duration: list[int],
        operation: list[int],
        flags: list[int],
        host: list[int],
        statement: list[int],
    ) -> None:
        """The same by columns, which are sorted by ``identifiers``."""
        if trace_id in self._traces:
            self.repeated_traces += 1
            return
        if not identifiers:
            return
        numbers = (start, duration, operation, flags, host, statement)
        base = len(self)
        index = dict(zip(identifiers, itertools.count(base)))
        if len(index) != len(identifiers):
            self.add(trace_id, list(zip(identifiers, parents, *numbers)))
            return
        number = self._traces[trace_id] = len(self._traces)
        find = index.get
        trace, parent, *others = self._pending
        trace.extend(itertools.repeat(number, len(identifiers)))
        parent.extend([find(name, PARENT_MISSING) if name else NO_PARENT for name in parents])
        for column, values in zip(others, numbers):
            column.extend(values)
        if len(trace) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        numpy = deps.numpy
        self._flushed += len(self._pending[0])
        for kept, values in zip(self._columns, self._pending):
            kept.append(numpy.array(values, dtype=numpy.int64))
            values.clear()

    def build(self) -> SpanTable:
        """What was gathered."""
        numpy = deps.numpy
        self._flush()
        whole: list[IntArray] = [numpy.concatenate(kept) for kept in self._columns]
        self._columns = [[column] for column in whole]
        trace, parent, start, duration, operation, flags, host, statement = whole
        return SpanTable(
            trace=trace,
            parent=parent,
            start=start,
            duration=duration,
            operation=operation,
            flags=flags,
            host=host,
            statement=statement,
            trace_ids=tuple(self._traces),
            operations=tuple(self.operations),
            hosts=tuple(self.hosts),
            statements=tuple(self._statements),
            repeated_traces=self.repeated_traces,
            repeated_spans=self.repeated_spans,
        )


def without_values(statement: str) -> str:
    """A database statement with ``?`` for every literal, on one line, at most 200 characters."""
    text = _LITERAL.sub("?", statement)
    if _SPACE.search(text):
        text = " ".join(text.split())
    if "," in text:
        text = _LIST.sub("(?, …)", text)
    return text if len(text) <= _STATEMENT_LENGTH else text[: _STATEMENT_LENGTH - 1] + "…"


def trace_starts(table: SpanTable) -> IntArray:
    """When each trace began: its earliest span, µs since 1970."""
    numpy = deps.numpy
    if not len(table):
        return t.cast("IntArray", numpy.zeros(0, dtype=numpy.int64))
    # The spans of a trace stand together, in the order of trace_ids.
    first = numpy.flatnonzero(numpy.diff(table.trace, prepend=-1))
    return t.cast("IntArray", numpy.minimum.reduceat(table.start, first))


def select(table: SpanTable, traces: BoolArray) -> SpanTable:
    """The table of those traces that ``traces`` is true for; operations, hosts and statements keep their numbers."""
    numpy = deps.numpy
    rows = traces[table.trace]
    place = numpy.cumsum(rows) - 1
    parent = table.parent[rows]
    new_trace = numpy.cumsum(traces) - 1
    return dataclasses.replace(
        table,
        trace=new_trace[table.trace[rows]],
        parent=numpy.where(parent >= 0, place[parent], parent),
        start=table.start[rows],
        duration=table.duration[rows],
        operation=table.operation[rows],
        flags=table.flags[rows],
        host=table.host[rows],
        statement=table.statement[rows],
        trace_ids=tuple(name for name, kept in zip(table.trace_ids, traces.tolist()) if kept),
    )
