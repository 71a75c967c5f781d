"""The table of what finds what: `python -m tests.mutation`.

Every operator on every stack where it applies, the policies' findings and Checkov's beside it. Exit code 1 where a
fault is missed or a harmless change is found. `--write` puts the table into docs/mutation.md.
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
    asked = _parser().parse_args()
    operators = [*registry.FAULTS, *registry.HARMLESS]
    if asked.operator:
        operators = [each for each in operators if each.id in asked.operator]
    names = asked.stack or examples.names()
    if asked.write and (asked.operator or asked.stack or asked.no_checkov):
        print("--write writes the whole table: leave the other options out", file=sys.stderr)
        return 2
    strange = {*(asked.operator or []), *names} - {each.id for each in operators} - set(examples.names())
    if strange:
        print(f"there is no {', '.join(sorted(strange))}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="isthmus-mutation-") as folder:
        examples.write(Path(folder) / "rendered")
        every = examples.all_of(Path(folder) / "rendered")
        chosen = [stacks.read(each) for each in every if each.name in names]
    made = matrix.run(chosen, operators, asked.seed, checkov=not asked.no_checkov)
    text = f"{table.summary(made)}\n\n{table.tables(made)}"
    print(text)
    if asked.write:
        write(text, asked.seed)
    for name, before in made.before.items():
        for each in before:
            print(f"{name} as it is: {each.policy}: {each.resource}: {each.message}", file=sys.stderr)
    missed = made.missed()
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
