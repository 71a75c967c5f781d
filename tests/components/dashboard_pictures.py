"""Draws the dashboards from the results of their expressions: `python -m tests.components.dashboard_pictures`.

No Grafana takes part. The places of panels, titles, legends and dashed lines are those that Grafana gets; we draw them.
The series are those of `replayed_series`, so the pictures are the same every time.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from components.observability.dashboards.grafana import placed
from components.observability.dashboards.panels import Dashboard, Panel, Unit
from tests.components import dashboard_platform
from tests.components.replay import Replay, replay
from tests.components.replayed_series import END_S, START_S

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
COLUMN, ROW, GAP, HEAD = 50, 34, 6, 44
"""Pixels of a column and a row of Grafana's grid, between panels, and above them."""
COLOURS = ("#0b62a4", "#c2410c", "#15803d", "#7c3aed", "#b45309", "#0e7490", "#be123c", "#4d7c0f")
PLAN_COLOUR = "#555555"
MOST_ROWS, MOST_LEGENDS = 5, 6
_GAP_S = 700
"""Longest time between two points that a line joins."""
_STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:12px;fill:#222}.title{font-size:14px;font-weight:600}"
    ".page{font-size:19px;font-weight:600}.soft{fill:#666}.value{font-size:34px}.head{font-weight:600}"
)


@dataclass(frozen=True)
class Line:
    """One series of a panel."""

    name: str
    points: list[tuple[float, float]]
    is_plan: bool


@dataclass(frozen=True)
class Axis:
    """The ends of an axis, and its unit."""

    bottom: float
    top: float
    unit: Unit


@dataclass(frozen=True)
class Box:
    """Where something is drawn, in pixels."""

    x: float
    y: float
    width: float
    height: float


def file_of(dashboard: Dashboard) -> Path:
    """Where the picture of a dashboard is."""
    return PICTURES / f"dashboard-{dashboard.key}.svg"


def drawn(running: Replay, dashboard: Dashboard) -> str:
    """A dashboard as SVG."""
    parts, bottom = [], 0.0
    for panel, place in placed(dashboard.panels):
        box = Box(
            place.x * COLUMN + GAP,
            place.y * ROW + HEAD + GAP,
            place.w * COLUMN - 2 * GAP,
            place.h * ROW - 2 * GAP,
        )
        bottom = max(bottom, box.y + box.height + GAP)
        size = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
        parts.append(f'<rect {size} fill="#fff" stroke="#d4d4d4"/>')
        parts += _titles(panel, box)
        parts += {"lines": _lines, "number": _number, "table": _table}[panel.kind](
            running, dashboard, panel, box
        )
    title = f"{dashboard_platform.platform().name} {dashboard_platform.SITE}: {dashboard.title}"
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {bottom:g}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(dashboard.description)}</desc>",
        f"<style>{_STYLE}</style>",
        '<rect width="100%" height="100%" fill="#f5f5f4"/>',
        _text(GAP, 30, title, "page"),
        _text(24 * COLUMN - GAP, 30, "drawn from replayed series, not by Grafana", "soft", "end"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    named = f' class="{style}"' if style else ""
    placed_at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}{placed_at}>{escape(text)}</text>'


def _shortened(text: str, width: float, of_letter: float = 6.4) -> str:
    most = max(4, int(width / of_letter))
    return text if len(text) <= most else text[: most - 1] + "…"


def _titles(panel: Panel, box: Box) -> Iterator[str]:
    """The title, in at most two lines."""
    lines, most = [""], int((box.width - 20) / 8.3)
    for word in panel.title.split():
        if len(lines[-1]) + len(word) + 1 > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    for number, line in enumerate(lines[:2]):
        yield _text(box.x + 10, box.y + 20 + 17 * number, line, "title")


def _legend(template: str, metric: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: metric.get(match[1], ""), template).strip()


def _lines(running: Replay, dashboard: Dashboard, panel: Panel, box: Box) -> Iterator[str]:
    lines = [
        Line(
            _legend(query.legend, one["metric"]),
            [(float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value))],
            query.is_plan,
        )
        for query in panel.queries
        for one in running.range(running.expression(dashboard, query.expression))
    ]
    lines = sorted((line for line in lines if line.points), key=lambda line: (line.is_plan, line.name))
    plot = Box(box.x + 68, box.y + 54, box.width - 92, box.height - 54 - 56)
    values = [value for line in lines for _, value in line.points]
    axis = Axis(min([panel.minimum, *values]), _top(values, panel.maximum), panel.unit)
    yield from _axes(plot, axis)
    colours = iter(COLOURS * len(lines))
    shown = [(line, PLAN_COLOUR if line.is_plan else next(colours)) for line in lines]
    for line, colour in shown:
        yield _path(line, plot, axis, colour)
    yield from _legends(shown, Box(box.x + 10, box.y + box.height - 30, box.width - 20, 30))


def _top(values: list[float], maximum: float | None) -> float:
    """The upper end of an axis: a round number above all values."""
    if maximum is not None:
        return maximum
    most = max([value for value in values if value > 0], default=1.0)
    size = 10 ** math.floor(math.log10(most))
    return next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * size >= most * 0.999)


