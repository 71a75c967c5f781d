"""Output of commands: results to stdout, progress and notes to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    """Console on stdout, with colours and width of the terminal."""
    from rich.console import Console

    # A pipe has no width; tables cut to 80 columns are hard to read in a log.
    return Console(highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty(), width=_width(sys.stdout))


def err() -> Console:
    """Console on stderr."""
    from rich.console import Console

    return Console(
        stderr=True, highlight=False, emoji=False, soft_wrap=not sys.stderr.isatty(), width=_width(sys.stderr)
    )


def _width(stream: TextIO) -> int | None:
    import os

    return None if stream.isatty() or os.environ.get("COLUMNS") else 140


def print_json(data: Any) -> None:
    """Print JSON to stdout: UTF-8, indented by two spaces, keys in the given order."""
    import json

    print(json.dumps(data, indent=2, ensure_ascii=False))


def interactive() -> bool:
    """Whether stdin and stderr are terminals, so that the user can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
