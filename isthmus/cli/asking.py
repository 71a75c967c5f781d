"""Asking before something is done."""

from __future__ import annotations

import typer

from isthmus.cli import console
from isthmus.core.errors import InputError


def confirm(question: str, yes: bool) -> None:
    """Ask on stderr; nothing is asked with `yes`. No is an abort, and nobody to ask is an `InputError`."""
    if yes:
        return
    if not console.interactive():
        raise InputError(
            "nobody can be asked here (no terminal)", fix="Pass --yes to go on without being asked"
        )
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
