"""One shape for every error a user can cause or meet: what, where, what to do.

Exit codes are part of the command line's contract: 1 refused, 2 the input is wrong,
3 the environment is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """A place in a file: `file:line`, and the path of keys that leads to the value."""

    file: str | None = None
    line: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        place = self.file or ""
        if self.file and self.line:
            place += f":{self.line}"
        if self.path:
            place += f" ({self.path})" if place else self.path
        return place


class IsthmusError(Exception):
    """An error to show as one paragraph, without a traceback.

    `what` says what is wrong, `where` names the place, `todo` the next step.
    """

    exit_code = 2
    verdict = "the input is wrong"
    """What the exit code means, in words."""

    def __init__(self, what: str, *, where: Where | str | None = None, todo: str = "") -> None:
        self.what = what
        self.where = str(where) if where is not None and str(where) else ""
        self.todo = todo
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{_sentence(head)} {_sentence(self.todo)}" if self.todo else _sentence(head)


def _sentence(text: str) -> str:
    return text if text.endswith(("?", "!", "…")) else text.rstrip(".") + "."


class AnswerIsNo(IsthmusError):
    """The input is understood and refused: a policy, a boundary, an infeasible plan."""

    exit_code = 1
    verdict = "refused"


class InputError(IsthmusError):
    """The input is wrong: a file, a key, a value, an option."""


class EnvironmentFault(IsthmusError):
    """The surroundings are wrong: a missing tool, an unreachable cluster, no space left."""

    exit_code = 3
    verdict = "the environment is wrong"


class At(ValueError):
    """Raised inside a pydantic validator: an error about a value below the validated part.

    `path` leads from the part to the value (keys and list indices). `no` marks a refusal (exit 1)
    among the wrong inputs (exit 2). `yamlfile.parse` turns it into an `IsthmusError` with file and line.
    """

    def __init__(self, what: str, *path: str | int, todo: str = "", no: bool = False) -> None:
        self.what = what
        self.path = path
        self.todo = todo
        self.no = no
        super().__init__(what)
