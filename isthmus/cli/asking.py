"""Asks the user for confirmation."""

from __future__ import annotations

import typer

from isthmus.cli import console
from isthmus.core.errors import InputError


def confirm(question: str, yes: bool) -> None:
    """Ask on stderr, unless `yes`. Exits with 1 on "no"; raises `InputError` without a terminal."""
    if yes:
        return
    if not console.interactive():
        raise InputError(
            "confirmation is required, but there is no terminal", fix="Pass --yes to skip the question"
        )
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
