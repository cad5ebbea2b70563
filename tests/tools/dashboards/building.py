# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a short description of a dashboard to what Grafana reads, through grafana-foundation-sdk.

The files beside this one say what is shown, as data; this one knows how Grafana wants it. The result holds
nothing that changes by itself (no time, no random id), so the committed files stay as they are until the
description changes.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
from collections.abc import Sequence

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

#: Role grafana puts its own addresses in place of these two (see its tasks/dashboards.yml).
RUNBOOKS = "https://github.com/frugal-cloud/frugal.cloud/blob/main/docs/runbooks"
JAEGER = "http://127.0.0.1:16686"
#: Tag of the annotations that mark a change, written by the role's task file annotate.yml
CHANGE_TAG = "frugal-change"
#: Tag that all our dashboards carry: they link to each other by it
TAG = "frugal-cloud"
#: Grafana's grid
COLUMNS = 24
#: what rates look back over: Grafana widens it with the time range
RATE = "[$__rate_interval]"
_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_COLOURS = ("green", "yellow", "orange", "red")

Kind = t.Literal["graph", "stat", "table", "heatmap", "bars"]


@dataclasses.dataclass(frozen=True)
class Query:
    """A PromQL expression; ``legend`` names its series (in a table: its column of values)."""

    expr: str
    legend: str = ""


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel.

    ``unit`` is Grafana's name of a unit (percentunit: a share of 1; s: seconds; reqps: requests per second).
    ``steps`` are the values from which it turns yellow, orange and red, in that order where they rise; where they
    fall, below them. ``runbook`` names the alert whose page is linked.
    """

    title: str
    description: str
    queries: Sequence[Query]
    kind: Kind = "graph"
    unit: str = "short"
    width: int = 8
    height: int = 8
    steps: Sequence[float] = ()
    #: bad is what is below a step, where there is only one step to tell it by
    falling: bool = False
    runbook: str = ""
    minimum: float | None = None
    maximum: float | None = None
    decimals: int | None = None
    stacked: bool = False
    log_scale: bool = False
    #: a label of the series in a table -> where a click on it leads
    links: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: in a table: column -> unit, where they differ
    units: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def graph(title: str, description: str, queries: Sequence[Query], **more: t.Any) -> Panel:
    """Lines over time that cannot be below zero; ``more`` as for :class:`Panel`."""
    return Panel(title, description, queries, **{"minimum": 0, **more})


def share(title: str, description: str, queries: Sequence[Query], **more: t.Any) -> Panel:
    """Lines over time of a share from 0 to 1."""
    return graph(title, description, queries, **{"unit": "percentunit", "maximum": 1, **more})


def figure(title: str, description: str, query: str, **more: t.Any) -> Panel:
    """One large figure: how it is now."""
    return Panel(title, description, [Query(query)], **{"kind": "stat", "height": 4, **more})


@dataclasses.dataclass(frozen=True)
class Row:
    """Panels below a heading."""

    title: str
    panels: Sequence[Panel]


@dataclasses.dataclass(frozen=True)
class Variable:
    """Something that the reader chooses: values of a label, one of a few values, or a text."""

    name: str
    label: str
    description: str
    #: PromQL for label_values: series and label
    series: str = ""
    of_label: str = ""
    #: or one of these; the first is chosen
    choices: Sequence[str] = ()
    #: or a text
    text: str = ""


SERVICE = Variable(
    "service",
    "Service",
    "Services that the recording rules know.",
    series="service:http_requests:rate5m",
    of_label="service",
)
HOST = Variable("instance", "Host", "Hosts with node_exporter.", series="node_uname_info", of_label="instance")


@dataclasses.dataclass(frozen=True)
class Dashboard:
    """A dashboard; its file is called after ``uid``."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    tags: Sequence[str] = ()
    time_from: str = "now-6h"
    #: addresses beside the links to our other dashboards: title -> address
    links: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def encode(dashboard: Dashboard) -> str:
    """The file's text: JSON with sorted keys, so that two runs give the same bytes."""
    built = json.loads(json.dumps(build(dashboard), cls=JSONEncoder))
    return json.dumps(built, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def build(dashboard: Dashboard) -> model.Dashboard:
    """The dashboard as the SDK models it."""
    made = (
        builder.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags([TAG, *dashboard.tags])
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time(dashboard.time_from, "now")
        .refresh("1m")
        .readonly()
        .version(1)
        .link(
            builder.DashboardLink("Other dashboards")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .annotation(_changes())
        .with_variable(
            builder.DatasourceVariable("datasource")
            .label("Prometheus")
            .description("The Prometheus that holds the series.")
            .type("prometheus")
        )
    )
    for title, url in dashboard.links.items():
        link = builder.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url)
        made = made.link(link.icon("external link").target_blank(True))
    for variable in dashboard.variables:
        made = made.with_variable(_variable(variable))
    number = 0
    for row in dashboard.rows:
        number += 1
        made = made.with_row(builder.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            made = made.with_panel(_panel(panel).id(number))
    return made.build()


def _changes() -> builder.AnnotationQuery:
    """Marks of changes: what the role's annotate.yml wrote."""
    return (
        builder.AnnotationQuery()
        .name("Changes")
        .datasource(model.DataSourceRef(type_val="datasource", uid="grafana"))
        .enable(True)
        .icon_color("blue")
        .target(builder.AnnotationTarget().limit(100).match_any(False).tags([CHANGE_TAG]).type("tags"))
    )


def _variable(variable: Variable) -> t.Any:
    if variable.series:
        return (
            builder.QueryVariable(variable.name)
            .label(variable.label)
            .description(variable.description)
            .datasource(_SOURCE)
            .query({"query": f"label_values({variable.series}, {variable.of_label})", "refId": variable.name})
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(model.VariableOption(text="All", value="$__all", selected=True))
        )
    if variable.choices:
        options = [
            model.VariableOption(text=choice, value=choice, selected=choice == variable.choices[0])
            for choice in variable.choices
        ]
        return (
            builder.CustomVariable(variable.name)
            .label(variable.label)
            .description(variable.description)
            .values(",".join(variable.choices))
            .options(options)
            .current(options[0])
        )
    return (
        builder.TextBoxVariable(variable.name)
        .label(variable.label)
        .description(variable.description)
        .default_value(variable.text)
        .current(model.VariableOption(text=variable.text, value=variable.text, selected=True))
    )


def _panel(panel: Panel) -> t.Any:
    kinds: dict[Kind, t.Callable[[Panel], t.Any]] = {
        "graph": _graph,
        "stat": _stat,
        "table": _table,
        "heatmap": _heatmap,
        "bars": _bars,
    }
    made = kinds[panel.kind](panel)
    made = (
        made.title(panel.title)
        .description(panel.description)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(panel.height)
    )
    if panel.kind != "heatmap":
        made = made.thresholds(_thresholds(panel.steps, panel.falling))
    if panel.minimum is not None:
        made = made.min(panel.minimum)
    if panel.maximum is not None:
        made = made.max(panel.maximum)
    if panel.decimals is not None:
        made = made.decimals(panel.decimals)
    if panel.runbook:
        link = builder.DashboardLink(f"Runbook {panel.runbook}").type(model.DashboardLinkType.LINK)
        made = made.links([link.url(f"{RUNBOOKS}/{panel.runbook}.md").target_blank(True)])
    for label, url in panel.links.items():
        target = {"title": f"Open in Jaeger: ${{__data.fields.{label}}}", "url": url, "targetBlank": True}
        made = made.override_by_name(label, [model.DynamicConfigValue(id_val="links", value=[target])])
    for column, unit in panel.units.items():
        made = made.override_by_name(column, [model.DynamicConfigValue(id_val="unit", value=unit)])
    for index, query in enumerate(panel.queries):
        made = made.with_target(_target(panel, query, chr(ord("A") + index)))
    return made


def _target(panel: Panel, query: Query, ref_id: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().datasource(_SOURCE).expr(query.expr).ref_id(ref_id)
    if query.legend:
        target = target.legend_format(query.legend)
    if panel.kind in ("table", "bars", "stat"):
        target = target.instant()
    else:
        target = target.range()
    if panel.kind == "heatmap":
        return target.format(PromQueryFormat.HEATMAP)
    return target.format(PromQueryFormat.TABLE if panel.kind == "table" else PromQueryFormat.TIME_SERIES)


def _thresholds(steps: Sequence[float], falling: bool) -> builder.ThresholdsConfig:
    """Green, then yellow, orange, red from each step on; where the steps fall, red is below the lowest."""
    made = builder.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    if not steps:
        return made.steps([model.Threshold(value=None, color="green")])
    worse = _COLOURS[-len(steps) :] if len(steps) > 1 else ("red",)
    if list(steps) == sorted(steps) and not falling:
        colours = ["green", *worse]
        values: list[float | None] = [None, *steps]
    else:
        colours = [*reversed(worse), "green"]
        values = [None, *sorted(steps)]
    return made.steps([model.Threshold(value=value, color=colour) for value, colour in zip(values, colours)])


def _graph(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(10)
        .show_points(common_model.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
    )
    if panel.steps:
        made = made.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_model.GraphTresholdsStyleMode.DASHED)
        )
    if panel.stacked:
        made = made.fill_opacity(40).stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
    if panel.log_scale:
        made = made.scale_distribution(common.ScaleDistributionConfig().type(common_model.ScaleDistribution.LOG).log(2))
    return made


def _reduce() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _stat(panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .reduce_options(_reduce())
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.VALUE)
    )


def _bars(panel: Panel) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .reduce_options(_reduce())
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
    )


def _heatmap(panel: Panel) -> heatmap.Panel:
    return heatmap.Panel().calculate(False)


def _table(panel: Panel) -> table.Panel:
    """Columns are the labels and one value a query, called by its legend; one row a set of labels."""
    names = {f"Value #{chr(ord('A') + index)}": query.legend for index, query in enumerate(panel.queries)}
    if len(panel.queries) == 1:
        names["Value"] = panel.queries[0].legend
    made = table.Panel().cell_height(common_model.TableCellHeight.SM).show_header(True)
    if len(panel.queries) > 1:
        made = made.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    return made.with_transformation(
        model.DataTransformerConfig(
            id_val="organize", options={"excludeByName": {"Time": True, "__name__": True}, "renameByName": names}
        )
    )
