"""The page of `isthmus usage`: one HTML file with the same tables as the text.

The page loads nothing and runs no script. The template is `usage_page.html.j2`.
"""

from __future__ import annotations

from collections import defaultdict

from isthmus.contracts.reports.usage import UsageReport
from isthmus.reports.format import pages
from isthmus.reports.format.escaping import visible
from isthmus.reports.format.numbers import bar
from isthmus.reports.usage_tables import heading, summary, tables, warnings


def page(report: UsageReport) -> str:
    """Return the page. The same report gives the same bytes."""
    html = (
        pages.environment()
        .get_template("usage_page.html.j2")
        .render(
            heading=heading(report),
            summary=summary(report),
            warnings=warnings(report),
            bars=_bars(report),
            tables=tables(report),
        )
    )
    return "\n".join(visible(line) for line in html.strip().split("\n")) + "\n"


def _bars(report: UsageReport) -> list[tuple[str, int, int]]:
    """Requests of each day: day, number, and length of its bar in per cent."""
    by_day: defaultdict[str, int] = defaultdict(int)
    for day in report.days:
        by_day[day.day.isoformat()] += day.requests
    most = max(by_day.values(), default=0)
    return [(day, by_day[day], bar(by_day[day], most)) for day in sorted(by_day)]
