"""What the runner writes for each case: a line of JSON without any content."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from isthmus.core.errors import InputError

Version = Literal["serving", "candidate"]
VERSIONS: tuple[Version, ...] = ("serving", "candidate")


class CaseOutcome(BaseModel):
    """What one version made of one case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    case: str
    version: Version
    score: float
    """From 0 to 1. A case without an answer has 0."""
    error: str | None
    """Why there is no answer: a status and a code, never the answer's text."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """From the request to the whole answer."""
    at: datetime
    """When the answer came."""


def read_outcomes(file: Path) -> list[CaseOutcome]:
    """The outcomes of a run so far: the last one of each case. A line that a killed runner cut off is left out."""
    if not file.exists():
        return []
    lines = file.read_text("utf-8").split("\n")
    found: dict[tuple[str, str], CaseOutcome] = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            outcome = CaseOutcome.model_validate_json(line)
        except ValidationError:
            if number >= len(lines) - 1:
                continue
            raise InputError(
                f"line {number} is not an outcome", where=str(file), fix="Run the command with --restart"
            ) from None
        found[outcome.case, outcome.version] = outcome
    return list(found.values())
