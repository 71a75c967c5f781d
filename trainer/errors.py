"""The error of the trainer: what is wrong, where, and how to fix it."""

from __future__ import annotations

from typing import Literal

Kind = Literal["refused", "input", "environment"]
EXIT_CODES: dict[Kind, int] = {"refused": 1, "input": 2, "environment": 3}


class TrainerError(Exception):
    """Why there is no adapter.

    Args:
        kind: `refused` by a rule, wrong `input`, or an `environment` that does not let it work.
        what: what is wrong, with the value that was found and what is allowed.
        where: file, line and path of keys.
        fix: what the user can do.
    """

    def __init__(self, kind: Kind, what: str, where: str = "", fix: str = "") -> None:
        self.kind: Kind = kind
        self.what, self.where, self.fix = what, where, fix
        super().__init__(f"{where}: {what}" if where else what)
