# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Concise Binary Object Representation (RFC 8949), as far as AWS's smithy-rpc-v2-cbor uses it.

Timestamps are tag 1 with a float; both definite and indefinite lengths are read.
"""

from __future__ import annotations

import struct
import typing as t


class Timestamp(float):
    """Seconds since the epoch; encoded with tag 1."""


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    for code, size, pack in ((24, 1, ">B"), (25, 2, ">H"), (26, 4, ">I"), (27, 8, ">Q")):
        if value < 1 << 8 * size:
            return bytes([major << 5 | code]) + struct.pack(pack, value)
    raise ValueError(f"{value} is too large for CBOR")


def encode(value: t.Any) -> bytes:
    """Encode None, bool, int, float, :class:`Timestamp`, str, bytes, list and dict."""
    parts: list[bytes] = []
    _write(value, parts.append)
    return b"".join(parts)


def _write(value: t.Any, append: t.Callable[[bytes], None]) -> None:
    if isinstance(value, Timestamp):
        append(b"\xc1\xfb" + struct.pack(">d", value))
    elif isinstance(value, float):
        append(b"\xfb" + struct.pack(">d", value))
    elif value is None:
        append(b"\xf6")
    elif value is True:
        append(b"\xf5")
    elif value is False:
        append(b"\xf4")
    elif isinstance(value, int):
        append(_head(0, value) if value >= 0 else _head(1, -1 - value))
    elif isinstance(value, str):
        raw = value.encode()
        append(_head(3, len(raw)) + raw)
    elif isinstance(value, bytes):
        append(_head(2, len(value)) + value)
    elif isinstance(value, (list, tuple)):
        append(_head(4, len(value)))
        for item in value:
            _write(item, append)
    elif isinstance(value, dict):
        append(_head(5, len(value)))
        for key, item in value.items():
            _write(key, append)
            _write(item, append)
    else:
        raise TypeError(f"cannot encode {type(value).__name__} as CBOR")


_BREAK = object()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError("CBOR ends too early")
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece

    def read(self) -> t.Any:
        initial = self.take(1)[0]
        major, low = initial >> 5, initial & 31
        if major == 7:
            return self._simple(low)
        length: int | None = None
        if low < 24:
            length = low
        elif low <= 27:
            length = int.from_bytes(self.take(1 << low - 24), "big")
        elif low != 31:
            raise ValueError("malformed CBOR")
        if major in (0, 1, 6) and length is None:
            raise ValueError("malformed CBOR")
        if major == 0:
            return length
        if major == 1:
            return -1 - t.cast(int, length)
        if major in (2, 3):
            raw = self.take(length) if length is not None else b"".join(self._chunks())
            return raw if major == 2 else raw.decode()
        if major == 4:
            return [self.read() for _unused in range(length)] if length is not None else list(self._until_break())
        if major == 5:
            if length is not None:
                return {self.read(): self.read() for _unused in range(length)}
            items = list(self._until_break())
            return dict(zip(items[::2], items[1::2], strict=True))
        return self.read()  # a tag: the only one used is 1, whose content is the number itself

    def _simple(self, low: int) -> t.Any:
        if low in (20, 21):
            return low == 21
        if low in (22, 23):
            return None
        if low in (25, 26, 27):
            code = {25: ">e", 26: ">f", 27: ">d"}[low]
            return struct.unpack(code, self.take(1 << low - 24))[0]
        if low == 31:
            return _BREAK
        raise ValueError("malformed CBOR")

    def _until_break(self) -> t.Iterator[t.Any]:
        while (item := self.read()) is not _BREAK:
            yield item

    def _chunks(self) -> t.Iterator[bytes]:
        for item in self._until_break():
            yield item if isinstance(item, bytes) else item.encode()


def decode(data: bytes) -> t.Any:
    """Decode one value; raises ValueError on malformed input."""
    return _Reader(data).read()
