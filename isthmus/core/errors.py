"""The errors that a user can cause or meet: what is wrong, where, and how to fix it.

Exit codes are part of the command line's contract: 1 refused by a rule, 2 invalid input, 3 a missing tool or an
unreachable system, 4 a calibration that no longer holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
        others: further errors of the same run, so that the user can correct all of them at once.
    """

    exit_code = 2
    verdict = "the input is wrong"
    """What the exit code means, in words."""

    def __init__(
        self,
        what: str,
        *,
        where: Where | str | None = None,
        fix: str = "",
        others: Sequence[IsthmusError] = (),
    ) -> None:
        self.what = what
        self.where = str(where) if where is not None and str(where) else ""
        self.fix = fix
        self.others = tuple(others)
        super().__init__(str(self))

    def __str__(self) -> str:
        """The error and all others, one a line."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The error and all others, each as `WHERE: what is wrong. Fix: what to do.`"""
        head = f"{self.where}: {self.what}" if self.where else self.what
        line = f"{_sentence(head)} Fix: {_sentence(self.fix)}" if self.fix else _sentence(head)
        return [line, *(text for other in self.others for text in other.lines())]


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


def missing_extra(what: str, extra: str, *, target: str = "install-all", where: str = "") -> EnvironmentFault:
    """The error for a package that is not installed.

    Args:
        what: what cannot be done, with the package's name.
        extra: the extra of pyproject.toml that has the package.
        target: the Makefile's target that installs it in a checkout.
        where: where the package is needed.
    """
    return EnvironmentFault(
        what,
        where=where,
        fix=f"Run `make {target}` in a checkout of Isthmus, elsewhere `pip install 'isthmus[{extra}]'`. Then run the "
        "same command again",
    )


class CalibrationDrift(IsthmusError):
    """Judged answers show that a calibration in use no longer holds."""

    exit_code = 4
    verdict = "the calibration has drifted"


class FieldError(ValueError):
    """Raised inside a pydantic validator: an error about a value below the validated part.

    `path` leads from the part to the value (keys and list indices). `refused` marks a refusal (exit 1)
    among the invalid inputs (exit 2). `others` are further errors that the same check found (`raise_all`).
    `yaml_files.parse` turns it into an `IsthmusError` with file and line.
    """

    def __init__(self, what: str, *path: str | int, fix: str = "", refused: bool = False) -> None:
        self.what = what
        self.path = path
        self.fix = fix
        self.refused = refused
        self.others: tuple[FieldError, ...] = ()
        super().__init__(what)

    @property
    def all(self) -> tuple[FieldError, ...]:
        """This error and the others that the same check found."""
        return (self, *(error for other in self.others for error in other.all))


def what_and_fix(message: str) -> tuple[str, str]:
    """What is wrong, and the fix: the first sentence of a message of the edge, and the others."""
    what, _, fix = message.partition(". ")
    return what, fix


def raise_all(errors: Iterable[FieldError]) -> None:
    """Raise the first error, which carries the others. Does nothing if there is none."""
    single_errors = [single for error in errors for single in error.all]
    if single_errors:
        first, *others = single_errors
        for other in others:
            other.others = ()
        first.others = tuple(others)
        raise first


def caught(check: Callable[..., None], *arguments: object) -> Iterator[FieldError]:
    """The error that a check raises, if it raises one. `raise_all` takes the errors of several checks."""
    try:
        check(*arguments)
    except FieldError as error:
        yield error


def join(errors: Sequence[IsthmusError]) -> IsthmusError:
    """One error for several: the first, which carries the others and decides the exit code.

    `errors` has at least one element.
    """
    if len(errors) == 1:
        return errors[0]
    first = errors[0]
    return type(first)(first.what, where=first.where, fix=first.fix, others=[*first.others, *errors[1:]])
