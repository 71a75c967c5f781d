"""The whole recovery matrix, for `make soak`: hours. A sample of it is test_recovery.py.

A kind of kill has a sandbox and an undisturbed run of its own, so that several are tried side by side.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recovery import matrix
from tests.recovery.__main__ import HEAD, results
from tests.recovery.world import ROOT, World

pytestmark = [pytest.mark.sandbox, pytest.mark.soak, pytest.mark.timeout(24 * 3600)]

TOLD = ROOT / "out" / "recovery"
"""A line as each row ends, to be read meanwhile; as `make recovery` prints them."""
LONGEST_FIRST = ("cluster", "api-server", "cli", "moto", "provider", "aws-provider")


@pytest.mark.parametrize("kill", LONGEST_FIRST)
def test_every_kill_is_recovered_from(kill: str, tmp_path: Path) -> None:
    """At every fifth resource of up and destroy, and at two points of every other phase."""
    world, wrong = World(tmp_path), []
    results_file = TOLD / f"{kill}.txt"
    results_file.parent.mkdir(parents=True, exist_ok=True)
    results_file.write_text(HEAD + "\n", "utf-8")
    try:
        clean = matrix.measure(world)
        for ok, line in results(world, clean, (kill,), matrix.PHASES, interval=5, points=2, rows=False):
            with results_file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            wrong += [] if ok else [line]
    finally:
        world.close()
    assert wrong == []


def test_no_kind_of_kill_is_left_out() -> None:
    assert sorted(LONGEST_FIRST) == sorted(matrix.KILLS)
