"""Applies every operator to every stack and collects the findings."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.contracts.reports.findings import Finding
from tests.mutation import judging, outside, stacks
from tests.mutation.shapes import Operator
from tests.mutation.stacks import Stack


@dataclass
class Cell:
    """An operator on a stack where it applies."""

    site: str
    found: list[str]
    """Ids of the policies that found it."""
    meant: bool
    """A policy that is meant for it is among them."""
    checkov: set[str] | None = None
    """Checks that fail only after it; None: Checkov was not asked."""


@dataclass
class Matrix:
    """Cells by operator and stack; where an operator applies nowhere in a stack there is none."""

    stacks: list[Stack]
    operators: list[Operator]
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    before: dict[str, list[Finding]] = field(default_factory=dict)
    """Stack → what is found in it as it is."""

    def missed(self) -> list[str]:
        """Faults that no policy found that is meant for them, and harmless changes that one found: a line each."""
        lines = []
        for (name, stack), cell in self.cells.items():
            operator = next(operator_found for operator_found in self.operators if operator_found.id == name)
            policies = ", ".join(cell.found)
            if not operator.meant_for and cell.found:
                lines.append(f"{stack}: {name} ({cell.site}) is harmless and is found by {policies}")
            elif operator.meant_for and not cell.meant:
                by = f"is found by {policies} only" if policies else "is not found"
                lines.append(f"{stack}: {name} ({cell.site}) {by}")
        return lines


def run(
    selected: Sequence[Stack],
    operators: Sequence[Operator],
    seed: int = stacks.SEED,
    *,
    checkov: bool = False,
) -> Matrix:
    """Each operator once on each stack where it applies, at the place that the seed says."""
    matrix = Matrix(list(selected), list(operators))
    for stack in selected:
        before = judging.judge(stack, stack.resources)
        matrix.before[stack.name] = before
        faults = [
            fault for operator in operators if (fault := stacks.fault(operator, stack, seed)) is not None
        ]
        for fault in faults:
            findings = judging.new(fault, before)
            matrix.cells[fault.operator.id, stack.name] = Cell(
                str(fault.site),
                sorted({finding.policy for finding in findings}),
                judging.by_the_meant(fault.operator, findings),
            )
        if checkov:
            with tempfile.TemporaryDirectory(prefix="isthmus-mutation-") as folder:
                for name, checks in outside.says(faults, Path(folder)).items():
                    matrix.cells[name, stack.name].checkov = checks
    return matrix
