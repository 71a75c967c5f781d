"""The recovery matrix, printed: a kill of each kind in each phase of the bank's stack, and what came of it.

`up` and `destroy` are killed at every fifth resource in one life of the stack (`--every`), the shorter phases at
some points of theirs, a row each (`--points`). `--rows` gives `up` and `destroy` rows of their own too: slow,
and tells which kill a fault belongs to. Exit code 1 when anything did not recover.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.recovery import chain, matrix
from tests.recovery.world import STACK, World


def main() -> int:
    options = _parser().parse_args()
    kills, phases = tuple(options.kill.split(",")), tuple(options.during.split(","))
    strange = [kill for kill in kills if kill not in matrix.KILLS]
    strange += [phase for phase in phases if phase not in matrix.PHASES]
    if strange or options.every < 1 or options.points < 1:
        print(f"not understood: {', '.join(strange) or '--every, --points'}", file=sys.stderr)
        return 2
    failed = 0
    signal.signal(signal.SIGTERM, _ended)
    with tempfile.TemporaryDirectory(prefix="isthmus-recovery-") as base:
        world = World(Path(base), options.stack)
        try:
            clean = matrix.measure(world, phases)
            sizes = ", ".join(f"{name} {size}" for name, size in clean.sizes.items())
            print(f"Resources finished in an undisturbed run: {sizes}\n\n{HEAD}", flush=True)
            for ok, line in results(
                world, clean, kills, phases, interval=options.every, points=options.points, rows=options.rows
            ):
                failed += not ok
                print(line, flush=True)
        finally:
            world.close()
    print(f"\n{failed} did not recover" if failed else "\nEverything recovered")
    return 1 if failed else 0


def _ended(*_: object) -> None:
    """An end that was asked for takes the sandbox with it, however often it is asked for."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


HEAD = (
    f"{'during':8} {'killed':13} {'at':>14} {'kills':>5}  {'then':14} {'s':>6}  "
    "doubled, orphaned, undecided, or what the killed run said"
)


def results(
    world: World,
    clean: matrix.Clean,
    kills: tuple[str, ...],
    phases: tuple[str, ...],
    *,
    interval: int,
    points: int,
    rows: bool,
) -> Iterator[tuple[bool, str]]:
    """Whether it recovered, and its line; the chains first, up before destroy of what came up."""
    for kill in kills:
        for during in (phase for phase in chain.PHASES if phase in phases and not rows):
            yield of_chain(chain.run(world, kill, during, clean, interval), interval)
    short = tuple(phase for phase in phases if rows or phase not in chain.PHASES)
    for row in matrix.rows(clean, points=points, kills=kills, phases=short):
        yield of_row(matrix.run(world, row, clean), clean)


def of_chain(ended: chain.Chain, interval: int) -> tuple[bool, str]:
    reason = "; ".join(ended.wrong) or _most(ended.broke)
    result = "well" if ended.ok else "FAILED"
    return ended.ok, (
        f"{ended.during:8} {ended.kill:13} {f'every {interval}':>14} {ended.kills:5}"
        f"  {result:14} {ended.seconds:6.0f}  {reason}"
    )


def of_row(outcome: matrix.Outcome, clean: matrix.Clean) -> tuple[bool, str]:
    row = outcome.row
    verb = "destroy" if row.during == "destroy" else "up"
    ended = f"{verb} x {len(outcome.again)}" if outcome.ok else "FAILED"
    reason = "; ".join([*outcome.wrong, *outcome.undecided]) or outcome.broke or "-"
    position = f"{row.point} of {clean.sizes[row.during]}"
    return (
        outcome.ok,
        f"{row.during:8} {row.kill:13} {position:>14} {1:5}  {ended:14} {outcome.seconds:6.0f}  {reason}",
    )


def _most(broke: dict[str, int]) -> str:
    """What the killed runs said most often, and how many other ways they ended."""
    if not broke:
        return "-"
    first = max(broke, key=lambda paragraph: broke[paragraph])
    more_text = f"; {len(broke) - 1} other paragraphs" if len(broke) > 1 else ""
    return f"{broke[first]} x {first}{more_text}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.recovery", description=__doc__)
    parser.add_argument("--every", type=int, default=5, help="a kill at every Nth resource of up and destroy")
    parser.add_argument("--points", type=int, default=2, help="kills at so many points of each shorter phase")
    parser.add_argument(
        "--rows", action="store_true", help="each kill of up and destroy in a life of its own, at --points"
    )
    parser.add_argument("--kill", default=",".join(matrix.KILLS), help="what to kill, by commas")
    parser.add_argument("--during", default=",".join(matrix.PHASES), help="in which phases, by commas")
    parser.add_argument("--stack", default=STACK)
    return parser


if __name__ == "__main__":
    sys.exit(main())
