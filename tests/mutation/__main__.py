"""Prints which faults the policies find: `python -m tests.mutation`.

Applies every operator to every stack, and compares findings of the policies and of Checkov. The exit code is 1 if the
policies miss a fault or report a harmless change. `--write` puts the table into docs/mutation.md.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from pathlib import Path

from tests.graders import examples
from tests.graders.examples import ROOT
from tests.mutation import matrix, registry, stacks, table

DOC = ROOT / "docs" / "mutation.md"
BEGIN, END = "<!-- what follows is written by `python -m tests.mutation --write` -->", "<!-- until here -->"


def main() -> int:
    arguments = _parser().parse_args()
    operators = [*registry.FAULTS, *registry.HARMLESS]
    if arguments.operator:
        operators = [operator for operator in operators if operator.id in arguments.operator]
    names = arguments.stack or examples.names()
    if arguments.write and (arguments.operator or arguments.stack or arguments.no_checkov):
        print("--write writes the whole table: leave the other options out", file=sys.stderr)
        return 2
    strange = (
        {*(arguments.operator or []), *names}
        - {operator.id for operator in operators}
        - set(examples.names())
    )
    if strange:
        print(f"there is no {', '.join(sorted(strange))}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="isthmus-mutation-") as folder:
        examples.write(Path(folder) / "rendered")
        renderings = examples.all_of(Path(folder) / "rendered")
        stacks_chosen = [stacks.read(rendering) for rendering in renderings if rendering.name in names]
    result = matrix.run(stacks_chosen, operators, arguments.seed, checkov=not arguments.no_checkov)
    text = f"{table.summary(result)}\n\n{table.tables(result)}"
    print(text)
    if arguments.write:
        write(text, arguments.seed)
    for name, before in result.before.items():
        for line in before:
            print(f"{name} as it is: {line.policy}: {line.resource}: {line.message}", file=sys.stderr)
    missed = result.missed()
    print("\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


def write(text: str, seed: int) -> None:
    """Put the table into the docs, with its day."""
    before, _, rest = DOC.read_text().partition(BEGIN)
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    after = rest.partition(END)[2]
    DOC.write_text(f"{before}{BEGIN}\n\nMade on {day}, seed {seed}.\n\n{text}\n{END}{after}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--stack", action="append", help="this one only; may be given again")
    parser.add_argument("--operator", action="append", help="this one only; may be given again")
    parser.add_argument("--seed", type=int, default=stacks.SEED, help="which places are chosen")
    parser.add_argument("--no-checkov", action="store_true", help="leave Checkov out")
    parser.add_argument("--write", action="store_true", help="into docs/mutation.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
