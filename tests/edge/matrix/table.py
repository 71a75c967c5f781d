"""The result of the matrix as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from tests.edge.matrix.judging import Cell
from tests.edge.matrix.ways import WAYS

NONE = "–"


def text(cells: Sequence[Cell], classes: Sequence[str]) -> str:
    """All rows and a summary. Wrong cells are in bold."""
    by_place = {(cell.way.name, cell.data_class): cell for cell in cells}
    lines = [_line(["what goes wrong", *classes]), _line(["---"] * (len(classes) + 1))]
    for case in WAYS:
        lines.append(
            _line([case.name, *(_cell_text(by_place.get((case.name, data_class))) for data_class in classes)])
        )
    return "\n".join([*lines, "", *summary(cells, classes)])


def summary(cells: Sequence[Cell], classes: Sequence[str]) -> list[str]:
    """Number of requests by class, and how many of them reached a cloud backend."""
    lines = []
    for data_class in classes:
        mine = [cell for cell in cells if cell.data_class == data_class]
        request_count, sent = sum(len(cell.answers) for cell in mine), sum(cell.in_cloud for cell in mine)
        lines.append(f"{data_class}: {request_count} tries; requests at a cloud backend: {sent}")
    wrong = sum(bool(cell.wrong) for cell in cells)
    lines.append(f"{len(cells)} cells, {wrong} not as they must be")
    return lines


def faults(cells: Sequence[Cell]) -> list[str]:
    return [f"{cell.data_class}, {cell.way.name}: {fault}" for cell in cells for fault in cell.wrong]


def _cell_text(cell: Cell | None) -> str:
    if cell is None:
        return NONE
    return f"**{cell.says}**" if cell.wrong else cell.says


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
