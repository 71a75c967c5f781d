"""Report of `isthmus evidence --format json`: the result of each control on each resource, for auditors.

Text, Markdown and CSV are built from this report alone, so the same evidence gives the same bytes.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from isthmus.contracts.reports.findings import Control, Severity
from isthmus.contracts.vocabulary import Part

Result = Literal["fails", "undecided", "silenced", "switched off", "holds", "not applicable"]
RESULTS: tuple[Result, ...] = ("fails", "undecided", "silenced", "switched off", "holds", "not applicable")
"""Order of the results in a report: failures first. A control that applies to no resource is `not applicable`,
never `holds`."""
Of = Literal["rendering", "state"]


class Row(Part):
    """The result of one control on one resource."""

    control: str
    """The requirement as a sentence."""
    supports: list[Control]
    check: str
    """Id of the policy that checks the control."""
    severity: Severity
    resource: str = ""
    """Name of the resource. Empty: the result is about the whole stack, or the control applies to nothing."""
    type: str = ""
    urn: str = ""
    result: Result
    said: list[str] = []
    """Messages of the findings, one sentence each."""
    owner: str = ""
    """Person or team that is responsible for the silence, or for switching the policy off."""
    reason: str = ""
    until: date | None = None
    """Last day of the silence."""


class NotChecked(Part):
    """A control of an LLM platform that no policy checks."""

    control: str
    supports: list[Control]
    why: str
    """Why no policy can check it, and which person or system does."""


class Evidence(Part):
    """Evidence about one stack on one day."""

    version: Literal["v1"] = "v1"
    stack: str = Field(min_length=1)
    of: Of
    """Source of the resources: the rendering of the program, or the Pulumi state."""
    as_of: date
    """Date of the report. It decides which silences are active."""
    commit: str = ""
    """Git commit of the stack's files, policies included. Empty outside a repository."""
    resources: int
    """Number of resources that were checked, including those of the other stacks of the estate."""
    digest: str
    """Digest of the resources that were checked."""
    rows: list[Row]
    not_checked: list[NotChecked]
