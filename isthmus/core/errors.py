"""The errors that a user can cause or meet: what is wrong, where, and how to fix it.

Exit codes are part of the command line's contract: 1 refused by a rule, 2 invalid input, 3 a missing tool or an
unreachable system.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """A place in a file: the file, the line, and the path of keys to the value."""

    file: str | None = None
    line: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        file = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return " ".join(part for part in (file, self.path) if part)


class IsthmusError(Exception):
    """An error that the command line prints as one paragraph, without a traceback.

    Args:
        what: what is wrong, with the value that was found and what is allowed.
        where: the file, line and path of keys, or another place.
        fix: what the user can do.
    """

    exit_code = 2
    verdict = "the input is wrong"
    """What the exit code means, in words."""

    def __init__(self, what: str, *, where: Where | str | None = None, fix: str = "") -> None:
        self.what = what
        self.where = str(where) if where is not None and str(where) else ""
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{_sentence(head)} Fix: {_sentence(self.fix)}" if self.fix else _sentence(head)


def _sentence(text: str) -> str:
    return text if text.endswith(("?", "!", "…")) else text.rstrip(".") + "."


class Refused(IsthmusError):
    """A rule refuses valid input: a policy, a boundary, a plan that is not feasible."""

    exit_code = 1
    verdict = "refused"


class InputError(IsthmusError):
    """A file, a key, a value or an option is invalid."""


class EnvironmentFault(IsthmusError):
    """The machine or network does not let the command work: a missing tool, an unreachable cluster, a full disk."""

    exit_code = 3
    verdict = "the environment is wrong"


class FieldError(ValueError):
    """Raised inside a pydantic validator: an error about a value below the validated part.

    `path` leads from the part to the value (keys and list indices). `refused` marks a refusal (exit 1)
    among the invalid inputs (exit 2). `yaml_files.parse` turns it into an `IsthmusError` with file and line.
    """

    def __init__(self, what: str, *path: str | int, fix: str = "", refused: bool = False) -> None:
        self.what = what
        self.path = path
        self.fix = fix
        self.refused = refused
        super().__init__(what)
