"""The recovery matrix, printed: `python -m tests.recovery [--every 5 | --points 2] [--kill …] [--during …]`.

Exit code 1 when a row failed. Each row takes one to two minutes on two cores.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.recovery import matrix
from tests.recovery.world import STACK, World


def main() -> int:
    asked = _parser().parse_args()
    kills = tuple(asked.kill.split(","))
    phases = tuple(asked.during.split(","))
    strange = [each for each in kills if each not in matrix.KILLS]
    strange += [each for each in phases if each not in matrix.PHASES]
    if strange or (asked.every is not None and asked.every < 1) or asked.points < 1:
        print(f"not understood: {', '.join(strange) or '--every, --points'}", file=sys.stderr)
        return 2
    failed = 0
    # An end that was asked for takes the sandbox with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="isthmus-recovery-") as base:
        world = World(Path(base), asked.stack)
        try:
            clean = matrix.measure(world, phases)
            sizes = ", ".join(f"{name} {size}" for name, size in clean.sizes.items())
            print(f"Resources finished in an undisturbed run: {sizes}\n")
            print(HEAD)
            for row in matrix.rows(clean, every=asked.every, points=asked.points, kills=kills, phases=phases):
                outcome = matrix.run(world, row, clean)
                failed += not outcome.ok
                print(line(outcome, clean), flush=True)
        finally:
            world.close()
    print(f"\n{failed} rows failed" if failed else "\nEvery row recovered")
    return 1 if failed else 0


HEAD = (
    f"{'during':8} {'after':>9}  {'killed':13} {'then':22} {'s':>6}  "
    "doubled, orphaned, undecided, or what the killed run said"
)


def line(outcome: matrix.Outcome, clean: matrix.Clean) -> str:
    """One row of the table."""
    row = outcome.row
    verb = "destroy" if row.during == "destroy" else "up"
    ended = f"{verb} x {len(outcome.again)}" if outcome.ok else "FAILED"
    told = "; ".join([*outcome.wrong, *outcome.undecided]) or outcome.broke.removeprefix("isthmus: ") or "-"
    of = f"{row.point}/{clean.sizes[row.during]}"
    return f"{row.during:8} {of:>9}  {row.kill:13} {ended:22} {outcome.seconds:6.1f}  {told}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.recovery", description=__doc__)
    parser.add_argument("--every", type=int, help="a kill at every Nth finished resource")
    parser.add_argument(
        "--points", type=int, default=2, help="without --every: at so many points of each phase"
    )
    parser.add_argument("--kill", default=",".join(matrix.KILLS), help="what to kill, by commas")
    parser.add_argument("--during", default=",".join(matrix.PHASES), help="in which phases, by commas")
    parser.add_argument("--stack", default=STACK)
    return parser


if __name__ == "__main__":
    sys.exit(main())
