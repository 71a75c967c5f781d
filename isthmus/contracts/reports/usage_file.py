"""Reads the file that `isthmus usage STACK --format json` writes: sums of usage by day, and optionally by hour."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from isthmus.contracts.reports.usage import UsageDay, UsageHour
from isthmus.core.errors import InputError
from isthmus.core.yaml_documents import dotted


class UsageFile(BaseModel):
    """The part of the file that plans and value read. Other keys are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    stack: str | None = None
    """The stack whose usage it is."""
    days: list[UsageDay]
    """Sums by day."""
    hours: list[UsageHour] = []
    """Sums by hour. Absent: the file cannot say how the load spreads over a day."""
    evaluations: list[UsageDay] = []
    """Sums by day of requests of evaluations, which are in no other list."""
    shadows: list[UsageDay] = []
    """Sums by day of copies of requests for a canary, which are in no other list."""
    judges: list[UsageDay] = []
    """Sums by day of requests to the judges of releases, which are in no other list."""


def load(path: str | os.PathLike[str], where: str) -> UsageFile:
    """Read a file of usage. `where`: the option that names it. Raises `InputError`."""
    import json

    from pydantic import ValidationError

    file = os.fspath(path)
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})", where=f"{where} {file}", fix="Check the path"
        ) from None
    except (ValueError, RecursionError):
        raise InputError("the file is not JSON", where=f"{where} {file}", fix=_HOW) from None
    if not isinstance(content, dict) or "days" not in content:
        raise InputError("the file has no list `days` of sums of usage", where=f"{where} {file}", fix=_HOW)
    try:
        usage = UsageFile.model_validate(content)
    except ValidationError as error:
        first, others = error.errors()[0], error.error_count() - 1
        more = f" (and {others} more)" if others else ""
        raise InputError(
            f"{dotted(content, first['loc'])}: {first['msg']}{more}", where=f"{where} {file}", fix=_HOW
        ) from None
    if not usage.days:
        raise InputError(
            "the file has no day of usage", where=f"{where} {file}", fix="Choose a longer period"
        )
    return usage


_HOW = "Write it with `isthmus usage STACK --format json`"
