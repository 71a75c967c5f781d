"""HiGHS without its greeting, which it writes to stdout when it is made: there a plan's JSON stands alone."""

from __future__ import annotations

import os
from typing import Any


def solver() -> tuple[Any, Any]:
    """The module, which is heavy to load, and a solver that says nothing."""
    import highspy

    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        made = highspy.Highs()
        made.setOptionValue("output_flag", False)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
    return highspy, made
