"""What a dashboard is made of. Data only: `grafana` writes it as Grafana reads it.

Titles of panels are questions. Expressions contain Grafana's variables (`$class`), so a dashboard is the same for every
platform; the plan's figures are metrics (`plan_figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Key = Literal["platform", "workload", "endpoint", "gpu-pool", "gateway", "reviews", "cost"]
Unit = Literal["short", "percentunit", "s", "reqps", "currencyUSD", "celsius", "watt", "bytes", "cps"]
"""Units by Grafana's ids. `cps`: counts a second."""

CLASS = 'class=~"$class"'
"""Matcher of metrics that name their class."""
WINDOW = "$__rate_interval"
"""Grafana's window for rates: four scrapes at least."""


@dataclass(frozen=True)
class Query:
    """One expression of a panel."""

    expression: str
    legend: str
    """Name of a series, with labels as `{{workload}}`; in a table the name of the column."""
    is_plan: bool = False
    """Whether it is a figure of the plan or a goal: a dashed line."""


@dataclass(frozen=True)
class Panel:
    """One panel: a question, and what answers it."""

    title: str
    description: str
    """What to do when it looks wrong."""
    queries: Sequence[Query]
    unit: Unit = "short"
    kind: Literal["lines", "number", "table"] = "lines"
    alerts: Sequence[str] = ()
    """Alerts whose sections of the runbooks help."""
    width: int = 12
    """Of 24 columns."""
    minimum: float = 0
    """Lower end of the axis, unless the data are below it."""
    maximum: float | None = None
    """Upper end of the axis. Absent: as the data needs."""


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values of a label."""

    name: str
    label: str
    series: str
    """Selector of the series that have the label `name`."""
    is_listed: bool = False
    """Whether "All" means the listed values. Otherwise it matches everything."""
    is_hidden: bool = False
    """Whether it only narrows expressions, with all its values."""


@dataclass(frozen=True)
class Dashboard:
    """One page of Grafana."""

    key: Key
    title: str
    description: str
    variables: Sequence[Variable]
    panels: Sequence[Panel]
    since: str = "now-6h"
    """Start of the time range at first."""


CLASSES = Variable("class", "Class", "isthmus:plan_gateway_copies")
"""The classes of the site's gateways."""
WORKLOADS = Variable("workload", "Workload", f"isthmus:plan_workload{{{CLASS}}}")
ENDPOINTS = Variable("endpoint", "Endpoint", f"isthmus:plan_endpoint_replicas{{{CLASS}}}", is_listed=True)


def rate(counter: str, matchers: str, by: str, *, window: str = WINDOW) -> str:
    """The increase of a counter a second, by labels (empty: of all)."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({counter}{{{matchers}}}[{window}]))"


def share(part: str, whole: str) -> str:
    """A share of two expressions with the same labels. Where `part` has no series yet it is 0."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"
