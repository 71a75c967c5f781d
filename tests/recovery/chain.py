"""One life of the stack, killed again and again: at every fifth resource of an up, or of a destroy.

Harsher than the rows of the matrix, since a run that comes after a kill is killed itself, and far quicker,
since what is built stays built. A row (`matrix.run`) tells which kill a fault belongs to.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.recovery import matrix
from tests.recovery.matrix import Clean
from tests.recovery.world import World, paragraph

PHASES = ("up", "destroy")
MOST = 200
"""Runs: more than a fifth of the bank's resources, so a chain that goes nowhere ends."""


@dataclass
class Chain:
    """What became of it."""

    kill: str
    during: str
    kills: int = 0
    seconds: float = 0.0
    broke: dict[str, int] = field(default_factory=dict)
    """How the killed runs ended, as told, and how often."""
    wrong: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.wrong


def run(world: World, kill: str, during: str, clean: Clean, interval: int = 5) -> Chain:
    """Run the same command until it ends well, killing at every `every`-th resource that it finishes."""
    chain, started = Chain(kill, during), time.monotonic()
    matrix.begin(world, during)
    for number in range(1, MOST):
        # An AWS that has forgotten all is built from nothing each time: the point moves on instead.
        point = interval * number if (kill, during) == ("moto", "up") else interval
        killed, output, code = matrix.disturbed(world, kill, during, point, during)
        chain.kills += bool(killed)
        if code == 0:
            if not killed:
                break
            continue
        if not killed or (kill != "cli" and code != 3):
            chain.wrong.append(f"run {number} ended with {code}: {paragraph(output)}")
            break
        reason = paragraph(output) or "-"
        chain.broke[reason] = chain.broke.get(reason, 0) + 1
    else:
        chain.wrong.append(f"no end after {MOST} runs")
    chain.seconds = time.monotonic() - started
    if chain.ok:
        chain.wrong += matrix.gone(world, clean, kill) if during == "destroy" else matrix.same(world, clean)
    world.built = chain.ok and during == "up"
    return chain
