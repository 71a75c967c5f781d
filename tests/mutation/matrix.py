"""Every operator on every stack: who found what."""

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
            operator = next(each for each in self.operators if each.id == name)
            found = ", ".join(cell.found)
            if not operator.meant_for and cell.found:
                lines.append(f"{stack}: {name} ({cell.site}) is harmless and is found by {found}")
            elif operator.meant_for and not cell.meant:
                by = f"is found by {found} only" if found else "is not found"
                lines.append(f"{stack}: {name} ({cell.site}) {by}")
        return lines


def run(
    chosen: Sequence[Stack], operators: Sequence[Operator], seed: int = stacks.SEED, *, checkov: bool = False
) -> Matrix:
    """Each operator once on each stack where it applies, at the place that the seed says."""
    made = Matrix(list(chosen), list(operators))
    for stack in chosen:
        before = judging.judge(stack, stack.resources)
        made.before[stack.name] = before
        every = [one for each in operators if (one := stacks.fault(each, stack, seed)) is not None]
        for one in every:
            found = judging.new(one, before)
            made.cells[one.operator.id, stack.name] = Cell(
                str(one.site),
                sorted({each.policy for each in found}),
                judging.by_the_meant(one.operator, found),
            )
        if checkov:
            with tempfile.TemporaryDirectory(prefix="isthmus-mutation-") as folder:
                for name, checks in outside.says(every, Path(folder)).items():
                    made.cells[name, stack.name].checkov = checks
    return made
