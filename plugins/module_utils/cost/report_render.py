# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a report as one HTML page, as JSON and as CSV.

Names, tags and reasons come from clouds and are never trusted: the page escapes them and
forbids itself, by content security policy, every script and style but its own; CSV cells
that a spreadsheet would run as formulas are quoted.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import dataclasses
import datetime
import filecmp
import hashlib
import io
import json
import math
import os
import tempfile
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_charts import (
    USAGE_FRAME,
    WIDE_FRAME,
    UsageChart,
    metric_title,
    month_name,
    quantity,
    savings_chart,
    usage_chart,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_data import (
    DONE,
    STATUSES,
    ActionRow,
    ReportData,
    Source,
    iso,
    utc,
)
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import RISK_NAMES

#: Charts shown for one action: the constraint's own metric comes first in the evidence.
CHARTS_PER_ACTION = 4
COLUMNS = (
    "id plan scope provider account region zone resource_type resource_id resource_name managed_by action finding "
    "status reason why current proposed currency monthly_current monthly_proposed monthly_saving price_basis "
    "list_saving risk risk_name risk_dimensions effort binding_constraint reasons warnings window_start window_end "
    "data_points coverage price_source price_date overload_minutes_current overload_minutes_proposed approvals "
    "applied_at verification verification_summary steps"
).split()
_CAPITALS = {
    "cpu": "CPU",
    "ebs": "EBS",
    "iops": "IOPS",
    "nvme": "NVMe",
    "ena": "ENA",
    "aws": "AWS",
    "ecs": "ECS",
    "eks": "EKS",
}


class ReportError(Exception):
    """The report cannot be written; the text says what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Assets:
    """Files that make the page: the folder of ``report.html.j2``, and of ``report.css`` and ``report.js``."""

    templates: str
    files: str

    def read(self, name: str) -> str:
        """Text of one file.

        :raises ReportError: where it cannot be read.
        """
        path = os.path.join(self.files, name)
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise ReportError(f"cannot read {path}, which the page needs: {error}") from error


def html(data: ReportData, assets: Assets, traces: str | None = None) -> str:
    """The whole page: no other file, no request, no script or style but ours. ``traces``: the page to link to.

    :raises ReportError: where the template or an asset is missing or wrong.
    :raises MissingLibrary: where jinja2 is not installed.
    """
    values = {
        "data": data,
        "traces": traces,
        "charts": charts,
        "savings_charts": [
            chart for chart in (savings_chart(data.months, total.currency) for total in data.totals) if chart
        ],
        "risk_names": RISK_NAMES,
        "statuses": STATUSES,
        "DONE": DONE,
    }
    return render("report.html.j2", assets, ("report.css",), ("report.js",), values)


def render(
    name: str, assets: Assets, styles: Sequence[str], scripts: Sequence[str], values: Mapping[str, t.Any]
) -> str:
    """A page from the template ``name``, which gets ``values``, the style sheets and scripts as text, and a policy
    that forbids all others.

    :raises ReportError: where the template or an asset is missing or wrong.
    """
    style, script = ("".join(assets.read(asset) for asset in chosen) for chosen in (styles, scripts))
    environment = deps.jinja2.Environment(
        loader=deps.jinja2.FileSystemLoader(assets.templates),
        autoescape=True,
        undefined=deps.jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        money=money,
        whole=lambda value: f"{value:,.0f}",
        percent=percent,
        day=day,
        moment=moment,
        words=words,
        sentence=sentence,
        outcome=outcome,
        change=change,
        quantity=quantity,
        metric=metric_title,
        month=month_name,
    )
    allowed = f"script-src '{_digest(script)}'; " if script else ""
    try:
        return environment.get_template(name).render(
            style=style,
            script=script,
            policy=f"default-src 'none'; style-src '{_digest(style)}'; {allowed}base-uri 'none'; form-action 'none'",
            **values,
        )
    except deps.jinja2.TemplateNotFound as error:
        raise ReportError(f"there is no template {error.name} in {assets.templates}") from error
    except deps.jinja2.TemplateError as error:
        place = f" line {error.lineno}" if isinstance(error, deps.jinja2.TemplateSyntaxError) else ""
        raise ReportError(f"the template {name} in {assets.templates}{place} is wrong: {error}") from error


def json_lines(data: ReportData, source: Source) -> Iterator[str]:
    """One JSON document, written row by row: ``summary`` and ``actions``, a line for each action.

    An action is its recommendation (as everywhere, without the drawn series) and what happened to it.
    """
    yield '{"summary": ' + _json(data.summary()) + ',\n"actions": ['
    yield from _json_rows(action_dict(row) for row in source.actions())
    yield "]}\n"


def csv_lines(source: Source) -> Iterator[str]:
    """All actions as CSV (RFC 4180: comma, CRLF, quotes doubled), with a header.

    Text that a spreadsheet would take for a formula begins with ``'``.
    """
    yield csv_line(COLUMNS)
    for action in source.actions():
        cells = _action_cells(action)
        yield csv_line([cells[column] for column in COLUMNS])


def publish(path: str, chunks: Iterable[str], *, check: bool = False) -> bool:
    """Write ``chunks`` to ``path`` in one step, where they differ from what is there. True: they do.

    The new file is complete before it takes the old one's place. ``check``: only compare.

    :raises ReportError: where the folder cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        if not check:
            os.makedirs(folder, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(prefix=".report-", dir=None if check else folder)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.writelines(chunks)
            if os.path.exists(path) and filecmp.cmp(draft, path, shallow=False):
                return False
            if not check:
                os.chmod(draft, os.stat(path).st_mode & 0o7777 if os.path.exists(path) else 0o666 & ~_umask())
                os.replace(draft, path)
            return True
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from error


def action_dict(row: ActionRow) -> dict[str, t.Any]:
    """One action as plain data for JSON."""
    recommendation = row.recommendation.to_dict()
    recommendation["evidence"].pop("charts", None)
    verification = row.verification
    return {
        "recommendation": recommendation,
        "plan": row.plan_id,
        "scope": row.scope,
        "status": row.status,
        "reason": row.reason,
        "why": row.why,
        "approvals": [{**dataclasses.asdict(approval), "at": iso(approval.at)} for approval in row.approvals],
        "applied_at": iso(row.applied_at) if row.applied_at else None,
        "verification": {
            "result": verification.result,
            "summary": verification.summary,
            "at": iso(verification.at) if verification.at else None,
        }
        if verification
        else None,
        "steps": list(row.steps),
    }


def charts(row: ActionRow) -> list[UsageChart]:
    """What the evidence of an action has to draw, two in a line; of an odd number the first takes a whole line."""
    series = row.recommendation.evidence.get("charts")
    if not isinstance(series, (list, tuple)):
        return []
    entries = [entry for entry in series if isinstance(entry, Mapping) and usage_chart(entry)][:CHARTS_PER_ACTION]
    wide = len(entries) % 2
    drawn = [usage_chart(entry, WIDE_FRAME if i < wide else USAGE_FRAME) for i, entry in enumerate(entries)]
    return [chart for chart in drawn if chart]


def guarded(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ")[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else text


def money(amount: float, currency: str, period: str = "month") -> str:
    """``USD 1,234/month`` (with a space that does not break); cents below 100. ``period`` may be empty."""
    places = 2 if 0 < abs(amount) < 99.995 else 0
    text = f"{abs(amount):,.{places}f}"
    sign = "−" if amount < 0 and float(text.replace(",", "")) else ""
    return f"{sign}{currency}\u00a0{text}" + (f"/{period}" if period else "")


def percent(share: float) -> str:
    """``42 %``, and one decimal below ten."""
    value = 100 * share
    return f"{value:.1f} %" if 0 < abs(value) < 9.95 else f"{value:.0f} %"


def day(value: datetime.datetime | datetime.date | str | None) -> str:
    """``24 Nov 2026``; text that is no date is shown as it is."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return t.cast("str", value)
    return f"{value.day} {value:%b %Y}" if value else ""


def moment(value: datetime.datetime | None) -> str:
    """``24 Nov 2026, 08:12 UTC``."""
    return f"{day(utc(value))}, {utc(value):%H:%M} UTC" if value else ""


def words(name: str) -> str:
    """A name in words: ``rolled_back`` is ``rolled back``, ``ebs_iops`` is ``EBS IOPS``."""
    text = name.replace("_provisioned", "-provisioned").replace("_", " ")
    return " ".join(_CAPITALS.get(word, word) for word in text.split(" "))


def sentence(text: str) -> str:
    """The text with a capital first letter, unless it begins with a name such as ``m6i.large`` or ``vCPUs``."""
    first = text.split(" ", 1)[0].rstrip(":,;.")
    return text[:1].upper() + text[1:] if first.replace("-", "").isalpha() and first.islower() else text


def outcome(row: ActionRow) -> str:
    """What came of an action: why, and what its verification found."""
    parts = [row.why, row.verification.summary or row.verification.result if row.verification else ""]
    return "; ".join(part for part in parts if part) or ("not verified yet" if row.status in DONE else "–")


def change(attributes: Mapping[str, t.Any]) -> str:
    """The changed attributes' values: alone where there is one, else ``name value, name value``."""
    if len(attributes) == 1:
        return str(next(iter(attributes.values())))
    return ", ".join(f"{words(name)} {value}" for name, value in attributes.items())


def _action_cells(row: ActionRow) -> dict[str, t.Any]:
    record = row.recommendation
    evidence = record.evidence
    overload = evidence.get("expected_overload_minutes")
    overload = overload if isinstance(overload, Mapping) else {}
    return {
        "id": record.id,
        "plan": row.plan_id,
        "scope": row.scope,
        "provider": record.provider,
        "account": record.scope.account,
        "region": record.scope.region,
        "zone": record.scope.zone,
        "resource_type": record.resource.type,
        "resource_id": record.resource.id,
        "resource_name": record.resource.name,
        "managed_by": record.resource.managed_by,
        "action": record.action,
        "finding": record.finding,
        "status": row.status,
        "reason": row.reason,
        "why": row.why,
        "current": change(record.current),
        "proposed": change(record.proposed),
        "currency": record.monthly.currency,
        "monthly_current": round(record.monthly.current, 2),
        "monthly_proposed": round(record.monthly.proposed, 2),
        "monthly_saving": round(record.monthly.saving, 2),
        "price_basis": record.monthly.price_basis,
        "list_saving": None if record.monthly.list_saving is None else round(record.monthly.list_saving, 2),
        "risk": record.risk.total,
        "risk_name": record.risk.name,
        "risk_dimensions": "; ".join(f"{name} {value}" for name, value in sorted(record.risk.dimensions.items())),
        "effort": record.effort,
        "binding_constraint": record.binding_constraint,
        "reasons": "; ".join(record.reasons),
        "warnings": "; ".join(record.warnings),
        **{
            key: evidence.get(key)
            for key in ("window_start", "window_end", "data_points", "coverage", "price_source", "price_date")
        },
        "overload_minutes_current": overload.get("current"),
        "overload_minutes_proposed": overload.get("proposed"),
        "approvals": "; ".join(f"{a.decision} by {a.approver} at {iso(a.at)}" for a in row.approvals),
        "applied_at": iso(row.applied_at) if row.applied_at else None,
        "verification": row.verification.result if row.verification else None,
        "verification_summary": row.verification.summary if row.verification else None,
        "steps": "; ".join(row.steps),
    }


def csv_line(cells: Iterable[t.Any]) -> str:
    """One line of CSV (RFC 4180), text guarded against spreadsheets that run it as a formula."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return buffer.getvalue()


def _cell(value: t.Any) -> t.Any:
    """Numbers stay numbers; everything else is text, and guarded."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return guarded(str(value))


def _json_rows(rows: Iterable[Mapping[str, t.Any]]) -> Iterator[str]:
    separator = "\n"
    for row in rows:
        yield separator + _json(row)
        separator = ",\n"


def _json(data: t.Any) -> str:
    return json.dumps(_finite(data), sort_keys=True, ensure_ascii=False, allow_nan=False, default=str)


def _finite(data: t.Any) -> t.Any:
    """JSON knows neither NaN nor infinity: they become null."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
