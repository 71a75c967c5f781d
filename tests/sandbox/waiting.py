"""Waiting for what takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(look: Callable[[], Any], expected: Callable[[Any], Any], seconds: float = 30) -> Any:
    """The first answer that is as wanted, else the last one."""
    deadline = time.monotonic() + seconds
    while not expected(actual := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return actual
