# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample of accesses to keys, made ready for curves and simulations.

What MONITOR cannot say, whether a read was a hit, follows from what applications do: one that reads through its cache
writes a key right after it missed it.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import typing as t
import zlib
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils import deps

READ, WRITE, DELETE, EXPIRE, CLEAR = range(5)
#: a write that follows a read of its key: what the application does after a miss
FILL = 5

#: a write this long after the last read of its key has nothing to do with it (milliseconds)
FILL_WITHIN = 5_000
#: share of the misses that were filled from which the application counts as one that reads through
READ_THROUGH = 0.5
#: the key was gone when it was asked for
GONE = 0xFFFFFFFF
#: bytes of a key's entry where no key could be measured: entry, object and allocator (Redis 7, 64 bit)
OVERHEAD = 72.0


class BadTrace(ValueError):
    """The packed columns do not fit together."""


@dataclasses.dataclass(frozen=True)
class Accesses:
    """Accesses in order of time, as lists of equal length, and one value for each key.

    ``rate`` is the share of keys that was sampled, ``reads`` counts all reads, sampled or not. ``sizes`` are bytes of
    memory, ``lives`` seconds (0: none). ``absent`` keys are asked for and never there; ``resident`` ones were there
    when the trace began.
    """

    rate: float
    reads: int
    seconds: float
    times: list[int]
    keys: list[int]
    kinds: list[int]
    #: seconds to live that an access sets, 0 for none
    sets: list[int]
    #: reads of all keys, sampled or not, up to an access
    positions: list[int]
    sizes: list[float]
    lives: list[int]
    absent: list[bool]
    resident: list[bool]
    read_through: bool
    #: reads of the sample that missed, as far as fills show it
    missed: list[bool]

    @property
    def sampled_reads(self) -> int:
        """Reads of sampled keys."""
        return self.kinds.count(READ)

    def judged_from(self, warm_share: float) -> int:
        """The position (reads of all keys) up to which reads only warm a cache up."""
        return int(warm_share * self.reads)

    def adjustment(self, warm: int, judged: int) -> float:
        """Reads after ``warm`` that the sample has too few or too many: those of hot keys, which hit (SHARDS-adj)."""
        return self.rate * (self.reads - warm) - judged if judged else 0.0

    @property
    def bytes(self) -> float:
        """Memory of all keys that were used, in bytes: what a cache needs that never evicts."""
        return sum(size for size, absent in zip(self.sizes, self.absent) if not absent) / self.rate


def unpack(text: str) -> t.Any:
    """A column that ``host_redis_trace.packed`` wrote, as an array of whole numbers.

    :raises BadTrace: when it is none.
    """
    try:
        data = zlib.decompress(base64.b64decode(text[1:], validate=True))
        return deps.numpy.frombuffer(data, dtype={"B": "<u1", "I": "<u4", "Q": "<u8"}[text[:1]]).astype("int64")
    except (KeyError, ValueError, binascii.Error, zlib.error) as error:
        raise BadTrace(f"a column of the trace cannot be read: {error}") from None


def accesses(trace: Mapping[str, t.Any], misses: int | None = None, refused: int = 0) -> Accesses:
    """The trace that ``redis_stats_info`` returns, made ready.

    :param misses: misses of the server while it was recorded; they tell whether the application reads through.
    :param refused: writes that failed for want of memory meanwhile; MONITOR does not show them.
    :raises BadTrace: when its columns do not fit together.
    """
    columns = [unpack(trace[name]) for name in ("milliseconds", "key", "kind", "size", "life", "position")]
    if len({len(column) for column in columns}) != 1:
        raise BadTrace("the columns of the trace have different lengths")
    times, keys, kinds = columns[:3]
    count = int(trace["sampled_keys"])
    if len(keys) and int(keys[kinds != CLEAR].max(initial=-1)) >= count:
        raise BadTrace("the trace names a key that it does not have")
    # Threads of a server may be a moment out of order.
    times = deps.numpy.maximum.accumulate(times) + int(float(trace["start"]) * 1000)
    found = [times.tolist(), *(column.tolist() for column in columns[1:])]
    return _derived(trace, found, misses, refused)


