"""The catalogues' files, each a list of rows with its evidence; read once."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")


@functools.cache
def rows(name: str) -> tuple[dict[str, Any], ...]:
    """The rows of `data/NAME.json`, as they stand there."""
    return tuple(json.loads((DATA / f"{name}.json").read_text("utf-8")))
