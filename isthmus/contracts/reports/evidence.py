"""What the policies say of one stack to an auditor: the command line's contract (`isthmus evidence --format json`).

Every report is made from this and from nothing else, so the same evidence gives the same bytes.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from isthmus.contracts.reports.findings import Control, Severity
from isthmus.contracts.vocabulary import Part

Result = Literal["fails", "undecided", "silenced", "switched off", "holds", "not applicable"]
RESULTS: tuple[Result, ...] = ("fails", "undecided", "silenced", "switched off", "holds", "not applicable")
"""From what an auditor asks about first. A control that was asked of nothing is `not applicable`, and never holds."""
Of = Literal["rendering", "state"]


class Row(Part):
    """One control, asked of one resource."""

    control: str
    """What must be so, in a sentence."""
    supports: list[Control]
    check: str
    """The policy's id."""
    severity: Severity
    resource: str = ""
    """Its name; empty: the stack as a whole, or nothing."""
    type: str = ""
    urn: str = ""
    result: Result
    said: list[str] = []
    """What was found, a sentence each."""
    owner: str = ""
    """Who answers for what is silenced or switched off."""
    reason: str = ""
    until: date | None = None
    """The last day of a silence."""


class NotChecked(Part):
    """A control of an LLM platform that no policy checks."""

    control: str
    supports: list[Control]
    why: str
    """Why no policy can, and who or what sees to it instead."""


class Evidence(Part):
    """Of one stack, on one day."""

    version: Literal["v1"] = "v1"
    stack: str = Field(min_length=1)
    of: Of
    """What was looked at: what the program asks for, or what the state says that stands."""
    as_of: date
    """The day by which silences were judged."""
    commit: str = ""
    """Of the files, the policies among them; empty outside a repository."""
    resources: int
    """How many were looked at, those of the estate's other stacks among them."""
    digest: str
    """Of what was looked at."""
    rows: list[Row]
    not_checked: list[NotChecked]
