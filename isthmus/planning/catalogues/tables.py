"""Reads the catalogues' files. Each is a list of rows with their evidence, and is read once."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")


@functools.cache
def rows(name: str) -> tuple[dict[str, Any], ...]:
    """Return the rows of `data/NAME.json`."""
    return tuple(json.loads((DATA / f"{name}.json").read_text("utf-8")))
