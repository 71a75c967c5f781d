"""Why a file is refused: the reason, the position and the fix. It never contains content of the file."""

from __future__ import annotations


class Refused(Exception):
    """A file is refused, so the target does not have it."""

    def __init__(self, problem: str, *, line: int | None = None, fix: str = "") -> None:
        super().__init__(problem)
        self.what, self.line, self.fix = problem, line, fix
