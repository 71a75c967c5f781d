"""Shortens lists in messages."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 5


def first_few(lines: Sequence[str]) -> str:
    """The first lines, and the number of further ones."""
    hidden_count = len(lines) - _SHOWN
    return ", ".join(lines[:_SHOWN]) + (f" and {hidden_count} more" if hidden_count > 0 else "")
