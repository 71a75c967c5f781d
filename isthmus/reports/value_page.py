"""The page of `isthmus value`: one HTML file for a steering committee, ready to print.

The page loads nothing and runs no script. It has the figures of the report alone, so text, JSON and page agree. The
chart has its figures in a table below it. The template is `value_page.html.j2`; this module computes the chart.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from isthmus.reports.format import pages
from isthmus.reports.format.charts import Bar, Chart, Text
from isthmus.reports.value_text import (
    CAVEAT,
    answer_sentence,
    bar_sentence,
    bounds,
    certainty,
    figure_of,
    meaning,
    span,
    usd,
)
from isthmus.value.words import show

if TYPE_CHECKING:
    from jinja2 import Template

    from isthmus.contracts.reports.value import ValueReport, WorkloadValue

WIDTH = 1000
NET = "net_benefit_usd_per_month"
_LEFT, _RIGHT = 330, 30
"""Room for labels left of the bars, and right of them, in units of the drawing."""
_BAR, _STEP, _TOP = 20, 34, 30


def page(report: ValueReport) -> str:
    """Return the HTML page. The same report gives the same bytes."""
    charts = {workload.workload: tornado_chart(workload) for workload in report.workloads}
    text = _template().render(report=report, charts=charts, width=WIDTH, net=NET)
    return pages.without_forbidden_characters(text.lstrip())


@functools.cache
def _template() -> Template:
    environment = pages.environment()
    environment.filters.update(usd=usd)
    environment.globals.update(
        show=show,
        span=span,
        answer_sentence=answer_sentence,
        figure_of=figure_of,
        bounds=bounds,
        meaning=meaning,
        certainty=certainty,
        caveat=CAVEAT,
    )
    return environment.get_template("value_page.html.j2")


def tornado_chart(workload: WorkloadValue) -> Chart | None:
    """Draw the net benefit of a month at the low and high end of each assumption, the widest bar first.

    None if the net benefit is not known. The vertical line is zero: left of it the workload costs more than it saves.
    """
    found = next((figure.range for figure in workload.figures if figure.measure == NET), None)
    shown = [bar for bar in workload.tornado if bar.net_at_low != bar.net_at_high]
    if found is None or found.point is None or not shown:
        return None
    ends = [found.point, 0.0, *(end for bar in shown for end in (bar.net_at_low, bar.net_at_high))]
    least, most = min(ends), max(ends)
    scale = (WIDTH - _LEFT - _RIGHT) / (most - least)

    def place(net: float) -> float:
        return _LEFT + (net - least) * scale

    bars, y = list[Bar](), float(_TOP)
    texts = [Text(place(0), 14, "start" if place(0) < WIDTH / 2 else "end", "USD 0", "word")]
    texts.append(Text(WIDTH - _RIGHT, 14, "end", f"likely: {show(NET, found.point)} a month", "word"))
    for bar in shown:
        low, high = sorted((bar.net_at_low, bar.net_at_high))
        width = max(2.0, (high - low) * scale)
        bars.append(Bar(place(low), y, width, _BAR, "swing", bar_sentence(bar)))
        texts.append(Text(0, y + 15, "start", bar.label, "name"))
        y += _STEP
    bars.append(Bar(place(found.point) - 1.5, _TOP - 8, 3, y - _TOP + 2, "likely", "likely"))
    return Chart(y, bars, texts, ". ".join(bar_sentence(bar) for bar in shown), place(0))
