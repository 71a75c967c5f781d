"""Renders the results as the tables of docs/mutation.md."""

from __future__ import annotations

from tests.mutation.matrix import Cell, Matrix
from tests.mutation.registry import ASIDE, FAMILIES
from tests.mutation.shapes import Operator

FOUND, BY_ANOTHER, MISSED, NOWHERE, NOT_JUDGED = "yes", "other", "**no**", "–", "?"
"""In a cell: found by a policy that is meant for it, found by others only, not found, applies nowhere, not asked."""
QUIET, LOUD = "quiet", "**found**"
"""In a cell of a harmless change."""


def mark(operator: Operator, cell: Cell | None) -> str:
    """What stands in an operator's cell of a stack."""
    if cell is None:
        return NOWHERE
    if not operator.meant_for:
        return LOUD if cell.found else QUIET
    return FOUND if cell.meant else BY_ANOTHER if cell.found else MISSED


def row(matrix: Matrix, operator: Operator) -> str:
    """An operator's line."""
    cells = [matrix.cells.get((operator.id, stack.name)) for stack in matrix.stacks]
    filled = [cell for cell in cells if cell is not None]
    policies = sorted({name for cell in filled for name in cell.found})
    checkov_results = [cell.checkov for cell in filled if cell.checkov is not None]
    checks = sorted(set().union(*checkov_results)) if checkov_results else []
    silent = sum(not result for result in checkov_results)
    outside = ", ".join(checks) if checkov_results else NOT_JUDGED if filled else ""
    if checks and silent:
        outside += f" (not on {silent} of {len(checkov_results)})"
    name = f"`{operator.id}`" + ("\\*" if operator in ASIDE else "")
    marks = [mark(operator, cell) for cell in cells]
    return f"| {name} | {operator.says} | {' | '.join(marks)} | {', '.join(policies)} | {outside} |"


def head(matrix: Matrix) -> str:
    names = [stack.name for stack in matrix.stacks]
    columns = ["operator", "what somebody did", *names, "found by", "Checkov"]
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def tables(matrix: Matrix) -> str:
    """A table a family, then the harmless changes."""
    sections = []
    for family in (*FAMILIES, "harmless"):
        operators = [operator for operator in matrix.operators if operator.family == family]
        if operators:
            rows = "\n".join(row(matrix, operator) for operator in operators)
            sections.append(f"### {family}\n\n{head(matrix)}\n{rows}\n")
    return "\n".join(sections)


def summary(matrix: Matrix) -> str:
    """How many were put in, found and missed, by the policies and by Checkov."""
    lines = []
    for title, harmful in (("faults", True), ("harmless changes", False)):
        ids = {operator.id for operator in matrix.operators if bool(operator.meant_for) == harmful}
        cells = [cell for (name, _), cell in matrix.cells.items() if name in ids]
        sentences = [f"{len(ids)} {title}, {len(cells)} times in {len(matrix.stacks)} stacks"]
        sentences.append(f"the policies find {sum(bool(cell.found) for cell in cells)}")
        if harmful:
            sentences.append(f"{sum(cell.meant for cell in cells)} by a policy that is meant for it")
        if all(cell.checkov is not None for cell in cells):
            sentences.append(f"Checkov finds {sum(bool(cell.checkov) for cell in cells)}")
        lines.append(f"- {'; '.join(sentences)}.")
    return "\n".join(lines)
