"""Creates a HiGHS solver without its banner, which would otherwise precede a plan's JSON on stdout."""

from __future__ import annotations

import os
from typing import Any


def silent_solver() -> tuple[Any, Any]:
    """Return the module `highspy`, which is slow to import, and a solver without output."""
    import highspy

    saved_stdout = os.dup(1)
    null_device = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null_device, 1)
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
    finally:
        os.dup2(saved_stdout, 1)
        os.close(saved_stdout)
        os.close(null_device)
    return highspy, highs
