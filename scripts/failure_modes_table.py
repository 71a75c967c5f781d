"""Writes the table of failure modes in `docs/planning.md`. Run `python -m scripts.failure_modes_table`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from isthmus.planning.catalogues import tables

DOC = Path(__file__).resolve().parents[1] / "docs" / "planning.md"
BEGIN = "<!-- made by `python -m scripts.failure_modes_table` -->"
END = "<!-- end of the failure modes -->"
LINE = 128


def table() -> str:
    """The figures in a table, and below it the sources in a list."""
    rows = tables.rows("failure_modes")
    lines = [
        "| part | what happens | times a year | hours to repair | all at once | kind |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row['part']}` | {row['what']} | {row['rate_per_year']:g} | {row['repair_hours']:g} | "
        f"{row['common_cause']:.0%} | {row['evidence']['kind']} |"
        for row in rows
    ]
    sources = [
        textwrap.fill(
            f"- `{row['part']}` ({row['evidence']['as_of']}): {row['evidence']['source']}.",
            LINE,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for row in rows
    ]
    return "\n".join([*lines, "", *sources])


def fill_document(text: str) -> str:
    """The text of the document with a new table."""
    before, _, remainder = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{remainder.partition(END)[2]}"


if __name__ == "__main__":
    DOC.write_text(fill_document(DOC.read_text("utf-8")), "utf-8")
