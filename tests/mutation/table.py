"""The matrix as the docs have it."""

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
    there = [each for each in cells if each is not None]
    policies = sorted({name for each in there for name in each.found})
    asked = [each.checkov for each in there if each.checkov is not None]
    checks = sorted(set().union(*asked)) if asked else []
    silent = sum(not each for each in asked)
    outside = ", ".join(checks) if asked else NOT_JUDGED if there else ""
    if checks and silent:
        outside += f" (not on {silent} of {len(asked)})"
    name = f"`{operator.id}`" + ("\\*" if operator in ASIDE else "")
    marks = [mark(operator, each) for each in cells]
    return f"| {name} | {operator.says} | {' | '.join(marks)} | {', '.join(policies)} | {outside} |"


def head(matrix: Matrix) -> str:
    names = [stack.name for stack in matrix.stacks]
    columns = ["operator", "what somebody did", *names, "found by", "Checkov"]
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def tables(matrix: Matrix) -> str:
    """A table a family, then the harmless changes."""
    parts = []
    for family in (*FAMILIES, "harmless"):
        chosen = [each for each in matrix.operators if each.family == family]
        if chosen:
            rows = "\n".join(row(matrix, each) for each in chosen)
            parts.append(f"### {family}\n\n{head(matrix)}\n{rows}\n")
    return "\n".join(parts)


def summary(matrix: Matrix) -> str:
    """How many were put in, found and missed, by the policies and by Checkov."""
    lines = []
    for title, harmful in (("faults", True), ("harmless changes", False)):
        ids = {each.id for each in matrix.operators if bool(each.meant_for) == harmful}
        cells = [cell for (name, _), cell in matrix.cells.items() if name in ids]
        said = [f"{len(ids)} {title}, {len(cells)} times in {len(matrix.stacks)} stacks"]
        said.append(f"the policies find {sum(bool(each.found) for each in cells)}")
        if harmful:
            said.append(f"{sum(each.meant for each in cells)} by a policy that is meant for it")
        if all(each.checkov is not None for each in cells):
            said.append(f"Checkov finds {sum(bool(each.checkov) for each in cells)}")
        lines.append(f"- {'; '.join(said)}.")
    return "\n".join(lines)