def _axes(plot: Box, axis: Axis) -> Iterator[str]:
    for step in range(3):
        y = plot.y + plot.height * (1 - step / 2)
        yield f'<path d="M{plot.x:g} {y:.1f}h{plot.width:g}" stroke="#e5e5e5"/>'
        yield _text(
            plot.x - 6,
            y + 4,
            written(axis.bottom + (axis.top - axis.bottom) * step / 2, axis.unit),
            "soft",
            "end",
        )
    for hour in range(7):
        x = plot.x + plot.width * hour / 6
        yield _text(x, plot.y + plot.height + 16, f"{hour + 6:02d}:00", "soft", "middle")


def _path(line: Line, plot: Box, axis: Axis, colour: str) -> str:
    path, before = [], -math.inf
    for at, value in line.points:
        x = plot.x + plot.width * (at - START_S) / (END_S - START_S)
        y = plot.y + plot.height * (axis.top - min(value, axis.top)) / (axis.top - axis.bottom)
        path.append(f"{'L' if at - before <= _GAP_S else 'M'}{x:.1f} {y:.1f}")
        before = at
    style = ' stroke-dasharray="7 5"' if line.is_plan else ""
    return f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.8"{style}/>'


def _legends(shown: list[tuple[Line, str]], box: Box) -> Iterator[str]:
    count = min(len(shown), MOST_LEGENDS)
    per_row = max(1, math.ceil(count / 2))
    width = box.width / per_row
    for number, (line, colour) in enumerate(shown[:count]):
        x, y = box.x + width * (number % per_row), box.y + 6 + 17 * (number // per_row)
        style = ' stroke-dasharray="4 3"' if line.is_plan else ""
        yield f'<path d="M{x:.1f} {y:.1f}h16" stroke="{colour}" stroke-width="2.5"{style}/>'
        more = f" (and {len(shown) - count} more)" if number == count - 1 and len(shown) > count else ""
        yield _text(x + 21, y + 4, _shortened(line.name + more, width - 24), "soft")


def _number(running: Replay, dashboard: Dashboard, panel: Panel, box: Box) -> Iterator[str]:
    (query,) = panel.queries
    values = [
        float(one["value"][1]) for one in running.instant(running.expression(dashboard, query.expression))
    ]
    text = written(values[0], panel.unit) if values else "no data"
    yield _text(box.x + box.width / 2, box.y + box.height - 24, text, "value", "middle")


def _table(running: Replay, dashboard: Dashboard, panel: Panel, box: Box) -> Iterator[str]:
    """The rows with the labels and a column for each query, as `merge` gives them."""
    rows: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for query in panel.queries:
        for one in running.instant(running.expression(dashboard, query.expression)):
            value = written(float(one["value"][1]), panel.unit)
            rows.setdefault(tuple(sorted(one["metric"].items())), {})[query.legend] = value
    if not panel.queries[0].expression.startswith("sort_desc"):
        rows = dict(sorted(rows.items()))
    labels = sorted({name for key in rows for name, _ in key})
    columns = [*labels, *(query.legend for query in panel.queries)]
    width = (box.width - 20) / len(columns)
    cells = [columns, *(_cells(dict(key), values, columns) for key, values in rows.items())]
    for number, row in enumerate(cells[: MOST_ROWS + 1]):
        y = box.y + 60 + 27 * number
        for place, cell in enumerate(row):
            text = _shortened(cell, width - 6)
            yield _text(box.x + 10 + place * width, y, text, "" if number else "head")
    if len(rows) > MOST_ROWS:
        yield _text(box.x + 10, box.y + box.height - 10, f"and {len(rows) - MOST_ROWS} more", "soft")


def _cells(labels: dict[str, str], values: dict[str, str], columns: list[str]) -> list[str]:
    return [labels.get(column, values.get(column, "")) for column in columns]


def _seconds(value: float) -> str:
    for size, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} s" if value >= 1 or value == 0 else f"{value * 1000:.3g} ms"


_WRITTEN: dict[Unit, Callable[[float], str]] = {
    "percentunit": lambda value: f"{value * 100:.4g} %",
    "s": _seconds,
    "reqps": lambda value: f"{value:.3g}/s",
    "cps": lambda value: f"{value:,.0f}/s" if value >= 100 else f"{value:.3g}/s",
    "currencyUSD": lambda value: f"${value:,.0f}" if value >= 100 else f"${value:.2f}",
    "celsius": lambda value: f"{value:.0f} °C",
    "watt": lambda value: f"{value:,.0f} W",
}


def written(value: float, unit: Unit) -> str:
    """A value with its unit, short."""
    return _WRITTEN.get(unit, lambda number: f"{number:,.4g}")(value)


def main() -> None:
    """Draw all dashboards."""
    with tempfile.TemporaryDirectory() as folder, replay(Path(folder)) as running:
        for dashboard in dashboard_platform.pages():
            file_of(dashboard).write_text(drawn(running, dashboard))


if __name__ == "__main__":
    main()
