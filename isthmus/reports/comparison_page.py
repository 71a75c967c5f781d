"""The page of a comparison: one HTML file with the same figures as the text and the JSON, ready to print.

The page loads nothing and runs no script. Every chart has its figures in a table below it. The template is
`comparison_page.html.j2`; this module computes the charts.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from isthmus.reports.comparison_text import (
    acquisition_offers,
    break_even_sentences,
    summary_rows,
)
from isthmus.reports.format import pages
from isthmus.reports.format.charts import Bar, Chart, Text
from isthmus.reports.format.numbers import cents, counted, number, signed_cents

if TYPE_CHECKING:
    from jinja2 import Template

    from isthmus.contracts.reports.comparison import Comparison

WIDTH = 1000
_LEFT, _RIGHT = 210, 24
"""Room for labels left of the bars, and right of them, in units of the drawing."""
_BAR, _GAP = 18, 20


def page(comparison: Comparison) -> str:
    """Return the HTML page."""
    text = _template().render(
        comparison=comparison,
        columns_of=comparison.columns,
        summary=summary_rows(comparison.columns),
        tornado=tornado_chart(comparison),
        total_chart=total_cost_chart(comparison),
        base=driver_base(comparison),
        width=WIDTH,
    )
    return pages.without_forbidden_characters(text.lstrip())


@functools.cache
def _template() -> Template:
    environment = pages.environment()
    environment.filters.update(number=number, cents=cents, signed_cents=signed_cents)
    environment.globals.update(
        counts=counted,
        offers=acquisition_offers,
        break_even=break_even_sentences,
        amount=_amount,
        usd_or=_usd,
    )
    return environment.get_template("comparison_page.html.j2")


def _usd(value: float | None) -> str:
    """Return an amount to the cent, a dash for none."""
    return "–" if value is None else cents(value)


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def driver_base(comparison: Comparison) -> list[float | None]:
    """Return the totals that the drivers change, one for each column."""
    total = comparison.total_cost
    return total.totals if comparison.drivers_of == "owned" else total.cash


def tornado_chart(comparison: Comparison) -> Chart | None:
    """Draw for each driver and plan the range of the total cost, the widest driver first; None without a plan."""
    base = driver_base(comparison)
    changes = [
        (effect, column, cell.low_usd - total, cell.high_usd - total)
        for effect in comparison.drivers
        for column, cell, total in zip(comparison.columns, effect.cells, base, strict=True)
        if cell is not None and total is not None
    ]
    most = max((abs(value) for _, _, low, high in changes for value in (low, high)), default=0.0)
    if not most:
        return None
    half = (WIDTH - _LEFT - _RIGHT) / 2
    zero, bars, texts, y, words = _LEFT + half, list[Bar](), list[Text](), 26.0, list[str]()
    texts += [
        Text(_LEFT, 14, "start", f"USD {signed_cents(-most)}", "word"),
        Text(zero, 14, "middle", "as planned", "word"),
        Text(WIDTH - _RIGHT, 14, "end", f"USD {signed_cents(most)}", "word"),
    ]
    for effect in comparison.drivers:
        group = [change for change in changes if change[0] is effect]
        texts.append(Text(0, y + _BAR * len(group) / 2 + 5, "start", effect.driver, "name"))
        for _, column, low, high in group:
            left, right = sorted((low, high))
            x = zero + left / most * half
            ends = f"{effect.low} {signed_cents(low)}, {effect.high} {signed_cents(high)} USD"
            title = f"{effect.driver}, {column.id}: {ends}"
            bars.append(Bar(x, y, max(1.0, (right - left) / most * half), _BAR - 4, column.id, title))
            texts.append(Text(_LEFT - 12, y + _BAR - 6, "end", column.id, "word"))
            words.append(title)
            y += _BAR
        y += _GAP
    return Chart(y, bars, texts, ". ".join(words), zero)


def total_cost_chart(comparison: Comparison) -> Chart | None:
    """Draw the cost over the years of each plan, stacked by category; None if no total is known."""
    total = comparison.total_cost
    known = [
        (index, column, amount)
        for index, (column, amount) in enumerate(zip(comparison.columns, total.totals, strict=True))
        if amount is not None
    ]
    most = max((amount for _, _, amount in known), default=0.0)
    if not most:
        return None
    room = WIDTH - 40 - 170
    bars, texts, y, words = list[Bar](), list[Text](), 8.0, list[str]()
    for index, column, amount in known:
        texts.append(Text(0, y + 20, "start", column.id, "name"))
        x = 40.0
        for part, row in enumerate(total.rows):
            value = row.amounts[index] or 0.0
            width = value / most * room
            if value:
                title = f"{column.id}, {row.label}: {cents(value)} USD"
                bars.append(Bar(x, y, width, 30, f"part{part}", title))
                words.append(title)
            x += width
        texts.append(Text(x + 8, y + 20, "start", cents(amount), "name"))
        y += 44
    return Chart(y, bars, texts, ". ".join(words))
