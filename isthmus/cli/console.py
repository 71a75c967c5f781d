"""Where commands write: results to stdout, what is going on to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    """stdout, for people; colours and width come from the terminal."""
    from rich.console import Console

    # A pipe has no width, and tables cut for 80 columns are hard to read in a log.
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=_width(sys.stdout))


def err() -> Console:
    """stderr, for progress and notes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty(), width=_width(sys.stderr))


def _width(stream: TextIO) -> int | None:
    import os

    return None if stream.isatty() or os.environ.get("COLUMNS") else 140


def print_json(data: Any) -> None:
    """JSON to stdout, alone: UTF-8, two blanks, keys in the order given."""
    import json

    print(json.dumps(data, indent=2, ensure_ascii=False))


def interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
