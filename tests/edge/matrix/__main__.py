"""`python -m tests.edge.matrix`: every class × every way to go wrong, on the real edge.

Exit code 1 where a cell is not as it must be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.edge.matrix import judging, table
from tests.edge.matrix.judging import Cell
from tests.edge.matrix.lanes import CLASSES, Standing, standing
from tests.edge.matrix.ways import WAYS


def run(everything: Standing) -> list[Cell]:
    """Every way in every lane, each with a prompt of its own."""
    return [
        judging.tried(way, lane, everything, f"prompt-{lane.data_class}-{number:02}-DE02120300000000202051")
        for lane in everything.lanes.values()
        for number, way in enumerate(WAYS)
        if judging.applies(way, lane)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.edge.matrix", description=__doc__)
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        choices=CLASSES,
        help="this one only; may be given again",
    )
    asked = parser.parse_args(arguments)
    classes = [each for each in CLASSES if each in (asked.classes or CLASSES)]
    with (
        tempfile.TemporaryDirectory(prefix="isthmus-matrix-") as folder,
        standing(Path(folder), classes, translators=True) as everything,
    ):
        cells = run(everything)
    print(table.text(cells, classes))
    wrong = table.faults(cells)
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
