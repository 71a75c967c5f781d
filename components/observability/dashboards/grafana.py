"""Writes a dashboard as Grafana reads it, in the form of Grafana 10.1, which later versions read too.

The only importer of Grafana's SDK, which is loaded only where dashboards are rendered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import SortOrder, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    GridPos,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from components.observability.rules import RUNBOOKS

if TYPE_CHECKING:
    from components.observability.dashboards.panels import Dashboard, Key, Panel, Variable

TAG = "isthmus"
"""Tag of every dashboard."""
# Braces are left out, because a GitOps controller could take them for a value of its own.
_SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
_COLUMNS, _HEIGHT, _NUMBER_HEIGHT = 24, 8, 4
_FIRST_REF = ord("A")


def uid(platform: str, site: str, key: Key) -> str:
    """The id of a dashboard, by which addresses name it. At most 40 characters, as Grafana demands."""
    return f"isthmus-{key}-{sha256(f'{platform}/{site}'.encode()).hexdigest()[:8]}"


def rendered(dashboard: Dashboard, platform: str, site: str, runbooks_url: str | None) -> str:
    """The dashboard as JSON: the same text for the same arguments.

    `platform`, `site`: names, which title and links contain. `runbooks_url`: see `monitoring.runbooks_url`.
    """
    builder = (
        builders.Dashboard(f"{platform} {site}: {dashboard.title}")
        .uid(uid(platform, site, dashboard.key))
        .description(dashboard.description)
        .tags([TAG, f"{platform} {site}"])
        .readonly()
        .refresh("1m")
        .time(dashboard.since, "now")
        .timezone("browser")
        .link(_links_to_others(platform, site))
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for variable in dashboard.variables:
        builder = builder.with_variable(_variable(variable))
    for number, (panel, place) in enumerate(placed(dashboard.panels), 1):
        builder = builder.with_panel(_panel(panel, number, place, runbooks_url))
    return json.dumps(builder.build(), cls=JSONEncoder, sort_keys=True, indent=1) + "\n"


def _links_to_others(platform: str, site: str) -> builders.DashboardLink:
    """Links to the other dashboards of the site, with the chosen class and time."""
    return (
        builders.DashboardLink(f"{platform} {site}")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG, f"{platform} {site}"])
        .include_vars(True)
        .keep_time(True)
        .as_dropdown(False)
    )


def _variable(variable: Variable) -> builders.QueryVariable:
    builder = (
        builders.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(_SOURCE)
        .query(f"label_values({variable.series}, {variable.name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )
    if variable.is_hidden:
        builder = builder.hide(VariableHide.HIDE_VARIABLE)
    return builder if variable.is_listed else builder.all_value(".+")


def placed(panels: Iterable[Panel]) -> Iterator[tuple[Panel, GridPos]]:
    """Each panel with its place: from left to right, in rows."""
    x = y = row = 0
    for panel in panels:
        height = _NUMBER_HEIGHT if panel.kind == "number" else _HEIGHT
        if x + panel.width > _COLUMNS:
            x, y, row = 0, y + row, 0
        yield panel, GridPos(h=height, w=panel.width, x=x, y=y)
        x, row = x + panel.width, max(row, height)


def _panel(
    panel: Panel, number: int, place: GridPos, runbooks_url: str | None
) -> stat.Panel | table.Panel | timeseries.Panel:
    builder = {"number": stat.Panel, "table": table.Panel, "lines": timeseries.Panel}[panel.kind]()
    description = panel.description
    if panel.alerts and runbooks_url is None:
        description += f" Sections of {RUNBOOKS}: {', '.join(panel.alerts)}."
    builder = (
        builder.id(number)
        .title(panel.title)
        .description(description)
        .grid_pos(place)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .no_value("no data")
    )
    if runbooks_url is not None and panel.alerts:
        builder = builder.links(
            [
                builders.DashboardLink(f"Runbook: {alert}")
                .type(DashboardLinkType.LINK)
                .url(f"{runbooks_url}#{alert.lower()}")
                .target_blank(True)
                for alert in panel.alerts
            ]
        )
    for index, query in enumerate(panel.queries):
        builder = builder.with_target(_target(panel, query.expression, query.legend, chr(_FIRST_REF + index)))
    if isinstance(builder, timeseries.Panel):
        return _lines(builder, panel)
    if isinstance(builder, table.Panel):
        return _table(builder, panel)
    return builder.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _target(panel: Panel, expression: str, legend: str, ref_id: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref_id).datasource(_SOURCE)
    if panel.kind == "lines":
        return target.range()
    return target.instant().format(
        PromQueryFormat.TABLE if panel.kind == "table" else PromQueryFormat.TIME_SERIES
    )


def _lines(builder: timeseries.Panel, panel: Panel) -> timeseries.Panel:
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    builder = builder.axis_soft_min(panel.minimum).line_width(2).fill_opacity(5).tooltip(tooltip)
    if panel.maximum is not None:
        builder = builder.max(panel.maximum)
    dashed = [
        DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        DynamicConfigValue("custom.fillOpacity", 0),
    ]
    for index, query in enumerate(panel.queries):
        if query.is_plan:
            builder = builder.override_by_query(chr(_FIRST_REF + index), dashed)
    return builder


def _table(builder: table.Panel, panel: Panel) -> table.Panel:
    names = {
        f"Value #{chr(_FIRST_REF + index)}": query.legend for index, query in enumerate(panel.queries)
    } | {"Value": panel.queries[0].legend}
    columns = {"excludeByName": {"Time": True}, "renameByName": names}
    return (
        builder.show_header(True)
        .with_transformation(DataTransformerConfig("merge", options={}))
        .with_transformation(DataTransformerConfig("organize", options=columns))
    )