def _derived(trace: Mapping[str, t.Any], columns: list[list[int]], misses: int | None, refused: int) -> Accesses:
    times, keys, kinds, lengths, sets, positions = columns
    count = int(trace["sampled_keys"])
    measured, left = unpack(trace["key_bytes"]).tolist(), unpack(trace["key_life"]).tolist()
    names = unpack(trace["key_length"]).tolist()
    if len(measured) != len(left) or len(names) != count:
        raise BadTrace("the trace says nothing about some of its keys")
    last_read, read_at = [-1] * count, [0] * count
    reads, written, first = [0] * count, [False] * count, [-1] * count
    lives, longest = [0] * count, [0] * count
    missed = [False] * len(keys)
    first_missed = [False] * count
    fills = 0
    for number, (at, key, kind, length, life) in enumerate(zip(times, keys, kinds, lengths, sets)):
        if kind == CLEAR:
            continue
        if first[key] < 0:
            first[key] = kind
        if kind == READ:
            reads[key] += 1
            last_read[key], read_at[key] = number, at
            continue
        if kind == WRITE:
            if last_read[key] >= 0 and at - read_at[key] <= FILL_WITHIN:
                kinds[number] = FILL
                fills += 1
                missed[last_read[key]] = True
                if reads[key] == 1 and not written[key]:
                    first_missed[key] = True
            written[key] = True
            longest[key] = max(longest[key], length)
            lives[key] = life
        elif kind == EXPIRE:
            lives[key] = life
        last_read[key] = -1
    rate = float(trace["rate"])
    seen = misses * rate if misses is not None else sum(missed)
    filled = fills + min(refused * rate, seen)
    read_through = filled > 0 and filled >= READ_THROUGH * max(1.0, seen)
    known = len(measured)
    gone = [number < known and left[number] == GONE for number in range(count)]
    for number in range(known):
        if not lives[number] and 0 < left[number] < GONE:
            lives[number] = left[number]
    absent = _absent(reads, [not gone[key] or written[key] for key in range(count)], seen - filled)
    # A first read that was not followed by a write was a hit, unless the write was refused.
    there = [not absent[key] and (not refused or (key < known and not gone[key])) for key in range(count)]
    return Accesses(
        rate=rate,
        reads=int(trace["reads"]),
        seconds=float(trace["seconds"]),
        times=times,
        keys=keys,
        kinds=kinds,
        sets=sets,
        positions=positions,
        sizes=_sizes(measured, longest, names, count),
        lives=lives,
        absent=absent,
        resident=[read_through and there[key] and first[key] == READ and not first_missed[key] for key in range(count)],
        read_through=read_through,
        missed=missed,
    )


def _absent(reads: list[int], known: list[bool], unexplained: float) -> list[bool]:
    """Keys that are asked for and never there: neither written nor there afterwards.

    A key that was there and evicted looks the same, so no more of them than explain the misses that nobody filled.
    """
    absent = [False] * len(reads)
    left = unexplained
    for key, count in enumerate(reads):
        if not known[key] and 0 < count <= left:
            absent[key] = True
            left -= count
    return absent


def _sizes(measured: list[int], lengths: list[int], names: list[int], count: int) -> list[float]:
    """Bytes of each key: measured, else from the length that was written and the overhead of measured keys."""
    overheads = sorted(
        size - length - name for size, length, name in zip(measured, lengths, names) if size > 0 and length > 0
    )
    overhead = overheads[len(overheads) // 2] if overheads else OVERHEAD
    known = [float(size) for size in measured if size > 0]
    guesses = [length + name + overhead for length, name in zip(lengths, names) if length > 0]
    mean = sum(known) / len(known) if known else sum(guesses) / len(guesses) if guesses else 128.0
    sizes = []
    for number in range(count):
        if number < len(measured) and measured[number] > 0:
            sizes.append(float(measured[number]))
        elif lengths[number] > 0:
            sizes.append(max(1.0, lengths[number] + names[number] + overhead))
        else:
            sizes.append(mean)
    return sizes
