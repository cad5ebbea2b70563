# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and results of modules that ask an API for costs and may write them to the dataset."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, check_source
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import TagKey, write_rows

_Dict: t.TypeAlias = "dict[str, t.Any]"


def options(source: str) -> dict[str, _Dict]:
    """O(dataset), O(source) and O(tag_keys); C(source) is the default name of the source."""
    return {
        "dataset": {"type": "path"},
        "source": {"type": "str", "default": source},
        "tag_keys": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "no_log": False,
            "options": {
                "key": {"type": "str", "required": True, "no_log": False},
                "variants": {"type": "list", "elements": "str", "default": []},
            },
        },
    }


def write(params: Mapping[str, t.Any], rows: Iterable[Mapping[str, t.Any]], check: bool) -> _Dict:
    """Write FOCUS rows where the options say; ``changed``, ``periods`` and ``diff`` for the result.

    :raises FocusError: a row cannot be; nothing is changed then.
    :raises DatasetError: the folder cannot be written, or the source's name cannot be.
    """
    source = check_source(params["source"])
    tags = [TagKey(one["key"], tuple(one["variants"])) for one in params["tag_keys"]]
    written = write_rows(Dataset(Path(params["dataset"]).expanduser()), source, rows, tags, check=check)
    periods = [
        {
            "period": f"{one.period:%Y-%m}",
            "currency": one.currency,
            "before": one.before.to_dict() if one.before else None,
            "after": one.after.to_dict(),
            "changed": one.changed,
        }
        for one in written.periods
    ]
    diff = {when: {one["period"]: one[when] for one in periods if one["changed"]} for when in ("before", "after")}
    return {"changed": written.changed, "periods": periods, "diff": diff}
