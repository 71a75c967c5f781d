"""Why a file is not taken: what, where in it, what to do. Never a word of what it holds."""

from __future__ import annotations


class Refused(Exception):
    """One file's; it is not in the target then."""

    def __init__(self, problem: str, *, line: int | None = None, fix: str = "") -> None:
        super().__init__(problem)
        self.what, self.line, self.fix = problem, line, fix
