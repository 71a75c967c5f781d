"""`python -m tests.edge.matrix`: every class × every failure, on the real edge.

Exit code 1 where a cell is not as it must be.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.edge.matrix import judging, table
from tests.edge.matrix.judging import Cell
from tests.edge.matrix.lanes import CLASSES, MatrixSetup
from tests.edge.matrix.starting import start_setup
from tests.edge.matrix.ways import WAYS
from tests.edge.postgres import Postgres


def run(everything: MatrixSetup) -> list[Cell]:
    """Run every case in every lane, with a separate prompt for each."""
    cells: list[Cell] = []
    for lane in everything.lanes.values():
        everything.seal()
        cells += [
            judging.tried(
                case, lane, everything, f"prompt-{lane.data_class}-{number:02}-DE02120300000000202051"
            )
            for number, case in enumerate(WAYS)
            if judging.applies(case, lane)
        ]
    return cells


@contextlib.contextmanager
def _postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.edge.matrix", description=__doc__)
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        choices=CLASSES,
        help="this one only; may be given again",
    )
    options = parser.parse_args(arguments)
    classes = [class_ for class_ in CLASSES if class_ in (options.classes or CLASSES)]
    with (
        _postgres() as postgres,
        tempfile.TemporaryDirectory(prefix="isthmus-matrix-") as folder,
        start_setup(Path(folder), classes, postgres, translators=True) as everything,
    ):
        cells = run(everything)
    print(table.text(cells, classes))
    wrong = table.faults(cells)
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
