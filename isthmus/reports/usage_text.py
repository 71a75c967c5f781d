"""What a stack used, as text for a terminal and as CSV."""

from __future__ import annotations

import csv
import io

from isthmus.contracts.reports.usage import UsageReport, UsageTotals
from isthmus.reports.format.escaping import visible
from isthmus.reports.usage_tables import Table, heading, summary, tables, warnings

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a spreadsheet takes a text for a formula."""


def lines(report: UsageReport) -> list[str]:
    """The report for a terminal."""
    text = [heading(report), f"{summary(report)}.", *warnings(report)]
    for table in tables(report):
        text += ["", table.title, *_table_lines(table), *(f"  {note}" for note in table.notes)]
    return [visible(line) for line in text]


def as_csv(report: UsageReport) -> str:
    """The sums by the names of `by`, with the names of the JSON as columns, and full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    fields = list(UsageTotals.model_fields)
    writer.writerow([*report.by, *fields])
    for group in report.groups:
        values = [
            format(value, "f") if name == "cost_usd" else value for name, value in _values(group.totals)
        ]
        writer.writerow([*map(_cell, group.names.values()), *values])
    return stream.getvalue()


def _values(totals: UsageTotals) -> list[tuple[str, object]]:
    return [(name, getattr(totals, name)) for name in UsageTotals.model_fields]


def _cell(text: str) -> str:
    """A text that no spreadsheet runs."""
    safe = visible(text)
    return f"'{safe}" if safe.startswith(_FORMULA) else safe


def _table_lines(table: Table) -> list[str]:
    rows = [list(table.columns), *map(list, table.rows)] if table.rows else []
    widths = [max((len(row[at]) for row in rows), default=0) for at in range(len(table.columns))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if at < table.texts else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
