# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the allocation API of OpenCost or Kubecost that were kept as files, as rows of the dataset."""

from __future__ import annotations

import datetime
import gzip
import itertools
import json
import typing as t
from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze import opencost
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import Allocation, CostError
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus, kubernetes_focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import (
    FocusError,
    TagKey,
    Written,
    write_rows,
)

#: How an answer begins: ``{"code": 200, "data": [...]}``.
_BEGIN = 4096


def _content(path: str) -> t.Any:
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        opened = gzip.open if packed else open
        with opened(path, "rt", encoding="utf-8-sig") as file:
            return json.load(file)
    except (OSError, EOFError) as error:
        raise FocusError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except ValueError as error:
        line = f" line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise FocusError(f"{path}{line}: it is no answer of OpenCost, which is one JSON object") from None


def is_answer(path: str) -> bool:
    """Whether a file begins as an answer of the API does. :raises FocusError: it cannot be read."""
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        opened = gzip.open if packed else open
        with opened(path, "rb") as file:
            begin = file.read(_BEGIN).lstrip(b"\xef\xbb\xbf").replace(b" ", b"").replace(b"\n", b"")
    except (OSError, EOFError) as error:
        raise FocusError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return begin.startswith((b'{"code":', b'{"data":['))


def write(
    dataset: Dataset,
    source: str,
    files: Sequence[str],
    cluster: str,
    currency: str,
    tag_keys: Iterable[TagKey],
    *,
    check: bool = False,
) -> Written:
    """Write what the workloads of ``files`` cost; each billing period that they hold is replaced.

    :param cluster: the name of the cluster where an answer has none.
    :param currency: the currency of the prices that OpenCost was given; answers do not say it.
    :raises FocusError: a file is no answer of the API, or a day is in two of them.
    """
    if not focus.is_currency(currency):
        raise FocusError(f"currency is {currency!r}: give a code of ISO 4217, such as USD")
    allocations = list(_allocations(files, cluster))
    target = kubernetes_focus.Target(billing_account=cluster, currency=currency)
    return write_rows(dataset, source, kubernetes_focus.rows(allocations, target), tag_keys, check=check)


def _allocations(files: Sequence[str], cluster: str) -> Iterator[Allocation]:
    windows: dict[str, set[tuple[datetime.datetime, datetime.datetime, str]]] = {}
    for path in files:
        content = _content(path)
        if not isinstance(content, dict) or "data" not in content:
            raise FocusError(f"{path} is no answer of OpenCost's allocation API: it has no data")
        try:
            found = list(opencost.decode(content["data"], cluster))
        except CostError as error:
            raise FocusError(f"{path}: {error}") from None
        for one in found:
            windows.setdefault(one.workload.cluster, set()).add((one.start, one.end, path))
        yield from found
    for name, spans in windows.items():
        for (start, end, path), (later, _end, other) in itertools.pairwise(sorted(spans)):
            if path != other and later < end:
                raise FocusError(
                    f"{path} and {other} both have costs of cluster {name} from {max(start, later):%Y-%m-%d %H:%M}: "
                    "they would count twice, name answers for windows that do not overlap"
                )
