# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain text tables that fit a terminal and an AWX log."""

from __future__ import annotations

import textwrap
import typing as t
from collections.abc import Sequence

#: Cells longer than this are cut; the whole text is in the result and in the report.
MAXIMUM_WIDTH = 60


def table(header: Sequence[str], rows: Sequence[Sequence[t.Any]], right: Sequence[int] = ()) -> list[str]:
    """Lines of a table; columns whose numbers are in ``right`` are aligned to the right."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(header), *texts]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths))
        ).rstrip()

    return [line(header), line(["-" * width for width in widths]), *(line(row) for row in texts)]


def _cell(value: t.Any) -> str:
    text = " ".join(str(value).split())
    return textwrap.shorten(text, MAXIMUM_WIDTH, placeholder=" ...") if len(text) > MAXIMUM_WIDTH else text
