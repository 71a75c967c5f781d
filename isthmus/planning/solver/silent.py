"""Creates a HiGHS solver without its banner, which would otherwise precede a plan's JSON on stdout."""

from __future__ import annotations

import os
from typing import Any

from isthmus.planning.solver import watch

_NONE_YET = 1e100
"""Costs at least this: there is no solution yet."""


def silent_solver() -> tuple[Any, Any]:
    """Return the module `highspy`, which is slow to import, and a solver without output: one thread, a fixed seed.

    If the search has a follower (`watch`), the solver ends once the follower wishes.
    """
    import highspy

    saved_stdout = os.dup(1)
    null_device = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null_device, 1)
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("threads", 1)
        highs.setOptionValue("random_seed", 0)
    finally:
        os.dup2(saved_stdout, 1)
        os.close(saved_stdout)
        os.close(null_device)
    if watch.active() is not None:
        highs.setCallback(_end_on_wish, None)
        highs.startCallback(highspy.cb.HighsCallbackType.kCallbackMipInterrupt)
    return highspy, highs


def _end_on_wish(_kind: Any, _message: str, known: Any, wish: Any, _data: Any) -> None:
    """End a search that has a solution."""
    if wish is not None and known.mip_primal_bound < _NONE_YET and watch.is_ending():
        wish.user_interrupt = True
